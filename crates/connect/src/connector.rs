//! The handshake: SEMANTICS §5.1, step by step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use sw_types::{ClientId, EventId, EventType, Origin, RequestId, WorkerId, WorkerState};
use url::Url;

use crate::Limits;
use crate::limits::after;
use crate::messages::{
    Caller, Candidate, Connect, ConnectError, ConnectEventInit, Decision, Input, Output, Target,
};
use crate::rate::RateLimit;

/// Carries every pending connect of one profile from the call to its settlement.
///
/// Call [`admit`](Self::admit) first and [`handle_input`](Self::handle_input) with what it gave;
/// after every input and every timeout, take all of [`poll_output`](Self::poll_output), then ask
/// [`poll_timeout`](Self::poll_timeout) when to call [`handle_timeout`](Self::handle_timeout).
///
/// Every [`Connect`] is answered by exactly one [`Output::Settle`].
#[derive(Debug)]
pub struct Connector<P> {
    limits: Limits,
    trustworthy: BTreeSet<Origin>,
    installs: bool,
    rate: RateLimit,
    attempts: BTreeMap<RequestId, Attempt>,
    events: BTreeMap<EventId, RequestId>,
    timers: BTreeSet<(Instant, RequestId)>,
    outputs: VecDeque<Output<P>>,
}

#[derive(Debug)]
struct Attempt {
    client: ClientId,
    called: Instant,
    jitter: Duration,
    /// When the attempt's step ends at the latest; always in `timers`.
    due: Instant,
    step: Step,
}

/// Where in §5.1 an attempt waits.
#[derive(Debug)]
enum Step {
    /// Step 4, under the policy of row 34: the service is being installed.
    Install { target: Box<Target> },
    /// Step 5: Fire Functional Event waits until the worker is activated and runs.
    Run {
        worker: WorkerId,
        init: Box<ConnectEventInit>,
    },
    /// Step 5: the event is dispatched, and §5.2 decides.
    Decide { event: EventId },
    /// Step 6: it is refused, and settles in its time class.
    Refused,
}

impl<P> Connector<P> {
    /// A connector without any connect.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            trustworthy: BTreeSet::new(),
            installs: false,
            rate: RateLimit::default(),
            attempts: BTreeMap::new(),
            events: BTreeMap::new(),
            timers: BTreeSet::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Treats these origins as potentially trustworthy too, whether they call or are called: the
    /// knob that step 1 allows, for experiments with insecure pages. (*Secure Contexts*, §3.1,
    /// "origins that the user agent has been configured to trust".)
    #[must_use]
    pub fn trusting(mut self, origins: impl IntoIterator<Item = Origin>) -> Self {
        self.trustworthy.extend(origins);
        self
    }

    /// Tries to install a service where none is, from the headers of the response to its URL: the
    /// optional policy of SEMANTICS §4.2 row 34. A client can tell from the time that it takes
    /// whether a service was there before, which is why no preset chooses it.
    #[must_use]
    pub const fn installing(mut self) -> Self {
        self.installs = true;
        self
    }

    /// The limits that it was made with.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Steps 1 and 2: whether `caller` may connect to `url`, parsed against its API base URL.
    ///
    /// The Content Security Policy, which ends step 2, needs the parsed URL and is handed in with
    /// [`Connect::connect_src_blocks`].
    ///
    /// # Errors
    /// [`ConnectError::InvalidState`] for a redundant worker, [`ConnectError::Security`] for an
    /// insecure client or target, [`ConnectError::Type`] for a bad URL. The promise rejects with it
    /// at once.
    pub fn admit(&self, caller: Caller, url: &str, base: &Url) -> Result<Target, ConnectError> {
        // "`connect` is allowed from any worker state except redundant."
        if matches!(caller.worker, Some((_, WorkerState::Redundant))) {
            return Err(ConnectError::InvalidState);
        }
        // connect, step 1: insecure client.
        let client = &caller.environment;
        if !client.secure_context && !self.trustworthy.contains(&client.origin) {
            return Err(ConnectError::Security);
        }
        // connect, step 2: parse; http(s) only; trustworthy target; drop the fragment.
        let mut url = base.join(url).map_err(|_| ConnectError::Type)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ConnectError::Type);
        }
        let origin = Origin::of(&url);
        if !origin.is_potentially_trustworthy() && !self.trustworthy.contains(&origin) {
            return Err(ConnectError::Security);
        }
        url.set_fragment(None);
        Ok(Target {
            caller,
            url,
            origin,
        })
    }

    /// Takes an input. Unknown and late ids are ignored and traced; a connect whose id is in use is
    /// ignored too.
    pub fn handle_input(&mut self, now: Instant, input: Input<P>) {
        // What is due is due, even if the input came before the timer was looked at.
        self.handle_timeout(now);
        match input {
            Input::Connect(connect) => self.connect(now, *connect),
            Input::Installed { id, candidate } => self.installed(now, id, candidate),
            Input::WorkerReady { id, event } => self.worker_ready(id, event),
            Input::StartFailed { id } => match self.attempts.get(&id).map(|a| &a.step) {
                Some(Step::Run { .. }) => self.refuse(now, id, "its worker did not start"),
                _ => tracing::debug!(%id, "late start failure"),
            },
            Input::Decision { event, decision } => self.decided(now, event, decision),
            Input::ClientGone { client } => self.client_gone(client),
        }
    }

    /// The next thing to do, if any. Ask again until there is none, after every call of
    /// [`handle_input`](Self::handle_input) and [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output<P>> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next; changes with every input.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Does what is due by `now`. A call that is too early does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(due, id)) = self.timers.first() {
            if due > now {
                return;
            }
            match self.attempts.get(&id).map(|a| &a.step) {
                Some(Step::Refused) => self.settle(id, Err(ConnectError::Abort)),
                Some(Step::Install { .. } | Step::Run { .. } | Step::Decide { .. }) => {
                    self.cancel(id);
                    self.refuse(due, id, "its deadline has passed");
                }
                None => {
                    self.timers.remove(&(due, id));
                }
            }
        }
    }

    fn connect(&mut self, now: Instant, connect: Connect) {
        let id = connect.id;
        if self.attempts.contains_key(&id) {
            tracing::warn!(%id, "a connect with this id is pending already");
            return;
        }
        // connect, step 2, its end: CSP `connect-src`.
        if connect.connect_src_blocks {
            return self.outputs.push_back(Output::Settle {
                id,
                result: Err(ConnectError::Security),
            });
        }
        let due = after(now, self.limits.deadline);
        self.timers.insert((due, id));
        let attempt = Attempt {
            client: connect.target.caller.environment.id,
            called: now,
            jitter: connect.jitter.min(self.limits.jitter),
            due,
            step: Step::Refused,
        };
        self.attempts.insert(id, attempt);
        // connect, step 4: "Rate limit …, whether or not anything is registered."
        let Target { caller, origin, .. } = &connect.target;
        let client = &caller.environment;
        let site = (client.top_level_site.clone(), client.ephemeral);
        if !self.rate.admit(now, site, origin, &self.limits) {
            return self.refuse(now, id, "over the rate limit");
        }
        match connect.candidate {
            None if self.installs => self.install(id, connect.target),
            candidate => self.ask(now, id, connect.target, candidate),
        }
    }

    /// Row 34: "potential to pull down the SW".
    fn install(&mut self, id: RequestId, target: Target) {
        self.outputs.push_back(Output::Install {
            id,
            client: target.caller.environment.id,
            url: target.url.clone(),
        });
        if let Some(attempt) = self.attempts.get_mut(&id) {
            let target = Box::new(target);
            attempt.step = Step::Install { target };
        }
    }

    fn installed(&mut self, now: Instant, id: RequestId, candidate: Option<Candidate>) {
        let Some(attempt) = self.attempts.get_mut(&id) else {
            return tracing::debug!(%id, "late installation");
        };
        match std::mem::replace(&mut attempt.step, Step::Refused) {
            Step::Install { target } => self.ask(now, id, *target, candidate),
            waits_for_something_else => {
                attempt.step = waits_for_something_else;
                tracing::debug!(%id, "late installation");
            }
        }
    }

    /// connect, steps 4 and 5: Fire Functional Event at the candidate, or nobody is asked.
    fn ask(&mut self, now: Instant, id: RequestId, target: Target, candidate: Option<Candidate>) {
        let (candidate, event_type) = match event_type(&target, candidate) {
            Ok(found) => found,
            Err(reason) => return self.refuse(now, id, reason),
        };
        let Target {
            caller,
            url,
            origin,
        } = target;
        self.outputs.push_back(Output::Run {
            id,
            registration: candidate.registration,
            worker: candidate.worker,
            top_level_site: caller.environment.top_level_site.clone(),
        });
        let init = Box::new(ConnectEventInit {
            event_type,
            target_url: url,
            client_url: client_url(&caller, &origin),
            origin: caller.environment.origin,
        });
        if let Some(attempt) = self.attempts.get_mut(&id) {
            let worker = candidate.worker;
            attempt.step = Step::Run { worker, init };
        }
    }

    /// connect, step 5: the worker is activated and runs; exactly one event is dispatched.
    fn worker_ready(&mut self, id: RequestId, event: EventId) {
        if self.events.contains_key(&event) {
            return tracing::warn!(%id, %event, "an event with this id is dispatched already");
        }
        let Some(attempt) = self.attempts.get_mut(&id) else {
            return tracing::debug!(%id, "late worker");
        };
        match std::mem::replace(&mut attempt.step, Step::Decide { event }) {
            Step::Run { worker, init } => {
                self.events.insert(event, id);
                self.outputs.push_back(Output::Dispatch {
                    id,
                    event,
                    worker,
                    init,
                });
            }
            waits_for_something_else => {
                attempt.step = waits_for_something_else;
                tracing::debug!(%id, "late worker");
            }
        }
    }

    /// connect, steps 5 and 6: the handler accepted or refused.
    fn decided(&mut self, now: Instant, event: EventId, decision: Decision<P>) {
        match (self.events.get(&event).copied(), decision) {
            (Some(id), Decision::Accept(port)) => self.settle(id, Ok(port)),
            (Some(id), Decision::Refuse) => self.refuse(now, id, "its handler did not accept"),
            (None, Decision::Accept(port)) => {
                tracing::debug!(%event, "accepted when nobody waited");
                self.outputs.push_back(Output::Close { port });
            }
            (None, Decision::Refuse) => tracing::debug!(%event, "refused when nobody waited"),
        }
    }

    /// connect, step 5: "Client gone meanwhile → cancel." Nobody can see when this settles.
    fn client_gone(&mut self, client: ClientId) {
        let its = |(id, attempt): (&RequestId, &Attempt)| (attempt.client == client).then_some(*id);
        let ids: Vec<_> = self.attempts.iter().filter_map(its).collect();
        for id in ids {
            self.cancel(id);
            self.settle(id, Err(ConnectError::Abort));
        }
    }

    /// Tells the outside that nobody waits for what it was asked for.
    fn cancel(&mut self, id: RequestId) {
        let event = match self.attempts.get(&id).map(|a| &a.step) {
            Some(Step::Install { .. } | Step::Run { .. }) => None,
            Some(Step::Decide { event }) => Some(*event),
            Some(Step::Refused) | None => return,
        };
        self.outputs.push_back(Output::Cancel { id, event });
    }

    /// connect, step 6: refused at `decided`; settles in its time class, whatever the reason.
    fn refuse(&mut self, decided: Instant, id: RequestId, reason: &'static str) {
        let Some(attempt) = self.attempts.get_mut(&id) else {
            return;
        };
        tracing::debug!(%id, reason, "connect refused");
        if let Step::Decide { event } = attempt.step {
            self.events.remove(&event);
        }
        let class = self
            .limits
            .time_class(decided.saturating_duration_since(attempt.called));
        self.timers.remove(&(attempt.due, id));
        attempt.due = after(attempt.called, class.saturating_add(attempt.jitter));
        attempt.step = Step::Refused;
        self.timers.insert((attempt.due, id));
    }

    fn settle(&mut self, id: RequestId, result: Result<P, ConnectError>) {
        let Some(attempt) = self.attempts.remove(&id) else {
            return;
        };
        self.timers.remove(&(attempt.due, id));
        if let Step::Decide { event } = attempt.step {
            self.events.remove(&event);
        }
        self.outputs.push_back(Output::Settle { id, result });
    }
}

/// connect, step 4: the worker to ask and the event to ask it with, or why nobody is asked.
fn event_type(
    target: &Target,
    candidate: Option<Candidate>,
) -> Result<(Candidate, EventType), &'static str> {
    let candidate = candidate.ok_or("nothing is registered")?;
    if !matches!(
        candidate.state,
        WorkerState::Activating | WorkerState::Activated
    ) {
        return Err("no active worker");
    }
    // Row 4: "`connect` if it has a listener, else `crossoriginconnect`, else refuse."
    let event_type = [EventType::Connect, EventType::CrossOriginConnect]
        .into_iter()
        .find(|event| candidate.handles.contains(*event))
        .ok_or("its worker handles no connect")?;
    // The caller would wait for its own activation, which waits for the caller.
    if target.caller.worker == Some((candidate.worker, WorkerState::Activating)) {
        return Err("a worker that activates connects to itself");
    }
    Ok((candidate, event_type))
}

/// What the service may know of the client's URL. (SEMANTICS §8.2.)
fn client_url(caller: &Caller, target: &Origin) -> Option<Url> {
    let client = &caller.environment;
    let mut url = if !client.origin.is_opaque() && client.origin == *target {
        client.creation_url.clone()
    } else {
        caller.referrer.clone()?
    };
    url.set_fragment(None);
    Some(url)
}
