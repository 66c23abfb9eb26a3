//! Stashed ports across restarts: the store is cut at every write, and a new browser is opened over
//! what it held then.

use std::sync::{Arc, Mutex};
use std::task::Poll;

use crate::common::{House, SERVICE, Taken, message, quiet};
use futures_util::StreamExt;
use service_worker::message_port::{Message, MessageChannel, MessagePort};
use service_worker::stash::EntryId;
use service_worker::stash::record::{Kind, StoredCursor, StoredMessage, decode, key, parse_key};
use service_worker::types::{
    EventId, EventType, EventTypes, FetchHandler, RunId, ScriptMap, WorkerId, WorkerState,
};
use service_worker::{
    EventDetail, EventOutcome, HostCommand, HostEvent, MemoryStore, Policies, RegistryStore,
    Restored, StoreError, StoreWrite,
};

/// A disk whose every state is kept, as if the power had been cut then; and that can be made to
/// refuse or to stop.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    store: MemoryStore,
    /// Each state, and how much the worker had been given when the next write began.
    states: Vec<(MemoryStore, usize)>,
    given: usize,
    commits: usize,
    fails: Option<(usize, Failure)>,
}

/// What happens to one write.
pub(crate) enum Failure {
    Refused,
    /// As many in a row are refused.
    RefusedTimes(usize),
    /// Until something comes.
    Frozen(std::sync::mpsc::Receiver<()>),
}

impl Disk {
    pub(crate) fn holding(store: MemoryStore) -> Self {
        let disk = Self::default();
        disk.lock().store = store;
        disk
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub(crate) fn states(&self) -> Vec<MemoryStore> {
        let states = self.lock().states.clone();
        states.into_iter().map(|(state, _)| state).collect()
    }

    pub(crate) fn now(&self) -> MemoryStore {
        self.lock().store.clone()
    }

    pub(crate) fn commits(&self) -> usize {
        self.lock().commits
    }

    /// From now on nothing fails.
    pub(crate) fn heal(&self) {
        self.lock().fails = None;
    }

    /// Makes a write fail, counted from now.
    pub(crate) fn fail_at(&self, write: usize, failure: Failure) {
        let mut inner = self.lock();
        inner.fails = Some((inner.commits + write, failure));
    }
}

impl RegistryStore for Disk {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        self.lock().store.restore()
    }

    fn scripts(&mut self, worker: WorkerId) -> Result<ScriptMap, StoreError> {
        self.lock().store.scripts(worker)
    }

    fn blob(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.lock().store.blob(key)
    }

    fn commit(&mut self, batch: &[StoreWrite]) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let number = inner.commits;
        inner.commits += 1;
        if inner.fails.as_ref().is_some_and(|(at, _)| *at == number)
            && let Some((_, failure)) = inner.fails.take()
        {
            match failure {
                Failure::RefusedTimes(times @ 2..) => {
                    inner.fails = Some((number + 1, Failure::RefusedTimes(times - 1)));
                    return Err(StoreError::Io("the disk is full".into()));
                }
                Failure::Refused | Failure::RefusedTimes(_) => {
                    return Err(StoreError::Io("the disk is full".into()));
                }
                Failure::Frozen(thaw) => {
                    drop(inner);
                    thaw.recv().unwrap();
                    inner = self.lock();
                }
            }
        }
        let given = inner.given;
        if let Some((_, before)) = inner.states.last_mut() {
            *before = given;
        }
        inner.store.commit(batch)?;
        let state = inner.store.clone();
        inner.states.push((state, usize::MAX));
        Ok(())
    }
}

/// A browser whose host is the test.
pub(crate) struct Stand {
    pub(crate) house: House,
    commands: Taken,
    pub(crate) run: RunId,
    disk: Disk,
}

fn listeners() -> EventTypes {
    [EventType::Message, EventType::Close].into_iter().collect()
}

impl Stand {
    pub(crate) fn over(disk: &Disk) -> Self {
        let (house, commands) = House::over(Policies::seeds(), Box::new(disk.clone()));
        Self {
            house,
            commands,
            run: RunId(0),
            disk: disk.clone(),
        }
    }

    pub(crate) async fn install(&mut self) -> WorkerId {
        let page = self.house.page(1, SERVICE);
        quiet().await;
        let registering = self.house.register(page, SERVICE);
        let started = self.command().await.unwrap();
        let worker = self.started(&started);
        registering.await.unwrap();
        self.house.until(WorkerState::Activated).await;
        worker
    }

    pub(crate) fn started(&mut self, command: &HostCommand<MessagePort>) -> WorkerId {
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

    pub(crate) async fn command(&mut self) -> Option<HostCommand<MessagePort>> {
        loop {
            match self.commands.next().await {
                Some((HostCommand::Notify { .. }, _)) => {}
                command => return command.map(|(command, _)| command),
            }
        }
    }

    /// Ends the browser when all is written; what the disk holds then.
    pub(crate) async fn ends(self) -> MemoryStore {
        self.house.handle.shut_down().await;
        self.disk.now()
    }

    /// The next event of a stashed port, which is not answered.
    pub(crate) async fn given(&mut self) -> (WorkerId, EventId, EventDetail<MessagePort>) {
        loop {
            match self.command().await.unwrap() {
                start @ HostCommand::StartWorker(_) => {
                    self.started(&start);
                }
                HostCommand::StopWorker { worker, .. } => self.dies(worker),
                HostCommand::Dispatch {
                    worker,
                    event,
                    detail,
                } => {
                    self.disk.lock().given += 1;
                    return (worker, event, detail);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) fn settle(&self, worker: WorkerId, event: EventId) {
        self.house.handle.host_event(HostEvent::Settled {
            worker,
            event,
            outcome: EventOutcome::Fulfilled,
        });
    }

    pub(crate) fn dies(&self, worker: WorkerId) {
        self.house.handle.host_event(HostEvent::Died {
            worker,
            run: self.run,
            reason: "it crashed".to_owned(),
        });
    }

    /// Dispatches as many events of stashed ports; what was said, and whether it was redelivered.
    pub(crate) async fn said(&mut self, count: usize) -> Vec<(String, bool)> {
        let mut said = Vec::new();
        while said.len() < count {
            let (worker, event, detail) = self.given().await;
            said.push(says(&detail));
            self.settle(worker, event);
        }
        said
    }

    /// The same, while time passes.
    pub(crate) async fn said_in_time(&mut self, count: usize) -> Vec<(String, bool)> {
        let mut said = Vec::new();
        for _ in 0..2_000 {
            while let Poll::Ready((worker, event, detail)) = self.given_now().await {
                said.push(says(&detail));
                self.settle(worker, event);
            }
            if said.len() >= count {
                return said;
            }
            // The store has a thread of its own.
            std::thread::yield_now();
            self.house.pass_seconds(1).await;
        }
        panic!("only {said:?}")
    }

    /// The next event of a stashed port, if there is one now.
    pub(crate) async fn given_now(
        &mut self,
    ) -> Poll<(WorkerId, EventId, EventDetail<MessagePort>)> {
        quiet().await;
        let given = std::pin::pin!(self.given());
        crate::common::now(given).await
    }

    /// Both ends of a channel.
    pub(crate) fn stash_both(&self, worker: WorkerId) -> [EntryId; 2] {
        let MessageChannel { port1, port2 } = MessageChannel::new();
        [("a", port1), ("b", port2)].map(|(name, port)| {
            let added = self.house.handle.stash_port(worker, name, port);
            added.unwrap().unwrap()
        })
    }
}

/// What an event says, and whether it was redelivered.
pub(crate) fn says(detail: &EventDetail<MessagePort>) -> (String, bool) {
    match detail {
        EventDetail::StashedMessage {
            message,
            redelivered,
            ..
        } => {
            let text = String::from_utf8(message.payload.to_vec()).unwrap();
            (text, *redelivered)
        }
        EventDetail::StashedClose { .. } => ("close".to_owned(), false),
        other => panic!("{other:?}"),
    }
}

/// The messages that a store holds and that are not over, with their entries and numbers.
pub(crate) fn stored(state: &MemoryStore) -> Vec<(EntryId, u64, StoredMessage)> {
    let mut state = state.clone();
    let rows = state.rows_mut();
    let mut found = Vec::new();
    for (row, value) in rows.iter() {
        let Some((id, Kind::Message(first))) = parse_key(row) else {
            continue;
        };
        let cursor = key(id, Kind::Cursor);
        let cursor = rows
            .get(&cursor)
            .map(|value| decode(&cursor, value).unwrap());
        let StoredCursor { consumed, .. } = cursor.unwrap_or_default();
        let messages: Vec<StoredMessage> = decode(row, value).unwrap();
        let numbered = (first..).zip(messages);
        let left = numbered.filter(|(number, _)| *number >= consumed);
        found.extend(left.map(|(number, message)| (id, number, message)));
    }
    found
}

pub(crate) fn stored_messages(state: &MemoryStore) -> usize {
    stored(state).len()
}

/// The texts of those messages.
pub(crate) fn stored_texts(state: &MemoryStore) -> Vec<(EntryId, String)> {
    let text = |(id, _, message): (EntryId, u64, StoredMessage)| {
        Some((id, String::from_utf8(message.payload?).unwrap()))
    };
    stored(state).into_iter().filter_map(text).collect()
}

pub(crate) const WORDS: [&str; 5] = ["one", "two", "three", "four", "five"];

#[tokio::test]
async fn a_power_cut_at_every_write_loses_nothing_accepted_and_repeats_only_what_is_marked() {
    let disk = Disk::default();
    let mut stand = Stand::over(&disk);
    let worker = stand.install().await;
    let [a, _b] = stand.stash_both(worker);
    stand.house.handle.caught_up().await;
    quiet().await;
    for word in WORDS {
        stand.house.handle.post_stashed(worker, a, message(word));
        if word == "two" {
            // The rest comes while two is under way.
            let said = stand.said(1).await;
            assert_eq!(said, [("one".to_owned(), false)]);
            quiet().await;
        }
    }
    let rest = stand.said(4).await;
    let expected = WORDS[1..].iter().map(|word| ((*word).to_owned(), false));
    assert_eq!(rest, expected.collect::<Vec<_>>());
    let last = stand.ends().await;
    assert_eq!(stored_messages(&last), 0);
    let states = disk.lock().states.clone();
    let (mut most, mut repeated) = (0, 0);
    for (cut, (state, given)) in states.into_iter().enumerate() {
        let stored = stored_messages(&state);
        let mut again = Stand::over(&Disk::holding(state));
        let said = again.said(stored).await;
        most = most.max(stored);
        // They are some of the posts in their order, without a gap.
        let Some((first, _)) = said.first() else {
            continue;
        };
        let at = WORDS.iter().position(|word| word == first).unwrap();
        for ((text, redelivered), (number, word)) in
            said.iter().zip(WORDS.iter().enumerate().skip(at))
        {
            assert_eq!(text, word, "cut {cut}");
            assert!(
                *redelivered || number >= given,
                "cut {cut}: {text} is a repeat"
            );
            repeated += usize::from(*redelivered);
        }
        assert!(at <= given, "cut {cut}: {first} is not the next");
    }
    assert!(
        most > 1 && repeated > 1,
        "{most} at most, {repeated} repeated"
    );
}

#[tokio::test]
async fn both_ends_go_on_talking_after_a_restart_and_hear_close_when_one_closes() {
    let disk = Disk::default();
    let mut stand = Stand::over(&disk);
    let worker = stand.install().await;
    let [a, b] = stand.stash_both(worker);
    let state = stand.ends().await;
    let disk = Disk::holding(state);
    let mut again = Stand::over(&disk);
    quiet().await;
    let handle = again.house.handle.clone();
    assert_eq!(handle.match_stashed(worker, "a"), [a]);
    assert_eq!(handle.match_stashed(worker, "b"), [b]);
    handle.post_stashed(worker, b, message("still here"));
    assert_eq!(again.said(1).await, [("still here".to_owned(), false)]);
    handle.close_stashed(worker, a);
    assert_eq!(again.said(1).await, [("close".to_owned(), false)]);
    let state = again.ends().await;
    assert!(state.clone().rows_mut().is_empty());
}

#[tokio::test]
async fn an_entry_whose_other_end_was_live_hears_close_after_a_restart() {
    let disk = Disk::default();
    let mut stand = Stand::over(&disk);
    let worker = stand.install().await;
    let MessageChannel { port1, port2 } = MessageChannel::new();
    let added = stand.house.handle.stash_port(worker, "a", port1);
    added.unwrap().unwrap();
    let state = stand.ends().await;
    drop(port2);
    let mut again = Stand::over(&Disk::holding(state));
    assert_eq!(again.said(1).await, [("close".to_owned(), false)]);
}

#[tokio::test]
async fn a_damaged_entry_is_left_out_and_its_peer_hears_close() {
    let disk = Disk::default();
    let mut stand = Stand::over(&disk);
    let worker = stand.install().await;
    let [_, b] = stand.stash_both(worker);
    let mut state = stand.ends().await;
    let row = key(b, Kind::Entry);
    *state.rows_mut().get_mut(&row).unwrap().last_mut().unwrap() ^= 1;
    let mut again = Stand::over(&Disk::holding(state));
    let handle = again.house.handle.clone();
    assert_eq!(again.said(1).await, [("close".to_owned(), false)]);
    assert!(handle.match_stashed(worker, "a").is_empty());
}

#[tokio::test]
async fn a_clean_end_keeps_all_that_was_posted_before_it_however_much_it_is() {
    let disk = Disk::default();
    let mut stand = Stand::over(&disk);
    let worker = stand.install().await;
    let [a, _] = stand.stash_both(worker);
    stand.dies(worker);
    quiet().await;
    for number in 0..900 {
        let text = Message::new(number.to_string());
        stand.house.handle.post_stashed(worker, a, text);
    }
    let state = stand.ends().await;
    assert_eq!(stored_messages(&state), 900);
    let mut again = Stand::over(&Disk::holding(state));
    let expected = (0..900).map(|number| (number.to_string(), false));
    assert_eq!(again.said(900).await, expected.collect::<Vec<_>>());
}
