//! One half's end of the stream: an outbox that a thread writes from, and the loop that reads.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::wire::{Decoder, Message, WireError, put_frame};

/// What a link may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Length of a frame, in bytes.
    pub(super) frame_bytes: usize,
    /// Bytes that may wait to be written. Messages that must not be lost may take as much again; a link that needs even
    /// more has a peer that does not read, and is cut.
    pub(super) outbox_bytes: usize,
}

impl Limits {
    pub(super) const DEFAULT: Self = Self { frame_bytes: 32 * 1024 * 1024, outbox_bytes: 64 * 1024 * 1024 };
}

/// Why a message was not queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PushError {
    /// The stream has ended.
    Closed,
    /// Too many bytes wait.
    Full,
    /// It does not fit into a frame.
    TooLong { bytes: usize, limit: usize },
}

/// One end of the stream.
pub(super) struct Link {
    stream: UnixStream,
    limits: Limits,
    outbox: Mutex<Outbox>,
    wake: Condvar,
}

/// What takes in the messages of a link.
pub(super) trait Receiver<M> {
    /// Handles a message; the reason why the link has to be cut, when it makes no sense.
    fn message(&mut self, message: M) -> Result<(), String>;

    /// Told when all that has arrived was handled.
    fn batch_done(&mut self) {}
}

#[derive(Default)]
struct Outbox {
    buffer: Vec<u8>,
    poked: bool,
    ended: Option<String>,
}

const CHUNK_BYTES: usize = 64 * 1024;
const KEPT_BYTES: usize = 1024 * 1024;

impl Link {
    pub(super) fn new(stream: UnixStream, limits: Limits) -> Self {
        Self { stream, limits, outbox: Mutex::default(), wake: Condvar::new() }
    }

    /// Queues a message. Never blocks.
    pub(super) fn push<M: Message>(&self, message: &M) -> Result<(), PushError> {
        self.queue(message, self.limits.outbox_bytes)
    }

    /// Queues a message that must not be lost, and says whether it was: if not, the link is cut.
    pub(super) fn push_surely<M: Message>(&self, message: &M) -> bool {
        let result = self.push_surely_if_it_fits(message);
        if matches!(result, Err(PushError::TooLong { .. })) {
            self.cut("a message that must cross does not fit into a frame");
        }
        result.is_ok()
    }

    /// The same, but a message that is too long for a frame is given back.
    pub(super) fn push_surely_if_it_fits<M: Message>(&self, message: &M) -> Result<(), PushError> {
        let result = self.queue(message, 2 * self.limits.outbox_bytes);
        if matches!(result, Err(PushError::Full)) {
            self.cut("the other side does not read");
        }
        result
    }

    fn queue<M: Message>(&self, message: &M, outbox_bytes: usize) -> Result<(), PushError> {
        let mut outbox = self.outbox.lock();
        if outbox.ended.is_some() {
            return Err(PushError::Closed);
        }
        let waiting = outbox.buffer.len();
        // A message that is alone is let through, however long: its frame is bounded by its own limit.
        if waiting > 0 && waiting.saturating_add(message.bytes()) > outbox_bytes {
            return Err(PushError::Full);
        }
        match put_frame(message, self.limits.frame_bytes, &mut outbox.buffer) {
            Ok(()) => {}
            Err(WireError::TooLong { bytes, limit }) => return Err(PushError::TooLong { bytes, limit }),
            Err(_) => return Err(PushError::Closed),
        }
        drop(outbox);
        self.wake.notify_one();
        Ok(())
    }

    /// How long a frame may be, in bytes.
    pub(super) const fn frame_bytes(&self) -> usize {
        self.limits.frame_bytes
    }

    /// Whether much waits to be written already, so that more should wait where it is.
    pub(super) fn is_busy(&self) -> bool {
        self.outbox.lock().buffer.len() > self.limits.outbox_bytes / 4
    }

    /// Lets the writing thread look for what it can fetch by itself.
    pub(super) fn poke(&self) {
        self.outbox.lock().poked = true;
        self.wake.notify_one();
    }

    /// Ends the link for both halves. The first reason is kept.
    pub(super) fn cut(&self, reason: &str) {
        {
            let mut outbox = self.outbox.lock();
            outbox.ended.get_or_insert_with(|| reason.to_owned());
            outbox.buffer = Vec::new();
        }
        self.wake.notify_all();
        // Fails only when the peer has closed before, which comes to the same.
        drop(self.stream.shutdown(Shutdown::Both));
    }

    /// Whether the link was not cut yet.
    pub(super) fn is_open(&self) -> bool {
        self.outbox.lock().ended.is_none()
    }

    /// Why the link was cut; empty while it is not.
    pub(super) fn reason(&self) -> String {
        self.outbox.lock().ended.clone().unwrap_or_default()
    }

    /// Writes what is queued, everything that waits at once, until the link is cut. Calls `fetch` before each write, when
    /// poked, and every `tick`.
    pub(super) fn write_until_cut(&self, tick: Option<Duration>, mut fetch: impl FnMut()) {
        let mut batch = Vec::new();
        loop {
            fetch();
            {
                let mut outbox = self.outbox.lock();
                if outbox.buffer.is_empty() && !outbox.poked && outbox.ended.is_none() {
                    match tick {
                        Some(tick) => drop(self.wake.wait_for(&mut outbox, tick)),
                        None => self.wake.wait(&mut outbox),
                    }
                }
                if outbox.ended.is_some() {
                    return;
                }
                outbox.poked = false;
                std::mem::swap(&mut outbox.buffer, &mut batch);
            }
            if let Err(error) = (&self.stream).write_all(&batch) {
                return self.cut(&format!("writing failed: {error}"));
            }
            batch.clear();
            batch.shrink_to(KEPT_BYTES);
        }
    }

    /// Reads messages until the stream ends, and cuts the link.
    pub(super) fn read_until_cut<M: Message>(&self, receiver: &mut impl Receiver<M>) {
        let mut decoder = Decoder::new(self.limits.frame_bytes);
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = match (&self.stream).read(&mut chunk) {
                Ok(0) if decoder.is_inside_frame() => {
                    return self.cut("the other side ended in the middle of a frame");
                }
                Ok(0) => return self.cut("the other side ended"),
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return self.cut(&format!("reading failed: {error}")),
            };
            decoder.push(chunk.get(..read).unwrap_or_default());
            // What the system still holds after a cut is for nobody.
            while self.is_open() {
                match decoder.next() {
                    Ok(Some(message)) => {
                        if let Err(reason) = receiver.message(message) {
                            return self.cut(&reason);
                        }
                    }
                    Ok(None) => break,
                    Err(error) => return self.cut(&error.to_string()),
                }
            }
            receiver.batch_done();
        }
    }
}
