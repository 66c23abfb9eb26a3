//! Reading header lists as the *Fetch* standard does.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::HeaderName;
use sw_types::fetch::is_http_token_byte;

/// *Get* a name from a header list: its values joined by `, `, or `None`.
pub(crate) fn combined<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
    let mut values = headers.get_all(name).iter().map(|value| value.as_bytes());
    let first = values.next()?;
    Some(values.fold(Cow::Borrowed(first), |joined, value| {
        let mut joined = joined.into_owned();
        joined.extend_from_slice(b", ");
        joined.extend_from_slice(value);
        Cow::Owned(joined)
    }))
}

/// The elements of a header that is a list of tokens, in lower case: `#field-name`. `None` if any
/// element is not a token; empty elements are passed over. (*Extract header list values*.)
pub(crate) fn token_list(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<String>> {
    let mut tokens = Vec::new();
    for value in headers.get_all(name) {
        for element in value.as_bytes().split(|byte| *byte == b',') {
            let element = trim_http_whitespace(element);
            if element.is_empty() {
                continue;
            }
            if !element.iter().copied().all(is_http_token_byte) {
                return None;
            }
            tokens.push(
                element
                    .iter()
                    .map(|b| b.to_ascii_lowercase() as char)
                    .collect(),
            );
        }
    }
    Some(tokens)
}

/// Without leading and trailing *HTTP whitespace*: line breaks, tabs and spaces.
pub(crate) fn trim_http_whitespace(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes {
        if !is_http_whitespace(*first) {
            break;
        }
        bytes = rest;
    }
    trim_end_http_whitespace(bytes)
}

/// Without trailing *HTTP whitespace*.
pub(crate) fn trim_end_http_whitespace(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., last] = bytes {
        if !is_http_whitespace(*last) {
            break;
        }
        bytes = rest;
    }
    bytes
}

const fn is_http_whitespace(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r' | b'\t' | b' ')
}
