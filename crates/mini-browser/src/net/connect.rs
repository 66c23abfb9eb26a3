//! *Create a connection*: addresses, TCP, TLS, and an HTTP/1.1 connection on top. (*Fetch*, 2.6.)

use std::sync::Arc;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use service_worker::NetworkErrorKind;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::client::{Limits, Sender};
use super::closing::MayEndWithoutNotice;
use super::{HostMap, describe};

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
                self.http(MayEndWithoutNotice(stream)).await
            } else {
                self.http(stream).await
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

    async fn http(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Sender, NetworkErrorKind> {
        let (sender, connection) = http1::Builder::new()
            .max_header_size(self.limits.max_head_bytes)
            .max_headers(self.limits.max_head_fields)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| NetworkErrorKind::Http(describe(&error)))?;
        // It ends when its sender and the body that it reads are gone.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = describe(&error), "a connection ended");
            }
        });
        Ok(sender)
    }
}
