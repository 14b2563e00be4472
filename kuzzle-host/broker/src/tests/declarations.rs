//! Declaring, deleting, binding: what is accepted, and the texts of what is not.

use super::*;

#[test]
fn exchanges_are_declared_compared_and_deleted() {
    let fixture = Fixture::new();
    let client = fixture.client();
    let declare = |declare: ExchangeDeclare<'_>| client.ask(|link, op| link.declare_exchange(op, &declare));
    let e1 = ExchangeDeclare { name: "e1", kind: "direct", ..ExchangeDeclare::default() };
    assert!(!declare(e1).unwrap().existed);
    assert!(declare(e1).unwrap().existed);
    assert!(declare(ExchangeDeclare { kind: "", passive: true, durable: true, ..e1 }).unwrap().existed);
    let rows = [
        (
            ExchangeDeclare { kind: "fanout", ..e1 },
            "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'e1' in vhost '/': received 'fanout' but current is 'direct'",
        ),
        (
            ExchangeDeclare { durable: true, ..e1 },
            "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'e1' in vhost '/': received 'true' but current is 'false'",
        ),
        (
            ExchangeDeclare { auto_delete: true, ..e1 },
            "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for exchange 'e1' in vhost '/': received 'true' but current is 'false'",
        ),
        (
            ExchangeDeclare { internal: true, ..e1 },
            "PRECONDITION_FAILED - inequivalent arg 'internal' for exchange 'e1' in vhost '/': received 'true' but current is 'false'",
        ),
        (
            ExchangeDeclare { name: "e2", kind: "nope", ..e1 },
            "COMMAND_INVALID - unknown exchange type 'nope'",
        ),
        (
            ExchangeDeclare { name: "amq.x", ..e1 },
            "ACCESS_REFUSED - exchange name 'amq.x' contains reserved prefix 'amq.*'",
        ),
        (
            ExchangeDeclare { name: "", ..e1 },
            "ACCESS_REFUSED - operation not permitted on the default exchange",
        ),
        (
            ExchangeDeclare { name: "", passive: true, ..e1 },
            "ACCESS_REFUSED - operation not permitted on the default exchange",
        ),
        (
            ExchangeDeclare { name: "nope", passive: true, ..e1 },
            "NOT_FOUND - no exchange 'nope' in vhost '/'",
        ),
    ];
    for (wrong, expected) in rows {
        assert_eq!(refused(declare(wrong)), expected);
    }
    let topic = ExchangeDeclare { name: "amq.topic", kind: "topic", durable: true, ..e1 };
    assert!(declare(topic).unwrap().existed);
    assert!(refused(declare(ExchangeDeclare { durable: false, ..topic })).contains("'durable'"));

    let delete = |name: &str, unused| client.ask(|link, op| link.delete_exchange(op, name, unused));
    assert_eq!(
        refused(delete("amq.direct", false)),
        "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed"
    );
    assert_eq!(
        refused(delete("", false)),
        "ACCESS_REFUSED - operation not permitted on the default exchange"
    );
    client.queue("q");
    client.bind("q", "e1", "k");
    assert_eq!(refused(delete("e1", true)), "PRECONDITION_FAILED - exchange 'e1' in vhost '/' in use");
    assert!(delete("e1", false).unwrap().existed);
    assert!(!delete("e1", false).unwrap().existed);
    assert!(fixture.broker.bindings(None).iter().all(|binding| &*binding.source != "e1"));
}

#[test]
fn queues_are_declared_compared_and_deleted() {
    let fixture = Fixture::new();
    let client = fixture.client();
    let declare = |declare: QueueDeclare<'_>| client.ask(|link, op| link.declare_queue(op, &declare));
    let q1 = QueueDeclare { name: "q1", ..QueueDeclare::default() };
    assert_eq!(declare(q1).unwrap(), Done { name: Some("q1".into()), ..Done::default() });
    client.publish("", "q1", "x");
    let done = declare(q1).unwrap();
    assert_eq!((done.existed, done.messages, done.consumers), (true, 1, 0));
    let ttl = arguments(&[("x-message-ttl", Value::I16(1000))]);
    let rows = [
        (
            QueueDeclare { durable: true, ..q1 },
            "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q1' in vhost '/': received 'true' but current is 'false'",
        ),
        (
            QueueDeclare { auto_delete: true, ..q1 },
            "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for queue 'q1' in vhost '/': received 'true' but current is 'false'",
        ),
        (
            QueueDeclare { arguments: &ttl, ..q1 },
            "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'q1' in vhost '/': received the value '1000' of type 'short' but current is none",
        ),
        (
            QueueDeclare { name: "amq.foo", ..q1 },
            "ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'",
        ),
        (QueueDeclare { name: "x", passive: true, ..q1 }, "NOT_FOUND - no queue 'x' in vhost '/'"),
    ];
    for (wrong, expected) in rows {
        assert_eq!(refused(declare(wrong)), expected);
    }
    let locked = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q1' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.";
    assert_eq!(refused(declare(QueueDeclare { exclusive: true, ..q1 })), locked);
    assert!(declare(QueueDeclare { durable: true, any: true, ..q1 }).unwrap().existed);

    let delete =
        |name: &str, unused, empty| client.ask(|link, op| link.delete_queue(op, name, unused, empty));
    assert_eq!(refused(delete("q1", false, true)), "PRECONDITION_FAILED - queue 'q1' in vhost '/' not empty");
    client.consume_with(Consume {
        consumer: 1,
        queue: "q1",
        credit: Credit { count: Some(0), bytes: None },
        ..Consume::default()
    });
    assert_eq!(refused(delete("q1", true, false)), "PRECONDITION_FAILED - queue 'q1' in vhost '/' in use");
    let (done, events) = client.ask_all(|link, op| link.delete_queue(op, "q1", false, false));
    assert_eq!(done.unwrap().messages, 1);
    assert!(matches!(&events[..], [LinkEvent::Cancelled { consumer: 1, .. }]), "{events:?}");
    let gone = delete("q1", false, false).unwrap();
    assert_eq!((gone.existed, gone.messages), (false, 0));
}

#[test]
fn a_queue_without_a_name_gets_one_and_is_then_meant_by_none() {
    let fixture = Fixture::new();
    let client = fixture.client();
    for call in [
        client.ask(|link, op| link.purge_queue(op, "")),
        client.ask(|link, op| link.get(op, "", true)),
        client.bind_with(Bind { source: "amq.topic", ..Bind::default() }),
    ] {
        assert_eq!(refused(call), "NOT_FOUND - no previously declared queue");
    }
    let passive = QueueDeclare { passive: true, ..QueueDeclare::default() };
    assert_eq!(
        refused(client.ask(|link, op| link.declare_queue(op, &passive))),
        "NOT_FOUND - no queue '' in vhost '/'"
    );
    let name = client.queue("");
    assert!(name.starts_with("amq.gen-") && name.len() == 8 + 22, "{name}");
    client.publish("", &name, "x");
    assert_eq!(client.ask(|link, op| link.purge_queue(op, "")).unwrap().messages, 1);
    let again = client.queue("");
    assert_ne!(name, again);
}

#[test]
fn an_exclusive_queue_is_for_its_connection_and_goes_with_it() {
    let fixture = Fixture::new();
    let (owner, other) = (fixture.client(), fixture.client());
    owner.queue_with(QueueDeclare { name: "qx", exclusive: true, ..QueueDeclare::default() });
    let locked = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'qx' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.";
    let passive = QueueDeclare { name: "qx", passive: true, ..QueueDeclare::default() };
    let consume = Consume { consumer: 1, queue: "qx", ..Consume::default() };
    for refusal in [
        other.ask(|link, op| link.declare_queue(op, &passive)),
        other.ask(|link, op| link.get(op, "qx", true)),
        other.ask(|link, op| link.consume(op, &consume)),
        other.ask(|link, op| link.purge_queue(op, "qx")),
        other.ask(|link, op| link.delete_queue(op, "qx", false, false)),
        other.bind_with(Bind { source: "amq.topic", destination: "qx", ..Bind::default() }),
    ] {
        assert_eq!(refused(refusal), locked);
    }
    other.publish("", "qx", "anyone may publish");
    assert_eq!(owner.drain("qx"), ["anyone may publish"]);
    owner.connection.close();
    assert!(fixture.broker.queues(None).is_empty());
}

#[test]
fn bindings_are_made_once_and_missing_ends_are_named() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("q");
    let bind = Bind { source: "amq.direct", destination: "q", routing_key: "k", ..Bind::default() };
    assert!(!client.bind_with(bind.clone()).unwrap().existed);
    assert!(client.bind_with(bind.clone()).unwrap().existed);
    client.publish("amq.direct", "k", "once");
    assert_eq!(client.drain("q"), ["once"]);
    let missing = Bind { source: "nope", ..bind.clone() };
    assert_eq!(refused(client.bind_with(missing.clone())), "NOT_FOUND - no exchange 'nope' in vhost '/'");
    let no_queue = Bind { destination: "nope", ..bind.clone() };
    assert_eq!(refused(client.bind_with(no_queue.clone())), "NOT_FOUND - no queue 'nope' in vhost '/'");
    let default = Bind { source: "", ..bind.clone() };
    assert_eq!(
        refused(client.bind_with(default.clone())),
        "ACCESS_REFUSED - operation not permitted on the default exchange"
    );
    let unbind = |bind: Bind<'_>| client.ask(|link, op| link.unbind(op, &bind));
    assert!(!unbind(missing).unwrap().existed);
    assert!(!unbind(no_queue).unwrap().existed);
    assert!(unbind(default).is_err());
    assert!(unbind(bind.clone()).unwrap().existed);
    assert!(!unbind(bind).unwrap().existed);
    client.publish("amq.direct", "k", "nowhere");
    assert!(client.drain("q").is_empty());
}

#[test]
fn an_exchange_that_deletes_itself_goes_with_its_last_binding() {
    let fixture = Fixture::new();
    let client = fixture.client();
    for name in ["up", "down"] {
        let declare =
            ExchangeDeclare { name, kind: "fanout", auto_delete: true, ..ExchangeDeclare::default() };
        client.ask(|link, op| link.declare_exchange(op, &declare)).unwrap();
    }
    client.queue("q");
    client
        .bind_with(Bind { source: "up", destination: "down", to_exchange: true, ..Bind::default() })
        .unwrap();
    client.bind("q", "down", "");
    client.ask(|link, op| link.delete_queue(op, "q", false, false)).unwrap();
    let left: Vec<_> = fixture.broker.exchanges(None).into_iter().map(|info| info.name.to_string()).collect();
    assert!(!left.iter().any(|name| name == "up" || name == "down"), "{left:?}");
}

#[test]
fn a_link_that_stops_at_an_error_does_nothing_after_it() {
    let fixture = Fixture::new();
    let client = fixture.client_with(LinkOptions { stops_at_error: true, ..LinkOptions::default() });
    client.queue("q");
    assert!(client.ask(|link, op| link.get(op, "nope", true)).is_err());
    client.link.declare_queue(99, &QueueDeclare { name: "later", ..QueueDeclare::default() });
    client.publish("", "q", "lost");
    assert!(client.events().is_empty());
    let names: Vec<_> = fixture.broker.queues(None).into_iter().map(|info| (info.name, info.ready)).collect();
    assert_eq!(names, [("q".into(), 0)]);
}
