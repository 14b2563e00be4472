//! One client's session: what it sends goes in with the time, requests and packets come out.
//!
//! A session starts on long-polling or on a WebSocket and may move from the first to the second once; its state is the
//! same on both. The transport owns the bytes: it hands packets to [`Session::handle_text`] and
//! [`Session::handle_binary`], takes what leaves from [`Session::poll_transmit`] or [`Session::take_payload`], and calls
//! [`Session::handle_timeout`] at [`Session::deadline`].

use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytestring::ByteString;

use crate::{
    message::{self, DEFAULT_NAMESPACE, Event, Kind, Message, MessageError},
    packet::{self, Packet, PacketError, Revision},
    payload::TextEncoding,
};

/// What one session may ask of the server, and its timings. The same for every session of a server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Name of the event that carries a request.
    pub request_event: String,
    /// Pause between two heartbeats.
    pub ping_interval: Duration,
    /// How long a heartbeat may be late before the session ends.
    pub ping_timeout: Duration,
    /// How long a revision 4 client may take from the handshake to joining the default namespace.
    pub connect_timeout: Duration,
    /// Bytes of packets that may wait for a client to take them. One packet always may, whatever its size.
    pub outbox_max_bytes: usize,
    /// Binary attachments that one event may announce.
    pub attachments_max: u32,
}

/// Where the session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A revision 4 client has not joined the default namespace yet; the instant ends its time for it.
    AwaitsConnect(Instant),
    /// Requests are taken.
    Connected,
}

/// When the client is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heartbeat {
    /// Revision 3: the client pings; each packet of its own starts the time anew.
    ClientBy(Instant),
    /// Revision 4: the next ping is ours.
    PingAt(Instant),
    /// Revision 4: our ping is out, and something has to arrive.
    PongBy(Instant),
}

/// What a client's packet means to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Nothing is left to do.
    Handled,
    /// A revision 4 client has joined. (A revision 3 client has from the start.)
    Connected,
    /// A request: its JSON text, and the id under which the client waits for an acknowledgement as well.
    Request {
        /// The text of the event's first argument.
        body: ByteString,
        /// See [`Session::answer`].
        ack: Option<u64>,
    },
    /// A message that is no request and has no address to answer to; the session goes on.
    Dropped(Dropped),
    /// The client left.
    Closed,
}

/// Why a message was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// An event of another name than the request's.
    OtherEvent,
    /// A request event without an argument.
    NoArgument,
    /// A request with binary attachments: a request is JSON.
    Binary,
    /// A binary packet that no event announced.
    StrayAttachment,
}

/// A rule of the protocol that a client broke, or a limit that it met. The session is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// The engine.io packet could not be read.
    Packet(PacketError),
    /// The socket.io packet could not be read.
    Message(MessageError),
    /// An event before the client had joined.
    NotConnected,
    /// More binary attachments announced than [`Limits::attachments_max`].
    TooManyAttachments(u32),
    /// More packets wait for the client than [`Limits::outbox_max_bytes`].
    SlowConsumer,
}

/// Why time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    /// No heartbeat within interval and timeout.
    Heartbeat,
    /// A revision 4 client did not join within [`Limits::connect_timeout`].
    Connect,
}

/// The state of one client.
#[derive(Debug)]
pub struct Session {
    limits: Arc<Limits>,
    revision: Revision,
    socket_id: Box<str>,
    phase: Phase,
    heartbeat: Heartbeat,
    /// How often the client encodes its texts: for the [`Decoder`](crate::payload::Decoder) of its bodies.
    pub encoding: TextEncoding,
    attachments_due: u32,
    outbox: VecDeque<ByteString>,
    outbox_bytes: usize,
}

impl Session {
    /// A session whose handshake arrives `now`. The open packet is ready to be transmitted, and for a revision 3 client
    /// the connect packet behind it.
    ///
    /// `id` is the engine.io session id: a secret of this client, since whoever knows it can post for it. `socket_id`
    /// is told to a revision 4 client as its socket.io id. `upgrades` says whether a WebSocket is offered, which makes
    /// sense on long-polling alone. `payload_max_bytes` is the largest body a revision 4 client may post.
    #[must_use]
    pub fn new(
        limits: Arc<Limits>,
        revision: Revision,
        id: &str,
        socket_id: &str,
        upgrades: bool,
        payload_max_bytes: usize,
        now: Instant,
    ) -> Session {
        let mut session = Session {
            revision,
            socket_id: socket_id.into(),
            phase: match revision {
                Revision::V3 => Phase::Connected,
                Revision::V4 => Phase::AwaitsConnect(now + limits.connect_timeout),
            },
            heartbeat: match revision {
                Revision::V3 => Heartbeat::ClientBy(now + limits.ping_interval + limits.ping_timeout),
                Revision::V4 => Heartbeat::PingAt(now + limits.ping_interval),
            },
            encoding: TextEncoding::default(),
            attachments_due: 0,
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            limits,
        };
        let upgrades: &[&str] = if upgrades { &["websocket"] } else { &[] };
        let mut open = serde_json::json!({
            "sid": id,
            "upgrades": upgrades,
            "pingInterval": millis(session.limits.ping_interval),
            "pingTimeout": millis(session.limits.ping_timeout),
        });
        if revision == Revision::V4 {
            open["maxPayload"] = payload_max_bytes.into();
        }
        session.queue(format!("0{open}").into());
        if revision == Revision::V3 {
            session.queue(message::CONNECTED_V3);
        }
        session
    }

    /// The revision that the client speaks.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Whether the client has joined the default namespace, so that requests and notifications pass.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// Takes one text packet that arrived `now`. One that starts with `b` is a binary packet in base64: so they come over
    /// long-polling, and from 1.x clients that were told `b64=1` over a WebSocket too.
    ///
    /// # Errors
    /// [`Violation`]: the session is over and the client has to be closed.
    pub fn handle_text(&mut self, text: &ByteString, now: Instant) -> Result<Input, Violation> {
        if text.starts_with('b') {
            return Ok(self.handle_binary(now));
        }
        let packet = Packet::parse(text).map_err(Violation::Packet)?;
        self.heard(matches!(packet, Packet::Pong), now);
        match packet {
            Packet::Close => Ok(Input::Closed),
            Packet::Ping(data) => {
                self.send(packet::pong(&data))?;
                Ok(Input::Handled)
            }
            Packet::Pong | Packet::Upgrade | Packet::Noop => Ok(Input::Handled),
            Packet::Message(message) => self.handle_message(&message),
        }
    }

    /// Takes one binary packet that arrived `now`: an attachment, which is dropped.
    pub fn handle_binary(&mut self, now: Instant) -> Input {
        self.heard(false, now);
        match self.attachments_due.checked_sub(1) {
            Some(due) => {
                self.attachments_due = due;
                Input::Handled
            }
            None => Input::Dropped(Dropped::StrayAttachment),
        }
    }

    fn handle_message(&mut self, text: &ByteString) -> Result<Input, Violation> {
        let message = Message::parse(text).map_err(Violation::Message)?;
        if message.attachments > self.limits.attachments_max {
            return Err(Violation::TooManyAttachments(message.attachments));
        }
        self.attachments_due = message.attachments;
        if message.namespace != DEFAULT_NAMESPACE {
            if message.kind == Kind::Connect {
                self.refuse_namespace(message.namespace)?;
            }
            return Ok(Input::Handled);
        }
        match message.kind {
            Kind::Connect => self.connect(),
            Kind::Disconnect => Ok(Input::Closed),
            Kind::Ack | Kind::BinaryAck | Kind::Error => Ok(Input::Handled),
            Kind::Event | Kind::BinaryEvent if self.phase != Phase::Connected => Err(Violation::NotConnected),
            Kind::Event | Kind::BinaryEvent => {
                let event = Event::parse(message.data).map_err(Violation::Message)?;
                if event.name != self.limits.request_event.as_str() {
                    return Ok(Input::Dropped(Dropped::OtherEvent));
                }
                if message.kind == Kind::BinaryEvent {
                    return Ok(Input::Dropped(Dropped::Binary));
                }
                let Some(argument) = event.argument else { return Ok(Input::Dropped(Dropped::NoArgument)) };
                Ok(Input::Request { body: text.slice_ref(argument), ack: message.ack })
            }
        }
    }

    fn connect(&mut self) -> Result<Input, Violation> {
        if self.phase == Phase::Connected {
            return Ok(Input::Handled);
        }
        self.phase = Phase::Connected;
        self.send(message::connected_v4(&self.socket_id))?;
        Ok(Input::Connected)
    }

    /// There is one namespace. Long and unprintable names are not echoed.
    fn refuse_namespace(&mut self, namespace: &str) -> Result<(), Violation> {
        if namespace.len() > NAMESPACE_ECHO_MAX_BYTES
            || !namespace.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Ok(());
        }
        let refusal = match self.revision {
            Revision::V3 => format!("44{namespace},\"Invalid namespace\""),
            Revision::V4 => format!("44{namespace},{{\"message\":\"Invalid namespace\"}}"),
        };
        self.send(refusal.into())
    }

    /// Sends the answer to a request: event `request_id` with the response `json`, and the same as acknowledgement
    /// when the client waits for one. Not subject to [`Limits::outbox_max_bytes`]: see [`Session::accepts_answers`].
    pub fn answer(&mut self, request_id: &str, json: &str, ack: Option<u64>) {
        self.queue(message::event(request_id, json));
        if let Some(id) = ack {
            self.queue(message::ack(id, json));
        }
    }

    /// Whether the client keeps up, so that further requests and answers may be taken.
    #[must_use]
    pub fn accepts_answers(&self) -> bool {
        self.outbox_bytes < self.limits.outbox_max_bytes / 2
    }

    /// Sends a whole engine.io packet, for example a notification that [`message::event`] encoded once for many.
    ///
    /// # Errors
    /// [`Violation::SlowConsumer`] when too much waits already.
    pub fn send(&mut self, packet: ByteString) -> Result<(), Violation> {
        let waits = self.outbox_bytes.saturating_add(cost(&packet));
        if waits > self.limits.outbox_max_bytes && !self.outbox.is_empty() {
            return Err(Violation::SlowConsumer);
        }
        self.queue(packet);
        Ok(())
    }

    fn queue(&mut self, packet: ByteString) {
        self.outbox_bytes += cost(&packet);
        self.outbox.push_back(packet);
    }

    /// Whether something waits to be transmitted.
    #[must_use]
    pub fn has_transmit(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// The next packet for a WebSocket.
    pub fn poll_transmit(&mut self) -> Option<ByteString> {
        let packet = self.outbox.pop_front()?;
        self.outbox_bytes -= cost(&packet);
        if self.outbox.is_empty() && self.outbox.capacity() > OUTBOX_KEPT_CAPACITY {
            self.outbox = VecDeque::new();
        }
        Some(packet)
    }

    /// The packets of one long-polling answer: as many as fit into `max_bytes`, one at least; empty when none waits.
    pub fn take_payload(&mut self, max_bytes: usize) -> Vec<ByteString> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(next) = self.outbox.front() {
            bytes += cost(next);
            if bytes > max_bytes && !taken.is_empty() {
                break;
            }
            taken.extend(self.poll_transmit());
        }
        taken
    }

    /// When [`Session::handle_timeout`] wants to be called. Moves with every packet heard; being called early is
    /// harmless, so a timer need not follow each move.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        let heartbeat = match self.heartbeat {
            Heartbeat::ClientBy(at) | Heartbeat::PingAt(at) | Heartbeat::PongBy(at) => at,
        };
        match self.phase {
            Phase::AwaitsConnect(at) => heartbeat.min(at),
            Phase::Connected => heartbeat,
        }
    }

    /// Does what is due `now`: a ping is queued, or the client is given up.
    ///
    /// # Errors
    /// [`Expired`] when the client's time is over, or its outbox cannot even take a ping.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Expired> {
        if matches!(self.phase, Phase::AwaitsConnect(at) if at <= now) {
            return Err(Expired::Connect);
        }
        match self.heartbeat {
            Heartbeat::ClientBy(at) | Heartbeat::PongBy(at) if at <= now => Err(Expired::Heartbeat),
            Heartbeat::PingAt(at) if at <= now => {
                self.heartbeat = Heartbeat::PongBy(now + self.limits.ping_timeout);
                self.queue(packet::PING);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn heard(&mut self, pong: bool, now: Instant) {
        self.heartbeat = match self.heartbeat {
            Heartbeat::ClientBy(_) => {
                Heartbeat::ClientBy(now + self.limits.ping_interval + self.limits.ping_timeout)
            }
            Heartbeat::PongBy(_) if pong => Heartbeat::PingAt(now + self.limits.ping_interval),
            Heartbeat::PongBy(_) => Heartbeat::PongBy(now + self.limits.ping_timeout),
            waits => waits,
        };
    }
}

/// What a waiting packet is counted as: its text and its place in the queue.
fn cost(packet: &ByteString) -> usize {
    packet.len() + size_of::<ByteString>()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

const NAMESPACE_ECHO_MAX_BYTES: usize = 128;
const OUTBOX_KEPT_CAPACITY: usize = 16;

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dropped::OtherEvent => "the event is not the one that carries requests",
            Dropped::NoArgument => "the event carries no request",
            Dropped::Binary => "the event has binary attachments, a request is JSON alone",
            Dropped::StrayAttachment => "no event announced the binary packet",
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::Packet(error) => error.fmt(f),
            Violation::Message(error) => error.fmt(f),
            Violation::NotConnected => {
                f.write_str("an event arrived before the client had joined the namespace `/`")
            }
            Violation::TooManyAttachments(found) => {
                write!(f, "an event announces {found} binary attachments, more than the limit allows")
            }
            Violation::SlowConsumer => {
                f.write_str("the client does not take its packets, and too many wait for it")
            }
        }
    }
}

impl fmt::Display for Expired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Expired::Heartbeat => "the client missed its heartbeat",
            Expired::Connect => "the client did not join the namespace `/` in time",
        })
    }
}

impl std::error::Error for Violation {}
impl std::error::Error for Expired {}

#[cfg(test)]
mod tests;
