//! Streams, as scripts see them.

use serde_json::json;

use super::stand::evaluate;

#[test]
fn a_reader_gets_what_was_enqueued_and_then_the_end() {
    assert_eq!(
        evaluate(
            "(async () => {
                const log = [];
                const stream = new ReadableStream({ start(c) { log.push(c.desiredSize); c.enqueue('a'); log.push(c.desiredSize); }, pull(c) { log.push('pull'); c.enqueue('b'); c.close(); } }, { highWaterMark: 2, size: () => 1 });
                const reader = stream.getReader(), chunks = [];
                for (let step; !(step = await reader.read()).done;) chunks.push(step.value);
                await reader.closed;
                return [log, chunks, stream.locked, (reader.releaseLock(), stream.locked), await reader.read().catch((error) => error.name), await stream.cancel()];
            })()"
        ),
        json!([[2, 1, "pull"], ["a", "b"], true, false, "TypeError", null])
    );
}

#[test]
fn what_no_stream_can_be_made_of_is_refused() {
    assert_eq!(
        evaluate(
            "const name = (run) => { try { run(); return 'nothing'; } catch (error) { return error.name; } };
            const stream = new ReadableStream(); stream.getReader();
            [() => new ReadableStream(null), () => new ReadableStream({ type: 'other' }), () => new ReadableStream({ pull: 1 }), () => new ReadableStream({}, { highWaterMark: -1 }),
                () => new ReadableStream({ type: 'bytes' }, { size() {} }), () => new ReadableStream({ type: 'bytes', autoAllocateChunkSize: 0 }), () => new WritableStream({ type: 'x' }),
                () => new TransformStream({ readableType: 'bytes' }), () => stream.getReader(), () => stream.tee(), () => new ReadableStream().getReader({ mode: 'byob' }),
                () => new ReadableStreamDefaultController(), () => new CountQueuingStrategy({}), () => ReadableStream.from(null), () => ReadableStream.prototype.tee.call({})].map(name)"
        ),
        json!([
            "TypeError", "TypeError", "TypeError", "RangeError", "RangeError", "TypeError",
            "RangeError", "RangeError", "TypeError", "TypeError", "TypeError", "TypeError",
            "TypeError", "TypeError", "TypeError"
        ])
    );
}

#[test]
fn promises_of_a_wrong_this_or_a_failed_source_reject() {
    assert_eq!(
        evaluate(
            "(async () => {
                const name = (promise) => promise.then(() => 'nothing', (error) => error?.name ?? error);
                const failed = new ReadableStream({ pull() { throw 'pull'; } }), locked = new ReadableStream(); locked.getReader();
                return Promise.all([ReadableStream.prototype.cancel.call(1), ReadableStreamDefaultReader.prototype.read.call(undefined), WritableStream.prototype.close.call({}), locked.cancel(), locked.pipeTo(new WritableStream()),
                    new ReadableStream().pipeTo({}), failed.getReader().read(), new WritableStream({ write() { throw 'write'; } }).getWriter().write(1),
                    new ReadableStream({ type: 'bytes' }).getReader({ mode: 'byob' }).read(new Uint8Array())].map(name));
            })()"
        ),
        json!([
            "TypeError", "TypeError", "TypeError", "TypeError", "TypeError", "TypeError", "pull",
            "write", "TypeError"
        ])
    );
}

#[test]
fn bytes_come_into_the_readers_own_memory() {
    assert_eq!(
        evaluate(
            "(async () => {
                const sent = new Uint8Array([1, 2, 3, 4, 5]);
                const stream = new ReadableStream({ type: 'bytes', pull(c) {
                    const request = c.byobRequest;
                    if (request) { new Uint8Array(request.view.buffer, request.view.byteOffset)[0] = 9; request.respond(1); } else { c.enqueue(sent); }
                } });
                const reader = stream.getReader(); const first = await reader.read(); reader.releaseLock();
                const byob = stream.getReader({ mode: 'byob' }), buffer = new ArrayBuffer(4);
                const second = await byob.read(new Uint8Array(buffer, 1, 2)), third = await byob.read(new Uint16Array(2), { min: 2 });
                return [[...first.value], sent.byteLength, buffer.byteLength, [...second.value], second.value.byteOffset, third.value.length, third.value[0]];
            })()"
        ),
        json!([[1, 2, 3, 4, 5], 0, 0, [9], 1, 2, 0x0909])
    );
}

#[test]
fn a_pipe_goes_through_a_transform_and_ends_with_its_source() {
    assert_eq!(
        evaluate(
            "(async () => {
                const doubled = ReadableStream.from([1, 2, 3]).pipeThrough(new TransformStream({ transform(chunk, c) { c.enqueue(chunk * 2); }, flush(c) { c.enqueue('end'); } }));
                const [one, two] = doubled.tee(), written = [];
                await one.pipeTo(new WritableStream({ write(chunk) { written.push(chunk); }, close() { written.push('closed'); } }));
                const read = []; for await (const chunk of two) read.push(chunk);
                return [written, read];
            })()"
        ),
        json!([[2, 4, 6, "end", "closed"], [2, 4, 6, "end"]])
    );
}

#[test]
fn a_pipe_that_is_aborted_ends_both_sides_and_leaves_no_rejection() {
    assert_eq!(
        evaluate(
            "(async () => {
                const log = [], controller = new AbortController();
                addEventListener('unhandledrejection', ({ reason }) => log.push(['unhandled', String(reason)]));
                const source = new ReadableStream({ pull(c) { c.enqueue(1); }, cancel(reason) { log.push(['cancel', reason]); } });
                const sink = new WritableStream({ write() { return new Promise((done) => setTimeout(done, 1)); }, abort(reason) { log.push(['abort', reason]); } });
                const piped = source.pipeTo(sink, { signal: controller.signal });
                setTimeout(() => controller.abort('why'), 3);
                log.push(await piped.catch((reason) => reason), source.locked, sink.locked);
                await new Promise((done) => setTimeout(done, 5));
                return log;
            })()"
        ),
        json!([["abort", "why"], ["cancel", "why"], "why", false, false])
    );
}

#[test]
fn a_stream_goes_to_another_realm() {
    assert_eq!(
        evaluate(
            "(async () => {
                const sent = ReadableStream.from([{ a: 1 }, 'b']), got = structuredClone(sent, { transfer: [sent] }), chunks = [];
                for await (const chunk of got) chunks.push(chunk);
                const written = [], sink = new WritableStream({ write(chunk) { written.push(chunk); } }), far = structuredClone(sink, { transfer: [sink] }).getWriter();
                await far.write(1); await far.write(2); await far.close();
                const errors = []; const locked = new ReadableStream(); locked.getReader();
                for (const options of [{ transfer: [locked] }, {}]) try { structuredClone(locked, options); } catch (error) { errors.push(error.name); }
                const broken = new ReadableStream({ pull(c) { c.enqueue(() => {}); } }), reader = structuredClone(broken, { transfer: [broken] }).getReader();
                errors.push(await reader.read().catch((error) => error.name));
                return [chunks, sent.locked, written, errors];
            })()"
        ),
        json!([
            [{ "a": 1 }, "b"], false, [1, 2],
            ["DataCloneError", "DataCloneError", "DataCloneError"]
        ])
    );
}

#[test]
fn a_body_is_a_stream_once_it_is_asked_for() {
    assert_eq!(
        evaluate(
            "(async () => {
                const response = new Response('abc'), { body } = response;
                const before = [response.bodyUsed, body.locked, response.body === body, new Response(null).body];
                const clone = response.clone(), reader = response.body.getReader();
                const first = await reader.read();
                const after = [response.bodyUsed, String.fromCharCode(...first.value), (await reader.read()).done, await clone.text(), clone.bodyUsed];
                const consumed = new Response('x'); await consumed.text();
                const made = new Response(ReadableStream.from([new Uint8Array([104]), new Uint8Array([105])]));
                const errors = [];
                for (const bad of [() => response.clone(), () => new Response(body), () => new Request('/', { method: 'POST', body: new ReadableStream() })]) try { bad(); errors.push('nothing'); } catch (error) { errors.push(error.name); }
                errors.push(await new Response(ReadableStream.from(['text'])).text().catch((error) => error.name));
                return [before, after, consumed.body.locked, await made.text(), made.bodyUsed, errors];
            })()"
        ),
        json!([
            [false, false, true, null], [true, "abc", true, "abc", true],
            true, "hi", true, ["TypeError", "TypeError", "TypeError", "TypeError"]
        ])
    );
}

#[test]
fn a_blob_is_read_in_pieces() {
    assert_eq!(
        evaluate(
            "(async () => {
                const stream = new Blob([new Uint8Array(3 << 20).fill(7)]).stream(); let length = 0, count = 0;
                for await (const chunk of stream) { length += chunk.length; count += 1; }
                const byob = new Blob(['ab']).stream().getReader({ mode: 'byob' });
                const first = await byob.read(new Uint8Array(8)), last = await byob.read(new Uint8Array(8));
                return [length, count > 1, [...first.value], last.done, last.value.length, (await new Blob([]).stream().getReader().read()).done];
            })()"
        ),
        json!([3 << 20, true, [97, 98], true, 0, true])
    );
}
