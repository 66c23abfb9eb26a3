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
    entries: BTreeMap<(String, Option<u16>), SocketAddr>,
    system_resolver: bool,
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
        self.entries.insert((normalized(host), None), address);
        self
    }

    /// Sends one port of `host` to `address`; goes before [`HostMap::host`].
    #[must_use]
    pub fn host_and_port(mut self, host: &str, port: u16, address: SocketAddr) -> Self {
        self.entries.insert((normalized(host), Some(port)), address);
        self
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
        for entry in [(name.clone(), Some(port)), (name.clone(), None)] {
            if let Some(address) = self.entries.get(&entry) {
                return Ok(vec![*address]);
            }
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
