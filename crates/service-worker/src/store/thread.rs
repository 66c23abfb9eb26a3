//! The store thread.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use futures_channel::oneshot;
use sw_registry::{RegistryStore, StoreError, StoreWrite};
use sw_types::{ScriptMap, WorkerId};

/// The most batches that one commit takes together.
const GROUP: usize = 256;

enum Task {
    Commit(Batch),
    Scripts(WorkerId, oneshot::Sender<Result<ScriptMap, StoreError>>),
    Blobs(Vec<Vec<u8>>, Box<dyn FnOnce(ReadBlobs) + Send>),
}

/// What was read of blobs, in the order in which they were asked for.
pub(crate) type ReadBlobs = Result<Vec<Option<Vec<u8>>>, StoreError>;

/// Where tasks go, until the store is closed.
type Tasks = Arc<Mutex<Option<mpsc::Sender<Task>>>>;

/// Reads blobs, from any thread.
#[derive(Clone, Default)]
pub(crate) struct BlobReader(Tasks);

impl BlobReader {
    /// Reads them, after what was handed over before, and says so on the store's thread.
    pub(crate) fn read(&self, keys: Vec<Vec<u8>>, then: impl FnOnce(ReadBlobs) + Send + 'static) {
        send(&self.0, Task::Blobs(keys, Box::new(then)));
    }

    /// As [`Self::read`], and waits for it.
    pub(crate) fn read_blocking(&self, keys: Vec<Vec<u8>>) -> ReadBlobs {
        let (answer, answered) = mpsc::sync_channel(1);
        self.read(keys, move |read| {
            // It is waited for below.
            let _gone = answer.send(read);
        });
        answered.recv().unwrap_or(Err(StoreError::Closed))
    }
}

fn send(tasks: &Tasks, task: Task) {
    let tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
    // A thread that is gone drops the task, and whoever waits for it hears `Closed`.
    if let Some(tasks) = tasks.as_ref() {
        drop(tasks.send(task));
    }
}

struct Batch {
    writes: Vec<StoreWrite>,
    answer: oneshot::Sender<Result<(), StoreError>>,
}

/// The thread that owns a store. Dropped, it finishes what it was given and ends.
pub(crate) struct StoreThread {
    tasks: Tasks,
    closed: oneshot::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl StoreThread {
    /// Moves a store to a thread of its own.
    pub(crate) fn spawn(store: Box<dyn RegistryStore>) -> io::Result<Self> {
        let (tasks, receiver) = mpsc::channel();
        let (done, closed) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("sw-store".to_owned())
            .spawn(move || {
                serve(store, &receiver);
                // Who has dropped this does not wait for it.
                let _unheard = done.send(());
            })?;
        Ok(Self {
            tasks: Arc::new(Mutex::new(Some(tasks))),
            closed,
            thread: Some(thread),
        })
    }

    /// Takes nothing more; ready when everything that was handed over is done and the store has
    /// been closed.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.close();
        Pin::new(&mut self.closed).poll(cx).map(drop)
    }

    /// Hands over a batch. Batches are written in the order in which they were handed over.
    pub(crate) fn commit(
        &self,
        writes: Vec<StoreWrite>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        self.send(Task::Commit(Batch { writes, answer }));
        async move { answered.await.unwrap_or(Err(StoreError::Closed)) }
    }

    /// Reads the scripts of a stored worker, after what was handed over before.
    pub(crate) fn scripts(
        &self,
        worker: WorkerId,
    ) -> impl Future<Output = Result<ScriptMap, StoreError>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        self.send(Task::Scripts(worker, answer));
        async move { answered.await.unwrap_or(Err(StoreError::Closed)) }
    }

    /// Reads blobs, from any thread.
    pub(crate) fn blobs(&self) -> BlobReader {
        BlobReader(Arc::clone(&self.tasks))
    }

    /// Takes nothing more.
    fn close(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        *tasks = None;
    }

    fn send(&self, task: Task) {
        send(&self.tasks, task);
    }
}

impl Drop for StoreThread {
    fn drop(&mut self) {
        self.close();
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the store thread panicked");
        }
    }
}

fn serve(mut store: Box<dyn RegistryStore>, tasks: &mpsc::Receiver<Task>) {
    let mut next = None;
    while let Some(task) = next.take().or_else(|| tasks.recv().ok()) {
        match task {
            Task::Scripts(worker, to) => answer(to, store.scripts(worker)),
            Task::Blobs(keys, then) => then(keys.iter().map(|key| store.blob(key)).collect()),
            Task::Commit(first) => {
                let mut group = vec![first];
                while group.len() < GROUP && next.is_none() {
                    match tasks.try_recv() {
                        Ok(Task::Commit(batch)) => group.push(batch),
                        Ok(other) => next = Some(other),
                        Err(_) => break,
                    }
                }
                commit(store.as_mut(), group);
            }
        }
    }
}

/// One commit for the group; if the store refuses it, each batch stands or falls by itself.
fn commit(store: &mut dyn RegistryStore, mut group: Vec<Batch>) {
    if let [only] = group.as_slice() {
        let result = store.commit(&only.writes);
        answer(group.remove(0).answer, result);
        return;
    }
    let together: Vec<_> = group
        .iter()
        .flat_map(|batch| batch.writes.iter().cloned())
        .collect();
    match store.commit(&together) {
        Ok(()) => group
            .into_iter()
            .for_each(|batch| answer(batch.answer, Ok(()))),
        Err(error) => {
            tracing::warn!(%error, "a grouped commit failed; its batches are tried one by one");
            for batch in group {
                let result = store.commit(&batch.writes);
                answer(batch.answer, result);
            }
        }
    }
}

fn answer<T>(to: oneshot::Sender<Result<T, StoreError>>, result: Result<T, StoreError>) {
    if to.send(result).is_err() {
        tracing::debug!("nobody waits for the store any more");
    }
}

#[cfg(test)]
mod tests {
    use sw_registry::Restored;
    use sw_types::RegistrationId;

    use super::*;

    /// Refuses every commit that holds registration 13, and blocks until it is let go on.
    struct Fussy {
        commits: Arc<Mutex<Vec<usize>>>,
        go_on: mpsc::Receiver<()>,
    }

    impl RegistryStore for Fussy {
        fn restore(&mut self) -> Result<Restored, StoreError> {
            Ok(Restored::default())
        }

        fn scripts(&mut self, worker: WorkerId) -> Result<ScriptMap, StoreError> {
            Err(StoreError::Damaged(format!("{worker} has no scripts")))
        }

        fn blob(&mut self, _: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
            Ok(None)
        }

        fn commit(&mut self, batch: &[StoreWrite]) -> Result<(), StoreError> {
            self.go_on.recv().unwrap();
            if batch.contains(&remove(13)) {
                return Err(StoreError::Io("unlucky".into()));
            }
            self.commits.lock().unwrap().push(batch.len());
            Ok(())
        }
    }

    const fn remove(id: u64) -> StoreWrite {
        StoreWrite::Remove(RegistrationId(id))
    }

    #[test]
    fn batches_that_wait_are_committed_together_and_a_bad_one_fails_alone() {
        let commits = Arc::new(Mutex::new(Vec::new()));
        let (go_on, wait) = mpsc::channel();
        let store = StoreThread::spawn(Box::new(Fussy {
            commits: commits.clone(),
            go_on: wait,
        }))
        .unwrap();
        let first = store.commit(vec![remove(1)]);
        let rest: Vec<_> = [2, 13, 3]
            .into_iter()
            .map(|id| store.commit(vec![remove(id)]))
            .collect();
        for _ in 0..8 {
            go_on.send(()).unwrap();
        }
        let run = |future| futures_util::FutureExt::now_or_never(future);
        drop(store);
        assert_eq!(run(first), Some(Ok(())));
        let results: Vec<_> = rest.into_iter().map(run).collect();
        assert_eq!(results[0], Some(Ok(())));
        assert_eq!(results[1], Some(Err(StoreError::Io("unlucky".into()))));
        assert_eq!(results[2], Some(Ok(())));
        assert_eq!(commits.lock().unwrap().iter().sum::<usize>(), 3);
    }

    #[test]
    fn a_closed_store_answers_closed() {
        let (go_on, wait) = mpsc::channel();
        drop(go_on);
        let store = StoreThread::spawn(Box::new(Fussy {
            commits: Arc::default(),
            go_on: wait,
        }))
        .unwrap();
        let answered = store.commit(vec![remove(1)]);
        drop(store);
        let result = futures_util::FutureExt::now_or_never(answered);
        assert_eq!(result, Some(Err(StoreError::Closed)));
    }
}
