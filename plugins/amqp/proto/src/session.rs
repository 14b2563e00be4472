//! The state of one connection: bytes, times and the broker's events go in; bytes, actions and a deadline come out.
//!
//! A shell drives a session so:
//!
//! 1. What the socket gives is appended to a buffer and handed to [`Session::receive`], which takes whole frames out of
//!    it. Then each action of [`Session::poll_action`] is carried out, in order. While `receive` says
//!    [`Received::Interrupted`] and [`Session::wants_input`] holds, this is repeated without reading.
//! 2. [`Session::output`] is written, and what was written is told to [`Session::wrote`].
//! 3. The broker's events go to [`Session::link_event`] and [`Session::connection_event`]; of a link no more are taken
//!    than [`Session::budget`] says. What completes by itself goes to [`Session::authenticated`], [`Session::entered`]
//!    and [`Session::quiesced`].
//! 4. The socket is read only while [`Session::wants_input`] holds. [`Session::handle_timeout`] is called at
//!    [`Session::deadline`].
//! 5. After [`Action::Close`] the rest of the output is written and the socket closed; when the socket breaks, the
//!    session is dropped and the broker's connection closed.
//!
//! Times are durations since a moment that the shell has chosen. Operations are not waited for: a link stops at its
//! first refusal, so that later ones can follow at once and are answered in order.
//!
//! Sources: the AMQP 0-9-1 specification and RabbitMQ 3.10, whose codes and texts these are.

mod channel;
mod events;
mod exchange;
mod fault;
mod handshake;
mod io;
mod limits;
mod methods;
mod publish;
#[cfg(test)]
mod tests;
mod unsettled;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use bytestring::ByteString;

use self::{
    channel::{Awaited, Channel, State},
    fault::{Fault, Reason},
    handshake::{undecoded, unframed},
    io::Io,
};
pub use self::{
    exchange::{
        Action, Binding, ConnectionEvent, Ending, LinkEvent, Message, Operation, Outcome, Publish, Settle,
    },
    fault::code,
    limits::Limits,
};
use crate::codec::{
    frame::{self, FRAME_OVERHEAD, Frame, FrameErrorKind, Payload},
    method::{Method, channel as channel_methods, connection},
    table::Table,
};

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The protocol header is due.
    AwaitsHeader { until: Duration },
    /// `connection.start-ok` is due.
    AwaitsStartOk { until: Duration },
    /// The broker checks the user.
    Authenticating { until: Duration },
    /// `connection.tune-ok` is due.
    AwaitsTuneOk { until: Duration },
    /// `connection.open` is due.
    AwaitsOpen { until: Duration },
    /// The broker opens the virtual host.
    Entering,
    /// It is open.
    Running,
    /// The client has closed it; `close-ok` waits for the channels.
    ClosedByClient { until: Duration },
    /// It was closed here; `close-ok` is due, and nothing else counts.
    ClosedByServer { until: Duration, code: u16 },
    /// The client was refused and is told nothing.
    Refused { until: Duration },
    /// All is over.
    Ended,
}

/// How far [`Session::receive`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// All whole frames were taken.
    Everything,
    /// It stopped before the end of the input: actions, output or events have to go first.
    Interrupted,
}

/// What may be taken of a link's events: see [`Session::budget`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// At most so many events; 0: none now.
    pub events: u32,
    /// At most so many octets of messages, or one message.
    pub bytes: u64,
}

/// The state of one connection.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    io: Io,
    channels: BTreeMap<u16, Box<Channel>>,
    /// Channel of each open link.
    links: BTreeMap<u64, u16>,
    client_properties: Table,
    mechanism: ByteString,
    channel_max: u16,
    /// Zero: none.
    heartbeat: Duration,
    last_heard: Duration,
    next_beat: Duration,
    /// Octets sent when the last beat was due.
    beat_mark: u64,
    /// Octets of input that the last `receive` left.
    left_over: usize,
    /// Since when the input ends in a part of a frame.
    part_since: Option<Duration>,
    /// Octets of a frame that is too large and not looked at.
    skip: usize,
    /// Since when output waits without any of it being written.
    unwritten_since: Option<Duration>,
    /// Nothing is read until the broker says so.
    throttled: bool,
    /// Publishes that were not taken.
    held: Option<Action>,
    /// A frame that waits for its channel to come to rest; nothing is read meanwhile.
    parked: Option<Frame>,
    /// The broker's alarm.
    alarm: Option<ByteString>,
    /// The client was told of the alarm.
    told_alarm: bool,
}

impl Session {
    /// A session of a client that has connected `now`.
    ///
    /// `ids` gives the links of all sessions of an instance different ids; it starts at 1. `seed` should be random: it
    /// keeps consumer tags of different servers apart.
    #[must_use]
    pub fn new(limits: Arc<Limits>, ids: Arc<AtomicU64>, seed: u64, now: Duration) -> Session {
        Session {
            phase: Phase::AwaitsHeader { until: now + limits.handshake_timeout },
            io: Io::new(limits, ids, seed),
            channels: BTreeMap::new(),
            links: BTreeMap::new(),
            client_properties: Table::new(),
            mechanism: ByteString::new(),
            channel_max: 0,
            heartbeat: Duration::ZERO,
            last_heard: now,
            next_beat: now,
            beat_mark: 0,
            left_over: 0,
            part_since: None,
            skip: 0,
            unwritten_since: None,
            throttled: false,
            held: None,
            parked: None,
            alarm: None,
            told_alarm: false,
        }
    }

    /// Takes whole frames out of `input`, which holds what the last call left and what was read since.
    pub fn receive(&mut self, input: &mut BytesMut, now: Duration) -> Received {
        if input.len() != self.left_over {
            self.last_heard = now;
        }
        let mut received = Received::Everything;
        loop {
            if self.skip > 0 {
                let skipped = self.skip.min(input.len());
                input.advance(skipped);
                self.skip -= skipped;
            }
            if matches!(self.phase, Phase::Refused { .. } | Phase::Ended) {
                input.clear();
            }
            if input.is_empty() {
                self.part_since = None;
                break;
            }
            if !self.wants_input() {
                self.part_since = None;
                received = Received::Interrupted;
                break;
            }
            if let Phase::AwaitsHeader { .. } = self.phase {
                let Some(header) = input.first_chunk::<8>().copied() else { break };
                input.advance(header.len());
                self.protocol_header(header, now);
                continue;
            }
            match frame::decode(input, self.io.frame_max) {
                Ok(Some(frame)) => {
                    self.part_since = None;
                    self.frame(frame, now);
                }
                Ok(None) => {
                    self.part_since.get_or_insert(now);
                    break;
                }
                Err(error) => {
                    if let FrameErrorKind::TooLarge { size, .. } = error.kind {
                        self.skip = size as usize + FRAME_OVERHEAD;
                    }
                    self.fail_reading(unframed(&error), now);
                }
            }
        }
        self.left_over = input.len();
        self.note_output(now);
        received
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        if self.held.is_some() && self.phase != Phase::Ended {
            return None;
        }
        self.io.next_action()
    }

    /// Gives publishes back that the broker did not take, the first of sequence `first_seq`. They come again, before any
    /// other action, when it is ready: see [`ConnectionEvent::Unblocked`].
    pub fn not_taken(&mut self, link: u64, first_seq: u64, messages: Vec<Publish>) {
        self.throttled = true;
        if !messages.is_empty() {
            self.held = Some(Action::Publish { link, first_seq, messages });
        }
    }

    /// The broker has asked to read no more from this client until [`ConnectionEvent::Unblocked`].
    pub fn throttle(&mut self) {
        self.throttled = true;
    }

    /// Whether more may be read and handed to [`Session::receive`]. When nothing is read, heartbeats are not missed.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        match self.phase {
            Phase::Authenticating { .. } | Phase::Entering => false,
            Phase::Running => !self.throttled && self.parked.is_none() && self.io.has_room(),
            Phase::ClosedByClient { .. } => self.io.has_room(),
            _ => true,
        }
    }

    /// What waits to be written.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        &self.io.out
    }

    /// So many octets of the output were written.
    pub fn wrote(&mut self, octets: usize, now: Duration) {
        self.io.out.advance(octets);
        self.io.written += octets as u64;
        self.unwritten_since = (!self.io.out.is_empty()).then_some(now);
    }

    fn note_output(&mut self, now: Duration) {
        if !self.io.out.is_empty() && self.unwritten_since.is_none() {
            self.unwritten_since = Some(now);
        }
    }

    /// How much may be taken of a link at once: no more than the output has room for, and nothing while the client
    /// leaves too many deliveries unacknowledged. To be asked again after writing and after reading.
    #[must_use]
    pub fn budget(&self, link: u64) -> Budget {
        let none = Budget { events: 0, bytes: 0 };
        let Some(channel) = self.links.get(&link).and_then(|number| self.channels.get(number)) else {
            // What comes for a link that is gone is dropped.
            return Budget { events: u32::MAX, bytes: u64::MAX };
        };
        let room = self.io.limits.output_max_bytes.saturating_sub(self.io.out.len());
        let unsettled = self.io.limits.unsettled_max.saturating_sub(channel.unsettled.len());
        if room == 0 || unsettled == 0 {
            return none;
        }
        // No event takes less than some twenty octets of output.
        let events = (room / 20 + 1).min(unsettled);
        Budget { events: u32::try_from(events).unwrap_or(u32::MAX), bytes: room as u64 }
    }

    /// Takes an event of a link. What comes of a link that is closed is dropped.
    pub fn link_event(&mut self, link: u64, event: LinkEvent<'_>, now: Duration) {
        if !matches!(self.phase, Phase::Running | Phase::ClosedByClient { .. }) {
            return;
        }
        let Some(number) = self.links.get(&link).copied() else { return };
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if matches!(event, LinkEvent::Closed { .. }) {
            self.links.remove(&link);
            if matches!(channel.state, State::ClosedByClient { .. }) {
                channel.give_up(&mut self.io);
                return self.finish_channel(number);
            }
        }
        let was_awaiting = !channel.awaited.is_empty();
        if let Err(fault) = channel.event(event, &mut self.io) {
            self.fail(number, fault, now);
        } else if was_awaiting {
            self.finish_channel(number);
        }
        if was_awaiting {
            self.unpark(now);
        }
        self.note_output(now);
    }

    /// Takes the frame that waited for its channel to come to rest.
    fn unpark(&mut self, now: Duration) {
        let Some(Frame { channel, .. }) = &self.parked else { return };
        if self.channels.get(channel).is_none_or(|channel| channel.awaited.is_empty())
            && let Some(frame) = self.parked.take()
        {
            self.frame(frame, now);
        }
    }

    /// Takes an event of the connection.
    pub fn connection_event(&mut self, event: ConnectionEvent<'_>, now: Duration) {
        match event {
            ConnectionEvent::Blocked { reason } => {
                self.alarm = Some(reason.into());
                self.tell_alarm();
            }
            ConnectionEvent::Unblocked => {
                self.throttled = false;
                self.last_heard = now;
                if let Some(held) = self.held.take() {
                    self.io.act_first(held);
                }
                self.alarm = None;
                if std::mem::take(&mut self.told_alarm) && self.phase == Phase::Running {
                    self.io.send(0, connection::Unblocked {});
                }
            }
            ConnectionEvent::Closed { code, text } => {
                if matches!(self.phase, Phase::Running | Phase::ClosedByClient { .. }) {
                    self.fail(0, Fault::Connection(Reason::told(code, (0, 0), text)), now);
                }
            }
        }
        self.note_output(now);
    }

    /// An alarm is told to clients that publish and that asked to be told.
    fn tell_alarm(&mut self) {
        if let Some(reason) = &self.alarm
            && self.io.published
            && self.io.capabilities.connection_blocked
            && !self.told_alarm
            && self.phase == Phase::Running
        {
            self.told_alarm = true;
            self.io.send(0, connection::Blocked { reason: reason.clone() });
        }
    }

    /// What was published on a link is answered, or the time for it is over.
    pub fn quiesced(&mut self, link: u64, now: Duration) {
        let Some(number) = self.links.get(&link).copied() else { return };
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if let State::ClosedByClient { quiesced, .. } = &mut channel.state {
            *quiesced = true;
            self.finish_channel(number);
        }
        self.note_output(now);
    }

    /// Ends the connection: an operator wants so, or the server stops. `text` is shown behind the code's name.
    pub fn close(&mut self, code: u16, text: &str, now: Duration) {
        match self.phase {
            Phase::Running | Phase::ClosedByClient { .. } => {
                self.fail(0, Fault::connection(code, (0, 0), text), now);
            }
            Phase::ClosedByServer { .. } | Phase::Ended => {}
            _ => self.end(Ending::ClosedByServer(code)),
        }
        self.note_output(now);
    }

    /// Whether the session has come to its end: only [`Action::Close`] may be left.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// When [`Session::handle_timeout`] is due. It may move with every call.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let phase = match self.phase {
            Phase::AwaitsHeader { until }
            | Phase::AwaitsStartOk { until }
            | Phase::Authenticating { until }
            | Phase::AwaitsTuneOk { until }
            | Phase::AwaitsOpen { until }
            | Phase::ClosedByClient { until }
            | Phase::ClosedByServer { until, .. }
            | Phase::Refused { until } => Some(until),
            Phase::Entering | Phase::Running => None,
            Phase::Ended => return None,
        };
        let limits = &self.io.limits;
        let closing = self.channels.values().filter_map(|channel| match channel.state {
            State::ClosedByServer { until } | State::ClosedByClient { until, .. } => Some(until),
            State::Open | State::Failing => None,
        });
        [
            phase,
            self.part_since.map(|since| since + limits.frame_timeout),
            self.unwritten_since.map(|since| since + limits.write_timeout),
            self.beats().then_some(self.next_beat),
            self.unheard(),
        ]
        .into_iter()
        .flatten()
        .chain(closing)
        .min()
    }

    /// Whether heartbeats are sent.
    fn beats(&self) -> bool {
        !self.heartbeat.is_zero()
            && !matches!(self.phase, Phase::Ended | Phase::Refused { .. } | Phase::ClosedByServer { .. })
    }

    /// When the client is given up for silence.
    fn unheard(&self) -> Option<Duration> {
        (self.beats() && self.wants_input()).then(|| self.last_heard + self.heartbeat * 3)
    }

    /// Does what is due by `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        let limits = Arc::clone(&self.io.limits);
        let over = |until: Duration| until <= now;
        match self.phase {
            Phase::AwaitsHeader { until }
            | Phase::AwaitsStartOk { until }
            | Phase::Authenticating { until }
            | Phase::AwaitsTuneOk { until }
            | Phase::AwaitsOpen { until }
                if over(until) =>
            {
                return self.end(Ending::HandshakeTimeout);
            }
            Phase::ClosedByClient { until } if over(until) => return self.finish_connection(),
            Phase::ClosedByServer { until, code } if over(until) => {
                return self.end(Ending::ClosedByServer(code));
            }
            Phase::Refused { until } if over(until) => return self.end(Ending::Refused),
            Phase::Ended => return,
            _ => {}
        }
        if self.unwritten_since.is_some_and(|since| over(since + limits.write_timeout)) {
            return self.end(Ending::WriteTimeout);
        }
        if self.unheard().is_some_and(over) {
            return self.end(Ending::HeartbeatTimeout);
        }
        if self.part_since.is_some_and(|since| over(since + limits.frame_timeout)) {
            self.part_since = None;
            let detail = format_args!("a frame was not whole within {} s", limits.frame_timeout.as_secs());
            self.fail_reading(Fault::connection(code::FRAME_ERROR, (0, 0), detail), now);
        }
        if self.beats() && over(self.next_beat) {
            self.beat(now);
        }
        // A channel whose close-ok does not come is forgotten; its number may be used anew.
        self.channels
            .retain(|_, channel| !matches!(channel.state, State::ClosedByServer { until } if over(until)));
        self.note_output(now);
    }

    /// Half a heartbeat is over: when nothing was sent in it, a heartbeat is.
    fn beat(&mut self, now: Duration) {
        if self.io.written + self.io.out.len() as u64 == self.beat_mark {
            self.io.out.extend_from_slice(&frame::HEARTBEAT_FRAME);
        }
        self.beat_mark = self.io.written + self.io.out.len() as u64;
        self.next_beat = now + self.heartbeat / 2;
        if !self.wants_input() {
            // Nothing is read now, so that nothing can be missed.
            self.last_heard = now;
        }
        if self.io.out.is_empty() {
            // An idle connection gives its buffer back.
            self.io.out = BytesMut::new();
        }
    }

    fn protocol_header(&mut self, header: [u8; 8], now: Duration) {
        if header == frame::PROTOCOL_HEADER || header == frame::PROTOCOL_HEADER_DRAFT {
            self.phase = Phase::AwaitsStartOk { until: now + self.io.limits.handshake_timeout };
            self.send_start();
        } else {
            self.io.out.extend_from_slice(&frame::PROTOCOL_HEADER);
            self.end(Ending::Protocol);
        }
    }

    fn fail_reading(&mut self, fault: Fault, now: Duration) {
        match self.phase {
            Phase::ClosedByServer { .. } => {}
            Phase::Running | Phase::ClosedByClient { .. } => self.fail(0, fault, now),
            _ => self.fail(0, Fault::Refused, now),
        }
    }

    fn frame(&mut self, frame: Frame, now: Duration) {
        let Frame { channel: number, payload } = frame;
        let result = match self.phase {
            Phase::ClosedByServer { code, .. } => {
                if number == 0 {
                    self.frame_after_close(&payload, code);
                }
                return;
            }
            _ if number == 0 => self.connection_frame(payload, now),
            Phase::Running => self.channel_frame(number, payload, now),
            Phase::ClosedByClient { .. } => Ok(()),
            _ => Err(Fault::Refused),
        };
        if let Err(fault) = result {
            self.fail(number, fault, now);
        }
    }

    /// After a `connection.close` of the server nothing counts but that the client agrees.
    fn frame_after_close(&mut self, payload: &Payload, code: u16) {
        let Payload::Method(octets) = payload else { return };
        match Method::decode(octets) {
            Ok(Method::ConnectionCloseOk(_)) => self.end(Ending::ClosedByServer(code)),
            Ok(Method::ConnectionClose(_)) => self.io.send(0, connection::CloseOk {}),
            _ => {}
        }
    }

    fn channel_frame(&mut self, number: u16, payload: Payload, now: Duration) -> Result<(), Fault> {
        let octets = match payload {
            Payload::Method(octets) => octets,
            Payload::Heartbeat => {
                let detail = "type 8, all octets = <<>>";
                return Err(Fault::connection(code::UNEXPECTED_FRAME, (0, 0), detail));
            }
            content => return self.content_frame(number, content),
        };
        let Some(channel) = self.channels.get_mut(&number) else {
            return self.open_channel(number, &octets);
        };
        match channel.state {
            State::Open => channel.assembly.expects_method()?,
            State::Failing | State::ClosedByClient { .. } | State::ClosedByServer { .. } => {}
        }
        let method = Method::decode(&octets);
        match (channel.state, method) {
            (State::ClosedByServer { .. }, Ok(Method::ChannelCloseOk(_))) => {
                self.channels.remove(&number);
                Ok(())
            }
            (State::ClosedByServer { .. }, Ok(Method::ChannelClose(_))) => {
                self.io.send(number, channel_methods::CloseOk {});
                Ok(())
            }
            (State::ClosedByServer { .. } | State::Failing, _) => Ok(()),
            (_, Err(error)) => Err(undecoded(error)),
            (State::ClosedByClient { .. }, Ok(method)) => {
                Err(Fault::connection(code::CHANNEL_ERROR, method.id(), "expected 'channel.open'"))
            }
            (State::Open, Ok(Method::ChannelClose(_))) => {
                channel.close_by_client(now, &mut self.io);
                self.finish_channel(number);
                Ok(())
            }
            (State::Open, Ok(method)) if channel.must_wait(&method) => {
                self.parked = Some(Frame { channel: number, payload: Payload::Method(octets) });
                Ok(())
            }
            (State::Open, Ok(method)) => channel.method(method, &mut self.io),
        }
    }

    fn content_frame(&mut self, number: u16, payload: Payload) -> Result<(), Fault> {
        let no_method = "expected method frame, got non method frame instead";
        let unexpected = || Fault::connection(code::UNEXPECTED_FRAME, (0, 0), no_method);
        let channel = self.channels.get_mut(&number).ok_or_else(unexpected)?;
        match channel.state {
            State::Open => {
                if let Some(whole) = channel.assembly.take(payload, &mut self.io)? {
                    channel.publish(whole, &mut self.io)?;
                    self.tell_alarm();
                }
                Ok(())
            }
            State::ClosedByClient { .. } => Err(unexpected()),
            State::Failing | State::ClosedByServer { .. } => Ok(()),
        }
    }

    fn open_channel(&mut self, number: u16, octets: &bytes::Bytes) -> Result<(), Fault> {
        let method = Method::decode(octets).map_err(undecoded)?;
        let (open, max) = (self.channels.len(), self.channel_max);
        if open >= max.into() {
            let detail = format_args!(
                "number of channels opened ({open}) has reached the negotiated channel_max ({max})"
            );
            return Err(Fault::connection(code::NOT_ALLOWED, (0, 0), detail));
        }
        let Method::ChannelOpen(_) = method else {
            return Err(Fault::connection(code::CHANNEL_ERROR, method.id(), "expected 'channel.open'"));
        };
        let link = self.io.new_id();
        self.links.insert(link, number);
        self.channels.insert(number, Box::new(Channel::new(number, link)));
        self.io.act(Action::OpenLink { link });
        self.io.send(number, channel_methods::OpenOk::default());
        Ok(())
    }

    /// Answers a client's `close` when nothing has to be waited for any more.
    fn finish_channel(&mut self, number: u16) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let closing_connection = matches!(self.phase, Phase::ClosedByClient { .. });
        if !channel.is_quiet() {
            return;
        }
        if let State::ClosedByClient { .. } = channel.state {
            let link = channel.link;
            channel.forget(&mut self.io);
            self.channels.remove(&number);
            self.links.remove(&link);
            self.io.act(Action::CloseLink { link });
            if !closing_connection {
                self.io.send(number, channel_methods::CloseOk {});
            }
        }
        if closing_connection && self.channels.values().all(|channel| channel.is_quiet()) {
            self.finish_connection();
        }
    }

    /// The client has closed the connection: each open channel comes to rest as if it had been closed first.
    fn close_by_client(&mut self, now: Duration) {
        // The channels' own time, and a little more.
        let until = now + self.io.limits.quiesce_timeout + Duration::from_secs(2);
        self.phase = Phase::ClosedByClient { until };
        for channel in self.channels.values_mut() {
            if channel.state == State::Open {
                channel.close_by_client(now, &mut self.io);
            }
        }
        if self.channels.values().all(|channel| channel.is_quiet()) {
            self.finish_connection();
        }
    }

    fn finish_connection(&mut self) {
        self.io.send(0, connection::CloseOk {});
        self.end(Ending::ClosedByClient);
    }

    /// Draws the consequences of a fault.
    fn fail(&mut self, number: u16, fault: Fault, now: Duration) {
        let close_until = now + self.io.limits.close_timeout;
        match fault {
            Fault::Channel(reason) => {
                let Some(channel) = self.channels.get_mut(&number) else { return };
                if let State::ClosedByClient { .. } = channel.state {
                    // The client wanted its end anyway.
                    channel.give_up(&mut self.io);
                    return self.finish_channel(number);
                }
                if channel.awaited.is_empty() {
                    self.links.remove(&channel.link);
                    channel.close(reason, close_until, &mut self.io);
                    self.finish_channel(number);
                } else {
                    channel.state = State::Failing;
                    channel.assembly.reset(&mut self.io);
                    channel.awaited.push_back(Awaited::Fault(reason));
                }
            }
            Fault::Connection(Reason { code, text, method: (class_id, method_id) }) => {
                self.forget_channels();
                let close =
                    connection::Close { reply_code: code, reply_text: text.into(), class_id, method_id };
                self.io.send(0, close);
                self.phase = Phase::ClosedByServer { until: close_until, code };
            }
            Fault::Refused => {
                self.phase = Phase::Refused { until: now + self.io.limits.refusal_delay };
            }
            Fault::Gone(ending) => self.end(ending),
        }
        self.note_output(now);
    }

    fn forget_channels(&mut self) {
        self.parked = None;
        self.links.clear();
        for (_, mut channel) in std::mem::take(&mut self.channels) {
            channel.forget(&mut self.io);
        }
    }

    fn end(&mut self, ending: Ending) {
        if self.phase != Phase::Ended {
            self.forget_channels();
            if self.held.take().is_some() {
                // What was published behind those not taken must not overtake them.
                self.io.forget_actions();
            }
            self.part_since = None;
            self.phase = Phase::Ended;
            self.io.act(Action::Close(ending));
        }
    }
}
