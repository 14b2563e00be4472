//! The state machine of one connection: what arrives goes in with the time, bytes and actions come out.
//!
//! The shell owns socket, clock and broker. It drives a [`Session`] so:
//!
//! 1. Bytes from the socket are appended to a buffer, and [`Session::handle_input`] takes packets off it. While
//!    [`Session::wants_input`] is false the shell does not read.
//! 2. Events of the broker go to [`Session::handle_event`]. While [`Session::wants_events`] is false the shell takes none.
//!    After events, what is left in the buffer is handled again.
//! 3. [`Session::poll_action`] gives what to do, in order, until there is none. When [`Session::handle_input`] stopped so
//!    that this could happen, it goes on now.
//! 4. [`Session::output`] is written to the socket, and emptied.
//! 5. At [`Session::deadline`] the shell calls [`Session::handle_timeout`].
//! 6. When the socket ends, [`Session::handle_lost`]. The server's own goodbye is [`Session::disconnect`]. After
//!    [`Action::Close`] nothing happens any more, and [`Session::end`] says why.
//!
//! Times are durations since any moment that stays fixed for the session.
//!
//! Each session of MQTT is a session of the broker: its queue holds what is to be delivered, a binding is a subscription,
//! and the tag of a delivery is its packet identifier, so that all of it outlives the connection. A shared subscription is a
//! queue that its members consume together, remembered by a note.

mod action;
mod config;
mod connect;
mod event;
mod id_map;
mod incoming;
mod outgoing;
mod subscriptions;

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use bytes::BytesMut;
use bytestring::ByteString;

pub use action::{
    Action, Attach, Bind, Consume, Credentials, DeclareQueue, Outcome, Publish, PublishBatch, Retained,
    SESSION_CONSUMER, Settlement, WillMessage,
};
pub use config::{Config, EXPIRY_NEVER};
pub use event::{Delivery, Event};

use crate::codec::{
    Ack, ConnAck, DecodeError, Decoder, Disconnect, Packet, PacketType, Properties, Property, ReasonCode,
    Version, encode_ack,
};
use connect::Handshake;
use id_map::IdMap;
use incoming::Incoming;
use outgoing::Outgoing;
use subscriptions::{PendingFilter, Subscriptions};

/// Why a session is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The client said so, with this reason (normal disconnection before 5.0).
    Left(ReasonCode),
    /// The connection was lost.
    Lost,
    /// CONNECT was refused.
    Refused {
        /// The reason code of 5.0.
        reason: ReasonCode,
        /// What was wrong.
        what: String,
    },
    /// The server closed it.
    Closed {
        /// The reason code of 5.0.
        reason: ReasonCode,
        /// What was wrong.
        what: String,
    },
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Left(reason) => write!(f, "the client left: {}", reason.text()),
            End::Lost => f.write_str("the connection was lost"),
            End::Refused { reason, what } => write!(f, "refused, 0x{:02X}: {what}", *reason as u8),
            End::Closed { reason, what } => write!(f, "closed, 0x{:02X}: {what}", *reason as u8),
        }
    }
}

/// Where the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing, or half a CONNECT, has arrived.
    AwaitsConnect,
    /// CONNECT is with the broker.
    Connecting,
    /// CONNACK is out; the session's bindings are coming in.
    Resuming,
    /// Packets are taken.
    Connected,
    /// It is over.
    Ended,
}

/// What the answer to a call of the broker means.
#[derive(Debug)]
enum Op {
    Attach,
    Consume,
    /// PUBCOMP is due for these.
    Forget(Vec<u16>),
    /// PUBREL is due for these.
    Received(Vec<u16>),
    /// A part of a SUBSCRIBE or UNSUBSCRIBE.
    Filter(PendingFilter),
}

/// One connection of an MQTT client.
#[derive(Debug)]
pub struct Session {
    config: Arc<Config>,
    unique: u128,
    decoder: Decoder,
    phase: Phase,
    end: Option<End>,
    version: Version,
    handshake: Option<Box<Handshake>>,
    client_id: ByteString,
    queue: ByteString,
    /// How long the session outlives the connection.
    expiry_secs: u32,
    /// Whether the session was there before this connection.
    resumed: bool,
    problem_information: bool,
    keep_alive: Option<Duration>,
    opened_at: Duration,
    last_packet_at: Duration,
    partial_since: Option<Duration>,
    throttled: bool,
    out: BytesMut,
    actions: VecDeque<Action>,
    /// Items in `actions`, a message counted as one.
    queued: usize,
    last_op: u64,
    ops: IdMap<u64, Op>,
    incoming: Incoming,
    outgoing: Outgoing,
    subscriptions: Subscriptions,
}

impl Session {
    /// A session whose connection was accepted `now`. `unique` is a number that no other session has: the identifier of a
    /// client that brings none is made of it.
    #[must_use]
    pub fn new(config: Arc<Config>, unique: u128, now: Duration) -> Session {
        Session {
            unique,
            decoder: Decoder::new(),
            phase: Phase::AwaitsConnect,
            end: None,
            version: Version::V311,
            handshake: None,
            client_id: ByteString::new(),
            queue: ByteString::new(),
            expiry_secs: 0,
            resumed: false,
            problem_information: true,
            keep_alive: None,
            opened_at: now,
            last_packet_at: now,
            partial_since: None,
            throttled: false,
            out: BytesMut::new(),
            actions: VecDeque::new(),
            queued: 0,
            last_op: 0,
            ops: IdMap::default(),
            incoming: Incoming::default(),
            outgoing: Outgoing::new(config.inflight_max),
            subscriptions: Subscriptions::default(),
            config,
        }
    }

    /// The client identifier; empty before CONNECT.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The version that the client speaks; 3.1.1 before CONNECT.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Why the session is over, once it is.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// What is to be written to the socket. The shell empties it; nothing here reads it.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    /// Whether the client may be read from now.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        match self.phase {
            Phase::AwaitsConnect => true,
            Phase::Connected => !self.waits_for_broker() && !self.output_is_full(),
            Phase::Connecting | Phase::Resuming | Phase::Ended => false,
        }
    }

    /// Whether deliveries may be taken for the client: the output is below its high-water mark.
    #[must_use]
    pub fn wants_events(&self) -> bool {
        !self.output_is_full()
    }

    /// When [`Session::handle_timeout`] is due next.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        match self.phase {
            Phase::AwaitsConnect | Phase::Connecting | Phase::Resuming => {
                Some(self.opened_at + self.config.connect_timeout)
            }
            // Silence that is ours does not count.
            Phase::Connected if self.waits_for_broker() => None,
            Phase::Connected => {
                let silent = self.keep_alive.map(|keep_alive| self.last_packet_at + keep_alive * 3 / 2);
                let partial = self.partial_since.map(|since| since + self.config.packet_timeout);
                silent.max(partial)
            }
            Phase::Ended => None,
        }
    }

    /// The next thing to do. While the broker takes no messages, none are given, and of what comes behind them only
    /// settlements, which it can always use.
    pub fn poll_action(&mut self) -> Option<Action> {
        let action = match self.actions.front() {
            Some(Action::Publish(_)) if self.throttled => {
                let is_settlement = |action: &Action| matches!(action, Action::Settle { .. });
                let at = self.actions.iter().position(is_settlement)?;
                self.actions.remove(at)?
            }
            _ => self.actions.pop_front()?,
        };
        self.queued -= weight(&action);
        Some(action)
    }

    /// Gives back messages that the broker did not take: the rest of a batch. They come again, before anything else, after
    /// [`Event::Unblocked`].
    pub fn publish_again(&mut self, rest: PublishBatch) {
        self.throttled = true;
        self.queued += rest.messages.len();
        self.actions.push_front(Action::Publish(rest));
    }

    /// Takes packets off the front of `input` until it holds none in full, or the session has to wait. Returns whether it
    /// stopped because [`Config::actions_max`] are to be polled, so that it has to be called again after that.
    pub fn handle_input(&mut self, input: &mut BytesMut, now: Duration) -> bool {
        while self.wants_input() && self.queued < self.config.actions_max {
            match self.decoder.decode(input, &self.config.limits) {
                Ok(Some(packet)) => {
                    self.last_packet_at = now;
                    self.partial_since = None;
                    self.handle_packet(packet);
                }
                Ok(None) => {
                    if !input.is_empty() {
                        self.partial_since.get_or_insert(now);
                    }
                    return false;
                }
                Err(error) => {
                    self.refuse_bytes(&error);
                    return false;
                }
            }
        }
        if !self.output_is_full() {
            // What stands in the way is ours, so that the client's time begins when it is gone.
            self.last_packet_at = now;
        }
        self.wants_input()
    }

    /// Takes an event of the broker.
    pub fn handle_event(&mut self, event: Event<'_>, now: Duration) {
        if self.phase == Phase::Ended {
            self.throttled &= !matches!(event, Event::Unblocked);
            return;
        }
        let waited = self.waits_for_broker();
        match event {
            Event::Delivery(delivery) => self.deliver(&delivery),
            Event::Confirmed { up_to } => self.confirmed(up_to),
            Event::Refused { sequence, code, text } => self.publish_refused(sequence, code, text),
            Event::Returned { sequence } => self.incoming.returned(sequence),
            Event::Answer { op, code, existed, text } => self.answered(op, code, existed, text),
            Event::Binding { id, routing_key, options } => {
                self.subscriptions.restore(id, routing_key, options);
            }
            Event::Note { key, value } => self.restore_shared(key, value),
            Event::Authenticated { status } => self.authenticated(status),
            Event::Entered { code } => self.entered(code),
            Event::Cancelled { consumer } => self.consumer_cancelled(consumer),
            Event::Throttled => self.throttled = true,
            Event::Unblocked => self.throttled = false,
            Event::Closed { code, taken_over } => self.link_closed(code, taken_over),
        }
        if waited && !self.waits_for_broker() {
            self.last_packet_at = now;
        }
    }

    /// Tells that the time of [`Session::deadline`] may have come.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.phase {
            Phase::AwaitsConnect => {
                self.end = Some(End::Closed {
                    reason: ReasonCode::MaximumConnectTime,
                    what: "no CONNECT within the time for it".to_owned(),
                });
                self.finish();
            }
            Phase::Connecting | Phase::Resuming => {
                self.fail(ReasonCode::ServerUnavailable, "the broker did not answer CONNECT in time");
            }
            _ if self.output_is_full() => {
                self.fail(ReasonCode::QuotaExceeded, "the client does not read what it is sent");
            }
            _ => self.fail(
                ReasonCode::KeepAliveTimeout,
                "nothing came within one and a half keep alives [MQTT-3.1.2-22]",
            ),
        }
    }

    /// Tells that the socket ended without a DISCONNECT.
    pub fn handle_lost(&mut self) {
        if self.phase != Phase::Ended {
            self.end = Some(End::Lost);
            self.finish();
        }
    }

    /// Says goodbye: a DISCONNECT with `reason` to a 5.0 client, and the end of the connection. The will is due.
    pub fn disconnect(&mut self, reason: ReasonCode) {
        self.fail(reason, reason.text());
    }

    fn handle_packet(&mut self, packet: Packet) {
        match packet {
            Packet::Publish(publish) => self.handle_publish(publish),
            Packet::PubAck(ack) => self.handle_puback(&ack),
            Packet::PubRec(ack) => self.handle_pubrec(&ack),
            Packet::PubRel(ack) => self.handle_pubrel(&ack),
            Packet::PubComp(ack) => self.handle_pubcomp(&ack),
            Packet::PingReq => self.send(&Packet::PingResp),
            Packet::Subscribe(subscribe) => self.handle_subscribe(&subscribe),
            Packet::Unsubscribe(unsubscribe) => self.handle_unsubscribe(&unsubscribe),
            Packet::Connect(connect) if self.phase == Phase::AwaitsConnect => self.handle_connect(*connect),
            Packet::Connect(_) => self.fail(ReasonCode::ProtocolError, "a second CONNECT [MQTT-3.1.0-2]"),
            Packet::Disconnect(disconnect) => self.handle_disconnect(&disconnect),
            Packet::Auth(_) => self.fail(
                ReasonCode::ProtocolError,
                "AUTH, and CONNECT named no authentication method [MQTT-4.12.0-7]",
            ),
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                self.fail(ReasonCode::ProtocolError, "a packet that a server sends");
            }
        }
    }

    fn handle_disconnect(&mut self, disconnect: &Disconnect) {
        for property in disconnect.properties.iter() {
            match property {
                Property::SessionExpiryInterval(secs) if self.expiry_secs == 0 && *secs > 0 => {
                    return self.fail(
                        ReasonCode::ProtocolError,
                        "DISCONNECT sets a session expiry, and CONNECT set none [MQTT-3.14.2.2.2]",
                    );
                }
                Property::SessionExpiryInterval(secs) => {
                    self.expiry_secs = (*secs).min(self.config.session_expiry_max_secs);
                }
                _ => {}
            }
        }
        let with_will = disconnect.reason != ReasonCode::Success;
        self.push(Action::Detach { with_will, expiry_secs: self.expiry_secs });
        self.end = Some(End::Left(disconnect.reason));
        self.finish();
    }

    fn answered(&mut self, op: u64, code: u16, existed: bool, text: &str) {
        match self.ops.remove(&op) {
            Some(Op::Attach) => self.attached(code, existed, text),
            Some(Op::Filter(pending)) => self.filter_answered(pending, code),
            // Going on could publish or deliver a message of QoS 2 twice; a new connection sorts it out.
            Some(Op::Consume | Op::Forget(_) | Op::Received(_)) if code != OK => {
                self.fail(reason_of(code), text)
            }
            Some(Op::Consume) => self.phase = Phase::Connected,
            Some(Op::Forget(keys)) => self.forgotten(&keys),
            Some(Op::Received(packet_ids)) => self.release(&packet_ids),
            None => {}
        }
    }

    fn link_closed(&mut self, code: u16, taken_over: bool) {
        let reason = match code {
            _ if taken_over => ReasonCode::SessionTakenOver,
            320 => ReasonCode::ServerShuttingDown,
            other => reason_of(other),
        };
        self.fail(reason, reason.text());
    }

    fn refuse_bytes(&mut self, error: &DecodeError) {
        if self.phase == Phase::AwaitsConnect {
            self.refuse_connect_bytes(error);
        } else {
            self.fail(error.reason, &error.to_string());
        }
    }

    /// Ends the connection for a fault: with a CONNACK before it is connected, a DISCONNECT after, where the version has
    /// such.
    fn fail(&mut self, reason: ReasonCode, what: &str) {
        match self.phase {
            Phase::Ended => return,
            Phase::AwaitsConnect => {
                self.end = Some(End::Closed { reason, what: what.to_owned() });
            }
            Phase::Connecting => {
                self.refuse(reason, what);
                return;
            }
            Phase::Resuming | Phase::Connected => {
                if self.version == Version::V5 {
                    let reason = if reason.fits(PacketType::Disconnect) {
                        reason
                    } else {
                        ReasonCode::UnspecifiedError
                    };
                    let text = Properties(vec![Property::ReasonString(what.into())]);
                    self.send_or(Packet::Disconnect(Disconnect { reason, properties: text }), |packet| {
                        if let Packet::Disconnect(disconnect) = packet {
                            disconnect.properties = Properties::NONE;
                        }
                    });
                }
                self.end = Some(End::Closed { reason, what: what.to_owned() });
            }
        }
        self.finish();
    }

    fn finish(&mut self) {
        self.phase = Phase::Ended;
        self.push(Action::Close);
    }

    fn waits_for_broker(&self) -> bool {
        self.throttled
            || self.ops.len() >= self.config.pending_max
            || self.incoming.unconfirmed() >= usize::from(self.config.receive_maximum)
    }

    fn output_is_full(&self) -> bool {
        self.out.len() >= self.config.output_high_water_bytes
    }

    fn next_op(&mut self) -> u64 {
        self.last_op += 1;
        self.last_op
    }

    fn push(&mut self, action: Action) {
        self.queued += weight(&action);
        self.actions.push_back(action);
    }

    /// Appends a packet that always fits.
    fn send(&mut self, packet: &Packet) {
        self.send_or(packet.clone(), |_| {});
    }

    /// Appends a packet; when it is larger than the client takes, the one that `shorten` makes of it, or none.
    fn send_or(&mut self, mut packet: Packet, shorten: impl FnOnce(&mut Packet)) {
        let start = self.out.len();
        let max = self.outgoing.packet_max_bytes;
        let fits = |out: &BytesMut| out.len() - start <= max;
        if packet.encode(self.version, &mut self.out).is_ok() && fits(&self.out) {
            return;
        }
        self.out.truncate(start);
        shorten(&mut packet);
        if packet.encode(self.version, &mut self.out).is_err() || !fits(&self.out) {
            self.out.truncate(start);
        }
    }

    /// Appends an acknowledgement, with a text for people when something went wrong and the client wants one.
    fn send_ack(&mut self, packet: PacketType, packet_id: u16, reason: ReasonCode) {
        if !reason.is_error() || self.version < Version::V5 || !self.problem_information {
            return encode_ack(&mut self.out, self.version, packet, packet_id, reason);
        }
        let ack = Ack {
            packet_id,
            reason,
            properties: Properties(vec![Property::ReasonString(reason.text().into())]),
        };
        let with_text = match packet {
            PacketType::PubAck => Packet::PubAck(ack),
            PacketType::PubRec => Packet::PubRec(ack),
            PacketType::PubRel => Packet::PubRel(ack),
            _ => Packet::PubComp(ack),
        };
        self.send_or(with_text, |packet| {
            if let Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) =
                packet
            {
                ack.properties = Properties::NONE;
            }
        });
    }

    /// Appends a CONNACK.
    fn send_connack(&mut self, connack: ConnAck) {
        self.send_or(Packet::ConnAck(connack), |packet| {
            if let Packet::ConnAck(connack) = packet {
                connack.properties.0.retain(|property| !matches!(property, Property::ReasonString(_)));
            }
        });
    }
}

const OK: u16 = 200;

/// What an action counts for [`Config::actions_max`].
fn weight(action: &Action) -> usize {
    match action {
        Action::Publish(batch) => batch.messages.len(),
        _ => 1,
    }
}

/// The reason code of an AMQP reply code, where an operation was refused.
fn reason_of(code: u16) -> ReasonCode {
    match code {
        OK => ReasonCode::Success,
        311 => ReasonCode::PacketTooLarge,
        401 | 403 | 530 => ReasonCode::NotAuthorized,
        429 | 506 => ReasonCode::QuotaExceeded,
        503 => ReasonCode::ServerBusy,
        404..=406 | 501 | 502 | 540 => ReasonCode::ImplementationSpecificError,
        _ => ReasonCode::UnspecifiedError,
    }
}
