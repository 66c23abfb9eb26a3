//! Message ports as HTML specifies them, as a concurrent data structure whose transfer is a move.
//!
//! ```
//! use message_port::{Event, Message, MessageChannel};
//!
//! let MessageChannel { port1: page, port2: worker } = MessageChannel::new();
//! let MessageChannel { port1: ours, port2: theirs } = MessageChannel::new();
//! ours.post_message(Message::new("sent before the move"));
//! page.post_message(Message::new("here is a port").with_port(theirs.transfer()?));
//!
//! let mut worker = worker;
//! worker.start(); // a port message queue is disabled at first
//! let Ok(Event::Message(mut message)) = worker.try_recv() else { panic!("nothing came") };
//! let mut theirs = message.ports.remove(0).receive(); // disabled again, its queue in order
//! theirs.start();
//! let Ok(Event::Message(first)) = theirs.try_recv() else { panic!("nothing came") };
//! assert_eq!(first.payload, "sent before the move");
//!
//! drop(ours); // as close() does: the other end hears of it, after its last message, once
//! assert!(matches!(theirs.try_recv(), Ok(Event::Close)));
//! # Ok::<(), message_port::TransferError>(())
//! ```
//!
//! The three types to know:
//! - [`MessagePort`], one end of an entangled pair; a [`MessageChannel`] is two of them.
//! - [`Message`], bytes and the ports that travel with them.
//! - [`TransferredPort`], a port under way: HTML's transfer steps make it of a port, the receiving
//!   steps make a port of it.
//!
//! Many threads may use the ends of a pair at once; nothing here blocks except
//! [`MessagePort::recv_blocking`], and no waker, callback or destructor of a caller runs while a
//! lock is held.
//!
//! Between processes a [`node::Node`] carries ports over any ordered stream of bytes, as a state
//! machine without I/O, which the page of [`node`] shows in a loop; users still see
//! [`MessagePort`]s only. The feature `tokio` adds `driver`, that loop over tokio's streams.
//!
//! What it does *not* do: serialize values (payloads are bytes), run an event loop, fire events,
//! know of listeners or origins, bound a queue, or order what comes through different ports (HTML's
//! *unshipped port message queue*). What a binding does step by step is said at
//! [`MessagePort::post_message`], which failures of a transfer list are exceptions in
//! [`transfer_list`].

#![forbid(unsafe_code)]

mod channel;
#[cfg(all(feature = "tokio", not(message_port_loom)))]
pub mod driver;
mod error;
mod message;
#[cfg(not(message_port_loom))]
pub mod node;
mod pair;
mod port;
mod receive;
mod reclaim;
mod sync;
pub mod transfer_list;

pub use channel::MessageChannel;
pub use error::{EntangleError, TransferError, TryRecvError};
pub use message::{Event, Message};
pub use port::{MessagePort, Posted, TransferredPort};
