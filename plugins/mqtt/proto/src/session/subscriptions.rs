//! SUBSCRIBE, UNSUBSCRIBE and what they leave behind (sections 3.8 to 3.11, and 4.8).

use std::collections::HashMap;

use bytes::Bytes;
use bytestring::ByteString;

use super::{
    Action, Bind, Consume, DeclareQueue, Delivery, EXPIRY_NEVER, OK, Op, Retained, SESSION_CONSUMER, Session,
    id_map::IdMap, reason_of,
};
use crate::{
    codec::{
        Packet, PacketType, Properties, Property, QoS, REMAINING_LENGTH_MAX, ReasonCode, RetainHandling,
        SubAck, Subscribe, SubscribeFilter, SubscriptionOptions, UnsubAck, Unsubscribe, Version,
    },
    topic::{Filter, TopicError},
};

/// The subscriptions of a session, and the packets about them that are not answered.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// By binding; a shared one by its consumer.
    by_id: IdMap<u64, Subscription>,
    /// By [`Filter`], as `name` writes it.
    ids: HashMap<ByteString, u64>,
    last_id: u64,
    /// Whether the credit of the link is set: once there is a second consumer.
    credit_is_shared: bool,
    pending: IdMap<u64, Pending>,
    last_pending: u64,
}

#[derive(Debug, Clone)]
struct Subscription {
    filter: Filter,
    options: SubscriptionOptions,
    /// The subscription identifier, 0 for none.
    identifier: u32,
}

/// What a delivery may be, by all subscriptions that it matched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Granted {
    pub(super) qos: QoS,
    pub(super) retain_as_published: bool,
}

/// A SUBSCRIBE or UNSUBSCRIBE that waits for the broker.
#[derive(Debug)]
struct Pending {
    packet_id: u16,
    unsubscribes: bool,
    codes: Vec<u8>,
    /// Answers that are missing.
    missing: usize,
}

/// One of the calls that a filter needs.
#[derive(Debug)]
pub(super) struct PendingFilter {
    pending: u64,
    at: usize,
    /// The subscription that is made.
    id: u64,
    /// What was there before it.
    previous: Option<Box<(SubscriptionOptions, u32)>>,
}

impl Subscriptions {
    /// `None` when the delivery came by subscriptions that are gone.
    pub(super) fn granted(&self, delivery: &Delivery<'_>) -> Option<Granted> {
        let mut granted: Option<Granted> = None;
        for subscription in self.matched(delivery) {
            let before = granted.unwrap_or(Granted { qos: QoS::AtMostOnce, retain_as_published: false });
            granted = Some(Granted {
                qos: before.qos.max(subscription.options.qos),
                retain_as_published: before.retain_as_published || subscription.options.retain_as_published,
            });
        }
        if granted.is_some() {
            return granted;
        }
        if delivery.consumer == SESSION_CONSUMER && delivery.redelivered && !delivery.settled {
            // Its delivery has begun, and must be completed.
            return Some(Granted { qos: QoS::ExactlyOnce, retain_as_published: false });
        }
        // A queue may be bound by others, over AMQP.
        let bound_by_others = delivery.consumer == SESSION_CONSUMER && delivery.binding == 0;
        bound_by_others.then_some(Granted { qos: QoS::AtLeastOnce, retain_as_published: false })
    }

    /// The subscription identifiers of all that matched.
    pub(super) fn identifiers(&self, delivery: &Delivery<'_>, mut each: impl FnMut(u32)) {
        for subscription in self.matched(delivery).filter(|subscription| subscription.identifier > 0) {
            each(subscription.identifier);
        }
    }

    fn matched<'a>(&'a self, delivery: &'a Delivery<'_>) -> impl Iterator<Item = &'a Subscription> {
        let (first, more) = match delivery.consumer {
            SESSION_CONSUMER => (delivery.binding, delivery.more_bindings),
            consumer => (consumer, &[][..]),
        };
        std::iter::once(first).chain(more.iter().copied()).filter_map(|id| self.by_id.get(&id))
    }

    /// Takes back a binding of an attached session.
    pub(super) fn restore(&mut self, id: u64, routing_key: &str, options: &[u8]) {
        self.last_id = self.last_id.max(id);
        if let Some((options, identifier)) = decode_options(options) {
            let filter = Filter { share: None, key: routing_key.into() };
            self.insert(id, Subscription { filter, options, identifier });
        }
    }

    fn insert(&mut self, id: u64, subscription: Subscription) {
        self.ids.insert(name(&subscription.filter), id);
        self.by_id.insert(id, subscription);
    }

    fn remove(&mut self, id: u64) -> Option<Subscription> {
        let subscription = self.by_id.remove(&id)?;
        self.ids.remove(&name(&subscription.filter));
        Some(subscription)
    }

    fn next_id(&mut self) -> u64 {
        self.last_id = self.last_id.max(SESSION_CONSUMER).saturating_add(1);
        self.last_id
    }

    fn open(&mut self, packet_id: u16, unsubscribes: bool, filters: usize) -> u64 {
        self.last_pending += 1;
        let codes = vec![ReasonCode::Success as u8; filters];
        let pending = Pending { packet_id, unsubscribes, codes, missing: 0 };
        self.pending.insert(self.last_pending, pending);
        self.last_pending
    }
}

impl Session {
    pub(super) fn handle_subscribe(&mut self, subscribe: &Subscribe) {
        let identifier = subscribe.properties.iter().find_map(|property| match property {
            Property::SubscriptionIdentifier(identifier) => Some(*identifier),
            _ => None,
        });
        let shared_no_local =
            |filter: &SubscribeFilter| filter.options.no_local && filter.filter.starts_with("$share/");
        if subscribe.filters.iter().any(shared_no_local) {
            return self.fail(ReasonCode::ProtocolError, "no local on a shared subscription [MQTT-3.8.3-4]");
        }
        let pending = self.subscriptions.open(subscribe.packet_id, false, subscribe.filters.len());
        for (at, filter) in subscribe.filters.iter().enumerate() {
            let code = match self.subscribe(pending, at, filter, identifier.unwrap_or(0)) {
                Ok(()) => filter.options.qos as u8,
                Err(reason) => self.refusal(reason),
            };
            if let Some(pending) = self.subscriptions.pending.get_mut(&pending) {
                pending.codes[at] = code;
            }
        }
        self.answer_filters(pending);
    }

    fn subscribe(
        &mut self,
        pending: u64,
        at: usize,
        requested: &SubscribeFilter,
        identifier: u32,
    ) -> Result<(), ReasonCode> {
        let filter = Filter::parse(&requested.filter, &self.config.limits).map_err(|error| match error {
            TopicError::TooLong | TopicError::TooDeep => ReasonCode::QuotaExceeded,
            _ => ReasonCode::TopicFilterInvalid,
        })?;
        let options = requested.options;
        let existing = self.subscriptions.ids.get(&name(&filter)).copied();
        let full = self.subscriptions.by_id.len() >= self.config.subscriptions_max;
        if existing.is_none() && full {
            return Err(ReasonCode::QuotaExceeded);
        }
        if filter.share.is_some() && group_queue(&filter).len() > QUEUE_NAME_MAX {
            return Err(ReasonCode::QuotaExceeded);
        }
        let subscription = Subscription { filter, options, identifier };
        if subscription.filter.share.is_some() {
            // A consumer cannot change; a new one takes its place.
            if let Some(id) = existing {
                self.subscriptions.remove(id);
                self.push(Action::Cancel { op: 0, consumer: id });
            }
            let id = self.subscriptions.next_id();
            self.push(Action::Note {
                key: name(&subscription.filter),
                value: encode_options(options, identifier),
            });
            self.consume_shared(id, &subscription, |session| {
                session.filter_op(PendingFilter { pending, at, id, previous: None })
            });
            self.subscriptions.insert(id, subscription);
            return Ok(());
        }
        let id = existing.unwrap_or_else(|| self.subscriptions.next_id());
        let previous = self
            .subscriptions
            .by_id
            .get(&id)
            .map(|previous| Box::new((previous.options, previous.identifier)));
        let op = self.filter_op(PendingFilter { pending, at, id, previous });
        self.push(Action::Bind(Box::new(Bind {
            op,
            id,
            queue: self.queue.clone(),
            routing_key: subscription.filter.key.clone(),
            options: encode_options(options, identifier),
            retained: match options.retain_handling {
                RetainHandling::Always => Retained::Always,
                RetainHandling::IfNew => Retained::IfNew,
                RetainHandling::Never => Retained::None,
            },
            no_local: options.no_local,
            at_most_once: options.qos == QoS::AtMostOnce,
        })));
        self.subscriptions.insert(id, subscription);
        Ok(())
    }

    /// Joins the consumers of a shared subscription's queue: three calls, numbered by `op`.
    fn consume_shared(
        &mut self,
        consumer: u64,
        subscription: &Subscription,
        mut op: impl FnMut(&mut Session) -> u64,
    ) {
        if !self.subscriptions.credit_is_shared {
            self.subscriptions.credit_is_shared = true;
            self.push(Action::Credit { count: self.outgoing.window });
        }
        let queue = group_queue(&subscription.filter);
        let expires_ms = match self.expiry_secs {
            0 => None,
            EXPIRY_NEVER => Some(u64::from(u32::MAX)),
            // The most that `x-expires` may be.
            secs => Some((u64::from(secs) * 1000).min(u64::from(u32::MAX))),
        };
        let declare = DeclareQueue { op: op(self), name: queue.clone(), expires_ms };
        self.push(Action::DeclareQueue(Box::new(declare)));
        let bind = Bind {
            op: op(self),
            // All members bind the queue alike, so that it is one binding.
            id: 1,
            queue: queue.clone(),
            routing_key: subscription.filter.key.clone(),
            options: Bytes::new(),
            retained: Retained::None,
            no_local: false,
            at_most_once: false,
        };
        self.push(Action::Bind(Box::new(bind)));
        let consume = Consume {
            op: op(self),
            consumer,
            queue,
            no_ack: subscription.options.qos == QoS::AtMostOnce,
            credit: self.outgoing.window,
            limit_events: self.config.outbox_max_events,
            limit_bytes: self.config.outbox_max_bytes,
        };
        self.push(Action::Consume(Box::new(consume)));
    }

    /// Takes back a shared subscription of an attached session.
    pub(super) fn restore_shared(&mut self, key: &str, value: &[u8]) {
        let parsed = Filter::parse_name(key).zip(decode_options(value));
        if let Some((filter, (options, identifier))) = parsed {
            let subscription = Subscription { filter, options, identifier };
            self.join_again(subscription);
        }
    }

    /// A consumer that the broker ended: a shared queue that was deleted is made again; without its own queue a session
    /// cannot go on.
    pub(super) fn consumer_cancelled(&mut self, consumer: u64) {
        if consumer == SESSION_CONSUMER {
            return self.fail(ReasonCode::AdministrativeAction, "the queue of the session was deleted");
        }
        if let Some(subscription) = self.subscriptions.remove(consumer) {
            self.join_again(subscription);
        }
    }

    fn join_again(&mut self, subscription: Subscription) {
        let id = self.subscriptions.next_id();
        self.consume_shared(id, &subscription, |_| 0);
        self.subscriptions.insert(id, subscription);
    }

    pub(super) fn handle_unsubscribe(&mut self, unsubscribe: &Unsubscribe) {
        let pending = self.subscriptions.open(unsubscribe.packet_id, true, unsubscribe.filters.len());
        for (at, filter) in unsubscribe.filters.iter().enumerate() {
            let reason = self.unsubscribe(pending, at, filter);
            if let Some(pending) = self.subscriptions.pending.get_mut(&pending) {
                pending.codes[at] = reason as u8;
            }
        }
        self.answer_filters(pending);
    }

    fn unsubscribe(&mut self, pending: u64, at: usize, filter: &str) -> ReasonCode {
        let Ok(filter) = Filter::parse(filter, &self.config.limits) else {
            return ReasonCode::TopicFilterInvalid;
        };
        let name = name(&filter);
        let Some(id) = self.subscriptions.ids.get(&name).copied() else {
            return ReasonCode::NoSubscriptionExisted;
        };
        self.subscriptions.remove(id);
        let op = self.filter_op(PendingFilter { pending, at, id, previous: None });
        if filter.share.is_some() {
            self.push(Action::Note { key: name, value: Bytes::new() });
            self.push(Action::Cancel { op, consumer: id });
        } else {
            self.push(Action::Unbind { op, id, queue: self.queue.clone() });
        }
        ReasonCode::Success
    }

    /// The number of a call whose answer belongs to a filter.
    fn filter_op(&mut self, filter: PendingFilter) -> u64 {
        if let Some(pending) = self.subscriptions.pending.get_mut(&filter.pending) {
            pending.missing += 1;
        }
        let op = self.next_op();
        self.ops.insert(op, Op::Filter(filter));
        op
    }

    pub(super) fn filter_answered(&mut self, filter: PendingFilter, code: u16) {
        let refusal = self.refusal(reason_of(code));
        let Some(pending) = self.subscriptions.pending.get_mut(&filter.pending) else { return };
        pending.missing -= 1;
        if code != OK {
            pending.codes[filter.at] = refusal;
            if !pending.unsubscribes {
                self.undo(&filter);
            }
        }
        self.answer_filters(filter.pending);
    }

    /// Puts back what a refused SUBSCRIBE would have replaced.
    fn undo(&mut self, filter: &PendingFilter) {
        if let Some(previous) = &filter.previous {
            if let Some(subscription) = self.subscriptions.by_id.get_mut(&filter.id) {
                (subscription.options, subscription.identifier) = **previous;
            }
        } else if let Some(subscription) = self.subscriptions.remove(filter.id)
            && subscription.filter.share.is_some()
        {
            self.push(Action::Note { key: name(&subscription.filter), value: Bytes::new() });
        }
    }

    /// Sends SUBACK or UNSUBACK when nothing is missing any more.
    fn answer_filters(&mut self, pending: u64) {
        if self.subscriptions.pending.get(&pending).is_none_or(|pending| pending.missing > 0) {
            return;
        }
        let Some(Pending { packet_id, unsubscribes, codes, .. }) =
            self.subscriptions.pending.remove(&pending)
        else {
            return;
        };
        let properties = Properties::NONE;
        let packet = match unsubscribes {
            true => Packet::UnsubAck(UnsubAck { packet_id, codes, properties }),
            false => Packet::SubAck(SubAck { packet_id, codes, properties }),
        };
        self.send(&packet);
    }

    /// A refusal as SUBACK and UNSUBACK write it.
    fn refusal(&self, reason: ReasonCode) -> u8 {
        match self.version {
            Version::V5 if reason.fits(PacketType::SubAck) => reason as u8,
            _ => ReasonCode::UnspecifiedError as u8,
        }
    }
}

/// Bytes of a queue's name, which is a short string in AMQP.
const QUEUE_NAME_MAX: usize = 255;

/// The queue that the members of a shared subscription consume together.
fn group_queue(filter: &Filter) -> ByteString {
    format!("mqtt-share-{}/{}", filter.share.as_deref().unwrap_or_default(), filter.key).into()
}

/// The filter as a key: two spellings of one filter are the same. No binding key has a slash, so that a shared
/// subscription is no other.
fn name(filter: &Filter) -> ByteString {
    match &filter.share {
        None => filter.key.clone(),
        Some(share) => format!("$share/{share}/{}", filter.key).into(),
    }
}

impl Filter {
    /// Reads back what `name` wrote for a shared subscription.
    fn parse_name(text: &str) -> Option<Filter> {
        let (share, key) = text.strip_prefix("$share/")?.split_once('/')?;
        Some(Filter { share: Some(share.into()), key: key.into() })
    }
}

/// Options and subscription identifier, as the broker keeps them.
fn encode_options(options: SubscriptionOptions, identifier: u32) -> Bytes {
    let [a, b, c, d] = identifier.to_be_bytes();
    Bytes::copy_from_slice(&[options.to_u8(), a, b, c, d])
}

fn decode_options(bytes: &[u8]) -> Option<(SubscriptionOptions, u32)> {
    let &[options, a, b, c, d] = bytes else { return None };
    let identifier = u32::from_be_bytes([a, b, c, d]);
    if identifier as usize > REMAINING_LENGTH_MAX {
        return None;
    }
    Some((SubscriptionOptions::from_u8(options)?, identifier))
}
