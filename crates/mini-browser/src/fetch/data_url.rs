//! The answers that `data:` URLs hold. (*Fetch*, "data: URL processor".)

use data_url::DataUrl;
use url::Url;

/// The media type and the body of a `data:` URL; `None` if it is malformed.
pub(super) fn process(url: &Url) -> Option<(String, Vec<u8>)> {
    let data = DataUrl::process(url.as_str()).ok()?;
    let (body, _fragment) = data.decode_to_vec().ok()?;
    Some((data.mime_type().to_string(), body))
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
                "data:font/woff2;a=b;d=\"e f\";g,",
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
