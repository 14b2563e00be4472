use std::sync::Arc;

use kuzzle_broker::{DEFAULT_VHOST, NoHost, Options, QueueDeclare, SystemClock};
use serde_json::json;

use super::*;

fn broker() -> Broker {
    Broker::in_memory(Options::default(), Arc::new(NoHost), Arc::new(SystemClock))
}

fn whole() -> Value {
    json!({
        "rabbit_version": "3.10.8",
        "users": [{"name": "guest", "password_hash": "x", "tags": ["administrator"]}],
        "permissions": [{"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
        "vhosts": [{"name": "/"}, {"name": "other"}],
        "policies": [
            {"vhost": "/", "name": "low", "pattern": "^a", "apply-to": "all", "priority": 0,
             "definition": {"max-length": 1}},
            {"vhost": "/", "name": "high", "pattern": "^a", "apply-to": "queues", "priority": 5,
             "definition": {"message-ttl": 60000, "ha-mode": "all"}},
            {"vhost": "/", "name": "exchanges", "pattern": "^e$", "apply-to": "exchanges", "priority": 1,
             "definition": {"alternate-exchange": "amq.fanout"}},
            {"vhost": "/", "name": "nothing", "pattern": "^zzz$", "apply-to": "queues", "priority": 1,
             "definition": {"expires": 1000}},
        ],
        "queues": [
            {"name": "a", "vhost": "/", "durable": true, "auto_delete": false, "arguments": {"x-max-length": 10}},
            {"name": "b", "vhost": "other", "durable": true, "auto_delete": false, "arguments": {}},
            {"name": "amq.gen-123", "vhost": "/", "durable": false, "auto_delete": true, "arguments": {}},
        ],
        "exchanges": [
            {"name": "e", "vhost": "/", "type": "topic", "durable": true, "auto_delete": false, "internal": false,
             "arguments": {}},
            {"name": "h", "vhost": "/", "type": "headers", "durable": true, "auto_delete": false,
             "internal": false, "arguments": []},
        ],
        "bindings": [
            {"source": "e", "vhost": "/", "destination": "a", "destination_type": "queue", "routing_key": "x.#",
             "arguments": {}},
            {"source": "e", "vhost": "/", "destination": "h", "destination_type": "exchange",
             "routing_key": "y", "arguments": {}},
            {"source": "h", "vhost": "/", "destination": "a", "destination_type": "queue", "routing_key": "",
             "arguments": {"x-match": "any", "size": 3}},
        ],
    })
}

fn pointers(notes: &Value) -> Vec<&str> {
    notes.as_array().unwrap().iter().map(|note| note["pointer"].as_str().unwrap()).collect()
}

#[test]
fn all_of_it_is_made_and_what_is_ignored_is_named() {
    let broker = broker();
    let report = import(&broker, &whole()).unwrap();
    assert_eq!(report["created"], json!({"vhosts": 1, "exchanges": 2, "queues": 2, "bindings": 3}));
    let mut ignored = pointers(&report["ignored"]);
    ignored.sort_unstable();
    assert_eq!(
        ignored,
        [
            "/permissions/0",
            "/policies/0",
            "/policies/1/definition/ha-mode",
            "/policies/3",
            "/queues/2",
            "/users/0"
        ]
    );
    assert_eq!(broker.vhosts().len(), 2);
    let again = import(&broker, &whole()).unwrap();
    assert_eq!(again["created"], json!({"vhosts": 0, "exchanges": 0, "queues": 0, "bindings": 0}));
    assert_eq!(again["existed"], json!({"vhosts": 2, "exchanges": 2, "queues": 2, "bindings": 3}));
}

#[test]
fn a_client_declares_again_what_a_policy_has_changed() {
    let broker = broker();
    import(&broker, &whole()).unwrap();
    let arguments =
        crate::actions::tables::from_json(json!({"x-max-length": 10}).as_object().unwrap()).unwrap();
    let declare = QueueDeclare { name: "a", durable: true, arguments: &arguments, ..QueueDeclare::default() };
    assert!(broker.declare_queue(DEFAULT_VHOST, &declare).unwrap().existed);
    let shown = crate::actions::tables::to_json(&broker.queue("/", "a").unwrap().arguments);
    assert_eq!(shown[kuzzle_broker::POLICY]["definition"], json!({"message-ttl": 60000}));
}

#[test]
fn an_export_imported_elsewhere_exports_the_same() {
    let first = broker();
    import(&first, &whole()).unwrap();
    let exported = export(&first, "1");
    assert_eq!(exported["queues"][0]["arguments"], json!({"x-max-length": 10}));
    assert_eq!(exported["policies"].as_array().unwrap().len(), 2);
    let second = broker();
    import(&second, &exported).unwrap();
    assert_eq!(export(&second, "1"), exported);
}

#[test]
fn every_problem_is_told_with_its_place_and_nothing_is_made() {
    let broker = broker();
    let declare = QueueDeclare { name: "there", durable: false, ..QueueDeclare::default() };
    broker.declare_queue("/", &declare).unwrap();
    let mut wrong = whole();
    wrong["queues"].as_array_mut().unwrap().extend([
        json!({"name": "there", "durable": true}),
        json!({"name": "ttl", "durable": true, "arguments": {"x-message-ttl": "soon"}}),
        json!({"name": "lost", "vhost": "nowhere", "durable": true}),
    ]);
    wrong["exchanges"].as_array_mut().unwrap().push(json!({"name": "odd", "type": "x-odd"}));
    wrong["bindings"].as_array_mut().unwrap().extend([
        json!({"source": "e", "destination": "absent", "destination_type": "queue"}),
        json!({"source": "odd", "destination": "a", "destination_type": "queue"}),
    ]);
    let error = import(&broker, &wrong).unwrap_err();
    assert_eq!(error.message, "nothing was imported: the definitions have 5 problem(s)");
    let errors = Value::from(error.errors);
    assert_eq!(
        pointers(&errors),
        ["/exchanges/2/type", "/queues/3", "/queues/4", "/queues/5", "/bindings/3"]
    );
    assert!(errors[1]["message"].as_str().unwrap().contains("inequivalent arg 'durable'"), "{errors}");
    assert_eq!(broker.vhosts().len(), 1);
    assert_eq!(broker.queues(None).len(), 1);

    let shapes = json!({
        "queues": [7, {"vhost": "/"}, {"name": 3}], "exchanges": {}, "bindings": [{"source": "e"}],
        "policies": [{"name": "p", "pattern": "(", "definition": {"max-length": 1}}], "what": [1], "users": 1,
    });
    let errors = Value::from(import(&broker, &shapes).unwrap_err().errors);
    assert_eq!(
        pointers(&errors),
        ["/bindings/0", "/exchanges", "/queues/0", "/queues/1", "/queues/2/name", "/policies/0/pattern"]
    );
    assert!(import(&broker, &json!([])).is_err());
}
