//! Whether a handler has accepted: SEMANTICS §5.2, rules D1 to D4.

/// What a handler of a connect event has done so far. A script binding records, and asks
/// [`verdict`](Self::verdict) after every change until it is no longer [`Verdict::Pending`].
///
/// A default record is that of an event whose dispatch has just begun.
///
/// ```
/// use connect::{AcceptOutcome, HandlerRecord, Phase, Verdict};
///
/// // addEventListener('connect', event => event.acceptConnection(true));
/// let mut handler = HandlerRecord::default();
/// handler.accept_connection()?;
/// handler.phase = Phase::Dispatched;
/// assert_eq!(handler.verdict(), Verdict::Pending);
/// handler.accept_settled(AcceptOutcome::Boolean(true));
/// assert_eq!(handler.verdict(), Verdict::AcceptPair);
/// # Ok::<(), connect::InvalidState>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandlerRecord {
    /// How far the event is.
    pub phase: Phase,
    /// `acceptConnection` was called, and this is what its argument has come to.
    pub accept: Option<AcceptOutcome>,
    /// `event.client` was read.
    pub read_client: bool,
    /// `event.origin` was read.
    pub read_origin: bool,
    /// `event.targetURL` or `event.targetUrl` was read.
    pub read_target_url: bool,
    /// `event.port` was read.
    pub read_port: bool,
    /// The object that is both `event.port` and `event.client.port` was used, through either name:
    /// postMessage, start, onmessage set, a listener added, transferred, stashed.
    pub port_used: bool,
    /// That port is closed.
    pub port_closed: bool,
    /// What was passed to `waitUntil`, and the one promise that `acceptConnection` adds.
    pub lifetime_promises: LifetimePromises,
}

/// How far an event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the life of an event")]
pub enum Phase {
    /// Its listeners are being called.
    #[default]
    Dispatching,
    /// They have returned; the event is active as long as a lifetime promise is pending.
    Dispatched,
    /// It timed out or its worker was terminated; what is pending now never counts.
    Ended,
}

/// How many lifetime promises an event has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LifetimePromises {
    /// Not settled.
    pub pending: u32,
    /// Fulfilled.
    pub fulfilled: u32,
    /// Rejected.
    pub rejected: u32,
}

/// What the argument of `acceptConnection` has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "what a promise can come to")]
pub enum AcceptOutcome {
    /// Not settled.
    Pending,
    /// A `MessagePort`; `live` unless it is detached or closed.
    Port {
        /// Whether it can be transferred.
        live: bool,
    },
    /// Something that is not an object, after `ToBoolean`.
    Boolean(bool),
    /// Any other object.
    Object,
    /// The promise was rejected.
    Rejected,
}

/// What follows from a [`HandlerRecord`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an unhandled verdict is a bug")]
pub enum Verdict {
    /// Not yet: ask again after the next change.
    Pending,
    /// Transfer the port that was given to `acceptConnection` to the client, its queue included,
    /// and resolve the result promise with `undefined`.
    AcceptGiven,
    /// Give the client the partner of `event.port`; if `acceptConnection` was called, resolve its
    /// result promise with `event.port`.
    AcceptPair,
    /// Refuse; if `acceptConnection` was called, reject its result promise with an AbortError. The
    /// reason is for the service's developer and never reaches the client.
    Refuse(Refusal),
}

/// Why a handler's doings are a refusal, for the service's own console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// D4: no rule accepts.
    #[error("the handler neither called acceptConnection nor used the connection's port")]
    NotAccepted,
    /// D1: a falsy value.
    #[error("acceptConnection was given a false value")]
    False,
    /// D1: an object that is no port.
    #[error("acceptConnection was given an object that is not a MessagePort")]
    NoPort,
    /// D1: the argument was rejected.
    #[error("the promise given to acceptConnection was rejected")]
    AcceptRejected,
    /// D1 to D3: the port is detached or closed.
    #[error("the port is closed or detached")]
    PortClosed,
    /// D2: a lifetime promise was rejected.
    #[error("a promise given to waitUntil was rejected")]
    LifetimeRejected,
    /// The event timed out or its worker was terminated first.
    #[error("the event ended before the connection was accepted")]
    Ended,
}

/// `InvalidStateError`: `acceptConnection` was called before, or the event is not active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("acceptConnection was called before, or its event is over")]
#[non_exhaustive]
pub struct InvalidState;

impl HandlerRecord {
    /// Whether the event is active. (*Service Workers*, "ExtendableEvent", "active".)
    #[must_use]
    pub const fn is_active(&self) -> bool {
        match self.phase {
            Phase::Dispatching => true,
            Phase::Dispatched => self.lifetime_promises.pending > 0,
            Phase::Ended => false,
        }
    }

    /// `acceptConnection` is called: the first call counts and adds a lifetime promise.
    ///
    /// # Errors
    /// [`InvalidState`] for a second call and for one when the event is not active; the result
    /// promise rejects with it, and nothing else changes.
    pub const fn accept_connection(&mut self) -> Result<(), InvalidState> {
        if self.accept.is_some() || !self.is_active() {
            return Err(InvalidState);
        }
        self.accept = Some(AcceptOutcome::Pending);
        self.lifetime_promises.pending = self.lifetime_promises.pending.saturating_add(1);
        Ok(())
    }

    /// The argument of `acceptConnection` has settled. Only the first outcome counts, and none
    /// after the event has ended.
    pub fn accept_settled(&mut self, outcome: AcceptOutcome) {
        let pending = self.accept == Some(AcceptOutcome::Pending) && self.is_active();
        if pending && outcome != AcceptOutcome::Pending {
            self.accept = Some(outcome);
            self.lifetime_promise_settled(outcome != AcceptOutcome::Rejected);
        }
    }

    /// `waitUntil` is called.
    ///
    /// # Errors
    /// [`InvalidState`] when the event is not active; `waitUntil` throws it.
    pub const fn wait_until(&mut self) -> Result<(), InvalidState> {
        if !self.is_active() {
            return Err(InvalidState);
        }
        self.lifetime_promises.pending = self.lifetime_promises.pending.saturating_add(1);
        Ok(())
    }

    /// A promise that was given to `waitUntil` has settled.
    pub const fn lifetime_promise_settled(&mut self, fulfilled: bool) {
        let promises = &mut self.lifetime_promises;
        let Some(pending) = promises.pending.checked_sub(1) else {
            return;
        };
        promises.pending = pending;
        if fulfilled {
            promises.fulfilled = promises.fulfilled.saturating_add(1);
        } else {
            promises.rejected = promises.rejected.saturating_add(1);
        }
    }

    /// Whether the handler has accepted, by the first rule that applies.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        // D1: `acceptConnection` was called. Its outcome decides as soon as it is there.
        if let Some(outcome) = self.accept {
            return self.by_accept_connection(outcome);
        }
        // The other rules look at the whole event: `acceptConnection` may still be called.
        if self.is_active() {
            return Verdict::Pending;
        }
        let promises = self.lifetime_promises;
        let added = promises.pending > 0 || promises.fulfilled > 0 || promises.rejected > 0;
        let read_the_event = self.read_origin || self.read_target_url || self.read_port;
        // D2: read `client` and nothing of the other dialects, and added a lifetime promise:
        // accept if and only if all fulfil before the timeout.
        if self.read_client && !read_the_event && added {
            return if promises.rejected > 0 {
                Verdict::Refuse(Refusal::LifetimeRejected)
            } else {
                self.accept_pair()
            };
        }
        // D3: the port was used by the end of dispatch and of all lifetime promises.
        if self.port_used {
            return self.accept_pair();
        }
        // D4.
        Verdict::Refuse(Refusal::NotAccepted)
    }

    fn by_accept_connection(&self, outcome: AcceptOutcome) -> Verdict {
        match outcome {
            AcceptOutcome::Pending if self.phase == Phase::Ended => Verdict::Refuse(Refusal::Ended),
            AcceptOutcome::Pending => Verdict::Pending,
            AcceptOutcome::Port { live: true } => Verdict::AcceptGiven,
            AcceptOutcome::Port { live: false } => Verdict::Refuse(Refusal::PortClosed),
            AcceptOutcome::Boolean(true) if self.port_closed => {
                Verdict::Refuse(Refusal::PortClosed)
            }
            AcceptOutcome::Boolean(true) => Verdict::AcceptPair,
            AcceptOutcome::Boolean(false) => Verdict::Refuse(Refusal::False),
            AcceptOutcome::Object => Verdict::Refuse(Refusal::NoPort),
            AcceptOutcome::Rejected => Verdict::Refuse(Refusal::AcceptRejected),
        }
    }

    /// The end of D2 and D3, which know of no port but the event's own.
    const fn accept_pair(&self) -> Verdict {
        if self.lifetime_promises.pending > 0 {
            Verdict::Refuse(Refusal::Ended)
        } else if self.port_closed {
            Verdict::Refuse(Refusal::PortClosed)
        } else {
            Verdict::AcceptPair
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The handler has returned and nothing is pending.
    fn returned(mut handler: HandlerRecord) -> Verdict {
        assert_eq!(handler.phase, Phase::Dispatching);
        handler.phase = Phase::Dispatched;
        handler.verdict()
    }

    fn accepted_with(outcome: AcceptOutcome) -> HandlerRecord {
        let mut handler = HandlerRecord::default();
        handler.accept_connection().unwrap();
        handler.accept_settled(outcome);
        handler
    }

    fn waits_for(promises: &[bool], mut handler: HandlerRecord) -> HandlerRecord {
        for _ in promises {
            handler.wait_until().unwrap();
        }
        for fulfilled in promises {
            handler.lifetime_promise_settled(*fulfilled);
        }
        handler
    }

    #[test]
    fn accept_connection_decides_by_what_its_argument_comes_to() {
        for (outcome, verdict) in [
            (AcceptOutcome::Port { live: true }, Verdict::AcceptGiven),
            (
                AcceptOutcome::Port { live: false },
                Verdict::Refuse(Refusal::PortClosed),
            ),
            (AcceptOutcome::Boolean(true), Verdict::AcceptPair),
            (
                AcceptOutcome::Boolean(false),
                Verdict::Refuse(Refusal::False),
            ),
            (AcceptOutcome::Object, Verdict::Refuse(Refusal::NoPort)),
            (
                AcceptOutcome::Rejected,
                Verdict::Refuse(Refusal::AcceptRejected),
            ),
        ] {
            // D1 is the first rule: whatever else the handler did changes nothing.
            for read_client in [false, true] {
                for port_used in [false, true] {
                    let handler = HandlerRecord {
                        read_client,
                        port_used,
                        ..waits_for(&[true], accepted_with(outcome))
                    };
                    assert_eq!(returned(handler), verdict, "{outcome:?}");
                }
            }
        }
    }

    #[test]
    fn accept_connection_may_be_called_later_but_only_once_and_only_while_the_event_is_active() {
        let mut handler = HandlerRecord::default();
        handler.wait_until().unwrap();
        handler.phase = Phase::Dispatched;
        assert_eq!(handler.verdict(), Verdict::Pending);
        handler.accept_connection().unwrap();
        assert_eq!(handler.accept_connection(), Err(InvalidState));
        handler.lifetime_promise_settled(true);
        assert!(handler.is_active(), "the call added a promise of its own");
        handler.accept_settled(AcceptOutcome::Boolean(true));
        handler.accept_settled(AcceptOutcome::Rejected);
        assert_eq!(handler.verdict(), Verdict::AcceptPair);
        assert!(!handler.is_active());

        let mut late = HandlerRecord {
            phase: Phase::Dispatched,
            ..HandlerRecord::default()
        };
        assert_eq!(late.accept_connection(), Err(InvalidState));
        assert_eq!(late.wait_until(), Err(InvalidState));
        assert_eq!(late.verdict(), Verdict::Refuse(Refusal::NotAccepted));
    }

    #[test]
    fn an_event_that_ends_first_is_refused_and_stays_so() {
        let mut handler = HandlerRecord::default();
        handler.accept_connection().unwrap();
        handler.phase = Phase::Ended;
        assert_eq!(handler.verdict(), Verdict::Refuse(Refusal::Ended));
        handler.accept_settled(AcceptOutcome::Boolean(true));
        assert_eq!(handler.verdict(), Verdict::Refuse(Refusal::Ended));
        for used in [
            HandlerRecord {
                read_client: true,
                ..HandlerRecord::default()
            },
            HandlerRecord {
                port_used: true,
                ..HandlerRecord::default()
            },
        ] {
            let mut used = used;
            used.wait_until().unwrap();
            used.phase = Phase::Ended;
            assert_eq!(used.verdict(), Verdict::Refuse(Refusal::Ended));
        }
    }

    #[test]
    fn a_handler_of_the_client_dialect_accepts_if_all_its_promises_fulfil() {
        let reads_client = HandlerRecord {
            read_client: true,
            ..HandlerRecord::default()
        };
        assert_eq!(
            returned(waits_for(&[true, true], reads_client)),
            Verdict::AcceptPair
        );
        assert_eq!(
            returned(waits_for(&[true, false], reads_client)),
            Verdict::Refuse(Refusal::LifetimeRejected)
        );
        assert_eq!(
            returned(reads_client),
            Verdict::Refuse(Refusal::NotAccepted),
            "no promise"
        );
        // `client.port.postMessage()` does not save a handler whose promise is rejected.
        let posts = HandlerRecord {
            port_used: true,
            ..reads_client
        };
        assert_eq!(
            returned(waits_for(&[false], posts)),
            Verdict::Refuse(Refusal::LifetimeRejected)
        );
        // `client.port.close()` before acceptance refuses.
        let closes = HandlerRecord {
            port_closed: true,
            ..reads_client
        };
        assert_eq!(
            returned(waits_for(&[true], closes)),
            Verdict::Refuse(Refusal::PortClosed)
        );
    }

    #[test]
    fn waiting_for_something_does_not_turn_a_refusal_into_an_acceptance() {
        // if (event.origin !== friend) event.waitUntil(log());
        for other_dialect in [
            HandlerRecord {
                read_origin: true,
                ..HandlerRecord::default()
            },
            HandlerRecord {
                read_target_url: true,
                ..HandlerRecord::default()
            },
            HandlerRecord {
                read_port: true,
                ..HandlerRecord::default()
            },
        ] {
            for read_client in [false, true] {
                let handler = HandlerRecord {
                    read_client,
                    ..waits_for(&[true], other_dialect)
                };
                assert_eq!(returned(handler), Verdict::Refuse(Refusal::NotAccepted));
            }
        }
        assert_eq!(
            returned(waits_for(&[true], HandlerRecord::default())),
            Verdict::Refuse(Refusal::NotAccepted)
        );
    }

    #[test]
    fn a_port_that_is_used_accepts_and_a_port_that_is_only_read_does_not() {
        let read = HandlerRecord {
            read_origin: true,
            read_port: true,
            ..HandlerRecord::default()
        };
        assert_eq!(returned(read), Verdict::Refuse(Refusal::NotAccepted));
        let used = HandlerRecord {
            port_used: true,
            ..read
        };
        assert_eq!(
            used.verdict(),
            Verdict::Pending,
            "it may still accept or close"
        );
        assert_eq!(returned(used), Verdict::AcceptPair);
        assert_eq!(
            returned(waits_for(&[false], used)),
            Verdict::AcceptPair,
            "D3 asks for the end of the promises, not for their success"
        );
        let closed = HandlerRecord {
            port_closed: true,
            ..used
        };
        assert_eq!(returned(closed), Verdict::Refuse(Refusal::PortClosed));
    }

    #[test]
    fn settling_more_promises_than_were_added_changes_nothing() {
        let mut handler = HandlerRecord::default();
        handler.lifetime_promise_settled(true);
        assert_eq!(handler, HandlerRecord::default());
        handler.accept_settled(AcceptOutcome::Boolean(true));
        assert_eq!(handler, HandlerRecord::default());
    }
}
