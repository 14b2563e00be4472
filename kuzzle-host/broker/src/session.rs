//! Sessions: they outlive the links that attach them, and own a queue, its bindings, a will and some notes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use bytestring::ByteString;
use parking_lot::Mutex;

use crate::broker::{Core, Timer};
use crate::declare::QueueDeclare;
use crate::effects::Effects;
use crate::error::{Code, Error};
use crate::events::{Done, LinkEvent, SessionBinding};
use crate::link::LinkCore;
use crate::message::{Facts, Origin};
use crate::publish::{Publish, Who};
use crate::queue::{NEVER, Queue};
use crate::store::NewMessage;
use crate::vhost::VirtualHost;

/// A session that never expires.
pub const EXPIRY_NEVER: u32 = u32::MAX;

/// How a session is attached.
#[derive(Debug, Clone)]
pub struct SessionAttach<'a> {
    /// Its name, unique in the virtual host.
    pub name: &'a str,
    /// Name of its queue, when it is made.
    pub queue: &'a str,
    /// Arguments of its queue: a field table without its length.
    pub arguments: &'a [u8],
    /// Seconds it outlives its link: 0 is not at all, [`EXPIRY_NEVER`] for ever.
    pub expiry_secs: u32,
    /// Whether it survives a restart.
    pub durable: bool,
    /// Whether one that exists is thrown away first.
    pub clean: bool,
    /// Published when the link is lost.
    pub will: Option<Publish<'a>>,
    /// Seconds between the loss and the will. The end of the session comes first if it does.
    pub will_delay_secs: u32,
}

/// A message that is published when a link is lost.
#[derive(Debug, Clone)]
pub(crate) struct Will {
    pub(crate) message: NewMessage,
    pub(crate) delay_secs: u32,
    pub(crate) origin: Option<Arc<Origin>>,
}

/// See the module.
pub(crate) struct Session {
    /// Unique for the life of the data directory.
    pub(crate) id: u64,
    pub(crate) name: Arc<str>,
    pub(crate) vhost: Arc<str>,
    pub(crate) durable: bool,
    pub(crate) queue: Arc<Queue>,
    pub(crate) state: Mutex<SessionState>,
}

pub(crate) struct SessionState {
    pub(crate) link: Option<Arc<LinkCore>>,
    pub(crate) expiry_secs: u32,
    /// Milliseconds since 1970; for ever while a link has it.
    pub(crate) expires_at: u64,
    pub(crate) will: Option<Will>,
    pub(crate) will_at: u64,
    /// Keys of messages that are not published twice, with the position in the journal.
    pub(crate) remembered: HashMap<u32, u64>,
    pub(crate) notes: BTreeMap<ByteString, Bytes>,
    pub(crate) ended: bool,
}

impl Session {
    pub(crate) fn new(
        (id, name, vhost): (u64, Arc<str>, Arc<str>),
        durable: bool,
        queue: Arc<Queue>,
        expiry_secs: u32,
    ) -> Self {
        Self {
            id,
            name,
            vhost,
            durable,
            queue,
            state: Mutex::new(SessionState {
                link: None,
                expiry_secs,
                expires_at: NEVER,
                will: None,
                will_at: NEVER,
                remembered: HashMap::new(),
                notes: BTreeMap::new(),
                ended: false,
            }),
        }
    }

    /// The position that the first publish under a key waited for, if the key is remembered.
    pub(crate) fn remembered(&self, key: u32) -> Option<u64> {
        self.state.lock().remembered.get(&key).copied()
    }

    /// Gives the session to a link, unless it has ended.
    fn take(&self, link: &Arc<LinkCore>, expiry_secs: u32, will: Option<&Will>) -> bool {
        let mut state = self.state.lock();
        if state.ended {
            return false;
        }
        state.link = Some(Arc::clone(link));
        state.expiry_secs = expiry_secs;
        state.expires_at = NEVER;
        state.will = will.cloned();
        state.will_at = NEVER;
        true
    }

    pub(crate) fn remember(&self, key: u32, position: u64) {
        self.state.lock().remembered.insert(key, position);
    }
}

pub(crate) fn millis(secs: u32) -> u64 {
    if secs == EXPIRY_NEVER { NEVER } else { u64::from(secs) * 1_000 }
}

impl Core {
    /// Attaches a session to a link, making it if there is none. `answered` is called when it is attached, before the
    /// client is told of its bindings and notes.
    pub(crate) fn attach_session(
        &self,
        link: &Arc<LinkCore>,
        attach: &SessionAttach<'_>,
        fx: &mut Effects,
        answered: impl FnOnce(Done, u64, &mut Effects),
    ) -> Result<(), Error> {
        let vhost = &link.connection.vhost;
        if attach.name.is_empty() {
            return Err(Error::precondition("the name of a session is empty"));
        }
        if link.session.lock().is_some() {
            return Err(Error::precondition("the link has a session already"));
        }
        let will =
            attach.will.as_ref().map(|will| self.will(link, will, attach.will_delay_secs)).transpose()?;
        // One at a time, so that of two that attach one name the second takes over from the first.
        let _attaching = self.attaching.lock();
        let found = vhost.topology.read().sessions.get(attach.name).cloned();
        if let Some(session) = &found {
            self.take_over(session, attach.clean, fx);
            if attach.clean {
                self.end_session(vhost, session, fx);
            }
        }
        let durable = attach.durable && attach.expiry_secs > 0;
        let found = found.filter(|session| session.take(link, attach.expiry_secs, will.as_ref()));
        let existed = found.is_some();
        let session = match found {
            Some(session) => session,
            None => {
                let session = self.make_session(vhost, attach, durable)?;
                session.take(link, attach.expiry_secs, will.as_ref());
                session
            }
        };
        *link.session.lock() = Some(Arc::clone(&session));
        link.session_id.store(session.id, Ordering::Release);
        let after = self.write_session(&session);
        let done = Done { existed, name: Some(Arc::clone(&session.queue.name)), ..Done::default() };
        answered(done, after, fx);
        if existed {
            self.tell_session(vhost, &session, link, fx);
        }
        Ok(())
    }

    /// Tells a link what the session it attached knows.
    fn tell_session(&self, vhost: &VirtualHost, session: &Session, link: &Arc<LinkCore>, fx: &mut Effects) {
        let bindings: Vec<SessionBinding> = {
            let topology = vhost.topology.read();
            let bindings = topology.to_queues.get(&session.queue.name).map_or(&[][..], Vec::as_slice);
            bindings
                .iter()
                .map(|binding| SessionBinding {
                    id: binding.options.id,
                    source: Arc::clone(&binding.source),
                    routing_key: binding.routing_key.clone(),
                    options: binding.options.opaque.clone(),
                })
                .collect()
        };
        for binding in bindings {
            link.tell(LinkEvent::Binding(Box::new(binding)), fx);
        }
        let notes = session.state.lock().notes.clone();
        for (key, value) in notes {
            link.tell(LinkEvent::Note { key, value }, fx);
        }
    }

    fn will(&self, link: &LinkCore, publish: &Publish<'_>, delay_secs: u32) -> Result<Will, Error> {
        let facts = Facts::read(publish.properties, Some(&link.origin.user))?;
        let vhost = &link.connection.vhost;
        let topology = vhost.topology.read();
        let Some(exchange) = topology.exchanges.get(publish.exchange) else {
            return Err(Error::no_exchange(publish.exchange, &vhost.name));
        };
        let reserved = exchange.kind == crate::ExchangeKind::Topic
            && self.host.key_class(&vhost.name, publish.exchange, publish.routing_key)
                != crate::KeyClass::Open;
        if reserved && !link.connection.privileged {
            return Err(Error::new(
                Code::AccessRefused,
                format!(
                    "access to topic '{}' in exchange '{}' in vhost '{}' refused for user '{}'",
                    publish.routing_key, publish.exchange, vhost.name, link.origin.user
                ),
            ));
        }
        Ok(Will {
            message: NewMessage {
                exchange: Arc::clone(&exchange.name),
                key: publish.routing_key.into(),
                properties: Bytes::copy_from_slice(publish.properties),
                body: publish.body.to_bytes(),
                published_at_ms: 0,
                facts,
                retain: publish.retain,
            },
            delay_secs,
            origin: Some(Arc::clone(&link.origin)),
        })
    }

    /// Takes a session from the link that has it.
    fn take_over(&self, session: &Arc<Session>, ends: bool, fx: &mut Effects) {
        let Some(old) = session.state.lock().link.clone() else { return };
        let error = Error::new(
            Code::ConnectionForced,
            format!("session '{}' was taken over by another link", session.name),
        );
        // To its client this is a lost connection; a will that waits is not sent if the session goes on.
        if ends && let Some(will) = &mut session.state.lock().will {
            will.delay_secs = 0;
        }
        self.close_link(&old, Some((error, true)), fx);
    }

    fn make_session(
        &self,
        vhost: &Arc<VirtualHost>,
        attach: &SessionAttach<'_>,
        durable: bool,
    ) -> Result<Arc<Session>, Error> {
        let id = self.next_id();
        let declare = QueueDeclare {
            name: attach.queue,
            durable,
            arguments: attach.arguments,
            ..QueueDeclare::default()
        };
        let queue = self.make_session_queue(vhost, &declare, id)?;
        let session = Arc::new(Session::new(
            (id, attach.name.into(), Arc::clone(&vhost.name)),
            durable,
            queue,
            attach.expiry_secs,
        ));
        vhost.topology.write().sessions.insert(Arc::clone(&session.name), Arc::clone(&session));
        Ok(session)
    }

    /// Writes the present state of a durable session down.
    pub(crate) fn write_session(&self, session: &Session) -> u64 {
        match &self.store {
            Some(store) if session.durable => store.session(session),
            _ => 0,
        }
    }

    /// Parts a link from its session. With `lost` the will is due; `expiry_secs` may change how long the session
    /// waits. Returns the position that makes it durable.
    pub(crate) fn detach_session(
        &self,
        link: &Arc<LinkCore>,
        lost: bool,
        expiry_secs: Option<u32>,
        fx: &mut Effects,
    ) -> u64 {
        let Some(session) = link.session.lock().take() else { return 0 };
        link.session_id.store(0, Ordering::Release);
        let now = self.now();
        let (ends, at) = {
            let mut state = session.state.lock();
            if !state.link.as_ref().is_some_and(|attached| Arc::ptr_eq(attached, link)) {
                return 0;
            }
            state.link = None;
            if let Some(expiry_secs) = expiry_secs {
                state.expiry_secs = expiry_secs;
            }
            state.expires_at = now.saturating_add(millis(state.expiry_secs));
            if !lost {
                state.will = None;
            }
            state.will_at =
                state.will.as_ref().map_or(NEVER, |will| now.saturating_add(millis(will.delay_secs)));
            (state.expiry_secs == 0, state.expires_at.min(state.will_at))
        };
        if ends {
            if let Ok(vhost) = self.vhost(&session.vhost) {
                self.end_session(&vhost, &session, fx);
            }
            return 0;
        }
        let after = self.write_session(&session);
        if at <= now {
            self.session_timer(&session, now, fx);
        } else if at < NEVER {
            self.add_timer(at, Timer::Session(Arc::downgrade(&session)));
        }
        after
    }

    /// Ends a session: a will that waits is published, its queue and bindings go.
    pub(crate) fn end_session(&self, vhost: &Arc<VirtualHost>, session: &Arc<Session>, fx: &mut Effects) {
        let will = {
            let mut state = session.state.lock();
            if std::mem::replace(&mut state.ended, true) {
                return;
            }
            state.will.take()
        };
        if let Some(will) = will {
            self.publish_will(session, will, fx);
        }
        let mut topology = vhost.topology.write();
        if topology.sessions.get(&session.name).is_some_and(|found| Arc::ptr_eq(found, session)) {
            topology.sessions.remove(&session.name);
        }
        drop(topology);
        self.remove_queue(vhost, &session.queue, fx);
        if session.durable
            && let Some(store) = &self.store
        {
            store.session_gone(session.id);
        }
    }

    fn publish_will(&self, session: &Session, will: Will, fx: &mut Effects) {
        let Ok(vhost) = self.vhost(&session.vhost) else { return };
        let mut message = will.message;
        message.published_at_ms = self.now();
        let retain = message.retain;
        let who = Who { session: session.id, connection: 0 };
        if let Err(error) = self.publish_own(&vhost, message, will.origin, (retain, who), |_| true, fx) {
            tracing::warn!(session = &*session.name, %error, "the will of a session was not published");
        }
    }

    /// A time that a session waited for has come.
    pub(crate) fn session_timer(&self, session: &Arc<Session>, now: u64, fx: &mut Effects) {
        let (will, ends, next) = {
            let mut state = session.state.lock();
            if state.ended || state.link.is_some() {
                return;
            }
            let will = if state.will_at <= now { state.will.take() } else { None };
            if will.is_some() {
                state.will_at = NEVER;
            }
            (will, state.expires_at <= now, state.expires_at.min(state.will_at))
        };
        if let Some(will) = will {
            self.publish_will(session, will, fx);
            if !ends {
                self.write_session(session);
            }
        }
        if ends {
            if let Ok(vhost) = self.vhost(&session.vhost) {
                self.end_session(&vhost, session, fx);
            }
        } else if next < NEVER {
            self.add_timer(next, Timer::Session(Arc::downgrade(session)));
        }
    }

    /// Keeps a small value with the session of a link; an empty one removes it.
    pub(crate) fn note_session(&self, link: &LinkCore, key: &str, value: &[u8]) -> Result<u64, Error> {
        let session = attached(link)?;
        let limits = &self.options.limits;
        if key.len() + value.len() > limits.note_bytes {
            return Err(Error::precondition(format!(
                "the note '{key}' of session '{}' has {} bytes, more than {}",
                session.name,
                key.len() + value.len(),
                limits.note_bytes
            )));
        }
        let mut state = session.state.lock();
        if value.is_empty() {
            state.notes.remove(key);
        } else {
            if state.notes.len() >= limits.notes_per_session && !state.notes.contains_key(key) {
                return Err(Error::new(
                    Code::ResourceError,
                    format!("session '{}' has {} notes already", session.name, state.notes.len()),
                ));
            }
            state.notes.insert(key.into(), Bytes::copy_from_slice(value));
        }
        drop(state);
        Ok(match &self.store {
            Some(store) if session.durable => store.note(session.id, key, value),
            _ => 0,
        })
    }

    /// Lets keys of the session of a link be used anew.
    pub(crate) fn forget(&self, link: &LinkCore, keys: &[u32]) -> Result<u64, Error> {
        let session = attached(link)?;
        let mut known = false;
        {
            let mut state = session.state.lock();
            for key in keys {
                known |= state.remembered.remove(key).is_some();
            }
        }
        Ok(match &self.store {
            Some(store) if session.durable && known => store.forgotten(session.id, keys),
            _ => 0,
        })
    }
}

fn attached(link: &LinkCore) -> Result<Arc<Session>, Error> {
    link.session.lock().clone().ok_or_else(|| Error::precondition("the link has no session"))
}
