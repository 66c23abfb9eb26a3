//! Which address a host name means.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use service_worker::NetworkErrorKind;
use url::Host;

/// Which address a host name means. Names that are not in it do not resolve, unless
/// [`HostMap::allow_system_resolver`] says so.
///
/// Only the address comes from here: `Host` and the server name in TLS stay the URL's.
///
/// Loopback needs no entry (*Fetch*, "resolve an origin"): addresses like `127.0.0.1`, `localhost`
/// and names below it. Every other address literal counts as a name that is not in the map.
#[derive(Clone, Debug, Default)]
pub struct HostMap {
    entries: BTreeMap<(String, Option<u16>), Meaning>,
    /// For all names below these.
    below: BTreeMap<String, Meaning>,
    system_resolver: bool,
}

/// What a name means.
#[derive(Clone, Copy, Debug)]
enum Meaning {
    Address(SocketAddr),
    /// At the URL's port.
    SamePort(IpAddr),
    /// There is no such host.
    Nothing,
}

/// Why a rule of [`HostMap::rule`] is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule:?} is no rule ({reason}): write NAME=ADDRESS, NAME=ADDRESS:PORT or NAME=none")]
pub struct HostRuleError {
    rule: String,
    reason: &'static str,
}

impl HostMap {
    /// A map without entries: nothing but loopback is reached.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends every port of `host` to `address`.
    #[must_use]
    pub fn host(mut self, host: &str, address: SocketAddr) -> Self {
        let key = (normalized(host), None);
        self.entries.insert(key, Meaning::Address(address));
        self
    }

    /// Sends one port of `host` to `address`; goes before [`HostMap::host`].
    #[must_use]
    pub fn host_and_port(mut self, host: &str, port: u16, address: SocketAddr) -> Self {
        let key = (normalized(host), Some(port));
        self.entries.insert(key, Meaning::Address(address));
        self
    }

    /// Adds a rule in words: `NAME=ADDRESS` keeps the URL's port, `NAME=ADDRESS:PORT` does not,
    /// `NAME=none` says that there is no such host. `NAME` is a host, `HOST:PORT`, or `*.HOST` for
    /// every name below that host, which a rule for a name itself goes before.
    ///
    /// # Errors
    /// What of it cannot be read.
    pub fn rule(mut self, rule: &str) -> Result<Self, HostRuleError> {
        let wrong = |reason| HostRuleError {
            rule: rule.to_owned(),
            reason,
        };
        let (name, meaning) = rule.split_once('=').ok_or(wrong("it has no `=`"))?;
        let meaning = match meaning {
            "none" => Meaning::Nothing,
            address => address
                .parse()
                .map(Meaning::Address)
                .or_else(|_| address.parse().map(Meaning::SamePort))
                .map_err(|_| wrong("there is no address after the `=`"))?,
        };
        let (host, is_below) = match name.strip_prefix("*.") {
            Some(host) => (host, true),
            None => (name, false),
        };
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') && !is_below => {
                let port = port.parse().map_err(|_| wrong("its port is no number"))?;
                (host, Some(port))
            }
            _ => (host, None),
        };
        let host = match Host::parse(host) {
            Ok(Host::Domain(host)) => host,
            Ok(_) if is_below => return Err(wrong("no name is below an address")),
            Ok(address) => address.to_string(),
            Err(_) => return Err(wrong("its name is no host")),
        };
        if is_below {
            self.below.insert(normalized(&host), meaning);
        } else {
            self.entries.insert((normalized(&host), port), meaning);
        }
        Ok(self)
    }

    /// What the map says of a name: first of that port, then of the name, then of those above it.
    fn meaning(&self, name: &str, port: u16) -> Option<Meaning> {
        let of = |port| self.entries.get(&(name.to_owned(), port));
        let above = || {
            let mut above = name;
            while let Some((_, rest)) = above.split_once('.') {
                above = rest;
                if let Some(meaning) = self.below.get(above) {
                    return Some(meaning);
                }
            }
            None
        };
        of(Some(port)).or_else(|| of(None)).or_else(above).copied()
    }

    /// Whether names that are not in the map are asked of the system, and address literals outside
    /// of loopback are connected to. Off at first.
    #[must_use]
    pub const fn allow_system_resolver(mut self, allow: bool) -> Self {
        self.system_resolver = allow;
        self
    }

    /// *Resolve an origin*: the addresses to try, in order; never an empty list.
    pub(super) async fn resolve(
        &self,
        host: &Host<&str>,
        port: u16,
    ) -> Result<Vec<SocketAddr>, NetworkErrorKind> {
        let name = normalized(&host.to_string());
        match self.meaning(&name, port) {
            Some(Meaning::Address(address)) => return Ok(vec![address]),
            Some(Meaning::SamePort(address)) => return Ok(vec![SocketAddr::new(address, port)]),
            Some(Meaning::Nothing) => {
                let text = format!("there is no host {name}, says the host map");
                return Err(NetworkErrorKind::Resolve(text));
            }
            None => {}
        }
        let literal = match host {
            Host::Ipv4(address) => Some(IpAddr::V4(*address)),
            Host::Ipv6(address) => Some(IpAddr::V6(*address)),
            Host::Domain(_) => None,
        };
        match literal {
            Some(address) if address.is_loopback() || self.system_resolver => {
                return Ok(vec![SocketAddr::new(address, port)]);
            }
            None if name == "localhost" || name.ends_with(".localhost") => {
                return Ok(vec![
                    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
                    SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port),
                ]);
            }
            _ => {}
        }
        if !self.system_resolver {
            return Err(NetworkErrorKind::Resolve(format!(
                "{name} is not in the host map, and the system's resolver is not allowed"
            )));
        }
        let found = tokio::net::lookup_host((name.as_str(), port)).await;
        let addresses: Vec<_> = found
            .map_err(|error| NetworkErrorKind::Resolve(error.to_string()))?
            .collect();
        if addresses.is_empty() {
            return Err(NetworkErrorKind::Resolve(format!("{name} has no address")));
        }
        Ok(addresses)
    }
}

/// Lower case, without the root's dot, as `url` writes hosts.
fn normalized(host: &str) -> String {
    let host =
        Host::parse(host).map_or_else(|_| host.to_ascii_lowercase(), |host| host.to_string());
    match host.strip_suffix('.') {
        Some(rest) => rest.to_owned(),
        None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn resolve(map: &HostMap, host: &str, port: u16) -> Result<Vec<SocketAddr>, NetworkErrorKind> {
        let host = Host::parse(host).unwrap();
        let host = match &host {
            Host::Domain(name) => Host::Domain(name.as_str()),
            Host::Ipv4(address) => Host::Ipv4(*address),
            Host::Ipv6(address) => Host::Ipv6(*address),
        };
        map.resolve(&host, port).now_or_never().unwrap()
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_port_of_a_host_goes_before_the_host() {
        let map = HostMap::new()
            .host("Fonts.example", address("127.0.0.1:1"))
            .host_and_port("fonts.example", 8443, address("127.0.0.1:2"));
        assert_eq!(
            resolve(&map, "fonts.example", 443),
            Ok(vec![address("127.0.0.1:1")])
        );
        assert_eq!(
            resolve(&map, "FONTS.example.", 8443),
            Ok(vec![address("127.0.0.1:2")])
        );
    }

    #[test]
    fn a_name_outside_of_the_map_does_not_resolve_and_is_named() {
        for host in [
            "other.example",
            "192.0.2.1",
            "[2001:db8::1]",
            "notlocalhost",
        ] {
            let Err(NetworkErrorKind::Resolve(text)) = resolve(&HostMap::new(), host, 443) else {
                panic!("{host} resolved");
            };
            assert!(text.contains(host), "{text}");
        }
    }

    #[test]
    fn rules_in_words_reach_names_below_and_take_single_names_out() {
        let map = [
            "*.site.test=127.0.0.1",
            "site.test=127.0.0.2",
            "site.test:81=127.0.0.3:82",
            "*.www.site.test=127.0.0.4:1",
            "gone.site.test=none",
        ]
        .iter()
        .try_fold(HostMap::new(), |map, rule| map.rule(rule))
        .unwrap();
        for (host, port, expected) in [
            ("site.test", 80, "127.0.0.2:80"),
            ("site.test", 81, "127.0.0.3:82"),
            ("a.b.site.test", 443, "127.0.0.1:443"),
            ("www.SITE.test.", 443, "127.0.0.1:443"),
            ("élève.site.test", 443, "127.0.0.1:443"),
            ("a.www.site.test", 443, "127.0.0.4:1"),
        ] {
            assert_eq!(resolve(&map, host, port), Ok(vec![address(expected)]));
        }
        for host in ["gone.site.test", "notsite.test", "test"] {
            assert!(resolve(&map, host, 80).is_err(), "{host}");
        }
    }

    #[test]
    fn a_rule_that_cannot_be_read_is_quoted() {
        for rule in [
            "",
            "site.test",
            "site.test=",
            "site.test=somewhere",
            "=127.0.0.1",
            "*.=127.0.0.1",
            "site.test:http=127.0.0.1",
            "*.127.0.0.1=127.0.0.1",
            "a b=127.0.0.1",
        ] {
            let error = HostMap::new().rule(rule).unwrap_err().to_string();
            assert!(error.contains(&format!("{rule:?}")), "{error}");
        }
    }

    #[test]
    fn loopback_needs_no_entry_but_may_have_one() {
        let map = HostMap::new().host("mapped.localhost", address("127.0.0.1:7"));
        assert_eq!(
            resolve(&map, "127.1.2.3", 80),
            Ok(vec![address("127.1.2.3:80")])
        );
        assert_eq!(resolve(&map, "[::1]", 80), Ok(vec![address("[::1]:80")]));
        assert_eq!(resolve(&map, "a.localhost", 80).unwrap().len(), 2);
        assert_eq!(
            resolve(&map, "mapped.localhost", 80),
            Ok(vec![address("127.0.0.1:7")])
        );
    }
}
