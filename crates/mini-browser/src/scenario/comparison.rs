//! What the alternatives cost: fetched over the wire from the same font service, with the same
//! tables and packing, and read from its log.

use http::{HeaderMap, HeaderValue, Method};
use serde::{Deserialize, Serialize};
use service_worker::types::fetch::CacheMode;
use service_worker::{Body, BodyError, Network, NetworkError, NetworkRequest};
use tokio::runtime::Handle;
use url::Url;

use super::font::CharSet;
use super::load::Cost;
use super::{Answerer, Install, Load, World, fonts_origin};
use crate::net::{HyperNetwork, NetworkSetupError};

/// The largest font that is fetched, in bytes.
const LARGEST: usize = 128 << 20;

/// What the sites cost together, in bytes of bodies that the font service sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Totals {
    /// How many sites.
    pub sites: usize,
    /// The whole font for each site.
    pub whole_font_per_site: u64,
    /// A style sheet and a subset of its own for each site.
    pub subset_per_site: u64,
    /// This: each site's first load, and the installations of the fonts worker.
    pub this: u64,
    /// Of that, the installations.
    pub of_which_installations: u64,
    /// This, for those sites that the fonts worker answered on their first load.
    pub answered_by_worker: u64,
    /// How many sites those are.
    pub sites_answered_by_worker: usize,
    /// A subset of its own for each of the same sites.
    pub subset_for_the_same: u64,
    /// All loads after the restart.
    pub after_restart: u64,
}

/// Why there is nothing to compare with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComparisonError {
    /// The network cannot be set up.
    #[error(transparent)]
    Setup(#[from] NetworkSetupError),
    /// The font service gives no answer.
    #[error("{path}: {error}; check that the font service runs, then run again")]
    Unanswered {
        /// What was asked, without the query.
        path: String,
        /// Why there is no answer.
        error: String,
    },
    /// The font service refuses.
    #[error("{path}: status {status}; this is a defect of the font service")]
    Status {
        /// What was asked, without the query.
        path: String,
        /// The status.
        status: u16,
    },
}

/// Asks the font service for what each site would need without a worker, and adds everything up.
pub(super) async fn compare(
    world: &World,
    family: &str,
    loads: &[Load],
    installs: &[Install],
) -> Result<Totals, ComparisonError> {
    let network = HyperNetwork::new(world.network().clone(), Handle::current())?;
    let first_loads = || loads.iter().filter(|load| !load.after_restart);
    let mut totals = Totals {
        sites: first_loads().count(),
        of_which_installations: installs.iter().map(|install| install.wire_bytes).sum(),
        after_restart: loads
            .iter()
            .filter(|load| load.after_restart)
            .map(|load| load.wire_bytes)
            .sum(),
        ..Totals::default()
    };
    totals.this = totals.of_which_installations;
    for load in first_loads() {
        let asked = Asked {
            network: &network,
            world,
            origin: &load.origin,
        };
        let wanted = CharSet::from_text(&load.wanted);
        totals.whole_font_per_site += asked.get("/font/whole").await?;
        let subset = asked.subset(family, &wanted).await?;
        totals.subset_per_site += subset;
        totals.this += load.wire_bytes;
        if load.css.answered_by == Answerer::FallThroughWorker {
            totals.sites_answered_by_worker += 1;
            totals.answered_by_worker += load.wire_bytes;
            totals.subset_for_the_same += subset;
        }
    }
    Ok(totals)
}

/// Asks for one site, as its page would without workers.
struct Asked<'a> {
    network: &'a HyperNetwork,
    world: &'a World,
    origin: &'a str,
}

impl Asked<'_> {
    /// What a site's own style sheet and subset cost.
    async fn subset(&self, family: &str, wanted: &CharSet) -> Result<u64, ComparisonError> {
        let family: String = url::form_urlencoded::byte_serialize(family.as_bytes()).collect();
        let wanted = wanted.to_query();
        let sheet = self
            .get(&format!("/font/css?family={family}&u={wanted}"))
            .await?;
        let file = self.get(&format!("/font/file?u={wanted}")).await?;
        Ok(sheet + file)
    }

    /// What one answer cost, by the log of the font service.
    async fn get(&self, target: &str) -> Result<u64, ComparisonError> {
        let path = || {
            let path = target.split('?').next().unwrap_or_default();
            format!("{}{path}", fonts_origin::ORIGIN)
        };
        let log_start = self.world.fonts_log().len();
        let response = self.send(target).await.map_err(|error| {
            let error = error.kind.to_string();
            ComparisonError::Unanswered {
                path: path(),
                error,
            }
        })?;
        if !response.status.is_success() {
            return Err(ComparisonError::Status {
                path: path(),
                status: response.status.as_u16(),
            });
        }
        let body: Result<_, BodyError> = response.body.collect(LARGEST).await;
        body.map_err(|error| ComparisonError::Unanswered {
            path: path(),
            error: error.to_string(),
        })?;
        let log = self.world.fonts_log();
        Ok(Cost::of(&log, (log_start..log.len()).collect()).wire_bytes)
    }

    async fn send(&self, target: &str) -> Result<service_worker::NetworkResponse, NetworkError> {
        let mut headers = HeaderMap::new();
        if let Ok(origin) = HeaderValue::try_from(self.origin) {
            headers.insert(http::header::ORIGIN, origin);
        }
        let url = format!("{}{target}", fonts_origin::ORIGIN);
        let url = Url::parse(&url).expect("an origin and a percent-encoded target are a URL");
        let request = NetworkRequest {
            method: Method::GET,
            url,
            headers,
            body: Body::empty(),
            cache: CacheMode::NoStore,
            credentials: false,
            site_for_cookies: None,
            top_level_navigation: false,
            partition: None,
        };
        self.network.send(request).await
    }
}
