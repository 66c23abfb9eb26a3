//! When an operation was answered: its completion is a task, in its place among the others.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

/// A future that also gives when it was last woken: what it waited for happened then, however much
/// later it is polled. One that never waits has its answer since it was made.
pub(super) struct Arriving<F> {
    future: F,
    arrival: Arc<Arrival>,
}

struct Arrival(Mutex<State>);

struct State {
    at: Instant,
    waker: Option<Waker>,
}

impl<F> Arriving<F> {
    pub(super) fn new(future: F) -> Self {
        let state = State {
            at: Instant::now(),
            waker: None,
        };
        Self {
            future,
            arrival: Arc::new(Arrival(Mutex::new(state))),
        }
    }
}

impl<F: Future + Unpin> Future for Arriving<F> {
    type Output = (Instant, F::Output);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.arrival.state().waker = Some(cx.waker().clone());
        let waker = Waker::from(Arc::clone(&self.arrival));
        let polled = Pin::new(&mut self.future).poll(&mut Context::from_waker(&waker));
        polled.map(|output| (self.arrival.state().at, output))
    }
}

impl Arrival {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Arrival {
    fn wake(self: Arc<Self>) {
        let waker = {
            let mut state = self.state();
            state.at = Instant::now();
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_channel::oneshot;

    use super::*;

    #[test]
    fn an_answer_has_the_time_at_which_it_came_and_not_that_of_the_poll() {
        let (sender, receiver) = oneshot::channel();
        let mut arriving = pin!(Arriving::new(receiver));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(arriving.as_mut().poll(&mut cx).is_pending());
        let before = Instant::now();
        sender.send(7).unwrap();
        let after = Instant::now();
        while Instant::now() == after {}
        let Poll::Ready((at, answer)) = arriving.as_mut().poll(&mut cx) else {
            panic!("it was answered");
        };
        assert_eq!(answer, Ok(7));
        assert!(before <= at && at <= after);
    }

    #[test]
    fn what_never_waits_came_when_it_was_asked() {
        let arriving = Arriving::new(std::future::ready(()));
        let asked = Instant::now();
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready((at, ())) = pin!(arriving).poll(&mut cx) else {
            panic!("it is ready");
        };
        assert!(at <= asked);
    }
}
