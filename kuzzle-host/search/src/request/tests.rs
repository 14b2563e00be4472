use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fixture::{Fixture, NOW_MS};
use crate::{ErrorKind, Execution, Search, Statistics};

fn books() -> Fixture {
    let mapping = json!({"properties": {
        "title": {"type": "string", "fields": {"raw": {"type": "string", "index": "not_analyzed"}}},
        "place": {"type": "geo_point"}, "price": {"type": "double"},
        "parts": {"type": "nested", "properties": {"pages": {"type": "long"}, "kind": {"type": "string"}}},
    }});
    Fixture::new(
        mapping,
        vec![
            json!({"title": "The Rust Book", "year": 2018, "price": 30.5, "place": "0,0", "tags": ["a", "c"], "author": {"name": "Steve", "mail": "s@x"},
            "parts": [{"pages": 10, "kind": "x"}, {"pages": 90, "kind": "y"}]}),
            json!({"title": "Programming in Rust", "year": 2017, "price": 40.0, "place": "0,2", "tags": ["b"],
            "parts": [{"pages": 50, "kind": "x"}]}),
            json!({"title": "Zero to One", "price": 10.0, "place": "0,1", "ratings": [1, 5, 3]}),
            json!({"title": "A Book", "year": 2017, "ratings": [4]}),
        ],
    )
}

#[test]
fn a_result_has_the_shape_that_clients_read() {
    let books = books();
    let result = books.search(json!({"query": {"match": {"title": "programming"}}, "version": true}));
    let score = result.hits[0]["_score"].clone();
    assert!(score.as_f64().unwrap() > 0.0);
    assert_eq!(
        result.render(3),
        json!({
            "took": 3, "timed_out": false, "_shards": {"total": 1, "successful": 1, "failed": 0},
            "total": 1, "max_score": score,
            "hits": [{"_index": "library", "_type": "books", "_id": "2", "_version": 1, "_score": score,
                "_source": *books.documents[1].document().source}],
        })
    );
    let none = books.search(json!({"query": {"term": {"title": "nothing"}}}));
    assert_eq!((none.total, none.max_score, none.hits.len(), none.aggregations), (0, Value::Null, 0, None));
    for everything in [json!({}), json!(null), json!({"filter": {}})] {
        let all = books.search(everything);
        assert_eq!((all.total, all.max_score, all.hits.len()), (4, json!(1.0), 4));
    }
    assert_eq!(books.search(json!({"size": 0})).max_score, json!(0.0));
}

#[test]
fn filters_beside_the_query() {
    let books = books();
    assert_eq!(books.ids(json!({"filter": {"term": {"title": "rust"}}, "sort": "_doc"})), ["1", "2"]);
    let body = json!({"post_filter": {"term": {"title": "rust"}}, "aggs": {"all": {"value_count": {"field": "_id"}}}});
    let result = books.search(body);
    assert_eq!((result.total, result.aggregations.unwrap()["all"]["value"].clone()), (2, json!(4)));
    assert_eq!(books.ids(json!({"query": {"match": {"title": "rust book"}}, "min_score": 0.4})), ["1"]);
}

#[test]
fn hits_are_sorted() {
    let books = books();
    for (sort, expected) in [
        (json!("year"), "2413"),
        (json!({"year": "desc"}), "1243"),
        (json!([{"year": {"order": "desc", "missing": "_first"}}]), "3124"),
        (json!([{"year": {"missing": 2017}}, {"price": "desc"}]), "2341"),
        (json!(["year", {"title.raw": {"order": "asc"}}]), "4213"),
        (json!("title.raw"), "4213"),
        (json!("_uid"), "1234"),
        (json!({"_id": "desc"}), "4321"),
        (json!({"_doc": "desc"}), "4321"),
        (json!({"ratings": "asc"}), "3412"),
        (json!({"ratings": "desc"}), "3412"),
        (json!({"ratings": {"order": "asc", "mode": "max"}}), "4312"),
        (json!({"ratings": {"mode": "avg"}}), "3412"),
        (json!({"ratings": {"mode": "sum"}}), "4312"),
        (json!({"tags": "desc"}), "1234"),
        (json!({"nowhere": {"unmapped_type": "long"}}), "1234"),
        (json!([{"nowhere": {"ignore_unmapped": true}}, {"_id": "desc"}]), "4321"),
        (json!({"_geo_distance": {"place": [2, 0], "order": "asc", "unit": "km"}}), "2314"),
        (json!({"_geo_distance": {"place": {"lat": 0, "lon": 0}, "order": "desc"}}), "2314"),
        (json!({"parts.pages": {"order": "asc", "nested_path": "parts"}}), "1234"),
        (
            json!({"parts.pages": {"order": "desc", "nested_path": "parts", "nested_filter": {"term": {"parts.kind": "x"}}}}),
            "2134",
        ),
        (json!("_score"), "1234"),
    ] {
        assert_eq!(books.ids(json!({"sort": sort})).concat(), expected, "{sort}");
    }
    let hits = books.search(json!({"sort": [{"year": "asc"}, "title.raw", "_score", {"_geo_distance": {"place": "0,0", "unit": "m"}}]})).hits;
    assert_eq!(hits[0]["sort"], json!([2017, "A Book", 1.0, "Infinity"]));
    assert_eq!(hits[3]["sort"][0], json!(i64::MAX));
    let hit = &books.search(json!({"sort": "price"})).hits[0];
    assert_eq!((&hit["_score"], &hit["sort"]), (&Value::Null, &json!([10.0])));
    let hit = &books.search(json!({"sort": "price", "track_scores": true})).hits[0];
    assert_eq!(hit["_score"], json!(1.0));
    assert_eq!(
        books.refused(json!({"sort": [{"nowhere": "asc"}]})),
        "No mapping found for [nowhere] in order to sort on, at `/sort/0/nowhere`"
    );
    assert!(books.refused(json!({"sort": "place"})).starts_with("can't sort on field [place]"));
    assert!(books.refused(json!({"sort": {"title": {"mode": "avg"}}})).starts_with("strings have no `avg`"));
}

#[test]
fn pages_are_bounded() {
    let books = books();
    assert_eq!(books.ids(json!({"from": 1, "size": 2})), ["2", "3"]);
    assert_eq!(books.ids(json!({"from": 10})), Vec::<String>::new());
    let error = books.refused(json!({"from": 9_995}));
    assert!(
        error.starts_with(
            "Result window is too large, from + size must be less than or equal to: [10000] but was [10005]"
        ),
        "{error}"
    );
    assert!(books.refused(json!({"size": -1})).starts_with("found -1, expected 0 or more, at `/size`"));
}

#[test]
fn sources_are_filtered() {
    let books = books();
    let shown = |source: Value| {
        books.search(json!({"query": {"ids": {"values": ["1"]}}, "_source": source})).hits[0]["_source"]
            .clone()
    };
    assert_eq!(shown(json!("year")), json!({"year": 2018}));
    assert_eq!(
        shown(json!(["author.*", "year"])),
        json!({"year": 2018, "author": {"name": "Steve", "mail": "s@x"}})
    );
    assert_eq!(shown(json!("author")), json!({"author": {"name": "Steve", "mail": "s@x"}}));
    assert_eq!(
        shown(json!({"include": "author", "exclude": "*.mail"})),
        json!({"author": {"name": "Steve"}})
    );
    assert_eq!(shown(json!("parts.pages")), json!({"parts": [{"pages": 10}, {"pages": 90}]}));
    assert_eq!(shown(json!(false)), Value::Null);
    let hit = |body: Value| books.search(body).hits[0].clone();
    let fields =
        hit(json!({"query": {"ids": {"values": ["1"]}}, "fields": ["year", "author.name", "tags", "none"]}));
    assert_eq!(fields["fields"], json!({"year": [2018], "author.name": ["Steve"], "tags": ["a", "c"]}));
    assert_eq!(fields.get("_source"), None);
    let both = hit(json!({"query": {"ids": {"values": ["1"]}}, "fields": ["_source", "year"]}));
    assert!(both["_source"].is_object() && both["fields"].is_object());
    assert!(books.refused(json!({"fields": ["author"]})).starts_with("field [author] isn't a leaf field"));
}

#[test]
fn hits_show_where_they_match() {
    let long = format!("{} needle {}", "word ".repeat(30), "other ".repeat(30));
    let texts = Fixture::new(
        json!({}),
        vec![json!({"text": "The quick <b>brown</b> fox", "tags": ["quick one", "two"], "long": long})],
    );
    let highlight = |query: Value, options: Value| {
        texts.search(json!({"query": query, "highlight": options})).hits[0]
            .get("highlight")
            .cloned()
            .unwrap_or(Value::Null)
    };
    let quick = json!({"match": {"text": "quick fox"}});
    assert_eq!(
        highlight(quick.clone(), json!({"fields": {"text": {}}})),
        json!({"text": ["The <em>quick</em> <b>brown</b> <em>fox</em>"]})
    );
    assert_eq!(
        highlight(
            quick.clone(),
            json!({"pre_tags": ["["], "post_tags": ["]"], "encoder": "html", "fields": [{"text": {}}]})
        ),
        json!({"text": ["The [quick] &lt;b&gt;brown&lt;&#x2F;b&gt; [fox]"]})
    );
    assert_eq!(highlight(quick.clone(), json!({"fields": {"tags": {}}})), Value::Null);
    assert_eq!(
        highlight(quick.clone(), json!({"fields": {"t*": {"require_field_match": false}}})),
        json!({"text": ["The <em>quick</em> <b>brown</b> <em>fox</em>"], "tags": ["<em>quick</em> one"]})
    );
    assert_eq!(
        highlight(json!({"match_phrase": {"text": "brown b"}}), json!({"fields": {"text": {}}})),
        json!({"text": ["The quick <b><em>brown</em></<em>b</em>> fox"]})
    );
    assert_eq!(
        highlight(
            json!({"match": {"long": "needle"}}),
            json!({"fields": {"long": {"fragment_size": 20, "number_of_fragments": 1}}})
        )["long"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it.as_str().unwrap().contains("<em>needle</em>") && it.as_str().unwrap().len() < 60)
            .collect::<Vec<_>>(),
        [true]
    );
    assert_eq!(
        highlight(json!({"match_all": {}}), json!({"fields": {"text": {"no_match_size": 9}}})),
        json!({"text": ["The quick"]})
    );
    assert_eq!(
        highlight(
            json!({"bool": {"must": {"match": {"text": "fox"}}, "must_not": {"term": {"text": "zebra"}}}}),
            json!({"fields": {"text": {"number_of_fragments": 0}}})
        ),
        json!({"text": ["The quick <b>brown</b> <em>fox</em>"]})
    );
    assert!(
        texts
            .refused(json!({"highlight": {"fields": {"text": {"type": "fvh"}}}}))
            .starts_with("not supported here: a highlighter other than `plain`")
    );
}

#[test]
fn named_queries_are_named_in_hits() {
    let query = json!({"bool": {"should": [
        {"term": {"title": {"value": "rust", "_name": "rusty"}}},
        {"match": {"title": {"query": "book", "_name": "bookish"}}},
        {"nested": {"path": "parts", "query": {"term": {"parts.pages": {"value": 90, "_name": "long"}}}}},
    ]}});
    let hits = books().search(json!({"query": query, "sort": "_doc"})).hits;
    assert_eq!(hits[0]["matched_queries"], json!(["rusty", "bookish", "long"]));
    assert_eq!(hits[1]["matched_queries"], json!(["rusty"]));
}

#[test]
fn what_is_not_there_is_refused_by_name() {
    let books = books();
    for (body, message) in [
        (json!({"facets": {}}), "not supported here: `facets` of `search`, at `/facets`"),
        (json!({"explain": true}), "not supported here: `explain`, at `/explain`"),
        (
            json!({"qery": {}}),
            "unknown key `qery` in `search`; known here: `_source`, `aggregations`, `aggs`, `explain`, `fields`, `filter`, `from`, \
             `highlight`, `min_score`, `post_filter`, `query`, `size`, `sort`, `timeout`, `track_scores`, `version`, at",
        ),
        (
            json!({"filter": {"match_all": {}}, "post_filter": {"match_all": {}}}),
            "`post_filter` and `filter` are one option of `search`: give one, at the root",
        ),
        (json!([]), "found an empty array, expected the object of `search`, at the root"),
        (
            json!({"timeout": "soon"}),
            "found the string `soon`, expected a time such as `500ms` or `5s`, at `/timeout`",
        ),
        (
            json!({"_source": {"include": 1}}),
            "found the number `1`, expected a string, at `/_source/include`",
        ),
    ] {
        let error = books.refused(body.clone());
        assert!(error.starts_with(message), "{body}: {error}");
    }
    assert_eq!(Search::parse(&json!({"timeout": "5s"})).unwrap().timeout_ms(), Some(5000));
    let error = Search::parse_count(&json!({"size": 1})).unwrap_err();
    assert_eq!(error.to_string(), "unknown key `size` in `count`; known here: `query`, at `/size`");
}

struct Known;

impl Statistics for Known {
    fn documents(&self) -> u64 {
        1000
    }

    fn document_frequency(&self, _field: &str, _term: &str) -> u64 {
        9
    }

    fn each_term(&self, _field: &str, _prefix: &str, then: &mut dyn FnMut(&str)) {
        then("rust");
    }
}

#[test]
fn counting_selecting_cancelling_and_given_statistics() {
    let books = books();
    let cancelled = AtomicBool::new(false);
    let execution =
        Execution { mapping: &books.mapping, now_ms: NOW_MS, cancelled: &cancelled, statistics: None };
    let search = Search::parse(&json!({"query": {"match": {"title": "rust"}}, "size": 1})).unwrap();
    assert_eq!(search.count(execution, &books.documents), Ok(2));
    let selected = search.select(execution, &books.documents).unwrap();
    assert_eq!(selected.iter().map(|it| it.document().id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    // idf = 1 + ln(1000 / 10); queryNorm takes one of the two away; the norm of three words is 0.5.
    let known =
        search.execute(Execution { statistics: Some(&Known), ..execution }, &books.documents).unwrap();
    let expected = (1.0 + 100f64.ln()) * 0.5;
    assert!((known.max_score.as_f64().unwrap() - expected).abs() < 1e-5, "{}", known.max_score);
    cancelled.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(search.execute(execution, &books.documents).unwrap_err().kind(), ErrorKind::Cancelled);
}

fn words() -> impl Strategy<Value = Vec<Value>> {
    let document = (prop::collection::vec("[abc]", 0..5), prop::option::of(0..5i64));
    let source = document.prop_map(|(words, number)| match number {
        Some(number) => json!({"text": words.join(" "), "n": number}),
        None => json!({"text": words.join(" ")}),
    });
    prop::collection::vec(source, 0..25)
}

/// A query over the documents of [`words`], with what it means.
fn query() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        "[abcd]".prop_map(|word| json!({"term": {"text": word}})),
        (0..5i64, 0..5i64).prop_map(|(from, to)| json!({"range": {"n": {"gte": from, "lt": to}}})),
        Just(json!({"exists": {"field": "n"}})),
        Just(json!({"match_all": {}})),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|query| json!({"not": query})),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|queries| json!({"and": queries})),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|queries| json!({"or": queries})),
            (inner.clone(), inner.clone(), inner).prop_map(|(must, should, must_not)| {
                json!({"bool": {"must": must, "should": should, "must_not": must_not, "minimum_should_match": 1}})
            }),
        ]
    })
}

/// What a query means for one document, said in another way.
fn holds(query: &Value, source: &Value) -> bool {
    let (name, body) = query.as_object().unwrap().iter().next().unwrap();
    let each = |list: &Value| list.as_array().unwrap().iter().map(|it| holds(it, source)).collect::<Vec<_>>();
    match name.as_str() {
        "term" => source["text"].as_str().unwrap().split(' ').any(|word| word == body["text"]),
        "range" => source["n"].as_i64().is_some_and(|n| {
            n >= body["n"]["gte"].as_i64().unwrap() && n < body["n"]["lt"].as_i64().unwrap()
        }),
        "exists" => source["n"].is_i64(),
        "match_all" => true,
        "not" => !holds(body, source),
        "and" => each(body).iter().all(|it| *it),
        "or" => each(body).iter().any(|it| *it),
        _ => {
            holds(&body["must"], source)
                && holds(&body["should"], source)
                && !holds(&body["must_not"], source)
        }
    }
}

proptest! {
    #[test]
    fn clauses_are_the_algebra_of_sets(sources in words(), query in query()) {
        let mapping = json!({"properties": {"text": {"type": "string"}, "n": {"type": "long"}}});
        let fixture = Fixture::new(mapping, sources.clone());
        let expected: Vec<String> =
            (1..).zip(&sources).filter(|(_, source)| holds(&query, source)).map(|(id, _): (i32, _)| id.to_string()).collect();
        prop_assert_eq!(fixture.found(query.clone()), expected.concat());
        // As a filter it matches the same.
        prop_assert_eq!(fixture.found(json!({"constant_score": {"filter": query}})), expected.concat());
    }

    #[test]
    fn pages_put_together_are_the_whole(sources in words(), size in 1..7usize) {
        let mapping = json!({"properties": {"text": {"type": "string"}, "n": {"type": "long"}}});
        let fixture = Fixture::new(mapping, sources);
        for body in [json!({"query": {"match": {"text": "a b"}}}), json!({"sort": ["n", {"text": "desc"}]})] {
            let page = |from: usize, size: usize| {
                let mut body = body.clone();
                body["from"] = json!(from);
                body["size"] = json!(size);
                fixture.ids(body)
            };
            let pages: Vec<String> = (0..30).step_by(size).flat_map(|from| page(from, size)).collect();
            prop_assert_eq!(pages, page(0, 100));
        }
    }
}

proptest! {
    #[test]
    fn documents_pushed_in_any_order_make_the_same_result(
        sources in words(), query in query(), seed in any::<prop::sample::Index>()
    ) {
        let fixture = Fixture::new(json!({}), sources);
        let body = json!({"query": query, "size": 3, "sort": ["_score", {"n": {"order": "desc", "unmapped_type": "long"}}],
            "aggs": {"n": {"terms": {"field": "n", "min_doc_count": 0}}, "all": {"global": {}}}});
        let expected = fixture.search(body.clone());
        let cancelled = AtomicBool::new(false);
        let execution =
            Execution { mapping: &fixture.mapping, now_ms: NOW_MS, cancelled: &cancelled, statistics: None };
        let search = Search::parse(&body).unwrap();
        let mut run = search.start(execution).unwrap();
        prop_assert!(run.needs_everything());
        let mut documents: Vec<Arc<_>> = fixture.documents.iter().cloned().map(Arc::new).collect();
        if !documents.is_empty() {
            let at = seed.index(documents.len());
            documents.rotate_left(at);
        }
        for document in &documents {
            run.count(document).unwrap();
        }
        for document in &documents {
            run.push(Arc::clone(document)).unwrap();
        }
        let held = documents.iter().filter(|it| Arc::strong_count(it) > 1).count();
        prop_assert!(held <= 3, "{held} are kept");
        prop_assert_eq!(run.finish().unwrap(), expected);
    }
}
