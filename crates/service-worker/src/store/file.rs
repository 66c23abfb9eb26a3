//! Opens a redb file of a profile, whatever state it is in, and keeps a copy of it.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, StorageError};
use sw_registry::StoreError;

/// What redb may keep of a file in memory, in bytes. (By itself it would take a gigabyte.)
const CACHE: usize = 16 << 20;

/// Why a profile's file cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another browser has it open.
    #[error("{} is in use by another process; close that browser, or choose another profile", .0.display())]
    InUse(PathBuf),
    /// The disk refuses.
    #[error("cannot open {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// A file that was not usable and that was set aside; it is never deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} was not usable ({reason}); it is kept as {kept_as}, and {instead}",
    path = path.display(), kept_as = kept_as.display(),
    instead = if *from_copy { "the copy of the last clean close is used" } else { "an empty one is used" })]
pub struct SetAside {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
    /// Its name now.
    pub kept_as: PathBuf,
    /// Whether the copy of the last clean close took its place; if not, an empty file did.
    pub from_copy: bool,
}

/// Opens a redb file, or makes it. One that redb refuses is set aside under another name, and the
/// copy that [`keep_copy`] made takes its place if that one opens.
///
/// redb meets some damaged files with a panic. It is caught here (so a panic hook may say something
/// of it); a program that is built to abort on panics has no such net.
///
/// # Errors
/// If the file is in use, or the disk refuses.
pub fn open_database(path: &Path) -> Result<(Database, Option<SetAside>), OpenError> {
    let (database, (), set_aside) = open_checked(path, |_| Ok(()))?;
    Ok((database, set_aside))
}

/// As [`open_database`]; a file is usable only if `check` can read what it needs from it. A file
/// that `check` finds [damaged](StoreError::Damaged), or that makes it panic, is set aside.
pub(super) fn open_checked<T>(
    path: &Path,
    check: impl Fn(&Database) -> Result<T, StoreError>,
) -> Result<(Database, T, Option<SetAside>), OpenError> {
    let reason = match try_open(path, &check)? {
        Ok((database, read)) => return Ok((database, read, None)),
        Err(reason) => reason,
    };
    let failed = |error| OpenError::Io {
        path: path.to_owned(),
        error,
    };
    let copy = copy_of(path);
    let kept_as = match copy.exists() {
        // The name stays in use until the copy takes it: a crash in between leaves no gap that
        // would be filled by an empty file.
        true => keep_also_as(path, "damaged"),
        false => set_aside(path, "damaged"),
    };
    let kept_as = kept_as.map_err(failed)?;
    let aside = |from_copy| SetAside {
        path: path.to_owned(),
        reason: reason.clone(),
        kept_as: kept_as.clone(),
        from_copy,
    };
    if copy.exists() {
        replace_with(path, &copy).map_err(failed)?;
        if let Ok((database, read)) = try_open(path, &check)? {
            return Ok((database, read, Some(aside(true))));
        }
        set_aside(path, "damaged-copy").map_err(failed)?;
    }
    match try_open(path, &check)? {
        Ok((database, read)) => Ok((database, read, Some(aside(false)))),
        Err(reason) => Err(failed(io::Error::other(reason))),
    }
}

/// Keeps a copy of a file that has just been closed cleanly. It takes the old copy's place only
/// when it is whole on disk, opens, and nobody has opened the file meanwhile.
///
/// It costs one reading and one writing of the whole file (a file system that shares blocks between
/// files does neither) and an fsync.
///
/// # Errors
/// If the disk refuses, or the file is not a database that was closed cleanly; the old copy is then
/// still there.
pub fn keep_copy(path: &Path) -> io::Result<()> {
    let before = stamp(path)?;
    let partial = partial_of(&copy_of(path));
    let copied = copy_durably(path, &partial)
        .and_then(|()| closed_cleanly(&partial))
        .and_then(|()| match stamp(path)? == before {
            true => Ok(()),
            false => Err(io::Error::other("it has been opened again")),
        });
    match copied {
        Ok(()) => rename_durably(&partial, &copy_of(path)),
        Err(error) => {
            // What is left of a failed copy is of no use; the error is the copying's.
            let _left = fs::remove_file(&partial);
            Err(error)
        }
    }
}

/// Opens or makes a file, and reads what `check` wants; the inner error is what is wrong with its
/// content.
fn try_open<T>(
    path: &Path,
    check: &impl Fn(&Database) -> Result<T, StoreError>,
) -> Result<Result<(Database, T), String>, OpenError> {
    let failed = |error| OpenError::Io {
        path: path.to_owned(),
        error,
    };
    let is_there = path.try_exists().map_err(failed)?;
    let opened = contain(|| match is_there {
        true => Database::builder().set_cache_size(CACHE).create(path),
        false => create(path),
    });
    let database = match opened {
        Ok(Ok(database)) => database,
        Ok(Err(error)) => return refusal(path, error).map(Err),
        Err(Panicked) => return Ok(Err(STRUCTURE.to_owned())),
    };
    let reason = match contain(|| check(&database)) {
        Ok(Ok(read)) => return Ok(Ok((database, read))),
        Ok(Err(StoreError::Damaged(reason))) => Ok(Err(reason)),
        Ok(Err(error)) => Err(failed(io::Error::other(error.to_string()))),
        Err(Panicked) => Ok(Err(STRUCTURE.to_owned())),
    };
    close(database);
    reason
}

/// Makes a file. It gets its name when it is a database: a crash leaves no half of one.
fn create(path: &Path) -> Result<Database, DatabaseError> {
    let new = with_suffix(path, "new");
    let make = || Database::builder().set_cache_size(CACHE).create(&new);
    let database = match contain(make) {
        Ok(Ok(database)) => database,
        Ok(Err(DatabaseError::DatabaseAlreadyOpen)) => {
            return Err(DatabaseError::DatabaseAlreadyOpen);
        }
        // What a crash left, if anything; nobody has it open.
        Ok(Err(_)) | Err(Panicked) if new.try_exists()? => {
            fs::remove_file(&new)?;
            make()?
        }
        Ok(Err(error)) => return Err(error),
        Err(Panicked) => return Err(StorageError::Corrupted(STRUCTURE.to_owned()).into()),
    };
    if path.try_exists()? {
        // Somebody else was faster; let them have it.
        close(database);
        fs::remove_file(&new)?;
        return Database::builder().set_cache_size(CACHE).create(path);
    }
    rename_durably(&new, path)?;
    Ok(database)
}

/// redb panicked.
pub(super) struct Panicked;

/// redb meets some damaged pages with a panic; here it becomes an error like any other.
pub(super) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked)
}

/// Closes a database, which may panic if something has panicked in it before; whether it did not.
pub(super) fn close(database: Database) -> bool {
    contain(|| drop(database)).is_ok()
}

/// What is said of a file that made redb panic.
pub(super) const STRUCTURE: &str = "the database's structure is damaged";

/// Tells a file that is no use from a disk or a neighbour that is in the way.
fn refusal(path: &Path, error: DatabaseError) -> Result<String, OpenError> {
    match error {
        DatabaseError::DatabaseAlreadyOpen => Err(OpenError::InUse(path.to_owned())),
        DatabaseError::Storage(StorageError::Io(error)) if !is_damage(&error) => {
            Err(OpenError::Io {
                path: path.to_owned(),
                error,
            })
        }
        refused => Ok(refused.to_string()),
    }
}

/// Whether reading failed because of what is in the file, or is missing at its end.
pub(super) fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput
    )
}

fn copy_of(path: &Path) -> PathBuf {
    with_suffix(path, "last-clean")
}

fn partial_of(path: &Path) -> PathBuf {
    with_suffix(path, "partial")
}

/// Gives a file a name under which it is out of the way.
fn set_aside(path: &Path, suffix: &str) -> io::Result<PathBuf> {
    let kept_as = free_name(path, suffix);
    rename_durably(path, &kept_as)?;
    Ok(kept_as)
}

/// Gives a file a second name, or another one where files have only one.
fn keep_also_as(path: &Path, suffix: &str) -> io::Result<PathBuf> {
    let kept_as = free_name(path, suffix);
    match fs::hard_link(path, &kept_as) {
        Ok(()) => sync_folder(&kept_as)?,
        Err(_) => rename_durably(path, &kept_as)?,
    }
    Ok(kept_as)
}

/// The first of `name.suffix-1`, `name.suffix-2`, … that does not exist.
fn free_name(path: &Path, suffix: &str) -> PathBuf {
    (1_u64..)
        .map(|number| with_suffix(path, &format!("{suffix}-{number}")))
        .find(|candidate| candidate.symlink_metadata().is_err())
        .unwrap_or_else(|| with_suffix(path, suffix))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// Puts a copy of `from` at `path`; a crash leaves all of it, or what was there before.
fn replace_with(path: &Path, from: &Path) -> io::Result<()> {
    let partial = partial_of(path);
    copy_durably(from, &partial)?;
    rename_durably(&partial, path)
}

fn copy_durably(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    fs::File::open(to)?.sync_all()
}

fn rename_durably(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(to)
}

/// Makes the names in a file's folder durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        // Elsewhere folders cannot be opened to be synced.
        return Ok(());
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::File::open(folder)?.sync_all()
}

/// What changes when somebody opens a database to write to it.
fn stamp(path: &Path) -> io::Result<(u64, std::time::SystemTime)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.len(), metadata.modified()?))
}

/// Opened for reading only, redb refuses a file that it would have to repair first.
fn closed_cleanly(path: &Path) -> io::Result<()> {
    let opened = contain(|| {
        Database::builder()
            .set_cache_size(CACHE)
            .open_read_only(path)
            .map(drop)
    });
    match opened {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(io::Error::other(error.to_string())),
        Err(Panicked) => Err(io::Error::other(STRUCTURE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_refuses_is_not_a_damaged_file() {
        let path = Path::new("profile.redb");
        let refused = |kind| refusal(path, DatabaseError::from(io::Error::from(kind)));
        for kind in [
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::IsADirectory,
            io::ErrorKind::StorageFull,
            io::ErrorKind::Other,
        ] {
            let error = refused(kind).unwrap_err();
            assert!(matches!(&error, OpenError::Io { error, .. } if error.kind() == kind));
            assert!(error.to_string().starts_with("cannot open profile.redb"));
        }
        let in_use = refusal(path, DatabaseError::DatabaseAlreadyOpen).unwrap_err();
        assert!(matches!(in_use, OpenError::InUse(_)));
        refused(io::ErrorKind::UnexpectedEof).unwrap();
        refusal(path, DatabaseError::UpgradeRequired(1)).unwrap();
        let corrupted = StorageError::Corrupted("a page".to_owned());
        assert!(refusal(path, corrupted.into()).unwrap().contains("a page"));
    }
}
