//! What a request says of where it comes from. (*Referrer Policy*.)

use service_worker::types::fetch::{Referrer, ReferrerPolicy, RequestHead};
use url::Url;

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

/// *Parse a referrer policy from a Referrer-Policy header*.
pub(crate) fn policy_of_headers(headers: &http::HeaderMap) -> Option<ReferrerPolicy> {
    ReferrerPolicy::of_headers(headers)
}

/// *Determine request's Referrer*, from the referrer that the request has.
pub(crate) fn determine_referrer(request: &RequestHead, policy: ReferrerPolicy) -> Option<Url> {
    let url = request.referrer.clone()?;
    Referrer { url, policy }.of_request_to(request.url())
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
