//! A team takes `installer` alone: it has a registry, and wants to know what response headers ask.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, StatusCode};
use installer::{
    Ignored, ResponseContext, ResponseSource, Throttle, ThrottleLimits, install_request,
};
use sw_types::fetch::Destination;
use sw_types::{ClientId, Environment, HeaderInstall, Site, StorageKey};
use url::Url;

#[test]
fn a_response_asks_for_a_worker_once() {
    let page = Environment::top_level(ClientId(1), Url::parse("https://acme.test/").unwrap());
    let url = Url::parse("https://api.test/share/pak.png").unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("service-worker-script", HeaderValue::from_static("/sw.js"));
    headers.insert("service-worker-scope", HeaderValue::from_static("/share/"));
    let response = ResponseContext {
        url: &url,
        status: StatusCode::OK,
        headers: &headers,
        destination: Destination::Image,
        source: ResponseSource::Network,
        client: Some(&page),
        controls_clients: false,
        policy: HeaderInstall::Full,
    };
    let install = install_request(&response).unwrap();
    assert_eq!(install.script.as_str(), "https://api.test/sw.js");
    assert_eq!(install.scope.as_str(), "https://api.test/share/");

    // The team's registry failed to install it; for a while nobody tries again.
    let mut throttle = Throttle::new(ThrottleLimits::default());
    let (now, acme) = (Instant::now(), Site::of(&page.origin));
    let key = StorageKey::first_party(install.script.origin());
    let admit = |throttle: &mut Throttle, now| {
        throttle.admit(now, &acme, &key, &install.script, &install.scope)
    };
    admit(&mut throttle, now).unwrap();
    throttle.failed(now, &key, &install.script, &install.scope);
    assert!(admit(&mut throttle, now + Duration::from_secs(1)).is_err());
    assert!(admit(&mut throttle, now + Duration::from_secs(48 * 60 * 60)).is_ok());

    let from_cache = ResponseContext {
        source: ResponseSource::HttpCache,
        ..response
    };
    assert_eq!(install_request(&from_cache), Err(Ignored::NotFromNetwork));
    let none = ResponseContext {
        headers: &HeaderMap::new(),
        ..response
    };
    assert_eq!(install_request(&none), Err(Ignored::NoHeader));
}
