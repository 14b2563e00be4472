use serde_json::{Map, Value};

use crate::error::Result;
use crate::node::Node;
use crate::query::Wildcard;

/// What of its source a hit shows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SourceFilter {
    shown: bool,
    includes: Vec<Wildcard>,
    excludes: Vec<Wildcard>,
}

impl SourceFilter {
    pub(crate) const ALL: Self = Self { shown: true, includes: Vec::new(), excludes: Vec::new() };
    pub(crate) const NONE: Self = Self { shown: false, includes: Vec::new(), excludes: Vec::new() };

    /// `false`, `"path"`, `["path", "other.*"]` or `{"include": .., "exclude": ..}`.
    pub(crate) fn parse(node: &Node<'_>) -> Result<Self> {
        match node.value {
            Value::Bool(true) => Ok(Self::ALL),
            Value::Bool(false) => Ok(Self::NONE),
            Value::Object(_) => {
                let mut fields = node.fields("_source")?;
                let mut paths =
                    |names: &[&'static str]| fields.any(names).map_or(Ok(Vec::new()), |it| patterns(&it));
                let includes = paths(&["include", "includes"])?;
                let excludes = paths(&["exclude", "excludes"])?;
                fields.finish()?;
                Ok(Self { shown: true, includes, excludes })
            }
            _ => Ok(Self { shown: true, includes: patterns(node)?, excludes: Vec::new() }),
        }
    }

    /// The part that is shown; `None` when nothing is.
    pub(crate) fn apply(&self, source: &Value) -> Option<Value> {
        if !self.shown {
            return None;
        }
        match source {
            Value::Object(map) if !(self.includes.is_empty() && self.excludes.is_empty()) => {
                Some(Value::Object(self.object(map, "", self.includes.is_empty())))
            }
            _ => Some(source.clone()),
        }
    }

    fn object(&self, map: &Map<String, Value>, path: &str, included: bool) -> Map<String, Value> {
        let mut out = Map::new();
        for (name, value) in map {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if self.excludes.iter().any(|it| it.matches(&path)) {
                continue;
            }
            let included = included || self.includes.iter().any(|it| it.matches(&path));
            if let Some(value) = self.value(value, &path, included) {
                out.insert(name.clone(), value);
            }
        }
        out
    }

    fn value(&self, value: &Value, path: &str, included: bool) -> Option<Value> {
        match value {
            Value::Object(map) => {
                let inner = self.object(map, path, included);
                (included || !inner.is_empty()).then_some(Value::Object(inner))
            }
            Value::Array(items) => {
                let inner: Vec<Value> =
                    items.iter().filter_map(|item| self.value(item, path, included)).collect();
                (included || !inner.is_empty()).then_some(Value::Array(inner))
            }
            _ => included.then(|| value.clone()),
        }
    }
}

fn patterns(node: &Node<'_>) -> Result<Vec<Wildcard>> {
    node.items().iter().map(|item| Wildcard::parse(item, item.str()?)).collect()
}

/// All single values at a path, through arrays.
pub(crate) fn extract<'v>(value: &'v Value, path: &str, out: &mut Vec<&'v Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| extract(item, path, out)),
        Value::Object(map) => {
            if let Some(found) = map.get(path) {
                flatten(found, out);
            }
            for (at, _) in path.match_indices('.') {
                if let Some(inner) = map.get(&path[..at]) {
                    extract(inner, &path[at + 1..], out);
                }
            }
        }
        _ => {}
    }
}

fn flatten<'v>(value: &'v Value, out: &mut Vec<&'v Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| flatten(item, out)),
        Value::Null => {}
        _ => out.push(value),
    }
}
