//! Random histories: everything that may happen, in any order. The harness checks after each step
//! that promises settle once, that states only grow, that slots and states agree, and that nothing
//! is announced before it is stored; here, that in the end everything has settled.

use std::collections::BTreeSet;
use std::time::Duration;

use sw_registry::{
    EventOutcome, Input, Provenance, Response, ScriptFetchError, Settled, SiteData, StoreError,
};
use sw_types::{
    ClientId, Environment, EphemeralId, EventId, Origin, PromiseId, RegistrationId, RequestId,
    RunId, Site, StorageKey, UpdateViaCache, WorkerId,
};

use crate::harness::{Hold, Host, key, script, url};

const SCOPES: [&str; 3] = ["/", "/a", "/a/b"];
const SCRIPTS: [&str; 2] = ["/sw.js", "/other.js"];

struct Random(u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len())])
    }
}

struct Simulation {
    host: Host,
    random: Random,
    clients: Vec<ClientId>,
    next_client: u64,
    clears: Vec<PromiseId>,
    /// What has come about, so that a history which does nothing is noticed.
    seen: BTreeSet<String>,
}

impl Simulation {
    fn keys() -> [StorageKey; 2] {
        [key(), key().in_session(Some(EphemeralId(1)))]
    }

    fn hold_all(&mut self, hold: bool) {
        self.host.hold = Hold {
            fetch: hold,
            store: hold,
            start: hold,
            events: hold,
            stop: hold,
        };
    }

    fn registration(&mut self) -> Option<RegistrationId> {
        let highest = self.host.registry.registrations_of(&key());
        let mut ids: Vec<RegistrationId> = highest.iter().map(|view| view.id).collect();
        // Sometimes one that is gone, or was unregistered.
        if let Some(last) = ids.last().copied() {
            ids.push(RegistrationId(last.0.saturating_sub(1)));
        }
        let session = &Self::keys()[1];
        let private = self.host.registry.registrations_of(session);
        ids.extend(private.iter().map(|view| view.id));
        self.random.pick(&ids)
    }

    fn worker(&mut self) -> WorkerId {
        let mut ids: Vec<WorkerId> = self.host.running.iter().copied().collect();
        for view in self.host.registry.registrations_of(&key()) {
            let slots = [view.installing, view.waiting, view.active];
            ids.extend(slots.into_iter().flatten().map(|worker| worker.id));
        }
        self.random.pick(&ids).unwrap_or(WorkerId(1))
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..=44 => self.world(),
            45..=89 => self.script(),
            _ => self.nonsense(),
        }
    }

    /// What the outside does.
    fn world(&mut self) {
        match self.random.below(16) {
            0..=2 => self.answer_fetch(),
            3..=5 => self.answer_store(),
            6 | 7 => self.answer_start(),
            8 | 9 => self.answer_event(),
            10 | 11 => {
                let at = self.random.below(self.host.held.stops.len().max(1));
                if let Some(worker) = self.host.held.stops.remove(at) {
                    self.host.stopped(worker);
                }
            }
            12 => {
                let running: Vec<_> = self.host.running.iter().copied().collect();
                if let Some(worker) = self.random.pick(&running) {
                    self.crash(worker);
                }
            }
            13 => {
                let longest = [1, 10, 40, 400, 90_000];
                let most = longest[self.random.below(longest.len())];
                let seconds = self.random.below(most) as u64;
                self.host.pass(Duration::from_secs(seconds));
            }
            14 => {
                let running: Vec<_> = self.host.running.iter().copied().collect();
                if let Some(worker) = self.random.pick(&running) {
                    self.host.busy.insert(worker, self.host.now.instant);
                }
            }
            _ => {
                let busy: Vec<_> = self.host.busy.keys().copied().collect();
                if let Some(worker) = self.random.pick(&busy) {
                    self.host.idle(worker);
                }
            }
        }
        self.host.pump();
    }

    fn answer_fetch(&mut self) {
        let at = self.random.below(self.host.held.fetches.len().max(1));
        let Some((id, from)) = self.host.held.fetches.remove(at) else {
            return;
        };
        let mut answer = script(["1", "2", "3"][self.random.below(3)]);
        answer.from_cache = self.random.one_in(3);
        let answer = match self.random.below(8) {
            0 => Err(ScriptFetchError("reset".to_owned())),
            1 => {
                answer.headers.clear();
                Ok(answer)
            }
            _ => Ok(answer),
        };
        self.host.scripts.insert(from.clone(), answer);
        self.host.answer_fetch(id, &from);
    }

    fn answer_store(&mut self) {
        if let Some((id, writes)) = self.host.held.stores.pop_front() {
            self.host.store_fails = self.random.one_in(8);
            self.host.write(id, &writes);
            self.host.store_fails = false;
        }
    }

    fn answer_start(&mut self) {
        let at = self.random.below(self.host.held.starts.len().max(1));
        if let Some(worker) = self.host.held.starts.remove(at) {
            self.host.start_error = self.random.one_in(5).then(|| "it threw".to_owned());
            self.host.start(worker);
            self.host.start_error = None;
        }
    }

    fn answer_event(&mut self) {
        let at = self.random.below(self.host.held.events.len().max(1));
        if let Some((worker, event, _)) = self.host.held.events.remove(at) {
            let outcome = if self.random.one_in(4) {
                EventOutcome::Rejected("no".to_owned())
            } else {
                EventOutcome::Fulfilled
            };
            self.host.settle_event(worker, event, outcome);
        }
    }

    fn crash(&mut self, worker: WorkerId) {
        // One that is being stopped dies of that.
        if !self.host.held.stops.contains(&worker) {
            self.host.held.starts.retain(|starting| *starting != worker);
            self.host
                .held
                .events
                .retain(|(handling, ..)| *handling != worker);
            self.host.dies(worker);
        }
    }

    /// What pages and workers do.
    fn script(&mut self) {
        match self.random.below(20) {
            0..=4 => self.register(),
            5 => {
                if let Some(id) = self.registration() {
                    self.host.update(id);
                }
            }
            6 => {
                if let Some(registration) = self.registration() {
                    let force_bypass_cache = self.random.one_in(2);
                    self.host.input(Input::SoftUpdate {
                        registration,
                        force_bypass_cache,
                    });
                }
            }
            7 => {
                if let Some(id) = self.registration() {
                    self.host.unregister(id);
                }
            }
            8 => {
                let worker = self.worker();
                self.host.skip_waiting(worker);
            }
            9 => {
                let worker = self.worker();
                self.host.claim(worker);
            }
            10 | 11 => {
                if let Some(client) = self.random.pick(&self.clients) {
                    self.host.ready(client);
                }
            }
            12 | 13 => self.create_client(),
            14 => {
                if !self.clients.is_empty() {
                    let at = self.random.below(self.clients.len());
                    let client = self.clients.swap_remove(at);
                    self.host.gone(client);
                }
            }
            15 => {
                let client = self.random.pick(&self.clients);
                if let (Some(client), Some(id)) = (client, self.registration()) {
                    self.host.uses(client, id);
                }
            }
            16 if self.random.one_in(10) => self.clear_origin(),
            _ => {
                if let Some(id) = self.registration() {
                    let site = Site::of(&Origin::of(&url("https://b.test/")));
                    let initiator = self.random.one_in(2).then_some(site);
                    self.host.wake_for(id, initiator);
                }
            }
        }
    }

    fn clear_origin(&mut self) {
        let promise = self.host.promise();
        let origin = Origin::of(&url("/"));
        self.host
            .input(Input::ClearSiteData(promise, SiteData::Origin(origin)));
        self.clears.push(promise);
    }

    fn register(&mut self) {
        let client = self.random.pick(&self.clients);
        let of = SCOPES[self.random.below(SCOPES.len())];
        let script = SCRIPTS[self.random.below(SCRIPTS.len())];
        let mut register = Host::registering(client, of, script);
        register.storage_key = Self::keys()[usize::from(self.random.one_in(4))].clone();
        if self.random.one_in(4) {
            register.update_via_cache = UpdateViaCache::All;
        }
        if self.random.one_in(4) {
            register.client = None;
            register.provenance = Provenance::Header {
                controls_clients: self.random.one_in(2),
            };
        }
        self.host.register_with(register);
    }

    fn create_client(&mut self) {
        if self.clients.len() < 8 {
            let id = ClientId(self.next_client);
            self.next_client += 1;
            let at = url(["/", "/a/x", "/a/b/c"][self.random.below(3)]);
            self.host.input(Input::ClientCreated {
                environment: Environment::top_level(id, at),
                storage_key: Some(Self::keys()[usize::from(self.random.one_in(4))].clone()),
            });
            if !self.random.one_in(4) {
                self.host.input(Input::ClientReady(id));
            }
            self.clients.push(id);
        }
    }

    /// Inputs that name nothing, or come too late.
    fn nonsense(&mut self) {
        let worker = WorkerId(1_000_000);
        let event = EventId(self.random.below(50) as u64 + 1_000_000);
        let request = RequestId(1_000_000_000);
        let known = self.worker();
        self.host.input(match self.random.below(5) {
            0 => Input::EventSettled {
                worker: known,
                event,
                outcome: EventOutcome::Fulfilled,
            },
            1 => Input::WorkerDied {
                worker,
                run: RunId(1_000_000),
                reason: String::new(),
            },
            2 => Input::Response(request, Response::Stored(Err(StoreError::Closed))),
            3 => Input::ClientReady(ClientId(1_000_000)),
            _ => Input::HandleFallThroughRequests {
                worker: known,
                event,
                rules: Vec::new(),
            },
        });
    }

    /// Everybody goes home, and every answer comes.
    fn drain(&mut self) {
        self.hold_all(false);
        for client in std::mem::take(&mut self.clients) {
            self.host.gone(client);
        }
        loop {
            let held = &mut self.host.held;
            if let Some((id, from)) = held.fetches.pop_front() {
                self.host.answer_fetch(id, &from);
            } else if let Some((id, writes)) = held.stores.pop_front() {
                self.host.write(id, &writes);
            } else if let Some(worker) = held.starts.pop_front() {
                self.host.start(worker);
            } else if let Some((worker, event, _)) = held.events.pop_front() {
                self.host
                    .settle_event(worker, event, EventOutcome::Fulfilled);
            } else if let Some(worker) = held.stops.pop_front() {
                self.host.stopped(worker);
            } else if let Some(worker) = self.host.busy.keys().next().copied() {
                self.host.idle(worker);
            } else {
                break;
            }
            self.host.pump();
        }
        self.host.pass(Duration::from_secs(1_000));
        let open: Vec<PromiseId> = self
            .host
            .asked
            .iter()
            .filter(|promise| !self.host.settled.contains_key(promise))
            .copied()
            .collect();
        assert_eq!(open, [], "these never settled");
        assert_eq!(
            self.host.registry.poll_timeout(),
            None,
            "everything stopped"
        );
        self.note();
        let listed: Vec<RegistrationId> = Self::keys()
            .iter()
            .flat_map(|key| self.host.registry.registrations_of(key))
            .map(|view| view.id)
            .collect();
        for id in (1..100_000).map(RegistrationId) {
            let known = self.host.registry.registration(id).is_some();
            assert_eq!(known, listed.contains(&id), "{id} is held by nobody");
        }
        for view in self.host.registry.registrations_of(&key()) {
            assert_eq!(view.installing, None);
            assert_eq!(view.waiting, None, "nothing is in its way");
        }
    }

    fn note(&mut self) {
        for result in self.host.settled.values() {
            self.seen.insert(match result {
                Ok(Settled::Registration(_)) => "registration".to_owned(),
                Ok(Settled::Running(_)) => "running".to_owned(),
                Ok(other) => format!("{other:?}"),
                Err(error) => error.to_string().split(':').next().unwrap().to_owned(),
            });
        }
        let words = [
            "activated",
            "redundant",
            "controllerchange",
            "cleared",
            "stop",
        ];
        for word in words {
            if self.host.log.iter().any(|line| line.contains(word)) {
                self.seen.insert(word.to_owned());
            }
        }
        for report in &self.host.reports {
            let name = format!("{report:?}");
            let end = name.find([' ', '(']).unwrap_or(name.len());
            self.seen.insert(name[..end].to_owned());
        }
    }
}

fn simulate(seed: u64, steps: usize) -> BTreeSet<String> {
    println!("seed {seed}");
    let mut simulation = Simulation {
        host: Host::new(),
        random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
        clients: Vec::new(),
        next_client: 1,
        clears: Vec::new(),
        seen: BTreeSet::new(),
    };
    for round in 0..steps / 500 {
        simulation.hold_all(true);
        for _ in 0..500 {
            simulation.step();
        }
        simulation.drain();
        // What could not be cleared is still there, and can be cleared again.
        let clears = std::mem::take(&mut simulation.clears);
        if clears
            .iter()
            .any(|clear| matches!(simulation.host.result(*clear), Some(Err(_))))
        {
            simulation.clear_origin();
        }
        let stored: Vec<RegistrationId> = simulation.host.store.registrations().collect();
        let views = simulation.host.registry.registrations_of(&key());
        let mut known: Vec<RegistrationId> = views.iter().map(|view| view.id).collect();
        known.sort();
        assert_eq!(stored, known, "round {round}");
        simulation.clears.clear();
        simulation.host = simulation.host.restart();
        let restored = simulation.host.registry.registrations_of(&key());
        assert_eq!(restored.len(), known.len(), "round {round}");
        assert_eq!(simulation.host.reports, [], "round {round}");
    }
    simulation.seen
}

#[test]
fn random_histories_keep_every_promise() {
    for seed in 1..=40 {
        simulate(seed, 500);
    }
    let seen: Vec<String> = simulate(41, 20_000).into_iter().collect();
    assert_eq!(
        seen,
        [
            "AbortError",
            "Bypassed",
            "Done",
            "InvalidStateError",
            "JobFailed",
            "NotStored",
            "SecurityError",
            "TypeError",
            "Unregistered(false)",
            "Unregistered(true)",
            "WorkerStopped",
            "activated",
            "cleared",
            "controllerchange",
            "redundant",
            "registration",
            "running",
            "stop",
            "the store failed",
            "the worker did not start"
        ]
    );
}
