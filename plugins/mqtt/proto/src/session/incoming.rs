//! Messages from the client (sections 3.3 to 3.7, and 4.3).

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use super::{Action, Op, PublishBatch, Session, id_map::IdMap, reason_of};
use crate::{
    codec::{self, Ack, PacketType, Property, QoS, ReasonCode, Version},
    message, session, topic,
};

/// Bytes of keys and properties that are taken at once.
const BLOCK_BYTES: usize = 1024;

/// What is known about messages from the client.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    last_sequence: u64,
    confirmed_up_to: u64,
    /// Messages of QoS 1 and 2 that the broker has not answered for, in order.
    unconfirmed: VecDeque<Unconfirmed>,
    /// Those of QoS 1 among them.
    at_least_once: usize,
    /// Messages of QoS 2 whose packet identifier is in use.
    exactly_once: IdMap<u16, ExactlyOnce>,
    /// What topic aliases stand for, as routing keys; the first is alias 1.
    aliases: Vec<Option<ByteString>>,
    last_topic: BytesMut,
    last_key: ByteString,
    /// Where keys and properties are written, and cut off.
    block: BytesMut,
}

#[derive(Debug)]
struct Unconfirmed {
    sequence: u64,
    packet_id: u16,
    exactly_once: bool,
    refused: bool,
    reason: ReasonCode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExactlyOnce {
    /// With the broker.
    Publishing,
    /// PUBREC is out.
    Received,
    /// PUBREL has come, and the broker is forgetting.
    Releasing,
}

impl Incoming {
    pub(super) fn unconfirmed(&self) -> usize {
        self.unconfirmed.len()
    }

    /// Messages that count for the receive maximum.
    fn unacknowledged(&self) -> usize {
        self.at_least_once + self.exactly_once.len()
    }

    pub(super) fn returned(&mut self, sequence: u64) {
        if let Some(waiting) = self.find(sequence) {
            waiting.reason = ReasonCode::NoMatchingSubscribers;
        }
    }

    fn find(&mut self, sequence: u64) -> Option<&mut Unconfirmed> {
        let at = self.unconfirmed.binary_search_by_key(&sequence, |waiting| waiting.sequence).ok()?;
        self.unconfirmed.get_mut(at)
    }

    /// The routing key of a topic name. Mostly that of the message before.
    fn routing_key(&mut self, topic: &ByteString) -> ByteString {
        if !topic.as_bytes().contains(&b'/') {
            return topic.clone();
        }
        if self.last_topic[..] == *topic.as_bytes() {
            return self.last_key.clone();
        }
        self.reserve_block(topic.len());
        topic::put_routing_key(&mut self.block, topic);
        // One byte of ASCII for another leaves UTF-8 what it is.
        let key = ByteString::try_from(self.block.split().freeze()).unwrap_or_default();
        self.last_topic.clear();
        self.last_topic.extend_from_slice(topic.as_bytes());
        self.last_key = key.clone();
        key
    }

    fn properties(&mut self, publish: &codec::Publish) -> Bytes {
        if publish.properties.is_empty() {
            return Bytes::from_static(message::plain_properties(publish.qos, publish.dup));
        }
        self.reserve_block(512);
        message::put_properties(&mut self.block, publish.qos, publish.dup, &publish.properties);
        self.block.split().freeze()
    }

    fn reserve_block(&mut self, bytes: usize) {
        if self.block.capacity() < bytes {
            self.block = BytesMut::with_capacity(bytes.max(BLOCK_BYTES));
        }
    }
}

impl Session {
    pub(super) fn handle_publish(&mut self, publish: codec::Publish) {
        let routing_key = match self.key_of(&publish) {
            Ok(key) => key,
            Err((reason, what)) => return self.fail(reason, what),
        };
        if publish.qos > QoS::AtMostOnce && !self.accept_packet_id(&publish) {
            return;
        }
        let properties = self.incoming.properties(&publish);
        let exactly_once = publish.qos == QoS::ExactlyOnce;
        self.incoming.last_sequence += 1;
        let sequence = self.incoming.last_sequence;
        if publish.qos > QoS::AtMostOnce {
            self.incoming.at_least_once += usize::from(!exactly_once);
            self.incoming.unconfirmed.push_back(Unconfirmed {
                sequence,
                packet_id: publish.packet_id,
                exactly_once,
                refused: false,
                reason: ReasonCode::Success,
            });
        }
        let dedupe = if exactly_once && self.outlives_connection() { publish.packet_id } else { 0 };
        self.push_publish(
            sequence,
            session::Publish {
                routing_key,
                properties,
                body: publish.payload,
                retain: publish.retain,
                mandatory: self.version == Version::V5 && publish.qos > QoS::AtMostOnce,
                dedupe,
            },
        );
    }

    /// The routing key of a PUBLISH, by its topic or its alias.
    fn key_of(&mut self, publish: &codec::Publish) -> Result<ByteString, (ReasonCode, &'static str)> {
        let mut alias = None;
        for property in publish.properties.iter() {
            match property {
                Property::TopicAlias(number) => alias = Some(*number),
                Property::SubscriptionIdentifier(_) => {
                    return Err((
                        ReasonCode::ProtocolError,
                        "a PUBLISH from a client has a subscription identifier [MQTT-3.3.4-6]",
                    ));
                }
                _ => {}
            }
        }
        let key = if publish.topic.is_empty() {
            None
        } else {
            topic::check_name(&publish.topic, &self.config.limits).map_err(|_| {
                (ReasonCode::TopicNameInvalid, "the topic name has more levels than this server takes")
            })?;
            Some(self.incoming.routing_key(&publish.topic))
        };
        match (alias, key) {
            (None, Some(key)) => Ok(key),
            (None, None) if self.version == Version::V5 => {
                Err((ReasonCode::ProtocolError, "a PUBLISH without topic and topic alias [MQTT-3.3.2-8]"))
            }
            (None, None) => Err((ReasonCode::TopicNameInvalid, "the topic name is empty [MQTT-4.7.3-1]")),
            (Some(alias), _) if alias > self.config.topic_alias_max => Err((
                ReasonCode::TopicAliasInvalid,
                "a topic alias above the maximum of the CONNACK [MQTT-3.3.2-9]",
            )),
            (Some(alias), key) => self.resolve_alias(alias, key),
        }
    }

    fn resolve_alias(
        &mut self,
        alias: u16,
        key: Option<ByteString>,
    ) -> Result<ByteString, (ReasonCode, &'static str)> {
        let at = usize::from(alias) - 1;
        let aliases = &mut self.incoming.aliases;
        match key {
            Some(key) => {
                if aliases.len() <= at {
                    aliases.resize(at + 1, None);
                }
                // A copy, so that the buffer it came in is free.
                aliases[at] = Some(ByteString::from(&*key));
                Ok(key)
            }
            None => aliases
                .get(at)
                .cloned()
                .flatten()
                .ok_or((ReasonCode::ProtocolError, "a topic alias that stands for no topic [MQTT-3.3.2-7]")),
        }
    }

    /// Whether a message of QoS 1 or 2 is a new one that may come now. One that came before is answered.
    fn accept_packet_id(&mut self, publish: &codec::Publish) -> bool {
        let packet_id = publish.packet_id;
        if publish.qos == QoS::ExactlyOnce {
            match self.incoming.exactly_once.get(&packet_id) {
                Some(ExactlyOnce::Publishing) => return false,
                Some(ExactlyOnce::Received) => {
                    self.send_ack(PacketType::PubRec, packet_id, ReasonCode::Success);
                    return false;
                }
                Some(ExactlyOnce::Releasing) => {
                    self.send_ack(PacketType::PubRec, packet_id, ReasonCode::PacketIdentifierInUse);
                    return false;
                }
                None => {}
            }
        }
        let maximum = usize::from(self.config.receive_maximum.max(1));
        if self.version == Version::V5 && self.incoming.unacknowledged() >= maximum {
            self.fail(
                ReasonCode::ReceiveMaximumExceeded,
                "more unacknowledged messages than the receive maximum of the CONNACK [MQTT-3.3.4-7]",
            );
            return false;
        }
        if publish.qos == QoS::ExactlyOnce {
            self.incoming.exactly_once.insert(packet_id, ExactlyOnce::Publishing);
        }
        true
    }

    fn push_publish(&mut self, sequence: u64, message: session::Publish) {
        let max = self.config.publish_batch_max;
        if let Some(Action::Publish(batch)) = self.actions.back_mut()
            && batch.messages.len() < max
        {
            self.queued += 1;
            return batch.messages.push(message);
        }
        self.push(Action::Publish(PublishBatch { first_sequence: sequence, messages: vec![message] }));
    }

    pub(super) fn confirmed(&mut self, up_to: u64) {
        self.incoming.confirmed_up_to = self.incoming.confirmed_up_to.max(up_to);
        self.acknowledge();
    }

    pub(super) fn publish_refused(&mut self, sequence: u64, code: u16, text: &str) {
        let Some(waiting) = self.incoming.find(sequence) else { return };
        waiting.refused = true;
        waiting.reason = match reason_of(code) {
            reason if reason.fits(PacketType::PubAck) => reason,
            _ => ReasonCode::UnspecifiedError,
        };
        if self.version < Version::V5 {
            // There is no acknowledgement that says no (MQTT-3.3.5-2 of 3.1.1).
            return self.fail(reason_of(code), text);
        }
        self.acknowledge();
    }

    /// Sends the acknowledgements that are due, in the order of the messages (`[MQTT-4.6.0-2]`, `[MQTT-4.6.0-3]`).
    fn acknowledge(&mut self) {
        let confirmed_up_to = self.incoming.confirmed_up_to;
        while let Some(waiting) = self.incoming.unconfirmed.front()
            && (waiting.refused || waiting.sequence <= confirmed_up_to)
        {
            let (packet_id, reason) = (waiting.packet_id, waiting.reason);
            let exactly_once = waiting.exactly_once;
            self.incoming.unconfirmed.pop_front();
            if !exactly_once {
                self.incoming.at_least_once -= 1;
                self.send_ack(PacketType::PubAck, packet_id, reason);
                continue;
            }
            if reason.is_error() {
                self.incoming.exactly_once.remove(&packet_id);
            } else {
                self.incoming.exactly_once.insert(packet_id, ExactlyOnce::Received);
            }
            self.send_ack(PacketType::PubRec, packet_id, reason);
        }
    }

    pub(super) fn handle_pubrel(&mut self, ack: &Ack) {
        let packet_id = ack.packet_id;
        let remembered = self.outlives_connection();
        match self.incoming.exactly_once.get_mut(&packet_id) {
            Some(ExactlyOnce::Releasing) => {}
            Some(ExactlyOnce::Publishing) => {
                self.fail(ReasonCode::ProtocolError, "a PUBREL before the PUBREC [MQTT-4.3.3-4]");
            }
            Some(state) if remembered => {
                *state = ExactlyOnce::Releasing;
                self.push_forget(packet_id);
            }
            Some(_) => {
                self.incoming.exactly_once.remove(&packet_id);
                self.send_ack(PacketType::PubComp, packet_id, ReasonCode::Success);
            }
            None if self.resumed => {
                // The broker may remember it from a connection before.
                self.incoming.exactly_once.insert(packet_id, ExactlyOnce::Releasing);
                self.push_forget(packet_id);
            }
            None => {
                self.send_ack(PacketType::PubComp, packet_id, ReasonCode::PacketIdentifierNotFound);
            }
        }
    }

    /// Whether the broker has to remember packet identifiers: else those known here are all there are.
    fn outlives_connection(&self) -> bool {
        self.expiry_secs > 0 || self.resumed
    }

    fn push_forget(&mut self, packet_id: u16) {
        if let Some(Action::Forget { op, keys }) = self.actions.back_mut() {
            keys.push(packet_id);
            if let Some(Op::Forget(waiting)) = self.ops.get_mut(op) {
                waiting.push(packet_id);
            }
            return;
        }
        let op = self.next_op();
        self.ops.insert(op, Op::Forget(vec![packet_id]));
        self.push(Action::Forget { op, keys: vec![packet_id] });
    }

    pub(super) fn forgotten(&mut self, packet_ids: &[u16]) {
        for &packet_id in packet_ids {
            self.incoming.exactly_once.remove(&packet_id);
            self.send_ack(PacketType::PubComp, packet_id, ReasonCode::Success);
        }
    }
}
