//! `fetch()`, and what scripts see of filtered responses.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use service_worker::types::fetch::{RequestMode, ResponseHead, ServiceWorkersMode};
use service_worker::{Body, FetchRequest, Response, ServiceWorkerTiming};

use super::super::tests::{OPEN, Table};
use super::super::{Hop, HopFuture, Hopped, Source};
use super::Browser;

#[test]
fn a_response_shows_what_its_filter_lets_it_show() {
    let own: &[(&str, &str)] = &[
        ("set-cookie", "a"),
        ("x-own", "1"),
        ("content-type", "text/plain"),
    ];
    let closed: &[(&str, &str)] = &[("x-hidden", "1"), ("content-type", "text/plain")];
    let browser = Browser::new(
        Table::default()
            .with("https://a.test/own", 201, own)
            .with(
                "https://b.test/open",
                200,
                &[OPEN, ("x-hidden", "1"), ("content-type", "text/plain")],
            )
            .with("https://b.test/closed", 200, closed)
            .with(
                "https://a.test/away",
                302,
                &[("location", "https://b.test/open")],
            )
            .with("https://a.test/empty", 204, &[]),
    );
    let shown = |script: &str| {
        browser.eval(&format!(
            "await (async () => {{ const r = await {script};
               return [r.type, r.url, r.redirected, r.status, [...r.headers.keys()], await r.text()]; }})()"
        ))
    };
    let plain = ["content-type"];
    assert_eq!(
        shown("fetch('/own#f')"),
        json!([
            "basic",
            "https://a.test/own",
            false,
            201,
            ["content-type", "x-own"],
            "body"
        ])
    );
    assert_eq!(
        shown("fetch('https://b.test/open')"),
        json!(["cors", "https://b.test/open", false, 200, plain, "body"])
    );
    assert_eq!(
        shown("fetch('https://b.test/closed', { mode: 'no-cors' })"),
        json!(["opaque", "", false, 0, [], ""])
    );
    assert_eq!(
        shown("fetch('/away')"),
        json!(["cors", "https://b.test/open", true, 200, plain, "body"])
    );
    assert_eq!(
        shown("fetch('/away', { redirect: 'manual' })"),
        json!(["opaqueredirect", "https://a.test/away", false, 0, [], ""])
    );
    assert_eq!(
        shown("fetch('/empty')"),
        json!(["basic", "https://a.test/empty", false, 204, [], ""])
    );
    assert_eq!(
        browser.eval("(await fetch('/own')).headers.set('a', 'b')"),
        json!("throws TypeError")
    );
    assert_eq!(shown("fetch('data:text/plain,x%20y')")[5], json!("x y"));
}

#[test]
fn a_request_reaches_the_network_as_the_script_made_it() {
    let table = Table::default().with("https://a.test/x", 200, &[]);
    let browser = Browser::new(table.clone());
    let script = "fetch('/x', { method: 'POST', body: '\\u00e9', headers: { 'X-A': '\\u00ff' }, mode: 'same-origin' })";
    assert_eq!(
        browser.eval(&format!("(await {script}).status")),
        json!(200)
    );
    let asked = &table.asked()[0];
    assert_eq!(asked.head.method, "POST");
    assert_eq!(asked.head.mode, RequestMode::SameOrigin);
    assert_eq!(asked.head.service_workers, ServiceWorkersMode::All);
    assert_eq!(asked.body, "\u{e9}".as_bytes());
    assert!(asked.head.has_body);
    assert_eq!(asked.head.headers["x-a"].as_bytes(), [0xff]);
    assert_eq!(
        asked.head.headers["content-type"],
        "text/plain;charset=UTF-8"
    );
    assert_eq!(asked.network_header("referer"), "https://a.test/dir/page");
    assert_eq!(asked.network_header("origin"), "https://a.test");
}

#[test]
fn scripts_see_one_error_for_all_network_errors_and_people_see_why() {
    let browser = Browser::new(
        Table::default()
            .with("https://b.test/closed", 200, &[])
            .with("https://b.test/open", 200, &[OPEN]),
    );
    for (script, why) in [
        (
            "fetch('https://nowhere.test/')",
            "https://nowhere.test/: nobody is there",
        ),
        (
            "fetch('https://b.test/closed')",
            "no Access-Control-Allow-Origin",
        ),
        ("fetch('http://b.test/')", "mixed content"),
        ("fetch('https://b.test:25/')", "port 25 is blocked"),
        (
            "fetch('https://b.test/open', { method: 'PUT' })",
            "the CORS preflight does not allow method PUT",
        ),
        (
            "fetch('https://b.test/open', { integrity: 'sha256-x' })",
            "does not match its integrity metadata",
        ),
    ] {
        let thrown = browser.run_async(&format!(
            "try {{ await {script}; }} catch (e) {{ return [e instanceof TypeError, e.message]; }}"
        ));
        assert_eq!(thrown, json!([true, "Failed to fetch"]), "{script}");
        let console = browser.console();
        let last = console.last().map(String::as_str).unwrap_or_default();
        assert!(
            last.starts_with("error: fetch failed: ") && last.contains(why),
            "{last}"
        );
        assert_eq!(last.lines().count(), 1);
    }
    for script in [
        "fetch()",
        "fetch('http://[')",
        "fetch('x', { method: 'TRACE' })",
    ] {
        assert_eq!(
            browser.eval(&format!("{script} instanceof Promise")),
            json!(true)
        );
        assert_eq!(
            browser.eval(&format!("await {script}")),
            json!("throws TypeError")
        );
    }
}

#[test]
fn an_abort_ends_the_hop_and_rejects_with_its_reason() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let browser = Browser::new(Never {
        dropped: Arc::clone(&dropped),
        head_comes: false,
    });
    let fetch = |then: &str| {
        browser.run_async(&format!(
            "const c = new AbortController(); const p = fetch('/x', {{ signal: c.signal }});
             await new Promise(done => setTimeout(done)); {then}"
        ))
    };
    assert_eq!(fetch("c.abort(); return p;"), json!("throws AbortError"));
    assert_eq!(fetch("c.abort('why'); return p;"), json!("throws why"));
    let already = "await fetch('/x', { signal: AbortSignal.abort('early') })";
    assert_eq!(browser.eval(already), json!("throws early"));
    // The hop is dropped by the agent's loop, at the latest before it runs another timer.
    browser.run_async("await new Promise(done => setTimeout(done))");
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
    assert!(browser.console().is_empty(), "{:?}", browser.console());
}

#[test]
fn an_abort_reaches_a_body_that_is_still_to_come() {
    let browser = Browser::new(Never {
        dropped: Arc::default(),
        head_comes: true,
    });
    let fetch = |then: &str| {
        browser.run_async(&format!(
            "const c = new AbortController(); const r = await fetch('/x', {{ signal: c.signal }}); {then}"
        ))
    };
    assert_eq!(fetch("return r.status;"), json!(200));
    let during = "const t = r.text(); setTimeout(() => c.abort('during')); return t;";
    assert_eq!(fetch(during), json!("throws during"));
    assert_eq!(
        fetch("c.abort('before'); return r.text();"),
        json!("throws before")
    );
}

#[test]
fn a_body_is_read_once_and_its_clone_once_more() {
    let browser = Browser::new(Table::default().with("https://a.test/x", 200, &[]));
    let read = "const r = await fetch('/x'), c = r.clone();
        (await r.bytes())[0] = 0; return [await c.text(), r.bodyUsed, c.bodyUsed];";
    assert_eq!(browser.run_async(read), json!(["body", true, true]));
    let twice = "const r = await fetch('/x'); await r.text(); return r.text();";
    assert_eq!(browser.run_async(twice), json!("throws TypeError"));
}

#[test]
fn a_body_that_no_script_can_reach_is_dropped() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let browser = Browser::new(Never {
        dropped: Arc::clone(&dropped),
        head_comes: true,
    });
    let script = "const kept = await fetch('/x'); for (let i = 0; i < 50; i++) await fetch('/x');
        await new Promise(done => setTimeout(done)); globalThis.kept = kept;";
    browser.run_async(script);
    browser.run_async("await new Promise(done => setTimeout(done))");
    // The last ones may still be held by a stack that is not overwritten yet.
    let count = dropped.load(Ordering::SeqCst);
    assert!((45..=50).contains(&count), "{count} of 50 were dropped");
}

/// Answers nothing, or a head whose body never comes.
struct Never {
    dropped: Arc<AtomicUsize>,
    head_comes: bool,
}

struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Hop for Never {
    fn hop(&self, _: FetchRequest) -> HopFuture {
        let dropped = Dropped(Arc::clone(&self.dropped));
        let head_comes = self.head_comes;
        Box::pin(async move {
            if !head_comes {
                std::future::pending::<()>().await;
            }
            let never = futures_util::stream::poll_fn(move |_| {
                let _held: &Dropped = &dropped;
                std::task::Poll::<Option<Result<Bytes, _>>>::Pending
            });
            Ok(Hopped {
                response: Response {
                    head: ResponseHead::new(StatusCode::OK, HeaderMap::new()),
                    body: Body::from_stream(never),
                },
                source: Source::Network,
                timing: ServiceWorkerTiming::default(),
                protocol: "",
            })
        })
    }
}
