//! The test as the host of random histories.

use std::task::Poll;

use futures_util::StreamExt;
use service_worker::message_port::MessagePort;
use service_worker::types::{ClientId, EventId, FetchHandler, WorkerId, WorkerState};
use service_worker::{EventDetail, EventOutcome, HostCommand, HostEvent};

use super::{SCOPES, Worker, World, listeners};
use crate::common::{now, quiet, url};

impl World {
    /// Each service has a page open, so that nothing is throttled.
    pub(super) async fn pages(&self) {
        for (number, scope) in SCOPES.into_iter().enumerate() {
            self.house.page(number as u64 + 1, scope);
        }
        quiet().await;
    }

    pub(super) async fn is_active(&mut self, scope: usize) -> bool {
        self.pump().await;
        let page = ClientId(scope as u64 + 1);
        let found = self.house.handle.registration(page, &url(SCOPES[scope]));
        let found = self.until(found).await.unwrap().unwrap();
        self.registrations[scope] = found.id;
        let active = found
            .active
            .filter(|active| active.state == WorkerState::Activated);
        if let Some(active) = &active {
            self.active[scope] = active.id;
        }
        active.is_some()
    }

    /// Plays the host while a future goes on.
    pub(super) async fn until<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        loop {
            if let Poll::Ready(output) = now(future.as_mut()).await {
                return output;
            }
            self.pump().await;
            std::thread::yield_now();
        }
    }

    /// Takes all commands. Events of stashed ports are kept for later.
    pub(super) async fn pump(&mut self) {
        quiet().await;
        loop {
            let next = std::pin::pin!(self.commands.next());
            let Poll::Ready(Some((command, _))) = now(next).await else {
                return;
            };
            match command {
                HostCommand::StartWorker(start) => {
                    let (worker, run) = (start.worker, start.run);
                    let events = Vec::new();
                    self.workers.insert(worker, Worker { run, events });
                    self.house.handle.host_event(HostEvent::Started {
                        worker,
                        run,
                        event_types: listeners(),
                        fetch_handler: FetchHandler::None,
                    });
                }
                HostCommand::StopWorker { worker, .. } => self.dies(worker, true),
                HostCommand::Dispatch {
                    worker,
                    event,
                    detail:
                        detail @ (EventDetail::StashedMessage { .. } | EventDetail::StashedClose { .. }),
                } => match self.workers.get_mut(&worker) {
                    Some(known) => known.events.push((event, detail)),
                    None => self.undelivered(worker, event, detail),
                },
                HostCommand::Dispatch { worker, event, .. } => self.settled(worker, event),
                HostCommand::Notify { .. } | HostCommand::ClientMessage { .. } => {}
            }
            quiet().await;
        }
    }

    pub(super) fn settled(&self, worker: WorkerId, event: EventId) {
        self.house.handle.host_event(HostEvent::Settled {
            worker,
            event,
            outcome: EventOutcome::Fulfilled,
        });
    }

    pub(super) fn undelivered(
        &self,
        worker: WorkerId,
        event: EventId,
        detail: EventDetail<MessagePort>,
    ) {
        self.house.handle.host_event(HostEvent::Undelivered {
            worker,
            event,
            detail,
        });
    }

    /// A worker is gone; what it has not dispatched is given back before or after.
    pub(super) fn dies(&mut self, worker: WorkerId, back_before: bool) {
        let Some(known) = self.workers.remove(&worker) else {
            return;
        };
        let died = HostEvent::Died {
            worker,
            run: known.run,
            reason: "it was stopped".to_owned(),
        };
        let handle = self.house.handle.clone();
        let mut died = Some(died);
        if !back_before {
            died.take().into_iter().for_each(|it| handle.host_event(it));
        }
        for (event, detail) in known.events {
            self.undelivered(worker, event, detail);
        }
        died.into_iter().for_each(|it| handle.host_event(it));
    }
}
