//! Documents, mappings and searches for property tests: of few words and numbers, so that they meet.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// A mapping with a field of each kind.
pub(crate) fn mapping() -> Value {
    json!({"properties": {
        "text": {"type": "string", "copy_to": "copied"},
        "copied": {"type": "string", "analyzer": "simple"},
        "tag": {
            "type": "string", "index": "not_analyzed", "null_value": "none",
            "fields": {"words": {"type": "string", "analyzer": "whitespace"}},
        },
        "n": {"type": "long", "null_value": 7},
        "x": {"type": "double"},
        "when": {"type": "date"},
        "ok": {"type": "boolean"},
        "at": {"type": "geo_point"},
        "ip": {"type": "ip"},
        "hidden": {"type": "string", "index": "no"},
        "o": {"properties": {"s": {"type": "string", "include_in_all": false}}},
        "kids": {"type": "nested", "include_in_root": true, "properties": {
            "name": {"type": "string", "copy_to": "copied"}, "age": {"type": "integer"},
        }},
        "pets": {"type": "nested", "properties": {
            "name": {"type": "string", "index": "not_analyzed"}, "age": {"type": "integer"}, "at": {"type": "geo_point"},
        }},
    }})
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(vec!["a", "b", "c", "ab", "abc", "abd", "none"]).prop_map(str::to_owned),
        1 => "[a-c]{1,4}",
        1 => Just("\u{e9}t\u{e9}".to_owned()),
    ]
}

fn words() -> impl Strategy<Value = String> {
    prop::collection::vec(word(), 0..4).prop_map(|words| words.join(" "))
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![6 => -3..12i64, 1 => select(vec![255, 256, 257, 65_536, -300, i64::from(i32::MAX)])]
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![select(vec![-1.5, 0.0, -0.0, 0.1, 1.0, 2.25, 1e9, -1e-9]), -4.0..4.0f64]
}

fn date() -> impl Strategy<Value = String> {
    (2010..2013u32, 1..4u32, 1..4u32).prop_map(|(year, month, day)| format!("{year}-{month:02}-{day:02}"))
}

fn point() -> impl Strategy<Value = Value> {
    let near =
        select(vec![(0.0, 0.0), (48.85, 2.35), (48.86, 2.36), (-17.0, 179.9), (-17.0, -179.9), (89.9, 10.0)]);
    let any = (-90.0..=90.0f64, -180.0..=180.0f64);
    prop_oneof![near, any].prop_map(|(lat, lon)| json!({"lat": lat, "lon": lon}))
}

fn ip() -> impl Strategy<Value = String> {
    (0..3u8, 0..3u8).prop_map(|(a, b)| format!("10.0.{a}.{b}"))
}

fn one_or_more(value: impl Strategy<Value = Value> + Clone) -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => value.clone(),
        2 => prop::collection::vec(value, 0..3).prop_map(Value::from),
        1 => Just(Value::Null),
    ]
}

fn field() -> impl Strategy<Value = (&'static str, Value)> {
    let kid = (words(), number()).prop_map(|(name, age)| json!({"name": name, "age": age.clamp(-300, 300)}));
    let pet =
        (word(), number(), point()).prop_map(|(name, age, at)| json!({"name": name, "age": age, "at": at}));
    prop_oneof![
        one_or_more(words().prop_map(Value::from).boxed()).prop_map(|it| ("text", it)),
        one_or_more(word().prop_map(Value::from).boxed()).prop_map(|it| ("tag", it)),
        one_or_more(number().prop_map(Value::from).boxed()).prop_map(|it| ("n", it)),
        one_or_more(double().prop_map(Value::from).boxed()).prop_map(|it| ("x", it)),
        date().prop_map(|it| ("when", it.into())),
        any::<bool>().prop_map(|it| ("ok", it.into())),
        one_or_more(point().boxed()).prop_map(|it| ("at", it)),
        ip().prop_map(|it| ("ip", it.into())),
        word().prop_map(|it| ("hidden", it.into())),
        words().prop_map(|it| ("o", json!({"s": it}))),
        words().prop_map(|it| ("o.s", it.into())),
        one_or_more(kid.boxed()).prop_map(|it| ("kids", it)),
        one_or_more(pet.boxed()).prop_map(|it| ("pets", it)),
    ]
}

/// A document under the [`mapping`].
pub(crate) fn document() -> impl Strategy<Value = Value> {
    prop::collection::vec(field(), 0..6)
        .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn text_field() -> impl Strategy<Value = &'static str> {
    select(vec![
        "text",
        "copied",
        "tag",
        "tag.words",
        "o.s",
        "kids.name",
        "pets.name",
        "_all",
        "hidden",
        "no",
    ])
}

fn any_field() -> impl Strategy<Value = &'static str> {
    select(vec![
        "text",
        "tag",
        "n",
        "x",
        "when",
        "ok",
        "at",
        "ip",
        "o",
        "kids",
        "kids.age",
        "pets",
        "pets.name",
        "no",
        "hidden",
    ])
}

fn id() -> impl Strategy<Value = String> {
    (1..20u32).prop_map(|it| it.to_string())
}

/// A query of one field.
fn leaf() -> BoxedStrategy<Value> {
    let texts = prop_oneof![
        (text_field(), word()).prop_map(|(field, word)| json!({"term": {field: word}})),
        (text_field(), prop::collection::vec(word(), 1..4), 1..3).prop_map(|(field, words, least)| {
            json!({"terms": {field: words, "minimum_should_match": least}})
        }),
        (text_field(), words(), select(vec!["and", "or"])).prop_map(|(field, text, operator)| {
            json!({"match": {field: {"query": text, "operator": operator}}})
        }),
        (text_field(), words(), 1..4).prop_map(|(field, text, least)| {
            json!({"match": {field: {"query": text, "minimum_should_match": least}}})
        }),
        (text_field(), words(), 0..3).prop_map(|(field, text, slop)| {
            json!({"match_phrase": {field: {"query": text, "slop": slop}}})
        }),
        (text_field(), words()).prop_map(|(field, text)| json!({"match_phrase_prefix": {field: text}})),
        (text_field(), "[a-c]{0,2}").prop_map(|(field, text)| json!({"prefix": {field: text}})),
        (text_field(), "[a-c?*]{1,3}").prop_map(|(field, text)| json!({"wildcard": {field: text}})),
        (text_field(), select(vec!["a.*", "[bc]+", "~(ab)", "a|b"])).prop_map(|(field, text)| json!({"regexp": {field: text}})),
        (text_field(), word(), 0..3).prop_map(|(field, text, edits)| {
            json!({"fuzzy": {field: {"value": text, "fuzziness": edits}}})
        }),
        (text_field(), word(), word()).prop_map(|(field, from, to)| json!({"range": {field: {"gt": from, "lte": to}}})),
        (words(), any::<bool>()).prop_map(|(text, cross)| json!({"multi_match": {
            "query": text, "fields": ["text", "tag^2", "n*"], "lenient": true, "type": if cross { "cross_fields" } else { "best_fields" },
        }})),
        words().prop_map(|text| json!({"query_string": {"query": text}})),
    ];
    let age = select(vec!["n", "kids.age", "pets.age"]);
    let numbers = prop_oneof![
        (age.clone(), number()).prop_map(|(field, value)| json!({"term": {field: value}})),
        (age.clone(), number(), number())
            .prop_map(|(field, from, to)| json!({"range": {field: {"gte": from, "lt": to}}})),
        (age.clone(), number()).prop_map(|(field, to)| json!({"range": {field: {"lte": to}}})),
        (age, prop::collection::vec(number(), 1..5), 1..3).prop_map(|(field, values, least)| {
            json!({"terms": {field: values, "minimum_should_match": least}})
        }),
        double().prop_map(|value| json!({"term": {"x": value}})),
        (double(), double()).prop_map(|(from, to)| json!({"range": {"x": {"gt": from, "lte": to}}})),
        double().prop_map(|from| json!({"range": {"x": {"gte": from}}})),
        prop::collection::vec(double(), 1..4).prop_map(|values| json!({"terms": {"x": values}})),
        (date(), date()).prop_map(|(from, to)| json!({"range": {"when": {"gte": from, "lt": to}}})),
        any::<bool>().prop_map(|value| json!({"term": {"ok": value}})),
        ip().prop_map(|value| json!({"term": {"ip": value}})),
        (ip(), 28..33u8).prop_map(|(value, bits)| json!({"term": {"ip": format!("{value}/{bits}")}})),
    ];
    let places = prop_oneof![
        (point(), select(vec!["1m", "2km", "900km", "9000km", "30000km"]), select(vec!["arc", "plane"]))
            .prop_map(|(at, distance, kind)| {
                json!({"geo_distance": {"at": at, "distance": distance, "distance_type": kind}})
            }),
        (point(), point()).prop_map(|(a, b)| {
            let (top, bottom) = if a["lat"].as_f64() > b["lat"].as_f64() { (&a, &b) } else { (&b, &a) };
            json!({"geo_bounding_box": {"at": {"top_left": top, "bottom_right": bottom}}})
        }),
        prop::collection::vec(point(), 3..6).prop_filter_map("a polygon needs different corners", |points| {
            let distinct =
                points.windows(2).all(|pair| pair[0] != pair[1]) && points.first() != points.last();
            distinct.then(|| json!({"geo_polygon": {"at": {"points": points}}}))
        }),
        point().prop_map(|at| json!({"geo_distance_range": {"at": at, "from": "1km"}})),
    ];
    let others = prop_oneof![
        any_field().prop_map(|field| json!({"exists": {"field": field}})),
        (any_field(), any::<bool>(), any::<bool>()).prop_map(|(field, existence, null_value)| {
            json!({"missing": {"field": field, "existence": existence || !null_value, "null_value": null_value}})
        }),
        prop::collection::vec(id(), 0..4).prop_map(|ids| json!({"ids": {"values": ids}})),
        (id(), select(vec!["books", "others"]))
            .prop_map(|(id, of)| json!({"ids": {"type": of, "values": [id]}})),
        id().prop_map(|id| json!({"term": {"_id": id}})),
        id().prop_map(|id| json!({"term": {"_uid": format!("books#{id}")}})),
        id().prop_map(|id| json!({"prefix": {"_uid": format!("books#{id}")}})),
        select(vec!["books", "others"]).prop_map(|name| json!({"type": {"value": name}})),
        Just(json!({"match_all": {}})),
    ];
    prop_oneof![3 => texts, 2 => numbers, 1 => places, 2 => others].boxed()
}

/// Any query.
pub(crate) fn query() -> BoxedStrategy<Value> {
    leaf()
        .prop_recursive(3, 16, 3, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..3);
            prop_oneof![
                inner.clone().prop_map(|query| json!({"not": query})),
                prop::collection::vec(inner.clone(), 1..4).prop_map(|queries| json!({"and": queries})),
                prop::collection::vec(inner.clone(), 1..4).prop_map(|queries| json!({"or": queries})),
                (list.clone(), prop::collection::vec(inner.clone(), 0..5), list, 0..4).prop_map(|(must, should, must_not, least)| {
                    json!({"bool": {"must": must, "should": should, "must_not": must_not, "minimum_should_match": least}})
                }),
                inner.clone().prop_map(|query| json!({"constant_score": {"filter": query}})),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| json!({"dis_max": {"queries": [a, b], "tie_breaker": 0.3}})),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| {
                    json!({"boosting": {"positive": a, "negative": b, "negative_boost": 0.2}})
                }),
                (inner.clone(), inner.clone(), any::<bool>()).prop_map(|(query, filter, least)| {
                    let mut body = json!({"query": query, "functions": [{"filter": filter, "weight": 2}]});
                    if least {
                        body["min_score"] = json!(0.5);
                    }
                    json!({"function_score": body})
                }),
                (inner, select(vec!["kids", "pets"]), select(vec!["avg", "none"])).prop_map(|(query, path, mode)| {
                    json!({"nested": {"path": path, "query": query, "score_mode": mode}})
                }),
            ]
        })
        .boxed()
}

/// The body of a search.
pub(crate) fn search() -> impl Strategy<Value = Value> {
    let sort = select(vec![
        Value::Null,
        json!("_doc"),
        json!(["n", "_score"]),
        json!({"tag": "desc"}),
        json!([{"_doc": "desc"}]),
        json!({"pets.age": {"nested_path": "pets", "order": "desc"}}),
    ]);
    let aggs = select(vec![
        Value::Null,
        json!({"tags": {"terms": {"field": "tag"}, "aggs": {"n": {"avg": {"field": "n"}}}}}),
        json!({"pets": {"nested": {"path": "pets"}, "aggs": {"names": {"terms": {"field": "pets.name"}}}}}),
        json!({"all": {"global": {}, "aggs": {"x": {"stats": {"field": "x"}}}}}),
        json!({"words": {"terms": {"field": "text", "min_doc_count": 0}}}),
        json!({"top": {"top_hits": {"size": 2, "sort": "when"}}}),
        json!({"places": {"geohash_grid": {"field": "at", "precision": 2}}}),
        json!({"with": {"filter": {"term": {"o.s": "a"}}, "aggs": {"few": {"missing": {"field": "ip"}}}}}),
    ]);
    let more = (
        prop::option::weighted(0.2, query()),
        prop::option::weighted(0.1, 0.0..1.0f64),
        any::<bool>(),
        0..5usize,
        0..3usize,
    );
    (query(), sort, prop_oneof![2 => Just(Value::Null), 1 => aggs], more).prop_map(
        |(query, sort, aggs, (filter, least, tracked, size, from))| {
            let mut body = json!({"query": query, "size": size, "from": from, "track_scores": tracked});
            let members =
                [("sort", sort), ("aggs", aggs), ("post_filter", json!(filter)), ("min_score", json!(least))];
            for (name, value) in members {
                if !value.is_null() {
                    body[name] = value;
                }
            }
            if tracked {
                body["highlight"] = json!({"fields": {"text": {}, "*.name": {}}});
            }
            body
        },
    )
}
