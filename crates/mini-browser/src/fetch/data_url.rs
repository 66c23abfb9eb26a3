//! The answers that `data:` URLs hold. (*Fetch*, "data: URL processor".)

use url::Url;

use super::media_type::is_token_byte;

/// The media type and the body of a `data:` URL; `None` if it is malformed.
pub(super) fn process(url: &Url) -> Option<(String, Vec<u8>)> {
    // Steps 1 to 8.
    let input = url.as_str().split('#').next()?.strip_prefix("data:")?;
    let (media_type, encoded) = input.split_once(',')?;
    let mut media_type = media_type
        .trim_matches([' ', '\t', '\n', '\r', '\x0c'])
        .to_owned();
    // Steps 9 and 10.
    let mut body = percent_decode(encoded);
    // Step 11.
    if let Some(rest) = strip_base64(&media_type) {
        media_type = rest.to_owned();
        body = forgiving_base64(&body)?;
    }
    // Step 12.
    if media_type.starts_with(';') {
        media_type.insert_str(0, "text/plain");
    }
    // Steps 13 and 14.
    let media_type =
        normalized(&media_type).unwrap_or_else(|| "text/plain;charset=US-ASCII".to_owned());
    Some((media_type, body))
}

/// *Percent-decode*.
fn percent_decode(encoded: &str) -> Vec<u8> {
    let mut bytes = encoded.bytes();
    let mut decoded = Vec::with_capacity(encoded.len());
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let escaped = (byte == b'%')
            .then(|| Some(digit(ahead.next())? << 4 | digit(ahead.next())?))
            .flatten();
        match escaped.and_then(|value| u8::try_from(value).ok()) {
            Some(value) => {
                decoded.push(value);
                bytes = ahead;
            }
            None => decoded.push(byte),
        }
    }
    decoded
}

/// What stands before a final `;base64`, with spaces between the two parts allowed.
fn strip_base64(media_type: &str) -> Option<&str> {
    let at = media_type.len().checked_sub("base64".len())?;
    let (rest, word) = (media_type.get(..at)?, media_type.get(at..)?);
    word.eq_ignore_ascii_case("base64")
        .then(|| rest.trim_end_matches(' ').strip_suffix(';'))
        .flatten()
}

/// *Forgiving-base64 decode*. (*Infra*.)
fn forgiving_base64(data: &[u8]) -> Option<Vec<u8>> {
    // Steps 1 to 4.
    let mut digits: Vec<u8> = data
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c'))
        .collect();
    if digits.len().is_multiple_of(4) {
        for _ in 0..2 {
            digits.pop_if(|last| *last == b'=');
        }
    }
    if digits.len() % 4 == 1 {
        return None;
    }
    // Steps 5 to 10.
    let mut decoded = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut buffer, mut bits) = (0_u32, 0_u32);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        buffer = buffer << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            decoded.push((buffer >> bits & 0xFF) as u8);
        }
    }
    Some(decoded)
}

/// *Parse a MIME type*, then *serialize* it. (*MIME Sniffing*.)
fn normalized(media_type: &str) -> Option<String> {
    let mut parts = media_type.split(';');
    let (kind, subtype) = parts.next()?.trim().split_once('/')?;
    let is_token = |part: &str| !part.is_empty() && part.bytes().all(is_token_byte);
    if !is_token(kind) || !is_token(subtype) {
        return None;
    }
    let mut serialized = format!("{kind}/{subtype}").to_ascii_lowercase();
    let mut names: Vec<String> = Vec::new();
    // A `;` inside quotes would have been percent-encoded or is the author's mistake: the parameter
    // that it cuts is then dropped or quoted as it stands.
    for parameter in parts {
        let Some((name, value)) = parameter.trim_start().split_once('=') else {
            continue;
        };
        let name = name.to_ascii_lowercase();
        let value = value
            .strip_prefix('"')
            .map(|quoted| quoted.strip_suffix('"').unwrap_or(quoted))
            .unwrap_or(value.trim_end());
        let is_value = !value.is_empty() && value.chars().all(is_quotable);
        if !is_token(&name) || !is_value || names.contains(&name) {
            continue;
        }
        serialized.push_str(&format!(";{name}="));
        if is_token(value) {
            serialized.push_str(value);
        } else {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
            serialized.push_str(&format!("\"{escaped}\""));
        }
        names.push(name);
    }
    Some(serialized)
}

/// *HTTP quoted-string token code point*, as far as a URL can hold one.
const fn is_quotable(c: char) -> bool {
    matches!(c, '\t' | ' '..='~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_urls_hold_what_the_standard_says() {
        type Processed<'a> = Option<(&'a str, &'a [u8])>;
        let table: &[(&str, Processed<'_>)] = &[
            ("data:,x", Some(("text/plain;charset=US-ASCII", b"x"))),
            ("data:text/css,a%20b%zz%4", Some(("text/css", b"a b%zz%4"))),
            ("data:text/css,a#f", Some(("text/css", b"a"))),
            (
                "data:;charset=utf-8,x",
                Some(("text/plain;charset=utf-8", b"x")),
            ),
            (
                "data:IMAGE/gif;base64,AAEC",
                Some(("image/gif", &[0, 1, 2])),
            ),
            ("data:image/gif;base64,AA%3D%3D", Some(("image/gif", &[0]))),
            ("data:image/gif;base64,A A", Some(("image/gif", &[0]))),
            ("data:image/gif; BASE64,AAE=", Some(("image/gif", &[0, 1]))),
            ("data:image/gif;base64,A", None),
            ("data:image/gif;base64,AAE==", None),
            ("data:image/gif;base64,A*==", None),
            (
                "data:;base64,eA",
                Some(("text/plain;charset=US-ASCII", b"x")),
            ),
            (
                "data:base64,eA",
                Some(("text/plain;charset=US-ASCII", b"eA")),
            ),
            (
                "data:font/woff2;a=b;A=c;d=\"e f\";g,",
                Some(("font/woff2;a=b;d=\"e f\"", b"")),
            ),
            ("data:nonsense", None),
            ("data:", None),
        ];
        for (url, expected) in table {
            let processed = process(&Url::parse(url).unwrap());
            let processed = processed
                .as_ref()
                .map(|(media_type, body)| (media_type.as_str(), body.as_slice()));
            assert_eq!(processed, *expected, "{url}");
        }
    }
}
