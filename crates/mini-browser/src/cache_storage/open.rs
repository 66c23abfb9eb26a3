//! Opening a shelf on disk, whatever state its files are in.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::backends::InMemoryBackend;
use redb::{Builder, Database};

use super::bodies::Bodies;
use super::index::Index;
use super::shelf::Shelf;
use super::{OpenError, OpenReport, SetAside};

/// What redb may keep of the index in memory, in bytes.
const INDEX_CACHE: usize = 4 << 20;

/// What the caches of one storage key may take, in bytes: on disk, and in memory.
const PROFILE_QUOTA: u64 = 10 << 30;
const SESSION_QUOTA: u64 = 256 << 20;

/// Opens the shelf whose index is at `path` and whose bodies are beside it. What redb refuses is
/// set aside, and the shelf is empty then.
pub(super) fn open_on_disk(path: &Path) -> Result<(Shelf, OpenReport), OpenError> {
    let reason = match open_as_it_is(path)? {
        Ok(opened) => return Ok(opened),
        Err(reason) => reason,
    };
    let set_aside = set_aside(path, reason)?;
    tracing::warn!(?set_aside, "the caches' index was not usable");
    match open_as_it_is(path)? {
        Ok((shelf, mut report)) => {
            report.set_aside = Some(set_aside);
            Ok((shelf, report))
        }
        Err(reason) => Err(OpenError::Index {
            path: path.to_owned(),
            reason,
        }),
    }
}

/// A shelf that leaves nothing on disk.
pub(super) fn open_in_memory() -> Result<Shelf, OpenError> {
    let failed = |reason: String| OpenError::Index {
        path: PathBuf::from(":memory:"),
        reason,
    };
    let database = Builder::new()
        .set_cache_size(INDEX_CACHE)
        .create_with_backend(InMemoryBackend::new())
        .map_err(|error| failed(error.to_string()))?;
    let index = Index::new(database).map_err(|error| failed(error.to_string()))?;
    let (shelf, _) = Shelf::load(index, Bodies::Memory(Default::default()), SESSION_QUOTA)
        .map_err(|error| failed(error.to_string()))?;
    Ok(shelf)
}

/// A shelf, or what is damaged of its index.
type Opened = Result<(Shelf, OpenReport), String>;

fn open_as_it_is(path: &Path) -> Result<Opened, OpenError> {
    let folder = beside(path);
    fs::create_dir_all(&folder).map_err(|source| OpenError::Io {
        path: folder.clone(),
        source,
    })?;
    // redb checks its pages' checksums here, but pages that are damaged in a way that it does not
    // expect make it panic.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let loaded = open_checked(path)
            .and_then(Index::new)
            .and_then(|index| Shelf::load(index, Bodies::Folder(folder.clone()), PROFILE_QUOTA));
        match loaded {
            Ok((mut shelf, swept)) => {
                let report = OpenReport {
                    set_aside: None,
                    damage: shelf.take_damage(),
                    swept,
                };
                Ok(Ok((shelf, report)))
            }
            Err(error) => refusal(path, error),
        }
    }));
    opened.unwrap_or_else(|_| Ok(Err("reading it made redb panic".into())))
}

fn open_checked(path: &Path) -> Result<Database, redb::Error> {
    let mut database = Builder::new().set_cache_size(INDEX_CACHE).create(path)?;
    if !database.check_integrity()? {
        tracing::warn!(path = %path.display(), "redb repaired the caches' index");
    }
    Ok(database)
}

/// Tells a damaged index from one that is merely not to be had now.
fn refusal(path: &Path, error: redb::Error) -> Result<Opened, OpenError> {
    let path = path.to_owned();
    match error {
        redb::Error::DatabaseAlreadyOpen => Err(OpenError::InUse { path }),
        redb::Error::Io(source) if !is_damage(&source) => Err(OpenError::Io { path, source }),
        error => Ok(Err(error.to_string())),
    }
}

fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput
    )
}

/// Renames the index and the folder of its bodies; the first number that is free.
fn set_aside(path: &Path, reason: String) -> Result<SetAside, OpenError> {
    let mut number = 1u64;
    let mut index = with_ending(path, ".damaged-1");
    while index.exists() || beside(&index).exists() {
        number += 1;
        index = with_ending(path, &format!(".damaged-{number}"));
    }
    let (bodies, bodies_aside) = (beside(path), beside(&index));
    let rename = |from: &Path, to: &Path| {
        fs::rename(from, to).map_err(|source| OpenError::Io {
            path: from.to_owned(),
            source,
        })
    };
    // The bodies first: if the second step fails, the next start sees the damaged index again, and
    // not bodies that no row names.
    rename(&bodies, &bodies_aside)?;
    rename(path, &index)?;
    Ok(SetAside {
        index,
        bodies: Some(bodies_aside),
        reason,
    })
}

/// The folder of the bodies of an index.
fn beside(index: &Path) -> PathBuf {
    with_ending(index, ".bodies")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
