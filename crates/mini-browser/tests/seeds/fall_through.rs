//! Samples of fall-through fetch: S14, S24, S25.

use serde_json::json;

use crate::samples::both;
use crate::stage::{Stage, evaluate};

const FONTS: &str = "https://fonts.example.com";

both! {
    s14: S14, a_font_service_sees_what_falls_through;
    s24: S24, a_local_fetch_asks_a_worker_or_nobody;
    s25: S25, a_universal_fetch_asks_a_worker_or_the_network;
}

async fn a_font_service_sees_what_falls_through(sample: String) {
    let stage = Stage::new().await;
    let told = "addEventListener('fetch', (event) => say(new URL(event.request.url).pathname, event.isFallThrough));\n";
    let (own, state) = stage.install(FONTS, &format!("{told}{sample}"), "/").await;
    assert_eq!(state, "activated");
    for path in ["/font/a", "/resources/b", "/other"] {
        let headers = [
            ("content-type", "text/plain"),
            ("access-control-allow-origin", "*"),
        ];
        stage.serve_with(
            &format!("{FONTS}{path}"),
            http::StatusCode::OK,
            &headers,
            path,
        );
    }
    let page = stage.page("https://acme.com/").await;
    let script = format!(
        "Promise.all(['/font/a', '/resources/b', '/other'].map((path) => fetch('{FONTS}' + path).then((it) => it.text())))"
    );
    // The worker's handler is empty: the network answers.
    assert_eq!(
        evaluate(&page, &script).await,
        json!(["/font/a", "/resources/b", "/other"])
    );
    stage
        .console
        .wait_for(FONTS, r#"["/font/a",true]"#, 1)
        .await;
    stage
        .console
        .wait_for(FONTS, r#"["/resources/b",true]"#, 1)
        .await;
    assert!(
        !stage
            .console
            .lines(FONTS)
            .iter()
            .any(|line| line.contains("/other")),
        "no prefix has it"
    );
    // Of its own origin, nothing falls through.
    own.close().await;
    let own = stage.page(&format!("{FONTS}/")).await;
    assert_eq!(
        evaluate(&own, "fetch('/font/a').then((it) => it.text())").await,
        "/font/a"
    );
    stage
        .console
        .wait_for(FONTS, r#"["/font/a",false]"#, 1)
        .await;
}

/// A service that answers what falls through to it, if it opts in.
fn service(opts_in: bool) -> String {
    let prefixes = if opts_in {
        "event.handleFallThroughRequests(['/services/'])"
    } else {
        "event"
    };
    format!("oninstall = (event) => {prefixes};
        onfetch = (event) => event.respondWith(new Response('by the worker', {{ headers: {{ 'Access-Control-Allow-Origin': '*' }} }}));")
}

fn asked(stage: &Stage) -> usize {
    stage
        .log()
        .iter()
        .filter(|entry| entry.path_and_query == "/services/v1")
        .count()
}

const TARGET: &str = "https://example.com/services/v1";

fn serve_target(stage: &Stage) {
    let headers = [
        ("content-type", "text/plain"),
        ("access-control-allow-origin", "*"),
    ];
    stage.serve_with(TARGET, http::StatusCode::OK, &headers, "by the network");
}

async fn a_local_fetch_asks_a_worker_or_nobody(sample: String) {
    // The sentence names the function and the URL.
    assert!(
        sample.contains("local_fetch()") && sample.contains(TARGET),
        "{sample}"
    );
    let call =
        format!("local_fetch('{TARGET}').then((it) => it.text()).catch((error) => error.name)");
    let stage = Stage::new().await;
    serve_target(&stage);
    let page = stage.page("https://acme.com/").await;
    assert_eq!(evaluate(&page, &call).await, "TypeError", "nobody is there");
    let (_service, state) = stage
        .install("https://example.com", &service(true), "/services/")
        .await;
    assert_eq!(state, "activated");
    assert_eq!(evaluate(&page, &call).await, "by the worker");
    assert_eq!(asked(&stage), 0, "the network was never asked");
}

async fn a_universal_fetch_asks_a_worker_or_the_network(sample: String) {
    // The sentence names the two ways: the request's option, and the service's scope.
    assert!(
        sample.contains("`Request`") && sample.contains("scope"),
        "{sample}"
    );
    let call = format!(
        "fetch(new Request('{TARGET}', {{ lookAside: 'universal' }})).then((it) => it.text())"
    );
    for (opts_in, answer, requests) in [(true, "by the worker", 0), (false, "by the network", 1)] {
        let stage = Stage::new().await;
        serve_target(&stage);
        let (_service, state) = stage
            .install("https://example.com", &service(opts_in), "/services/")
            .await;
        assert_eq!(state, "activated");
        let page = stage.page("https://acme.com/").await;
        assert_eq!(evaluate(&page, &call).await, answer);
        assert_eq!(asked(&stage), requests);
    }
    // Nobody is there: the network.
    let stage = Stage::new().await;
    serve_target(&stage);
    let page = stage.page("https://acme.com/").await;
    assert_eq!(evaluate(&page, &call).await, "by the network");
}
