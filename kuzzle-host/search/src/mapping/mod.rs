//! Mappings: what type each field of a collection has and how it is searched.
//!
//! A [`Mapping`] is parsed from the JSON of `updateMapping`, grows by what documents bring ([`Mapping::observe`]), is
//! merged with updates ([`Mapping::merge`]) and rendered back as clients expect it.

mod dynamic;
mod merge;
mod parse;
mod read;
mod render;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::analysis::Analyzer;
use crate::dates::DateFormats;
pub(crate) use dynamic::each_value;
pub(crate) use read::{FieldValue, boolean, ip, plain_text, print_ip};

/// The mapping of a collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    pub(crate) root: Object,
    /// Whether documents have the field `_all`.
    pub(crate) all: bool,
    pub(crate) date_detection: bool,
    pub(crate) numeric_detection: bool,
    pub(crate) dynamic_date_formats: Option<Vec<DateFormats>>,
    /// What is kept for clients and means nothing here: `_meta`.
    pub(crate) meta: Option<Value>,
}

/// What happens to fields that no mapping knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dynamic {
    /// They are mapped by what they hold.
    True,
    /// They are stored and not searched.
    False,
    /// The document is refused.
    Strict,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object {
    pub(crate) path: Arc<str>,
    /// `None`: as the object around it.
    pub(crate) dynamic: Option<Dynamic>,
    /// Whether it is looked into at all.
    pub(crate) enabled: bool,
    pub(crate) nested: Option<Nested>,
    pub(crate) include_in_all: Option<bool>,
    pub(crate) properties: BTreeMap<String, Property>,
}

/// An object whose elements are matched each by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nested {
    pub(crate) include_in_parent: bool,
    pub(crate) include_in_root: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Property {
    Object(Object),
    Field(Field),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    pub(crate) path: Arc<str>,
    pub(crate) kind: Kind,
    /// Whether queries find it; sorting and aggregations work all the same.
    pub(crate) indexed: bool,
    pub(crate) null_value: Option<Value>,
    pub(crate) copy_to: Vec<String>,
    /// Multi-fields: the same values, treated otherwise.
    pub(crate) fields: BTreeMap<String, Field>,
    pub(crate) include_in_all: Option<bool>,
    /// Weight of this field in scores.
    pub(crate) boost: f32,
    /// Whether values that do not fit are left out instead of refused.
    pub(crate) ignore_malformed: bool,
    /// Whether numbers may be given as strings and with fractions that are cut.
    pub(crate) coerce: bool,
    /// Options that change no result, as they were given.
    pub(crate) options: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Text(Text),
    Number(NumberKind),
    Boolean,
    Date(DateFormats),
    GeoPoint,
    Ip,
    Binary,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Text {
    /// `None`: `not_analyzed`, each value is one term.
    pub(crate) analyzer: Option<Analyzer>,
    /// Of texts in queries; `None`: the same.
    pub(crate) search_analyzer: Option<Analyzer>,
    /// Longer values, in characters, are not indexed.
    pub(crate) ignore_above: Option<usize>,
    /// Positions left free between the values of an array, so that no phrase spans two.
    pub(crate) position_gap: u32,
    /// Whether long texts weigh less.
    pub(crate) norms: bool,
}

impl Text {
    pub(crate) fn analysed() -> Self {
        Self {
            analyzer: Some(Analyzer::Standard),
            search_analyzer: None,
            ignore_above: None,
            position_gap: 100,
            norms: true,
        }
    }

    /// What texts of queries go through.
    pub(crate) fn query_analyzer(&self) -> Analyzer {
        self.search_analyzer.or(self.analyzer).unwrap_or(Analyzer::Keyword)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberKind {
    Byte,
    Short,
    Integer,
    Long,
    Float,
    Double,
}

impl NumberKind {
    pub(crate) fn is_float(self) -> bool {
        matches!(self, NumberKind::Float | NumberKind::Double)
    }

    /// The least and the greatest value of a whole type.
    pub(crate) fn range(self) -> (i64, i64) {
        match self {
            NumberKind::Byte => (i8::MIN.into(), i8::MAX.into()),
            NumberKind::Short => (i16::MIN.into(), i16::MAX.into()),
            NumberKind::Integer => (i32::MIN.into(), i32::MAX.into()),
            _ => (i64::MIN, i64::MAX),
        }
    }
}

impl Kind {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Kind::Text(_) => "string",
            Kind::Number(NumberKind::Byte) => "byte",
            Kind::Number(NumberKind::Short) => "short",
            Kind::Number(NumberKind::Integer) => "integer",
            Kind::Number(NumberKind::Long) => "long",
            Kind::Number(NumberKind::Float) => "float",
            Kind::Number(NumberKind::Double) => "double",
            Kind::Boolean => "boolean",
            Kind::Date(_) => "date",
            Kind::GeoPoint => "geo_point",
            Kind::Ip => "ip",
            Kind::Binary => "binary",
        }
    }
}

impl Field {
    pub(crate) fn new(path: Arc<str>, kind: Kind) -> Self {
        Self {
            path,
            kind,
            indexed: true,
            null_value: None,
            copy_to: Vec::new(),
            fields: BTreeMap::new(),
            include_in_all: None,
            boost: 1.0,
            ignore_malformed: false,
            coerce: true,
            options: Map::new(),
        }
    }
}

impl Object {
    pub(crate) fn new(path: Arc<str>) -> Self {
        Self {
            path,
            dynamic: None,
            enabled: true,
            nested: None,
            include_in_all: None,
            properties: BTreeMap::new(),
        }
    }

    /// The path of a member.
    pub(crate) fn child_path(&self, name: &str) -> Arc<str> {
        if self.path.is_empty() { Arc::from(name) } else { Arc::from(format!("{}.{name}", self.path)) }
    }
}

impl Default for Mapping {
    /// The mapping of a collection that was created empty: everything is dynamic.
    fn default() -> Self {
        Self {
            root: Object::new(Arc::from("")),
            all: true,
            date_detection: true,
            numeric_detection: false,
            dynamic_date_formats: None,
            meta: None,
        }
    }
}

impl Mapping {
    /// The field at a path, multi-fields included.
    pub(crate) fn field(&self, path: &str) -> Option<&Field> {
        let mut object = &self.root;
        let mut segments = path.split('.');
        loop {
            match object.properties.get(segments.next()?)? {
                Property::Object(inner) => object = inner,
                Property::Field(field) => {
                    return match (segments.next(), segments.next()) {
                        (None, _) => Some(field),
                        (Some(name), None) => field.fields.get(name),
                        _ => None,
                    };
                }
            }
        }
    }

    /// The object at a path.
    pub(crate) fn object(&self, path: &str) -> Option<&Object> {
        path.split('.').try_fold(&self.root, |object, segment| match object.properties.get(segment)? {
            Property::Object(inner) => Some(inner),
            Property::Field(_) => None,
        })
    }

    /// Every field with its path, multi-fields included, in order of their paths within each object.
    pub(crate) fn all_fields(&self) -> Vec<&Field> {
        fn walk<'m>(object: &'m Object, out: &mut Vec<&'m Field>) {
            for property in object.properties.values() {
                match property {
                    Property::Object(inner) if inner.enabled => walk(inner, out),
                    Property::Object(_) => {}
                    Property::Field(field) => {
                        out.push(field);
                        out.extend(field.fields.values());
                    }
                }
            }
        }
        let mut out = Vec::new();
        walk(&self.root, &mut out);
        out
    }

    fn size(&self) -> usize {
        fn count(object: &Object) -> usize {
            let inner = object.properties.values().map(|property| match property {
                Property::Object(inner) => count(inner),
                Property::Field(field) => 1 + field.fields.len(),
            });
            1 + inner.sum::<usize>()
        }
        count(&self.root)
    }
}
