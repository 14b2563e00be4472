//! Documents, searches, mappings and imports over every protocol: the same request gets the same answer, and what an
//! application does works over each.

use std::collections::BTreeMap;

use kuzzle_tests::every_protocol::PROTOCOLS;
use kuzzle_tests::{EveryProtocol, repository};
use serde_json::Value;

/// Every action, with what it refuses, is answered over each protocol as `tests/golden/documents.jsonl` has it, but for ids of
/// requests and the time that was taken.
#[test]
fn the_same_request_gets_the_same_answer_over_every_protocol() {
    let said = EveryProtocol::start().run("documents.js");
    let mut answers: BTreeMap<String, Vec<(String, Value)>> = BTreeMap::new();
    for line in said.lines() {
        let mut line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let (protocol, what) = (text(&line["protocol"]), text(&line["what"]));
        answers.entry(protocol).or_default().push((what, comparable(line["answer"].take())));
    }
    let golden = std::fs::read_to_string(repository().join("tests/golden/documents.jsonl")).unwrap();
    let golden: Vec<Value> = golden.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), PROTOCOLS.len());
    for (protocol, answers) in &answers {
        assert_eq!(answers.len(), golden.len(), "answers over {protocol}");
        for ((what, answer), golden) in answers.iter().zip(&golden) {
            assert_eq!(*what, golden["what"]);
            assert_eq!(*answer, golden["answer"], "{what}, over {protocol}");
        }
        println!("{protocol}: {} answers as expected", answers.len());
    }
}

/// Without what differs from one time to the next.
fn comparable(mut answer: Value) -> Value {
    assert!(answer["requestId"].as_str().is_some_and(|id| !id.is_empty()), "{answer}");
    answer.as_object_mut().unwrap().remove("requestId");
    if let Some(result) = answer["result"].as_object_mut() {
        if result.contains_key("requestId") {
            assert!(result.remove("requestId").unwrap().is_string());
        }
        if result.contains_key("took") {
            assert!(result.remove("took").unwrap().is_u64());
        }
    }
    answer
}

#[test]
fn what_applications_do_with_documents_works_over_every_protocol() {
    let said = EveryProtocol::start().run("scenarios.js");
    let mut held: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in said.lines() {
        let (protocol, scenario) = line.split_once('|').unwrap_or_else(|| panic!("{line}"));
        held.entry(protocol).or_default().push(scenario);
    }
    for protocol in PROTOCOLS {
        assert_eq!(held[protocol].len(), 16, "{protocol}");
        assert_eq!(held[protocol], held[PROTOCOLS[0]], "{protocol}");
    }
    println!("over {}: {}", PROTOCOLS.join(", "), held[PROTOCOLS[0]].join(", "));
}
