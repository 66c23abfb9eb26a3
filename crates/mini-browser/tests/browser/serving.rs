//! Sites on this machine, over TLS, and the network on which a browser finds them.

use std::future::Future;

use mini_browser::net::server::{Server, ServerRequest, ServerResponse};
use mini_browser::net::{Authority, HostMap, NetworkConfig};

/// Serves all of `hosts`.
pub(crate) async fn serving<H, F>(hosts: &[&str], handler: H) -> (Server, NetworkConfig)
where
    H: Fn(ServerRequest) -> F + Send + Sync + 'static,
    F: Future<Output = ServerResponse> + Send + 'static,
{
    let authority = Authority::new().unwrap();
    let tls = authority.leaf(hosts).unwrap();
    let address = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(address, Some(tls), handler).await.unwrap();
    let mut network = NetworkConfig::default();
    network.host_map = hosts.iter().fold(HostMap::new(), |map, host| {
        map.host(host, server.local_addr())
    });
    network.extra_ca = vec![authority.certificate()];
    (server, network)
}
