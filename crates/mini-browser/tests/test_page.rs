//! `mini-browser test`: a page of tests, served here with a harness that is as small as can be.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of a test may panic as a test may"
)]

use std::process::{Command, Output};
use std::sync::Arc;

use mini_browser::js::TracingConsole;
use mini_browser::net::NetworkConfig;
use mini_browser::net::server::{Server, ServerRequest, ServerResponse};
use mini_browser::{Browser, BrowserOptions};
use serde_json::{Value, json};
use service_worker::Policies;

/// What of a harness the report script calls.
const HARNESS: &str = "
    var properties, results = [], completions = [];
    function setup(given) { properties = given; }
    function add_result_callback(callback) { results.push(callback); }
    function add_completion_callback(callback) { completions.push(callback); }
    function result(name, status, message = null) {
        const test = { name, status, message, stack: null };
        for (const callback of results) callback(test);
        return test;
    }
    function complete(tests, status, message = null) {
        for (const callback of completions) callback(tests, { status, message, stack: null });
    }";

const HEAD: &str = "<!DOCTYPE html><script src=/resources/testharness.js></script>
    <script src=/resources/testharnessreport.js></script>";

async fn serve(request: ServerRequest) -> ServerResponse {
    let page =
        |script: &str| ServerResponse::ok("text/html", format!("{HEAD}<script>{script}</script>"));
    match request.path() {
        "/resources/testharness.js" => ServerResponse::ok("text/javascript", HARNESS),
        "/resources/testharnessreport.js" => {
            ServerResponse::ok("text/javascript", "throw 'this is to be replaced';")
        }
        "/complete" => page(
            "complete([result('holds', 0), result('does not', 1, 'why')], 0);
             complete([], 1, 'nobody listens any more');",
        ),
        "/multiplier" => page("complete([result(JSON.stringify(properties), 0)], 0);"),
        "/endless" => page("result('holds', 0); result('does not', 1);"),
        "/loop" => page("result('holds', 0); for (;;);"),
        "/hungry" => page("const all = []; for (;;) all.push(new Array(1 << 20).fill(all));"),
        "/opener" => page(
            "const seen = [typeof miniBrowserReport, open('').eval('typeof miniBrowserReport')];
             new BroadcastChannel('popup').onmessage = ({ data }) =>
                 complete([result([...seen, data].join(), 0)], 0);
             open('/popup', '_blank', 'noopener');",
        ),
        "/popup" => page("new BroadcastChannel('popup').postMessage(typeof miniBrowserReport);"),
        "/odd" => page("complete([{ name: 'a', status: 'fine' }], 0);"),
        "/text" => ServerResponse::ok("text/plain", "no page"),
        _ => ServerResponse::new(http::StatusCode::NOT_FOUND, ""),
    }
}

async fn run(path: &str, more: &[&str]) -> Output {
    let server = Server::start("127.0.0.1:0".parse().unwrap(), None, serve)
        .await
        .unwrap();
    let (url, map) = (
        format!("http://a.test:{}{path}", server.local_addr().port()),
        "*.test=127.0.0.1",
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_mini-browser"));
    command.args(["test", &url, "--map", map]).args(more);
    command.env_remove("RUST_LOG");
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

fn results(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn names(results: &Value) -> Vec<&str> {
    let subtests = results["subtests"].as_array().unwrap();
    subtests
        .iter()
        .map(|subtest| subtest["name"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_page_completes_with_is_a_line_of_json() {
    let output = run("/complete", &[]).await;
    let results = results(&output);
    assert_eq!(results["status"], "OK", "{results}");
    assert!(results["test"].as_str().unwrap().ends_with("/complete"));
    assert_eq!(
        results["subtests"],
        json!([
            { "name": "holds", "status": "PASS", "message": null, "stack": null },
            { "name": "does not", "status": "FAIL", "message": "why", "stack": null },
        ])
    );
    assert_eq!(
        output.stdout.iter().filter(|byte| **byte == b'\n').count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_told_how_much_longer_its_limits_are() {
    let output = run("/multiplier", &["--timeout-multiplier", "2.5"]).await;
    let results = results(&output);
    let properties: Value = serde_json::from_str(names(&results)[0]).unwrap();
    assert_eq!(
        properties,
        json!({ "output": false, "timeout_multiplier": 2.5 })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_does_not_end_keeps_what_it_found_before() {
    for path in ["/endless", "/loop"] {
        let output = run(path, &["--timeout", "2"]).await;
        let results = results(&output);
        assert_eq!(results["status"], "TIMEOUT", "{path}");
        assert_eq!(names(&results)[0], "holds", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_page_opens_does_not_report_in_its_place() {
    let output = run("/opener", &[]).await;
    let results = results(&output);
    assert_eq!(
        names(&results),
        ["function,undefined,undefined"],
        "{results}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_and_an_unreadable_report_are_errors_that_say_why() {
    for (path, said) in [
        ("/text", "text/plain"),
        ("/missing", "text/html"),
        ("/odd", "fine"),
        ("/hungry", "out of memory"),
    ] {
        let output = run(path, &[]).await;
        let results = results(&output);
        assert_eq!(results["status"], "ERROR", "{path}");
        let message = results["message"].as_str().unwrap();
        assert!(message.contains(said), "{message}");
    }
    let output = run("/complete", &["--map", "a.test=none"]).await;
    let message = results(&output)["message"].to_string();
    assert!(message.contains("no host a.test"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_started_is_said_with_a_code() {
    for (more, code, said) in [
        (["--map", "a.test"], 2, "a.test"),
        (["--ca", "no such file"], 2, "no such file"),
        (["--profile", "/dev/null/profile"], 5, "/dev/null/profile"),
    ] {
        let output = run("/complete", &more).await;
        let line = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{line}");
        assert!(line.contains(said) && line.lines().count() == 1, "{line}");
        assert_eq!(output.stdout, b"");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_not_tested_has_no_way_to_report() {
    let server = Server::start("127.0.0.1:0".parse().unwrap(), None, async |_| {
        ServerResponse::ok("text/html", "<p>a page")
    })
    .await
    .unwrap();
    let profile = tempfile::tempdir().unwrap();
    let opened = Browser::open(BrowserOptions {
        profile: profile.path().to_owned(),
        network: NetworkConfig::default(),
        policies: Policies::shipping(),
        console: Arc::new(TracingConsole),
    })
    .unwrap();
    let url = format!("http://{}/", server.local_addr()).parse().unwrap();
    let page = opened.browser.navigate(&url).await.unwrap();
    let seen = page.run_script("typeof miniBrowserReport", "look").await;
    assert_eq!(seen.unwrap(), "undefined");
    opened.browser.close().await;
}
