//! What the host's broker has to say, in the words of a session.

use std::time::Duration;

use kuzzle_amqp_proto::session::{ConnectionEvent, LinkEvent, Message, Session, code};
use kuzzle_plugin_api::sdk::broker::{self, Answer, Delivery, Event, Refusal};

/// Tells a session what has happened on its link `link`.
pub(crate) fn tell_link(session: &mut Session, link: u64, event: Event, now: Duration) {
    let event = match &event {
        Event::Answer(Answer { op, result: Ok(done) }) => match done.got.as_deref() {
            Some(got) => LinkEvent::Got {
                op: *op,
                delivery: got.number,
                redelivered: got.redelivered,
                settled: got.settled,
                messages: done.messages,
                message: message(&got.message),
            },
            None => LinkEvent::Answer {
                op: *op,
                code: code::OK,
                text: &done.name,
                messages: done.messages,
                consumers: done.consumers,
            },
        },
        Event::Answer(Answer { op, result: Err(refusal) }) => {
            let (code, text) = reason(refusal);
            LinkEvent::Answer { op: *op, code, text, messages: 0, consumers: 0 }
        }
        Event::Delivery(Delivery { consumer, number, redelivered, settled, message: content, .. }) => {
            LinkEvent::Delivery {
                consumer: *consumer,
                delivery: *number,
                redelivered: *redelivered,
                settled: *settled,
                message: message(content),
            }
        }
        Event::Confirmed { sequence } => LinkEvent::Confirmed { up_to: *sequence },
        Event::Refused { sequence, refusal } => {
            let (code, text) = reason(refusal);
            LinkEvent::Refused { seq: *sequence, code, text }
        }
        Event::Returned { refusal, message: content, .. } => {
            let (code, text) = reason(refusal);
            LinkEvent::Returned { code, text, message: message(content) }
        }
        Event::Cancelled { consumer, .. } => LinkEvent::Cancelled { consumer: *consumer },
        Event::Closed { refusal, .. } => {
            let (code, text) = reason(refusal);
            LinkEvent::Closed { code, text }
        }
        // Of the sessions that other protocols attach, and of connections.
        Event::Binding { .. } | Event::Note { .. } | Event::Blocked { .. } | Event::Unblocked => return,
    };
    session.link_event(link, event, now);
}

/// Tells a session what has happened to its connection.
pub(crate) fn tell_connection(session: &mut Session, event: &Event, now: Duration) {
    let event = match event {
        Event::Blocked { reason } => ConnectionEvent::Blocked { reason },
        Event::Unblocked => ConnectionEvent::Unblocked,
        Event::Closed { refusal, .. } => {
            let (code, text) = reason(refusal);
            ConnectionEvent::Closed { code, text }
        }
        _ => return,
    };
    session.connection_event(event, now);
}

fn message(message: &broker::Message) -> Message<'_> {
    let parts = message.parts();
    Message {
        exchange: parts.exchange.as_str(),
        routing_key: parts.routing_key.as_str(),
        properties: parts.properties.as_slice(),
        body: parts.body.as_slice(),
    }
}

fn reason(refusal: &Refusal) -> (u16, &str) {
    (u16::try_from(refusal.code).unwrap_or(code::INTERNAL_ERROR), &refusal.text)
}
