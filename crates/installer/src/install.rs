//! From a response's head to a request to install. (SEMANTICS §5.6.)

use http::header::HeaderName;
use http::{HeaderMap, StatusCode};
use sw_types::fetch::Destination;
use sw_types::{
    ClientType, Environment, HeaderInstall, Origin, ScopeUrl, ScriptUrl, UpdateViaCache, WorkerType,
};
use url::Url;

use crate::vetoes::script_response_vetoes;
use crate::{Ignored, InstallHeader, Malformed};

/// The bytes that a header's value may have.
const VALUE_LIMIT: usize = 4096;

const SERVICE_WORKER_SCRIPT: HeaderName = HeaderName::from_static("service-worker-script");
const SERVICE_WORKER_SCOPE: HeaderName = HeaderName::from_static("service-worker-scope");

/// What a response asks to be installed.
///
/// The cheapest tests come first: a response without the header, which is nearly every one, costs
/// two look-ups in its header list.
///
/// # Errors
/// The first rule that makes a browser ignore the header.
pub fn install_request(response: &ResponseContext<'_>) -> Result<InstallRequest, Ignored> {
    if !response.headers.contains_key(SERVICE_WORKER_SCRIPT) {
        return Err(if response.headers.contains_key(SERVICE_WORKER_SCOPE) {
            Ignored::ScopeAlone
        } else {
            Ignored::NoHeader
        });
    }
    let controls_clients = may_install(response)?;
    let (script, scope) = script_and_scope(response)?;
    Ok(InstallRequest {
        script,
        scope,
        worker_type: WorkerType::Classic,
        update_via_cache: UpdateViaCache::Imports,
        referrer: referrer(response.url),
        controls_clients,
    })
}

/// What is known of a response, when its head has arrived.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "every input is the caller's to think about"
)]
pub struct ResponseContext<'a> {
    /// The response's URL: that of the hop that answered.
    pub url: &'a Url,
    /// The status, as it came over the network: 304 if the HTTP cache's copy was revalidated.
    pub status: StatusCode,
    /// The headers, as they came over the network: of a 304, its own and not the cached ones.
    pub headers: &'a HeaderMap,
    /// The request's destination.
    pub destination: Destination,
    /// Who answered.
    pub source: ResponseSource,
    /// The request's client; for a navigation, the reserved client.
    pub client: Option<&'a Environment>,
    /// If the client is a service worker: whether it controls any client. Otherwise not read.
    pub controls_clients: bool,
    /// The host's policy.
    pub policy: HeaderInstall,
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a new source needs a decision")]
pub enum ResponseSource {
    /// The network, be it to say that the cached response is still good.
    Network,
    /// The HTTP cache, without asking.
    HttpCache,
    /// A service worker: the client's own, or a fall-through worker.
    Worker,
}

/// What to install: the input of *Start Register*, with a null client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever installs must heed every field"
)]
pub struct InstallRequest {
    /// The script's URL, of the response's origin.
    pub script: ScriptUrl,
    /// The scope's URL, of the response's origin.
    pub scope: ScopeUrl,
    /// How the script is run.
    pub worker_type: WorkerType,
    /// What of the HTTP cache updates may use.
    pub update_via_cache: UpdateViaCache,
    /// The response's URL, as a referrer: without fragment, user name and password.
    pub referrer: Url,
    /// Whether the registration controls clients, or only serves connects and fall-through.
    pub controls_clients: bool,
}

/// Whether anything in this response's headers may install; if so, whether what it installs controls
/// clients.
pub(crate) fn may_install(response: &ResponseContext<'_>) -> Result<bool, Ignored> {
    let controls_clients = match response.policy {
        HeaderInstall::ServiceOnly => false,
        HeaderInstall::Full => true,
        // `Off`, and whatever a later version adds until it is decided here.
        _ => return Err(Ignored::PolicyOff),
    };
    from_a_response_that_counts(response)?;
    to_a_client_that_may_install(response)?;
    match script_response_vetoes(response.headers) {
        Some(veto) => Err(veto),
        None => Ok(controls_clients),
    }
}

/// "On a final, network-sourced, 2xx response (a 304 counts by its own headers) to a request whose
/// destination is not `serviceworker`": the response's own side.
fn from_a_response_that_counts(response: &ResponseContext<'_>) -> Result<(), Ignored> {
    if response.source != ResponseSource::Network {
        return Err(Ignored::NotFromNetwork);
    }
    if !response.status.is_success() && response.status != StatusCode::NOT_MODIFIED {
        return Err(Ignored::Status(response.status));
    }
    if response.destination == Destination::ServiceWorker {
        return Err(Ignored::ServiceWorkerScript);
    }
    let origin = Origin::of(response.url);
    if origin.is_opaque() {
        return Err(Ignored::OpaqueOrigin);
    }
    if !origin.is_potentially_trustworthy() {
        return Err(Ignored::NotTrustworthy);
    }
    Ok(())
}

/// "Client secure (for a navigation: the reserved client), storage not blocked."
fn to_a_client_that_may_install(response: &ResponseContext<'_>) -> Result<(), Ignored> {
    let client = response.client.ok_or(Ignored::NoClient)?;
    // A document that the response makes, sandboxed by its frame.
    if response.destination.is_non_subresource() && client.origin.is_opaque() {
        return Err(Ignored::OpaqueOrigin);
    }
    if !client.secure_context {
        return Err(Ignored::NotSecure);
    }
    if client.storage_blocked {
        return Err(Ignored::StorageBlocked);
    }
    if client.client_type == ClientType::ServiceWorker && !response.controls_clients {
        return Err(Ignored::IdleWorker);
    }
    Ok(())
}

/// "Script and scope parse against the response URL (as if some page there ran register)."
fn script_and_scope(response: &ResponseContext<'_>) -> Result<(ScriptUrl, ScopeUrl), Ignored> {
    use InstallHeader::{Scope, Script};
    let origin = Origin::of(response.url);
    let same_origin = |header, other: Origin| {
        if other == origin {
            Ok(())
        } else {
            Err(Ignored::CrossOrigin(header))
        }
    };
    let script = url_reference(response.headers, &SERVICE_WORKER_SCRIPT, Script)?
        .ok_or(Ignored::NoHeader)?;
    let scope = url_reference(response.headers, &SERVICE_WORKER_SCOPE, Scope)?;

    let script =
        ScriptUrl::parse(script, Some(response.url)).map_err(|error| malformed(Script, error))?;
    same_origin(Script, script.origin())?;
    let scope = match scope {
        Some(scope) => {
            ScopeUrl::parse(scope, Some(response.url)).map_err(|error| malformed(Scope, error))?
        }
        None => ScopeUrl::default_for(&script),
    };
    same_origin(Scope, scope.origin())?;
    Ok((script, scope))
}

/// The one value of a header, which could be a URL reference; `None` if there is no such header.
fn url_reference<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    header: InstallHeader,
) -> Result<Option<&'a str>, Ignored> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Ignored::Duplicate(header));
    }
    if value.len() > VALUE_LIMIT {
        return Err(malformed(header, Malformed::TooLong));
    }
    let value = value.as_bytes().trim_ascii();
    if value.is_empty() {
        return Err(malformed(header, Malformed::Empty));
    }
    match std::str::from_utf8(value) {
        Ok(value) if value.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Some(value)),
        _ => Err(malformed(header, Malformed::Byte)),
    }
}

fn malformed(header: InstallHeader, why: impl Into<Malformed>) -> Ignored {
    let why = why.into();
    Ignored::Malformed { header, why }
}

pub(crate) fn referrer(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_fragment(None);
    // Both fail only for URLs that cannot have either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}
