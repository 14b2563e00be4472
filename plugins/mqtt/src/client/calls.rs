//! What a session asks of the broker, as calls of a link.

use bytes::{BufMut, Bytes};
use kuzzle_mqtt_proto::{
    session::{self, Action, Attach, Outcome, PublishBatch, Retained, SESSION_CONSUMER},
    topic::EXCHANGE,
};
use kuzzle_plugin_api::sdk::broker::{
    Accepted, BIND_AT_MOST_ONCE, BIND_HIDES_DOLLAR, BIND_NO_LOCAL, BYTES_UNLIMITED, Bind, CONSUME_NO_ACK,
    CONSUME_WITH_BINDINGS, CREDIT_UNLIMITED, Consume, DECLARE_ANY, DECLARE_AUTO_DELETE, DECLARE_DURABLE,
    DETACH_WITH_WILL, Link, OVERFLOW_DROP_NEWEST, PUBLISH_MANDATORY, PUBLISH_RETAIN, Publish, QueueDeclare,
    RETAINED_ALWAYS, RETAINED_IF_NEW, RETAINED_NONE, SETTLE_DONE, SETTLE_RECEIVED, SETTLE_REJECT,
    SETTLE_REQUEUE, SessionAttach, Settle,
};

/// Publishes a batch.
pub(super) fn publish(link: &Link, batch: &PublishBatch) -> Accepted {
    let messages: Vec<Publish<'_>> = batch.messages.iter().map(message).collect();
    link.publish(batch.first_sequence, &messages)
}

/// Makes one call. Whether the broker is throttled. Actions that are no calls of a link do nothing.
pub(super) fn call(link: &Link, action: &Action) -> bool {
    match action {
        Action::Attach(attach) => self::attach(link, attach),
        Action::Consume(consume) => self::consume(link, consume),
        Action::Cancel { op, consumer } => link.cancel(*op, *consumer),
        Action::Credit { count } => link.credit(0, 0, u32::from(*count), BYTES_UNLIMITED),
        Action::DeclareQueue(declare) => declare_queue(link, declare),
        Action::Bind(bind) => self::bind(link, bind),
        Action::Unbind { op, id, queue } => {
            link.unbind(*op, &Bind { id: *id, ..Bind::new(EXCHANGE, queue, "") })
        }
        Action::Note { key, value } => link.note_session(0, key, value),
        Action::Settle { op, settlements } => {
            let settles: Vec<Settle> = settlements
                .iter()
                .map(|settlement| Settle::one(settlement.delivery, outcome(settlement.outcome)))
                .collect();
            link.settle(*op, &settles)
        }
        Action::Forget { op, keys } => {
            let keys: Vec<u32> = keys.iter().copied().map(u32::from).collect();
            link.forget(*op, &keys)
        }
        Action::Detach { with_will, expiry_secs } => {
            let flags = if *with_will { DETACH_WITH_WILL } else { 0 };
            link.detach_session(0, flags, *expiry_secs)
        }
        Action::Publish(_)
        | Action::Authenticate(_)
        | Action::Enter { .. }
        | Action::OpenLink
        | Action::Close => false,
    }
}

fn message(publish: &session::Publish) -> Publish<'_> {
    let mut flags = 0;
    if publish.mandatory {
        flags |= PUBLISH_MANDATORY;
    }
    if publish.retain {
        flags |= PUBLISH_RETAIN;
    }
    Publish {
        properties: publish.properties[..].into(),
        flags,
        dedupe: u32::from(publish.dedupe),
        ..Publish::new(EXCHANGE, &publish.routing_key, &publish.body)
    }
}

fn attach(link: &Link, attach: &Attach) -> bool {
    let mut session = SessionAttach {
        expiry_secs: attach.expiry_secs,
        durable: attach.durable,
        clean: attach.clean,
        ..SessionAttach::new(&attach.name, &attach.queue)
    };
    if let Some(will) = &attach.will {
        session.has_will = true;
        session.will = message(&will.publish);
        session.will_delay_secs = will.delay_secs;
    }
    link.attach_session(attach.op, &session)
}

fn consume(link: &Link, consume: &session::Consume) -> bool {
    let mut flags = 0;
    if consume.consumer == SESSION_CONSUMER {
        flags |= CONSUME_WITH_BINDINGS;
    }
    if consume.no_ack {
        flags |= CONSUME_NO_ACK;
    }
    let credit = if consume.no_ack { CREDIT_UNLIMITED } else { u32::from(consume.credit) };
    let consume_all = Consume {
        flags,
        overflow: OVERFLOW_DROP_NEWEST,
        limit_events: consume.limit_events,
        limit_bytes: consume.limit_bytes,
        ..Consume::new(consume.consumer, &consume.queue, credit)
    };
    link.consume(consume.op, &consume_all)
}

fn declare_queue(link: &Link, declare: &session::DeclareQueue) -> bool {
    let (flags, arguments) = match declare.expires_ms {
        Some(expires_ms) => (DECLARE_ANY | DECLARE_DURABLE, x_expires(expires_ms)),
        None => (DECLARE_ANY | DECLARE_AUTO_DELETE, Bytes::new()),
    };
    let queue = QueueDeclare { arguments: arguments[..].into(), ..QueueDeclare::new(&declare.name, flags) };
    link.declare_queue(declare.op, &queue)
}

/// The AMQP field table `{"x-expires": milliseconds}`, without its length.
fn x_expires(milliseconds: u64) -> Bytes {
    const NAME: &[u8] = b"\x09x-expires";
    let mut table = Vec::with_capacity(NAME.len() + 9);
    table.put_slice(NAME);
    table.put_u8(b'l');
    table.put_u64(milliseconds);
    table.into()
}

fn bind(link: &Link, bind: &session::Bind) -> bool {
    // [MQTT-4.7.2-1]
    let mut flags = BIND_HIDES_DOLLAR;
    if bind.no_local {
        flags |= BIND_NO_LOCAL;
    }
    if bind.at_most_once {
        flags |= BIND_AT_MOST_ONCE;
    }
    let retained = match bind.retained {
        Retained::None => RETAINED_NONE,
        Retained::Always => RETAINED_ALWAYS,
        Retained::IfNew => RETAINED_IF_NEW,
    };
    let binding = Bind {
        id: bind.id,
        options: bind.options[..].into(),
        retained,
        flags,
        ..Bind::new(EXCHANGE, &bind.queue, &bind.routing_key)
    };
    link.bind(bind.op, &binding)
}

const fn outcome(outcome: Outcome) -> u32 {
    match outcome {
        Outcome::Received => SETTLE_RECEIVED,
        Outcome::Done => SETTLE_DONE,
        Outcome::Requeue => SETTLE_REQUEUE,
        Outcome::Reject => SETTLE_REJECT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expiry_of_a_queue_is_a_field_table() {
        assert_eq!(&x_expires(86_400_000)[..], b"\x09x-expiresl\0\0\0\0\x05\x26\x5c\x00");
    }

    #[test]
    fn a_message_goes_to_the_exchange_of_all_topics_with_its_flags() {
        let publish = session::Publish {
            routing_key: "a.b".into(),
            properties: Bytes::from_static(b"\0\0"),
            body: Bytes::from_static(b"body"),
            retain: true,
            mandatory: true,
            dedupe: 7,
        };
        let message = message(&publish);
        assert_eq!((&*message.exchange, &*message.routing_key), ("amq.topic", "a.b"));
        assert_eq!((&message.properties[..], message.body()), (&b"\0\0"[..], &b"body"[..]));
        assert_eq!((message.flags, message.dedupe), (PUBLISH_MANDATORY | PUBLISH_RETAIN, 7));
    }
}
