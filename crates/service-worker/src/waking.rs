//! Wakes a registration's active worker for a fetch, and keeps it awake until the fetch reaches it.

use futures_channel::oneshot;
use sw_registry::{Input, JobError, Settled};
use sw_types::{PromiseId, RegistrationId, Site};

use crate::WorkerEndpoint;
use crate::driver::Driver;
use crate::endpoint::KeepAlive;
use crate::shared::{Shared, ToDriver, shut_down_error};

/// A worker that runs, and that is not idle as long as this is held.
pub(crate) struct Awake {
    pub(crate) endpoint: WorkerEndpoint,
    _keep_alive: KeepAlive,
}

/// Nothing if the worker was stopped at the very moment that it was to be woken.
pub(crate) type Woken = Result<Option<Awake>, JobError>;

/// A wake on its way to the driver.
pub(crate) struct Waking {
    registration: RegistrationId,
    initiator: Option<Site>,
    reply: oneshot::Sender<Woken>,
}

impl Shared {
    /// Wakes the active worker of a registration; `initiator` pays if it has to be started.
    ///
    /// # Errors
    /// Why it does not run.
    pub(crate) async fn wake(
        &self,
        registration: RegistrationId,
        initiator: Option<Site>,
    ) -> Woken {
        let (reply, woken) = oneshot::channel();
        self.send(ToDriver::Wake(Box::new(Waking {
            registration,
            initiator,
            reply,
        })));
        woken.await.unwrap_or_else(|_| Err(shut_down_error()))
    }
}

impl Driver {
    pub(crate) fn wake_for_fetch(&mut self, waking: Waking) {
        let promise = self.shared.promise();
        self.functional.fetches.insert(promise, waking.reply);
        self.tell(Input::Wake {
            promise,
            registration: waking.registration,
            initiator: waking.initiator,
        });
    }

    /// Takes a promise that is settled, if it is of a wake for a fetch; gives it back otherwise.
    pub(crate) fn woken_for_fetch(
        &mut self,
        promise: PromiseId,
        result: Result<Settled, JobError>,
    ) -> Option<Result<Settled, JobError>> {
        let Some(reply) = self.functional.fetches.remove(&promise) else {
            return Some(result);
        };
        let woken = result.map(|settled| {
            let Settled::Running(worker) = settled else {
                return None;
            };
            let endpoint = self.shared.endpoint(worker)?;
            Some(Awake {
                _keep_alive: endpoint.begin()?,
                endpoint,
            })
        });
        self.commands.answer(reply, woken);
        None
    }
}
