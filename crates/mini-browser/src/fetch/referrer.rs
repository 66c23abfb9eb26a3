//! What a request says of where it comes from. (*Referrer Policy*.)

use service_worker::types::fetch::{ReferrerPolicy, RequestHead};
use url::Url;

use super::secure_context::is_potentially_trustworthy;

/// The policy of a keyword, whose case does not matter; `None` for the empty string and for unknown
/// ones.
pub(crate) fn policy_of_keyword(keyword: &str) -> Option<ReferrerPolicy> {
    ReferrerPolicy::from_keyword(&keyword.to_ascii_lowercase())
}

/// The policy of `<meta name=referrer content=…>`; `None` if it changes nothing. (*HTML*, "standard
/// metadata names": with the keywords that older drafts had.)
pub(crate) fn policy_of_meta(content: &str) -> Option<ReferrerPolicy> {
    match content.trim_ascii().to_ascii_lowercase().as_str() {
        "never" => Some(ReferrerPolicy::NoReferrer),
        "default" => Some(ReferrerPolicy::default()),
        "always" => Some(ReferrerPolicy::UnsafeUrl),
        "origin-when-crossorigin" => Some(ReferrerPolicy::OriginWhenCrossOrigin),
        keyword => ReferrerPolicy::from_keyword(keyword),
    }
}

/// *Parse a referrer policy from a Referrer-Policy header*: the last known keyword.
pub(crate) fn policy_of_headers(headers: &http::HeaderMap) -> Option<ReferrerPolicy> {
    headers
        .get_all(http::header::REFERRER_POLICY)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|keyword| policy_of_keyword(keyword.trim()))
        .next_back()
}

/// Longer referrers are cut down to their origin, in bytes.
const LIMIT: usize = 4096;

/// *Determine request's Referrer*, from the referrer that the request has.
pub(crate) fn determine_referrer(request: &RequestHead, policy: ReferrerPolicy) -> Option<Url> {
    // Steps 4 and 5.
    let url = strip(request.referrer.as_ref()?)?;
    let origin = strip_to_origin(&url);
    // Step 6.
    let url = if url.as_str().len() > LIMIT {
        origin.clone()
    } else {
        url
    };
    // Step 8.
    let current = request.url();
    let same_origin = url.origin() == current.origin();
    let downgrade = is_potentially_trustworthy(&url) && !is_potentially_trustworthy(current);
    match policy {
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

#[cfg(test)]
mod tests {
    use service_worker::types;

    use super::*;

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
                let request = request(page, target);
                let referrer = determine_referrer(&request, policy);
                assert_eq!(
                    referrer.as_ref().map(Url::as_str),
                    expected,
                    "{policy:?} {target}"
                );
            }
        }
    }

    #[test]
    fn a_local_url_is_no_referrer_and_a_long_one_only_its_origin() {
        let referrer = |from: &str| {
            determine_referrer(&request(from, "https://a.test/"), ReferrerPolicy::UnsafeUrl)
        };
        assert_eq!(referrer("about:blank"), None);
        assert_eq!(referrer("data:text/html,x"), None);
        let long = format!("https://a.test/{}", "x".repeat(4096));
        assert_eq!(referrer(&long).unwrap().as_str(), "https://a.test/");
    }

    #[test]
    fn the_last_known_keyword_of_the_header_counts() {
        let mut headers = http::HeaderMap::new();
        headers.append("referrer-policy", "origin, future".parse().unwrap());
        assert_eq!(policy_of_headers(&headers), Some(ReferrerPolicy::Origin));
        headers.append("referrer-policy", "No-Referrer".parse().unwrap());
        assert_eq!(
            policy_of_headers(&headers),
            Some(ReferrerPolicy::NoReferrer)
        );
    }

    #[test]
    fn documents_and_elements_name_a_policy_too() {
        use ReferrerPolicy::*;
        for (text, meta, attribute) in [
            ("origin", Some(Origin), Some(Origin)),
            ("Same-Origin", Some(SameOrigin), Some(SameOrigin)),
            (" unsafe-url\n", Some(UnsafeUrl), None),
            ("always", Some(UnsafeUrl), None),
            ("NEVER", Some(NoReferrer), None),
            ("default", Some(StrictOriginWhenCrossOrigin), None),
            ("origin-when-crossorigin", Some(OriginWhenCrossOrigin), None),
            ("", None, None),
            ("nonsense", None, None),
        ] {
            assert_eq!(policy_of_meta(text), meta, "{text:?}");
            assert_eq!(policy_of_keyword(text), attribute, "{text:?}");
        }
    }

    fn request(referrer: &str, target: &str) -> RequestHead {
        let mut request = RequestHead::get(Url::parse(target).unwrap(), types::Origin::opaque(0));
        request.referrer = Some(Url::parse(referrer).unwrap());
        request
    }
}
