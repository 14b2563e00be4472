//! Dead letters: messages that were rejected, expired or had no room, published anew by their queue.

use std::sync::Arc;

use bytes::Bytes;

use crate::broker::Core;
use crate::effects::{Dead, DeadReason, Effects};
use crate::message::{Facts, Message};
use crate::properties::Properties;
use crate::publish::Who;
use crate::queue::{Queue, Slot};
use crate::store::NewMessage;
use crate::table::{self, Value};

impl Core {
    /// Publishes a dead letter to the exchange of its queue; without that exchange it is dropped.
    pub(crate) fn dead_letter(&self, dead: Dead, fx: &mut Effects) {
        let Dead { queue, slot, reason, order } = dead;
        let message = match slot {
            Slot::Message(message) => Some(message),
            Slot::Paged(stored) => match self.read_message(&stored) {
                Ok(message) => Some(message),
                Err(error) => {
                    tracing::error!(queue = &*queue.name, %error, "a dead letter cannot be read and is lost");
                    None
                }
            },
        };
        if let Some(message) = message
            && let Some(exchange) = &queue.args.dead_letter_exchange
            && let Ok(vhost) = self.vhost(&queue.vhost)
        {
            let now = self.now();
            let headers = headers(&message, &queue, reason, now);
            let read = Properties::parse(&message.properties).unwrap_or_default();
            let properties = Properties { headers: Some(&headers), expiration: None, ..read }.encode();
            let key = queue.args.dead_letter_routing_key.clone();
            let mut facts = Facts::read(&properties, None).unwrap_or_default();
            // A key of its own is the only one.
            facts.copies &= key.is_none();
            let new = NewMessage {
                exchange: Arc::clone(exchange),
                key: key.unwrap_or_else(|| message.routing_key.clone()),
                properties,
                body: message.body.clone(),
                published_at_ms: message.published_at_ms,
                facts,
                retain: false,
            };
            let death = Headers(Bytes::from(headers));
            let keep =
                |hop: &crate::vhost::Hop| reason == DeadReason::Rejected || !death.is_cycle(&hop.queue.name);
            let origin = message.origin.clone();
            // A queue may name an exchange that is not there yet.
            let _ = self.publish_own(&vhost, new, origin, (false, Who::default()), keep, fx);
        }
        // Only now: whatever happens in between, the message is in one of the two places.
        if let Some(order) = order {
            fx.settled.push((queue.id, order));
        }
    }
}

/// The headers of a dead letter: those of the message, with `x-death` brought up to date.
fn headers(message: &Message, queue: &Queue, reason: DeadReason, now: u64) -> Vec<u8> {
    let read = Properties::parse(&message.properties).unwrap_or_default();
    let old = read.headers.unwrap_or_default();
    let deaths: Vec<&[u8]> = match table::field(old, "x-death") {
        Some(Value::Array(array)) => table::values(array)
            .filter_map(|value| match value {
                Value::Table(death) => Some(death),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    let is_this = |death: &&&[u8]| {
        let text = |name| table::field(death, name).and_then(Value::text);
        text("queue") == Some(&*queue.name) && text("reason") == Some(reason.name())
    };
    let before = deaths.iter().find(is_this);
    let mut death = Vec::new();
    match before {
        Some(before) => {
            // Everything as it was, but one more.
            for (name, value) in table::fields(before) {
                let value = match name {
                    b"count" => Value::I64(value.integer().unwrap_or(0) + 1),
                    _ => value,
                };
                table::put_short(&mut death, name);
                table::put_value(&mut death, value);
            }
        }
        None => {
            let mut keys = Vec::new();
            table::put_value(&mut keys, Value::LongString(message.routing_key.as_bytes()));
            if message.facts.copies {
                for key in crate::message::copies(&message.properties) {
                    table::put_value(&mut keys, Value::LongString(key.as_bytes()));
                }
            }
            table::put(&mut death, "count", Value::I64(1));
            table::put(&mut death, "reason", Value::LongString(reason.name().as_bytes()));
            table::put(&mut death, "queue", Value::LongString(queue.name.as_bytes()));
            table::put(&mut death, "time", Value::Timestamp(now / 1000));
            table::put(&mut death, "exchange", Value::LongString(message.exchange.as_bytes()));
            table::put(&mut death, "routing-keys", Value::Array(&keys));
            if let Some(expiration) = read.expiration {
                table::put(&mut death, "original-expiration", Value::LongString(expiration));
            }
        }
    }
    let mut array = Vec::new();
    table::put_value(&mut array, Value::Table(&death));
    for other in deaths.iter().filter(|death| !is_this(death)) {
        table::put_value(&mut array, Value::Table(other));
    }
    let mut headers = Vec::with_capacity(old.len() + array.len() + 128);
    for (name, value) in table::fields(old).filter(|(name, _)| *name != b"x-death") {
        table::put_short(&mut headers, name);
        table::put_value(&mut headers, value);
    }
    table::put(&mut headers, "x-death", Value::Array(&array));
    if table::field(old, "x-first-death-reason").is_none() {
        table::put(&mut headers, "x-first-death-exchange", Value::LongString(message.exchange.as_bytes()));
        table::put(&mut headers, "x-first-death-queue", Value::LongString(queue.name.as_bytes()));
        table::put(&mut headers, "x-first-death-reason", Value::LongString(reason.name().as_bytes()));
    }
    headers
}

/// The headers of a dead letter.
struct Headers(Bytes);

impl Headers {
    /// Whether the message has been in that queue before and no consumer has rejected it since: then it would go round
    /// for ever.
    fn is_cycle(&self, queue: &str) -> bool {
        let Some(Value::Array(array)) = table::field(&self.0, "x-death") else { return false };
        for death in table::values(array) {
            let Value::Table(death) = death else { continue };
            let text = |name| table::field(death, name).and_then(Value::text);
            if text("reason") == Some(DeadReason::Rejected.name()) {
                return false;
            }
            if text("queue") == Some(queue) {
                return true;
            }
        }
        false
    }
}
