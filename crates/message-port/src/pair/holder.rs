//! In whose queue an end's port travels, and how many ports travel in its own; see `reclaim.rs`.

use std::mem;

use super::{EndRef, Side};

impl EndRef {
    /// Whether any port travels in the queue, the owner's inbox included.
    pub(crate) fn has_queued_ports(&self) -> bool {
        self.lock().own(self.side).queued_ports > 0
    }

    /// Says that `ports` were taken out of the owner's inbox.
    pub(crate) fn took_ports(&self, ports: usize) {
        self.lock().own(self.side).queued_ports -= ports;
    }

    /// Says that `ports` were put back into the owner's inbox.
    pub(crate) fn put_back_ports(&self, ports: usize) {
        self.lock().own(self.side).queued_ports += ports;
    }

    /// The end in whose queue this end's port travels.
    pub(crate) fn holder(&self) -> Option<Self> {
        let mut state = self.lock();
        let own = state.own(self.side);
        let pair = own.holder.clone()?;
        let side = own.holder_side;
        Some(Self { pair, side })
    }

    /// Says in whose queue this end's port travels, or that it does not travel any more.
    pub(crate) fn set_holder(&self, holder: Option<Self>) {
        let side = holder.as_ref().map_or(Side::First, |holder| holder.side);
        let mut state = self.lock();
        let own = state.own(self.side);
        let replaced = mem::replace(&mut own.holder, holder.map(|holder| holder.pair));
        own.holder_side = side;
        // Dropped after the lock: it may be the last reference to its pair.
        drop(state);
        drop(replaced);
    }
}
