//! Reading the log after a stop, clean or not.

use std::io;

use crate::batch::{self, ALIGN, BATCH_HEADER, BATCH_MAGIC};
use crate::disk::Disk;
use crate::journal::JournalError;
use crate::root::{self, Root};
use crate::segment::{self, FREE_PREFIX, SEGMENT_HEADER, Segment};

/// Is given the position and payload of each record, and may refuse it with a reason.
pub(crate) type Visit<'a> = dyn FnMut(u64, &[u8]) -> Result<(), String> + 'a;

/// What was found.
pub(crate) struct Recovered {
    pub(crate) segments: Vec<Segment>,
    pub(crate) root: Root,
    /// Where the log goes on.
    pub(crate) end: u64,
    /// Files that can become segments.
    pub(crate) free: Vec<String>,
    /// Whether something was cut off that was never synced.
    pub(crate) torn: bool,
}

/// Opens all segments, calls `record` with every record from the root on, and repairs a torn tail.
///
/// A batch is written when the one before it is synced. So the end of the log is where no valid batch follows; and a
/// valid one beyond such a break shows that it is no torn write but damage: then something synced is lost, and that is
/// said rather than passed over.
pub(crate) fn recover(disk: &dyn Disk, record: &mut Visit<'_>) -> Result<Recovered, JournalError> {
    read(disk, true, record)
}

/// Does the same; without `repair`, what would be repaired is left as it is.
pub(crate) fn read(disk: &dyn Disk, repair: bool, record: &mut Visit<'_>) -> Result<Recovered, JournalError> {
    let names = disk.names().map_err(|error| JournalError::io("list the files of", "the journal", error))?;
    let mut bases: Vec<u64> = names.iter().filter_map(|name| segment::base_of(name)).collect();
    bases.sort_unstable();
    let free = names.into_iter().filter(|name| name.starts_with(FREE_PREFIX)).collect();
    let Some(root) = root::read(disk)? else {
        if let Some(base) = bases.first() {
            return Err(JournalError::damaged(
                "root",
                format!("it is missing, while {} exists", segment::name(*base)),
            ));
        }
        if repair {
            root::write(disk, Root::default()).map_err(|error| JournalError::io("write", "root", error))?;
        }
        return Ok(Recovered { segments: Vec::new(), root: Root::default(), end: 0, free, torn: false });
    };
    let mut segments = Vec::new();
    for base in bases {
        match Segment::open(disk, base)? {
            Some(segment) => segments.push(segment),
            // Only the newest can be unfinished, and then nothing was ever in it.
            None if !repair => {}
            None => {
                disk.remove(&segment::name(base))
                    .map_err(|error| JournalError::io("remove", &segment::name(base), error))?;
            }
        }
    }
    let first = segments.partition_point(|segment| segment.base <= root.batch).saturating_sub(1);
    match segments.get(first) {
        None if root == Root::default() => {
            return Ok(Recovered { segments, root, end: 0, free, torn: false });
        }
        Some(segment) if segment.base <= root.batch => {}
        _ => {
            return Err(JournalError::damaged(
                "root",
                format!("no segment holds the position {} it names", root.batch),
            ));
        }
    }
    let mut end = root.batch;
    let mut torn = false;
    // The batch of the root begins with records that are older than it.
    let mut record =
        |place: u64, payload: &[u8]| if place < root.record { Ok(()) } else { record(place, payload) };
    for n in first..segments.len() {
        let next = segments.get(n + 1).map(|next| next.base);
        let from = if n == first { root.batch } else { segments[n].base };
        if from != end {
            return Err(JournalError::damaged(
                &segment::name(segments[n].base),
                format!("it begins at {from}, while the log before it ends at {end}"),
            ));
        }
        end = read_segment(&segments[n], from, next, &mut torn, &mut record)?;
        if next.is_none() {
            let segment = &mut segments[n];
            let len = segment.offset(end);
            if repair && segment.len != len {
                // What lies beyond must not be taken for part of the log later.
                let failed = |error| JournalError::io("cut", &segment::name(segment.base), error);
                segment.file.set_len(len).map_err(failed)?;
                segment.file.sync().map_err(failed)?;
                segment.len = len;
            }
        }
    }
    Ok(Recovered { segments, root, end, free, torn })
}

/// Reads a segment from a position on; returns where its batches end.
pub(crate) fn read_segment(
    segment: &Segment,
    from: u64,
    next: Option<u64>,
    torn: &mut bool,
    record: &mut Visit<'_>,
) -> Result<u64, JournalError> {
    let name = segment::name(segment.base);
    let bytes = contents(segment).map_err(|error| JournalError::io("read", &name, error))?;
    let at = |position: u64| (position - segment.base) as usize;
    let mut position = from;
    if from > segment.base && batch::header(bytes.get(at(from)..).unwrap_or_default(), from).is_none() {
        return Err(JournalError::damaged(&name, format!("no batch begins at {from}, where the root is")));
    }
    while next.is_none_or(|next| position < next) {
        let rest = bytes.get(at(position)..).unwrap_or_default();
        let Some((records, len)) = batch::read(rest, position) else { break };
        for (place, payload) in records {
            record(place, payload).map_err(|reason| {
                JournalError::damaged(&name, format!("the record at {place} cannot be read: {reason}"))
            })?;
        }
        position += len as u64;
    }
    if let Some(next) = next {
        if position != next {
            return Err(JournalError::damaged(
                &name,
                format!("its batches end at {position}, while the next segment begins at {next}"),
            ));
        }
        return Ok(position);
    }
    let rest = bytes.get(at(position)..).unwrap_or_default();
    *torn |= rest.starts_with(&BATCH_MAGIC[..1]) || rest.iter().any(|byte| *byte != 0);
    let mut beyond = ALIGN;
    while beyond + BATCH_HEADER <= rest.len() {
        if rest[beyond..].starts_with(&BATCH_MAGIC)
            && batch::read(&rest[beyond..], position + beyond as u64).is_some()
        {
            return Err(JournalError::damaged(
                &name,
                format!(
                    "the batch at {position} is damaged, while a later one at {} is whole",
                    position + beyond as u64
                ),
            ));
        }
        beyond += ALIGN;
    }
    Ok(position)
}

/// All bytes behind the header.
fn contents(segment: &Segment) -> io::Result<Vec<u8>> {
    let len = usize::try_from(segment.len - SEGMENT_HEADER).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    segment.file.read_at(SEGMENT_HEADER, &mut bytes)?;
    Ok(bytes)
}
