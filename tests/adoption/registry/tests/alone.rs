//! A team takes `sw-registry` alone: its own event loop, network, agents and disk answer what the
//! registry asks, by hand.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::time::Instant;

use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};
use sw_registry::{
    EventOutcome, FetchedScript, Input, Limits, MemoryStore, Now, Output, Provenance, Register,
    Registry, RegistryStore, Request, Response, Settled,
};
use sw_types::{
    EventType, EventTypes, FetchHandler, PromiseId, ScopeUrl, ScriptUrl, Site, StorageKey,
    Timestamp, UpdateViaCache, WorkerState, WorkerType,
};

/// The team's browser, which does one thing after another.
struct Browser {
    registry: Registry,
    disk: MemoryStore,
    settled: Vec<Settled>,
    states: Vec<WorkerState>,
}

impl Browser {
    fn new(mut disk: MemoryStore) -> Self {
        let restored = disk.restore().unwrap();
        Self {
            registry: Registry::new(Limits::default(), restored),
            disk,
            settled: Vec::new(),
            states: Vec::new(),
        }
    }

    fn tell(&mut self, input: Input) {
        let now = Now {
            instant: Instant::now(),
            wall: Timestamp(1_800_000_000_000),
        };
        self.registry.handle_input(now, input);
        while let Some(output) = self.registry.poll_output() {
            if let Some(answer) = self.carry_out(output) {
                self.registry.handle_input(now, answer);
            }
        }
    }

    fn carry_out(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Request(id, request) => {
                let response = match request {
                    Request::FetchScript(_) => Response::Script(Ok(script())),
                    Request::Store(writes) => Response::Stored(self.disk.commit(&writes)),
                    Request::LoadScripts(worker) => Response::Scripts(self.disk.scripts(worker)),
                    Request::FetchImport(import) => panic!("{} is not imported", import.url),
                };
                Some(Input::Response(id, response))
            }
            Output::StartWorker(start) => Some(Input::WorkerStarted {
                worker: start.worker,
                run: start.run,
                event_types: EventTypes::NONE.with(EventType::Fetch),
                fetch_handler: FetchHandler::Present,
            }),
            Output::Dispatch { worker, event, .. } => Some(Input::EventSettled {
                worker,
                event,
                outcome: EventOutcome::Fulfilled,
            }),
            Output::Settle(_, result) => {
                self.settled.push(result.unwrap());
                None
            }
            Output::WorkerStateChanged { state, .. } => {
                self.states.push(state);
                None
            }
            _ => None,
        }
    }
}

fn script() -> FetchedScript {
    let javascript = HeaderValue::from_static("text/javascript");
    FetchedScript {
        status: StatusCode::OK,
        headers: HeaderMap::from_iter([(CONTENT_TYPE, javascript)]),
        body: "onfetch = () => {}".into(),
        from_cache: false,
    }
}

fn register() -> Register {
    let script_url = ScriptUrl::parse("https://a.test/app/sw.js", None).unwrap();
    let origin = script_url.origin();
    Register {
        storage_key: StorageKey::first_party(origin.clone()),
        scope: ScopeUrl::default_for(&script_url),
        script_url,
        worker_type: WorkerType::Classic,
        update_via_cache: UpdateViaCache::Imports,
        client: None,
        initiator: Site::of(&origin),
        referrer_origin: origin,
        provenance: Provenance::Script,
    }
}

#[test]
fn a_worker_is_registered_activated_found_and_there_after_a_restart() {
    let mut browser = Browser::new(MemoryStore::new());
    let register = register();
    let (key, scope) = (register.storage_key.clone(), register.scope.clone());
    browser.tell(Input::Register(PromiseId(1), register));
    assert!(matches!(browser.settled[..], [Settled::Registration(_)]));
    assert_eq!(browser.states.last(), Some(&WorkerState::Activated));

    // Readers on other threads have a table of their own.
    let lookup = browser.registry.lookup();
    let page = "https://a.test/app/page".parse().unwrap();
    let elsewhere = "https://a.test/other".parse().unwrap();
    let found = std::thread::spawn(move || {
        assert!(lookup.match_registration(&key, &elsewhere).is_none());
        lookup.match_registration(&key, &page).unwrap()
    });
    assert_eq!(found.join().unwrap().scope, scope);

    let mut again = Browser::new(browser.disk);
    let registration = again
        .registry
        .lookup()
        .snapshot(match browser.settled.remove(0) {
            Settled::Registration(view) => view.id,
            other => panic!("{other:?}"),
        });
    let registration = registration.unwrap().id;
    again.tell(Input::Wake {
        promise: PromiseId(2),
        registration,
        initiator: None,
    });
    assert!(matches!(again.settled[..], [Settled::Running(_)]));
}
