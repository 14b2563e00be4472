use serde_json::{Value, json};

use super::*;
use crate::ErrorKind;

fn parse(value: Value) -> Mapping {
    Mapping::parse(&value).unwrap_or_else(|error| panic!("{value}: {error}"))
}

fn observed(mapping: &Mapping, source: Value) -> Value {
    mapping.observe(&source).unwrap().unwrap_or_else(|| mapping.clone()).render()
}

#[test]
fn documents_are_mapped_by_what_they_hold() {
    let source = json!({
        "text": "some words", "whole": 1, "decimal": 1.5, "yes": true, "day": "2014-11-18", "slashed": "2014/11/18",
        "not_a_day": "2014-99-99", "digits": "2014", "none": null, "empty": [], "list": [null, 1, 2],
        "inner": {"deep": {"name": "x"}}, "objects": [{"a": 1}, {"b": "c"}], "dotted.name": 1, "nothing": {},
    });
    let detected = "yyyy/MM/dd HH:mm:ss Z||yyyy/MM/dd Z||yyyy/MM/dd HH:mm:ss||yyyy/MM/dd||epoch_millis";
    assert_eq!(
        observed(&Mapping::default(), source),
        json!({"properties": {
            "text": {"type": "string"}, "whole": {"type": "long"}, "decimal": {"type": "double"},
            "yes": {"type": "boolean"},
            "day": {"type": "date", "format": "strict_date_optional_time||epoch_millis"},
            "slashed": {"type": "date", "format": detected},
            "not_a_day": {"type": "string"}, "digits": {"type": "string"}, "list": {"type": "long"},
            "inner": {"properties": {"deep": {"properties": {"name": {"type": "string"}}}}},
            "objects": {"properties": {"a": {"type": "long"}, "b": {"type": "string"}}},
            "dotted": {"properties": {"name": {"type": "long"}}},
            "nothing": {"type": "object"},
        }})
    );
    // Where values are copied to is mapped by what they are.
    let copying = parse(
        json!({"properties": {"a": {"type": "string", "copy_to": ["b", "o.c"]}, "n": {"type": "long", "copy_to": "a"}}}),
    );
    let grown = copying.observe(&json!({"a": "x"})).unwrap().unwrap();
    assert_eq!(grown.render()["properties"]["b"], json!({"type": "string"}));
    assert_eq!(grown.render()["properties"]["o"], json!({"properties": {"c": {"type": "string"}}}));
    // A copy is not copied on.
    assert_eq!(copying.observe(&json!({"n": 1})), Ok(None));
    let known = Mapping::default().observe(&json!({"a": 1})).unwrap().unwrap();
    assert_eq!(known.observe(&json!({"a": "2", "b": null})), Ok(None));
}

#[test]
fn detection_may_be_switched() {
    let mapping = parse(json!({"date_detection": false, "numeric_detection": true}));
    assert_eq!(
        observed(&mapping, json!({"a": "2014-11-18", "b": "5", "c": "5.5"}))["properties"],
        json!({"a": {"type": "string"}, "b": {"type": "long"}, "c": {"type": "double"}})
    );
    let mapping = parse(json!({"dynamic_date_formats": ["dd-MM-yyyy"]}));
    assert_eq!(
        observed(&mapping, json!({"a": "18-11-2014", "b": "2014-11-18"}))["properties"],
        json!({"a": {"type": "date", "format": "dd-MM-yyyy"}, "b": {"type": "string"}})
    );
}

#[test]
fn documents_that_do_not_fit_are_refused() {
    let mapping = parse(json!({"properties": {
        "n": {"type": "byte"}, "d": {"type": "date", "format": "yyyy"}, "g": {"type": "geo_point"},
        "ip": {"type": "ip"}, "o": {"properties": {"x": {"type": "long", "coerce": false}}},
        "fine": {"type": "long", "ignore_malformed": true}, "s": {"type": "object", "dynamic": "strict"},
        "raw": {"type": "string", "index": "not_analyzed"},
    }}));
    for (source, message) in [
        (
            json!({"n": 128}),
            "failed to parse [n]: found the number `128`, expected a number of the type `byte`",
        ),
        (
            json!({"n": "x"}),
            "failed to parse [n]: found the string `x`, expected a number of the type `byte`",
        ),
        (
            json!({"n": {"a": 1}}),
            "failed to parse [n]: found an object, expected a number of the type `byte`",
        ),
        (
            json!({"d": "2014-01"}),
            "failed to parse [d]: found the string `2014-01`, expected a date with the format [yyyy]",
        ),
        (json!({"g": "x y"}), "failed to parse [g]: found the string `x y`, expected a point"),
        (json!({"ip": "1.2.3"}), "failed to parse [ip]: found the string `1.2.3`, expected an IPv4 address"),
        (
            json!({"o": 1}),
            "object mapping for [o] tried to parse field [o] as object, but found a concrete value",
        ),
        (
            json!({"o": {"x": "1"}}),
            "failed to parse [o.x]: found the string `1`, expected a number of the type `long`",
        ),
        (
            json!({"raw": "x".repeat(32_767)}),
            "failed to parse [raw]: a value that is not analyzed has 32767 bytes, at most 32766 are taken",
        ),
        (
            json!({"s": {"new": 1}}),
            "strict_dynamic_mapping_exception: mapping set to strict, dynamic introduction of [new] within [s] is not allowed",
        ),
        (json!({"o": {"": 1}}), "[o] has a field with the name []: an empty name, or an empty step of one"),
        (json!({"a..b": 1}), "[a] has a field with the name [.b]: an empty name, or an empty step of one"),
        (json!([1]), "found an array, expected a document, which is an object"),
        (
            json!({"mixed": [1, {"a": 1}]}),
            "object mapping for [mixed] tried to parse field [mixed] as object, but found a concrete value",
        ),
    ] {
        let error = mapping.observe(&source).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Document, message));
    }
    let fits = json!({"n": "127", "d": 2014, "g": [[1, 2], [3, 4]], "ip": "10.0.0.1", "o": {"x": 5}, "fine": "x", "s": {}});
    assert_eq!(mapping.observe(&fits), Ok(None));
}

#[test]
fn mappings_come_back_as_they_were_given() {
    let given = json!({
        "dynamic": "false", "_all": {"enabled": false}, "date_detection": false, "_meta": {"by": "us"},
        "properties": {
            "a": {"type": "string", "index": "not_analyzed", "store": true, "copy_to": ["b"], "null_value": "none"},
            "b": {"type": "string", "analyzer": "english", "search_analyzer": "standard", "norms": {"enabled": false}},
            "c": {"type": "string", "fields": {"raw": {"type": "string", "index": "not_analyzed", "ignore_above": 256}}},
            "d": {"type": "date", "format": "yyyy-MM-dd||epoch_millis"},
            "e": {"type": "nested", "include_in_parent": true, "properties": {"x": {"type": "integer", "boost": 2.0}}},
            "f": {"type": "geo_point", "lat_lon": true},
            "g": {"type": "object", "enabled": false},
            "h": {"type": "ip"}, "i": {"type": "binary"}, "j": {"type": "boolean", "index": "no"},
            "k": {"type": "float", "ignore_malformed": true, "coerce": false, "include_in_all": false},
        },
    });
    let mapping = parse(given.clone());
    assert_eq!(mapping.render(), given);
    assert_eq!(parse(mapping.render()), mapping);
    assert_eq!(Mapping::default().render(), json!({}));
    // The older notation of multi-fields.
    let old = json!({"properties": {"a": {"type": "multi_field", "fields": {
        "a": {"type": "string"}, "raw": {"type": "string", "index": "not_analyzed"}}}}});
    assert_eq!(
        parse(old).render(),
        json!({"properties": {"a": {"type": "string", "fields": {"raw": {"type": "string", "index": "not_analyzed"}}}}})
    );
}

#[test]
fn what_is_not_known_is_refused_with_its_place() {
    for (mapping, message) in [
        (
            json!({"properties": {"a": {"type": "text"}}}),
            "No handler for type [text] declared on field [a], at `/properties/a/type`",
        ),
        (
            json!({"properties": {"a": {"index": "no"}}}),
            "No type specified for field [a], at `/properties/a`",
        ),
        (
            json!({"properties": {"a": {"type": "geo_shape"}}}),
            "not supported here: the type `geo_shape` of field `a`, at `/properties/a/type`",
        ),
        (
            json!({"properties": {"a.b": {"type": "long"}}}),
            "Field name [a.b] cannot contain '.', at `/properties/a.b`",
        ),
        (
            json!({"properties": {"a": {"type": "long", "speed": 1}}}),
            "unknown key `speed` in `field`; known here: ",
        ),
        (json!({"propertys": {}}), "unknown key `propertys` in `mapping`; known here: "),
        (json!({"_ttl": {"enabled": true}}), "not supported here: `_ttl` of `mapping`, at `/_ttl`"),
        (
            json!({"properties": {"a": {"type": "string", "analyzer": "mine"}}}),
            "not supported here: the analyzer `mine`; known are standard, ",
        ),
        (
            json!({"properties": {"a": {"type": "long", "null_value": "x"}}}),
            "failed to parse [a]: found the string `x`, expected a number of the type `long`, at `/properties/a/null_value`",
        ),
        (json!([]), "found an empty array, expected the object of `mapping`, at the root"),
    ] {
        let error = Mapping::parse(&mapping).unwrap_err();
        assert!(error.to_string().starts_with(message), "{mapping}: {error}");
    }
    let many: serde_json::Map<_, _> = (0..1001).map(|it| (it.to_string(), json!({"type": "long"}))).collect();
    assert_eq!(Mapping::parse(&json!({"properties": many})).unwrap_err().kind(), ErrorKind::Limit);
    let deep = (0..30).fold(json!({"type": "long"}), |inner, _| json!({"properties": {"a": inner}}));
    assert_eq!(Mapping::parse(&deep).unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn updates_add_and_conflicts_are_refused() {
    let current = parse(json!({"properties": {
        "a": {"type": "string"}, "b": {"type": "string", "index": "not_analyzed"}, "o": {"properties": {"x": {"type": "long"}}},
    }}));
    assert_eq!(current.merge(&current).unwrap(), current);
    let update = parse(json!({"properties": {
        "a": {"type": "string", "copy_to": "new", "fields": {"raw": {"type": "string", "index": "not_analyzed"}}},
        "o": {"properties": {"y": {"type": "date"}}}, "new": {"type": "string"},
    }}));
    let merged = current.merge(&update).unwrap();
    assert_eq!(merged.field("a").unwrap().copy_to, ["new"]);
    assert!(
        merged.field("a.raw").is_some() && merged.field("o.y").is_some() && merged.field("o.x").is_some()
    );
    for (update, message) in [
        (
            json!({"a": {"type": "long"}}),
            "mapper [a] of different type, current_type [string], merged_type [long]",
        ),
        (json!({"b": {"type": "string"}}), "mapper [b] has different [index] values"),
        (json!({"a": {"type": "string", "analyzer": "english"}}), "mapper [a] has different [analyzer]"),
        (json!({"o": {"type": "long"}}), "Can't merge a non object mapping [o] with an object mapping [o]"),
        (
            json!({"o": {"type": "nested", "properties": {"x": {"type": "long"}}}}),
            "object mapping [o] can't be changed from non-nested to nested",
        ),
        (
            json!({"a": {"type": "long"}, "b": {"type": "date"}}),
            "mapper [a] of different type, current_type [string], merged_type [long], mapper [b] of different type, current_type [string], merged_type [date]",
        ),
    ] {
        let error = current.merge(&parse(json!({"properties": update}))).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("MergeMappingException[Merge failed with failures {{[{message}]}}]")
        );
        assert_eq!(error.kind(), ErrorKind::Mapping);
    }
}
