//! A team takes `fetch-router` alone: its own registrations, its own network.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::BTreeMap;

use fetch_router::{
    BlockedReason, Candidate, FallThroughCandidate, FallThroughPolicy, RouteRequest, SkipReason,
    Verdict, parse_fall_through_prefixes, refilter, route,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sw_types::fetch::{CredentialsMode, RequestHead, RequestMode, ResponseHead};
use sw_types::{
    ClientId, Environment, FallThroughRule, FetchHandler, RegistrationId, ScopeUrl, ScriptUrl,
    UncredentialedFallThrough, WorkerId, WorkerState,
};
use url::Url;

/// The team's own registrations: by host, a number and the rules.
type Own = BTreeMap<&'static str, (u64, Vec<FallThroughRule>)>;

/// Who answers a page's request: a worker's number, or nobody, and why.
fn who(own: &Own, page: &Environment, request: &RequestHead) -> Result<u64, SkipReason> {
    let policy = FallThroughPolicy::new(UncredentialedFallThrough::Allow);
    let found = request.url().host_str().and_then(|host| own.get(host));
    let routed = route(&RouteRequest {
        fall_through: found
            .map(|(number, rules)| FallThroughCandidate {
                candidate: Candidate {
                    registration: RegistrationId(*number),
                    worker: WorkerId(*number),
                    state: WorkerState::Activated,
                    fetch_handler: FetchHandler::Present,
                    stale: false,
                },
                rules,
                partitioned: false,
            })
            .ok_or(SkipReason::NoRegistration),
        ..RouteRequest::new(request, Some(page), &policy)
    });
    assert_eq!(routed.own, Verdict::Skip(SkipReason::NoController));
    match routed.fall_through.worker() {
        Some(worker) => Ok(worker.0),
        None => Err(routed.fall_through.skipped().unwrap()),
    }
}

#[test]
fn requests_fall_through_to_whoever_offers_and_answers_are_filtered() {
    let script = ScriptUrl::parse("https://fonts.test/sw.js", None).unwrap();
    let scope = ScopeUrl::default_for(&script);
    let rules = parse_fall_through_prefixes(&script, &scope, &["/font".into()], None).unwrap();
    let own = Own::from([("fonts.test", (7, rules))]);
    let page = Environment::top_level(ClientId(1), Url::parse("https://acme.test/").unwrap());
    let request = |url: &str| RequestHead {
        mode: RequestMode::Cors,
        credentials: CredentialsMode::Omit,
        ..RequestHead::get(Url::parse(url).unwrap(), page.origin.clone())
    };
    assert_eq!(
        who(&own, &page, &request("https://fonts.test/font/a")),
        Ok(7)
    );
    assert!(who(&own, &page, &request("https://fonts.test/other")).is_err());
    assert!(who(&own, &page, &request("https://nobody.test/font/a")).is_err());

    let answer = |headers: &[(&'static str, &'static str)]| {
        let headers = headers.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        let answer = ResponseHead::new(StatusCode::OK, HeaderMap::from_iter(headers));
        refilter(&request("https://fonts.test/font/a"), answer)
    };
    assert!(matches!(answer(&[]), Err(BlockedReason::Cors(_))));
    let allowed = answer(&[("access-control-allow-origin", "*"), ("x-secret", "1")]).unwrap();
    assert!(!allowed.visible_headers().contains_key("x-secret"));
}
