//! What waits for one client of the API.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use abi_stable::std_types::RString;
use parking_lot::Mutex;

use crate::abi::Blob;

/// Notifications that wait for one client, at most. A client that lets more come is closed.
pub const EVENTS_MAX: usize = 1_024;

/// Bytes of notifications that wait for one client, at most; one that is larger waits alone.
pub const EVENTS_MAX_BYTES: usize = 4 * 1024 * 1024;

/// A message of a real-time channel. Clones share its bytes, so that clients that get the same one do.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Name of the channel.
    pub channel: Arc<str>,
    /// The message as JSON, serialised once for all.
    pub payload: Blob,
}

/// What a client of the API receives besides answers.
#[derive(Clone, Debug)]
pub enum Received {
    /// A message of a real-time channel.
    Notification(Notification),
    /// The host wants the client closed, or it was too slow. Say goodbye and end.
    Closed {
        /// Why: a status as in HTTP; 503 for a client that was too slow.
        code: u32,
        /// Why, in one line for people.
        reason: RString,
    },
}

/// A bounded queue with one reader.
#[derive(Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Notification>,
    bytes: usize,
    closed: Option<(u32, RString)>,
    reader: Option<Waker>,
}

impl Inbox {
    /// Adds a notification; `false` when that closes the client because there are too many.
    pub(crate) fn push(&self, notification: &Notification) -> bool {
        let bytes = notification.payload.as_slice().len();
        let mut state = self.state.lock();
        if state.closed.is_some() {
            return true;
        }
        let is_over_bytes = !state.waiting.is_empty() && state.bytes + bytes > EVENTS_MAX_BYTES;
        if state.waiting.len() >= EVENTS_MAX || is_over_bytes {
            drop(state);
            self.close(503, "too slow: too many notifications wait");
            return false;
        }
        state.bytes += bytes;
        state.waiting.push_back(notification.clone());
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        true
    }

    /// Closes the client, after what waits. The first reason stays.
    pub(crate) fn close(&self, code: u32, reason: &str) {
        let mut state = self.state.lock();
        state.closed.get_or_insert_with(|| (code, reason.into()));
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    pub(crate) fn try_take(&self) -> Option<Received> {
        self.state.lock().next()
    }

    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Received> {
        let mut state = self.state.lock();
        if let Some(received) = state.next() {
            return Poll::Ready(received);
        }
        let before = state.reader.replace(context.waker().clone());
        // A waker may free a task when it is dropped, which must not happen under the lock.
        drop(state);
        drop(before);
        Poll::Pending
    }
}

impl State {
    fn next(&mut self) -> Option<Received> {
        if let Some(notification) = self.waiting.pop_front() {
            self.bytes -= notification.payload.as_slice().len();
            if self.waiting.is_empty() && self.waiting.capacity() > KEPT_MAX {
                self.waiting = VecDeque::new();
            }
            return Some(Received::Notification(notification));
        }
        self.closed.clone().map(|(code, reason)| Received::Closed { code, reason })
    }
}

/// Room that an empty queue keeps: a burst must not cost an idle client memory for ever.
const KEPT_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn on(channel: &str, bytes: usize) -> Notification {
        Notification { channel: channel.into(), payload: vec![b'x'; bytes].into() }
    }

    #[test]
    fn what_is_pushed_is_taken_in_order_and_then_the_close() {
        let inbox = Inbox::default();
        assert!(inbox.push(&on("a", 1)));
        assert!(inbox.push(&on("b", 2)));
        inbox.close(403, "out");
        inbox.close(500, "later");
        assert!(inbox.push(&on("c", 3)), "nobody is slow that is closed");
        let taken: Vec<_> = std::iter::from_fn(|| inbox.try_take()).take(4).collect();
        let channels: Vec<_> = taken
            .iter()
            .map(|received| match received {
                Received::Notification(notification) => notification.channel.to_string(),
                Received::Closed { code, reason } => format!("{code} {reason}"),
            })
            .collect();
        assert_eq!(channels, ["a", "b", "403 out", "403 out"]);
    }

    #[test]
    fn a_client_that_reads_nothing_is_closed_at_either_limit() {
        for (size, fit) in [(1, EVENTS_MAX), (EVENTS_MAX_BYTES / 4, 4), (EVENTS_MAX_BYTES * 2, 1)] {
            let inbox = Inbox::default();
            for at in 0..fit {
                assert!(inbox.push(&on("c", size)), "{at} of {size} bytes");
            }
            assert!(!inbox.push(&on("c", size)));
            assert_eq!(std::iter::from_fn(|| inbox.try_take()).take(fit + 5).count(), fit + 5);
            assert!(matches!(inbox.try_take(), Some(Received::Closed { code: 503, .. })));
        }
    }
}
