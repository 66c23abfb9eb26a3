//! Which methods and headers a cross-origin request may carry without a preflight.
//! (*Fetch*, "CORS-safelisted method", "CORS-safelisted request-header".)

use http::{HeaderMap, Method};

use sw_types::fetch::is_http_token_byte;

use crate::headers::{trim_end_http_whitespace, trim_http_whitespace};

/// The bytes that one safelisted header value may have.
const VALUE_LIMIT: usize = 128;
/// The bytes that all safelisted header values may have together.
const VALUES_LIMIT: usize = 1024;

/// *CORS-safelisted method*: `GET`, `HEAD` or `POST`.
#[must_use]
pub fn is_cors_safelisted_method(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::POST)
}

/// Whether *CORS-unsafe request-header names* of a header list is empty: every header is
/// safelisted, and their values together have at most 1024 bytes.
///
/// The list is the one that the page made and the `Accept` headers that *fetch* appended; what the
/// network adds later (`Origin`, `User-Agent`, `Sec-Fetch-*`, …) does not belong in it yet.
#[must_use]
pub fn has_only_cors_safelisted_headers(headers: &HeaderMap) -> bool {
    let mut safelist_value_size = 0;
    headers.iter().all(|(name, value)| {
        safelist_value_size += value.len();
        safelist_value_size <= VALUES_LIMIT
            && is_cors_safelisted_request_header(name.as_str(), value.as_bytes())
    })
}

/// Whether a header is a *CORS-safelisted request-header*. The name's case does not matter.
#[must_use]
pub fn is_cors_safelisted_request_header(name: &str, value: &[u8]) -> bool {
    // Step 1.
    if value.len() > VALUE_LIMIT {
        return false;
    }
    // Step 2.
    let is = |safelisted: &str| name.eq_ignore_ascii_case(safelisted);
    if is("accept") {
        !has_unsafe_byte(value)
    } else if is("accept-language") || is("content-language") {
        value.iter().copied().all(is_language_byte)
    } else if is("content-type") {
        !has_unsafe_byte(value) && is_safelisted_content_type(value)
    } else if is("range") {
        is_safelisted_range(value)
    } else {
        false
    }
}

/// *CORS-unsafe request-header byte.*
fn has_unsafe_byte(value: &[u8]) -> bool {
    value.iter().any(|byte| match byte {
        b'\t' => false,
        0x00..=0x1F | 0x7F => true,
        b'"' | b'(' | b')' | b':' | b'<' | b'>' | b'?' | b'@' | b'[' | b'\\' | b']' | b'{'
        | b'}' => true,
        _ => false,
    })
}

const fn is_language_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'*' | b',' | b'-' | b'.' | b';' | b'=')
}

/// Whether the essence, by *parse a MIME type*, is one that a form can send.
fn is_safelisted_content_type(value: &[u8]) -> bool {
    // Parse a MIME type, steps 1 to 10; parameters never make it fail.
    let value = trim_http_whitespace(value);
    let Some(slash) = value.iter().position(|byte| *byte == b'/') else {
        return false;
    };
    let (kind, rest) = (&value[..slash], &value[slash + 1..]);
    let subtype = rest.split(|byte| *byte == b';').next().unwrap_or_default();
    // "Remove any trailing HTTP whitespace from subtype", and no leading one.
    let subtype = trim_end_http_whitespace(subtype);
    if ![kind, subtype]
        .into_iter()
        .all(|part| !part.is_empty() && part.iter().copied().all(is_http_token_byte))
    {
        return false;
    }
    let essence = |wanted_kind: &str, wanted_subtype: &str| {
        kind.eq_ignore_ascii_case(wanted_kind.as_bytes())
            && subtype.eq_ignore_ascii_case(wanted_subtype.as_bytes())
    };
    essence("application", "x-www-form-urlencoded")
        || essence("multipart", "form-data")
        || essence("text", "plain")
}

/// *Parse a single range header value*, without whitespace, and a start that is a number.
fn is_safelisted_range(value: &[u8]) -> bool {
    let Some(range) = value.strip_prefix(b"bytes=") else {
        return false;
    };
    let Some(dash) = range.iter().position(|byte| *byte == b'-') else {
        return false;
    };
    let (start, end) = (&range[..dash], &range[dash + 1..]);
    let are_digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    are_digits(start)
        && are_digits(end)
        && !start.is_empty()
        && (end.is_empty() || as_number(start) <= as_number(end))
}

/// A decimal number of any length, so that it compares as a number: length first, then digits.
fn as_number(digits: &[u8]) -> (usize, &[u8]) {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    let digits = &digits[zeros..];
    (digits.len(), digits)
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, ACCEPT_LANGUAGE, HeaderValue};

    use super::*;

    #[test]
    fn only_form_methods_are_safelisted() {
        for method in ["GET", "HEAD", "POST"] {
            assert!(is_cors_safelisted_method(&method.parse().unwrap()));
        }
        for method in ["PUT", "DELETE", "OPTIONS", "get", "PATCH", "X"] {
            assert!(!is_cors_safelisted_method(&method.parse().unwrap()));
        }
    }

    #[test]
    fn each_header_follows_its_own_rule() {
        let table: &[(&str, &[u8], bool)] = &[
            ("accept", b"*/*", true),
            ("Accept", b"text/html,\tapplication/xml;q=0.9", true),
            ("accept", b"a\"b", false),
            ("accept", b"a:b", false),
            ("accept", b"\x00", false),
            ("accept", b"\x1f", false),
            ("accept", b"\x7f", false),
            ("accept", "é".as_bytes(), true),
            ("accept", b"", true),
            ("accept-language", b"de-CH, en;q=0.5, *", true),
            ("accept-language", b"en_US", false),
            ("accept-language", b"en/US", false),
            ("content-language", b"en@US", false),
            ("content-language", b"\t", false),
            ("content-type", b"text/plain", true),
            ("content-type", b" text/plain ;x", true),
            ("content-type", b"text/ plain", false),
            ("content-type", b"text /plain", false),
            ("content-type", b" TEXT/Plain ; charset=utf-8", true),
            ("content-type", b"text/plain;garbage", true),
            ("content-type", b"text/plain; charset=\"utf-8\"", false),
            ("content-type", b"multipart/form-data; boundary=x", true),
            ("content-type", b"application/x-www-form-urlencoded", true),
            ("content-type", b"application/json", false),
            ("content-type", b"text/plain, application/json", false),
            ("content-type", b"text /plain", false),
            ("content-type", b"text/", false),
            ("content-type", b"/plain", false),
            ("content-type", b"text", false),
            ("content-type", b"", false),
            ("range", b"bytes=0-", true),
            ("range", b"bytes=5-10", true),
            ("range", b"bytes=10-10", true),
            ("range", b"bytes=010-9", false),
            ("range", b"bytes=0009-10", true),
            ("range", b"bytes=-500", false),
            ("range", b"bytes=-", false),
            ("range", b"bytes=1-2,3-4", false),
            ("range", b"bytes= 1-2", false),
            ("range", b"bytes =1-2", false),
            ("range", b"Bytes=1-2", false),
            ("range", b"bytes=99999999999999999999999-1", false),
            ("range", b"bytes=1-99999999999999999999999", true),
            ("range", b"items=1-2", false),
            ("x-other", b"1", false),
            ("authorization", b"1", false),
            ("save-data", b"on", false),
        ];
        for (name, value, safelisted) in table {
            assert_eq!(
                is_cors_safelisted_request_header(name, value),
                *safelisted,
                "{name}: {:?}",
                String::from_utf8_lossy(value)
            );
        }
    }

    #[test]
    fn a_value_of_129_bytes_is_not_safelisted() {
        assert!(is_cors_safelisted_request_header("accept", &[b'a'; 128]));
        assert!(!is_cors_safelisted_request_header("accept", &[b'a'; 129]));
    }

    #[test]
    fn values_of_1025_bytes_together_are_not_safelisted() {
        let mut headers = HeaderMap::new();
        for _ in 0..8 {
            headers.append(ACCEPT, HeaderValue::from_bytes(&[b'a'; 128]).unwrap());
        }
        assert!(has_only_cors_safelisted_headers(&headers));
        headers.append(ACCEPT_LANGUAGE, HeaderValue::from_static("e"));
        assert!(!has_only_cors_safelisted_headers(&headers));
    }
}
