//! The failure rules of a transfer list, as values that a binding turns into exceptions.
//!
//! HTML looks at a transfer list twice, and between the two the value is serialized, which runs
//! scripts and may throw with nothing detached yet: [`check`] before, [`transfer`] after. What stands
//! in the list before the object at which `transfer` fails is detached by then, and stays so.
//!
//! ```
//! use std::cell::RefCell;
//! use std::ptr;
//!
//! use message_port::transfer_list::{self, TransferListError};
//! use message_port::{Message, MessageChannel, MessagePort};
//!
//! /// An object of the binding; it is detached while it holds nothing.
//! type Object = RefCell<Option<MessagePort>>;
//!
//! fn post_message(source: &Object, value: &'static str, list: &[&Object]) -> Result<(), TransferListError> {
//!     transfer_list::check(Some(ptr::from_ref(source)), list.iter().copied().map(ptr::from_ref))?;
//!     let mut message = Message::new(value); // stands for the serialization, which may throw
//!     message.ports = transfer_list::transfer(list.iter().map(|object| object.borrow_mut()))?;
//!     if let Some(port) = &*source.borrow() {
//!         port.post_message(message);
//!     }
//!     Ok(())
//! }
//!
//! let object = |port: MessagePort| Object::new(Some(port));
//! let MessageChannel { port1, port2: _far } = MessageChannel::new();
//! let a = object(port1);
//! let MessageChannel { port1, port2 } = MessageChannel::new();
//! let (b, c) = (object(port1), object(port2));
//! let source = post_message(&a, "no", &[&b, &a]).unwrap_err();
//! assert_eq!(source, TransferListError::Source { index: 1 });
//! let duplicate = post_message(&a, "no", &[&b, &b]).unwrap_err();
//! assert_eq!(duplicate, TransferListError::Duplicate { index: 1 });
//! assert!(b.borrow().is_some(), "nothing is detached by these two");
//!
//! c.borrow().as_ref().unwrap().close();
//! let detached = post_message(&a, "no", &[&b, &c]).unwrap_err();
//! assert_eq!(detached, TransferListError::Detached { index: 1 });
//! assert!(b.borrow().is_none(), "the earlier port is gone all the same");
//! # assert!(c.borrow().is_some());
//! # assert_eq!(detached.exception_name(), "DataCloneError");
//! ```

use std::collections::BTreeSet;
use std::ops::DerefMut;

use crate::{MessagePort, TransferredPort};

/// Why a transfer list is refused, and at which of its items, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransferListError {
    /// The list contains the port that the message is posted through (*message port post message
    /// steps*, 2). Nothing is detached.
    #[error("item {index} of the transfer list is the port that the message is posted through")]
    Source {
        /// Which item.
        index: usize,
    },
    /// An object stands in the list for the second time (*StructuredSerializeWithTransfer*, 2.3).
    /// Nothing is detached.
    #[error("item {index} of the transfer list is in it already")]
    Duplicate {
        /// Which item: the later of the two.
        index: usize,
    },
    /// A port was transferred or closed before (*StructuredSerializeWithTransfer*, 5: its
    /// `[[Detached]]` is true). The items before it are detached by this call.
    #[error("item {index} of the transfer list is detached")]
    Detached {
        /// Which item.
        index: usize,
    },
}

impl TransferListError {
    /// The name of the `DOMException` to throw: it is the same for all of them.
    #[must_use]
    pub const fn exception_name(self) -> &'static str {
        match self {
            Self::Source { .. } | Self::Duplicate { .. } | Self::Detached { .. } => {
                "DataCloneError"
            }
        }
    }
}

/// What is checked before the value is serialized. `list` has what tells the objects of the transfer
/// list apart, of whatever kind they are, and `source` that of the port which the message is posted
/// through, if it is one. Takes time n log n.
///
/// That the *target* is in the list is no failure: the message is doomed, which
/// [`MessagePort::post_message`] finds by itself, and everything in the list is detached.
///
/// # Errors
/// [`TransferListError::Source`], and if it is not that, [`TransferListError::Duplicate`].
pub fn check<K: Ord>(
    source: Option<K>,
    list: impl IntoIterator<Item = K>,
) -> Result<(), TransferListError> {
    let mut known = BTreeSet::new();
    let mut duplicate = Ok(());
    for (index, object) in list.into_iter().enumerate() {
        // Message port post message steps, 2: if transfer contains sourcePort, then throw.
        if source.as_ref() == Some(&object) {
            return Err(TransferListError::Source { index });
        }
        // StructuredSerializeWithTransfer, 2.3: if memory[transferable] exists, then throw. (That
        // is a later step, so the first duplicate only counts if the source does not come.)
        if !known.insert(object) && duplicate.is_ok() {
            duplicate = Err(TransferListError::Duplicate { index });
        }
    }
    duplicate
}

/// What is done after the value was serialized: detaches the ports of the list, one after another.
/// The slots are those of the objects, as references or as guards (of a `RefCell`, a `Mutex`), each
/// of which is given back before the next is asked for. A list with objects of other kinds in it
/// calls [`MessagePort::transfer_from`] for each port instead.
///
/// # Errors
/// [`TransferListError::Detached`]. The ports before that one are destroyed, the others untouched.
pub fn transfer(
    slots: impl IntoIterator<Item = impl DerefMut<Target = Option<MessagePort>>>,
) -> Result<Vec<TransferredPort>, TransferListError> {
    let transferred = slots.into_iter().enumerate().map(|(index, mut slot)| {
        let port = MessagePort::transfer_from(&mut slot);
        port.ok_or(TransferListError::Detached { index })
    });
    transferred.collect()
}
