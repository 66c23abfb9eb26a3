//! *Content Security Policy*, as far as it speaks of requests: which URLs a document or worker may
//! fetch from, and for what; and of code that scripts make from strings.
//!
//! Not here: inline scripts and styles, nonces and hashes (a script that only its nonce
//! would allow is blocked), violation reports, and `Content-Security-Policy-Report-Only`.

use std::sync::Arc;

use http::HeaderMap;
use percent_encoding::percent_decode_str;
use service_worker::types::Origin;
use service_worker::types::fetch::Destination;
use url::Url;

/// A *CSP list*: a request has to pass all of its policies. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentSecurityPolicies(Arc<[Policy]>);

/// A *policy*, enforced.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Policy {
    /// Names in lower case, with their values.
    directives: Vec<(String, Vec<String>)>,
    /// Where it came from: what `'self'` means.
    own: Url,
}

impl ContentSecurityPolicies {
    /// *Parse a response's Content Security Policies.*
    #[must_use]
    pub fn from_headers(url: &Url, headers: &HeaderMap) -> Self {
        let values = headers.get_all("content-security-policy").iter();
        let policies = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|serialized| Policy::parse(serialized, url));
        Self(policies.collect())
    }

    /// *Should request be blocked by Content Security Policy?*, and the same of its response, whose
    /// URL is `url` then. Says which directive blocks it.
    #[must_use]
    pub fn blocks(&self, destination: Destination, url: &Url, redirected: bool) -> Option<&str> {
        let names = directive_fallback_list(destination);
        self.0.iter().find_map(|policy| {
            let (name, sources) = names.iter().find_map(|name| policy.directive(name))?;
            let allowed = sources
                .iter()
                .any(|source| source_matches(source, url, &policy.own, redirected));
            (!allowed).then_some(name)
        })
    }

    /// *EnsureCSPDoesNotBlockStringCompilation*: whether scripts may not make code from strings.
    #[must_use]
    pub fn blocks_code_generation(&self) -> bool {
        self.0.iter().any(|policy| {
            let sources = policy.directive("script-src");
            let sources = sources.or_else(|| policy.directive("default-src"));
            let allows = |source: &String| source.eq_ignore_ascii_case("'unsafe-eval'");
            sources.is_some_and(|(_, sources)| !sources.iter().any(allows))
        })
    }

    /// The values of all `sandbox` directives.
    pub fn sandbox(&self) -> impl Iterator<Item = String> {
        let directives = self.0.iter().filter_map(|it| it.directive("sandbox"));
        directives.map(|(_, tokens)| tokens.join(" "))
    }
}

impl Policy {
    /// *Parse a serialized CSP*; `None` if it has no directive.
    fn parse(serialized: &str, own: &Url) -> Option<Self> {
        let mut directives: Vec<(String, Vec<String>)> = Vec::new();
        for token in serialized.split(';') {
            let mut words = token.split_ascii_whitespace().map(str::to_owned);
            let Some(name) = words.next() else { continue };
            let name = name.to_ascii_lowercase();
            // "If policy's directive set contains a directive whose name is directive name, continue."
            if !directives.iter().any(|(known, _)| *known == name) {
                directives.push((name, words.collect()));
            }
        }
        let own = own.clone();
        (!directives.is_empty()).then_some(Self { directives, own })
    }

    fn directive(&self, name: &str) -> Option<(&str, &[String])> {
        let found = self.directives.iter().find(|(known, _)| known == name);
        found.map(|(name, value)| (name.as_str(), value.as_slice()))
    }
}

/// *Get the effective directive for request*, and *get fetch directive fallback list* of that.
fn directive_fallback_list(destination: Destination) -> &'static [&'static str] {
    match destination.as_str() {
        "" | "json" => &["connect-src", "default-src"],
        "manifest" => &["manifest-src", "default-src"],
        "object" | "embed" => &["object-src", "default-src"],
        "frame" | "iframe" => &["frame-src", "child-src", "default-src"],
        "audio" | "track" | "video" => &["media-src", "default-src"],
        "font" => &["font-src", "default-src"],
        "image" => &["img-src", "default-src"],
        "style" => &["style-src-elem", "style-src", "default-src"],
        "script" | "xslt" | "audioworklet" | "paintworklet" => {
            &["script-src-elem", "script-src", "default-src"]
        }
        "serviceworker" | "sharedworker" | "worker" => {
            &["worker-src", "child-src", "script-src", "default-src"]
        }
        _ => &[],
    }
}

/// *Does url match expression in origin with redirect count?* (`'none'`, nonces, hashes and keywords
/// match no URL.)
fn source_matches(expression: &str, url: &Url, own: &Url, redirected: bool) -> bool {
    // Step 1.
    if expression == "*" {
        return matches!(url.scheme(), "http" | "https" | "ws" | "wss")
            || url.scheme() == own.scheme();
    }
    if expression.eq_ignore_ascii_case("'self'") {
        return is_self(url, own);
    }
    if expression.starts_with('\'') {
        return false;
    }
    // Step 2: a scheme-source.
    if let Some(scheme) = expression.strip_suffix(':') {
        return scheme_matches(&scheme.to_ascii_lowercase(), url.scheme());
    }
    // Step 3: a host-source.
    let Some(source) = HostSource::parse(expression) else {
        return false;
    };
    let scheme = source.scheme.as_deref().unwrap_or_else(|| own.scheme());
    scheme_matches(scheme, url.scheme())
        && url.host_str().is_some_and(|host| source.matches_host(host))
        && source.matches_port(url)
        && (redirected || source.matches_path(url.path()))
}

/// Step 4: `'self'`, which includes the same host over https.
fn is_self(url: &Url, own: &Url) -> bool {
    if Origin::of(url) == Origin::of(own) && !Origin::of(url).is_opaque() {
        return true;
    }
    let has_default_ports = url.port().is_none() && own.port().is_none();
    url.host_str().is_some()
        && url.host_str() == own.host_str()
        && (url.port() == own.port() || has_default_ports)
        && (matches!(url.scheme(), "https" | "wss")
            || own.scheme() == "http" && url.scheme() == "ws")
}

/// *scheme-part matches*: the same, or the safer one of a pair.
fn scheme_matches(expression: &str, scheme: &str) -> bool {
    expression == scheme
        || matches!(
            (expression, scheme),
            ("http", "https") | ("ws", "wss" | "http" | "https") | ("wss", "https")
        )
}

/// `[scheme://]host[:port][/path]`
struct HostSource {
    scheme: Option<String>,
    host: String,
    port: Option<String>,
    path: String,
}

impl HostSource {
    fn parse(expression: &str) -> Option<Self> {
        let (scheme, rest) = match expression.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, expression),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.to_owned())),
            None => (authority, None),
        };
        (!host.is_empty()).then(|| Self {
            scheme,
            host: host.to_ascii_lowercase(),
            port,
            path: path.to_owned(),
        })
    }

    /// *host-part matches.*
    fn matches_host(&self, host: &str) -> bool {
        match self.host.strip_prefix('*') {
            Some("") => true,
            Some(domain) => domain.starts_with('.') && host.ends_with(domain),
            None => self.host == host,
        }
    }

    /// *port-part matches.*
    fn matches_port(&self, url: &Url) -> bool {
        match self.port.as_deref() {
            None => url.port().is_none(),
            Some("*") => true,
            Some(port) => {
                let port = port.parse().ok();
                port.is_some() && port == url.port_or_known_default()
                    || port == Some(80) && url.port_or_known_default() == Some(443)
            }
        }
    }

    /// *path-part matches*: exactly, or below it if it ends with a slash.
    fn matches_path(&self, path: &str) -> bool {
        if self.path.is_empty() || self.path == "/" && path.is_empty() {
            return true;
        }
        let decoded = |path: &str| percent_decode_str(path).collect::<Vec<u8>>();
        let (expression, path) = (decoded(&self.path), decoded(path));
        if self.path.ends_with('/') {
            path.starts_with(&expression)
        } else {
            path == expression
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn policies(values: &[&str]) -> ContentSecurityPolicies {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append("content-security-policy", value);
        }
        let own = Url::parse("https://a.test/dir/page").unwrap();
        ContentSecurityPolicies::from_headers(&own, &headers)
    }

    fn allows(value: &str, url: &str) -> bool {
        let url = Url::parse(url).unwrap();
        let policies = policies(&[&format!("img-src {value}")]);
        policies.blocks(Destination::Image, &url, false).is_none()
    }

    #[test]
    fn sources_are_matched_by_scheme_host_port_and_path() {
        for (source, url, expected) in [
            ("'self'", "https://a.test/x", true),
            ("'self'", "http://a.test/x", false),
            ("'self'", "https://b.test/x", false),
            ("'none'", "https://a.test/x", false),
            ("", "https://a.test/x", false),
            ("*", "https://b.test/x", true),
            ("*", "data:,x", false),
            ("data:", "data:,x", true),
            ("http:", "https://b.test/", true),
            ("https:", "http://b.test/", false),
            ("b.test", "https://b.test/", true),
            ("b.test", "https://b.test:8443/", false),
            ("b.test:*", "https://b.test:8443/", true),
            ("B.test:8443", "https://b.test:8443/", true),
            ("*.b.test", "https://c.b.test/", true),
            ("*.b.test", "https://b.test/", false),
            ("https://b.test/dir/", "https://b.test/dir/x", true),
            ("https://b.test/dir", "https://b.test/dir/x", false),
            ("https://b.test/%64ir", "https://b.test/dir", true),
            ("c.test 'self'", "https://a.test/", true),
            ("://", "https://a.test/", false),
        ] {
            assert_eq!(allows(source, url), expected, "{source} {url}");
        }
    }

    #[test]
    fn a_redirect_is_not_matched_by_its_path() {
        let policies = policies(&["connect-src https://b.test/only"]);
        let url = Url::parse("https://b.test/other").unwrap();
        assert!(policies.blocks(Destination::None, &url, false).is_some());
        assert!(policies.blocks(Destination::None, &url, true).is_none());
    }

    #[test]
    fn each_destination_has_its_directive_and_falls_back() {
        let url = Url::parse("https://b.test/").unwrap();
        let policies = policies(&["default-src 'self'; img-src *, script-src b.test"]);
        let blocks = |destination| policies.blocks(destination, &url, false);
        assert_eq!(blocks(Destination::Image), None);
        assert_eq!(blocks(Destination::Script), Some("default-src"));
        assert_eq!(blocks(Destination::Font), Some("default-src"));
        assert_eq!(blocks(Destination::Document), None);
    }

    #[test]
    fn code_from_strings_needs_unsafe_eval_in_every_policy_about_scripts() {
        for (values, blocks) in [
            (&["script-src 'self'"][..], true),
            (&["script-src 'self' 'Unsafe-Eval'"], false),
            (&["default-src 'unsafe-eval'; script-src *"], true),
            (&["default-src *"], true),
            (&["default-src * 'unsafe-eval'"], false),
            (&["script-src 'unsafe-eval'", "default-src 'self'"], true),
            (
                &["img-src 'none'; connect-src 'self'; script-src-elem 'none'"],
                false,
            ),
            (&[], false),
        ] {
            let policies = policies(values);
            assert_eq!(policies.blocks_code_generation(), blocks, "{values:?}");
        }
    }

    #[test]
    fn the_first_of_equal_directives_counts_and_nothing_is_no_policy() {
        let first = policies(&["IMG-SRC 'none'; img-src *;;"]);
        let url = Url::parse("https://a.test/").unwrap();
        assert!(first.blocks(Destination::Image, &url, false).is_some());
        assert_eq!(policies(&[" ; ,", ""]), ContentSecurityPolicies::default());
        let sandboxed = policies(&["sandbox allow-scripts", "sandbox"]);
        assert!(sandboxed.sandbox().eq(["allow-scripts", ""]));
    }
}
