//! Pages: a navigation fetches a document, a tree is made of it, and its scripts run in order.
//! (*HTML*, "navigate" and "prepare the script element", as far as a page without frames and
//! painting needs them.)

mod documents;
mod tree;

use std::fmt;
use std::io;
use std::sync::Arc;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use service_worker::types::fetch::{
    CredentialsMode, Destination, RedirectMode, RequestHead, RequestMode, ResponseHead,
};
use service_worker::types::{ClientId, Environment};
use service_worker::{BodyError, HostEvent};
use url::Url;

use self::documents::BrowserDocuments;
use self::tree::Node;
use crate::browser::Parts;
use crate::facade::FetchRecord;
use crate::fetch::{FetchError, FetchParams, FetchedResponse, ReferrerPolicy, location_url};
use crate::js::{self, ConsoleLevel, DocumentSource, PageOptions, ScriptError};

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
    client: Client,
}

/// A client that the registry knows: the environment of a page, or the reserved one of a navigation
/// under way. Dropped, it is gone, also if whoever awaited the navigation gave up.
struct Client {
    parts: Arc<Parts>,
    environment: Environment,
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
        }
    }

    fn id(&self) -> ClientId {
        self.environment.id
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.parts.host.remove_page(self.id());
        self.parts.host_event(HostEvent::ClientGone(self.id()));
        self.parts.facade.forget(self.id());
    }
}

/// What scripts see of a document that has no DOM yet: its title and its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DocumentText {
    /// `document.title`, before white space is stripped.
    pub(crate) title: String,
    /// `document.body.textContent`; `None` if there is no body.
    pub(crate) body: Option<String>,
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

    /// What the page fetched so far, in order: its document, its scripts, and what they fetched.
    #[must_use]
    pub fn fetches(&self) -> Vec<FetchRecord> {
        self.client.parts.facade.records(self.client.id())
    }

    /// Its URL, after redirects.
    #[must_use]
    pub const fn url(&self) -> &Url {
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
    let (parts, environment) = (&client.parts, &client.environment);
    let url = &environment.creation_url;
    let response = fetch_document(parts, environment).await?;
    if let Some(target) = redirect_of(url, &response.head)? {
        return Ok(Opening::Redirect(target));
    }
    check_type(url, &response.head)?;
    let response_headers = response.head.headers.clone();
    let html = read(response, url).await?;
    let (text, scripts) = read_document(&html);
    if forbids_fall_through(&response_headers) {
        parts.host_event(HostEvent::FallThroughForbidden(environment.id));
    }
    // The realm reads its controller as it is made: by then the facade must know who that is.
    parts.facade.handle().caught_up().await;
    let realm = open_realm(parts, environment, text).map_err(|error| NavigateError::Thread {
        url: url.clone(),
        error,
    })?;
    parts.host.add_page(environment.id, realm.clone());
    let page = Page { realm, client };
    let (parts, id) = (&page.client.parts, page.client.id());
    parts.host_event(HostEvent::ClientReady(id));
    page.run_scripts(scripts).await;
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
    let params = FetchParams {
        head,
        body: bytes::Bytes::new(),
        client: environment.clone(),
        reserved: Some(environment.clone()),
        referrer_policy: ReferrerPolicy::default(),
        by_user: true,
    };
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

/// Only HTML in UTF-8 is shown.
fn check_type(url: &Url, head: &ResponseHead) -> Result<(), NavigateError> {
    let value = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let value = value.unwrap_or_default().to_ascii_lowercase();
    let essence = value.split(';').next().unwrap_or_default().trim();
    let charset = value
        .split(';')
        .filter_map(|part| part.trim().strip_prefix("charset="))
        .next();
    let refused = |reason| {
        Err(NavigateError::NotADocument {
            url: url.clone(),
            reason,
        })
    };
    if essence != "text/html" {
        return refused(format!(
            "Content-Type is {value:?}, and only text/html is shown"
        ));
    }
    match charset.map(|charset| charset.trim_matches('"')) {
        None | Some("utf-8" | "utf8") => Ok(()),
        Some(other) => refused(format!("its charset is {other}, and only UTF-8 is read")),
    }
}

async fn read(response: FetchedResponse, url: &Url) -> Result<String, NavigateError> {
    let body = response
        .body
        .unwrap_or_default()
        .collect(DOCUMENT_LIMIT)
        .await;
    let bytes = body.map_err(|error| NavigateError::Body {
        url: url.clone(),
        error,
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A script element.
enum Script {
    Inline(String),
    External(String),
}

/// What is kept of a document: what scripts see of it, and its scripts in order.
fn read_document(html: &str) -> (DocumentText, Vec<Script>) {
    let nodes = tree::parse(html).descendants();
    let named = |name| {
        nodes
            .iter()
            .find(move |node| node.local_name() == Some(name))
    };
    let text = DocumentText {
        title: named("title").map(Node::text_content).unwrap_or_default(),
        body: named("body").map(Node::text_content),
    };
    let scripts = nodes
        .iter()
        .filter(|node| node.local_name() == Some("script"))
        .filter(|node| is_classic(node.attribute("type")))
        .map(|node| match node.attribute("src") {
            Some(src) => Script::External(src),
            None => Script::Inline(node.text_content()),
        })
        .collect();
    (text, scripts)
}

/// The same, with inline scripts only.
pub(crate) fn read_text(html: &str) -> (DocumentText, Vec<String>) {
    let (text, scripts) = read_document(html);
    let inline = scripts.into_iter().filter_map(|script| match script {
        Script::Inline(source) => Some(source),
        Script::External(_) => None,
    });
    (text, inline.collect())
}

/// Whether a script element's type is JavaScript. Modules are not run yet; a data block never is.
fn is_classic(script_type: Option<String>) -> bool {
    let script_type = script_type.unwrap_or_default();
    if script_type.eq_ignore_ascii_case("module") {
        tracing::warn!("module scripts of pages are not run yet");
    }
    matches!(
        script_type.trim().to_ascii_lowercase().as_str(),
        "" | "text/javascript" | "application/javascript"
    )
}

fn open_realm(
    parts: &Arc<Parts>,
    environment: &Environment,
    text: DocumentText,
) -> io::Result<js::Page> {
    let mut options = PageOptions::new(
        environment.clone(),
        Arc::clone(&parts.console),
        Arc::new(parts.facade.clone()),
    );
    options.limits = parts.page_limits();
    let (services, text) = (Arc::clone(parts), Arc::new(text));
    let documents = Arc::new(DocumentSource(Arc::new(BrowserDocuments(Arc::clone(
        parts,
    )))));
    options.prepare = Some(Arc::new(move |realm| {
        services
            .services(realm)
            .with_service(Arc::clone(&text))
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

impl Page {
    /// Runs the scripts of the document in order. One that fails is said in the console, and the
    /// next one runs.
    async fn run_scripts(&self, scripts: Vec<Script>) {
        for script in scripts {
            let ran = match script {
                Script::Inline(source) => self.run_classic(source, self.url().as_str()).await,
                Script::External(src) => self.run_external(&src).await,
            };
            if let Err(error) = ran {
                let console = &self.client.parts.console;
                console.message(self.url().as_str(), ConsoleLevel::Error, &error);
            }
        }
        self.realm.loaded();
    }

    async fn run_external(&self, src: &str) -> Result<(), String> {
        let Client { parts, environment } = &self.client;
        let url = self
            .url()
            .join(src)
            .map_err(|error| format!("script {src:?}: {error}"))?;
        let head = RequestHead {
            destination: Destination::Script,
            mode: RequestMode::NoCors,
            credentials: CredentialsMode::Include,
            referrer: Some(self.url().clone()),
            ..RequestHead::get(url.clone(), environment.origin.clone())
        };
        let params = FetchParams {
            head,
            body: bytes::Bytes::new(),
            client: environment.clone(),
            reserved: None,
            referrer_policy: ReferrerPolicy::default(),
            by_user: false,
        };
        let response = parts
            .fetches
            .fetch(params)
            .await
            .map_err(|error| error.to_string())?;
        if !response.head.status.is_success() {
            return Err(format!("{url}: status {}", response.head.status));
        }
        let source = read(response, &url)
            .await
            .map_err(|error| error.to_string())?;
        self.run_classic(source, url.as_str()).await
    }

    async fn run_classic(&self, source: String, name: &str) -> Result<(), String> {
        self.realm
            .run_classic(source, name)
            .await
            .map_err(|error| error.to_string())
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("url", &self.url().as_str())
            .finish_non_exhaustive()
    }
}
