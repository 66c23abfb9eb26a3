//! `navigator.connect()`: the connector, fed and obeyed. (SEMANTICS §5.1.)

mod installing;

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};

use bytes::Bytes;
use connect::{
    Caller, Candidate, Connect, ConnectError, ConnectEventInit, Decision, Input, Output,
};
use futures_channel::oneshot;
use message_port::MessagePort;
use sw_types::{ClientId, Environment, EventId, Origin, RequestId, WorkerId};
use url::Url;

pub(crate) use self::installing::Installing;
use crate::driver::Driver;
use crate::functional::{What, Woken};
use crate::shared::{Shared, ToDriver};
use crate::{ConnectDetail, EventDetail, Handle};

/// The arguments of `navigator.connect()`, and what the client's policies say of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// The URL, against [`Self::base_url`].
    pub url: String,
    /// The caller's API base URL.
    pub base_url: Url,
    /// The serialized `request` argument; `None` is `undefined`.
    pub request: Option<Bytes>,
    /// Whether the caller's Content Security Policy blocks the URL by `connect-src`.
    pub connect_src_blocks: bool,
    /// What a service of another origin learns of the caller's URL.
    pub referrer: ShownReferrer,
}

/// What `Referer` would carry to the service under the caller's referrer policy: the `client.url`
/// that a service of another origin sees. (SEMANTICS §8.2.)
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "what a referrer policy can come to"
)]
pub enum ShownReferrer {
    /// The caller's origin.
    #[default]
    Origin,
    /// Nothing.
    Nothing,
    /// This URL.
    Url(Url),
}

impl ConnectOptions {
    /// A call of `connect(url)` without request, by a client with the default policies.
    pub fn new(url: impl Into<String>, base_url: Url) -> Self {
        Self {
            url: url.into(),
            base_url,
            request: None,
            connect_src_blocks: false,
            referrer: ShownReferrer::default(),
        }
    }
}

/// A connect that is pending.
pub(crate) struct Connecting {
    reply: oneshot::Sender<Result<MessagePort, ConnectError>>,
    request: Option<Bytes>,
    /// The worker that is asked, once there is one.
    worker: Option<WorkerId>,
}

impl Connecting {
    /// The worker that is asked is the candidate's.
    fn asks(&mut self, candidate: Option<Candidate>) {
        self.worker = candidate.map(|candidate| candidate.worker);
    }
}

/// A call of `connect` on its way to the driver.
pub(crate) struct ConnectCall {
    client: ClientId,
    options: ConnectOptions,
    reply: oneshot::Sender<Result<MessagePort, ConnectError>>,
}

impl Handle {
    /// `navigator.connect(url)`, by a window or a worker, service workers included. The port is
    /// entangled with the service's, and disabled: what the service has posted already waits in it.
    ///
    /// # Errors
    /// As [`ConnectError`] says. A client that is not known, or goes away, gets its `AbortError` at
    /// once.
    pub fn connect(
        &self,
        client: ClientId,
        url: &str,
        base_url: &Url,
    ) -> impl Future<Output = Result<MessagePort, ConnectError>> + Send + 'static {
        self.connect_with(client, ConnectOptions::new(url, base_url.clone()))
    }

    /// As [`Self::connect`], with a request and policies.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub fn connect_with(
        &self,
        client: ClientId,
        options: ConnectOptions,
    ) -> impl Future<Output = Result<MessagePort, ConnectError>> + Send + 'static {
        let (reply, settled) = oneshot::channel();
        self.shared.send(ToDriver::Connect(Box::new(ConnectCall {
            client,
            options,
            reply,
        })));
        async move { settled.await.unwrap_or(Err(ConnectError::Abort)) }
    }
}

impl Driver {
    /// Makes the jitter of refused connects replay: it comes from this seed from now on. Without
    /// one, it is unpredictable.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.functional.random = Random(seed);
        self
    }

    /// connect, steps 1 to 4.
    pub(crate) fn connect(&mut self, call: ConnectCall) {
        let ConnectCall {
            client,
            options,
            reply,
        } = call;
        let admitted = match self.shared.environment(client) {
            Some(environment) => {
                let caller = self.caller(environment.as_ref().clone(), &options.referrer);
                let connector = &self.functional.connector;
                connector.admit(caller, &options.url, &options.base_url)
            }
            None => Err(ConnectError::Abort),
        };
        let target = match admitted {
            Ok(target) => target,
            Err(error) => {
                if reply.send(Err(error)).is_err() {
                    tracing::debug!(%client, "nobody waits for a connect any more");
                }
                return;
            }
        };
        let candidate = self.candidate(&target.caller().environment, target.url());
        let functional = &mut self.functional;
        let id = RequestId::take_next(&mut functional.next_connect);
        let connecting = Connecting {
            reply,
            request: options.request,
            worker: candidate.map(|candidate| candidate.worker),
        };
        functional.connects.insert(id, connecting);
        let random = functional.random.next();
        let jitter = functional.connector.limits().jitter_from(random);
        let connect_src_blocks = options.connect_src_blocks;
        self.connect_input(Input::Connect(Box::new(Connect {
            id,
            target,
            connect_src_blocks,
            candidate,
            jitter,
        })));
    }

    fn caller(&self, environment: Environment, referrer: &ShownReferrer) -> Caller {
        let worker = Shared::worker_of(environment.id).and_then(|worker| {
            let known = self.shared.stashing().worker(worker)?;
            Some((worker, known.state))
        });
        let caller = Caller::new(environment);
        let referrer = match referrer {
            ShownReferrer::Origin => caller.referrer.clone(),
            ShownReferrer::Nothing => None,
            ShownReferrer::Url(url) => Some(url.clone()),
        };
        Caller {
            worker,
            referrer,
            ..caller
        }
    }

    /// connect, step 4: "key = PartitionPolicy(client, url origin); registration = Match(key,url)".
    fn candidate(&self, environment: &Environment, url: &Url) -> Option<Candidate> {
        let partition = self.shared.policies.partition;
        let key = partition.storage_key(environment, &Origin::of(url))?;
        let found = self.shared.lookup.match_registration(&key, url)?;
        let active = found.active.as_ref()?;
        // Row 4: "a stopped worker: by the snapshot of its first evaluation …; a running worker: by
        // its listeners now".
        let known = self.shared.stashing().worker(active.id);
        let listeners = known.and_then(|known| known.listeners);
        Some(Candidate {
            registration: found.id,
            worker: active.id,
            state: active.state,
            handles: listeners.unwrap_or(active.event_types),
        })
    }

    fn connect_input(&mut self, input: Input<MessagePort>) {
        let now = self.shared.clock.now();
        self.functional.connector.handle_input(now, input);
    }

    /// Carries out what the connector asks; whether it asked anything.
    pub(crate) fn poll_connector(&mut self) -> bool {
        let mut asked = false;
        while let Some(output) = self.functional.connector.poll_output() {
            asked = true;
            match output {
                Output::Install { id, client, url } => self.install_to_connect(id, client, url),
                Output::Run {
                    id,
                    registration,
                    top_level_site,
                    ..
                } => self.wake(registration, top_level_site, Woken::Connect(id)),
                Output::Dispatch {
                    id,
                    event,
                    worker,
                    init,
                } => self.dispatch_connect(id, event, worker, *init),
                Output::Settle { id, result } => {
                    let waiting = self.functional.connects.remove(&id);
                    if waiting.is_some_and(|it| it.reply.send(result).is_err()) {
                        tracing::debug!(%id, "nobody waits for a connect any more");
                    }
                }
                // Its event runs on to its end; whatever it says comes too late.
                Output::Cancel { id, event } => {
                    tracing::debug!(%id, ?event, "connect canceled");
                    self.cancel_installing(id);
                }
                Output::Close { port } => drop(port),
            }
        }
        asked
    }

    /// connect, step 5: `worker` runs, or none does.
    pub(crate) fn woken_to_connect(&mut self, id: RequestId, worker: Option<WorkerId>) {
        let asked = self.functional.connects.get(&id).and_then(|it| it.worker);
        // "The worker does not run … it became redundant": another one took its place.
        let begun = worker
            .filter(|worker| Some(*worker) == asked)
            .and_then(|worker| Some((worker, self.shared.endpoint(worker)?.begin()?)));
        let Some((worker, keep_alive)) = begun else {
            return self.connect_input(Input::StartFailed { id });
        };
        let what = What::Connect { dispatched: false };
        let event = self.functional.begin(worker, keep_alive, what);
        self.connect_input(Input::WorkerReady { id, event });
        self.poll_connector();
        let begun = self.functional.event(worker, event);
        if begun.is_some_and(|begun| begun.what == what) {
            // Nobody waited any more.
            self.functional.events.remove(&event);
        }
    }

    fn dispatch_connect(
        &mut self,
        id: RequestId,
        event: EventId,
        worker: WorkerId,
        init: ConnectEventInit,
    ) {
        if let Some(begun) = self.functional.event(worker, event) {
            begun.what = What::Connect { dispatched: true };
        }
        let connecting = self.functional.connects.get_mut(&id);
        let detail = ConnectDetail {
            event_type: init.event_type,
            origin: init.origin,
            target_url: init.target_url,
            client_url: init.client_url,
            request: connecting.and_then(|it| it.request.take()),
        };
        let detail = EventDetail::Connect(Box::new(detail));
        self.dispatch(worker, event, detail);
    }

    /// The host says how a connect event was decided.
    pub(crate) fn decided(&mut self, worker: WorkerId, event: EventId, port: Option<MessagePort>) {
        let found = self.functional.event(worker, event).map(|it| it.what);
        match (found, port) {
            (Some(What::Connect { .. }), Some(port)) => self.decide(event, Decision::Accept(port)),
            (Some(What::Connect { .. }), None) => self.decide(event, Decision::Refuse),
            // Dropping the port closes it.
            _ => tracing::debug!(%worker, %event, "accepted what is no connect, or over"),
        }
    }

    pub(crate) fn decide(&mut self, event: EventId, decision: Decision<MessagePort>) {
        self.connect_input(Input::Decision { event, decision });
    }

    /// connect, step 5: "Client gone meanwhile → cancel."
    pub(crate) fn connecting_client_gone(&mut self, client: ClientId) {
        self.connect_input(Input::ClientGone { client });
    }
}

/// Random numbers for jitter. (SplitMix64: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
/// Generators".)
pub(crate) struct Random(u64);

impl Random {
    /// Seeded by the system's randomness, as hash maps are.
    pub(crate) fn unpredictable() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
