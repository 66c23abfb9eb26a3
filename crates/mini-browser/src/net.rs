//! The network of the reference host: a client for workers and pages, a certificate authority,
//! and a loopback server that scenarios and tests ask.
//!
//! [`HyperNetwork`] is what the facade sends requests through; [`Authority`] signs the certificates
//! that [`server::Server`] shows and that [`NetworkConfig::extra_ca`] lets the client trust.

mod authority;
mod clear_site_data;
mod client;
mod closing;
mod connect;
mod content_coding;
mod cookies;
mod host_map;
mod http_cache;
mod incoming;
mod message;
mod outgoing;
mod pool;
mod sender;
pub mod server;

pub use authority::{Authority, AuthorityError};
pub use clear_site_data::{Clearing, StoredData};
pub use client::{HyperNetwork, NetworkConfig, NetworkSetupError};
pub use cookies::{CookieAccess, CookieJar, CookiePartition, SameSiteStatus};
pub use host_map::{HostMap, HostRuleError};

/// An error with its causes, for people: `a: b: c`.
fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let error_text = error.to_string();
        if !text.contains(&error_text) {
            text.push_str(": ");
            text.push_str(&error_text);
        }
        cause = error.source();
    }
    text
}
