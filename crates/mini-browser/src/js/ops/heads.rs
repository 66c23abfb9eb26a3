//! Heads of requests and responses between Rust and the prelude. What a script may not forge —
//! a fall-through request's requester, what a filtered response hides — stays here, under a number.

use std::cell::RefCell;
use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use service_worker::types::Origin;
use service_worker::types::fetch::{
    RequestHead, RequestMode, Requester, ResponseHead, ResponseType,
};
use url::Url;

use super::OpError;
use crate::js::realm::RealmState;

/// On whose behalf a worker fetches the request of its event.
#[derive(Clone, Debug)]
pub(in crate::js) enum Behalf {
    /// Of a request that fell through.
    FallThrough(Requester),
    /// Of a navigation.
    Navigation(Navigated),
}

/// What a navigation request keeps when a worker fetches it. (*Fetch*, the constructor of `Request`:
/// "The propagation of the origin is only significant for navigation requests being handled by a
/// service worker.")
#[derive(Clone, Debug)]
pub(in crate::js) struct Navigated {
    /// Who navigates.
    pub(in crate::js) origin: Origin,
    /// Whether a redirect has tainted that.
    pub(in crate::js) tainted_origin: bool,
    /// The URLs that redirected it.
    pub(in crate::js) redirected_from: Vec<Url>,
}

/// What stays on this side.
#[derive(Default)]
pub(in crate::js) struct Heads {
    requesters: RefCell<BTreeMap<u64, Behalf>>,
    responses: RefCell<BTreeMap<u64, ResponseHead>>,
}

impl Heads {
    fn response(&self, id: u64) -> Option<ResponseHead> {
        self.responses.borrow().get(&id).cloned()
    }

    /// Lets go of a response's head.
    pub(in crate::js) fn forget_response(&self, id: u64) {
        self.responses.borrow_mut().remove(&id);
    }

    /// Lets go of a requester.
    pub(in crate::js) fn forget_requester(&self, id: u64) {
        self.requesters.borrow_mut().remove(&id);
    }

    /// Who has that number.
    pub(in crate::js) fn requester(&self, id: u64) -> Option<Behalf> {
        self.requesters.borrow().get(&id).cloned()
    }
}

/// Keeps the head of a filtered response, under a number.
pub(super) fn keep_response(realm: &RealmState, head: ResponseHead) -> u64 {
    let id = realm.event_loop().next_kept();
    let heads = realm.local::<Heads>();
    heads.responses.borrow_mut().insert(id, head);
    id
}

fn keep_requester(realm: &RealmState, requester: Behalf) -> u64 {
    let id = realm.event_loop().next_kept();
    let heads = realm.local::<Heads>();
    heads.requesters.borrow_mut().insert(id, requester);
    id
}

/// A request's head for `requestFromHost`.
pub(in crate::js) fn request_to_js(realm: &RealmState, head: &RequestHead) -> Value {
    let requester = head.requester.clone();
    let requester = requester.map(|it| keep_requester(realm, Behalf::FallThrough(it)));
    let urls: Vec<_> = head.url_list.iter().map(Url::as_str).collect();
    json!({
        "method": head.method.as_str(),
        "url": head.url().as_str(),
        "urlList": urls,
        "headers": headers_to_js(&head.headers),
        "destination": head.destination.as_str(),
        "mode": head.mode.as_str(),
        "credentials": head.credentials.as_str(),
        "cache": head.cache.as_str(),
        "redirect": head.redirect.as_str(),
        "referrer": head.referrer.as_ref().map_or("", Url::as_str),
        "referrerPolicy": head.referrer_policy.as_str(),
        "serviceWorkers": head.service_workers.as_str(),
        "lookAside": head.look_aside.as_str(),
        "integrity": head.integrity,
        "keepalive": head.keepalive,
        "reloadNavigation": head.reload_navigation,
        "historyNavigation": head.history_navigation,
        "requesterId": requester,
    })
}

/// The request of a `fetch` event: for the current URL, whatever led there.
pub(in crate::js) fn event_request_to_js(realm: &RealmState, head: &RequestHead) -> Value {
    let mut shown = request_to_js(realm, head);
    shown["urlList"] = json!([head.url().as_str()]);
    if head.mode == RequestMode::Navigate && head.requester.is_none() {
        let (_, before) = head.url_list.split_last().unzip();
        let navigation = Navigated {
            origin: head.origin.clone(),
            tainted_origin: head.tainted_origin,
            redirected_from: before.map(<[Url]>::to_vec).unwrap_or_default(),
        };
        let id = keep_requester(realm, Behalf::Navigation(navigation));
        shown["requesterId"] = Value::from(id);
    }
    shown
}

pub(super) fn headers_to_js(headers: &HeaderMap) -> Vec<[String; 2]> {
    // Bytes are shown as the code units of the same number.
    let text = |value: &HeaderValue| {
        value
            .as_bytes()
            .iter()
            .map(|byte| char::from(*byte))
            .collect()
    };
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| [name.as_str().to_owned(), text(value)])
        .collect()
}

/// The head that `responseToHost` gave: the one that a realm keeps, or a script's own.
pub(in crate::js) fn response_from_js(
    realm: &RealmState,
    head: &Value,
) -> Result<ResponseHead, OpError> {
    if let Some(id) = head["headId"].as_u64() {
        let kept = realm.kept(|heads: &Heads| heads.response(id));
        return kept.ok_or_else(|| OpError::type_error("the response's head is not known here"));
    }
    if head["type"] == "error" {
        return Ok(ResponseHead::network_error());
    }
    let status = head["status"]
        .as_u64()
        .and_then(|status| u16::try_from(status).ok());
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.ok_or_else(|| OpError::type_error("the response's status is not valid"))?;
    let mut response = ResponseHead::new(status, headers_from_js(&head["headers"])?);
    response.response_type = ResponseType::Default;
    response.status_text = head["statusText"].as_str().unwrap_or_default().to_owned();
    Ok(response)
}

pub(super) fn headers_from_js(pairs: &Value) -> Result<HeaderMap, OpError> {
    let mut headers = HeaderMap::new();
    for pair in pairs.as_array().into_iter().flatten() {
        let bad = || OpError::type_error("the response has a header that is not valid");
        let name = pair[0].as_str().ok_or_else(bad)?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        let value = pair[1].as_str().ok_or_else(bad)?;
        let bytes: Result<Vec<u8>, _> = value.chars().map(|c| u8::try_from(u32::from(c))).collect();
        let value = HeaderValue::from_bytes(&bytes.map_err(|_| bad())?).map_err(|_| bad())?;
        headers.append(name, value);
    }
    Ok(headers)
}
