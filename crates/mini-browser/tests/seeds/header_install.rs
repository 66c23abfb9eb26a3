//! Samples of installation by header: S15 to S18.

use http::StatusCode;

use crate::samples::{self, both};
use crate::stage::{Stage, evaluate};

const IMAGE: &str = "https://api.thirdparty.org/share/assets/pak.png";
const SCRIPT: &str = "https://api.thirdparty.org/common/share/sw.js";

both! {
    s15: S15, the_headers_are_read_in_any_case;
    s16: S16, an_image_brings_a_worker;
    s17: S17, the_script_comes_as_it_is_described;
    s18: S18, registering_by_hand_comes_to_the_same;
}

/// The header lines of a response as a sample writes it; what the server itself knows is left to it.
fn headers(sample: &str) -> Vec<(String, String)> {
    let lines = sample.lines().filter(|line| !line.starts_with("GET "));
    let pairs = lines.filter_map(|line| line.split_once(':'));
    let pairs = pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    let by_the_server = ["status", "content-length", "content-encoding"];
    pairs
        .filter(|(name, _)| !by_the_server.contains(&name.to_ascii_lowercase().as_str()))
        .collect()
}

fn serve(stage: &Stage, url: &str, headers: &[(String, String)], body: impl Into<Vec<u8>>) {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    stage.serve_with(url, StatusCode::OK, &headers, body);
}

/// An image, loaded by a page of another site; the registrations of its own origin afterwards.
async fn load(stage: &Stage, image: &[u8]) -> serde_json::Value {
    let page = stage.page("https://acme.com/").await;
    let script = format!("fetch('{IMAGE}', {{ mode: 'no-cors' }}).then((it) => it.type)");
    assert_eq!(evaluate(&page, &script).await, "opaque");
    let own = stage.page("https://api.thirdparty.org/").await;
    let same =
        format!("fetch('{IMAGE}').then((it) => it.arrayBuffer()).then((it) => it.byteLength)");
    assert_eq!(evaluate(&own, &same).await, image.len());
    let found = "new Promise((resolve) => { const look = async () => {
        const [found] = await navigator.serviceWorker.getRegistrations();
        if (found?.active) resolve([found.scope, found.active.scriptURL]); else setTimeout(look, 5);
    }; look(); })";
    evaluate(&own, found).await
}

fn asked_for_script(stage: &Stage) -> usize {
    stage
        .log()
        .iter()
        .filter(|entry| entry.path_and_query == "/common/share/sw.js")
        .count()
}

async fn the_headers_are_read_in_any_case(sample: String) {
    let names: Vec<_> = headers(&sample).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    for spelled in [
        str::to_ascii_lowercase,
        str::to_ascii_uppercase,
        str::to_owned,
    ] as [fn(&str) -> String; 3]
    {
        let stage = Stage::new().await;
        let given: Vec<_> = names
            .iter()
            .map(|name| {
                let value = if name.to_ascii_lowercase().ends_with("scope") {
                    "/common/share/in/"
                } else {
                    "/common/share/sw.js"
                };
                (spelled(name), value.to_owned())
            })
            .collect();
        serve(&stage, IMAGE, &given, "an image");
        stage.serve(SCRIPT, "text/javascript", "");
        let found = load(&stage, b"an image").await;
        assert_eq!(found[0], "https://api.thirdparty.org/common/share/in/");
    }
}

async fn an_image_brings_a_worker(sample: String) {
    let stage = Stage::new().await;
    let image = vec![7; 3852];
    serve(&stage, IMAGE, &headers(&sample), image.as_slice());
    serve(
        &stage,
        SCRIPT,
        &headers(&samples::S17.own()),
        "onfetch = (event) => { event.request; };",
    );
    let found = load(&stage, &image).await;
    assert_eq!(
        found,
        serde_json::json!(["https://api.thirdparty.org/share/", SCRIPT])
    );
    assert_eq!(asked_for_script(&stage), 1);
    let script = stage
        .log()
        .into_iter()
        .find(|entry| entry.path_and_query == "/common/share/sw.js");
    let script = script.expect("it was asked for");
    assert_eq!(
        script.headers.get("service-worker").map(|it| it.as_bytes()),
        Some(&b"script"[..])
    );
    let first_image = stage
        .log()
        .into_iter()
        .position(|entry| entry.path_and_query == "/share/assets/pak.png");
    let script_at = stage
        .log()
        .into_iter()
        .position(|entry| entry.path_and_query == "/common/share/sw.js");
    assert!(
        first_image < script_at,
        "the image does not wait for the worker"
    );
}

async fn the_script_comes_as_it_is_described(sample: String) {
    let stage = Stage::new().await;
    serve(&stage, IMAGE, &headers(&samples::S16.own()), "an image");
    // Long enough that the server compresses it.
    let script = format!(
        "onfetch = (event) => {{ event.request; }};\n{}",
        "// tea\n".repeat(200)
    );
    serve(&stage, SCRIPT, &headers(&sample), script);
    let found = load(&stage, b"an image").await;
    assert_eq!(found[0], "https://api.thirdparty.org/share/");
}

async fn registering_by_hand_comes_to_the_same(sample: String) {
    let stage = Stage::new().await;
    stage.serve(SCRIPT, "text/javascript", "");
    let page = stage.page("https://api.thirdparty.org/").await;
    // The proposal's spelling, which hosts offer for its sake.
    let alias = "Object.defineProperty(Navigator.prototype, 'serviceworker', { configurable: true, get() { return this.serviceWorker; } }); 0";
    evaluate(&page, alias).await;
    let call = sample
        .lines()
        .filter(|line| !line.starts_with("//"))
        .collect::<String>();
    let call = call.trim().trim_end_matches(';');
    let refused = evaluate(&page, &format!("outcome({call})")).await;
    assert_eq!(
        refused[1], "SecurityError",
        "without Service-Worker-Allowed"
    );
    serve(
        &stage,
        SCRIPT,
        &headers(&samples::S17.own()),
        "onfetch = (event) => { event.request; };",
    );
    let scope = evaluate(
        &page,
        &format!("{call}.then((it) => settled(it.installing ?? it.active).then(() => it.scope))"),
    )
    .await;
    assert_eq!(scope, "https://api.thirdparty.org/share/");
    // The headers of an image find it there, and fetch nothing.
    let before = asked_for_script(&stage);
    serve(&stage, IMAGE, &headers(&samples::S16.own()), "an image");
    let found = load(&stage, b"an image").await;
    assert_eq!(found[0], "https://api.thirdparty.org/share/");
    assert_eq!(asked_for_script(&stage), before);
}
