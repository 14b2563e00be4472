//! What the broker says, as events of a session.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kuzzle_mqtt_proto::session;
use kuzzle_plugin_api::sdk::broker::{Answer, Delivery, Event, Events, MESSAGE_RETAIN};

use super::{Client, OK, code};

impl Client {
    /// Tells the session what the broker has said.
    pub(super) fn tell(&mut self, events: Events) {
        let now = self.server.now();
        let mut clock = Clock::default();
        let mut more_bindings = Vec::new();
        let mut delivered = 0;
        for event in events {
            let told = match &event {
                Event::Delivery(delivery) => {
                    delivered += 1;
                    more_bindings.clear();
                    session::Event::Delivery(borrowed(delivery, &mut more_bindings, &mut clock))
                }
                Event::Answer(answer) => answered(answer),
                Event::Confirmed { sequence } => session::Event::Confirmed { up_to: *sequence },
                Event::Refused { sequence, refusal } => session::Event::Refused {
                    sequence: *sequence,
                    code: code(refusal.code),
                    text: &refusal.text,
                },
                Event::Returned { sequence, .. } => session::Event::Returned { sequence: *sequence },
                Event::Cancelled { consumer, .. } => session::Event::Cancelled { consumer: *consumer },
                Event::Binding { id, routing_key, options } => {
                    session::Event::Binding { id: *id, routing_key, options: options.as_slice() }
                }
                Event::Note { key, value } => session::Event::Note { key, value: value.as_slice() },
                // One that only receives must be able to acknowledge what it got: that is what ends an alarm.
                Event::Blocked { .. } if !self.has_published => continue,
                Event::Blocked { .. } => session::Event::Throttled,
                Event::Unblocked => session::Event::Unblocked,
                Event::Closed { refusal, taken_over } => {
                    session::Event::Closed { code: code(refusal.code), taken_over: *taken_over }
                }
            };
            self.session.handle_event(told, now);
            if matches!(event, Event::Closed { .. }) {
                // The broker will not say so any more, and what waits for it is lost either way.
                self.session.handle_event(session::Event::Unblocked, now);
            }
        }
        self.server.counts.sent.add(delivered);
    }
}

fn answered(answer: &Answer) -> session::Event<'_> {
    match &answer.result {
        Ok(done) => {
            session::Event::Answer { op: answer.op, code: OK, existed: done.existed, text: &done.name }
        }
        Err(refusal) => session::Event::Answer {
            op: answer.op,
            code: code(refusal.code),
            existed: false,
            text: &refusal.text,
        },
    }
}

fn borrowed<'a>(
    delivery: &'a Delivery,
    more_bindings: &'a mut Vec<u64>,
    clock: &mut Clock,
) -> session::Delivery<'a> {
    let parts = delivery.message.parts();
    let mut bindings = delivery.bindings();
    let binding = bindings.next().unwrap_or(0);
    more_bindings.extend(bindings);
    session::Delivery {
        delivery: delivery.number,
        consumer: delivery.consumer,
        // A tag has 16 bits.
        tag: u16::try_from(delivery.tag).unwrap_or(0),
        redelivered: delivery.redelivered,
        retained: delivery.retained,
        received: delivery.received,
        settled: delivery.settled,
        binding,
        more_bindings,
        routing_key: parts.routing_key.as_str(),
        properties: parts.properties.as_slice(),
        body: parts.body.as_slice(),
        published_retained: parts.flags & MESSAGE_RETAIN != 0,
        expires_in: (parts.expires_ms != 0).then(|| clock.until(parts.expires_ms)),
    }
}

/// The time of day, looked up once for a batch and only when it is needed.
#[derive(Default)]
struct Clock {
    now_ms: Option<u64>,
}

impl Clock {
    /// The time until `at_ms`, in milliseconds since 1970; none when it is past.
    fn until(&mut self, at_ms: u64) -> Duration {
        let now_ms = *self.now_ms.get_or_insert_with(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        });
        Duration::from_millis(at_ms.saturating_sub(now_ms))
    }
}
