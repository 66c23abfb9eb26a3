//! Media types, as far as a decision depends on them. (*MIME Sniffing*; *Fetch*, "extract a MIME
//! type".)

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// *Extract a MIME type*, down to its essence: the last value that is a valid MIME type and not
/// `*/*`. (*Fetch*; *MIME Sniffing*, "parse a MIME type".)
#[must_use]
pub fn mime_essence(headers: &HeaderMap) -> Option<String> {
    values(headers).last().map(|(essence, _)| essence)
}

/// *Extract a MIME type*, as text: the last value that is a valid MIME type and not `*/*`, as it
/// stands there. If it names no charset and those before it have the same essence, it has theirs.
/// (*Fetch*.)
#[must_use]
pub fn mime_type(headers: &HeaderMap) -> Option<String> {
    let mut found: Option<(String, &str)> = None;
    let mut charset = None;
    for (essence, value) in values(headers) {
        let own = charset_of(value);
        // Steps 6.4 and 6.5.
        if own.is_some() || found.as_ref().is_none_or(|(before, _)| *before != essence) {
            charset = own;
        }
        found = Some((essence, value));
    }
    let (_, value) = found?;
    Some(match charset {
        Some(charset) if charset_of(value).is_none() => format!("{value};charset={charset}"),
        _ => value.to_owned(),
    })
}

/// What `Content-Type` has that is valid, each with its essence.
fn values(headers: &HeaderMap) -> impl Iterator<Item = (String, &str)> {
    headers
        .get_all(CONTENT_TYPE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(split_outside_quotes)
        .filter_map(|value| Some((essence(value)?, value.trim())))
        .filter(|(essence, _)| essence != "*/*")
}

/// The value of a `charset` parameter, as it stands there.
fn charset_of(value: &str) -> Option<&str> {
    value.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        (name.trim().eq_ignore_ascii_case("charset") && !value.is_empty()).then(|| value.trim())
    })
}

/// *Get, decode, and split*: at commas that are not inside a quoted string.
fn split_outside_quotes(value: &str) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in value.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                parts.push(&value[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&value[start..]);
    parts
}

fn essence(value: &str) -> Option<String> {
    let http_whitespace = [' ', '\t', '\r', '\n'];
    let before_parameters = value.split(';').next().unwrap_or_default();
    let (kind, subtype) = before_parameters
        .trim_matches(http_whitespace)
        .split_once('/')?;
    let is_token = |token: &str| !token.is_empty() && token.bytes().all(is_http_token_byte);
    (is_token(kind) && is_token(subtype)).then(|| format!("{kind}/{subtype}").to_ascii_lowercase())
}

/// *JavaScript MIME type essence match.*
#[must_use]
pub fn is_javascript_mime_essence(essence: &str) -> bool {
    matches!(
        essence,
        "application/ecmascript"
            | "application/javascript"
            | "application/x-ecmascript"
            | "application/x-javascript"
            | "text/ecmascript"
            | "text/javascript"
            | "text/javascript1.0"
            | "text/javascript1.1"
            | "text/javascript1.2"
            | "text/javascript1.3"
            | "text/javascript1.4"
            | "text/javascript1.5"
            | "text/jscript"
            | "text/livescript"
            | "text/x-ecmascript"
            | "text/x-javascript"
    )
}

/// *HTTP token code point.* (*MIME Sniffing*.)
#[must_use]
pub const fn is_http_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers_of(values: &[&str]) -> HeaderMap {
        let values = values.iter().map(|value| value.parse().unwrap());
        values.map(|value| (CONTENT_TYPE, value)).collect()
    }

    fn essence_of(values: &[&str]) -> Option<String> {
        mime_essence(&headers_of(values))
    }

    #[test]
    fn the_last_valid_value_counts_without_parameters_and_in_lower_case() {
        assert_eq!(
            essence_of(&["Text/JavaScript; charset=utf-8"]).as_deref(),
            Some("text/javascript")
        );
        assert_eq!(
            essence_of(&["text/css, nonsense"]).as_deref(),
            Some("text/css")
        );
        assert_eq!(
            essence_of(&["text/css", "text/html"]).as_deref(),
            Some("text/html")
        );
        assert_eq!(essence_of(&["text/css, */*"]).as_deref(), Some("text/css"));
        assert_eq!(essence_of(&["a/b;x=\"c/d, e/f\""]).as_deref(), Some("a/b"));
        assert_eq!(essence_of(&["text / css"]), None);
        assert_eq!(essence_of(&[]), None);
    }

    #[test]
    fn a_mime_type_keeps_its_parameters_and_the_charset_of_those_like_it() {
        let of = |values: &[&str]| mime_type(&headers_of(values));
        for (values, expected) in [
            (
                &["application/json", "text/html; a=b"][..],
                "text/html; a=b",
            ),
            (
                &["text/html;charset=koi8-r, text/html"],
                "text/html;charset=koi8-r",
            ),
            (
                &["text/html;charset=koi8-r", "text/html; CharSet=big5"],
                "text/html; CharSet=big5",
            ),
            (
                &["text/html;charset=koi8-r", "TEXT/html; x", "*/*"],
                "TEXT/html; x;charset=koi8-r",
            ),
            (&["text/html;charset=koi8-r, text/css"], "text/css"),
            (
                &["text/html;charset=koi8-r, text/css, text/html"],
                "text/html",
            ),
        ] {
            assert_eq!(of(values).as_deref(), Some(expected), "{values:?}");
        }
        assert_eq!(of(&["*/*", "text"]), None);
    }

    #[test]
    fn token_bytes_are_those_of_the_standard() {
        let tokens: String = (0..=255_u8)
            .filter(|byte| is_http_token_byte(*byte) && !byte.is_ascii_alphanumeric())
            .map(char::from)
            .collect();
        assert_eq!(tokens, "!#$%&'*+-.^_`|~");
    }
}
