//! Message channels and broadcast channels, as scripts see them.

use serde_json::json;

use super::stand::{evaluate, page, wait};

#[test]
fn messages_arrive_in_order_each_in_a_task_of_its_own() {
    assert_eq!(
        evaluate(
            "const { port1, port2 } = new MessageChannel(), log = [];
            new Promise((done) => {
                port2.onmessage = (event) => {
                    log.push(event.data);
                    Promise.resolve().then(() => log.push('micro ' + event.data));
                    if (event.data === 3) setTimeout(() => done([log, event instanceof MessageEvent, event.isTrusted, event.origin, event.source, event.ports.length,
                        Object.isFrozen(event.ports), event.ports === event.ports, event.target === port2]));
                };
                for (const i of [1, 2, 3]) port1.postMessage(i);
                log.push('sync');
            })"
        ),
        json!([["sync", 1, "micro 1", 2, "micro 2", 3, "micro 3"], true, true, "", null, 0, true, true, true])
    );
}

#[test]
fn a_port_is_disabled_until_it_is_started_and_keeps_its_queue_when_it_moves() {
    assert_eq!(
        evaluate(
            "const a = new MessageChannel(), b = new MessageChannel(), log = [];
            new Promise((done) => {
                b.port2.onmessage = ({ data, ports }) => {
                    log.push(data, ports.length, ports[0] !== a.port2, data === 'move' && ports[0] instanceof MessagePort);
                    ports[0].addEventListener('message', (event) => { log.push(event.data); if (event.data === 'third') done(log); });
                    setTimeout(() => { log.push('start'); ports[0].start(); a.port1.postMessage('third'); }, 5);
                };
                a.port2.addEventListener('message', () => log.push('never'));
                a.port1.postMessage('first');
                b.port1.postMessage('move', [a.port2]);
                a.port1.postMessage('second');
                a.port2.postMessage('lost'); a.port2.start(); a.port2.close();
            })"
        ),
        json!(["move", 1, true, true, "start", "first", "second", "third"])
    );
}

#[test]
fn post_message_refuses_as_the_standard_says() {
    assert_eq!(
        evaluate(
            "const name = (f) => { try { f(); return 'no error'; } catch (error) { return error.name; } };
            const { port1, port2 } = new MessageChannel(), buffer = new ArrayBuffer(8);
            const doomed = new MessageChannel();
            [name(() => port1.postMessage()), name(() => port1.postMessage(0, [port1])), name(() => port1.postMessage(0, { transfer: [port1] })),
                name(() => port1.postMessage(0, 5)), name(() => port1.postMessage(0, [0])), name(() => port1.postMessage(() => 1)), name(() => port1.postMessage(port2)),
                name(() => port1.postMessage(0, null)), name(() => port1.postMessage(0, {})), name(() => new MessagePort()), name(() => MessagePort.prototype.postMessage.call({}, 1)),
                name(() => MessageChannel()),
                name(() => doomed.port1.postMessage(buffer, [doomed.port2, buffer])), buffer.byteLength, name(() => structuredClone(0, { transfer: [doomed.port2] })),
                MessagePort.prototype.postMessage.length, Object.keys(MessagePort.prototype), String(port1), 'onmessage' in port1]"
        ),
        json!([
            "TypeError", "DataCloneError", "DataCloneError", "TypeError", "TypeError", "DataCloneError", "DataCloneError", "no error", "no error", "TypeError", "TypeError",
            "TypeError", "no error", 0, "DataCloneError", 1,
            ["postMessage", "start", "close", "onmessage", "onmessageerror", "onclose"], "[object MessagePort]", true
        ])
    );
}

#[test]
fn close_is_heard_once_at_the_other_end_after_the_last_message() {
    assert_eq!(
        evaluate(
            "const { port1, port2 } = new MessageChannel(), log = [];
            new Promise((done) => {
                port1.onclose = () => log.push('never');
                port2.onmessage = ({ data }) => log.push(data);
                port2.onclose = (event) => { log.push(event.type, event instanceof MessageEvent); setTimeout(() => done(log), 5); };
                port1.postMessage('last'); port1.close(); port1.close(); port1.postMessage('lost');
            })"
        ),
        json!(["last", "close", false])
    );
}

#[test]
fn a_port_that_nobody_holds_hears_that_its_partner_was_closed() {
    assert_eq!(
        evaluate(
            "new Promise((done) => {
                const { port1, port2 } = new MessageChannel();
                port1.start();
                port2.start();
                port2.onclose = () => done('heard');
                port1.close();
            })"
        ),
        json!("heard")
    );
}

#[test]
fn a_collected_port_closes_its_partner_and_one_that_is_expected_to_hear_is_kept() {
    assert_eq!(
        evaluate(
            "const log = [];
            new Promise((done) => {
                globalThis.kept = (() => { const { port1, port2 } = new MessageChannel(); port1.onclose = () => { log.push('closed'); step(); }; return port1; })();
                const only = (() => { const { port1, port2 } = new MessageChannel(); port1.onmessage = () => { log.push('heard'); step(); }; return port2; })();
                (() => { const { port1, port2 } = new MessageChannel(); port1.onmessage = () => { log.push('both gone'); step(); }; port2.postMessage(1); })();
                const step = () => { if (log.length === 3) done(log.sort()); };
                setTimeout(() => only.postMessage(1), 5);
            })"
        ),
        json!(["both gone", "closed", "heard"])
    );
}

#[test]
fn a_million_ports_are_freed() {
    let (page, ..) = page();
    let run = |source: &str| wait(page.run_script(source, "https://fonts.example.com/test.js"));
    run("for (let i = 0; i < 100000; i++) { const { port1, port2 } = new MessageChannel(); port1.onmessage = () => port2; }").unwrap();
    for _ in 0..4 {
        run("for (let i = 0; i < 100000; i++) new MessageChannel().port1.postMessage(i);").unwrap();
    }
}

#[test]
fn a_message_event_is_made_as_its_idl_says() {
    assert_eq!(
        evaluate(
            "const name = (f) => { try { f(); return 'no error'; } catch (error) { return error.name; } };
            const { port1 } = new MessageChannel();
            const plain = new MessageEvent('x'), full = new MessageEvent('x', { data: 1, origin: 'o', lastEventId: 'l', source: port1, ports: [port1], bubbles: true });
            const again = new MessageEvent('x'); again.initMessageEvent('y', true, true, 'd', 'o', 'i', null, [port1]);
            [plain.data, plain.origin, plain.lastEventId, plain.source, plain.ports, full.data, full.origin, full.lastEventId, full.source === port1, full.ports[0] === port1, full.bubbles,
                again.type, again.bubbles, again.cancelable, again.data, again.origin, again.lastEventId, again.ports.length, name(() => full.ports.push(1)),
                name(() => new MessageEvent('x', { ports: [{}] })), name(() => new MessageEvent('x', { ports: 5 })), name(() => new MessageEvent('x', { source: {} })),
                name(() => new MessageEvent('x', { source: self })), name(() => new MessageEvent()), name(() => plain.initMessageEvent()), MessageEvent.length, plain.isTrusted]"
        ),
        json!([
            null, "", "", null, [], 1, "o", "l", true, true, true, "y", true, true, "d", "o", "i", 1, "TypeError",
            "TypeError", "TypeError", "TypeError", "no error", "TypeError", "TypeError", 1, false
        ])
    );
}

#[test]
fn a_broadcast_reaches_the_others_in_the_order_of_their_creation() {
    assert_eq!(
        evaluate(
            "const name = (f) => { try { f(); return 'no error'; } catch (error) { return error.name; } };
            const log = [], channels = ['a', 'a', 'a', 'b'].map((name) => new BroadcastChannel(name)), closed = new BroadcastChannel('a');
            new Promise((done) => {
                channels.forEach((channel, i) => { channel.onmessage = ({ data, origin, source, ports }) => { log.push([i, data, origin, source, ports.length]); if (data === 'end' && i === 2) done(log); }; });
                closed.onmessage = () => log.push('never');
                channels[0].postMessage('one'); channels[2].postMessage('two'); closed.close();
                channels[1].postMessage('end');
                log.push(name(() => closed.postMessage(Symbol())), name(() => channels[0].postMessage(Symbol())), name(() => new BroadcastChannel()), name(() => BroadcastChannel('x')), channels[3].name);
            })"
        ),
        json!([
            "InvalidStateError", "DataCloneError", "TypeError", "TypeError", "b",
            [1, "one", "https://fonts.example.com", null, 0], [2, "one", "https://fonts.example.com", null, 0],
            [0, "two", "https://fonts.example.com", null, 0], [1, "two", "https://fonts.example.com", null, 0],
            [0, "end", "https://fonts.example.com", null, 0], [2, "end", "https://fonts.example.com", null, 0]
        ])
    );
}
