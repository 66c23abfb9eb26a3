//! Opens a profile: reads the store, and makes the handle, the driver and the streams of a host.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_channel::mpsc;
use futures_core::Stream;
use futures_util::stream::FuturesUnordered;
use sw_registry::{Registry, RegistryStore, StoreError};

use crate::commands::HostCommands;
use crate::functional::Functional;
use crate::shared::{Brought, Shared};
use crate::store::StoreThread;
use crate::{CacheStorage, Clock, Driver, Handle, Network, Policies, Report};

/// What a host brings.
pub struct Config {
    /// Its choices.
    pub policies: Policies,
    /// Its clocks.
    pub clock: Arc<dyn Clock>,
    /// Its network.
    pub network: Arc<dyn Network>,
    /// Its `caches`, which router rules may name; [`NoCaches`](crate::NoCaches) if it has none.
    pub caches: Arc<dyn CacheStorage>,
    /// Where registrations are stored.
    pub store: Box<dyn RegistryStore>,
}

/// What a host gets.
#[must_use = "a driver that is not polled does nothing"]
pub struct ServiceWorkers {
    /// For agents: one method per operation of a script.
    pub handle: Handle,
    /// To be polled, or spawned by the tokio adapter.
    pub driver: Driver,
    /// What the host is to do.
    pub commands: HostCommands,
    /// What happened in the background.
    pub reports: Reports,
    /// What was damaged in the store and has been left out: one line for people each.
    pub quarantined: Vec<String>,
}

/// Reads the store and sets everything up. Blocks for as long as reading takes; starts the store
/// thread.
///
/// # Errors
/// If the store cannot be read, or the thread not be started.
pub fn open(config: Config) -> Result<ServiceWorkers, StoreError> {
    let Config {
        policies,
        clock,
        network,
        caches,
        mut store,
    } = config;
    let mut restored = store.restore()?;
    let rows = std::mem::take(&mut restored.rows);
    let mut quarantined = restored.quarantined.clone();
    let registry = Registry::new(policies.limits.registry(), restored);
    let store = StoreThread::spawn(store).map_err(|error| StoreError::Io(error.to_string()))?;
    let (to_driver, inbox) = mpsc::unbounded();
    let (commands, host_commands) = crate::commands::channel();
    let (reports, host_reports) = mpsc::unbounded();
    let lookup = registry.lookup();
    let functional = Functional::new(&policies);
    let shared = Arc::new(Shared::new(
        Brought {
            policies,
            clock,
            network,
            caches,
            blobs: store.blobs(),
        },
        lookup,
        to_driver,
        reports,
    ));
    let mut driver = Driver {
        shared: Arc::clone(&shared),
        registry,
        functional,
        durable: crate::stashing::Durable::default(),
        store,
        inbox,
        commands,
        promises: BTreeMap::new(),
        answering: FuturesUnordered::new(),
        background: FuturesUnordered::new(),
        timer: None,
        shutting_down: None,
    };
    quarantined.extend(driver.restore_stash(rows));
    Ok(ServiceWorkers {
        handle: Handle { shared },
        driver,
        commands: host_commands,
        reports: Reports(host_reports),
        quarantined,
    })
}

/// What happened in the background: a stream, which ends when the driver ends. A host that does not
/// care drops it.
#[derive(Debug)]
pub struct Reports(mpsc::UnboundedReceiver<Report>);

impl Stream for Reports {
    type Item = Report;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Report>> {
        Pin::new(&mut self.0).poll_next(cx)
    }
}
