//! What a store says when something is wrong.

use std::fmt;
use std::io;
use std::path::PathBuf;

use service_worker::BodyError;
use service_worker::types::StorageKey;

/// Why an operation on a cache failed. Nothing of it has happened then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// `TypeError`: only answers to `GET` are kept.
    #[error("a cache keeps answers to GET, not to {0}")]
    Method(String),
    /// `TypeError`: only `http` and `https` are kept.
    #[error("a cache keeps http and https, not {0}")]
    Scheme(String),
    /// `TypeError`: a response for a range is not kept.
    #[error("a cache does not keep partial responses (206)")]
    PartialContent,
    /// `TypeError`: a response that varies by everything matches nothing.
    #[error("a cache does not keep responses with Vary: *")]
    VaryStar,
    /// `InvalidStateError`: two entries of one batch match each other.
    #[error("{0} is twice in what is to be put")]
    Duplicate(String),
    /// The body that was to be put ended early.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// `InvalidStateError`: the data of the cache's origin was cleared.
    #[error("the cache was cleared with its site's data")]
    Gone,
    /// `QuotaExceededError`: the disk is full.
    #[error("the disk is full")]
    Full,
    /// `QuotaExceededError`: the caches of a storage key would take more than they may.
    #[error("the caches would take {wanted} bytes, and may take {quota}")]
    Quota {
        /// What they would take, in bytes.
        wanted: u64,
        /// What they may.
        quota: u64,
    },
    /// The disk or the index failed.
    #[error("the cache store failed ({0})")]
    Store(String),
    /// The store was closed.
    #[error("the cache store is closed")]
    Closed,
}

impl CacheError {
    /// Whether scripts see a `TypeError`.
    #[must_use]
    pub const fn is_type_error(&self) -> bool {
        matches!(
            self,
            Self::Method(_) | Self::Scheme(_) | Self::PartialContent | Self::VaryStar
        )
    }
}

impl From<io::Error> for CacheError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Store(error.to_string()),
        }
    }
}

impl From<redb::Error> for CacheError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) => error.into(),
            error => Self::Store(error.to_string()),
        }
    }
}

/// Why a store does not open. Damage is no reason: see [`OpenReport`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Someone else has the profile open.
    #[error("{} is in use by another process: end it, or choose another profile", path.display())]
    InUse {
        /// The index.
        path: PathBuf,
    },
    /// The file system refuses.
    #[error("cannot open {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The index cannot be read or written.
    #[error("the index {} failed ({reason})", path.display())]
    Index {
        /// The index.
        path: PathBuf,
        /// What redb says.
        reason: String,
    },
}

/// What was found, and lost, when a store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenReport {
    /// Where an index that could not be opened has gone, with its bodies. The store is then empty.
    pub set_aside: Option<SetAside>,
    /// What was damaged inside an index that opens. It is quarantined: no look-up sees it.
    pub damage: Vec<Damage>,
    /// How many files were deleted that no row named: what an interrupted `put` or `delete` left.
    pub swept: usize,
}

/// Files that were renamed because they could not be used. They are never deleted, nor are they
/// reached when site data is cleared: that is for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the index of the caches was not usable ({reason}); it is kept as {}, and the caches are empty", index.display())]
#[non_exhaustive]
pub struct SetAside {
    /// The index.
    pub index: PathBuf,
    /// The folder of bodies, if there was one.
    pub bodies: Option<PathBuf>,
    /// What was wrong.
    pub reason: String,
}

/// Something that was stored and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// Whose it was; `None` if that is lost too.
    pub key: Option<StorageKey>,
    /// The name of its cache; `None` if that is lost too.
    pub cache: Option<String>,
    /// What is damaged.
    pub part: DamagedPart,
    /// What is wrong with it.
    pub reason: String,
}

/// What of a cache is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DamagedPart {
    /// The row of a whole cache: its name is lost, so its entries are deleted.
    Cache,
    /// The row of one entry.
    Entry,
    /// The body of one entry.
    Body,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.part {
            DamagedPart::Cache => "a cache",
            DamagedPart::Entry => "an entry",
            DamagedPart::Body => "the body of an entry",
        })?;
        if let (Some(key), Some(cache)) = (&self.key, &self.cache) {
            write!(f, " of {cache:?} of {key}")?;
        }
        write!(f, " is damaged: {}", self.reason)
    }
}
