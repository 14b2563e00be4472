use std::sync::Arc;

use serde_json::{Map, Value};

use super::merge::merge_objects;
use super::{Dynamic, Field, Kind, Mapping, NumberKind, Object, Property, Text};
use crate::dates::{DateFormats, Zone};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{DEPTH_MAX, FIELD_NAME_MAX_BYTES};
use crate::node::{describe, excerpt};

impl Mapping {
    /// Checks that a document fits, and gives the mapping that it leads to when it brings fields that are not mapped
    /// yet: strings become analysed strings or, when they look like one, dates; whole numbers `long`, others
    /// `double`; objects are mapped member by member. `null` and empty arrays say nothing of a type.
    ///
    /// A dot in a name is taken as a step into an object.
    ///
    /// # Errors
    /// [`ErrorKind::Document`](crate::ErrorKind::Document) when a value does not fit its field, or a field is not known
    /// and `dynamic` is `strict`.
    pub fn observe(&self, source: &Value) -> Result<Option<Mapping>> {
        let Some(map) = source.as_object() else {
            return Err(refuse(format!(
                "found {}, expected a document, which is an object",
                describe(source)
            )));
        };
        let mut additions = Object::new(Arc::from(""));
        let mut walk = Walk { mapping: self, copies: Vec::new() };
        walk.object(Some(&self.root), &mut additions, map, self.root.dynamic.unwrap_or(Dynamic::True), 0)?;
        let dynamic = self.root.dynamic.unwrap_or(Dynamic::True);
        for (target, value) in std::mem::take(&mut walk.copies) {
            walk.member(Some(&self.root), &mut additions, &target, value, dynamic, 0)?;
        }
        if additions.properties.is_empty() {
            return Ok(None);
        }
        let mut grown = self.clone();
        let mut conflicts = Vec::new();
        merge_objects(&mut grown.root, &additions, &mut conflicts);
        if let Some(conflict) = conflicts.into_iter().next() {
            return Err(refuse(conflict));
        }
        grown.check_size()?;
        Ok(Some(grown))
    }
}

fn refuse(message: String) -> Error {
    Error::bare(ErrorKind::Document, message)
}

/// What is done with each object.
type Each<'f, 'v, W> = &'f mut dyn FnMut(&mut W, &'v Map<String, Value>) -> Result<()>;

struct Walk<'m> {
    mapping: &'m Mapping,
    /// Fields that values are copied to, with the values.
    copies: Vec<(String, &'m Value)>,
}

impl<'m> Walk<'m> {
    fn object(
        &mut self,
        known: Option<&Object>,
        additions: &mut Object,
        map: &'m Map<String, Value>,
        dynamic: Dynamic,
        depth: usize,
    ) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(refuse(format!(
                "objects nest deeper than {DEPTH_MAX} in [{}]",
                excerpt(&additions.path)
            )));
        }
        for (name, value) in map {
            self.member(known, additions, name, value, dynamic, depth)?;
        }
        Ok(())
    }

    fn member(
        &mut self,
        known: Option<&Object>,
        additions: &mut Object,
        name: &str,
        value: &'m Value,
        dynamic: Dynamic,
        depth: usize,
    ) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(refuse(format!(
                "objects nest deeper than {DEPTH_MAX} in [{}]",
                excerpt(&additions.path)
            )));
        }
        if let Some((first, rest)) = name.split_once('.')
            && !first.is_empty()
            && !rest.is_empty()
        {
            return self.step(known, additions, first, dynamic, |walk, known, additions, dynamic| {
                walk.member(known, additions, rest, value, dynamic, depth + 1)
            });
        }
        match known.and_then(|object| object.properties.get(name)) {
            Some(Property::Field(field)) => {
                self.copies.extend(field.copy_to.iter().map(|target| (target.clone(), value)));
                fit(field, value)
            }
            Some(Property::Object(object)) => {
                if !object.enabled {
                    return Ok(());
                }
                self.elements(&object.path, value, &mut |walk, map| {
                    walk.step(known, additions, name, dynamic, |walk, known, additions, dynamic| {
                        walk.object(known, additions, map, dynamic, depth + 1)
                    })
                })
            }
            None => self.unknown(additions, name, value, dynamic, depth),
        }
    }

    /// Goes into an object by name, and keeps of the additions what is not empty.
    fn step(
        &mut self,
        known: Option<&Object>,
        additions: &mut Object,
        name: &str,
        dynamic: Dynamic,
        then: impl FnOnce(&mut Self, Option<&Object>, &mut Object, Dynamic) -> Result<()>,
    ) -> Result<()> {
        let path = additions.child_path(name);
        let inner = match known.and_then(|object| object.properties.get(name)) {
            Some(Property::Object(inner)) if !inner.enabled => return Ok(()),
            Some(Property::Object(inner)) => Some(inner),
            Some(Property::Field(_)) => {
                return Err(refuse(format!(
                    "[{path}] is a field, and the document steps into it as an object"
                )));
            }
            None => {
                match dynamic {
                    Dynamic::True => {}
                    Dynamic::False => return Ok(()),
                    Dynamic::Strict => return Err(strict(name, &additions.path)),
                }
                None
            }
        };
        let dynamic = inner.and_then(|object| object.dynamic).unwrap_or(dynamic);
        let mut object = match additions.properties.remove(name) {
            Some(Property::Object(object)) => object,
            Some(Property::Field(_)) => return Err(concrete(&path)),
            None => {
                let mut object = Object::new(path);
                // So that it is no change of the object when the additions are merged.
                object.nested = inner.and_then(|inner| inner.nested);
                object
            }
        };
        let result = then(self, inner, &mut object, dynamic);
        if inner.is_none() || !object.properties.is_empty() {
            additions.properties.insert(name.to_owned(), Property::Object(object));
        }
        result
    }

    /// Calls a function for each object of a value that has to consist of objects.
    fn elements(&mut self, path: &str, value: &'m Value, each: Each<'_, 'm, Self>) -> Result<()> {
        match value {
            Value::Null => Ok(()),
            Value::Object(map) => each(self, map),
            Value::Array(items) => items.iter().try_for_each(|item| self.elements(path, item, each)),
            _ => Err(concrete(path)),
        }
    }

    fn unknown(
        &mut self,
        additions: &mut Object,
        name: &str,
        value: &'m Value,
        dynamic: Dynamic,
        depth: usize,
    ) -> Result<()> {
        match dynamic {
            Dynamic::True => {}
            Dynamic::False => return Ok(()),
            Dynamic::Strict => return Err(strict(name, &additions.path)),
        }
        if name.is_empty() || name.contains('.') {
            let (name, path) = (excerpt(name), excerpt(&additions.path));
            return Err(refuse(format!(
                "[{path}] has a field with the name [{name}]: an empty name, or an empty step of one"
            )));
        }
        if additions.path.len() + name.len() + 1 > FIELD_NAME_MAX_BYTES {
            return Err(refuse(format!("a field's path is longer than {FIELD_NAME_MAX_BYTES} bytes")));
        }
        match value {
            Value::Null => Ok(()),
            Value::Array(items) => {
                items.iter().try_for_each(|item| self.unknown(additions, name, item, dynamic, depth))
            }
            Value::Object(map) => self.step(None, additions, name, dynamic, |walk, _, additions, dynamic| {
                walk.object(None, additions, map, dynamic, depth + 1)
            }),
            scalar => match additions.properties.get(name) {
                Some(Property::Field(field)) => fit(field, scalar),
                Some(Property::Object(object)) => Err(concrete(&object.path)),
                None => {
                    let field = Field::new(additions.child_path(name), self.infer(scalar));
                    additions.properties.insert(name.to_owned(), Property::Field(field));
                    Ok(())
                }
            },
        }
    }

    fn infer(&self, value: &Value) -> Kind {
        match value {
            Value::Bool(_) => Kind::Boolean,
            Value::Number(number) if number.is_i64() => Kind::Number(NumberKind::Long),
            Value::Number(_) => Kind::Number(NumberKind::Double),
            Value::String(text) => self.infer_text(text),
            _ => Kind::Text(Text::analysed()),
        }
    }

    fn infer_text(&self, text: &str) -> Kind {
        // Dates have a separator: a mere number is none.
        if self.mapping.date_detection && text.len() <= 100 && text.contains(['-', '/', ':']) {
            let own = self.mapping.dynamic_date_formats.clone();
            let formats = own.unwrap_or_else(detected_formats);
            if let Some(format) = formats.into_iter().find(|it| it.read(text, Zone::UTC, false).is_some()) {
                return Kind::Date(format);
            }
        }
        if self.mapping.numeric_detection {
            if text.parse::<i64>().is_ok() {
                return Kind::Number(NumberKind::Long);
            }
            if text.parse::<f64>().is_ok_and(f64::is_finite) {
                return Kind::Number(NumberKind::Double);
            }
        }
        Kind::Text(Text::analysed())
    }
}

fn detected_formats() -> Vec<DateFormats> {
    let slashes = DateFormats::parse(
        "yyyy/MM/dd HH:mm:ss Z||yyyy/MM/dd Z||yyyy/MM/dd HH:mm:ss||yyyy/MM/dd||epoch_millis",
    );
    std::iter::once(DateFormats::standard()).chain(slashes).collect()
}

fn strict(name: &str, path: &str) -> Error {
    refuse(format!(
        "strict_dynamic_mapping_exception: mapping set to strict, dynamic introduction of [{}] within [{}] is not allowed",
        excerpt(name),
        excerpt(path)
    ))
}

fn concrete(path: &str) -> Error {
    let path = excerpt(path);
    refuse(format!(
        "object mapping for [{path}] tried to parse field [{path}] as object, but found a concrete value"
    ))
}

/// Checks that a value, or each of an array's, fits a field and its multi-fields.
fn fit(field: &Field, value: &Value) -> Result<()> {
    each_value(field, value, &mut |value| {
        for field in std::iter::once(field).chain(field.fields.values()) {
            field.read(value)?;
        }
        Ok(())
    })
}

/// Calls a function for each single value; a pair of numbers is one point.
pub(crate) fn each_value<'v>(
    field: &Field,
    value: &'v Value,
    then: &mut dyn FnMut(&'v Value) -> Result<()>,
) -> Result<()> {
    match value {
        Value::Null => Ok(()),
        Value::Array(items) => {
            let is_point = matches!(field.kind, Kind::GeoPoint) && items.iter().all(Value::is_number);
            if is_point && !items.is_empty() {
                return then(value);
            }
            items.iter().try_for_each(|item| each_value(field, item, then))
        }
        _ => then(value),
    }
}
