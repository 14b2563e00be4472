//! `SUBSCRIBE` and `UNSUBSCRIBE`.

use bytes::Bytes;
use bytestring::ByteString;

use super::{
    Map, Operation, Session,
    fault::{Fault, shown},
    names,
    queue::{self, Wishes},
    unsettled::Unsettled,
};
use crate::{codec::Frame, destination::Destination};

/// What names of subscriptions' queues begin with.
const QUEUE: &str = "stomp-subscription-";
/// What the client calls its queues for answers.
pub(super) const TEMP_QUEUE: &str = "/temp-queue/";
/// Octets of the longest id, and of the longest destination that stands for one.
const ID_MAX: usize = 1024;

/// What a subscription's client acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AckMode {
    /// Nothing: what is sent counts as processed.
    Auto,
    /// One message, and all that were sent to the subscription before it.
    Client,
    /// One message.
    Individual,
}

/// A subscription, or what is unsettled of one that has ended.
#[derive(Debug)]
pub(super) struct Subscription {
    /// Its id in the link.
    pub(super) consumer: u64,
    /// What the ids of its messages begin with: `T_` and its id, or `Q_` and its destination.
    pub(super) tag: ByteString,
    /// Whether it was given an id.
    pub(super) has_id: bool,
    pub(super) mode: AckMode,
    pub(super) unsettled: Unsettled,
    /// The queue that goes when the client says so as it unsubscribes.
    durable_queue: Option<ByteString>,
    /// It was unsubscribed.
    pub(super) has_ended: bool,
}

impl Subscription {
    /// Its id, when it has one.
    pub(super) fn id(&self) -> Option<&str> {
        if self.has_id { self.tag.get(2..) } else { None }
    }

    /// As texts name it.
    pub(super) fn described(&self) -> String {
        let name = if self.has_id { "id" } else { "destination" };
        format!("\"{name}='{}'\"", self.tag.get(2..).unwrap_or_default())
    }
}

/// The subscriptions of a connection.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// By consumer.
    all: Vec<Subscription>,
    /// Consumers of those that have not ended.
    tags: Map<u64>,
    last_consumer: u64,
    /// What `prefetch-count` said last.
    prefetch: Option<u32>,
}

impl Subscriptions {
    pub(super) fn get(&self, consumer: u64) -> Option<&Subscription> {
        let index = self.all.binary_search_by_key(&consumer, |one| one.consumer).ok()?;
        self.all.get(index)
    }

    fn get_mut(&mut self, consumer: u64) -> Option<&mut Subscription> {
        let index = self.all.binary_search_by_key(&consumer, |one| one.consumer).ok()?;
        self.all.get_mut(index)
    }

    /// The consumer of the subscription with that tag.
    pub(super) fn tagged(&self, tag: &str) -> Option<u64> {
        self.tags.get(tag).copied()
    }

    /// The subscription with that tag to which the delivery was sent, also one that has ended.
    pub(super) fn with_delivery(&self, tag: &str, delivery: u64) -> Option<u64> {
        let has = |one: &&Subscription| one.unsettled.contains(delivery);
        self.tagged(tag)
            .and_then(|consumer| self.get(consumer).filter(has))
            .or_else(|| self.all.iter().filter(|one| one.has_ended && one.tag == tag).find(has))
            .map(|one| one.consumer)
    }

    /// Whether there is one with that tag, also one that has ended.
    pub(super) fn is_known(&self, tag: &str) -> bool {
        self.tags.contains_key(tag) || self.all.iter().any(|one| one.tag == tag)
    }

    fn add(
        &mut self,
        tag: ByteString,
        has_id: bool,
        mode: AckMode,
        durable_queue: Option<ByteString>,
    ) -> u64 {
        self.last_consumer += 1;
        let consumer = self.last_consumer;
        self.tags.insert(tag.clone(), consumer);
        let unsettled = Unsettled::default();
        self.all.push(Subscription {
            consumer,
            tag,
            has_id,
            mode,
            unsettled,
            durable_queue,
            has_ended: false,
        });
        consumer
    }

    /// Adds an unsettled delivery.
    pub(super) fn delivered(&mut self, consumer: u64, delivery: u64) {
        if let Some(one) = self.get_mut(consumer) {
            one.unsettled.push(delivery);
        }
    }

    /// Settles a delivery, or all up to it: the numbers that it concerns.
    pub(super) fn settle(&mut self, consumer: u64, delivery: u64, cumulative: bool) -> Vec<u64> {
        let Some(one) = self.get_mut(consumer) else { return Vec::new() };
        let settled: Vec<u64> = if !one.unsettled.contains(delivery) {
            Vec::new()
        } else if cumulative {
            one.unsettled.take_up_to(delivery).collect()
        } else {
            one.unsettled.remove(delivery);
            vec![delivery]
        };
        let is_over = one.has_ended && one.unsettled.is_empty();
        if is_over {
            self.remove(consumer);
        }
        settled
    }

    /// The subscription ends for the client; what is unsettled of it may still be settled.
    pub(super) fn end(&mut self, consumer: u64) {
        if let Some(one) = self.get_mut(consumer) {
            one.has_ended = true;
            let tag = one.tag.clone();
            if self.tagged(&tag) == Some(consumer) {
                self.tags.remove(&tag);
            }
        }
    }

    /// The broker sends nothing more for it.
    pub(super) fn cancelled(&mut self, consumer: u64) {
        self.end(consumer);
        if self.get(consumer).is_some_and(|one| one.unsettled.is_empty()) {
            self.remove(consumer);
        }
    }

    fn remove(&mut self, consumer: u64) {
        if let Ok(index) = self.all.binary_search_by_key(&consumer, |one| one.consumer) {
            self.all.remove(index);
        }
    }

    /// Gives memory back that is not in use.
    pub(super) fn shrink(&mut self) {
        for one in &mut self.all {
            one.unsettled.shrink();
        }
        self.all.shrink_to_fit();
        self.tags.shrink_to_fit();
    }
}

impl Session {
    pub(super) fn subscribe(&mut self, frame: &Frame) -> Result<(), Fault> {
        let destination = frame.header("destination").ok_or_else(|| {
            Fault::new("Missing destination", "\"SUBSCRIBE\" must include a 'destination' header\n")
        })?;
        let id = frame.header("id");
        let tag = tag(id.as_deref(), &destination)?;
        if id.as_deref().is_some_and(|id| id.starts_with(TEMP_QUEUE)) {
            let detail = format_args!("'{}' is not a valid subscription identifier\n", shown(&tag[2..]));
            return Err(Fault::new("Invalid id", detail));
        }
        if self.subscriptions.tagged(&tag).is_some() {
            let detail = format_args!("A subscription identified by '{}' already exists.", shown(&tag));
            return Err(Fault::new("Duplicated subscription identifier", detail));
        }
        let mode = match frame.header("ack").as_deref() {
            None | Some("auto") => AckMode::Auto,
            Some("client") => AckMode::Client,
            Some("client-individual") => AckMode::Individual,
            Some(other) => {
                let detail = format_args!(
                    "'{}' is not a valid ack mode: expected auto, client or client-individual\n",
                    shown(other)
                );
                return Err(Fault::processing(detail));
            }
        };
        if let Some(count) = frame.header("prefetch-count") {
            let count: u32 = count.trim().parse().map_err(|_| {
                Fault::processing(format_args!("'{}' is not a valid prefetch-count\n", shown(&count)))
            })?;
            self.subscriptions.prefetch = (count > 0).then_some(count);
        }
        let priority = consumer_arguments(frame)?;
        self.check_room()?;
        let target = queue::parse(&destination, "SUBSCRIBE")?;
        let wishes = Wishes::of(frame, true)?;
        let mut durable_queue = None;
        let queue = match target {
            Destination::Queue(name) => {
                // Declared each time: it may have gone with its last consumer.
                self.sending.forget_all_declared();
                self.declare_shared(&name, &wishes);
                name
            }
            Destination::ExistingQueue(name) | Destination::TempQueue(name) => name,
            Destination::Exchange { exchange, key } => {
                let queue = self.own_queue(frame, &destination, id.as_deref(), &wishes)?;
                if wishes.durable == Some(true) {
                    durable_queue = Some(queue.clone());
                }
                self.io.call(0, Operation::Bind { exchange, queue: queue.clone(), key });
                queue
            }
        };
        let receipt = frame.header("receipt").map(|receipt| ByteString::from(&*receipt));
        let consumer = self.subscriptions.add(tag.clone(), id.is_some(), mode, durable_queue);
        let credit = self.subscriptions.prefetch;
        let no_ack = mode == AckMode::Auto;
        let credit = credit.filter(|_| !no_ack);
        let consume = Operation::Consume { consumer, queue, tag, no_ack, credit, arguments: priority };
        let op = self.op_for(receipt);
        self.io.call(op, consume);
        Ok(())
    }

    /// Declares the queue of a subscription to an exchange. Unless it is durable it is the connection's own: it goes with
    /// it also when the broker refuses the rest of the subscription.
    fn own_queue(
        &mut self,
        frame: &Frame,
        destination: &str,
        id: Option<&str>,
        wishes: &Wishes,
    ) -> Result<ByteString, Fault> {
        let durable = wishes.durable.unwrap_or(false);
        let name = match (frame.header("x-queue-name"), id) {
            (Some(name), _) => {
                if name.len() > 255 {
                    return Err(Fault::processing("the header 'x-queue-name' is longer than 255 octets\n"));
                }
                ByteString::from(&*name)
            }
            (None, Some(id)) if durable => {
                names::joined(QUEUE, &names::hashed(&[destination.trim_start().as_bytes(), id.as_bytes()]))
            }
            (None, None) if durable => {
                let detail = "Header 'id' is required for durable subscriptions";
                return Err(Fault::new("Missing Header", detail));
            }
            (None, _) => names::joined(QUEUE, &self.names.make()),
        };
        let is_named = frame.header("x-queue-name").is_some();
        self.io.call(
            0,
            Operation::DeclareQueue {
                name: name.clone(),
                durable,
                exclusive: wishes.exclusive.unwrap_or(!durable && !is_named),
                auto_delete: wishes.auto_delete.unwrap_or(true),
                any: false,
                arguments: wishes.arguments.clone(),
            },
        );
        Ok(name)
    }

    /// Subscribes the client to a queue for answers, which is made for it.
    pub(super) fn subscribe_to_answers(&mut self, name: &str, queue: &ByteString) -> Result<(), Fault> {
        self.check_room()?;
        let id = [TEMP_QUEUE, name].concat();
        let tag = tag(Some(&id), "")?;
        self.io.call(
            0,
            Operation::DeclareQueue {
                name: queue.clone(),
                durable: false,
                exclusive: true,
                auto_delete: true,
                any: false,
                arguments: Bytes::new(),
            },
        );
        let consumer = self.subscriptions.add(tag.clone(), true, AckMode::Auto, None);
        let queue = queue.clone();
        let arguments = Bytes::new();
        self.io.call(0, Operation::Consume { consumer, queue, tag, no_ack: true, credit: None, arguments });
        Ok(())
    }

    fn check_room(&self) -> Result<(), Fault> {
        let max = self.limits.subscriptions_max;
        if self.subscriptions.all.len() >= max {
            let detail =
                format_args!("A connection may have {max} subscriptions; unsubscribe from some first\n");
            return Err(Fault::new("Too many subscriptions", detail));
        }
        Ok(())
    }

    /// A number for an operation whose answer gives a receipt; 0 when none is wanted.
    pub(super) fn op_for(&mut self, receipt: Option<ByteString>) -> u64 {
        let Some(receipt) = receipt else { return 0 };
        let op = self.io.new_op();
        self.receipts.await_answer(op, receipt);
        op
    }

    pub(super) fn unsubscribe(&mut self, frame: &Frame) -> Result<(), Fault> {
        let (id, destination) = (frame.header("id"), frame.header("destination"));
        if id.is_none() && destination.is_none() {
            let detail = "UNSUBSCRIBE must include a 'destination' or 'id' header";
            return Err(Fault::new("Missing destination or id", detail));
        }
        let tag = tag(id.as_deref(), destination.as_deref().unwrap_or_default())?;
        let Some(consumer) = self.subscriptions.tagged(&tag) else {
            let name = if id.is_some() { "id" } else { "destination" };
            let detail = format_args!(
                "UNSUBSCRIBE must refer to an existing subscription.\nSubscription to \"{name}='{}'\" not found.\n",
                shown(&tag[2..])
            );
            return Err(Fault::new("No subscription found", detail));
        };
        let is_durable = |name| frame.header(name).is_some_and(|value| &*value == "true");
        let deleted = match self.subscriptions.get(consumer) {
            Some(one) if is_durable("durable") || is_durable("persistent") => one.durable_queue.clone(),
            _ => None,
        };
        let receipt = frame.header("receipt").map(|receipt| ByteString::from(&*receipt));
        self.subscriptions.end(consumer);
        self.forget_temp_queue(&tag);
        self.sending.forget_all_declared();
        let op = self.io.new_op();
        let (on_cancel, on_delete) = if deleted.is_some() { (None, receipt) } else { (receipt, None) };
        self.receipts.await_cancel(op, consumer, on_cancel);
        self.io.call(op, Operation::Cancel { consumer });
        if let Some(name) = deleted {
            let op = self.op_for(on_delete);
            self.io.call(op, Operation::DeleteQueue { name });
        }
        Ok(())
    }
}

/// What ids of messages begin with.
fn tag(id: Option<&str>, destination: &str) -> Result<ByteString, Fault> {
    let (prefix, name) = id.map_or(("Q_", destination), |id| ("T_", id));
    if name.len() > ID_MAX {
        let detail = format_args!("A subscription's identifier has at most {ID_MAX} octets\n");
        return Err(Fault::new("Invalid id", detail));
    }
    Ok([prefix, name].concat().into())
}

/// Arguments of a consumer.
fn consumer_arguments(frame: &Frame) -> Result<Bytes, Fault> {
    let Some(priority) = frame.header("x-priority") else { return Ok(Bytes::new()) };
    let number = priority.trim().parse().map_err(|_| {
        Fault::processing(format_args!(
            "the header 'x-priority' is '{}', which is not a number\n",
            shown(&priority)
        ))
    })?;
    let mut arguments = bytes::BytesMut::new();
    crate::message::put_number(&mut arguments, "x-priority", number);
    Ok(arguments.freeze())
}
