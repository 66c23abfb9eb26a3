//! What a response allows its requester to read and to time. (*Fetch*, "CORS check", "TAO check".)

use http::HeaderMap;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
    HeaderName,
};
use sw_types::fetch::{CredentialsMode, RequestHead, RequestMode};

use crate::filter::ResponseTainting;
use crate::headers::{combined, token_list, trim_http_whitespace};
use crate::same_origin::is_same_origin;

const TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");

/// Why a *CORS check* failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CorsError {
    /// The response allows no origin at all.
    #[error("the response has no Access-Control-Allow-Origin")]
    NoAllowOrigin,
    /// Two or more values: none of them counts.
    #[error("the response has more than one Access-Control-Allow-Origin")]
    SeveralAllowOrigins,
    /// `*` is not enough for a request with credentials.
    #[error("Access-Control-Allow-Origin is * and the request is with credentials")]
    WildcardWithCredentials,
    /// Another origin is allowed.
    #[error("Access-Control-Allow-Origin names another origin")]
    OtherOrigin,
    /// The origin is allowed, its credentials are not.
    #[error("Access-Control-Allow-Credentials is not true and the request is with credentials")]
    CredentialsNotAllowed,
}

/// *CORS check* for a request and a response's header list.
///
/// # Errors
/// Why the requester may not read the response.
pub fn cors_check(request: &RequestHead, headers: &HeaderMap) -> Result<(), CorsError> {
    let with_credentials = request.credentials == CredentialsMode::Include;
    cors_check_as(request.serialized_origin(), with_credentials, headers)
}

/// *CORS check*, for a serialized origin, as with or without credentials mode `include`.
pub(crate) fn cors_check_as(
    request_origin: &str,
    with_credentials: bool,
    headers: &HeaderMap,
) -> Result<(), CorsError> {
    // Steps 1 and 2.
    let origin = combined(headers, &ACCESS_CONTROL_ALLOW_ORIGIN).ok_or(CorsError::NoAllowOrigin)?;
    // Step 3.
    if *origin == *b"*" && !with_credentials {
        return Ok(());
    }
    // Step 4: byte for byte.
    if *origin != *request_origin.as_bytes() {
        return Err(if *origin == *b"*" {
            CorsError::WildcardWithCredentials
        } else if origin.contains(&b',') {
            CorsError::SeveralAllowOrigins
        } else {
            CorsError::OtherOrigin
        });
    }
    // Steps 5 to 8.
    let allowed = || combined(headers, &ACCESS_CONTROL_ALLOW_CREDENTIALS);
    if with_credentials && allowed().as_deref() != Some(b"true") {
        return Err(CorsError::CredentialsNotAllowed);
    }
    Ok(())
}

/// The *CORS-exposed header-name list* of a response whose tainting is cors. (*Main fetch*: "If
/// request's response tainting is cors".)
pub(crate) fn exposed_header_names(headers: &HeaderMap, with_credentials: bool) -> Vec<String> {
    let names = token_list(headers, &ACCESS_CONTROL_EXPOSE_HEADERS).unwrap_or_default();
    if !with_credentials && names.iter().any(|name| name == "*") {
        headers
            .keys()
            .map(|name| name.as_str().to_owned())
            .collect()
    } else {
        names
    }
}

/// *TAO check*: whether `Timing-Allow-Origin` lets the requester see the response's timing.
///
/// For one response; whoever follows redirects passes timing on only if every hop allowed it.
#[must_use]
pub fn timing_allow_origin_check(
    request: &RequestHead,
    tainting: ResponseTainting,
    headers: &HeaderMap,
) -> bool {
    let origin = request.serialized_origin().as_bytes();
    let allowed = headers
        .get_all(TIMING_ALLOW_ORIGIN)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(trim_http_whitespace)
        .any(|value| value == b"*" || value == origin);
    let of_another_origin = || {
        let url = request.url_list.last();
        !url.is_some_and(|url| is_same_origin(&request.origin, url))
    };
    allowed
        || (tainting == ResponseTainting::Basic
            && !(request.mode == RequestMode::Navigate && of_another_origin()))
}

#[cfg(test)]
mod tests {
    use sw_types::Origin;
    use url::Url;

    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    fn request(credentials: CredentialsMode) -> RequestHead {
        let origin = Origin::of(&Url::parse("https://acme.com").unwrap());
        let url = Url::parse("https://fonts.example.com/font").unwrap();
        RequestHead {
            mode: RequestMode::Cors,
            credentials,
            ..RequestHead::get(url, origin)
        }
    }

    /// Header lines, and the check's results without and with credentials.
    type Row = (
        &'static [(&'static str, &'static str)],
        Result<(), CorsError>,
        Result<(), CorsError>,
    );

    #[test]
    fn the_cors_check_follows_the_standard() {
        use CorsError::*;
        const ACAO: &str = "access-control-allow-origin";
        const ACAC: &str = "access-control-allow-credentials";
        let table: &[Row] = &[
            (&[], Err(NoAllowOrigin), Err(NoAllowOrigin)),
            (&[(ACAO, "*")], Ok(()), Err(WildcardWithCredentials)),
            (
                &[(ACAO, "*"), (ACAC, "true")],
                Ok(()),
                Err(WildcardWithCredentials),
            ),
            (
                &[(ACAO, "https://acme.com")],
                Ok(()),
                Err(CredentialsNotAllowed),
            ),
            (
                &[(ACAO, "https://acme.com"), (ACAC, "true")],
                Ok(()),
                Ok(()),
            ),
            (
                &[(ACAO, "https://acme.com"), (ACAC, "True")],
                Ok(()),
                Err(CredentialsNotAllowed),
            ),
            (
                &[(ACAO, "https://acme.com/"), (ACAC, "true")],
                Err(OtherOrigin),
                Err(OtherOrigin),
            ),
            (
                &[(ACAO, "HTTPS://ACME.COM")],
                Err(OtherOrigin),
                Err(OtherOrigin),
            ),
            (&[(ACAO, "null")], Err(OtherOrigin), Err(OtherOrigin)),
            (&[(ACAO, "")], Err(OtherOrigin), Err(OtherOrigin)),
            (
                &[(ACAO, "https://acme.com, *")],
                Err(SeveralAllowOrigins),
                Err(SeveralAllowOrigins),
            ),
        ];
        for (lines, without, with) in table {
            let lines: Vec<_> = lines
                .iter()
                .map(|(name, value)| (HeaderName::from_bytes(name.as_bytes()).unwrap(), value))
                .map(|(name, value)| (name, value.parse().unwrap()))
                .collect();
            let headers = lines.into_iter().collect();
            for mode in [CredentialsMode::Omit, CredentialsMode::SameOrigin] {
                assert_eq!(
                    cors_check(&request(mode), &headers),
                    *without,
                    "{headers:?}"
                );
            }
            let mode = CredentialsMode::Include;
            assert_eq!(cors_check(&request(mode), &headers), *with, "{headers:?}");
        }
    }

    #[test]
    fn two_header_lines_allow_nobody() {
        let mut headers = headers(&[("access-control-allow-origin", "*")]);
        headers.append(ACCESS_CONTROL_ALLOW_ORIGIN, "*".parse().unwrap());
        assert_eq!(
            cors_check(&request(CredentialsMode::Omit), &headers),
            Err(CorsError::SeveralAllowOrigins)
        );
    }

    #[test]
    fn a_tainted_or_opaque_origin_must_be_allowed_as_null() {
        let allows_acme = headers(&[("access-control-allow-origin", "https://acme.com")]);
        let allows_null = headers(&[("access-control-allow-origin", "null")]);
        let tainted = RequestHead {
            tainted_origin: true,
            ..request(CredentialsMode::Omit)
        };
        let opaque = RequestHead {
            origin: Origin::opaque(3),
            ..request(CredentialsMode::Omit)
        };
        for request in [tainted, opaque] {
            assert!(cors_check(&request, &allows_acme).is_err());
            assert!(cors_check(&request, &allows_null).is_ok());
        }
    }

    #[test]
    fn exposed_names_are_listed_or_all_or_none() {
        let names = |value: &str, with_credentials| {
            let headers = headers(&[
                ("access-control-expose-headers", value),
                ("x-one", "1"),
                ("x-two", "2"),
            ]);
            let mut names = exposed_header_names(&headers, with_credentials);
            names.sort();
            names.join(" ")
        };
        assert_eq!(names("X-One,, x-three ", false), "x-one x-three");
        assert_eq!(
            names("*", false),
            "access-control-expose-headers x-one x-two"
        );
        assert_eq!(names("*, x-one", true), "* x-one");
        assert_eq!(names("x-one, x two", false), "");
    }

    #[test]
    fn timing_is_shown_to_those_who_are_named() {
        let request = request(CredentialsMode::Omit);
        let allowed = |value: &str, tainting| {
            timing_allow_origin_check(
                &request,
                tainting,
                &headers(&[("timing-allow-origin", value)]),
            )
        };
        assert!(allowed("*", ResponseTainting::Opaque));
        assert!(allowed(
            "https://a.test, https://acme.com",
            ResponseTainting::Cors
        ));
        assert!(!allowed("https://a.test", ResponseTainting::Cors));
        assert!(allowed("", ResponseTainting::Basic));
    }
}
