//! What the host's broker has to say, in the words of a session.

use std::time::Duration;

use kuzzle_plugin_api::sdk::broker::{self, Answer, CODE_INTERNAL_ERROR, CODE_OK, Delivery, Event, Refusal};
use kuzzle_stomp_proto::session::{Entered, LinkEvent, Message, Session};

/// Tells a session what has happened on its link.
pub(crate) fn tell(session: &mut Session, event: &Event, now: Duration) {
    let event = match event {
        Event::Answer(Answer { op, result: Ok(_) }) => {
            LinkEvent::Answer { op: *op, code: short(CODE_OK), text: "" }
        }
        Event::Answer(Answer { op, result: Err(refusal) }) => {
            LinkEvent::Answer { op: *op, code: short(refusal.code), text: &refusal.text }
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
            LinkEvent::Refused { seq: *sequence, code: short(refusal.code), text: &refusal.text }
        }
        Event::Cancelled { consumer, .. } => LinkEvent::Cancelled { consumer: *consumer },
        Event::Closed { refusal, .. } => LinkEvent::Closed { code: short(refusal.code), text: &refusal.text },
        // Of mandatory messages and of the sessions that other protocols attach, and of connections.
        Event::Returned { .. }
        | Event::Binding { .. }
        | Event::Note { .. }
        | Event::Blocked { .. }
        | Event::Unblocked => return,
    };
    session.link_event(event, now);
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

fn short(code: u32) -> u16 {
    u16::try_from(code).unwrap_or(CODE_INTERNAL_ERROR as u16)
}

/// Whether there is no such virtual host, or the user may not enter it. AMQP's code is the same for both.
pub(crate) fn entered(result: &Result<(), Refusal>) -> Entered {
    match result {
        Ok(()) => Entered::Yes,
        Err(refusal) if refusal.text.ends_with("not found") => Entered::NotFound,
        Err(_) => Entered::Barred,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_host_that_is_not_there_is_told_from_one_that_is_barred() {
        let refused = |text: &str| Err(Refusal { code: 530, text: text.into() });
        assert_eq!(entered(&Ok(())), Entered::Yes);
        assert_eq!(entered(&refused("NOT_ALLOWED - vhost /x not found")), Entered::NotFound);
        let barred = "NOT_ALLOWED - access to vhost '/' refused for user 'guest'";
        assert_eq!(entered(&refused(barred)), Entered::Barred);
    }
}
