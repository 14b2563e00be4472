//! Segments: files that hold a stretch of the log.
//!
//! ```text
//! 0   magic      8   SEGMENT_MAGIC
//! 8   format     4
//! 12  reserved   4   0
//! 16  base       8   position of the first byte behind this header
//! 24  checksum   4   CRC-32 of bytes 8 to 23
//! 28  zeros up to byte 64
//! 64  batches
//! ```

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::batch::{self, RECORD_HEADER, u32_at, u64_at};
use crate::disk::{Disk, DiskFile};
use crate::journal::JournalError;

const SEGMENT_MAGIC: [u8; 8] = *b"\x93KZSEG\r\n";

/// Format of segments, batches and the root. A newer one is refused.
pub(crate) const FORMAT: u32 = 1;

pub(crate) const SEGMENT_HEADER: u64 = 64;

const PREFIX: &str = "segment-";

/// Files kept for use as segments begin so.
pub(crate) const FREE_PREFIX: &str = "free-";

/// Space is taken in steps: within one, a sync has no change of the file's size to write.
const STEP: u64 = 1 << 20;

/// An open segment.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) base: u64,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Bytes the file has, header included.
    pub(crate) len: u64,
}

pub(crate) fn name(base: u64) -> String {
    format!("{PREFIX}{base:020}")
}

/// The base that a file name stands for.
pub(crate) fn base_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// Says that a position lies in no segment.
pub(crate) fn missing(position: u64) -> JournalError {
    JournalError::damaged(&name(position), format!("no segment holds the position {position}"))
}

impl Segment {
    /// Makes a segment in a file of its own, or in one that is free.
    pub(crate) fn make(disk: &dyn Disk, base: u64, free: Option<&str>) -> io::Result<Self> {
        let mut header = [0; SEGMENT_HEADER as usize];
        header[..8].copy_from_slice(&SEGMENT_MAGIC);
        header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        header[16..24].copy_from_slice(&base.to_le_bytes());
        let checksum = crc32fast::hash(&header[8..24]);
        header[24..28].copy_from_slice(&checksum.to_le_bytes());
        let name = name(base);
        let file = match free {
            Some(free) => disk.open(free)?,
            None => disk.create(&name)?,
        };
        file.write_at(0, &header)?;
        file.sync()?;
        if let Some(free) = free {
            disk.rename(free, &name)?;
        }
        let len = file.len()?;
        Ok(Self { base, file, len })
    }

    /// Opens a segment that is there; none if making it was not finished.
    pub(crate) fn open(disk: &dyn Disk, base: u64) -> Result<Option<Self>, JournalError> {
        let name = name(base);
        let failed = |error| JournalError::io("open", &name, error);
        let file = disk.open(&name).map_err(failed)?;
        let len = file.len().map_err(failed)?;
        let mut header = [0; SEGMENT_HEADER as usize];
        if len < SEGMENT_HEADER {
            return Ok(None);
        }
        file.read_at(0, &mut header).map_err(failed)?;
        if header == [0; SEGMENT_HEADER as usize] {
            return Ok(None);
        }
        if header[..8] != SEGMENT_MAGIC || crc32fast::hash(&header[8..24]) != u32_at(&header, 24) {
            return Err(JournalError::damaged(&name, "its header is damaged"));
        }
        let format = u32_at(&header, 8);
        if format > FORMAT {
            return Err(JournalError::Newer { file: name, found: format, known: FORMAT });
        }
        if u64_at(&header, 16) != base {
            return Err(JournalError::damaged(&name, "its header has another base than its name"));
        }
        Ok(Some(Self { base, file, len }))
    }

    /// Where a position lies in the file.
    pub(crate) fn offset(&self, position: u64) -> u64 {
        position - self.base + SEGMENT_HEADER
    }

    /// Reads the payload of the record at a position.
    pub(crate) fn read(&self, position: u64) -> Result<Bytes, JournalError> {
        let name = name(self.base);
        let offset = self.offset(position);
        let failed = |error| JournalError::io("read", &name, error);
        let mut head = [0; RECORD_HEADER];
        self.file.read_at(offset, &mut head).map_err(failed)?;
        let len = u64::from(u32_at(&head, 0));
        let damaged = || JournalError::damaged(&name, format!("the record at {position} is damaged"));
        // The length is not to be trusted yet.
        if offset + RECORD_HEADER as u64 + len > self.file.len().map_err(failed)? {
            return Err(damaged());
        }
        let mut payload = vec![0; len as usize];
        self.file.read_at(offset + RECORD_HEADER as u64, &mut payload).map_err(failed)?;
        if batch::record_checksum(position, &payload) != u32_at(&head, 4) {
            return Err(damaged());
        }
        Ok(payload.into())
    }

    /// Writes bytes at a position, after taking the space for them.
    pub(crate) fn write(&mut self, position: u64, bytes: &[u8], max: u64) -> io::Result<()> {
        const ZEROS: &[u8] = &[0; 64 << 10];
        let offset = self.offset(position);
        let end = offset + bytes.len() as u64;
        if self.len < end {
            let target = end.max(end.next_multiple_of(STEP).min(max));
            while self.len < target {
                let len = (target - self.len).min(ZEROS.len() as u64);
                self.file.write_at(self.len, &ZEROS[..len as usize])?;
                self.len += len;
            }
        }
        self.file.write_at(offset, bytes)
    }
}
