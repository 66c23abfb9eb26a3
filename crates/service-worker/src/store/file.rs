//! Opens a redb file of a profile, whatever state it is in.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, StorageError};

/// Why a profile's file cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another browser has it open.
    #[error("{0} is in use by another process; close that browser, or choose another profile")]
    InUse(PathBuf),
    /// The disk refuses.
    #[error("cannot open {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// A file that the database refused and that was set aside; it is never deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} was not usable ({reason}); it is kept as {kept_as}, and {instead}",
    path = path.display(), kept_as = kept_as.display(),
    instead = if *from_copy { "the copy of the last clean close is used" } else { "an empty one is used" })]
pub struct SetAside {
    /// The file.
    pub path: PathBuf,
    /// What the database said of it.
    pub reason: String,
    /// Its name now.
    pub kept_as: PathBuf,
    /// Whether the copy of the last clean close took its place; if not, an empty file did.
    pub from_copy: bool,
}

/// Opens a redb file, or makes it. One that redb refuses is set aside under another name, and the
/// copy that [`keep_copy`] made takes its place if that one opens.
///
/// # Errors
/// If the file is in use, or the disk refuses.
pub fn open_database(path: &Path) -> Result<(Database, Option<SetAside>), OpenError> {
    let reason = match try_open(path)? {
        Ok(database) => return Ok((database, None)),
        Err(reason) => reason,
    };
    let failed = |error| OpenError::Io {
        path: path.to_owned(),
        error,
    };
    let kept_as = free_name(path, "damaged");
    fs::rename(path, &kept_as).map_err(failed)?;
    let copy = copy_of(path);
    if copy.exists() {
        fs::copy(&copy, path).map_err(failed)?;
        if let Ok(database) = try_open(path)? {
            let aside = SetAside {
                path: path.to_owned(),
                reason,
                kept_as,
                from_copy: true,
            };
            return Ok((database, Some(aside)));
        }
        fs::rename(path, free_name(path, "damaged-copy")).map_err(failed)?;
    }
    match try_open(path)? {
        Ok(database) => {
            let aside = SetAside {
                path: path.to_owned(),
                reason,
                kept_as,
                from_copy: false,
            };
            Ok((database, Some(aside)))
        }
        Err(reason) => Err(failed(io::Error::other(reason))),
    }
}

/// Keeps a copy of a file that has just been closed cleanly. It takes the old copy's place only
/// when it is whole on disk.
///
/// # Errors
/// If the disk refuses; the old copy is then still there.
pub fn keep_copy(path: &Path) -> io::Result<()> {
    let partial = with_suffix(path, "copying");
    fs::copy(path, &partial)?;
    fs::File::open(&partial)?.sync_all()?;
    fs::rename(&partial, copy_of(path))
}

/// Opens or makes; the inner error is what redb has against the file's content.
fn try_open(path: &Path) -> Result<Result<Database, String>, OpenError> {
    // redb meets some damaged files with a panic.
    let opened = catch_unwind(AssertUnwindSafe(|| Database::create(path)));
    match opened {
        Err(_) => Ok(Err("its structure is damaged".to_owned())),
        Ok(Ok(database)) => Ok(Ok(database)),
        Ok(Err(DatabaseError::DatabaseAlreadyOpen)) => Err(OpenError::InUse(path.to_owned())),
        Ok(Err(DatabaseError::Storage(StorageError::Io(error))))
            if !matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ) =>
        {
            Err(OpenError::Io {
                path: path.to_owned(),
                error,
            })
        }
        Ok(Err(refused)) => Ok(Err(refused.to_string())),
    }
}

fn copy_of(path: &Path) -> PathBuf {
    with_suffix(path, "last-clean")
}

/// The first of `name.suffix-1`, `name.suffix-2`, … that does not exist.
fn free_name(path: &Path, suffix: &str) -> PathBuf {
    (1_u64..)
        .map(|number| with_suffix(path, &format!("{suffix}-{number}")))
        .find(|candidate| !candidate.exists())
        .unwrap_or_else(|| with_suffix(path, suffix))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}
