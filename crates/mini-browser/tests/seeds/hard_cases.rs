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
async fn the_policies_of_the_caller_say_where_it_may_connect_and_what_the_service_sees_of_it() {
    let stage = Stage::new().await;
    let service = "onconnect = (event) => event.acceptConnection(true).then((port) =>
        port.postMessage([event.origin, event.client.url]));";
    let (_service, state) = stage.install(EXAMPLE, service, "/").await;
    assert_eq!(state, "activated");
    let html = "<!DOCTYPE html>";
    let pages = [
        ("default", ("x-nothing", "x"), json!("https://acme.com/")),
        ("none", ("referrer-policy", "no-referrer"), json!("")),
        (
            "all",
            ("referrer-policy", "unsafe-url"),
            json!("https://acme.com/all?q"),
        ),
    ];
    for (name, header, seen) in pages {
        let url = format!("https://acme.com/{name}");
        let headers = [("content-type", "text/html"), header];
        stage.serve_with(&url, http::StatusCode::OK, &headers, html);
        let page = stage.page(&format!("{url}?q#f")).await;
        let said = "connection('https://example.com/x').then((it) => it.next())";
        let said = evaluate(&page, said).await;
        assert_eq!(said, json!(["https://acme.com", seen]), "{name}");
    }
    for (policy, allowed) in [
        ("connect-src 'self'", false),
        ("default-src 'none'", false),
        ("connect-src https://example.com; default-src 'none'", true),
        ("img-src 'none'", true),
    ] {
        let headers = [
            ("content-type", "text/html"),
            ("content-security-policy", policy),
        ];
        stage.serve_with("https://acme.com/csp", http::StatusCode::OK, &headers, html);
        let page = stage.page("https://acme.com/csp").await;
        let call = "navigator.connect('https://example.com/x').then(() => 'connected', (error) => error.name)";
        let expected = if allowed {
            "connected"
        } else {
            "SecurityError"
        };
        assert_eq!(evaluate(&page, call).await, expected, "{policy}");
    }
}

#[tokio::test]
async fn a_view_is_inert_and_its_messages_come_once_to_each_style_of_listener() {
    let stage = Stage::new().await;
    let service = "
        onconnect = (event) => event.acceptConnection(true).then((port) => {
            port.onmessage = () => say('own', 'before');
            stashPort('line', port);
            port.onmessage = () => say('own', 'after');
            port.addEventListener('message', () => say('own', 'listener'));
            port.start();
            self.line = port;
        });
        self.ports.onmessage = (event) => {
            say('ports', event.data, event.source === self.line, event.origin, event.lastEventId, event.bubbles,
                event instanceof StashedMessageEvent, event.redelivered, event.ports.length);
            if (event.data === 'stop') event.stopPropagation();
        };
        self.ports.onmessageerror = ({ key, data }) => say('error', key, data);
        onmessageerror = ({ key }) => say('error at the global', key);
        self.ports.onclose = ({ key, source }) => say('close', key, source === self.line);";
    let (_service, state) = stage.install(EXAMPLE, service, "/").await;
    assert_eq!(state, "activated");
    let page = stage.page("https://acme.com/").await;
    evaluate(&page, "var line").await;
    let script = "(async () => {
        line = await connection('https://example.com/x');
        line.port.postMessage('go');
        line.port.postMessage('stop');
        line.port.postMessage('last');
        line.port.close();
    })()";
    evaluate(&page, script).await;
    stage
        .console
        .wait_for(EXAMPLE, r#"["close","line",true]"#, 1)
        .await;
    let lines = stage.console.lines(EXAMPLE);
    let said: Vec<_> = lines
        .iter()
        .filter(|line| *line != r#"["started"]"#)
        .collect();
    let at_ports = |data: &str| format!(r#"["ports","{data}",true,"","",true,true,false,0]"#);
    let at_global = |data: &str| format!(r#"["message","line","{data}",true]"#);
    let expected = [
        at_ports("go"),
        at_global("go"),
        at_ports("stop"),
        at_ports("last"),
        at_global("last"),
        r#"["close","line",true]"#.to_owned(),
    ];
    assert_eq!(said, expected.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_view_that_is_closed_hears_nothing_more_and_a_stale_one_is_a_closed_port() {
    let stage = Stage::new().await;
    let service = "
        let first;
        self.ports.onmessage = ({ source, data }) => {
            say('heard', source.name, data);
            if (data !== 'one') return;
            // The other line's message is on its way already.
            self.ports.match(source.name === 'a' ? 'b' : 'a').then(([other]) => other?.close());
        };
        onconnect = (event) => event.acceptConnection(true).then((port) =>
            stashPort(event.targetURL.endsWith('a') ? 'a' : 'b', port));";
    let (own, state) = stage.install(EXAMPLE, service, "/").await;
    assert_eq!(state, "activated");
    let page = stage.page("https://acme.com/").await;
    evaluate(&page, "var a, b").await;
    let script = "(async () => {
        a = await connection('https://example.com/a');
        b = await connection('https://example.com/b');
        a.port.postMessage('one'); b.port.postMessage('one');
        return Promise.race([a.closed, b.closed]);
    })()";
    assert_eq!(evaluate(&page, script).await, "closed");
    let left = "inWorker('/', `Promise.all(['a', 'b'].map((name) => self.ports.match(name))).then((all) => all.flat().length)`)";
    assert_eq!(evaluate(&own, left).await, 1);
    let heard = stage.console.lines(EXAMPLE);
    let heard = heard.iter().filter(|line| line.contains("heard")).count();
    assert!((1..=2).contains(&heard), "{heard}");
    let script = "(async () => {
        const { port1, port2 } = new MessageChannel(), { port1: port3, port2: port4 } = new MessageChannel();
        self.kept = [port2, port4];
        self.views = [self.ports.add('x', port1), self.ports.add('y', port3)];
    })()";
    let run = |script: &str| format!("inWorker('/', {})", Value::from(script));
    evaluate(&own, &run(script)).await;
    let look = "(async () => {
        const [x, y] = self.views;
        const [again] = await self.ports.match('x');
        again.close();
        const outcome = (what) => { try { what(); return 'done'; } catch (error) { return error.name; } };
        x.postMessage('nobody hears it');
        return [again === x, x.name, outcome(() => stashPort('z', x)), outcome(() => self.ports.add('z', x)),
            outcome(() => new MessageChannel().port1.postMessage('', [x])), y.name];
    })()";
    let found = evaluate(&own, &run(look)).await;
    let gone = "DataCloneError";
    assert_eq!(found, json!([true, "x", gone, gone, gone, "y"]));
}

#[tokio::test]
async fn accepting_with_another_port_closes_what_nobody_gets() {
    let stage = Stage::new().await;
    let service = "onconnect = (event) => {
            const { port1, port2 } = new MessageChannel();
            const own = event.port;
            own.onclose = () => say('closed', 'own');
            event.acceptConnection(event.request === 'own' ? own : port2);
            port1.postMessage('linked');
        };";
    let (_service, state) = stage.install(EXAMPLE, service, "/").await;
    assert_eq!(state, "activated");
    let page = stage.page("https://acme.com/").await;
    let said = "connection('https://example.com/x').then((it) => it.next())";
    assert_eq!(evaluate(&page, said).await, "linked");
    stage
        .console
        .wait_for(EXAMPLE, r#"["closed","own"]"#, 1)
        .await;
    // The service gives its own end away: its partner is nobody's.
    let said = "connection('https://example.com/x', 'own').then((it) => it.closed)";
    assert_eq!(evaluate(&page, said).await, "closed");
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
