//! A disk that can be cut off at any operation, and shows what it then holds.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::{Database, DatabaseError, StorageBackend};

/// Bytes that redb writes to. A clone is another handle on the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What is surely on the disk.
    durable: Vec<u8>,
    /// What a reader sees.
    visible: Vec<u8>,
    /// What was done since the last sync, in order.
    unsynced: Vec<Operation>,
    /// The operations so far.
    operations: usize,
    /// From this operation on, everything fails.
    cut_at: Option<usize>,
    /// This operation alone fails.
    hiccup_at: Option<usize>,
}

#[derive(Clone, Debug)]
enum Operation {
    Length(usize),
    Write(usize, Vec<u8>),
}

/// The smallest piece that a disk writes as a whole.
const SECTOR: usize = 512;

impl Disk {
    pub(crate) fn holding(bytes: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.state().durable.clone_from(&bytes);
        disk.state().visible = bytes;
        disk
    }

    pub(crate) fn cut_at(self, operation: usize) -> Self {
        self.state().cut_at = Some(operation);
        self
    }

    pub(crate) fn hiccup_at(&self, operation: usize) {
        self.state().hiccup_at = Some(operation);
    }

    pub(crate) fn operations(&self) -> usize {
        self.state().operations
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.state().visible.clone()
    }

    pub(crate) fn database(&self) -> Result<Database, DatabaseError> {
        Database::builder()
            .set_cache_size(1 << 20)
            .create_with_backend(self.clone())
    }

    /// What the disk holds after the cut, if `survives` says of each unsynced sector whether it
    /// made it to the disk.
    pub(crate) fn after_cut(&self, mut survives: impl FnMut() -> bool) -> Self {
        let state = self.state();
        let mut bytes = state.durable.clone();
        for operation in &state.unsynced {
            match operation {
                // Lengths are the file system's journal's: in order, so a later one implies this.
                Operation::Length(length) => bytes.resize(*length, 0),
                Operation::Write(offset, data) => {
                    let mut at = 0;
                    while at < data.len() {
                        let sector_end = ((offset + at) / SECTOR + 1) * SECTOR - offset;
                        let end = sector_end.min(data.len());
                        if survives() && offset + end <= bytes.len() {
                            bytes[offset + at..offset + end].copy_from_slice(&data[at..end]);
                        }
                        at = end;
                    }
                }
            }
        }
        Self::holding(bytes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn step(&mut self) -> io::Result<()> {
        let this = self.operations;
        self.operations += 1;
        if self.cut_at.is_some_and(|cut| this >= cut) || self.hiccup_at == Some(this) {
            return Err(io::Error::other("the power is gone"));
        }
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().visible.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let found = offset
            .checked_add(out.len())
            .and_then(|end| state.visible.get(offset..end))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.visible.resize(length as usize, 0);
        state.unsynced.push(Operation::Length(length as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.durable = state.visible.clone();
        state.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let offset = offset as usize;
        state.visible[offset..offset + data.len()].copy_from_slice(data);
        state.unsynced.push(Operation::Write(offset, data.to_vec()));
        Ok(())
    }
}

/// Pseudo-random numbers that a seed replays.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) const fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}
