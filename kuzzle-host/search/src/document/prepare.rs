use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::block::{Block, FieldData, Terms, Values};
use crate::analysis::Analyzer;
use crate::mapping::{Field, FieldValue, Kind, Mapping, Object, Property, each_value, plain_text};

/// How deep a document is looked into.
const LEVELS_MAX: usize = 128;
/// Positions between two values of `_all`.
const ALL_GAP: u32 = 100;

/// What is gathered of one block.
#[derive(Default)]
struct Gathered<'m> {
    fields: HashMap<Arc<str>, Column<'m>>,
    children: Vec<Block>,
}

struct Column<'m> {
    field: &'m Field,
    values: Vec<FieldValue>,
    from_null: bool,
    given: bool,
}

struct Preparation<'m> {
    mapping: &'m Mapping,
    all: Vec<(String, u32)>,
    next_position: u32,
}

/// What is true of all members of an object.
#[derive(Clone, Copy)]
struct Around {
    /// Whether members stand in `_all` unless they say otherwise.
    in_all: bool,
    level: usize,
}

pub(super) fn prepare(source: &Value, mapping: &Mapping) -> (Block, Terms) {
    let mut preparation = Preparation { mapping, all: Vec::new(), next_position: 0 };
    let mut root = vec![Gathered::default()];
    if let Value::Object(map) = source {
        let around = Around { in_all: mapping.root.include_in_all.unwrap_or(true), level: 0 };
        preparation.object(&mapping.root, map, around, &mut root);
    }
    let root = root.pop().unwrap_or_default().block(Arc::from(""), 0);
    (root, Terms::new(preparation.all))
}

impl<'m> Preparation<'m> {
    /// Gathers the members of an object into the innermost of the blocks.
    fn object(
        &mut self,
        object: &'m Object,
        map: &Map<String, Value>,
        around: Around,
        blocks: &mut Vec<Gathered<'m>>,
    ) {
        if around.level > LEVELS_MAX || !object.enabled {
            return;
        }
        for (name, value) in map {
            self.member(object, name, value, around, blocks);
        }
    }

    fn member(
        &mut self,
        object: &'m Object,
        name: &str,
        value: &Value,
        around: Around,
        blocks: &mut Vec<Gathered<'m>>,
    ) {
        match object.properties.get(name) {
            Some(Property::Field(field)) => self.field(field, value, around.in_all, blocks),
            Some(Property::Object(inner)) => {
                let in_all = inner.include_in_all.unwrap_or(around.in_all);
                self.inner(inner, value, Around { in_all, level: around.level + 1 }, blocks, &mut 0);
            }
            None => {
                if let Some((first, rest)) = name.split_once('.')
                    && let Some(Property::Object(inner)) = object.properties.get(first)
                    && inner.enabled
                    && around.level < LEVELS_MAX
                {
                    let in_all = inner.include_in_all.unwrap_or(around.in_all);
                    self.member(inner, rest, value, Around { in_all, level: around.level + 1 }, blocks);
                }
            }
        }
    }

    fn inner(
        &mut self,
        object: &'m Object,
        value: &Value,
        around: Around,
        blocks: &mut Vec<Gathered<'m>>,
        offset: &mut usize,
    ) {
        match value {
            Value::Array(items) if around.level <= LEVELS_MAX => {
                let around = Around { level: around.level + 1, ..around };
                items.iter().for_each(|item| self.inner(object, item, around, blocks, offset));
            }
            Value::Object(map) => match object.nested {
                None => self.object(object, map, around, blocks),
                Some(nested) => {
                    blocks.push(Gathered::default());
                    self.object(object, map, around, blocks);
                    let inner = blocks.pop().unwrap_or_default();
                    let depth = blocks.len();
                    for (level, outer) in blocks.iter_mut().enumerate() {
                        let parent = level + 1 == depth && nested.include_in_parent;
                        if parent || (level == 0 && nested.include_in_root) {
                            outer.include(&inner);
                        }
                    }
                    if let Some(parent) = blocks.last_mut() {
                        parent.children.push(inner.block(Arc::clone(&object.path), *offset));
                    }
                    *offset += 1;
                }
            },
            _ => {}
        }
    }

    fn field(&mut self, field: &'m Field, value: &Value, in_all: bool, blocks: &mut [Gathered<'m>]) {
        let mut values: Vec<(&Value, bool)> = Vec::new();
        nulls(value, field.null_value.as_ref(), &mut values);
        // The reader never refuses here, and so neither does the walk.
        let _ = each_value(field, value, &mut |value| {
            values.push((value, false));
            Ok(())
        });
        for (value, from_null) in values {
            self.value(field, value, from_null, blocks);
            for inner in field.fields.values() {
                self.value(inner, value, from_null, blocks);
            }
            for target in &field.copy_to {
                if let Some(target) = self.mapping.field(target) {
                    self.value(target, value, from_null, blocks);
                }
            }
            self.add_to_all(field, value, in_all);
        }
    }

    fn value(&mut self, field: &'m Field, value: &Value, from_null: bool, blocks: &mut [Gathered<'m>]) {
        let Ok(Some(read)) = field.read(value) else { return };
        let hidden = !field.indexed && matches!(field.kind, Kind::Text(_));
        let Some(block) = blocks.last_mut() else { return };
        if hidden || matches!(field.kind, Kind::Binary) {
            return;
        }
        let column = block.fields.entry(Arc::clone(&field.path)).or_insert_with(|| Column {
            field,
            values: Vec::new(),
            from_null: false,
            given: false,
        });
        column.values.push(read);
        column.from_null |= from_null;
        column.given |= !from_null;
    }

    /// Strings, numbers, dates and addresses stand in `_all` as they were written.
    fn add_to_all(&mut self, field: &Field, value: &Value, in_all: bool) {
        let worthy = matches!(field.kind, Kind::Text(_) | Kind::Number(_) | Kind::Date(_) | Kind::Ip);
        let included = field.include_in_all.unwrap_or(in_all && field.indexed);
        if !self.mapping.all || !worthy || !included {
            return;
        }
        let Some(text) = plain_text(value) else { return };
        let mut last = self.next_position;
        for token in Analyzer::Standard.tokens(&text) {
            last = self.next_position.saturating_add(token.position);
            self.all.push((token.term, last));
        }
        self.next_position = last.saturating_add(ALL_GAP);
    }
}

/// What stands in the place of each `null`.
fn nulls<'v>(value: &Value, null_value: Option<&'v Value>, out: &mut Vec<(&'v Value, bool)>) {
    let Some(null_value) = null_value else { return };
    match value {
        Value::Null => out.push((null_value, true)),
        Value::Array(items) => items.iter().for_each(|item| nulls(item, Some(null_value), out)),
        _ => {}
    }
}

impl<'m> Gathered<'m> {
    fn include(&mut self, inner: &Gathered<'m>) {
        for (path, column) in &inner.fields {
            let own = self.fields.entry(Arc::clone(path)).or_insert_with(|| Column {
                field: column.field,
                values: Vec::new(),
                from_null: false,
                given: false,
            });
            own.values.extend(column.values.iter().cloned());
            own.from_null |= column.from_null;
            own.given |= column.given;
        }
    }

    fn block(self, path: Arc<str>, offset: usize) -> Block {
        let fields = self.fields.into_iter().map(|(path, column)| (path, column.data())).collect();
        let mut block = Block::new(path, offset, fields);
        block.children = self.children;
        block
    }
}

impl Column<'_> {
    fn data(self) -> FieldData {
        let values = match &self.field.kind {
            Kind::Text(text) => {
                let mut tokens = Vec::new();
                let mut next = 0u32;
                for value in self.values {
                    let FieldValue::Text(value) = value else { continue };
                    match text.analyzer {
                        None => tokens.push((value, next)),
                        Some(analyzer) => {
                            let mut last = next;
                            for token in analyzer.tokens(&value) {
                                last = next.saturating_add(token.position);
                                tokens.push((token.term, last));
                            }
                            next = last.saturating_add(1);
                        }
                    }
                    next = next.saturating_add(text.position_gap);
                }
                Values::Text(Terms::new(tokens))
            }
            Kind::Number(kind) if kind.is_float() => {
                let mut doubles: Vec<f64> = self.values.iter().filter_map(as_double).collect();
                doubles.sort_by(f64::total_cmp);
                Values::Double(doubles)
            }
            Kind::Number(_) | Kind::Boolean | Kind::Date(_) | Kind::Ip => {
                let mut longs: Vec<i64> = self.values.iter().filter_map(as_long).collect();
                longs.sort_unstable();
                Values::Long(longs)
            }
            Kind::GeoPoint => {
                let points = self.values.iter().filter_map(|value| match value {
                    FieldValue::Geo(point) => Some(*point),
                    _ => None,
                });
                Values::Geo(points.collect())
            }
            Kind::Binary => Values::Opaque,
        };
        FieldData { values, from_null: self.from_null, given: self.given }
    }
}

fn as_double(value: &FieldValue) -> Option<f64> {
    match value {
        FieldValue::Double(value) => Some(*value),
        _ => None,
    }
}

fn as_long(value: &FieldValue) -> Option<i64> {
    match value {
        FieldValue::Long(value) => Some(*value),
        _ => None,
    }
}
