//! Blobs, files, and what reads them, as scripts see it.

use serde_json::json;

use super::stand::evaluate;

#[test]
fn a_blob_is_made_of_buffers_blobs_and_strings() {
    assert_eq!(
        evaluate(
            "(async () => {
                const bytes = new Uint8Array([1, 97, 98, 2]);
                const blob = new Blob([bytes.subarray(1, 3), new Blob(['c\\r\\n']), 'd\\ud800', bytes.buffer, { toString: () => 'x' }], { type: 'Text/PLAIN' });
                bytes.fill(0);
                return [blob.size, blob.type, [...await blob.bytes()], (await blob.arrayBuffer()).byteLength, await new Blob(['\\ufeffé']).text()];
            })()"
        ),
        json!([
            14,
            "text/plain",
            [97, 98, 99, 13, 10, 100, 239, 191, 189, 1, 97, 98, 2, 120],
            14,
            "é"
        ])
    );
}

#[test]
fn the_parts_are_converted_before_the_options_and_all_before_bytes_are_taken() {
    assert_eq!(
        evaluate(
            "(async () => {
                const log = [], buffer = new Uint8Array([97]);
                const options = { get type() { log.push('type'); buffer[0] = 98; return ''; }, get endings() { log.push('endings'); } };
                const blob = new Blob([buffer, { toString() { log.push('part'); return '!'; } }], options);
                return [log, await blob.text()];
            })()"
        ),
        json!([["part", "endings", "type"], "b!"])
    );
}

#[test]
fn what_no_blob_can_be_made_of_is_refused() {
    assert_eq!(
        evaluate(
            "const name = (make) => { try { make(); return 'nothing'; } catch (error) { return error.name; } };
            [() => new Blob(null), () => new Blob('a'), () => new Blob({}), () => new Blob([], 1), () => new Blob([], { endings: 'NATIVE' }),
                () => Blob(), () => new Blob([Symbol()]), () => new File([]), () => new File('', 'a'), () => new FileList(),
                () => Blob.prototype.slice.call({}), () => Object.getOwnPropertyDescriptor(Blob.prototype, 'size').get.call({})].map(name)"
        ),
        json!(vec!["TypeError"; 12])
    );
}

#[test]
fn slices_count_from_either_end_and_share_nothing_with_scripts() {
    assert_eq!(
        evaluate(
            "(async () => {
                const blob = new Blob(['abcdef']);
                const texts = [[1, 3], [-2], [4, 2], [NaN, Infinity], [2.5, 3.5], [-Infinity, -5]].map((range) => blob.slice(...range).text());
                (await blob.slice(0, 3).bytes()).fill(0);
                return [await Promise.all(texts), await blob.text(), blob.slice(0, 1, 'A/B').type, blob.slice(0, 1, 'a\\n').type, blob.slice(0, 0, null).type];
            })()"
        ),
        json!([["bc", "ef", "", "abcdef", "cd", "a"], "abcdef", "a/b", "", "null"])
    );
}

#[test]
fn endings_become_native_in_strings_only() {
    assert_eq!(
        evaluate(
            "(async () => new Blob(['a\\r\\nb\\rc\\n\\r', new Blob(['\\r\\n']), '\\n'], { endings: 'native' }).text())()"
        ),
        json!("a\nb\nc\n\n\r\n\n")
    );
}

#[test]
fn a_file_is_a_blob_with_a_name() {
    assert_eq!(
        evaluate(
            "(async () => {
                const before = Date.now(), file = new File(['ab'], 'a/b\\ud800', { type: 'x/Y', lastModified: -1.9 }), now = new File([], '').lastModified;
                const copy = structuredClone(file), blob = structuredClone(new Blob(['é'], { type: 'a/b' }));
                return [file.name.length, file.lastModified, file instanceof Blob, String(file), now >= before, copy instanceof File, copy.name === file.name,
                    copy.lastModified, copy.type, await copy.text(), blob.constructor === Blob, await blob.text(), blob.type,
                    await file.slice(1).text(), file.slice() instanceof File];
            })()"
        ),
        json!([
            4, -1, true, "[object File]", true, true, true, -1, "x/y", "ab", true, "é", "a/b", "b",
            false
        ])
    );
}

#[test]
fn a_reader_tells_its_progress() {
    assert_eq!(
        evaluate(
            "new Promise((resolve) => {
                const reader = new FileReader(), log = [];
                for (const type of ['loadstart', 'progress', 'load', 'error', 'abort', 'loadend']) {
                    reader[`on${type}`] = (event) => log.push([type, event.loaded, event.total, event.lengthComputable, reader.readyState]);
                }
                reader.addEventListener('loadend', () => resolve([log, reader.result, reader.error]));
                reader.readAsText(new Blob(['hé']));
                try { reader.readAsText(new Blob()); } catch (error) { log.push(error.name); }
            })"
        ),
        json!([
            [
                "InvalidStateError",
                ["loadstart", 0, 3, true, 1],
                ["progress", 3, 3, true, 1],
                ["load", 3, 3, true, 2],
                ["loadend", 3, 3, true, 2]
            ],
            "hé",
            null
        ])
    );
}

#[test]
fn an_aborted_read_says_nothing_more_and_another_can_begin() {
    assert_eq!(
        evaluate(
            "new Promise((resolve) => {
                const reader = new FileReader(), log = [];
                for (const type of ['loadstart', 'load', 'abort', 'loadend']) reader.addEventListener(type, () => log.push([type, reader.readyState, reader.result]));
                reader.readAsText(new Blob(['first']));
                reader.abort();
                reader.onload = () => resolve(log);
                reader.readAsDataURL(new Blob(['?'], { type: 'a/b' }));
            })"
        ),
        json!([
            ["abort", 2, null],
            ["loadend", 2, null],
            ["loadstart", 1, null],
            ["load", 2, "data:a/b;base64,Pw=="]
        ])
    );
}

#[test]
fn text_is_read_in_the_encoding_that_is_named() {
    assert_eq!(
        evaluate(
            "(async () => {
                const read = (bytes, type, ...encoding) => new Promise((resolve) => {
                    const reader = new FileReader();
                    reader.onload = () => resolve(reader.result);
                    reader.readAsText(new Blob([new Uint8Array(bytes)], { type }), ...encoding);
                });
                return [await read([0, 104], '', 'utf-16be'), await read([0, 104], 'text/plain; charset=\"UTF-16BE\"'), await read([0xe9], 'text/plain;charset=latin1', 'nonsense'),
                    await read([0xe9], ''), await read([0xff, 0xfe, 104, 0], 'a/b;charset=utf-8')];
            })()"
        ),
        json!(["h", "h", "é", "\u{fffd}", "h"])
    );
}

#[test]
fn a_progress_event_has_what_it_was_made_with() {
    assert_eq!(
        evaluate(
            "const event = new ProgressEvent('x', { loaded: 1.5, total: 2, lengthComputable: 1, bubbles: true });
            const failed = (() => { try { new ProgressEvent('x', { total: NaN }); } catch (error) { return error.name; } })();
            [event.type, event.loaded, event.total, event.lengthComputable, event.bubbles, new ProgressEvent('y').total, failed]"
        ),
        json!(["x", 1.5, 2, true, true, 0, "TypeError"])
    );
}
