//! Where the documents of windows come from: the browser around an agent.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Method};
use service_worker::types::fetch::{Destination, ResponseHead};
use service_worker::types::{ClientId, ClientType, Environment, FrameType, Origin, Site};
use url::Url;

use crate::fetch::{FetchTiming, PolicyContainer, Source, is_potentially_trustworthy};

use super::blob_urls::ResolvedBlob;
use super::page::Page;
use super::seam::Pending;

/// What windows ask of their browser. A [service](super::RealmOptions::with_service) of their realms
/// as [`DocumentSource`]; without it, windows have documents that are not fetched, and no others.
pub trait Documents: Send + Sync + 'static {
    /// An id that no client has had.
    fn next_client(&self) -> ClientId;

    /// A document is being made that is not fetched. What is given back is dropped when it is gone.
    fn create(&self, environment: &Environment) -> Box<dyn Any + Send>;

    /// Ends when everybody can know the clients that were created so far.
    fn caught_up(&self) -> Pending<()>;

    /// The client that was just created comes from a local URL, and has the controller of whoever
    /// made it. Ends when everybody can know.
    fn inherit_controller(
        &self,
        environment: &Environment,
        creator: ClientId,
    ) -> Pending<Result<(), String>>;

    /// *Create navigation params by fetching.* Follows redirects, each hop with a reserved client of
    /// its own.
    fn fetch(&self, request: DocumentRequest) -> Pending<Result<FetchedDocument, String>>;

    /// A document is execution-ready in that realm. Notices for its client go there.
    fn ready(&self, environment: &Environment, page: Page);
}

/// [`Documents`], as a service.
pub struct DocumentSource(pub Arc<dyn Documents>);

/// What is to be navigated to, and by whom.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever navigates decides all of it"
)]
pub struct DocumentRequest {
    /// The URL.
    pub url: Url,
    /// The method.
    pub method: Method,
    /// The body, if there is one, and its type.
    pub body: Option<(Bytes, String)>,
    /// What a `blob:` URL led to when the navigation began.
    pub blob: Option<ResolvedBlob>,
    /// Who navigates.
    pub source: Environment,
    /// The document that links to it; `None` for no referrer.
    pub referrer: Option<Url>,
    /// What the document will be in.
    pub place: Place,
    /// What of: a frame's is its container's.
    pub destination: Destination,
    /// Whether the document's origin will be opaque.
    pub sandboxed: bool,
    /// The policies of who navigates.
    pub policies: PolicyContainer,
    /// How it came about.
    pub kind: NavigationKind,
    /// The document that it will take the place of.
    pub replaces: Option<Replaced>,
}

/// How a navigation came about. (*HTML*, "navigation type".)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are these three")]
pub enum NavigationKind {
    /// A document of a new session history entry.
    #[default]
    New,
    /// What is there is loaded again.
    Reload,
    /// An entry that had a document before is gone to.
    Traverse,
}

/// The active document of the navigable that is navigated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "who and whose")]
pub struct Replaced {
    /// Its client.
    pub client: ClientId,
    /// Its origin.
    pub origin: Origin,
}

impl Replaced {
    /// The client, for a worker that is asked for that URL: those of other origins learn of none.
    #[must_use]
    pub fn seen_by(self, url: &Url) -> Option<ClientId> {
        (self.origin == Origin::of(url)).then_some(self.client)
    }
}

/// Where a document will be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are these three")]
pub enum Place {
    /// At top level.
    TopLevel,
    /// At top level, in a window that another opened and may be known to.
    Auxiliary,
    /// In a frame of a document of this environment.
    Frame(Box<Environment>),
}

impl DocumentRequest {
    /// The environment of the document that `url` gives: the request's, or one it redirects to.
    #[must_use]
    pub fn environment(&self, id: ClientId, url: Url) -> Environment {
        let origin = match self.blob.as_ref() {
            Some(blob) => blob.origin().clone(),
            None => Origin::of(&url),
        };
        let origin = match origin {
            origin if self.sandboxed || self.blob.is_none() && origin.is_opaque() => {
                Origin::opaque(id.0)
            }
            origin => origin,
        };
        self.place.environment(id, url, origin)
    }
}

impl Place {
    /// The environment of a document of that origin there.
    #[must_use]
    pub fn environment(&self, id: ClientId, url: Url, origin: Origin) -> Environment {
        let secure = origin.is_potentially_trustworthy();
        let secure_url = is_potentially_trustworthy(&url);
        let mut environment = Environment::top_level(id, url);
        match self {
            Self::TopLevel | Self::Auxiliary => {
                if matches!(self, Self::Auxiliary) {
                    environment.frame_type = FrameType::Auxiliary;
                }
                environment.secure_context = secure;
                environment.top_level_site = Site::of(&origin);
            }
            Self::Frame(parent) => {
                environment.frame_type = FrameType::Nested;
                environment.top_level_site = parent.top_level_site.clone();
                environment.cross_site_ancestor =
                    parent.cross_site_ancestor || !parent.top_level_site.contains(&origin);
                environment.storage_blocked = parent.storage_blocked;
                environment.ephemeral = parent.ephemeral;
                // Secure Contexts, §3.2: all ancestors count. A sandboxed frame is as secure as its
                // URL, whatever its origin.
                environment.secure_context =
                    parent.secure_context && (secure_url || origin == parent.origin);
            }
        }
        environment.client_type = ClientType::Window;
        environment.origin = origin;
        environment
    }
}

/// A document that was fetched.
#[non_exhaustive]
pub struct FetchedDocument {
    /// Its environment; the creation URL is that of the response.
    pub environment: Environment,
    /// Dropped when the document is gone.
    pub client: Box<dyn Any + Send>,
    /// The status of the response.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Whether a redirect made a `GET` of the request.
    pub became_get: bool,
    /// `document.referrer`
    pub referrer: String,
    /// When it came, if it came by a fetch.
    pub timing: Option<DocumentTiming>,
}

/// When the resource of a document came.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DocumentTiming {
    /// The URL that was asked for first.
    pub url: Url,
    /// How its response came.
    pub fetch: FetchTiming,
    /// Its response.
    pub response: ResponseHead,
    /// Who gave it.
    pub source: Source,
    /// When its body had been read.
    pub end: Instant,
    /// The length of its body, decoded, in bytes.
    pub length: usize,
    /// How the navigation came about.
    pub kind: NavigationKind,
}

impl DocumentTiming {
    /// Of a body of that length that has just been read.
    #[must_use]
    pub fn new(
        url: Url,
        fetch: FetchTiming,
        (response, source): (ResponseHead, Source),
        length: usize,
    ) -> Self {
        Self {
            url,
            fetch,
            response,
            source,
            end: Instant::now(),
            length,
            kind: NavigationKind::New,
        }
    }
}

impl FetchedDocument {
    /// A document that was fetched.
    pub fn new(environment: Environment, client: Box<dyn Any + Send>, body: Bytes) -> Self {
        Self {
            environment,
            client,
            status: 200,
            headers: HeaderMap::new(),
            body,
            became_get: false,
            referrer: String::new(),
            timing: None,
        }
    }
}
