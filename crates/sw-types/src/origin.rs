//! Origins and sites. (*HTML*, "origin"; *URL*, "origin".)

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// An origin: a tuple of scheme, host and port, or opaque.
///
/// A tuple origin holds its ASCII serialization (`https://example.com`, port only if it is not the
/// scheme's default), so that comparing and cloning are cheap. Two opaque origins are equal only
/// if they came from the same [`Origin::opaque`] id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Origin(Repr);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Repr {
    Tuple(Arc<str>),
    Opaque(u64),
}

impl Origin {
    /// The origin of a URL. URLs without a tuple origin (`data:`, `file:`, …) give an opaque origin
    /// with id 0, which the caller should replace if it must tell several apart.
    #[must_use]
    pub fn of(url: &Url) -> Self {
        match url.origin() {
            tuple @ url::Origin::Tuple(..) => Self(Repr::Tuple(tuple.ascii_serialization().into())),
            url::Origin::Opaque(_) => Self::opaque(0),
        }
    }

    /// An opaque origin; `id` tells it from others and is the host's to choose.
    #[must_use]
    pub const fn opaque(id: u64) -> Self {
        Self(Repr::Opaque(id))
    }

    /// Whether this origin is opaque.
    #[must_use]
    pub const fn is_opaque(&self) -> bool {
        matches!(self.0, Repr::Opaque(_))
    }

    /// The serialization: `https://example.com:8443`, or `null` for an opaque origin.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Tuple(serialization) => serialization,
            Repr::Opaque(_) => "null",
        }
    }

    /// The scheme; `None` if opaque.
    #[must_use]
    pub fn scheme(&self) -> Option<&str> {
        self.split().map(|(scheme, _)| scheme)
    }

    /// The host as serialized, IPv6 addresses in brackets; `None` if opaque.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        let (_, authority) = self.split()?;
        let end = match authority.rfind(']') {
            Some(bracket) => bracket + 1,
            None => authority.rfind(':').unwrap_or(authority.len()),
        };
        Some(&authority[..end])
    }

    fn split(&self) -> Option<(&str, &str)> {
        match &self.0 {
            Repr::Tuple(serialization) => serialization.split_once("://"),
            Repr::Opaque(_) => None,
        }
    }

    /// *Is origin potentially trustworthy?* (*Secure Contexts*, §3.1), without any allow-list:
    /// `https` and `wss`, loopback addresses, `localhost` and names below it.
    #[must_use]
    pub fn is_potentially_trustworthy(&self) -> bool {
        let (Some(scheme), Some(host)) = (self.scheme(), self.host()) else {
            return false;
        };
        matches!(scheme, "https" | "wss") || is_loopback(host)
    }
}

fn is_loopback(host: &str) -> bool {
    match Host::parse(host) {
        Ok(Host::Ipv4(address)) => address.octets()[0] == Ipv4Addr::LOCALHOST.octets()[0],
        Ok(Host::Ipv6(address)) => address == Ipv6Addr::LOCALHOST,
        Ok(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(&name);
            name == "localhost" || name.ends_with(".localhost")
        }
        Err(_) => false,
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How an origin is written to disk or to another process; read back, it is parsed again.
#[derive(Serialize, Deserialize)]
enum Stored {
    Tuple(String),
    Opaque(u64),
}

impl From<Origin> for Stored {
    fn from(origin: Origin) -> Self {
        match origin.0 {
            Repr::Tuple(serialization) => Self::Tuple(serialization.as_ref().to_owned()),
            Repr::Opaque(id) => Self::Opaque(id),
        }
    }
}

impl TryFrom<Stored> for Origin {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, String> {
        match stored {
            Stored::Opaque(id) => Ok(Self::opaque(id)),
            Stored::Tuple(serialization) if is_plain(&serialization) => {
                Ok(Self(Repr::Tuple(serialization.into())))
            }
            Stored::Tuple(serialization) => {
                let parsed = Url::parse(&serialization).ok().map(|url| Self::of(&url));
                parsed
                    .filter(|origin| origin.as_str() == serialization && !origin.is_opaque())
                    .ok_or_else(|| format!("{serialization:?} is not a serialized origin"))
            }
        }
    }
}

/// Whether a text is surely the serialization of an origin, as most are: names of lowercase letters,
/// which parsing leaves as they are. A profile has many of them, and parsing takes its time.
fn is_plain(serialization: &str) -> bool {
    let name = |label: &str| {
        let byte = |it: &u8| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'-');
        !label.is_empty() && label.as_bytes().iter().all(byte) && !label.starts_with("xn--")
    };
    let host = serialization
        .strip_prefix("https://")
        .or_else(|| serialization.strip_prefix("http://"));
    host.is_some_and(|host| {
        // What ends in a number is an address.
        let last = host.rsplit('.').next();
        host.split('.').all(name)
            && last.is_some_and(|last| last.starts_with(|it: char| it.is_ascii_lowercase()))
    })
}

/// A site: scheme and registrable domain, or an opaque origin. (*HTML*, "obtain a site".)
///
/// Registrable domains come from the Public Suffix List that this build was made with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Site(Origin);

impl Site {
    /// *Obtain a site* from an origin.
    #[must_use]
    pub fn of(origin: &Origin) -> Self {
        let (Some(scheme), Some(host)) = (origin.scheme(), origin.host()) else {
            return Self(origin.clone());
        };
        let host = registrable_domain(host).unwrap_or(host);
        Self(Origin(Repr::Tuple(format!("{scheme}://{host}").into())))
    }

    /// Whether an origin is *same site* with this one (schemefully).
    ///
    /// Most origins are told apart by their last letters, without asking the Public Suffix List.
    #[must_use]
    pub fn contains(&self, origin: &Origin) -> bool {
        match (self.0.host(), origin.host()) {
            (Some(own), Some(host)) => host.ends_with(own) && *self == Self::of(origin),
            _ => self.0 == *origin,
        }
    }

    /// The serialization: `https://example.com`, or `null`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

fn registrable_domain(host: &str) -> Option<&str> {
    match Host::parse(host) {
        Ok(Host::Domain(_)) => psl::domain_str(host),
        _ => None,
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Origin {
        Origin::of(&Url::parse(url).unwrap())
    }

    #[test]
    fn what_is_plainly_an_origin_is_one() {
        let letters = [
            "a", "z", "x", "n", "-", "--", "0", "9", ".", "xn--", "A", ":", "é",
        ];
        let mut state = 0x5eed_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let mut plain = 0;
        for _ in 0..20_000 {
            let host: String = (0..=next(6))
                .map(|_| letters[next(letters.len())])
                .collect();
            let text = format!("https://{host}");
            if is_plain(&text) {
                assert_eq!(origin(&text).as_str(), text);
                plain += 1;
            }
        }
        assert!(plain > 1_000, "{plain}");
        for other in [
            "https://1.2.3.4",
            "https://a.0x7f",
            "https://a:8443",
            "ws://a",
            "https://",
        ] {
            assert!(!is_plain(other), "{other}");
        }
    }

    #[test]
    fn an_origin_serializes_without_default_port() {
        assert_eq!(
            origin("https://example.com:443/a").as_str(),
            "https://example.com"
        );
        assert_eq!(origin("https://[::1]:8443/").host(), Some("[::1]"));
        assert_eq!(
            origin("https://example.com:8443/").host(),
            Some("example.com")
        );
        assert_eq!(origin("data:,x").as_str(), "null");
    }

    #[test]
    fn trustworthy_are_tls_and_loopback_only() {
        for url in [
            "https://a.test/",
            "http://127.8.8.8/",
            "http://[::1]:1/",
            "http://x.localhost/",
        ] {
            assert!(origin(url).is_potentially_trustworthy(), "{url}");
        }
        for url in [
            "http://a.test/",
            "http://128.0.0.1/",
            "http://notlocalhost/",
            "data:,x",
        ] {
            assert!(!origin(url).is_potentially_trustworthy(), "{url}");
        }
    }

    #[test]
    fn a_site_is_the_registrable_domain_with_its_scheme() {
        let site = Site::of(&origin("https://fonts.example.com:8443/"));
        assert_eq!(site.as_str(), "https://example.com");
        assert!(site.contains(&origin("https://www.example.com/")));
        assert!(!site.contains(&origin("http://www.example.com/")));
        assert!(!site.contains(&origin("https://badexample.com/")));
    }

    #[test]
    fn a_public_suffix_and_an_address_are_sites_of_their_own() {
        assert!(!Site::of(&origin("https://github.io/")).contains(&origin("https://a.github.io/")));
        assert_eq!(
            Site::of(&origin("https://127.0.0.1:8/")).as_str(),
            "https://127.0.0.1"
        );
        assert!(!Site::of(&Origin::opaque(1)).contains(&Origin::opaque(2)));
    }
}
