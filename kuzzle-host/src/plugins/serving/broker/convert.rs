//! Between the types of the contract and those of the broker.

use std::sync::Arc;

use bytes::Bytes;
use kuzzle_broker as core;
use kuzzle_broker::{Limit, RetainedWanted, SlowConsumer};
use kuzzle_plugin_api::abi::{
    BIND_AT_MOST_ONCE, BIND_HIDES_DOLLAR, BIND_NO_LOCAL, BYTES_UNLIMITED, Bind, Blob, CODE_OK,
    CONSUME_EXCLUSIVE, CONSUME_NO_ACK, CONSUME_WITH_BINDINGS, CREDIT_UNLIMITED, Consume, DECLARE_ANY,
    DECLARE_AUTO_DELETE, DECLARE_DURABLE, DECLARE_EXCLUSIVE, DECLARE_INTERNAL, DECLARE_PASSIVE, EVENT_ANSWER,
    ExchangeDeclare, FLAG_EMPTY, FLAG_EXISTED, FLAG_RECEIVED, FLAG_REDELIVERED, FLAG_RETAINED, FLAG_SETTLED,
    FLAG_TAKEN_OVER, LINK_STOPS_AT_ERROR, LinkEvent, LinkOptions, MESSAGE_RETAIN, Message, MessageParts,
    MessageSource, OVERFLOW_CLOSE, OVERFLOW_DROP_NEWEST, OVERFLOW_DROP_OLDEST, PUBLISH_MANDATORY,
    PUBLISH_RETAIN, Publish, QueueDeclare, RETAINED_ALWAYS, RETAINED_IF_NEW, SETTLE_DONE, SETTLE_MULTIPLE,
    SETTLE_RECEIVED, SETTLE_REQUEUE, SessionAttach, Settle,
};

/// How the broker's messages are shown to plugins.
struct Shown;

impl MessageSource for Shown {
    type Owner = core::Message;

    fn parts(owner: &core::Message) -> MessageParts<'_> {
        MessageParts {
            exchange: owner.exchange().into(),
            routing_key: owner.routing_key().into(),
            properties: owner.properties()[..].into(),
            body: owner.body()[..].into(),
            received_ms: owner.published_at_ms(),
            expires_ms: owner.expires_at_ms().unwrap_or_default(),
            flags: if owner.is_retained() { MESSAGE_RETAIN } else { 0 },
        }
    }
}

fn message(message: Arc<core::Message>) -> Message {
    Message::share::<Shown>(message)
}

pub(super) fn link_options(id: u64, options: LinkOptions) -> core::LinkOptions {
    let default = core::LinkOptions::default();
    core::LinkOptions {
        id,
        stops_at_error: options.flags & LINK_STOPS_AT_ERROR != 0,
        outbox_max: match options.outbox_events {
            0 => default.outbox_max,
            events => events as usize,
        },
        outbox_max_bytes: match options.outbox_bytes {
            0 => default.outbox_max_bytes,
            bytes => bytes,
        },
    }
}

/// Calls `with` with the messages as the broker takes them. Small batches need no allocation.
pub(super) fn with_publishes<T>(messages: &[Publish<'_>], with: impl FnOnce(&[core::Publish<'_>]) -> T) -> T {
    match messages {
        [one] => with(&[publish(one)]),
        many => with(&many.iter().map(publish).collect::<Vec<_>>()),
    }
}

fn publish<'a>(publish: &'a Publish<'a>) -> core::Publish<'a> {
    core::Publish {
        exchange: publish.exchange.as_str(),
        routing_key: publish.routing_key.as_str(),
        properties: publish.properties.as_slice(),
        body: if publish.body.is_empty() && !publish.shared.as_slice().is_empty() {
            core::Body::Shared(Bytes::from_owner(publish.shared.clone()))
        } else {
            core::Body::Borrowed(publish.body.as_slice())
        },
        mandatory: publish.flags & PUBLISH_MANDATORY != 0,
        retain: publish.flags & PUBLISH_RETAIN != 0,
        dedupe: publish.dedupe,
    }
}

pub(super) fn settles(settles: &[Settle]) -> Vec<core::Settle> {
    let one = |settle: &Settle| core::Settle {
        delivery: settle.delivery,
        multiple: settle.flags & SETTLE_MULTIPLE != 0,
        outcome: match settle.outcome {
            SETTLE_RECEIVED => core::Outcome::Received,
            SETTLE_DONE => core::Outcome::Done,
            SETTLE_REQUEUE => core::Outcome::Requeue,
            // An outcome of a later contract is none of a message that is done with.
            _ => core::Outcome::Reject,
        },
    };
    settles.iter().map(one).collect()
}

pub(super) fn exchange<'a>(declare: &'a ExchangeDeclare<'a>) -> core::ExchangeDeclare<'a> {
    let is = |flag: u32| declare.flags & flag != 0;
    core::ExchangeDeclare {
        name: declare.name.as_str(),
        kind: declare.kind.as_str(),
        passive: is(DECLARE_PASSIVE),
        durable: is(DECLARE_DURABLE),
        auto_delete: is(DECLARE_AUTO_DELETE),
        internal: is(DECLARE_INTERNAL),
        arguments: declare.arguments.as_slice(),
    }
}

pub(super) fn queue<'a>(declare: &'a QueueDeclare<'a>) -> core::QueueDeclare<'a> {
    let is = |flag: u32| declare.flags & flag != 0;
    core::QueueDeclare {
        name: declare.name.as_str(),
        passive: is(DECLARE_PASSIVE),
        durable: is(DECLARE_DURABLE),
        auto_delete: is(DECLARE_AUTO_DELETE),
        exclusive: is(DECLARE_EXCLUSIVE),
        any: is(DECLARE_ANY),
        arguments: declare.arguments.as_slice(),
    }
}

pub(super) fn bind<'a>(bind: &'a Bind<'a>, to_exchange: bool) -> core::Bind<'a> {
    let is = |flag: u32| bind.flags & flag != 0;
    core::Bind {
        source: bind.source.as_str(),
        destination: bind.destination.as_str(),
        to_exchange,
        routing_key: bind.routing_key.as_str(),
        arguments: bind.arguments.as_slice(),
        options: core::BindingOptions {
            id: bind.id,
            no_local: is(BIND_NO_LOCAL),
            at_most_once: is(BIND_AT_MOST_ONCE),
            hides_dollar: is(BIND_HIDES_DOLLAR),
            sees_reserved: false,
            opaque: Bytes::copy_from_slice(bind.options.as_slice()),
        },
        retained: match bind.retained {
            RETAINED_ALWAYS => RetainedWanted::Always,
            RETAINED_IF_NEW => RetainedWanted::IfNew,
            _ => RetainedWanted::Never,
        },
    }
}

pub(super) fn credit(count: u32, bytes: u64) -> core::Credit {
    core::Credit {
        count: (count != CREDIT_UNLIMITED).then_some(count),
        bytes: (bytes != BYTES_UNLIMITED).then_some(bytes),
    }
}

pub(super) fn consume<'a>(consume: &'a Consume<'a>) -> core::Consume<'a> {
    let is = |flag: u32| consume.flags & flag != 0;
    core::Consume {
        consumer: consume.consumer,
        queue: consume.queue.as_str(),
        name: consume.name.as_str(),
        no_ack: is(CONSUME_NO_ACK),
        exclusive: is(CONSUME_EXCLUSIVE),
        with_bindings: is(CONSUME_WITH_BINDINGS),
        credit: credit(consume.credit, consume.credit_bytes),
        limit: Limit {
            count: consume.limit_events,
            bytes: consume.limit_bytes,
            beyond: match consume.overflow {
                OVERFLOW_DROP_NEWEST => SlowConsumer::DropNewest,
                OVERFLOW_DROP_OLDEST => SlowConsumer::DropOldest,
                OVERFLOW_CLOSE => SlowConsumer::Close,
                _ => SlowConsumer::Wait,
            },
        },
        arguments: consume.arguments.as_slice(),
    }
}

pub(super) fn session<'a>(session: &'a SessionAttach<'a>) -> core::SessionAttach<'a> {
    core::SessionAttach {
        name: session.name.as_str(),
        queue: session.queue.as_str(),
        arguments: session.arguments.as_slice(),
        expiry_secs: session.expiry_secs,
        durable: session.durable,
        clean: session.clean,
        will: session.has_will.then(|| publish(&session.will)),
        will_delay_secs: session.will_delay_secs,
    }
}

/// An event as plugins see it; none for one that this contract has no word for.
pub(super) fn event(event: core::LinkEvent) -> Option<LinkEvent> {
    let number = |error: &core::Error| u32::from(error.code.number());
    Some(match event {
        core::LinkEvent::Answer(answer) => match answer.result {
            Ok(done) => LinkEvent {
                kind: EVENT_ANSWER,
                code: CODE_OK,
                op: answer.op,
                flags: flag(done.existed, FLAG_EXISTED) | flag(done.empty, FLAG_EMPTY),
                messages: done.messages,
                consumers: done.consumers,
                text: done.name.as_deref().unwrap_or_default().into(),
                ..LinkEvent::default()
            },
            Err(error) => LinkEvent::failed(answer.op, number(&error), error.to_string()),
        },
        core::LinkEvent::Got(got) => {
            let flags = flag(got.settled, FLAG_SETTLED) | flag(got.redelivered, FLAG_REDELIVERED);
            LinkEvent::got(got.op, got.delivery, flags, got.left, message(got.message))
        }
        core::LinkEvent::Delivery(delivery) => {
            let flags = flag(delivery.settled, FLAG_SETTLED)
                | flag(delivery.redelivered, FLAG_REDELIVERED)
                | flag(delivery.retained, FLAG_RETAINED)
                | flag(delivery.received, FLAG_RECEIVED);
            let (consumer, number, tag) = (delivery.consumer, delivery.delivery, u32::from(delivery.tag));
            let mut event = LinkEvent::delivery(consumer, number, flags, tag, message(delivery.message));
            if let Some([first, more @ ..]) = delivery.bindings.as_deref() {
                event.binding = *first;
                event.more_bindings = more.to_vec().into();
            }
            event
        }
        core::LinkEvent::ConfirmedUpTo(sequence) => LinkEvent::confirmed(sequence),
        core::LinkEvent::Refused { seq, error } => LinkEvent::refused(seq, number(&error), error.to_string()),
        core::LinkEvent::Returned { seq, message: returned } => LinkEvent::returned(seq, message(returned)),
        core::LinkEvent::Cancelled { consumer, error } => {
            LinkEvent::cancelled(consumer, number(&error), error.to_string())
        }
        core::LinkEvent::Binding(binding) => {
            let (key, options) = (&*binding.routing_key, Blob::from(binding.options.to_vec()));
            LinkEvent::binding(binding.id, key, options)
        }
        core::LinkEvent::Note { key, value } => LinkEvent::note(&*key, Blob::from(value.to_vec())),
        core::LinkEvent::Blocked(reason) => LinkEvent::blocked(reason),
        core::LinkEvent::Unblocked => LinkEvent::unblocked(),
        core::LinkEvent::Closed { error, taken_over } => {
            LinkEvent::closed(number(&error), error.to_string(), flag(taken_over, FLAG_TAKEN_OVER))
        }
        _ => return None,
    })
}

fn flag(is: bool, flag: u32) -> u32 {
    if is { flag } else { 0 }
}
