//! Two stashed workers that answer each other while nobody has a page of theirs open.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{Duration, Instant};

use stash::{EntryId, Input, Limits, NewEntry, Output, Stash};
use sw_types::{EventType, EventTypes, RegistrationId, Timestamp, WorkerId, WorkerState};

const MESSAGE: EventTypes = EventTypes::NONE.with(EventType::Message);
const SIDES: [u64; 2] = [1, 2];

/// Two registrations, their running workers, and the two ends of a channel.
struct World {
    stash: Stash<(), ()>,
    now: Instant,
    ends: [EntryId; 2],
    delivered: u32,
}

impl World {
    fn new(limits: Limits) -> Self {
        let mut stash = Stash::new(limits);
        let now = Instant::now();
        let ends = SIDES.map(|side| {
            let (registration, worker) = (RegistrationId(side), WorkerId(side));
            let (state, handles) = (WorkerState::Activated, MESSAGE);
            let it = Input::Worker {
                registration,
                worker,
                state,
                handles,
            };
            stash.handle_input(now, it);
            let listeners = MESSAGE;
            stash.handle_input(now, Input::Running { worker, listeners });
            let new = NewEntry {
                registration,
                worker,
                state,
                name: "other".to_owned(),
                port: (),
                created: Timestamp(0),
            };
            stash.add(new).unwrap()
        });
        let mut world = Self {
            stash,
            now,
            ends,
            delivered: 0,
        };
        for (entry, peer) in [(ends[0], ends[1]), (ends[1], ends[0])] {
            let peer = Some(peer);
            world.input(Input::Entangled { entry, peer });
        }
        world
    }

    fn input(&mut self, input: Input<()>) {
        self.stash.handle_input(self.now, input);
    }

    fn attend(&mut self, side: u64, attended: bool) {
        let registration = RegistrationId(side);
        self.input(Input::Attended {
            registration,
            attended,
        });
    }

    fn nobody_attends(&mut self) {
        for side in SIDES {
            self.attend(side, false);
        }
    }

    fn post(&mut self, entry: EntryId) {
        self.input(Input::MessageArrived {
            entry,
            message: (),
            bytes: 1,
        });
    }

    /// Each message is answered, so often; how many of them were delivered.
    fn plays(&mut self, most: u32) -> u32 {
        let before = self.delivered;
        while self.delivered - before < most {
            let Some(output) = self.stash.poll_output() else {
                break;
            };
            let Output::Deliver { worker, entry, .. } = output else {
                panic!("{output:?}")
            };
            self.delivered += 1;
            self.input(Input::Consumed { worker, entry });
            let [first, second] = self.ends;
            self.post(if entry == first { second } else { first });
        }
        self.delivered - before
    }

    /// Until the next thing is due; how long that took.
    fn passes(&mut self) -> Duration {
        let due = self.stash.poll_timeout().unwrap();
        let passed = due - self.now;
        self.now = due;
        self.stash.handle_timeout(due);
        passed
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.unattended_deliveries = 10;
    limits
}

#[test]
fn two_workers_that_answer_each_other_for_nobody_have_longer_and_longer_rests() {
    let mut world = World::new(limits());
    world.nobody_attends();
    world.post(world.ends[0]);
    for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
        // Ten on the one side, and what the other side could answer.
        let played = world.plays(1_000);
        assert!((10..=21).contains(&played), "{played}");
        assert_eq!(world.passes(), Duration::from_secs(60 * minutes));
    }
}

#[test]
fn slow_ones_have_rests_too() {
    let mut world = World::new(Limits::default());
    world.nobody_attends();
    world.post(world.ends[0]);
    let mut played = 0;
    while world.stash.poll_timeout().is_none() {
        played += world.plays(1);
        world.now += Duration::from_secs(20);
        assert!(played < 10, "they would never be idle for half a minute");
    }
}

#[test]
fn who_says_something_now_and_then_does_not_wait() {
    let mut world = World::new(limits());
    world.nobody_attends();
    for _ in 0..100 {
        world.post(world.ends[0]);
        assert_eq!(world.plays(2), 2);
        assert_eq!(world.stash.poll_timeout(), None);
        world.now += Duration::from_secs(5 * 60);
        // Nobody answers the answer.
        while world.stash.poll_output().is_some() {}
        let (worker, entry) = (WorkerId(1), world.ends[0]);
        world.input(Input::Consumed { worker, entry });
    }
}

#[test]
fn a_client_of_either_side_ends_the_rest_at_once() {
    for side in SIDES {
        let mut world = World::new(limits());
        world.nobody_attends();
        world.post(world.ends[0]);
        assert!(world.plays(1_000) < 1_000);
        world.attend(side, true);
        assert_eq!(world.plays(1_000), 1_000, "a page of {side} is open");
        world.attend(side, false);
        assert!(world.plays(1_000) < 1_000);
    }
}

#[test]
fn what_comes_from_a_port_that_is_not_stashed_does_not_wait() {
    let mut world = World::new(limits());
    world.nobody_attends();
    let entry = world.ends[0];
    world.input(Input::Entangled { entry, peer: None });
    for _ in 0..100 {
        world.post(entry);
        let output = world.stash.poll_output();
        assert!(matches!(output, Some(Output::Deliver { .. })));
        let worker = WorkerId(1);
        world.input(Input::Consumed { worker, entry });
    }
}
