//! What a link says becomes what its client is told.

use std::time::Duration;

use super::{
    actions::{LinkEvent, Message, Outcome, Settle},
    channel::{Answer, Awaited, Channel, Mode},
    fault::{Fault, Reason, code},
    io::Io,
    publish::PUBLISH,
};
use crate::codec::{
    content::{Address, Content},
    method::{basic, queue},
    properties::NO_PROPERTIES,
};

impl<'a> Message<'a> {
    fn address(&self) -> Address<'a> {
        Address { exchange: self.exchange, routing_key: self.routing_key }
    }

    fn content(&self) -> Content<'a> {
        let properties = if self.properties.is_empty() { NO_PROPERTIES } else { self.properties };
        Content { properties, body: self.body }
    }
}

impl Channel {
    /// Takes one event of the channel's link.
    pub(super) fn event(&mut self, event: LinkEvent<'_>, now: Duration, io: &mut Io) -> Result<(), Fault> {
        match event {
            LinkEvent::Delivery { consumer, delivery, redelivered, settled, message } => {
                self.delivered(delivery, settled, now, io)?;
                let Some(consumer) = self.consumer(consumer) else {
                    // Its consumer went while it was on its way.
                    if !settled {
                        self.unsettled.remove(delivery);
                        io.settle(self.link, Settle { delivery, outcome: Outcome::Requeue, multiple: false });
                    }
                    return Ok(());
                };
                let mut contents = io.contents(self.number);
                contents.deliver(&consumer.tag, delivery, redelivered, message.address(), message.content());
                Ok(())
            }
            LinkEvent::Got { op, delivery, redelivered, settled, messages, message } => {
                self.delivered(delivery, settled, now, io)?;
                self.next_answer(op, io)?;
                let left = u32::try_from(messages).unwrap_or(u32::MAX);
                let mut contents = io.contents(self.number);
                contents.get_ok(delivery, redelivered, message.address(), left, message.content());
                self.told_next(io)
            }
            LinkEvent::Answer { op, code, text, messages, consumers } => {
                if code != code::OK {
                    return Err(self.refused(op, code, text, io));
                }
                let answer = self.next_answer(op, io)?;
                self.tell(answer, text, messages, consumers, io);
                self.told_next(io)
            }
            LinkEvent::Confirmed { up_to } => {
                self.confirmed(up_to, io);
                Ok(())
            }
            LinkEvent::Refused { seq, code: code::RESOURCE_ERROR, .. } => {
                if let Mode::Confirm { base, confirmed } = &mut self.mode
                    && seq > *base
                {
                    let nack = basic::Nack { delivery_tag: seq - *base, multiple: false, requeue: false };
                    if seq == *confirmed + 1 {
                        *confirmed = seq;
                    }
                    io.send(self.number, nack);
                }
                Ok(())
            }
            LinkEvent::Refused { code, text, .. } => {
                self.forget_awaited(io);
                Err(Fault::told(code, PUBLISH, text))
            }
            LinkEvent::Returned { code, text, message } => {
                io.contents(self.number).returned(code, text, message.address(), message.content());
                Ok(())
            }
            LinkEvent::Cancelled { consumer } => {
                let cancelled = self.remove_consumer(consumer);
                if let Some(consumer) = cancelled
                    && !consumer.cancelled
                    && io.capabilities.consumer_cancel_notify
                {
                    io.send(self.number, basic::Cancel { consumer_tag: consumer.tag, nowait: true });
                }
                Ok(())
            }
            LinkEvent::Closed { code, text } => {
                self.forget_awaited(io);
                let reason = Reason::told(code, (0, 0), text);
                Err(if code == code::CONNECTION_FORCED {
                    Fault::Connection(reason)
                } else {
                    Fault::Channel(reason)
                })
            }
        }
    }

    fn delivered(&mut self, delivery: u64, settled: bool, now: Duration, io: &Io) -> Result<(), Fault> {
        if delivery <= self.last_delivery || delivery >= 1 << 63 {
            let detail = format_args!("delivery {delivery} comes behind delivery {}", self.last_delivery);
            return Err(Fault::connection(code::INTERNAL_ERROR, (0, 0), detail));
        }
        self.last_delivery = delivery;
        if !settled {
            self.unsettled.push(delivery, now, io.limits.acknowledgement_grain());
        }
        Ok(())
    }

    /// What the answer to `op` means. It has to be the operation's whose turn it is.
    fn next_answer(&mut self, op: u64, io: &mut Io) -> Result<Answer, Fault> {
        match self.awaited.pop_front() {
            Some(Awaited::Operation { op: next, answer, .. }) if next == op => {
                io.operations -= 1;
                Ok(answer)
            }
            other => {
                if let Some(Awaited::Operation { .. }) = other {
                    io.operations -= 1;
                }
                let detail = format_args!("operation {op} was answered out of turn");
                Err(Fault::connection(code::INTERNAL_ERROR, (0, 0), detail))
            }
        }
    }

    /// The link has stopped: nothing else will be answered.
    fn refused(&mut self, op: u64, code: u16, text: &str, io: &mut Io) -> Fault {
        let method = self.awaited.iter().find_map(|next| match next {
            Awaited::Operation { op: found, method, .. } if *found == op => Some(*method),
            _ => None,
        });
        self.forget_awaited(io);
        Fault::told(code, method.unwrap_or((basic::CLASS, basic::Ack::METHOD)), text)
    }

    fn tell(&mut self, answer: Answer, text: &str, messages: u64, consumers: u64, io: &mut Io) {
        let message_count = u32::try_from(messages).unwrap_or(u32::MAX);
        match answer {
            Answer::Silent => {}
            Answer::Method(method) => io.send(self.number, method),
            Answer::QueueDeclared { nowait } => {
                self.last_queue = Some(text.into());
                if !nowait {
                    let consumer_count = u32::try_from(consumers).unwrap_or(u32::MAX);
                    io.send(
                        self.number,
                        queue::DeclareOk { queue: text.into(), message_count, consumer_count },
                    );
                }
            }
            Answer::Purged => io.send(self.number, queue::PurgeOk { message_count }),
            Answer::Deleted => io.send(self.number, queue::DeleteOk { message_count }),
            Answer::Cancelled { consumer, tag, nowait } => {
                self.remove_consumer(consumer);
                if !nowait {
                    io.send(self.number, basic::CancelOk { consumer_tag: tag });
                }
            }
            Answer::Got => io.send(self.number, basic::GetEmpty::default()),
        }
    }

    /// Tells what waited for its turn and needs no answer.
    fn told_next(&mut self, io: &mut Io) -> Result<(), Fault> {
        while let Some(next) = self.awaited.pop_front_if(|next| !matches!(next, Awaited::Operation { .. })) {
            match next {
                Awaited::Ready(method) => io.send(self.number, method),
                Awaited::Fault(reason) => return Err(Fault::Channel(reason)),
                Awaited::Operation { .. } => {}
            }
        }
        Ok(())
    }

    fn confirmed(&mut self, up_to: u64, io: &mut Io) {
        let Mode::Confirm { base, confirmed } = &mut self.mode else { return };
        if up_to <= *confirmed {
            return;
        }
        let ack = basic::Ack { delivery_tag: up_to - *base, multiple: up_to - *confirmed > 1 };
        *confirmed = up_to;
        io.send(self.number, ack);
    }
}
