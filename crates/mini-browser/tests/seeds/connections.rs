//! Samples that connect: S8, S9, S12, S20, S22, S23.

use serde_json::json;

use crate::samples::both;
use crate::stage::{Stage, evaluate};

const ACME: &str = "https://acme.com/";
const EXAMPLE: &str = "https://example.com";
const REFUSED: &str = "the connection was not accepted";

both! {
    s8: S8, a_page_connects_and_its_hello_arrives;
    s9: S9, a_connection_that_nobody_stashes_ends_with_its_worker;
    s12: S12, a_handler_that_does_nothing_refuses;
    s20: S20, a_request_comes_with_the_connect;
    s22: S22, a_worker_with_a_syntax_error_is_not_registered;
    s23: S23, a_connect_within_a_sentence;
}

fn refused() -> serde_json::Value {
    json!(["rejected", "AbortError", REFUSED])
}

/// That a connect is refused, as one to where nobody is.
async fn is_refused(page: &mini_browser::Page, url: &str) {
    let outcome = evaluate(page, &format!("outcome(navigator.connect('{url}'))")).await;
    let absent = "outcome(navigator.connect('https://fonts.example.com/nobody'))";
    assert_eq!(outcome, evaluate(page, absent).await, "{url}");
    assert_eq!(outcome, refused(), "{url}");
}

async fn a_page_connects_and_its_hello_arrives(sample: String) {
    let stage = Stage::new().await;
    let service = "onconnect = (event) => {
        event.port.onmessage = ({ data }) => { console.log(`heard ${data}`); event.port.postMessage('reply'); };
        event.port.postMessage('early');
        event.acceptConnection(true);
    };";
    let (_service, state) = stage.install(EXAMPLE, service, "/services/").await;
    assert_eq!(state, "activated");
    let page = stage.page(ACME).await;
    // What the sample does with its reply is to set a listener, which starts the port.
    evaluate(&page, "var heard = []; {
        const { set } = Object.getOwnPropertyDescriptor(MessagePort.prototype, 'onmessage');
        Object.defineProperty(MessagePort.prototype, 'onmessage', { configurable: true, set(listener) {
            set.call(this, (event) => { heard.push(event.data); listener.call(this, event); });
        } });
    } 0").await;
    evaluate(&page, &format!("{sample}; 0")).await;
    stage.console.wait_for(EXAMPLE, "heard hello", 1).await;
    let heard = "new Promise((resolve) => { const look = () => heard.length > 1 ? resolve(heard) : setTimeout(look); look(); })";
    assert_eq!(evaluate(&page, heard).await, json!(["early", "reply"]));
}

async fn a_connection_that_nobody_stashes_ends_with_its_worker(sample: String) {
    let stage = Stage::new().await;
    // The listener of the sample is empty: what it would hear is told by this one, which wraps it.
    let told = "{ const { addEventListener } = EventTarget.prototype;
        MessagePort.prototype.addEventListener = function (type, listener) {
            addEventListener.call(this, type, (event) => { console.log(`port heard ${event.data}`); listener(event); });
        }; }\n";
    let (_service, state) = stage
        .install(EXAMPLE, &format!("{told}{sample}"), "/services/")
        .await;
    assert_eq!(state, "activated");
    let page = stage.page(ACME).await;
    let script = "(async () => {
        service = await connection('https://example.com/services/echo');
        service.port.postMessage('hello');
        return [await service.next(), await service.closed];
    })()";
    evaluate(&page, "var service").await;
    let said = evaluate(&page, script).await;
    assert_eq!(said, json!(["You are connected!", "closed"]));
    let lines = stage.console.lines(EXAMPLE);
    assert!(
        !lines.iter().any(|line| line.contains("port heard")),
        "{lines:?}"
    );
    is_refused(&page, "https://example.com/services/other").await;
}

async fn a_handler_that_does_nothing_refuses(sample: String) {
    let stage = Stage::new().await;
    // Two files in one block: the client's is up to the line before the service's.
    let at = sample
        .find("self.addEventListener")
        .or_else(|| sample.find("onconnect"));
    let (client, service) = sample.split_at(at.expect("the service listens"));
    let shown = "addEventListener('connect', (event) => say(event.origin, event.targetUrl, 'port' in event));\n";
    let (_service, state) = stage
        .install(EXAMPLE, &format!("{shown}{service}"), "/services/")
        .await;
    assert_eq!(state, "activated");
    let page = stage.page(ACME).await;
    evaluate(&page, &format!("var failed = new Promise((resolve) => {{ onunhandledrejection = ({{ reason }}) => resolve(reason.name); }}); {client}; 0")).await;
    assert_eq!(evaluate(&page, "failed").await, "AbortError");
    let shown = r#"["https://acme.com","https://example.com/services/foobar",true]"#;
    stage.console.wait_for(EXAMPLE, shown, 1).await;
    is_refused(&page, "https://example.com/services/foobar").await;
    // With any use of e.port, the same handler accepts.
    let stage = Stage::new().await;
    let service =
        format!("{service}\naddEventListener('connect', (e) => e.port.postMessage('linked'));");
    let (_service, state) = stage.install(EXAMPLE, &service, "/services/").await;
    assert_eq!(state, "activated");
    let page = stage.page(ACME).await;
    let said = "connection('https://example.com/services/foobar').then((it) => it.next())";
    assert_eq!(evaluate(&page, said).await, "linked");
}

async fn a_request_comes_with_the_connect(sample: String) {
    let stage = Stage::new().await;
    let page = stage.page(ACME).await;
    evaluate(&page, &format!("{sample}; 0")).await;
    stage
        .console
        .wait_for(ACME, "Failed to connect example.com because:", 1)
        .await;
    stage.console.wait_for(ACME, "AbortError", 1).await;
    let service = "onconnect = (event) => {
        event.port.onmessage = ({ data }) => say(data, event.request.apiKey, event.targetURL);
        event.acceptConnection(event.request.cred === '....');
    };";
    let (_service, state) = stage.install(EXAMPLE, service, "/").await;
    assert_eq!(state, "activated");
    evaluate(&page, &format!("{sample}; 0")).await;
    let said = r#"["Hello!","...","https://example.com/"]"#;
    stage.console.wait_for(EXAMPLE, said, 1).await;
}

async fn a_worker_with_a_syntax_error_is_not_registered(sample: String) {
    let stage = Stage::new().await;
    stage.serve(
        "https://example.com/worker.js",
        "text/javascript",
        sample.as_str(),
    );
    let page = stage.page("https://example.com/").await;
    let outcome = evaluate(
        &page,
        "navigator.serviceWorker.register('/worker.js').catch((error) => error.name)",
    )
    .await;
    assert_eq!(outcome, "TypeError");
    assert_eq!(
        evaluate(
            &page,
            "navigator.serviceWorker.getRegistrations().then((all) => all.length)"
        )
        .await,
        0
    );

    // With the one mistake mended, what it names but does not define, and a shim.
    let mended = sample.replace(
        "new Promise(resolve, reject) {",
        "new Promise(function (resolve, reject) {",
    );
    let mended = mended.replacen("  });\n};", "  }));\n};", 1);
    assert_ne!(mended, sample);
    let query = "const myBuildQuery = ({ pageURL, apiKey, credentials }) => `/check?${[pageURL, apiKey, credentials].join()}`;\n";
    let shim = "self.XMLHttpRequest = class {
        open(method, url) { this.url = url; }
        send() { fetch(this.url).then(async (response) => {
            this.status = response.status;
            this.response = await response.text();
            this.onload();
        }, () => this.onerror()); }
    };\n";
    stage.serve("https://example.com/check", "text/plain", "paid");
    for (surroundings, answer) in [
        (
            format!("{query}{shim}"),
            json!([{"type": "connected", "payload": "paid"}]),
        ),
        // No shim: a ReferenceError within the executor.
        (query.to_owned(), refused()),
    ] {
        let (service, state) = stage
            .install(EXAMPLE, &format!("{surroundings}{mended}"), "/services/")
            .await;
        assert_eq!(state, "activated");
        let page = stage.page(ACME).await;
        let script = "connection('https://example.com/services/x', { apiKey: 'k', cred: 'c' })
            .then(async (it) => [await it.next()], (error) => ['rejected', error.name, error.message])";
        assert_eq!(evaluate(&page, script).await, answer);
        let removed =
            "navigator.serviceWorker.getRegistration('/services/').then((it) => it.unregister())";
        assert_eq!(evaluate(&service, removed).await, true);
        service.close().await;
    }
    let checks = stage
        .log()
        .into_iter()
        .filter(|entry| entry.path_and_query.starts_with("/check"));
    let checks: Vec<_> = checks.map(|entry| entry.path_and_query).collect();
    assert_eq!(checks, ["/check?https://acme.com/,k,c"]);
    // Another status: refused.
    stage.serve_with(
        "https://example.com/check",
        http::StatusCode::FORBIDDEN,
        &[],
        "no",
    );
    let (_service, state) = stage
        .install(EXAMPLE, &format!("{query}{shim}{mended}"), "/services/")
        .await;
    assert_eq!(state, "activated");
    let page = stage.page(ACME).await;
    let script =
        "outcome(navigator.connect('https://example.com/services/x', { apiKey: 'k', cred: 'c' }))";
    assert_eq!(evaluate(&page, script).await, refused());
}

async fn a_connect_within_a_sentence(sample: String) {
    let from = sample.find("navigator.connect(").expect("it connects");
    let call = &sample[from..];
    let call = &call[..=call.find(')').expect("it is a call")];
    let stage = Stage::new().await;
    let page = stage.page(ACME).await;
    assert_eq!(
        evaluate(&page, &format!("outcome({call})")).await,
        refused()
    );
    let service = "onconnect = (event) => { event.acceptConnection(true).then((port) => port.postMessage('v1')); };";
    let (_service, state) = stage.install(EXAMPLE, service, "/services/").await;
    assert_eq!(state, "activated");
    let script = format!(
        "{call}.then((port) => new Promise((resolve) => {{ port.onmessage = ({{ data }}) => resolve(data); }}))"
    );
    assert_eq!(evaluate(&page, &script).await, "v1");
}
