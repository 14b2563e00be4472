//! The methods of an open channel: each becomes an operation of the broker, an answer, or a refusal.

use bytestring::ByteString;

use super::{
    actions::{Action, Binding, Operation, Outcome, Settle},
    channel::{Answer, Channel, Consumer, Mode, Transaction},
    fault::{Fault, MethodId, code},
    io::Io,
    publish::{Assembly, is_reply_queue},
};
use crate::codec::method::{Method, access, basic, channel, confirm, exchange, queue, tx};

impl Channel {
    /// Takes a method that is not about opening or closing.
    pub(super) fn method(&mut self, method: Method, io: &mut Io) -> Result<(), Fault> {
        let id = method.id();
        match method {
            Method::BasicPublish(method) => self.assembly = Assembly::Header(method),
            Method::BasicAck(method) => {
                self.settle(method.delivery_tag, method.multiple, Outcome::Done, id, io)?;
            }
            Method::BasicNack(method) => {
                self.settle(method.delivery_tag, method.multiple, refused(method.requeue), id, io)?;
            }
            Method::BasicReject(method) => {
                self.settle(method.delivery_tag, false, refused(method.requeue), id, io)?;
            }
            Method::BasicGet(basic::Get { queue, no_ack, .. }) => {
                if !no_ack && self.unsettled.len() >= io.limits.unsettled_max {
                    let max = io.limits.unsettled_max;
                    let detail = format_args!("channel {} has {max} unacknowledged messages", self.number);
                    return Err(Fault::channel(code::PRECONDITION_FAILED, id, detail));
                }
                self.call(id, Operation::Get { queue, no_ack }, Answer::Got, io);
            }
            Method::BasicConsume(method) => self.consume(method, id, io)?,
            Method::BasicCancel(method) => self.cancel(method, id, io),
            Method::BasicQos(method) => self.qos(&method, id, io)?,
            Method::BasicRecover(basic::Recover { requeue }) => self.recover(requeue, true, id, io)?,
            Method::BasicRecoverAsync(basic::RecoverAsync { requeue }) => {
                self.recover(requeue, false, id, io)?;
            }
            Method::ExchangeDeclare(_)
            | Method::ExchangeDelete(_)
            | Method::ExchangeBind(_)
            | Method::ExchangeUnbind(_) => self.exchange(method, id, io),
            Method::QueueDeclare(_)
            | Method::QueueDelete(_)
            | Method::QueuePurge(_)
            | Method::QueueBind(_)
            | Method::QueueUnbind(_) => self.queue(method, id, io),
            Method::ConfirmSelect(confirm::Select { nowait }) => self.confirm_select(nowait, id, io)?,
            Method::TxSelect(_) | Method::TxCommit(_) | Method::TxRollback(_) => {
                self.transaction(&method, id, io)?;
            }
            Method::ChannelFlow(channel::Flow { active: false }) => {
                return Err(Fault::connection(code::NOT_IMPLEMENTED, id, "active=false"));
            }
            Method::ChannelFlow(_) => self.reply(channel::FlowOk { active: true }, io),
            Method::AccessRequest(_) => self.reply(access::RequestOk { ticket: 1 }, io),
            Method::ChannelOpen(_) => {
                return Err(Fault::connection(code::CHANNEL_ERROR, id, "second 'channel.open' seen"));
            }
            _ => return Err(Fault::connection(code::COMMAND_INVALID, id, "unimplemented method")),
        }
        Ok(())
    }

    fn settle(
        &mut self,
        tag: u64,
        multiple: bool,
        outcome: Outcome,
        method: MethodId,
        io: &mut Io,
    ) -> Result<(), Fault> {
        let tag = if multiple && tag == 0 {
            let Some(last) = self.unsettled.last() else { return Ok(()) };
            last
        } else {
            tag
        };
        let known = if multiple { self.unsettled.contains(tag) } else { self.unsettled.remove(tag) };
        if !known {
            let detail = format_args!("unknown delivery tag {tag}");
            return Err(Fault::channel(code::PRECONDITION_FAILED, method, detail));
        }
        let one = |delivery| Settle { delivery, outcome, multiple: false };
        match &mut self.mode {
            Mode::Transaction(transaction) => {
                if multiple {
                    transaction.settlements.extend(self.unsettled.take_up_to(tag).map(one));
                } else {
                    transaction.settlements.push(one(tag));
                }
                transaction.check(method, io)
            }
            _ => {
                if multiple {
                    drop(self.unsettled.take_up_to(tag));
                }
                io.settle(self.link, Settle { delivery: tag, outcome, multiple });
                Ok(())
            }
        }
    }

    fn recover(&mut self, requeue: bool, wait: bool, method: MethodId, io: &mut Io) -> Result<(), Fault> {
        if !requeue {
            return Err(Fault::connection(code::NOT_IMPLEMENTED, method, "requeue=false"));
        }
        let requeue = |delivery, multiple| Settle { delivery, outcome: Outcome::Requeue, multiple };
        let Some(last) = self.unsettled.last() else {
            if wait {
                self.reply(basic::RecoverOk {}, io);
            }
            return Ok(());
        };
        // What waits for a commit stays as it is; and what the client has not been sent is none of its deliveries.
        let settlements = match &self.mode {
            Mode::Transaction(transaction) if !transaction.settlements.is_empty() => {
                self.unsettled.take_up_to(last).map(|tag| requeue(tag, false)).collect()
            }
            _ => {
                drop(self.unsettled.take_up_to(last));
                vec![requeue(last, true)]
            }
        };
        let answer = if wait { Answer::Method(basic::RecoverOk {}.into()) } else { Answer::Silent };
        let op = self.expect(method, answer, io);
        io.act(Action::Settle { link: self.link, op, settlements });
        Ok(())
    }

    fn consume(&mut self, method: basic::Consume, id: MethodId, io: &mut Io) -> Result<(), Fault> {
        let basic::Consume { queue, consumer_tag, no_ack, exclusive, nowait, arguments, .. } = method;
        let tag = if consumer_tag.is_empty() {
            io.new_tag()
        } else {
            // A tag of its own memory, lest it keeps what was read with it.
            ByteString::from(&consumer_tag[..])
        };
        if self.consumers.iter().any(|consumer| !consumer.cancelled && consumer.tag == tag) {
            let detail = format_args!("attempt to reuse consumer tag '{tag}'");
            return Err(Fault::connection(code::NOT_ALLOWED, id, detail));
        }
        if self.consumers.len() >= io.limits.consumers_max {
            let max = io.limits.consumers_max;
            let detail = format_args!("channel {} has reached the limit of {max} consumers", self.number);
            return Err(Fault::connection(code::NOT_ALLOWED, id, detail));
        }
        let consumer = self.next_consumer;
        if is_reply_queue(&queue) {
            let wrong = if !no_ack {
                "reply consumer cannot acknowledge"
            } else if self.replies.is_some() {
                "reply consumer already set"
            } else {
                ""
            };
            if !wrong.is_empty() {
                return Err(Fault::channel(code::PRECONDITION_FAILED, id, wrong));
            }
            self.replies = Some(consumer);
        }
        self.next_consumer += 1;
        self.consumers.push(Consumer { id: consumer, tag: tag.clone(), cancelled: false });
        if !no_ack && !self.limited {
            // The broker keeps to the limit, so that no answer waits behind deliveries that have to.
            self.limit_unsettled(None, id, Answer::Silent, io);
        }
        let credit = (self.prefetch > 0 && !no_ack).then(|| self.prefetch.into());
        let answer = told(nowait, basic::ConsumeOk { consumer_tag: tag.clone() });
        let operation = Operation::Consume { consumer, queue, tag, no_ack, exclusive, credit, arguments };
        self.call(id, operation, answer, io);
        Ok(())
    }

    fn cancel(&mut self, method: basic::Cancel, id: MethodId, io: &mut Io) {
        let basic::Cancel { consumer_tag: tag, nowait } = method;
        let mut live = self.consumers.iter_mut().filter(|consumer| !consumer.cancelled);
        let Some(consumer) = live.find(|consumer| consumer.tag == tag) else {
            if !nowait {
                self.reply(basic::CancelOk { consumer_tag: tag }, io);
            }
            return;
        };
        consumer.cancelled = true;
        let consumer = consumer.id;
        if self.replies == Some(consumer) {
            self.replies = None;
        }
        self.call(id, Operation::Cancel { consumer }, Answer::Cancelled { consumer, tag, nowait }, io);
    }

    fn qos(&mut self, method: &basic::Qos, id: MethodId, io: &mut Io) -> Result<(), Fault> {
        let basic::Qos { prefetch_size, prefetch_count, global } = *method;
        if prefetch_size != 0 {
            let detail = format_args!("prefetch_size!=0 ({prefetch_size})");
            return Err(Fault::connection(code::NOT_IMPLEMENTED, id, detail));
        }
        if global {
            let count = (prefetch_count > 0).then_some(prefetch_count.into());
            self.limit_unsettled(count, id, Answer::Method(basic::QosOk {}.into()), io);
        } else {
            self.prefetch = prefetch_count;
            self.reply(basic::QosOk {}, io);
        }
        Ok(())
    }

    /// Limits the unsettled deliveries of all consumers together, to what the client and the limits want.
    fn limit_unsettled(&mut self, count: Option<u32>, id: MethodId, answer: Answer, io: &mut Io) {
        self.limited = true;
        let max = u32::try_from(io.limits.unsettled_max).unwrap_or(u32::MAX);
        let count = count.map_or(max, |count| count.min(max));
        self.call(id, Operation::Credit { count }, answer, io);
    }

    fn exchange(&mut self, method: Method, id: MethodId, io: &mut Io) {
        let (operation, answer) = match method {
            Method::ExchangeDeclare(method) => {
                let exchange::Declare { exchange: name, kind, passive, durable, auto_delete, .. } = method;
                let exchange::Declare { internal, nowait, arguments, .. } = method;
                (
                    Operation::DeclareExchange {
                        name,
                        kind,
                        passive,
                        durable,
                        auto_delete,
                        internal,
                        arguments,
                    },
                    told(nowait, exchange::DeclareOk {}),
                )
            }
            Method::ExchangeDelete(exchange::Delete { exchange: name, if_unused, nowait, .. }) => {
                (Operation::DeleteExchange { name, if_unused }, told(nowait, exchange::DeleteOk {}))
            }
            Method::ExchangeBind(method) => {
                let exchange::Bind { destination, source, routing_key, nowait, arguments, .. } = method;
                let binding = Binding { source, destination, to_exchange: true, routing_key, arguments };
                (Operation::Bind(binding), told(nowait, exchange::BindOk {}))
            }
            Method::ExchangeUnbind(method) => {
                let exchange::Unbind { destination, source, routing_key, nowait, arguments, .. } = method;
                let binding = Binding { source, destination, to_exchange: true, routing_key, arguments };
                (Operation::Unbind(binding), told(nowait, exchange::UnbindOk {}))
            }
            _ => return,
        };
        self.call(id, operation, answer, io);
    }

    fn queue(&mut self, method: Method, id: MethodId, io: &mut Io) {
        let (operation, answer) = match method {
            Method::QueueDeclare(method) => {
                let queue::Declare { queue: name, passive, durable, exclusive, auto_delete, .. } = method;
                let queue::Declare { nowait, arguments, .. } = method;
                self.last_queue = (!name.is_empty()).then(|| name.clone());
                (
                    Operation::DeclareQueue { name, passive, durable, exclusive, auto_delete, arguments },
                    Answer::QueueDeclared { nowait },
                )
            }
            Method::QueueDelete(queue::Delete { queue: name, if_unused, if_empty, nowait, .. }) => {
                let answer = if nowait { Answer::Silent } else { Answer::Deleted };
                (Operation::DeleteQueue { name, if_unused, if_empty }, answer)
            }
            Method::QueuePurge(queue::Purge { queue: name, nowait, .. }) => {
                (Operation::PurgeQueue { name }, if nowait { Answer::Silent } else { Answer::Purged })
            }
            Method::QueueBind(method) => {
                let queue::Bind { queue, exchange, routing_key, nowait, arguments, .. } = method;
                let binding = self.queue_binding(queue, exchange, routing_key, arguments);
                (Operation::Bind(binding), told(nowait, queue::BindOk {}))
            }
            Method::QueueUnbind(method) => {
                let queue::Unbind { queue, exchange, routing_key, arguments, .. } = method;
                let binding = self.queue_binding(queue, exchange, routing_key, arguments);
                (Operation::Unbind(binding), Answer::Method(queue::UnbindOk {}.into()))
            }
            _ => return,
        };
        self.call(id, operation, answer, io);
    }

    /// Without queue and routing key both are the name of the queue declared last (specification, `queue.bind`).
    fn queue_binding(
        &self,
        queue: ByteString,
        source: ByteString,
        routing_key: ByteString,
        arguments: crate::codec::table::Table,
    ) -> Binding {
        let routing_key = match &self.last_queue {
            Some(last) if queue.is_empty() && routing_key.is_empty() => last.clone(),
            _ => routing_key,
        };
        Binding { source, destination: queue, to_exchange: false, routing_key, arguments }
    }

    fn confirm_select(&mut self, nowait: bool, id: MethodId, io: &mut Io) -> Result<(), Fault> {
        match self.mode {
            Mode::Transaction(_) => {
                let detail = "cannot switch from tx to confirm mode";
                return Err(Fault::channel(code::PRECONDITION_FAILED, id, detail));
            }
            Mode::Confirm { .. } => {
                if !nowait {
                    self.reply(confirm::SelectOk {}, io);
                }
            }
            Mode::Plain => {
                let base = self.next_seq - 1;
                self.mode = Mode::Confirm { base, confirmed: base };
                self.call(id, Operation::Confirm, told(nowait, confirm::SelectOk {}), io);
            }
        }
        Ok(())
    }

    fn transaction(&mut self, method: &Method, id: MethodId, io: &mut Io) -> Result<(), Fault> {
        let refuse = |detail| Err(Fault::channel(code::PRECONDITION_FAILED, id, detail));
        if let Method::TxSelect(_) = method {
            match self.mode {
                Mode::Confirm { .. } => return refuse("cannot switch from confirm to tx mode"),
                Mode::Plain => self.mode = Mode::Transaction(Transaction::default()),
                Mode::Transaction(_) => {}
            }
            self.reply(tx::SelectOk {}, io);
            return Ok(());
        }
        let Mode::Transaction(transaction) = &mut self.mode else {
            return refuse("channel is not transactional");
        };
        let Transaction { messages, settlements, .. } = std::mem::take(transaction);
        if let Method::TxRollback(_) = method {
            self.unsettled.put_back(settlements.iter().map(|settle| settle.delivery));
            self.reply(tx::RollbackOk {}, io);
        } else if messages.is_empty() && settlements.is_empty() {
            self.reply(tx::CommitOk {}, io);
        } else {
            let first_seq = self.next_seq;
            self.next_seq += messages.len() as u64;
            if !messages.is_empty() {
                self.published = true;
                io.published = true;
            }
            let op = self.expect(id, Answer::Method(tx::CommitOk {}.into()), io);
            io.act(Action::Commit { link: self.link, op, first_seq, messages, settlements });
        }
        Ok(())
    }
}

fn refused(requeue: bool) -> Outcome {
    if requeue { Outcome::Requeue } else { Outcome::Reject }
}

fn told(nowait: bool, method: impl Into<Method>) -> Answer {
    if nowait { Answer::Silent } else { Answer::Method(method.into()) }
}
