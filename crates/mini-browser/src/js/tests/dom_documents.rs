//! Documents: parsing, scripts in their order, and the events of loading.

use bytes::Bytes;
use serde_json::json;

use super::stand::{PAGE, page, wait};

/// What a script gives in a page of that markup, after it has loaded.
pub(super) fn in_page(html: &str, script: &str) -> serde_json::Value {
    let (page, lines, ..) = page();
    let resource = Bytes::copy_from_slice(html.as_bytes());
    wait(page.open_document(resource, "text/html", "https://elsewhere.example/")).unwrap();
    let value = wait(page.run_script(script, PAGE));
    value.unwrap_or_else(|error| panic!("{error}\n{:?}", lines.all()))
}

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
