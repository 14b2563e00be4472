use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Dynamic, Field, Kind, Mapping, Nested, NumberKind, Object, Property, Text};
use crate::analysis::Analyzer;
use crate::dates::DateFormats;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{DEPTH_MAX, FIELD_NAME_MAX_BYTES, FIELDS_MAX};
use crate::node::{Fields, Node, excerpt};

/// Options of fields that Elasticsearch has for its own storage: they are kept and shown, and change no result.
const STORAGE_OPTIONS: &[&str] =
    &["store", "doc_values", "fielddata", "precision_step", "index_options", "term_vector"];
const GEO_OPTIONS: &[&str] = &[
    "lat_lon",
    "geohash",
    "geohash_prefix",
    "geohash_precision",
    "normalize",
    "normalize_lat",
    "normalize_lon",
    "validate",
    "validate_lat",
    "validate_lon",
];

impl Mapping {
    /// Reads a mapping, such as `{"properties": {"name": {"type": "string"}}}`.
    ///
    /// # Errors
    /// A type, an option or a value that is not known is refused with its place; so is more than
    /// [`FIELDS_MAX`] fields or [`DEPTH_MAX`] levels.
    pub fn parse(value: &Value) -> Result<Self> {
        let node = Node::root(value);
        let mut fields = node.fields("mapping")?;
        let mut mapping = Mapping::default();
        fields.refuse(&[
            "_parent",
            "_routing",
            "_timestamp",
            "_ttl",
            "_index",
            "_type",
            "_id",
            "_size",
            "_analyzer",
        ])?;
        fields.refuse(&["dynamic_templates", "transform"])?;
        if let Some(source) = fields.take("_source") {
            let mut options = source.fields("_source")?;
            if let Some(enabled) = options.take("enabled")
                && !enabled.bool()?
            {
                return Err(enabled.unsupported("a collection without `_source`"));
            }
            options.refuse(&["includes", "excludes"])?;
            options.finish()?;
        }
        if let Some(all) = fields.take("_all") {
            let mut options = all.fields("_all")?;
            if let Some(enabled) = options.take("enabled") {
                mapping.all = enabled.bool()?;
            }
            options.hint(&["store"]);
            options.refuse(&["analyzer", "search_analyzer", "index_analyzer"])?;
            options.finish()?;
        }
        if let Some(detection) = fields.take("date_detection") {
            mapping.date_detection = detection.bool()?;
        }
        if let Some(detection) = fields.take("numeric_detection") {
            mapping.numeric_detection = detection.bool()?;
        }
        if let Some(formats) = fields.any(&["dynamic_date_formats", "date_formats"]) {
            let read = |item: &Node<'_>| item.place(DateFormats::parse(item.str()?));
            mapping.dynamic_date_formats = Some(formats.items().iter().map(read).collect::<Result<_>>()?);
        }
        mapping.meta = fields.take("_meta").map(|meta| meta.value.clone());
        mapping.root = object(&mut fields, Arc::from(""), 0)?;
        fields.finish()?;
        if mapping.root.nested.is_some() {
            return Err(node.fail("the root of a mapping cannot be nested"));
        }
        mapping.check_size().map_err(|error| error.or_at(|| node.pointer()))?;
        Ok(mapping)
    }

    pub(super) fn check_size(&self) -> Result<()> {
        let size = self.size();
        if size > FIELDS_MAX {
            let message = format!("the mapping would have {size} fields, at most {FIELDS_MAX} are taken");
            return Err(Error::bare(ErrorKind::Limit, message));
        }
        Ok(())
    }
}

fn object(fields: &mut Fields<'_>, path: Arc<str>, depth: usize) -> Result<Object> {
    if depth > DEPTH_MAX {
        return Err(fields.node.over(format!("objects nest deeper than {DEPTH_MAX}")));
    }
    let mut object = Object::new(path);
    if let Some(kind) = fields.take("type")
        && kind.one_of(&[("object", false), ("nested", true)])?
    {
        object.nested = Some(Nested { include_in_parent: false, include_in_root: false });
    }
    let mut include = |name: &'static str| fields.take(name).map(|it| it.bool()).transpose();
    let (in_parent, in_root) = (include("include_in_parent")?, include("include_in_root")?);
    match &mut object.nested {
        Some(nested) => {
            nested.include_in_parent = in_parent.unwrap_or(false);
            nested.include_in_root = in_root.unwrap_or(false);
        }
        None if in_parent.is_some() || in_root.is_some() => {
            return Err(fields
                .node
                .fail("`include_in_parent` and `include_in_root` belong to the type `nested`"));
        }
        None => {}
    }
    object.dynamic = fields.take("dynamic").map(|node| dynamic(&node)).transpose()?;
    if let Some(enabled) = fields.take("enabled") {
        object.enabled = enabled.bool()?;
    }
    object.include_in_all = fields.take("include_in_all").map(|node| node.bool()).transpose()?;
    fields.hint(&["store"]);
    fields.refuse(&["path"])?;
    if let Some(properties) = fields.take("properties") {
        for (name, node) in properties.members("an object with one member for each field")? {
            check_name(name, &object, &node)?;
            let property = property(&node, object.child_path(name), depth + 1)?;
            object.properties.insert(name.to_owned(), property);
        }
    }
    Ok(object)
}

fn check_name(name: &str, object: &Object, node: &Node<'_>) -> Result<()> {
    if name.is_empty() {
        return Err(node.fail("a field has an empty name"));
    }
    if name.contains('.') {
        return Err(node.fail(format!("Field name [{}] cannot contain '.'", excerpt(name))));
    }
    if object.path.len() + name.len() + 1 > FIELD_NAME_MAX_BYTES {
        return Err(node.over(format!("a field's path is longer than {FIELD_NAME_MAX_BYTES} bytes")));
    }
    Ok(())
}

fn dynamic(node: &Node<'_>) -> Result<Dynamic> {
    match node.value {
        Value::Bool(true) => Ok(Dynamic::True),
        Value::Bool(false) => Ok(Dynamic::False),
        _ => node.one_of(&[("true", Dynamic::True), ("false", Dynamic::False), ("strict", Dynamic::Strict)]),
    }
}

fn property(node: &Node<'_>, path: Arc<str>, depth: usize) -> Result<Property> {
    let map = node.map("the mapping of a field")?;
    let named = map.get("type").filter(|it| !it.is_null());
    let is_object = match named {
        Some(Value::String(name)) => name == "object" || name == "nested",
        Some(_) => false,
        None if map.contains_key("properties")
            || map.contains_key("enabled")
            || map.contains_key("dynamic") =>
        {
            true
        }
        None if map.is_empty() => true,
        None => {
            return Err(node.fail(format!("No type specified for field [{}]", excerpt(&path))));
        }
    };
    if is_object {
        let mut fields = node.fields("object")?;
        let object = object(&mut fields, path, depth)?;
        fields.finish()?;
        return Ok(Property::Object(object));
    }
    field(node, path, true).map(Property::Field)
}

fn field(node: &Node<'_>, path: Arc<str>, outermost: bool) -> Result<Field> {
    let mut fields = node.fields("field")?;
    let kind = fields.need("type")?;
    let (name, mut multi_field_of) = (kind.str()?, None);
    let mut field = if name == "multi_field" && outermost {
        multi_field_of = path.rsplit('.').next().map(str::to_owned);
        Field::new(Arc::clone(&path), Kind::Text(Text::analysed()))
    } else {
        Field::new(Arc::clone(&path), self::kind(&kind, &path, &mut fields)?)
    };
    index(&mut fields, &mut field)?;
    if let Some(similarity) = fields.take("similarity") {
        similarity
            .one_of(&[("default", ()), ("classic", ())])
            .map_err(|_| similarity.unsupported("a similarity other than `default`, which is TF/IDF"))?;
    }
    field.null_value = fields.take("null_value").map(|node| node.value.clone());
    field.include_in_all = fields.take("include_in_all").map(|node| node.bool()).transpose()?;
    if let Some(boost) = fields.take("boost") {
        field.boost = boost.f32()?;
    }
    if let Some(ignore) = fields.take("ignore_malformed") {
        field.ignore_malformed = ignore.bool()?;
    }
    if let Some(coerce) = fields.take("coerce") {
        field.coerce = coerce.bool()?;
    }
    if let Some(copy_to) = fields.take("copy_to") {
        if !outermost {
            return Err(copy_to.fail("copy_to in multi fields is not allowed"));
        }
        field.copy_to = copy_to.strings()?;
    }
    let storage = if matches!(field.kind, Kind::GeoPoint) { GEO_OPTIONS } else { &[] };
    for option in STORAGE_OPTIONS.iter().chain(storage) {
        if let Some(node) = fields.take(option) {
            field.options.insert((*option).to_owned(), node.value.clone());
        }
    }
    if let Some(inner) = fields.take("fields") {
        if !outermost {
            return Err(inner.fail("a multi-field has no multi-fields of its own"));
        }
        field.fields = multi_fields(&inner, &path)?;
    }
    fields.refuse(&["index_name", "postings_format", "index_analyzer", "doc_values_format"])?;
    fields.finish()?;
    if let Some(own) = multi_field_of.and_then(|own| field.fields.remove(&own)) {
        let others = std::mem::take(&mut field.fields);
        field = Field { path, fields: others, ..own };
    }
    if let Some(null_value) = &field.null_value {
        let read = field.read(null_value);
        read.map_err(|error| error.or_at(|| format!("{}/null_value", node.pointer())))?;
    }
    Ok(field)
}

fn multi_fields(node: &Node<'_>, path: &str) -> Result<BTreeMap<String, Field>> {
    let mut out = BTreeMap::new();
    for (name, node) in node.members("an object with one member for each multi-field")? {
        if name.contains('.') || name.is_empty() {
            return Err(node.fail(format!("Field name [{}] cannot contain '.'", excerpt(name))));
        }
        out.insert(name.to_owned(), field(&node, Arc::from(format!("{path}.{name}")), false)?);
    }
    Ok(out)
}

fn kind(node: &Node<'_>, path: &str, fields: &mut Fields<'_>) -> Result<Kind> {
    Ok(match node.str()? {
        "string" => Kind::Text(text(fields)?),
        "long" => Kind::Number(NumberKind::Long),
        "integer" => Kind::Number(NumberKind::Integer),
        "short" => Kind::Number(NumberKind::Short),
        "byte" => Kind::Number(NumberKind::Byte),
        "double" => Kind::Number(NumberKind::Double),
        "float" => Kind::Number(NumberKind::Float),
        "boolean" => Kind::Boolean,
        "date" => {
            fields.refuse(&["numeric_resolution", "locale"])?;
            match fields.take("format") {
                Some(format) => Kind::Date(format.place(DateFormats::parse(format.str()?))?),
                None => Kind::Date(DateFormats::standard()),
            }
        }
        "geo_point" => Kind::GeoPoint,
        "ip" => Kind::Ip,
        "binary" => Kind::Binary,
        other @ ("geo_shape" | "completion" | "token_count" | "murmur3" | "attachment") => {
            return Err(node.unsupported(&format!("the type `{other}` of field `{}`", excerpt(path))));
        }
        other => {
            let (other, path) = (excerpt(other), excerpt(path));
            return Err(node.fail(format!("No handler for type [{other}] declared on field [{path}]")));
        }
    })
}

fn text(fields: &mut Fields<'_>) -> Result<Text> {
    let mut text = Text::analysed();
    let mut analyzer = |name: &'static str| {
        fields.take(name).map(|node| node.place(Analyzer::parse(node.str()?))).transpose()
    };
    if let Some(analyzer) = analyzer("analyzer")? {
        text.analyzer = Some(analyzer);
    }
    text.search_analyzer = analyzer("search_analyzer")?;
    text.ignore_above =
        fields.take("ignore_above").map(|node| node.usize()).transpose()?.filter(|it| *it > 0);
    if let Some(gap) = fields.any(&["position_increment_gap", "position_offset_gap"]) {
        let found = gap.usize()?;
        text.position_gap = u32::try_from(found)
            .ok()
            .filter(|it| *it <= 100_000)
            .ok_or_else(|| gap.over("at most 100000"))?;
    }
    if let Some(norms) = fields.take("norms") {
        let mut options = norms.fields("norms")?;
        if let Some(enabled) = options.take("enabled") {
            text.norms = enabled.bool()?;
        }
        options.hint(&["loading"]);
        options.finish()?;
    }
    if let Some(omit) = fields.take("omit_norms") {
        text.norms = !omit.bool()?;
    }
    Ok(text)
}

fn index(fields: &mut Fields<'_>, field: &mut Field) -> Result<()> {
    let Some(index) = fields.take("index") else { return Ok(()) };
    let how = match index.value {
        Value::Bool(true) => "analyzed",
        Value::Bool(false) => "no",
        _ => index.one_of(&[("analyzed", "analyzed"), ("not_analyzed", "not_analyzed"), ("no", "no")])?,
    };
    match how {
        "no" => field.indexed = false,
        "not_analyzed" => {
            if let Kind::Text(text) = &mut field.kind {
                text.analyzer = None;
                text.norms = false;
            }
        }
        _ => {}
    }
    Ok(())
}
