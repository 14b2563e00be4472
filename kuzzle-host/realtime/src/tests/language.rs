//! Each operator by expectations that were worked out by hand.

use super::*;

#[track_caller]
fn check(json: Value, yes: &[Value], no: &[Value]) {
    let filter = filter(&json);
    let matcher = crate::Matcher::new();
    let _inserted = matcher.insert("i", "c", &filter, ());
    for (sources, expected) in [(yes, true), (no, false)] {
        for source in sources {
            assert_eq!(filter.matches(&document(source)), expected, "{json} on {source}");
            let found = matcher.matches("i", "c", &document(source));
            assert_eq!(found.len(), usize::from(expected), "{json} on {source}, by the index");
        }
    }
}

#[test]
fn grace_ada_and_marie() {
    let people = [
        json!({"firstName": "Grace", "lastName": "Hopper", "age": 85, "city": "NYC", "hobby": "computer", "alive": false}),
        json!({"firstName": "Ada", "lastName": "Lovelace", "age": 36, "city": "London", "hobby": "computer"}),
        json!({"firstName": "Marie", "lastName": "Curie", "age": 55, "city": "Paris", "hobby": "radium"}),
    ];
    for (json, expected) in [
        (json!({"and": [{"term": {"city": "NYC"}}, {"term": {"hobby": "computer"}}]}), [true, false, false]),
        (
            json!({"bool": {
                "must": [{"terms": {"firstName": ["Grace", "Ada"]}}, {"range": {"age": {"gte": 36, "lt": 85}}}],
                "must_not": [{"term": {"city": "NYC"}}],
                "should": [{"term": {"hobby": "computer"}}, {"exists": {"field": "lastName"}}],
            }}),
            [false, true, false],
        ),
        (json!({"exists": {"field": "alive"}}), [true, false, false]),
        (json!({"missing": {"field": "alive"}}), [false, true, true]),
        (json!({"not": {"term": {"city": "London"}}}), [true, false, true]),
        (json!({"or": [{"term": {"city": "NYC"}}, {"term": {"city": "London"}}]}), [true, true, false]),
        (json!({"range": {"age": {"gte": 36, "lt": 85}}}), [false, true, true]),
    ] {
        for (person, expected) in people.iter().zip(expected) {
            assert_eq!(filter(&json).matches(&document(person)), expected, "{json} on {person}");
        }
    }
}

#[test]
fn everything() {
    for json in [json!({}), Value::Null] {
        check(json, &[json!({}), json!({"a": 1}), json!([]), json!(3)], &[]);
    }
}

#[test]
fn term_is_strict() {
    check(
        json!({"term": {"a": 1}}),
        &[json!({"a": 1}), json!({"a": 1.0})],
        &[json!({"a": "1"}), json!({"a": [1]}), json!({"a": true}), json!({"b": 1}), json!({}), json!([1])],
    );
    check(
        json!({"term": {"a": "x"}}),
        &[json!({"a": "x"})],
        &[json!({"a": "X"}), json!({"a": "x "}), json!({"a": {"x": 1}})],
    );
    check(
        json!({"term": {"a": null}}),
        &[json!({"a": null})],
        &[json!({}), json!({"a": 0}), json!({"a": ""})],
    );
    check(json!({"term": {"a": false}}), &[json!({"a": false})], &[json!({"a": 0}), json!({"a": null})]);
    check(json!({"term": {"a": 0}}), &[json!({"a": -0.0})], &[json!({"a": false})]);
}

#[test]
fn terms_and_in_lists() {
    check(
        json!({"terms": {"a": ["x", 1]}}),
        &[json!({"a": "x"}), json!({"a": 1})],
        &[json!({"a": "1"}), json!({"a": ["x"]}), json!({})],
    );
    check(json!({"terms": {"a": []}}), &[], &[json!({"a": 1}), json!({})]);
    let many: Vec<u32> = (0..1000).collect();
    check(
        json!({"terms": {"a": many}}),
        &[json!({"a": 0}), json!({"a": 999})],
        &[json!({"a": 1000}), json!({"a": "1"})],
    );
}

#[test]
fn fields_are_paths() {
    let nested = json!({"info": {"city": "NYC"}});
    check(
        json!({"term": {"info.city": "NYC"}}),
        &[nested.clone(), json!({"info.city": "NYC"}), json!({"info": {"city": "LA"}, "info.city": "NYC"})],
        &[
            json!({"city": "NYC"}),
            json!({"info": [{"city": "NYC"}]}),
            json!({"info": {"city": "NYC"}, "info.city": "LA"}),
        ],
    );
    check(
        json!({"exists": {"field": "info"}}),
        &[nested],
        &[json!({"info.city": "NYC"}), json!({"info": {}})],
    );
    check(
        json!({"term": {"a.b.c": 1}}),
        &[json!({"a": {"b.c": 1}}), json!({"a.b": {"c": 1}}), json!({"a.b": {"d": 1}, "a": {"b": {"c": 1}}})],
        &[json!({"a.b": {"c": 2}, "a": {"b": {"c": 1}}})],
    );
    check(json!({"term": {"tags.0": "x"}}), &[json!({"tags": {"0": "x"}})], &[json!({"tags": ["x"]})]);
}

#[test]
fn ranges_compare_as_javascript_does() {
    check(
        json!({"range": {"a": {"gte": 10, "lt": 20}}}),
        &[json!({"a": 10}), json!({"a": 19.999}), json!({"a": "15"}), json!({"a": " 0x0F "})],
        &[
            json!({"a": 20}),
            json!({"a": 9}),
            json!({"a": "x"}),
            json!({"a": null}),
            json!({"a": [15]}),
            json!({}),
        ],
    );
    check(
        json!({"range": {"a": {"from": 1, "to": 2}}}),
        &[json!({"a": 1}), json!({"a": 2})],
        &[json!({"a": 3}), json!({"a": 0})],
    );
    check(
        json!({"range": {"a": {"gt": 1, "lte": 2}}}),
        &[json!({"a": 2})],
        &[json!({"a": 1}), json!({"a": 2.1})],
    );
    check(
        json!({"range": {"a": {"gte": 0}}}),
        &[json!({"a": 0}), json!({"a": ""}), json!({"a": true})],
        &[json!({"a": null})],
    );
    check(json!({"range": {"a": {"gte": null, "lt": 5}}}), &[json!({"a": 4})], &[json!({"a": 5})]);
    // Strings are compared by characters with strings, and as numbers with numbers.
    check(
        json!({"range": {"a": {"gte": "10", "lt": "9"}}}),
        &[json!({"a": "10"}), json!({"a": "5"})],
        &[json!({"a": 10}), json!({"a": 5}), json!({"a": "9"})],
    );
    check(
        json!({"range": {"day": {"gte": "2016-01-01T10:00:00Z", "lt": "2016-01-01T10:00:30Z"}}}),
        &[json!({"day": "2016-01-01T10:00:00Z"}), json!({"day": "2016-01-01T10:00:29.9Z"})],
        &[
            json!({"day": "2016-01-01T10:00:30Z"}),
            json!({"day": "2016-01-01T09:59:59Z"}),
            json!({"day": 2016}),
        ],
    );
    check(
        json!({"range": {"a": {"gt": 5, "lt": "b"}}}),
        &[json!({"a": "6"})],
        &[json!({"a": 6}), json!({"a": "c"}), json!({"a": "a"})],
    );
    check(json!({"range": {"a": {"gt": true}}}), &[json!({"a": 2})], &[json!({"a": 1})]);
}

#[test]
fn exists_looks_into_arrays() {
    let there = [
        json!({"a": 0}),
        json!({"a": ""}),
        json!({"a": false}),
        json!({"a": [null, 1]}),
        json!({"a": {"b": null}}),
    ];
    let not = [json!({}), json!({"a": null}), json!({"a": []}), json!({"a": {}}), json!({"a": [null]})];
    check(json!({"exists": {"field": "a"}}), &there, &not);
    check(json!({"missing": {"field": "a"}}), &not, &there);
    check(json!({"not": {"exists": {"field": "a"}}}), &not, &there);
}

#[test]
fn ids_are_beside_the_document() {
    let filter = filter(&json!({"ids": {"values": ["a", 7]}}));
    let source = json!({"_id": "a"});
    for (id, expected) in [(Some("a"), true), (Some("7"), true), (Some("b"), false), (None, false)] {
        assert_eq!(filter.matches(&Document { id, source: &source }), expected, "{id:?}");
    }
    let missing = self::filter(&json!({"missing": {"field": "_id"}}));
    assert!(
        missing.matches(&document(&source)) && !missing.matches(&Document { id: Some("a"), source: &source })
    );
}

#[test]
fn joints_are_logic() {
    let (a, b) = (json!({"term": {"a": 1}}), json!({"term": {"b": 1}}));
    let (both, one, none) = (json!({"a": 1, "b": 1}), json!({"a": 1}), json!({}));
    let all = [both.clone(), one.clone(), none.clone()];
    check(json!({"and": [a, b]}), &all[..1], &all[1..]);
    check(json!({"or": [a, b]}), &all[..2], &all[2..]);
    check(json!({"not": {"and": [a, b]}}), &all[1..], &all[..1]);
    check(json!({"not": {"or": [a, b]}}), &all[2..], &all[..2]);
    check(json!({"not": [a, b]}), &all[2..], &all[..2]);
    check(json!({"must_not": [a, b]}), &all[2..], &all[..2]);
    check(json!({"and": a}), &all[..2], &all[2..]);
    check(json!({"must": [a, {}]}), &all[..2], &all[2..]);
    check(json!({"should": [a, b]}), &all[..2], &all[2..]);
    check(json!({"and": [{"or": [a, b]}, {"or": [b, {"term": {"c": 1}}]}]}), &all[..1], &all[1..]);
    check(json!({"bool": {"must": a, "must_not": b}}), &all[1..2], &[both, none]);
    check(json!({"not": {"bool": {"should": [a, b]}}}), &all[2..], &all[..2]);
    // A field that is absent is not the value.
    check(json!({"not": {"term": {"x": 1}}}), &all, &[json!({"x": 1})]);
}

#[test]
fn regexps_are_found_anywhere() {
    check(
        json!({"regexp": {"a": "b+c"}}),
        &[json!({"a": "xbbcx"})],
        &[json!({"a": "BC"}), json!({"a": 1}), json!({}), json!({"a": ["bc"]})],
    );
    check(
        json!({"regexp": {"a": {"value": "^b", "flags": "i"}}}),
        &[json!({"a": "Bob"})],
        &[json!({"a": "abb"})],
    );
}

#[test]
fn boxes_in_all_notations() {
    let inside = json!({"p": {"lat": 51.519_291, "lon": -0.149_817}});
    let dotted = json!({"p.lat": 51.519_291, "p.lon": "-0.149817"});
    let outside = json!({"p": {"lat": 32.692_742, "lon": -97.114_127}});
    let no_point = [
        json!({"p": [51.519_291, -0.149_817]}),
        json!({"p": {"lat": 51.5}}),
        json!({"p": {"lat": 51.5, "lon": null}}),
        json!({}),
    ];
    for corners in [
        json!({"top": -2.939744, "left": 52.394484, "bottom": 1.180129, "right": 51.143628}),
        json!({"topLeft": {"lat": 52.394484, "lon": -2.939744}, "bottomRight": {"lat": 51.143628, "lon": 1.180129}}),
        json!({"top_left": [-2.939744, 52.394484], "bottom_right": [1.180129, 51.143628]}),
        json!({"topLeft": "52.394484, -2.939744", "bottomRight": "51.143628, 1.180129"}),
        json!({"topLeft": "gcmfmnf5e2dv", "bottomRight": "u10hfr2c4pv5"}),
    ] {
        let json = json!({"geo_bounding_box": {"p": corners}});
        check(json.clone(), &[inside.clone(), dotted.clone()], std::slice::from_ref(&outside));
        check(json, &[], &no_point);
    }
    let square = json!({"geoBoundingBox": {"p": {"top": 0, "left": 0, "bottom": 1, "right": 1}}});
    let at = |lat: f64, lon: f64| json!({"p": {"lat": lat, "lon": lon}});
    check(square, &[at(0.0, 0.0), at(1.0, 1.0), at(0.5, 0.0)], &[at(1.1, 0.5), at(0.5, -0.1), at(91.0, 0.5)]);
}

#[test]
fn distances_in_all_notations() {
    let at = |lat: f64, lon: f64| json!({"p": {"lat": lat, "lon": lon}});
    for point in [
        json!({"lat": 0, "lon": 1}),
        json!({"latLon": {"lat": "0", "lon": "1"}}),
        json!({"lat_lon": [0, 1]}),
        json!({"latLon": "1, 0"}),
        json!([0, 1]),
    ] {
        // One degree on the equator has 111,319 metres; the centre stands a metre nearer.
        for distance in [json!(111_318), json!("365 219,816 Ft"), json!("111.318 km")] {
            check(
                json!({"geoDistance": {"p": point, "distance": distance}}),
                &[at(0.0, 0.0), at(0.0, 1.0)],
                &[at(0.0, -0.001), at(1.0, 0.0)],
            );
        }
        check(
            json!({"geoDistance": {"p": point, "distance": "111.317km"}}),
            &[at(0.0, 0.001)],
            &[at(0.0, 0.0)],
        );
        for (from, to) in [(json!("10km"), json!(120_000)), (json!(120_000), json!("10km"))] {
            check(
                json!({"geoDistanceRange": {"p": point, "from": from, "to": to}}),
                &[at(0.0, 0.0)],
                &[at(0.0, 1.0), at(0.0, 3.0)],
            );
        }
    }
    check(
        json!({"geoDistance": {"p": {"latLon": "u4pruydqqvj"}, "distance": 10}}),
        &[at(57.649_11, 10.407_44)],
        &[at(57.65, 10.407_44)],
    );
    // Across the date line.
    check(
        json!({"geoDistance": {"p": [0, 179.9], "distance": "50km"}}),
        &[at(0.0, -179.9)],
        &[at(0.0, 179.0)],
    );
}

#[test]
fn polygons_hold_their_edges() {
    let at = |lat: f64, lon: f64| json!({"p": {"lat": lat, "lon": lon}});
    for points in [
        json!([[0, 0], [0, 10], [10, 10], [10, 0]]),
        json!([{"lat": 0, "lon": 0}, {"latLon": "10, 0"}, {"lat_lon": [10, 10]}, [10, 0], [0, 0]]),
    ] {
        check(
            json!({"geoPolygon": {"p": {"points": points}}}),
            &[at(5.0, 5.0), at(0.0, 0.0), at(10.0, 5.0), at(5.0, 0.0)],
            &[at(5.0, 10.1), at(-1.0, 5.0)],
        );
    }
}

#[test]
fn names_in_any_notation() {
    for name in ["geoDistance", "geo_distance", "geo-distance", "GeoDistance", "GEO_DISTANCE", "geo distance"]
    {
        check(
            json!({name: {"p": [0, 0], "distance": 10}}),
            &[json!({"p": {"lat": 0, "lon": 0}})],
            &[json!({})],
        );
    }
    check(json!({"term": {"a": 1, "_cache": true}, "_name": "x"}), &[json!({"a": 1})], &[json!({"a": 2})]);
}
