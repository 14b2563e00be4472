use serde_json::Value;

use super::parse::common;
use super::{Fuzziness, Minimum, Query, QueryKind, Range, Regexp, Scalar, Wildcard};
use crate::error::Result;
use crate::limits::{PATTERN_MAX_BYTES, QUERY_TEXT_MAX_BYTES, TERMS_MAX};
use crate::node::{Fields, Node, excerpt};

/// A query of the shape `{"field": value}` or `{"field": {options}}`.
pub(super) struct OneField<'a> {
    pub(super) field: String,
    pub(super) value: Node<'a>,
    pub(super) boost: f32,
    pub(super) name: Option<String>,
    pointer: String,
}

impl<'a> OneField<'a> {
    pub(super) fn read(body: &Node<'a>, of: &'static str) -> Result<Self> {
        let mut fields = body.fields(of)?;
        // A field may be named as an option: then it stands alone.
        let (boost, name) = if body.map(of)?.len() == 1 { (1.0, None) } else { common(&mut fields)? };
        Self::of_rest(&fields, of, boost, name)
    }

    /// The one member that is left is the field.
    pub(super) fn of_rest(fields: &Fields<'a>, of: &str, boost: f32, name: Option<String>) -> Result<Self> {
        let mut rest = fields.rest().into_iter();
        let pointer = fields.node.pointer();
        match (rest.next(), rest.next()) {
            (Some((field, value)), None) => Ok(Self { field: field.to_owned(), value, boost, name, pointer }),
            (None, _) => Err(fields.node.fail(format!("`{of}` needs a field"))),
            (Some((first, _)), Some((second, node))) => Err(node.fail(format!(
                "`{of}` takes one field, found `{}` and `{}`",
                excerpt(first),
                excerpt(second)
            ))),
        }
    }

    /// Options of the field, when it has an object of them; they may hold boost and name as well.
    pub(super) fn options(&mut self, of: &'static str) -> Result<Option<Fields<'a>>> {
        if !self.value.value.is_object() {
            return Ok(None);
        }
        let mut fields = self.value.fields(of)?;
        let (boost, name) = common(&mut fields)?;
        self.boost *= boost;
        self.name = name.or(self.name.take());
        Ok(Some(fields))
    }

    pub(super) fn query(self, kind: impl FnOnce(String) -> QueryKind) -> Query {
        Query { kind: kind(self.field), boost: self.boost, name: self.name, pointer: self.pointer }
    }
}

/// A text that is no longer than queries may have.
pub(super) fn bounded_text(node: &Node<'_>) -> Result<String> {
    let text = node.scalar()?.text();
    if text.len() > QUERY_TEXT_MAX_BYTES {
        return Err(
            node.over(format!("a text of {} bytes, at most {QUERY_TEXT_MAX_BYTES} are taken", text.len()))
        );
    }
    Ok(text)
}

fn bounded_scalar(node: &Node<'_>) -> Result<Scalar> {
    bounded_text(node)?;
    node.scalar()
}

pub(super) fn term(body: &Node<'_>) -> Result<Query> {
    let mut one = OneField::read(body, "term")?;
    let value = match one.options("term")? {
        Some(mut fields) => {
            let value =
                fields.any(&["value", "term"]).ok_or_else(|| fields.node.fail("`term` needs `value`"))?;
            fields.finish()?;
            bounded_scalar(&value)?
        }
        None => bounded_scalar(&one.value)?,
    };
    Ok(one.query(|field| QueryKind::Term { field, value }))
}

pub(super) fn terms(body: &Node<'_>) -> Result<Query> {
    let mut fields = body.fields("terms")?;
    let (boost, name) = if body.map("terms")?.len() == 1 { (1.0, None) } else { common(&mut fields)? };
    let mut minimum = None;
    if body.map("terms")?.len() > 1 {
        minimum = fields
            .any(&["minimum_should_match", "minimum_match"])
            .map(|it| Minimum::parse(&it))
            .transpose()?;
        fields.hint(&["disable_coord"]);
        if let Some(execution) = fields.take("execution") {
            let all = execution.one_of(&[
                ("plain", false),
                ("fielddata", false),
                ("bool", false),
                ("bool_nocache", false),
                ("or", false),
                ("or_nocache", false),
                ("and", true),
                ("and_nocache", true),
            ])?;
            if all {
                minimum = Some(Minimum::all());
            }
        }
    }
    let one = OneField::of_rest(&fields, "terms", boost, name)?;
    if one.value.value.is_object() {
        return Err(one.value.unsupported("terms that are looked up in another document"));
    }
    let items = one.value.array("an array of terms")?;
    if items.len() > TERMS_MAX {
        return Err(one.value.over(format!("found {} terms, at most {TERMS_MAX} are taken", items.len())));
    }
    let values = items.iter().map(bounded_scalar).collect::<Result<_>>()?;
    Ok(one.query(|field| QueryKind::Terms { field, values, minimum }))
}

pub(super) fn range(body: &Node<'_>) -> Result<Query> {
    let mut outer = body.fields("range")?;
    let alone = body.map("range")?.len() == 1;
    let (boost, name) = if alone { (1.0, None) } else { common(&mut outer)? };
    if !alone {
        outer.hint(&["execution"]);
    }
    let mut one = OneField::of_rest(&outer, "range", boost, name)?;
    let mut fields =
        one.options("range")?.ok_or_else(|| one.value.expected("an object such as `{\"gte\": 1}`"))?;
    let mut range = Range { include_from: true, include_to: true, ..Range::default() };
    let mut end = |names: &[(&'static str, Option<bool>)]| -> Result<(Option<Scalar>, Option<bool>)> {
        let mut found = (None, None);
        for (name, include) in names {
            if let Some(node) = fields.take(name) {
                found = (Some(bounded_scalar(&node)?), *include);
            }
        }
        Ok(found)
    };
    let (from, include_from) =
        end(&[("from", None), ("gt", Some(false)), ("gte", Some(true)), ("ge", Some(true))])?;
    let (to, include_to) =
        end(&[("to", None), ("lt", Some(false)), ("lte", Some(true)), ("le", Some(true))])?;
    let mut flag = |name: &'static str| fields.take(name).map(|it| it.bool()).transpose();
    range.include_from = include_from.or(flag("include_lower")?).unwrap_or(true);
    range.include_to = include_to.or(flag("include_upper")?).unwrap_or(true);
    (range.from, range.to) = (from, to);
    let mut text = |name: &'static str| fields.take(name).map(|it| it.str().map(str::to_owned)).transpose();
    (range.format, range.time_zone) = (text("format")?, text("time_zone")?);
    fields.finish()?;
    Ok(one.query(|field| QueryKind::Range(Range { field, ..range })))
}

fn pattern(node: &Node<'_>) -> Result<String> {
    let text = node.scalar()?.text();
    if text.len() > PATTERN_MAX_BYTES {
        return Err(
            node.over(format!("a pattern of {} bytes, at most {PATTERN_MAX_BYTES} are taken", text.len()))
        );
    }
    Ok(text)
}

/// The value of a query whose long notation has it under one of these names.
fn value_of<'a>(one: &mut OneField<'a>, of: &'static str, names: &[&'static str]) -> Result<Node<'a>> {
    let Some(mut fields) = one.options(of)? else { return Ok(one.value.clone()) };
    // How it would be carried out; the result is the same.
    fields.hint(&["rewrite", "max_determinized_states"]);
    let value = fields.any(names).ok_or_else(|| fields.node.fail(format!("`{of}` needs `value`")))?;
    fields.finish()?;
    Ok(value)
}

pub(super) fn prefix(body: &Node<'_>) -> Result<Query> {
    let mut one = OneField::read(body, "prefix")?;
    let value = pattern(&value_of(&mut one, "prefix", &["value", "prefix"])?)?;
    Ok(one.query(|field| QueryKind::Prefix { field, value }))
}

pub(super) fn wildcard(body: &Node<'_>) -> Result<Query> {
    let mut one = OneField::read(body, "wildcard")?;
    let node = value_of(&mut one, "wildcard", &["value", "wildcard"])?;
    let pattern = Wildcard::parse(&node, &node.scalar()?.text())?;
    Ok(one.query(|field| QueryKind::Wildcard { field, pattern }))
}

pub(super) fn regexp(body: &Node<'_>) -> Result<Query> {
    let mut one = OneField::read(body, "regexp")?;
    let (value, flags) = match one.options("regexp")? {
        None => (one.value.clone(), None),
        Some(mut fields) => {
            fields.hint(&["rewrite", "max_determinized_states", "flags_value"]);
            let flags = fields.take("flags");
            let value = fields.any(&["value", "regexp"]);
            let value = value.ok_or_else(|| fields.node.fail("`regexp` needs `value`"))?;
            fields.finish()?;
            (value, flags)
        }
    };
    let pattern = Regexp::parse(&value, &value.scalar()?.text(), flags.as_ref())?;
    Ok(one.query(|field| QueryKind::Regexp { field, pattern }))
}

pub(super) fn fuzzy(body: &Node<'_>) -> Result<Query> {
    let mut one = OneField::read(body, "fuzzy")?;
    let (mut fuzziness, mut prefix_length, mut transpositions) = (Fuzziness::Auto, 0, true);
    let value = match one.options("fuzzy")? {
        None => pattern(&one.value)?,
        Some(mut fields) => {
            fields.hint(&["rewrite", "max_expansions"]);
            if let Some(node) = fields.any(&["fuzziness", "min_similarity"]) {
                fuzziness = Fuzziness::parse(&node)?;
            }
            if let Some(node) = fields.take("prefix_length") {
                prefix_length = node.usize()?;
            }
            if let Some(node) = fields.take("transpositions") {
                transpositions = node.bool()?;
            }
            let value =
                fields.any(&["value", "term"]).ok_or_else(|| fields.node.fail("`fuzzy` needs `value`"))?;
            fields.finish()?;
            pattern(&value)?
        }
    };
    Ok(one.query(|field| QueryKind::Fuzzy { field, value, fuzziness, prefix_length, transpositions }))
}

pub(super) fn exists(fields: &mut Fields<'_>) -> Result<QueryKind> {
    Ok(QueryKind::Exists { field: fields.need("field")?.str()?.to_owned() })
}

pub(super) fn missing(fields: &mut Fields<'_>) -> Result<QueryKind> {
    let field = fields.need("field")?.str()?.to_owned();
    let existence = fields.take("existence").map_or(Ok(true), |it| it.bool())?;
    let null_value = fields.take("null_value").map_or(Ok(false), |it| it.bool())?;
    if !existence && !null_value {
        return Err(fields
            .node
            .fail("missing must have either existence, or null_value, or both set to true"));
    }
    Ok(QueryKind::Missing { field, existence, null_value })
}

pub(super) fn ids(fields: &mut Fields<'_>) -> Result<QueryKind> {
    let types = fields.any(&["type", "types", "_type"]).map_or(Ok(Vec::new()), |it| it.strings())?;
    let values = fields.any(&["values", "ids"]).ok_or_else(|| fields.node.fail("`ids` needs `values`"))?;
    if values.value.as_array().is_some_and(|it| it.len() > TERMS_MAX) {
        return Err(values.over(format!("more than {TERMS_MAX} ids")));
    }
    let text = |node: &Node<'_>| match node.value {
        Value::String(_) | Value::Number(_) => Ok(node.scalar()?.text()),
        _ => Err(node.expected("an id, which is a string")),
    };
    Ok(QueryKind::Ids { types, values: values.items().iter().map(text).collect::<Result<_>>()? })
}
