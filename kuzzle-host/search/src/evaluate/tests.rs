use serde_json::{Value, json};

use crate::fixture::Fixture;

fn people() -> Fixture {
    let mapping = json!({"properties": {
        "name": {"type": "string", "fields": {"raw": {"type": "string", "index": "not_analyzed"}}},
        "tag": {"type": "string", "index": "not_analyzed"},
        "bio": {"type": "string", "analyzer": "english"},
        "hidden": {"type": "string", "index": "no"},
        "closed": {"type": "object", "enabled": false},
        "born": {"type": "date"}, "home": {"type": "geo_point"}, "address": {"type": "ip"},
        "size": {"type": "float"}, "state": {"type": "string", "index": "not_analyzed", "null_value": "none"},
        "copy": {"type": "string"}, "first": {"type": "string", "copy_to": "copy"},
        "pets": {"type": "nested", "properties": {"kind": {"type": "string"}, "age": {"type": "long"}}},
    }});
    Fixture::new(
        mapping,
        vec![
            json!({"name": "Grace Hopper", "tag": ["Navy", "code"], "age": 85, "alive": false, "born": "1906-12-09",
            "bio": "She invented the first compilers", "home": {"lat": 40.7, "lon": -74.0}, "address": "10.0.0.1",
            "size": 1.1, "info": {"city": "NYC", "hobby": "computer"}, "hidden": "secret", "closed": {"a": "x"},
            "first": "Grace", "state": "ok",
            "pets": [{"kind": "cat", "age": 3}, {"kind": "dog", "age": 9}]}),
            json!({"name": "Ada Lovelace", "tag": "code", "age": 36, "alive": false, "born": "1815-12-10T10:00:00Z",
            "bio": "Running numbers through engines", "home": "51.5,-0.12", "address": "10.0.1.7",
            "size": 2.5, "info": {"city": "London", "hobby": "computer"}, "state": null,
            "pets": [{"kind": "cat", "age": 9}]}),
            json!({"name": "Marie Curie", "tag": [], "age": 55, "alive": false, "born": "1867-11-07",
            "bio": "The invention of radioactivity", "home": [2.35, 48.85], "address": "192.168.1.1",
            "info": {"city": "Paris", "hobby": "radium"}}),
            json!({"name": "Linus Torvalds", "tag": ["code", "Kernel"], "age": 45, "alive": true, "born": "1969-12-28",
            "home": {"lat": 45.5, "lon": -122.6}, "info": {"city": "Portland", "hobby": "diving"}, "first": "Linus"}),
        ],
    )
}

#[track_caller]
fn check(people: &Fixture, cases: Vec<(Value, &str)>) {
    for (query, expected) in cases {
        assert_eq!(people.found(query.clone()), expected, "{query}");
    }
}

#[test]
fn terms_are_compared_as_they_are() {
    check(
        &people(),
        vec![
            (json!({"match_all": {}}), "1234"),
            (json!({"term": {"name": "grace"}}), "1"),
            (json!({"term": {"name": "Grace"}}), ""),
            (json!({"term": {"name.raw": "Grace Hopper"}}), "1"),
            (json!({"term": {"tag": {"value": "code", "boost": 2}}}), "124"),
            (json!({"term": {"tag": {"term": "Navy"}, "_cache": true}}), "1"),
            (json!({"terms": {"tag": ["Navy", "Kernel", "x"]}}), "14"),
            (json!({"in": {"tag": ["Navy"]}}), "1"),
            (json!({"terms": {"tag": ["code", "Kernel"], "minimum_should_match": 2}}), "4"),
            (json!({"terms": {"tag": ["code", "Kernel"], "execution": "and"}}), "4"),
            (json!({"terms": {"age": [36, "45", 99]}}), "24"),
            (json!({"terms": {"size": [1.1, 2.5]}}), "12"),
            (json!({"terms": {"tag": []}}), ""),
            (json!({"term": {"age": 36}}), "2"),
            (json!({"term": {"age": "36"}}), "2"),
            (json!({"term": {"age": 36.5}}), ""),
            (json!({"term": {"size": 1.1}}), "1"),
            (json!({"term": {"alive": true}}), "4"),
            (json!({"term": {"alive": "true"}}), "4"),
            (json!({"term": {"born": "1906-12-09"}}), "1"),
            (json!({"term": {"address": "10.0.0.1"}}), "1"),
            (json!({"term": {"address": "10.0.0.0/16"}}), "12"),
            (json!({"term": {"state": "none"}}), "2"),
            (json!({"term": {"copy": "grace"}}), "1"),
            (json!({"term": {"hidden": "secret"}}), ""),
            (json!({"term": {"closed.a": "x"}}), ""),
            (json!({"term": {"nowhere": "x"}}), ""),
            (json!({"term": {"_all": "paris"}}), "3"),
            (json!({"term": {"_all": "85"}}), "1"),
            (json!({"term": {"_id": "3"}}), "3"),
            (json!({"term": {"_type": "books"}}), "1234"),
            (json!({"regexp": {"_uid": "books.[12].*"}}), "12"),
            (json!({"regexp": {"_uid": "books"}}), ""),
            (json!({"ids": {"values": ["4", "2", "9"]}}), "24"),
            (json!({"ids": {"type": "books", "values": "1"}}), "1"),
            (json!({"ids": {"type": "other", "values": ["1"]}}), ""),
            (json!({"type": {"value": "books"}}), "1234"),
            (json!({"prefix": {"name": "lo"}}), "2"),
            (json!({"prefix": {"name": {"value": "lo", "boost": 2}}}), "2"),
            (json!({"prefix": {"name": {"prefix": "Lo"}}}), ""),
            (json!({"wildcard": {"name": "*or?ald*"}}), "4"),
            (json!({"wildcard": {"name": {"wildcard": "h?pper"}}}), "1"),
            (json!({"regexp": {"name": "gr.c[ef]"}}), "1"),
            (json!({"regexp": {"tag": {"value": "(Navy|Kernel)", "flags": "NONE"}}}), "14"),
            (json!({"fuzzy": {"name": "lovelase"}}), "2"),
            (json!({"fuzzy": {"name": {"value": "hoper", "fuzziness": 1}}}), "1"),
            (json!({"fuzzy": {"name": {"value": "hoper", "fuzziness": 1, "prefix_length": 4}}}), ""),
            (json!({"fuzzy": {"name": {"value": "gcare", "fuzziness": 0}}}), ""),
        ],
    );
}

#[test]
fn ranges_of_every_type() {
    check(
        &people(),
        vec![
            (json!({"range": {"age": {"gte": 45, "lt": 85}}}), "34"),
            (json!({"range": {"age": {"gt": 45, "lte": 85}}}), "13"),
            (json!({"range": {"age": {"gt": 44.5, "lt": 45.5}}}), "4"),
            (json!({"range": {"age": {"from": 36, "to": 45, "include_upper": false}}}), "2"),
            (json!({"range": {"age": {"gte": null, "lte": "45"}}}), "24"),
            (json!({"range": {"age": {}}}), "1234"),
            (json!({"range": {"size": {"gt": 1.1}}}), "2"),
            (json!({"range": {"size": {"gte": 1.1}}}), "12"),
            (json!({"range": {"born": {"gte": "1867-11-07", "lte": "1906-12-09"}}}), "13"),
            (json!({"range": {"born": {"lt": "1867-11-07"}}}), "2"),
            (json!({"range": {"born": {"lte": "1815-12-10"}}}), "2"),
            (json!({"range": {"born": {"gt": "1815-12-10||/d"}}}), "134"),
            (json!({"range": {"born": {"gte": "now-50y", "lte": "now"}}}), "4"),
            (json!({"range": {"born": {"gte": "09/12/1906", "format": "dd/MM/yyyy"}}}), "14"),
            (json!({"range": {"born": {"gte": "1906-12-09T02:00:00", "time_zone": "+02:00"}}}), "14"),
            (json!({"range": {"name.raw": {"gte": "L", "lt": "M"}}}), "4"),
            (json!({"range": {"address": {"gte": "10.0.0.2", "lte": "11.0.0.0"}}}), "2"),
            (json!({"range": {"_id": {"gt": "2"}}}), "34"),
            (json!({"range": {"age": {"gt": 1}, "_cache": true, "_name": "old"}}), "1234"),
        ],
    );
}

#[test]
fn texts_are_analysed() {
    check(
        &people(),
        vec![
            (json!({"match": {"name": "Grace LOVELACE"}}), "12"),
            (json!({"match": {"name": {"query": "Grace Hopper", "operator": "and"}}}), "1"),
            (json!({"match": {"name": {"query": "Grace Lovelace", "operator": "and"}}}), ""),
            (json!({"match": {"name": {"query": "grace hopper ada", "minimum_should_match": "60%"}}}), "12"),
            (json!({"match": {"name": {"query": "grace hopper ada", "minimum_should_match": 2}}}), "1"),
            (json!({"match": {"name": {"query": "hoper", "fuzziness": "AUTO"}}}), "1"),
            (json!({"match": {"name": ""}}), ""),
            (json!({"match": {"name": {"query": "", "zero_terms_query": "all"}}}), "1234"),
            (json!({"match": {"bio": "invents"}}), "13"),
            (json!({"match": {"bio": "the"}}), ""),
            (json!({"match": {"info.city": "NYC"}}), "1"),
            (json!({"match": {"info.hobby": "computer"}}), "12"),
            (json!({"match": {"age": "36"}}), "2"),
            (json!({"match": {"age": {"query": "x", "lenient": true}}}), ""),
            (json!({"match": {"tag": "Navy"}}), "1"),
            (json!({"match": {"name.raw": "grace"}}), ""),
            (json!({"match": {"_all": "nyc lovelace"}}), "12"),
            (json!({"match_phrase": {"name": "hopper grace"}}), ""),
            (json!({"match_phrase": {"name": "grace hopper"}}), "1"),
            (json!({"match_phrase": {"bio": "invented first"}}), ""),
            (json!({"match_phrase": {"bio": "invented the first"}}), "1"),
            (json!({"match": {"name": {"query": "hopper grace", "type": "phrase", "slop": 2}}}), "1"),
            (json!({"match_phrase_prefix": {"name": "grace ho"}}), "1"),
            (json!({"match_phrase_prefix": {"name": "lov"}}), "2"),
            (json!({"multi_match": {"query": "grace paris", "fields": ["name", "info.*"]}}), "13"),
            (
                json!({"multi_match": {"query": "grace nyc", "fields": ["name", "info.city"], "operator": "and"}}),
                "",
            ),
            (
                json!({"multi_match": {"query": "grace nyc", "fields": ["name", "info.city"], "operator": "and", "type": "cross_fields"}}),
                "1",
            ),
            (json!({"multi_match": {"query": "ada lovelace", "fields": "name^3", "type": "phrase"}}), "2"),
            (json!({"multi_match": {"query": "ada", "fields": ["name", "bio"], "type": "most_fields"}}), "2"),
        ],
    );
}

#[test]
fn clauses_combine() {
    check(
        &people(),
        vec![
            (json!({"bool": {"must": {"term": {"tag": "code"}}, "must_not": [{"term": {"age": 36}}]}}), "14"),
            (json!({"bool": {"should": [{"term": {"age": 36}}, {"term": {"age": 85}}]}}), "12"),
            (json!({"bool": {"must": {"term": {"tag": "code"}}, "should": [{"term": {"age": 99}}]}}), "124"),
            (
                json!({"bool": {"filter": {"term": {"tag": "code"}}, "should": {"term": {"age": 36}}, "minimum_should_match": 1}}),
                "2",
            ),
            (json!({"bool": {"must_not": {"term": {"tag": "code"}}}}), "3"),
            (json!({"bool": {}}), "1234"),
            (
                json!({"constant_score": {"filter": {"bool": {"must": {"term": {"tag": "code"}}, "should": {"term": {"age": 36}}}}}}),
                "2",
            ),
            (json!({"filtered": {"filter": {"term": {"tag": "code"}}}}), "124"),
            (
                json!({"filtered": {"query": {"match": {"name": "grace linus"}}, "filter": {"term": {"alive": true}}}}),
                "4",
            ),
            (json!({"and": [{"term": {"tag": "code"}}, {"term": {"alive": false}}]}), "12"),
            (
                json!({"and": {"filters": [{"term": {"tag": "code"}}, {"term": {"alive": false}}], "_cache": true}}),
                "12",
            ),
            (json!({"or": [{"term": {"age": 36}}, {"term": {"age": 45}}]}), "24"),
            (json!({"not": {"term": {"tag": "code"}}}), "3"),
            (json!({"not": {"filter": {"term": {"tag": "code"}}}}), "3"),
            (json!({"not": {"query": {"match": {"name": "ada"}}}}), "134"),
            (json!({"not": {"not": {"term": {"tag": "code"}}}}), "124"),
            (json!({"dis_max": {"queries": [{"term": {"age": 36}}, {"term": {"age": 45}}]}}), "24"),
            (
                json!({"boosting": {"positive": {"term": {"tag": "code"}}, "negative": {"term": {"alive": true}}, "negative_boost": 0.2}}),
                "124",
            ),
            (json!({"exists": {"field": "tag"}}), "124"),
            (json!({"exists": {"field": "info"}}), "1234"),
            (json!({"exists": {"field": "s*"}}), "12"),
            (json!({"exists": {"field": "hidden"}}), ""),
            (json!({"exists": {"field": "closed.a"}}), ""),
            (json!({"exists": {"field": "_id"}}), "1234"),
            (json!({"missing": {"field": "tag"}}), "3"),
            (json!({"missing": {"field": "nowhere"}}), "1234"),
            (json!({"missing": {"field": "state"}}), "34"),
            (json!({"missing": {"field": "state", "null_value": true}}), "234"),
            (json!({"missing": {"field": "state", "null_value": true, "existence": false}}), "2"),
        ],
    );
}

#[test]
fn places() {
    check(
        &people(),
        vec![
            (json!({"geo_distance": {"distance": "400km", "home": {"lat": 48.85, "lon": 2.35}}}), "23"),
            (json!({"geo_distance": {"distance": 100, "unit": "km", "home": [2.35, 48.85]}}), "3"),
            (json!({"geo_distance": {"distance": "100km", "home.lat": 48.85, "home.lon": 2.35}}), "3"),
            (json!({"geo_distance": {"distance": "100km", "home": "u09tv", "distance_type": "plane"}}), "3"),
            (json!({"geo_distance_range": {"from": "100km", "to": "400km", "home": "48.85,2.35"}}), "2"),
            (json!({"geo_distance_range": {"gt": "400km", "home": "48.85,2.35"}}), "14"),
            (
                json!({"geo_bounding_box": {"home": {"top_left": {"lat": 52, "lon": -1}, "bottom_right": [3, 48]}}}),
                "23",
            ),
            (json!({"geo_bounding_box": {"home": {"top": 52, "left": -1, "bottom": 51, "right": 3}}}), "2"),
            (json!({"geo_polygon": {"home": {"points": [[-80, 35], [-70, 35], [-70, 45], [-80, 45]]}}}), "1"),
        ],
    );
}

#[test]
fn nested_objects_match_by_themselves() {
    let both =
        json!({"bool": {"must": [{"match": {"pets.kind": "cat"}}, {"range": {"pets.age": {"gte": 9}}}]}});
    check(
        &people(),
        vec![
            (json!({"nested": {"path": "pets", "query": both.clone()}}), "2"),
            (
                json!({"nested": {"path": "pets", "filter": {"term": {"pets.age": 9}}, "score_mode": "max"}}),
                "12",
            ),
            // Outside of `nested` they are not seen.
            (both, ""),
            (json!({"not": {"nested": {"path": "pets", "query": {"match_all": {}}}}}), "34"),
        ],
    );
    // Objects that are not nested are matched together.
    let flat = Fixture::new(
        json!({}),
        vec![json!({"pets": [{"kind": "cat", "age": 3}, {"kind": "dog", "age": 9}]})],
    );
    let both = json!({"bool": {"must": [{"match": {"pets.kind": "cat"}}, {"term": {"pets.age": 9}}]}});
    assert_eq!(flat.found(both), "1");
    let included = json!({"properties": {"pets": {"type": "nested", "include_in_root": true}}});
    let included = Fixture::new(included, vec![json!({"pets": [{"kind": "cat"}, {"kind": "dog"}]})]);
    assert_eq!(included.found(json!({"match": {"pets.kind": "dog"}})), "1");
}

#[test]
fn query_strings() {
    let people = people();
    let cases = [
        ("grace", "1"),
        ("GRACE", "1"),
        ("grace ada", "12"),
        ("grace AND hopper", "1"),
        ("grace AND ada", ""),
        ("name:ada", "2"),
        ("name:(ada grace)", "12"),
        ("+tag:code -name:ada", "14"),
        ("tag:code NOT ada", "14"),
        ("tag:code && !ada", "14"),
        ("\"grace hopper\"", "1"),
        ("\"hopper grace\"", ""),
        ("\"hopper grace\"~2", "1"),
        ("age:[36 TO 45]", "24"),
        ("age:{36 TO 45]", "4"),
        ("age:>45", "13"),
        ("age:<=36", "2"),
        ("age:[50 TO *]", "13"),
        ("name:gr*", "1"),
        ("name:GR*", "1"),
        ("name:h?pper", "1"),
        ("name:hoper~1", "1"),
        ("name:/gra.*/", "1"),
        ("_exists_:address", "123"),
        ("_missing_:address", "4"),
        ("*:*", "1234"),
        ("*", "1234"),
        ("address:*", "123"),
        ("info.city:nyc OR info.city:paris", "13"),
        ("born:[1900-01-01 TO 1950-01-01]", "1"),
        ("", ""),
        ("name:grace^2 name:ada", "12"),
        ("(grace OR ada) AND hopper", "1"),
        ("_id:3", "3"),
        ("-grace", "234"),
    ];
    for (text, expected) in cases {
        assert_eq!(people.found(json!({"query_string": {"query": text}})), expected, "{text}");
    }
    check(
        &people,
        vec![
            (json!({"query_string": {"query": "grace hopper", "default_operator": "AND"}}), "1"),
            (
                json!({"query_string": {"query": "grace nyc", "fields": ["name", "info.city"], "default_operator": "and"}}),
                "1",
            ),
            (json!({"query_string": {"query": "ada", "default_field": "name"}}), "2"),
            (
                json!({"query_string": {"query": "GR*", "default_field": "name", "lowercase_expanded_terms": false}}),
                "",
            ),
        ],
    );
    for (text, why) in [
        ("(grace", "a `(` without its `)`"),
        ("grace)", "found `)` where a clause was expected"),
        ("\"grace", "a `\"` without its end"),
        ("age:[1 2]", "a range is written `[from TO to]`"),
        ("AND grace", "found an operator where a clause was expected"),
        ("name:", "found the end where a clause was expected"),
    ] {
        let error = people.refused(json!({"query": {"query_string": {"query": text}}}));
        assert!(error.contains(why) && error.ends_with("at `/query/query_string/query`"), "{text}: {error}");
    }
}

#[test]
fn simple_query_strings_are_never_refused() {
    let people = people();
    for (text, expected) in [
        ("grace ada", "12"),
        ("grace + hopper", "1"),
        ("grace | ada", "12"),
        ("\"grace hopper\"", "1"),
        ("gra*", "1"),
        ("grace + -hopper", ""),
        ("code + -ada", "14"),
        ("hoper~1", "1"),
        ("(grace | ada) + code", "12"),
        ("\"hopper grace\"~2", "1"),
        ("", ""),
        ("\"", ""),
        ("((", ""),
        ("grace)", "1"),
        ("+", ""),
        ("gr\\*", ""),
    ] {
        assert_eq!(people.found(json!({"simple_query_string": {"query": text}})), expected, "{text}");
    }
    check(
        &people,
        vec![
            (
                json!({"simple_query_string": {"query": "grace hopper", "default_operator": "and", "fields": ["name"]}}),
                "1",
            ),
            (json!({"simple_query_string": {"query": "gra*", "flags": "OR|AND"}}), ""),
        ],
    );
}

#[test]
fn scores_are_those_of_lucene() {
    let texts = ["quick brown fox", "quick quick dog", "lazy dog"];
    let books = Fixture::new(json!({}), texts.iter().map(|text| json!({"text": text})).collect());
    let scores = |query: Value| -> Vec<(String, f64)> {
        let hits = books.search(json!({"query": query})).hits;
        let round = |score: &Value| (score.as_f64().unwrap() * 1e5).round() / 1e5;
        hits.iter().map(|hit| (hit["_id"].as_str().unwrap().to_owned(), round(&hit["_score"]))).collect()
    };
    let pair = |id: &str, score: f64| (id.to_owned(), score);
    assert_eq!(scores(json!({"match_all": {}})), [pair("1", 1.0), pair("2", 1.0), pair("3", 1.0)]);
    // idf = 1 + ln(3 / (2 + 1)) = 1; the norm of three words is 0.5: sqrt(2) * 0.5 and 1 * 0.5.
    assert_eq!(
        scores(json!({"match": {"text": "quick"}})),
        [pair("2", (0.5_f64.sqrt() * 1e5).round() / 1e5), pair("1", 0.5)]
    );
    // Both words have the idf 1: queryNorm is 1 / sqrt(2), and one of two words halves the score.
    assert_eq!(
        scores(json!({"match": {"text": "quick dog"}})),
        [pair("2", 0.85355), pair("3", 0.22097), pair("1", 0.17678)]
    );
    assert_eq!(
        scores(json!({"constant_score": {"filter": {"term": {"text": "dog"}}, "boost": 3}})),
        [pair("2", 1.0), pair("3", 1.0)]
    );
    assert_eq!(
        scores(json!({"bool": {"filter": {"term": {"text": "dog"}}}})),
        [pair("2", 0.0), pair("3", 0.0)]
    );
    let boosting = json!({"boosting": {"positive": {"constant_score": {"filter": {"term": {"text": "dog"}}}},
        "negative": {"term": {"text": "lazy"}}, "negative_boost": 0.25}});
    assert_eq!(scores(boosting), [pair("2", 1.0), pair("3", 0.25)]);
}

#[test]
fn functions_make_scores() {
    let numbers = Fixture::new(json!({}), vec![json!({"n": 1}), json!({"n": 10}), json!({"other": 1})]);
    let scores = |body: Value| -> Vec<f64> {
        let hits = numbers
            .search(json!({"query": {"function_score": body}, "sort": "_doc", "track_scores": true}))
            .hits;
        hits.iter().map(|hit| hit["_score"].as_f64().unwrap()).collect()
    };
    assert_eq!(
        scores(json!({"field_value_factor": {"field": "n", "factor": 2, "missing": 3}})),
        [2.0, 20.0, 6.0]
    );
    assert_eq!(
        scores(
            json!({"field_value_factor": {"field": "n", "modifier": "log", "missing": 100}, "boost_mode": "replace"})
        ),
        [0.0, 1.0, 2.0]
    );
    assert_eq!(scores(json!({"weight": 5})), [5.0, 5.0, 5.0]);
    let functions = json!([{"filter": {"term": {"n": 1}}, "weight": 2}, {"filter": {"range": {"n": {"lte": 10}}}, "weight": 3}]);
    for (mode, expected) in [
        ("multiply", [6.0, 3.0, 1.0]),
        ("sum", [5.0, 3.0, 1.0]),
        ("first", [2.0, 3.0, 1.0]),
        ("max", [3.0, 3.0, 1.0]),
        ("min", [2.0, 3.0, 1.0]),
        ("avg", [1.0, 1.0, 1.0]),
    ] {
        assert_eq!(scores(json!({"functions": functions, "score_mode": mode})), expected, "{mode}");
    }
    assert_eq!(scores(json!({"functions": functions, "max_boost": 4})), [4.0, 3.0, 1.0]);
    assert_eq!(scores(json!({"functions": functions, "min_score": 3})), [6.0, 3.0]);
    let random = scores(json!({"random_score": {"seed": 7}}));
    assert_eq!(random, scores(json!({"random_score": {"seed": 7}})));
    assert_ne!(random, scores(json!({"random_score": {"seed": 8}})));
    assert!(random.iter().all(|it| (0.0..1.0).contains(it)));
}

#[test]
fn what_the_mapping_shows_to_be_wrong_is_refused() {
    let people = people();
    for (query, message) in [
        (
            json!({"term": {"age": "old"}}),
            "found `old`, expected a value of the type long for the field [age], at `/query/term`",
        ),
        (
            json!({"range": {"born": {"gte": "soon"}}}),
            "failed to parse date field [soon] with format [strict_date_optional_time||epoch_millis], at `/query/range`",
        ),
        (
            json!({"nested": {"path": "info", "query": {"match_all": {}}}}),
            "[nested] nested object under path [info] is not of nested type, at `/query/nested`",
        ),
        (
            json!({"nested": {"path": "nowhere", "query": {"match_all": {}}}}),
            "[nested] failed to find nested object under path [nowhere], at `/query/nested`",
        ),
        (
            json!({"geo_distance": {"distance": "1km", "name": "1,1"}}),
            "field [name] is not a geo_point field, at `/query/geo_distance`",
        ),
        (
            json!({"match": {"name": {"query": "x", "analyzer": "mine"}}}),
            "not supported here: the analyzer `mine`;",
        ),
        (
            json!({"fuzzy": {"age": "36"}}),
            "not supported here: `fuzzy` on [age], which is no string: write a `range`, at `/query/fuzzy`",
        ),
        (
            json!({"range": {"born": {"gte": "2014", "time_zone": "Mars"}}}),
            "found the time zone `Mars`, expected an offset",
        ),
    ] {
        let error = people.refused(json!({"query": query}));
        assert!(error.starts_with(message), "{query}: {error}");
    }
}
