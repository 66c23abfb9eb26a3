//! *Match Service Worker Registration*: among many origins, among many scopes, beside a writer.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use service_worker::types::{EphemeralId, PromiseId, StorageKey, Timestamp};
use service_worker::{Restored, StoredRegistration};
use sw_registry::{Input, Limits, Lookup, Now, PreloadChange, Registry};
use url::{Position, Url};

use crate::measure::{Plan, Row, Title, contender, measure};
use crate::samples::{Random, address, key, registration};

const ORIGINS: usize = 100_000;
const SCOPES: usize = 10;
const MANY_SCOPES: usize = 10_000;
const LOOK_UPS: usize = 200_000;
const CHANGES_A_SECOND: u32 = 1_000;
const WATCHED: Duration = Duration::from_millis(400);

pub(crate) fn rows(plan: &Plan) -> Vec<Row> {
    let mut rows = Vec::new();
    if plan.wants("R1") {
        rows.extend(many_origins());
    }
    if plan.wants("R2") {
        rows.push(many_scopes());
    }
    if plan.wants("R3") {
        rows.extend(beside_a_writer());
    }
    rows
}

fn registry(registrations: impl Iterator<Item = StoredRegistration>) -> Registry {
    let mut restored = Restored::default();
    for registration in registrations {
        let pushed = restored.registrations.push(&registration);
        pushed.expect("a registration that makes sense");
    }
    Registry::new(Limits::default(), restored)
}

/// What a look-up asks.
struct Question {
    key: StorageKey,
    url: Url,
}

fn questions(origins: usize, scopes: usize) -> Vec<Question> {
    let mut random = Random(7);
    let mut question = || {
        let (site, application) = (random.below(origins), random.below(scopes));
        Question {
            key: key(site),
            url: address(site, application, "page/of/it.html?q=1"),
        }
    };
    (0..50_000).map(|_| question()).collect()
}

/// The id that matches, as the rival gives it.
fn ours(lookup: &Lookup, questions: &[Question]) -> f64 {
    nanoseconds(questions, |question| {
        let found = lookup.match_registration_id(&question.key, &question.url);
        found.map_or(0, |id| id.0)
    })
}

/// All that readers may know of what matches; the rival has no such thing to give.
fn our_snapshots(lookup: &Lookup, questions: &[Question]) -> f64 {
    nanoseconds(questions, |question| {
        let found = lookup.match_registration(&question.key, &question.url);
        found.map_or(0, |found| found.id.0)
    })
}

/// The rival: a hash map by origin, then a scan of its scopes for the longest prefix.
struct Scan(HashMap<String, Vec<(String, u64)>>);

impl Scan {
    fn new(origins: usize, scopes: usize) -> Self {
        let table = |site| {
            let row = |application| {
                let scope = address(site, application, "").to_string();
                (scope, application as u64 + 1)
            };
            let url = address(site, 0, "");
            let origin = url[..Position::BeforePath].to_owned();
            (origin, (0..scopes).map(row).collect())
        };
        Self((0..origins).map(table).collect())
    }

    fn run(&self, questions: &[Question]) -> f64 {
        nanoseconds(questions, |question| {
            let url = &question.url;
            let scopes = self.0.get(&url[..Position::BeforePath]);
            let fitting = scopes
                .into_iter()
                .flatten()
                .filter(|(scope, _)| url.as_str().starts_with(scope.as_str()));
            fitting
                .max_by_key(|(scope, _)| scope.len())
                .map_or(0, |(_, id)| *id)
        })
    }
}

fn nanoseconds(questions: &[Question], mut look_up: impl FnMut(&Question) -> u64) -> f64 {
    let count = LOOK_UPS.min(if questions.len() < 1_000 {
        2_000
    } else {
        LOOK_UPS
    });
    let start = Instant::now();
    for question in questions.iter().cycle().take(count) {
        assert_ne!(black_box(look_up(question)), 0, "each of them is there");
    }
    start.elapsed().as_nanos() as f64 / count as f64
}

fn many_origins() -> [Row; 2] {
    let all = (0..ORIGINS * SCOPES).map(|at| registration(at as u64 + 1, at / SCOPES, at % SCOPES));
    let registry = registry(all);
    let lookup = registry.lookup();
    let scan = Scan::new(ORIGINS, SCOPES);
    let questions = questions(ORIGINS, SCOPES);
    let title = Title {
        id: "R1",
        name: "match, 1 M registrations over 100 k origins",
        unit: "ns",
        runs: 9,
    };
    let rival = || contender("hash map and scan", || scan.run(&questions));
    let with_snapshot = Title {
        id: "R1.snapshot",
        name: "the same, and what is known of what matches",
        ..title
    };
    [
        measure(title, || ours(&lookup, &questions), vec![rival()]),
        measure(
            with_snapshot,
            || our_snapshots(&lookup, &questions),
            vec![rival()],
        ),
    ]
}

fn many_scopes() -> Row {
    let all = (0..MANY_SCOPES).map(|at| registration(at as u64 + 1, 0, at));
    let registry = registry(all);
    let lookup = registry.lookup();
    let scan = Scan::new(1, MANY_SCOPES);
    let questions = questions(1, MANY_SCOPES);
    let few = &questions[..500];
    let title = Title {
        id: "R2",
        name: "match, one origin with 10,000 scopes",
        unit: "ns",
        runs: 9,
    };
    let rival = contender("hash map and scan", || scan.run(few));
    measure(title, || ours(&lookup, &questions), vec![rival])
}

/// What readers saw within [`WATCHED`].
struct Watched {
    /// Look-ups a second, of all readers.
    rate: f64,
    /// The 99th percentile of one look-up, in nanoseconds.
    p99: f64,
}

fn beside_a_writer() -> Vec<Row> {
    let origins = 10_000;
    let session = Some(EphemeralId(1));
    let all = (0..origins * SCOPES).map(|at| {
        let mut row = registration(at as u64 + 1, at / SCOPES, at % SCOPES);
        row.storage_key = row.storage_key.in_session(session);
        row
    });
    let mut registry = registry(all);
    let lookup = registry.lookup();
    let mut questions = questions(origins, SCOPES);
    for question in &mut questions {
        question.key = question.key.clone().in_session(session);
    }
    let mut watch = |readers, writes| watch(&mut registry, &lookup, &questions, readers, writes);
    // Both rows come from the same runs, by turns.
    let (mut together, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        together.push(watch(2, true));
        alone.push(watch(1, false));
    }
    let row = |id, name, unit, value: fn(&Watched) -> f64| {
        let (mut ours, mut rival) = (together.iter().map(value), alone.iter().map(value));
        let title = Title {
            id,
            name,
            unit,
            runs: 9,
        };
        let mut ours = || ours.next().unwrap_or_default();
        let rival = contender("one reader alone", || rival.next().unwrap_or_default());
        measure(title, &mut ours, vec![rival])
    };
    vec![
        row(
            "R3",
            "two readers beside 1,000 changes a second",
            "M look-ups/s",
            |watched| watched.rate / 1e6,
        ),
        row("R3.p99", "a look-up of theirs, p99", "ns", |watched| {
            watched.p99
        }),
    ]
}

fn watch(
    registry: &mut Registry,
    lookup: &Lookup,
    questions: &[Question],
    readers: usize,
    writes: bool,
) -> Watched {
    let stop = AtomicBool::new(false);
    let stop = &stop;
    let seen: Vec<(u64, f64, Vec<u64>)> = std::thread::scope(|scope| {
        let read = |reader: usize| move || reader_loop(lookup, questions, reader, stop);
        let running: Vec<_> = (0..readers)
            .map(|reader| scope.spawn(read(reader)))
            .collect();
        let end = Instant::now() + WATCHED;
        let mut at = 1;
        while Instant::now() < end {
            std::thread::sleep(Duration::from_secs(1) / CHANGES_A_SECOND);
            if writes {
                change(registry, at);
                at += 1;
            }
        }
        stop.store(true, Ordering::Relaxed);
        let join = |reader: std::thread::ScopedJoinHandle<'_, _>| reader.join().expect("it read");
        running.into_iter().map(join).collect()
    });
    let rate = seen
        .iter()
        .map(|(count, seconds, _)| *count as f64 / seconds);
    let rate = rate.sum();
    let mut samples: Vec<u64> = seen.into_iter().flat_map(|(.., samples)| samples).collect();
    samples.sort_unstable();
    let p99 = samples.get(samples.len() * 99 / 100);
    Watched {
        rate,
        p99: p99.copied().unwrap_or_default() as f64,
    }
}

/// How many look-ups in how many seconds; and how long each hundredth of them took.
fn reader_loop(
    lookup: &Lookup,
    questions: &[Question],
    reader: usize,
    stop: &AtomicBool,
) -> (u64, f64, Vec<u64>) {
    let (mut count, mut samples) = (0, Vec::new());
    let start = Instant::now();
    for question in questions.iter().cycle().skip(reader * 1_000) {
        if count % 100 == 0 {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let one = Instant::now();
            black_box(lookup.match_registration(&question.key, &question.url));
            samples.push(one.elapsed().as_nanos() as u64);
        } else {
            black_box(lookup.match_registration(&question.key, &question.url));
        }
        count += 1;
    }
    (count, start.elapsed().as_secs_f64(), samples)
}

/// A change that readers see: the table of its origin is written anew.
fn change(registry: &mut Registry, at: u64) {
    let now = Now {
        instant: Instant::now(),
        wall: Timestamp(1_800_000_000_000),
    };
    let change = Input::SetNavigationPreload {
        promise: PromiseId(at),
        registration: service_worker::types::RegistrationId(at),
        change: PreloadChange::Enabled(at.is_multiple_of(2)),
    };
    registry.handle_input(now, change);
    while registry.poll_output().is_some() {}
}
