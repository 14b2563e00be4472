//! The state of one connection: bytes, times and the broker's events go in; bytes, actions and a deadline come out.
//!
//! A shell drives a session so:
//!
//! 1. What the socket gives is appended to a buffer and handed to [`Session::receive`], which takes whole frames out of
//!    it. Then each action of [`Session::poll_action`] is carried out, in order. While `receive` says
//!    [`Received::Interrupted`] and [`Session::wants_input`] holds, this is repeated without reading; so it is after 2
//!    and 3, which may make room.
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

mod actions;
mod channel;
mod events;
mod fault;
mod frames;
mod handshake;
mod io;
mod limits;
mod methods;
mod publish;
#[cfg(test)]
mod tests;
mod timing;
mod unsettled;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use bytestring::ByteString;

pub use self::{
    actions::{
        Action, Binding, ConnectionEvent, Ending, LinkEvent, Message, Operation, Outcome, Publish, Settle,
    },
    fault::code,
    limits::Limits,
};
use self::{
    channel::{Awaited, Channel, State},
    fault::{Fault, Reason},
    handshake::unframed,
    io::Io,
};
use crate::codec::{
    frame::{self, FRAME_OVERHEAD, Frame, FrameErrorKind},
    method::connection,
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
    Entering { until: Duration },
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
    /// Until when buffers that have grown are kept, unless more is written.
    kept_until: Option<Duration>,
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
            kept_until: None,
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
            Phase::Authenticating { .. } | Phase::Entering { .. } => false,
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
        self.io.note_growth();
        self.io.out.advance(octets);
        self.io.written += octets as u64;
        self.unwritten_since = (!self.io.out.is_empty()).then_some(now);
        self.kept_until = self.io.has_grown().then(|| now + timing::KEPT_FOR);
    }

    fn note_output(&mut self, now: Duration) {
        if !self.io.out.is_empty() && self.unwritten_since.is_none() {
            self.unwritten_since = Some(now);
        }
    }

    /// How much may be taken of a link at once: no more than the output has room for. To be asked again after writing.
    #[must_use]
    pub fn budget(&self, link: u64) -> Budget {
        let none = Budget { events: 0, bytes: 0 };
        if !self.links.contains_key(&link) {
            // What comes for a link that is gone is dropped.
            return Budget { events: u32::MAX, bytes: u64::MAX };
        }
        let room = self.io.limits.output_max_bytes.saturating_sub(self.io.out.len());
        if room == 0 {
            return none;
        }
        // No event takes less than some twenty octets of output.
        let events = room / 20 + 1;
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
        if let Err(fault) = channel.event(event, now, &mut self.io) {
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

    /// How the connection has ended when its client leaves now, without another word; `None` when it has just left.
    #[must_use]
    pub fn ending_when_left(&self) -> Option<Ending> {
        match self.phase {
            Phase::ClosedByServer { code, .. } => Some(Ending::ClosedByServer(code)),
            Phase::ClosedByClient { .. } => Some(Ending::ClosedByClient),
            Phase::Refused { .. } => Some(Ending::Refused),
            _ => None,
        }
    }

    /// Whether the session has come to its end: only [`Action::Close`] may be left.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
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
                self.forget_held();
                // What is unacknowledged goes back now, whether or not the client ever agrees.
                for link in self.links.keys() {
                    self.io.act(Action::CloseLink { link: *link });
                }
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

    /// Octets being assembled and operations under way.
    #[cfg(test)]
    fn counted(&self) -> (usize, usize) {
        (self.io.assembling, self.io.operations)
    }

    fn forget_channels(&mut self) {
        self.parked = None;
        self.links.clear();
        for (_, mut channel) in std::mem::take(&mut self.channels) {
            channel.forget(&mut self.io);
        }
    }

    /// Drops publishes that were not taken, and what came behind them: it must not overtake them.
    fn forget_held(&mut self) {
        if self.held.take().is_some() {
            self.io.forget_actions();
        }
    }

    fn end(&mut self, ending: Ending) {
        if self.phase != Phase::Ended {
            self.forget_channels();
            self.forget_held();
            self.part_since = None;
            self.phase = Phase::Ended;
            self.io.act(Action::Close(ending));
        }
    }
}
