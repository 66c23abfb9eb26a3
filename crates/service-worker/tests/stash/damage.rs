//! What is damaged, given back, or delivered too often.

use futures_util::{FutureExt, StreamExt};
use service_worker::message_port::{Message, MessageChannel};
use service_worker::stash::EntryId;
use service_worker::stash::record::{self, Kept, Kind, StoredCursor};
use service_worker::types::WorkerId;
use service_worker::{HostEvent, MemoryStore, Report};

use crate::common::{message, quiet};
use crate::restart::{Disk, Stand, says, stored, stored_messages};

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

/// Two pairs, each with a message that was never delivered; their entries.
async fn two_pairs() -> (MemoryStore, WorkerId, [[EntryId; 2]; 2]) {
    let disk = Disk::default();
    let mut stand = Stand::over(&disk);
    let worker = stand.install().await;
    let pairs = [stand.stash_both(worker), stand.stash_both(worker)];
    stand.dies(worker);
    quiet().await;
    for ([from, _], text) in pairs.into_iter().zip(["hello", "and you"]) {
        let handle = &stand.house.handle;
        handle.post_stashed(worker, from, message(text));
    }
    quiet().await;
    let state = stand.ends().await;
    assert_eq!(stored_messages(&state), 2);
    (state, worker, pairs)
}

#[tokio::test]
async fn no_flipped_byte_goes_unnoticed_and_each_costs_one_entry_whose_bytes_are_kept() {
    let (state, worker, pairs) = two_pairs().await;
    let rows = state.clone().rows_mut().clone();
    let mut flips = 0;
    for (key, row) in rows {
        for at in 0..row.len() {
            let mut damaged = state.clone();
            damaged.rows_mut().get_mut(&key).unwrap()[at] ^= 0x10;
            let bytes = damaged.rows_mut()[&key].clone();
            let mut again = Stand::over(&Disk::holding(damaged));
            quiet().await;
            let (id, _) = record::parse_key(&key).unwrap();
            let told = &again.house.quarantined;
            assert!(
                matches!(&told[..], [line] if line.contains(&id.to_string())),
                "{told:?}"
            );
            // Its partner hears `close`, and the other pair nothing of it.
            let (hurt, whole) = match pairs[0].contains(&id) {
                true => (0, 1),
                false => (1, 0),
            };
            let handle = again.house.handle.clone();
            let listed: Vec<_> = ["a", "b"]
                .iter()
                .flat_map(|name| handle.match_stashed(worker, name))
                .collect();
            assert!(pairs[whole].iter().all(|entry| listed.contains(entry)));
            assert!(!listed.contains(&id));
            let to_whole = ["hello", "and you"][whole];
            let to_hurt = ["hello", "and you"][hurt];
            let heard = usize::from(pairs[hurt][1] != id);
            let said = again.said(2 + heard).await;
            let said: Vec<_> = said.iter().map(|(text, _)| text.as_str()).collect();
            assert!(
                said.contains(&to_whole) && said.contains(&"close"),
                "{said:?}"
            );
            assert_eq!(said.contains(&to_hurt), heard == 1, "{said:?}");
            let mut after = again.ends().await;
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
async fn a_row_whose_key_is_damaged_is_reported_kept_aside_and_removed_alone() {
    let (state, _, _) = two_pairs().await;
    let rows = state.clone().rows_mut().clone();
    for key in rows.keys() {
        // What the row is, and a number's last byte, which is not written any more.
        for (at, bit) in [(14, 0x08), (14, 0x40), (key.len() - 1, 0x80)] {
            let mut damaged = state.clone();
            let row = damaged.rows_mut().remove(key).unwrap();
            let mut changed = key.clone();
            changed[at] ^= bit;
            damaged.rows_mut().insert(changed.clone(), row.clone());
            let again = Stand::over(&Disk::holding(damaged));
            let told = again.house.quarantined.len();
            assert!((1..=2).contains(&told), "{:?}", again.house.quarantined);
            let mut after = again.ends().await;
            assert!(!after.rows_mut().contains_key(&changed), "{changed:?}");
            let kept = kept(&mut after);
            let is_it = |kept: &Kept| kept.key == changed && kept.bytes == row;
            assert!(kept.iter().any(is_it), "{kept:?}");
            let others = after.rows_mut().keys();
            let entries = others.filter_map(|key| record::parse_key(key));
            let entries = entries.filter(|(_, kind)| *kind == Kind::Entry).count();
            assert!(entries >= 2, "the other pair is there: {entries}");
        }
    }
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
async fn a_browser_that_ends_cleanly_with_a_message_under_way_does_not_count_against_it() {
    let mut state = undelivered("hello").await;
    // It dies of it once.
    let disk = Disk::holding(state);
    Stand::over(&disk).given().await;
    state = disk.now();
    for _ in 0..5 {
        let mut again = Stand::over(&Disk::holding(state));
        let (_, _, detail) = again.given().await;
        assert_eq!(says(&detail), ("hello".to_owned(), true));
        state = again.ends().await;
    }
    assert_eq!(stored_messages(&state), 1);
}

#[tokio::test]
async fn the_ports_of_a_quarantined_message_close() {
    let disk = Disk::default();
    let mut stand = Stand::over(&disk);
    let worker = stand.install().await;
    let [a, b] = stand.stash_both(worker);
    let MessageChannel { port1, port2 } = MessageChannel::new();
    let c = stand.house.handle.stash_port(worker, "c", port1);
    c.unwrap().unwrap();
    stand.dies(worker);
    quiet().await;
    let carrying = message("poison").with_port(port2.transfer().unwrap());
    stand.house.handle.post_stashed(worker, a, carrying);
    quiet().await;
    let mut state = stand.ends().await;
    // It was delivered, and delivered again, and the browser died of it each time.
    let (of, number, _) = stored(&state).remove(0);
    assert_eq!(of, b);
    let mut put = |key: Vec<u8>, row: Vec<u8>| state.rows_mut().insert(key, row);
    let cursor = record::key(b, Kind::Cursor);
    let granted = StoredCursor {
        granted: number + 1,
        consumed: 0,
    };
    let row = record::encode(&cursor, &granted).unwrap();
    put(cursor, row);
    let attempts = record::key(b, Kind::Attempts(number));
    let row = record::encode(&attempts, &3_u32).unwrap();
    put(attempts, row);
    let mut again = Stand::over(&Disk::holding(state));
    assert_eq!(again.said(1).await, [("close".to_owned(), false)], "to c");
    let reports = std::iter::from_fn(|| again.house.reports.next().now_or_never()?);
    let quarantined =
        |it: &Report| matches!(it, Report::StashQuarantined { entry, .. } if *entry == b);
    assert_eq!(reports.filter(quarantined).count(), 1);
    let handle = again.house.handle.clone();
    assert!(handle.match_stashed(worker, "c").is_empty());
    assert_eq!(handle.match_stashed(worker, "b"), [b]);
    let left = again.ends().await;
    assert_eq!(stored_messages(&left), 0);
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
