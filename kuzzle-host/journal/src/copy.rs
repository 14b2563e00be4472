//! Copying a journal while it is written.
//!
//! What is synced does not change any more: segments grow at their end alone, and only whole ones are given back. So a
//! copy has to keep the segments from being given back, and to choose one end for all of them.

use std::io;
use std::sync::atomic::Ordering;

use crate::disk::Disk;
use crate::journal::{Journal, JournalError, Shared};
use crate::root;
use crate::segment::{self, SEGMENT_HEADER, Segment};

/// Bytes that are copied at a time.
const STRIDE: u64 = 1 << 20;

/// Keeps all segments until it is dropped.
struct Pin<'a>(&'a Shared);

impl<'a> Pin<'a> {
    fn new(shared: &'a Shared) -> Self {
        // Under the lock: whoever is about to release one has either done so, or sees the pin.
        let _segments = shared.segments.write();
        shared.pins.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        self.0.pins.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Journal {
    /// Copies the journal to an empty disk, while it goes on: everything that was appended before this call is in the
    /// copy, and what was appended later is in it up to some batch. The copy is what a power loss at that batch would
    /// have left. Its files are on stable storage when this returns; whether their names are is the file system's matter.
    /// `goes_on` is asked now and then and ends the copying by saying no.
    ///
    /// # Errors
    /// When the journal cannot be written at present, a disk fails, or `goes_on` says no (`Interrupted`). What was
    /// copied by then is left to the caller.
    pub fn copy_to(&self, to: &dyn Disk, goes_on: &dyn Fn() -> bool) -> Result<(), JournalError> {
        let pin = Pin::new(&self.shared);
        self.flush().map_err(|reason| JournalError::io("write", "the journal", io::Error::other(reason)))?;
        // In this order: a root that moves meanwhile lies before the end that is read after it.
        let root = *self.shared.root.lock();
        let end = self.synced();
        let segments: Vec<Segment> =
            self.shared.segments.read().range(..end).map(|(_, segment)| segment.clone()).collect();
        for (n, segment) in segments.iter().enumerate() {
            let upto = segments.get(n + 1).map_or(end, |next| next.base);
            copy_segment(segment, upto, to, goes_on)?;
        }
        drop(pin);
        root::write(to, root).map_err(|error| JournalError::io("write", "the copy of root", error))
    }
}

fn copy_segment(
    segment: &Segment,
    upto: u64,
    to: &dyn Disk,
    goes_on: &dyn Fn() -> bool,
) -> Result<(), JournalError> {
    let name = segment::name(segment.base);
    let unread = |error| JournalError::io("read", &name, error);
    let unwritten = |error| JournalError::io("write", &format!("the copy of {name}"), error);
    let file = to.create(&name).map_err(unwritten)?;
    // Where segments behind it were given back, the next one is no neighbour.
    let len = (SEGMENT_HEADER + (upto - segment.base)).min(segment.file.len().map_err(unread)?);
    let mut buffer = vec![0; STRIDE.min(len) as usize];
    let mut at = 0;
    while at < len {
        if !goes_on() {
            return Err(unwritten(io::ErrorKind::Interrupted.into()));
        }
        let part = &mut buffer[..(len - at).min(STRIDE) as usize];
        segment.file.read_at(at, part).map_err(unread)?;
        file.write_at(at, part).map_err(unwritten)?;
        at += part.len() as u64;
    }
    file.sync().map_err(unwritten)
}
