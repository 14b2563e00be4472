use serde_json::{Value, json};

use crate::fixture::Fixture;

fn sales() -> Fixture {
    let mapping = json!({"properties": {
        "colour": {"type": "string", "index": "not_analyzed"}, "address": {"type": "ip"}, "place": {"type": "geo_point"},
        "sizes": {"type": "long"}, "lines": {"type": "nested", "properties": {"price": {"type": "double"}, "kind": {"type": "string", "index": "not_analyzed"}}},
    }});
    Fixture::new(
        mapping,
        vec![
            json!({"colour": "red", "price": 10, "sold": "2014-01-15", "new": true, "address": "10.0.0.1", "place": "52.3,4.9", "text": "big red car", "sizes": [1, 2],
            "lines": [{"price": 1.0, "kind": "a"}, {"price": 2.0, "kind": "b"}]}),
            json!({"colour": "red", "price": 20, "sold": "2014-01-31T23:30:00Z", "new": false, "address": "10.0.0.1", "place": "52.31,4.91", "text": "red", "sizes": [2],
            "lines": [{"price": 3.0, "kind": "a"}]}),
            json!({"colour": "blue", "price": 30, "sold": "2014-03-02", "new": true, "place": "48.8,2.3", "text": "blue car"}),
            json!({"colour": ["green", "blue"], "price": 80, "sold": "2014-04-30"}),
            json!({"price": 50}),
        ],
    )
}

fn one(aggregation: Value) -> Value {
    sales().aggregate(json!({"it": aggregation}))["it"].clone()
}

#[test]
fn terms() {
    assert_eq!(
        one(json!({"terms": {"field": "colour"}})),
        json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": 0, "buckets": [
            {"key": "blue", "doc_count": 2}, {"key": "red", "doc_count": 2}, {"key": "green", "doc_count": 1}]})
    );
    assert_eq!(
        one(json!({"terms": {"field": "colour", "size": 1, "order": {"_term": "desc"}}})),
        json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": 3, "buckets": [{"key": "red", "doc_count": 2}]})
    );
    let keys = |options: Value| -> Vec<Value> {
        let found = one(
            json!({"terms": options, "aggs": {"sum": {"sum": {"field": "price"}}, "stats": {"stats": {"field": "price"}}}}),
        );
        found["buckets"].as_array().unwrap().iter().map(|bucket| bucket["key"].clone()).collect()
    };
    assert_eq!(
        keys(json!({"field": "colour", "order": {"sum": "desc"}})),
        [json!("blue"), json!("green"), json!("red")]
    );
    assert_eq!(
        keys(json!({"field": "colour", "order": [{"_count": "asc"}, {"stats.avg": "desc"}]})),
        [json!("green"), json!("blue"), json!("red")]
    );
    assert_eq!(
        keys(json!({"field": "colour", "min_doc_count": 2, "size": 0})),
        [json!("blue"), json!("red")]
    );
    assert_eq!(
        keys(json!({"field": "colour", "include": ".*e.*", "exclude": ["red"]})),
        [json!("blue"), json!("green")]
    );
    assert_eq!(
        keys(json!({"field": "colour", "missing": "none", "order": {"_term": "asc"}})),
        [json!("blue"), json!("green"), json!("none"), json!("red")]
    );
    // The tokens of a text, the different values of numbers.
    assert_eq!(keys(json!({"field": "text"})), [json!("car"), json!("red"), json!("big"), json!("blue")]);
    assert_eq!(keys(json!({"field": "sizes"})), [json!(2), json!(1)]);
    assert_eq!(keys(json!({"field": "nowhere"})), Vec::<Value>::new());
    assert_eq!(
        one(json!({"terms": {"field": "new"}}))["buckets"],
        json!([{"key": 1, "key_as_string": "true", "doc_count": 2}, {"key": 0, "key_as_string": "false", "doc_count": 1}])
    );
    assert_eq!(
        one(json!({"terms": {"field": "address"}}))["buckets"],
        json!([{"key": 167_772_161, "key_as_string": "10.0.0.1", "doc_count": 2}])
    );
    assert_eq!(
        one(json!({"terms": {"field": "sold"}}))["buckets"][0],
        json!({"key": 1_389_744_000_000i64, "key_as_string": "2014-01-15T00:00:00.000Z", "doc_count": 1})
    );
    // Terms that only documents have which do not match.
    let body = json!({"query": {"term": {"colour": "red"}}, "size": 0, "aggs": {"it": {"terms": {"field": "colour", "min_doc_count": 0}}}});
    assert_eq!(
        sales().search(body).aggregations.unwrap()["it"]["buckets"],
        json!([{"key": "red", "doc_count": 2}, {"key": "blue", "doc_count": 0}, {"key": "green", "doc_count": 0}])
    );
}

#[test]
fn metrics() {
    assert_eq!(one(json!({"min": {"field": "price"}})), json!({"value": 10.0}));
    assert_eq!(one(json!({"max": {"field": "price"}})), json!({"value": 80.0}));
    assert_eq!(one(json!({"avg": {"field": "price"}})), json!({"value": 38.0}));
    assert_eq!(one(json!({"sum": {"field": "price"}})), json!({"value": 190.0}));
    assert_eq!(one(json!({"value_count": {"field": "sizes"}})), json!({"value": 3}));
    assert_eq!(one(json!({"value_count": {"field": "colour"}})), json!({"value": 5}));
    assert_eq!(one(json!({"avg": {"field": "sizes", "missing": 5}}))["value"], json!(20.0 / 6.0));
    assert_eq!(one(json!({"min": {"field": "nowhere"}})), json!({"value": null}));
    assert_eq!(one(json!({"sum": {"field": "nowhere"}})), json!({"value": 0.0}));
    assert_eq!(
        one(json!({"stats": {"field": "price"}})),
        json!({"count": 5, "min": 10.0, "max": 80.0, "avg": 38.0, "sum": 190.0})
    );
    let dates = one(json!({"max": {"field": "sold"}}));
    assert_eq!(dates["value_as_string"], json!("2014-04-30T00:00:00.000Z"));
    let extended = one(json!({"extended_stats": {"field": "price", "sigma": 1}}));
    assert_eq!((&extended["sum_of_squares"], &extended["variance"]), (&json!(10_300.0), &json!(616.0)));
    let deviation = 616f64.sqrt();
    assert_eq!(extended["std_deviation"], json!(deviation));
    assert_eq!(
        extended["std_deviation_bounds"],
        json!({"upper": 38.0 + deviation, "lower": 38.0 - deviation})
    );
    assert_eq!(
        one(json!({"cardinality": {"field": "colour", "precision_threshold": 100}})),
        json!({"value": 3})
    );
    assert_eq!(
        one(json!({"percentiles": {"field": "price", "percents": [0, 50, 75, 100]}})),
        json!({"values": {"0.0": 10.0, "50.0": 30.0, "75.0": 50.0, "100.0": 80.0}})
    );
    assert_eq!(
        one(json!({"percentiles": {"field": "price", "percents": [50], "keyed": false}})),
        json!({"values": [{"key": 50.0, "value": 30.0}]})
    );
    assert_eq!(
        one(json!({"percentiles": {"field": "nowhere", "percents": [50]}})),
        json!({"values": {"50.0": "NaN"}})
    );
}

#[test]
fn ranges_and_filters() {
    assert_eq!(
        one(
            json!({"range": {"field": "price", "ranges": [{"from": 30, "to": 80}, {"to": 30}, {"from": 80, "key": "dear"}]}})
        )["buckets"],
        json!([
            {"key": "*-30.0", "to": 30.0, "to_as_string": "30.0", "doc_count": 2},
            {"key": "30.0-80.0", "from": 30.0, "from_as_string": "30.0", "to": 80.0, "to_as_string": "80.0", "doc_count": 2},
            {"key": "dear", "from": 80.0, "from_as_string": "80.0", "doc_count": 1},
        ])
    );
    assert_eq!(
        one(json!({"range": {"field": "price", "keyed": true, "ranges": [{"to": 30, "key": "cheap"}]}}))["buckets"],
        json!({"cheap": {"to": 30.0, "to_as_string": "30.0", "doc_count": 2}})
    );
    assert_eq!(
        one(
            json!({"date_range": {"field": "sold", "format": "MM-yyyy", "ranges": [{"from": "03-2014"}, {"to": "now-15M/M"}]}})
        )["buckets"],
        json!([
            {"key": "*-03-2014", "to": 1_393_632_000_000.0, "to_as_string": "03-2014", "doc_count": 2},
            {"key": "03-2014-*", "from": 1_393_632_000_000.0, "from_as_string": "03-2014", "doc_count": 2},
        ])
    );
    assert_eq!(
        one(json!({"filter": {"term": {"colour": "red"}}, "aggs": {"avg": {"avg": {"field": "price"}}}})),
        json!({"doc_count": 2, "avg": {"value": 15.0}})
    );
    assert_eq!(
        one(
            json!({"filters": {"filters": {"red": {"term": {"colour": "red"}}, "blue": {"term": {"colour": "blue"}}}}})
        ),
        json!({"buckets": {"red": {"doc_count": 2}, "blue": {"doc_count": 2}}})
    );
    assert_eq!(
        one(json!({"filters": {"filters": [{"term": {"colour": "green"}}]}})),
        json!({"buckets": [{"doc_count": 1}]})
    );
    assert_eq!(one(json!({"missing": {"field": "colour"}})), json!({"doc_count": 1}));
    let body = json!({"query": {"term": {"colour": "red"}}, "aggs": {"all": {"global": {}, "aggs": {"sum": {"sum": {"field": "price"}}}}, "sum": {"sum": {"field": "price"}}}});
    let found = sales().search(body).aggregations.unwrap();
    assert_eq!(found["all"], json!({"doc_count": 5, "sum": {"value": 190.0}}));
    assert_eq!(found["sum"], json!({"value": 30.0}));
}

#[test]
fn histograms() {
    assert_eq!(
        one(json!({"histogram": {"field": "price", "interval": 25}}))["buckets"],
        json!([{"key": 0, "doc_count": 2}, {"key": 25, "doc_count": 1}, {"key": 50, "doc_count": 1}, {"key": 75, "doc_count": 1}])
    );
    assert_eq!(
        one(
            json!({"histogram": {"field": "price", "interval": 50, "offset": 10, "min_doc_count": 1, "order": {"_key": "desc"}}})
        )["buckets"],
        json!([{"key": 60, "doc_count": 1}, {"key": 10, "doc_count": 4}])
    );
    assert_eq!(
        one(
            json!({"histogram": {"field": "price", "interval": 50, "keyed": true, "extended_bounds": {"min": -10, "max": 100}}})
        )["buckets"],
        json!({"-50": {"key": -50, "doc_count": 0}, "0": {"key": 0, "doc_count": 3}, "50": {"key": 50, "doc_count": 2}, "100": {"key": 100, "doc_count": 0}})
    );
    let months = |options: Value| -> Vec<(String, i64)> {
        let mut histogram = json!({"field": "sold", "interval": "month", "format": "yyyy-MM-dd HH:mm"});
        histogram.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let found = one(json!({"date_histogram": histogram}));
        let bucket = |it: &Value| {
            (it["key_as_string"].as_str().unwrap().to_owned(), it["doc_count"].as_i64().unwrap())
        };
        found["buckets"].as_array().unwrap().iter().map(bucket).collect()
    };
    let pairs = |list: &[(&str, i64)]| {
        list.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect::<Vec<_>>()
    };
    assert_eq!(
        months(json!({})),
        pairs(&[
            ("2014-01-01 00:00", 2),
            ("2014-02-01 00:00", 0),
            ("2014-03-01 00:00", 1),
            ("2014-04-01 00:00", 1)
        ])
    );
    // Half past eleven at night is the next month an hour farther east.
    assert_eq!(
        months(json!({"time_zone": "+01:00", "min_doc_count": 1})),
        pairs(&[
            ("2014-01-01 00:00", 1),
            ("2014-02-01 00:00", 1),
            ("2014-03-01 00:00", 1),
            ("2014-04-01 00:00", 1)
        ])
    );
    assert_eq!(
        months(json!({"interval": "quarter"})),
        pairs(&[("2014-01-01 00:00", 3), ("2014-04-01 00:00", 1)])
    );
    assert_eq!(
        months(json!({"interval": "1d", "offset": "+6h", "min_doc_count": 1}))[..2],
        pairs(&[("2014-01-14 06:00", 1), ("2014-01-31 06:00", 1)])
    );
    // 30 days each from 1970 on: the two of January fall into one.
    assert_eq!(
        months(json!({"interval": "30d", "min_doc_count": 1})),
        pairs(&[("2014-01-10 00:00", 2), ("2014-02-09 00:00", 1), ("2014-04-10 00:00", 1)])
    );
    assert_eq!(
        months(
            json!({"interval": "year", "extended_bounds": {"min": "2013-01-01 00:00", "max": "2014-01-01 00:00"}})
        ),
        pairs(&[("2013-01-01 00:00", 0), ("2014-01-01 00:00", 4)])
    );
    let bucket = &one(json!({"date_histogram": {"field": "sold", "interval": "month"}}))["buckets"][0];
    assert_eq!(
        *bucket,
        json!({"key": 1_388_534_400_000i64, "key_as_string": "2014-01-01T00:00:00.000Z", "doc_count": 2})
    );
}

#[test]
fn nested_objects_cells_and_top_hits() {
    assert_eq!(
        one(
            json!({"nested": {"path": "lines"}, "aggs": {"kinds": {"terms": {"field": "lines.kind"}, "aggs": {"sum": {"sum": {"field": "lines.price"}}}}}})
        ),
        json!({"doc_count": 3, "kinds": {"doc_count_error_upper_bound": 0, "sum_other_doc_count": 0, "buckets": [
            {"key": "a", "doc_count": 2, "sum": {"value": 4.0}}, {"key": "b", "doc_count": 1, "sum": {"value": 2.0}}]}})
    );
    assert_eq!(
        one(json!({"geohash_grid": {"field": "place", "precision": 3}}))["buckets"],
        json!([{"key": "u17", "doc_count": 2}, {"key": "u09", "doc_count": 1}])
    );
    let found = one(
        json!({"terms": {"field": "colour", "size": 1}, "aggs": {"best": {"top_hits": {"size": 1, "sort": {"price": "desc"}, "_source": "price"}}}}),
    );
    assert_eq!(
        found["buckets"][0]["best"]["hits"],
        json!({"total": 2, "max_score": null, "hits": [{"_index": "library", "_type": "books", "_id": "4", "_score": null, "_source": {"price": 80}, "sort": [80]}]})
    );
    assert_eq!(
        one(json!({"max": {"field": "price"}, "meta": {"colour": "any"}})),
        json!({"value": 80.0, "meta": {"colour": "any"}})
    );
}

#[test]
fn what_is_wrong_is_refused() {
    let sales = sales();
    for (aggregations, message) in [
        (
            json!({"a": {"significant_terms": {"field": "x"}}}),
            "not supported here: the aggregation `significant_terms`, at `/aggs/a/significant_terms`",
        ),
        (json!({"a": {"sums": {"field": "x"}}}), "Could not find aggregator type [sums]; known are `avg`, "),
        (json!({"a": {}}), "the aggregation [a] needs one type, found none, at `/aggs/a`"),
        (json!({"a": {"sum": {"field": "x", "size": 1}}}), "unknown key `size` in `sum`; known here: "),
        (
            json!({"a": {"sum": {"script": "x"}}}),
            "not supported here: `script` of `sum`, at `/aggs/a/sum/script`",
        ),
        (
            json!({"a": {"sum": {"field": "colour"}}}),
            "the field [colour]: expected a numeric type, a date, a boolean or an ip, at `/aggs/a/sum`",
        ),
        (
            json!({"a": {"sum": {"field": "price"}, "aggs": {"b": {"sum": {"field": "price"}}}}}),
            "Aggregator [a] of type [sum] cannot accept sub-aggregations, at `/aggs/a`",
        ),
        (
            json!({"a": {"terms": {"field": "colour", "order": {"b": "asc"}}}}),
            "Invalid order path: unknown aggregation [b], at `/aggs/a/terms`",
        ),
        (
            json!({"a": {"histogram": {"field": "price", "interval": 0}}}),
            "found the interval 0, expected a number above 0, at `/aggs/a/histogram/interval`",
        ),
        (
            json!({"a": {"histogram": {"field": "price", "interval": 0.0001}}}),
            "too many buckets: the aggregations of one search make at most 65536; [a] needs more",
        ),
        (
            json!({"a": {"date_histogram": {"field": "price", "interval": "day"}}}),
            "the field [price]: date_histogram needs a date",
        ),
        (
            json!({"a": {"date_histogram": {"field": "sold", "interval": "aeon"}}}),
            "found the string `aeon`, expected `year`, ",
        ),
        (
            json!({"a": {"date_histogram": {"field": "sold", "interval": "month", "extended_bounds": {"min": "-9000", "max": "9000"}}}}),
            "too many buckets",
        ),
        (
            json!({"a": {"filter": {"term": {"colour": "red"}}, "aggs": {"b": {"global": {}}}}}),
            "Aggregation [b] cannot have a global sub-aggregation",
        ),
    ] {
        let error = sales.refused(json!({"aggs": aggregations}));
        assert!(error.starts_with(message), "{aggregations}: {error}");
    }
    let deep = (0..30).fold(
        json!({"sum": {"field": "price"}}),
        |inner, _| json!({"filter": {"match_all": {}}, "aggs": {"a": inner}}),
    );
    assert!(sales.refused(json!({"aggs": {"a": deep}})).starts_with("aggregations nest deeper than 20"));
}
