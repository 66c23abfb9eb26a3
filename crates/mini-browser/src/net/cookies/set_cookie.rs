//! Reading a *set-cookie-string*. (RFC 6265bis, §5.6.)

use super::{SameSite, date};

/// The longest name and value together, in bytes.
const MAX_PAIR: usize = 4096;
/// The longest value of an attribute, in bytes.
const MAX_ATTRIBUTE: usize = 1024;
/// No cookie lives longer: 400 days, in milliseconds.
const MAX_AGE: u64 = 400 * 24 * 60 * 60 * 1000;

/// What a set-cookie-string says. Of an attribute that is given twice, the last one counts.
#[derive(Debug, Default)]
pub(super) struct SetCookie {
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
    /// In milliseconds since the Unix epoch; `None` for the end of the session.
    pub(super) expiry: Option<u64>,
    /// In lower case, without a leading dot; empty if there is none.
    pub(super) domain: String,
    /// `None` if there is no `Path`; `Some(None)` if there is one that means the default path.
    pub(super) path: Option<Option<Vec<u8>>>,
    pub(super) secure: bool,
    pub(super) http_only: bool,
    pub(super) same_site: SameSite,
}

impl SetCookie {
    /// *Parse a set-cookie-string*; `now` in milliseconds since the Unix epoch.
    pub(super) fn parse(text: &[u8], now: u64) -> Result<Self, &'static str> {
        // Step 1.
        if text.iter().copied().any(is_control) {
            return Err("a control character");
        }
        // Steps 2 to 4.
        let mut parts = text.split(|byte| *byte == b';');
        let pair = parts.next().unwrap_or_default();
        let (name, value) = match split_at_equals(pair) {
            (value, None) => (&[][..], value),
            (name, Some(value)) => (name, value),
        };
        // Step 5; and the storage model, step 2.
        if name.len() + value.len() > MAX_PAIR {
            return Err("name and value are too long");
        }
        if name.is_empty() && value.is_empty() {
            return Err("neither name nor value");
        }
        let mut cookie = Self {
            name: name.to_vec(),
            value: value.to_vec(),
            ..Self::default()
        };
        let (mut expires, mut max_age) = (None, None);
        for part in parts {
            let (name, value) = split_at_equals(part);
            let value = value.unwrap_or_default();
            if value.len() > MAX_ATTRIBUTE {
                continue;
            }
            match name.to_ascii_lowercase().as_slice() {
                b"expires" => expires = date::parse(value).or(expires),
                b"max-age" => max_age = parse_max_age(value).or(max_age),
                b"domain" => cookie.domain = domain(value),
                b"path" => cookie.path = Some(value.starts_with(b"/").then(|| value.to_vec())),
                b"secure" => cookie.secure = true,
                b"httponly" => cookie.http_only = true,
                b"samesite" => cookie.same_site = same_site(value),
                _ => {}
            }
        }
        // The storage model, step 6; §5.6.1 and §5.6.2 on the limit.
        let latest = now.saturating_add(MAX_AGE);
        cookie.expiry = match (max_age, expires) {
            (Some(seconds), _) => Some(now.saturating_add(seconds.saturating_mul(1000))),
            (None, expires) => expires,
        };
        cookie.expiry = match max_age {
            Some(0) => Some(0),
            _ => cookie.expiry.map(|expiry| expiry.min(latest)),
        };
        Ok(cookie)
    }
}

const fn is_control(byte: u8) -> bool {
    matches!(byte, 0x00..=0x08 | 0x0A..=0x1F | 0x7F)
}

/// What is before the first `=` and what is after it, both without spaces and tabs around them.
fn split_at_equals(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == b'=') {
        None => (trim(text), None),
        Some(index) => (trim(&text[..index]), Some(trim(&text[index + 1..]))),
    }
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The seconds of `Max-Age`, 0 for any that are not positive.
fn parse_max_age(value: &[u8]) -> Option<u64> {
    let (is_negative, digits) = match value {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if value.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if is_negative {
        return Some(0);
    }
    // More digits than fit are more seconds than any cookie lives.
    let digits = std::str::from_utf8(digits).ok()?;
    Some(digits.parse().unwrap_or(u64::MAX))
}

fn domain(value: &[u8]) -> String {
    let value = value.strip_prefix(b".").unwrap_or(value);
    String::from_utf8_lossy(value).to_ascii_lowercase()
}

fn same_site(value: &[u8]) -> SameSite {
    match value.to_ascii_lowercase().as_slice() {
        b"none" => SameSite::None,
        b"strict" => SameSite::Strict,
        b"lax" => SameSite::Lax,
        _ => SameSite::Default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SetCookie, &'static str> {
        SetCookie::parse(text.as_bytes(), 1_000_000)
    }

    #[test]
    fn names_and_values_are_split_at_the_first_equals() {
        for (text, name, value) in [
            ("a=b", "a", "b"),
            (" a = b ; c", "a", "b"),
            ("a=b=c", "a", "b=c"),
            ("=b", "", "b"),
            ("b", "", "b"),
            ("a=", "a", ""),
            ("a=\"b c\"", "a", "\"b c\""),
            ("a\t=\tb", "a", "b"),
        ] {
            let cookie = parse(text).unwrap();
            assert_eq!(cookie.name, name.as_bytes(), "{text}");
            assert_eq!(cookie.value, value.as_bytes(), "{text}");
        }
    }

    #[test]
    fn what_is_no_cookie_is_refused() {
        let long = format!("{}={}", "n".repeat(2048), "v".repeat(2049));
        for text in [
            "", "=", " ; a=b", "a=\0", "a\x01=b", "a=b\x7f", "a=b; \n", &long,
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        let fits = format!("{}={}", "n".repeat(2048), "v".repeat(2048));
        assert!(parse(&fits).is_ok());
    }

    #[test]
    fn the_last_of_an_attribute_counts() {
        let cookie = parse("a=b; path=/x; Path=/y; DOMAIN=.A.test; domain=B.test").unwrap();
        assert_eq!(cookie.path, Some(Some(b"/y".to_vec())));
        assert_eq!(cookie.domain, "b.test");
        assert_eq!(parse("a=b; path=x").unwrap().path, Some(None));
        assert_eq!(parse("a=b").unwrap().path, None);
        let same_site = parse("a=b; samesite=strict; SameSite=nonsense").unwrap();
        assert_eq!(same_site.same_site, SameSite::Default);
    }

    #[test]
    fn an_attribute_that_is_too_long_is_passed_over() {
        let long = format!("a=b; path=/{}; secure", "x".repeat(1024));
        let cookie = parse(&long).unwrap();
        assert_eq!(cookie.path, None);
        assert!(cookie.secure);
    }

    #[test]
    fn max_age_goes_before_expires_and_nothing_lives_for_ever() {
        let limit = 1_000_000 + MAX_AGE;
        for (text, expiry) in [
            ("a=b", None),
            ("a=b; max-age=5", Some(1_005_000)),
            (
                "a=b; max-age=5; expires=Thu, 01 Jan 1970 00:00:00 GMT",
                Some(1_005_000),
            ),
            ("a=b; max-age=0", Some(0)),
            ("a=b; max-age=-5", Some(0)),
            ("a=b; max-age=-", Some(0)),
            ("a=b; max-age=5x", None),
            ("a=b; max-age=", None),
            ("a=b; max-age=+5", None),
            ("a=b; max-age=99999999999999999999999", Some(limit)),
            ("a=b; expires=Fri, 31 Dec 9999 23:59:59 GMT", Some(limit)),
            ("a=b; expires=never", None),
            ("a=b; expires=Thu, 01 Jan 1970 00:00:01 GMT", Some(1000)),
        ] {
            assert_eq!(parse(text).unwrap().expiry, expiry, "{text}");
        }
    }
}
