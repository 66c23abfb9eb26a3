//! Agents without a browser around them, and signals from their scripts.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use mini_browser::js::{
    Agent, AgentOptions, Pending, RealmId, RealmKind, RealmOptions, Registering, Seam, TaskSource,
    TracingConsole,
};
use rquickjs::Function;
use service_worker::JobError;
use service_worker::message_port::{Message, MessageChannel, MessagePort};
use service_worker::types::{
    ClientId, Environment, EventId, RegistrationId, RegistrationView, ScriptResource, WorkerId,
    WorkerView,
};
use url::Url;

/// Two agents with one end of a channel each, as `port`.
pub(crate) struct Pair {
    pub(crate) first: Agent,
    pub(crate) second: Agent,
}

pub(crate) fn pair() -> Pair {
    let (first, second) = MessageChannel::new().into();
    Pair {
        first: agent(first, String::new(), None),
        second: agent(second, String::new(), None),
    }
}

/// An agent with a port, that runs a script at once. `done()` sends on `done`.
pub(crate) fn agent(port: MessagePort, source: String, done: Option<Sender<()>>) -> Agent {
    let url = Url::parse("https://bench.example/").unwrap_or_else(|error| panic!("{error}"));
    let environment = Environment::top_level(ClientId(1), url);
    let realm = RealmOptions::new(
        RealmKind::Window,
        environment,
        Arc::new(TracingConsole),
        Arc::new(Nobody),
    );
    let mut options = AgentOptions::new("bench");
    options.memory_limit = 1 << 30;
    let begin = move |realm: &mini_browser::js::Realm| {
        let given = realm.give_port("port", port);
        assert!(given.is_ok(), "{given:?}");
        start(realm, source, done);
    };
    Agent::start(options, realm, Box::new(begin), |_| ())
        .unwrap_or_else(|error| panic!("no thread: {error}"))
}

/// Runs a script in an agent; receives when it has called `done()`.
pub(crate) fn run(agent: &Agent, source: &str) -> Receiver<()> {
    let (sender, receiver) = channel();
    let source = source.to_owned();
    agent.post(RealmId::MAIN, TaskSource::Dom, move |realm| {
        start(realm, source, Some(sender));
    });
    receiver
}

fn start(realm: &mini_browser::js::Realm, source: String, done: Option<Sender<()>>) {
    realm.with(|ctx| {
        let ran = (|| {
            if let Some(done) = done {
                let done = Function::new(ctx.clone(), move || done.send(()).unwrap_or_default())?;
                ctx.globals().set("done", done)?;
            }
            ctx.eval::<(), _>(source)
        })();
        if ran.is_err() {
            panic!("the script threw {:?}", ctx.catch());
        }
    });
}

/// A facade that nobody asks.
struct Nobody;

fn never<T: Send + 'static>() -> Pending<T> {
    Box::pin(std::future::pending())
}

impl Seam for Nobody {
    fn register(&self, _: ClientId, _: Registering) -> Pending<Result<RegistrationView, JobError>> {
        never()
    }

    fn update(
        &self,
        _: RegistrationId,
        _: Option<WorkerId>,
    ) -> Pending<Result<RegistrationView, JobError>> {
        never()
    }

    fn unregister(&self, _: RegistrationId) -> Pending<Result<bool, JobError>> {
        never()
    }

    fn ready(&self, _: ClientId) -> Pending<Result<RegistrationView, JobError>> {
        never()
    }

    fn controller(&self, _: ClientId) -> Option<WorkerView> {
        None
    }

    fn registration(&self, _: ClientId, _: &Url) -> Pending<Option<RegistrationView>> {
        never()
    }

    fn skip_waiting(&self, _: WorkerId) -> Pending<Result<(), JobError>> {
        never()
    }

    fn claim(&self, _: WorkerId) -> Pending<Result<(), JobError>> {
        never()
    }

    fn post_message(&self, _: ClientId, _: WorkerId, _: Message) {}

    fn post_message_to_client(&self, _: WorkerId, _: ClientId, _: Message) {}

    fn client(&self, _: WorkerId, _: ClientId) -> Pending<Option<Environment>> {
        never()
    }

    fn clients(&self, _: WorkerId, _: bool) -> Pending<Vec<Environment>> {
        never()
    }

    fn registrations(&self, _: ClientId) -> Pending<Vec<RegistrationView>> {
        never()
    }

    fn import_script(&self, _: WorkerId, _: Url) -> Pending<Result<Arc<ScriptResource>, String>> {
        never()
    }

    fn handle_fall_through_requests(
        &self,
        _: WorkerId,
        _: EventId,
        _: &[String],
        _: Option<&[String]>,
    ) -> Result<(), JobError> {
        Ok(())
    }
}
