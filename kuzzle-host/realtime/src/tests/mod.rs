//! Tests over the whole crate: the language by hand-worked expectations, and the index beside the naive evaluator.

mod errors;
mod language;
mod matching;
mod normal_form;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{Document, Filter};

fn filter(json: &Value) -> Filter {
    Filter::parse(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn document(source: &Value) -> Document<'_> {
    Document { id: None, source }
}

/// Fields of generated filters and documents: few, so that they meet.
fn field() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "o", "o.a", "o.b", "o.c.d", "p", "_id"]).prop_map(str::to_owned)
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-3..6i32).prop_map(Value::from),
        prop::sample::select(vec![0.5, -0.0, 2.5, 1e300]).prop_map(Value::from),
        text().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "",
        "a",
        "b",
        "1",
        "2",
        " 3 ",
        "abcd",
        "xabcdx",
        "ABCD",
        "kelvin",
        "\u{212a}elvin",
        "2016-01-01T10:00:00Z",
        "2016-01-01T10:00:30Z",
        "2016-02-01",
        "\u{ffff}",
        "\u{10000}",
    ])
    .prop_map(str::to_owned)
}

fn coordinate() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-4..=4i32).prop_map(Value::from),
        (-40..=40i32).prop_map(|it| Value::from(f64::from(it) / 10.0))
    ]
}

fn point() -> impl Strategy<Value = Value> {
    (coordinate(), coordinate()).prop_map(|(lat, lon)| json!({"lat": lat, "lon": lon}))
}

/// A filter that looks at one field, as JSON.
fn leaf() -> impl Strategy<Value = Value> {
    let geo_field = prop::sample::select(vec!["p", "o"]);
    prop_oneof![
        3 => (field(), scalar()).prop_map(|(field, value)| json!({"term": {field: value}})),
        2 => (field(), prop::collection::vec(scalar(), 0..5)).prop_map(|(field, values)| json!({"terms": {field: values}})),
        3 => (field(), range()).prop_map(|(field, range)| json!({"range": {field: range}})),
        1 => field().prop_map(|field| json!({"exists": {"field": field}})),
        1 => field().prop_map(|field| json!({"missing": {"field": field}})),
        1 => prop::collection::vec(text(), 1..4).prop_map(|ids| json!({"ids": {"values": ids}})),
        2 => (field(), pattern()).prop_map(|(field, pattern)| json!({"regexp": {field: pattern}})),
        1 => (geo_field.clone(), point(), point()).prop_map(|(field, a, b)| {
            json!({"geoBoundingBox": {field: {"topLeft": a, "bottomRight": b}}})
        }),
        1 => (geo_field.clone(), prop::collection::vec(point(), 3..6)).prop_map(|(field, points)| {
            json!({"geoPolygon": {field: {"points": points}}})
        }),
        1 => (geo_field.clone(), point(), 0..500_000u32).prop_map(|(field, point, distance)| {
            json!({"geoDistance": {field: point, "distance": distance}})
        }),
        1 => (geo_field, point(), 0..500_000u32, 0..500_000u32).prop_map(|(field, point, from, to)| {
            json!({"geoDistanceRange": {field: point, "from": from, "to": to}})
        }),
    ]
}

fn range() -> impl Strategy<Value = Value> {
    let bound = || (prop::sample::select(vec!["gt", "gte", "lt", "lte", "from", "to"]), bound_value());
    prop::collection::vec(bound(), 1..4).prop_map(|bounds| {
        let bounds: Map<String, Value> =
            bounds.into_iter().map(|(side, value)| (side.to_owned(), value)).collect();
        Value::Object(bounds)
    })
}

fn bound_value() -> impl Strategy<Value = Value> {
    prop_oneof![4 => (-3..6i32).prop_map(Value::from), 2 => text().prop_map(Value::from), 1 => any::<bool>().prop_map(Value::from)]
}

fn pattern() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec![
            "abc",
            "^a",
            "d$",
            "b.d",
            "[0-9]+-0",
            "a|b",
            "^$",
            "BCD",
            "kel",
            "^2016-01.*30Z$"
        ])
        .prop_map(Value::from),
        prop::sample::select(vec!["abc", "KELV", "^ABCD$", "k"])
            .prop_map(|it| json!({"value": it, "flags": "i"})),
    ]
}

/// Any filter, as JSON.
fn any_filter() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        let many = || prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            3 => many().prop_map(|all| json!({"and": all})),
            2 => many().prop_map(|any| json!({"or": any})),
            1 => inner.clone().prop_map(|it| json!({"not": it})),
            1 => many().prop_map(|none| json!({"not": none})),
            1 => (many(), many(), many()).prop_map(|(must, not, should)| {
                json!({"bool": {"must": must, "must_not": not, "should": should}})
            }),
        ]
    })
}

/// A document: an object whose fields are those of the filters, nested, dotted or both.
fn source() -> impl Strategy<Value = Value> {
    let value = || {
        prop_oneof![
            6 => scalar(),
            1 => prop::collection::vec(scalar(), 0..3).prop_map(Value::from),
            1 => Just(json!({})),
        ]
    };
    let name = || {
        prop::sample::select(vec![
            "a", "b", "c", "d", "o", "lat", "lon", "o.a", "o.c", "c.d", "o.c.d", "p.lat", "_id",
        ])
    };
    let object = move || {
        prop::collection::vec((name(), value()), 0..6).prop_map(|fields| {
            Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        })
    };
    let with_places = (object(), object(), prop::option::of(point()), prop::option::of(object()));
    with_places.prop_map(|(mut source, o, p, c)| {
        if let (Some(p), Some(map)) = (p, source.as_object_mut()) {
            map.insert("p".to_owned(), p);
        }
        if let Some(c) = c
            && let Some(map) = source.as_object_mut()
        {
            let mut o = o;
            o["c"] = c;
            map.insert("o".to_owned(), o);
        }
        source
    })
}

fn id() -> impl Strategy<Value = Option<String>> {
    prop::option::of(text())
}
