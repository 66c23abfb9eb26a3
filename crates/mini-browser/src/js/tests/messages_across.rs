//! Messages between realms of one agent, and between agents.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rquickjs::Function;
use serde_json::json;
use service_worker::message_port::MessageChannel;
use service_worker::types::{ClientId, Environment, PartitionPolicy};
use url::Url;

use super::stand::{Facade, Lines};
use super::windows::{browser, run};
use crate::js::{
    Agent, AgentOptions, Broadcasts, Realm, RealmId, RealmKind, RealmOptions, TaskSource,
};

const CHILD: &str = "https://fonts.example.com/child.html";
const EMPTY: &str = "<script>opener.postMessage('here', '*');</script>";

const OPEN: &str = "var child; new Promise((done) => { onmessage = () => { onmessage = null; done(); }; child = open('child.html'); })";

#[test]
fn objects_of_another_window_are_cloned_into_the_window_that_asks() {
    let (page, ..) = browser(&[(CHILD, EMPTY)]);
    run(&page, OPEN);
    assert_eq!(
        run(
            &page,
            "const name = (f) => { try { f(); return 'no error'; } catch (error) { return [error.name, error instanceof DOMException]; } };
            const theirs = [new child.Date(5), new child.Map([[1, 2]]), child.eval('({ a: [1] })'), new child.RangeError('m'), new child.DOMException('m', 'AbortError'), new child.Uint8Array(2)];
            const kinds = [Date, Map, Object, RangeError, DOMException, Uint8Array];
            [theirs.map((value, i) => structuredClone(value) instanceof kinds[i]), theirs.every((value) => child.structuredClone(value).constructor !== value),
                child.structuredClone.call(window, [1]) instanceof Array, child.structuredClone([1]) instanceof child.Array,
                structuredClone(new child.DOMException('m', 'AbortError')).name,
                name(() => structuredClone(new child.EventTarget())), name(() => structuredClone(child)), name(() => structuredClone(new child.MessageChannel().port1)),
                name(() => structuredClone.call({}, 1)), structuredClone.call(child, {}) instanceof child.Object]"
        ),
        json!([
            vec![true; 6], true, true, true, "AbortError",
            ["DataCloneError", true], ["DataCloneError", true], ["DataCloneError", true], ["TypeError", false], true
        ])
    );
}

#[test]
fn a_port_of_another_window_works_here_and_closes_with_its_window() {
    let (page, ..) = browser(&[(CHILD, EMPTY)]);
    run(&page, OPEN);
    assert_eq!(
        run(
            &page,
            "const log = [];
            new Promise((done) => {
                const theirs = new child.MessageChannel();
                const mine = structuredClone(theirs.port2, { transfer: [theirs.port2] });
                mine.onmessage = ({ data }) => { log.push(data, data instanceof Array, mine instanceof MessagePort); child.close(); };
                mine.onclose = () => { log.push('closed'); done(log); };
                theirs.port1.postMessage(new child.Array(1, 2));
            })"
        ),
        json!([[1, 2], true, true, "closed"])
    );
}

#[test]
fn a_window_message_carries_ports_and_buffers() {
    let (page, ..) = browser(&[(
        CHILD,
        "<script>onmessage = ({ data, ports }) => { ports[0].postMessage([data.buffer.byteLength, data.port === ports[0], ports.length], [data.buffer]); }; opener.postMessage('here', '*');</script>",
    )]);
    run(&page, OPEN);
    assert_eq!(
        run(
            &page,
            "new Promise((done) => {
                const { port1, port2 } = new MessageChannel(), buffer = new ArrayBuffer(7);
                port1.onmessage = ({ data }) => done([data, buffer.byteLength]);
                child.postMessage({ buffer, port: port2 }, '*', [port2, buffer]);
            })"
        ),
        json!([[7, true, 1], 0])
    );
}

/// An agent of an origin, in a browser with these broadcasts.
fn agent(origin: &str, broadcasts: &Arc<Broadcasts>) -> Agent {
    let options = RealmOptions::new(
        RealmKind::Window,
        Environment::top_level(ClientId(9), Url::parse(origin).unwrap()),
        Arc::new(Lines::default()),
        Arc::new(Facade::default()),
    )
    .with_service(Arc::clone(broadcasts))
    .with_service(Arc::new(PartitionPolicy::ByTopLevelSite));
    Agent::start(AgentOptions::new("test"), options, Box::new(|_| ()), |_| ()).unwrap()
}

/// Runs a script in which `tell(text)` sends.
fn tell(agent: &Agent, source: &'static str) -> Receiver<String> {
    let (sender, receiver) = channel();
    agent.post(RealmId::MAIN, TaskSource::Dom, move |realm: &Realm| {
        realm.with(|ctx| {
            let tell = move |text: String| sender.send(text).unwrap_or_default();
            let tell = Function::new(ctx.clone(), tell).unwrap();
            ctx.globals().set("tell", tell).unwrap();
            ctx.eval::<(), _>(source).unwrap();
        });
    });
    receiver
}

fn hear(receiver: &Receiver<String>) -> String {
    receiver.recv_timeout(Duration::from_secs(20)).unwrap()
}

#[test]
fn a_port_joins_two_agents_until_one_of_them_ends() {
    let broadcasts = Arc::default();
    let agents = [(); 2].map(|()| agent("https://fonts.example.com/", &broadcasts));
    let (first, second) = MessageChannel::new().into();
    for (agent, port) in agents.iter().zip([first, second]) {
        agent.post(RealmId::MAIN, TaskSource::Dom, |realm: &Realm| {
            realm.give_port("port", port).unwrap();
        });
    }
    let [first, second] = agents;
    let heard = tell(
        &first,
        "port.onmessage = ({ data, ports }) => { tell(String(data)); if (ports.length) { ports[0].onmessage = ({ data }) => tell('moved ' + data); ports[0].postMessage(1); } };
        port.onclose = () => tell('closed');",
    );
    let answered = tell(
        &second,
        "const channel = new MessageChannel();
        channel.port1.onmessage = ({ data }) => { channel.port1.postMessage(data + 1); tell('answered'); };
        for (let i = 0; i < 1000; i++) port.postMessage(i);
        port.postMessage('port', [channel.port2]);",
    );
    for i in 0..1000 {
        assert_eq!(hear(&heard), i.to_string());
    }
    assert_eq!(hear(&heard), "port");
    assert_eq!(hear(&answered), "answered");
    assert_eq!(hear(&heard), "moved 2");
    drop(second);
    assert_eq!(hear(&heard), "closed");
}

#[test]
fn a_broadcast_reaches_agents_of_the_same_origin_only() {
    let broadcasts = Arc::default();
    let listen = "const channel = new BroadcastChannel('c'); channel.onmessage = ({ data, origin }) => tell(origin + ' ' + JSON.stringify(data)); tell('ready');";
    let same = agent("https://fonts.example.com/a", &broadcasts);
    let other = agent("https://other.example/", &broadcasts);
    let opaque = agent("data:text/html,x", &broadcasts);
    let elsewhere = agent("https://fonts.example.com/", &Arc::default());
    let heard = [&same, &other, &opaque, &elsewhere].map(|agent| tell(agent, listen));
    for heard in &heard {
        assert_eq!(hear(heard), "ready");
    }
    let sender = agent("https://fonts.example.com/b", &broadcasts);
    let own = tell(
        &sender,
        "const channel = new BroadcastChannel('c'); channel.onmessage = () => tell('own'); channel.postMessage({ a: [1] }); setTimeout(() => tell('done'));",
    );
    assert_eq!(hear(&own), "done");
    assert_eq!(hear(&heard[0]), "https://fonts.example.com {\"a\":[1]}");
    // A later message to each of the others is the first that they hear.
    for (agent, heard, origin) in [
        (&other, &heard[1], "https://other.example"),
        (&opaque, &heard[2], "null"),
    ] {
        agent.post(RealmId::MAIN, TaskSource::Dom, |realm: &Realm| {
            let post = "new BroadcastChannel('c').postMessage('later')";
            realm.with(|ctx| ctx.eval::<(), _>(post).unwrap());
        });
        assert_eq!(hear(heard), format!("{origin} \"later\""));
    }
    drop(elsewhere);
    assert!(heard[3].recv_timeout(Duration::from_secs(20)).is_err());
}
