//! What a fetch to a worker in QuickJS cannot do without: two hops between threads, and the response.

use std::sync::{Arc, mpsc};
use std::time::Instant;

use mini_browser::Facade;
use mini_browser::js::{
    Agent, AgentOptions, RealmId, RealmKind, RealmOptions, TaskSource, TracingConsole,
};
use service_worker::types::{ClientId, Environment};

use crate::world::World;

/// Another thread with a realm.
pub(crate) struct Rival(Agent);

impl Rival {
    pub(crate) fn start(world: &World) -> Self {
        let url = "https://rival.test/".parse();
        let url = url.unwrap_or_else(|error| panic!("{error}"));
        let facade = Facade::new(world.browser().service_workers().clone());
        let realm = RealmOptions::new(
            RealmKind::Window,
            Environment::top_level(ClientId(1 << 40), url),
            Arc::new(TracingConsole),
            Arc::new(facade),
        );
        let agent = Agent::start(AgentOptions::new("rival"), realm, Box::new(|_| {}), |_| {});
        Self(agent.unwrap_or_else(|error| panic!("{error}")))
    }

    /// Microseconds for there, a response, and back.
    pub(crate) fn run(&self, count: u32) -> f64 {
        let begun = Instant::now();
        for _ in 0..count {
            let (sender, receiver) = mpsc::channel();
            self.0
                .post(RealmId::MAIN, TaskSource::Networking, move |realm| {
                    let made =
                        realm.with(|ctx| ctx.eval::<(), _>("new Response('hello'); undefined"));
                    // Who asked waits.
                    let _sent = sender.send(made.is_ok());
                });
            assert_eq!(receiver.recv(), Ok(true), "the realm has no Response");
        }
        begun.elapsed().as_secs_f64() * 1e6 / f64::from(count)
    }
}
