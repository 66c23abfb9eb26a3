//! Seeded mutation of every header that a decision reads: nothing panics, and what is allowed is what a
//! plain reading of the standard allows.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests may panic as they may"
)]

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use fetch_router::{
    EmbedderPolicy, ResponseTainting, cors_check, cross_origin_resource_policy_check,
    filter_network, has_only_cors_safelisted_headers, refilter, timing_allow_origin_check,
};
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use sw_types::Origin;
use sw_types::fetch::{CredentialsMode, RequestHead, RequestMode, ResponseHead, ResponseType};
use url::Url;

const ORIGIN: &str = "https://acme.com";

const RESPONSE_HEADERS: &[(&str, &[&str])] = &[
    (
        "access-control-allow-origin",
        &["*", ORIGIN, "null", "https://other.test", "*, *"],
    ),
    ("access-control-allow-credentials", &["true", "True", ""]),
    (
        "access-control-expose-headers",
        &["*", "x-secret", "X-Open, x-secret", "set-cookie,*", " , "],
    ),
    ("timing-allow-origin", &["*", ORIGIN, "null, https://a.b"]),
    (
        "cross-origin-resource-policy",
        &["same-origin", "same-site", "cross-origin"],
    ),
    ("x-secret", &["1"]),
    ("x-open", &["2"]),
    ("set-cookie", &["a=b"]),
    ("content-type", &["text/css"]),
];

const REQUEST_HEADERS: &[(&str, &[&str])] = &[
    ("accept", &["text/css", "*/*;q=0.1", "(", "a\"b"]),
    ("accept-language", &["en, de;q=0.5", "en@de"]),
    ("content-language", &["en"]),
    (
        "content-type",
        &[
            "text/plain;charset=utf-8",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=a",
            "application/json",
        ],
    ),
    ("range", &["bytes=0-1", "bytes=-1", "bytes=2-1"]),
    ("x-custom", &["1"]),
];

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    /// A value near one of the seeds, that a header can hold.
    fn value(&mut self, seeds: &[&str]) -> HeaderValue {
        let mut bytes = seeds[self.below(seeds.len())].as_bytes().to_vec();
        for _ in 0..self.below(3) {
            let at = self.below(bytes.len() + 1);
            let byte = u8::try_from(self.below(256)).unwrap();
            match self.below(4) {
                0 => bytes.insert(at, byte),
                1 => bytes.insert(at, b", \t\"*"[self.below(5)]),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                _ if at < bytes.len() => bytes[at] ^= 32,
                _ => bytes.extend_from_within(..),
            }
        }
        HeaderValue::from_bytes(&bytes).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    fn headers(&mut self, of: &[(&'static str, &[&str])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, seeds) in of {
            for _ in 0..[0, 1, 1, 1, 2][self.below(5)] {
                let value = self.value(seeds);
                headers.append(HeaderName::from_static(name), value);
            }
        }
        headers
    }

    fn request(&mut self) -> RequestHead {
        let url = Url::parse("https://fonts.example.com/font").unwrap();
        RequestHead {
            mode: [RequestMode::Cors, RequestMode::NoCors][self.below(2)],
            credentials: [CredentialsMode::Omit, CredentialsMode::Include][self.below(2)],
            tainted_origin: self.below(8) == 0,
            ..RequestHead::get(url, Origin::of(&Url::parse(ORIGIN).unwrap()))
        }
    }
}

fn random() -> Random {
    let seed = RandomState::new().hash_one(5) | 1;
    println!("seed {seed}");
    Random(seed)
}

/// *Get*: all values, joined.
fn joined(headers: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    let values: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|it| it.as_bytes())
        .collect();
    (!values.is_empty()).then(|| values.join(&b", "[..]))
}

/// The elements of a list, without the white space around them.
fn elements(headers: &HeaderMap, name: &str) -> Vec<String> {
    let joined = joined(headers, name).unwrap_or_default();
    let elements = joined.split(|byte| *byte == b',');
    elements
        .map(|it| {
            String::from_utf8_lossy(it)
                .trim_matches([' ', '\t'])
                .to_owned()
        })
        .collect()
}

fn is_cors_allowed(request: &RequestHead, headers: &HeaderMap) -> bool {
    let with_credentials = request.credentials == CredentialsMode::Include;
    let origin = if request.tainted_origin {
        "null"
    } else {
        ORIGIN
    };
    match joined(headers, "access-control-allow-origin").as_deref() {
        Some(b"*") if !with_credentials => true,
        Some(value) if value == origin.as_bytes() => {
            let allowed = joined(headers, "access-control-allow-credentials");
            !with_credentials || allowed.as_deref() == Some(b"true")
        }
        _ => false,
    }
}

#[test]
fn what_a_response_allows_is_what_its_headers_say_to_the_letter() {
    const SAFELISTED: [&str; 7] = [
        "cache-control",
        "content-language",
        "content-length",
        "content-type",
        "expires",
        "last-modified",
        "pragma",
    ];
    let mut random = random();
    let mut readable = 0;
    for _ in 0..20_000 {
        let request = random.request();
        let headers = random.headers(RESPONSE_HEADERS);
        let origin = if request.tainted_origin {
            "null"
        } else {
            ORIGIN
        };
        let allowed = is_cors_allowed(&request, &headers);
        assert_eq!(
            cors_check(&request, &headers).is_ok(),
            allowed,
            "{headers:?}"
        );
        let timed = elements(&headers, "timing-allow-origin");
        let timed = timed.iter().any(|it| it == "*" || it == origin);
        let tainting = ResponseTainting::Cors;
        assert_eq!(
            timing_allow_origin_check(&request, tainting, &headers),
            timed
        );
        let policy = joined(&headers, "cross-origin-resource-policy");
        let embeds = !matches!(policy.as_deref(), Some(b"same-origin" | b"same-site"));
        let response = ResponseHead::new(StatusCode::OK, headers.clone());
        let embedded = cross_origin_resource_policy_check(
            &request.origin,
            EmbedderPolicy::UnsafeNone,
            &response,
            request.url(),
        );
        assert_eq!(embedded.is_ok(), embeds, "{headers:?}");
        let exposed = elements(&headers, "access-control-expose-headers");
        let names = |name: &str| exposed.iter().any(|it| it.eq_ignore_ascii_case(name));
        for shown in [
            refilter(&request, response.clone()),
            filter_network(&request, response.clone()),
        ] {
            let cors = request.mode == RequestMode::Cors;
            assert_eq!(shown.is_ok(), if cors { allowed } else { embeds });
            let Ok(shown) = shown else { continue };
            if !cors {
                assert_eq!(shown.response_type, ResponseType::Opaque);
                continue;
            }
            readable += 1;
            let any = names("*") && request.credentials != CredentialsMode::Include;
            for name in shown.visible_headers().keys() {
                let name = name.as_str();
                assert!(
                    name != "set-cookie" && (SAFELISTED.contains(&name) || any || names(name)),
                    "{name} of {headers:?}"
                );
            }
        }
    }
    assert!(readable > 300, "only {readable} could be read");
}

#[test]
fn no_request_header_that_needs_a_preflight_is_taken_for_one_that_does_not() {
    let mut random = random();
    let mut simple = 0;
    for _ in 0..20_000 {
        let some: Vec<_> = REQUEST_HEADERS
            .iter()
            .filter(|_| random.below(3) == 0)
            .copied()
            .collect();
        let headers = random.headers(&some);
        if !has_only_cors_safelisted_headers(&headers) {
            continue;
        }
        simple += 1;
        assert!(!headers.contains_key("x-custom"), "{headers:?}");
        let mut length = 0;
        for (name, value) in &headers {
            let value = value.as_bytes();
            length += value.len();
            assert!(value.len() <= 128, "{headers:?}");
            let is_unsafe = |byte: &u8| {
                (*byte < 0x20 && *byte != b'\t') || b"\"():<>?@[\\]{}\x7f".contains(byte)
            };
            match name.as_str() {
                "accept" => assert!(!value.iter().any(is_unsafe), "{headers:?}"),
                "accept-language" | "content-language" => assert!(
                    value
                        .iter()
                        .all(|byte| byte.is_ascii_alphanumeric() || b" *,-.;=".contains(byte)),
                    "{headers:?}"
                ),
                "content-type" => {
                    assert!(!value.iter().any(is_unsafe), "{headers:?}");
                    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
                    let essence = String::from_utf8_lossy(essence).to_ascii_lowercase();
                    let known = [
                        "text/plain",
                        "application/x-www-form-urlencoded",
                        "multipart/form-data",
                    ];
                    assert!(known.contains(&essence.trim()), "{headers:?}");
                }
                "range" => assert!(value.starts_with(b"bytes="), "{headers:?}"),
                name => panic!("{name} is not safelisted"),
            }
        }
        assert!(length <= 1024);
    }
    assert!(simple > 1_000, "only {simple} were simple");
}
