//! What two stashed ports say to each other while neither side has an open client: in stretches,
//! with rests in between. (SEMANTICS §8.7.)
//!
//! A worker is idle when it has had no event for a while; two that answer each other never are. In a
//! rest the messages wait in their entries, and a worker that nothing else keeps stops.

use std::time::{Duration, Instant};

use sw_types::RegistrationId;

use crate::stash::Due;
use crate::{EntryId, Limits, Stash};

/// The unattended messages of a registration.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When its stretch began.
    began: Instant,
    /// How many it was given in that stretch.
    deliveries: u32,
    /// When it was last given one, or has rested.
    last: Instant,
    /// Rests in a row without a break of its own.
    rests: u32,
    until: Option<Instant>,
}

impl Pace {
    const fn new(now: Instant) -> Self {
        Self {
            began: now,
            deliveries: 0,
            last: now,
            rests: 0,
            until: None,
        }
    }

    /// Until when it rests.
    pub(crate) const fn rests_until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether it must wait; a rest that begins now is in [`Self::rests_until`].
    fn is_resting(&mut self, now: Instant, limits: &Limits) -> bool {
        match self.until {
            Some(until) if now < until => return true,
            Some(until) => {
                self.until = None;
                (self.began, self.last, self.deliveries) = (now, until, 0);
            }
            None => {}
        }
        let pause = now.saturating_duration_since(self.last);
        if pause >= limits.first_rest {
            // It has rested by itself.
            (self.began, self.last, self.deliveries) = (now, now, 0);
            if pause >= limits.rest(self.rests) {
                self.rests = 0;
            }
        }
        let stretch = now.saturating_duration_since(self.began);
        if stretch < limits.unattended_stretch && self.deliveries < limits.unattended_deliveries {
            return false;
        }
        self.rests = self.rests.saturating_add(1);
        // A rest of no length would end before it has begun.
        let rest = limits.rest(self.rests).max(Duration::from_millis(1));
        self.until = now.checked_add(rest);
        self.until.is_some()
    }
}

impl<P, M> Stash<P, M> {
    /// "Throttle when neither origin has an open client": whether the messages of this entry must
    /// wait now.
    pub(crate) fn is_resting(&mut self, id: EntryId) -> bool {
        let (Some(registration), Some(now)) = (self.unattended(id), self.now) else {
            return false;
        };
        let Some(collection) = self.collections.get_mut(&registration) else {
            return false;
        };
        let pace = collection.pace.get_or_insert_with(|| Pace::new(now));
        let rested = pace.until;
        let resting = pace.is_resting(now, &self.limits);
        if pace.until != rested {
            if let Some(rested) = rested {
                self.timers.remove(&(rested, Due::Rested(registration)));
            }
            if let Some(until) = pace.until {
                tracing::debug!(%registration, "has a rest from what nobody attends");
                self.timers.insert((until, Due::Rested(registration)));
            }
        }
        resting
    }

    /// A message of this entry is given to a worker.
    pub(crate) fn delivers(&mut self, id: EntryId) {
        let (Some(registration), Some(now)) = (self.unattended(id), self.now) else {
            return;
        };
        let collection = self.collections.get_mut(&registration);
        if let Some(pace) = collection.and_then(|collection| collection.pace.as_mut()) {
            pace.deliveries = pace.deliveries.saturating_add(1);
            pace.last = now;
        }
    }

    /// The registration of an entry, if the entry's peer is stashed and neither side has an open
    /// client.
    fn unattended(&self, id: EntryId) -> Option<RegistrationId> {
        let entry = self.entries.get(&id)?;
        let peer = self.entries.get(&entry.peer?)?;
        let is_unattended = |registration| {
            self.collections
                .get(&registration)
                .is_some_and(|it| it.unattended)
        };
        let neither = is_unattended(entry.registration()) && is_unattended(peer.registration());
        neither.then(|| entry.registration())
    }

    pub(crate) fn entangled(&mut self, id: EntryId, peer: Option<EntryId>) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.peer = peer;
            // It may have been resting as the peer of another.
            self.deliver(id);
        }
    }

    pub(crate) fn attended(&mut self, registration: RegistrationId, attended: bool) {
        let Some(collection) = self.collections.get_mut(&registration) else {
            return;
        };
        let before = std::mem::replace(&mut collection.unattended, !attended);
        if !attended || !before {
            return;
        }
        // Neither it nor the other side of its ports has to rest any more.
        let peers = self
            .entries(registration)
            .filter_map(|(_, entry)| entry.peer);
        for peer in peers.collect::<Vec<_>>() {
            self.deliver(peer);
        }
        self.deliver_all(registration);
    }
}
