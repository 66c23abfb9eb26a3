//! Asking a server whether it knows of other origins' requests. (*Fetch*, "CORS-preflight fetch".)

use std::time::Duration;

use http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName,
};
use http::{HeaderMap, HeaderValue, Method};
use service_worker::fetch_router::{
    CorsError, cors_check, is_cors_safelisted_method, is_cors_safelisted_request_header,
};
use service_worker::types::fetch::{
    CredentialsMode, RequestHead, RequestMode, ResponseHead, ServiceWorkersMode, is_http_token_byte,
};

/// The bytes that all safelisted header values may have together.
const SAFELIST_VALUES: usize = 1024;
/// How long an answer counts that does not say it.
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(5);

/// Why a preflight does not allow its request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PreflightError {
    /// The *CORS check* failed.
    #[error("the CORS preflight fails: {0}")]
    Cors(#[from] CorsError),
    /// It was answered with something that is not an ok status.
    #[error("the CORS preflight is answered with status {0}")]
    Status(u16),
    /// A list of what is allowed is no list.
    #[error("the CORS preflight's {0} is malformed")]
    Malformed(&'static str),
    /// The method is not allowed.
    #[error("the CORS preflight does not allow method {0}")]
    Method(String),
    /// A header is not allowed.
    #[error("the CORS preflight does not allow the header {0}")]
    Header(String),
}

/// What a preflight allows, and for how long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Preflight {
    pub(super) methods: Vec<String>,
    /// In lower case.
    pub(super) headers: Vec<String>,
    pub(super) max_age: Duration,
}

/// Steps 1 to 5: the preflight of a request.
pub(super) fn preflight_request(request: &RequestHead) -> RequestHead {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    // A method is a token, and header names are too: both are header values.
    if let Ok(method) = HeaderValue::from_str(request.method.as_str()) {
        headers.insert(ACCESS_CONTROL_REQUEST_METHOD, method);
    }
    let names = unsafe_request_header_names(&request.headers);
    if !names.is_empty()
        && let Ok(names) = HeaderValue::from_str(&names.join(","))
    {
        headers.insert(ACCESS_CONTROL_REQUEST_HEADERS, names);
    }
    RequestHead {
        method: Method::OPTIONS,
        url_list: request.url_list.clone(),
        headers,
        destination: request.destination,
        mode: RequestMode::Cors,
        credentials: CredentialsMode::SameOrigin,
        service_workers: ServiceWorkersMode::None,
        origin: request.origin.clone(),
        tainted_origin: request.tainted_origin,
        referrer: request.referrer.clone(),
        requester: request.requester.clone(),
        ..RequestHead::get(request.url().clone(), request.origin.clone())
    }
}

/// Step 7: whether the response allows the request.
pub(super) fn check(
    request: &RequestHead,
    response: &ResponseHead,
    use_cors_preflight: bool,
) -> Result<Preflight, PreflightError> {
    cors_check(request, &response.headers)?;
    if !response.status.is_success() {
        return Err(PreflightError::Status(response.status.as_u16()));
    }
    // Steps 7.1 to 7.3.
    let methods = list(&response.headers, &ACCESS_CONTROL_ALLOW_METHODS)
        .ok_or(PreflightError::Malformed("Access-Control-Allow-Methods"))?;
    let headers = list(&response.headers, &ACCESS_CONTROL_ALLOW_HEADERS)
        .ok_or(PreflightError::Malformed("Access-Control-Allow-Headers"))?;
    let headers: Vec<String> = headers
        .unwrap_or_default()
        .iter()
        .map(|name| name.to_ascii_lowercase())
        .collect();
    let method = request.method.as_str();
    // Step 7.4.
    let methods = match methods {
        None if use_cors_preflight => vec![method.to_owned()],
        methods => methods.unwrap_or_default(),
    };
    // Step 7.5.
    let star_counts = request.credentials != CredentialsMode::Include;
    let names = |list: &[String], item: &str| list.iter().any(|allowed| allowed == item);
    let allows =
        |list: &[String], item: &str| names(list, item) || (star_counts && names(list, "*"));
    if !is_cors_safelisted_method(&request.method) && !allows(&methods, method) {
        return Err(PreflightError::Method(method.to_owned()));
    }
    // Step 7.6.
    for name in request.headers.keys().map(HeaderName::as_str) {
        if is_non_wildcard_request_header_name(name) && !names(&headers, name) {
            return Err(PreflightError::Header(name.to_owned()));
        }
    }
    // Step 7.7.
    for name in unsafe_request_header_names(&request.headers) {
        if !allows(&headers, &name) {
            return Err(PreflightError::Header(name));
        }
    }
    Ok(Preflight {
        methods,
        headers,
        max_age: max_age(&response.headers),
    })
}

/// *CORS-unsafe request-header names*, sorted and in lower case.
pub(super) fn unsafe_request_header_names(headers: &HeaderMap) -> Vec<String> {
    let (mut names, mut potentially_unsafe) = (Vec::new(), Vec::new());
    let mut safelist_value_size = 0;
    for (name, value) in headers {
        if is_cors_safelisted_request_header(name.as_str(), value.as_bytes()) {
            potentially_unsafe.push(name.as_str().to_owned());
            safelist_value_size += value.len();
        } else {
            names.push(name.as_str().to_owned());
        }
    }
    if safelist_value_size > SAFELIST_VALUES {
        names.append(&mut potentially_unsafe);
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// *CORS non-wildcard request-header name*; `name` in lower case.
pub(super) fn is_non_wildcard_request_header_name(name: &str) -> bool {
    name == "authorization"
}

/// *Extract header list values* of a list of tokens: `None` for failure, `Some(None)` for null.
#[expect(clippy::option_option, reason = "failure and null are two things")]
fn list(headers: &HeaderMap, name: &HeaderName) -> Option<Option<Vec<String>>> {
    if !headers.contains_key(name) {
        return Some(None);
    }
    let mut tokens = Vec::new();
    for value in headers.get_all(name) {
        for token in value.as_bytes().split(|byte| *byte == b',') {
            let token = token.trim_ascii();
            if !token.iter().copied().all(is_http_token_byte) {
                return None;
            }
            if !token.is_empty() {
                tokens.push(String::from_utf8_lossy(token).into_owned());
            }
        }
    }
    Some(Some(tokens))
}

/// Steps 7.8 and 7.9.
fn max_age(headers: &HeaderMap) -> Duration {
    let mut values = headers.get_all(ACCESS_CONTROL_MAX_AGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return DEFAULT_MAX_AGE;
    };
    let digits = value.as_bytes().trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return DEFAULT_MAX_AGE;
    }
    let digits = String::from_utf8_lossy(digits);
    // More digits than fit are more seconds than any limit.
    Duration::from_secs(digits.parse().unwrap_or(u64::from(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use service_worker::types::Origin;
    use url::Url;

    use super::*;
    use crate::fetch::tests::header_map;

    fn request(method: &str, headers: &[(&str, &str)]) -> RequestHead {
        let url = Url::parse("https://b.test/x#f").unwrap();
        let origin = Origin::of(&Url::parse("https://a.test/").unwrap());
        RequestHead {
            method: method.parse().unwrap(),
            headers: header_map(headers),
            mode: RequestMode::Cors,
            ..RequestHead::get(url, origin)
        }
    }

    fn checked(
        request: &RequestHead,
        status: u16,
        headers: &[(&str, &str)],
    ) -> Result<Preflight, PreflightError> {
        let mut response =
            ResponseHead::new(StatusCode::from_u16(status).unwrap(), header_map(headers));
        let allow_origin = match request.credentials {
            CredentialsMode::Include => "https://a.test",
            _ => "*",
        };
        response
            .headers
            .entry("access-control-allow-origin")
            .or_insert(allow_origin.parse().unwrap());
        let credentials = "true".parse().unwrap();
        response
            .headers
            .insert("access-control-allow-credentials", credentials);
        check(request, &response, false)
    }

    #[test]
    fn a_preflight_names_the_method_and_the_unsafe_headers_sorted() {
        let request = request(
            "PATCH",
            &[
                ("x-b", "1"),
                ("X-A", "1"),
                ("accept", "*/*"),
                ("content-type", "application/json"),
                ("x-a", "2"),
                ("authorization", "x"),
            ],
        );
        let preflight = preflight_request(&request);
        assert_eq!(preflight.method, Method::OPTIONS);
        assert_eq!(preflight.headers["access-control-request-method"], "PATCH");
        assert_eq!(
            preflight.headers["access-control-request-headers"],
            "authorization,content-type,x-a,x-b"
        );
        assert_eq!(preflight.headers.len(), 3);
        assert_eq!(preflight.service_workers, ServiceWorkersMode::None);
        assert_eq!(preflight.url_list, request.url_list);
    }

    #[test]
    fn safelisted_headers_are_unsafe_when_they_are_long_together() {
        let long = "a".repeat(128);
        let one = ("accept", long.as_str());
        let few = header_map(&[one; 8]);
        assert_eq!(unsafe_request_header_names(&few), [""; 0]);
        let many = header_map(&[one; 9]);
        assert_eq!(unsafe_request_header_names(&many), ["accept"]);
    }

    #[test]
    fn methods_are_allowed_by_name_in_their_own_case_or_by_star() {
        const METHODS: &str = "access-control-allow-methods";
        for (method, credentials, allowed, expected) in [
            ("PUT", "omit", Some("GET, PUT"), true),
            ("PUT", "omit", Some("put"), false),
            ("PUT", "omit", Some(" ,PUT,, "), true),
            ("PUT", "omit", Some("*"), true),
            ("PUT", "include", Some("*"), false),
            ("*", "include", Some("*"), true),
            ("PUT", "include", Some("PUT"), true),
            ("PUT", "omit", Some(""), false),
            ("PUT", "omit", None, false),
            ("POST", "omit", None, true),
            ("GET", "include", Some("PUT"), true),
            ("patch", "omit", Some("PATCH"), false),
            ("PUT", "omit", Some("PUT, (x)"), false),
        ] {
            let mut request = request(method, &[]);
            request.credentials = CredentialsMode::from_keyword(credentials).unwrap();
            let headers: Vec<_> = allowed.iter().map(|value| (METHODS, *value)).collect();
            let checked = checked(&request, 200, &headers);
            assert_eq!(
                checked.is_ok(),
                expected,
                "{method} {credentials} {allowed:?}"
            );
        }
    }

    #[test]
    fn headers_are_allowed_by_name_or_by_star_but_authorization_by_name_only() {
        const HEADERS: &str = "access-control-allow-headers";
        for (name, credentials, allowed, expected) in [
            ("x-a", "omit", Some("X-A"), true),
            ("x-a", "omit", Some("x-b"), false),
            ("x-a", "omit", Some("*"), true),
            ("x-a", "include", Some("*"), false),
            ("*", "include", Some("*"), true),
            ("authorization", "omit", Some("*"), false),
            ("authorization", "omit", Some("*, Authorization"), true),
            ("accept", "omit", None, true),
            ("x-a", "omit", None, false),
            ("x-a", "omit", Some("x-a, x b"), false),
        ] {
            let mut request = request("GET", &[(name, "1")]);
            request.credentials = CredentialsMode::from_keyword(credentials).unwrap();
            let headers: Vec<_> = allowed.iter().map(|value| (HEADERS, *value)).collect();
            let checked = checked(&request, 204, &headers);
            assert_eq!(
                checked.is_ok(),
                expected,
                "{name} {credentials} {allowed:?}"
            );
        }
    }

    #[test]
    fn only_an_ok_answer_that_allows_the_origin_counts() {
        let request = request("GET", &[]);
        for (status, is_ok) in [
            (200, true),
            (204, true),
            (299, true),
            (302, false),
            (404, false),
        ] {
            let checked = checked(&request, status, &[]);
            assert_eq!(checked.is_ok(), is_ok, "{status}");
        }
        let other = [("access-control-allow-origin", "https://c.test")];
        let refused = checked(&request, 200, &other);
        assert_eq!(refused, Err(PreflightError::Cors(CorsError::OtherOrigin)));
    }

    #[test]
    fn max_age_is_five_seconds_unless_it_is_said() {
        let request = request("GET", &[]);
        for (value, seconds) in [
            (None, 5),
            (Some("0"), 0),
            (Some("600"), 600),
            (Some(" 7 "), 7),
            (Some("-1"), 5),
            (Some("1.5"), 5),
            (Some(""), 5),
            (Some("99999999999999999999999"), u64::from(u32::MAX)),
        ] {
            let value = value.map(|value| ("access-control-max-age", value));
            let headers: Vec<_> = value.into_iter().collect();
            let preflight = checked(&request, 200, &headers).unwrap();
            assert_eq!(preflight.max_age.as_secs(), seconds, "{value:?}");
        }
    }

    #[test]
    fn a_forced_preflight_needs_no_list_of_methods() {
        let request = request("PUT", &[]);
        let headers = header_map(&[("access-control-allow-origin", "*")]);
        let response = ResponseHead::new(StatusCode::OK, headers);
        assert!(check(&request, &response, true).is_ok());
        assert!(check(&request, &response, false).is_err());
    }
}
