//! A place in the JSON of a request: a value together with the way to it, so that every error can say where it is.

use std::rc::Rc;

use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};

#[derive(Debug)]
enum Place<'a> {
    Root,
    Key(Rc<Place<'a>>, &'a str),
    Index(Rc<Place<'a>>, usize),
}

impl Place<'_> {
    fn write(&self, out: &mut String) {
        match self {
            Place::Root => {}
            Place::Key(parent, key) => {
                parent.write(out);
                out.push('/');
                out.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Place::Index(parent, index) => {
                parent.write(out);
                out.push('/');
                out.push_str(&index.to_string());
            }
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Node<'a> {
    pub(crate) value: &'a Value,
    place: Rc<Place<'a>>,
}

/// A single value as it stands in a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that fits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(String),
}

impl Scalar {
    /// The value as text: what is compared with terms.
    pub fn text(&self) -> String {
        match self {
            Scalar::Bool(value) => value.to_string(),
            Scalar::Int(value) => value.to_string(),
            Scalar::Float(value) => value.to_string(),
            Scalar::Text(text) => text.clone(),
        }
    }

    pub(crate) fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Bool(value) => Scalar::Bool(*value),
            Value::Number(number) => match number.as_i64() {
                Some(value) => Scalar::Int(value),
                None => Scalar::Float(number.as_f64()?),
            },
            Value::String(text) => Scalar::Text(text.clone()),
            _ => return None,
        })
    }
}

impl<'a> Node<'a> {
    pub(crate) fn root(value: &'a Value) -> Self {
        Self { value, place: Rc::new(Place::Root) }
    }

    pub(crate) fn pointer(&self) -> String {
        let mut out = String::new();
        self.place.write(&mut out);
        out
    }

    pub(crate) fn key(&self, key: &'a str, value: &'a Value) -> Node<'a> {
        Node { value, place: Rc::new(Place::Key(Rc::clone(&self.place), key)) }
    }

    pub(crate) fn fail(&self, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Malformed, self.pointer(), message)
    }

    pub(crate) fn over(&self, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Limit, self.pointer(), message)
    }

    pub(crate) fn unsupported(&self, what: &str) -> Error {
        Error::new(ErrorKind::Unsupported, self.pointer(), format!("not supported here: {what}"))
    }

    pub(crate) fn expected(&self, what: &str) -> Error {
        self.fail(format!("found {}, expected {what}", describe(self.value)))
    }

    /// Gives an error from elsewhere this place.
    pub(crate) fn place<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| error.or_at(|| self.pointer()))
    }

    pub(crate) fn map(&self, what: &str) -> Result<&'a Map<String, Value>> {
        self.value.as_object().ok_or_else(|| self.expected(what))
    }

    pub(crate) fn fields(&self, of: &'static str) -> Result<Fields<'a>> {
        let map = self.map(&format!("the object of `{of}`"))?;
        Ok(Fields { node: self.clone(), map, of, taken: Vec::new(), twice: None })
    }

    /// Name and value of every member.
    pub(crate) fn members(&self, what: &str) -> Result<Vec<(&'a str, Node<'a>)>> {
        Ok(self.map(what)?.iter().map(|(key, value)| (key.as_str(), self.key(key, value))).collect())
    }

    /// The only member of an object.
    pub(crate) fn only(&self, what: &str) -> Result<(&'a str, Node<'a>)> {
        let map = self.map(what)?;
        let mut members = map.iter();
        match (members.next(), members.next()) {
            (Some((key, value)), None) => Ok((key, self.key(key, value))),
            (None, _) => Err(self.fail(format!("found an empty object, expected {what}"))),
            (Some((first, _)), Some((second, _))) => {
                Err(self
                    .fail(format!("found {} keys (`{first}`, `{second}`), expected one: {what}", map.len())))
            }
        }
    }

    pub(crate) fn array(&self, what: &str) -> Result<Vec<Node<'a>>> {
        match self.value {
            Value::Array(items) => Ok(self.indexed(items)),
            _ => Err(self.expected(what)),
        }
    }

    /// The elements of an array, or a single value as one element.
    pub(crate) fn items(&self) -> Vec<Node<'a>> {
        match self.value {
            Value::Array(items) => self.indexed(items),
            _ => vec![self.clone()],
        }
    }

    fn indexed(&self, items: &'a [Value]) -> Vec<Node<'a>> {
        let at = |index| Rc::new(Place::Index(Rc::clone(&self.place), index));
        items.iter().enumerate().map(|(index, value)| Node { value, place: at(index) }).collect()
    }

    pub(crate) fn str(&self) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.expected("a string"))
    }

    pub(crate) fn strings(&self) -> Result<Vec<String>> {
        self.items().iter().map(|item| item.str().map(str::to_owned)).collect()
    }

    pub(crate) fn one_of<T: Copy>(&self, known: &[(&str, T)]) -> Result<T> {
        let found = self.str()?;
        let lower = found.to_ascii_lowercase();
        known.iter().find(|(name, _)| *name == lower).map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            self.fail(format!("found `{}`, expected one of {}", excerpt(found), list(&names)))
        })
    }

    pub(crate) fn scalar(&self) -> Result<Scalar> {
        Scalar::of(self.value).ok_or_else(|| self.expected("a string, a number or a boolean"))
    }

    /// A boolean, also as the strings that Elasticsearch takes for one.
    pub(crate) fn bool(&self) -> Result<bool> {
        match self.value {
            Value::Bool(value) => Ok(*value),
            Value::String(text) if text == "true" => Ok(true),
            Value::String(text) if text == "false" => Ok(false),
            _ => Err(self.expected("`true` or `false`")),
        }
    }

    /// A finite number, also as a string.
    pub(crate) fn f64(&self) -> Result<f64> {
        let number = match self.value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.filter(|it: &f64| it.is_finite()).ok_or_else(|| self.expected("a number"))
    }

    pub(crate) fn f32(&self) -> Result<f32> {
        let value = self.f64()? as f32;
        if value.is_finite() { Ok(value) } else { Err(self.expected("a number that fits 32 bits")) }
    }

    pub(crate) fn i64(&self) -> Result<i64> {
        let number = match self.value {
            Value::Number(number) => {
                number.as_i64().or_else(|| number.as_f64().filter(|it| it.fract() == 0.0).and_then(whole))
            }
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| self.expected("a whole number"))
    }

    pub(crate) fn usize(&self) -> Result<usize> {
        let number = self.i64()?;
        usize::try_from(number).map_err(|_| self.fail(format!("found {number}, expected 0 or more")))
    }
}

fn whole(value: f64) -> Option<i64> {
    (value.abs() < 9.0e15).then_some(value as i64)
}

/// The members of an object, taken by name; what nobody took is refused.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) node: Node<'a>,
    map: &'a Map<String, Value>,
    of: &'static str,
    taken: Vec<&'static str>,
    /// Two names of one option that were both given.
    twice: Option<(&'static str, &'static str)>,
}

impl<'a> Fields<'a> {
    /// A member that may be absent or `null`.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Node<'a>> {
        self.take_null(key).filter(|node| !node.value.is_null())
    }

    /// A member that may be absent; `null` is a value.
    pub(crate) fn take_null(&mut self, key: &'static str) -> Option<Node<'a>> {
        self.taken.push(key);
        let (key, value) = self.map.get_key_value(key)?;
        Some(self.node.key(key, value))
    }

    /// A member that has several names, of which one may be given.
    pub(crate) fn any(&mut self, keys: &[&'static str]) -> Option<Node<'a>> {
        let mut found: Option<(&'static str, Node<'a>)> = None;
        for key in keys {
            match (self.take(key), &found) {
                (Some(node), None) => found = Some((key, node)),
                (Some(_), Some((first, _))) => self.twice = Some((first, key)),
                (None, _) => {}
            }
        }
        found.map(|(_, node)| node)
    }

    pub(crate) fn need(&mut self, key: &'static str) -> Result<Node<'a>> {
        let found = self.take(key);
        found.ok_or_else(|| self.node.fail(format!("`{}` needs `{key}`", self.of)))
    }

    /// Takes a member that has no meaning here and changes no result, such as a hint for a cache.
    pub(crate) fn hint(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.take_null(key);
        }
    }

    /// Refuses members that the query language has and this crate has not; they are not named among what is known.
    pub(crate) fn refuse(&self, keys: &[&str]) -> Result<()> {
        for key in keys {
            if let Some(value) = self.map.get(*key) {
                return Err(self.node.key(key, value).unsupported(&format!("`{key}` of `{}`", self.of)));
            }
        }
        Ok(())
    }

    /// What was not taken.
    pub(crate) fn rest(&self) -> Vec<(&'a str, Node<'a>)> {
        let left = self.map.iter().filter(|(key, _)| !self.taken.contains(&key.as_str()));
        left.map(|(key, value)| (key.as_str(), self.node.key(key, value))).collect()
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        if let Some((first, second)) = self.twice {
            return Err(self
                .node
                .fail(format!("`{first}` and `{second}` are one option of `{}`: give one", self.of)));
        }
        let Some((key, node)) = self.rest().into_iter().next() else { return Ok(()) };
        self.taken.sort_unstable();
        self.taken.dedup();
        let allowed = if self.taken.is_empty() { "none".to_owned() } else { list(&self.taken) };
        Err(node.fail(format!("unknown key `{}` in `{}`; known here: {allowed}", excerpt(key), self.of)))
    }
}

pub(crate) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// A text that a peer sent, short enough for an error.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

pub(crate) fn describe(value: &Value) -> String {
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
