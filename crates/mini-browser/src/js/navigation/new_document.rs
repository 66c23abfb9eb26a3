//! Documents that are to be shown, and how they come to be.

use bytes::Bytes;
use rquickjs::{Ctx, Value};
use serde_json::json;
use service_worker::types::fetch::mime_type;
use service_worker::types::{ClientId, Environment};
use url::Url;

use super::History;
use crate::fetch::PolicyContainer;
use crate::js::JsBytes;
use crate::js::documents::{DocumentTiming, FetchedDocument};
use crate::js::json::Json;
use crate::js::navigables::Resource;
use crate::js::realm::Realm;
use crate::js::sandbox::Sandbox;

/// A document to be shown.
pub(super) struct NewDocument {
    pub(super) environment: Environment,
    pub(super) client: Option<Box<dyn std::any::Any + Send>>,
    /// The document's URL, with its fragment.
    pub(super) url: Url,
    /// What relative URLs are resolved against, where that is not its URL.
    pub(super) base_url: Option<Url>,
    pub(super) content: Content,
    pub(super) referrer: String,
    pub(super) sandbox: Sandbox,
    pub(super) policies: PolicyContainer,
    pub(super) history: History,
    /// What its entry makes it from again.
    pub(super) resource: Resource,
    /// Whose controller it has, if it comes from a local URL.
    pub(super) creator: Option<ClientId>,
    /// When it came, if it was fetched.
    pub(super) timing: Option<DocumentTiming>,
}

/// What a document is made from.
pub(super) struct Content {
    pub(super) bytes: Bytes,
    pub(super) content_type: String,
}

/// The document of a response.
pub(super) fn of_response(
    url: Url,
    fetched: FetchedDocument,
    sandbox: Sandbox,
    inherited: PolicyContainer,
    history: History,
) -> NewDocument {
    let policies = policies_of(&fetched, inherited);
    let directives = policies.content_security.sandbox();
    let sandbox = directives.fold(sandbox, |all, it| all.union(Sandbox::parse(&it)));
    let content = Content {
        content_type: mime_type(&fetched.headers).unwrap_or_default(),
        bytes: fetched.body,
    };
    let mut shown = fetched.environment.creation_url.clone();
    if shown.fragment().is_none() {
        shown.set_fragment(url.fragment());
    }
    NewDocument {
        policies,
        url: shown,
        base_url: None,
        content,
        referrer: fetched.referrer,
        timing: fetched.timing,
        environment: fetched.environment,
        client: Some(fetched.client),
        sandbox,
        history,
        resource: Resource::Url,
        creator: None,
    }
}

/// *Determine navigation params policy container*: what has no server has the policies of who
/// navigates.
fn policies_of(fetched: &FetchedDocument, inherited: PolicyContainer) -> PolicyContainer {
    let url = &fetched.environment.creation_url;
    match url.scheme() {
        "http" | "https" => PolicyContainer::from_headers(url, &fetched.headers),
        _ => inherited,
    }
}

/// *Check a navigation response's adherence to its embedder policy.*
pub(super) fn adhering(
    fetched: Result<FetchedDocument, String>,
    around: Option<&PolicyContainer>,
) -> Result<FetchedDocument, String> {
    let fetched = fetched?;
    let Some(around) = around else {
        return Ok(fetched);
    };
    let policies = policies_of(&fetched, around.clone());
    if around.admits(&policies) {
        Ok(fetched)
    } else {
        Err("it has no Cross-Origin-Embedder-Policy, and the document around it has".to_owned())
    }
}

/// A document that is not fetched.
pub(super) fn of_text(
    url: Url,
    html: &str,
    environment: Environment,
    base_url: Option<Url>,
    sandbox: Sandbox,
    policies: PolicyContainer,
    history: History,
) -> NewDocument {
    NewDocument {
        environment,
        policies,
        client: None,
        url,
        base_url,
        content: Content {
            bytes: Bytes::copy_from_slice(html.as_bytes()),
            content_type: "text/html;charset=utf-8".to_owned(),
        },
        referrer: String::new(),
        timing: None,
        sandbox,
        history,
        resource: Resource::Url,
        creator: None,
    }
}

/// Has the prelude make the document of a window. `ctx` is of any realm.
pub(super) fn open(
    ctx: &Ctx<'_>,
    realm: &Realm,
    content: &Content,
    referrer: &str,
    is_initial: bool,
) {
    let facts = json!({
        "contentType": content.content_type,
        "referrer": referrer,
        "isInitialAboutBlank": is_initial,
    });
    let args = (Json(facts), JsBytes(content.bytes.clone()));
    let opened: Option<Value<'_>> = realm.state().call(ctx, "openDocument", args);
    if opened.is_none() && !realm.state().is_killed() {
        tracing::debug!(url = %realm.state().url().as_str(), "a document was not opened");
    }
}

/// Has the prelude make the document of a window of a resource that was fetched.
pub(in crate::js) fn open_resource(
    ctx: &Ctx<'_>,
    realm: &Realm,
    bytes: Bytes,
    content_type: String,
    referrer: &str,
) {
    let content = Content {
        bytes,
        content_type,
    };
    open(ctx, realm, &content, referrer, false);
}
