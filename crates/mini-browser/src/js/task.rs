//! Tasks: what an agent does next, in which realm, and where it comes from. (*HTML*, "event loops".)

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use super::realm::Realm;

/// A realm of an agent. Never used twice by one agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealmId(pub(super) u64);

impl RealmId {
    /// Whichever realm is the agent's main one when the task runs: a worker's only realm, or the
    /// window of the active document of the top-level page.
    pub const MAIN: Self = Self(0);
}

impl fmt::Display for RealmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "realm {}", self.0)
    }
}

/// Where a task comes from. (*HTML*, "generic task sources" and those of its chapters.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskSource {
    /// The DOM manipulation task source.
    Dom,
    /// The user interaction task source: what the host asks of a page.
    UserInteraction,
    /// The networking task source.
    Networking,
    /// The navigation and traversal task source.
    Navigation,
    /// The timer task source.
    Timer,
    /// The posted message task source.
    PostedMessage,
    /// The file reading task source.
    FileReading,
    /// The task source of the service worker specification's events and notices.
    ServiceWorker,
}

impl TaskSource {
    /// The source of that name, as the prelude's `queueTask` takes it; `Dom` for an unknown one.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "user-interaction" => Self::UserInteraction,
            "networking" => Self::Networking,
            "navigation" => Self::Navigation,
            "timer" => Self::Timer,
            "posted-message" => Self::PostedMessage,
            "file-reading" => Self::FileReading,
            "service-worker" => Self::ServiceWorker,
            _ => Self::Dom,
        }
    }
}

/// Something for an agent to do. The microtasks that it queues run right after it.
pub type Task = Box<dyn FnOnce(&Realm) + Send>;

/// The same, from the agent itself.
pub(super) type OwnTask = Box<dyn FnOnce(&Realm)>;

/// A task that waits.
pub(super) struct Queued<T> {
    pub(super) realm: RealmId,
    pub(super) source: TaskSource,
    pub(super) task: T,
    /// Decides between tasks and timers.
    pub(super) since: Instant,
}

impl<T> Queued<T> {
    pub(super) fn new(realm: RealmId, source: TaskSource, task: T) -> Self {
        Self {
            realm,
            source,
            task,
            since: Instant::now(),
        }
    }
}

/// The tasks of an agent, in the order in which they came, whichever their source: an
/// implementation may choose between sources, and this one does not.
#[derive(Default)]
pub(super) struct TaskQueue(VecDeque<Queued<OwnTask>>);

impl TaskQueue {
    pub(super) fn push(&mut self, task: Queued<OwnTask>) {
        self.0.push_back(task);
    }

    /// Puts a task among the others by the time at which it came.
    pub(super) fn insert(&mut self, task: Queued<OwnTask>) {
        let later = self.0.iter().rev();
        let later = later.take_while(|other| other.since > task.since).count();
        self.0.insert(self.0.len() - later, task);
    }

    /// Puts a task before the posted messages that wait behind the last task of its own source: of
    /// which source the next task is, is for an implementation to choose, and browsers let a document
    /// that has been parsed load before its messages are seen.
    pub(super) fn push_before_messages(&mut self, mut task: Queued<OwnTask>) {
        let is_own = |other: &Queued<OwnTask>| other.source == task.source;
        let behind = self.0.iter().rposition(is_own).map_or(0, |last| last + 1);
        let is_message = |other: &Queued<OwnTask>| other.source == TaskSource::PostedMessage;
        match self.0.iter().skip(behind).position(is_message) {
            Some(first) => {
                let index = behind + first;
                task.since = task.since.min(self.0[index].since);
                self.0.insert(index, task);
            }
            None => self.push(task),
        }
    }

    /// Puts a task before all others.
    pub(super) fn push_first(&mut self, mut task: Queued<OwnTask>) {
        if let Some(first) = self.0.front() {
            task.since = task.since.min(first.since);
        }
        self.0.push_front(task);
    }

    pub(super) fn pop(&mut self) -> Option<Queued<OwnTask>> {
        self.0.pop_front()
    }

    /// Since when the next one waits.
    pub(super) fn first_since(&self) -> Option<Instant> {
        self.0.front().map(|task| task.since)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes the tasks of a realm that is gone.
    pub(super) fn take_realm(&mut self, realm: RealmId) -> Vec<Queued<OwnTask>> {
        let (gone, left) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|task| task.realm == realm);
        self.0 = left;
        gone.into()
    }

    pub(super) fn take_all(&mut self) -> VecDeque<Queued<OwnTask>> {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn task(realm: u64, source: TaskSource, since: Instant) -> Queued<OwnTask> {
        Queued {
            realm: RealmId(realm),
            source,
            task: Box::new(|_| {}),
            since,
        }
    }

    fn order(queue: &mut TaskQueue) -> Vec<u64> {
        std::iter::from_fn(|| queue.pop())
            .map(|task| task.realm.0)
            .collect()
    }

    #[test]
    fn a_task_that_came_earlier_than_it_was_queued_is_where_it_would_have_been() {
        let now = Instant::now();
        let after = |millis| now + Duration::from_millis(millis);
        let mut queue = TaskQueue::default();
        for (realm, millis) in [(1, 1), (3, 3), (5, 5)] {
            queue.push(task(realm, TaskSource::Dom, after(millis)));
        }
        for (realm, millis) in [(4, 3), (6, 9), (0, 0), (2, 1)] {
            queue.insert(task(realm, TaskSource::Networking, after(millis)));
        }
        assert_eq!(order(&mut queue), [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_document_ends_before_messages_and_after_what_is_of_its_own_source() {
        let now = Instant::now();
        let mut queue = TaskQueue::default();
        queue.push_before_messages(task(0, TaskSource::Dom, now));
        queue.push(task(1, TaskSource::PostedMessage, now));
        queue.push(task(2, TaskSource::Dom, now));
        queue.push(task(3, TaskSource::Timer, now));
        queue.push(task(6, TaskSource::PostedMessage, now));
        queue.push(task(7, TaskSource::Networking, now));
        queue.push_before_messages(task(4, TaskSource::Dom, now));
        queue.push_before_messages(task(5, TaskSource::Dom, now));
        assert_eq!(order(&mut queue), [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
