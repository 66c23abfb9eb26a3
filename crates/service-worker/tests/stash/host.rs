//! With the test as the host: what it answers, and when.

use futures_util::StreamExt;
use service_worker::message_port::{MessageChannel, MessagePort, Posted};
use service_worker::stash::EntryId;
use service_worker::types::{
    ClientId, EventType, EventTypes, FetchHandler, RunId, WorkerId, WorkerState,
};
use service_worker::{EventDetail, EventOutcome, HostCommand, HostEvent, Policies, StashError};

use crate::PAGE;
use crate::common::{House, SERVICE, Taken, message, next, now, quiet, url};

struct Stand {
    /// The worker's last run.
    run: RunId,
    house: House,
    commands: Taken,
}

impl Stand {
    /// A service that runs and has stashed a port, whose other end comes back.
    async fn new(listeners: EventTypes) -> (Self, WorkerId, MessagePort) {
        let (house, commands) = House::without_host(Policies::seeds());
        let run = RunId(0);
        let mut stand = Self {
            house,
            commands,
            run,
        };
        let page = stand.house.page(1, SERVICE);
        quiet().await;
        let registering = stand.house.register(page, SERVICE);
        let worker = stand.starts(listeners).await;
        registering.await.unwrap();
        stand.house.until(WorkerState::Activated).await;
        let MessageChannel { port1, port2 } = MessageChannel::new();
        let stashed = stand.house.handle.stash_port(worker, "port", port2);
        stashed.unwrap().unwrap();
        (stand, worker, port1)
    }

    async fn command(&mut self) -> HostCommand<MessagePort> {
        loop {
            match self.commands.next().await.unwrap().0 {
                HostCommand::Notify { .. } => {}
                command => return command,
            }
        }
    }

    /// Nothing is asked of the host.
    async fn nothing(&mut self) {
        quiet().await;
        let command = std::pin::pin!(self.command());
        assert!(now(command).await.is_pending());
    }

    async fn starts(&mut self, event_types: EventTypes) -> WorkerId {
        let HostCommand::StartWorker(start) = self.command().await else {
            panic!("no start")
        };
        let worker = start.worker;
        self.run = start.run;
        self.tell(HostEvent::Started {
            worker,
            run: self.run,
            event_types,
            fetch_handler: FetchHandler::None,
        });
        worker
    }

    fn tell(&self, event: HostEvent<MessagePort>) {
        self.house.handle.host_event(event);
    }

    /// The next event of a stashed port, and what it says.
    async fn delivered(
        &mut self,
    ) -> (
        service_worker::types::EventId,
        String,
        EventDetail<MessagePort>,
    ) {
        let HostCommand::Dispatch { event, detail, .. } = self.command().await else {
            panic!("no event")
        };
        let says = match &detail {
            EventDetail::StashedMessage { message, .. } => {
                String::from_utf8(message.payload.to_vec()).unwrap()
            }
            EventDetail::StashedClose { .. } => "close".to_owned(),
            other => panic!("{other:?}"),
        };
        (event, says, detail)
    }

    fn died(&self, worker: WorkerId) {
        self.tell(HostEvent::Died {
            worker,
            run: self.run,
            reason: "it crashed".to_owned(),
        });
    }
}

fn messages() -> EventTypes {
    [EventType::Message, EventType::Close].into_iter().collect()
}

#[tokio::test]
async fn a_message_that_comes_back_after_its_worker_died_is_delivered_again_and_in_order() {
    for told_before_death in [true, false] {
        let (mut stand, worker, port) = Stand::new(messages()).await;
        port.post_message(message("one"));
        port.post_message(message("two"));
        let (event, says, detail) = stand.delivered().await;
        assert_eq!(says, "one");
        stand.nothing().await;
        let undelivered = HostEvent::Undelivered {
            worker,
            event,
            detail,
        };
        if told_before_death {
            stand.tell(undelivered);
            stand.died(worker);
        } else {
            stand.died(worker);
            stand.nothing().await;
            stand.tell(undelivered);
        }
        // It fell over its first message: it is left alone for a second.
        stand.nothing().await;
        stand.house.pass_seconds(1).await;
        assert_eq!(stand.starts(messages()).await, worker);
        for expected in ["one", "two"] {
            let (event, says, _) = stand.delivered().await;
            assert_eq!(says, expected);
            let outcome = EventOutcome::Fulfilled;
            stand.tell(HostEvent::Settled {
                worker,
                event,
                outcome,
            });
        }
        drop(port);
        assert_eq!(stand.delivered().await.1, "close");
    }
}

#[tokio::test]
async fn a_message_that_was_dispatched_when_its_worker_died_does_not_come_again() {
    let (mut stand, worker, port) = Stand::new(messages()).await;
    port.post_message(message("one"));
    port.post_message(message("two"));
    let (event, ..) = stand.delivered().await;
    stand.tell(HostEvent::Dispatched { worker, event });
    let (event, says, detail) = stand.delivered().await;
    assert_eq!(says, "two");
    stand.tell(HostEvent::Undelivered {
        worker,
        event,
        detail,
    });
    stand.died(worker);
    // It had consumed one, so it starts again at once.
    stand.starts(messages()).await;
    assert_eq!(stand.delivered().await.1, "two");
}

#[tokio::test]
async fn a_host_that_never_says_what_became_of_a_message_delays_others_but_repeats_none() {
    let handles = messages().with(EventType::Connect);
    let (mut stand, worker, port) = Stand::new(handles).await;
    port.post_message(message("one"));
    port.post_message(message("two"));
    assert_eq!(stand.delivered().await.1, "one");
    stand.died(worker);
    stand.house.pass_seconds(600).await;
    stand.nothing().await;
    // Something else starts the worker: what was under way before is over.
    let page = stand.house.page(5, PAGE);
    let connecting = stand.house.handle.connect(page, SERVICE, &url(PAGE));
    stand.starts(handles).await;
    let (mut connects, mut said) = (0, Vec::new());
    for _ in 0..2 {
        match stand.command().await {
            HostCommand::Dispatch {
                detail: EventDetail::Connect(_),
                ..
            } => connects += 1,
            HostCommand::Dispatch {
                detail: EventDetail::StashedMessage { message, .. },
                ..
            } => said.push(message.payload),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((connects, &said[..]), (1, &["two".into()][..]));
    drop(connecting);
}

#[tokio::test]
async fn what_nobody_listens_for_is_held_until_somebody_does() {
    let (mut stand, worker, port) = Stand::new(EventTypes::NONE).await;
    port.post_message(message("one"));
    stand.nothing().await;
    stand.tell(HostEvent::ListenersChanged {
        worker,
        run: stand.run,
        event_types: messages(),
    });
    assert_eq!(stand.delivered().await.1, "one");
}

#[tokio::test]
async fn a_worker_with_a_message_is_not_idle_until_the_message_has_settled() {
    let (mut stand, worker, port) = Stand::new(messages()).await;
    port.post_message(message("one"));
    let (event, ..) = stand.delivered().await;
    for _ in 0..4 {
        stand.house.pass_seconds(31).await;
    }
    stand.nothing().await;
    let outcome = EventOutcome::Fulfilled;
    stand.tell(HostEvent::Settled {
        worker,
        event,
        outcome,
    });
    for _ in 0..2 {
        stand.house.pass_seconds(31).await;
    }
    assert!(matches!(
        stand.command().await,
        HostCommand::StopWorker { .. }
    ));
    // A message for one that is about to go waits for its next run.
    port.post_message(message("two"));
    stand.nothing().await;
    stand.died(worker);
    stand.house.pass_seconds(1).await;
    stand.starts(messages()).await;
    assert_eq!(stand.delivered().await.1, "two");
}

#[tokio::test]
async fn a_host_is_not_believed_about_events_that_its_worker_does_not_have() {
    let (mut stand, worker, port) = Stand::new(messages()).await;
    port.post_message(message("one"));
    port.post_message(message("two"));
    let (event, _, detail) = stand.delivered().await;
    let other = WorkerId(worker.0 + 1);
    stand.tell(HostEvent::Dispatched {
        worker: other,
        event,
    });
    stand.tell(HostEvent::Accepted {
        worker,
        event,
        port: None,
    });
    stand.tell(HostEvent::Undelivered {
        worker: other,
        event,
        detail,
    });
    stand.nothing().await;
    stand.tell(HostEvent::Dispatched { worker, event });
    assert_eq!(stand.delivered().await.1, "two");
}

#[tokio::test]
async fn a_transferred_view_takes_its_unseen_messages_along_in_order() {
    let (mut stand, worker, port) = Stand::new(EventTypes::NONE).await;
    let inner = MessageChannel::new();
    let carried = inner.port2.transfer().unwrap();
    port.post_message(message("one").with_port(carried));
    port.post_message(message("two"));
    stand.nothing().await;
    let entry = stand.house.handle.match_stashed(worker, "port");
    let entry = *entry.first().unwrap();
    let moved = stand.house.handle.transfer_stashed(worker, entry).unwrap();
    assert!(stand.house.handle.transfer_stashed(worker, entry).is_none());
    assert_eq!(stand.house.handle.stashed_name(worker, entry), None);
    port.post_message(message("three"));
    let mut moved = moved.receive();
    moved.start();
    let mut said = Vec::new();
    while let Ok(service_worker::message_port::Event::Message(got)) = moved.try_recv() {
        said.push((
            String::from_utf8(got.payload.to_vec()).unwrap(),
            got.ports.len(),
        ));
    }
    let expected = [("one", 1), ("two", 0), ("three", 0)];
    assert_eq!(said, expected.map(|(text, ports)| (text.to_owned(), ports)));
    stand.nothing().await;
    assert_eq!(port.post_message(message("four")), Posted::Queued);
}

#[tokio::test]
async fn the_new_owner_of_a_transferred_view_hears_that_the_peer_is_closed() {
    let (mut stand, worker, port) = Stand::new(EventTypes::NONE).await;
    let entry = stand.house.handle.match_stashed(worker, "port")[0];
    port.post_message(message("one"));
    drop(port);
    stand.nothing().await;
    let moved = stand.house.handle.transfer_stashed(worker, entry).unwrap();
    let mut moved = moved.receive();
    moved.start();
    assert_eq!(next(&mut moved).await, "one");
    assert_eq!(next(&mut moved).await, "close");
}

#[tokio::test]
async fn cleared_site_data_closes_the_ports_and_keeps_the_registration() {
    let (mut stand, worker, mut port) = Stand::new(EventTypes::NONE).await;
    port.post_message(message("one"));
    stand.nothing().await;
    let service = url(SERVICE);
    let key =
        service_worker::types::StorageKey::first_party(service_worker::types::Origin::of(&service));
    stand.house.handle.clear_stash(key);
    stand.nothing().await;
    assert!(stand.house.handle.match_stashed(worker, "port").is_empty());
    assert!(matches!(
        port.try_recv(),
        Ok(service_worker::message_port::Event::Close)
    ));
    assert_eq!(stand.house.handle.may_stash(worker), Ok(()));
}

#[tokio::test]
async fn a_push_reaches_the_active_worker_if_it_listens() {
    let types = messages().with(EventType::Push);
    let (mut stand, _worker, _port) = Stand::new(types).await;
    let client = ClientId(1);
    let found = stand.house.handle.registration(client, &url(SERVICE));
    let registration = found.await.unwrap().unwrap().id;
    stand.house.handle.push(registration, Some("news".into()));
    match stand.command().await {
        HostCommand::Dispatch {
            detail: EventDetail::Push { data },
            ..
        } => assert_eq!(data, Some("news".into())),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_view_is_not_stashed_again_by_a_redundant_worker_nor_when_its_entry_is_gone() {
    let (mut stand, worker, _port) = Stand::new(messages()).await;
    let handle = stand.house.handle.clone();
    let entry = handle.match_stashed(worker, "port")[0];
    let gone = EntryId(entry.0 + 1);
    let refused = handle.rename_stashed(worker, gone, "x");
    assert_eq!(refused, Err(StashError::DataClone));
    handle.rename_stashed(worker, entry, "x").unwrap();
    assert_eq!(
        handle.stashed_name(worker, entry).as_deref(),
        Some("x"),
        "for every worker's view"
    );
    handle.close_stashed(worker, entry);
    let refused = handle.rename_stashed(worker, entry, "y");
    assert_eq!(refused, Err(StashError::DataClone));
    // Its registration is gone, and it runs on for a moment.
    let found = handle.registration(ClientId(1), &url(SERVICE)).await;
    let id = found.unwrap().unwrap().id;
    let page = ClientId(1);
    handle.unregister(id).await.unwrap();
    stand.tell(HostEvent::ClientGone(page));
    assert!(matches!(
        stand.command().await,
        HostCommand::StopWorker { .. }
    ));
    let refused = handle.rename_stashed(worker, entry, "y");
    assert_eq!(refused, Err(StashError::InvalidState));
    let port = MessageChannel::new().port1;
    let refused = handle.stash_port(worker, "y", port).unwrap_err();
    assert_eq!(refused.reason, StashError::InvalidState);
}
