//! The body of a search over a small collection, and the mapping and documents of that collection: whatever they are,
//! the answer is a result or an error that is no longer than it needs to be.
#![no_main]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use kuzzle_search::{Document, Execution, Mapping, Prepared, Search};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|data: &[u8]| {
    let Ok(input) = serde_json::from_slice::<Value>(data) else { return };
    let mut mapping = Mapping::parse(&input["mapping"]).unwrap_or_default();
    let mut sources =
        vec![json!({"text": "quick brown fox", "n": 1, "d": "2014-01-01", "o": [{"x": 1.5, "y": true}]})];
    sources.extend(input["documents"].as_array().into_iter().flatten().take(4).cloned());
    for source in &sources {
        if let Ok(Some(grown)) = mapping.observe(source) {
            mapping = grown;
        }
    }
    let shown = mapping.render();
    assert_eq!(Mapping::parse(&shown).expect("a rendered mapping is one").render(), shown);
    let prepare = |(sequence, source): (u64, Value)| {
        let document = Document {
            index: Arc::from("index"),
            collection: Arc::from("collection"),
            id: sequence.to_string(),
            version: 1,
            sequence,
            source: Arc::new(source),
        };
        Prepared::new(document, &mapping)
    };
    let documents: Vec<Prepared> = (1..).zip(sources).map(prepare).collect();
    let cancelled = AtomicBool::new(false);
    let execution =
        Execution { mapping: &mapping, now_ms: 1_434_369_600_000, cancelled: &cancelled, statistics: None };
    let answer = Search::parse(&input["body"]).and_then(|search| {
        let result = search.execute(execution, &documents)?;
        let selected = search.select(execution, &documents)?;
        assert_eq!(result.total, selected.len() as u64, "a search and a selection find the same");
        Ok(result)
    });
    if let Err(error) = answer {
        assert!(error.message().len() < 5000, "{} bytes of an error", error.message().len());
    }
});
