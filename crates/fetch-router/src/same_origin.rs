//! *Same origin*, between an origin and a URL, without building the URL's origin.

use sw_types::Origin;
use url::Url;

/// Whether `url`'s origin is *same origin* with `origin`. No URL is same origin with an opaque one.
pub(crate) fn is_same_origin(origin: &Origin, url: &Url) -> bool {
    if origin.is_opaque() {
        return false;
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Origin::of(url) == *origin;
    }
    let port = origin
        .as_str()
        .strip_prefix(url.scheme())
        .and_then(|rest| rest.strip_prefix("://"))
        .and_then(|rest| rest.strip_prefix(url.host_str()?));
    match (port, url.port()) {
        (Some(rest), None) => rest.is_empty(),
        (Some(rest), Some(port)) => {
            rest.strip_prefix(':').and_then(|rest| rest.parse().ok()) == Some(port)
        }
        (None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparing_in_place_agrees_with_comparing_origins() {
        let urls = [
            "https://a.test/",
            "https://a.test:443/x",
            "https://a.test:444/",
            "https://a.test:4/",
            "http://a.test/",
            "http://a.test:443/",
            "https://user:pw@a.test/",
            "https://a.tes/",
            "https://a.test.b/",
            "https://[::1]/",
            "https://[::1]:8443/",
            "https://127.0.0.1:8443/",
            "blob:https://a.test/1",
            "ws://a.test/",
            "wss://a.test/",
        ]
        .map(|url| Url::parse(url).unwrap());
        for one in &urls {
            for other in &urls {
                let origin = Origin::of(one);
                assert_eq!(
                    is_same_origin(&origin, other),
                    origin == Origin::of(other),
                    "{one} {other}"
                );
            }
        }
    }

    #[test]
    fn nothing_is_same_origin_with_an_opaque_origin() {
        let data = Url::parse("data:,x").unwrap();
        assert!(!is_same_origin(&Origin::of(&data), &data));
    }
}
