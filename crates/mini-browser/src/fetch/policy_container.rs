//! A *policy container*: what a document or worker has been told it may fetch, and how. (*HTML*,
//! "policy containers".)

use http::HeaderMap;
use url::Url;

use super::{ContentSecurityPolicies, EmbedderPolicy, ReferrerPolicy, policy_of_headers};

/// The policies of a document or worker. A document that is not fetched has a clone of those of
/// whoever made it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the items of the standard")]
pub struct PolicyContainer {
    /// Its CSP list.
    pub content_security: ContentSecurityPolicies,
    /// Its embedder policy's value.
    pub embedder: EmbedderPolicy,
    /// Its referrer policy.
    pub referrer: ReferrerPolicy,
}

impl PolicyContainer {
    /// *Create a policy container from a fetch response*, for a response of `url`.
    #[must_use]
    pub fn from_headers(url: &Url, headers: &HeaderMap) -> Self {
        Self {
            content_security: ContentSecurityPolicies::from_headers(url, headers),
            embedder: embedder_policy(headers),
            referrer: policy_of_headers(headers).unwrap_or_default(),
        }
    }

    /// Whether an environment of these may have one of `other` inside: *check a navigation
    /// response's adherence to its embedder policy*, and the same for workers.
    #[must_use]
    pub fn admits(&self, other: &Self) -> bool {
        self.embedder == EmbedderPolicy::UnsafeNone || other.embedder != EmbedderPolicy::UnsafeNone
    }
}

/// *Obtain an embedder policy*, its value: an item of a structured header, of which only the token
/// counts. Anything else is `unsafe-none`.
fn embedder_policy(headers: &HeaderMap) -> EmbedderPolicy {
    let mut values = headers.get_all("cross-origin-embedder-policy").iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return EmbedderPolicy::UnsafeNone;
    };
    let value = value.to_str().unwrap_or_default();
    match value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim_matches(' ')
    {
        "require-corp" => EmbedderPolicy::RequireCorp,
        "credentialless" => EmbedderPolicy::Credentialless,
        _ => EmbedderPolicy::UnsafeNone,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn embedder(values: &[&str]) -> EmbedderPolicy {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append("cross-origin-embedder-policy", value);
        }
        embedder_policy(&headers)
    }

    #[test]
    fn an_embedder_policy_is_one_token_exactly() {
        assert_eq!(embedder(&["require-corp"]), EmbedderPolicy::RequireCorp);
        let parameters = " credentialless ; report-to=\"x\"";
        assert_eq!(embedder(&[parameters]), EmbedderPolicy::Credentialless);
        for values in [
            &["Require-Corp"][..],
            &["\"require-corp\""],
            &["require-corp, require-corp"],
            &["require-corp", "require-corp"],
            &[""],
            &[],
        ] {
            assert_eq!(embedder(values), EmbedderPolicy::UnsafeNone, "{values:?}");
        }
    }
}
