//! What one end costs, and that no code of a caller runs while a pair is locked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};

use super::ready::RETAINED_EVENTS;
use super::{Inbox, Pair, Taken};
use crate::{Event, Message, MessageChannel, MessagePort};

#[test]
fn an_idle_pair_is_one_allocation_of_at_most_256_bytes() {
    // An Arc adds its two counters. An empty Vec has nothing on the heap.
    let counters = 2 * size_of::<usize>();
    assert!(size_of::<Pair>() + counters <= 256, "{}", size_of::<Pair>());
}

#[test]
fn the_memory_of_a_long_queue_is_given_back_when_it_is_empty() {
    let (from, to) = Pair::entangled();
    let mut inbox = Inbox::default();
    to.enable(false).send();
    for _ in 0..2 {
        for _ in 0..100 * RETAINED_EVENTS {
            assert!(from.send(Message::default()).is_ok());
        }
        assert!(matches!(
            to.take_ready(&mut inbox, None),
            Taken::Refilled(_)
        ));
        inbox.events().unwrap().clear();
    }
    // Now both parts of the queue have had that many.
    assert!(matches!(to.take_ready(&mut inbox, None), Taken::Nothing));
    assert!(inbox.events().is_none());
    assert!(to.lock().own(to.side).queue.capacity() <= RETAINED_EVENTS);
}

#[test]
fn the_memory_of_a_short_queue_is_kept() {
    let (from, to) = Pair::entangled();
    let mut inbox = Inbox::default();
    to.enable(false).send();
    for _ in 0..2 {
        assert!(from.send(Message::default()).is_ok());
        assert!(matches!(
            to.take_ready(&mut inbox, None),
            Taken::Refilled(_)
        ));
        inbox.events().unwrap().clear();
        assert!(matches!(to.take_ready(&mut inbox, None), Taken::Nothing));
    }
    assert!(inbox.events().is_some_and(|events| events.capacity() > 0));
    assert!(to.lock().own(to.side).queue.capacity() > 0);
}

/// Code of a caller: looks whether some pairs are locked when it runs, or is dropped.
struct Caller {
    pairs: Vec<Weak<Pair>>,
    runs: Arc<Runs>,
}

/// How often code of a caller ran, and how often it found a pair locked.
#[derive(Default)]
struct Runs {
    all: AtomicUsize,
    under_lock: AtomicUsize,
}

impl Caller {
    fn look(&self) {
        self.runs.all.fetch_add(1, Ordering::SeqCst);
        for pair in self.pairs.iter().filter_map(Weak::upgrade) {
            let locked = pair.state.try_lock().is_err();
            self.runs
                .under_lock
                .fetch_add(locked.into(), Ordering::SeqCst);
        }
    }
}

impl Runs {
    /// How often since this was last asked.
    fn take(&self) -> usize {
        assert_eq!(
            self.under_lock.load(Ordering::SeqCst),
            0,
            "it ran under the lock"
        );
        self.all.swap(0, Ordering::SeqCst)
    }
}

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        self.look();
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.look();
    }
}

/// A pair whose second end is started, and what makes code that looks at it.
struct Scene {
    near: MessagePort,
    far: MessagePort,
    runs: Arc<Runs>,
}

impl Scene {
    fn new() -> Self {
        let (near, mut far): (MessagePort, MessagePort) = MessageChannel::new().into();
        far.start();
        let runs = Arc::default();
        Self { near, far, runs }
    }

    fn caller(&self) -> Caller {
        Caller {
            pairs: vec![self.near.end().pair(), self.far.end().pair()],
            runs: Arc::clone(&self.runs),
        }
    }

    /// Leaves a waker with the second end.
    fn wait(&mut self) {
        let waker = Waker::from(Arc::new(self.caller()));
        assert!(
            self.far
                .poll_recv(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }

    /// Sets a callback of the second end.
    fn listen(&mut self) {
        let caller = self.caller();
        self.far.on_ready(move || caller.look());
    }

    fn carried(&self) -> Message {
        Message::default().with_attachment(self.caller())
    }

    /// How often code of the caller ran since this was last asked.
    fn ran(&self) -> usize {
        self.runs.take()
    }
}

#[test]
fn a_post_wakes_and_calls_with_no_lock_held() {
    let mut scene = Scene::new();
    scene.listen();
    scene.wait();
    scene.near.post_message(Message::default());
    assert_eq!(scene.ran(), 3, "woken, the waker dropped, called");
}

#[test]
fn a_post_with_ports_wakes_and_calls_with_no_lock_held() {
    let mut scene = Scene::new();
    scene.listen();
    scene.wait();
    let port = MessagePort::new().transfer().unwrap();
    scene.near.post_message(Message::default().with_port(port));
    assert_eq!(scene.ran(), 3, "woken, the waker dropped, called");
}

#[test]
fn a_close_wakes_and_calls_with_no_lock_held() {
    for close in [MessagePort::close, MessagePort::disentangle] {
        let mut scene = Scene::new();
        scene.listen();
        scene.wait();
        close(&scene.near);
        assert_eq!(scene.ran(), 3, "woken, the waker dropped, called");
        let mut scene = Scene::new();
        scene.listen();
        scene.wait();
        close(&scene.far);
        assert_eq!(scene.ran(), 3, "by one's own close too");
    }
}

#[test]
fn start_wakes_and_calls_with_no_lock_held() {
    let mut scene = Scene::new();
    scene.far = scene.far.transfer().unwrap().receive();
    scene.listen();
    scene.wait();
    scene.near.post_message(Message::default());
    assert_eq!(scene.ran(), 0);
    scene.far.start();
    assert_eq!(scene.ran(), 3, "woken, the waker dropped, called");
}

#[test]
fn wakers_and_callbacks_that_are_replaced_are_dropped_with_no_lock_held() {
    let mut scene = Scene::new();
    scene.listen();
    scene.listen();
    assert_eq!(scene.ran(), 1);
    scene.far.clear_on_ready();
    assert_eq!(scene.ran(), 1);
    scene.wait();
    scene.wait();
    assert_eq!(scene.ran(), 1);
}

#[test]
fn a_callback_that_is_set_late_is_called_with_no_lock_held() {
    let mut scene = Scene::new();
    scene.wait();
    scene.near.post_message(Message::default());
    assert_eq!(scene.ran(), 2);
    scene.listen();
    assert_eq!(scene.ran(), 1);
}

#[test]
fn a_transfer_drops_the_listeners_with_no_lock_held() {
    let mut scene = Scene::new();
    scene.listen();
    scene.wait();
    let transferred = scene.far.transfer().unwrap();
    assert_eq!(scene.runs.take(), 2);
    drop(transferred);
}

#[test]
fn messages_are_dropped_with_no_lock_held() {
    let scene = Scene::new();
    scene.near.post_message(scene.carried());
    scene.near.close();
    scene.near.post_message(scene.carried());
    assert_eq!(scene.ran(), 1, "there is no target any more");
    drop(scene.far);
    assert_eq!(scene.runs.take(), 1, "the queue goes with its port");
}

#[test]
fn a_doomed_message_is_dropped_with_no_lock_held() {
    let scene = Scene::new();
    let message = scene.carried().with_port(scene.far.transfer().unwrap());
    scene.near.post_message(message);
    assert_eq!(scene.runs.take(), 1);
}

#[test]
fn a_dropped_port_drops_its_listeners_and_tells_the_other_with_no_lock_held() {
    let mut scene = Scene::new();
    scene.listen();
    scene.wait();
    let Scene { near, far, runs } = scene;
    drop(near);
    assert_eq!(runs.take(), 3, "woken, the waker dropped, called");
    drop(far);
    assert_eq!(runs.take(), 1, "the callback dropped");
}

#[test]
fn a_new_entanglement_tells_the_former_partner_with_no_lock_held() {
    let mut scene = Scene::new();
    scene.listen();
    scene.wait();
    let mut other = MessagePort::new();
    MessagePort::entangle(&mut scene.near, &mut other).unwrap();
    assert_eq!(scene.ran(), 3, "woken, the waker dropped, called");
    assert!(matches!(scene.far.try_recv(), Ok(Event::Close)));
}
