//! A team takes `stash` alone: its ports are numbers, its messages strings, its disk a map.

use std::collections::BTreeMap;
use std::time::Instant;

use stash::record::{self, Kind, StoredEntry, StoredMessage};
use stash::{AddError, EntryId, Input, Item, Limits, NewEntry, Output, Stash};
use sw_types::{EventType, EventTypes, RegistrationId, Timestamp, WorkerId, WorkerState};

const REGISTRATION: RegistrationId = RegistrationId(1);
const WORKER: WorkerId = WorkerId(2);

type Numbers = Stash<u32, String>;

fn activated(now: Instant, stash: &mut Numbers) -> EventTypes {
    let handles = EventTypes::NONE.with(EventType::Message);
    stash.handle_input(
        now,
        Input::Worker {
            registration: REGISTRATION,
            worker: WORKER,
            state: WorkerState::Activated,
            handles,
        },
    );
    handles
}

fn entry(name: &str, port: u32) -> NewEntry<u32> {
    NewEntry {
        registration: REGISTRATION,
        worker: WORKER,
        state: WorkerState::Activated,
        name: name.to_owned(),
        port,
        created: Timestamp(0),
    }
}

#[test]
fn a_message_for_a_stopped_worker_wakes_it_and_transfer_takes_what_it_has_not_seen() {
    let now = Instant::now();
    let mut stash = Numbers::new(Limits::default());
    let handles = activated(now, &mut stash);
    let id = stash.add(entry("clients", 7)).unwrap();
    for text in ["one", "two"] {
        let message = text.to_owned();
        let bytes = message.len();
        let entry = id;
        stash.handle_input(
            now,
            Input::MessageArrived {
                entry,
                message,
                bytes,
            },
        );
    }
    let wake = Output::Wake {
        worker: WORKER,
        entry: id,
    };
    assert_eq!(stash.poll_output(), Some(wake));
    let listeners = handles;
    let worker = WORKER;
    stash.handle_input(now, Input::Running { worker, listeners });
    let Some(Output::Deliver { item, .. }) = stash.poll_output() else {
        panic!("nothing is delivered");
    };
    assert_eq!(item, Item::Message("one".to_owned()));
    let entry = id;
    stash.handle_input(now, Input::Consumed { worker, entry });
    let Some(Output::Deliver { item, .. }) = stash.poll_output() else {
        panic!("the next is not delivered");
    };
    let Item::Message(two) = item else {
        panic!("it is {item:?}");
    };
    let undispatched = Some(two);
    stash.handle_input(
        now,
        Input::Transfer {
            entry,
            undispatched,
        },
    );
    let released = stash.take_released(id).unwrap();
    assert_eq!(
        (released.port, released.messages),
        (7, vec!["two".to_owned()])
    );
    assert!(stash.entry(id).is_none());
}

#[test]
fn a_full_registration_keeps_what_it_has() {
    let mut limits = Limits::default();
    limits.entries = 1;
    let mut stash = Numbers::new(limits);
    let first = stash.add(entry("clients", 1)).unwrap();
    let refused = stash.add(entry("clients", 2)).unwrap_err();
    assert_eq!((refused.reason, refused.port), (AddError::QuotaExceeded, 2));
    assert!(!stash.has_room(REGISTRATION));
    let found: Vec<_> = stash.match_name(REGISTRATION, "clients").collect();
    assert_eq!(found, [first]);
}

#[test]
fn rows_carry_an_entry_and_its_messages_over_a_restart() {
    let mut disk = BTreeMap::new();
    let id = EntryId(9);
    let row = StoredEntry {
        registration: REGISTRATION,
        stashed_by: WORKER,
        activated: true,
        created: Timestamp(5),
        name: "clients".to_owned(),
        place: 3,
        peer: None,
    };
    let message = StoredMessage {
        payload: Some(b"hello".to_vec()),
        bytes: 5,
        ports: Vec::new(),
    };
    let key = record::key(id, Kind::Entry);
    disk.insert(key.clone(), record::encode(&key, &row).unwrap());
    let key = record::key(id, Kind::Message(1));
    disk.insert(key.clone(), record::encode(&key, &message).unwrap());

    let now = Instant::now();
    let mut stash = Numbers::new(Limits::default());
    activated(now, &mut stash);
    for (key, value) in disk.range(record::of_entry(id)..) {
        match record::parse_key(key) {
            Some((id, Kind::Entry)) => {
                let row: StoredEntry = record::decode(key, value).unwrap();
                assert_eq!(stash.restore(id, entry(&row.name, 7)), Some(id));
            }
            Some((entry, Kind::Message(_))) => {
                let stored: StoredMessage = record::decode(key, value).unwrap();
                let message = String::from_utf8(stored.payload.unwrap()).unwrap();
                let bytes = message.len();
                stash.handle_input(
                    now,
                    Input::MessageArrived {
                        entry,
                        message,
                        bytes,
                    },
                );
            }
            _ => panic!("what is {key:?}?"),
        }
    }
    assert_eq!(stash.entry(id).map(|entry| entry.name()), Some("clients"));
    assert!(matches!(stash.poll_output(), Some(Output::Wake { .. })));
    // The next id is not one that was given before.
    assert_eq!(stash.add(entry("more", 8)).unwrap(), EntryId(10));
}
