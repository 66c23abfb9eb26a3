//! The steps of a history.

mod scripts;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sw_registry::Limits;
use sw_types::{
    ClientId, EphemeralId, RegistrationId, StorageKey, UpdateViaCache, WorkerId, WorkerState,
};
use url::Url;

use super::random::Random;
use crate::harness::{Hold, Host, key, url};
use crate::model::{Model, STARTS_FOR_OTHERS};

pub(super) const SCOPES: [&str; 3] = ["/", "/a", "/a/b"];
pub(super) const SCRIPTS: [&str; 2] = ["/sw.js", "/other.js"];
pub(super) const IMPORTS: [&str; 2] = ["/lib/1.js", "/lib/2.js"];
pub(super) const PAGES: [&str; 3] = ["/", "/a/x", "/a/b/c"];
pub(super) const MODES: [UpdateViaCache; 3] = [
    UpdateViaCache::Imports,
    UpdateViaCache::All,
    UpdateViaCache::None,
];

/// One step. Its numbers choose among what there is, so any step can be left out of a history.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) what: What,
    pub(super) seed: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Register,
    Update,
    Unregister,
    SkipWaiting,
    Claim,
    Ready,
    Wake,
    Run,
    Import,
    CreateClient,
    ClientGone,
    ClientUses,
    AnswerFetch,
    AnswerStart,
    AnswerEvent,
    AnswerWrite,
    Crash,
    Busy,
    Idle,
    SlowDisk,
    ClockJumps,
    Restart,
    ClearSiteData,
    Pass,
}

/// How often each kind of step is taken.
pub(super) const KINDS: [(What, usize); 24] = [
    (What::Register, 16),
    (What::Update, 8),
    (What::Unregister, 4),
    (What::SkipWaiting, 4),
    (What::Claim, 4),
    (What::Ready, 4),
    (What::Wake, 4),
    (What::Run, 4),
    (What::Import, 16),
    (What::CreateClient, 8),
    (What::ClientGone, 4),
    (What::ClientUses, 4),
    (What::AnswerFetch, 28),
    (What::AnswerStart, 12),
    (What::AnswerEvent, 12),
    (What::AnswerWrite, 8),
    (What::Crash, 4),
    (What::Busy, 4),
    (What::Idle, 4),
    (What::SlowDisk, 4),
    (What::ClockJumps, 4),
    (What::Restart, 1),
    (What::ClearSiteData, 1),
    (What::Pass, 11),
];

pub(super) struct Run {
    pub(super) host: Host,
    pub(super) model: Model,
    next_client: u64,
    pub(super) partitions: [StorageKey; 2],
    pub(super) pages: [Url; 3],
    pub(super) told: BTreeMap<ClientId, Vec<String>>,
    /// What happened, a line each, for whoever reads a failure.
    pub(super) story: Vec<String>,
    /// Whether writes wait for a step that answers them.
    slow: bool,
    /// What has come about, so that histories in which too little happens are noticed.
    pub(super) seen: BTreeSet<String>,
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.starts_for_others = STARTS_FOR_OTHERS as u32;
    limits
}

fn hold() -> Hold {
    Hold {
        fetch: true,
        store: true,
        start: true,
        events: true,
        stop: false,
    }
}

impl Step {
    pub(super) fn any(random: &mut Random) -> Self {
        let all = KINDS.iter().map(|(_, often)| often).sum();
        let mut at = random.below(all);
        let found = KINDS.iter().find(|(_, often)| {
            let here = at < *often;
            at = at.saturating_sub(*often);
            here
        });
        Self {
            what: found.map_or(What::Pass, |(what, _)| *what),
            seed: random.next(),
        }
    }
}

impl Run {
    pub(super) fn new() -> Self {
        let mut host = Host::with(limits(), Default::default(), Default::default());
        host.hold = hold();
        Self {
            model: Model::new(host.now),
            host,
            next_client: 1,
            partitions: [key(), key().in_session(Some(EphemeralId(1)))],
            pages: PAGES.map(url),
            told: BTreeMap::new(),
            story: Vec::new(),
            slow: false,
            seen: BTreeSet::new(),
        }
    }

    pub(super) fn step(&mut self, step: Step) {
        // No two deadlines fall together, so that what they cause has one order.
        self.host.pass(Duration::from_millis(1));
        self.hear();
        self.story.push(format!("{step:?}"));
        let random = &mut Random(step.seed);
        match step.what {
            What::Register => self.register(random),
            What::Update => self.update(random),
            What::Unregister => self.unregister(random),
            What::SkipWaiting => self.skip_waiting(random),
            What::Claim => self.claim(random),
            What::Ready => self.ready(random),
            What::Wake => self.wake(random),
            What::Run => self.run(random),
            What::Import => self.import(random),
            What::CreateClient => self.create_client(random),
            What::ClientGone => self.client_gone(random),
            What::ClientUses => self.client_uses(random),
            What::AnswerFetch => self.answer_fetch(random),
            What::AnswerStart => self.answer_start(random),
            What::AnswerEvent => self.answer_event(random),
            What::AnswerWrite => self.answer_write(random),
            What::Crash => self.crash(random),
            What::Busy => self.busy(random),
            What::Idle => self.idle(random),
            What::SlowDisk => self.slow = random.one_in(3),
            What::ClockJumps => self.jump(random),
            What::Restart => self.restart(random),
            What::ClearSiteData => self.clear_site_data(random),
            What::Pass => self.pass(random),
        }
        self.hear();
        while !self.slow && !self.host.held.stores.is_empty() {
            self.answer_write(random);
        }
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

    fn live(&self, random: &mut Random, is: impl Fn(WorkerState) -> bool) -> Option<WorkerId> {
        let live = self.model.live();
        let is = |worker: &WorkerId| is(self.model.workers[worker].state);
        let ids: Vec<_> = live.into_iter().filter(is).collect();
        random.pick(&ids)
    }

    /// The browser's power is cut and comes back; now and then a row has rotted meanwhile.
    fn restart(&mut self, random: &mut Random) {
        let rows: BTreeSet<_> = self.host.store.registrations().collect();
        let whole: Vec<_> = rows.difference(&self.model.disk.damaged).copied().collect();
        if let Some(id) = random.pick(&whole).filter(|_| random.one_in(4)) {
            let row = self.host.store.row_mut(id).expect("it is listed");
            let at = random.below(row.len());
            row[at] ^= 1 << random.below(8);
            self.model.disk.damaged.insert(id);
            self.see("a row that rotted");
        }
        let now = self.host.now;
        let host = std::mem::replace(&mut self.host, Host::new());
        self.host = host.restart_with(limits());
        self.host.now = now;
        self.host.hold = hold();
        // With the first input, whatever it is, waiting workers are activated.
        self.host
            .input(sw_registry::Input::ClientReady(ClientId(u64::MAX)));
        let lost = self.model.writes.len();
        self.model.restart();
        if !self.model.registrations.is_empty() {
            self.see("a restart with registrations");
            if lost > 0 {
                self.see("writes that a restart cut off");
            }
        }
    }

    fn see(&mut self, what: &str) {
        if !self.seen.contains(what) {
            self.seen.insert(what.to_owned());
        }
    }

    /// What the registry did of its own accord: it stopped workers, for reasons that the model
    /// checks. And what clients were told.
    pub(super) fn hear(&mut self) {
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
        use sw_registry::Lifecycle;
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
}
