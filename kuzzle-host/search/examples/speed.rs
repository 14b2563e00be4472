//! How long searches over a collection of small prepared documents take: `cargo run --release -p kuzzle-search --example
//! speed [documents]`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use kuzzle_search::{Document, Execution, Mapping, Prepared, Search};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let documents: u64 = std::env::args().nth(1).map_or(Ok(10_000), |it| it.parse())?;
    let cities = ["Paris", "London", "New York", "Lisbon", "Oslo", "Rome", "Athens"];
    let source = |number: u64| {
        json!({
            "name": format!("user number {number}"), "city": cities[(number % 7) as usize], "age": number % 90,
            "joined": format!("20{:02}-{:02}-11", number % 17, number % 12 + 1), "active": number.is_multiple_of(3),
            "info": {"hobby": if number.is_multiple_of(2) { "computer" } else { "radium" }, "score": number as f64 / 3.0},
        })
    };
    let mapping = Mapping::default().observe(&source(1))?.unwrap_or_default();
    let start = Instant::now();
    let prepare = |number: u64| {
        let document = Document {
            index: Arc::from("index"),
            collection: Arc::from("users"),
            id: number.to_string(),
            version: 1,
            sequence: number,
            source: Arc::new(source(number)),
        };
        Prepared::new(document, &mapping)
    };
    let prepared: Vec<Prepared> = (0..documents).map(prepare).collect();
    println!("{documents} documents prepared in {:?}", start.elapsed());
    let bodies: [(&str, Value); 6] = [
        ("term", json!({"query": {"term": {"city": "paris"}}})),
        ("filter", json!({"filter": {"term": {"city": "paris"}}, "sort": "age"})),
        ("match", json!({"query": {"match": {"name": "user 77"}}})),
        ("range", json!({"query": {"range": {"age": {"gte": 20, "lt": 30}}}})),
        ("regexp", json!({"query": {"regexp": {"_uid": "users.77.*"}}})),
        (
            "terms",
            json!({"size": 0, "aggs": {"cities": {"terms": {"field": "city"}, "aggs": {"age": {"avg": {"field": "age"}}}}}}),
        ),
    ];
    let cancelled = AtomicBool::new(false);
    let execution = Execution { mapping: &mapping, now_ms: 0, cancelled: &cancelled, statistics: None };
    for (name, body) in bodies {
        let search = Search::parse(&body)?;
        let mut times = Vec::new();
        let mut total = 0;
        for _ in 0..21 {
            let start = Instant::now();
            total = search.execute(execution, &prepared)?.total;
            times.push(start.elapsed());
        }
        times.sort();
        println!("{name:8} {:?} for {total} hits, median of {}", times[times.len() / 2], times.len());
    }
    Ok(())
}
