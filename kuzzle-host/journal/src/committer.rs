//! The thread that writes: it cuts off what was appended as one batch, writes it, syncs once, and says so.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::batch;
use crate::journal::Shared;
use crate::segment::Segment;

/// Pause before writing is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// A larger buffer is given back after a batch.
const BUFFER_KEPT_BYTES: usize = 4 << 20;

/// Runs until the journal is closed and nothing waits. When writing fails at the end, what waits is lost.
pub(crate) fn run(shared: &Shared, synced: &(dyn Fn() + Send)) {
    let mut spare = Vec::new();
    while let Some((position, bytes)) = cut(shared, &mut spare) {
        let end = position + bytes.len() as u64;
        // After a failed sync nobody knows what the file holds, so the batch goes into a new one.
        let mut fresh = false;
        let mut failed_before = false;
        while let Err((error, in_sync)) = write(shared, position, &bytes, fresh) {
            fresh |= in_sync;
            let reason = format!("cannot write the journal: {error}");
            if !failed_before {
                tracing::warn!(%error, "the journal cannot be written; it is tried again");
                failed_before = true;
            }
            shared.fail(reason);
            if shared.pending.lock().closing {
                return;
            }
            std::thread::sleep(RETRY_AFTER);
        }
        if failed_before {
            tracing::info!("the journal is written again");
            *shared.failure.lock() = None;
            shared.failing.store(false, Ordering::Relaxed);
        }
        let len = bytes.len() as u64;
        shared.pending.lock().in_flight = None;
        shared.synced.store(end, Ordering::Release);
        shared
            .waiting_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| Some(waiting.saturating_sub(len)))
            .ok();
        spare = Arc::try_unwrap(bytes).unwrap_or_default();
        if spare.capacity() > BUFFER_KEPT_BYTES {
            spare = Vec::new();
        }
        spare.clear();
        synced();
    }
}

/// Waits until a batch is due and cuts it off; none when the journal is closed and nothing waits.
fn cut(shared: &Shared, spare: &mut Vec<u8>) -> Option<(u64, Arc<Vec<u8>>)> {
    {
        let mut pending = shared.pending.lock();
        loop {
            let due =
                pending.closing || pending.urgent || pending.due.is_some_and(|due| due <= Instant::now());
            if !pending.buffer.is_empty() && due {
                break;
            }
            if pending.closing {
                return None;
            }
            match pending.due {
                Some(due) if !pending.buffer.is_empty() => {
                    shared.work.wait_until(&mut pending, due);
                }
                _ => shared.work.wait(&mut pending),
            }
        }
    }
    let alone = shared.cut.write();
    let mut pending = shared.pending.lock();
    let position = pending.position;
    let unpadded = pending.buffer.len();
    let mut bytes = std::mem::replace(&mut pending.buffer, std::mem::take(spare));
    let padding = unpadded.next_multiple_of(batch::ALIGN) - unpadded;
    let end = position + (unpadded + padding) as u64;
    pending.position = end;
    pending.due = None;
    pending.urgent = false;
    pending.sealing = true;
    shared.appended.store(end, Ordering::Release);
    shared.waiting_bytes.fetch_add(padding as u64, Ordering::Relaxed);
    drop(pending);
    drop(alone);
    // Checksums take their time; meanwhile others append.
    batch::seal(&mut bytes, position);
    let bytes = Arc::new(bytes);
    let mut pending = shared.pending.lock();
    pending.in_flight = Some((position, Arc::clone(&bytes)));
    pending.sealing = false;
    shared.sealed.notify_all();
    Some((position, bytes))
}

/// Writes a batch and syncs it. The error says whether it came from the sync.
fn write(shared: &Shared, position: u64, bytes: &[u8], fresh: bool) -> Result<(), (io::Error, bool)> {
    let max = shared.options.segment_bytes;
    let newest = shared.segments.read().last_key_value().map(|(_, segment)| segment.clone());
    let fits = newest.filter(|segment| {
        !fresh && (segment.base == position || segment.offset(position) + bytes.len() as u64 <= max)
    });
    let mut segment = match fits {
        Some(segment) => segment,
        None => {
            // One that was made anew after a failed sync takes the place of what it follows on.
            let free = if bytes.len() as u64 <= max { shared.free.lock().pop() } else { None };
            let made = Segment::make(&*shared.disk, position, free.as_deref());
            if made.is_err()
                && let Some(free) = free
            {
                shared.free.lock().push(free);
            }
            made.map_err(|error| (error, false))?
        }
    };
    let written = segment.write(position, bytes, max);
    // Space that was taken stays taken, whatever became of the rest.
    shared.segments.write().insert(segment.base, segment.clone());
    written.map_err(|error| (error, false))?;
    segment.file.sync().map_err(|error| (error, true))
}
