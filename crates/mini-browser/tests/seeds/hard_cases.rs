//! What scripts get that pass the wrong things, or whose other end does not play along.

use std::time::Duration;

use serde_json::{Value, json};
use service_worker::Limits;

use crate::stage::{Stage, evaluate};

const EXAMPLE: &str = "https://example.com";

/// What scripts come to in a worker that is installed.
async fn in_worker(scripts: &[(&str, Value)]) {
    let stage = Stage::new().await;
    let (page, state) = stage.install(EXAMPLE, "", "/").await;
    assert_eq!(state, "activated");
    for (script, expected) in scripts {
        let script = format!("(async () => {{ {script} }})()");
        let run = format!("inWorker('/', {})", Value::from(script.as_str()));
        assert_eq!(evaluate(&page, &run).await, *expected, "{script}");
    }
}

#[tokio::test]
async fn what_is_no_open_port_is_not_stashed() {
    in_worker(&[
        ("stashPort('name', {})", json!("threw TypeError")),
        ("stashPort('name')", json!("threw TypeError")),
        ("self.ports.add('name', null)", json!("threw TypeError")),
        (
            "self.ports.add(Symbol(), new MessageChannel().port1)",
            json!("threw TypeError"),
        ),
        ("self.ports.match()", json!(null)),
        (
            "return self.ports.match().catch((error) => error.name)",
            json!("TypeError"),
        ),
        (
            "return getStashedPorts().catch((error) => error.name)",
            json!("TypeError"),
        ),
        (
            "const { port1 } = new MessageChannel(); port1.close(); self.ports.add('name', port1)",
            json!("threw DataCloneError"),
        ),
        (
            "const { port1 } = new MessageChannel(); port1.close(); stashPort('name', port1)",
            json!("threw DataCloneError"),
        ),
        ("new StashedMessagePort()", json!("threw TypeError")),
        ("new StashedPortCollection()", json!("threw TypeError")),
        ("new ConnectEvent('connect')", json!("threw TypeError")),
        ("return (await self.ports.match('name')).length", json!(0)),
    ])
    .await;
}

#[tokio::test]
async fn a_port_that_is_added_leaves_its_object_and_one_that_is_stashed_becomes_the_view() {
    in_worker(&[
        ("const { port1, port2 } = new MessageChannel();
          self.channel = [port1, port2];
          const view = self.ports.add('added', port1);
          self.view = view;
          let again;
          try { self.ports.add('added', port1); } catch (error) { again = error.name; }
          return [view === port1, view instanceof StashedMessagePort, view.name, again, (await self.ports.match('added'))[0] === view]",
         json!([false, true, "added", "DataCloneError", true])),
        ("const { port1, port2 } = new MessageChannel();
          self.other = port2;
          stashPort('stashed', port1);
          self.stashed = port1;
          return [port1 instanceof StashedMessagePort, port1.name, (await getStashedPorts('stashed'))[0] === port1]",
         json!([true, "stashed", true])),
        // Stashed again: it moves to its new name.
        ("stashPort('moved', self.stashed);
          return [self.stashed.name, (await self.ports.match('stashed')).length, (await self.ports.match('moved')).length]",
         json!(["moved", 0, 1])),
        // A view that is transferred leaves the stash; its partner hears the new owner.
        ("const { port1, port2 } = new MessageChannel();
          const arrived = new Promise((resolve) => { port2.onmessage = (event) => resolve(event.ports[0]); });
          port1.postMessage('take it', [self.view]);
          const taken = await arrived;
          const heard = new Promise((resolve) => { self.channel[1].onmessage = (event) => resolve(event.data); });
          taken.postMessage('from outside');
          let again;
          try { port1.postMessage('', [self.view]); } catch (error) { again = error.name; }
          return [await heard, (await self.ports.match('added')).length, again, taken instanceof StashedMessagePort]",
         json!(["from outside", 0, "DataCloneError", false])),
        // One that is closed is gone, and closing it again is nothing.
        ("const closed = new Promise((resolve) => { self.other.onclose = () => resolve('closed'); self.other.start(); });
          self.stashed.close(); self.stashed.close();
          self.stashed.postMessage('nobody hears it');
          return [await closed, (await self.ports.match('moved')).length]",
         json!(["closed", 0])),
    ])
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_a_connect_rejects_and_throws_nothing() {
    let stage = Stage::new().await;
    let page = stage.page("https://acme.com/").await;
    for (call, name) in [
        ("navigator.connect()", "TypeError"),
        ("navigator.connect('https://')", "TypeError"),
        ("navigator.connect('data:,x')", "TypeError"),
        ("navigator.connect(Symbol())", "TypeError"),
        ("navigator.connect('http://example.com/')", "SecurityError"),
        (
            "navigator.connect('https://example.com/', () => {})",
            "DataCloneError",
        ),
        (
            "navigator.connect('https://example.com/', new MessageChannel().port1)",
            "DataCloneError",
        ),
        (
            "Navigator.prototype.connect.call({}, 'https://example.com/')",
            "TypeError",
        ),
        ("navigator.connect('https://example.com/')", "AbortError"),
    ] {
        assert_eq!(
            evaluate(&page, &format!("outcome({call})")).await[1],
            name,
            "{call}"
        );
    }
}

#[tokio::test]
async fn every_refusal_looks_as_if_nobody_were_there() {
    // A deadline that a handler which never answers runs into.
    let limits = Limits {
        event_timeout: Duration::from_secs(2),
        connect_deadline: Duration::from_secs(1),
        connects_per_minute: 1000,
        ..Limits::default()
    };
    let stage = Stage::with_limits(limits).await;
    let page = stage.page("https://acme.com/").await;
    let connect = "outcome(navigator.connect('https://example.com/x'))";
    let absent = evaluate(&page, connect).await;
    assert_eq!(absent[1], "AbortError");
    let service = "onconnect = (event) => {
        const { port1, port2 } = new MessageChannel();
        port2.close();
        const { how } = event.request ?? {};
        const accept = { false: false, zero: 0, object: {}, closed: port2, never: new Promise(() => {}) };
        if (how === 'rejected') event.acceptConnection(Promise.reject(new Error('secret'))).catch(() => {});
        else if (how === 'throws') throw new Error('secret');
        else if (how === 'closedOwn') { event.port.postMessage('x'); event.port.close(); }
        else if (how in accept) event.acceptConnection(accept[how]).catch(() => {});
        else if (how === 'twice') {
            event.acceptConnection(true);
            event.acceptConnection(true).catch((error) => say('second', error.name));
        }
    };";
    let (_service, state) = stage.install(EXAMPLE, service, "/").await;
    assert_eq!(state, "activated");
    for how in [
        "false",
        "zero",
        "object",
        "closed",
        "rejected",
        "throws",
        "closedOwn",
        "nothing",
        "never",
    ] {
        let connect =
            format!("outcome(navigator.connect('https://example.com/x', {{ how: '{how}' }}))");
        assert_eq!(evaluate(&page, &connect).await, absent, "{how}");
    }
    let twice = "navigator.connect('https://example.com/x', { how: 'twice' }).then((port) => port instanceof MessagePort)";
    assert_eq!(evaluate(&page, twice).await, true);
    stage
        .console
        .wait_for(EXAMPLE, r#"["second","InvalidStateError"]"#, 1)
        .await;
}

#[tokio::test]
async fn a_port_that_is_kept_for_the_end_of_its_worker_is_stashed_then() {
    let stage = Stage::new().await;
    let service = "onconnect = (event) => {
            event.acceptConnection(true).then((port) => {
                self.ports.add('sticky', port, { whenStopped: true });
                port.onmessage = ({ data }) => port.postMessage(['the port', data]);
            });
        };
        self.ports.onmessage = ({ source, data }) => source.postMessage(['the stash', source.name, data]);";
    let (own, state) = stage.install(EXAMPLE, service, "/").await;
    assert_eq!(state, "activated");
    let page = stage.page("https://acme.com/").await;
    evaluate(&page, "var it").await;
    let first = "(async () => { it = await connection('https://example.com/x'); it.port.postMessage(1); return it.next(); })()";
    assert_eq!(evaluate(&page, first).await, json!(["the port", 1]));
    evaluate(&own, "stopped('/')").await;
    let second = "(it.port.postMessage(2), it.next())";
    assert_eq!(
        evaluate(&page, second).await,
        json!(["the stash", "sticky", 2])
    );
}
