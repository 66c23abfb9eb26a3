//! Fetches that a script waits for: `importScripts()` and the imports of modules. The agent's thread
//! stands still meanwhile, unless the agent is killed.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use service_worker::types::WorkerState;
use service_worker::types::fetch::{
    CredentialsMode, Destination, RequestHead, RequestMode, ResponseHead, ResponseType,
    is_javascript_mime_essence, mime_essence,
};
use url::Url;

use super::blob_urls::ResolvedBlob;
use super::realm::{RealmKind, RealmState};
use super::timings::{Measured, Timings};
use crate::fetch::{FetchParams, FetchService};

/// The longest script, in bytes.
const SCRIPT_LIMIT: usize = 64 << 20;

/// How often a script that waits looks whether its agent was killed.
const LOOK: Duration = Duration::from_millis(5);

/// A script that was fetched.
#[derive(Clone, Debug)]
pub(super) struct FetchedScript {
    /// Its URL, after redirects.
    pub(super) url: Url,
    /// Its MIME type's essence.
    pub(super) essence: String,
    pub(super) body: Bytes,
    /// What it was served with.
    pub(super) headers: HeaderMap,
    /// Whether its errors are hidden from the scripts of other origins.
    pub(super) muted_errors: bool,
}

impl FetchedScript {
    /// *UTF-8 decode.*
    pub(super) fn text(&self) -> String {
        let body = self.body.strip_prefix(b"\xef\xbb\xbf");
        String::from_utf8_lossy(body.unwrap_or(&self.body)).into_owned()
    }

    /// Whether it says that it is JavaScript.
    pub(super) fn is_javascript(&self) -> bool {
        is_javascript_mime_essence(&self.essence)
    }

    /// Whether it says that it is JSON. (*MIME Sniffing*, "JSON MIME type".)
    pub(super) fn is_json(&self) -> bool {
        matches!(self.essence.as_str(), "application/json" | "text/json")
            || self.essence.ends_with("+json")
    }
}

/// What is fetched, and how.
pub(super) struct ScriptRequest {
    pub(super) url: Url,
    pub(super) destination: Destination,
    pub(super) mode: RequestMode,
    pub(super) credentials: CredentialsMode,
    pub(super) referrer: Option<Url>,
    /// What it must be. (*Subresource Integrity*.)
    pub(super) integrity: String,
}

impl ScriptRequest {
    /// The parameters of a fetch by a realm.
    pub(super) fn params(self, realm: &RealmState) -> FetchParams {
        let environment = realm.environment().clone();
        let head = RequestHead {
            destination: self.destination,
            mode: self.mode,
            credentials: self.credentials,
            referrer: self.referrer,
            integrity: self.integrity,
            service_workers: match realm.kind() {
                RealmKind::ServiceWorker(_) => {
                    service_worker::types::fetch::ServiceWorkersMode::Foreign
                }
                RealmKind::Window | RealmKind::DedicatedWorker(_) | RealmKind::SharedWorker(_) => {
                    service_worker::types::fetch::ServiceWorkersMode::All
                }
            },
            ..RequestHead::get(self.url, environment.origin.clone())
        };
        FetchParams::new(head, environment).with_policies(&realm.policies())
    }
}

/// Fetches a script while the agent's thread waits; of a `blob:` URL, what that led to before.
///
/// # Errors
/// Why there is none, for people.
pub(super) fn fetch_with(
    realm: &RealmState,
    params: FetchParams,
    blob: Option<ResolvedBlob>,
) -> Result<FetchedScript, String> {
    let service = realm.service::<FetchService>();
    let mut service = service.ok_or("this realm has no network")?;
    if let Some(blob) = blob {
        service = Arc::new(blob.service(&service));
    }
    wait(realm, async move { fetch(&service, params).await })
}

/// What a service worker imports from the network: the facade has it, fetches it while the worker is
/// installed, or refuses. `None`: the realm is no service worker, or has to fetch it by itself.
pub(super) fn import_for_service_worker(
    realm: &RealmState,
    url: &Url,
) -> Option<Result<FetchedScript, String>> {
    let RealmKind::ServiceWorker(start) = realm.kind() else {
        return None;
    };
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let policies = realm.policies().content_security.clone();
    if let Some(directive) = policies.blocks(Destination::Script, url, false) {
        return Some(Err(format!("{directive} does not allow {url}")));
    }
    let begun = Instant::now();
    let imported = wait(realm, realm.seam().import_script(start.worker, url.clone()));
    let muted_errors = service_worker::types::Origin::of(url) != realm.environment().origin;
    // What an installed worker imports is not fetched.
    if let (Ok(script), WorkerState::Parsed) = (&imported, start.state) {
        let mut head = ResponseHead::new(StatusCode::OK, script.headers.clone());
        head.timing_allow_passed = !muted_errors;
        let measured = Measured::for_worker(realm, "other", (url.clone(), begun), head);
        let entry = measured.entry(Instant::now(), script.body.len());
        realm.local::<Timings>().add(entry);
    }
    Some(imported.map(|script| FetchedScript {
        url: url.clone(),
        essence: mime_essence(&script.headers).unwrap_or_default(),
        body: script.body.clone(),
        headers: script.headers.clone(),
        muted_errors,
    }))
}

/// Lets the agent's thread wait.
pub(super) fn wait<T: Send + 'static>(
    realm: &RealmState,
    future: impl Future<Output = Result<T, String>> + Send + 'static,
) -> Result<T, String> {
    let (sender, answer) = channel();
    let thread = std::thread::Builder::new().name("script fetch".to_owned());
    let spawned = thread.spawn(move || {
        // Nobody waits any more if the agent was killed.
        drop(sender.send(block_on(future)));
    });
    spawned.map_err(|error| format!("no thread: {error}"))?;
    let fetched = loop {
        match answer.recv_timeout(LOOK) {
            Ok(fetched) => break fetched,
            Err(RecvTimeoutError::Timeout) if realm.is_killed() => {
                return Err("the agent ends".to_owned());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err("the fetch broke".to_owned()),
        }
    };
    // What a script waits for is not its own time.
    realm.event_loop().begin_next();
    fetched
}

/// Runs a future on this thread, which has no event loop.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.map_err(|error| error.to_string())?.block_on(future)
}

/// Fetches a script.
pub(super) async fn fetch(
    service: &FetchService,
    params: FetchParams,
) -> Result<FetchedScript, String> {
    let asked = params.head.url().clone();
    let origin = params.client.origin.clone();
    let fetched = service.fetch(params).await;
    let mut fetched = fetched.map_err(|error| error.to_string())?;
    if !fetched.head.status.is_success() {
        return Err(format!("{asked}: status {}", fetched.head.status));
    }
    let url = fetched.head.url_list.last().unwrap_or(&asked).clone();
    let body = fetched.body.unwrap_or_default();
    let body = body.collect(SCRIPT_LIMIT).await;
    let is_local = matches!(url.scheme(), "data" | "blob");
    Ok(FetchedScript {
        essence: mime_essence(&fetched.head.headers).unwrap_or_default(),
        body: body.map_err(|error| format!("{url}: {error}"))?,
        headers: std::mem::take(&mut fetched.head.headers),
        muted_errors: fetched.head.response_type == ResponseType::Opaque
            || (!is_local
                && fetched.head.response_type != ResponseType::Cors
                && service_worker::types::Origin::of(&url) != origin),
        url,
    })
}
