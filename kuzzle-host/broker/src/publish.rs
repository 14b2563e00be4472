//! Publishing: from the bytes of a client to the queues.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use bytestring::ByteString;
use smallvec::SmallVec;

use crate::arguments::Overflow;
use crate::broker::Core;
use crate::direct_reply;
use crate::effects::{Dead, DeadReason, Effects};
use crate::error::{Code, Error};
use crate::events::LinkEvent;
use crate::exchange::ExchangeKind;
use crate::ingress::KeyClass;
use crate::link::LinkCore;
use crate::message::{self, Facts, Message, Origin};
use crate::queue::{Incoming, NEVER, Slot};
use crate::retained::Retained;
use crate::session::Session;
use crate::store::{NewEntry, NewMessage, Stored};
use crate::topic;
use crate::vhost::{Hop, Local, Route, VirtualHost};

/// A payload.
#[derive(Debug, Clone)]
pub enum Body<'a> {
    /// Copied once, into the message.
    Borrowed(&'a [u8]),
    /// Shared, not copied.
    Shared(Bytes),
}

impl Body<'_> {
    fn len(&self) -> usize {
        match self {
            Body::Borrowed(bytes) => bytes.len(),
            Body::Shared(bytes) => bytes.len(),
        }
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        match self {
            Body::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Body::Shared(bytes) => bytes.clone(),
        }
    }
}

/// One message to publish.
#[derive(Debug, Clone)]
pub struct Publish<'a> {
    /// Name of the exchange; empty is the default exchange.
    pub exchange: &'a str,
    /// Routing key.
    pub routing_key: &'a str,
    /// Properties in the content-header encoding, from the property flags on; empty for none.
    pub properties: &'a [u8],
    /// Payload.
    pub body: Body<'a>,
    /// [`LinkEvent::Returned`] tells when it reaches no queue.
    pub mandatory: bool,
    /// It becomes the retained message of its key; with an empty payload there is none any more. Topic exchanges only.
    pub retain: bool,
    /// Not 0: a key of the link's session under which the message is remembered. A publish with a key that is
    /// remembered is confirmed as the first was, and not routed. [`crate::Link::forget`] ends that.
    pub dedupe: u32,
}

/// How much of a batch was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// So many from the front: all, or none when the link is closed or was stopped by a refusal.
    pub taken: usize,
    /// Whether to stop reading from the client until the connection's [`LinkEvent::Unblocked`].
    pub throttled: bool,
}

/// What a link remembers between publishes, so that the next of the same kind costs little.
#[derive(Default)]
pub(crate) struct Publisher {
    routes: Vec<Option<Arc<Route>>>,
    hasher: RandomState,
    properties: Option<(Bytes, Facts)>,
}

/// Routes remembered per link; a power of two.
const ROUTES: usize = 32;

/// Properties up to this length are kept for the next message.
const PROPERTIES_KEPT_MAX: usize = 256;

/// Publishes that were checked and wait for being written and put into their queues.
pub(crate) struct Planned {
    pub(crate) seq: u64,
    message: NewMessage,
    route: Arc<Route>,
    mandatory: bool,
    retain: bool,
    dedupe: Option<(Arc<Session>, u32)>,
    origin: Option<Arc<Origin>>,
    who: Who,
    /// Remembered already: neither written nor routed. The position its first publish waits for.
    repeated: Option<u64>,
}

impl Core {
    /// Publishes a batch in order.
    pub(crate) fn publish(
        &self,
        link: &Arc<LinkCore>,
        first_seq: u64,
        batch: &[Publish<'_>],
        fx: &mut Effects,
    ) -> Accepted {
        if link.stopped.load(Ordering::Acquire) {
            return Accepted { taken: 0, throttled: false };
        }
        let now = self.now();
        let mut publisher = link.publisher.lock();
        let confirms = link.confirms.load(Ordering::Relaxed);
        link.published.fetch_add(batch.len() as u64, Ordering::Relaxed);
        link.connection.published.fetch_add(batch.len() as u64, Ordering::Relaxed);
        let refuses_all = self.alarms.refuses();
        let mut position = 0;
        let mut last = None;
        for (seq, publish) in (first_seq..).zip(batch) {
            if link.stopped.load(Ordering::Acquire) {
                break;
            }
            let planned = match refuses_all {
                true => Err(Error::new(Code::ResourceError, "the broker is out of memory or disk space")),
                false => self.plan(link, &mut publisher, seq, publish, now, fx),
            };
            let outcome = planned.and_then(|planned| self.carry_out(link, planned, now, fx));
            match outcome {
                Ok(after) => position = position.max(after),
                Err(error) => self.refuse(link, seq, error, confirms, fx),
            }
            last = Some(seq);
        }
        if confirms && let Some(last) = last {
            self.confirm(link, last, position, fx);
        }
        drop(publisher);
        Accepted { taken: batch.len(), throttled: self.throttle(link, fx) }
    }

    fn refuse(&self, link: &Arc<LinkCore>, seq: u64, error: Error, confirms: bool, fx: &mut Effects) {
        let overflow = error.code == Code::ResourceError;
        if overflow && !confirms {
            return;
        }
        if !overflow && link.options.stops_at_error {
            link.stopped.store(true, Ordering::Release);
        }
        link.tell(LinkEvent::Refused { seq, error: Box::new(error) }, fx);
    }

    /// Confirms all up to `seq`, now or after the journal has reached `position`.
    pub(crate) fn confirm(&self, link: &Arc<LinkCore>, seq: u64, position: u64, fx: &mut Effects) {
        if position > self.synced() {
            if link.confirm_after(seq, position) {
                self.call_when_synced(link, fx);
            }
        } else {
            link.confirm(seq, fx);
        }
    }

    /// Checks a publish and finds where it goes, changing nothing.
    pub(crate) fn plan(
        &self,
        link: &Arc<LinkCore>,
        publisher: &mut Publisher,
        seq: u64,
        publish: &Publish<'_>,
        now: u64,
        fx: &mut Effects,
    ) -> Result<Planned, Error> {
        let max = self.options.limits.message_bytes;
        if publish.body.len() > max {
            return Err(Error::precondition(format!(
                "message size {} is larger than configured max size {max}",
                publish.body.len()
            )));
        }
        let (mut properties, facts) = publisher.properties(publish.properties, &link.origin.user)?;
        if direct_reply::is_asked_for(&properties) {
            properties = direct_reply::addressed(&properties, link)?;
        }
        let vhost = &link.connection.vhost;
        let route = if facts.copies {
            let copies = message::copies(&properties);
            let route =
                self.find_route(vhost, publish.exchange, publish.routing_key, &copies, &properties, false)?.0;
            properties = message::without_blind_copies(&properties);
            Arc::new(route)
        } else {
            publisher.route(self, vhost, publish, &properties)?
        };
        if route.class == KeyClass::Reserved && !link.connection.privileged {
            return Err(Error::new(
                Code::AccessRefused,
                format!(
                    "access to topic '{}' in exchange '{}' in vhost '{}' refused for user '{}'",
                    publish.routing_key, publish.exchange, vhost.name, link.origin.user
                ),
            ));
        }
        let retain = publish.retain && route.is_topic;
        if retain && topic::words(&route.key).nth(self.options.limits.key_words).is_some() {
            return Err(Error::precondition("the routing key has too many words to be retained"));
        }
        let mut repeated = None;
        let mut dedupe = None;
        if publish.dedupe != 0
            && let Some(session) = link.session.lock().clone()
        {
            repeated = session.remembered(publish.dedupe);
            dedupe = Some((session, publish.dedupe));
        }
        if repeated.is_none() {
            self.check_room(&route, &properties, facts, publish, now, fx)?;
        }
        Ok(Planned {
            seq,
            message: new_message(&route, properties, facts, publish, now),
            route,
            mandatory: publish.mandatory,
            retain,
            dedupe,
            origin: Some(Arc::clone(&link.origin)),
            who: Who { session: link.session_id.load(Ordering::Relaxed), connection: link.connection.uid },
            repeated,
        })
    }

    /// Refuses a message that a full queue refuses. One of them refuses for all, before anything was written.
    fn check_room(
        &self,
        route: &Route,
        properties: &Bytes,
        facts: Facts,
        publish: &Publish<'_>,
        now: u64,
        fx: &mut Effects,
    ) -> Result<(), Error> {
        let Some(full) = route.hops.iter().find(|hop| hop.queue.refuses(publish.body.len())) else {
            return Ok(());
        };
        let queue = &full.queue;
        if queue.args.overflow == Overflow::RejectPublishDlx && queue.args.dead_letter_exchange.is_some() {
            let new = new_message(route, properties.clone(), facts, publish, now);
            fx.dead.push(Dead {
                queue: Arc::clone(queue),
                slot: Slot::Message(self.message(new, None, None)),
                reason: DeadReason::MaxLength,
                order: None,
            });
        }
        let detail = format!("queue '{}' in vhost '{}' is full", queue.name, queue.vhost);
        Err(Error::new(Code::ResourceError, detail))
    }

    /// Writes and routes what was planned. Returns the position the journal has to reach for it to be confirmed.
    pub(crate) fn carry_out(
        &self,
        link: &Arc<LinkCore>,
        planned: Planned,
        now: u64,
        fx: &mut Effects,
    ) -> Result<u64, Error> {
        if let Some(position) = planned.repeated {
            return Ok(position);
        }
        planned.route.published.fetch_add(1, Ordering::Relaxed);
        if planned.route.class == KeyClass::Ingress {
            let message = self.message(planned.message, planned.origin, None);
            link.unanswered.asked();
            let to_queues = self.options.ingress_is_routed && !planned.route.hops.is_empty();
            if to_queues {
                self.put(&planned.route, &message, planned.who, now, fx);
            }
            fx.ingress.push((Arc::clone(link), message));
            if let Some((session, key)) = planned.dedupe {
                return Ok(self.remember(&session, key));
            }
            return Ok(0);
        }
        let (message, position) = self.write_and_put(
            &link.connection.vhost,
            &planned.route,
            planned.message,
            planned.origin,
            Manner { who: planned.who, retain: planned.retain, dedupe: planned.dedupe },
            now,
            fx,
        )?;
        if planned.mandatory && planned.route.hops.is_empty() {
            link.tell(LinkEvent::Returned { seq: planned.seq, message }, fx);
        }
        Ok(position)
    }

    /// Publishes a message of the broker's own: a dead letter or a will. Nobody is told what becomes of it.
    pub(crate) fn publish_own(
        &self,
        vhost: &Arc<VirtualHost>,
        message: NewMessage,
        origin: Option<Arc<Origin>>,
        (retain, who): (bool, Who),
        keep: impl Fn(&Hop) -> bool,
        fx: &mut Effects,
    ) -> Result<u64, Error> {
        let copies =
            if message.facts.copies { message::copies(&message.properties) } else { SmallVec::new() };
        let mut route =
            self.find_route(vhost, &message.exchange, &message.key, &copies, &message.properties, true)?.0;
        route.hops.retain(keep);
        let retain = retain && route.is_topic;
        let manner = Manner { who, retain, dedupe: None };
        let written = self.write_and_put(vhost, &route, message, origin, manner, self.now(), fx)?;
        Ok(written.1)
    }

    #[allow(clippy::too_many_arguments)]
    fn write_and_put(
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
    fn retain(
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
    fn write(
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
    fn remember(&self, session: &Arc<Session>, key: u32) -> u64 {
        let _gate = self.store.as_ref().map(|store| store.gate());
        self.write_remembered(session, key)
    }

    /// As [`Core::remember`], within the gate.
    fn write_remembered(&self, session: &Arc<Session>, key: u32) -> u64 {
        let position = match &self.store {
            Some(store) if session.durable => store.remembered(session.id, key),
            _ => 0,
        };
        session.remember(key, position);
        position
    }

    /// Puts a message into the queues of a route.
    fn put(&self, route: &Route, message: &Arc<Message>, who: Who, now: u64, fx: &mut Effects) {
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

    /// Finds the way of a message through a virtual host, and whether its headers had a say in it. `own`: the broker
    /// itself publishes, also to internal exchanges.
    fn find_route(
        &self,
        vhost: &VirtualHost,
        exchange: &str,
        key: &str,
        copies: &[String],
        properties: &[u8],
        own: bool,
    ) -> Result<(Route, bool), Error> {
        let generation = vhost.generation.load(Ordering::Acquire);
        let topology = vhost.topology.read();
        let Some(found) = topology.exchanges.get(exchange) else {
            return Err(Error::no_exchange(exchange, &vhost.name));
        };
        if found.internal && !own {
            return Err(Error::new(
                Code::AccessRefused,
                format!("cannot publish to internal exchange '{exchange}' in vhost '{}'", vhost.name),
            ));
        }
        let is_topic = found.kind == ExchangeKind::Topic;
        let class = if is_topic { self.host.key_class(&vhost.name, exchange, key) } else { KeyClass::Open };
        let skip = class == KeyClass::Ingress && !self.options.ingress_is_routed;
        let (hops, by_headers) = if skip {
            (Vec::new(), false)
        } else {
            topology.route(exchange, key, copies, properties, class != KeyClass::Open)
        };
        let route = Route {
            generation,
            exchange: Arc::clone(&found.name),
            key: ByteString::from(key),
            class,
            is_topic,
            published: Arc::clone(&found.published),
            hops,
        };
        Ok((route, by_headers))
    }
}

/// Whom a message comes from, for bindings that do not want their own.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Who {
    pub(crate) session: u64,
    pub(crate) connection: u64,
}

fn new_message(
    route: &Route,
    properties: Bytes,
    facts: Facts,
    publish: &Publish<'_>,
    now: u64,
) -> NewMessage {
    NewMessage {
        exchange: Arc::clone(&route.exchange),
        key: route.key.clone(),
        properties,
        body: publish.body.to_bytes(),
        published_at_ms: now,
        facts,
        retain: publish.retain,
    }
}

/// What of a publish concerns more than its message.
struct Manner {
    who: Who,
    retain: bool,
    dedupe: Option<(Arc<Session>, u32)>,
}

impl Hop {
    /// The bindings that count for a publisher and whether they ask for no settlement; none when the queue is not for
    /// it.
    fn for_publisher(&self, who: Who) -> Option<(Option<Arc<[u64]>>, bool)> {
        match &self.local {
            Local::Same => {}
            _ if !self.queue.is_of(who.session, who.connection) => {}
            Local::Nothing => return None,
            Local::Some(bindings, at_most_once) => return Some((bindings.clone(), *at_most_once)),
        }
        Some((self.bindings.clone(), self.at_most_once))
    }
}

impl Publisher {
    /// The properties as shared bytes, and what they say. Those of the last message are found again without a copy.
    fn properties(&mut self, properties: &[u8], user: &str) -> Result<(Bytes, Facts), Error> {
        if let Some((bytes, facts)) = &self.properties
            && **bytes == *properties
        {
            return Ok((bytes.clone(), *facts));
        }
        let facts = Facts::read(properties, Some(user))?;
        let bytes = Bytes::copy_from_slice(properties);
        if bytes.len() <= PROPERTIES_KEPT_MAX {
            self.properties = Some((bytes.clone(), facts));
        }
        Ok((bytes, facts))
    }

    fn route(
        &mut self,
        core: &Core,
        vhost: &VirtualHost,
        publish: &Publish<'_>,
        properties: &[u8],
    ) -> Result<Arc<Route>, Error> {
        let hash = self.hasher.hash_one((publish.exchange, publish.routing_key));
        let place = hash as usize & (ROUTES - 1);
        if let Some(Some(route)) = self.routes.get(place)
            && route.generation == vhost.generation.load(Ordering::Acquire)
            && *route.key == *publish.routing_key
            && *route.exchange == *publish.exchange
        {
            return Ok(Arc::clone(route));
        }
        let (route, by_headers) =
            core.find_route(vhost, publish.exchange, publish.routing_key, &[], properties, false)?;
        let route = Arc::new(route);
        // What a headers exchange does depends on more than the key, also behind another exchange.
        if !by_headers {
            if self.routes.is_empty() {
                self.routes.resize(ROUTES, None);
            }
            self.routes[place] = Some(Arc::clone(&route));
        }
        Ok(route)
    }
}
