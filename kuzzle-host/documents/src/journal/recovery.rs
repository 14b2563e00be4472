//! Reading the journal after a stop, clean or not.

use std::io;

use super::SEGMENT_NAMES;
use super::frame::{FRAME_ALIGN, FRAME_MAGIC, Frame};
use crate::disk::DiskFile;
use crate::op::Op;

/// The writes that the store does not have.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// Their changes, in order.
    pub(crate) ops: Vec<Op>,
    /// Number of the last write, here or in the store.
    pub(crate) last: u64,
    /// Whether something that was never answered as durable was left out.
    pub(crate) torn: bool,
}

/// Why a journal could not be read.
#[derive(Debug)]
pub(crate) enum RecoveryError {
    /// A file is missing or cannot be read.
    Io { file: &'static str, error: io::Error },
    /// A file was damaged after it had been synced.
    Damaged { file: &'static str, reason: String },
}

/// Reads all batches after number `applied`, oldest first.
///
/// The end of a file is where no valid frame follows. A valid frame beyond that, which was written when everything
/// before it had been synced, shows that the break is no torn write: then an answered write is lost, and that is said
/// rather than passed over.
pub(super) fn read(files: [&dyn DiskFile; 2], applied: u64) -> Result<Recovered, RecoveryError> {
    let mut segments = Vec::new();
    for (file, name) in files.into_iter().zip(SEGMENT_NAMES) {
        let bytes = contents(file).map_err(|error| RecoveryError::Io { file: name, error })?;
        segments.push(read_segment(&bytes, applied, name)?);
    }
    segments.sort_by_key(|segment| segment.first);

    let mut recovered = Recovered { last: applied, ..Recovered::default() };
    for segment in segments {
        recovered.torn |= segment.torn;
        let Some(first) = segment.first else { continue };
        if first > recovered.last {
            return Err(RecoveryError::Damaged {
                file: segment.name,
                reason: format!(
                    "its first write follows number {first}, but the writes before end at {}",
                    recovered.last
                ),
            });
        }
        recovered.ops.extend(segment.ops);
        recovered.last = segment.last;
    }
    Ok(recovered)
}

struct Segment {
    name: &'static str,
    /// Number before the first batch that the store does not have.
    first: Option<u64>,
    last: u64,
    ops: Vec<Op>,
    torn: bool,
}

fn read_segment(bytes: &[u8], applied: u64, name: &'static str) -> Result<Segment, RecoveryError> {
    let mut segment = Segment { name, first: None, last: applied, ops: Vec::new(), torn: false };
    let mut at = 0;
    let mut newest = 0;
    while let Some(frame) = Frame::read(bytes.get(at..).unwrap_or_default()) {
        // Frames of the file's previous turn lie behind those of this one.
        if at > 0 && frame.header.previous != newest {
            break;
        }
        newest = frame.header.last;
        at += frame.len();
        if frame.header.last <= applied {
            continue;
        }
        let ops = frame.ops().ok_or_else(|| RecoveryError::Damaged {
            file: name,
            reason: format!("the batch that ends at byte {at} holds a change of no known kind"),
        })?;
        segment.first.get_or_insert(frame.header.previous);
        segment.last = frame.header.last;
        segment.ops.extend(ops);
    }
    let end = newest.max(applied);
    let mut beyond = at.next_multiple_of(FRAME_ALIGN);
    while beyond < bytes.len() {
        if bytes[beyond..].starts_with(&FRAME_MAGIC) {
            match Frame::read(&bytes[beyond..]).map(|frame| frame.header) {
                None => segment.torn |= beyond == at,
                Some(header) if header.last <= end => {}
                Some(header) if header.predecessors_synced => {
                    return Err(RecoveryError::Damaged {
                        file: name,
                        reason: format!(
                            "the batch at byte {at} is damaged, while a later one at byte {beyond} is whole"
                        ),
                    });
                }
                Some(_) => segment.torn = true,
            }
        }
        beyond += FRAME_ALIGN;
    }
    Ok(segment)
}

fn contents(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}
