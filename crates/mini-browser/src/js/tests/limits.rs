//! Workers that do not end, and workers that want too much.

use std::sync::Arc;
use std::time::Duration;

use service_worker::types::fetch::RequestHead;
use service_worker::types::{ClientId, Environment, Origin, WorkerType};
use service_worker::{Body, EventDetail, EventOutcome, FetchAnswer};
use url::Url;

use super::stand::{Facade, Lines, PAGE, Stand, answer, evaluate, is_over, page, page_with, wait};
use crate::js::{
    Agent, AgentOptions, Death, PageOptions, RealmId, RealmKind, RealmOptions, TaskSource,
};

#[test]
fn a_script_that_loops_while_it_is_evaluated_is_stopped() {
    let stand = Stand::start("try { for (;;) {} } finally { console.log('finally'); }");
    assert_eq!(stand.stop(), "idle");
    assert!(stand.lines.all().is_empty());
    stand.says_nothing_more();
}

#[test]
fn a_listener_that_loops_is_stopped_and_its_fetch_unanswered() {
    let mut stand = Stand::started("onfetch = () => { console.log('in'); for (;;) {} };");
    let (answered, over) = stand.fetch("https://fonts.example.com/a");
    while stand.lines.all().is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(stand.stop(), "idle");
    assert!(answer(answered).is_none());
    assert!(is_over(&over));
    stand.says_nothing_more();
}

#[test]
fn an_endless_chain_of_microtasks_is_stopped() {
    let mut stand = Stand::started(
        "oninstall = () => { (async () => { console.log('in'); for (;;) await null; })(); };",
    );
    stand.dispatch(EventDetail::Install);
    while stand.lines.all().is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(stand.stop(), "idle");
    stand.says_nothing_more();
}

#[test]
fn a_regular_expression_that_does_not_end_is_stopped() {
    let stand = Stand::start("/^(a+)+$/.test('a'.repeat(60) + 'b');");
    assert_eq!(stand.stop(), "idle");
    stand.says_nothing_more();
}

#[test]
fn an_idle_worker_is_stopped() {
    let stand = Stand::started("setInterval(() => {}, 1000);");
    assert_eq!(stand.stop(), "idle");
    stand.says_nothing_more();
}

#[test]
fn a_worker_that_takes_too_much_memory_dies_and_others_do_not_notice() {
    let mut other = Stand::started("");
    for hog in [
        "const kept = []; for (;;) kept.push(new Array(1000).fill({}));",
        "const kept = []; for (;;) { try { kept.push(new Uint8Array(1 << 20)); } catch {} }",
        "const kept = []; for (;;) kept.push('x'.repeat(1 << 16) + kept.length);",
        "const f = () => { try { f(new Array(100000)); } catch { f(); } }; const kept = []; for (;;) kept.push([...Array(5000).keys()]);",
        "new Uint8Array(2 ** 30); for (;;) {}",
        "'x'.repeat(1 << 28).split(''); for (;;) {}",
    ] {
        let stand = Stand::start_as(hog, WorkerType::Classic, |options| {
            options.memory_limit = 16 << 20;
        });
        assert_eq!(
            stand.death(),
            "out of memory: the script holds more than 16 MiB",
            "{hog}"
        );
        stand.says_nothing_more();
    }
    assert_eq!(other.install(), EventOutcome::Fulfilled);
}

#[test]
fn a_worker_that_answers_thousands_of_fetches_holds_no_more_than_one_that_answers_few() {
    let source = "onfetch = (event) => event.respondWith(new Response('hello'));";
    let mut stand = Stand::start_as(source, WorkerType::Classic, |options| {
        options.memory_limit = 10 << 20;
    });
    for _ in 0..2_000 {
        let head = RequestHead::get(Url::parse(PAGE).unwrap(), Origin::opaque(1));
        let aborted = Box::pin(std::future::ready(false));
        let (answer, over) = stand.fetch_with(head, Body::empty(), None, aborted);
        let Ok(FetchAnswer::Response(response)) = wait(answer) else {
            panic!("no response: {:?}", stand.lines.all());
        };
        assert_eq!(wait(response.body.collect(5)).unwrap(), "hello");
        over.recv().unwrap_err();
    }
}

#[test]
fn recursion_without_end_is_an_error_that_a_script_can_catch() {
    let stand = Stand::started(
        "const f = () => f() + 1;
        try { f(); } catch (e) { console.log(e.name); }
        try { JSON.parse('['.repeat(1e5)); } catch (e) { console.log(e.name); }
        let deep = []; for (let i = 0; i < 1e5; i++) deep = [deep];
        try { JSON.stringify(deep); } catch (e) { console.log(e.name); }",
    );
    let lines = stand.lines.all();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0], "info: RangeError");
}

#[test]
fn a_worker_that_cannot_be_interrupted_is_given_up_with_its_fetches() {
    // The engine does not ask for interrupts in the arithmetic of big integers.
    let source = "onfetch = () => { console.log('in'); ((1n << 900000n) - 1n).toString(); };";
    let mut stand = Stand::start_as(source, WorkerType::Classic, |options| {
        options.grace = std::time::Duration::from_millis(1);
    });
    stand.next();
    let (answered, over) = stand.fetch("https://fonts.example.com/a");
    while stand.lines.all().is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(
        stand.stop(),
        "idle; its thread could not be stopped and was abandoned"
    );
    assert!(answer(answered).is_none());
    assert!(is_over(&over));
    stand.says_nothing_more();
}

#[test]
fn workers_end_with_their_host() {
    let stand = Stand::start("for (;;) {}");
    stand.says_only_that_it_died("closed");
}

#[test]
fn a_command_for_a_worker_that_is_gone_is_ignored() {
    let mut stand = Stand::start("throw 1;");
    stand.start_failure();
    stand.dispatch(EventDetail::Install);
    // It comes back if the worker's end is known by now, and goes with the worker if not.
    stand.says_at_most_that_nothing_was_delivered();
}

#[test]
fn a_worker_can_run_out_of_memory_anywhere() {
    // Each limit is met at another place: while the realm is made, in a parser, in a native function.
    let source = "const kept = []; for (;;) {
        kept.push(JSON.parse(JSON.stringify(Array.from({ length: 30000 }, (_, i) => ({ [`k${i % 9}`]: [i, `${i}`.repeat(40)] })))));
        kept.push(new Map(kept.map((x) => [x, new URL('https://a.test/' + 'x'.repeat(1 << 18))])), [...'y'.repeat(1 << 18)]);
        kept.push((async () => { await null; kept.push(await new Promise((done) => done('z'.repeat(1 << 19)))); })());
        kept.push(/(.)(.)/g[Symbol.matchAll]('ab'.repeat(1 << 16)), new Uint8Array(1 << 21), new Function('return ' + '1+'.repeat(1 << 14) + '1'));
        kept.push('b'.repeat(1 << 20).split(''), Object.fromEntries([...Array(50000).keys()].map((k) => [k + 'k', k])));
    }";
    for limit in (0..96).map(|step| (step * 97) << 10) {
        let stand = Stand::start_as(source, WorkerType::Classic, |options| {
            options.memory_limit = limit;
        });
        let death = stand.death();
        assert!(death.starts_with("out of memory"), "{limit}: {death}");
        stand.says_nothing_more();
    }
}

#[test]
fn a_bug_in_a_task_ends_its_agent_and_no_other() {
    let (sender, ended) = std::sync::mpsc::channel();
    let environment = Environment::top_level(ClientId(4), Url::parse(PAGE).unwrap());
    let realm = RealmOptions::new(
        RealmKind::Window,
        environment,
        Arc::new(Lines::default()),
        Arc::new(Facade::default()),
    );
    let agent = Agent::start(
        AgentOptions::new(PAGE),
        realm,
        Box::new(|_| ()),
        move |death| sender.send(death).unwrap(),
    )
    .unwrap();
    agent.post(RealmId::MAIN, TaskSource::Dom, |realm| {
        realm.with(|_| panic!("a bug"))
    });
    assert_eq!(ended.recv().unwrap(), Death::Panicked("a bug".to_owned()));
    agent.post(RealmId::MAIN, TaskSource::Dom, |_| unreachable!());
    assert_eq!(evaluate("1"), 1);
}

/// Why a page ends that runs this script.
fn death_of_page(source: &str, script_time: Option<Duration>) -> String {
    let environment = Environment::top_level(ClientId(4), Url::parse(PAGE).unwrap());
    let mut options = PageOptions::new(
        environment,
        Arc::new(Lines::default()),
        Arc::new(Facade::default()),
    );
    options.memory_limit = 64 << 20;
    options.limits.script_time = script_time;
    options.limits.timers = 1000;
    options.limits.tasks = 1000;
    options.limits.realms = 10;
    options.limits.ports = 1000;
    options.limits.messages = 1 << 20;
    let (page, ended) = page_with(options);
    assert!(wait(page.run_script(source, PAGE)).is_err(), "{source}");
    ended.recv().unwrap().to_string()
}

#[test]
fn a_page_whose_task_takes_too_long_is_stopped_and_others_go_on() {
    let (other, ..) = page();
    for hostile in [
        "try { for (;;) {} } finally { for (;;) {} }",
        "(async () => { for (;;) await null; })()",
        "const again = () => queueMicrotask(again); again(); new Promise(() => {})",
        "Promise.reject(1).catch(function again() { return Promise.reject(1).catch(again); })",
        "/^(a+)+$/.test('a'.repeat(60) + 'b')",
        "addEventListener('unhandledrejection', () => { for (;;) {} }); Promise.reject(1); new Promise(() => {})",
        "setTimeout(() => { for (;;) {} }); new Promise(() => {})",
        "const f = () => { try { f(); } finally { f(); } }; f();",
        "open().eval('for (;;) {}')",
        "onmessage = () => { for (;;) {} }; postMessage(1); new Promise(() => {})",
    ] {
        assert_eq!(
            death_of_page(hostile, Some(Duration::from_millis(50))),
            "a script ran for more than 50ms",
            "{hostile}"
        );
    }
    assert_eq!(wait(other.run_script("1", PAGE)).unwrap(), 1);
}

#[test]
fn a_page_that_wants_too_many_of_something_is_stopped_and_others_go_on() {
    let (other, ..) = page();
    assert_eq!(
        death_of_page("for (;;) setTimeout(() => {}, 1000)", None),
        "too many timers: more than 1000"
    );
    assert_eq!(
        death_of_page("for (;;) postMessage(1)", None),
        "too many tasks: more than 1000"
    );
    assert_eq!(
        death_of_page(
            "const kept = []; for (;;) kept.push(new MessageChannel())",
            None
        ),
        "too many message ports: more than 1000"
    );
    assert_eq!(
        death_of_page(
            "for (const { port1, port2 } = new MessageChannel(); ;) { const channel = new MessageChannel(); port1.postMessage(1, [channel.port1]); }",
            None
        ),
        "too many message ports: more than 1000"
    );
    assert_eq!(
        death_of_page(
            "const kept = []; for (;;) kept.push(new BroadcastChannel('a'))",
            None
        ),
        "too many broadcast channels: more than 1000"
    );
    for hoard in [
        "const { port1 } = new MessageChannel(); for (;;) port1.postMessage('x'.repeat(1 << 16))",
        "const { port1 } = new MessageChannel(); for (;;) { const buffer = new ArrayBuffer(1 << 16); port1.postMessage(buffer, [buffer]); }",
        "const { port1, port2 } = new MessageChannel(); port2.onmessage = () => {}; for (;;) port1.postMessage(1)",
        "new BroadcastChannel('a').onmessage = () => {}; for (const channel = new BroadcastChannel('a'); ;) channel.postMessage('x'.repeat(1 << 16))",
        "for (;;) postMessage('x'.repeat(1 << 16))",
    ] {
        assert_eq!(
            death_of_page(hoard, None),
            "too many bytes of unread messages: more than 1048576",
            "{hoard}"
        );
    }
    assert_eq!(
        death_of_page("for (;;) open()", None),
        "too many frames: more than 10"
    );
    assert_eq!(
        death_of_page("let w = window; for (;;) w = w.open();", None),
        "too many frames: more than 10"
    );
    assert_eq!(
        death_of_page(
            "let d = document; for (;;) { const frame = d.createElement('iframe'); d.body.append(frame); d = frame.contentDocument; }",
            None
        ),
        "too many frames: more than 10"
    );
    assert_eq!(
        death_of_page(
            "const kept = []; for (;;) kept.push('x'.repeat(1 << 20) + kept.length);",
            None
        ),
        "out of memory: the script holds more than 64 MiB"
    );
    assert_eq!(wait(other.run_script("1", PAGE)).unwrap(), 1);
}

#[test]
fn tasks_that_each_end_in_time_may_go_on_for_ever() {
    let environment = Environment::top_level(ClientId(4), Url::parse(PAGE).unwrap());
    let mut options = PageOptions::new(
        environment,
        Arc::new(Lines::default()),
        Arc::new(Facade::default()),
    );
    options.limits.script_time = Some(Duration::from_secs(15));
    options.limits.timers = 3;
    let (page, _) = page_with(options);
    let source = "new Promise((done) => { let ticks = 0; const id = setInterval(() => { clearTimeout(setTimeout(() => {}, 99)); if (++ticks > 50) { clearInterval(id); done(ticks); } }); })";
    assert_eq!(wait(page.run_script(source, PAGE)).unwrap(), 51);
}
