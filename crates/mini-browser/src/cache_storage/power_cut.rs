//! Cuts the power at every write of a history, and looks at what is there afterwards.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, StatusCode};
use redb::{Builder, StorageBackend};
use service_worker::types::fetch::{RequestHead, ResponseHead};
use service_worker::types::{Origin, StorageKey};
use url::Url;

use super::CacheError;
use super::bodies::{Bodies, Progress};
use super::index::Index;
use super::shelf::{Finished, Shelf};

const SEED: u64 = 0x0dd5_eed5;

/// What a cache holds: path → body.
type Contents = BTreeMap<String, String>;

/// A disk that takes a number of writes and syncs, and then has no power. Of what was written
/// since the last sync, any part may be there afterwards.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<DiskState>>);

#[derive(Debug, Default)]
struct DiskState {
    durable: Vec<u8>,
    now: Vec<u8>,
    since_sync: Vec<(u64, Vec<u8>)>,
    steps_left: usize,
    steps: usize,
}

impl Disk {
    fn holding(bytes: Vec<u8>, steps: usize) -> Self {
        Self(Arc::new(Mutex::new(DiskState {
            durable: bytes.clone(),
            now: bytes,
            steps_left: steps,
            ..DiskState::default()
        })))
    }

    /// What is there when the power is back.
    fn after_the_cut(&self, mut random: u64) -> Vec<u8> {
        let state = self.0.lock().unwrap();
        let mut bytes = state.durable.clone();
        bytes.resize(state.now.len().max(bytes.len()), 0);
        for (offset, written) in &state.since_sync {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let kept = match random % 3 {
                0 => 0,
                1 => written.len() / 2,
                _ => written.len(),
            };
            let offset = *offset as usize;
            bytes[offset..offset + kept].copy_from_slice(&written[..kept]);
        }
        bytes
    }

    fn step(&self) -> io::Result<std::sync::MutexGuard<'_, DiskState>> {
        let mut state = self.0.lock().unwrap();
        state.steps += 1;
        if state.steps_left == 0 {
            return Err(io::Error::other("no power"));
        }
        state.steps_left -= 1;
        Ok(state)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.lock().unwrap();
        let offset = offset as usize;
        out.copy_from_slice(&state.now[offset..offset + out.len()]);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.step()?.now.resize(length as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.step()?;
        state.durable = state.now.clone();
        state.since_sync.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.step()?;
        let start = offset as usize;
        state.now[start..start + data.len()].copy_from_slice(data);
        state.since_sync.push((offset, data.to_vec()));
        Ok(())
    }
}

fn load(disk: &Disk, folder: &Path) -> Result<(Shelf, usize), redb::Error> {
    let database = Builder::new().create_with_backend(disk.clone())?;
    Shelf::load(
        Index::new(database)?,
        Bodies::Folder(folder.to_owned()),
        u64::MAX,
    )
}

fn key() -> StorageKey {
    StorageKey::first_party(Origin::of(&Url::parse("https://a.test/").unwrap()))
}

fn request(path: &str) -> RequestHead {
    let url = Url::parse(&format!("https://a.test/{path}")).unwrap();
    RequestHead::get(url.clone(), Origin::of(&url))
}

fn put(shelf: &mut Shelf, cache: u64, entries: &[(String, String)]) -> Result<(), CacheError> {
    let mut finished = Vec::new();
    for (path, text) in entries {
        let body = shelf.begin_body(cache)?;
        shelf.append(body, text.as_bytes())?;
        shelf.finish_body(body)?;
        finished.push(Finished {
            request: request(path),
            response: ResponseHead::new(StatusCode::OK, HeaderMap::new()),
            body,
        });
    }
    shelf.put(cache, finished)
}

fn contents(shelf: &mut Shelf, cache: u64) -> Contents {
    let found = shelf.query(cache, None).unwrap();
    found
        .into_iter()
        .map(|(key, record)| {
            let body = shelf.read(&key, record.body.unwrap(), &mut Progress::new());
            let text = String::from_utf8(body.unwrap().to_vec()).unwrap();
            (record.request.url().path()[1..].to_owned(), text)
        })
        .collect()
}

/// What step `n` of the history does to the contents.
fn after_step(n: usize, before: &Contents) -> (Contents, Vec<(String, String)>) {
    let put: Vec<_> = match n % 4 {
        0 => vec![("a".into(), format!("a of {n}"))],
        1 | 2 => ["state", "segment"]
            .map(|path| (path.to_owned(), format!("{path} of {n}")))
            .into(),
        _ => Vec::new(),
    };
    let mut after = before.clone();
    after.extend(put.iter().cloned());
    if put.is_empty() {
        after.remove("a");
    }
    (after, put)
}

/// Runs the history until its end or the power's: what was acknowledged, and what was under way.
fn run(shelf: &mut Shelf, cache: u64) -> (Contents, Contents) {
    let mut acknowledged = Contents::new();
    for n in 0..8 {
        let (after, entries) = after_step(n, &acknowledged);
        let done = if entries.is_empty() {
            let deleted = shelf.delete_entries(cache, &request("a"), Default::default());
            deleted.map(|deleted| assert!(deleted))
        } else {
            put(shelf, cache, &entries)
        };
        if done.is_err() {
            return (acknowledged, after);
        }
        acknowledged = after;
    }
    (acknowledged.clone(), acknowledged)
}

#[test]
fn after_a_power_cut_at_any_write_nothing_acknowledged_is_lost_and_no_batch_is_half_there() {
    println!("SEED={SEED:#x}");
    let folder = tempfile::tempdir().unwrap();
    let empty = Disk::holding(Vec::new(), usize::MAX);
    let (mut shelf, _) = load(&empty, folder.path()).unwrap();
    let id = shelf.open(&key(), "x").unwrap();
    drop(shelf);
    let beginning = empty.after_the_cut(1);

    // How many steps the whole history takes, from opening to closing.
    let uncut = Disk::holding(beginning.clone(), usize::MAX);
    let (mut shelf, _) = load(&uncut, folder.path()).unwrap();
    run(&mut shelf, id);
    drop(shelf);
    let steps = uncut.0.lock().unwrap().steps;
    assert!(steps > 30, "{steps}");

    let mut lost_an_unacknowledged_step = 0;
    for cut in 0..steps {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::holding(beginning.clone(), cut);
        // The power may go while the store is opened.
        let (acknowledged, under_way) = match load(&disk, folder.path()) {
            Ok((mut shelf, _)) => run(&mut shelf, id),
            Err(_) => Default::default(),
        };
        let after = Disk::holding(disk.after_the_cut(SEED + cut as u64), usize::MAX);
        let (mut shelf, _) = load(&after, folder.path()).unwrap();
        assert_eq!(shelf.take_damage(), [], "cut {cut}");
        assert_eq!(shelf.find(&key(), "x"), Some(id));
        let found = contents(&mut shelf, id);
        assert!(
            found == acknowledged || found == under_way,
            "cut {cut}: {found:?} instead of {acknowledged:?} or {under_way:?}"
        );
        lost_an_unacknowledged_step += usize::from(found != under_way);
        // Nothing is left over in the folder.
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, found.len(), "cut {cut}");
    }
    assert!(lost_an_unacknowledged_step > 0);
}
