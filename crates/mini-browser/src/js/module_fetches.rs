//! How the modules that a module imports are fetched. (*HTML*, "fetch a single imported module script",
//! "HostLoadImportedModule".)

use std::cell::RefCell;
use std::collections::BTreeMap;

use http::HeaderMap;
use service_worker::types::Environment;
use service_worker::types::fetch::{CredentialsMode, Destination, RequestMode};
use url::Url;

use super::blocking::ScriptRequest;
use super::import_map::ImportMaps;
use super::module_scripts::ModuleScripts;
use super::realm::{RealmKind, RealmState};
use crate::fetch::{FetchParams, PolicyContainer, ReferrerPolicy, policy_of_headers};

/// What the modules of a realm are fetched with.
#[derive(Default)]
pub(super) struct ModuleFetches {
    /// The name of a module that is to be loaded → the URL of what imports it.
    referrers: RefCell<BTreeMap<String, Url>>,
    /// The URL of a module → the referrer policy of its script fetch options, if that is not empty.
    policies: RefCell<BTreeMap<Url, ReferrerPolicy>>,
}

/// Who asked for a worker: what its own script imports is fetched for them. A service of the worker's
/// realm.
pub(super) struct OutsideSettings {
    pub(super) environment: Environment,
    pub(super) policies: PolicyContainer,
}

impl ModuleFetches {
    /// The module `base` imports another.
    pub(super) fn imports(&self, name: &str, base: &str) {
        if let Ok(base) = Url::parse(base) {
            let mut referrers = self.referrers.borrow_mut();
            referrers.entry(name.to_owned()).or_insert(base);
        }
    }

    /// A module was served with those headers. Its options are the *descendant script fetch options*
    /// of what imports it, whose referrer policy was `inherited`.
    pub(super) fn served(&self, url: &Url, headers: &HeaderMap, inherited: Option<ReferrerPolicy>) {
        if let Some(policy) = policy_of_headers(headers).or(inherited) {
            self.policies.borrow_mut().insert(url.clone(), policy);
        }
    }

    /// The request for a module, under its name, and the referrer policy of its options.
    pub(super) fn params(
        &self,
        realm: &RealmState,
        name: &str,
        url: Url,
        is_json: bool,
    ) -> (FetchParams, Option<ReferrerPolicy>) {
        let referrer = self.referrers.borrow_mut().remove(name);
        let policy = referrer.as_ref().and_then(|referrer| {
            let policies = self.policies.borrow();
            policies.get(referrer).copied()
        });
        // "If loadState is not undefined": only what a worker's own script imports is loaded with the
        // destination of that, and for the settings object that asked for the worker.
        let is_linking = realm.local::<ModuleScripts>().is_linking();
        let outside = is_linking
            .then(|| realm.service::<OutsideSettings>())
            .flatten();
        let destination = match realm.kind() {
            _ if is_json => Destination::Json,
            RealmKind::DedicatedWorker(_) if outside.is_some() => Destination::Worker,
            RealmKind::SharedWorker(_) if outside.is_some() => Destination::SharedWorker,
            _ => Destination::Script,
        };
        let credentials = match realm.kind() {
            RealmKind::DedicatedWorker(options) | RealmKind::SharedWorker(options)
                if options.is_module =>
            {
                options.credentials
            }
            _ => CredentialsMode::SameOrigin,
        };
        let request = ScriptRequest {
            integrity: realm.local::<ImportMaps>().integrity(&url),
            url,
            destination,
            mode: RequestMode::Cors,
            credentials,
            referrer: referrer.or_else(|| realm.referrer_source()),
        };
        let mut params = request.params(realm);
        if let Some(outside) = outside {
            params = params.with_policies(&outside.policies);
            params.head.origin = outside.environment.origin.clone();
            // Its service worker is the worker's own, as for the script that imports it.
            params.client = Environment {
                id: params.client.id,
                ..outside.environment.clone()
            };
        }
        if let Some(policy) = policy {
            params.referrer_policy = policy;
        }
        (params, policy)
    }
}
