//! The fonts scenario: what the program shows when it is started without arguments.
//!
//! Three sites use one font service. [`fonts_origin`] is that service, [`sites`] are the three,
//! [`World`] puts them on loopback with certificates of their own, and [`run`] sends a browser
//! through them and says who answered each request and what it cost, by the font service's own log.
//!
//! Nothing in it is simulated, and nothing is waited for by the clock: where something happens in
//! the background, the run waits for the report that it has happened.

mod comparison;
mod console;
mod fault;
pub mod font;
pub mod fonts_origin;
mod install;
mod load;
mod outcome;
mod run;
pub mod sites;
mod table;
mod world;

pub use comparison::{ComparisonError, Totals};
pub use fault::Fault;
pub use install::InstallError;
pub use load::{LoadError, Unfit};
pub use outcome::{Answer, Answerer, FontFacts, Install, Load, Outcome, PolicyFacts};
pub use run::{Profile, ScenarioError, ScenarioOptions, run};
pub use world::{World, WorldError, WorldOptions};

/// Requests as a server gets them, for tests of handlers.
#[cfg(test)]
mod asked {
    use crate::net::server::ServerRequest;

    pub(super) fn get(host: &str, target: &str) -> ServerRequest {
        ServerRequest {
            method: http::Method::GET,
            scheme: "https",
            host: host.to_owned(),
            target: target.parse().unwrap(),
            headers: http::HeaderMap::new(),
            body: service_worker::Body::empty(),
        }
    }
}
