//! Messages to the client (sections 3.3 to 3.7, and 4.3).

use std::collections::HashMap;

use bytes::{BufMut, BytesMut};

use super::{Action, Delivery, Op, Outcome, Phase, Session, Settlement, id_map::IdMap};
use crate::{
    codec::{
        Ack, PacketType, Property, PublishHead, QoS, REMAINING_LENGTH_MAX, ReasonCode, Version, publish_size,
        put_text, put_varint,
    },
    message::MessageProperties,
    topic,
};

/// What is known about messages to the client.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Messages of QoS 1 and 2 that may be unacknowledged.
    pub(super) window: u16,
    /// The largest packet that the client takes.
    pub(super) packet_max_bytes: usize,
    /// Topic aliases that may be set for it.
    pub(super) alias_max: u16,
    inflight: IdMap<u16, Inflight>,
    /// The alias of a routing key.
    aliases: HashMap<Box<str>, u16>,
    /// The last packet identifier that was chosen here.
    last_own_id: u16,
    /// Where properties are written before their length is known.
    properties: BytesMut,
}

/// A message that waits for the client.
#[derive(Debug, Clone, Copy)]
struct Inflight {
    delivery: u64,
    awaits: Awaits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaits {
    PubAck,
    PubRec,
    /// The broker is making durable that PUBREC has come.
    Durability,
    PubComp,
}

/// What becomes of one delivery, decided before any byte is written.
struct Plan {
    qos: QoS,
    retain: bool,
    packet_id: u16,
    /// The alias, and whether it is new.
    alias: Option<(u16, bool)>,
}

impl Outgoing {
    pub(super) fn new(window: u16) -> Outgoing {
        Outgoing {
            window: window.max(1),
            packet_max_bytes: usize::MAX,
            alias_max: 0,
            inflight: IdMap::default(),
            aliases: HashMap::new(),
            last_own_id: 0,
            properties: BytesMut::new(),
        }
    }

    /// A packet identifier for a delivery that has no tag. Counts down, since tags tend to count up.
    fn own_id(&mut self) -> u16 {
        loop {
            self.last_own_id = match self.last_own_id {
                0 | 1 => u16::MAX,
                id => id - 1,
            };
            // Ends: the window is smaller than the numbers that there are.
            if !self.inflight.contains_key(&self.last_own_id) {
                return self.last_own_id;
            }
        }
    }

    fn alias(&self, routing_key: &str) -> Option<(u16, bool)> {
        if self.alias_max == 0 {
            return None;
        }
        if let Some(&alias) = self.aliases.get(routing_key) {
            return Some((alias, false));
        }
        let count = self.aliases.len() as u16;
        (count < self.alias_max).then_some((count + 1, true))
    }
}

impl Session {
    pub(super) fn deliver(&mut self, delivery: &Delivery<'_>) {
        if !matches!(self.phase, Phase::Resuming | Phase::Connected) {
            return;
        }
        if delivery.received {
            self.outgoing
                .inflight
                .insert(delivery.tag, Inflight { delivery: delivery.delivery, awaits: Awaits::PubComp });
            return self.send_ack(PacketType::PubRel, delivery.tag, ReasonCode::Success);
        }
        let properties = MessageProperties::parse(delivery.properties);
        match self.plan(delivery, &properties) {
            Ok(plan) => self.send_delivery(delivery, &properties, &plan),
            Err(_) if delivery.settled => {}
            Err(outcome) => self.settle(delivery.delivery, outcome),
        }
    }

    /// Decides how the message is sent; else how it is settled without.
    fn plan(&mut self, delivery: &Delivery<'_>, properties: &MessageProperties<'_>) -> Result<Plan, Outcome> {
        let granted = self.subscriptions.granted(delivery).ok_or(Outcome::Done)?;
        if !topic::is_topic_name(delivery.routing_key) {
            return Err(Outcome::Reject);
        }
        if delivery.expires_in.is_some_and(|left| left.is_zero()) && !delivery.redelivered {
            return Err(Outcome::Done);
        }
        let mut qos = granted.qos.min(properties.qos);
        if delivery.settled {
            qos = QoS::AtMostOnce;
        }
        let mut packet_id = 0;
        if qos > QoS::AtMostOnce {
            let full = self.outgoing.inflight.len() >= usize::from(self.outgoing.window);
            // The credit of the consumer keeps the window; a tag that is in use here belongs to a shared subscription.
            if full || self.outgoing.inflight.contains_key(&delivery.tag) {
                return Err(Outcome::Requeue);
            }
            packet_id = if delivery.tag == 0 { self.outgoing.own_id() } else { delivery.tag };
        }
        let retain = delivery.retained || (granted.retain_as_published && delivery.published_retained);
        Ok(Plan { qos, retain, packet_id, alias: self.outgoing.alias(delivery.routing_key) })
    }

    fn send_delivery(&mut self, delivery: &Delivery<'_>, properties: &MessageProperties<'_>, plan: &Plan) {
        let mut encoded = std::mem::take(&mut self.outgoing.properties);
        encoded.clear();
        if self.version == Version::V5 {
            self.put_delivery_properties(&mut encoded, delivery, properties, plan);
        }
        let topic_bytes = match plan.alias {
            Some((_, false)) => 0,
            _ => delivery.routing_key.len(),
        };
        let size = publish_size(self.version, plan.qos, topic_bytes, encoded.len(), delivery.body.len());
        if size > self.outgoing.packet_max_bytes.min(REMAINING_LENGTH_MAX) {
            // As if it had been sent ([MQTT-3.1.2-25]).
            self.outgoing.properties = encoded;
            if !delivery.settled {
                self.settle(delivery.delivery, Outcome::Done);
            }
            return;
        }
        let head = PublishHead {
            dup: delivery.redelivered && plan.qos > QoS::AtMostOnce,
            qos: plan.qos,
            retain: plan.retain,
            topic: &delivery.routing_key[..topic_bytes],
            packet_id: plan.packet_id,
        };
        put_publish(&mut self.out, self.version, &head, size, &encoded, delivery.body);
        self.outgoing.properties = encoded;
        if let Some((alias, true)) = plan.alias {
            self.outgoing.aliases.insert(delivery.routing_key.into(), alias);
        }
        let awaits = match plan.qos {
            QoS::AtMostOnce if delivery.settled => return,
            QoS::AtMostOnce => return self.settle(delivery.delivery, Outcome::Done),
            QoS::AtLeastOnce => Awaits::PubAck,
            QoS::ExactlyOnce => Awaits::PubRec,
        };
        self.outgoing.inflight.insert(plan.packet_id, Inflight { delivery: delivery.delivery, awaits });
    }

    /// Appends what a 5.0 client is told about the message, without the length.
    fn put_delivery_properties(
        &self,
        out: &mut BytesMut,
        delivery: &Delivery<'_>,
        properties: &MessageProperties<'_>,
        plan: &Plan,
    ) {
        if let Some(left) = delivery.expires_in {
            let secs = left.as_secs() + u64::from(left.subsec_nanos() > 0);
            Property::MessageExpiryInterval(u32::try_from(secs).unwrap_or(u32::MAX)).write(out);
        }
        if let Some((alias, _)) = plan.alias {
            Property::TopicAlias(alias).write(out);
        }
        self.subscriptions.identifiers(delivery, |identifier| {
            Property::SubscriptionIdentifier(identifier).write(out);
        });
        if properties.is_plain() {
            return;
        }
        if let Some(is_text) = properties.payload_is_text {
            Property::PayloadFormatIndicator(is_text).write(out);
        }
        if let Some(content_type) = properties.content_type {
            out.put_u8(0x03);
            put_text(out, content_type);
        }
        if let Some(key) = properties.reply_key {
            out.put_u8(0x08);
            out.put_u16(key.len() as u16);
            topic::put_topic_name(out, key);
        }
        if let Some(correlation) = properties.correlation {
            out.put_u8(0x09);
            out.put_u16(correlation.len() as u16);
            out.put_slice(correlation);
        }
        for (name, value) in properties.user_properties() {
            out.put_u8(0x26);
            put_text(out, name);
            put_text(out, value);
        }
    }

    pub(super) fn handle_puback(&mut self, ack: &Ack) {
        match self.outgoing.inflight.get(&ack.packet_id) {
            Some(inflight) if inflight.awaits == Awaits::PubAck => {
                let delivery = inflight.delivery;
                self.outgoing.inflight.remove(&ack.packet_id);
                self.settle(delivery, outcome_of(ack.reason));
            }
            Some(_) => self.fail(ReasonCode::ProtocolError, "a PUBACK for a message of QoS 2 [MQTT-4.3.3-1]"),
            None => {}
        }
    }

    pub(super) fn handle_pubrec(&mut self, ack: &Ack) {
        let packet_id = ack.packet_id;
        let Some(inflight) = self.outgoing.inflight.get_mut(&packet_id) else {
            return self.send_ack(PacketType::PubRel, packet_id, ReasonCode::PacketIdentifierNotFound);
        };
        let delivery = inflight.delivery;
        match inflight.awaits {
            Awaits::PubAck => {
                self.fail(ReasonCode::ProtocolError, "a PUBREC for a message of QoS 1 [MQTT-4.3.2-1]");
            }
            Awaits::PubRec if ack.reason.is_error() => {
                self.outgoing.inflight.remove(&packet_id);
                self.settle(delivery, Outcome::Reject);
            }
            // A PUBREL that came before the broker remembers the PUBREC could let a crash deliver the message again.
            Awaits::PubRec if self.expiry_secs > 0 => {
                inflight.awaits = Awaits::Durability;
                self.settle_received(packet_id, delivery);
            }
            Awaits::PubRec => {
                inflight.awaits = Awaits::PubComp;
                self.settle(delivery, Outcome::Received);
                self.send_ack(PacketType::PubRel, packet_id, ReasonCode::Success);
            }
            Awaits::Durability => {}
            Awaits::PubComp => self.send_ack(PacketType::PubRel, packet_id, ReasonCode::Success),
        }
    }

    pub(super) fn handle_pubcomp(&mut self, ack: &Ack) {
        match self.outgoing.inflight.get(&ack.packet_id) {
            Some(inflight) if inflight.awaits == Awaits::PubComp => {
                let delivery = inflight.delivery;
                self.outgoing.inflight.remove(&ack.packet_id);
                self.settle(delivery, Outcome::Done);
            }
            Some(_) => self.fail(ReasonCode::ProtocolError, "a PUBCOMP before the PUBREL [MQTT-4.3.3-1]"),
            None => {}
        }
    }

    /// Sends the PUBRELs that waited for the broker.
    pub(super) fn release(&mut self, packet_ids: &[u16]) {
        for &packet_id in packet_ids {
            if let Some(inflight) = self.outgoing.inflight.get_mut(&packet_id)
                && inflight.awaits == Awaits::Durability
            {
                inflight.awaits = Awaits::PubComp;
                self.send_ack(PacketType::PubRel, packet_id, ReasonCode::Success);
            }
        }
    }

    pub(super) fn settle(&mut self, delivery: u64, outcome: Outcome) {
        let settlement = Settlement { delivery, outcome };
        match self.actions.back_mut() {
            Some(Action::Settle { settlements, .. }) => settlements.push(settlement),
            _ => self.push(Action::Settle { op: 0, settlements: vec![settlement] }),
        }
    }

    /// Settles the first phase, and asks to be told when that is durable.
    fn settle_received(&mut self, packet_id: u16, delivery: u64) {
        self.settle(delivery, Outcome::Received);
        let next = self.last_op + 1;
        let Some(Action::Settle { op, .. }) = self.actions.back_mut() else { return };
        if *op == 0 {
            *op = next;
            self.last_op = next;
            self.ops.insert(next, Op::Received(vec![packet_id]));
        } else if let Some(Op::Received(waiting)) = self.ops.get_mut(op) {
            waiting.push(packet_id);
        }
    }
}

/// What the client makes of a message that it acknowledges: one that it refused is not sent again either.
fn outcome_of(reason: ReasonCode) -> Outcome {
    if reason.is_error() { Outcome::Reject } else { Outcome::Done }
}

/// Appends a PUBLISH of `size` bytes. The topic is a routing key still.
fn put_publish(
    out: &mut BytesMut,
    version: Version,
    head: &PublishHead<'_>,
    size: usize,
    properties: &[u8],
    body: &[u8],
) {
    out.reserve(size);
    out.put_u8(head.first_byte());
    put_varint(out, remaining_length(size));
    out.put_u16(head.topic.len() as u16);
    topic::put_topic_name(out, head.topic);
    if head.qos > QoS::AtMostOnce {
        out.put_u16(head.packet_id);
    }
    if version == Version::V5 {
        put_varint(out, properties.len());
        out.put_slice(properties);
    }
    out.put_slice(body);
}

/// The remaining length of a packet of `size` bytes.
fn remaining_length(size: usize) -> usize {
    match size {
        0..=0x81 => size - 2,
        0x82..=0x4002 => size - 3,
        0x4003..=0x20_0003 => size - 4,
        _ => size - 5,
    }
}
