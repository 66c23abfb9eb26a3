//! What a server was asked and what it sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

/// One request and what was sent for it. The counts grow while the answer is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogEntry {
    /// The version of HTTP: `HTTP/1.1`, `HTTP/2.0`.
    pub version: String,
    /// The method.
    pub method: String,
    /// The host that was asked, with its port if it was named.
    pub host: String,
    /// Path and query.
    pub path_and_query: String,
    /// `Service-Worker`, `Origin`, `Accept-Encoding`, `Access-Control-Request-*` and `Sec-Fetch-*`,
    /// as far as they were sent; names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The status; `None` until there is an answer.
    pub status: Option<u16>,
    /// The bytes of the answer's body that were sent, before content coding.
    pub body_bytes: u64,
    /// The bytes of the answer's body that were sent, after content coding; without heads, chunk
    /// framing and TLS.
    pub wire_bytes: u64,
    /// Whether all of the body was given to the connection.
    pub complete: bool,
}

/// The log of one server.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Arc<Mutex<Vec<LogEntry>>>);

impl Log {
    pub(super) fn entries(&self) -> Vec<LogEntry> {
        self.lock().clone()
    }

    pub(super) fn begin(
        &self,
        version: http::Version,
        method: &http::Method,
        (host, path_and_query): (&str, &str),
        headers: &HeaderMap,
    ) -> LogSlot {
        let mut entries = self.lock();
        entries.push(LogEntry {
            version: format!("{version:?}"),
            method: method.to_string(),
            host: host.to_owned(),
            path_and_query: path_and_query.to_owned(),
            headers: selected(headers),
            ..LogEntry::default()
        });
        LogSlot {
            log: self.clone(),
            index: entries.len() - 1,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<LogEntry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn selected(headers: &HeaderMap) -> BTreeMap<String, String> {
    let is_selected = |name: &str| {
        matches!(name, "service-worker" | "origin" | "accept-encoding")
            || name.starts_with("sec-fetch-")
            || name.starts_with("access-control-request-")
    };
    let mut selected = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        if is_selected(name.as_str()) {
            let value = String::from_utf8_lossy(value.as_bytes());
            selected
                .entry(name.to_string())
                .and_modify(|earlier| {
                    earlier.push_str(", ");
                    earlier.push_str(&value);
                })
                .or_insert_with(|| value.into_owned());
        }
    }
    selected
}

/// The entry of one request.
#[derive(Debug)]
pub(super) struct LogSlot {
    log: Log,
    index: usize,
}

impl LogSlot {
    pub(super) fn answered(&self, status: StatusCode) {
        self.update(|entry| entry.status = Some(status.as_u16()));
    }

    pub(super) fn sent(&self, body_bytes: u64, wire_bytes: u64) {
        self.update(|entry| {
            entry.body_bytes += body_bytes;
            entry.wire_bytes += wire_bytes;
        });
    }

    pub(super) fn completed(&self) {
        self.update(|entry| entry.complete = true);
    }

    fn update(&self, change: impl FnOnce(&mut LogEntry)) {
        if let Some(entry) = self.log.lock().get_mut(self.index) {
            change(entry);
        }
    }
}
