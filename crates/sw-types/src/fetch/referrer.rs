//! What a request says of where it comes from. (*Referrer Policy*.)

use http::HeaderMap;
use http::header::REFERRER_POLICY;
use serde::{Deserialize, Serialize};
use url::Url;

use super::ReferrerPolicy;
use crate::Origin;

/// Longer referrers are cut down to their origin, in bytes.
const LIMIT: usize = 4096;

/// Who refers to what a request asks for, and how much of that may be told.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Referrer {
    /// The *referrer source*: the URL of a document, a worker or a module.
    pub url: Url,
    /// The policy.
    pub policy: ReferrerPolicy,
}

impl Referrer {
    /// *Determine request's Referrer*, of a request to a URL: what its `Referer` says; `None` if it
    /// has none.
    #[must_use]
    pub fn of_request_to(&self, current: &Url) -> Option<Url> {
        // Steps 4 and 5.
        let url = strip(&self.url)?;
        let origin = strip_to_origin(&url);
        // Step 6.
        let url = if url.as_str().len() > LIMIT {
            origin.clone()
        } else {
            url
        };
        // Step 8.
        let same_origin = url.origin() == current.origin();
        let downgrade = is_potentially_trustworthy(&url) && !is_potentially_trustworthy(current);
        match self.policy {
            ReferrerPolicy::NoReferrer => None,
            ReferrerPolicy::Origin => Some(origin),
            ReferrerPolicy::UnsafeUrl => Some(url),
            ReferrerPolicy::StrictOrigin => (!downgrade).then_some(origin),
            ReferrerPolicy::StrictOriginWhenCrossOrigin if same_origin => Some(url),
            ReferrerPolicy::StrictOriginWhenCrossOrigin => (!downgrade).then_some(origin),
            ReferrerPolicy::SameOrigin => same_origin.then_some(url),
            ReferrerPolicy::OriginWhenCrossOrigin => Some(if same_origin { url } else { origin }),
            ReferrerPolicy::NoReferrerWhenDowngrade => (!downgrade).then_some(url),
        }
    }
}

impl ReferrerPolicy {
    /// *Parse a referrer policy from a Referrer-Policy header*: the last known keyword, whose case
    /// does not matter.
    #[must_use]
    pub fn of_headers(headers: &HeaderMap) -> Option<Self> {
        headers
            .get_all(REFERRER_POLICY)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|keyword| Self::from_keyword(&keyword.trim().to_ascii_lowercase()))
            .next_back()
    }
}

/// *Strip url for use as a referrer*.
fn strip(url: &Url) -> Option<Url> {
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let mut url = url.clone();
    // Neither fails for an http(s) URL, which has a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    Some(url)
}

/// The same with the origin-only flag.
fn strip_to_origin(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_path("");
    url.set_query(None);
    url
}

/// *Is url potentially trustworthy?* (*Secure Contexts*, §3.2.)
fn is_potentially_trustworthy(url: &Url) -> bool {
    match url.scheme() {
        "data" => true,
        "about" => matches!(url.path(), "blank" | "srcdoc"),
        _ => Origin::of(url).is_potentially_trustworthy(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(from: &str, policy: ReferrerPolicy, to: &str) -> Option<String> {
        let [url, to] = [from, to].map(|url| Url::parse(url).unwrap());
        let referrer = Referrer { url, policy };
        referrer.of_request_to(&to).map(String::from)
    }

    #[test]
    fn each_policy_tells_what_it_may() {
        use ReferrerPolicy::*;
        let page = "https://user:pw@a.test/p?q#f";
        let (same, other, plain) = ("https://a.test/x", "https://b.test/", "http://b.test/");
        let (url, origin) = (Some("https://a.test/p?q"), Some("https://a.test/"));
        let table = [
            (NoReferrer, [None, None, None]),
            (NoReferrerWhenDowngrade, [url, url, None]),
            (SameOrigin, [url, None, None]),
            (Origin, [origin, origin, origin]),
            (StrictOrigin, [origin, origin, None]),
            (OriginWhenCrossOrigin, [url, origin, origin]),
            (StrictOriginWhenCrossOrigin, [url, origin, None]),
            (UnsafeUrl, [url, url, url]),
        ];
        for (policy, expected) in table {
            for (target, expected) in [same, other, plain].into_iter().zip(expected) {
                let referrer = told(page, policy, target);
                assert_eq!(referrer.as_deref(), expected, "{policy:?} {target}");
            }
        }
    }

    #[test]
    fn a_local_url_is_no_referrer_and_a_long_one_only_its_origin() {
        let referrer = |from| told(from, ReferrerPolicy::UnsafeUrl, "https://a.test/");
        assert_eq!(referrer("about:blank"), None);
        assert_eq!(referrer("data:text/html,x"), None);
        let long = format!("https://a.test/{}", "x".repeat(4096));
        assert_eq!(referrer(&long).as_deref(), Some("https://a.test/"));
    }

    #[test]
    fn the_last_known_keyword_of_the_header_counts() {
        let mut headers = HeaderMap::new();
        assert_eq!(ReferrerPolicy::of_headers(&headers), None);
        headers.append("referrer-policy", "origin, future".parse().unwrap());
        let policy = ReferrerPolicy::of_headers(&headers);
        assert_eq!(policy, Some(ReferrerPolicy::Origin));
        headers.append("referrer-policy", "No-Referrer".parse().unwrap());
        let policy = ReferrerPolicy::of_headers(&headers);
        assert_eq!(policy, Some(ReferrerPolicy::NoReferrer));
    }
}
