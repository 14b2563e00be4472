//! Reading a journal from end to end without changing it.

use bytes::Bytes;

use crate::disk::Disk;
use crate::journal::JournalError;
use crate::recovery;
use crate::segment::{self, Segment};

/// What a journal holds.
#[derive(Debug)]
pub struct Checked {
    /// Segments.
    pub segments: usize,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Whether it ends with something that was never synced, which the next start cuts off.
    pub torn: bool,
    /// Batches that are damaged, in segments before the root: what else refers into them is lost.
    pub damaged: Vec<JournalError>,
    files: Vec<Segment>,
}

/// Reads every batch of the journal on `disk`, compares all checksums, and calls `record` with the position and payload of
/// every record from the root on, as [`Journal::open`](crate::Journal::open) does. Nothing is written.
///
/// # Errors
/// What would keep the journal from being opened.
pub fn check(
    disk: &dyn Disk,
    mut record: impl FnMut(u64, &[u8]) -> Result<(), String>,
) -> Result<Checked, JournalError> {
    let recovered = recovery::read(disk, false, &mut record)?;
    let mut checked = Checked {
        segments: recovered.segments.len(),
        bytes: recovered.segments.iter().map(|segment| segment.len).sum(),
        torn: recovered.torn,
        damaged: Vec::new(),
        files: recovered.segments,
    };
    // Those from the root on were read just now.
    let files = &checked.files;
    for (n, segment) in files.iter().enumerate().filter(|(_, segment)| segment.base < recovered.root.batch) {
        let next = files.get(n + 1).map_or(recovered.end, |next| next.base);
        // After a gap the next segment is no neighbour: what was between was given back.
        let read = recovery::read_segment(segment, segment.base, None, &mut false, &mut |_, _| Ok(()));
        match read {
            Ok(end) if end <= next => {}
            Ok(end) => checked.damaged.push(JournalError::damaged(
                &segment::name(segment.base),
                format!("its batches end at {end}, while the next segment begins at {next}"),
            )),
            Err(error) => checked.damaged.push(error),
        }
    }
    Ok(checked)
}

impl Checked {
    /// Reads the payload of the record at a position.
    ///
    /// # Errors
    /// When no segment holds the position, the disk fails, or the record is damaged.
    pub fn read(&self, position: u64) -> Result<Bytes, JournalError> {
        let n = self.files.partition_point(|segment| segment.base <= position);
        match n.checked_sub(1).and_then(|n| self.files.get(n)) {
            Some(segment) => segment.read(position),
            None => Err(segment::missing(position)),
        }
    }
}
