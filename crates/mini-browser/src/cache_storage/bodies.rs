//! Where bodies are: one file each in a folder, or memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};

use super::record::StoredBody;

const CHUNK: usize = 64 * 1024;
/// The ending of a file that is still written.
const PART: &str = ".part";

/// The bodies of a shelf, by number.
pub(super) enum Bodies {
    /// Files, each named by its number.
    Folder(PathBuf),
    /// Nothing on disk: for private sessions.
    Memory(BTreeMap<u64, Bytes>),
}

/// A body that is being written.
pub(super) struct BodyWriter {
    number: u64,
    length: u64,
    hasher: crc32fast::Hasher,
    sink: Sink,
}

enum Sink {
    File(File),
    Memory(BytesMut),
}

/// How far a body has been read.
pub(super) struct Progress {
    file: Option<File>,
    read: u64,
    hasher: crc32fast::Hasher,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            file: None,
            read: 0,
            hasher: crc32fast::Hasher::new(),
        }
    }

    pub(super) const fn is_at_end(&self, body: StoredBody) -> bool {
        self.read >= body.length
    }
}

impl Bodies {
    pub(super) fn begin(&self, number: u64) -> io::Result<BodyWriter> {
        let sink = match self {
            Self::Folder(folder) => Sink::File(File::create(part(folder, number))?),
            Self::Memory(_) => Sink::Memory(BytesMut::new()),
        };
        Ok(BodyWriter {
            number,
            length: 0,
            hasher: crc32fast::Hasher::new(),
            sink,
        })
    }

    /// Makes a written body last, under its number; none if it has no bytes. A row may name it
    /// after [`Self::sync`].
    pub(super) fn finish(&mut self, writer: BodyWriter) -> io::Result<Option<StoredBody>> {
        let BodyWriter {
            number,
            length,
            hasher,
            sink,
        } = writer;
        if length == 0 {
            self.abandon(number);
            return Ok(None);
        }
        match (self, sink) {
            (Self::Folder(folder), Sink::File(file)) => {
                file.sync_all()?;
                drop(file);
                fs::rename(part(folder, number), whole(folder, number))?;
            }
            (Self::Memory(bodies), Sink::Memory(bytes)) => {
                bodies.insert(number, bytes.freeze());
            }
            _ => return Err(io::Error::other("a body of another shelf")),
        }
        Ok(Some(StoredBody {
            number,
            length,
            checksum: hasher.finalize(),
        }))
    }

    /// Makes the names of finished bodies last.
    pub(super) fn sync(&self) -> io::Result<()> {
        match self {
            Self::Folder(folder) => File::open(folder)?.sync_all(),
            Self::Memory(_) => Ok(()),
        }
    }

    /// Deletes a body that is not finished, and one that is.
    pub(super) fn abandon(&mut self, number: u64) {
        if let Self::Folder(folder) = self {
            remove_file(&part(folder, number));
        }
        self.remove(number);
    }

    pub(super) fn remove(&mut self, number: u64) {
        match self {
            Self::Folder(folder) => {
                remove_file(&whole(folder, number));
            }
            Self::Memory(bodies) => {
                bodies.remove(&number);
            }
        }
    }

    /// The next chunk of a body that is not at its end. The last one is given only if all of the
    /// body has its checksum.
    ///
    /// # Errors
    /// What is wrong with the stored body.
    pub(super) fn read(&self, body: StoredBody, progress: &mut Progress) -> Result<Bytes, String> {
        let left = body.length.saturating_sub(progress.read);
        let chunk = match self {
            Self::Folder(folder) => {
                let length = left.min(CHUNK as u64) as usize;
                read_file(&whole(folder, body.number), &mut progress.file, length)
                    .map_err(|error| error.to_string())?
            }
            Self::Memory(bodies) => bodies
                .get(&body.number)
                .cloned()
                .ok_or("it is not in memory")?,
        };
        progress.read += chunk.len() as u64;
        progress.hasher.update(&chunk);
        if progress.is_at_end(body) && progress.hasher.clone().finalize() != body.checksum {
            return Err("its checksum is wrong".into());
        }
        Ok(chunk)
    }

    /// Whether a body is there in its length, without reading it.
    pub(super) fn check_length(&self, body: StoredBody) -> Result<(), String> {
        let length = match self {
            Self::Folder(folder) => fs::metadata(whole(folder, body.number))
                .map_err(|error| error.to_string())?
                .len(),
            Self::Memory(bodies) => bodies.get(&body.number).map_or(0, |it| it.len() as u64),
        };
        if length == body.length {
            Ok(())
        } else {
            Err(format!("it has {length} bytes instead of {}", body.length))
        }
    }

    /// Deletes every body that is not among `named`; how many there were. Files with other names
    /// than this store gives are left alone.
    pub(super) fn sweep(&self, named: &BTreeSet<u64>) -> usize {
        let Self::Folder(folder) = self else {
            return 0;
        };
        let files = match fs::read_dir(folder) {
            Ok(files) => files,
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "bodies are not swept");
                return 0;
            }
        };
        let is_swept = |path: &Path| {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                return false;
            };
            match name.strip_suffix(PART) {
                Some(part) => number(part).is_some(),
                None => number(name).is_some_and(|number| !named.contains(&number)),
            }
        };
        let paths = files.filter_map(|file| Some(file.ok()?.path()));
        paths
            .filter(|path| is_swept(path) && remove_file(path))
            .count()
    }
}

impl BodyWriter {
    pub(super) fn append(&mut self, chunk: &[u8]) -> io::Result<()> {
        match &mut self.sink {
            Sink::File(file) => file.write_all(chunk)?,
            Sink::Memory(bytes) => bytes.extend_from_slice(chunk),
        }
        self.length += chunk.len() as u64;
        self.hasher.update(chunk);
        Ok(())
    }
}

fn whole(folder: &Path, number: u64) -> PathBuf {
    folder.join(number.to_string())
}

fn part(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number}{PART}"))
}

/// The number that a name is, written as this store writes it.
fn number(name: &str) -> Option<u64> {
    name.parse()
        .ok()
        .filter(|number: &u64| number.to_string() == name)
}

/// Deletes a file that nobody needs, if it is there; if that fails the next start sweeps it.
fn remove_file(path: &Path) -> bool {
    let removed = fs::remove_file(path);
    if let Err(error) = &removed
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a body stays until the next start");
    }
    removed.is_ok()
}

fn read_file(path: &Path, file: &mut Option<File>, length: usize) -> io::Result<Bytes> {
    let file = match file {
        Some(file) => file,
        None => file.insert(File::open(path)?),
    };
    let mut chunk = vec![0; length];
    file.read_exact(&mut chunk)?;
    Ok(chunk.into())
}
