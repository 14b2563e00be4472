//! Filters that are refused: with the place, the text that clients know, and the limit.

use super::*;
use crate::limits::{
    CLAUSES_MAX, DEPTH_MAX, FIELD_NAME_MAX_BYTES, PATTERN_MAX_BYTES, POLYGON_POINTS_MAX, REGEXP_CLAUSES,
    TERMS_MAX,
};
use crate::{FilterError, FilterErrorKind};

fn error(json: &Value) -> FilterError {
    match Filter::parse(json) {
        Ok(filter) => panic!("{json} is a filter: {filter}"),
        Err(error) => error,
    }
}

#[test]
fn errors_have_the_texts_that_clients_know() {
    for (json, status, pointer, text) in [
        (json!([]), 400, "", "found an empty array, expected the name of a filter"),
        (json!({"term": {}}), 400, "/term", "A filter can't be empty"),
        (json!({"term": {"a": [1]}}), 400, "/term/a", "found an array"),
        (json!({"terms": {}}), 400, "/terms", "A filter can't be empty"),
        (json!({"terms": {"a": "x"}}), 400, "/terms/a", "Filter terms must contains an array"),
        (json!({"terms": {"a": [1, {}]}}), 400, "/terms/a/1", "found an empty object"),
        (json!({"range": {"a": {"above": 1}}}), 400, "/range/a/above", "Operator above doesn't exist"),
        (json!({"range": {"a": {"gt": [1]}}}), 400, "/range/a/gt", "found an array"),
        (json!({"range": {"a": {}}}), 400, "/range/a", "A filter can't be empty"),
        (json!({"exists": {}}), 400, "/exists", "Filter 'exists' must contains 'field' attribute"),
        (
            json!({"exists": {"field": 3}}),
            400,
            "/exists/field",
            "Filter 'exists' takes a string attribute. Found: number",
        ),
        (json!({"missing": {}}), 400, "/missing", "Filter 'missing' must contains 'field' attribute"),
        (json!({"ids": {}}), 400, "/ids", "Filter ids must contains \"values\" attribute"),
        (
            json!({"ids": {"values": []}}),
            400,
            "/ids/values",
            "Attribute \"values\" in filter ids must contains a non-empty array",
        ),
        (json!({"and": []}), 400, "/and", "Filters can't be empty"),
        (json!({"and": {}}), 400, "/and", "Filters can't be empty"),
        (json!({"or": {"term": {"a": 1}}}), 400, "/or", "This filter must contains a filters array"),
        (json!({"or": []}), 400, "/or", "This filter must contains a filters array"),
        (json!({"not": {}}), 400, "/not", "Filters can't be empty"),
        (json!({"bool": {"may": []}}), 400, "/bool/may", "Function may doesn't exist"),
        (json!({"bool": {}}), 400, "/bool", "A filter can't be empty"),
        (json!({"regexp": "x"}), 400, "/regexp", "Regexp argument must be an object"),
        (json!({"regexp": {"a": "x", "b": "y"}}), 400, "/regexp", "Regexp can take only one field entry"),
        (json!({"regexp": {"a": {"flags": "i"}}}), 400, "/regexp/a", "Missing regexp value"),
        (json!({"regexp": {"a": "("}}), 500, "/regexp/a", "Invalid regular expression"),
        (json!({"geoShape": {}}), 500, "/geoShape", "geoShape is not implemented yet."),
        (json!({"foo_bar": {}}), 404, "/foo_bar", "Unknown filter with name fooBar"),
        (json!({"and": [{"foo": {}}]}), 400, "/and/0/foo", "Function foo doesn't exist"),
        (json!({"term": {"a": 1}, "range": {}}), 400, "", "found `range` and `term` side by side"),
        (json!({"geoPolygon": {"p": {}}}), 400, "/geoPolygon/p", "No point list found"),
        (
            json!({"geoPolygon": {"p": {"points": {}}}}),
            400,
            "/geoPolygon/p/points",
            "A polygon must be in array format",
        ),
        (
            json!({"geoPolygon": {"p": {"points": [[1, 2], [3, 4]]}}}),
            400,
            "/geoPolygon/p/points",
            "A polygon must have at least 3 points",
        ),
        (
            json!({"geoPolygon": {"p": {"points": [[1, 2], [3, 4], "dr5r"]}}}),
            400,
            "/geoPolygon/p/points/2",
            "Unable to parse coordinates",
        ),
        (json!({"geoDistance": {}}), 400, "/geoDistance", "Missing filter"),
        (json!({"geoDistance": {"distance": 1}}), 400, "/geoDistance", "No location field given"),
        (json!({"geoDistance": {"p": [1, 2]}}), 400, "/geoDistance", "No distance given"),
        (
            json!({"geoDistance": {"p": [1, 2], "distance": "far"}}),
            400,
            "/geoDistance/distance",
            "Unable to parse the distance filter parameter",
        ),
        (
            json!({"geoDistance": {"p": [91, 2], "distance": 1}}),
            400,
            "/geoDistance/p",
            "Unable to parse coordinates",
        ),
        (
            json!({"geoDistanceRange": {"p": [1, 2], "to": 1}}),
            400,
            "/geoDistanceRange",
            "No from parameter given",
        ),
        (
            json!({"geoDistanceRange": {"p": [1, 2], "from": 1}}),
            400,
            "/geoDistanceRange",
            "No to parameter given",
        ),
        (
            json!({"geoBoundingBox": {"p": {"top": 1, "left": 2, "bottom": 3}}}),
            400,
            "/geoBoundingBox/p",
            "Unable to parse coordinates",
        ),
        (json!({"and": [{"term": {"a/b~c": []}}]}), 400, "/and/0/term/a~1b~0c", "found an empty array"),
    ] {
        let error = error(&json);
        assert_eq!((error.status(), error.pointer()), (status, pointer), "{json}: {error}");
        assert!(error.message().starts_with(text), "{json}: {error}");
        assert!(error.to_string().contains(if pointer.is_empty() { "the root" } else { pointer }), "{error}");
    }
}

#[test]
fn limits_hold_on_both_sides() {
    let nested = |depth: usize| (1..depth).fold(json!({"term": {"a": 1}}), |inner, _| json!({"not": inner}));
    let wide = |count: usize| json!({"or": vec![json!({"term": {"a": 1}}); count - 1]});
    let terms = |count: usize| json!({"terms": {"a": (0..count).collect::<Vec<_>>()}});
    let two_lists = json!({"and": [terms(TERMS_MAX), {"ids": {"values": ["x"]}}]});
    let polygon = |count: usize| json!({"geoPolygon": {"p": {"points": vec![json!([1, 2]); count]}}});
    let name = |length: usize| json!({"term": {"a".repeat(length): 1}});
    let pattern = |length: usize| json!({"regexp": {"a": "x".repeat(length)}});
    let patterns = |count: usize| json!({"or": vec![json!({"regexp": {"a": "x"}}); count]});
    let dots = |count: usize| json!({"term": {".".repeat(count): 1}});
    for (fits, over) in [
        (nested(DEPTH_MAX), nested(DEPTH_MAX + 1)),
        (wide(CLAUSES_MAX), wide(CLAUSES_MAX + 1)),
        (terms(TERMS_MAX), terms(TERMS_MAX + 1)),
        (terms(TERMS_MAX), two_lists),
        (polygon(POLYGON_POINTS_MAX), polygon(POLYGON_POINTS_MAX + 1)),
        (name(FIELD_NAME_MAX_BYTES), name(FIELD_NAME_MAX_BYTES + 1)),
        (dots(126), dots(127)),
        (pattern(PATTERN_MAX_BYTES), pattern(PATTERN_MAX_BYTES + 1)),
        (patterns(CLAUSES_MAX / REGEXP_CLAUSES - 1), patterns(CLAUSES_MAX / REGEXP_CLAUSES)),
        (json!({"regexp": {"a": "a{100}"}}), json!({"regexp": {"a": "((a{100}){100}){100}"}})),
    ] {
        filter(&fits);
        assert_eq!(error(&over).kind(), FilterErrorKind::Limit);
        assert_eq!(error(&over).status(), 400);
    }
}

#[test]
fn errors_are_no_longer_than_they_need_to_be() {
    let long = "x".repeat(100_000);
    for json in [
        json!({long.clone(): 1}),
        json!({"and": [{long.clone(): 1}]}),
        json!({"range": {"a": {long.clone(): 1}}}),
        json!({"bool": {long.clone(): 1}}),
        json!({"terms": {"a": long}}),
        json!({"geoDistance": {"p": [1, 2], "distance": long}}),
        json!({"geoDistance": {"p": {"latLon": long}, "distance": 1}}),
        json!({"regexp": {"a": {"value": "x", "flags": long}}}),
    ] {
        assert!(error(&json).message().len() < 600, "{}", error(&json).message().len());
    }
}
