//! Messages that the host takes itself, and the count of those not yet answered.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::message::Message;

/// What a routing key of a topic exchange is to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyClass {
    /// Anyone may publish, every binding sees it.
    #[default]
    Open,
    /// Only privileged links may publish; bindings with wildcards see it only if they may.
    Reserved,
    /// The message goes to [`Host::request`] and, unless the options say otherwise, to nobody else.
    Ingress,
}

/// What the broker asks of its host, from any thread; implementations return soon. Only [`Host::key_class`] is called
/// while the broker holds a lock, so that one must not call the broker.
pub trait Host: Send + Sync {
    /// A message with a key of class [`KeyClass::Ingress`]. The link counts as unanswered until the request is
    /// dropped.
    fn request(&self, request: Request);

    /// The class of a routing key of a topic exchange. Has to be the same whenever it is asked.
    fn key_class(&self, vhost: &str, exchange: &str, routing_key: &str) -> KeyClass {
        let _ = (vhost, exchange, routing_key);
        KeyClass::Open
    }

    /// [`crate::Broker::tick`] should be called at this time (milliseconds since 1970), earlier than it last said.
    fn deadline(&self, at_ms: u64) {
        let _ = at_ms;
    }
}

/// A host that has no API: nothing is taken out of its broker, and no key is reserved.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHost;

impl Host for NoHost {
    fn request(&self, request: Request) {
        drop(request);
    }
}

/// What a connection asks of its owner.
pub trait Waker: Send + Sync {
    /// The outbox of the link or connection with this number (the caller's own) is no longer empty. Called without any
    /// lock, from any thread, once until the outbox was emptied; it should only wake whoever takes.
    fn ready(&self, id: u64);
}

/// A message for the host. Dropping it says that it is answered.
pub struct Request {
    /// The message, with its origin.
    pub message: Arc<Message>,
    /// Virtual host it was published in.
    pub vhost: Arc<str>,
    pub(crate) unanswered: Arc<Unanswered>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("message", &self.message).field("vhost", &self.vhost).finish()
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.unanswered.answered();
    }
}

/// Counts the requests of a link that were not answered.
#[derive(Default)]
pub(crate) struct Unanswered(Mutex<Count>);

#[derive(Default)]
struct Count {
    open: u64,
    waiting: Vec<Box<dyn FnOnce() + Send>>,
}

impl Unanswered {
    pub(crate) fn asked(&self) {
        self.0.lock().open += 1;
    }

    pub(crate) fn open(&self) -> u64 {
        self.0.lock().open
    }

    /// Calls `done` when no request is open, at once if none is.
    pub(crate) fn when_none(&self, done: Box<dyn FnOnce() + Send>) {
        let mut count = self.0.lock();
        if count.open > 0 {
            count.waiting.push(done);
            return;
        }
        drop(count);
        done();
    }

    fn answered(&self) {
        let mut count = self.0.lock();
        count.open -= 1;
        if count.open > 0 {
            return;
        }
        let waiting = std::mem::take(&mut count.waiting);
        drop(count);
        for done in waiting {
            done();
        }
    }
}
