//! What is potentially trustworthy and who is a secure context (*Secure Contexts*), and what of the
//! insecure such a context may not use (*Mixed Content*).

use service_worker::types::fetch::{Destination, RequestHead};
use service_worker::types::{Environment, Origin};
use url::{Host, Url};

/// *Is url potentially trustworthy?* (*Secure Contexts*, §3.2.)
#[must_use]
pub fn is_potentially_trustworthy(url: &Url) -> bool {
    match url.scheme() {
        "data" => true,
        "about" => matches!(url.path(), "blank" | "srcdoc"),
        // Of a `blob:` URL this is the origin of who made it.
        _ => Origin::of(url).is_potentially_trustworthy(),
    }
}

/// Whether an environment of `origin` is a secure context. (*HTML*, "secure context".) `parent` is
/// the document that holds a frame, or the owner of a dedicated worker; `None` for a top level and
/// for a service worker.
#[must_use]
pub fn is_secure_context(origin: &Origin, parent: Option<&Environment>) -> bool {
    let parent_allows = parent.is_none_or(|parent| parent.secure_context);
    // A document with an opaque origin (sandboxed, `data:`) is as secure as what holds it.
    let is_trustworthy =
        origin.is_potentially_trustworthy() || (origin.is_opaque() && parent.is_some());
    parent_allows && is_trustworthy
}

/// *Should fetching request be blocked as mixed content?*, and the same for a response. (*Mixed
/// Content*, §4.4 and §4.5.) Schemes that nothing fetches have an error of their own.
pub(super) fn is_mixed_content(client: &Environment, destination: Destination, url: &Url) -> bool {
    client.secure_context
        && destination != Destination::Document
        && matches!(url.scheme(), "http" | "https")
        && !is_potentially_trustworthy(url)
}

/// *Upgrade a mixed content request to a potentially trustworthy URL, if appropriate.* (*Mixed
/// Content*, §4.1.)
pub(super) fn upgrade_mixed_content(client: &Environment, request: &mut RequestHead) {
    let destination = request.destination;
    let is_upgradeable = matches!(
        destination,
        Destination::Image | Destination::Audio | Destination::Video
    );
    let Some(url) = request.url_list.last_mut() else {
        return;
    };
    let has_name = matches!(url.host(), Some(Host::Domain(_)));
    if is_upgradeable
        && has_name
        && is_mixed_content(client, destination, url)
        && url.set_scheme("https").is_err()
    {
        tracing::error!(%url, "an http URL that cannot become https");
    }
}

#[cfg(test)]
mod tests {
    use service_worker::types::ClientId;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn trustworthy_is_what_nobody_on_the_way_can_change() {
        for (text, expected) in [
            ("https://a.test/", true),
            ("http://a.test/", false),
            ("http://localhost:8080/", true),
            ("http://127.0.0.1/", true),
            ("http://[::1]/", true),
            ("data:,x", true),
            ("about:blank", true),
            ("about:srcdoc", true),
            ("about:config", false),
            ("blob:https://a.test/1", true),
            ("blob:http://a.test/1", false),
            ("wss://a.test/", true),
            ("ws://a.test/", false),
        ] {
            assert_eq!(is_potentially_trustworthy(&url(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_context_is_secure_only_if_all_above_it_are() {
        let top = |text| Environment::top_level(ClientId(1), url(text));
        let (secure, insecure) = (top("https://a.test/"), top("http://a.test/"));
        let https = Origin::of(&url("https://b.test/"));
        let http = Origin::of(&url("http://b.test/"));
        assert!(is_secure_context(&https, None));
        assert!(is_secure_context(&https, Some(&secure)));
        assert!(!is_secure_context(&https, Some(&insecure)));
        assert!(!is_secure_context(&http, Some(&secure)));
        assert!(is_secure_context(&Origin::opaque(1), Some(&secure)));
        assert!(!is_secure_context(&Origin::opaque(1), None));
    }

    #[test]
    fn pictures_are_asked_for_over_tls_instead() {
        let page = Environment::top_level(ClientId(1), url("https://a.test/"));
        let upgraded = |destination, text| {
            let mut request = RequestHead::get(url(text), page.origin.clone());
            request.destination = destination;
            upgrade_mixed_content(&page, &mut request);
            request.url().to_string()
        };
        let (plain, tls) = ("http://b.test/x", "https://b.test/x");
        assert_eq!(upgraded(Destination::Image, plain), tls);
        assert_eq!(upgraded(Destination::Video, plain), tls);
        assert_eq!(upgraded(Destination::Script, plain), plain);
        assert_eq!(
            upgraded(Destination::Image, "http://1.2.3.4/"),
            "http://1.2.3.4/"
        );
        assert_eq!(
            upgraded(Destination::Image, "http://localhost/"),
            "http://localhost/"
        );
    }
}
