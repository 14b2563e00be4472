//! The state of one connection: bytes, times and the broker's events go in; bytes, actions and a deadline come out.
//!
//! A shell drives a session so:
//!
//! 1. What the socket gives is appended to a buffer and handed to [`Session::receive`], which takes whole frames out of
//!    it. Then each action of [`Session::poll_action`] is carried out, in order. While `receive` says
//!    [`Received::Interrupted`] and [`Session::wants_input`] holds, this is repeated without reading; so it is after 2
//!    and 3, which may make room.
//! 2. [`Session::output`] is written, and what was written is told to [`Session::wrote`].
//! 3. The broker's events go to [`Session::link_event`], [`Session::unblocked`] and [`Session::close`]; of the link no
//!    more are taken than [`Session::budget`] says. What completes by itself goes to [`Session::authenticated`],
//!    [`Session::entered`] and [`Session::quiesced`].
//! 4. The socket is read only while [`Session::wants_input`] holds. [`Session::handle_timeout`] is called at
//!    [`Session::deadline`].
//! 5. After [`Action::Close`] the rest of the output is written and the socket closed; when the socket breaks, the
//!    session is dropped and the broker's connection closed.
//!
//! Times are durations since a moment that the shell has chosen.
//!
//! Sources: the STOMP specifications 1.0, 1.1 and 1.2, and RabbitMQ 3.10, whose destinations, headers and texts these
//! are.

mod acknowledge;
mod action;
mod connect;
mod fault;
mod io;
mod limits;
mod names;
mod queue;
mod receipts;
mod send;
mod subscribe;
mod tell;
mod timing;
mod transaction;
mod unsettled;

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::{Buf, BytesMut};
use bytestring::ByteString;

pub use self::{
    action::{Action, Ending, Entered, LinkEvent, Message, Operation, Outcome, Publish, Settle},
    limits::Limits,
};
use self::{
    connect::Opening,
    fault::{Fault, shown},
    io::Io,
    names::{NAME_LENGTH, Names},
    receipts::Receipts,
    send::Sending,
    subscribe::Subscriptions,
    transaction::Transactions,
};
use crate::codec::{Command, DecodeError, Decoder, Frame, FrameLimits, Version};

/// Where a connection stands.
#[derive(Debug)]
enum Phase {
    /// `CONNECT` is due.
    AwaitsConnect { until: Duration },
    /// The broker checks the user.
    Authenticating { until: Duration, opening: Box<Opening> },
    /// The broker opens the virtual host.
    Entering { until: Duration, opening: Box<Opening> },
    /// It is open.
    Running,
    /// The client leaves; what it was sent last waits for answers.
    Leaving { until: Duration, receipt: Option<ByteString>, step: Step },
    /// It is being closed; what comes is not looked at.
    Closing { until: Duration, ending: Ending },
    /// All is over.
    Ended,
}

/// How far the end of a client that leaves has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Requests wait for their answers.
    Quiesce,
    /// Deliveries that are on their way are waited for.
    Barrier,
    /// Receipts are.
    Receipts,
}

/// How far [`Session::receive`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// All whole frames were taken.
    Everything,
    /// It stopped before the end of the input: actions, output or events have to go first.
    Interrupted,
}

/// What may be taken of the link's events: see [`Session::budget`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// At most so many events; 0: none now.
    pub events: u32,
    /// At most so many octets of messages, or one message.
    pub bytes: u64,
}

/// How long the last words have to go out.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// The state of one connection.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    limits: Arc<Limits>,
    version: Version,
    decoder: Decoder,
    io: Io,
    names: Names,
    /// What the client is told it is, without the prefix.
    id: [u8; NAME_LENGTH],
    subscriptions: Subscriptions,
    sending: Sending,
    transactions: Transactions,
    receipts: Receipts,
    timing: timing::Timing,
}

impl Session {
    /// A session of a client that has connected `now`. `secret` has to be random, and not the same twice: names of queues
    /// and sessions are made of it.
    #[must_use]
    pub fn new(limits: Arc<Limits>, secret: u128, now: Duration) -> Session {
        let mut names = Names::new(secret);
        Session {
            phase: Phase::AwaitsConnect { until: now + limits.connect_timeout },
            limits,
            version: Version::V1_0,
            decoder: Decoder::new(),
            io: Io::new(),
            id: names.make(),
            names,
            subscriptions: Subscriptions::default(),
            sending: Sending::default(),
            transactions: Transactions::default(),
            receipts: Receipts::default(),
            timing: timing::Timing::new(now),
        }
    }

    /// The version that is spoken; 1.0 before the client has said.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Takes whole frames out of `input`, which holds what the last call left and what was read since.
    pub fn receive(&mut self, input: &mut BytesMut, now: Duration) -> Received {
        if input.len() != self.timing.left_over {
            self.timing.last_heard = now;
        }
        let mut received = Received::Everything;
        loop {
            if matches!(self.phase, Phase::Closing { .. } | Phase::Leaving { .. } | Phase::Ended) {
                // Nothing counts behind DISCONNECT or an error.
                input.clear();
                self.timing.part_since = None;
                break;
            }
            if !self.wants_input() {
                self.timing.part_since = None;
                received = Received::Interrupted;
                break;
            }
            let limits = self.frame_limits();
            match self.decoder.decode(input, self.version, &limits) {
                Ok(Some(frame)) => {
                    self.timing.part_since = None;
                    self.frame(&frame, now);
                }
                Ok(None) => {
                    if self.decoder.is_within_frame() {
                        self.timing.part_since.get_or_insert(now);
                    } else {
                        self.timing.part_since = None;
                    }
                    break;
                }
                Err(error) => self.malformed(&error, now),
            }
        }
        self.timing.left_over = input.len();
        self.note_output(now);
        received
    }

    fn frame_limits(&self) -> FrameLimits {
        match self.phase {
            Phase::AwaitsConnect { .. } => FrameLimits {
                line_max_bytes: self.limits.frame.line_max_bytes.min(self.limits.connect_max_bytes),
                head_max_bytes: self.limits.frame.head_max_bytes.min(self.limits.connect_max_bytes),
                body_max_bytes: self.limits.frame.body_max_bytes.min(self.limits.connect_max_bytes),
                ..self.limits.frame
            },
            _ => self.limits.frame,
        }
    }

    fn malformed(&mut self, error: &DecodeError, now: Duration) {
        self.fail(Fault::fatal("Malformed frame", format_args!("{error}\n")), now);
    }

    fn frame(&mut self, frame: &Frame, now: Duration) {
        let done = match (&self.phase, frame.command()) {
            (Phase::AwaitsConnect { .. }, Command::Connect) => self.connect(frame),
            (Phase::AwaitsConnect { .. }, _) => {
                Err(Fault::new("Illegal command", "You must log in using CONNECT first"))
            }
            (_, Command::Connect) => {
                Err(Fault::fatal("Illegal command", "You are connected already; CONNECT comes once\n"))
            }
            (_, Command::Send) => self.send(frame),
            (_, Command::Subscribe) => self.subscribe(frame),
            (_, Command::Unsubscribe) => self.unsubscribe(frame),
            (_, Command::Ack) => self.acknowledge(frame, Outcome::Done),
            (_, Command::Nack) => {
                let requeue = frame.header("requeue").is_none_or(|requeue| &*requeue != "false");
                self.acknowledge(frame, if requeue { Outcome::Requeue } else { Outcome::Reject })
            }
            (_, Command::Begin) => self.begin(frame),
            (_, Command::Commit) => self.commit(frame),
            (_, Command::Abort) => self.abort(frame),
            (_, Command::Disconnect) => {
                self.disconnect(frame.header("receipt").as_deref(), now);
                Ok(())
            }
            (_, Command::Unknown) => Err(Fault::new(
                "Bad command",
                format_args!("Could not interpret command \"{}\"\n", shown(frame.command_text())),
            )),
        };
        if let Err(fault) = done {
            let is_connect = matches!(frame.command(), Command::Connect);
            let receipt = frame.header("receipt").filter(|_| !is_connect).map(|id| ByteString::from(&*id));
            self.fail(fault.with_receipt(receipt), now);
        }
    }

    /// Tells the client what is wrong, and closes where it has to.
    fn fail(&mut self, fault: Fault, now: Duration) {
        if matches!(self.phase, Phase::Closing { .. } | Phase::Ended) {
            return;
        }
        fault.put(&mut self.io.out, self.version);
        if fault.is_fatal || (self.limits.error_closes && self.version > Version::V1_0) {
            self.begin_close(Ending::Error, now);
        }
        self.note_output(now);
    }

    /// Goes on with what was said before, and closes then.
    fn begin_close(&mut self, ending: Ending, now: Duration) {
        self.phase = Phase::Closing { until: now + CLOSE_WITHIN, ending };
        self.io.act(Action::Close(ending));
    }

    fn end(&mut self, ending: Ending) {
        if !matches!(self.phase, Phase::Ended) {
            self.phase = Phase::Ended;
            self.io.forget_actions();
            self.io.act(Action::Close(ending));
        }
    }

    /// Whether nothing is left to do but to close.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// Whether the connection is on its way to its end, so that a client that says no more may still be told something.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Leaving { .. } | Phase::Closing { .. } | Phase::Ended)
    }

    /// The server closes the connection: the client is told why, by an `ERROR`.
    pub fn close(&mut self, message: &str, detail: &str, now: Duration) {
        let fault = Fault { message: message.to_owned().into(), ..Fault::fatal("", detail) };
        if matches!(self.phase, Phase::Leaving { .. }) {
            return self.begin_close(Ending::ClosedByServer, now);
        }
        if matches!(self.phase, Phase::Closing { .. } | Phase::Ended) {
            return;
        }
        fault.put(&mut self.io.out, self.version);
        self.begin_close(Ending::ClosedByServer, now);
        self.note_output(now);
    }

    fn disconnect(&mut self, receipt: Option<&str>, now: Duration) {
        self.transactions.clear();
        let receipt = receipt.map(ByteString::from);
        if !self.io.has_used_broker() && receipt.is_none() {
            return self.begin_close(Ending::Disconnected, now);
        }
        self.phase =
            Phase::Leaving { until: now + self.limits.quiesce_timeout, receipt, step: Step::Quiesce };
        self.io.act(Action::Quiesce { within: self.limits.quiesce_timeout });
    }

    /// What was published is answered, or the time for it is over.
    pub fn quiesced(&mut self, now: Duration) {
        if let Phase::Leaving { step, .. } = &mut self.phase
            && *step == Step::Quiesce
        {
            *step = Step::Barrier;
            // Answers that came before are in front of this one's.
            let op = self.io.new_op();
            self.receipts.await_barrier(op);
            // It says what holds already; where its answer stands is what counts.
            self.limit_unsettled(op);
        }
        self.note_output(now);
    }

    /// Has the broker keep to the limit of unsettled deliveries, so that answers do not wait behind those that have to.
    fn limit_unsettled(&mut self, op: u64) {
        let count = u32::try_from(self.limits.unsettled_max).unwrap_or(u32::MAX);
        self.io.call(op, Operation::Credit { count });
    }

    /// Lets a client go whose last words have arrived.
    fn leave(&mut self, now: Duration) {
        let is_due = self.receipts.is_empty();
        if let Phase::Leaving { step: Step::Receipts, .. } = self.phase
            && is_due
        {
            self.finish_leaving(now);
        }
    }

    fn finish_leaving(&mut self, now: Duration) {
        if let Phase::Leaving { receipt, .. } = &mut self.phase {
            if let Some(receipt) = receipt.take() {
                self.put_receipt(&receipt);
            }
            self.begin_close(Ending::Disconnected, now);
        }
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        if self.io.is_held() && !matches!(self.phase, Phase::Ended) {
            return None;
        }
        let action = self.io.next_action();
        if let Some(Action::Close(_)) = action {
            self.phase = Phase::Ended;
        }
        action
    }

    /// Gives publishes back that the broker did not take, the first of sequence `first_seq`. They come again, before any
    /// other action, when it is ready: see [`Session::unblocked`].
    pub fn not_taken(&mut self, first_seq: u64, messages: Vec<Publish>) {
        self.io.hold(first_seq, messages);
    }

    /// The broker has asked to read no more from this client until [`Session::unblocked`].
    pub fn throttle(&mut self) {
        self.io.throttled = true;
    }

    /// The broker is ready again.
    pub fn unblocked(&mut self, now: Duration) {
        self.io.unblocked();
        self.timing.last_heard = now;
    }

    /// Whether more may be read and handed to [`Session::receive`]. When nothing is read, heart-beats are not missed.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        match self.phase {
            Phase::Authenticating { .. } | Phase::Entering { .. } => false,
            Phase::AwaitsConnect { .. } => self.io.out.len() < self.limits.output_max_bytes,
            Phase::Running => {
                self.io.has_room(&self.limits) && self.receipts.len() < self.limits.operations_max
            }
            Phase::Leaving { .. } | Phase::Closing { .. } | Phase::Ended => true,
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
        self.io.out.advance(octets.min(self.io.out.len()));
        self.io.written += octets as u64;
        self.timing.unwritten_since = (!self.io.out.is_empty()).then_some(now);
        self.timing.kept_until = self.has_grown().then(|| now + timing::KEPT_FOR);
    }

    fn has_grown(&self) -> bool {
        self.io.has_grown() || self.receipts.has_grown()
    }

    fn note_output(&mut self, now: Duration) {
        if !self.io.out.is_empty() && self.timing.unwritten_since.is_none() {
            self.timing.unwritten_since = Some(now);
        }
    }

    /// How much may be taken of the link at once: no more than the output has room for. To be asked again after writing.
    #[must_use]
    pub fn budget(&self) -> Budget {
        let room = self.limits.output_max_bytes.saturating_sub(self.io.out.len());
        if room == 0 {
            return Budget { events: 0, bytes: 0 };
        }
        // No MESSAGE takes less than some hundred octets of output, and an answer few of them.
        let events = room / 100 + 1;
        Budget { events: u32::try_from(events).unwrap_or(u32::MAX), bytes: room as u64 }
    }
}

/// A map that takes no memory while it is empty.
type Map<V> = HashMap<ByteString, V>;
