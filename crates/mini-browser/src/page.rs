//! Pages: a navigation fetches a document, which the page's window parses and runs. (*HTML*,
//! "navigate", at top level.)

mod documents;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::HeaderMap;
use service_worker::types::fetch::{
    CredentialsMode, Destination, RedirectMode, RequestHead, RequestMode, ResponseHead, mime_type,
};
use service_worker::types::{ClientId, Environment};
use service_worker::{BodyError, HostEvent};
use url::Url;

use self::documents::BrowserDocuments;
use crate::browser::Parts;
use crate::facade::FetchRecord;
use crate::fetch::{FetchError, FetchParams, FetchedResponse, PolicyContainer, location_url};
use crate::js::{self, DocumentSource, DocumentTiming, PageOptions, ScriptError};

/// The greatest size of a document or script, in bytes.
const DOCUMENT_LIMIT: usize = 64 << 20;

/// How many redirects a navigation follows. (*Fetch*, "HTTP-redirect fetch".)
const REDIRECTS: usize = 20;

/// Why a navigation has no document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NavigateError {
    /// Nobody answered.
    #[error(transparent)]
    Fetch(Box<FetchError>),
    /// The answer's body broke.
    #[error("{url}: {error}")]
    Body {
        /// The document.
        url: Url,
        /// How.
        error: BodyError,
    },
    /// The answer is not a document that can be shown.
    #[error("{url}: {reason}")]
    NotADocument {
        /// The document.
        url: Url,
        /// Why.
        reason: String,
    },
    /// It redirects for ever.
    #[error("{0} redirects more than {REDIRECTS} times")]
    Redirects(Url),
    /// The system gives no thread.
    #[error("{url}: no thread for the page: {error}")]
    Thread {
        /// The document.
        url: Url,
        /// Why.
        error: io::Error,
    },
}

impl From<FetchError> for NavigateError {
    fn from(error: FetchError) -> Self {
        Self::Fetch(Box::new(error))
    }
}

/// A page. It lives until it is [closed](Self::close) or dropped.
pub struct Page {
    // In this order: the scripts end before the client is gone.
    realm: js::Page,
    client: Arc<Client>,
}

/// A client that the registry knows: the environment of a page, or the reserved one of a navigation
/// under way. Dropped, it is gone, also if whoever awaited the navigation gave up.
struct Client {
    parts: Arc<Parts>,
    environment: Environment,
    is_discarded: AtomicBool,
}

/// What the window of a page's first document holds of its client: the page may navigate itself, and
/// that document be gone before the page is.
struct Shown(Arc<Client>);

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.discard();
    }
}

impl Client {
    /// A client of its own for each hop of a navigation: a redirect may lead to another origin.
    fn reserve(parts: &Arc<Parts>, url: Url) -> Self {
        Self::create(parts, Environment::top_level(parts.next_client(), url))
    }

    /// The client of an environment that is being made.
    fn create(parts: &Arc<Parts>, environment: Environment) -> Self {
        parts.host_event(HostEvent::ClientCreated(environment.clone()));
        parts.facade.watch(environment.id);
        Self {
            parts: Arc::clone(parts),
            environment,
            is_discarded: AtomicBool::new(false),
        }
    }

    /// A redirect leads it to another URL.
    fn describe(&mut self, environment: Environment) {
        self.parts
            .host_event(HostEvent::ClientCreated(environment.clone()));
        self.environment = environment;
    }

    /// Its document is gone.
    fn discard(&self) {
        if !self.is_discarded.swap(true, Ordering::Relaxed) {
            self.parts.host.remove_page(self.id());
            self.parts.host_event(HostEvent::ClientGone(self.id()));
        }
    }

    fn id(&self) -> ClientId {
        self.environment.id
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.discard();
        self.parts.facade.forget(self.id());
    }
}

impl Page {
    /// Runs a classic script in the page and gives its value as JSON; a promise is awaited. `name`
    /// names it in errors.
    ///
    /// # Errors
    /// What it threw, with file, line and column.
    pub async fn run_script(
        &self,
        source: &str,
        name: &str,
    ) -> Result<serde_json::Value, ScriptError> {
        self.realm.run_script(source, name).await
    }

    /// What the page fetched so far, in order: its document, its scripts, and what they fetched. Of more
    /// than 1,000 fetches only the latest are remembered.
    #[must_use]
    pub fn fetches(&self) -> Vec<FetchRecord> {
        self.client.parts.facade.records(self.client.id())
    }

    /// The URL of the document that it was opened with, after redirects.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.client.environment.creation_url
    }

    /// Closes it, whatever its scripts are doing: it no longer uses its registration. (A native
    /// function of the engine that cannot be interrupted keeps its thread until it returns, and
    /// nothing else.)
    pub async fn close(self) {
        let handle = self.client.parts.facade.handle().clone();
        drop(self);
        handle.caught_up().await;
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.realm.close();
        self.client.discard();
    }
}

/// *Navigate*, in a new top-level page.
pub(crate) async fn navigate(parts: &Arc<Parts>, url: &Url) -> Result<Page, NavigateError> {
    let mut url = url.clone();
    for _ in 0..=REDIRECTS {
        let client = Client::reserve(parts, url);
        parts.facade.handle().caught_up().await;
        match open(client).await? {
            Opening::Page(page) => return Ok(page),
            Opening::Redirect(target) => url = target,
        }
    }
    Err(NavigateError::Redirects(url))
}

enum Opening {
    Page(Page),
    Redirect(Url),
}

async fn open(client: Client) -> Result<Opening, NavigateError> {
    let client = Arc::new(client);
    let (parts, environment) = (&client.parts, &client.environment);
    let url = &environment.creation_url;
    let mut response = fetch_document(parts, environment).await?;
    if let Some(target) = redirect_of(url, &response.head)? {
        return Ok(Opening::Redirect(target));
    }
    let content_type = check_type(url, &response.head)?;
    let response_headers = response.head.headers.clone();
    let (timing, source) = (response.timing.take(), response.source);
    let head = response.head.clone();
    let resource = read(response, url).await?;
    let timing = timing
        .map(|timing| DocumentTiming::new(url.clone(), *timing, (head, source), resource.len()));
    if forbids_fall_through(&response_headers) {
        parts.host_event(HostEvent::FallThroughForbidden(environment.id));
    }
    // The realm reads its controller as it is made: by then the facade must know who that is.
    parts.facade.handle().caught_up().await;
    let realm =
        open_realm(&client, &response_headers, timing).map_err(|error| NavigateError::Thread {
            url: url.clone(),
            error,
        })?;
    parts.host.add_page(environment.id, realm.clone());
    let page = Page {
        realm,
        client: Arc::clone(&client),
    };
    let (parts, id) = (&page.client.parts, page.client.id());
    parts.host_event(HostEvent::ClientReady(id));
    let loaded = page.realm.open_document(resource, content_type, "").await;
    if let Err(error) = loaded {
        // The page is there all the same; it may have navigated itself before it had loaded.
        tracing::debug!(url = %page.url(), %error, "the document did not load");
    }
    Ok(Opening::Page(page))
}

async fn fetch_document(
    parts: &Parts,
    environment: &Environment,
) -> Result<FetchedResponse, FetchError> {
    let url = environment.creation_url.clone();
    let head = RequestHead {
        destination: Destination::Document,
        mode: RequestMode::Navigate,
        credentials: CredentialsMode::Include,
        redirect: RedirectMode::Manual,
        ..RequestHead::get(url, environment.origin.clone())
    };
    let mut params = FetchParams::new(head, environment.clone());
    params.reserved = Some(environment.clone());
    params.by_user = true;
    parts.fetches.fetch(params).await
}

/// Where a response redirects a navigation to.
fn redirect_of(url: &Url, head: &ResponseHead) -> Result<Option<Url>, NavigateError> {
    if !matches!(head.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    location_url(head, url).map_err(|reason| {
        let url = url.clone();
        FetchError { url, reason }.into()
    })
}

/// Whether a document answered `Fall-Through: none`. (SEMANTICS §5.4, "Page opt-out".)
fn forbids_fall_through(headers: &HeaderMap) -> bool {
    let values = headers.get_all("fall-through").iter();
    values
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.trim() == "none")
}

/// Only HTML is shown at top level. Gives the Content-Type.
fn check_type(url: &Url, head: &ResponseHead) -> Result<String, NavigateError> {
    let value = mime_type(&head.headers).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("text/html") {
        return Ok(value);
    }
    Err(NavigateError::NotADocument {
        url: url.clone(),
        reason: format!("Content-Type is {value:?}, and only text/html is shown"),
    })
}

async fn read(response: FetchedResponse, url: &Url) -> Result<Bytes, NavigateError> {
    let body = response
        .body
        .unwrap_or_default()
        .collect(DOCUMENT_LIMIT)
        .await;
    body.map_err(|error| NavigateError::Body {
        url: url.clone(),
        error,
    })
}

fn open_realm(
    client: &Arc<Client>,
    headers: &HeaderMap,
    timing: Option<DocumentTiming>,
) -> io::Result<js::Page> {
    let (parts, environment) = (&client.parts, &client.environment);
    let mut options = PageOptions::new(
        environment.clone(),
        Arc::clone(&parts.console),
        Arc::new(parts.facade.clone()),
    );
    options.policies = PolicyContainer::from_headers(&environment.creation_url, headers);
    options.limits = parts.page_limits();
    options.timing = timing;
    options.client = Some(Box::new(Shown(Arc::clone(client))));
    let services = Arc::clone(parts);
    let documents = Arc::new(DocumentSource(Arc::new(BrowserDocuments(Arc::clone(
        parts,
    )))));
    options.prepare = Some(Arc::new(move |realm| {
        services
            .services(realm)
            .with_service(Arc::clone(&documents))
    }));
    let url = environment.creation_url.clone();
    let reporter = parts.reporter.clone();
    js::Page::open(options, move |death| {
        tracing::debug!(%url, ?death, "the page has ended");
        if let Some(reporter) = reporter {
            reporter.ended(&death);
        }
    })
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("url", &self.url().as_str())
            .finish_non_exhaustive()
    }
}
