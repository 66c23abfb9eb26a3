//! The values that every Saving Throw crate speaks in: storage keys, scopes, ids, worker states,
//! client environments, and the heads of requests and responses.
//!
//! ```
//! use sw_types::{Origin, ScopeUrl, ScriptUrl};
//! use url::Url;
//!
//! let script = ScriptUrl::parse("https://fonts.example.com/sw.js", None)?;
//! let scope = ScopeUrl::default_for(&script);
//! assert_eq!(scope.as_str(), "https://fonts.example.com/");
//! assert!(scope.matches(&Url::parse("https://fonts.example.com/font/css")?));
//! assert!(Origin::of(script.url()).is_potentially_trustworthy());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The three that you meet first: [`StorageKey`] (whose data), [`ScopeUrl`] (which URLs) and
//! [`Environment`] (who asks).
//!
//! It does not decide anything: matching, routing, jobs and lifetimes live in the crates above.

#![forbid(unsafe_code)]

mod environment;
mod event;
pub mod fetch;
mod id;
mod origin;
mod policy;
mod preload;
mod script;
mod storage_key;
mod time;
mod url_types;
mod view;
mod worker;

pub use environment::{ClientType, Environment, FrameType};
pub use event::{EventType, EventTypes, FetchHandler};
pub use id::{ClientId, EventId, PromiseId, RegistrationId, RequestId, RunId, WorkerId};
pub use origin::{Origin, Site};
pub use policy::{HeaderInstall, PartitionPolicy, UncredentialedFallThrough};
pub use preload::NavigationPreload;
pub use script::{ScriptMap, ScriptResource};
pub use storage_key::{EphemeralId, StorageKey};
pub use time::Timestamp;
pub use url_types::{ScopeUrl, ScriptUrl, UrlError};
pub use view::{ClientNotice, RegistrationView, WorkerView};
pub use worker::{
    EncodedRouterRule, FallThroughRule, RequesterFilter, UpdateViaCache, WorkerState, WorkerType,
};
