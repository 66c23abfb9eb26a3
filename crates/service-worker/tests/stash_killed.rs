//! A process is killed three hundred times while two services talk through stashed ports.
//!
//! The child is this program again, over a real file. It says on its output what it posts, what its
//! store has confirmed, and what its workers are given; whatever it said before it was killed counts.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "not every test of the house needs all of it")]
mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{House, SERVICE, quiet};
use service_worker::message_port::{Message, MessageChannel};
use service_worker::native_host::{NativeHost, NativeWorker, StashedEvent};
use service_worker::stash::record::{self, Kept, Kind, StoredMessage};
use service_worker::types::{ScriptMap, WorkerId, WorkerState};
use service_worker::{Policies, RedbStore, RegistryStore, Restored, StoreError, StoreWrite};

/// Tells a process that it is the child: the profile, the number of its run, 0 for the first.
const CHILD: &str = "STASH_CHILD";
const KILLS: u64 = 300;
const OTHER: &str = "https://other.test/";

fn say(line: &str) {
    let mut out = std::io::stderr().lock();
    out.write_all(format!("\n@{line}\n").as_bytes()).unwrap();
}

/// Says which messages it has confirmed.
struct Confirming(RedbStore);

impl RegistryStore for Confirming {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        self.0.restore()
    }

    fn scripts(&mut self, worker: WorkerId) -> Result<ScriptMap, StoreError> {
        self.0.scripts(worker)
    }

    fn blob(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.blob(key)
    }

    fn commit(&mut self, batch: &[StoreWrite]) -> Result<(), StoreError> {
        self.0.commit(batch)?;
        for write in batch {
            let StoreWrite::PutRow { key, value } = write else {
                continue;
            };
            if record::parse_kept_key(key).is_some() {
                let kept: Kept = record::decode(key, value).unwrap();
                let text = String::from_utf8(kept.bytes).unwrap();
                say(&format!("Q {text}"));
            }
            if let Some((_, Kind::Message(_))) = record::parse_key(key) {
                let row: Vec<StoredMessage> = record::decode(key, value).unwrap();
                for message in row {
                    let text = String::from_utf8(message.payload.unwrap()).unwrap();
                    say(&format!("A {text}"));
                }
            }
        }
        Ok(())
    }
}

fn given(event: &StashedEvent) -> String {
    let message = event.message.as_ref().unwrap();
    let text = String::from_utf8(message.payload.to_vec()).unwrap();
    let again = if event.redelivered { "R" } else { "D" };
    say(&format!("{again} {text}"));
    text
}

/// Answers what is asked; an answer to a redelivered question is another message.
fn service() -> NativeWorker {
    NativeWorker::new().on_message(|scope, event| async move {
        let text = given(&event);
        if let Some(question) = text.strip_prefix('q') {
            let run = env::var(CHILD).unwrap();
            let run = run.rsplit(' ').next().unwrap().to_owned();
            let answer = format!("a{run}.{question}");
            say(&format!("P {answer}"));
            let worker = scope.start.worker;
            let answer = Message::new(answer);
            scope.handle.post_stashed(worker, event.entry, answer);
        }
    })
}

/// Not a test in itself: what the child does until it is killed.
#[tokio::test]
async fn the_child_of_the_test_below() {
    let Ok(child) = env::var(CHILD) else { return };
    let (path, run) = child.rsplit_once(' ').unwrap();
    let (store, set_aside) = RedbStore::open(Path::new(path)).unwrap();
    assert_eq!(set_aside, None);
    let store = Box::new(Confirming(store));
    let (mut house, commands) = House::opened(Policies::seeds(), store);
    for scope in [SERVICE, OTHER] {
        house.serve(&format!("{scope}sw.js"), "service");
    }
    let handle = house.handle.clone();
    let scripts = [("service".to_owned(), service())];
    tokio::spawn(NativeHost::new(handle.clone(), commands, scripts));
    let mut workers = Vec::new();
    for (number, scope) in [(1, SERVICE), (2, OTHER)] {
        let page = house.page(number, scope);
        quiet().await;
        if run == "0" {
            house.register(page, scope).await.unwrap();
            house.until(WorkerState::Activated).await;
        }
        let found = handle.registration(page, &common::url(scope)).await;
        let registration = found.unwrap().unwrap();
        workers.push(registration.active.unwrap().id);
    }
    if run == "0" {
        let MessageChannel { port1, port2 } = MessageChannel::new();
        for (worker, port) in workers.into_iter().zip([port1, port2]) {
            handle.stash_port(worker, "talk", port).unwrap().unwrap();
        }
        return handle.shut_down().await;
    }
    let asking = handle.match_stashed(workers[0], "talk");
    let [asking] = asking[..] else {
        panic!("{asking:?}")
    };
    if run == "last" {
        // What is left is given, and nothing is asked any more.
        while handle_is_idle(&house).await {}
    }
    for number in 0.. {
        let question = format!("q{run}.{number}");
        say(&format!("P {question}"));
        let question = Message::new(question);
        handle.post_stashed(workers[0], asking, question);
        // In bursts of all sizes, and alone.
        for _ in 0..(number * 7) % 13 {
            tokio::task::yield_now().await;
        }
        if number % 16 == 0 {
            while !handle_is_idle(&house).await {}
        }
    }
}

/// Lets the store and the workers catch up with what was posted.
async fn handle_is_idle(house: &House) -> bool {
    for _ in 0..20 {
        std::thread::yield_now();
        quiet().await;
    }
    house.handle.caught_up().await;
    true
}

/// What all runs have said.
#[derive(Default)]
struct Said {
    posted: Vec<String>,
    accepted: BTreeSet<String>,
    given: Vec<(String, bool)>,
    /// What was accepted, and not given yet; and the other way round.
    outstanding: BTreeSet<String>,
    known: BTreeSet<String>,
    quarantined: usize,
}

fn spawn(path: &Path, run: &str) -> std::process::Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "the_child_of_the_test_below", "--nocapture"])
        .env(CHILD, format!("{} {run}", path.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

impl Said {
    fn accepted(&mut self, text: String) {
        if !self.known.contains(&text) {
            self.outstanding.insert(text.clone());
        }
        self.accepted.insert(text);
    }

    fn given(&mut self, text: String, again: bool) {
        self.outstanding.remove(&text);
        self.known.insert(text.clone());
        self.given.push((text, again));
    }

    /// One run of the child, which is killed after so many lines, and then when all is given.
    fn listen(&mut self, path: &Path, run: &str, lines: u64) {
        let mut child = spawn(path, run);
        let mut heard = 0;
        let out = BufReader::new(child.stderr.take().unwrap());
        let mut other = String::new();
        for line in out.lines() {
            let line = line.unwrap();
            let Some(line) = line.strip_prefix('@') else {
                other.push_str(&line);
                continue;
            };
            let (what, text) = line.split_once(' ').unwrap();
            let text = text.to_owned();
            match what {
                "P" => self.posted.push(text),
                "A" => self.accepted(text),
                "D" => self.given(text, false),
                "R" => self.given(text, true),
                // The browser died three times of it, as far as it knows.
                "Q" => {
                    self.quarantined += 1;
                    self.given(text, true);
                }
                other => panic!("{other}"),
            }
            heard += 1;
            if heard == lines || (run == "last" && self.outstanding.is_empty()) {
                child.kill().unwrap();
                heard = u64::MAX / 2;
            }
        }
        let status = child.wait().unwrap();
        let killed = heard >= lines;
        let first = run == "0" && status.success();
        assert!(killed || first, "run {run}: {other}");
    }

    /// Of what each run has posted in each direction: a prefix without a gap was given, it covers
    /// what was accepted, in order, and whatever was given again is marked.
    fn check(&self) -> (usize, usize) {
        let mut first = Vec::new();
        let mut seen = BTreeSet::new();
        let (mut repeats, mut marked) = (0, 0);
        for (text, redelivered) in &self.given {
            marked += usize::from(*redelivered);
            if seen.insert(text) {
                first.push(text);
            } else {
                assert!(*redelivered, "{text} came again, unmarked");
                repeats += 1;
            }
        }
        let stream = |text: &str| {
            let run = text[1..].split('.').next().unwrap();
            (text[..1].to_owned(), run.to_owned())
        };
        let mut posts: BTreeMap<_, Vec<&String>> = BTreeMap::new();
        for text in &self.posted {
            posts.entry(stream(text)).or_default().push(text);
        }
        let mut streams: BTreeMap<_, Vec<&String>> = BTreeMap::new();
        for text in first {
            streams.entry(stream(text)).or_default().push(text);
        }
        for (stream, given) in &streams {
            assert_eq!(given[..], posts[stream][..given.len()], "{stream:?}");
        }
        for text in &self.accepted {
            assert!(seen.contains(text), "{text} was accepted and never given");
        }
        (repeats, marked)
    }
}

#[test]
fn what_two_services_say_survives_three_hundred_kills() {
    // Killed processes leave the caches of the system as they are, so that memory is as good as a disk.
    let memory = tempfile::tempdir_in("/dev/shm");
    let folder = memory.or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().join("profile.redb");
    let mut said = Said::default();
    said.listen(&path, "0", u64::MAX);
    let seed = env::var("STASH_SEED").map_or(7, |seed| seed.parse().unwrap());
    println!("STASH_SEED={seed}");
    let mut random: u64 = seed;
    for run in 1..=KILLS {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        said.listen(&path, &run.to_string(), 1 + (random >> 33) % 120);
    }
    said.listen(&path, "last", 1_000_000);
    let (repeats, marked) = said.check();
    println!(
        "{} posted, {} accepted, {} given, {marked} of them marked, {repeats} repeats, \
         {} quarantined",
        said.posted.len(),
        said.accepted.len(),
        said.given.len(),
        said.quarantined,
    );
    assert!(
        said.accepted.len() > 3_000 && marked > 0,
        "it was about something"
    );
}
