//! Scripts as they are stored with a worker version.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use url::Url;

/// One script of a worker: its bytes, and the headers of the response that brought it (its policy
/// container is made from them).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptResource {
    /// The decoded body.
    pub body: bytes::Bytes,
    /// The response's headers.
    #[serde(with = "http_serde::header_map")]
    pub headers: HeaderMap,
}

/// A worker's *script resource map*: its main script and all that it imported, by URL.
pub type ScriptMap = BTreeMap<Url, Arc<ScriptResource>>;
