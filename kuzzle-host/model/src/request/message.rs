//! Reading a request from a JSON message.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::fields::Fields;
use super::{Malformed, Request};
use crate::{ApiError, Limits};

pub(super) fn read(message: &[u8], limits: &Limits) -> Result<Request, Malformed> {
    let mut fields = Fields::default();
    match read_fields(message, limits, &mut fields) {
        Ok(()) => fields.into_request(),
        Err(error) => Err(fields.into_malformed(error)),
    }
}

fn read_fields(message: &[u8], limits: &Limits, fields: &mut Fields) -> Result<(), ApiError> {
    if message.len() > limits.request_max_bytes {
        return Err(ApiError::too_large(message.len(), limits.request_max_bytes));
    }
    if let Some(kind) = kind_other_than_object(message) {
        // Told apart so that a client which sends an array is not sent looking for a syntax error.
        return Err(match serde_json::from_slice::<IgnoredAny>(message) {
            Ok(_) => ApiError::not_an_object(kind),
            Err(error) => ApiError::not_json(error),
        });
    }
    let mut deserializer = serde_json::Deserializer::from_slice(message);
    FieldsSeed(fields)
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(ApiError::not_json)
}

fn kind_other_than_object(message: &[u8]) -> Option<&'static str> {
    match message.iter().find(|byte| !byte.is_ascii_whitespace())? {
        b'{' => None,
        b'[' => Some("an array"),
        b'"' => Some("a string"),
        b't' | b'f' => Some("a boolean"),
        b'n' => Some("null"),
        _ => Some("a number"),
    }
}

/// Fills fields that outlive a parse error, so that a request id which stood before the fault is known.
struct FieldsSeed<'f>(&'f mut Fields);

impl<'de> DeserializeSeed<'de> for FieldsSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FieldsSeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a request object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let fields = self.0;
        while let Some(key) = map.next_key_seed(KeySeed)? {
            match key {
                Key::Controller => fields.controller = map.next_value()?,
                Key::Action => fields.action = map.next_value()?,
                Key::Index => fields.index = map.next_value()?,
                Key::Collection => fields.collection = map.next_value()?,
                Key::Id => fields.id = map.next_value()?,
                Key::Body => fields.body = Some(map.next_value()?),
                Key::Query => fields.query = Some(map.next_value()?),
                Key::Metadata => fields.metadata = map.next_value()?,
                Key::RequestId => fields.request_id = map.next_value()?,
                Key::Headers => fields.authorization = authorization(map.next_value()?),
                Key::State => fields.state = map.next_value()?,
                Key::Scope => fields.scope = map.next_value()?,
                Key::Users => fields.users = map.next_value()?,
                Key::ClientId => fields.client_id = map.next_value()?,
                Key::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

fn authorization(headers: Value) -> Option<String> {
    match headers {
        Value::Object(mut headers) => match headers.remove("authorization") {
            Some(Value::String(text)) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

enum Key {
    Controller,
    Action,
    Index,
    Collection,
    Id,
    Body,
    Query,
    Metadata,
    RequestId,
    Headers,
    State,
    Scope,
    Users,
    ClientId,
    Unknown,
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(match key {
            "controller" => Key::Controller,
            "action" => Key::Action,
            "index" => Key::Index,
            "collection" => Key::Collection,
            "_id" => Key::Id,
            "body" => Key::Body,
            "query" => Key::Query,
            "metadata" => Key::Metadata,
            "requestId" => Key::RequestId,
            "headers" => Key::Headers,
            "state" => Key::State,
            "scope" => Key::Scope,
            "users" => Key::Users,
            "clientId" => Key::ClientId,
            _ => Key::Unknown,
        })
    }
}
