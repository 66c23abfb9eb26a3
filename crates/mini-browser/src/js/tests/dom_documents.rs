//! Documents: parsing, scripts in their order, what elements load, and the events of loading.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use service_worker::tokio_adapter::TokioClock;
use service_worker::types::fetch::ResponseHead;
use service_worker::types::{ClientId, Environment, PartitionPolicy};
use service_worker::{Body, FetchRequest, Response, ServiceWorkerTiming};
use url::Url;

use super::stand::{Facade, Lines, PAGE, page_with, wait};
use crate::fetch::{FetchService, Hop, HopError, HopFuture, Hopped, Source};
use crate::js::PageOptions;
use crate::net::CookieJar;

/// A network of a few files: by path, the type and the content. A path with `slow` in it answers
/// after the others.
#[derive(Clone, Default)]
struct Files {
    files: BTreeMap<String, (String, Vec<u8>)>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hop for Files {
    fn hop(&self, request: FetchRequest) -> HopFuture {
        let head = &request.head;
        let (url, path) = (head.url().clone(), head.url().path().to_owned());
        let line = format!(
            "{} {} {} {}",
            path,
            head.destination.as_str(),
            head.mode.as_str(),
            head.credentials.as_str()
        );
        self.asked.lock().unwrap().push(line);
        let found = self.files.get(&path).cloned();
        Box::pin(async move {
            if path.contains("slow") {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            let (kind, body) = found.ok_or_else(|| HopError::new("nothing there"))?;
            let mut headers = HeaderMap::new();
            headers.insert(
                http::header::CONTENT_TYPE,
                HeaderValue::from_str(&kind).unwrap(),
            );
            let mut head = ResponseHead::new(StatusCode::OK, headers);
            head.url_list = vec![url];
            let response = Response {
                head,
                body: Body::from(body),
            };
            Ok(Hopped {
                response,
                source: Source::Network,
                timing: ServiceWorkerTiming::default(),
                protocol: "",
            })
        })
    }
}

/// What came of a page.
struct Visit {
    value: Value,
    asked: Vec<String>,
    console: Vec<String>,
}

/// What a script gives in a page of that resource and these files, after it has loaded.
fn visit(resource: &[u8], kind: &str, files: &[(&str, &str, &[u8])], script: &str) -> Visit {
    let files = files.iter().map(|(path, kind, body)| {
        let file = ((*kind).to_owned(), body.to_vec());
        ((*path).to_owned(), file)
    });
    let network = Files {
        files: files.collect(),
        asked: Arc::default(),
    };
    let cookies = Arc::new(CookieJar::new(Arc::new(TokioClock)));
    let service = FetchService::new(Arc::new(network.clone())).with_cookies(cookies);
    let (service, partition) = (Arc::new(service), Arc::new(PartitionPolicy::ByTopLevelSite));
    let lines = Lines::default();
    let environment = Environment::top_level(ClientId(9), Url::parse(PAGE).unwrap());
    let mut options = PageOptions::new(
        environment,
        Arc::new(lines.clone()),
        Arc::new(Facade::default()),
    );
    options.prepare = Some(Arc::new(move |realm| {
        realm
            .with_service(Arc::clone(&service))
            .with_service(Arc::clone(&partition))
    }));
    let (page, _ended) = page_with(options);
    let resource = Bytes::copy_from_slice(resource);
    wait(page.open_document(resource, kind, "https://elsewhere.example/")).unwrap();
    let value = wait(page.run_script(script, PAGE));
    let value = value.unwrap_or_else(|error| panic!("{error}\n{:?}", lines.all()));
    let asked = network.asked.lock().unwrap().clone();
    Visit {
        value,
        asked,
        console: lines.all(),
    }
}

/// The same of HTML, without files.
pub(super) fn in_page(html: &str, script: &str) -> Value {
    visit(html.as_bytes(), "text/html", &[], script).value
}

const JS: &str = "text/javascript";

#[test]
fn markup_becomes_a_tree() {
    let html = "<!doctype html><html lang=en><title> A  b </title><p id=x class='a b'>one<b>two</b><!--c--><table><tr><td>d";
    assert_eq!(
        in_page(
            html,
            "[document.title, document.body.textContent, document.documentElement.outerHTML, document.compatMode,
              document.getElementById('x').className, document.querySelectorAll('p > b, td').length, document.referrer]"
        ),
        json!([
            "A b",
            "onetwod",
            "<html lang=\"en\"><head><title> A  b </title></head><body><p id=\"x\" class=\"a b\">one<b>two</b><!--c--></p><table><tbody><tr><td>d</td></tr></tbody></table></body></html>",
            "CSS1Compat",
            "a b",
            2,
            "https://elsewhere.example/"
        ])
    );
}

#[test]
fn inline_scripts_run_where_they_stand_and_the_events_of_loading_follow() {
    let html = "<!doctype html><script>
        var seen = [document.readyState, document.body === null, document.currentScript.localName];
        document.onreadystatechange = () => seen.push(document.readyState);
        document.addEventListener('DOMContentLoaded', (event) => seen.push(event.type, event.bubbles));
        addEventListener('load', (event) => seen.push(event.type, event.target === document, event.isTrusted));
        Promise.resolve().then(() => seen.push('microtask'));
        </script><p>text<script>seen.push(document.body.textContent.trim().slice(0, 4)); throw new Error('no matter')</script>
        <script>seen.push(typeof after); var after = 1;</script><script type=text/plain>seen.push('never')</script>";
    assert_eq!(
        in_page(html, "seen"),
        json!([
            "loading",
            true,
            "script",
            "microtask",
            "text",
            "undefined",
            "interactive",
            "DOMContentLoaded",
            true,
            "complete",
            "load",
            true,
            true
        ])
    );
}

#[test]
fn external_scripts_run_in_the_order_that_their_attributes_ask_for() {
    let html = "<!doctype html><script>var seen = []; const on = (name) => seen.push(name);
            document.addEventListener('DOMContentLoaded', () => on('content'));</script>
        <script src=/slow.js onload=\"on('loaded ' + this.localName)\"></script><script>on('inline')</script>
        <script defer src=/slow-deferred.js></script><script defer src=/deferred.js></script>
        <script src=/plain.js></script><script src=/missing.js onerror=\"on('error')\"></script><p id=end>
        <script>
            const slow = document.createElement('script'), quick = document.createElement('script');
            slow.async = quick.async = false;
            [slow.src, quick.src] = ['/slow-ordered.js', '/ordered.js'];
            document.body.append(slow, quick);
        </script>";
    let file = |name: &str| format!("on('{name} ' + (document.getElementById('end') !== null))");
    let names = [
        "slow",
        "slow-deferred",
        "deferred",
        "plain",
        "slow-ordered",
        "ordered",
    ];
    let files: Vec<_> = names
        .iter()
        .map(|name| (format!("/{name}.js"), file(name)))
        .collect();
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| (path.as_str(), JS, text.as_bytes()))
        .collect();
    let visit = visit(html.as_bytes(), "text/html", &files, "seen");
    let seen: Vec<_> = visit.value.as_array().unwrap().clone();
    let at = |name: &str| {
        let found = seen.iter().position(|one| one == name);
        found.unwrap_or_else(|| panic!("{name} in {seen:?}"))
    };
    assert_eq!(
        seen[..5],
        json!([
            "slow false",
            "loaded script",
            "inline",
            "plain false",
            "error"
        ])
        .as_array()
        .unwrap()[..]
    );
    assert!(at("slow-deferred true") < at("deferred true"));
    assert!(at("deferred true") < at("content"));
    assert!(at("slow-ordered true") < at("ordered true"));
    assert!(
        visit
            .asked
            .contains(&"/slow.js script no-cors include".to_owned())
    );
}

#[test]
fn what_is_written_is_parsed_where_the_script_stands() {
    let html = "<p>a<script>document.write('<b>b</b><script>document.write(\"<i>c</i>\"); var first = 1;<' + '/script><u>');
        </script>d<script src=/writes.js></script>e<script defer src=/late.js></script>";
    let files: [(&str, &str, &[u8]); 2] = [
        ("/writes.js", JS, b"document.write('<s>w</s>')"),
        ("/late.js", JS, b"document.write('ignored')"),
    ];
    let visit = visit(
        html.as_bytes(),
        "text/html",
        &files,
        "document.querySelectorAll('script').forEach((script) => script.remove());
         const written = document.body.innerHTML;
         document.open(); document.write('<title>new</title><p>'); document.write('all new'); document.close();
         [written, document.title, document.body.textContent, document.readyState]",
    );
    assert_eq!(
        visit.value,
        json!([
            "<p>a<b>b</b><i>c</i><u>d<s>w</s>e</u></p>",
            "new",
            "all new",
            "interactive"
        ])
    );
}

#[test]
fn the_encoding_is_that_of_the_mark_the_header_or_the_meta_element() {
    let title = "[document.title, document.characterSet]";
    let given = |bytes: &[u8], kind: &str| visit(bytes, kind, &[], title).value;
    assert_eq!(
        given(b"<title>\xe4</title>", "text/html; charset=latin1"),
        json!(["\u{e4}", "windows-1252"])
    );
    assert_eq!(
        given(b"<meta charset=koi8-r><title>\xc4</title>", "text/html"),
        json!(["\u{434}", "KOI8-R"])
    );
    assert_eq!(
        given(
            b"\xef\xbb\xbf<title>\xc3\xa4</title>",
            "text/html; charset=latin1"
        ),
        json!(["\u{e4}", "UTF-8"])
    );
}

#[test]
fn what_is_not_html_is_shown_as_what_it_is() {
    let given = |bytes: &[u8], kind: &str| {
        let script =
            "[document.body.textContent, document.contentType, document.body.firstChild.localName]";
        visit(bytes, kind, &[], script).value
    };
    assert_eq!(
        given(b"<p>&amp;", "text/plain"),
        json!(["<p>&amp;", "text/plain", "pre"])
    );
    assert_eq!(
        given(b"{\"a\":1}", "application/json; charset=utf-8"),
        json!(["{\"a\":1}", "application/json", "pre"])
    );
    assert_eq!(
        given(b"<p>x", ""),
        json!(["x", "text/html", "p"]),
        "a resource without a type is looked at"
    );
    let xml = visit(b"<a/>", "application/xml", &[], "document.body.textContent");
    assert_eq!(xml.value, json!("<a/>"));
    assert!(xml.console[0].contains("XML documents are not offered"));
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x07\0\0\0\x05";

#[test]
fn images_and_sheets_load_or_fail_and_hold_up_the_load_event() {
    let html = "<!doctype html><body><script>
        var seen = [];
        const note = (event) => seen.push(event.type + ' ' + event.target.id);
        document.addEventListener('load', note, true); document.addEventListener('error', note, true);
        addEventListener('load', () => seen.push('window'));</script>
        <img id=good src=/slow.png><img id=text src=/text.png><img id=empty src=''><img id=cors crossorigin src=/good.png>
        <link id=sheet rel=stylesheet href=/sheet.css><link id=typeless rel=stylesheet href=/text.png>
        <link id=pre rel=preload as=font crossorigin href=/font.woff>";
    let files: [(&str, &str, &[u8]); 6] = [
        ("/slow.png", "text/plain", PNG),
        ("/good.png", "image/png", PNG),
        ("/text.png", "image/png", b"this is not one"),
        (
            "/sheet.css",
            "text/css",
            b"@import 'more.css'; p { background: url(good.png); mask-image: url(/masks.png) }",
        ),
        ("/more.css", "text/css", b""),
        ("/font.woff", "font/woff", b"x"),
    ];
    let visit = visit(
        html.as_bytes(),
        "text/html",
        &files,
        "const good = document.getElementById('good');
         [seen.pop(), seen.sort(), good.naturalWidth, good.height, good.complete, document.getElementById('sheet').sheet.cssRules.length]",
    );
    assert_eq!(
        visit.value,
        json!([
            "window",
            [
                "error empty",
                "error text",
                "error typeless",
                "load cors",
                "load good",
                "load pre",
                "load sheet"
            ],
            7,
            5,
            true,
            2
        ])
    );
    for line in [
        "/slow.png image no-cors include",
        "/good.png image cors same-origin",
        "/sheet.css style no-cors include",
        "/more.css style no-cors include",
        "/masks.png image cors same-origin",
        "/font.woff font cors same-origin",
    ] {
        assert!(
            visit.asked.iter().any(|asked| asked == line),
            "{line} in {:?}",
            visit.asked
        );
    }
}

#[test]
fn handlers_in_attributes_see_their_element_and_the_window() {
    let html = "<body onload='window.where = this === window; kept(event.type)' onmessage='1'><script>var got = []; const kept = (type) => got.push(type);</script>
        <form id=f><button type=button id=b onclick='got.push(method, id, event.type, this === event.target)'>x</button></form>
        <p id=broken onclick='}{'>";
    let visit = visit(
        html.as_bytes(),
        "text/html",
        &[],
        "b.click(); broken.click(); [got, where, typeof document.body.onload, window.onload === document.body.onload, broken.onclick]",
    );
    assert_eq!(
        visit.value,
        json!([
            ["load", "get", "b", "click", true],
            true,
            "function",
            true,
            null
        ])
    );
    assert!(
        visit
            .console
            .iter()
            .any(|line| line.contains("SyntaxError"))
    );
}

#[test]
fn the_base_element_counts_until_it_goes() {
    let html = "<base href=/other/><a id=link href=x>l</a>";
    assert_eq!(
        in_page(
            html,
            "const before = [link.href, document.baseURI, new Request('y').url];
             document.querySelector('base').remove();
             [...before, link.href, document.baseURI]"
        ),
        json!([
            "https://fonts.example.com/other/x",
            "https://fonts.example.com/other/",
            "https://fonts.example.com/other/y",
            "https://fonts.example.com/x",
            "https://fonts.example.com/index.html"
        ])
    );
}

#[test]
fn a_document_reads_and_writes_the_cookies_of_its_fetches() {
    assert_eq!(
        in_page(
            "",
            "document.cookie = 'a=1'; document.cookie = 'b=2; path=/elsewhere'; document.cookie = 'c=3; HttpOnly'; document.cookie = 'a=4';
             document.cookie = 'd=5; domain=other.example';
             [document.cookie, document.implementation.createHTMLDocument('').cookie]"
        ),
        json!(["a=4", ""])
    );
}

#[test]
fn hostile_markup_is_parsed_and_let_go() {
    let deep = "<div>".repeat(3000);
    let html = format!("<!doctype html>{deep}<p id=deep>");
    assert_eq!(
        in_page(
            &html,
            "[document.querySelectorAll('div').length, document.getElementById('deep').isConnected, document.body.textContent,
              document.body.cloneNode(true).innerHTML === document.body.innerHTML, (document.body.replaceChildren(), document.getElementById('deep')), document.body.isConnected]"
        ),
        json!([3000, true, "", true, null, true])
    );
    let broken = "<script><!-- <script> </script> <table><tr><svg><p></svg><math><mi><template><td></template><select><input></select></table>\0<a <b=\"'";
    let text = in_page(broken, "document.documentElement.outerHTML.length > 10");
    assert_eq!(text, json!(true));
}
