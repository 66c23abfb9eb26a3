//! Header values from a hostile server: never a panic, and never anything of another origin.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests may panic as they may"
)]

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use installer::{
    ResponseContext, ResponseSource, install_request, link_install_requests, script_response_vetoes,
};
use sw_types::fetch::Destination;
use sw_types::{ClientId, Environment, HeaderInstall, Origin};
use url::Url;

const SEEDS: &[&[u8]] = &[
    b"/common/share/sw.js",
    b"https://api.thirdparty.org/sw.js",
    b"https://api.thirdparty.org@evil.test/sw.js",
    b"//evil.test/sw.js",
    b"../../../sw.js?x=%2f#y",
    b"http://api.thirdparty.org/",
    b"https:api.thirdparty.org",
    b"\\\\evil.test\\sw.js",
    b"sandbox allow-scripts; default-src 'self', sandbox",
    b"attachment; filename=\"sw.js\"",
    b"</sw.js>; rel=serviceworker; scope=\"a/\", <b>;rel=x",
    b"<https://evil.test/sw.js>;rel=serviceworker;workertype=module",
    b"data:text/javascript,1",
    b"https://[::ffff:1.2.3.4]:65536/",
];

const NAMES: &[&str] = &[
    "service-worker-script",
    "service-worker-scope",
    "link",
    "content-security-policy",
    "content-disposition",
];

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        const TELLING: &[u8] = b"/\\:?#@%.;, \t[]'\"=\x7f\xc3\x80\xff";
        if self.below(2) == 0 {
            TELLING[self.below(TELLING.len())]
        } else {
            u8::try_from(self.below(256)).unwrap()
        }
    }

    fn mutated(&mut self) -> Vec<u8> {
        let mut value = SEEDS[self.below(SEEDS.len())].to_vec();
        for _ in 0..self.below(6) {
            let at = self.below(value.len() + 1);
            match self.below(5) {
                0 => value.insert(at, self.byte()),
                1 if at < value.len() => drop(value.remove(at)),
                2 if at < value.len() => value[at] = self.byte(),
                3 => value.truncate(at),
                _ => {
                    let other = SEEDS[self.below(SEEDS.len())];
                    value.splice(at..at, other.iter().copied());
                }
            }
        }
        if self.below(50) == 0 {
            let byte = self.byte();
            value.resize(4090 + self.below(12), byte);
        }
        value
    }
}

/// `SEED=… cargo test` replays a run.
fn seed() -> u64 {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| RandomState::new().hash_one(0) | 1);
    println!("SEED={seed}");
    seed
}

#[test]
fn no_header_value_panics_or_installs_for_another_origin() {
    let mut random = Random(seed());
    let page = Url::parse("https://acme.com/").unwrap();
    let page = Environment::top_level(ClientId(1), page);
    let url = Url::parse("https://api.thirdparty.org/share/assets/pak.png").unwrap();
    let (mut installed, mut linked, mut ignored) = (0, 0, 0);
    for _ in 0..50_000 {
        let mut headers = HeaderMap::new();
        for name in NAMES {
            let count = match (*name, random.below(8)) {
                ("service-worker-script", 1..) => 1,
                (_, 0) => 2,
                (_, 1..3) => 1,
                _ => 0,
            };
            for _ in 0..count {
                // What no HTTP parser lets through never gets here.
                if let Ok(value) = HeaderValue::from_bytes(&random.mutated()) {
                    headers.append(HeaderName::from_static(name), value);
                }
            }
        }
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
        let links = link_install_requests(&response);
        assert!(links.len() <= 5, "{headers:?}");
        for install in links {
            match install {
                Ok(install) => {
                    linked += 1;
                    assert_eq!(install.script.origin(), Origin::of(&url), "{headers:?}");
                    assert_eq!(install.scope.origin(), Origin::of(&url), "{headers:?}");
                }
                Err(reason) => assert!(!reason.to_string().is_empty()),
            }
        }
        match install_request(&response) {
            Ok(install) => {
                installed += 1;
                assert_eq!(install.script.origin(), Origin::of(&url), "{headers:?}");
                assert_eq!(install.scope.origin(), Origin::of(&url), "{headers:?}");
                assert_eq!(install.script.url().fragment(), None);
                assert_eq!(script_response_vetoes(&headers), None);
                assert_eq!(headers.get_all(NAMES[0]).iter().count(), 1);
            }
            Err(reason) => {
                ignored += 1;
                assert!(!reason.to_string().is_empty());
            }
        }
    }
    // Both halves were reached.
    assert!(installed > 1000 && ignored > 1000, "{installed} {ignored}");
    assert!(linked > 100, "{linked}");
}
