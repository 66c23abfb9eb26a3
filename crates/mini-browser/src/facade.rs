//! What scripts and fetches ask, answered by the service-worker facade.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use service_worker::fetch_router::RouterRule;
use service_worker::message_port::{Message, MessagePort, TransferredPort};
use service_worker::types::fetch::{Destination, Referrer};
use service_worker::types::{
    ClientId, Environment, EventId, NavigationPreload, RegistrationId, RegistrationView,
    ScriptResource, WorkerId, WorkerView,
};
use service_worker::{
    AnsweredBy, Body, ConnectError, ConnectOptions, DecisionRecord, EntryId, FetchError,
    FetchRequest, Handle, JobError, RegisterOptions, StashError,
};
use url::Url;

use crate::fetch::{Hop, HopError, HopFuture, Hopped, Source};
use crate::js::{Connections, Pending, Registering, Seam};

/// The facade, as scripts ([`Seam`]) and fetches ([`Hop`]) see it; keeps a record of each page's
/// fetches. Cheap to clone.
#[derive(Clone)]
pub struct Facade {
    handle: Handle,
    records: Arc<Mutex<Records>>,
}

/// One hop of a fetch: who asked what, who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetchRecord {
    /// What was asked.
    pub url: Url,
    /// For what.
    pub destination: Destination,
    /// Who answered; `None` if nobody did, also if workers alone were asked, before a preflight.
    pub answered_by: Option<AnsweredBy>,
    /// Which worker or router rule was to answer, how long each took that was asked, and why the others
    /// were not; `None` for a client that is gone.
    pub decision: Option<Box<DecisionRecord>>,
    /// The status; `None` without an answer.
    pub status: Option<u16>,
    /// How many bytes of the body have been read so far, decoded.
    pub body_bytes: usize,
    /// Why nobody answered, for people.
    pub error: Option<String>,
}

type Records = BTreeMap<ClientId, VecDeque<Recorded>>;

/// How many fetches of a client are remembered: the latest.
const RECORDS: usize = 1_000;

struct Recorded {
    record: FetchRecord,
    body_bytes: Arc<AtomicUsize>,
}

impl Facade {
    /// Passes on what it is asked to the facade of `handle`.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        Self {
            handle,
            records: Arc::default(),
        }
    }

    pub(crate) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The latest fetches of a client, in order.
    pub(crate) fn records(&self, client: ClientId) -> Vec<FetchRecord> {
        let records = self.lock();
        let of_client = records.get(&client).into_iter().flatten();
        of_client
            .map(|recorded| FetchRecord {
                body_bytes: recorded.body_bytes.load(Ordering::Relaxed),
                ..recorded.record.clone()
            })
            .collect()
    }

    /// From now on the fetches of this client are recorded, until it is [forgotten](Self::forget).
    /// (Nobody asks for those of workers, which would add up.)
    pub(crate) fn watch(&self, client: ClientId) {
        self.lock().entry(client).or_default();
    }

    /// A client is gone, and with it its records.
    pub(crate) fn forget(&self, client: ClientId) {
        self.lock().remove(&client);
    }

    fn record(&self, client: ClientId, record: FetchRecord) -> Arc<AtomicUsize> {
        let body_bytes = Arc::new(AtomicUsize::new(0));
        let recorded = Recorded {
            record,
            body_bytes: Arc::clone(&body_bytes),
        };
        if let Some(records) = self.lock().get_mut(&client) {
            if records.len() == RECORDS {
                records.pop_front();
            }
            records.push_back(recorded);
        }
        body_bytes
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Facade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Facade")
            .field("clients", &self.lock().len())
            .finish_non_exhaustive()
    }
}

impl Hop for Facade {
    fn hop(&self, request: FetchRequest) -> HopFuture {
        let record = FetchRecord {
            url: request.head.url().clone(),
            destination: request.head.destination,
            answered_by: None,
            decision: None,
            status: None,
            body_bytes: 0,
            error: None,
        };
        let reserved = request.reserved.as_ref().map(|reserved| reserved.id);
        let recorded_for = reserved.unwrap_or(request.client);
        let fetching = self.handle.fetch_with_record(request);
        let facade = self.clone();
        Box::pin(async move {
            let (fetched, decision) = fetching.await;
            let protocol = decision.as_ref().map_or("", |decision| decision.protocol);
            // Workers alone were asked, and nothing was sent. It will be, after a preflight, and have a
            // record of its own then.
            let is_forbidden = matches!(fetched, Err(FetchError::NetworkForbidden(_)));
            let error = fetched.as_ref().err().filter(|_| !is_forbidden);
            let answer = fetched.as_ref().ok();
            let record = FetchRecord {
                answered_by: answer.map(|fetched| fetched.answered_by),
                decision,
                status: answer.map(|fetched| fetched.response.head.status.as_u16()),
                error: error.map(ToString::to_string),
                ..record
            };
            let body_bytes = facade.record(recorded_for, record);
            match fetched {
                Ok(fetched) => {
                    let mut response = fetched.response;
                    response.body = counted(response.body, body_bytes);
                    Ok(Hopped {
                        response,
                        source: source(fetched.answered_by),
                        timing: fetched.timing,
                        protocol,
                    })
                }
                Err(_) if is_forbidden => Err(HopError::network_forbidden()),
                Err(error) => Err(HopError::new(error)),
            }
        })
    }
}

const fn source(answered_by: AnsweredBy) -> Source {
    match answered_by {
        AnsweredBy::OwnWorker(_) | AnsweredBy::LocalWorker(_) | AnsweredBy::CacheStorage(_) => {
            Source::OwnWorker
        }
        AnsweredBy::FallThrough(_) => Source::FallThrough,
        AnsweredBy::Network | AnsweredBy::HttpCache => Source::Network,
    }
}

/// The same body, counted as it is read.
fn counted(body: Body, count: Arc<AtomicUsize>) -> Body {
    body.inspected(move |chunk| {
        count.fetch_add(chunk.len(), Ordering::Relaxed);
    })
}

impl Connections for Facade {
    fn connect(
        &self,
        client: ClientId,
        options: ConnectOptions,
    ) -> Pending<Result<MessagePort, ConnectError>> {
        Box::pin(self.handle.connect_with(client, options))
    }

    fn stash_port(
        &self,
        worker: WorkerId,
        name: &str,
        port: MessagePort,
    ) -> Result<Option<EntryId>, (StashError, MessagePort)> {
        let stashed = self.handle.stash_port(worker, name, port);
        stashed.map_err(|refused| (refused.reason, refused.port))
    }

    fn match_stashed(&self, worker: WorkerId, name: &str) -> Vec<EntryId> {
        self.handle.match_stashed(worker, name)
    }

    fn post_stashed(&self, worker: WorkerId, entry: EntryId, message: Message) {
        // A view whose entry is gone behaves as a closed port.
        let _posted = self.handle.post_stashed(worker, entry, message);
    }

    fn transfer_stashed(&self, worker: WorkerId, entry: EntryId) -> Option<TransferredPort> {
        self.handle.transfer_stashed(worker, entry)
    }

    fn may_stash(&self, worker: WorkerId) -> Result<(), StashError> {
        self.handle.may_stash(worker)
    }

    fn stashed_name(&self, worker: WorkerId, entry: EntryId) -> Option<String> {
        self.handle.stashed_name(worker, entry)
    }

    fn rename_stashed(
        &self,
        worker: WorkerId,
        entry: EntryId,
        name: &str,
    ) -> Result<(), StashError> {
        self.handle.rename_stashed(worker, entry, name)
    }

    fn close_stashed(&self, worker: WorkerId, entry: EntryId) {
        self.handle.close_stashed(worker, entry);
    }
}

impl Seam for Facade {
    fn register(
        &self,
        client: ClientId,
        options: Registering,
    ) -> Pending<Result<RegistrationView, JobError>> {
        let Registering {
            script_url,
            scope,
            base_url,
            worker_type,
            update_via_cache,
            referrer,
        } = options;
        let options = RegisterOptions {
            script_url,
            scope,
            base_url,
            worker_type,
            update_via_cache,
            referrer,
        };
        Box::pin(self.handle.register(client, options))
    }

    fn update(
        &self,
        registration: RegistrationId,
        caller: Option<WorkerId>,
        referrer: Option<Referrer>,
    ) -> Pending<Result<RegistrationView, JobError>> {
        Box::pin(self.handle.update(registration, caller, referrer))
    }

    fn unregister(&self, registration: RegistrationId) -> Pending<Result<bool, JobError>> {
        Box::pin(self.handle.unregister(registration))
    }

    fn ready(&self, client: ClientId) -> Pending<Result<RegistrationView, JobError>> {
        Box::pin(self.handle.ready(client))
    }

    fn controller(&self, client: ClientId) -> Option<WorkerView> {
        self.handle.controller(client)
    }

    fn registration(
        &self,
        client: ClientId,
        client_url: &Url,
    ) -> Pending<Option<RegistrationView>> {
        let found = self.handle.registration(client, client_url);
        Box::pin(async move {
            found.await.unwrap_or_else(|error| {
                tracing::debug!(%error, "no registration is given");
                None
            })
        })
    }

    fn skip_waiting(&self, worker: WorkerId) -> Pending<Result<(), JobError>> {
        Box::pin(self.handle.skip_waiting(worker))
    }

    fn claim(&self, worker: WorkerId) -> Pending<Result<(), JobError>> {
        Box::pin(self.handle.claim(worker))
    }

    fn post_message(&self, sender: ClientId, worker: WorkerId, message: Message) {
        self.handle.post_message(sender, worker, message);
    }

    fn post_message_to_client(&self, worker: WorkerId, client: ClientId, message: Message) {
        self.handle.post_message_to_client(worker, client, message);
    }

    fn client(&self, worker: WorkerId, client: ClientId) -> Pending<Option<Environment>> {
        Box::pin(self.handle.client(worker, client))
    }

    fn clients(&self, worker: WorkerId, include_uncontrolled: bool) -> Pending<Vec<Environment>> {
        Box::pin(self.handle.clients(worker, include_uncontrolled))
    }

    fn registrations(&self, client: ClientId) -> Pending<Vec<RegistrationView>> {
        Box::pin(self.handle.registrations(client))
    }

    fn script_bytes(&self, client: ClientId) -> Pending<u64> {
        Box::pin(self.handle.script_bytes(client))
    }

    fn navigation_preload(
        &self,
        registration: RegistrationId,
    ) -> Result<NavigationPreload, JobError> {
        self.handle.navigation_preload(registration)
    }

    fn enable_navigation_preload(
        &self,
        registration: RegistrationId,
        enabled: bool,
    ) -> Pending<Result<(), JobError>> {
        Box::pin(self.handle.enable_navigation_preload(registration, enabled))
    }

    fn set_navigation_preload_header(
        &self,
        registration: RegistrationId,
        value: &[u8],
    ) -> Pending<Result<(), JobError>> {
        Box::pin(
            self.handle
                .set_navigation_preload_header(registration, value),
        )
    }

    fn import_script(
        &self,
        worker: WorkerId,
        url: Url,
    ) -> Pending<Result<Arc<ScriptResource>, String>> {
        let imported = self.handle.import_script(worker, url);
        Box::pin(async move { imported.await.map_err(|error| error.to_string()) })
    }

    fn add_routes(
        &self,
        worker: WorkerId,
        event: EventId,
        rules: Vec<RouterRule>,
    ) -> Pending<Result<(), JobError>> {
        Box::pin(self.handle.add_routes(worker, event, rules))
    }

    fn handle_fall_through_requests(
        &self,
        worker: WorkerId,
        event: EventId,
        prefixes: &[String],
        origins: Option<&[String]>,
    ) -> Result<(), JobError> {
        self.handle
            .handle_fall_through_requests(worker, event, prefixes, origins)
    }
}
