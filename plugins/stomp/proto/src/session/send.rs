//! `SEND`: from a frame to a message.

use std::{borrow::Cow, collections::HashSet};

use bytes::Bytes;
use bytestring::ByteString;

use super::{
    Operation, Session,
    action::Publish,
    fault::Fault,
    names,
    queue::{self, Wishes},
};
use crate::{
    codec::Frame,
    destination::{Destination, ReplyTo},
    message::{self, Answer},
};

/// Queues that a connection remembers to have declared; beyond, it declares again.
const DECLARED_MAX: usize = 256;
/// What names of queues for answers begin with.
const TEMP_QUEUE: &str = "stomp-temp-";

/// What sending keeps.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// The destination of the last `SEND`, and what it means.
    last: Option<Target>,
    declared: HashSet<ByteString>,
    /// Queues for answers: what the client calls them, and their names.
    temp_queues: Vec<(ByteString, ByteString)>,
}

#[derive(Debug, Clone)]
struct Target {
    destination: ByteString,
    exchange: ByteString,
    routing_key: ByteString,
}

impl Sending {
    /// Remembers that a queue is declared; false when it was known.
    pub(super) fn note_declared(&mut self, name: &ByteString) -> bool {
        if self.declared.contains(name) {
            return false;
        }
        if self.declared.len() >= DECLARED_MAX {
            self.declared.clear();
        }
        self.declared.insert(name.clone())
    }

    /// Forgets what was declared, as some of it is gone.
    pub(super) fn forget_all_declared(&mut self) {
        self.declared.clear();
        self.last = None;
    }
}

/// Headers of a `SEND` that are looked at.
#[derive(Default)]
struct Looked<'a> {
    destination: Option<Cow<'a, str>>,
    transaction: Option<Cow<'a, str>>,
    receipt: Option<Cow<'a, str>>,
    reply_to: Option<Cow<'a, str>>,
    message_id: bool,
}

impl<'a> Looked<'a> {
    fn at(frame: &'a Frame) -> Looked<'a> {
        let mut looked = Looked::default();
        for (name, value) in frame.headers() {
            match &*name {
                "destination" => looked.destination = Some(value),
                "transaction" => looked.transaction = Some(value),
                "receipt" => looked.receipt = Some(value),
                "reply-to" => looked.reply_to = Some(value),
                "message-id" => looked.message_id = true,
                _ => {}
            }
        }
        looked
    }
}

impl Session {
    pub(super) fn send(&mut self, frame: &Frame) -> Result<(), Fault> {
        let looked = Looked::at(frame);
        let destination = looked.destination.ok_or_else(|| {
            Fault::new("Missing destination", "\"SEND\" must include a 'destination' header\n")
        })?;
        if looked.message_id {
            return Err(Fault::new("Invalid header", "'message-id' is not allowed on 'SEND'.\n"));
        }
        if let Some(transaction) = &looked.transaction {
            self.check_transaction(transaction)?;
        }
        let target = self.target(&destination, frame)?;
        let address;
        let answer = match &looked.reply_to {
            None => Answer::None,
            Some(to) => match ReplyTo::parse(to) {
                ReplyTo::Queue { name, declare } => {
                    if declare {
                        self.declare_shared(&name, &Wishes::of_none());
                    }
                    address = name;
                    Answer::To(&address)
                }
                ReplyTo::TempQueue(name) => {
                    address = self.temp_queue(&name)?;
                    Answer::To(&address)
                }
                ReplyTo::Topic(key) => {
                    address = key;
                    Answer::Topic(&address)
                }
                ReplyTo::Other => Answer::To(to),
            },
        };
        let properties = self
            .io
            .written_by(|out| message::put_properties(out, frame, answer))
            .map_err(|bad| Fault::processing(format_args!("{bad}\n")))?;
        let Target { exchange, routing_key, .. } = target;
        let publish = Publish { exchange, routing_key, properties, body: frame.body().clone() };
        let receipt = looked.receipt.map(|receipt| ByteString::from(&*receipt));
        match looked.transaction {
            Some(transaction) => {
                // What waits long does not keep all in memory that was read with it.
                let body = Bytes::copy_from_slice(&publish.body);
                let properties = Bytes::copy_from_slice(&publish.properties);
                self.send_later(&transaction, Publish { properties, body, ..publish }, receipt)
            }
            None => {
                if receipt.is_some() {
                    self.confirm();
                }
                let seq = self.io.publish(publish);
                if let Some(receipt) = receipt {
                    self.receipts.await_confirm(seq, receipt);
                }
                Ok(())
            }
        }
    }

    /// Has publishes confirmed from here on.
    fn confirm(&mut self) {
        if !self.receipts.confirming {
            self.receipts.confirming = true;
            self.io.call(0, Operation::Confirm);
        }
    }

    /// What a destination means. That of the last `SEND` is remembered.
    fn target(&mut self, destination: &str, frame: &Frame) -> Result<Target, Fault> {
        if let Some(last) = &self.sending.last
            && last.destination == destination
        {
            return Ok(last.clone());
        }
        let (exchange, routing_key) = match queue::parse(destination, "SEND")? {
            Destination::Queue(name) => {
                self.declare_shared(&name, &Wishes::of(frame, false)?);
                (ByteString::new(), name)
            }
            Destination::ExistingQueue(name) | Destination::TempQueue(name) => (ByteString::new(), name),
            Destination::Exchange { exchange, key } => (exchange, key),
        };
        let target = Target { destination: destination.into(), exchange, routing_key };
        self.sending.last = Some(target.clone());
        Ok(target)
    }

    /// The queue for answers that the client calls so. Made when it is not there, and consumed from for the client.
    fn temp_queue(&mut self, name: &ByteString) -> Result<ByteString, Fault> {
        if let Some((_, queue)) = self.sending.temp_queues.iter().find(|(known, _)| known == name) {
            return Ok(queue.clone());
        }
        let queue = names::joined(TEMP_QUEUE, &self.names.make());
        self.subscribe_to_answers(name, &queue)?;
        self.sending.temp_queues.push((name.clone(), queue.clone()));
        Ok(queue)
    }
}

impl Session {
    /// Forgets a queue for answers that its client has unsubscribed from; the next message that asks for it gets a new one.
    pub(super) fn forget_temp_queue(&mut self, tag: &str) {
        let Some(name) = tag.strip_prefix("T_").and_then(|id| id.strip_prefix(super::subscribe::TEMP_QUEUE))
        else {
            return;
        };
        self.sending.temp_queues.retain(|(known, _)| known != name);
    }
}

impl Wishes {
    /// Nothing is wished for.
    pub(super) fn of_none() -> Wishes {
        Wishes { durable: None, auto_delete: None, exclusive: None, arguments: Bytes::new() }
    }
}
