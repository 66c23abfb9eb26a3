//! Structured cloning, as scripts see it.

use serde_json::json;

use super::stand::evaluate;

#[test]
fn primitives_and_their_objects_come_back() {
    assert_eq!(
        evaluate(
            "const values = [undefined, null, true, false, '', 'a', 'é', 'あ', '\\u{1f600}', '\\ud800', 'a\\udc00b', '\\0', 0, -0, 1, -1,
                2147483647, -2147483648, 2147483648, 0.2, NaN, Infinity, -Infinity, 2 ** 53, 0n, -1n, 2n ** 63n, -(2n ** 63n), -(2n ** 63n) - 1n,
                10n ** 100n, -(10n ** 100n)];
            const failed = values.filter((value) => !Object.is(structuredClone(value), value));
            const objects = values.filter((value) => value !== null && value !== undefined).map(Object);
            const wrong = objects.filter((object) => {
                const copy = structuredClone(object);
                return copy === object || Object.getPrototypeOf(copy) !== Object.getPrototypeOf(object) || !Object.is(copy.valueOf(), object.valueOf());
            });
            [failed.map(String), wrong.map(String)]"
        ),
        json!([[], []])
    );
}

#[test]
fn objects_keep_their_shape_and_identity() {
    assert_eq!(
        evaluate(
            "const shared = { deep: [1, [2]] };
            const value = { b: 1, 2: 'two', 1: 'one', a: shared, again: shared, __proto__: { inherited: 1 }, ['__proto__']: 'own', '\\ud800': 3, '': 4 };
            value.self = value;
            Object.defineProperty(value, 'hidden', { value: 1 });
            value[Symbol('s')] = 1;
            const holes = [1, , 3, , ]; holes.extra = 'x'; holes[-1] = 'minus';
            const copy = structuredClone(value), sparse = structuredClone(holes);
            [Object.keys(copy).map(escape), copy.self === copy, copy.a === copy.again, copy.a !== shared, copy.a.deep, Object.getPrototypeOf(copy) === Object.prototype,
                Object.getOwnPropertyDescriptor(copy, '__proto__').value, Object.getOwnPropertyNames(copy).length === Object.keys(copy).length,
                sparse.length, 1 in sparse, Object.keys(sparse), Array.isArray(sparse), structuredClone(new Array(5)).length, structuredClone([]).length]"
        ),
        json!([
            ["1", "2", "b", "a", "again", "__proto__", "%uD800", "", "self"],
            true, true, true, [1, [2]], true, "own", true,
            4, false, ["0", "2", "extra", "-1"], true, 5, 0
        ])
    );
}

#[test]
fn built_in_objects_are_recognized_whatever_a_script_did_to_them() {
    assert_eq!(
        evaluate(
            "const date = new Date(5), regexp = /a[/]b\\n/giu, map = new Map([[1, { a: 1 }], ['k', new Set([1, 'x'])]]);
            regexp.lastIndex = 3; map.extra = 1;
            for (const object of [date, regexp, map]) Object.setPrototypeOf(object, null);
            date[Symbol.toStringTag] = 'Map';
            Map.prototype.forEach = Set.prototype.add = Map.prototype.set = Date.prototype.getTime = () => { throw 1; };
            Object.defineProperty(RegExp.prototype, 'flags', { get() { throw 2; } });
            Object.defineProperty(Array.prototype, '0', { set() { throw 3; }, configurable: true });
            globalThis.RegExp = globalThis.Map = globalThis.Date = function () { throw 4; };
            const [d, r, m] = [date, regexp, map].map((value) => structuredClone(value));
            delete Array.prototype[0];
            const tags = [d, r, m].map((object) => Object.prototype.toString.call(object));
            [tags, d.valueOf(), r.source, r.global && r.ignoreCase && r.unicode && !r.sticky, r.lastIndex, m.get(1).a, [...m.get('k')], m.extra === undefined,
                structuredClone(Object.prototype) !== Object.prototype, Object.keys(structuredClone((function () { return arguments; })(1, 2)))]"
        ),
        json!([
            ["[object Date]", "[object RegExp]", "[object Map]"], 5, "a[/]b\\n", true, 0, 1, [1, "x"], true, true, ["0", "1"]
        ])
    );
}

#[test]
fn buffers_and_views_are_copied_with_their_lengths() {
    assert_eq!(
        evaluate(
            "const bytes = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]);
            const value = { buffer: bytes.buffer, words: new Uint16Array(bytes.buffer, 2, 2), view: new DataView(bytes.buffer, 1, 3) };
            const copy = structuredClone(value);
            const kinds = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, BigInt64Array, BigUint64Array,
                Float16Array, Float32Array, Float64Array].filter((Kind) => !(structuredClone(new Kind(2)) instanceof Kind && structuredClone(new Kind(2)).length === 2));
            const out = [copy.words.buffer === copy.buffer, copy.view.buffer === copy.buffer, copy.buffer !== value.buffer, [...copy.words], copy.words.byteOffset,
                copy.view.byteOffset, copy.view.byteLength, copy.view.getUint8(0), kinds.length];
            for (const [length, longest] of [[16, 64], [16, 16], [16, 20], [0, 8]]) {
                const resizable = new ArrayBuffer(length, { maxByteLength: longest });
                new Uint8Array(resizable).fill(7);
                const views = [new Uint8Array(resizable), new Uint8Array(resizable, 0, length), new Float64Array(resizable), new DataView(resizable), new DataView(resizable, 0, length)];
                const copies = structuredClone(views);
                const before = copies.map((view) => view.byteLength);
                const kept = [...copies[0]].every((byte) => byte === 7) && [...views[0]].every((byte) => byte === 7) && resizable.byteLength === length;
                if (length > 0) copies[0].buffer.resize(8); else copies[0].buffer.resize(8);
                out.push([copies[0].buffer.maxByteLength, before, copies[0].length, copies[1].length, copies[2].length, kept, copies[3].byteLength]);
            }
            out"
        ),
        json!([
            true, true, true, [1027, 1541], 2, 1, 3, 2, 0,
            [64, [16, 16, 16, 16, 16], 8, 0, 1, true, 8],
            [16, [16, 16, 16, 16, 16], 8, 0, 1, true, 8],
            [20, [16, 16, 16, 16, 16], 8, 0, 1, true, 8],
            [8, [0, 0, 0, 0, 0], 8, 0, 1, true, 8]
        ])
    );
}

#[test]
fn errors_keep_name_message_stack_and_cause() {
    assert_eq!(
        evaluate(
            "class Own extends RangeError { get name() { return 'Own'; } }
            const cause = new TypeError('inner'); const outer = new RangeError('outer', { cause }); outer.foo = 1; cause.cause = outer;
            const copy = structuredClone(outer);
            const odd = URIError('x'); odd.name = 'TypeError'; odd.message = { toString: () => 'made' };
            const getter = Error(); Object.defineProperty(getter, 'message', { get: () => 'hello' });
            const dom = structuredClone(new DOMException('m', 'IndexSizeError'));
            [copy instanceof RangeError, copy.message, copy.stack === outer.stack, copy.cause instanceof TypeError, copy.cause.cause === copy, copy.foo === undefined,
                Object.keys(copy), structuredClone(new Own('o')).constructor.name, structuredClone(odd).constructor.name, structuredClone(odd).message,
                Object.hasOwn(structuredClone(getter), 'message'), Object.hasOwn(structuredClone(new Error()), 'message'),
                structuredClone(new AggregateError([1], 'a')).constructor.name, dom instanceof DOMException, dom.name, dom.message, dom.code]"
        ),
        json!([
            true, "outer", true, true, true, true, [], "Error", "TypeError", "made", false, false, "Error", true, "IndexSizeError", "m", 1
        ])
    );
}

#[test]
fn what_cannot_be_cloned_throws_a_data_clone_error() {
    assert_eq!(
        evaluate(
            "const detached = new ArrayBuffer(8), out = new Uint8Array(detached); structuredClone(null, { transfer: [detached] });
            const shrunk = new ArrayBuffer(16, { maxByteLength: 16 }), beyond = new Uint8Array(shrunk, 8), view = new DataView(shrunk, 8); shrunk.resize(0);
            const list = [() => 1, function () {}, class {}, Symbol('s'), Object(Symbol('s')), new WeakMap(), new WeakSet(), new WeakRef({}), Promise.resolve(),
                new Proxy({}, {}), new Proxy([], {}), new Proxy(() => 1, {}), (function* () {})(), [][Symbol.iterator](), new SharedArrayBuffer(1), detached, out,
                beyond, view, globalThis, new Response(), new EventTarget(), new Event('x'), new MessageChannel().port1, new FinalizationRegistry(() => 1)];
            list.map((value) => { try { structuredClone({ value }); return Object.prototype.toString.call(value); } catch (error) { return error instanceof DOMException && error.name === 'DataCloneError' && error.code === 25; } }).filter((it) => it !== true)"
        ),
        json!([])
    );
}

#[test]
fn getters_run_in_order_and_may_change_the_object() {
    assert_eq!(
        evaluate(
            "const log = [];
            const value = { get a() { log.push('a'); delete this.b; this.d = 1; return { get inner() { log.push('inner'); return 1; } }; }, b: 2, get c() { log.push('c'); return 3; } };
            const copy = structuredClone(value);
            const map = new Map([[{ get k() { map.set('late', 1); return 1; } }, 2]]);
            const thrown = new Error('mine'); let caught;
            try { structuredClone({ get x() { throw thrown; } }); } catch (error) { caught = error; }
            [log, copy, structuredClone(map).size, caught === thrown]"
        ),
        json!([["a", "inner", "c"], { "a": { "inner": 1 }, "c": 3 }, 1, true])
    );
}

#[test]
fn a_value_may_nest_deeper_than_the_stack() {
    assert_eq!(
        evaluate(
            "let deep = null; for (let i = 0; i < 200000; i++) deep = i % 2 ? [deep] : { deep };
            let copy = structuredClone(deep), depth = 0; while (copy !== null) { copy = Array.isArray(copy) ? copy[0] : copy.deep; depth++; } depth"
        ),
        200_000
    );
}

#[test]
fn transfer_detaches_in_order_and_only_after_serialization() {
    assert_eq!(
        evaluate(
            "const name = (f) => { try { f(); return 'no error'; } catch (error) { return error.name + (error === mine ? '!' : ''); } };
            const mine = new Error('mine');
            const a = new ArrayBuffer(8), b = new ArrayBuffer(4, { maxByteLength: 9 }), gone = new ArrayBuffer(1); structuredClone(0, { transfer: [gone] });
            const copy = structuredClone({ a, bytes: new Uint8Array(b) }, { transfer: [a, b] });
            const c = new ArrayBuffer(1), d = new ArrayBuffer(2);
            const { port1, port2 } = new MessageChannel(); port2.close();
            [a.byteLength, b.byteLength, copy.a.byteLength, copy.bytes.buffer.maxByteLength, name(() => structuredClone(0, { transfer: [c, c] })), c.byteLength,
                name(() => structuredClone({ get x() { throw mine; } }, { transfer: [c] })), c.byteLength,
                name(() => structuredClone({ get x() { throw mine; } }, { transfer: [gone] })),
                name(() => structuredClone(0, { transfer: [c, gone, d] })), c.byteLength, d.byteLength,
                name(() => structuredClone({ get x() { throw mine; } }, { transfer: [{}] })), name(() => structuredClone(0, { transfer: [5] })),
                name(() => structuredClone(0, { transfer: [new SharedArrayBuffer(1)] })), name(() => structuredClone(0, { transfer: 5 })), name(() => structuredClone()),
                name(() => structuredClone(0, { transfer: [port2] })), structuredClone({ port1 }, { transfer: [port1] }).port1 instanceof MessagePort,
                name(() => structuredClone(0, { transfer: [port1] }))]"
        ),
        json!([
            0, 0, 8, 9, "DataCloneError", 1, "Error!", 1, "Error!", "DataCloneError", 0, 2, "DataCloneError", "TypeError", "DataCloneError", "TypeError", "TypeError",
            "DataCloneError", true, "DataCloneError"
        ])
    );
}
