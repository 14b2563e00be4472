//! Publishing: from the bytes of a client to the queues.

mod route;
mod write;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::arguments::Overflow;
use crate::broker::Core;
use crate::direct_reply;
use crate::effects::Effects;
use crate::error::{Code, Error};
use crate::events::LinkEvent;
use crate::ingress::KeyClass;
use crate::link::LinkCore;
use crate::message::{self, Facts, Origin};
use crate::session::Session;
use crate::store::NewMessage;
use crate::topic;
use crate::vhost::{Hop, Route, VirtualHost};

pub(crate) use route::{Publisher, Who};
use write::Manner;

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
            queue.bury_unseen(self.message(new, None, None), fx);
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
