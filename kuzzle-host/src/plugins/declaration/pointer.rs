//! From a JSON pointer to a place in the file.

use std::ops::Range;

use toml_edit::{Item, Table, TableLike, Value};

/// The place of what `pointer` (RFC 6901) names inside the table `settings` of the table at `path`, or of the nearest
/// thing around it that stands in the file.
pub(super) fn span(document: &Table, path: &[&str], pointer: &str) -> Option<Range<usize>> {
    let mut table: &dyn TableLike = document;
    for name in path {
        table = table.get(name)?.as_table_like()?;
    }
    let mut node = Node::Table(table);
    let mut span = None;
    let tokens = pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~"));
    for token in std::iter::once("settings".to_owned()).chain(tokens) {
        let Some((child, place)) = node.child(&token) else { break };
        span = place.or(span);
        node = child;
    }
    span
}

enum Node<'a> {
    Table(&'a dyn TableLike),
    Array(&'a toml_edit::Array),
    Tables(&'a toml_edit::ArrayOfTables),
    Leaf,
}

impl<'a> Node<'a> {
    /// What `token` names in it, and its place: a key together with its value, as both may be what is wrong.
    fn child(&self, token: &str) -> Option<(Node<'a>, Option<Range<usize>>)> {
        match self {
            Self::Table(table) => {
                let (key, item) = table.get_key_value(token)?;
                let place = match (key.span(), item.span()) {
                    // A table's own span is that of its header, which stands elsewhere for `[a.b]`.
                    (_, Some(header)) if item.is_table() => Some(header),
                    (Some(key), Some(value)) if key.start <= value.start => Some(key.start..value.end),
                    (key, value) => key.or(value),
                };
                Some((Node::of_item(item), place))
            }
            Self::Array(array) => {
                let value = array.get(token.parse().ok()?)?;
                Some((Node::of_value(value), value.span()))
            }
            Self::Tables(tables) => {
                let table = tables.get(token.parse().ok()?)?;
                Some((Node::Table(table), table.span()))
            }
            Self::Leaf => None,
        }
    }

    fn of_item(item: &'a Item) -> Self {
        match item {
            Item::Table(table) => Self::Table(table),
            Item::ArrayOfTables(tables) => Self::Tables(tables),
            Item::Value(value) => Self::of_value(value),
            Item::None => Self::Leaf,
        }
    }

    fn of_value(value: &'a Value) -> Self {
        match value {
            Value::InlineTable(table) => Self::Table(table),
            Value::Array(array) => Self::Array(array),
            _ => Self::Leaf,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[protocols.a]
plugin = "a"
[protocols.a.settings]
keep = 1
list = [1, { "x/y" = "bad" }]
[[protocols.a.settings.rules]]
name = "one"
[[protocols.a.settings.rules]]
name = "two"
"#;

    fn at(pointer: &str) -> &'static str {
        let document = toml_edit::Document::parse(TEXT).unwrap();
        &TEXT[span(document.as_table(), &["protocols", "a"], pointer).unwrap()]
    }

    #[test]
    fn pointers_lead_to_what_they_name_or_what_is_around_it() {
        assert_eq!(at("/keep"), "keep = 1");
        assert_eq!(at("/list/1/x~1y"), "\"x/y\" = \"bad\"");
        assert_eq!(at("/list/0"), "1");
        assert_eq!(at("/rules/1/name"), "name = \"two\"");
        assert_eq!(at("/list/7"), "list = [1, { \"x/y\" = \"bad\" }]");
        assert_eq!(at(""), "[protocols.a.settings]");
        assert_eq!(at("/absent/deep"), "[protocols.a.settings]");
        assert_eq!(at("/keep/deeper"), "keep = 1");
    }
}
