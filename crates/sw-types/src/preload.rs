//! Navigation preload: what a registration keeps of it.

use http::HeaderValue;
use serde::{Deserialize, Serialize};

/// A registration's *navigation preload enabled flag* and *navigation preload header value*.
/// (*Service Workers*, "NavigationPreloadManager".)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NavigationPreload {
    /// Whether navigations are fetched beside the start of the worker.
    pub enabled: bool,
    /// What such a request says in `Service-Worker-Navigation-Preload`; at first `true`.
    #[serde(with = "header_value")]
    pub header_value: HeaderValue,
}

impl Default for NavigationPreload {
    fn default() -> Self {
        Self {
            enabled: false,
            header_value: HeaderValue::from_static("true"),
        }
    }
}

/// A header's value as its bytes.
mod header_value {
    use http::HeaderValue;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        value: &HeaderValue,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(value.as_bytes())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<HeaderValue, D::Error> {
        let bytes: Vec<u8> = Vec::deserialize(deserializer)?;
        HeaderValue::try_from(bytes).map_err(D::Error::custom)
    }
}
