use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Dynamic, Field, Kind, Mapping, Object, Property, Text};

impl Mapping {
    /// The mapping as `getMapping` shows it: what differs from the defaults, and every field with its type. An empty
    /// mapping is `{}`.
    pub fn render(&self) -> Value {
        let mut out = Map::new();
        if !self.all {
            out.insert("_all".into(), json!({"enabled": false}));
        }
        if !self.date_detection {
            out.insert("date_detection".into(), false.into());
        }
        if self.numeric_detection {
            out.insert("numeric_detection".into(), true.into());
        }
        if let Some(formats) = &self.dynamic_date_formats {
            let names: Vec<&str> = formats.iter().map(|format| format.name()).collect();
            out.insert("dynamic_date_formats".into(), json!(names));
        }
        if let Some(meta) = &self.meta {
            out.insert("_meta".into(), meta.clone());
        }
        object(&self.root, &mut out);
        Value::Object(out)
    }
}

fn object(object: &Object, out: &mut Map<String, Value>) {
    if let Some(nested) = &object.nested {
        out.insert("type".into(), "nested".into());
        if nested.include_in_parent {
            out.insert("include_in_parent".into(), true.into());
        }
        if nested.include_in_root {
            out.insert("include_in_root".into(), true.into());
        }
    } else if object.properties.is_empty() && !object.path.is_empty() {
        out.insert("type".into(), "object".into());
    }
    match object.dynamic {
        Some(Dynamic::True) => out.insert("dynamic".into(), "true".into()),
        Some(Dynamic::False) => out.insert("dynamic".into(), "false".into()),
        Some(Dynamic::Strict) => out.insert("dynamic".into(), "strict".into()),
        None => None,
    };
    if !object.enabled {
        out.insert("enabled".into(), false.into());
    }
    if let Some(include) = object.include_in_all {
        out.insert("include_in_all".into(), include.into());
    }
    if !object.properties.is_empty() {
        let properties =
            object.properties.iter().map(|(name, property)| (name.clone(), self::property(property)));
        out.insert("properties".into(), Value::Object(properties.collect()));
    }
}

fn property(property: &Property) -> Value {
    match property {
        Property::Field(field) => self::field(field),
        Property::Object(inner) => {
            let mut out = Map::new();
            object(inner, &mut out);
            Value::Object(out)
        }
    }
}

fn field(field: &Field) -> Value {
    let mut out = field.options.clone();
    out.insert("type".into(), field.kind.name().into());
    match &field.kind {
        Kind::Text(text) => self::text(text, field.indexed, &mut out),
        Kind::Date(formats) => {
            out.insert("format".into(), formats.name().into());
        }
        _ => {}
    }
    if !field.indexed {
        out.insert("index".into(), "no".into());
    }
    if let Some(null_value) = &field.null_value {
        out.insert("null_value".into(), null_value.clone());
    }
    if let Some(include) = field.include_in_all {
        out.insert("include_in_all".into(), include.into());
    }
    if field.boost != 1.0 {
        out.insert("boost".into(), json!(field.boost));
    }
    if field.ignore_malformed {
        out.insert("ignore_malformed".into(), true.into());
    }
    if !field.coerce {
        out.insert("coerce".into(), false.into());
    }
    if !field.copy_to.is_empty() {
        out.insert("copy_to".into(), json!(field.copy_to));
    }
    if !field.fields.is_empty() {
        out.insert("fields".into(), multi_fields(&field.fields));
    }
    Value::Object(out)
}

fn multi_fields(fields: &BTreeMap<String, Field>) -> Value {
    Value::Object(fields.iter().map(|(name, inner)| (name.clone(), field(inner))).collect())
}

fn text(text: &Text, indexed: bool, out: &mut Map<String, Value>) {
    let usual = Text::analysed();
    match text.analyzer {
        None if indexed => {
            out.insert("index".into(), "not_analyzed".into());
        }
        Some(analyzer) if text.analyzer != usual.analyzer => {
            out.insert("analyzer".into(), analyzer.name().into());
        }
        _ => {}
    }
    if let Some(analyzer) = text.search_analyzer {
        out.insert("search_analyzer".into(), analyzer.name().into());
    }
    if let Some(length) = text.ignore_above {
        out.insert("ignore_above".into(), length.into());
    }
    if text.position_gap != usual.position_gap {
        out.insert("position_increment_gap".into(), text.position_gap.into());
    }
    if text.analyzer.is_some() && !text.norms {
        out.insert("norms".into(), json!({"enabled": false}));
    }
}
