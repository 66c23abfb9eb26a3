//! Damaged records: mutations of genuine ones, from a seed. `SEED=…` replays a run, `ROUNDS=…` makes
//! it longer.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use rquickjs::{Ctx, Value};
use service_worker::message_port::MessageChannel;
use service_worker::types::{ClientId, Environment};
use url::Url;

use super::{Serialized, structured_deserialize_with_transfer, structured_serialize_with_transfer};
use crate::js::tests::stand::{Facade, Lines};
use crate::js::{Agent, AgentOptions, Realm, RealmKind, RealmOptions};

/// Values of every kind that can be written.
const VALUES: &[&str] = &[
    "undefined",
    "[1, 'two', null, true, 2.5, -0, 10n, -(10n ** 40n), '\\ud800']",
    "{ const o = { a: { b: { c: [1, , 3] } }, 7: 'seven', __proto__: null }; o.self = o; o }",
    "new Map([[{ k: 1 }, new Set([1, [2], 'x'])], ['y', new Map()]])",
    "[new Date(5), /a(b)*[c-f]/giu, new Boolean(false), new Number(1), new String('s'), Object(5n)]",
    "new RangeError('m', { cause: new TypeError('inner', { cause: 5 }) })",
    "{ const b = new Uint8Array(40).buffer; [b, new Float64Array(b, 8, 2), new DataView(b, 3), new Uint16Array(b)] }",
    "{ const b = new ArrayBuffer(8, { maxByteLength: 64 }); [new Int32Array(b), new Int8Array(b, 2, 3), new DataView(b)] }",
    "new DOMException('m', 'AbortError')",
    "Array.from({ length: 300 }, (_, i) => ({ i, text: 'x'.repeat(i % 7) }))",
    "[[[[[[[[[[[[[[[[[[[[{}]]]]]]]]]]]]]]]]]]]]",
];

/// Runs something in a realm of an agent of its own.
fn in_realm<R: Send + 'static>(run: impl FnOnce(&Realm, &Ctx<'_>) -> R + Send + 'static) -> R {
    let (sender, receiver) = channel();
    let url = Url::parse("https://fonts.example.com/").unwrap();
    let options = RealmOptions::new(
        RealmKind::Window,
        Environment::top_level(ClientId(9), url),
        Arc::new(Lines::default()),
        Arc::new(Facade::default()),
    );
    let begin = move |realm: &Realm| {
        let result = realm.with(|ctx| run(realm, ctx));
        sender.send(result).unwrap();
    };
    let mut agent = AgentOptions::new("test");
    agent.memory_limit = 4 << 30;
    let agent = Agent::start(agent, options, Box::new(begin), |_| ()).unwrap();
    let result = receiver.recv_timeout(Duration::from_secs(600)).unwrap();
    drop(agent);
    result
}

fn genuine(realm: &Realm, ctx: &Ctx<'_>) -> Vec<Vec<u8>> {
    let record = |source: &str, transfer: &[&str]| {
        let value: Value<'_> = ctx.eval(source).unwrap();
        let transfer: Vec<Value<'_>> = transfer.iter().map(|it| ctx.eval(*it).unwrap()).collect();
        let record = structured_serialize_with_transfer(ctx, realm.state(), &value, &transfer);
        record
            .unwrap_or_else(|error| panic!("{source}: {error}"))
            .bytes
            .to_vec()
    };
    let mut records: Vec<_> = VALUES.iter().map(|value| record(value, &[])).collect();
    records.push(record(
        "var buffer = new ArrayBuffer(5); var channel = new MessageChannel(); [buffer, channel.port1]",
        &["buffer", "channel.port1", "new ArrayBuffer(3, { maxByteLength: 9 })"],
    ));
    records
}

fn read(realm: &Realm, ctx: &Ctx<'_>, record: &[u8]) -> bool {
    let serialized = Serialized {
        bytes: record.to_vec().into(),
        ports: vec![MessageChannel::new().port1.transfer().unwrap()],
    };
    let read = structured_deserialize_with_transfer(ctx, realm.state(), serialized).is_ok();
    drop(ctx.catch());
    read
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        const TELLING: &[u8] = &[
            0, 1, 7, 8, 9, 0x0a, 0x10, 0x11, 0x12, 0x1d, 0x1e, 0x1f, 0x20, 0x7f, 0x80, 0xff,
        ];
        match self.below(2) {
            0 => TELLING[self.below(TELLING.len())],
            _ => self.below(256) as u8,
        }
    }

    fn mutate(&mut self, record: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(4) {
            let at = self.below(record.len());
            match self.below(6) {
                0 => record.truncate(at),
                1 => record.insert(at, self.byte()),
                2 if !record.is_empty() => drop(record.remove(at)),
                3 => {
                    let from = self.below(other.len());
                    let to = from + self.below(other.len() - from);
                    record.splice(at..at, other[from..to].iter().copied());
                }
                4 if !record.is_empty() => record[at] ^= 1 << self.below(8),
                _ if !record.is_empty() => record[at] = self.byte(),
                _ => {}
            }
        }
    }
}

fn setting(name: &str, otherwise: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(otherwise, |value| {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

#[test]
fn no_mutation_of_a_record_does_harm() {
    let seed = setting("SEED", RandomState::new().hash_one(0) | 1);
    let rounds = setting("ROUNDS", 6_000);
    println!("SEED={seed} ROUNDS={rounds}");
    let (whole, broken) = in_realm(move |realm, ctx| {
        let records = genuine(realm, ctx);
        assert!(records.iter().all(|record| read(realm, ctx, record)));
        let mut random = Random(seed);
        let mut counts = (0, 0);
        for _ in 0..rounds {
            let mut record = records[random.below(records.len())].clone();
            let other = &records[random.below(records.len())];
            random.mutate(&mut record, other);
            if read(realm, ctx, &record) {
                counts.0 += 1;
            } else {
                counts.1 += 1;
            }
        }
        counts
    });
    println!("{whole} were still values, {broken} were refused");
    assert!(whole > 0 && broken > 0);
}

#[test]
fn every_beginning_of_a_record_is_refused() {
    in_realm(|realm, ctx| {
        for record in genuine(realm, ctx) {
            for end in 0..record.len() {
                assert!(!read(realm, ctx, &record[..end]), "{:?}", &record[..end]);
            }
            let longer = [&record[..], &[0]].concat();
            assert!(!read(realm, ctx, &longer));
            let mut other = record.clone();
            other[0] = 2;
            assert!(!read(realm, ctx, &other), "another version");
        }
    });
}

#[test]
fn a_damaged_record_leaves_no_exception_behind() {
    in_realm(|realm, ctx| {
        // A view that does not fit its buffer; a regular expression that is none.
        for record in [
            &[1, 0, 0x1e, 5, 0, 1, 9, 0x1d, 0, 2, 0, 0][..],
            &[1, 0, 0x1b, 7, 1, b'(', 7, 0],
            &[1, 0, 0x0a, 7, 1, b'-'],
            &[1, 0, 0x20, 0],
            &[1, 1, 2, 1],
        ] {
            let serialized = Serialized::of_record(record.to_vec().into());
            let error = structured_deserialize_with_transfer(ctx, realm.state(), serialized);
            assert!(
                matches!(error, Err(super::CloneError::Damaged(_))),
                "{record:?}"
            );
            assert!(!ctx.has_exception());
        }
    });
}
