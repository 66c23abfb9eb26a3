//! Whether a body is the one that its requester meant. (*Subresource Integrity*, §3.3.)

use ring::digest::{Algorithm, SHA256, SHA384, SHA512, digest};

/// The longest body that is read to be compared, in bytes.
pub(super) const LIMIT: usize = 256 << 20;

/// *Do bytes match metadataList?* Metadata that names no algorithm that is known matches anything.
pub(super) fn do_bytes_match(bytes: &[u8], metadata: &str) -> bool {
    // Steps 1 and 2.
    let parsed = parse(metadata);
    // Steps 3 and 4: of the strongest ones.
    let Some(strongest) = parsed.iter().map(|(strength, _)| *strength).max() else {
        return true;
    };
    let actual = encode_base64(digest(ALGORITHMS[strongest].1, bytes).as_ref());
    let actual = actual.trim_end_matches('=');
    parsed
        .iter()
        .any(|(strength, expected)| *strength == strongest && *expected == actual)
}

/// By rising strength.
static ALGORITHMS: [(&str, &Algorithm); 3] = [
    ("sha256", &SHA256),
    ("sha384", &SHA384),
    ("sha512", &SHA512),
];

/// *Parse metadata*: strengths and digests.
fn parse(metadata: &str) -> Vec<(usize, String)> {
    metadata
        .split_ascii_whitespace()
        .filter_map(|item| {
            // Options are reserved, and passed over.
            let expression = item.split('?').next()?;
            let (name, value) = expression.split_once('-').unwrap_or((expression, ""));
            let strength = ALGORITHMS
                .iter()
                .position(|(known, _)| name.eq_ignore_ascii_case(known))?;
            // The URL-safe alphabet and missing padding are taken too, as engines do.
            let value = value.trim_end_matches('=');
            Some((strength, value.replace('-', "+").replace('_', "/")))
        })
        .collect()
}

/// Base64 with padding.
pub(super) fn encode_base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            if place > chunk.len() {
                text.push('=');
            } else {
                let sextet = (bits >> (18 - 6 * place)) & 0x3F;
                text.push(char::from(ALPHABET[sextet as usize]));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO_256: &str = "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
    const HELLO_512: &str = "sha512-m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==";

    #[test]
    fn the_strongest_digest_counts() {
        let matches = |metadata: &str| do_bytes_match(b"hello", metadata);
        assert!(matches(HELLO_256));
        assert!(matches(HELLO_512));
        assert!(matches(&format!("  {HELLO_256}?option \n sha1-x ")));
        assert!(matches(&format!("sha256-wrong {HELLO_256}")));
        assert!(matches(&format!("sha256-wrong {HELLO_512}")));
        assert!(!matches(&format!("{HELLO_256} sha512-wrong")));
        assert!(!matches("sha256-wrong"));
        assert!(!matches("sha384"));
        assert!(!do_bytes_match(b"hellO", HELLO_256));
        let url_safe = HELLO_256.replace('+', "-").replace('/', "_");
        assert!(matches(&url_safe));
        assert!(matches(HELLO_512.trim_end_matches('=')));
        assert!(matches(&HELLO_256.replace("sha", "SHA")));
    }

    #[test]
    fn what_names_no_known_algorithm_matches_anything() {
        for metadata in ["", "  ", "md5-x", "nonsense", "sha1-x sha224-y"] {
            assert!(do_bytes_match(b"anything", metadata), "{metadata}");
        }
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"a", "YQ=="),
            (b"ab", "YWI="),
            (b"abc", "YWJj"),
            (b"\xff\xff\xfe", "///+"),
        ] {
            assert_eq!(encode_base64(bytes), text);
        }
    }
}
