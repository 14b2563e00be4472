//! From a planned publish to the journal and the queues.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::route::Who;
use crate::broker::Core;
use crate::effects::Effects;
use crate::error::{Code, Error};
use crate::ingress::KeyClass;
use crate::message::{Message, Origin};
use crate::queue::{Incoming, NEVER, Slot};
use crate::retained::Retained;
use crate::session::Session;
use crate::store::{NewEntry, NewMessage, Stored};
use crate::vhost::{Route, VirtualHost};

/// What of a publish concerns more than its message.
pub(super) struct Manner {
    pub(super) who: Who,
    pub(super) retain: bool,
    pub(super) dedupe: Option<(Arc<Session>, u32)>,
}

impl Core {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn write_and_put(
        &self,
        vhost: &Arc<VirtualHost>,
        route: &Route,
        new: NewMessage,
        origin: Option<Arc<Origin>>,
        manner: Manner,
        now: u64,
        fx: &mut Effects,
    ) -> Result<(Arc<Message>, u64), Error> {
        if manner.retain {
            return self.retain(vhost, route, new, origin, manner, now, fx);
        }
        // From being written to being in the queues nothing may come between that takes a picture of the queues.
        let _gate = self.store.as_ref().map(|store| store.gate());
        let (stored, position) = self.write(route, &new, &manner, None, now)?;
        let message = self.message(new, origin, stored);
        self.put(route, &message, manner.who, now, fx);
        Ok((message, position))
    }

    /// As [`Core::write_and_put`], for a message that is retained: bindings may not come between either.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn retain(
        &self,
        vhost: &Arc<VirtualHost>,
        route: &Route,
        new: NewMessage,
        origin: Option<Arc<Origin>>,
        manner: Manner,
        now: u64,
        fx: &mut Effects,
    ) -> Result<(Arc<Message>, u64), Error> {
        let _gate = self.store.as_ref().map(|store| store.gate());
        let mut topology = vhost.topology.write();
        // The route may be older than the bindings.
        let hops = if route.generation == vhost.generation.load(Ordering::Acquire) {
            route.hops.clone()
        } else {
            topology
                .route(&route.exchange, &route.key, &[], &new.properties, route.class == KeyClass::Reserved)
                .0
        };
        let route = Route {
            generation: 0,
            exchange: Arc::clone(&route.exchange),
            key: route.key.clone(),
            class: route.class,
            is_topic: true,
            published: Arc::clone(&route.published),
            hops,
        };
        let Some(exchange) = topology.exchanges.get_mut(&route.exchange) else {
            return Err(Error::no_exchange(&route.exchange, &vhost.name));
        };
        let clears = new.body.is_empty();
        let full = exchange.retained.len() >= self.options.limits.retained_messages;
        if full && !clears && exchange.retained.get(&route.key).is_none() {
            return Err(Error::new(
                Code::ResourceError,
                format!("exchange '{}' in vhost '{}' retains too many messages", route.exchange, vhost.name),
            ));
        }
        let durable = exchange.durable && !clears;
        let (stored, mut position) =
            self.write(&route, &new, &manner, durable.then_some(&vhost.name), now)?;
        let expires_at = new.facts.ttl_ms.map_or(NEVER, |ttl| now.saturating_add(ttl));
        let message = self.message(new, origin, stored);
        let old = if clears {
            exchange.retained.remove(&route.key)
        } else {
            let retained = Retained {
                slot: Slot::Message(Arc::clone(&message)),
                size: message.size() as u32,
                priority: message.priority(),
                expires_at,
                durable,
                persistent: message.is_persistent(),
            };
            exchange.retained.put(route.key.clone(), retained)
        };
        if old.is_some_and(|old| old.durable)
            && !durable
            && let Some(store) = &self.store
        {
            position = store.retained_gone(&vhost.name, &route.exchange, &route.key);
        }
        drop(topology);
        self.put(&route, &message, manner.who, now, fx);
        Ok((message, position))
    }

    /// Writes a message and its index entries, if any of them is durable.
    pub(super) fn write(
        &self,
        route: &Route,
        new: &NewMessage,
        manner: &Manner,
        retained_in: Option<&Arc<str>>,
        now: u64,
    ) -> Result<(Option<Arc<Stored>>, u64), Error> {
        let Some(store) = &self.store else {
            if let Some((session, key)) = &manner.dedupe {
                session.remember(*key, 0);
            }
            return Ok((None, 0));
        };
        let mut entries: SmallVec<[NewEntry; 4]> = SmallVec::new();
        if new.facts.persistent {
            for hop in &route.hops {
                let Some((bindings, at_most_once)) = hop.for_publisher(manner.who) else { continue };
                if hop.queue.is_kept() && !at_most_once {
                    let ttl = match (hop.queue.args.message_ttl_ms, new.facts.ttl_ms) {
                        (Some(a), Some(b)) => Some(a.min(b)),
                        (a, b) => a.or(b),
                    };
                    entries.push(NewEntry {
                        queue: hop.queue.id,
                        expires_at: ttl.map_or(NEVER, |ttl| now.saturating_add(ttl)),
                        bindings,
                    });
                }
            }
        }
        let dedupe = manner.dedupe.as_ref().map(|(session, key)| (session, *key));
        if entries.is_empty() && retained_in.is_none() {
            return Ok((None, dedupe.map_or(0, |(session, key)| self.write_remembered(session, key))));
        }
        let durable_dedupe =
            dedupe.filter(|(session, _)| session.durable).map(|(session, key)| (session.id, key));
        let (stored, position) = store.message(new, retained_in, durable_dedupe, &entries);
        if let Some((session, key)) = dedupe {
            session.remember(key, position);
        }
        Ok((Some(stored), position))
    }

    /// Remembers a dedupe key alone, durably if its session is.
    pub(super) fn remember(&self, session: &Arc<Session>, key: u32) -> u64 {
        let _gate = self.store.as_ref().map(|store| store.gate());
        self.write_remembered(session, key)
    }

    /// As [`Core::remember`], within the gate.
    pub(super) fn write_remembered(&self, session: &Arc<Session>, key: u32) -> u64 {
        let position = match &self.store {
            Some(store) if session.durable => store.remembered(session.id, key),
            _ => 0,
        };
        session.remember(key, position);
        position
    }

    /// Puts a message into the queues of a route.
    pub(super) fn put(&self, route: &Route, message: &Arc<Message>, who: Who, now: u64, fx: &mut Effects) {
        for hop in &route.hops {
            let Some((bindings, at_most_once)) = hop.for_publisher(who) else { continue };
            let order = match &message.stored {
                Some(stored) if message.facts.persistent && hop.queue.is_kept() && !at_most_once => stored.id,
                _ => 0,
            };
            hop.queue.push(
                Incoming {
                    order,
                    slot: Slot::Message(Arc::clone(message)),
                    size: message.size() as u32,
                    priority: message.facts.priority,
                    ttl_ms: message.facts.ttl_ms,
                    bindings,
                    retained: false,
                    at_most_once,
                },
                now,
                fx,
            );
        }
    }

    pub(crate) fn message(
        &self,
        new: NewMessage,
        origin: Option<Arc<Origin>>,
        stored: Option<Arc<Stored>>,
    ) -> Arc<Message> {
        let mut message = Message {
            exchange: new.exchange,
            routing_key: new.key,
            properties: new.properties,
            body: new.body,
            published_at_ms: new.published_at_ms,
            facts: new.facts,
            retain: new.retain,
            origin,
            stored,
            charge: None,
        };
        message.charge = Some(self.memory.charge(message.cost()));
        Arc::new(message)
    }
}
