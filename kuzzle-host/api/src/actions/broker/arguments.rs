//! Reading what an operator's request asks for: from JSON, where numbers are numbers, and from a query string, where
//! everything is text.

use std::borrow::Cow;

use kuzzle_broker::{Code, Error};
use kuzzle_model::{ApiError, Request, kind_of};
use serde_json::{Map, Value};

use super::tables;

/// The arguments of a request: the fields of its body.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'a>(Option<&'a Map<String, Value>>);

impl<'a> Arguments<'a> {
    /// The arguments of a request; a body that is no object has none.
    pub(crate) fn of(request: &'a Request) -> Self {
        Self(request.body.as_object())
    }

    fn get(self, name: &str) -> Option<&'a Value> {
        self.0.and_then(|fields| fields.get(name)).filter(|value| !value.is_null())
    }

    /// A text; a number is its decimal text.
    pub(crate) fn text(self, name: &str) -> Result<Option<Cow<'a, str>>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(Cow::Borrowed(text))),
            Some(Value::Number(number)) => Ok(Some(Cow::Owned(number.to_string()))),
            Some(other) => Err(ApiError::argument_invalid(name, kind_of(other), "a string")),
        }
    }

    /// A text that has to be there, and not empty.
    pub(crate) fn needed(self, name: &str) -> Result<Cow<'a, str>, ApiError> {
        self.text(name)?.filter(|text| !text.is_empty()).ok_or_else(|| ApiError::argument_needed(name))
    }

    /// A text, empty when it is not there.
    pub(crate) fn text_or_empty(self, name: &str) -> Result<Cow<'a, str>, ApiError> {
        Ok(self.text(name)?.unwrap_or_default())
    }

    /// `true` or `false`; `default` when it is not there.
    pub(crate) fn flag(self, name: &str, default: bool) -> Result<bool, ApiError> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text == "true" || text.is_empty() => Ok(true),
            Some(Value::String(text)) if text == "false" => Ok(false),
            Some(Value::String(text)) => {
                Err(ApiError::argument_invalid(name, format!("`{text}`"), "`true` or `false`"))
            }
            Some(other) => Err(ApiError::argument_invalid(name, kind_of(other), "`true` or `false`")),
        }
    }

    /// A whole number from `low` to `high`; `default` when it is not there.
    pub(crate) fn number(self, name: &str, low: u64, high: u64, default: u64) -> Result<u64, ApiError> {
        let expected = || format!("a whole number from {low} to {high}");
        let (number, shown) = match self.get(name) {
            None => return Ok(default),
            Some(Value::String(text)) => (text.parse().ok(), format!("`{text}`")),
            Some(Value::Number(number)) => (number.as_u64(), format!("`{number}`")),
            Some(other) => return Err(ApiError::argument_invalid(name, kind_of(other), expected())),
        };
        match number.filter(|number| (low..=high).contains(number)) {
            Some(number) => Ok(number),
            None => Err(ApiError::argument_invalid(name, shown, expected())),
        }
    }

    /// An object, empty when it is not there.
    pub(crate) fn object(self, name: &str) -> Result<Cow<'a, Map<String, Value>>, ApiError> {
        match self.get(name) {
            None => Ok(Cow::Owned(Map::new())),
            Some(Value::Object(fields)) => Ok(Cow::Borrowed(fields)),
            Some(other) => Err(ApiError::argument_invalid(name, kind_of(other), "an object")),
        }
    }

    /// An object as a field table of the broker.
    pub(crate) fn table(self, name: &str) -> Result<Vec<u8>, ApiError> {
        tables::from_json(&*self.object(name)?)
            .map_err(|reason| ApiError::argument_invalid(name, reason, "an object of arguments"))
    }
}

/// What the broker refused, with the status that fits.
pub(crate) fn refused(error: Error) -> ApiError {
    let reason = error.to_string();
    match error.code {
        Code::NotFound | Code::NotAllowed => ApiError::broker_not_found(reason),
        Code::AccessRefused => ApiError::broker_refused(reason),
        Code::ResourceLocked => ApiError::broker_locked(reason),
        Code::PreconditionFailed => ApiError::broker_precondition(reason),
        Code::CommandInvalid | Code::FrameError => ApiError::broker_invalid(reason),
        Code::ResourceError => ApiError::broker_full(reason),
        _ => ApiError::internal(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(body: Value) -> Request {
        Request { body, ..Request::default() }
    }

    #[test]
    fn what_a_query_string_says_is_read_as_what_json_says() {
        for (size, flag) in [(json!(7), json!(true)), (json!("7"), json!("true")), (json!("7"), json!(""))] {
            let request = request(json!({"size": size, "flag": flag, "null": null}));
            let arguments = Arguments::of(&request);
            assert_eq!(arguments.number("size", 1, 10, 3), Ok(7));
            assert_eq!(arguments.flag("flag", false), Ok(true));
            assert_eq!(arguments.text("size").unwrap().as_deref(), Some("7"));
            assert_eq!(arguments.number("null", 1, 10, 3), Ok(3));
            assert_eq!(arguments.flag("absent", true), Ok(true));
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_expected() {
        let request = request(json!({"a": "x", "b": [], "c": 11, "d": "", "e": {"long": [[]]}}));
        let arguments = Arguments::of(&request);
        let text = |error: ApiError| error.message;
        assert_eq!(
            text(arguments.number("a", 1, 10, 1).unwrap_err()),
            "the argument `a` is `x`, expected a whole number from 1 to 10"
        );
        assert_eq!(
            text(arguments.number("c", 1, 10, 1).unwrap_err()),
            "the argument `c` is `11`, expected a whole number from 1 to 10"
        );
        assert_eq!(text(arguments.text("b").unwrap_err()), "the argument `b` is an array, expected a string");
        assert_eq!(
            text(arguments.flag("a", true).unwrap_err()),
            "the argument `a` is `x`, expected `true` or `false`"
        );
        assert_eq!(text(arguments.needed("d").unwrap_err()), "the argument `d` is needed");
        assert_eq!(
            text(arguments.object("a").unwrap_err()),
            "the argument `a` is a string, expected an object"
        );
        assert!(arguments.table("e").is_ok());
    }
}
