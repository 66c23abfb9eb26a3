//! The record of one hop: who was asked, for how long, and why not the others.

use std::fmt;
use std::time::{Duration, Instant};

use fetch_router::{LoopReason, Route, Verdict};
use sw_registry::JobError;
use sw_types::RegistrationId;
use url::Url;

use super::network::Sent;
use super::{AnsweredBy, FetchError};
use crate::Clock;

/// What was decided about one hop of a fetch, and what came of it, by the host's clock. It answers the
/// question "why did my worker not see it?"; displayed, in a line for each who could have answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecisionRecord {
    /// What the router decided before anybody was asked: the router rule that matched, and for each of
    /// the two workers that it is asked, or the reason that it is not.
    pub route: Route,
    /// The registration of the client's own worker (for a local fetch, the one that matches the URL),
    /// if one was found, whether or not its worker was asked.
    pub own_registration: Option<RegistrationId>,
    /// The registration that could have answered by fall-through, likewise: there is one at most, that
    /// with the longest scope.
    pub fall_through_registration: Option<RegistrationId>,
    /// The prefix of `handleFallThroughRequests` that lets the request through, if it is let through.
    pub fall_through_prefix: Option<Url>,
    /// Whether a navigation preload was begun beside the own worker's event.
    pub preload: bool,
    /// Who was asked, in the order in which they were; both sides of a race.
    pub attempts: Vec<Attempt>,
    /// Whose response was taken; `None` if the fetch failed.
    pub answered_by: Option<AnsweredBy>,
    /// The protocol by which the network answered, as [`NetworkResponse::protocol`] has it; empty if
    /// somebody else did, or nobody.
    ///
    /// [`NetworkResponse::protocol`]: crate::NetworkResponse::protocol
    pub protocol: &'static str,
    /// When the hop began.
    pub began: Instant,
    /// How long it took, until there was the head of a response, or none.
    pub took: Duration,
}

/// Someone who was asked for a response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// Who.
    pub who: AnsweredBy,
    /// When the question was on its way: for a worker, before it was started.
    pub began: Instant,
    /// How long it took, until there was the head of a response, or none.
    pub took: Duration,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an [`Attempt`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Its response was taken.
    Answered,
    /// It let the request go: no listener called `respondWith`, or the cache has nothing.
    NotHandled,
    /// It was not waited for, and the next one was asked.
    PassedBy(PassedBy),
    /// The other side of a race was taken.
    LostRace,
    /// A network error: nobody else is asked.
    Failed(String),
}

/// Why a worker that was to see a request was passed by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassedBy {
    /// Services would have waited for one another. (SEMANTICS §5.4, "Loops".)
    #[error(transparent)]
    Loop(#[from] LoopReason),
    /// It did not start, or may not be started now.
    #[error(transparent)]
    NotStarted(#[from] JobError),
    /// It did not call `respondWith` within the fall-through deadline.
    #[error("it did not start and call respondWith within the fall-through deadline")]
    Deadline,
    /// It died before it called `respondWith`.
    #[error("it died before it called respondWith")]
    Died,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered => f.write_str("answered"),
            Self::NotHandled => f.write_str("let it go"),
            Self::PassedBy(reason) => write!(f, "was passed by: {reason}"),
            Self::LostRace => f.write_str("lost the race"),
            Self::Failed(reason) => write!(f, "failed: {reason}"),
        }
    }
}

impl fmt::Display for DecisionRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(matched) = self.route.static_route {
            let source = matched.source.as_str();
            writeln!(f, "router rule {}: {source}", matched.rule)?;
        }
        let sides = [
            ("own worker", self.own_registration, self.route.own),
            (
                "fall-through",
                self.fall_through_registration,
                self.route.fall_through,
            ),
        ];
        for (side, registration, verdict) in sides {
            write!(f, "{side}")?;
            if let Some(registration) = registration {
                write!(f, " of {registration}")?;
            }
            match verdict {
                Verdict::Skip(reason) => writeln!(f, ": not asked, {reason}")?,
                Verdict::Dispatch { worker, .. } => writeln!(f, ": {worker}")?,
            }
        }
        if let Some(prefix) = &self.fall_through_prefix {
            writeln!(f, "let through by its prefix {prefix}")?;
        }
        if self.preload {
            writeln!(f, "the navigation was preloaded")?;
        }
        for Attempt {
            who, took, outcome, ..
        } in &self.attempts
        {
            writeln!(f, "{who} {outcome}, after {took:?}")?;
        }
        match self.answered_by {
            Some(who) => write!(f, "answered by {who}, after {:?}", self.took),
            None => write!(f, "nobody answered, after {:?}", self.took),
        }
    }
}

impl fmt::Display for AnsweredBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnWorker(worker) => write!(f, "the own worker, {worker},"),
            Self::LocalWorker(worker) => write!(f, "the local worker, {worker},"),
            Self::CacheStorage(_) => f.write_str("the cache"),
            Self::FallThrough(worker) => write!(f, "the fall-through worker, {worker},"),
            Self::Network => f.write_str("the network"),
            Self::HttpCache => f.write_str("the HTTP cache"),
        }
    }
}

/// The attempts of a hop, as they are made.
pub(super) struct Attempts<'a> {
    clock: &'a dyn Clock,
    pub(super) list: Vec<Attempt>,
    /// The protocol by which the network answered, if it did.
    pub(super) protocol: &'static str,
}

impl<'a> Attempts<'a> {
    pub(super) const fn new(clock: &'a dyn Clock) -> Self {
        Self {
            clock,
            list: Vec::new(),
            protocol: "",
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// What began then is over.
    pub(super) fn ended(&mut self, who: AnsweredBy, began: Instant, outcome: Outcome) {
        let took = self.now().saturating_duration_since(began);
        self.list.push(Attempt {
            who,
            began,
            took,
            outcome,
        });
    }

    /// The network has answered, or not.
    pub(super) fn ended_by_network(&mut self, began: Instant, sent: &Result<Sent, FetchError>) {
        match sent {
            Ok(sent) => {
                self.protocol = sent.protocol;
                self.ended(sent.answered_by, began, Outcome::Answered);
            }
            Err(error) => {
                let outcome = Outcome::Failed(error.to_string());
                self.ended(AnsweredBy::Network, began, outcome);
            }
        }
    }

    /// The last attempt gave a response that may not be used.
    pub(super) fn last_failed(&mut self, reason: &impl fmt::Display) {
        if let Some(last) = self.list.last_mut() {
            last.outcome = Outcome::Failed(reason.to_string());
        }
    }
}
