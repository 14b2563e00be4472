//! What a session wants done, in the words of the host's broker.

use kuzzle_amqp_proto::session::{Binding, Operation, Outcome, Publish, Settle};
use kuzzle_plugin_api::sdk::{
    Blob,
    broker::{
        self, BIND_TO_EXCHANGE, BYTES_UNLIMITED, Bind, CONSUME_EXCLUSIVE, CONSUME_NO_ACK, CREDIT_UNLIMITED,
        Consume, DECLARE_AUTO_DELETE, DECLARE_DURABLE, DECLARE_EXCLUSIVE, DECLARE_INTERNAL, DECLARE_PASSIVE,
        DELETE_IF_EMPTY, DELETE_IF_UNUSED, ExchangeDeclare, Link, PUBLISH_MANDATORY, QueueDeclare,
        SETTLE_DONE, SETTLE_MULTIPLE, SETTLE_REJECT, SETTLE_REQUEUE,
    },
};

/// A body of so many bytes is shared with the host; a smaller one is cheaper to copy, and would keep what was read with
/// it in memory.
const SHARED_MIN_BYTES: usize = 64 * 1024;

/// The links of a connection, one for each open channel. A session and the broker number them apart, but both upwards.
pub(crate) struct Links<T> {
    open: Vec<Entry<T>>,
}

struct Entry<T> {
    id: u64,
    link: Link,
    _kept: T,
}

impl<T> Links<T> {
    /// No links.
    pub(crate) const fn new() -> Links<T> {
        Links { open: Vec::new() }
    }

    /// Adds a link that the session calls `id`, with something that is kept as long as it is.
    pub(crate) fn add(&mut self, id: u64, link: Link, kept: T) {
        self.open.push(Entry { id, link, _kept: kept });
    }

    /// The link that the session calls `id`.
    pub(crate) fn get(&self, id: u64) -> Option<&Link> {
        let index = self.open.binary_search_by_key(&id, |entry| entry.id).ok()?;
        self.open.get(index).map(|entry| &entry.link)
    }

    /// Closes the link that the session calls `id`.
    pub(crate) fn close(&mut self, id: u64) {
        if let Ok(index) = self.open.binary_search_by_key(&id, |entry| entry.id) {
            self.open.remove(index);
            if self.open.is_empty() {
                self.open = Vec::new();
            }
        }
    }

    /// What the session calls the link that the broker calls `id`.
    pub(crate) fn known_as(&self, id: u64) -> Option<u64> {
        let index = self.open.binary_search_by_key(&id, |entry| entry.link.id()).ok()?;
        self.open.get(index).map(|entry| entry.id)
    }
}

/// Starts an operation; says whether it is throttled.
pub(crate) fn call(link: &Link, op: u64, operation: &Operation) -> bool {
    match operation {
        Operation::Confirm => link.confirm(op, true),
        Operation::DeclareExchange { name, kind, passive, durable, auto_delete, internal, arguments } => {
            let flags = flags([
                (*passive, DECLARE_PASSIVE),
                (*durable, DECLARE_DURABLE),
                (*auto_delete, DECLARE_AUTO_DELETE),
                (*internal, DECLARE_INTERNAL),
            ]);
            let arguments = arguments.raw()[..].into();
            link.declare_exchange(
                op,
                &ExchangeDeclare { arguments, ..ExchangeDeclare::new(name, kind, flags) },
            )
        }
        Operation::DeleteExchange { name, if_unused } => {
            link.delete_exchange(op, name, flags([(*if_unused, DELETE_IF_UNUSED)]))
        }
        Operation::DeclareQueue { name, passive, durable, exclusive, auto_delete, arguments } => {
            let flags = flags([
                (*passive, DECLARE_PASSIVE),
                (*durable, DECLARE_DURABLE),
                (*exclusive, DECLARE_EXCLUSIVE),
                (*auto_delete, DECLARE_AUTO_DELETE),
            ]);
            let arguments = arguments.raw()[..].into();
            link.declare_queue(op, &QueueDeclare { arguments, ..QueueDeclare::new(name, flags) })
        }
        Operation::DeleteQueue { name, if_unused, if_empty } => {
            let flags = flags([(*if_unused, DELETE_IF_UNUSED), (*if_empty, DELETE_IF_EMPTY)]);
            link.delete_queue(op, name, flags)
        }
        Operation::PurgeQueue { name } => link.purge_queue(op, name),
        Operation::Bind(binding) => link.bind(op, &bind(binding)),
        Operation::Unbind(binding) => link.unbind(op, &bind(binding)),
        Operation::Consume { consumer, queue, tag, no_ack, exclusive, credit, arguments } => {
            let consume = Consume {
                name: tag[..].into(),
                flags: flags([(*no_ack, CONSUME_NO_ACK), (*exclusive, CONSUME_EXCLUSIVE)]),
                arguments: arguments.raw()[..].into(),
                ..Consume::new(*consumer, queue, credit.unwrap_or(CREDIT_UNLIMITED))
            };
            link.consume(op, &consume)
        }
        Operation::Cancel { consumer } => link.cancel(op, *consumer),
        Operation::Get { queue, no_ack } => link.get(op, queue, *no_ack),
        Operation::Credit { count } => link.credit(op, 0, *count, BYTES_UNLIMITED),
    }
}

fn bind(binding: &Binding) -> Bind<'_> {
    Bind {
        arguments: binding.arguments.raw()[..].into(),
        flags: flags([(binding.to_exchange, BIND_TO_EXCHANGE)]),
        ..Bind::new(&binding.source, &binding.destination, &binding.routing_key)
    }
}

fn flags<const N: usize>(flags: [(bool, u32); N]) -> u32 {
    flags.into_iter().filter(|(is_set, _)| *is_set).fold(0, |flags, (_, flag)| flags | flag)
}

/// Messages to publish.
pub(crate) fn publishes(messages: &[Publish]) -> Vec<broker::Publish<'_>> {
    messages.iter().map(publish).collect()
}

fn publish(message: &Publish) -> broker::Publish<'_> {
    let is_shared = message.body.len() >= SHARED_MIN_BYTES;
    let (body, shared) = if is_shared {
        (&[][..], Blob::from_owner(message.body.clone()))
    } else {
        (&message.body[..], Blob::empty())
    };
    broker::Publish {
        properties: message.properties[..].into(),
        shared,
        flags: flags([(message.mandatory, PUBLISH_MANDATORY)]),
        ..broker::Publish::new(&message.exchange, &message.routing_key, body)
    }
}

/// Deliveries to settle.
pub(crate) fn settles(settlements: &[Settle]) -> Vec<broker::Settle> {
    settlements.iter().map(settle).collect()
}

fn settle(settle: &Settle) -> broker::Settle {
    let outcome = match settle.outcome {
        Outcome::Done => SETTLE_DONE,
        Outcome::Requeue => SETTLE_REQUEUE,
        Outcome::Reject => SETTLE_REJECT,
    };
    broker::Settle { delivery: settle.delivery, outcome, flags: flags([(settle.multiple, SETTLE_MULTIPLE)]) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(size: usize) -> Publish {
        Publish {
            exchange: "e".into(),
            routing_key: "k".into(),
            mandatory: size == 0,
            properties: Bytes::from_static(&[0, 0]),
            body: vec![7; size].into(),
        }
    }

    #[test]
    fn only_a_large_body_is_shared() {
        let messages = [message(0), message(SHARED_MIN_BYTES - 1), message(SHARED_MIN_BYTES)];
        let publishes = publishes(&messages);
        let sizes: Vec<_> =
            publishes.iter().map(|publish| (publish.body.len(), publish.shared.as_slice().len())).collect();
        assert_eq!(sizes, [(0, 0), (SHARED_MIN_BYTES - 1, 0), (0, SHARED_MIN_BYTES)]);
        for (message, publish) in messages.iter().zip(&publishes) {
            assert_eq!(publish.body(), &message.body[..]);
            assert_eq!((&publish.exchange[..], &publish.routing_key[..]), ("e", "k"));
            assert_eq!(publish.properties.as_slice(), [0, 0]);
        }
        let flags: Vec<_> = publishes.iter().map(|publish| publish.flags).collect();
        assert_eq!(flags, [PUBLISH_MANDATORY, 0, 0]);
    }

    #[test]
    fn settlements_keep_their_outcome() {
        let settlement = |delivery, outcome, multiple| settle(&Settle { delivery, outcome, multiple });
        let expected = |delivery, outcome, flags| broker::Settle { delivery, outcome, flags };
        assert_eq!(settlement(1, Outcome::Done, true), expected(1, SETTLE_DONE, SETTLE_MULTIPLE));
        assert_eq!(settlement(2, Outcome::Requeue, false), expected(2, SETTLE_REQUEUE, 0));
        assert_eq!(settlement(3, Outcome::Reject, false), expected(3, SETTLE_REJECT, 0));
    }
}
