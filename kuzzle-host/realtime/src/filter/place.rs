//! A place in the JSON of a filter: a value together with the way to it, so that every error can say where it is.

use serde_json::{Map, Value};

use crate::error::{FilterError, FilterErrorKind};

/// A value of a filter. Places are on the stack of the parser and borrow from one another.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) value: &'a Value,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
}

impl<'a> Place<'a> {
    pub(super) fn root(value: &'a Value) -> Place<'a> {
        Place { value, step: Step::Root }
    }

    pub(super) fn key(&'a self, key: &'a str, value: &'a Value) -> Place<'a> {
        Place { value, step: Step::Key(self, key) }
    }

    pub(super) fn index(&'a self, index: usize, value: &'a Value) -> Place<'a> {
        Place { value, step: Step::Index(self, index) }
    }

    /// A member of an object; `null` is as good as none.
    pub(super) fn member(&'a self, key: &str) -> Option<Place<'a>> {
        let (key, value) = self.value.as_object()?.get_key_value(key)?;
        (!value.is_null()).then(|| self.key(key, value))
    }

    pub(super) fn is_root(&self) -> bool {
        matches!(self.step, Step::Root)
    }

    pub(super) fn pointer(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self.step {
            Step::Root => {}
            Step::Key(parent, key) => {
                parent.write(out);
                out.push('/');
                out.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Step::Index(parent, index) => {
                parent.write(out);
                out.push('/');
                out.push_str(&index.to_string());
            }
        }
    }

    pub(super) fn error(&self, kind: FilterErrorKind, message: impl Into<String>) -> FilterError {
        FilterError::new(kind, self.pointer(), message)
    }

    pub(super) fn fail(&self, message: impl Into<String>) -> FilterError {
        self.error(FilterErrorKind::Malformed, message)
    }

    pub(super) fn over(&self, message: impl Into<String>) -> FilterError {
        self.error(FilterErrorKind::Limit, message)
    }

    pub(super) fn expected(&self, what: &str) -> FilterError {
        self.fail(format!("found {}, expected {what}", describe(self.value)))
    }

    pub(super) fn object(&self, what: &str) -> Result<&'a Map<String, Value>, FilterError> {
        self.value.as_object().ok_or_else(|| self.expected(what))
    }

    /// The only member of an object, hints for caches aside; `empty` is the message when there is none.
    pub(super) fn only(&'a self, what: &str, empty: &str) -> Result<(&'a str, Place<'a>), FilterError> {
        let mut members = self.object(what)?.iter().filter(|(key, _)| !HINTS.contains(&key.as_str()));
        match (members.next(), members.next()) {
            (Some((key, value)), None) => Ok((key, self.key(key, value))),
            (None, _) => Err(self.fail(empty)),
            (Some((first, _)), Some((second, _))) => Err(self.fail(format!(
                "found `{}` and `{}` side by side, expected one key: {what}; join filters with `and`",
                excerpt(first),
                excerpt(second)
            ))),
        }
    }
}

/// Keys that Elasticsearch takes beside a filter and that change nothing of what it matches.
pub(super) const HINTS: &[&str] = &["_cache", "_cache_key", "_name"];

/// A text that a peer sent, short enough for an error.
pub(super) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// What a value is, for an error.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("the boolean `{value}`"),
        Value::Number(value) => format!("the number `{value}`"),
        Value::String(text) => format!("the string `{}`", excerpt(text)),
        Value::Array(items) if items.is_empty() => "an empty array".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(map) if map.is_empty() => "an empty object".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
