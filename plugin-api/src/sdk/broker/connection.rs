//! A connection to the broker.

use std::sync::Arc;
use std::task::{Context, Poll};

use abi_stable::std_types::RString;
use serde_json::Value;

use super::hub::{Hub, Outbox, Reader};
use super::{
    CODE_ACCESS_REFUSED, CODE_INTERNAL_ERROR, CODE_NOT_ALLOWED, Enter, Events, Link, LinkOptions, Refusal,
    TAKEN_MAX_BYTES, TAKEN_MAX_EVENTS,
};
use crate::abi::{self, ApiError, Blob, Reply};
use crate::sdk::PendingReply;

/// A connection to the broker. Dropping it closes it, with its links.
pub struct Connection {
    service: abi::Broker,
    hub: Arc<Hub>,
    outbox: Arc<Outbox>,
    reader: Arc<Reader>,
}

/// How much may be taken of one outbox at a time: see [`Connection::poll_events_within`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// At most so many events; 0: none now.
    pub events: u32,
    /// At most so many bytes of messages, or one message.
    pub bytes: u64,
}

impl Budget {
    /// As much as is taken at a time at all.
    pub const FULL: Self = Self { events: TAKEN_MAX_EVENTS, bytes: TAKEN_MAX_BYTES };
}

/// Events of one outbox of a connection, oldest first.
#[derive(Debug)]
pub struct ConnectionEvents {
    /// The [`id`](Link::id) of the link that they happened on, or that of the connection.
    pub from: u64,
    /// They.
    pub events: Events,
}

impl Connection {
    pub(super) fn open(hub: &Arc<Hub>, service: abi::Broker, info: &str) -> Result<Self, ApiError> {
        let reader = Arc::new(Reader::default());
        // First, so that no event can come for a connection that is not known here.
        let outbox = hub.add(&reader);
        if let Err(error) = service.open(outbox.id, info) {
            hub.remove(&outbox);
            return Err(error);
        }
        Ok(Self { service, hub: Arc::clone(hub), outbox, reader })
    }

    /// Its id, unique among those of connections and links that the instance ever opened.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.outbox.id
    }

    /// Gives the connection the identity that `credentials` prove, also anew later on. `mechanism` is that of SASL, `PLAIN`
    /// or `ANONYMOUS`. Answers with the user's name; when refused, the connection stays who it was. The call is under way
    /// when this returns.
    pub fn authenticate(
        &self,
        mechanism: &str,
        credentials: Blob,
    ) -> impl Future<Output = Result<String, Refusal>> + Send + use<> {
        let reply =
            PendingReply::of(|done| self.service.authenticate(self.id(), mechanism, credentials, done));
        async move {
            let body = outcome(reply.await)?;
            Ok(body.get("user").and_then(Value::as_str).unwrap_or_default().to_owned())
        }
    }

    /// Takes the connection into a virtual host, once. The call is under way when this returns. Refused with
    /// [`CODE_NOT_ALLOWED`] when there is no such virtual host or the user may not.
    pub fn enter(&self, enter: &Enter<'_>) -> impl Future<Output = Result<(), Refusal>> + Send + use<> {
        let reply = PendingReply::of(|done| self.service.enter(self.id(), enter, done));
        async move { outcome(reply.await).map(drop) }
    }

    /// Opens a link.
    ///
    /// # Errors
    ///
    /// 403 before the connection has entered a virtual host, 404 when the host has closed it, 429 when it has too many.
    pub fn open_link(&self, options: LinkOptions) -> Result<Link, ApiError> {
        let outbox = self.hub.add(&self.reader);
        if let Err(error) = self.service.open_link(self.id(), outbox.id, options) {
            self.hub.remove(&outbox);
            return Err(error);
        }
        Ok(Link::new(self.service.clone(), Arc::clone(&self.hub), outbox))
    }

    /// The next events of the connection or of any of its links, one outbox at a time and in turn. Links that are read this
    /// way are not read on their own. Cancelling loses nothing.
    pub fn events(&self) -> impl Future<Output = ConnectionEvents> + Send + '_ {
        std::future::poll_fn(|context| self.poll_events(context))
    }

    /// As [`events`](Self::events), for those who write their own futures. One task reads at a time: the last waker is the
    /// one that is woken.
    pub fn poll_events(&self, context: &Context<'_>) -> Poll<ConnectionEvents> {
        self.poll_events_within(context, |_| Budget::FULL)
    }

    /// As [`poll_events`](Self::poll_events), but takes no more of an outbox than `budget` says for the id of its link or
    /// of the connection. An outbox that is to give nothing now is passed over, and looked into again by the next call: who
    /// has budget again calls again.
    pub fn poll_events_within(
        &self,
        context: &Context<'_>,
        mut budget: impl FnMut(u64) -> Budget,
    ) -> Poll<ConnectionEvents> {
        let mut passed = Vec::new();
        let mut found = Poll::Pending;
        while let Some(outbox) = self.reader.next(context) {
            let Budget { events, bytes } = budget(outbox.id);
            if events == 0 {
                passed.push(outbox);
                continue;
            }
            let (events, bytes) = (events.min(TAKEN_MAX_EVENTS), bytes.min(TAKEN_MAX_BYTES));
            let taken = self.service.take(outbox.id, events, bytes);
            if !taken.is_empty() {
                // Behind the others: the host says nothing more before this outbox was found empty.
                self.reader.put_back(&outbox);
                found = Poll::Ready(ConnectionEvents { from: outbox.id, events: Events::new(taken) });
                break;
            }
        }
        for outbox in &passed {
            self.reader.put_back(outbox);
        }
        found
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.hub.remove(&self.outbox);
        self.service.close(self.outbox.id);
    }
}

/// The body of a reply, or why there is none.
fn outcome(reply: Reply) -> Result<Value, Refusal> {
    let body: Value = serde_json::from_slice(reply.body.as_slice()).unwrap_or_default();
    if reply.status == 200 {
        return Ok(body);
    }
    let code = match reply.status {
        401 => CODE_ACCESS_REFUSED,
        403 | 404 | 409 => CODE_NOT_ALLOWED,
        _ => CODE_INTERNAL_ERROR,
    };
    let said = body.get("error").and_then(|error| error.get("message")).and_then(Value::as_str);
    let text = said.map_or_else(|| RString::from("INTERNAL_ERROR - the host gave no answer"), RString::from);
    Err(Refusal { code, text })
}
