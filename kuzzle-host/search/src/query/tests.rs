use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::{ErrorKind, Mapping, Query, Search};

#[track_caller]
fn refused(query: Value, expected: &str) {
    let error = Query::parse(&query).map(|it| format!("{it:?}")).unwrap_err();
    assert!(error.to_string().starts_with(expected), "{query}: {error}");
}

#[test]
fn what_is_not_known_is_refused_with_its_place() {
    for (query, message) in [
        (
            json!({}),
            "query malformed, empty clause found: write `{\"match_all\": {}}` for every document, at the root",
        ),
        (
            json!([]),
            "found an empty array, expected a query, such as `{\"match\": {\"field\": \"text\"}}`, at the root",
        ),
        (
            json!({"term": {"a": 1}, "match": {"b": 2}}),
            "found 2 keys (`match`, `term`), expected one: the name of a query, at the root",
        ),
        (json!({"trem": {"a": 1}}), "No query registered for [trem]; known are `and`, `bool`, "),
        (
            json!({"more_like_this": {}}),
            "not supported here: the query `more_like_this`, at `/more_like_this`",
        ),
        (json!({"hasChild": {}}), "not supported here: the query `hasChild`, at `/hasChild`"),
        (json!({"term": {"a": {"valeu": 1}}}), "`term` needs `value`, at `/term/a`"),
        (
            json!({"term": {"a": {"value": 1, "speed": 2}}}),
            "unknown key `speed` in `term`; known here: `_cache`, `_cache_key`, `_name`, `boost`, `term`, `value`, at `/term/a/speed`",
        ),
        (
            json!({"term": {"a": [1]}}),
            "found an array, expected a string, a number or a boolean, at `/term/a`",
        ),
        (json!({"term": {"a": 1, "b": 2}}), "`term` takes one field, found `a` and `b`, at `/term/b`"),
        (json!({"term": {}}), "`term` needs a field, at `/term`"),
        (json!({"terms": {"a": "x"}}), "found the string `x`, expected an array of terms, at `/terms/a`"),
        (
            json!({"terms": {"a": {"index": "i", "id": 1}}}),
            "not supported here: terms that are looked up in another document, at `/terms/a`",
        ),
        (json!({"range": {"a": {"gte": 1, "upto": 2}}}), "unknown key `upto` in `range`; known here: "),
        (
            json!({"range": {"a": 1}}),
            "found the number `1`, expected an object such as `{\"gte\": 1}`, at `/range/a`",
        ),
        (
            json!({"bool": {"must": [{"term": {"a": 1}}, {"nope": {}}]}}),
            "No query registered for [nope]; known are ",
        ),
        (json!({"bool": {"mst": []}}), "unknown key `mst` in `bool`; known here: `_cache`, "),
        (
            json!({"bool": {"minimum_should_match": "many"}}),
            "found the string `many`, expected a number such as `2` or `-1`",
        ),
        (json!({"and": []}), "found no filter, expected at least one, at `/and`"),
        (
            json!({"match": {"a": {"query": "x", "operator": "xor"}}}),
            "found `xor`, expected one of `or`, `and`, at `/match/a/operator`",
        ),
        (
            json!({"match": {"a": {"query": "x", "fuzziness": 3}}}),
            "found the number `3`, expected `AUTO`, 0, 1 or 2, at `/match/a/fuzziness`",
        ),
        (
            json!({"match": {"a": {"query": "x", "cutoff_frequency": 0.1}}}),
            "not supported here: `cutoff_frequency` of `match`, at `/match/a/cutoff_frequency`",
        ),
        (
            json!({"geo_distance": {"distance": "1km", "a": "north"}}),
            "found the string `north`, expected a point: ",
        ),
        (json!({"geo_distance": {"a": "1,1"}}), "`geo_distance` needs `distance`, at `/geo_distance`"),
        (
            json!({"geo_polygon": {"a": {"points": ["1,1", "2,2"]}}}),
            "found 2 different points, expected 3 or more, at `/geo_polygon/a/points`",
        ),
        (
            json!({"missing": {"field": "a", "existence": false}}),
            "missing must have either existence, or null_value, or both set to true, at `/missing`",
        ),
        (json!({"nested": {"path": "a"}}), "`nested` needs `query` or `filter`, at `/nested`"),
        (
            json!({"function_score": {"script_score": {}}}),
            "not supported here: `script_score` of `function_score`, at `/function_score/script_score`",
        ),
        (
            json!({"function_score": {"functions": [{"filter": {"match_all": {}}}]}}),
            "a function needs `weight`, `field_value_factor` or `random_score`, at `/function_score/functions/0`",
        ),
        (
            json!({"regexp": {"a": "("}}),
            "invalid regular expression `(`: a `(` without its `)`, at `/regexp/a`",
        ),
        (
            json!({"query_string": {"query": "a", "analyze_wildcard": true}}),
            "not supported here: `analyze_wildcard: true`",
        ),
    ] {
        refused(query, message);
    }
}

#[test]
fn limits_hold() {
    let deep = (0..50).fold(json!({"match_all": {}}), |inner, _| json!({"not": inner}));
    assert_eq!(Query::parse(&deep).unwrap_err().kind(), ErrorKind::Limit);
    let wide = json!({"bool": {"should": vec![json!({"match_all": {}}); 1024]}});
    assert_eq!(
        Query::parse(&wide).unwrap_err().message(),
        "too many clauses: at most 1024 are taken in one request"
    );
    let regexps = json!({"bool": {"should": vec![json!({"regexp": {"a": "x{1,100}"}}); 61]}});
    assert_eq!(Query::parse(&regexps).unwrap_err().kind(), ErrorKind::Limit);
    let terms = json!({"terms": {"a": vec![1; 65_537]}});
    assert_eq!(Query::parse(&terms).unwrap_err().message(), "found 65537 terms, at most 65536 are taken");
    let text = json!({"match": {"a": "x ".repeat(40_000)}});
    assert_eq!(Query::parse(&text).unwrap_err().message(), "a text of 80000 bytes, at most 65536 are taken");
    let nested = format!("{}a{}", "(".repeat(100), ")".repeat(100));
    for name in ["query_string", "simple_query_string"] {
        assert_eq!(Query::parse(&json!({name: {"query": nested}})).unwrap_err().kind(), ErrorKind::Limit);
    }
    let words = json!({"query": {"match": {"a": "x ".repeat(1025)}}});
    let fixture = Fixture::new(json!({"properties": {"a": {"type": "string"}}}), Vec::new());
    assert!(fixture.refused(words).starts_with("the text has 1025 words, at most 1024 are taken"));
}

#[test]
fn names_may_be_written_in_camel_case() {
    for query in [
        json!({"matchAll": {}}),
        json!({"constantScore": {"filter": {"matchAll": {}}}}),
        json!({"geoDistance": {"distance": 1, "a": [1, 1]}}),
    ] {
        assert!(Query::parse(&query).is_ok(), "{query}");
    }
}

/// JSON made of the words of the language, so that a good part of it is nearly right.
fn near_misses() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "query",
        "filter",
        "bool",
        "must",
        "should",
        "must_not",
        "term",
        "terms",
        "match",
        "range",
        "gte",
        "lt",
        "field",
        "a",
        "b",
        "value",
        "boost",
        "query_string",
        "simple_query_string",
        "fields",
        "nested",
        "path",
        "function_score",
        "functions",
        "weight",
        "regexp",
        "wildcard",
        "prefix",
        "fuzzy",
        "fuzziness",
        "ids",
        "values",
        "geo_distance",
        "distance",
        "sort",
        "order",
        "aggs",
        "date_histogram",
        "interval",
        "histogram",
        "size",
        "from",
        "highlight",
        "_source",
        "minimum_should_match",
        "not",
        "and",
        "or",
        "exists",
        "missing",
        "match_phrase",
        "multi_match",
        "top_hits",
        "percentiles",
        "percents",
        "_geo_distance",
        "dis_max",
        "queries",
    ]);
    let leaf = prop_oneof![
        word.clone().prop_map(Value::from),
        "[a-z0-9 (){}\\[\\]:+~^*?\"/\\\\|&-]{0,12}".prop_map(Value::from),
        (-3i64..20).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!(1e300)),
        Just(json!([1, 2])),
        Just(json!("now-1d/d")),
    ];
    leaf.prop_recursive(6, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 1..3).prop_map(|members| Value::Object(
                members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_json_upsets_the_parsers(value in near_misses()) {
        let _ = Query::parse(&value);
        let _ = Search::parse(&value);
        let _ = Mapping::parse(&value);
        let _ = Mapping::default().observe(&value);
        let fixture = Fixture::new(json!({}), vec![json!({"a": "x y", "b": 1})]);
        let _ = fixture.run(&json!({"query": value}));
        let _ = fixture.run(&value);
        let text = value.as_str().unwrap_or("");
        for name in ["query_string", "simple_query_string"] {
            let _ = fixture.run(&json!({"query": {name: {"query": text}}}));
        }
    }
}
