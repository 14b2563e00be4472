use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::Settings;

crate::settings! {
    /// What a test can be
    /// told: "all" of it.
    pub(crate) struct Sample {
        /// Switches it on.
        enabled: bool = true;
        /// Longest frame.
        frame_max_bytes: integer = 1_000, range 10..=2_000, unit "bytes";
        /// How many.
        count: integer = 0;
        /// How long.
        idle_secs: secs = 60, range 0..=3_600;
        /// How long, finely.
        pause_millis: millis = 250;
        /// Any text, with a back\slash.
        greeting: string = "say \"hello\"";
        /// One of some.
        style: string = "short", choices ["short", "full"];
        /// Who may come.
        origins: list = ["*"];
        /// What is offered.
        versions: list = ["1.0", "1.2"], choices ["1.0", "1.1", "1.2"];
    }
}

#[test]
fn defaults_are_those_declared() {
    let sample = Sample::default();
    assert_eq!(Sample::check("{}"), Ok(sample.clone()));
    assert!(sample.enabled);
    assert_eq!(sample.frame_max_bytes, 1_000);
    assert_eq!(sample.idle_secs, Duration::from_secs(60));
    assert_eq!(sample.pause_millis, Duration::from_millis(250));
    assert_eq!(sample.greeting, "say \"hello\"");
    assert_eq!(sample.versions, ["1.0", "1.2"]);
}

#[test]
fn every_value_is_read() {
    let given = json!({
        "enabled": false, "frame_max_bytes": 10, "count": 7, "idle_secs": 0, "pause_millis": 1, "greeting": "",
        "style": "full", "origins": [], "versions": ["1.1"]
    });
    let sample = Sample::check(&given.to_string()).expect("nothing is wrong");
    let expected = Sample {
        enabled: false,
        frame_max_bytes: 10,
        count: 7,
        idle_secs: Duration::ZERO,
        pause_millis: Duration::from_millis(1),
        greeting: String::new(),
        style: "full".to_owned(),
        origins: Vec::new(),
        versions: vec!["1.1".to_owned()],
    };
    assert_eq!(sample, expected);
}

#[test]
fn every_problem_is_listed_with_its_place() {
    let given = json!({
        "enable": true, "a/b~c": 1, "frame_max_bytes": 2_001, "count": -1, "idle_secs": 1.5, "pause_millis": "long",
        "greeting": null, "style": "ful", "origins": "x", "versions": ["1.0", "2.0", 3]
    });
    let problems = Sample::check(&given.to_string()).expect_err("much is wrong");
    let problems: Vec<_> = problems.iter().map(|p| (p.pointer.as_str(), p.message.as_str())).collect();
    let names = "`enabled`, `frame_max_bytes`, `count`, `idle_secs`, `pause_millis`, `greeting`, `style`, `origins`, \
                 `versions`";
    assert_eq!(
        problems,
        [
            ("/a~1b~0c", format!("does not exist; the settings are {names}").as_str()),
            ("/enable", "does not exist; did you mean `enabled`?"),
            ("/frame_max_bytes", "is 2001, expected a whole number from 10 to 2000 (bytes)"),
            ("/count", "is -1, expected a whole number from 0"),
            ("/idle_secs", "is 1.5, expected a whole number from 0 to 3600 (seconds)"),
            ("/pause_millis", "is `long`, expected a whole number from 0 (milliseconds)"),
            ("/greeting", "is null, expected a text"),
            ("/style", "is `ful`, expected one of `short`, `full`; did you mean `full`?"),
            ("/origins", "is `x`, expected a list of texts"),
            ("/versions/1", "is `2.0`, expected one of `1.0`, `1.1`, `1.2`; did you mean `1.0`?"),
            ("/versions/2", "is 3, expected one of `1.0`, `1.1`, `1.2`"),
        ]
    );
}

#[test]
fn what_is_no_table_is_one_problem_at_the_root() {
    for (given, message) in [("[]", "is a list, expected a table of settings"), ("{", "is not JSON: EOF")] {
        let problems = Sample::check(given).expect_err("no table");
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].pointer, "");
        assert!(problems[0].message.starts_with(message), "{}", problems[0].message);
    }
    let problems = <()>::check(r#"{"x":1}"#).expect_err("no settings");
    assert_eq!(problems[0].message, "does not exist; this plugin has no settings");
}

#[test]
fn the_schema_says_what_the_declaration_says() {
    let schema: Value = serde_json::from_str(Sample::SCHEMA).expect("the schema is JSON");
    assert_eq!(schema["description"], "What a test can be told: \"all\" of it.");
    assert_eq!(schema["additionalProperties"], false);
    let properties = &schema["properties"];
    assert_eq!(
        properties["frame_max_bytes"],
        json!({ "type": "integer", "description": "Longest frame.", "x-unit": "bytes",
                "default": 1000, "minimum": 10, "maximum": 2000 })
    );
    assert_eq!(properties["count"]["maximum"], i64::MAX);
    assert_eq!(properties["pause_millis"]["x-unit"], "milliseconds");
    assert_eq!(properties["greeting"]["default"], "say \"hello\"");
    assert_eq!(properties["greeting"]["description"], "Any text, with a back\\slash.");
    assert_eq!(properties["style"]["enum"], json!(["short", "full"]));
    assert_eq!(properties["versions"]["items"], json!({ "type": "string", "enum": ["1.0", "1.1", "1.2"] }));
    assert_eq!(properties.as_object().map(serde_json::Map::len), Some(9));
    assert!(serde_json::from_str::<Value>(<()>::SCHEMA).is_ok());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u64..3_000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(Value::from("full")),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Value::from))
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        if let Err(problems) = Sample::check(&text) {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn any_table_is_read_within_bounds_or_each_problem_points_into_it(
        table in prop::collection::hash_map(
            prop_oneof!["enabled|frame_max_bytes|count|idle_secs|greeting|style|origins|versions", ".{0,10}"],
            any_json(),
            0..8,
        )
    ) {
        let table = Value::from_iter(table);
        match Sample::check(&table.to_string()) {
            Ok(sample) => {
                prop_assert!((10..=2_000).contains(&sample.frame_max_bytes));
                prop_assert!(["short", "full"].contains(&sample.style.as_str()));
            }
            Err(problems) => {
                for problem in problems {
                    prop_assert!(table.pointer(&problem.pointer).is_some(), "{}", problem.pointer);
                }
            }
        }
    }
}
