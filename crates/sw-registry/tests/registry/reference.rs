//! Random histories, told to the registry and to the reference model: whatever a page, a worker or
//! a reader can observe must be the same after every step. A failure is shrunk and printed.

use std::collections::BTreeMap;

use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use sw_registry::{EventOutcome, Input, Lifecycle, ScriptFetchError, Settled};
use sw_types::{
    ClientId, Environment, EphemeralId, RegistrationId, StorageKey, UpdateViaCache, WorkerId,
    WorkerState,
};

use crate::harness::{Hold, Host, key, script, url};
use crate::model::{Fetched, Model};

const SCOPES: [&str; 3] = ["/", "/a", "/a/b"];
const SCRIPTS: [&str; 2] = ["/sw.js", "/other.js"];
const PAGES: [&str; 3] = ["/", "/a/x", "/a/b/c"];
const MODES: [UpdateViaCache; 3] = [
    UpdateViaCache::Imports,
    UpdateViaCache::All,
    UpdateViaCache::None,
];

/// One step. Its numbers choose among what there is, so any step can be left out of a history.
#[derive(Clone, Copy, Debug)]
struct Step {
    what: usize,
    seed: u64,
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, below: usize) -> usize {
        (self.next() % below as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len())])
    }
}

struct Run {
    host: Host,
    model: Model,
    next_client: u64,
    told: BTreeMap<ClientId, Vec<String>>,
    /// What happened, a line each, for whoever reads a failure.
    story: Vec<String>,
}

fn partitions() -> [StorageKey; 2] {
    [key(), key().in_session(Some(EphemeralId(1)))]
}

impl Run {
    fn new() -> Self {
        let mut host = Host::new();
        host.hold = Hold {
            fetch: true,
            start: true,
            events: true,
            ..Hold::default()
        };
        Self {
            model: Model::new(host.now),
            host,
            next_client: 1,
            told: BTreeMap::new(),
            story: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) {
        // No two deadlines fall together, so that what they cause has one order.
        self.host.pass(Duration::from_millis(1));
        self.hear();
        self.story.push(format!("{step:?}"));
        let random = &mut Random(step.seed);
        match step.what {
            0..=2 => self.register(random),
            3 => self.update(random),
            4 => self.unregister(random),
            5 => {
                if let Some(worker) = self.worker(random) {
                    let promise = self.host.skip_waiting(worker);
                    self.model.skip_waiting(promise, worker);
                }
            }
            6 => {
                if let Some(worker) = self.worker(random) {
                    let promise = self.host.claim(worker);
                    self.model.claim(promise, worker);
                }
            }
            7 => {
                if let Some(client) = self.client(random) {
                    let promise = self.host.ready(client);
                    self.model.ready(promise, client);
                }
            }
            8 => {
                if let Some(id) = self.registration(random) {
                    let promise = self.host.wake(id);
                    self.model.wake(promise, id);
                }
            }
            9 | 10 => self.create_client(random),
            11 => {
                if let Some(client) = self.client(random) {
                    self.host.gone(client);
                    self.model.gone(client);
                }
            }
            12 => {
                let client = self.client(random);
                if let (Some(client), Some(id)) = (client, self.registration(random)) {
                    self.host.uses(client, id);
                    self.model.client_uses(client, id);
                }
            }
            13..=16 => self.answer_fetch(random),
            17..=19 => self.answer_start(random),
            20..=22 => self.answer_event(random),
            23 => self.crash(random),
            24 => self.busy(random),
            25 => self.idle(random),
            _ => self.pass(random),
        }
        self.hear();
    }

    fn registration(&self, random: &mut Random) -> Option<RegistrationId> {
        let mut ids: Vec<_> = self.model.registrations.keys().copied().collect();
        ids.push(RegistrationId(1));
        random.pick(&ids)
    }

    fn worker(&self, random: &mut Random) -> Option<WorkerId> {
        let ids: Vec<_> = self.model.workers.keys().copied().collect();
        random.pick(&ids[ids.len().saturating_sub(8)..])
    }

    fn client(&self, random: &mut Random) -> Option<ClientId> {
        let ids: Vec<_> = self.model.clients.keys().copied().collect();
        random.pick(&ids)
    }

    fn register(&mut self, random: &mut Random) {
        let client = self.client(random);
        let scope = SCOPES[random.below(SCOPES.len())];
        let script = SCRIPTS[random.below(SCRIPTS.len())];
        let partition = usize::from(random.one_in(4));
        let mode = MODES[random.below(6) % MODES.len()];
        let mut register = Host::registering(client, scope, script);
        register.storage_key = partitions()[partition].clone();
        register.update_via_cache = mode;
        let promise = self.host.register_with(register);
        let key = (partition, scope);
        self.model.register(promise, client, key, script, mode);
    }

    fn update(&mut self, random: &mut Random) {
        let Some(registration) = self.registration(random) else {
            return;
        };
        if random.one_in(2) {
            let promise = self.host.update(registration);
            self.model.update(registration, Some(promise), false);
        } else {
            let force_bypass_cache = random.one_in(2);
            self.host.input(Input::SoftUpdate {
                registration,
                force_bypass_cache,
            });
            self.model.update(registration, None, force_bypass_cache);
        }
    }

    fn unregister(&mut self, random: &mut Random) {
        if let Some(id) = self.registration(random) {
            let promise = self.host.unregister(id);
            self.model.unregister(promise, id);
        }
    }

    fn create_client(&mut self, random: &mut Random) {
        if self.model.clients.len() >= 6 {
            return;
        }
        let id = ClientId(self.next_client);
        self.next_client += 1;
        let (partition, path) = (usize::from(random.one_in(4)), random.below(PAGES.len()));
        let ready = !random.one_in(4);
        self.host.input(Input::ClientCreated {
            environment: Environment::top_level(id, url(PAGES[path])),
            storage_key: Some(partitions()[partition].clone()),
        });
        if ready {
            self.host.input(Input::ClientReady(id));
        }
        self.model.client(id, partition, PAGES[path], ready);
    }

    fn answer_fetch(&mut self, random: &mut Random) {
        let at = random.below(self.host.held.fetches.len().max(1));
        let (Some((id, from)), Some((of, ..))) = (
            self.host.held.fetches.remove(at),
            self.model.fetches.remove(at),
        ) else {
            return;
        };
        let (body, from_cache) = (random.below(3) as u64, random.one_in(3));
        let mut answer = script(&body.to_string());
        answer.from_cache = from_cache;
        let (answer, fetched) = match random.below(8) {
            0 => (Err(ScriptFetchError("reset".to_owned())), Fetched::Failed),
            1 => {
                answer.headers.clear();
                (Ok(answer), Fetched::NoScript)
            }
            _ => (Ok(answer), Fetched::Script { body, from_cache }),
        };
        self.host.scripts.insert(from.clone(), answer);
        self.host.answer_fetch(id, &from);
        self.host.pump();
        self.model.fetched(of, fetched);
    }

    fn answer_start(&mut self, random: &mut Random) {
        let at = random.below(self.host.held.starts.len().max(1));
        let Some(worker) = self.host.held.starts.remove(at) else {
            return;
        };
        let fails = random.one_in(4);
        self.host.start_error = fails.then(|| "it threw".to_owned());
        self.host.start(worker);
        self.host.start_error = None;
        self.host.pump();
        if fails {
            self.model.not_started(worker);
        } else {
            self.model.started(worker);
        }
    }

    fn answer_event(&mut self, random: &mut Random) {
        let at = random.below(self.host.held.events.len().max(1));
        let Some((worker, event, lifecycle)) = self.host.held.events.remove(at) else {
            return;
        };
        assert_eq!(self.model.workers[&worker].event, Some(lifecycle));
        let fulfilled = !random.one_in(4);
        let outcome = match fulfilled {
            true => EventOutcome::Fulfilled,
            false => EventOutcome::Rejected("no".to_owned()),
        };
        self.host.settle_event(worker, event, outcome);
        self.host.pump();
        self.model.event_over(worker, fulfilled);
    }

    fn crash(&mut self, random: &mut Random) {
        let running: Vec<_> = self.host.running.iter().copied().collect();
        let Some(worker) = random.pick(&running) else {
            return;
        };
        self.host.held.starts.retain(|starting| *starting != worker);
        let of_it = |(handling, ..): &(WorkerId, _, _)| *handling != worker;
        self.host.held.events.retain(of_it);
        self.host.dies(worker);
        self.model.died(worker);
    }

    /// A functional event begins at an active worker that runs.
    fn busy(&mut self, random: &mut Random) {
        let live = |worker: &WorkerId| {
            let it = &self.model.workers[worker];
            it.running && it.state == WorkerState::Activated
        };
        let running: Vec<_> = self.host.running.iter().copied().filter(live).collect();
        if let Some(worker) = random.pick(&running) {
            self.host.busy.insert(worker, self.host.now.instant);
            let it = self.model.workers.get_mut(&worker);
            it.expect("it runs").busy = true;
        }
    }

    fn idle(&mut self, random: &mut Random) {
        let busy: Vec<_> = self.host.busy.keys().copied().collect();
        if let Some(worker) = random.pick(&busy) {
            self.host.idle(worker);
            self.model.idle(worker);
        }
    }

    fn pass(&mut self, random: &mut Random) {
        let longest = [1, 10, 40, 400, 90_000];
        let most = longest[random.below(longest.len())];
        let end = self.host.now.instant + Duration::from_secs(random.below(most) as u64);
        // One deadline after another, so that the model hears of each at its time.
        while let Some(at) = self.host.registry.poll_timeout().filter(|at| *at <= end) {
            self.host
                .pass(at.saturating_duration_since(self.host.now.instant));
            self.hear();
        }
        self.host
            .pass(end.saturating_duration_since(self.host.now.instant));
    }

    /// What the registry did of its own accord: it stopped workers, for reasons that the model
    /// checks. And what clients were told.
    fn hear(&mut self) {
        self.model.now = self.host.now;
        for line in self.host.drain_log() {
            self.story.push(format!("  {line}"));
            if let Some((client, told)) = line.split_once(": ") {
                let number = |of: &str| of.parse::<u64>().expect("an id");
                if let Some(client) = client.strip_prefix("ClientId-") {
                    let client = ClientId(number(client));
                    self.told.entry(client).or_default().push(told.to_owned());
                } else if let Some(worker) = client.strip_prefix("stop WorkerId-") {
                    self.stopped(WorkerId(number(worker)), told);
                }
            }
        }
    }

    fn stopped(&mut self, worker: WorkerId, reason: &str) {
        let it = &self.model.workers[&worker];
        if it.state == WorkerState::Redundant {
            return;
        }
        // It was stopped before it was given its event: it starts again for that.
        if reason == "idle" && it.event == Some(Lifecycle::Activate) && !it.busy {
            let it = self.model.workers.get_mut(&worker).expect("it was found");
            (it.event, it.running, it.starting) = (None, false, true);
            return;
        }
        match reason {
            "idle" => assert!(!it.busy && it.event.is_none(), "{worker} is not idle"),
            "redundant" => panic!("{worker} is {}", it.state),
            reason if reason.contains("event") => assert!(it.busy || it.event.is_some()),
            _ => assert!(it.starting, "{worker} is not starting"),
        }
        self.model.died(worker);
    }

    /// Everything that can be observed.
    fn compare(&self) {
        let (host, model) = (&self.host, &self.model);
        assert_eq!(self.told, model.told, "what clients were told");
        let settled: BTreeMap<_, _> = host
            .settled
            .iter()
            .map(|(promise, result)| {
                let value = match result {
                    Ok(Settled::Registration(view)) => format!("registration {}", view.id),
                    Ok(Settled::Running(worker)) => format!("Running({worker:?})"),
                    Ok(other) => format!("{other:?}"),
                    Err(error) => {
                        let error = error.to_string();
                        error.split(':').next().unwrap_or_default().to_owned()
                    }
                };
                (*promise, value)
            })
            .collect();
        assert_eq!(settled, model.settled, "promises");
        for (id, it) in &model.registrations {
            let view = host.registry.registration(*id).expect("it is there");
            let slot = |worker: Option<sw_types::WorkerView>| worker.map(|it| (it.id, it.state));
            let of_model =
                |worker: Option<WorkerId>| worker.map(|id| (id, model.workers[&id].state));
            assert_eq!(slot(view.installing), of_model(it.installing), "{id}");
            assert_eq!(slot(view.waiting), of_model(it.waiting), "{id}");
            assert_eq!(slot(view.active), of_model(it.active), "{id}");
            assert_eq!(view.update_via_cache, it.update_via_cache, "{id}");
        }
        for (partition, key) in partitions().iter().enumerate() {
            for page in PAGES {
                let found = host.lookup.match_registration(key, &url(page));
                let found = found.map(|found| found.id);
                assert_eq!(found, model.matching(partition, page), "{page}");
            }
        }
        for (id, client) in &model.clients {
            let controller = host.lookup.controller(*id).map(|found| found.id);
            assert_eq!(controller, client.uses, "{id}");
        }
        let fetches: Vec<_> = host
            .held
            .fetches
            .iter()
            .map(|(_, from)| from.clone())
            .collect();
        let expected: Vec<_> = model
            .fetches
            .iter()
            .map(|(_, script)| url(script))
            .collect();
        assert_eq!(fetches, expected, "scripts that are fetched");
        let cached = host.fetched.iter().map(|(from, cache)| {
            let no_cache = *cache == sw_types::fetch::CacheMode::NoCache;
            (from.clone(), no_cache)
        });
        let expected = model
            .fetched
            .iter()
            .map(|(script, no_cache)| (url(script), *no_cache));
        assert!(cached.eq(expected), "scripts that were fetched");
        assert_eq!(host.running, model.live(), "workers that run");
    }
}

/// How a history failed.
struct Failure {
    /// At which step.
    at: usize,
    words: String,
    story: Vec<String>,
}

impl Failure {
    /// What was wrong, without the values.
    fn kind(&self) -> &str {
        self.words.lines().next().unwrap_or_default()
    }
}

fn run(steps: &[Step]) -> Result<(), Failure> {
    let mut at = 0;
    let mut run = Run::new();
    let done = panic::catch_unwind(AssertUnwindSafe(|| {
        for step in steps {
            run.step(*step);
            run.compare();
            at += 1;
        }
    }));
    done.map_err(|said| {
        let words = said.downcast_ref::<String>().cloned();
        Failure {
            at,
            words: words.unwrap_or_else(|| "it panicked".to_owned()),
            story: run.story,
        }
    })
}

/// A history of this seed; a failure is made as short as leaving out steps makes it.
fn simulate(seed: u64, length: usize) -> Result<(), String> {
    let mut random = Random(seed);
    let mut step = || Step {
        what: random.below(28),
        seed: random.next(),
    };
    let mut steps: Vec<Step> = (0..length).map(|_| step()).collect();
    let Err(mut failure) = run(&steps) else {
        return Ok(());
    };
    steps.truncate(failure.at + 1);
    let mut part = steps.len() / 2;
    while part > 0 {
        let mut from = 0;
        while from < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(from..(from + part).min(steps.len()));
            match run(&fewer) {
                Err(shorter) if shorter.kind() == failure.kind() => {
                    fewer.truncate(shorter.at + 1);
                    (steps, failure) = (fewer, shorter);
                }
                Ok(()) | Err(_) => from += part,
            }
        }
        part /= 2;
    }
    let Failure { words, story, .. } = failure;
    Err(format!(
        "seed {seed}: {words}\nafter these {} steps:\n{}\n",
        steps.len(),
        story.join("\n")
    ))
}

/// Seeds from `first` on, until so many steps are done.
fn simulate_all(first: u64, steps: usize) {
    let length = 400;
    for seed in first..first + steps.div_ceil(length) as u64 {
        if let Err(story) = simulate(seed, length) {
            panic!("{story}");
        }
    }
    println!("{steps} steps from seed {first} on, no difference");
}

#[test]
fn the_registry_does_what_the_reference_model_does() {
    simulate_all(1, 100_000);
}

/// `cargo xtask sim registry`.
#[test]
#[ignore = "as long as SIM_STEPS says"]
fn a_long_run_does_what_the_reference_model_does() {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let steps = number("SIM_STEPS").unwrap_or(1_000_000);
    let first = number("SIM_SEED").unwrap_or(1);
    simulate_all(first, usize::try_from(steps).unwrap_or(usize::MAX));
}
