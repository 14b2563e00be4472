//! What operators do: calls that need no link. A durable change is made when the journal is next synced.

use std::sync::Arc;

use crate::broker::Broker;
use crate::connection::{Connection, ConnectionOptions};
use crate::declare::{Bind, ExchangeDeclare, QueueDeclare};
use crate::effects::Effects;
use crate::error::{Code, Error};
use crate::events::{Done, LinkEvent};
use crate::ingress::Waker;
use crate::link::LinkOptions;
use crate::link_calls::Link;
use crate::list::PeekedMessage;
use crate::publish::Publish;

/// Who asks, in listings and in the origin of what operators publish.
const OPERATOR: &str = "operator";
/// Number of an operation on a link that has one.
const OWN_OPERATION: u64 = 1;

/// A connection that asks for one thing and waits for nothing.
struct OwnLink(#[expect(dead_code, reason = "the link is open for as long as it is")] Connection, Link);

struct Nobody;

impl Waker for Nobody {
    fn ready(&self, _id: u64) {}
}

impl OwnLink {
    /// The next event that is there.
    fn event(&self) -> Option<LinkEvent> {
        let mut events = Vec::new();
        self.1.take(1, u64::MAX, &mut events);
        events.pop()
    }
}

impl Broker {
    /// Declares an exchange.
    ///
    /// # Errors
    /// As [`crate::Link::declare_exchange`].
    pub fn declare_exchange(&self, vhost: &str, declare: &ExchangeDeclare<'_>) -> Result<Done, Error> {
        let vhost = self.core.vhost(vhost)?;
        Ok(self.core.declare_exchange(&vhost, declare)?.0)
    }

    /// Deletes an exchange.
    ///
    /// # Errors
    /// As [`crate::Link::delete_exchange`].
    pub fn delete_exchange(&self, vhost: &str, name: &str, if_unused: bool) -> Result<Done, Error> {
        let vhost = self.core.vhost(vhost)?;
        Ok(self.core.delete_exchange(&vhost, name, if_unused)?.0)
    }

    /// Declares a queue that belongs to no connection.
    ///
    /// # Errors
    /// As [`crate::Link::declare_queue`].
    pub fn declare_queue(&self, vhost: &str, declare: &QueueDeclare<'_>) -> Result<Done, Error> {
        let vhost = self.core.vhost(vhost)?;
        self.with_effects(|fx| Ok(self.core.declare_queue(&vhost, None, declare, fx)?.0))
    }

    /// Deletes a queue, whosever it is.
    ///
    /// # Errors
    /// As [`crate::Link::delete_queue`].
    pub fn delete_queue(
        &self,
        vhost: &str,
        name: &str,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<Done, Error> {
        let vhost = self.core.vhost(vhost)?;
        self.with_effects(|fx| Ok(self.core.delete_queue(&vhost, None, name, (if_unused, if_empty), fx)?.0))
    }

    /// Removes the ready messages of a queue.
    ///
    /// # Errors
    /// When there is no such queue.
    pub fn purge_queue(&self, vhost: &str, name: &str) -> Result<Done, Error> {
        let vhost = self.core.vhost(vhost)?;
        self.with_effects(|fx| self.core.purge_queue(&vhost, None, name, fx))
    }

    /// Takes up to `max` messages from the head of a queue, settled.
    ///
    /// # Errors
    /// When there is no such queue, or it belongs to a connection, or the journal cannot be read.
    pub fn take(&self, vhost: &str, queue: &str, max: usize) -> Result<Vec<PeekedMessage>, Error> {
        let own = self.own_link(vhost)?;
        let mut taken = Vec::new();
        while taken.len() < max {
            own.1.get(OWN_OPERATION, queue, true);
            match own.event() {
                Some(LinkEvent::Got(got)) => {
                    taken.push(PeekedMessage { message: got.message, redelivered: got.redelivered });
                }
                Some(LinkEvent::Answer(answer)) => {
                    answer.result?;
                    break;
                }
                _ => break,
            }
        }
        Ok(taken)
    }

    /// Publishes one message as a client would that is nobody in particular. Returns whether it reached a queue.
    ///
    /// # Errors
    /// As [`crate::Link::publish`] refuses: no such exchange, one that is internal, a reserved key, a full queue.
    pub fn publish(&self, vhost: &str, publish: &Publish<'_>) -> Result<bool, Error> {
        let own = self.own_link(vhost)?;
        // A queue that is full tells only who asks for confirmation.
        own.1.confirm(0, true);
        let publish = Publish { mandatory: true, ..publish.clone() };
        own.1.publish(1, &[publish]);
        match own.event() {
            Some(LinkEvent::Refused { error, .. }) => Err(*error),
            Some(LinkEvent::Returned { .. }) => Ok(false),
            _ => Ok(true),
        }
    }

    /// A link for one operation.
    fn own_link(&self, vhost: &str) -> Result<OwnLink, Error> {
        let connection = self.connect(ConnectionOptions {
            id: 0,
            vhost: vhost.to_owned(),
            instance: OPERATOR.to_owned(),
            user: OPERATOR.to_owned(),
            client_name: None,
            info: "{}".to_owned(),
            privileged: false,
            waker: Arc::new(Nobody),
        })?;
        let link = connection.open_link(LinkOptions::default())?;
        Ok(OwnLink(connection, link))
    }

    /// Makes a binding.
    ///
    /// # Errors
    /// As [`crate::Link::bind`].
    pub fn bind(&self, vhost: &str, bind: &Bind<'_>) -> Result<Done, Error> {
        let vhost = self.core.vhost(vhost)?;
        self.with_effects(|fx| {
            let mut made = Done::default();
            self.core.bind(&vhost, None, bind, fx, |done, _, _| made = done)?;
            Ok(made)
        })
    }

    /// Removes a binding.
    ///
    /// # Errors
    /// As [`crate::Link::unbind`].
    pub fn unbind(&self, vhost: &str, bind: &Bind<'_>) -> Result<Done, Error> {
        let vhost = self.core.vhost(vhost)?;
        Ok(self.core.unbind(&vhost, None, bind)?.0)
    }

    /// Whether anything would see a message of the host's own: something is bound to a key of an exchange.
    pub fn is_heard(&self, vhost: &str, exchange: &str, routing_key: &str) -> bool {
        let Ok(vhost) = self.core.vhost(vhost) else { return false };
        let topology = vhost.topology.read();
        !topology.route(exchange, routing_key, &[], &[], true).0.is_empty()
    }

    /// Ends a session, attached or not; its link is closed.
    ///
    /// # Errors
    /// When there is no such session.
    pub fn delete_session(&self, vhost: &str, name: &str) -> Result<(), Error> {
        let vhost = self.core.vhost(vhost)?;
        let session = vhost.topology.read().sessions.get(name).cloned();
        let session = session.ok_or_else(|| {
            Error::new(Code::NotFound, format!("no session '{name}' in vhost '{}'", vhost.name))
        })?;
        self.with_effects(|fx| {
            let link = session.state.lock().link.clone();
            if let Some(link) = link {
                let error = Error::new(Code::ConnectionForced, "the session was deleted");
                self.core.close_link(&link, Some((error, false)), fx);
            }
            self.core.end_session(&vhost, &session, fx);
            Ok(())
        })
    }

    /// Closes a connection; its client is told the reason. Returns whether there was one of that number.
    pub fn close_connection(&self, number: u64, reason: &str) -> bool {
        let connection = self.core.connections.lock().get(&number).cloned();
        if let Some(connection) = &connection {
            self.core.close_connection(connection, Some(Error::new(Code::ConnectionForced, reason)));
        }
        connection.is_some()
    }

    pub(super) fn with_effects<R>(&self, call: impl FnOnce(&mut Effects) -> R) -> R {
        let mut fx = Effects::default();
        let result = call(&mut fx);
        self.core.finish(fx);
        result
    }
}
