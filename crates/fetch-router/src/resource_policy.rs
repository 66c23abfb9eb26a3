//! Whether a response lets itself be embedded. (*Fetch*, "cross-origin resource policy check".)

use http::header::HeaderName;
use sw_types::fetch::ResponseHead;
use sw_types::{Origin, Site};
use url::Url;

use crate::headers::combined;
use crate::same_origin::is_same_origin;

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// The embedder policy value of whoever embeds. (*HTML*, "embedder policy".)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a closed set of the specification")]
pub enum EmbedderPolicy {
    /// `unsafe-none`
    #[default]
    UnsafeNone,
    /// `credentialless`
    Credentialless,
    /// `require-corp`
    RequireCorp,
}

/// Why a *cross-origin resource policy check* is "blocked".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ResourcePolicyBlocked {
    /// The response is for its own origin only.
    #[error("Cross-Origin-Resource-Policy is same-origin")]
    SameOrigin,
    /// The response is for its own site only.
    #[error("Cross-Origin-Resource-Policy is same-site")]
    SameSite,
    /// The response says nothing, and the embedder's policy wants a word.
    #[error("there is no Cross-Origin-Resource-Policy, which the embedder's policy requires")]
    Missing,
}

/// *Cross-origin resource policy internal check*, not for a navigation: whether a document of
/// `origin` may embed `response`, which came from `url` (the response's URL; the request's current
/// URL if it has none).
///
/// # Errors
/// Which rule blocks it.
pub fn cross_origin_resource_policy_check(
    origin: &Origin,
    embedder_policy: EmbedderPolicy,
    response: &ResponseHead,
    url: &Url,
) -> Result<(), ResourcePolicyBlocked> {
    // Steps 2 and 3: one exact value; anything else is null.
    let policy = combined(&response.headers, &CROSS_ORIGIN_RESOURCE_POLICY);
    let (same_origin_only, reason) = match policy.as_deref() {
        Some(b"same-origin") => (true, ResourcePolicyBlocked::SameOrigin),
        Some(b"same-site") => (false, ResourcePolicyBlocked::SameSite),
        Some(b"cross-origin") => return Ok(()),
        // Step 4.
        _ => match embedder_policy {
            EmbedderPolicy::RequireCorp => (true, ResourcePolicyBlocked::Missing),
            EmbedderPolicy::Credentialless if response.requested_with_credentials => {
                (true, ResourcePolicyBlocked::Missing)
            }
            EmbedderPolicy::Credentialless | EmbedderPolicy::UnsafeNone => return Ok(()),
        },
    };
    // Step 5.
    let allowed = if same_origin_only {
        is_same_origin(origin, url)
    } else {
        is_schemelessly_same_site(origin, &Origin::of(url))
            && (origin.scheme() == Some("https") || url.scheme() != "https")
    };
    if allowed { Ok(()) } else { Err(reason) }
}

/// *Schemelessly same site*, between tuple origins: an opaque origin shares its site with no URL.
fn is_schemelessly_same_site(a: &Origin, b: &Origin) -> bool {
    let (site_a, site_b) = (Site::of(a), Site::of(b));
    let domain = |site: &str| site.split_once("://").map(|(_, domain)| domain.to_owned());
    match (domain(site_a.as_str()), domain(site_b.as_str())) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn check(
        origin: &Origin,
        embedder_policy: EmbedderPolicy,
        value: Option<&str>,
        credentials: bool,
        url: &str,
    ) -> Result<(), ResourcePolicyBlocked> {
        let mut headers = HeaderMap::new();
        for value in value.iter().flat_map(|value| value.split('\n')) {
            headers.append(CROSS_ORIGIN_RESOURCE_POLICY, value.parse().unwrap());
        }
        let mut response = ResponseHead::new(StatusCode::OK, headers);
        response.requested_with_credentials = credentials;
        let url = Url::parse(url).unwrap();
        cross_origin_resource_policy_check(origin, embedder_policy, &response, &url)
    }

    #[test]
    fn the_header_decides_who_embeds() {
        use ResourcePolicyBlocked::*;
        let origin = |url| Origin::of(&Url::parse(url).unwrap());
        let https = origin("https://www.example.com");
        let http = origin("http://www.example.com");
        let opaque = Origin::opaque(0);
        let font = "https://fonts.example.com/f";
        let table = [
            (&https, None, font, Ok(())),
            (&https, Some("cross-origin"), "https://acme.com/", Ok(())),
            (&https, Some("same-origin"), font, Err(SameOrigin)),
            (
                &https,
                Some("same-origin"),
                "https://www.example.com/f",
                Ok(()),
            ),
            (&https, Some("same-site"), font, Ok(())),
            (
                &https,
                Some("same-site"),
                "http://fonts.example.com/f",
                Ok(()),
            ),
            (&http, Some("same-site"), font, Err(SameSite)),
            (
                &http,
                Some("same-site"),
                "http://fonts.example.com/f",
                Ok(()),
            ),
            (
                &https,
                Some("same-site"),
                "https://acme.com/",
                Err(SameSite),
            ),
            (&opaque, Some("same-site"), "data:,x", Err(SameSite)),
            (&opaque, Some("same-origin"), "data:,x", Err(SameOrigin)),
            // Not one of the three values, byte for byte: no policy.
            (&https, Some("Same-Origin"), font, Ok(())),
            (&https, Some("same-origin\nsame-origin"), font, Ok(())),
        ];
        for (origin, value, url, expected) in table {
            let result = check(origin, EmbedderPolicy::UnsafeNone, value, false, url);
            assert_eq!(result, expected, "{origin} {value:?} {url}");
        }
    }

    #[test]
    fn an_embedder_policy_can_require_the_header() {
        let page = Origin::of(&Url::parse("https://acme.com").unwrap());
        let check = |policy, value, credentials| {
            check(
                &page,
                policy,
                value,
                credentials,
                "https://fonts.example.com/f",
            )
            .is_ok()
        };
        assert!(!check(EmbedderPolicy::RequireCorp, None, false));
        assert!(check(
            EmbedderPolicy::RequireCorp,
            Some("cross-origin"),
            true
        ));
        assert!(check(EmbedderPolicy::Credentialless, None, false));
        assert!(!check(EmbedderPolicy::Credentialless, None, true));
    }
}
