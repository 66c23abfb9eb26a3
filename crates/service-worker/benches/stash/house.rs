//! A facade over a real file, with a native host whose workers say what they are given.

use std::path::Path;
use std::sync::Arc;

use futures_channel::mpsc;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};
use service_worker::native_host::{NativeHost, NativeWorker};
use service_worker::tokio_adapter::{TokioClock, spawn};
use service_worker::types::{
    ClientId, Environment, RegistrationId, UpdateViaCache, WorkerId, WorkerState, WorkerType,
};
use service_worker::{
    Config, Handle, HostEvent, Network, NetworkFuture, NetworkRequest, NetworkResponse, Policies,
    RedbStore, RegisterOptions, Report, Reports, ServiceWorkers, open,
};
use tokio::runtime::Runtime;
use url::Url;

pub(crate) struct House {
    pub(crate) runtime: Runtime,
    pub(crate) handle: Handle,
    /// One for each message that a worker is given.
    pub(crate) given: mpsc::UnboundedReceiver<()>,
    reports: Reports,
    driven: tokio::task::JoinHandle<()>,
}

pub(crate) fn opened(path: &Path) -> ServiceWorkers {
    let (store, set_aside) = RedbStore::open(path).expect("the profile");
    assert!(set_aside.is_none());
    open(Config {
        policies: Policies::seeds(),
        clock: Arc::new(TokioClock),
        network: Arc::new(OneScript),
        store: Box::new(store),
        caches: Arc::new(service_worker::NoCaches),
    })
    .expect("the store was opened")
}

impl House {
    pub(crate) fn open(path: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let opened = opened(path);
        let (said, given) = mpsc::unbounded();
        let worker = NativeWorker::new().on_message(move |_, _| {
            // Whoever does not listen any more does not want to know.
            let _gone = said.unbounded_send(());
            async {}
        });
        let scripts = [("worker".to_owned(), worker)];
        runtime.spawn(NativeHost::new(
            opened.handle.clone(),
            opened.commands,
            scripts,
        ));
        let driven = {
            let _runtime = runtime.enter();
            spawn(opened.driver)
        };
        Self {
            runtime,
            handle: opened.handle,
            given,
            reports: opened.reports,
            driven,
        }
    }

    /// Registers a service; its page stays open.
    pub(crate) fn install(&mut self, site: usize) -> (RegistrationId, WorkerId) {
        let base_url: Url = format!("https://site{site}.example/")
            .parse()
            .expect("a URL");
        let client = ClientId(site as u64 + 1);
        let page = Environment::top_level(client, base_url.clone());
        self.handle.host_event(HostEvent::ClientCreated(page));
        self.handle.host_event(HostEvent::ClientReady(client));
        let (handle, reports) = (&self.handle, &mut self.reports);
        self.runtime.block_on(async {
            handle.caught_up().await;
            let options = RegisterOptions {
                script_url: "sw.js".to_owned(),
                scope: None,
                base_url: base_url.clone(),
                worker_type: WorkerType::Classic,
                update_via_cache: UpdateViaCache::Imports,
                referrer: None,
            };
            let registered = handle.register(client, options).await;
            registered.expect("the script is there");
            while let Some(report) = reports.next().await {
                if let Report::WorkerState {
                    state: WorkerState::Activated,
                    ..
                } = report
                {
                    break;
                }
            }
            let found = handle.registration(client, &base_url).await;
            let found = found.expect("it may ask").expect("it is registered");
            let worker = found.active.expect("it is active").id;
            (found.id, worker)
        })
    }

    /// Waits until so many messages were given to workers.
    pub(crate) fn takes(&mut self, count: usize) {
        let given = &mut self.given;
        self.runtime.block_on(async {
            for _ in 0..count {
                given.next().await.expect("the host is there");
            }
        });
    }

    pub(crate) fn shut_down(self) {
        self.runtime.block_on(self.handle.shut_down());
        self.runtime.block_on(self.driven).expect("the driver ends");
    }
}

/// A network that has one script.
struct OneScript;

impl Network for OneScript {
    fn send(&self, _: NetworkRequest) -> NetworkFuture {
        Box::pin(async {
            let javascript = HeaderValue::from_static("text/javascript");
            Ok(NetworkResponse {
                status: StatusCode::OK,
                status_text: "OK".to_owned(),
                headers: HeaderMap::from_iter([(CONTENT_TYPE, javascript)]),
                body: "worker".into(),
                from_cache: false,
                sent_credentials: false,
                protocol: "http/1.1",
            })
        })
    }
}
