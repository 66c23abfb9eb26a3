//! The JavaScript half of the reference host: agents, service workers and pages on QuickJS.
//!
//! An [`Agent`] is one OS thread with one QuickJS runtime. [`WorkerHost`] carries out the facade's
//! commands on agents of their own, one a worker; a [`Page`] is a window-like realm in which
//! scripts register and fetch. Web APIs are JavaScript modules (`prelude/`) over a small set of
//! native functions (`ops/`).

mod agent;
mod blob_urls;
mod blocking;
mod broadcast;
mod bytes;
mod classic_script;
mod client_ids;
mod clone;
mod connecting;
mod connections;
mod console;
mod dedicated;
mod documents;
mod error;
mod event_loop;
mod fetch_events;
mod import_map;
mod json;
mod loader;
mod messages;
mod module_fetches;
mod module_scripts;
mod modules;
mod navigables;
mod navigation;
mod notice;
mod ops;
mod page;
mod ports;
mod quota;
mod realm;
mod reaper;
mod rejections;
mod sandbox;
mod seam;
mod sent_body;
mod shared;
mod stashing;
mod task;
mod timers;
mod timings;
mod views;
mod window_clients;
mod window_proxy;
mod worker;
mod worker_host;
mod worker_start;

#[cfg(test)]
mod tests;

pub use agent::{Agent, AgentOptions, Death, Limits};
pub use blob_urls::{BlobUrls, ResolvedBlob};
pub use broadcast::Broadcasts;
pub use bytes::JsBytes;
pub use connections::Connections;
pub use console::{ConsoleLevel, ConsoleSink, TracingConsole};
pub use documents::{
    DocumentRequest, DocumentSource, DocumentTiming, Documents, FetchedDocument, NavigationKind,
    Place, Replaced,
};
pub use error::ScriptError;
pub use ops::{OpError, Ops, promise};
pub use page::{Page, PageOptions};
pub use realm::{Realm, RealmKind, RealmOptions, RealmState, WorkerOptions};
pub use seam::{Pending, Registering, Seam};
pub use shared::SharedWorkers;
pub use task::{RealmId, Task, TaskSource};
pub use worker_host::{EventSink, WorkerHost, WorkerHostOptions};
