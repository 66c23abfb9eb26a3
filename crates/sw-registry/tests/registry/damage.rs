//! Damage inside stored records, and random bytes in their place.

use sw_registry::record::{self, RecordError};
use sw_registry::{Limits, MemoryStore, Registry, RegistryStore, Report, StoredRegistration};
use sw_types::RegistrationId;

use crate::harness::{Host, key, script, with_header};
use crate::reference::random::Random;

const HEAD: usize = 5;

/// Three registrations, the second with a version that waits, imports and a mode of its own.
fn profile() -> (MemoryStore, RegistrationId) {
    let mut host = Host::new();
    let first = host.register("/", "/sw.js");
    assert!(host.result(first).unwrap().is_ok());
    let second = host.register("/a", "/sw.js");
    let second = host.registered(second);
    let client = host.client("/a/x");
    host.uses(client, second);
    host.serve("/sw.js", with_header(script("2"), "x-of", "the second"));
    host.update(second);
    assert!(host.view(second).waiting.is_some());
    let third = host.register("/b", "/sw.js");
    assert!(host.result(third).unwrap().is_ok());
    (host.store, second)
}

fn row_of(store: &mut MemoryStore, id: RegistrationId) -> Vec<u8> {
    store.row_mut(id).unwrap().clone()
}

/// A registry that starts with what a store gives: who is listed, and what it reports.
fn start(store: &mut MemoryStore) -> (Vec<RegistrationId>, Vec<Report>) {
    let mut registry = Registry::new(Limits::default(), store.restore().unwrap());
    let mut reports = Vec::new();
    while let Some(output) = registry.poll_output() {
        if let sw_registry::Output::Report(report) = output {
            reports.push(report);
        }
    }
    let listed = registry.registrations_of(&key());
    (listed.iter().map(|view| view.id).collect(), reports)
}

#[test]
fn any_bit_of_a_row_that_flips_costs_that_registration_alone_and_is_reported_once() {
    let (store, second) = profile();
    let length = row_of(&mut store.clone(), second).len();
    for at in 0..length {
        for bit in 0..8 {
            let mut store = store.clone();
            store.row_mut(second).unwrap()[at] ^= 1 << bit;
            let (listed, reports) = start(&mut store);
            let context = format!("byte {at}, bit {bit}");
            assert_eq!(listed.len(), 2, "{context}");
            assert!(!listed.contains(&second), "{context}");
            let [Report::Quarantined(line)] = reports.as_slice() else {
                panic!("{context}: {reports:?}");
            };
            assert!(line.contains(&second.to_string()), "{context}: {line}");
        }
    }
}

#[test]
fn a_row_that_is_cut_off_or_empty_costs_that_registration_alone() {
    let (store, second) = profile();
    let length = row_of(&mut store.clone(), second).len();
    for rest in 0..length {
        let mut store = store.clone();
        store.row_mut(second).unwrap().truncate(rest);
        let (listed, reports) = start(&mut store);
        assert_eq!((listed.len(), reports.len()), (2, 1), "{rest} bytes");
    }
}

#[test]
fn any_bit_of_a_script_that_flips_is_found() {
    let mut headers = script("self.onfetch = () => {};").headers;
    headers.append("content-security-policy", "sandbox".parse().unwrap());
    let body = script("self.onfetch = () => {};").body;
    let record = record::encode_script(&sw_types::ScriptResource { body, headers }).unwrap();
    for at in 0..record.len() {
        for bit in 0..8 {
            let mut flipped = record.clone();
            flipped[at] ^= 1 << bit;
            let error = record::decode_script(&flipped).unwrap_err();
            let expected = match at {
                0 => matches!(error, RecordError::Version(_)),
                _ => error == RecordError::Checksum,
            };
            assert!(expected, "byte {at}, bit {bit}: {error}");
        }
    }
}

/// Bytes altered under a checksum that is right, as another program or a bug would leave them.
fn mutated(record: &[u8], random: &mut Random) -> Vec<u8> {
    let mut mutated = record.to_vec();
    for _ in 0..=random.below(4) {
        let at = HEAD + random.below(mutated.len() - HEAD);
        mutated[at] = random.next() as u8;
    }
    if random.one_in(4) {
        mutated.truncate(HEAD + random.below(mutated.len() - HEAD));
    }
    if random.one_in(4) {
        let more = random.below(9);
        mutated.extend((0..more).map(|_| random.next() as u8));
    }
    let mut sum = crc32fast::Hasher::new();
    sum.update(&mutated[..1]);
    sum.update(&mutated[HEAD..]);
    mutated[1..HEAD].copy_from_slice(&sum.finalize().to_le_bytes());
    mutated
}

#[test]
fn mutated_rows_are_restored_whole_or_quarantined_and_never_a_panic() {
    let seed = 0x5eed;
    println!("seed {seed}");
    let random = &mut Random(seed);
    let (store, second) = profile();
    let row = row_of(&mut store.clone(), second);
    let mut kept = 0;
    for _ in 0..5_000 {
        let mut store = store.clone();
        *store.row_mut(second).unwrap() = mutated(&row, random);
        let (listed, reports) = start(&mut store);
        // What it says of itself may now be another key's, so it is listed there or nowhere.
        assert!(listed.len() + reports.len() >= 2, "{listed:?} {reports:?}");
        assert!(reports.len() <= 2, "{reports:?}");
        kept += usize::from(reports.is_empty());
    }
    println!("{kept} made sense");
    assert!(kept > 10, "the checksum is wrong");
}

#[test]
fn mutated_scripts_decode_or_are_errors_and_never_a_panic() {
    let seed = 0xf00d;
    println!("seed {seed}");
    let random = &mut Random(seed);
    let resource = sw_types::ScriptResource {
        body: script("self.onfetch = () => {};").body,
        headers: script("").headers,
    };
    let record = record::encode_script(&resource).unwrap();
    let mut kept = 0;
    for _ in 0..20_000 {
        if let Ok(script) = record::decode_script(&mutated(&record, random)) {
            let again = record::encode_script(&script).unwrap();
            assert_eq!(record::decode_script(&again), Ok(script));
            kept += 1;
        }
    }
    assert!(kept > 10, "the checksum is wrong");
}

#[test]
fn mutated_rows_that_decode_can_be_written_again() {
    let seed = 0xcafe;
    println!("seed {seed}");
    let random = &mut Random(seed);
    let (store, second) = profile();
    let row = row_of(&mut store.clone(), second);
    for _ in 0..10_000 {
        let Ok(decoded) = record::decode_registration(&mutated(&row, random)) else {
            continue;
        };
        let registration: StoredRegistration = decoded.registration.clone();
        let urls = |worker| {
            let of_it = decoded.scripts.iter().find(|(id, _)| *id == worker);
            of_it.map_or_else(Vec::new, |(_, urls)| urls.clone())
        };
        let again = record::encode_registration(&registration, urls).unwrap();
        assert_eq!(record::decode_registration(&again), Ok(decoded.clone()));
    }
}
