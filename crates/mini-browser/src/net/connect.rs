//! *Create a connection*: addresses, TCP, TLS, and on top of it HTTP/2, if TLS has agreed on that, or
//! HTTP/1.1. (*Fetch*, 2.6.)

use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use service_worker::NetworkErrorKind;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::client::Limits;
use super::closing::MayEndWithoutNotice;
use super::sender::Sender;
use super::{HostMap, describe};

/// The protocols that are offered to a server over TLS, the preferred one first. (RFC 7301.)
pub(super) const PROTOCOLS: [&[u8]; 2] = [HTTP_2, b"http/1.1"];

const HTTP_2: &[u8] = b"h2";

/// Opens connections.
pub(super) struct Connector {
    pub(super) host_map: HostMap,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) limits: Limits,
}

impl Connector {
    /// A connection to the host of an `http` or `https` URL, ready for its first request.
    pub(super) async fn connect(&self, url: &Url) -> Result<Sender, NetworkErrorKind> {
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(NetworkErrorKind::Scheme);
        };
        let connecting = async {
            let stream = self.tcp(&host, port).await?;
            if url.scheme() == "https" {
                let stream = self.tls(&host, stream).await?;
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
                let io = TokioIo::new(MayEndWithoutNotice(stream));
                if is_http2 {
                    Sender::http2(io, &self.limits).await
                } else {
                    Sender::http1(io, &self.limits).await
                }
            } else {
                Sender::http1(TokioIo::new(stream), &self.limits).await
            }
        };
        tokio::time::timeout(self.limits.connect_timeout, connecting)
            .await
            .unwrap_or(Err(NetworkErrorKind::Timeout))
    }

    /// Tries the addresses one after the other.
    async fn tcp(&self, host: &Host<&str>, port: u16) -> Result<TcpStream, NetworkErrorKind> {
        let mut refusals = Vec::new();
        for address in self.host_map.resolve(host, port).await? {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%address, %error, "Nagle's algorithm stays on");
                    }
                    return Ok(stream);
                }
                Err(error) => refusals.push(format!("{address}: {error}")),
            }
        }
        Err(NetworkErrorKind::Connect(refusals.join("; ")))
    }

    async fn tls(
        &self,
        host: &Host<&str>,
        stream: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, NetworkErrorKind> {
        let name = match host {
            Host::Domain(name) => ServerName::try_from(name.trim_end_matches('.').to_owned())
                .map_err(|error| NetworkErrorKind::Tls(format!("{name}: {error}")))?,
            Host::Ipv4(address) => ServerName::from(std::net::IpAddr::V4(*address)),
            Host::Ipv6(address) => ServerName::from(std::net::IpAddr::V6(*address)),
        };
        TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, stream)
            .await
            .map_err(|error| NetworkErrorKind::Tls(describe(&error)))
    }
}
