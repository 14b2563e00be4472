//! Definitions: what there is in a broker but for its messages, in the JSON format that RabbitMQ exports and imports.
//!
//! A policy of RabbitMQ is a rule that goes on being applied. Here an import applies it once: to the queues and exchanges of
//! the same definitions, whose arguments then carry it under [`kuzzle_broker::POLICY`]; an export writes it out as a policy
//! again.

mod apply;
mod export;
mod policies;
mod read;
#[cfg(test)]
mod tests;

use kuzzle_broker::Broker;
use kuzzle_model::ApiError;
use serde_json::{Value, json};

pub(crate) use export::export;

/// Most problems that an answer lists.
const PROBLEMS_MAX: usize = 1_000;

/// Something at a place in the definitions.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Note {
    /// JSON pointer (RFC 6901).
    pointer: String,
    text: String,
}

impl Note {
    fn new(pointer: impl Into<String>, text: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), text: text.into() }
    }
}

/// Imports definitions: all of them, or none when any has a problem. Answers with what was made, what was there before, and
/// what was ignored and why.
///
/// # Errors
///
/// With every problem and its place.
pub(crate) fn import(broker: &Broker, definitions: &Value) -> Result<Value, ApiError> {
    let mut read = read::read(definitions);
    policies::apply(&mut read);
    if read.problems.is_empty() {
        // What the broker would say is asked of an empty one first, so that nothing has to be taken back.
        read.problems = apply::rehearse(broker, &mut read.wanted);
    }
    if !read.problems.is_empty() {
        return Err(refusal(read.problems));
    }
    let made = apply::apply(broker, &read.wanted).map_err(|problem| refusal(vec![problem]))?;
    let mut ignored = read.ignored;
    ignored.extend(made.ignored);
    let ignored: Vec<Value> =
        ignored.into_iter().map(|note| json!({"pointer": note.pointer, "reason": note.text})).collect();
    Ok(json!({"created": made.created, "existed": made.existed, "ignored": ignored}))
}

fn refusal(problems: Vec<Note>) -> ApiError {
    let error = ApiError::definitions_invalid(problems.len());
    let shown = problems.into_iter().take(PROBLEMS_MAX);
    error.with_errors(shown.map(|note| json!({"pointer": note.pointer, "message": note.text})).collect())
}
