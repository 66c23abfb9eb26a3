//! What a worker and a peer observe of a stashed port.

use std::time::{Duration, Instant};

use stash::{AddError, EntryId, Input, Item, Limits, NewEntry, Output, Stash};
use sw_types::{EventType, EventTypes, RegistrationId, Timestamp, WorkerId, WorkerState};

const REGISTRATION: RegistrationId = RegistrationId(1);
const V1: WorkerId = WorkerId(10);
const V2: WorkerId = WorkerId(11);
const MESSAGE: EventTypes = EventTypes::NONE.with(EventType::Message);
const BOTH: EventTypes = MESSAGE.with(EventType::Close);
const NONE: EventTypes = EventTypes::NONE;

#[derive(Debug, PartialEq, Eq)]
struct Port(EntryId);

type Out = Output<Port, u32>;

struct World {
    stash: Stash<Port, u32>,
    now: Instant,
    next: u64,
}

impl World {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self {
            stash: Stash::new(limits),
            now: Instant::now(),
            next: 1,
        }
    }

    /// A world in which V1 is activated and stopped, and has stashed one port.
    fn activated(handles: EventTypes) -> (Self, EntryId) {
        let mut world = Self::new();
        assert_eq!(world.state(V1, WorkerState::Activated, handles), []);
        let entry = world.add(V1, WorkerState::Activated, "echo");
        (world, entry)
    }

    /// The same with V1 running and listening.
    fn running(listeners: EventTypes) -> (Self, EntryId) {
        let (mut world, entry) = Self::activated(listeners);
        assert_eq!(world.run(V1, listeners), []);
        (world, entry)
    }

    fn input(&mut self, input: Input<u32>) -> Vec<Out> {
        self.stash.handle_input(self.now, input);
        self.outputs()
    }

    fn outputs(&mut self) -> Vec<Out> {
        std::iter::from_fn(|| self.stash.poll_output()).collect()
    }

    fn state(&mut self, worker: WorkerId, state: WorkerState, handles: EventTypes) -> Vec<Out> {
        self.input(Input::Worker {
            registration: REGISTRATION,
            worker,
            state,
            handles,
        })
    }

    fn run(&mut self, worker: WorkerId, listeners: EventTypes) -> Vec<Out> {
        self.input(Input::Running { worker, listeners })
    }

    fn stop(&mut self, worker: WorkerId, undispatched: Vec<(EntryId, Item<u32>)>) -> Vec<Out> {
        self.input(Input::Stopped {
            worker,
            undispatched,
        })
    }

    fn new_entry(&mut self, worker: WorkerId, state: WorkerState, name: &str) -> NewEntry<Port> {
        let port = Port(EntryId(self.next));
        self.next += 1;
        NewEntry {
            registration: REGISTRATION,
            worker,
            state,
            name: name.to_owned(),
            port,
            created: Timestamp(1_000),
        }
    }

    fn add(&mut self, worker: WorkerId, state: WorkerState, name: &str) -> EntryId {
        let new = self.new_entry(worker, state, name);
        let expected = new.port.0;
        let added = self.stash.add(new);
        assert_eq!(added, Ok(expected));
        assert_eq!(self.outputs(), []);
        expected
    }

    fn message(&mut self, entry: EntryId, message: u32) -> Vec<Out> {
        self.input(Input::MessageArrived {
            entry,
            message,
            bytes: 10,
        })
    }

    fn consumed(&mut self, worker: WorkerId, entry: EntryId) -> Vec<Out> {
        self.input(Input::Consumed { worker, entry })
    }

    fn matched(&self, name: &str) -> Vec<EntryId> {
        self.stash.match_name(REGISTRATION, name).collect()
    }
}

const fn deliver(worker: WorkerId, entry: EntryId, message: u32) -> Out {
    let item = Item::Message(message);
    Output::Deliver {
        worker,
        entry,
        item,
    }
}

const fn deliver_close(worker: WorkerId, entry: EntryId) -> Out {
    let item = Item::Close;
    Output::Deliver {
        worker,
        entry,
        item,
    }
}

const fn closed(entry: EntryId) -> Out {
    let port = Port(entry);
    Output::ClosePort { entry, port }
}

const fn wake(worker: WorkerId, entry: EntryId) -> Out {
    Output::Wake { worker, entry }
}

#[test]
fn messages_of_one_port_come_in_order_and_one_at_a_time() {
    let (mut world, entry) = World::running(MESSAGE);
    assert_eq!(world.message(entry, 1), [deliver(V1, entry, 1)]);
    assert_eq!(world.message(entry, 2), []);
    assert_eq!(world.message(entry, 3), []);
    let other = world.add(V1, WorkerState::Activated, "other");
    assert_eq!(
        world.message(other, 9),
        [deliver(V1, other, 9)],
        "ports do not wait for each other"
    );
    assert_eq!(world.consumed(V1, entry), [deliver(V1, entry, 2)]);
    assert_eq!(world.consumed(V1, entry), [deliver(V1, entry, 3)]);
    assert_eq!(world.consumed(V1, entry), []);
}

#[test]
fn a_stopped_worker_is_woken_once_and_gets_what_waited() {
    let (mut world, entry) = World::activated(MESSAGE);
    let other = world.add(V1, WorkerState::Activated, "other");
    assert_eq!(world.message(entry, 1), [wake(V1, entry)]);
    assert_eq!(world.message(other, 2), [], "it is being woken already");
    assert_eq!(
        world.run(V1, MESSAGE),
        [deliver(V1, entry, 1), deliver(V1, other, 2)]
    );
}

#[test]
fn a_message_that_nobody_listens_for_is_held() {
    // A stopped worker is judged by its first evaluation: it is not even woken.
    let (mut world, entry) = World::activated(NONE);
    assert_eq!(world.message(entry, 1), []);
    assert_eq!(world.run(V1, NONE), []);
    // A running one by its listeners now.
    assert_eq!(world.run(V1, MESSAGE), [deliver(V1, entry, 1)]);
    assert_eq!(world.run(V1, NONE), []);
    assert_eq!(world.message(entry, 2), []);
    assert_eq!(world.consumed(V1, entry), []);
    assert_eq!(world.run(V1, MESSAGE), [deliver(V1, entry, 2)]);
}

#[test]
fn a_worker_that_ran_without_listening_is_not_woken_again_for_the_same_message() {
    let (mut world, entry) = World::activated(MESSAGE);
    assert_eq!(world.message(entry, 1), [wake(V1, entry)]);
    assert_eq!(world.run(V1, NONE), []);
    assert_eq!(world.stop(V1, vec![]), [], "or it would never rest");
    assert_eq!(world.message(entry, 2), [wake(V1, entry)]);
    assert_eq!(world.run(V1, MESSAGE), [deliver(V1, entry, 1)]);
}

#[test]
fn what_a_worker_has_not_dispatched_when_it_stops_comes_again() {
    let (mut world, entry) = World::running(MESSAGE);
    let done = world.add(V1, WorkerState::Activated, "done");
    world.message(entry, 1);
    world.message(entry, 2);
    world.message(done, 3);
    world.message(done, 4);
    // Something was dispatched in this run, so the worker is not at fault.
    let third = world.add(V1, WorkerState::Activated, "third");
    world.message(third, 5);
    world.consumed(V1, third);

    let item = Item::Message(1);
    assert_eq!(world.stop(V1, vec![(entry, item)]), [wake(V1, entry)]);
    assert_eq!(
        world.run(V1, MESSAGE),
        [deliver(V1, entry, 1), deliver(V1, done, 4)],
        "3 did not come back: it counts as dispatched"
    );
    assert_eq!(world.consumed(V1, entry), [deliver(V1, entry, 2)]);
}

#[test]
fn a_worker_that_cannot_start_or_dies_at_once_is_left_alone_for_a_while() {
    let (mut world, entry) = World::activated(MESSAGE);
    let start = world.now;
    world.message(entry, 1);
    assert_eq!(world.input(Input::StartFailed { worker: V1 }), []);
    assert_eq!(world.message(entry, 2), []);
    assert_eq!(
        world.stash.poll_timeout(),
        Some(start + Duration::from_secs(1))
    );
    world
        .stash
        .handle_timeout(start + Duration::from_millis(999));
    assert_eq!(world.outputs(), [], "too early");
    world.now = start + Duration::from_secs(1);
    world.stash.handle_timeout(world.now);
    assert_eq!(world.outputs(), [wake(V1, entry)]);

    // It starts, and dies before it has dispatched anything: twice as long.
    assert_eq!(world.run(V1, MESSAGE), [deliver(V1, entry, 1)]);
    let item = Item::Message(1);
    assert_eq!(world.stop(V1, vec![(entry, item)]), []);
    assert_eq!(
        world.stash.poll_timeout(),
        Some(world.now + Duration::from_secs(2))
    );
    // Someone else starts it: it gets its messages at once, and is forgiven when it dispatches.
    assert_eq!(world.run(V1, MESSAGE), [deliver(V1, entry, 1)]);
    assert_eq!(world.stash.poll_timeout(), None);
    assert_eq!(world.consumed(V1, entry), [deliver(V1, entry, 2)]);
    assert_eq!(world.stop(V1, vec![]), []);
    assert_eq!(world.message(entry, 3), [wake(V1, entry)]);
}

#[test]
fn a_port_stashed_while_installing_is_served_by_that_worker_until_it_has_activated() {
    let (mut world, _) = World::running(MESSAGE);
    world.state(V2, WorkerState::Parsed, NONE);
    world.state(V2, WorkerState::Installing, MESSAGE);
    let entry = world.add(V2, WorkerState::Installing, "analytics");
    assert_eq!(
        world.message(entry, 1),
        [wake(V2, entry)],
        "not the active worker"
    );
    world.run(V2, MESSAGE);
    assert_eq!(world.state(V2, WorkerState::Installed, MESSAGE), []);
    assert_eq!(world.consumed(V2, entry), []);
    assert_eq!(world.message(entry, 2), [deliver(V2, entry, 2)]);
    assert_eq!(world.consumed(V2, entry), []);

    world.stop(V1, vec![]);
    world.state(V1, WorkerState::Redundant, MESSAGE);
    world.state(V2, WorkerState::Activating, MESSAGE);
    assert_eq!(world.message(entry, 3), [deliver(V2, entry, 3)]);
    world.state(V2, WorkerState::Activated, MESSAGE);
    assert_eq!(world.consumed(V2, entry), []);
    assert_eq!(world.message(entry, 4), [deliver(V2, entry, 4)]);
}

#[test]
fn an_update_keeps_the_entries_and_holds_their_messages_until_the_new_worker_has_activated() {
    let (mut world, entry) = World::running(MESSAGE);
    world.message(entry, 1);
    world.message(entry, 2);
    world.state(V2, WorkerState::Installed, MESSAGE);
    world.run(V2, MESSAGE);
    let item = Item::Message(1);
    assert_eq!(world.stop(V1, vec![(entry, item)]), []);
    assert_eq!(world.state(V1, WorkerState::Redundant, MESSAGE), []);
    assert_eq!(world.matched("echo"), [entry]);
    assert_eq!(world.state(V2, WorkerState::Activating, MESSAGE), []);
    assert_eq!(world.message(entry, 3), [], "activating is not activated");
    assert_eq!(
        world.state(V2, WorkerState::Activated, MESSAGE),
        [deliver(V2, entry, 1)]
    );
    assert_eq!(world.consumed(V2, entry), [deliver(V2, entry, 2)]);
    assert_eq!(world.consumed(V2, entry), [deliver(V2, entry, 3)]);
}

#[test]
fn a_worker_that_never_activates_takes_its_entries_with_it() {
    let (mut world, kept) = World::activated(MESSAGE);
    world.state(V2, WorkerState::Installing, MESSAGE);
    let entry = world.add(V2, WorkerState::Installing, "echo");
    world.message(entry, 1);
    assert_eq!(world.matched("echo"), [kept, entry]);
    assert_eq!(
        world.state(V2, WorkerState::Redundant, MESSAGE),
        [closed(entry)]
    );
    assert_eq!(world.matched("echo"), [kept]);
    assert_eq!(world.message(entry, 2), [], "the entry is gone");
    // Said twice, and said of the active worker, it closes nothing more.
    assert_eq!(world.state(V2, WorkerState::Redundant, MESSAGE), []);
    assert_eq!(world.state(V1, WorkerState::Redundant, MESSAGE), []);
    assert_eq!(world.matched("echo"), [kept]);
}

#[test]
fn close_comes_after_the_last_message_and_ends_the_entry() {
    let (mut world, entry) = World::activated(BOTH);
    world.message(entry, 1);
    world.message(entry, 2);
    assert_eq!(world.input(Input::PeerClosed { entry }), []);
    assert_eq!(world.input(Input::PeerClosed { entry }), [], "said twice");
    assert_eq!(
        world.matched("echo"),
        [],
        "match gives entangled ports only"
    );
    assert_eq!(world.message(entry, 3), [], "no message follows a close");
    assert_eq!(world.run(V1, BOTH), [deliver(V1, entry, 1)]);
    assert_eq!(world.consumed(V1, entry), [deliver(V1, entry, 2)]);
    assert_eq!(world.consumed(V1, entry), [deliver_close(V1, entry)]);
    // The worker dies first: the event comes again.
    let item = Item::Close;
    assert_eq!(world.stop(V1, vec![(entry, item)]), [wake(V1, entry)]);
    assert_eq!(world.run(V1, BOTH), [deliver_close(V1, entry)]);
    assert_eq!(world.consumed(V1, entry), [closed(entry)]);
    assert!(world.stash.entry(entry).is_none());
}

#[test]
fn a_close_that_comes_while_the_script_is_evaluated_waits_for_its_listeners() {
    for (listens, heard) in [(EventType::Close, true), (EventType::Fetch, false)] {
        let now = Instant::now();
        let mut stash = Stash::<u8, &str>::new(Limits::default());
        let (registration, worker) = (RegistrationId(1), WorkerId(1));
        // Top-level code adds it; nobody knows yet what the worker listens to.
        let state = WorkerState::Parsed;
        let entry = stash.add(NewEntry {
            registration,
            worker,
            state,
            name: "early".to_owned(),
            port: 1,
            created: Timestamp(0),
        });
        let entry = entry.unwrap();
        stash.handle_input(now, Input::PeerClosed { entry });
        assert_eq!(stash.poll_output(), None);
        let handles = EventTypes::NONE.with(listens);
        stash.handle_input(
            now,
            Input::Worker {
                registration,
                worker,
                state,
                handles,
            },
        );
        let listeners = handles;
        stash.handle_input(now, Input::Running { worker, listeners });
        let outputs: Vec<_> = std::iter::from_fn(|| stash.poll_output()).collect();
        let wakes = matches!(&outputs[..], [Output::Wake { .. }, ..]);
        let delivers = matches!(
            outputs.last(),
            Some(Output::Deliver {
                item: Item::Close,
                ..
            })
        );
        assert_eq!((wakes, delivers), (heard, heard), "{outputs:?}");
        let closes = matches!(&outputs[..], [Output::ClosePort { .. }]);
        assert_eq!(closes, !heard, "{outputs:?}");
    }
}

#[test]
fn a_close_that_nobody_listens_for_wakes_nobody_and_ends_the_entry() {
    let (mut stopped, entry) = World::activated(MESSAGE);
    assert_eq!(stopped.input(Input::PeerClosed { entry }), [closed(entry)]);

    let (mut woken, entry) = World::activated(BOTH);
    assert_eq!(woken.input(Input::PeerClosed { entry }), [wake(V1, entry)]);
    assert_eq!(
        woken.run(V1, MESSAGE),
        [closed(entry)],
        "by its listeners now"
    );

    // It came while the worker was being woken for something else, in vain.
    let (mut failed, entry) = World::activated(MESSAGE);
    let other = failed.add(V1, WorkerState::Activated, "other");
    failed.message(other, 1);
    assert_eq!(failed.input(Input::PeerClosed { entry }), []);
    assert_eq!(
        failed.input(Input::StartFailed { worker: V1 }),
        [closed(entry)]
    );

    // Messages that nobody listens for come first, so the entry stays.
    let (mut held, entry) = World::activated(NONE);
    held.message(entry, 1);
    assert_eq!(held.input(Input::PeerClosed { entry }), []);
    assert_eq!(held.run(V1, MESSAGE), [deliver(V1, entry, 1)]);
    assert_eq!(held.consumed(V1, entry), [closed(entry)]);
}

#[test]
fn a_transferred_port_takes_with_it_what_nobody_has_seen() {
    let (mut world, entry) = World::running(MESSAGE);
    for message in 1..=3 {
        world.message(entry, message);
    }
    let transfer = Input::Transfer {
        entry,
        undispatched: Some(1),
    };
    let released = |messages| Output::Released {
        entry,
        port: Port(entry),
        messages,
        closed: false,
    };
    assert_eq!(world.input(transfer.clone()), [released(vec![1, 2, 3])]);
    assert_eq!(world.input(transfer), [], "it is gone");
    assert_eq!(world.matched("echo"), [] as [EntryId; 0]);
    assert_eq!(world.consumed(V1, entry), []);

    // What was dispatched stays where it was seen, and nothing can be smuggled in.
    let (mut world, entry) = World::running(MESSAGE);
    for message in 1..=3 {
        world.message(entry, message);
    }
    let transfer = |undispatched| Input::Transfer {
        entry,
        undispatched,
    };
    assert_eq!(world.input(transfer(None)), [released(vec![2, 3])]);
    let (mut world, same) = World::running(MESSAGE);
    assert_eq!(same, entry);
    assert_eq!(world.input(transfer(Some(7))), [released(vec![])]);
}

#[test]
fn a_transferred_port_whose_peer_is_closed_says_so() {
    let (mut world, entry) = World::activated(NONE);
    world.message(entry, 1);
    assert_eq!(world.input(Input::PeerClosed { entry }), []);
    let undispatched = None;
    world.stash.handle_input(
        world.now,
        Input::Transfer {
            entry,
            undispatched,
        },
    );
    let released = world.stash.take_released(entry).unwrap();
    assert_eq!((released.messages, released.closed), (vec![1], true));
}

#[test]
fn what_the_store_does_not_have_yet_is_held_with_all_that_comes_after_it_and_counts() {
    let (mut world, entry) = World::running(BOTH);
    let message = 1;
    let bytes = 10;
    let waits = Input::MessageWaits {
        entry,
        message,
        bytes,
    };
    assert_eq!(world.input(waits), []);
    assert_eq!(world.message(entry, 2), []);
    assert_eq!(world.input(Input::PeerClosed { entry }), []);
    let held = world.stash.entry(entry).unwrap();
    assert!(held.queued_bytes() >= 10 + Limits::MESSAGE_OVERHEAD);
    assert_eq!((held.waiting(), held.unaccepted()), (2, 1));
    assert_eq!(
        world.input(Input::Accepted { entry }),
        [deliver(V1, entry, 1)]
    );
    assert_eq!(world.input(Input::Accepted { entry }), [], "all are");
    assert_eq!(world.consumed(V1, entry), [deliver(V1, entry, 2)]);
}

#[test]
fn messages_that_wait_for_the_store_count_against_the_quota() {
    let mut limits = Limits::default();
    limits.queued_bytes = 1_000;
    let mut world = World::with(limits);
    world.state(V1, WorkerState::Activated, MESSAGE);
    let entry = world.add(V1, WorkerState::Activated, "echo");
    let waits = |message| Input::MessageWaits {
        entry,
        message,
        bytes: 600,
    };
    assert_eq!(world.input(waits(1)), []);
    let over = Output::QuotaExceeded {
        registration: REGISTRATION,
        entry,
    };
    assert_eq!(world.input(waits(2)), [over, closed(entry)]);
    assert_eq!(world.input(Input::Accepted { entry }), [], "late");
}

#[test]
fn closing_a_view_closes_the_port_and_clearing_a_registration_closes_them_all() {
    let (mut world, first) = World::running(MESSAGE);
    let second = world.add(V1, WorkerState::Activated, "echo");
    let third = world.add(V1, WorkerState::Activated, "echo");
    world.message(second, 1);
    assert_eq!(
        world.input(Input::Close { entry: second }),
        [closed(second)]
    );
    assert_eq!(world.input(Input::Close { entry: second }), []);
    let registration = REGISTRATION;
    assert_eq!(
        world.input(Input::RegistrationCleared { registration }),
        [closed(first), closed(third)]
    );
    assert_eq!(world.matched("echo"), [] as [EntryId; 0]);
    assert_eq!(world.stop(V1, vec![(second, Item::Message(1))]), []);
}

#[test]
fn match_gives_a_names_entries_in_the_order_they_were_stashed() {
    let (mut world, first) = World::activated(MESSAGE);
    let other = world.add(V1, WorkerState::Activated, "other");
    let second = world.add(V1, WorkerState::Activated, "echo");
    let third = world.add(V1, WorkerState::Activated, "echo");
    assert_eq!(world.matched("echo"), [first, second, third]);
    assert_eq!(world.matched("ech"), [] as [EntryId; 0]);
    assert_eq!(world.matched(""), [] as [EntryId; 0]);
    let elsewhere = world.stash.match_name(RegistrationId(2), "echo");
    assert_eq!(elsewhere.count(), 0);

    world.message(first, 1);
    let name = "other".to_owned();
    assert_eq!(world.input(Input::Rename { entry: first, name }), []);
    assert_eq!(world.matched("echo"), [second, third]);
    assert_eq!(world.matched("other"), [other, first]);
    assert_eq!(
        world.run(V1, MESSAGE),
        [deliver(V1, first, 1)],
        "its queue is kept"
    );
    let entry = world.stash.entry(first).map(|e| (e.name(), e.created()));
    assert_eq!(entry, Some(("other", Timestamp(1_000))));
    assert_eq!(world.stash.entry(first).map(|e| e.stashed_by()), Some(V1));
}

#[test]
fn a_port_that_cannot_be_stashed_comes_back_with_a_name_for_it() {
    let mut limits = Limits::default();
    limits.entries = 2;
    let mut world = World::with(limits);
    let redundant = world.new_entry(V1, WorkerState::Redundant, "echo");
    let refused = world.stash.add(redundant).map_err(|e| (e.reason, e.port));
    let port = Port(EntryId(1));
    assert_eq!(refused, Err((AddError::InvalidState, port)));
    assert_eq!(AddError::InvalidState.name(), "InvalidStateError");

    world.next = 1;
    let first = world.add(V1, WorkerState::Activated, "echo");
    world.add(V1, WorkerState::Activated, "echo");
    let third = world.new_entry(V1, WorkerState::Activated, "other");
    let refused = world.stash.add(third).map_err(|e| (e.reason, e.port));
    let port = Port(EntryId(3));
    assert_eq!(refused, Err((AddError::QuotaExceeded, port)));
    assert_eq!(AddError::QuotaExceeded.name(), "QuotaExceededError");

    world.input(Input::Close { entry: first });
    world.next = 3;
    world.add(V1, WorkerState::Activated, "other");
}

#[test]
fn a_worker_that_is_redundant_and_still_runs_cannot_stash() {
    let (mut world, _) = World::running(MESSAGE);
    world.state(V1, WorkerState::Redundant, MESSAGE);
    let late = world.new_entry(V1, WorkerState::Activated, "echo");
    let refused = world.stash.add(late).map_err(|e| e.reason);
    assert_eq!(refused, Err(AddError::InvalidState));
}

#[test]
fn a_flooded_port_is_closed_and_the_others_of_its_registration_are_not() {
    let mut limits = Limits::default();
    limits.queued_bytes = 10 * (10 + Limits::MESSAGE_OVERHEAD);
    let mut world = World::with(limits);
    world.state(V1, WorkerState::Activated, NONE);
    let modest = world.add(V1, WorkerState::Activated, "modest");
    let flooded = world.add(V1, WorkerState::Activated, "flooded");
    world.message(modest, 0);
    for message in 1..10 {
        assert_eq!(world.message(flooded, message), []);
    }
    assert_eq!(
        world.message(modest, 10),
        [
            Output::QuotaExceeded {
                registration: REGISTRATION,
                entry: flooded
            },
            closed(flooded)
        ],
        "not the one that came last, but the one that holds most"
    );
    assert_eq!(
        world.run(V1, MESSAGE),
        [deliver(V1, modest, 0)],
        "nothing of it is lost"
    );
    assert_eq!(world.consumed(V1, modest), [deliver(V1, modest, 10)]);
    assert_eq!(world.consumed(V1, modest), []);
    let left = world.stash.entry(modest).map(|entry| entry.queued_bytes());
    assert_eq!(left, Some(0), "what is consumed is free again");

    let huge = Input::MessageArrived {
        entry: modest,
        message: 11,
        bytes: usize::MAX,
    };
    assert_eq!(
        world.input(huge),
        [
            Output::QuotaExceeded {
                registration: REGISTRATION,
                entry: modest
            },
            closed(modest)
        ]
    );
}

#[test]
fn what_is_in_flight_counts_until_it_is_consumed() {
    let mut limits = Limits::default();
    limits.queued_bytes = 10 + Limits::MESSAGE_OVERHEAD;
    let mut world = World::with(limits);
    world.state(V1, WorkerState::Activated, MESSAGE);
    world.run(V1, MESSAGE);
    let entry = world.add(V1, WorkerState::Activated, "echo");
    for message in 0..5 {
        assert_eq!(world.message(entry, message), [deliver(V1, entry, message)]);
        assert_eq!(world.consumed(V1, entry), []);
    }
    world.message(entry, 5);
    assert_eq!(
        world.message(entry, 6).len(),
        2,
        "a slow worker's port closes"
    );
}

#[test]
fn answers_that_nobody_asked_for_are_ignored() {
    let (mut world, entry) = World::running(MESSAGE);
    let (nobody, nothing) = (WorkerId(99), EntryId(99));
    assert_eq!(world.run(nobody, MESSAGE), []);
    assert_eq!(world.stop(nobody, vec![(entry, Item::Message(1))]), []);
    assert_eq!(world.input(Input::StartFailed { worker: nobody }), []);
    assert_eq!(world.input(Input::StartFailed { worker: V1 }), []);
    assert_eq!(world.message(nothing, 1), []);
    assert_eq!(world.consumed(V1, nothing), []);
    assert_eq!(world.consumed(V1, entry), []);
    assert_eq!(world.input(Input::PeerClosed { entry: nothing }), []);
    let name = String::new();
    assert_eq!(
        world.input(Input::Rename {
            entry: nothing,
            name
        }),
        []
    );

    // A wrong worker consumes nothing; a wrong item does not come back.
    world.message(entry, 1);
    world.message(entry, 2);
    world.state(V2, WorkerState::Installed, MESSAGE);
    assert_eq!(world.consumed(V2, entry), []);
    assert_eq!(world.stop(V2, vec![(entry, Item::Message(1))]), []);
    assert_eq!(
        world.state(V1, WorkerState::Installing, NONE),
        [],
        "a worker never goes back"
    );
    assert_eq!(
        world.stop(V1, vec![(entry, Item::Close)]),
        [wake(V1, entry)]
    );
    assert_eq!(world.run(V1, MESSAGE), [deliver(V1, entry, 2)]);
}
