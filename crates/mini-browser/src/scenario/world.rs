//! [`World`]: the font service and the sites on loopback, over TLS, with certificates of their own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Fault;
use super::font::Font;
use super::fonts_origin::{self, FontsOrigin};
use super::sites::{SITES, SiteServer};
use crate::net::server::{LogEntry, Server, ServerError, ServerRequest};
use crate::net::{Authority, AuthorityError, HostMap, NetworkConfig};

/// What a world is made of.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever makes a world decides all of it"
)]
pub struct WorldOptions {
    /// The font that the service serves.
    pub font: Font,
    /// Where the font service listens; `None` for any free port of loopback.
    pub listen: Option<SocketAddr>,
    /// What is wrong with the font service.
    pub fault: Option<Fault>,
}

/// The servers of a run. They stop when it is dropped.
#[derive(Debug)]
pub struct World {
    /// `None` if it is down.
    fonts: Option<Server>,
    fonts_address: SocketAddr,
    sites: Server,
    network: NetworkConfig,
}

/// Why there is no world.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorldError {
    /// An address is not to be had.
    #[error("{who} {error}")]
    Listen {
        /// Which server.
        who: &'static str,
        /// Why.
        error: ServerError,
    },
    /// No certificates.
    #[error("the servers have no certificates: {0}")]
    Authority(#[from] AuthorityError),
}

impl World {
    /// Makes certificates and starts the servers. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`WorldError`], in particular if the address is in use.
    pub async fn start(options: WorldOptions) -> Result<Self, WorldError> {
        let WorldOptions {
            font,
            listen,
            fault,
        } = options;
        let authority = Authority::new()?;
        let fonts_origin = FontsOrigin::new(font.clone(), fault);
        let fonts = Server::start(
            listen.unwrap_or(ANY_PORT),
            Some(authority.leaf(&[fonts_origin::HOST])?),
            move |request: ServerRequest| {
                let fonts_origin = fonts_origin.clone();
                async move { fonts_origin.answer(request).await }
            },
        )
        .await
        .map_err(|error| WorldError::Listen {
            who: "the font service",
            error,
        })?;

        let site_server = SiteServer::new(&font.family());
        let hosts = SITES.map(|site| site.host);
        let sites = Server::start(
            ANY_PORT,
            Some(authority.leaf(&hosts)?),
            move |request: ServerRequest| std::future::ready(site_server.answer(&request)),
        )
        .await
        .map_err(|error| WorldError::Listen {
            who: "the sites' server",
            error,
        })?;

        let fonts_address = fonts.local_addr();
        let network = NetworkConfig {
            extra_ca: vec![authority.certificate()],
            host_map: hosts.into_iter().fold(
                HostMap::new().host(fonts_origin::HOST, fonts_address),
                |map, host| map.host(host, sites.local_addr()),
            ),
            ..NetworkConfig::default()
        };
        let fonts = if fault == Some(Fault::FontsDown) {
            fonts.kill().await;
            None
        } else {
            Some(fonts)
        };
        Ok(Self {
            fonts,
            fonts_address,
            sites,
            network,
        })
    }

    /// How a browser reaches this world, and trusts it.
    #[must_use]
    pub const fn network(&self) -> &NetworkConfig {
        &self.network
    }

    /// Where the font service listens (or would).
    #[must_use]
    pub const fn fonts_address(&self) -> SocketAddr {
        self.fonts_address
    }

    /// Where the sites listen.
    #[must_use]
    pub const fn sites_address(&self) -> SocketAddr {
        self.sites.local_addr()
    }

    /// The font service's own log so far. A service that is down has none.
    #[must_use]
    pub fn fonts_log(&self) -> Vec<LogEntry> {
        self.fonts.as_ref().map(Server::log).unwrap_or_default()
    }

    /// The log of the sites' server so far.
    #[must_use]
    pub fn sites_log(&self) -> Vec<LogEntry> {
        self.sites.log()
    }
}

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[cfg(test)]
mod tests {
    use http::header::{CONTENT_ENCODING, ORIGIN};
    use http::{HeaderMap, HeaderValue, Method};
    use service_worker::types::fetch::CacheMode;
    use service_worker::{Body, Network, NetworkError, NetworkErrorKind, NetworkRequest};

    use super::*;
    use crate::net::HyperNetwork;
    use crate::scenario::font::check_font;
    use crate::scenario::font::{CharSet, css};

    fn options(fault: Option<Fault>) -> WorldOptions {
        WorldOptions {
            font: Font::bundled().unwrap(),
            listen: None,
            fault,
        }
    }

    async fn get(world: &World, url: &str) -> Result<(HeaderMap, bytes::Bytes), NetworkError> {
        let runtime = tokio::runtime::Handle::current();
        let network = HyperNetwork::new(world.network().clone(), runtime).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static("https://example.com"));
        let response = network
            .send(NetworkRequest {
                method: Method::GET,
                url: url.parse().unwrap(),
                headers,
                body: Body::empty(),
                cache: CacheMode::Default,
                credentials: false,
                site_for_cookies: None,
                top_level_navigation: false,
                partition: None,
            })
            .await?;
        Ok((
            response.headers,
            response.body.collect(64 << 20).await.unwrap(),
        ))
    }

    #[tokio::test]
    async fn the_sheet_is_packed_on_the_wire_and_the_font_is_as_it_is() {
        let world = World::start(options(None)).await.unwrap();
        let page = CharSet::from_text("お茶の淹れ方を覚えよう");
        let sheet = format!(
            "https://fonts.example.com/font/css?family=M+PLUS+1&u={}",
            page.to_query()
        );
        let (_, css) = get(&world, &sheet).await.unwrap();
        let faces = css::parse(std::str::from_utf8(&css).unwrap()).unwrap();
        let (headers, font) = get(&world, &faces[0].url).await.unwrap();
        assert_eq!(headers.get(CONTENT_ENCODING), None);
        check_font(&font, &page).unwrap();
        let log = world.fonts_log();
        assert_eq!(log.len(), 2);
        assert!(log[0].wire_bytes < log[0].body_bytes, "{:?}", log[0]);
        assert_eq!(log[0].body_bytes, css.len() as u64);
        assert_eq!(
            (log[1].body_bytes, log[1].wire_bytes),
            (font.len() as u64, font.len() as u64)
        );
        assert_eq!(log[1].headers["origin"], "https://example.com");
    }

    #[tokio::test]
    async fn each_site_is_there_under_its_own_name() {
        let world = World::start(options(None)).await.unwrap();
        for site in SITES {
            let (_, page) = get(&world, site.url().as_str()).await.unwrap();
            assert_eq!(page, site.page);
        }
        assert_eq!(world.sites_log().len(), 3);
        assert_eq!(world.fonts_log(), []);
    }

    #[tokio::test]
    async fn a_font_service_that_is_down_refuses_connections() {
        let world = World::start(options(Some(Fault::FontsDown))).await.unwrap();
        let error = get(&world, "https://fonts.example.com/font/whole")
            .await
            .unwrap_err();
        assert!(
            matches!(error.kind, NetworkErrorKind::Connect(_)),
            "{error}"
        );
        assert!(get(&world, "https://example.com/").await.is_ok());
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let mut options = options(None);
        options.listen = Some(address);
        let error = World::start(options).await.unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("the font service cannot listen on {address}")),
            "{error}"
        );
    }
}
