//! The journal as its owner sees it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, RwLock, RwLockReadGuard};

use crate::batch::{self, BATCH_HEADER, RECORD_HEADER};
use crate::committer;
use crate::disk::Disk;
use crate::recovery;
use crate::root::{self, Root};
use crate::segment::{self, FREE_PREFIX, Segment};

/// How a journal is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalOptions {
    /// Size of a segment in bytes; a batch greater than that has one of its own. Default 32 MiB.
    pub segment_bytes: u64,
    /// How long records that nobody waits for may stay in memory. Default 20 ms.
    pub lazy_for: Duration,
    /// Released segments kept for use as new ones. Default 2.
    pub free_segments: usize,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { segment_bytes: 32 << 20, lazy_for: Duration::from_millis(20), free_segments: 2 }
    }
}

/// Why a journal cannot be opened or read.
#[derive(Debug)]
pub enum JournalError {
    /// An operation of the disk failed.
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        file: String,
        /// What the system says.
        error: io::Error,
    },
    /// Something is missing or changed that had been synced.
    Damaged {
        /// In which file.
        file: String,
        /// What was found.
        reason: String,
    },
    /// A later version wrote it.
    Newer {
        /// Which file.
        file: String,
        /// Its format.
        found: u32,
        /// The newest that this version reads.
        known: u32,
    },
}

impl JournalError {
    pub(crate) fn io(doing: &'static str, file: &str, error: io::Error) -> Self {
        Self::Io { doing, file: file.to_owned(), error }
    }

    pub(crate) fn damaged(file: &str, reason: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_owned(), reason: reason.into() }
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { doing, file, error } => write!(f, "cannot {doing} {file}: {error}"),
            Self::Damaged { file, reason } => write!(
                f,
                "the journal is damaged: {file}: {reason}; restore the directory from a copy, or move it away to begin \
                 empty"
            ),
            Self::Newer { file, found, known } => write!(
                f,
                "{file} has format {found}, this version reads up to {known}; use the version that wrote it"
            ),
        }
    }
}

impl std::error::Error for JournalError {}

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Appended {
    /// Position by which it is read.
    pub position: u64,
    /// It is on stable storage when [`Journal::synced`] is this or more.
    pub end: u64,
}

/// A segment, for its owner to decide on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    /// First position in it.
    pub base: u64,
    /// First position after it.
    pub end: u64,
}

/// A log. See the crate.
pub struct Journal {
    pub(crate) shared: Arc<Shared>,
    committer: Mutex<Option<JoinHandle<()>>>,
}

pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) options: JournalOptions,
    pub(crate) pending: Mutex<Pending>,
    pub(crate) work: Condvar,
    pub(crate) sealed: Condvar,
    /// Held shared while records are appended that belong together, and alone while a batch is cut off.
    pub(crate) cut: RwLock<()>,
    pub(crate) segments: RwLock<BTreeMap<u64, Segment>>,
    /// Copies under way, counted under the lock of the segments: none of those is released meanwhile.
    pub(crate) pins: AtomicUsize,
    pub(crate) free: Mutex<Vec<String>>,
    pub(crate) synced: AtomicU64,
    /// End of what was appended.
    pub(crate) appended: AtomicU64,
    pub(crate) waiting_bytes: AtomicU64,
    pub(crate) failing: AtomicBool,
    pub(crate) failure: Mutex<Option<String>>,
    pub(crate) root: Mutex<Root>,
    next_free: AtomicU64,
}

/// What waits to be written.
pub(crate) struct Pending {
    /// The batch in the making.
    pub(crate) buffer: Vec<u8>,
    /// Where it will begin.
    pub(crate) position: u64,
    /// The batch that is being written.
    pub(crate) in_flight: Option<(u64, Arc<Vec<u8>>)>,
    /// Its checksums are being put in: it cannot be read yet.
    pub(crate) sealing: bool,
    /// Somebody waits: the batch is to be cut off at once.
    pub(crate) urgent: bool,
    /// When it is to be cut off at the latest.
    pub(crate) due: Option<Instant>,
    pub(crate) closing: bool,
}

/// While it lives, all records appended are in one batch: all of them are found after a crash, or none.
pub struct Group<'a> {
    journal: &'a Journal,
    _cut: RwLockReadGuard<'a, ()>,
}

impl Group<'_> {
    /// Everything appended so far is on stable storage when [`Journal::synced`] is this or more.
    pub fn end(&self) -> u64 {
        self.journal.appended()
    }
}

impl Journal {
    /// Opens the journal on a disk, or begins one; calls `record` with the position and payload of every record from
    /// the root on. Nothing is written before [`Journal::start`].
    ///
    /// # Errors
    /// When the disk fails, when something that had been synced is missing or changed, when `record` refuses one, or
    /// when a later version wrote it.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
        mut record: impl FnMut(u64, &[u8]) -> Result<(), String>,
    ) -> Result<Self, JournalError> {
        let recovered = recovery::recover(&*disk, &mut record)?;
        if recovered.torn {
            tracing::info!(end = recovered.end, "the end of the journal was torn and is cut off");
        }
        let shared = Arc::new(Shared {
            disk,
            options,
            pending: Mutex::new(Pending {
                buffer: Vec::new(),
                position: recovered.end,
                in_flight: None,
                sealing: false,
                urgent: false,
                due: None,
                closing: false,
            }),
            work: Condvar::new(),
            sealed: Condvar::new(),
            cut: RwLock::new(()),
            segments: RwLock::new(
                recovered.segments.into_iter().map(|segment| (segment.base, segment)).collect(),
            ),
            pins: AtomicUsize::new(0),
            next_free: AtomicU64::new(recovered.end),
            free: Mutex::new(recovered.free),
            synced: AtomicU64::new(recovered.end),
            appended: AtomicU64::new(recovered.end),
            waiting_bytes: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            failure: Mutex::new(None),
            root: Mutex::new(recovered.root),
        });
        Ok(Self { shared, committer: Mutex::new(None) })
    }

    /// Starts the thread that writes. It calls `synced` after each sync, and holds no lock meanwhile.
    pub fn start(&self, synced: Box<dyn Fn() + Send>) {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || committer::run(&shared, &*synced));
        match thread {
            Ok(thread) => *self.committer.lock() = Some(thread),
            Err(error) => {
                tracing::error!(%error, "the thread of the journal cannot be started");
                self.shared.fail(format!("cannot start a thread: {error}"));
            }
        }
    }

    /// Appends a record, whose payload is the parts one after the other. With `wait` somebody waits for it: it is
    /// written as soon as the disk is free, else a little later with others.
    pub fn append(&self, parts: &[&[u8]], wait: bool) -> Appended {
        let mut pending = self.shared.pending.lock();
        let before = pending.buffer.len();
        batch::put_record(&mut pending.buffer, parts);
        let record = before.max(BATCH_HEADER) as u64;
        let position = pending.position + record;
        let end = pending.position + pending.buffer.len() as u64;
        let added = (pending.buffer.len() - before) as u64;
        self.shared.appended.store(end, Ordering::Release);
        self.shared.waiting_bytes.fetch_add(added, Ordering::Relaxed);
        let wake = if wait {
            !std::mem::replace(&mut pending.urgent, true)
        } else if pending.urgent || pending.due.is_some() {
            false
        } else {
            pending.due = Some(Instant::now() + self.shared.options.lazy_for);
            true
        };
        drop(pending);
        if wake {
            self.shared.work.notify_one();
        }
        Appended { position, end }
    }

    /// Begins a group of records that are found together or not at all. It must not be held for long, nor while
    /// another is begun by the same thread.
    pub fn group(&self) -> Group<'_> {
        Group { journal: self, _cut: self.shared.cut.read() }
    }

    /// Everything before this position is on stable storage.
    pub fn synced(&self) -> u64 {
        self.shared.synced.load(Ordering::Acquire)
    }

    /// End of what was appended.
    pub fn appended(&self) -> u64 {
        self.shared.appended.load(Ordering::Acquire)
    }

    /// Bytes that wait to be written and synced.
    pub fn waiting_bytes(&self) -> u64 {
        self.shared.waiting_bytes.load(Ordering::Relaxed)
    }

    /// Why nothing can be written at present. It is tried again all the time; nothing that was appended is lost
    /// meanwhile.
    pub fn failure(&self) -> Option<String> {
        if self.shared.failing.load(Ordering::Relaxed) { self.shared.failure.lock().clone() } else { None }
    }

    /// Free space of the disk, if it says.
    pub fn free_bytes(&self) -> Option<u64> {
        self.shared.disk.free_bytes().ok()
    }

    /// Reads the payload of the record at a position.
    ///
    /// # Errors
    /// When its segment was released, the disk fails, or it is damaged.
    pub fn read(&self, position: u64) -> Result<Bytes, JournalError> {
        if let Some(found) = self.read_waiting(position) {
            return Ok(found);
        }
        let segments = self.shared.segments.read();
        let segment = segments.range(..=position).next_back().map(|(_, segment)| segment.clone());
        drop(segments);
        segment.ok_or_else(|| segment::missing(position))?.read(position)
    }

    /// A record that is still in memory.
    fn read_waiting(&self, position: u64) -> Option<Bytes> {
        let mut pending = self.shared.pending.lock();
        while pending.sealing {
            self.shared.sealed.wait(&mut pending);
        }
        let (base, bytes) = if position >= pending.position {
            (pending.position, &pending.buffer)
        } else {
            let (base, bytes) = pending.in_flight.as_ref()?;
            (*base, &**bytes)
        };
        let at = usize::try_from(position.checked_sub(base)?).ok()?;
        let len = batch::u32_at(bytes.get(at..at + RECORD_HEADER)?, 0) as usize;
        Some(Bytes::copy_from_slice(bytes.get(at + RECORD_HEADER..at + RECORD_HEADER + len)?))
    }

    /// The position of the first record that [`Journal::open`] read; 0 for a journal that was never given one.
    pub fn root(&self) -> u64 {
        self.shared.root.lock().record
    }

    /// Moves the root to a record, which must be synced: the next start reads from there.
    ///
    /// # Errors
    /// When the disk fails, or there is no record at the position.
    pub fn set_root(&self, position: u64) -> Result<(), JournalError> {
        let batch = self.batch_of(position)?;
        let root = Root { record: position, batch };
        root::write(&*self.shared.disk, root).map_err(|error| JournalError::io("write", "root", error))?;
        *self.shared.root.lock() = root;
        Ok(())
    }

    /// Where the batch begins that holds a position.
    fn batch_of(&self, position: u64) -> Result<u64, JournalError> {
        let segment = {
            let segments = self.shared.segments.read();
            segments.range(..=position).next_back().map(|(_, segment)| segment.clone())
        };
        let missing =
            || JournalError::damaged("root", format!("no synced batch holds the position {position}"));
        let segment = segment.ok_or_else(missing)?;
        let name = segment::name(segment.base);
        let mut batch = segment.base;
        loop {
            let mut head = [0; BATCH_HEADER];
            segment
                .file
                .read_at(segment.offset(batch), &mut head)
                .map_err(|error| JournalError::io("read", &name, error))?;
            let len = batch::header(&head, batch).ok_or_else(missing)?;
            let next = (batch + BATCH_HEADER as u64 + len).next_multiple_of(batch::ALIGN as u64);
            if next > position {
                return Ok(batch);
            }
            batch = next;
        }
    }

    /// The segments, oldest first; the last one grows.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let segments = self.shared.segments.read();
        let mut infos: Vec<SegmentInfo> =
            segments.keys().map(|base| SegmentInfo { base: *base, end: *base }).collect();
        for n in 0..infos.len() {
            infos[n].end = infos.get(n + 1).map_or_else(|| self.synced(), |next| next.base);
        }
        infos
    }

    /// Releases a segment that nothing refers to: its file is used again or removed. The newest, and those from the
    /// root on, are kept, and while a copy is made all of them are: they can be released later.
    ///
    /// # Errors
    /// When the disk fails; the segment is gone all the same until the next start.
    pub fn release(&self, base: u64) -> Result<(), JournalError> {
        let segment = {
            let mut segments = self.shared.segments.write();
            let root = self.shared.root.lock().batch;
            let needed = self.shared.pins.load(Ordering::Relaxed) > 0
                || segments.range(..=root).next_back().is_none_or(|(first, _)| base >= *first)
                || segments.keys().next_back() == Some(&base);
            if needed {
                return Ok(());
            }
            segments.remove(&base)
        };
        let Some(segment) = segment else { return Ok(()) };
        let name = segment::name(base);
        let mut free = self.shared.free.lock();
        let reusable = segment.len >= self.shared.options.segment_bytes
            && segment.len < self.shared.options.segment_bytes * 2
            && free.len() < self.shared.options.free_segments;
        if reusable {
            let number = self.shared.next_free.fetch_add(1, Ordering::Relaxed);
            let free_name = format!("{FREE_PREFIX}{number:020}");
            self.shared
                .disk
                .rename(&name, &free_name)
                .map_err(|error| JournalError::io("rename", &name, error))?;
            free.push(free_name);
            return Ok(());
        }
        self.shared.disk.remove(&name).map_err(|error| JournalError::io("remove", &name, error))
    }

    /// Waits until everything appended before is on stable storage, or writing fails.
    ///
    /// # Errors
    /// The reason why nothing can be written.
    pub fn flush(&self) -> Result<(), String> {
        let target = self.hurry();
        while self.synced() < target {
            if let Some(reason) = self.failure() {
                return Err(reason);
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// Has everything that was appended before written as soon as the disk is free, as if somebody waited for it. Returns
    /// the position up to which [`Journal::synced`] comes by that.
    pub fn hurry(&self) -> u64 {
        let target = self.appended();
        if self.synced() < target {
            {
                let mut pending = self.shared.pending.lock();
                // What is in flight comes by itself, and an empty batch must not look as if the thread knew of it.
                pending.urgent |= !pending.buffer.is_empty();
            }
            self.shared.work.notify_one();
        }
        target
    }

    /// Writes what waits and ends the thread. Doing it again does nothing.
    pub fn close(&self) {
        self.shared.pending.lock().closing = true;
        self.shared.work.notify_one();
        let thread = self.committer.lock().take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the journal panicked");
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("synced", &self.synced()).field("appended", &self.appended()).finish()
    }
}

impl Shared {
    pub(crate) fn fail(&self, reason: String) {
        *self.failure.lock() = Some(reason);
        self.failing.store(true, Ordering::Relaxed);
    }
}
