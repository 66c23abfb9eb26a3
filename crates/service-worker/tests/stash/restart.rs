//! Stashed ports across restarts: the store is cut at every write, and a new browser is opened over
//! what it held then.

use std::sync::{Arc, Mutex};

use crate::common::{House, SERVICE, Taken, message, quiet};
use futures_util::StreamExt;
use service_worker::message_port::{MessageChannel, MessagePort};
use service_worker::stash::EntryId;
use service_worker::stash::record::{Kind, key, parse_key};
use service_worker::types::{
    EventType, EventTypes, FetchHandler, RunId, ScriptMap, WorkerId, WorkerState,
};
use service_worker::{
    EventDetail, EventOutcome, HostCommand, HostEvent, MemoryStore, Policies, RegistryStore,
    Restored, StoreError, StoreWrite,
};

/// A disk whose every state is kept, as if the power had been cut then.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<(MemoryStore, Vec<MemoryStore>)>>);

impl Disk {
    fn holding(store: MemoryStore) -> Self {
        Self(Arc::new(Mutex::new((store, Vec::new()))))
    }

    fn states(&self) -> Vec<MemoryStore> {
        self.0.lock().unwrap().1.clone()
    }
}

impl RegistryStore for Disk {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        self.0.lock().unwrap().0.restore()
    }

    fn scripts(&mut self, worker: WorkerId) -> Result<ScriptMap, StoreError> {
        self.0.lock().unwrap().0.scripts(worker)
    }

    fn commit(&mut self, batch: &[StoreWrite]) -> Result<(), StoreError> {
        let mut disk = self.0.lock().unwrap();
        disk.0.commit(batch)?;
        let state = disk.0.clone();
        disk.1.push(state);
        Ok(())
    }
}

/// A browser whose host is the test.
struct Stand {
    house: House,
    commands: Taken,
    run: RunId,
}

fn listeners() -> EventTypes {
    [EventType::Message, EventType::Close].into_iter().collect()
}

impl Stand {
    fn over(disk: Disk) -> Self {
        let (house, commands) = House::over(Policies::seeds(), Box::new(disk));
        let run = RunId(0);
        Self {
            house,
            commands,
            run,
        }
    }

    async fn install(&mut self) -> WorkerId {
        let page = self.house.page(1, SERVICE);
        quiet().await;
        let registering = self.house.register(page, SERVICE);
        let started = self.command().await.unwrap();
        let worker = self.started(&started);
        registering.await.unwrap();
        self.house.until(WorkerState::Activated).await;
        worker
    }

    fn started(&mut self, command: &HostCommand<MessagePort>) -> WorkerId {
        let HostCommand::StartWorker(start) = command else {
            panic!("{command:?}")
        };
        self.run = start.run;
        self.house.handle.host_event(HostEvent::Started {
            worker: start.worker,
            run: start.run,
            event_types: listeners(),
            fetch_handler: FetchHandler::None,
        });
        start.worker
    }

    async fn command(&mut self) -> Option<HostCommand<MessagePort>> {
        loop {
            match self.commands.next().await {
                Some((HostCommand::Notify { .. }, _)) => {}
                command => return command.map(|(command, _)| command),
            }
        }
    }

    /// Ends the browser when all is written; what the disk holds then.
    async fn ends(self, disk: &Disk) -> MemoryStore {
        self.house.handle.shut_down().await;
        disk.states().pop().unwrap()
    }

    /// Dispatches as many events of stashed ports; what was said, and whether it was redelivered.
    async fn said(&mut self, count: usize) -> Vec<(String, bool)> {
        let mut said = Vec::new();
        while said.len() < count {
            let command = self.command().await.unwrap();
            match command {
                start @ HostCommand::StartWorker(_) => {
                    self.started(&start);
                }
                HostCommand::Dispatch {
                    worker,
                    event,
                    detail,
                } => {
                    match detail {
                        EventDetail::StashedMessage {
                            message,
                            redelivered,
                            ..
                        } => {
                            let text = String::from_utf8(message.payload.to_vec()).unwrap();
                            said.push((text, redelivered));
                        }
                        EventDetail::StashedClose { .. } => said.push(("close".into(), false)),
                        other => panic!("{other:?}"),
                    }
                    self.house.handle.host_event(HostEvent::Settled {
                        worker,
                        event,
                        outcome: EventOutcome::Fulfilled,
                    });
                }
                other => panic!("{other:?}"),
            }
        }
        said
    }

    /// Both ends of a channel.
    fn stash_both(&self, worker: WorkerId) -> [EntryId; 2] {
        let MessageChannel { port1, port2 } = MessageChannel::new();
        [("a", port1), ("b", port2)].map(|(name, port)| {
            let added = self.house.handle.stash_port(worker, name, port);
            added.unwrap().unwrap()
        })
    }
}

fn stored_messages(state: &MemoryStore) -> usize {
    let mut state = state.clone();
    let kinds = state.rows_mut().keys().filter_map(|key| parse_key(key));
    kinds
        .filter(|(_, kind)| matches!(kind, Kind::Message(_)))
        .count()
}

const WORDS: [&str; 5] = ["one", "two", "three", "four", "five"];

#[tokio::test]
async fn a_power_cut_at_every_write_loses_nothing_accepted_and_repeats_only_what_is_marked() {
    let disk = Disk::default();
    let mut stand = Stand::over(disk.clone());
    let worker = stand.install().await;
    let [a, _b] = stand.stash_both(worker);
    // Both rows are written before the first post.
    stand.house.handle.caught_up().await;
    quiet().await;
    for word in WORDS {
        stand.house.handle.post_stashed(worker, a, message(word));
    }
    let all = stand.said(WORDS.len()).await;
    assert_eq!(all, WORDS.map(|word| (word.to_owned(), false)));
    let last = stand.ends(&disk).await;
    assert_eq!(stored_messages(&last), 0);
    let (mut most, mut marked) = (0, 0);
    for (cut, state) in disk.states().into_iter().enumerate() {
        let stored = stored_messages(&state);
        let mut again = Stand::over(Disk::holding(state));
        let said = again.said(stored).await;
        most = most.max(stored);
        marked += said.iter().filter(|(_, redelivered)| *redelivered).count();
        // They are some of the posts in their order, without a gap.
        let texts: Vec<_> = said.iter().map(|(text, _)| text.as_str()).collect();
        assert!(
            WORDS.windows(stored.max(1)).any(|run| run == texts) || stored == 0,
            "cut {cut}: {texts:?}"
        );
        // Only the first may have been seen.
        assert!(said.iter().skip(1).all(|(_, redelivered)| !redelivered));
    }
    assert!(most > 1 && marked > 1, "{most} at most, {marked} marked");
}

#[tokio::test]
async fn both_ends_go_on_talking_after_a_restart_and_hear_close_when_one_closes() {
    let disk = Disk::default();
    let mut stand = Stand::over(disk.clone());
    let worker = stand.install().await;
    let [a, b] = stand.stash_both(worker);
    let state = stand.ends(&disk).await;
    let disk = Disk::holding(state);
    let mut again = Stand::over(disk.clone());
    let handle = again.house.handle.clone();
    assert_eq!(handle.match_stashed(worker, "a"), [a]);
    assert_eq!(handle.match_stashed(worker, "b"), [b]);
    handle.post_stashed(worker, b, message("still here"));
    assert_eq!(again.said(1).await, [("still here".to_owned(), false)]);
    handle.close_stashed(worker, a);
    assert_eq!(again.said(1).await, [("close".to_owned(), false)]);
    let state = again.ends(&disk).await;
    assert!(state.clone().rows_mut().is_empty());
}

#[tokio::test]
async fn an_entry_whose_other_end_was_live_hears_close_after_a_restart() {
    let disk = Disk::default();
    let mut stand = Stand::over(disk.clone());
    let worker = stand.install().await;
    let MessageChannel { port1, port2 } = MessageChannel::new();
    let added = stand.house.handle.stash_port(worker, "a", port1);
    added.unwrap().unwrap();
    let state = stand.ends(&disk).await;
    drop(port2);
    let mut again = Stand::over(Disk::holding(state));
    assert_eq!(again.said(1).await, [("close".to_owned(), false)]);
}

#[tokio::test]
async fn a_damaged_entry_is_left_out_and_its_peer_hears_close() {
    let disk = Disk::default();
    let mut stand = Stand::over(disk.clone());
    let worker = stand.install().await;
    let [_, b] = stand.stash_both(worker);
    let mut state = stand.ends(&disk).await;
    let row = key(b, Kind::Entry);
    *state.rows_mut().get_mut(&row).unwrap().last_mut().unwrap() ^= 1;
    let mut again = Stand::over(Disk::holding(state));
    let handle = again.house.handle.clone();
    assert_eq!(again.said(1).await, [("close".to_owned(), false)]);
    assert!(handle.match_stashed(worker, "a").is_empty());
}
