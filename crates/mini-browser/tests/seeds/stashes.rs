//! Samples that stash: S3, S4, S10, S11, S13.

use serde_json::json;
use service_worker::Limits;

use crate::samples::{self, both};
use crate::stage::{Stage, evaluate};

const ACME: &str = "https://acme.com";
const EXAMPLE: &str = "https://example.com";

both! {
    s3: S3, what_a_worker_stashes_speaks_to_its_global;
    s4: S4, a_service_registers_its_clients_and_pushes_to_them;
    s10: S10, a_stashed_echo_outlives_its_worker;
    s11: S11, an_install_waits_for_its_connection;
    s13: S13, what_is_added_speaks_to_the_collection;
}

/// A service that answers what it gets, and stashes.
const ECHO: &str = "onconnect = (event) => {
        event.waitUntil(event.acceptConnection(true).then((port) => self.ports.add('client', port)));
    };
    self.ports.onmessage = ({ source, data }) => {
        say('service heard', data);
        source.postMessage(['answer', data]);
    };";

async fn what_a_worker_stashes_speaks_to_its_global(sample: String) {
    let stage = Stage::new().await;
    let (service, state) = stage.install(EXAMPLE, ECHO, "/services/").await;
    assert_eq!(state, "activated");
    let (client, state) = stage.install(ACME, &sample, "/app/").await;
    assert_eq!(state, "activated");
    stage
        .console
        .wait_for(EXAMPLE, r#"["service heard",{"register":"apikey"}]"#, 1)
        .await;
    // The answer comes to the global, from the collection.
    let answer = r#"["message","pushService",["answer",{"register":"apikey"}],true]"#;
    stage.console.wait_for(ACME, answer, 1).await;
    // Each start adds an entry; the old one is served by whatever runs.
    evaluate(&client, "stopped('/app/')").await;
    let started = stage
        .console
        .lines(ACME)
        .iter()
        .filter(|line| line.contains("started"))
        .count();
    let speak = "inWorker('/services/', `self.ports.match('client').then((all) => { all[0].postMessage('later'); return all.length; })`)";
    let first = evaluate(&service, speak).await;
    stage
        .console
        .wait_for(ACME, r#"["message","pushService","later",true]"#, 1)
        .await;
    let now = stage
        .console
        .lines(ACME)
        .iter()
        .filter(|line| line.contains("started"))
        .count();
    assert!(now > started, "the worker was started for the message");
    stage.console.wait_for(ACME, answer, 2).await;
    let entries = "inWorker('/app/', `getStashedPorts('pushService').then((all) => all.length)`)";
    let entries = evaluate(&client, entries).await;
    assert!(entries.as_u64() > first.as_u64(), "{entries} after {first}");

    // Against the service of the same proposal, which accepts another URL: refused, and evaluated all
    // the same. (A refusal may take longer than a worker of the stage lives.)
    let stage = Stage::with_limits(Limits::default()).await;
    let (_service, state) = stage.install(EXAMPLE, &samples::S4.own(), "/").await;
    assert_eq!(state, "activated");
    let (client, state) = stage.install(ACME, &sample, "/app/").await;
    assert_eq!(state, "activated");
    stage.console.wait_for(ACME, "AbortError", 1).await;
    let entries = "inWorker('/app/', `getStashedPorts('pushService').then((all) => all.length)`)";
    assert_eq!(evaluate(&client, entries).await, 0);
}

async fn a_service_registers_its_clients_and_pushes_to_them(sample: String) {
    let stage = Stage::new().await;
    let (service, state) = stage.install(EXAMPLE, &sample, "/").await;
    assert_eq!(state, "activated");
    let page = stage.page("https://acme.com/").await;
    let connect = "connection('https://example.com/service/push')";
    let script = format!(
        "(async () => {{
        one = await {connect};
        one.port.postMessage({{ register: 'apikey' }});
        const answer = await one.next();
        two = await {connect};
        return answer;
    }})()"
    );
    evaluate(&page, "var one, two").await;
    assert_eq!(evaluate(&page, &script).await, "registered");
    // The other URL that the proposal writes: refused, as where nobody is.
    let other = evaluate(
        &page,
        "outcome(navigator.connect('https://example.com/services/push'))",
    )
    .await;
    let absent = evaluate(
        &page,
        "outcome(navigator.connect('https://fonts.example.com/nobody'))",
    )
    .await;
    assert_eq!(other, absent);
    assert_eq!(other[1], "AbortError");
    evaluate(&service, "stopped('/')").await;
    let scope = "https://example.com/".parse().expect("it is a URL");
    assert!(stage.browser.push(&scope, None));
    let pushed = evaluate(&page, "Promise.all([one.next(), two.next()])").await;
    assert_eq!(pushed, json!(["pushmessage", "pushmessage"]));
    // Killed between, and still there.
    evaluate(&service, "stopped('/')").await;
    let again = evaluate(&page, "(two.port.postMessage('again'), two.next())").await;
    assert_eq!(again, "registered");
}

async fn a_stashed_echo_outlives_its_worker(sample: String) {
    let stage = Stage::new().await;
    // What the handler waits for is told.
    let told = "{ const { waitUntil } = ExtendableEvent.prototype;
        ExtendableEvent.prototype.waitUntil = function (promise) {
            if (this.type === 'push') promise.then(() => say('pushed', 'fulfilled'), () => say('pushed', 'rejected'));
            waitUntil.call(this, promise);
        }; }\n";
    let (service, state) = stage
        .install(EXAMPLE, &format!("{told}{sample}"), "/services/")
        .await;
    assert_eq!(state, "activated");
    let page = stage.page("https://acme.com/").await;
    let script = "(async () => {
        echo = await connection('https://example.com/services/echo');
        echo.port.postMessage('hello');
        return [await echo.next(), await echo.next()];
    })()";
    evaluate(&page, "var echo").await;
    assert_eq!(
        evaluate(&page, script).await,
        json!(["You are connected!", "hello"])
    );
    evaluate(&service, "stopped('/services/')").await;
    let after = evaluate(
        &page,
        "(echo.port.postMessage('are you there?'), echo.next())",
    )
    .await;
    assert_eq!(after, "are you there?");
    // Nobody is stashed as `pushClient`: the push is settled, and nothing comes before the echo.
    let scope = "https://example.com/services/"
        .parse()
        .expect("it is a URL");
    assert!(stage.browser.push(&scope, None));
    stage
        .console
        .wait_for(EXAMPLE, r#"["pushed","fulfilled"]"#, 1)
        .await;
    let next = evaluate(&page, "(echo.port.postMessage('first'), echo.next())").await;
    assert_eq!(next, "first");
    let other = evaluate(
        &page,
        "outcome(navigator.connect('https://example.com/services/other'))",
    )
    .await;
    assert_eq!(other[1], "AbortError");
}

async fn an_install_waits_for_its_connection(sample: String) {
    let stage = Stage::new().await;
    // No service: the install fails.
    let (_page, state) = stage.install(ACME, &sample, "/").await;
    assert_eq!(state, "redundant");
    let (service, state) = stage.install(EXAMPLE, ECHO, "/services/").await;
    assert_eq!(state, "activated");
    let (page, state) = stage.install(ACME, &sample, "/").await;
    assert_eq!(state, "activated");
    let entries = "inWorker('/', `self.ports.match('analytics').then((all) => all.length)`)";
    assert_eq!(evaluate(&page, entries).await, 1);
    // Fetches are told, and otherwise untouched.
    stage.serve("https://acme.com/file", "text/plain", "from the network");
    let controlled = stage.page("https://acme.com/").await;
    let text = "fetch('/file').then((it) => it.text())";
    assert_eq!(evaluate(&controlled, text).await, "from the network");
    stage
        .console
        .wait_for(EXAMPLE, r#"["service heard","log fetch"]"#, 1)
        .await;
    // Each successful re-install adds one; the oldest is told.
    stage.serve_worker(
        "https://acme.com/worker.js",
        &format!("{sample}\n// Another version."),
    );
    let updated = "navigator.serviceWorker.getRegistration('/').then(async (it) => {
        await it.update();
        return settled(it.installing ?? it.waiting);
    })";
    controlled.close().await;
    assert_eq!(evaluate(&page, updated).await, "activated");
    assert_eq!(evaluate(&page, entries).await, 2);
    let controlled = stage.page("https://acme.com/").await;
    assert_eq!(evaluate(&controlled, text).await, "from the network");
    stage
        .console
        .wait_for(EXAMPLE, r#"["service heard","log fetch"]"#, 2)
        .await;
    // None is open: a TypeError that nobody handles, and the fetch goes on.
    let close = "inWorker('/services/', `self.ports.match('client').then((all) => all.forEach((port) => port.close()))`)";
    evaluate(&service, close).await;
    let none = "new Promise((resolve) => { const look = async () => (await inWorker('/', `self.ports.match('analytics').then((all) => all.length)`)) === 0 ? resolve() : look(); look(); })";
    evaluate(&page, &format!("{none}.then(() => 0)")).await;
    assert_eq!(evaluate(&controlled, text).await, "from the network");
    stage
        .console
        .wait_for(ACME, r#"["unhandled","TypeError"]"#, 1)
        .await;
}

async fn what_is_added_speaks_to_the_collection(sample: String) {
    let stage = Stage::new().await;
    let (service, state) = stage.install(EXAMPLE, ECHO, "/services/").await;
    assert_eq!(state, "activated");
    let told = "self.ports.addEventListener('message', (event) => say('ports', event.data, event.source.name));\n";
    let (client, state) = stage
        .install(ACME, &format!("{told}{sample}"), "/app/")
        .await;
    assert_eq!(state, "activated");
    stage.console.wait_for(ACME, "started", 1).await;
    let entries = "new Promise((resolve) => { const look = async () => {
        const found = await inWorker('/services/', `self.ports.match('client').then((all) => { all.forEach((port) => port.postMessage('news')); return all.length; })`);
        if (found > 0) resolve(found); else look();
    }; look(); })";
    evaluate(&service, entries).await;
    stage
        .console
        .wait_for(ACME, r#"["ports","news","foobar"]"#, 1)
        .await;
    evaluate(&client, "stopped('/app/')").await;
    let before = stage
        .console
        .lines(ACME)
        .iter()
        .filter(|line| line.contains(r#"["ports","#))
        .count();
    evaluate(&service, entries).await;
    stage
        .console
        .wait_for(ACME, r#"["ports","news","foobar"]"#, before + 1)
        .await;
}
