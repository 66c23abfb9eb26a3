//! Installation of service workers from response headers: from a response's head to a request to
//! install, or the reason why there is none. Pure, and without I/O.
//!
//! An image brings a service worker for the origin that it came from:
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use installer::{Ignored, ResponseContext, ResponseSource, install_request};
//! use sw_types::{ClientId, Environment, HeaderInstall, fetch::Destination};
//! use url::Url;
//!
//! let page = Environment::top_level(ClientId(1), Url::parse("https://acme.com/")?);
//! let url = Url::parse("https://api.thirdparty.org/share/assets/pak.png")?;
//! let mut headers = HeaderMap::new();
//! headers.insert("Service-Worker-Scope", "/share/".parse()?);
//! headers.insert("Service-Worker-Script", "/common/share/sw.js".parse()?);
//! let response = ResponseContext {
//!     url: &url,
//!     status: StatusCode::OK,
//!     headers: &headers,
//!     destination: Destination::Image,
//!     source: ResponseSource::Network,
//!     client: Some(&page),
//!     controls_clients: false,
//!     policy: HeaderInstall::Full,
//! };
//! let install = install_request(&response)?;
//! assert_eq!(install.script.as_str(), "https://api.thirdparty.org/common/share/sw.js");
//! assert_eq!(install.scope.as_str(), "https://api.thirdparty.org/share/");
//!
//! let served_by_a_worker = ResponseContext { source: ResponseSource::Worker, ..response };
//! assert_eq!(install_request(&served_by_a_worker), Err(Ignored::NotFromNetwork));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The three that you meet first: [`ResponseContext`] (what is known of a response),
//! [`InstallRequest`] (what to start: *Start Register* with a null client), and [`Throttle`] (how
//! often). [`link_install_requests`] reads the later form, `Link` with relation `serviceworker`, for a
//! host that wants it. [`script_response_vetoes`] is asked once more, when the script has arrived.
//!
//! It does not fetch, register, look for an equal registration, or keep script-made registrations
//! from being replaced: the registry does. `Service-Worker-Allowed` is *Update*'s. Nothing here ever
//! delays or alters the response.

#![forbid(unsafe_code)]

mod ignored;
mod install;
mod link;
mod throttle;
mod vetoes;

pub use ignored::{Ignored, InstallHeader, Malformed};
pub use install::{InstallRequest, ResponseContext, ResponseSource, install_request};
pub use link::link_install_requests;
pub use throttle::{Throttle, ThrottleLimits};
pub use vetoes::script_response_vetoes;
