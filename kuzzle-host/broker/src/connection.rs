//! Connections: identity, virtual host, exclusive queues, and what concerns all links at once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::broker::Core;
use crate::effects::Effects;
use crate::error::Error;
use crate::events::LinkEvent;
use crate::ingress::Waker;
use crate::link::{LinkCore, LinkOptions, Taken};
use crate::link_calls::Link;
use crate::message::Origin;
use crate::vhost::VirtualHost;

/// How a connection is opened.
pub struct ConnectionOptions {
    /// The caller's number of the connection; it is handed to [`Waker::ready`].
    pub id: u64,
    /// Virtual host, which must exist.
    pub vhost: String,
    /// Plugin instance it belongs to.
    pub instance: String,
    /// Name of the authenticated user.
    pub user: String,
    /// What the client calls itself.
    pub client_name: Option<String>,
    /// What else is known of it, as JSON; shown in listings.
    pub info: String,
    /// Whether its links may publish to reserved keys: the host's own.
    pub privileged: bool,
    /// Who is woken for it and its links.
    pub waker: Arc<dyn Waker>,
}

/// The inside of a connection.
pub(crate) struct ConnectionCore {
    /// Unique in the broker.
    pub(crate) uid: u64,
    pub(crate) id: u64,
    pub(crate) vhost: Arc<VirtualHost>,
    pub(crate) instance: String,
    pub(crate) user: String,
    pub(crate) client_name: Option<String>,
    pub(crate) info: String,
    pub(crate) privileged: bool,
    pub(crate) opened_at_ms: u64,
    pub(crate) waker: Arc<dyn Waker>,
    core: Weak<Core>,
    /// Names of its exclusive queues.
    pub(crate) exclusive: Mutex<Vec<Arc<str>>>,
    pub(crate) links: Mutex<Vec<Arc<LinkCore>>>,
    /// Told to stop reading, and owed an `Unblocked`.
    pub(crate) throttled: AtomicBool,
    /// Told that an alarm is on.
    pub(crate) blocked: AtomicBool,
    pub(crate) published: AtomicU64,
    outbox: Mutex<Outbox>,
}

#[derive(Default)]
struct Outbox {
    events: VecDeque<LinkEvent>,
    notified: bool,
    closed: bool,
}

impl ConnectionCore {
    pub(crate) fn tell(self: &Arc<Self>, event: LinkEvent, fx: &mut Effects) {
        let mut outbox = self.outbox.lock();
        if outbox.closed {
            return;
        }
        outbox.closed = matches!(event, LinkEvent::Closed { .. });
        outbox.events.push_back(event);
        if !std::mem::replace(&mut outbox.notified, true) {
            fx.connections.push(Arc::clone(self));
        }
    }

    /// How far the journal is synced.
    pub(crate) fn synced(&self) -> u64 {
        self.core.upgrade().map_or(u64::MAX, |core| core.synced())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.outbox.lock().closed
    }
}

/// A connection. Dropping it closes it as a lost one.
pub struct Connection {
    pub(crate) core: Arc<Core>,
    pub(crate) inner: Arc<ConnectionCore>,
}

impl Connection {
    pub(crate) fn open(core: &Arc<Core>, options: ConnectionOptions) -> Result<Self, Error> {
        let vhost = core.vhost(&options.vhost)?;
        let inner = Arc::new(ConnectionCore {
            uid: core.next_uid(),
            id: options.id,
            vhost,
            instance: options.instance,
            user: options.user,
            client_name: options.client_name,
            info: options.info,
            privileged: options.privileged,
            opened_at_ms: core.now(),
            waker: options.waker,
            core: Arc::downgrade(core),
            exclusive: Mutex::default(),
            links: Mutex::default(),
            throttled: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            published: AtomicU64::new(0),
            outbox: Mutex::default(),
        });
        core.connections.lock().insert(inner.uid, Arc::clone(&inner));
        Ok(Self { core: Arc::clone(core), inner })
    }

    /// Opens a link.
    ///
    /// # Errors
    /// When the connection is closed, or has [`crate::Limits::links_per_connection`] links.
    pub fn open_link(&self, options: LinkOptions) -> Result<Link, Error> {
        if self.inner.is_closed() {
            return Err(Error::closed());
        }
        let mut links = self.inner.links.lock();
        let max = self.core.options.limits.links_per_connection;
        if links.len() >= max {
            return Err(Error::new(
                crate::Code::NotAllowed,
                format!("number of links ({}) has reached the maximum ({max}) of a connection", links.len()),
            ));
        }
        let origin = Arc::new(Origin {
            instance: self.inner.instance.clone(),
            connection: self.inner.id,
            link: options.id,
            user: self.inner.user.clone(),
            client_name: self.inner.client_name.clone(),
        });
        let link = Arc::new(LinkCore::new(self.core.next_uid(), options, Arc::clone(&self.inner), origin));
        links.push(Arc::clone(&link));
        Ok(Link { core: Arc::clone(&self.core), inner: link })
    }

    /// Moves events of the connection itself (`Blocked`, `Unblocked`, `Closed`) out of its outbox.
    pub fn take(&self, max: usize, events: &mut Vec<LinkEvent>) -> Taken {
        let mut outbox = self.inner.outbox.lock();
        let n = outbox.events.len().min(max);
        events.extend(outbox.events.drain(..n));
        outbox.notified = !outbox.events.is_empty();
        Taken { events: n, more: outbox.notified }
    }

    /// Number of the connection in listings and for [`crate::Broker::close_connection`].
    pub fn number(&self) -> u64 {
        self.inner.uid
    }

    /// Closes all its links, as lost ones, and deletes its exclusive queues. Doing it again does nothing.
    pub fn close(&self) {
        self.core.close_connection(&self.inner, None);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

impl Core {
    /// Ends a connection; `reason` is told to its client.
    pub(crate) fn close_connection(&self, connection: &Arc<ConnectionCore>, reason: Option<Error>) {
        let mut fx = Effects::default();
        match reason.clone() {
            Some(error) => {
                connection.tell(LinkEvent::Closed { error: Box::new(error), taken_over: false }, &mut fx);
            }
            None => connection.outbox.lock().closed = true,
        }
        let links: Vec<_> = connection.links.lock().drain(..).collect();
        for link in links {
            self.close_link(&link, reason.clone().map(|error| (error, false)), &mut fx);
        }
        let exclusive: Vec<_> = connection.exclusive.lock().drain(..).collect();
        for name in exclusive {
            self.delete_exclusive(connection, &name, &mut fx);
        }
        self.connections.lock().remove(&connection.uid);
        self.finish(fx);
    }

    /// A connection that may read on is told so.
    pub(crate) fn unthrottle(&self, connection: &Arc<ConnectionCore>, fx: &mut Effects) {
        let blocked = connection.blocked.swap(false, Ordering::AcqRel);
        if connection.throttled.swap(false, Ordering::AcqRel) || blocked {
            connection.tell(LinkEvent::Unblocked, fx);
        }
    }
}
