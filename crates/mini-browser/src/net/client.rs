//! [`HyperNetwork`]: the facade's network over hyper and rustls.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_channel::oneshot;
use http::header::{CONTENT_LENGTH, COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method};
use hyper::body::{Body as _, Incoming};
use hyper::ext::ReasonPhrase;
use hyper::{Response, StatusCode, Version};
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use service_worker::tokio_adapter::TokioClock;
use service_worker::types::fetch::CacheMode;
use service_worker::types::{Origin, StorageKey};
use service_worker::{
    Body, Network, NetworkError, NetworkErrorKind, NetworkFuture, NetworkRequest, NetworkResponse,
};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use url::Url;

use super::clear_site_data::{StoredData, Types, cleared_key};
use super::connect::{Connector, PROTOCOLS};
use super::cookies::{CookieAccess, CookieJar, CookiePartition, SameSiteStatus};
use super::http_cache::{Asked, CacheKey, Found, HttpCache, Stored, StoredHead};
use super::message::Message;
use super::pool::{Pool, PoolKey};
use super::sender::Sender;
use super::{HostMap, content_coding, describe, incoming};

/// How a [`HyperNetwork`] finds and trusts servers, and how long it waits for them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NetworkConfig {
    /// Which address a host name means.
    pub host_map: HostMap,
    /// The certificate authorities that are trusted: these and no others.
    pub extra_ca: Vec<CertificateDer<'static>>,
    /// How long resolving, connecting and the TLS handshake may take together. 15 s.
    pub connect_timeout: Duration,
    /// How long a server may take for the head of its response, from when it has been sent all of
    /// the request. 60 s.
    pub head_timeout: Duration,
    /// The longest head of a response, in bytes. 256 KiB.
    pub max_head_bytes: usize,
    /// The most header fields of a response. 256.
    pub max_head_fields: usize,
    /// What takes the place of the body of every 200 answer to a `GET` for a path, of whatever
    /// host: for files that are made to be replaced by whoever runs a test. Nothing at first.
    pub replaced_bodies: BTreeMap<String, Bytes>,
    /// How many bytes the HTTP cache keeps, in memory; an answer may have an eighth of it. 0 turns
    /// the cache off. 64 MiB.
    pub http_cache_bytes: usize,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            host_map: HostMap::new(),
            extra_ca: Vec::new(),
            connect_timeout: Duration::from_secs(15),
            head_timeout: Duration::from_secs(60),
            max_head_bytes: 256 * 1024,
            max_head_fields: 256,
            replaced_bodies: BTreeMap::new(),
            http_cache_bytes: 64 * 1024 * 1024,
        }
    }
}

/// Why a [`HyperNetwork`] cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkSetupError {
    /// A certificate of [`NetworkConfig::extra_ca`] is none.
    #[error("the extra certificate authority number {number} is not usable ({reason})")]
    Authority {
        /// Its place in the list, from 1.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// rustls offers no protocol version with its crypto provider.
    #[error("TLS is not available ({0})")]
    Tls(String),
}

/// The network of the reference host: HTTP/2 or HTTP/1.1 over TLS, as the server likes, and HTTP/1.1
/// without; one hop at a time.
///
/// It asks for content codings and undoes them, keeps the profile's cookies, uses a connection again
/// (over HTTP/2, for several at once) for requests of the same origin, partition and credentials flag,
/// and streams bodies both ways, so that a slow reader holds the sender back. Its HTTP cache lives in memory and as long as it does; where that has no
/// answer, [`CacheMode::OnlyIfCached`] is [`Blocked`](NetworkErrorKind::Blocked).
///
/// Connections live on the tokio runtime that it was made with; its futures and bodies may be
/// polled anywhere.
#[derive(Clone)]
pub struct HyperNetwork {
    shared: Arc<Shared>,
    runtime: Handle,
}

impl HyperNetwork {
    /// A network whose connections live on `runtime`, which needs its I/O and time drivers.
    ///
    /// # Errors
    /// [`NetworkSetupError`], if a certificate authority is not usable.
    pub fn new(config: NetworkConfig, runtime: Handle) -> Result<Self, NetworkSetupError> {
        let cookies = Arc::new(CookieJar::new(Arc::new(TokioClock)));
        Self::with_cookies(config, runtime, cookies)
    }

    /// The same, with the cookies of a profile.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_cookies(
        config: NetworkConfig,
        runtime: Handle,
        cookies: Arc<CookieJar>,
    ) -> Result<Self, NetworkSetupError> {
        let connector = Connector {
            tls: Arc::new(tls_config(config.extra_ca)?),
            host_map: config.host_map,
            limits: Limits {
                connect_timeout: config.connect_timeout,
                max_head_bytes: config.max_head_bytes,
                max_head_fields: config.max_head_fields,
            },
        };
        Ok(Self {
            shared: Arc::new(Shared {
                connector,
                head_timeout: config.head_timeout,
                pool: Pool::default(),
                cookies,
                replaced_bodies: config.replaced_bodies,
                cache: Arc::new(HttpCache::new(
                    config.http_cache_bytes,
                    Arc::new(TokioClock),
                )),
                stored: OnceLock::new(),
            }),
            runtime,
        })
    }

    /// The cookies that it sends and stores.
    #[must_use]
    pub fn cookies(&self) -> Arc<CookieJar> {
        Arc::clone(&self.shared.cookies)
    }

    /// What else there is for `Clear-Site-Data` to clear, besides cookies and HTTP cache. The first
    /// one that is said stays; until then, and once it is dropped, there is nothing else.
    pub fn clear_also(&self, stored: Weak<dyn StoredData>) {
        if self.shared.stored.set(stored).is_err() {
            tracing::debug!("the network knows already who keeps data");
        }
    }
}

impl Network for HyperNetwork {
    fn send(&self, request: NetworkRequest) -> NetworkFuture {
        let shared = Arc::clone(&self.shared);
        let runtime = self.runtime.clone();
        Box::pin(async move {
            let url = request.url.clone();
            let task = AbortOnDrop(runtime.spawn(shared.fetch(request)));
            task.await.map_err(|kind| NetworkError { url, kind })
        })
    }
}

impl std::fmt::Debug for HyperNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HyperNetwork").finish_non_exhaustive()
    }
}

/// The limits of one connection.
pub(super) struct Limits {
    pub(super) connect_timeout: Duration,
    pub(super) max_head_bytes: usize,
    pub(super) max_head_fields: usize,
}

struct Shared {
    connector: Connector,
    head_timeout: Duration,
    pool: Pool,
    cookies: Arc<CookieJar>,
    replaced_bodies: BTreeMap<String, Bytes>,
    cache: Arc<HttpCache>,
    /// Whoever keeps what `Clear-Site-Data` clears and is not here.
    stored: OnceLock<Weak<dyn StoredData>>,
}

impl Shared {
    /// *HTTP-network-or-cache fetch*, from step 8.22 on.
    async fn fetch(
        self: Arc<Self>,
        mut request: NetworkRequest,
    ) -> Result<NetworkResponse, NetworkErrorKind> {
        if !matches!(request.url.scheme(), "http" | "https") {
            return Err(NetworkErrorKind::Scheme);
        }
        // "If httpCache is null, then set httpRequest's cache mode to `no-store`."
        let Some(key) = request.partition.clone() else {
            return match request.cache {
                CacheMode::OnlyIfCached => Err(NOT_CACHED),
                _ => self.network_fetch(request).await,
            };
        };
        let key = CacheKey::new(key, &request.url, request.credentials);
        let asked = self.asked(&request);
        let mode = request.cache;
        let stale = match self.cache.look_up(&key, mode, &asked) {
            Found::Answer(stored) => return Ok(from_cache(&stored, true)),
            _ if mode == CacheMode::OnlyIfCached => return Err(NOT_CACHED),
            Found::Nothing => None,
            Found::Stale(stored, validators) => {
                request.headers.extend(validators);
                Some(stored)
            }
        };
        let mut response = Arc::clone(&self).network_fetch(request).await?;
        let status = response.status;
        if !asked.method.is_safe() && (status.is_success() || status.is_redirection()) {
            self.cache.invalidate(&key, &response.headers);
        }
        match stale {
            Some(stored) if status == StatusCode::NOT_MODIFIED => {
                let stored = self.cache.freshen(key, &asked, &stored, &response.headers);
                return Ok(from_cache(&stored, false));
            }
            _ if mode == CacheMode::NoStore => {}
            _ => {
                let head = StoredHead {
                    status,
                    status_text: response.status_text.clone(),
                    headers: response.headers.clone(),
                    sent_credentials: response.sent_credentials,
                };
                response.body = self.cache.keeping(key, asked, head, response.body);
            }
        }
        Ok(response)
    }

    /// A request as the cache sees it.
    fn asked(&self, request: &NetworkRequest) -> Asked {
        let mut headers = request.headers.clone();
        let cookie = Cookies::of(request).and_then(|cookies| cookies.header(&self.cookies));
        if let Some(cookie) = cookie {
            headers.insert(COOKIE, cookie);
        }
        Asked {
            method: request.method.clone(),
            headers,
        }
    }

    /// *HTTP-network fetch*.
    async fn network_fetch(
        self: Arc<Self>,
        request: NetworkRequest,
    ) -> Result<NetworkResponse, NetworkErrorKind> {
        let url = request.url.clone();
        let replaced = match request.method {
            Method::GET => self.replaced_bodies.get(url.path()).cloned(),
            _ => None,
        };
        let key = PoolKey::new(&url, request.credentials, request.partition.clone());
        let partition = request.partition.clone().filter(|_| request.credentials);
        let cookies = Cookies::of(&request);
        let cookie = cookies
            .as_ref()
            .map(|cookies| cookies.header(&self.cookies));
        let message = Message::new(request, cookie.flatten())?;
        let sent_credentials = message.has_credentials();

        let copy = message.copy();
        let response = self.exchange(&url, &key, message).await?;
        // HTTP-network-or-cache fetch, "If all of the following are true: response's status is 421;
        // isNewConnectionFetch is false; request's body is null, or … source is non-null".
        let response = match copy {
            Some(again) if response.status() == StatusCode::MISDIRECTED_REQUEST => {
                self.over_new_connection(&url, &key, again).await?
            }
            _ => response,
        };

        let (mut head, incoming) = response.into_parts();
        if let Some(cookies) = &cookies {
            cookies.store(&self.cookies, &head.headers);
        }
        if let Some(partition) = partition {
            self.clear_site_data(&url, &partition, &head.headers).await;
        }
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(NetworkErrorKind::Http(
                "the server switches protocols, which nobody asked for".into(),
            ));
        }
        let body = if incoming.is_end_stream() {
            Body::empty()
        } else {
            content_coding::decode(&mut head.headers, incoming::body(incoming))
        };
        let body = match replaced {
            Some(replaced) if head.status == StatusCode::OK => {
                head.headers.remove(CONTENT_LENGTH);
                Body::from(replaced)
            }
            _ => body,
        };
        Ok(NetworkResponse {
            status: head.status,
            status_text: status_text(&head),
            headers: head.headers,
            body,
            from_cache: false,
            sent_credentials,
            protocol: if head.version == Version::HTTP_2 {
                "h2"
            } else {
                "http/1.1"
            },
        })
    }

    /// *Clear site data for response*: before anyone sees it. (HTTP-network fetch, step 15.)
    async fn clear_site_data(&self, url: &Url, partition: &StorageKey, headers: &HeaderMap) {
        // Steps 1 to 3.
        let types = Types::of(url, headers);
        if types == Types::default() {
            return;
        }
        let key = cleared_key(url, partition);
        let stored = self.stored.get().and_then(Weak::upgrade);
        // Step 5.
        if types.cache {
            self.cache
                .clear_site(&CacheKey::new(key.clone(), url, true));
        }
        if types.cookies {
            self.cookies.clear_site(url, &CookiePartition::of(&key));
            if let Some(stored) = &stored {
                stored.clear_authentication(&key);
            }
        }
        if types.storage
            && let Some(stored) = stored
        {
            stored.clear_storage(key).await;
        }
    }

    /// Sends over an idle connection, or else over a new one. A connection that the server closed
    /// while it was idle shows that only when it is used: such a request is sent once more, if
    /// nothing of it was sent or if it may be repeated.
    async fn exchange(
        self: &Arc<Self>,
        url: &Url,
        key: &PoolKey,
        message: Message,
    ) -> Result<Response<Incoming>, NetworkErrorKind> {
        let mut message = message;
        if let Some(sender) = self.pool.take(key) {
            let copy = message.copy_if_repeatable();
            match self.send_over(sender, key, message).await {
                Ok(response) => return Ok(response),
                Err(failure) => match failure.unsent.or(copy.filter(|_| failure.is_stale)) {
                    Some(again) => message = again,
                    None => return Err(failure.kind),
                },
            }
        }
        self.over_new_connection(url, key, message).await
    }

    async fn over_new_connection(
        self: &Arc<Self>,
        url: &Url,
        key: &PoolKey,
        message: Message,
    ) -> Result<Response<Incoming>, NetworkErrorKind> {
        let sender = self.connector.connect(url).await?;
        // Who comes next need not wait for the response.
        if let Some(shared) = sender.shared() {
            self.pool.put(key.clone(), shared);
        }
        self.send_over(sender, key, message)
            .await
            .map_err(|failure| failure.kind)
    }

    async fn send_over(
        self: &Arc<Self>,
        mut sender: Sender,
        key: &PoolKey,
        message: Message,
    ) -> Result<Response<Incoming>, Failure> {
        if message.is_stream() && sender.shared().is_none() {
            self.keep_when_done(key.clone(), sender);
            return Err(Failure {
                unsent: None,
                is_stale: false,
                kind: NetworkErrorKind::Blocked("HTTP/1.1, over which no stream can be sent"),
            });
        }
        let (responding, sent) = sender.send(message);
        let too_late = async {
            // Whether it was sent or dropped: from here on the server alone is waited for.
            let _: Result<(), oneshot::Canceled> = sent.await;
            tokio::time::sleep(self.head_timeout).await;
        };
        let response = tokio::select! {
            response = responding => response.map_err(|mut error| Failure {
                unsent: error.take_message().and_then(Message::from_request),
                is_stale: !error.error().is_parse() && !error.error().is_user(),
                kind: NetworkErrorKind::Http(describe(error.error())),
            }),
            () = too_late => Err(Failure {
                unsent: None,
                is_stale: false,
                kind: NetworkErrorKind::Timeout,
            }),
        }?;
        self.keep_when_done(key.clone(), sender);
        Ok(response)
    }

    /// Puts a connection back once its response has been read to the end; one that others use
    /// meanwhile was never away.
    fn keep_when_done(self: &Arc<Self>, key: PoolKey, mut sender: Sender) {
        if sender.shared().is_some() {
            return;
        }
        let shared = Arc::downgrade(self);
        tokio::spawn(async move {
            let is_reusable = sender.becomes_ready().await;
            if let (true, Some(shared)) = (is_reusable, shared.upgrade()) {
                shared.pool.put(key, sender);
            }
        });
    }
}

/// Why `only-if-cached` fails.
const NOT_CACHED: NetworkErrorKind =
    NetworkErrorKind::Blocked("only-if-cached: the HTTP cache has no answer");

/// What was stored, as a response.
fn from_cache(stored: &Stored, without_network: bool) -> NetworkResponse {
    let StoredHead {
        status,
        status_text,
        headers,
        sent_credentials,
    } = stored.head.clone();
    NetworkResponse {
        status,
        status_text,
        headers,
        body: Body::from(stored.body.clone()),
        from_cache: without_network,
        sent_credentials,
        protocol: "",
    }
}

/// The reason phrase of the status line, each byte a character. (hyper keeps one that is not the
/// registered one of its status.) HTTP/2 has none.
fn status_text(head: &hyper::http::response::Parts) -> String {
    if head.version == Version::HTTP_2 {
        return String::new();
    }
    match head.extensions.get::<ReasonPhrase>() {
        Some(phrase) => phrase.as_bytes().iter().copied().map(char::from).collect(),
        None => head
            .status
            .canonical_reason()
            .unwrap_or_default()
            .to_owned(),
    }
}

/// The cookies of one request and its response.
struct Cookies {
    url: Url,
    partition: CookiePartition,
    same_site: SameSiteStatus,
}

impl Cookies {
    /// Those of a request that includes credentials and that has a partition.
    fn of(request: &NetworkRequest) -> Option<Self> {
        let partition = request.partition.as_ref().filter(|_| request.credentials)?;
        let site = request.site_for_cookies.as_ref();
        // RFC 6265bis, §5.2.
        let is_same_site = site.is_some_and(|site| site.contains(&Origin::of(&request.url)));
        let same_site = match (is_same_site, request.top_level_navigation) {
            (true, _) => SameSiteStatus::SameSite,
            (false, true) if request.method.is_safe() => SameSiteStatus::CrossSiteNavigation,
            (false, true) => SameSiteStatus::CrossSiteUnsafeNavigation,
            (false, false) => SameSiteStatus::CrossSite,
        };
        Some(Self {
            url: request.url.clone(),
            partition: CookiePartition::of(partition),
            same_site,
        })
    }

    const fn access(&self) -> CookieAccess<'_> {
        CookieAccess {
            url: &self.url,
            partition: &self.partition,
            same_site: self.same_site,
            http: true,
        }
    }

    /// *Append a request `Cookie` header*; `None` if there are no cookies. (A cookie holds no byte
    /// that a header cannot hold.)
    fn header(&self, jar: &CookieJar) -> Option<HeaderValue> {
        let cookies = jar.cookie_string(self.access());
        HeaderValue::from_bytes(&cookies)
            .ok()
            .filter(|value| !value.is_empty())
    }

    /// *Parse and store response `Set-Cookie` headers*.
    fn store(&self, jar: &CookieJar, headers: &HeaderMap) {
        for value in headers.get_all(SET_COOKIE) {
            jar.set(self.access(), value.as_bytes());
        }
    }
}

/// Why a connection gave no response.
struct Failure {
    /// The message, if nothing of it was sent.
    unsent: Option<Message>,
    /// Whether it may be that the connection was closed before it was used.
    is_stale: bool,
    kind: NetworkErrorKind,
}

fn tls_config(
    authorities: Vec<CertificateDer<'static>>,
) -> Result<ClientConfig, NetworkSetupError> {
    let mut roots = RootCertStore::empty();
    for (index, authority) in authorities.into_iter().enumerate() {
        roots
            .add(authority)
            .map_err(|error| NetworkSetupError::Authority {
                number: index + 1,
                reason: error.to_string(),
            })?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| NetworkSetupError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    // A resumed session would tell a server that two partitions are one user.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Ends its task when it is dropped.
struct AbortOnDrop(JoinHandle<Result<NetworkResponse, NetworkErrorKind>>);

impl Future for AbortOnDrop {
    type Output = Result<NetworkResponse, NetworkErrorKind>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|joined| {
            joined.unwrap_or_else(|error| {
                Err(NetworkErrorKind::Http(format!(
                    "the network's runtime ended it: {error}"
                )))
            })
        })
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
