//! The thread that makes writes durable: it takes what waits, evaluates it in order, appends one batch to the journal,
//! syncs once, and answers all.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::error::Error;
use crate::evaluate::Batch;
use crate::journal::Journal;
use crate::op::Op;
use crate::options::{SYNC_INTERVAL_MIN, SyncPolicy};
use crate::queue::Job;
use crate::record::{CollectionId, Key};
use crate::shared::Shared;
use crate::write::Written;

/// Writes in one batch: bounds the time the first of them waits for the last.
const BATCH_MAX: usize = 1_024;

/// How long writes stay in the journal alone while there is room: what lies there costs memory, and time at the start
/// after a crash.
const CHECKPOINT_AFTER: Duration = Duration::from_secs(5);

/// How old the last look at the free space may be.
const SPACE_CHECKED_FOR: Duration = Duration::from_millis(20);

/// See the module.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    journal: Journal,
    /// Number of the last write.
    sequence: u64,
    /// What to do before the journal takes a batch.
    state: JournalState,
    space_checked: Option<Instant>,
    /// When the active layer is to be handed over at the latest.
    checkpoint_at: Option<Instant>,
    sync_at: Option<Instant>,
    refusing: bool,
}

/// Whether the journal takes batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JournalState {
    Ready,
    /// A file has to be begun, once the store has all that was handed over.
    NotStarted,
    /// Writing failed: the file cannot be trusted, so what it holds has to go to the store first.
    Broken,
}

type Answer = (oneshot::Sender<Result<Written, Error>>, Result<Written, Error>);

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, journal: Journal, sequence: u64) -> Self {
        Self {
            shared,
            journal,
            sequence,
            state: JournalState::NotStarted,
            space_checked: None,
            checkpoint_at: None,
            sync_at: None,
            refusing: false,
        }
    }

    /// Runs until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut jobs = Vec::new();
        let mut answers = Vec::new();
        while shared.queue.take(&mut jobs, self.next_deadline()) {
            let mut waiting = jobs.drain(..).peekable();
            while waiting.peek().is_some() {
                self.handle(waiting.by_ref().take(BATCH_MAX), &mut answers);
            }
            drop(waiting);
            self.meet_deadlines();
        }
        self.hand_over_the_rest();
    }

    fn next_deadline(&self) -> Option<Instant> {
        match (self.checkpoint_at, self.sync_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn handle(&mut self, jobs: impl Iterator<Item = Job>, answers: &mut Vec<Answer>) {
        if let Err(reason) = self.get_ready() {
            self.note_refusal(Some(&reason));
            for job in jobs {
                let _ = job.answer.send(Err(Error::Unavailable { reason: reason.clone() }));
            }
            return;
        }
        let mut batch = Batch::new(self.shared.catalogue.read().clone(), self.sequence);
        for job in jobs {
            answers.push((job.answer, batch.add(&*self.shared, job.write)));
        }
        let outcome = if batch.ops.is_empty() { Ok(()) } else { self.commit(batch) };
        if outcome.as_ref().err() != self.shared.journal_failure.lock().as_ref() {
            *self.shared.journal_failure.lock() = outcome.as_ref().err().cloned();
        }
        self.note_refusal(outcome.as_ref().err());
        for (answer, result) in answers.drain(..) {
            let result = match &outcome {
                Ok(()) => result,
                Err(reason) => Err(Error::Unavailable { reason: reason.clone() }),
            };
            // Who no longer waits does not mind.
            let _ = answer.send(result);
        }
    }

    /// Makes sure that a batch can be taken, or says why not.
    fn get_ready(&mut self) -> Result<(), String> {
        let now = Instant::now();
        if self.space_checked.is_none_or(|at| now - at >= SPACE_CHECKED_FOR) {
            self.space_checked = None;
            if let Some(reason) = self.shared.space_missing() {
                return Err(reason);
            }
            self.space_checked = Some(now);
        }
        if let Some(reason) = self.shared.checkpoint.failure() {
            return Err(reason);
        }
        if self.state == JournalState::Broken {
            self.shared.checkpoint.wait_done()?;
            self.freeze();
            self.state = JournalState::NotStarted;
        }
        if self.state == JournalState::NotStarted {
            self.shared.checkpoint.wait_done()?;
            self.journal.start().map_err(|error| failure("begin a journal file", &error))?;
            self.state = JournalState::Ready;
        }
        Ok(())
    }

    /// Makes a batch durable as the policy has it, and visible.
    fn commit(&mut self, batch: Batch) -> Result<(), String> {
        if !self.journal.prepare(self.sequence, batch.sequence, &batch.ops) {
            self.rotate()?;
            self.journal.prepare(self.sequence, batch.sequence, &batch.ops);
        }
        // Numbers are not used again, whatever becomes of the batch.
        self.sequence = batch.sequence;
        let mut written = self.journal.append();
        if written.is_ok() && self.shared.options.sync == SyncPolicy::Always {
            written = self.journal.sync();
        }
        if let Err(error) = written {
            self.state = JournalState::Broken;
            return Err(failure("write the journal", &error));
        }
        let now = Instant::now();
        if let SyncPolicy::IntervalMs(millis) = self.shared.options.sync {
            self.sync_at.get_or_insert(now + Duration::from_millis(millis).max(SYNC_INTERVAL_MIN));
        }
        self.checkpoint_at.get_or_insert(now + CHECKPOINT_AFTER);
        self.show(batch, now);
        Ok(())
    }

    /// Makes a batch visible: to readers at once, to searches as their view has it.
    fn show(&self, batch: Batch, now: Instant) {
        let mut visibility = self.shared.visibility.lock();
        for (key, before) in &batch.before {
            visibility.note(key, before.as_ref(), now);
        }
        let mut counts = self.shared.counts.write();
        let mut overlay = self.shared.overlay.write();
        for (key, record) in batch.documents {
            overlay.active.set(key, record);
        }
        for op in batch.ops {
            overlay.active.grow(&op);
            if let Some((collection, growth)) = op.growth() {
                let count = counts.entry(collection).or_default();
                *count = count.saturating_add_signed(growth);
            }
            match op {
                Op::Put { .. } | Op::Remove { .. } => {}
                Op::RemoveIndex { ref collections, .. } => {
                    for (_, id) in collections {
                        visibility.forget(*id);
                        counts.remove(id);
                    }
                    overlay.active.names.push(op);
                }
                op => overlay.active.names.push(op),
            }
        }
        overlay.active.last = batch.sequence;
        drop((overlay, counts));
        visibility.advance(batch.sequence);
        if batch.catalogue.auto_refresh_count() > 0 {
            let refreshed: HashSet<CollectionId> = batch.before.keys().map(Key::collection).collect();
            for (index, _, collection) in batch.catalogue.all() {
                if refreshed.contains(&collection.id) && batch.catalogue.auto_refresh(index) {
                    visibility.refresh(collection.id);
                }
            }
        }
        *self.shared.catalogue.write() = batch.catalogue;
    }

    /// Hands the writes of the full file over and begins the other one.
    fn rotate(&mut self) -> Result<(), String> {
        self.shared.checkpoint.wait_done()?;
        // Under every policy: a later file must never hold what follows on something lost.
        if let Err(error) = self.journal.sync() {
            self.state = JournalState::Broken;
            return Err(failure("sync the journal", &error));
        }
        self.freeze();
        if let Err(error) = self.journal.start() {
            self.state = JournalState::NotStarted;
            return Err(failure("begin a journal file", &error));
        }
        Ok(())
    }

    /// Hands the active layer over to the checkpointer, which must be done with the one before.
    fn freeze(&mut self) {
        let layer = {
            let mut overlay = self.shared.overlay.write();
            let mut layer = std::mem::take(&mut overlay.active);
            layer.last = self.sequence;
            let layer = Arc::new(layer);
            overlay.frozen = Some(Arc::clone(&layer));
            layer
        };
        self.checkpoint_at = None;
        self.sync_at = None;
        self.shared.checkpoint.request(layer);
    }

    fn meet_deadlines(&mut self) {
        let now = Instant::now();
        if self.sync_at.is_some_and(|at| at <= now) {
            self.sync_at = None;
            if let Err(error) = self.journal.sync() {
                self.state = JournalState::Broken;
                tracing::warn!(%error, "the journal could not be synced");
            }
        }
        if self.checkpoint_at.is_some_and(|at| at <= now) {
            self.checkpoint_at = Some(now + CHECKPOINT_AFTER);
            match self.state {
                _ if !self.shared.checkpoint.is_done() => {}
                JournalState::NotStarted => {}
                JournalState::Broken => {
                    self.freeze();
                    self.state = JournalState::NotStarted;
                }
                JournalState::Ready => {
                    if let Err(reason) = self.rotate() {
                        tracing::warn!(reason, "the journal could not be handed over to the store");
                    }
                }
            }
        }
    }

    fn hand_over_the_rest(&mut self) {
        if let Err(error) = self.journal.sync() {
            tracing::warn!(%error, "the journal could not be synced at the stop");
        }
        if self.shared.checkpoint.wait_done().is_ok() && !self.shared.overlay.read().active.is_empty() {
            self.freeze();
        }
        self.shared.checkpoint.stop();
    }

    /// Logs the first refusal and its end, not each one.
    fn note_refusal(&mut self, reason: Option<&String>) {
        match (self.refusing, reason) {
            (false, Some(reason)) => tracing::warn!(reason, "documents are refused"),
            (true, None) => tracing::info!("documents are taken again"),
            _ => {}
        }
        self.refusing = reason.is_some();
    }
}

fn failure(doing: &str, error: &std::io::Error) -> String {
    format!("cannot {doing}: {error}; it is tried again with the next write")
}
