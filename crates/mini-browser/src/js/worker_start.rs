//! *Run a worker*: what dedicated and shared workers have in common. (*HTML*, "Workers".)

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;

use rquickjs::{Ctx, Function, Value};
use service_worker::types::fetch::{CredentialsMode, Destination, RequestMode};
use service_worker::types::{ClientId, ClientType, Environment, FrameType, Origin};
use url::Url;

use super::agent::{Agent, AgentOptions, Death, Limits};
use super::blob_urls::{BlobUrls, fetch_service};
use super::blocking::{FetchedScript, ScriptRequest, block_on, fetch};
use super::classic_script::{evaluate_script, parses};
use super::documents::DocumentSource;
use super::error::Exception;
use super::module_fetches::{ModuleFetches, OutsideSettings};
use super::modules;
use super::page::Page;
use super::realm::{Realm, RealmKind, RealmOptions, RealmState, WorkerOptions};
use super::task::{RealmId, Task};
use crate::fetch::{FetchParams, FetchService, PolicyContainer};

/// What a worker's heap may hold, in bytes.
const MEMORY_LIMIT: usize = 128 << 20;

/// What `new Worker()` or `new SharedWorker()` was called with.
#[derive(Clone, Debug)]
pub(super) struct NewWorker {
    pub(super) url: Url,
    pub(super) options: WorkerOptions,
}

/// A worker that starts, on a thread of its own: that it waits for the network blocks nobody.
pub(super) struct Starting {
    new: NewWorker,
    is_shared: bool,
    fetches: Option<Arc<FetchService>>,
    params: FetchParams,
    documents: Option<Arc<DocumentSource>>,
    environment: Environment,
    options: RealmOptions,
    /// The policies of a script that is not from the network.
    inherited: PolicyContainer,
    outside: OutsideSettings,
    limits: Limits,
}

/// A worker whose script is there.
pub(super) struct Loaded {
    script: FetchedScript,
    options: RealmOptions,
    agent: AgentOptions,
    client: Option<Box<dyn Any + Send>>,
    documents: Option<Arc<DocumentSource>>,
}

impl Starting {
    /// Steps 1 to 11, for a worker that `realm` asks for.
    pub(super) fn new(realm: &RealmState, new: NewWorker, is_shared: bool) -> Self {
        let documents = realm.service::<DocumentSource>();
        let client = match &documents {
            Some(documents) => documents.0.next_client(),
            None => ClientId((1 << 52) + realm.event_loop().next_number()),
        };
        let (client_type, destination) = if is_shared {
            (ClientType::SharedWorker, Destination::SharedWorker)
        } else {
            (ClientType::Worker, Destination::Worker)
        };
        let outside = realm.environment().clone();
        let environment = environment(&outside, client, client_type, new.url.clone());
        let request = ScriptRequest {
            url: new.url.clone(),
            destination,
            mode: RequestMode::SameOrigin,
            // Fetch a classic worker script, step 1: the option is for modules.
            credentials: if new.options.is_module {
                new.options.credentials
            } else {
                CredentialsMode::SameOrigin
            },
            referrer: realm.referrer_source(),
            integrity: String::new(),
        };
        let mut params = request.params(realm);
        params.reserved = Some(environment.clone());
        let options = realm.options().for_document(environment.clone());
        // What is local has the policies of whoever made its blob: URL, or else of who starts it.
        let blobs = realm.service::<BlobUrls>();
        let of_blob = blobs.and_then(|blobs| blobs.policies(&new.url));
        let inherited = of_blob.unwrap_or_else(|| realm.policies().clone());
        Self {
            fetches: fetch_service(realm, &new.url),
            params,
            documents,
            options,
            environment,
            is_shared,
            inherited,
            outside: OutsideSettings {
                environment: outside,
                policies: realm.policies().clone(),
            },
            limits: realm.event_loop().limits(),
            new,
        }
    }

    /// Step 12, "obtain script", and what follows from its response. Blocks.
    ///
    /// # Errors
    /// Why there is no script, for people.
    pub(super) fn load(mut self) -> Result<Loaded, String> {
        let documents = self.documents.take();
        let client = documents
            .as_ref()
            .map(|documents| documents.0.create(&self.environment));
        if let (Some(documents), "blob") = (&documents, self.new.url.scheme()) {
            let creator = self.params.client.id;
            let inherited = documents.0.inherit_controller(&self.environment, creator);
            if let Err(error) = block_on(inherited) {
                tracing::debug!(%error, "a worker has no controller yet");
            }
        }
        let script = self.script()?;
        if let Some(documents) = &documents {
            // What the worker asks first must come from a client that is known.
            let caught_up = documents.0.caught_up();
            block_on(async move {
                caught_up.await;
                Ok(())
            })?;
        }
        let Self {
            new,
            is_shared,
            mut environment,
            mut options,
            inherited,
            outside,
            limits,
            ..
        } = self;
        let mut url = script.url.clone();
        if url.fragment().is_none() {
            url.set_fragment(new.url.fragment());
        }
        environment.creation_url = url.clone();
        options.environment = environment;
        // Initialize worker global scope's policy container.
        let policies = match script.url.scheme() {
            "http" | "https" => PolicyContainer::from_headers(&script.url, &script.headers),
            _ => inherited,
        };
        // Check a global object's embedder policy, step 1: of dedicated workers only.
        if !is_shared && !outside.policies.admits(&policies) {
            return Err(format!("{url} has no Cross-Origin-Embedder-Policy"));
        }
        options.policies = policies;
        let mut agent = AgentOptions::new(url.as_str());
        agent.memory_limit = MEMORY_LIMIT;
        agent.limits = limits;
        options.url = url;
        let init = Box::new(new.options);
        options.kind = if is_shared {
            RealmKind::SharedWorker(init)
        } else {
            RealmKind::DedicatedWorker(init)
        };
        Ok(Loaded {
            script,
            options: options.with_service(Arc::new(outside)),
            agent,
            client,
            documents,
        })
    }

    fn script(&mut self) -> Result<FetchedScript, String> {
        let fetches = self.fetches.take().ok_or("this realm has no network")?;
        let script = block_on(fetch(&fetches, self.params.clone()))?;
        // Fetch a classic worker script, step 6: local scripts may have any type.
        let is_network = matches!(script.url.scheme(), "http" | "https");
        if (is_network || self.new.options.is_module) && !script.is_javascript() {
            return Err(format!("{}: its type is {:?}", script.url, script.essence));
        }
        Ok(script)
    }
}

impl Loaded {
    /// Starts the worker's agent, whose first task is `begin`; its realm gets `service`. `ended` is
    /// called when it is gone.
    ///
    /// # Errors
    /// Why it did not start, for people; `ended` is not called then.
    pub(super) fn start<T: Any + Send + Sync>(
        self,
        service: Arc<T>,
        begin: impl FnOnce(&Realm, &FetchedScript) + Send + 'static,
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<Agent, String> {
        let Self {
            script,
            options,
            agent,
            client,
            documents,
        } = self;
        let environment = options.environment.clone();
        let options = options.with_service(service);
        let begin: Task = Box::new(move |realm: &Realm| begin(realm, &script));
        let ended = move |death: Death| {
            tracing::debug!(?death, "a worker has ended");
            drop(client);
            ended();
        };
        let agent = Agent::start(agent, options, begin, ended)
            .map_err(|error| format!("no thread: {error}"))?;
        if let Some(documents) = documents {
            let page = Page::of_realm(agent.clone(), RealmId::MAIN);
            documents.0.ready(&environment, page);
        }
        Ok(agent)
    }
}

/// *Set up a worker environment settings object.*
fn environment(
    outside: &Environment,
    id: ClientId,
    client_type: ClientType,
    url: Url,
) -> Environment {
    let origin = if url.scheme() == "data" {
        Origin::opaque(id.0)
    } else {
        outside.origin.clone()
    };
    Environment {
        id,
        client_type,
        frame_type: FrameType::None,
        matched_as: (url.scheme() == "blob").then(|| outside.matched_url().clone()),
        creation_url: url,
        cross_site_ancestor: outside.cross_site_ancestor
            || !outside.top_level_site.contains(&origin),
        origin,
        ..outside.clone()
    }
}

/// Step 22: runs the script. What it throws is reported.
///
/// # Errors
/// Why there is no script that could run, for people.
pub(super) fn run_script(
    ctx: &Ctx<'_>,
    state: &Rc<RealmState>,
    script: &FetchedScript,
) -> Result<(), String> {
    let url = script.url.as_str();
    let is_module = match state.kind() {
        RealmKind::DedicatedWorker(options) | RealmKind::SharedWorker(options) => options.is_module,
        RealmKind::ServiceWorker(_) | RealmKind::Window => false,
    };
    if is_module {
        let fetches = state.local::<ModuleFetches>();
        fetches.served(&script.url, &script.headers, None);
        let ran = modules::run(ctx, state, url, script.text());
        let waits = ran.and_then(|promise| report_rejection(ctx, state, &promise));
        return waits.map_err(|_| Exception::take(ctx, url).to_string());
    }
    if evaluate_script(ctx, script.text(), url).is_ok() {
        return Ok(());
    }
    // A script that does not parse is no script at all; what one throws is reported.
    let thrown = ctx.catch();
    if state.is_killed() || parses(ctx, script.text()) {
        ctx.throw(thrown);
        state.report(ctx);
        return Ok(());
    }
    Err(Exception::of(&thrown, url).to_string())
}

/// A module's evaluation that fails is reported as an exception, not as a rejection.
fn report_rejection<'js>(
    ctx: &Ctx<'js>,
    state: &Rc<RealmState>,
    promise: &rquickjs::Promise<'js>,
) -> rquickjs::Result<()> {
    let state = Rc::clone(state);
    let rejected = Function::new(ctx.clone(), move |ctx: Ctx<'js>, reason: Value<'js>| {
        ctx.throw(reason);
        state.report(&ctx);
    })?;
    let then = promise.then()?;
    let undefined = Value::new_undefined(ctx.clone());
    then.call((
        rquickjs::function::This(promise.clone()),
        undefined,
        rejected,
    ))
}
