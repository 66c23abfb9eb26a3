//! Workers that die and stores that fail between any two messages.

use std::sync::mpsc;
use std::task::Poll;

use service_worker::message_port::{MessageChannel, Posted};
use service_worker::types::WorkerId;
use service_worker::{HostEvent, Report};

use crate::common::{message, quiet};
use crate::restart::{Disk, Failure, Stand, WORDS, says, stored_messages};
use futures_util::StreamExt;

/// What becomes of the message that a worker has when it dies.
#[derive(Clone, Copy, Debug)]
enum Last {
    /// It comes back.
    GivenBack,
    /// It was dispatched.
    Dispatched,
    /// The host comes with its word after the death.
    GivenBackLate,
}

#[tokio::test]
async fn a_worker_that_dies_between_any_two_messages_gets_each_once_and_in_order() {
    for durable in [true, false] {
        for last in [Last::GivenBack, Last::Dispatched, Last::GivenBackLate] {
            for cut in 0..WORDS.len() {
                let disk = Disk::default();
                let mut stand = Stand::over(&disk);
                let worker = stand.install().await;
                let MessageChannel { port1, port2 } = MessageChannel::new();
                let stash = |port| stand.house.handle.stash_port(worker, "a", port);
                stash(port1).unwrap().unwrap();
                let post: Box<dyn Fn(&'static str) -> Posted> = if durable {
                    let b = stash(port2).unwrap().unwrap();
                    let handle = stand.house.handle.clone();
                    Box::new(move |word| handle.post_stashed(worker, b, message(word)))
                } else {
                    Box::new(move |word| port2.post_message(message(word)))
                };
                for word in WORDS {
                    assert_eq!(post(word), Posted::Queued);
                }
                let mut said = stand.said(cut).await;
                let (_, event, detail) = stand.given().await;
                let undelivered = |detail| HostEvent::Undelivered {
                    worker,
                    event,
                    detail,
                };
                let handle = stand.house.handle.clone();
                match last {
                    Last::GivenBack => {
                        handle.host_event(undelivered(detail));
                        stand.dies(worker);
                    }
                    Last::GivenBackLate => {
                        stand.dies(worker);
                        quiet().await;
                        handle.host_event(undelivered(detail));
                    }
                    Last::Dispatched => {
                        said.push(says(&detail));
                        handle.host_event(HostEvent::Dispatched { worker, event });
                        stand.dies(worker);
                    }
                }
                let left = WORDS.len() - said.len();
                said.extend(stand.said_in_time(left).await);
                let expected = WORDS.map(|word| (word.to_owned(), false));
                assert_eq!(said, expected, "{durable} {last:?} {cut}");
            }
        }
    }
}

/// Both ends stashed, and five messages; what was said until nothing more came.
async fn conversation(disk: &Disk) -> (Stand, Vec<(String, bool)>) {
    let mut stand = Stand::over(disk);
    let worker = stand.install().await;
    stand.house.handle.caught_up().await;
    quiet().await;
    talk(stand, worker).await
}

async fn talk(mut stand: Stand, worker: WorkerId) -> (Stand, Vec<(String, bool)>) {
    let [a, _] = stand.stash_both(worker);
    let handle = stand.house.handle.clone();
    let mut said = Vec::new();
    for word in WORDS {
        handle.post_stashed(worker, a, message(word));
        // A store that refuses is offered it again after a while.
        said.extend(stand.said_in_time(1).await);
    }
    (stand, said)
}

#[tokio::test]
async fn a_store_that_refuses_any_one_write_delays_messages_and_loses_none() {
    let disk = Disk::default();
    let (stand, _) = conversation(&disk).await;
    let writes = stand.ends().await;
    assert_eq!(stored_messages(&writes), 0);
    let writes = disk.states().len();
    let expected = WORDS.map(|word| (word.to_owned(), false));
    let mut reported = 0;
    for write in 0..writes {
        let disk = Disk::default();
        let mut stand = Stand::over(&disk);
        let worker = stand.install().await;
        stand.house.handle.caught_up().await;
        quiet().await;
        disk.fail_at(write, Failure::Refused);
        let (mut stand, said) = talk(stand, worker).await;
        assert_eq!(said, expected, "write {write}");
        stand.house.handle.shut_down().await;
        while let Some(report) = stand.house.reports.next().await {
            reported += usize::from(matches!(report, Report::StashNotStored { .. }));
        }
        // The last removal may be what was refused.
        assert!(stored_messages(&disk.now()) <= 1, "write {write}");
    }
    assert!(reported >= 3, "{reported}: it was about something");
}

#[tokio::test]
async fn what_a_store_refuses_is_not_delivered_and_not_dropped_until_it_takes_it() {
    let disk = Disk::default();
    let mut stand = Stand::over(&disk);
    let worker = stand.install().await;
    let [a, _] = stand.stash_both(worker);
    while disk.now().rows_mut().len() < 2 {
        std::thread::yield_now();
        quiet().await;
    }
    let handle = stand.house.handle.clone();
    let before = disk.commits();
    disk.fail_at(0, Failure::RefusedTimes(4));
    handle.post_stashed(worker, a, message("one"));
    handle.post_stashed(worker, a, message("two"));
    let mut said = Vec::new();
    while said.len() < 2 {
        if let Poll::Ready((worker, event, detail)) = stand.given_now().await {
            assert!(disk.commits() > before + 4, "the store does not have it");
            said.push(says(&detail));
            stand.settle(worker, event);
        }
        std::thread::yield_now();
        stand.house.pass_seconds(1).await;
    }
    let expected = ["one", "two"].map(|word| (word.to_owned(), false));
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_store_that_stops_at_any_write_holds_up_messages_and_nothing_else() {
    let disk = Disk::default();
    let (stand, _) = conversation(&disk).await;
    stand.ends().await;
    let writes = disk.states().len();
    let expected = WORDS.map(|word| (word.to_owned(), false));
    for write in 0..writes {
        let disk = Disk::default();
        let mut stand = Stand::over(&disk);
        let worker = stand.install().await;
        stand.house.handle.caught_up().await;
        quiet().await;
        let (thaw, frozen) = mpsc::channel();
        disk.fail_at(write, Failure::Frozen(frozen));
        let [a, _] = stand.stash_both(worker);
        let handle = stand.house.handle.clone();
        for word in WORDS {
            handle.post_stashed(worker, a, message(word));
        }
        // The driver is there for others.
        assert_eq!(handle.match_stashed(worker, "a"), [a]);
        handle.caught_up().await;
        quiet().await;
        thaw.send(()).unwrap();
        assert_eq!(stand.said(WORDS.len()).await, expected, "write {write}");
        drop(thaw);
    }
}
