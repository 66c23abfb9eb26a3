//! The reference host of Saving Throw: a browser without a screen, whose pages and service workers
//! run on QuickJS over real HTTP, with a profile on disk.
//!
//! ```
//! # use std::sync::Arc;
//! # use mini_browser::js::TracingConsole;
//! # use mini_browser::net::{NetworkConfig, server::{Server, ServerRequest, ServerResponse}};
//! use mini_browser::{Browser, BrowserOptions};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! # let (profile, network) = (tempfile::tempdir()?, NetworkConfig::default());
//! # let (policies, console) = (service_worker::Policies::shipping(), Arc::new(TracingConsole));
//! # let profile = profile.path().to_owned();
//! let server = Server::start("127.0.0.1:0".parse()?, None, async |request: ServerRequest| {
//!     match request.path() {
//!         "/sw.js" => ServerResponse::ok("text/javascript", "onfetch = (event) => {
//!             if (event.request.url.endsWith('/hello')) event.respondWith(new Response('hi'));
//!         };"),
//!         _ => ServerResponse::ok("text/html", "<script>
//!             var ready = navigator.serviceWorker.register('/sw.js')
//!                 .then(() => navigator.serviceWorker.ready).then((it) => it.scope);
//!         </script>"),
//!     }
//! }).await?;
//! let url = format!("http://{}/", server.local_addr()).parse()?;
//! let browser = Browser::open(BrowserOptions { profile, network, policies, console })?.browser;
//! let page = browser.navigate(&url).await?;
//! assert_eq!(page.run_script("ready", "wait").await?, url.as_str());
//! // The worker of the first page answers the second one; the server has no `/hello`.
//! let page = browser.navigate(&url).await?;
//! let asked = page.run_script("fetch('/hello').then((it) => it.text())", "ask").await?;
//! assert_eq!(asked, "hi");
//! browser.close().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Browser`] is a profile with its network, caches and workers; a [`Page`] is what it navigates
//! to, and runs scripts in; a [`WorkerHost`](js::WorkerHost) runs the workers alone, for whoever
//! drives the facade himself ([`Facade`] is what its scripts ask then).
//!
//! It does not paint or lay anything out, plays no media, and draws no more than rectangles and
//! images on a canvas; it has no `WebAssembly`, IndexedDB, WebSocket or notifications. The network speaks
//! HTTP/1.1, and HTTP/2 over TLS. What is missing is not there, or throws a `NotSupportedError`.
//!
//! The [`scenario`] is what the program of this crate runs; [`conformance`] is how it runs a page
//! of the web-platform-tests.

mod browser;
pub mod cache_storage;
pub mod conformance;
mod facade;
pub mod fetch;
pub mod js;
pub mod net;
mod page;
pub mod scenario;
mod site_data;

pub use browser::{Browser, BrowserError, BrowserOptions, Opened};
pub use facade::{Facade, FetchRecord};
pub use page::{NavigateError, Page};
