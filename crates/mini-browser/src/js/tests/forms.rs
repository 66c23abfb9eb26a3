//! Forms, bodies that are made of more than text, and blob URLs, as scripts see them.

use std::sync::Arc;

use serde_json::{Value, json};
use service_worker::FetchRequest;
use service_worker::types::{ClientId, Environment};
use url::Url;

use super::stand::{Facade, Lines, PAGE, evaluate, page_with, wait};
use crate::fetch::{BlobStore, FetchService, Hop, HopError, HopFuture};
use crate::js::{BlobUrls, Page, PageOptions};

/// A network that has nothing.
struct Nothing;

impl Hop for Nothing {
    fn hop(&self, _: FetchRequest) -> HopFuture {
        Box::pin(std::future::ready(Err(HopError::new("nothing there"))))
    }
}

/// A page with a blob URL store.
fn page_of(store: &Arc<BlobUrls>, url: &str) -> Page {
    let service =
        FetchService::new(Arc::new(Nothing)).with_blobs(Arc::clone(store) as Arc<dyn BlobStore>);
    let (service, store) = (Arc::new(service), Arc::clone(store));
    let environment = Environment::top_level(ClientId(9), Url::parse(url).unwrap());
    let mut options = PageOptions::new(
        environment,
        Arc::new(Lines::default()),
        Arc::new(Facade::default()),
    );
    options.prepare = Some(Arc::new(move |realm| {
        realm
            .with_service(Arc::clone(&service))
            .with_service(Arc::clone(&store))
    }));
    page_with(options).0
}

fn run(page: &Page, source: &str) -> Value {
    let source = format!(
        "globalThis.text = async (input) => {{ try {{ return await (await fetch(input)).text(); }} catch (error) {{ return error.name; }} }};
        (async () => {{ {source} }})()"
    );
    wait(page.run_script(source, "https://fonts.example.com/test.js")).unwrap()
}

#[test]
fn a_form_keeps_its_entries_in_order() {
    assert_eq!(
        evaluate(
            "const data = new FormData();
            data.append('a', 1); data.append('b', new Blob(['x'], { type: 'a/b' })); data.append('a', '2\\ud800'); data.append('c', new File(['y'], 'own'), 'given');
            data.set('a', 'first'); data.set('d', new Blob([]), 'name'); data.delete('none');
            const show = (value) => typeof value === 'string' ? value : [value.constructor.name, value.name, value.type, value.size];
            const iterator = data.entries(); iterator.next(); data.append('late', 'z');
            const names = []; data.forEach((value, key, object) => names.push(key + (object === data)));
            [[...data].map(([key, value]) => [key, show(value)]), data.get('none'), data.has('a'), data.getAll('a'), [...iterator].length, names.length,
                Object.prototype.toString.call(iterator), [...data.keys()].join(), FormData.prototype[Symbol.iterator] === FormData.prototype.entries]"
        ),
        json!([
            [
                ["a", "first"], ["b", ["File", "blob", "a/b", 1]], ["c", ["File", "given", "", 1]],
                ["d", ["File", "name", "", 0]], ["late", "z"]
            ],
            null, true, ["first"], 4, 5, "[object FormData Iterator]", "a,b,c,d,late", true
        ])
    );
}

#[test]
fn a_form_refuses_what_is_no_entry() {
    assert_eq!(
        evaluate(
            "const data = new FormData(), name = (run) => { try { run(); return 'nothing'; } catch (error) { return error.name; } };
            [() => data.append('a'), () => data.append('a', 'b', 'c'), () => data.set('a', {}, 'c'), () => new FormData('form'), () => new FormData(null), () => FormData(),
                () => data.append(Symbol(), ''), () => FormData.prototype.get.call({}, 'a'), () => data.forEach(1), () => data.get()].map(name)"
        ),
        json!(vec!["TypeError"; 10])
    );
}

#[test]
fn a_form_comes_back_from_the_body_that_it_became() {
    assert_eq!(
        evaluate(
            "(async () => {
                const data = new FormData();
                data.append('a\"\\n', 'one\\ntwo\\r'); data.append('f', new File(['--x\\r\\n\\r\\n'], 'q\"\\r.txt', { type: 'text/x' })); data.append('', ''); data.append('e', new Blob());
                const response = new Response(data), type = response.headers.get('content-type');
                const back = await response.formData(), list = [];
                for (const [key, value] of back) list.push([key, typeof value === 'string' ? value : [value.name, value.type, await value.text()]]);
                return [type.startsWith('multipart/form-data; boundary='), list];
            })()"
        ),
        json!([
            true,
            [
                ["a\"\r\n", "one\r\ntwo\r\n"],
                ["f", ["q\"\r.txt", "text/x", "--x\r\n\r\n"]],
                ["", ""],
                ["e", ["blob", "application/octet-stream", ""]]
            ]
        ])
    );
}

#[test]
fn what_is_no_form_is_refused() {
    assert_eq!(
        evaluate(
            "(async () => {
                const read = async (body, type) => { try { return [...await new Response(body, { headers: type ? { 'Content-Type': type } : {} }).formData()]; } catch (error) { return error.name; } };
                const multipart = 'multipart/form-data; boundary=B';
                return [await read('a=1&b=%C3%A9+&a', 'application/x-www-form-urlencoded; charset=latin1'), await read(new URLSearchParams({ x: 'y' })), await read('a=1'), await read('{}', 'text/json'),
                    await read('', multipart), await read('--B--', multipart), await read('--B\\r\\nContent-Disposition: form-data; name=\"a\"\\r\\n\\r\\nv\\r\\n--B--\\r\\n', 'multipart/form-data; boundary=\"B\"'),
                    await read('--B\\r\\nContent-Disposition: form-data; name=\"a\"\\r\\n\\r\\nv\\r\\n', multipart), await read('--B\\r\\nContent-Disposition: attachment\\r\\n\\r\\nv\\r\\n--B--', multipart),
                    await read('--B\\r\\nX: y\\r\\n\\r\\nv\\r\\n--B--', multipart), await read('--B--', 'multipart/form-data')];
            })()"
        ),
        json!([
            [["a", "1"], ["b", "é "], ["a", ""]], [["x", "y"]], "TypeError", "TypeError",
            "TypeError", [], [["a", "v"]],
            "TypeError", "TypeError", "TypeError", "TypeError"
        ])
    );
}

#[test]
fn a_body_becomes_a_blob_and_a_blob_a_body() {
    assert_eq!(
        evaluate(
            "(async () => {
                const blob = new Blob(['abc'], { type: 'Text/X; Charset=\"a b\"' });
                const response = new Response(blob), clone = response.clone();
                (await clone.bytes()).fill(0);
                const back = await response.blob();
                const none = await new Response(new Blob(['é'])).blob(), several = new Response('', { headers: [['Content-Type', 'a/b;charset=x'], ['content-type', 'A/B']] });
                return [response.headers.get('content-type'), back.type, await back.text(), await blob.text(), none.type, await none.text(), (await several.blob()).type];
            })()"
        ),
        json!([
            "text/x; charset=\"a b\"",
            "text/x;charset=\"a b\"",
            "abc",
            "abc",
            "",
            "é",
            "a/b;charset=x"
        ])
    );
}

#[test]
fn a_blob_url_leads_to_its_blob_until_it_is_revoked() {
    let store = Arc::default();
    let page = page_of(&store, PAGE);
    let told = run(
        &page,
        "const url = URL.createObjectURL(new Blob(['blob'], { type: 'a/b' }));
        const early = new Request(url), response = await fetch(url + '#fragment');
        const found = [new URL(url).origin, response.type, response.headers.get('content-type'), response.headers.get('content-length'), response.url === url, await response.text()];
        URL.revokeObjectURL(url + '#fragment');
        found.push(await text(url), await text(url + '?query'), await text(new Request(url, { method: 'POST' })));
        const under = text(url);
        URL.revokeObjectURL('not a URL'); URL.revokeObjectURL(url);
        found.push(await under, await text(url), await text(early.clone()));
        for (const bad of [() => URL.createObjectURL({}), () => URL.createObjectURL(), () => URL.revokeObjectURL()]) try { bad(); } catch (error) { found.push(error.name); }
        return found;",
    );
    assert_eq!(
        told,
        json!([
            "https://fonts.example.com",
            "basic",
            "a/b",
            "4",
            true,
            "blob",
            "blob",
            "TypeError",
            "TypeError",
            "blob",
            "TypeError",
            "blob",
            "TypeError",
            "TypeError",
            "TypeError"
        ])
    );
}

#[test]
fn a_blob_url_is_its_origins_and_ends_with_its_page() {
    let store = Arc::default();
    let page = page_of(&store, PAGE);
    let url = run(&page, "return URL.createObjectURL(new Blob(['mine']));");
    let url = url.as_str().unwrap();
    let script = format!("URL.revokeObjectURL('{url}'); return text('{url}');");
    let other = page_of(&store, "https://other.example/");
    assert_eq!(run(&other, &script), "TypeError");
    let same = page_of(&store, "https://fonts.example.com/other");
    assert_eq!(run(&same, &format!("return text('{url}');")), "mine");
    drop(page);
    let gone = format!(
        "let found; for (let tries = 0; tries < 1000 && found !== 'TypeError'; tries++) found = await text('{url}'); return found;"
    );
    assert_eq!(run(&same, &gone), "TypeError");
}

#[test]
fn workers_start_from_blob_urls_and_import_them() {
    let page = page_of(&Arc::default(), PAGE);
    let told = run(
        &page,
        "const url = (source) => URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
        const imported = url('var imported = 5; export {}'.replace(/export.*/, ''));
        const start = url(`importScripts('${imported}'); postMessage([imported, location.href === '${'x'}', self.origin, typeof URL.createObjectURL])`);
        const worker = new Worker(start);
        URL.revokeObjectURL(start);
        const first = await new Promise((done) => { worker.onmessage = ({ data }) => done(data); worker.onerror = () => done('error'); });
        worker.terminate();
        const failed = await new Promise((done) => { const late = new Worker(start); late.onerror = () => done('error'); });
        return [first, failed];",
    );
    assert_eq!(
        told,
        json!([[5, false, "https://fonts.example.com", "function"], "error"])
    );
}
