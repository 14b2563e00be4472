//! Looking into queues, taking messages out of them, and publishing one.

use kuzzle_broker::properties::Properties;
use kuzzle_broker::{Body, PeekedMessage, Publish};
use kuzzle_model::{ApiError, Request, kind_of};
use serde_json::{Map, Value, json};

use super::{Arguments, answer, change, exchange_named, named, refused, tables};
use crate::Origin;
use crate::api::Core;
use crate::step::Step;

/// Most messages of one answer.
const MESSAGES_MAX: u64 = 1_000;
/// Bytes of bodies with which an answer is full; the message that reaches them is still in it.
const ANSWER_BYTES: usize = 4 << 20;

/// `getMessages`: up to `count` (1; 1,000 at most) messages from the head of a queue. With `requeue` (true) they stay as
/// they are, and without they are taken out for good. `truncate` shows so many bytes of each body at most.
pub(in super::super) fn get_messages(core: &Core, request: Request, _origin: &Origin) -> Step {
    let requeue = match Arguments::of(&request).flag("requeue", true) {
        Ok(requeue) => requeue,
        Err(error) => return Step::failure(request, error),
    };
    if requeue {
        let got =
            get(core, &request, |vhost, name, count| core.broker.peek(vhost, name, count, ANSWER_BYTES));
        return answer(request, got);
    }
    change(core, request, |broker, request| {
        get(core, request, |vhost, name, count| {
            let mut taken = Vec::new();
            let mut bytes = 0;
            // One by one: what is taken has to be shown.
            while taken.len() < count && bytes < ANSWER_BYTES {
                let Some(message) = broker.take(vhost, name, 1)?.pop() else { break };
                bytes += message.message.size();
                taken.push(message);
            }
            Ok(taken)
        })
    })
}

fn get(
    core: &Core,
    request: &Request,
    get: impl FnOnce(&str, &str, usize) -> Result<Vec<PeekedMessage>, kuzzle_broker::Error>,
) -> Result<Value, ApiError> {
    let arguments = Arguments::of(request);
    let (vhost, name) = named(request)?;
    let count = arguments.number("count", 1, MESSAGES_MAX, 1)?;
    let truncate = arguments.number("truncate", 0, u64::MAX, u64::MAX)?;
    let truncate = usize::try_from(truncate).unwrap_or(usize::MAX);
    let messages = get(&vhost, &name, usize::try_from(count).unwrap_or(usize::MAX)).map_err(refused)?;
    let messages: Vec<Value> = messages.iter().map(|message| shown(message, truncate)).collect();
    let ready = core.broker.queue(&vhost, &name).map_or(0, |info| info.ready);
    Ok(json!({"messages": messages, "ready": ready}))
}

fn shown(peeked: &PeekedMessage, truncate: usize) -> Value {
    let message = &peeked.message;
    let body = message.body();
    // The cut must not turn text into something else.
    let cut = body.get(..truncate).map_or(&body[..], whole_characters);
    let (payload, is_base64) = tables::text_or_base64(cut);
    json!({
        "exchange": message.exchange(),
        "payload": payload,
        "payloadBytes": body.len(),
        "payloadEncoding": if is_base64 { "base64" } else { "string" },
        "properties": properties(message.properties()),
        "publishedAt": message.published_at_ms(),
        "redelivered": peeked.redelivered,
        "routingKey": message.routing_key(),
    })
}

/// Bytes without the beginning of a character at their end.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    }
}

fn properties(bytes: &[u8]) -> Value {
    let found = Properties::parse(bytes).unwrap_or_default();
    let mut shown = Map::new();
    let texts = [
        ("appId", found.app_id),
        ("contentEncoding", found.content_encoding),
        ("contentType", found.content_type),
        ("correlationId", found.correlation_id),
        ("expiration", found.expiration),
        ("messageId", found.message_id),
        ("replyTo", found.reply_to),
        ("type", found.kind),
        ("userId", found.user_id),
    ];
    for (name, bytes) in texts.into_iter().filter_map(|(name, bytes)| Some((name, bytes?))) {
        shown.insert(name.to_owned(), tables::text_or_base64(bytes).0.into());
    }
    if let Some(headers) = found.headers {
        shown.insert("headers".to_owned(), tables::to_json(headers).into());
    }
    let numbers = [
        ("deliveryMode", found.delivery_mode.map(u64::from)),
        ("priority", found.priority.map(u64::from)),
        ("timestamp", found.timestamp),
    ];
    for (name, number) in numbers.into_iter().filter_map(|(name, number)| Some((name, number?))) {
        shown.insert(name.to_owned(), number.into());
    }
    Value::Object(shown)
}

/// `publish`: a message to an exchange (`vhost`, `name`), with `routingKey`, `payload` (a text, or bytes where
/// `payloadEncoding` is `base64`), and `properties` as [`get_messages`] shows them. Answers whether it reached a queue.
pub(in super::super) fn publish(core: &Core, request: Request, _origin: &Origin) -> Step {
    change(core, request, |broker, request| {
        let (vhost, exchange) = exchange_named(request)?;
        let arguments = Arguments::of(request);
        let routing_key = arguments.text_or_empty("routingKey")?;
        let payload = arguments.text_or_empty("payload")?;
        let body = match arguments.text("payloadEncoding")?.as_deref() {
            None | Some("string" | "") => payload.as_bytes().to_vec(),
            Some("base64") => tables::bytes_of_base64(&payload).map_err(|reason| {
                ApiError::argument_invalid("payload", format!("no base64 ({reason})"), "base64")
            })?,
            Some(other) => {
                let found = format!("`{other}`");
                return Err(ApiError::argument_invalid("payloadEncoding", found, "`string` or `base64`"));
            }
        };
        let publish = Publish {
            exchange: &exchange,
            routing_key: &routing_key,
            properties: &encoded(&*arguments.object("properties")?)?,
            body: Body::Shared(body.into()),
            mandatory: true,
            retain: false,
            dedupe: 0,
        };
        let routed = broker.publish(&vhost, &publish).map_err(refused)?;
        Ok(json!({"routed": routed}))
    })
}

/// Properties in the encoding of a message.
fn encoded(object: &Map<String, Value>) -> Result<Vec<u8>, ApiError> {
    let named = |name: &str| format!("properties.{name}");
    let mut headers = Vec::new();
    let mut properties = Properties::default();
    for (name, value) in object {
        let number = |high: u64| {
            value.as_u64().filter(|number| *number <= high).ok_or_else(|| {
                ApiError::argument_invalid(
                    named(name),
                    format!("`{value}`"),
                    format!("a whole number, at most {high}"),
                )
            })
        };
        let small = || number(u8::MAX.into()).map(|number| u8::try_from(number).unwrap_or(u8::MAX));
        let text = || match value {
            Value::String(text) if text.len() <= usize::from(u8::MAX) => Ok(Some(text.as_bytes())),
            Value::String(text) => Err(ApiError::argument_invalid(
                named(name),
                format!("a string of {} bytes", text.len()),
                "at most 255",
            )),
            other => Err(ApiError::argument_invalid(named(name), kind_of(other), "a string")),
        };
        match name.as_str() {
            "appId" => properties.app_id = text()?,
            "contentEncoding" => properties.content_encoding = text()?,
            "contentType" => properties.content_type = text()?,
            "correlationId" => properties.correlation_id = text()?,
            "deliveryMode" => properties.delivery_mode = Some(small()?),
            "expiration" => properties.expiration = text()?,
            "headers" => match value {
                Value::Object(fields) => {
                    headers = tables::from_json(fields).map_err(|reason| {
                        ApiError::argument_invalid(named(name), reason, "an object of headers")
                    })?;
                }
                other => return Err(ApiError::argument_invalid(named(name), kind_of(other), "an object")),
            },
            "messageId" => properties.message_id = text()?,
            "priority" => properties.priority = Some(small()?),
            "replyTo" => properties.reply_to = text()?,
            "timestamp" => properties.timestamp = Some(number(u64::MAX)?),
            "type" => properties.kind = text()?,
            "userId" => properties.user_id = text()?,
            unknown => {
                return Err(ApiError::argument_invalid(
                    "properties",
                    format!("an object with `{unknown}`"),
                    "the names that getMessages shows, such as `contentType` or `deliveryMode`",
                ));
            }
        }
    }
    if object.contains_key("headers") {
        properties.headers = Some(&headers);
    }
    Ok(properties.encode().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_shown_as_they_were_given() {
        let given = json!({
            "appId": "a", "contentEncoding": "utf-8", "contentType": "text/plain", "correlationId": "c",
            "deliveryMode": 2, "expiration": "1000", "headers": {"x": 1}, "messageId": "m", "priority": 3,
            "replyTo": "q", "timestamp": 1_700_000_000, "type": "t", "userId": "guest",
        });
        let bytes = encoded(given.as_object().unwrap()).unwrap();
        assert_eq!(properties(&bytes), given);
        assert_eq!(properties(&encoded(&Map::new()).unwrap()), json!({}));
    }

    #[test]
    fn wrong_properties_are_named() {
        let refused = |value: Value| encoded(value.as_object().unwrap()).unwrap_err().message;
        assert!(refused(json!({"priority": 256})).contains("`properties.priority` is `256`"));
        assert!(refused(json!({"content_type": "x"})).contains("`content_type`"));
        assert!(refused(json!({"type": "x".repeat(256)})).contains("256 bytes"));
        assert!(refused(json!({"headers": []})).contains("an array, expected an object"));
    }

    #[test]
    fn a_cut_leaves_whole_characters() {
        assert_eq!(whole_characters("aé".as_bytes()), "aé".as_bytes());
        assert_eq!(whole_characters(&"aé".as_bytes()[..2]), b"a");
        assert_eq!(whole_characters(&[0xff, b'a']), [0xff, b'a']);
    }
}
