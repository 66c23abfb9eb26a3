//! What is damaged, given back, or delivered too often.

use futures_util::StreamExt;
use service_worker::message_port::{Message, MessageChannel};
use service_worker::stash::record::{self, Kept, Kind};
use service_worker::{HostEvent, MemoryStore, Report};

use crate::common::{message, quiet};
use crate::restart::{Disk, Stand, says, stored_messages};

/// A message that is stored and was never delivered.
async fn undelivered(payload: &str) -> MemoryStore {
    let disk = Disk::default();
    let mut stand = Stand::over(&disk);
    let worker = stand.install().await;
    let [a, _] = stand.stash_both(worker);
    stand.dies(worker);
    quiet().await;
    stand
        .house
        .handle
        .post_stashed(worker, a, Message::new(payload.to_owned()));
    quiet().await;
    let state = stand.ends().await;
    assert_eq!(stored_messages(&state), 1);
    state
}

fn kept(state: &mut MemoryStore) -> Vec<Kept> {
    let rows = state.rows_mut().iter();
    let rows = rows.filter(|(key, _)| record::parse_kept_key(key).is_some());
    rows.map(|(key, row)| record::decode(key, row).unwrap())
        .collect()
}

#[tokio::test]
async fn no_flipped_byte_goes_unnoticed_and_each_costs_one_entry_whose_bytes_are_kept() {
    let state = undelivered("hello").await;
    let rows = state.clone().rows_mut().clone();
    let mut flips = 0;
    for (key, row) in rows {
        for at in 0..row.len() {
            let mut damaged = state.clone();
            damaged.rows_mut().get_mut(&key).unwrap()[at] ^= 0x10;
            let bytes = damaged.rows_mut()[&key].clone();
            let again = Stand::over(&Disk::holding(damaged));
            let mut after = again.ends().await;
            let (id, _) = record::parse_key(&key).unwrap();
            assert!(!after.rows_mut().contains_key(&record::key(id, Kind::Entry)));
            let kept = kept(&mut after);
            assert!(
                kept.iter()
                    .any(|kept| kept.key == key && kept.bytes == bytes),
                "{kept:?}"
            );
            flips += 1;
        }
    }
    assert!(flips > 50, "{flips}");
}

#[tokio::test]
async fn what_is_kept_aside_is_bounded() {
    let mut state = undelivered("hello").await;
    for _ in 0..60 {
        let rows = state.rows_mut();
        let entries = rows.iter().filter(|(key, _)| {
            matches!(
                record::parse_key(key),
                Some((_, Kind::Entry | Kind::Message(_)))
            )
        });
        let entries: Vec<_> = entries
            .map(|(key, row)| (key.clone(), row.clone()))
            .collect();
        for (key, _) in &entries {
            *rows.get_mut(key).unwrap().last_mut().unwrap() ^= 1;
        }
        let mut after = Stand::over(&Disk::holding(state.clone())).ends().await;
        assert!(kept(&mut after).len() <= 64);
        state = after;
        state.rows_mut().extend(entries);
    }
    assert_eq!(kept(&mut state).len(), 64);
}

#[tokio::test]
async fn a_damaged_payload_closes_its_entry_when_it_is_to_be_delivered() {
    let long = "long ".repeat(1_000);
    for at in [0, 3, 5, 2_000] {
        let mut state = undelivered(&long).await;
        let (key, blob) = state.blobs_mut().iter_mut().next().unwrap();
        let key = key.clone();
        blob[at] ^= 1;
        let bytes = blob.clone();
        let mut again = Stand::over(&Disk::holding(state));
        assert_eq!(
            again.said(1).await,
            [("close".to_owned(), false)],
            "its peer"
        );
        again.house.handle.shut_down().await;
        let mut reports = Vec::new();
        while let Some(report) = again.house.reports.next().await {
            reports.push(report);
        }
        let quarantined = |it: &Report| matches!(it, Report::StashQuarantined { .. });
        assert!(reports.iter().any(quarantined), "{reports:?}");
        let kept = kept(&mut again.ends().await);
        assert!(
            kept.iter()
                .any(|kept| kept.key == key && kept.bytes == bytes)
        );
    }
}

#[tokio::test]
async fn a_message_is_redelivered_three_times_and_then_quarantined() {
    let mut state = undelivered("poison").await;
    for (round, redelivered) in [false, true, true, true].into_iter().enumerate() {
        let disk = Disk::holding(state);
        let mut again = Stand::over(&disk);
        let (_, _, detail) = again.given().await;
        assert_eq!(says(&detail), ("poison".to_owned(), redelivered), "{round}");
        // The browser dies of it.
        state = disk.now();
    }
    let mut last = Stand::over(&Disk::holding(state)).ends().await;
    assert_eq!(stored_messages(&last), 0);
    let kept = kept(&mut last);
    assert!(kept.iter().any(|kept| kept.bytes == b"poison"), "{kept:?}");
}

#[tokio::test]
async fn a_message_that_comes_back_is_not_marked_after_a_restart() {
    let disk = Disk::default();
    let mut stand = Stand::over(&disk);
    let worker = stand.install().await;
    let [a, _] = stand.stash_both(worker);
    let handle = stand.house.handle.clone();
    handle.post_stashed(worker, a, message("one"));
    let (_, event, detail) = stand.given().await;
    let undelivered = HostEvent::Undelivered {
        worker,
        event,
        detail,
    };
    handle.host_event(undelivered);
    stand.dies(worker);
    quiet().await;
    let state = stand.ends().await;
    let mut again = Stand::over(&Disk::holding(state));
    assert_eq!(again.said(1).await, [("one".to_owned(), false)]);
}

#[tokio::test]
async fn a_message_under_way_when_its_entry_becomes_durable_is_stored() {
    let disk = Disk::default();
    let mut stand = Stand::over(&disk);
    let worker = stand.install().await;
    let handle = stand.house.handle.clone();
    let MessageChannel { port1, port2 } = MessageChannel::new();
    handle.stash_port(worker, "a", port1).unwrap().unwrap();
    for word in ["one", "two", "three"] {
        port2.post_message(message(word));
    }
    let (_, _, detail) = stand.given().await;
    assert_eq!(says(&detail).0, "one");
    let b = handle.stash_port(worker, "b", port2).unwrap().unwrap();
    handle.post_stashed(worker, b, message("four"));
    while stored_messages(&disk.now()) < 4 {
        std::thread::yield_now();
        quiet().await;
    }
    // The browser dies.
    let mut again = Stand::over(&Disk::holding(disk.now()));
    let said = again.said(4).await;
    let expected = [
        ("one", true),
        ("two", false),
        ("three", false),
        ("four", false),
    ];
    let texts: Vec<_> = said.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(texts, expected.map(|(text, _)| text));
    assert!(said[0].1, "it may have been dispatched");
}
