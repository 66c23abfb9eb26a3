//! How much the messages of an agent hold that nobody has read yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// What a message takes beside its record, about.
const MESSAGE: usize = 64;

/// How many bytes the records take that an agent has made and nobody has let go of, wherever they are.
#[derive(Clone, Debug, Default)]
pub(in crate::js) struct Unread(Arc<AtomicUsize>);

impl Unread {
    /// A record that counts as long as somebody holds it.
    pub(in crate::js) fn record(&self, bytes: Vec<u8>) -> Bytes {
        self.0
            .fetch_add(bytes.capacity() + MESSAGE, Ordering::Relaxed);
        Bytes::from_owner(Counted {
            bytes,
            unread: self.clone(),
        })
    }

    /// How many bytes there are.
    pub(in crate::js) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

struct Counted {
    bytes: Vec<u8>,
    unread: Unread,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let taken = self.bytes.capacity() + MESSAGE;
        self.unread.0.fetch_sub(taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_until_its_last_holder_lets_go() {
        let unread = Unread::default();
        let record = unread.record(vec![1, 2, 3]);
        let part = record.slice(1..2);
        drop(record);
        assert!(unread.bytes() >= 3);
        assert_eq!(&part[..], [2]);
        drop(part);
        assert_eq!(unread.bytes(), 0);
    }
}
