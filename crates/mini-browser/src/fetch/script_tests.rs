//! What scripts see of fetching, in pages on QuickJS: tables of expressions and what they give.

mod abort;
mod caches;
mod fetch;
mod headers;
mod request;
mod response;

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use serde_json::{Value, json};
use service_worker::JobError;
use service_worker::fetch_router::RouterRule;
use service_worker::message_port::Message;
use service_worker::types::fetch::Referrer;
use service_worker::types::{
    ClientId, Environment, EventId, NavigationPreload, PartitionPolicy, RegistrationId,
    RegistrationView, ScriptResource, WorkerId, WorkerView,
};
use url::Url;

use super::{FetchService, Hop};
use crate::cache_storage::CacheStore;
use crate::js::{
    Connections, ConsoleLevel, ConsoleSink, Page, PageOptions, Pending, Registering, ScriptError,
    Seam,
};

/// Runs each expression in one page of `https://a.test/dir/page`; what it throws or rejects with
/// counts as `"throws <name>"`.
fn check(expressions: &[(&str, Value)]) {
    let browser = Browser::new(super::tests::Table::default());
    for (expression, expected) in expressions {
        assert_eq!(browser.eval(expression), *expected, "{expression}");
    }
}

/// That each expression throws a `TypeError`.
fn check_type_errors(expressions: &[&str]) {
    let browser = Browser::new(super::tests::Table::default());
    for expression in expressions {
        let given = browser.eval(expression);
        assert_eq!(given, json!("throws TypeError"), "{expression}");
    }
}

/// A page with a network and caches.
struct Browser {
    tokio: tokio::runtime::Runtime,
    page: Page,
    console: Arc<Console>,
}

impl Browser {
    fn new(hop: impl Hop + 'static) -> Self {
        let url = Url::parse("https://a.test/dir/page").unwrap();
        let environment = Environment::top_level(ClientId(1), url);
        let caches = CacheStore::in_memory().unwrap();
        Self::with(environment, hop, caches, PartitionPolicy::Unpartitioned)
    }

    fn with(
        environment: Environment,
        hop: impl Hop + 'static,
        caches: CacheStore,
        partition: PartitionPolicy,
    ) -> Self {
        let console = Arc::new(Console::default());
        let mut options = PageOptions::new(environment, console.clone(), Arc::new(NoWorkers));
        let fetching = Arc::new(FetchService::new(Arc::new(hop)));
        let (caches, partition) = (Arc::new(caches), Arc::new(partition));
        options.prepare = Some(Arc::new(move |realm| {
            realm
                .with_service(Arc::clone(&fetching))
                .with_service(Arc::clone(&caches))
                .with_service(Arc::clone(&partition))
        }));
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let page = Page::open(options, |_| ()).unwrap();
        Self {
            tokio,
            page,
            console,
        }
    }

    /// What an expression gives; `await` may be used in it.
    fn eval(&self, expression: &str) -> Value {
        self.run(&format!(
            "(async () => {{ try {{ return ({expression}); }}
              catch (e) {{ return `throws ${{e?.name ?? e}}`; }} }})()"
        ))
    }

    /// What the last statement of an async function gives with `return`.
    fn run_async(&self, statements: &str) -> Value {
        self.eval(&format!("await (async () => {{ {statements} }})()"))
    }

    fn run(&self, script: &str) -> Value {
        let result: Result<Value, ScriptError> =
            self.tokio.block_on(self.page.run_script(script, "test.js"));
        result.unwrap_or_else(|error| panic!("{script}\n{error}"))
    }

    fn console(&self) -> Vec<String> {
        self.console.0.lock().unwrap().clone()
    }
}

/// A console that remembers.
#[derive(Default)]
struct Console(Mutex<Vec<String>>);

impl ConsoleSink for Console {
    fn message(&self, _: &str, level: ConsoleLevel, text: &str) {
        self.0.lock().unwrap().push(format!("{level}: {text}"));
    }
}

/// A facade without service workers.
struct NoWorkers;

fn refused<T: Send + 'static>() -> Pending<Result<T, JobError>> {
    let error = JobError::Security("there are no workers here".to_owned());
    async move { Err(error) }.boxed()
}

impl Connections for NoWorkers {}

impl Seam for NoWorkers {
    fn register(&self, _: ClientId, _: Registering) -> Pending<Result<RegistrationView, JobError>> {
        refused()
    }

    fn update(
        &self,
        _: RegistrationId,
        _: Option<WorkerId>,
        _: Option<Referrer>,
    ) -> Pending<Result<RegistrationView, JobError>> {
        refused()
    }

    fn unregister(&self, _: RegistrationId) -> Pending<Result<bool, JobError>> {
        refused()
    }

    fn ready(&self, _: ClientId) -> Pending<Result<RegistrationView, JobError>> {
        refused()
    }

    fn controller(&self, _: ClientId) -> Option<WorkerView> {
        None
    }

    fn registration(&self, _: ClientId, _: &Url) -> Pending<Option<RegistrationView>> {
        async { None }.boxed()
    }

    fn script_bytes(&self, _: ClientId) -> Pending<u64> {
        Box::pin(std::future::ready(1000))
    }

    fn navigation_preload(&self, _: RegistrationId) -> Result<NavigationPreload, JobError> {
        Ok(NavigationPreload::default())
    }

    fn enable_navigation_preload(
        &self,
        _: RegistrationId,
        _: bool,
    ) -> Pending<Result<(), JobError>> {
        refused()
    }

    fn set_navigation_preload_header(
        &self,
        _: RegistrationId,
        _: &[u8],
    ) -> Pending<Result<(), JobError>> {
        refused()
    }

    fn skip_waiting(&self, _: WorkerId) -> Pending<Result<(), JobError>> {
        refused()
    }

    fn claim(&self, _: WorkerId) -> Pending<Result<(), JobError>> {
        refused()
    }

    fn post_message(&self, _: ClientId, _: WorkerId, _: Message) {}

    fn post_message_to_client(&self, _: WorkerId, _: ClientId, _: Message) {}

    fn client(&self, _: WorkerId, _: ClientId) -> Pending<Option<Environment>> {
        async { None }.boxed()
    }

    fn clients(&self, _: WorkerId, _: bool) -> Pending<Vec<Environment>> {
        async { Vec::new() }.boxed()
    }

    fn registrations(&self, _: ClientId) -> Pending<Vec<RegistrationView>> {
        async { Vec::new() }.boxed()
    }

    fn import_script(&self, _: WorkerId, url: Url) -> Pending<Result<Arc<ScriptResource>, String>> {
        async move { Err(format!("{url}: there are no workers here")) }.boxed()
    }

    fn add_routes(
        &self,
        _: WorkerId,
        _: EventId,
        _: Vec<RouterRule>,
    ) -> Pending<Result<(), JobError>> {
        async { Err(JobError::Security("there are no workers here".to_owned())) }.boxed()
    }

    fn handle_fall_through_requests(
        &self,
        _: WorkerId,
        _: EventId,
        _: &[String],
        _: Option<&[String]>,
    ) -> Result<(), JobError> {
        Err(JobError::Security("there are no workers here".to_owned()))
    }
}
