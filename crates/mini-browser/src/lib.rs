//! The reference host of Saving Throw.

mod browser;
pub mod cache_storage;
mod facade;
pub mod fetch;
pub mod js;
pub mod net;
mod page;
pub mod scenario;

pub use browser::{Browser, BrowserError, BrowserOptions, Opened};
pub use facade::{Facade, FetchRecord};
pub use page::{NavigateError, Page};
