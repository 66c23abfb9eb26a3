//! `push` events, which the host triggers: the facade knows no push service. (*Push API*, "Receiving
//! a push message".)

use std::future::Future;

use bytes::Bytes;
use futures_channel::oneshot;
use sw_registry::{EventOutcome, Input, JobError, Settled};
use sw_types::{ClientId, Environment, EventId, EventType, EventTypes, Origin, PromiseId, WorkerId};
use url::Url;

use crate::driver::Driver;
use crate::functional::What;
use crate::shared::{ToDriver, shut_down_error};
use crate::{EventDetail, Handle};

/// A push message on its way to a worker.
pub(crate) struct Pushing {
    worker: WorkerId,
    data: Option<Bytes>,
    reply: Reply,
}

type Reply = oneshot::Sender<Result<(), JobError>>;

impl Handle {
    /// Fires `push` at the active worker of the registration that matches `url` in a top-level page
    /// there, and waits for the event's lifetime promises.
    ///
    /// # Errors
    /// `InvalidStateError` if there is no active worker; `AbortError` if it does not start, stops
    /// before the event is over, or a lifetime promise is rejected.
    pub fn push(
        &self,
        url: &Url,
        data: Option<Bytes>,
    ) -> impl Future<Output = Result<(), JobError>> + Send + 'static {
        let (reply, settled) = oneshot::channel();
        let environment = Environment::top_level(ClientId(0), url.clone());
        let key = (self.shared.policies.partition).storage_key(&environment, &Origin::of(url));
        let found = key.and_then(|key| self.shared.lookup.match_registration(&key, url));
        let active = found.and_then(|found| found.active.clone());
        let sent = active.map(|active| {
            let worker = active.id;
            let pushing = Pushing {
                worker,
                data,
                reply,
            };
            self.shared.send(ToDriver::Push(Box::new(pushing)));
        });
        async move {
            if sent.is_none() {
                let nobody = "no active worker handles push messages there".to_owned();
                return Err(JobError::InvalidState(nobody));
            }
            settled.await.unwrap_or_else(|_| Err(shut_down_error()))
        }
    }
}

impl Driver {
    /// Receiving a push message, from where the worker is known.
    pub(crate) fn push(&mut self, pushing: Pushing) {
        // *Should Skip Event*, with "push".
        let known = self.shared.stashing().worker(pushing.worker);
        let handles: Option<EventTypes> = known.and_then(|known| known.listeners.or(known.handles));
        if handles.is_some_and(|types| !types.contains(EventType::Push)) {
            return settle(pushing.reply, Ok(()));
        }
        let promise = self.shared.promise();
        let worker = pushing.worker;
        self.functional.pushes.insert(promise, pushing);
        self.tell(Input::Run {
            promise,
            worker,
            initiator: None,
        });
    }

    /// The worker of a push message runs, or does not. Whether the promise was one of a push message.
    pub(crate) fn ran_for_push(
        &mut self,
        promise: PromiseId,
        result: &Result<Settled, JobError>,
    ) -> bool {
        let Some(pushing) = self.functional.pushes.remove(&promise) else {
            return false;
        };
        match result {
            Ok(Settled::Running(worker)) => self.dispatch_push(*worker, pushing),
            Ok(_) => settle(pushing.reply, Err(stopped())),
            Err(error) => settle(pushing.reply, Err(error.clone())),
        }
        true
    }

    fn dispatch_push(&mut self, worker: WorkerId, pushing: Pushing) {
        let Some(keep_alive) = self.shared.endpoint(worker).and_then(|it| it.begin()) else {
            // It is being stopped this very moment: it runs again for the message.
            return self.push(pushing);
        };
        let event = self.functional.begin(worker, keep_alive, What::Push);
        self.functional.pushed.insert(event, pushing.reply);
        self.dispatch(worker, event, EventDetail::Push(pushing.data));
    }

    /// A push event is over, or its worker is.
    pub(crate) fn push_over(&mut self, event: EventId, outcome: Option<&EventOutcome>) {
        let Some(reply) = self.functional.pushed.remove(&event) else {
            return;
        };
        settle(
            reply,
            match outcome {
                Some(EventOutcome::Fulfilled) => Ok(()),
                Some(other) => Err(JobError::Abort(format!("the push event failed: {other:?}"))),
                None => Err(stopped()),
            },
        );
    }
}

fn stopped() -> JobError {
    JobError::Abort("the worker stopped before the push event was over".to_owned())
}

fn settle(reply: Reply, result: Result<(), JobError>) {
    if reply.send(result).is_err() {
        tracing::debug!("nobody waits for a push event any more");
    }
}
