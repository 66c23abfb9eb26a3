//! A browser around the registry: its event loop, its network, its agents and its disk.

use std::{collections::VecDeque, error::Error, time::Instant, time::SystemTime};

use sw_registry::*;
use sw_types::{EventType, EventTypes, FetchHandler, PromiseId, ScriptUrl};

struct Browser {
    registry: Registry,
    disk: MemoryStore,
    events: VecDeque<Input>,
}

impl Browser {
    /// A turn of the event loop. Says when the next is due, if nothing happens before.
    fn turn(&mut self) -> Option<Instant> {
        let now = Now {
            instant: Instant::now(),
            wall: SystemTime::now().into(),
        };
        self.registry.handle_timeout(now);
        loop {
            while let Some(output) = self.registry.poll_output() {
                self.perform(output);
            }
            match self.events.pop_front() {
                Some(input) => self.registry.handle_input(now, input),
                None => return self.registry.poll_timeout(),
            }
        }
    }

    fn perform(&mut self, output: Output) {
        self.events.push_back(match output {
            Output::Request(id, Request::FetchScript(_)) => {
                let mut script = http::Response::new("onfetch = () => {}".into());
                let javascript = http::HeaderValue::from_static("text/javascript");
                script.headers_mut().insert("content-type", javascript);
                Input::Response(id, Response::Script(Ok(script.into())))
            }
            Output::Request(id, Request::Store(writes)) => {
                Input::Response(id, Response::Stored(self.disk.commit(&writes)))
            }
            Output::StartWorker(it) => Input::WorkerStarted {
                worker: it.worker,
                run: it.run,
                event_types: EventTypes::NONE.with(EventType::Fetch),
                fetch_handler: FetchHandler::Present,
            },
            Output::Dispatch { worker, event, .. } => Input::EventSettled {
                worker,
                event,
                outcome: EventOutcome::Fulfilled,
            },
            _ => return, // Promises to settle, clients to tell, workers to stop.
        })
    }
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let mut browser = Browser {
        registry: Registry::new(Limits::default(), Restored::default()),
        disk: MemoryStore::new(),
        events: VecDeque::new(),
    };
    let script_url = ScriptUrl::parse("https://a.test/app/sw.js", None)?;
    let register = Register::new(script_url);
    let key = register.storage_key.clone();
    let register = Input::Register(PromiseId(1), register);
    browser.events.push_back(register);
    let idle = browser.turn(); // The worker is activated. When it has long been idle, it is stopped.
    assert!(idle > Some(Instant::now()));
    // Readers on other threads have a table of their own.
    let (lookup, page) = (browser.registry.lookup(), "https://a.test/app/page");
    let page = page.parse()?;
    let found = std::thread::spawn(move || lookup.match_registration(&key, &page));
    assert!(matches!(found.join(), Ok(Some(found)) if found.scope.as_str().ends_with("/app/")));
    Ok(())
}
