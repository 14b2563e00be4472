//! The journal: the newest writes, in order, until the store has them.
//!
//! Two files of fixed size take turns. Batches are appended to one; when it is full its writes go to the store while
//! batches are appended to the other, and once the store has them on stable storage the file is written anew from its
//! beginning. The space is taken once, when the data directory is made: a sync then only has to bring data blocks to
//! the disk, and a full disk cannot stop a write half-way.

mod frame;
mod recovery;

use std::io;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::op::Op;

use frame::Header;
pub(crate) use recovery::{Recovered, RecoveryError};

/// Names of the two files.
pub(crate) const SEGMENT_NAMES: [&str; 2] = ["journal.0", "journal.1"];

/// Smallest size of one file, in bytes.
pub(crate) const SEGMENT_MIN_BYTES: u64 = 64 << 10;

/// See the module.
#[derive(Debug)]
pub(crate) struct Journal {
    segments: [Segment; 2],
    current: usize,
    offset: u64,
    unsynced: bool,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Segment {
    file: Arc<dyn DiskFile>,
    capacity: u64,
}

impl Journal {
    /// Makes the two files, `capacity` bytes each, and takes their space.
    pub(crate) fn create(disk: &dyn Disk, capacity: u64) -> io::Result<Self> {
        let segment = |name| -> io::Result<Segment> {
            let file = disk.create(name)?;
            take_space(&*file, 0, capacity)?;
            file.sync()?;
            Ok(Segment { file, capacity })
        };
        Ok(Self::new([segment(SEGMENT_NAMES[0])?, segment(SEGMENT_NAMES[1])?]))
    }

    /// Opens the two files and reads the writes after number `applied`, which the store does not have.
    ///
    /// The journal takes no batches before [`Journal::start`].
    pub(crate) fn open(
        disk: &dyn Disk,
        capacity: u64,
        applied: u64,
    ) -> Result<(Self, Recovered), RecoveryError> {
        let segment = |name| -> Result<Segment, RecoveryError> {
            let file = disk.open(name).map_err(|error| RecoveryError::Io { file: name, error })?;
            Ok(Segment { file, capacity })
        };
        let segments = [segment(SEGMENT_NAMES[0])?, segment(SEGMENT_NAMES[1])?];
        let recovered = recovery::read([&*segments[0].file, &*segments[1].file], applied)?;
        Ok((Self::new(segments), recovered))
    }

    fn new(segments: [Segment; 2]) -> Self {
        Self { segments, current: 0, offset: u64::MAX, unsynced: false, buffer: Vec::new() }
    }

    /// Begins the other file from its start. What it holds must be in the store.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        let next = 1 - self.current;
        let Segment { file, capacity } = &self.segments[next];
        let len = file.len()?;
        if len > *capacity {
            file.set_len(*capacity)?;
        } else {
            take_space(&**file, len, *capacity)?;
        }
        self.current = next;
        self.offset = 0;
        self.unsynced = false;
        Ok(())
    }

    /// Prepares a batch; returns whether the current file has room for it. A batch greater than a whole file has room
    /// in an empty one.
    pub(crate) fn prepare(&mut self, previous: u64, last: u64, ops: &[Op]) -> bool {
        frame::encode(&mut self.buffer, Header { previous, last, predecessors_synced: !self.unsynced }, ops);
        let end = self.offset.saturating_add(self.buffer.len() as u64);
        self.offset == 0 || end <= self.segments[self.current].capacity
    }

    /// Appends the prepared batch.
    pub(crate) fn append(&mut self) -> io::Result<()> {
        self.segments[self.current].file.write_at(self.offset, &self.buffer)?;
        self.offset += self.buffer.len() as u64;
        self.unsynced = true;
        if self.buffer.capacity() > BUFFER_KEPT_BYTES {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// Brings what was appended to stable storage.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.segments[self.current].file.sync()?;
            self.unsynced = false;
        }
        Ok(())
    }
}

/// A larger buffer is given back after a batch.
const BUFFER_KEPT_BYTES: usize = 1 << 20;

/// Writes zeros rather than leaving a hole: blocks that were written once need no change of the file system's own
/// tables when they are written again, which is most of what a sync costs.
fn take_space(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    const ZEROS: &[u8] = &[0; 64 << 10];
    let mut at = from;
    while at < to {
        let len = (to - at).min(ZEROS.len() as u64);
        file.write_at(at, &ZEROS[..len as usize])?;
        at += len;
    }
    Ok(())
}
