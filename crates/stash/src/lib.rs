//! Ports that outlive the service worker that stashed them: a registration keeps them, and a
//! message to one wakes the worker that it is for.
//!
//! [`Stash`] is a sans-I/O state machine: no clock, no thread, no port of its own. It is generic
//! over the type `P` of ports, which it keeps and hands back, and over the type `M` of messages,
//! which it queues and hands on.
//!
//! ```
//! use std::time::Instant;
//! use stash::{Input, Item, Limits, NewEntry, Output, Stash};
//! use sw_types::{EventType, EventTypes, RegistrationId, Timestamp, WorkerId, WorkerState};
//!
//! let now = Instant::now();
//! let mut stash = Stash::<&str, &str>::new(Limits::default());
//! let (registration, worker) = (RegistrationId(1), WorkerId(7));
//! let handles = EventTypes::NONE.with(EventType::Message);
//! let state = WorkerState::Activated;
//! stash.handle_input(now, Input::Worker { registration, worker, state, handles });
//!
//! // self.ports.add('echoClient', port)
//! let name = "echoClient".to_owned();
//! let created = Timestamp(0);
//! let port = "a port";
//! let entry = stash.add(NewEntry { registration, worker, state, name, port, created })?;
//! assert_eq!(stash.match_name(registration, "echoClient").collect::<Vec<_>>(), [entry]);
//!
//! // The worker has stopped long ago. A message wakes it and waits for it.
//! stash.handle_input(now, Input::MessageArrived { entry, message: "hello", bytes: 5 });
//! assert_eq!(stash.poll_output(), Some(Output::Wake { worker, entry }));
//! stash.handle_input(now, Input::Running { worker, listeners: handles });
//! let item = Item::Message("hello");
//! assert_eq!(stash.poll_output(), Some(Output::Deliver { worker, entry, item }));
//! stash.handle_input(now, Input::Consumed { worker, entry });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The three that you meet first: [`Stash`], its [`Input`]s and its [`Output`]s.
//!
//! It does not read from ports, serialize messages, start workers or throttle their starts. It
//! writes nothing to disk: [`record`] says how entries and messages look there, for whoever does.

#![forbid(unsafe_code)]

mod deliver;
mod entry;
mod limits;
mod messages;
mod pace;
pub mod record;
mod stash;
mod worker;

pub use entry::Entry;
pub use limits::Limits;
pub use messages::{AddError, EntryId, Input, Item, NewEntry, NotAdded, Output, Released};
pub use stash::Stash;
