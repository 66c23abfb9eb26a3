//! Registrations in a redb file.
//!
//! A row and the scripts that it names are written in one transaction, so no crash leaves one
//! without the other. Opening reads every row and no script: a damaged row is quarantined then,
//! and a damaged script is an error when its worker is started. (The registry tells of it, and the
//! next update replaces the worker.)

mod owners;
mod rows;
mod tables;

use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError};
use sw_registry::{RegistryStore, Restored, StoreError, StoreWrite};
use sw_types::{ScriptMap, WorkerId};

use self::owners::Owners;
use self::tables::{Contents, refused};
use super::file::{
    OpenError, Panicked, STRUCTURE, SetAside, close, contain, keep_copy, open_checked,
};

/// Opens a database again after a failure.
type Reopen = Box<dyn Fn() -> Result<Database, DatabaseError> + Send>;

/// A profile's registrations in one file. Dropped, it closes the file, and keeps a copy of it if
/// something has changed.
///
/// After a write has failed (a full disk, say), redb takes no more of them; the next call opens the
/// file again.
pub struct RedbStore {
    /// None over another backend than a file.
    path: Option<PathBuf>,
    database: Option<Database>,
    reopen: Reopen,
    /// What was read at opening, until [`RegistryStore::restore`] takes it.
    restored: Option<Restored>,
    owners: Owners,
    /// Whether the copy of the last clean close is out of date.
    changed: bool,
    /// Whether a call failed, so that the database is to be opened again.
    failed: bool,
}

impl RedbStore {
    /// Opens a profile's file, or makes it, and reads its rows. A file that redb refuses or whose
    /// structure is damaged is set aside, and the copy of the last clean close or an empty one
    /// takes its place: see [`SetAside`].
    ///
    /// # Errors
    /// If the file is in use or the disk refuses.
    pub fn open(path: &Path) -> Result<(Self, Option<SetAside>), OpenError> {
        let (database, contents, set_aside) = open_checked(path, tables::read)?;
        let file = path.to_owned();
        let reopen = move || Database::create(&file);
        let store = Self::new(Some(path.to_owned()), database, contents, Box::new(reopen));
        Ok((store, set_aside))
    }

    /// A store over whatever database `open` gives; it is asked again after a failure. For tests of
    /// crashes: nothing is set aside and no copy is kept.
    ///
    /// # Errors
    /// If the database cannot be opened, or its structure is damaged.
    #[doc(hidden)]
    #[cfg(feature = "host-tests")]
    pub fn over(
        open: impl Fn() -> Result<Database, DatabaseError> + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (database, contents) = open_and_read(&open)?;
        Ok(Self::new(None, database, contents, Box::new(open)))
    }

    fn new(path: Option<PathBuf>, database: Database, contents: Contents, reopen: Reopen) -> Self {
        Self {
            path,
            database: Some(database),
            reopen,
            restored: Some(contents.restored),
            owners: contents.owners,
            changed: contents.changed,
            failed: false,
        }
    }

    /// Does something with the database, which is opened again first if the last call failed.
    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Self, &Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.failed {
            self.database.take().map(close);
        }
        let database = match self.database.take() {
            Some(database) => database,
            None => self.open_again()?,
        };
        let done = contained(|| work(self, &database));
        self.failed = matches!(&done, Err(StoreError::Io(_) | StoreError::Damaged(_)));
        self.database = Some(database);
        done
    }

    fn open_again(&mut self) -> Result<Database, StoreError> {
        let (database, contents) = open_and_read(&self.reopen)?;
        for line in &contents.restored.quarantined {
            tracing::warn!(%line, "quarantined");
        }
        self.restored = None;
        self.owners = contents.owners;
        self.changed |= contents.changed;
        self.failed = false;
        Ok(database)
    }
}

impl RegistryStore for RedbStore {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        if let Some(restored) = self.restored.take() {
            return Ok(restored);
        }
        self.with(|store, database| {
            let contents = tables::read(database)?;
            store.owners = contents.owners;
            store.changed |= contents.changed;
            Ok(contents.restored)
        })
    }

    fn scripts(&mut self, worker: WorkerId) -> Result<ScriptMap, StoreError> {
        self.with(|store, database| {
            let owner = store.owners.owner(worker);
            let read = match owner {
                Some(owner) => tables::scripts(database, owner, worker),
                None => Err(StoreError::Damaged(format!("{worker} has no scripts"))),
            };
            match read {
                // Damage of one script is no reason to open the file again.
                Err(StoreError::Damaged(_)) | Ok(_) => Ok(read),
                Err(error) => Err(error),
            }
        })?
    }

    fn blob(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(|_, database| rows::blob(database, key))
    }

    fn commit(&mut self, batch: &[StoreWrite]) -> Result<(), StoreError> {
        self.with(|store, database| {
            let owners = tables::commit(database, batch)?;
            // What was read at opening is no longer what the file holds.
            store.restored = None;
            store.changed = true;
            for (worker, owner) in owners {
                store.owners.set(worker, owner);
            }
            Ok(())
        })
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        let closed = self.database.take().is_none_or(close);
        let Some(path) = &self.path else { return };
        if self.failed || !closed {
            tracing::warn!(path = %path.display(), "was not closed cleanly; the older copy is kept");
        } else if self.changed
            && let Err(error) = keep_copy(path)
        {
            tracing::warn!(path = %path.display(), %error, "no copy was kept");
        }
    }
}

impl std::fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedbStore")
            .field("path", &self.path)
            .field("changed", &self.changed)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

fn open_and_read(
    open: &impl Fn() -> Result<Database, DatabaseError>,
) -> Result<(Database, Contents), StoreError> {
    let database = contained(|| open().map_err(refused))?;
    match contained(|| tables::read(&database)) {
        Ok(contents) => Ok((database, contents)),
        Err(error) => {
            close(database);
            Err(error)
        }
    }
}

fn contained<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    match contain(work) {
        Ok(done) => done,
        Err(Panicked) => Err(StoreError::Damaged(STRUCTURE.to_owned())),
    }
}
