//! Equal filters have one normal form, others do not.

use super::*;

/// Rewrites a filter into another notation that says the same, by the given choices.
fn rewritten(json: &Value, choices: &mut impl Iterator<Item = u8>) -> Value {
    let mut next = || choices.next().unwrap_or(0);
    let (name, body) = json.as_object().and_then(|map| map.iter().next()).expect("a filter");
    let plain = match name.as_str() {
        "term" if next() % 2 == 0 => {
            let (field, value) = body.as_object().and_then(|map| map.iter().next()).expect("a field");
            json!({"terms": {field: [value, value]}})
        }
        "terms" => {
            let (field, values) = body.as_object().and_then(|map| map.iter().next()).expect("a field");
            let mut values = values.as_array().expect("values").clone();
            values.reverse();
            match next() % 3 {
                0 if !values.is_empty() => {
                    let each = values.iter().map(|value| json!({"term": {field: value}}));
                    json!({"or": each.collect::<Vec<_>>()})
                }
                _ => json!({"terms": {field: values}}),
            }
        }
        "missing" if next() % 2 == 0 => json!({"not": {"exists": body}}),
        "and" | "or" => {
            let mut parts: Vec<Value> =
                body.as_array().expect("filters").iter().map(|part| rewritten(part, choices)).collect();
            if parts.len() > 1 {
                let by = usize::from(choices.next().unwrap_or(0)) % parts.len();
                parts.rotate_left(by);
            }
            if choices.next().is_some_and(|it| it.is_multiple_of(2)) {
                parts.push(parts[0].clone());
            }
            let alone = choices.next().unwrap_or(0);
            match (name.as_str(), alone % 3) {
                ("and", 0) => json!({"bool": {"must": parts}}),
                ("and", 1) => json!({"must": parts}),
                ("or", 0) => json!({"bool": {"should": parts}}),
                ("or", 1) => {
                    json!({"not": {"and": parts.iter().map(|it| json!({"not": it})).collect::<Vec<_>>()}})
                }
                (name, _) => json!({name: parts}),
            }
        }
        _ => json.clone(),
    };
    match choices.next().unwrap_or(0) % 4 {
        0 => json!({"not": {"mustNot": plain}}),
        1 => json!({"and": [plain, {}]}),
        2 => json!({"or": [plain]}),
        _ => plain,
    }
}

/// Filters of the kinds that [`rewritten`] knows to write otherwise.
fn plain_filter() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 16, 3, |inner| {
        let many = || prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![many().prop_map(|all| json!({"and": all})), many().prop_map(|any| json!({"or": any}))]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_filter_in_another_notation_is_the_same(
        json in plain_filter(),
        choices in prop::collection::vec(any::<u8>(), 40),
    ) {
        let other = rewritten(&json, &mut choices.into_iter());
        prop_assert_eq!(filter(&json).to_json(), filter(&other).to_json(), "{} {}", json, other);
    }

    #[test]
    fn the_normal_form_says_the_same(json in any_filter(), id in id(), source in source()) {
        let written = filter(&json);
        let normal = filter(&written.to_json());
        prop_assert_eq!(&written, &normal, "the normal form of {} is not its own", json);
        let document = Document { id: id.as_deref(), source: &source };
        prop_assert_eq!(written.matches(&document), normal.matches(&document), "{} {}", json, normal);
    }

    /// What differs on a document is not one filter.
    #[test]
    fn one_normal_form_has_one_meaning(a in any_filter(), b in any_filter(), source in source()) {
        let (a, b) = (filter(&a), filter(&b));
        let document = document(&source);
        if a.matches(&document) != b.matches(&document) {
            prop_assert_ne!(a.to_json(), b.to_json());
        }
    }
}

#[test]
fn normal_forms() {
    for (written, expected) in [
        (json!({}), json!({})),
        (json!({"and": [{}, {}]}), json!({})),
        (json!({"term": {"a": 1.0}}), json!({"term": {"a": 1}})),
        (json!({"terms": {"a": ["y", 2, "x", "y"]}}), json!({"terms": {"a": [2, "x", "y"]}})),
        (json!({"or": [{"term": {"a": 1}}, {"terms": {"a": [2, 1]}}]}), json!({"terms": {"a": [1, 2]}})),
        (json!({"and": [{"terms": {"a": [1, 2]}}, {"terms": {"a": [2, 3]}}]}), json!({"term": {"a": 2}})),
        (json!({"and": [{"term": {"a": 1}}, {"term": {"a": 2}}]}), json!({"terms": {"_id": []}})),
        (json!({"not": [{"term": {"a": 1}}, {"term": {"a": 2}}]}), json!({"not": {"terms": {"a": [1, 2]}}})),
        (json!({"not": {"missing": {"field": "a"}}}), json!({"exists": {"field": "a"}})),
        (json!({"not": {"exists": {"field": "a"}}}), json!({"missing": {"field": "a"}})),
        (
            json!({"and": [{"range": {"a": {"lt": 9, "lte": 9}}}, {"range": {"a": {"from": 1, "gte": 2}}}]}),
            json!({"range": {"a": {"gte": 2, "lt": 9}}}),
        ),
        (json!({"range": {"a": {"gt": 5, "lt": 5}}}), json!({"terms": {"_id": []}})),
        (json!({"or": [{"exists": {"field": "a"}}, {"missing": {"field": "a"}}]}), json!({})),
        (json!({"and": [{"term": {"a": 1}}, {"not": {"term": {"a": 1}}}]}), json!({"terms": {"_id": []}})),
        (json!({"terms": {"_id": ["b", "a"]}}), json!({"ids": {"values": ["a", "b"]}})),
        (
            json!({"regexp": {"a": {"value": "x", "flags": "gi"}}}),
            json!({"regexp": {"a": {"flags": "i", "value": "x"}}}),
        ),
        (json!({"regexp": {"a": {"value": "x"}}}), json!({"regexp": {"a": "x"}})),
        (
            json!({"bool": {"must_not": {"term": {"b": 1}}, "must": [{"term": {"a": 1}}], "should": [{"term": {"c": 1}}]}}),
            json!({"and": [{"not": {"term": {"b": 1}}}, {"term": {"a": 1}}, {"term": {"c": 1}}]}),
        ),
        (
            json!({"geo_distance": {"p": [1, "2"], "distance": "1 km"}}),
            json!({"geoDistance": {"distance": 1000, "p": {"lat": 1, "lon": 2}}}),
        ),
        (
            json!({"geoDistanceRange": {"p": {"latLon": "2, 1"}, "from": 10, "to": "0m"}}),
            json!({"geoDistance": {"distance": 10, "p": {"lat": 1, "lon": 2}}}),
        ),
        (
            json!({"geoBoundingBox": {"p": {"topLeft": "1, 2", "bottomRight": [-4, -3]}}}),
            json!({"geoBoundingBox": {"p": {"top": -4, "left": -3, "bottom": 2, "right": 1}}}),
        ),
    ] {
        assert_eq!(filter(&written).to_json(), expected, "{written}");
    }
}
