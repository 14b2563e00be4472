//! One channel: what is open on it, what the broker has not answered yet, and in which order the client is told.

use std::{collections::VecDeque, time::Duration};

use bytestring::ByteString;

use super::{
    actions::{Action, Operation, Publish, Settle},
    fault::{Fault, MethodId, Reason},
    io::Io,
    publish::{Assembly, PUBLISH, Whole},
    unsettled::Unsettled,
};
use crate::codec::method::{Method, channel};

/// Where a channel stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It takes methods.
    Open,
    /// A mistake is known and told as soon as what came before it is answered; nothing more is taken.
    Failing,
    /// The client has closed it; `close-ok` waits for answers, and for what was published to have its own.
    ClosedByClient { quiesced: bool, until: Duration },
    /// It was closed here; `close-ok` is due, and nothing else counts.
    ClosedByServer { until: Duration },
}

/// A consumer.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) id: u64,
    pub(super) tag: ByteString,
    /// The client has cancelled it; deliveries until the answer still go out.
    pub(super) cancelled: bool,
}

/// What the client is told next.
#[derive(Debug)]
pub(super) enum Awaited {
    /// The answer to an operation.
    Operation { op: u64, method: MethodId, answer: Answer },
    /// A method that needed no operation, but waits for its turn.
    Ready(Method),
    /// The end of the channel.
    Fault(Reason),
}

/// How the answer to an operation is told.
#[derive(Debug)]
pub(super) enum Answer {
    /// Not at all, unless it is a refusal.
    Silent,
    /// By this method.
    Method(Method),
    /// By `queue.declare-ok`, unless `nowait`; the queue is the one declared last.
    QueueDeclared { nowait: bool },
    /// By `queue.purge-ok`.
    Purged,
    /// By `queue.delete-ok`.
    Deleted,
    /// By `basic.cancel-ok`, unless `nowait`; the consumer is gone.
    Cancelled { consumer: u64, tag: ByteString, nowait: bool },
    /// By `basic.get-ok` or `basic.get-empty`.
    Got,
}

/// What becomes of publishes and acknowledgements.
#[derive(Debug)]
pub(super) enum Mode {
    /// They are passed on.
    Plain,
    /// The client counts publishes from behind `base` on, and all up to `confirmed` are confirmed or refused.
    Confirm { base: u64, confirmed: u64 },
    /// They wait for a commit.
    Transaction(Transaction),
}

/// What waits for a commit.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub(super) messages: Vec<Publish>,
    pub(super) settlements: Vec<Settle>,
    pub(super) bytes: usize,
}

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) number: u16,
    pub(super) link: u64,
    pub(super) state: State,
    pub(super) assembly: Assembly,
    pub(super) awaited: VecDeque<Awaited>,
    pub(super) mode: Mode,
    pub(super) next_seq: u64,
    /// Something was published that no `close-ok` has waited for.
    pub(super) published: bool,
    /// Credit of consumers that start from here on; 0: any number.
    pub(super) prefetch: u16,
    /// The broker was told how many deliveries may be unsettled.
    pub(super) limited: bool,
    /// Name of the queue declared last; `None` before the first, or while the broker is making it up.
    pub(super) last_queue: Option<ByteString>,
    /// In the order of their ids.
    pub(super) consumers: Vec<Consumer>,
    pub(super) next_consumer: u64,
    /// The consumer of direct answers.
    pub(super) replies: Option<u64>,
    pub(super) unsettled: Unsettled,
    pub(super) last_delivery: u64,
}

impl Channel {
    pub(super) fn new(number: u16, link: u64) -> Channel {
        Channel {
            number,
            link,
            state: State::Open,
            assembly: Assembly::Method,
            awaited: VecDeque::new(),
            mode: Mode::Plain,
            next_seq: 1,
            published: false,
            prefetch: 0,
            limited: false,
            last_queue: None,
            consumers: Vec::new(),
            next_consumer: 1,
            replies: None,
            unsettled: Unsettled::default(),
            last_delivery: 0,
        }
    }

    /// Tells the client `method` when what came before is answered.
    pub(super) fn reply(&mut self, method: impl Into<Method>, io: &mut Io) {
        if self.awaited.is_empty() {
            io.send(self.number, method);
        } else {
            self.awaited.push_back(Awaited::Ready(method.into()));
        }
    }

    /// Starts an operation whose answer is told as `answer` says.
    pub(super) fn call(&mut self, method: MethodId, operation: Operation, answer: Answer, io: &mut Io) {
        let op = self.expect(method, answer, io);
        io.call(self.link, op, operation);
    }

    /// A new number of an operation, and what its answer means.
    pub(super) fn expect(&mut self, method: MethodId, answer: Answer, io: &mut Io) -> u64 {
        let op = io.new_op();
        self.awaited.push_back(Awaited::Operation { op, method, answer });
        op
    }

    /// Takes a content that is whole.
    pub(super) fn publish(&mut self, whole: Whole, io: &mut Io) -> Result<(), Fault> {
        let message = whole.check(self.replies.is_some(), io)?;
        if let Mode::Transaction(transaction) = &mut self.mode {
            transaction.bytes += message.bytes();
            transaction.messages.push(message);
            return transaction.check(PUBLISH, io);
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        self.published = true;
        io.publish(self.link, seq, message);
        Ok(())
    }

    /// Takes `channel.close`.
    pub(super) fn close_by_client(&mut self, now: Duration, io: &mut Io) {
        self.assembly.reset(io);
        // The broker's own time for answers, and a little more for telling.
        let until = now + io.limits.quiesce_timeout + Duration::from_secs(1);
        self.state = State::ClosedByClient { quiesced: !self.published, until };
        if self.published {
            self.published = false;
            io.act(Action::Quiesce { link: self.link, within: io.limits.quiesce_timeout });
        }
    }

    /// Whether nothing has to be waited for any more.
    pub(super) fn is_quiet(&self) -> bool {
        match self.state {
            State::Open | State::Failing => self.awaited.is_empty(),
            State::ClosedByClient { quiesced, .. } => quiesced && self.awaited.is_empty(),
            State::ClosedByServer { .. } => true,
        }
    }

    /// Closes the channel from here.
    pub(super) fn close(&mut self, reason: Reason, until: Duration, io: &mut Io) {
        let Reason { code, text, method: (class_id, method_id) } = reason;
        let method = channel::Close { reply_code: code, reply_text: text.into(), class_id, method_id };
        io.send(self.number, method);
        io.act(Action::CloseLink { link: self.link });
        self.forget(io);
        self.state = State::ClosedByServer { until };
    }

    /// Drops what the channel keeps.
    pub(super) fn forget(&mut self, io: &mut Io) {
        self.assembly.reset(io);
        self.forget_awaited(io);
        *self = Channel { state: self.state, ..Channel::new(self.number, self.link) };
    }

    pub(super) fn forget_awaited(&mut self, io: &mut Io) {
        let operations = self.awaited.iter().filter(|next| matches!(next, Awaited::Operation { .. }));
        io.operations -= operations.count();
        self.awaited.clear();
    }

    /// Stops waiting for anything; what the client has closed can be answered then.
    pub(super) fn give_up(&mut self, io: &mut Io) {
        self.forget_awaited(io);
        if let State::ClosedByClient { quiesced, .. } = &mut self.state {
            *quiesced = true;
        }
    }

    /// Whether `method` means a queue whose name the broker is still making up.
    pub(super) fn must_wait(&self, method: &Method) -> bool {
        let unnamed = match method {
            Method::QueueBind(method) => method.queue.is_empty() && method.routing_key.is_empty(),
            Method::QueueUnbind(method) => method.queue.is_empty() && method.routing_key.is_empty(),
            _ => false,
        };
        unnamed && self.last_queue.is_none() && !self.awaited.is_empty()
    }

    pub(super) fn consumer(&self, id: u64) -> Option<&Consumer> {
        let index = self.consumers.binary_search_by_key(&id, |consumer| consumer.id).ok()?;
        self.consumers.get(index)
    }

    pub(super) fn remove_consumer(&mut self, id: u64) -> Option<Consumer> {
        if self.replies == Some(id) {
            self.replies = None;
        }
        let index = self.consumers.binary_search_by_key(&id, |consumer| consumer.id).ok()?;
        Some(self.consumers.remove(index))
    }
}

impl Transaction {
    /// Whether what waits is within the limits.
    pub(super) fn check(&self, method: MethodId, io: &Io) -> Result<(), Fault> {
        let count = self.messages.len() + self.settlements.len();
        let (bytes_max, count_max) = (io.limits.transaction_max_bytes, io.limits.transaction_max_count);
        if self.bytes <= bytes_max && count <= count_max {
            return Ok(());
        }
        Err(Fault::channel(
            super::fault::code::PRECONDITION_FAILED,
            method,
            format_args!(
                "transaction of {count} steps and {} bytes is larger than {count_max} steps or {bytes_max} bytes; \
                 commit more often",
                self.bytes
            ),
        ))
    }
}
