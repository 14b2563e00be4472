//! What a session wants done, in the words of the host's broker.

use kuzzle_plugin_api::sdk::{
    Blob,
    broker::{
        self, BYTES_UNLIMITED, Bind, CONSUME_NO_ACK, CREDIT_UNLIMITED, Consume, DECLARE_ANY,
        DECLARE_AUTO_DELETE, DECLARE_DURABLE, DECLARE_EXCLUSIVE, Link, QueueDeclare, SETTLE_DONE,
        SETTLE_REJECT, SETTLE_REQUEUE,
    },
};
use kuzzle_stomp_proto::session::{Operation, Outcome, Publish, Settle};

/// A body of so many bytes is shared with the host; a smaller one is cheaper to copy, and would keep what was read with
/// it in memory.
const SHARED_MIN_BYTES: usize = 64 * 1024;

/// Starts an operation; says whether it is throttled.
pub(crate) fn call(link: &Link, op: u64, operation: &Operation) -> bool {
    match operation {
        Operation::Confirm => link.confirm(op, true),
        Operation::Credit { count } => link.credit(op, 0, *count, BYTES_UNLIMITED),
        Operation::DeclareQueue { name, durable, exclusive, auto_delete, any, arguments } => {
            let flags = flags([
                (*durable, DECLARE_DURABLE),
                (*exclusive, DECLARE_EXCLUSIVE),
                (*auto_delete, DECLARE_AUTO_DELETE),
                (*any, DECLARE_ANY),
            ]);
            let arguments = arguments[..].into();
            link.declare_queue(op, &QueueDeclare { arguments, ..QueueDeclare::new(name, flags) })
        }
        Operation::DeleteQueue { name } => link.delete_queue(op, name, 0),
        Operation::Bind { exchange, queue, key } => link.bind(op, &Bind::new(exchange, queue, key)),
        Operation::Consume { consumer, queue, tag, no_ack, credit, arguments } => {
            let consume = Consume {
                name: tag[..].into(),
                flags: flags([(*no_ack, CONSUME_NO_ACK)]),
                arguments: arguments[..].into(),
                ..Consume::new(*consumer, queue, credit.unwrap_or(CREDIT_UNLIMITED))
            };
            link.consume(op, &consume)
        }
        Operation::Cancel { consumer } => link.cancel(op, *consumer),
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
        ..broker::Publish::new(&message.exchange, &message.routing_key, body)
    }
}

/// Deliveries to settle.
pub(crate) fn settles(settlements: &[Settle]) -> Vec<broker::Settle> {
    settlements.iter().map(|settle| broker::Settle::one(settle.delivery, outcome(settle.outcome))).collect()
}

const fn outcome(outcome: Outcome) -> u32 {
    match outcome {
        Outcome::Done => SETTLE_DONE,
        Outcome::Requeue => SETTLE_REQUEUE,
        Outcome::Reject => SETTLE_REJECT,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(size: usize) -> Publish {
        Publish {
            exchange: "e".into(),
            routing_key: "k".into(),
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
    }

    #[test]
    fn settlements_keep_their_outcome() {
        let settlements =
            [Outcome::Done, Outcome::Requeue, Outcome::Reject].map(|outcome| Settle { delivery: 3, outcome });
        let expected =
            [SETTLE_DONE, SETTLE_REQUEUE, SETTLE_REJECT].map(|outcome| broker::Settle::one(3, outcome));
        assert_eq!(settles(&settlements), expected);
    }
}
