//! Which hosts and paths a cookie is for. (RFC 6265bis, §5.1.)

use url::{Host, Url};

/// *Canonicalized host name*, without the dot that ends an absolute name.
pub(super) fn canonical_host(url: &Url) -> Option<String> {
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    url.host_str().map(str::to_owned)
}

/// *Domain-match*: whether `host` is `domain` or a name below it.
pub(super) fn domain_match(host: &str, domain: &str) -> bool {
    if host == domain {
        return true;
    }
    let is_below = host
        .strip_suffix(domain)
        .is_some_and(|rest| rest.ends_with('.'));
    is_below && matches!(Host::parse(host), Ok(Host::Domain(_)))
}

/// *Path-match*.
pub(super) fn path_match(request_path: &[u8], cookie_path: &[u8]) -> bool {
    request_path.strip_prefix(cookie_path).is_some_and(|rest| {
        rest.is_empty() || cookie_path.ends_with(b"/") || rest.starts_with(b"/")
    })
}

/// *Default-path*.
pub(super) fn default_path(url: &Url) -> Vec<u8> {
    let path = url.path();
    match path.rfind('/') {
        None | Some(0) => b"/".to_vec(),
        Some(end) => path.as_bytes()[..end].to_vec(),
    }
}

/// Whether a domain is a *public suffix*, below which anyone may have a name.
pub(super) fn is_public_suffix(domain: &str) -> bool {
    matches!(Host::parse(domain), Ok(Host::Domain(_)) | Err(_))
        && psl::suffix_str(domain) == Some(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_matches_itself_and_names_below_it() {
        for (host, domain, matches) in [
            ("a.test", "a.test", true),
            ("b.a.test", "a.test", true),
            ("ba.test", "a.test", false),
            ("a.test", "b.a.test", false),
            ("1.2.3.4", "3.4", false),
            ("1.2.3.4", "1.2.3.4", true),
            ("[::1]", "[::1]", true),
        ] {
            assert_eq!(domain_match(host, domain), matches, "{host} {domain}");
        }
    }

    #[test]
    fn a_path_matches_itself_and_what_is_below_it() {
        for (path, cookie, matches) in [
            ("/a", "/a", true),
            ("/a/", "/a", true),
            ("/a/b", "/a", true),
            ("/a/b", "/a/", true),
            ("/ab", "/a", false),
            ("/a", "/a/", false),
            ("/b", "/", true),
        ] {
            let matched = path_match(path.as_bytes(), cookie.as_bytes());
            assert_eq!(matched, matches, "{path} {cookie}");
        }
    }

    #[test]
    fn the_default_path_is_the_urls_folder() {
        for (url, path) in [
            ("https://a.test", "/"),
            ("https://a.test/x", "/"),
            ("https://a.test/x/", "/x"),
            ("https://a.test/x/y?z/w", "/x"),
        ] {
            assert_eq!(default_path(&Url::parse(url).unwrap()), path.as_bytes());
        }
    }

    #[test]
    fn public_suffixes_are_those_of_the_list() {
        for (domain, is_suffix) in [
            ("com", true),
            ("co.uk", true),
            ("github.io", true),
            ("example.com", false),
            ("a.test", false),
            ("1.2.3.4", false),
        ] {
            assert_eq!(is_public_suffix(domain), is_suffix, "{domain}");
        }
    }
}
