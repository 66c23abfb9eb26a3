//! What the tests change one thing of at a time.

use fetch_router::{
    Candidate, FallThroughCandidate, FallThroughPolicy, Route, RouteRequest, RouterRules,
    SkipReason, StaticRouter, parse_fall_through_prefixes, route,
};
use http::{HeaderName, HeaderValue};
use sw_types::fetch::{Destination, RequestHead, RequestMode};
use sw_types::{
    ClientId, Environment, FallThroughRule, FetchHandler, Origin, RegistrationId, ScopeUrl,
    ScriptUrl, UncredentialedFallThrough, WorkerId, WorkerState,
};
use url::Url;

pub(crate) const OWN: Candidate = Candidate {
    registration: RegistrationId(1),
    worker: WorkerId(10),
    state: WorkerState::Activated,
    fetch_handler: FetchHandler::Present,
    stale: false,
};
pub(crate) const FONTS: Candidate = Candidate {
    registration: RegistrationId(2),
    worker: WorkerId(20),
    ..OWN
};

/// A page of acme.com with a worker asks for a font; fonts.example.com has one that wants it.
pub(crate) struct Scene {
    pub(crate) request: RequestHead,
    pub(crate) client: Option<Environment>,
    pub(crate) own: Option<Candidate>,
    pub(crate) router: Option<RouterRules>,
    pub(crate) fonts: Option<Candidate>,
    pub(crate) rules: Vec<FallThroughRule>,
    pub(crate) partitioned: bool,
    pub(crate) requesting_registration: Option<RegistrationId>,
    pub(crate) policy: FallThroughPolicy,
}

pub(crate) fn url(url: &str) -> Url {
    Url::parse(url).unwrap()
}

pub(crate) fn origin(of: &str) -> Origin {
    Origin::of(&url(of))
}

pub(crate) fn rules(prefixes: &[&str], origins: Option<&[&str]>) -> Vec<FallThroughRule> {
    let script = ScriptUrl::parse("https://fonts.example.com/sw.js", None).unwrap();
    let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    parse_fall_through_prefixes(
        &script,
        &ScopeUrl::default_for(&script),
        &strings(prefixes),
        origins.map(strings).as_deref(),
    )
    .unwrap()
}

impl Scene {
    pub(crate) fn new() -> Self {
        let page = Environment::top_level(ClientId(1), url("https://acme.com/"));
        let font = url("https://fonts.example.com/font/a");
        let mut request = RequestHead::get(font, page.origin.clone());
        request.mode = RequestMode::Cors;
        request.destination = Destination::Font;
        Self {
            request,
            client: Some(page),
            own: Some(OWN),
            router: None,
            fonts: Some(FONTS),
            rules: rules(&["/resources", "/font"], None),
            partitioned: false,
            requesting_registration: None,
            policy: FallThroughPolicy::new(UncredentialedFallThrough::Allow),
        }
    }

    pub(crate) fn route(&self) -> Route {
        route(&RouteRequest {
            request: &self.request,
            client: self.client.as_ref(),
            own: self.own.ok_or(SkipReason::NoController),
            router: self.router.as_ref().map(|rules| StaticRouter {
                rules,
                running: false,
            }),
            fall_through: self
                .fonts
                .map(|candidate| FallThroughCandidate {
                    candidate,
                    rules: &self.rules,
                    partitioned: self.partitioned,
                })
                .ok_or(SkipReason::NoRegistration),
            requesting_registration: self.requesting_registration,
            policy: &self.policy,
        })
    }

    pub(crate) fn client(&mut self) -> &mut Environment {
        self.client.as_mut().unwrap()
    }

    pub(crate) fn header(&mut self, name: &'static str, value: &'static str) {
        self.request.headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
}

/// What the own worker and the fall-through worker say after a change of the scene.
pub(crate) fn after(change: impl FnOnce(&mut Scene)) -> (Option<SkipReason>, Option<SkipReason>) {
    let mut scene = Scene::new();
    change(&mut scene);
    let route = scene.route();
    (route.own.skipped(), route.fall_through.skipped())
}

pub(crate) type Change = fn(&mut Scene);
