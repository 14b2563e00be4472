//! Where messages go.

use super::*;

#[test]
fn each_kind_of_exchange_routes_as_it_says() {
    let fixture = Fixture::new();
    let client = fixture.client();
    for queue in ["a", "b"] {
        client.queue(queue);
    }
    client.bind("a", "amq.direct", "k");
    client.bind("b", "amq.direct", "other");
    client.publish("amq.direct", "k", "direct");
    client.bind("a", "amq.fanout", "");
    client.bind("b", "amq.fanout", "ignored");
    client.publish("amq.fanout", "whatever", "fanout");
    client.bind("a", "amq.topic", "x.*");
    client.bind("a", "amq.topic", "#");
    client.bind("b", "amq.topic", "*.y");
    client.publish("amq.topic", "x.z", "topic");
    let one = arguments(&[("h", Value::I32(1))]);
    client
        .bind_with(Bind { source: "amq.headers", destination: "b", arguments: &one, ..Bind::default() })
        .unwrap();
    let headers = |value| {
        let table = arguments(&[("h", value)]);
        let properties = Properties { headers: Some(&table), ..Properties::default() };
        client.publish_with("amq.headers", "", "headers", properties);
    };
    headers(Value::I8(1));
    headers(long("1"));
    client.publish("", "a", "default");
    assert_eq!(client.drain("a"), ["direct", "fanout", "topic", "default"]);
    assert_eq!(client.drain("b"), ["fanout", "headers"]);
}

#[test]
fn every_exchange_that_is_there_from_the_start_can_be_bound_and_the_one_of_traces_is_silent() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("traces");
    for kind in ["direct", "fanout", "topic", "headers", "match"] {
        let kind_of = if kind == "match" { "headers" } else { kind };
        let name = format!("amq.{kind}");
        let declare =
            ExchangeDeclare { name: &name, kind: kind_of, passive: true, ..ExchangeDeclare::default() };
        client.ask(|link, op| link.declare_exchange(op, &declare)).unwrap();
        client.queue(kind);
        client.bind(kind, &name, "k");
    }
    client.bind("traces", "amq.rabbitmq.trace", "#");
    client.publish("amq.direct", "k", "seen");
    assert_eq!(client.drain("direct"), ["seen"]);
    assert_eq!(client.drain("traces"), [""; 0]);
}

#[test]
fn exchanges_lead_to_exchanges_and_round_trips_end() {
    let fixture = Fixture::new();
    let client = fixture.client();
    for name in ["one", "two"] {
        let declare = ExchangeDeclare { name, kind: "topic", ..ExchangeDeclare::default() };
        client.ask(|link, op| link.declare_exchange(op, &declare)).unwrap();
    }
    client.queue("q");
    client.bind("q", "two", "k.#");
    for (source, destination) in [("one", "two"), ("two", "one")] {
        let bind = Bind { source, destination, to_exchange: true, routing_key: "#", ..Bind::default() };
        client.bind_with(bind).unwrap();
    }
    client.publish("one", "k.x", "once");
    client.publish("one", "other", "no");
    assert_eq!(client.drain("q"), ["once"]);
}

#[test]
fn an_alternate_exchange_gets_what_goes_nowhere() {
    let fixture = Fixture::new();
    let client = fixture.client();
    let alternate = arguments(&[("alternate-exchange", long("amq.fanout"))]);
    let declare =
        ExchangeDeclare { name: "main", kind: "direct", arguments: &alternate, ..ExchangeDeclare::default() };
    client.ask(|link, op| link.declare_exchange(op, &declare)).unwrap();
    assert_eq!(
        refused(
            client.ask(|link, op| link.declare_exchange(op, &ExchangeDeclare { arguments: &[], ..declare }))
        ),
        "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'main' in vhost '/': received none but \
         current is the value 'amq.fanout' of type 'longstr'"
    );
    client.queue("caught");
    client.queue("routed");
    client.bind("caught", "amq.fanout", "");
    client.bind("routed", "main", "k");
    client.publish("main", "k", "routed");
    client.send(Publish { mandatory: true, ..message("main", "lost", "caught") });
    assert_eq!(client.drain("routed"), ["routed"]);
    let got = client.get("caught", true).unwrap();
    assert_eq!((got.message.exchange(), got.message.routing_key()), ("main", "lost"));
    assert!(client.events().is_empty(), "it is not returned");
}

#[test]
fn copies_go_to_further_keys_and_blind_ones_are_not_seen() {
    let fixture = Fixture::new();
    let client = fixture.client();
    for queue in ["a", "b", "c"] {
        client.queue(queue);
    }
    let mut array = Vec::new();
    table::put_value(&mut array, long("b"));
    let mut blind = Vec::new();
    table::put_value(&mut blind, long("c"));
    let headers = arguments(&[("CC", Value::Array(&array)), ("BCC", Value::Array(&blind))]);
    client.publish_with("", "a", "x", Properties { headers: Some(&headers), ..Properties::default() });
    for queue in ["a", "b", "c"] {
        let got = client.get(queue, true).unwrap();
        let read = Properties::parse(got.message.properties()).unwrap();
        assert!(read.header("CC").is_some() && read.header("BCC").is_none());
    }
}

#[test]
fn reserved_keys_are_the_hosts_and_patterns_do_not_see_them() {
    let fixture = Fixture::new();
    let client = fixture.client();
    for queue in ["exact", "pattern", "allowed"] {
        client.queue(queue);
    }
    client.bind("exact", "amq.topic", "reply.me");
    client.bind("pattern", "amq.topic", "#");
    let options = BindingOptions { sees_reserved: true, ..BindingOptions::default() };
    client
        .bind_with(Bind {
            source: "amq.topic",
            destination: "allowed",
            routing_key: "#",
            options,
            ..Bind::default()
        })
        .unwrap();
    let seq = client.publish("amq.topic", "reply.me", "forged");
    match &client.events()[..] {
        [LinkEvent::Refused { seq: refused, error }] => {
            assert_eq!(*refused, seq);
            assert_eq!(
                error.to_string(),
                "ACCESS_REFUSED - access to topic 'reply.me' in exchange 'amq.topic' in vhost '/' refused for user \
                 'guest'"
            );
        }
        other => panic!("unexpected {other:?}"),
    }
    let host = fixture
        .broker
        .connect(ConnectionOptions {
            id: 9,
            vhost: "/".into(),
            instance: "host".into(),
            user: String::new(),
            client_name: None,
            info: String::new(),
            privileged: true,
            waker: Arc::new(Wakes::default()),
        })
        .unwrap();
    let link = host.open_link(LinkOptions::default()).unwrap();
    link.publish(1, &[message("amq.topic", "reply.me", "true")]);
    assert_eq!(client.drain("exact"), ["true"]);
    assert_eq!(client.drain("allowed"), ["true"]);
    assert!(client.drain("pattern").is_empty());
    assert!(fixture.broker.is_heard("/", "amq.topic", "reply.me"));
    client.ask(|link, op| link.delete_queue(op, "allowed", false, false)).unwrap();
    assert!(!fixture.broker.is_heard("/", "amq.topic", "reply.you"));
}

#[test]
fn the_host_takes_requests_and_quiesce_waits_for_them() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("spy");
    client.bind("spy", "amq.topic", "#");
    client.bind("spy", "amq.topic", "api");
    client.ask(|link, op| link.confirm(op, true)).unwrap();
    let seq = client.send(Publish { mandatory: true, ..message("amq.topic", "api", "ask") });
    assert!(client.confirmed(seq).is_empty(), "neither returned nor routed");
    assert!(client.drain("spy").is_empty());
    let request = fixture.host.requests.lock().pop().unwrap();
    assert_eq!(text(&request.message), "ask");
    let origin = request.message.origin().unwrap();
    assert_eq!((&*origin.instance, origin.link, &*origin.user), ("test", 2, "guest"));
    assert_eq!(origin.client_name.as_deref(), Some("tester"));
    assert_eq!(client.link.unanswered(), 1);

    let done = Arc::new(Mutex::new(Vec::new()));
    for deadline in [START + 1_000, START + 60_000] {
        let done = Arc::clone(&done);
        client.link.quiesce(deadline, move |all| done.lock().push((deadline - START, all)));
    }
    fixture.pass(1_000);
    assert_eq!(*done.lock(), [(1_000, false)]);
    drop(request);
    assert_eq!(*done.lock(), [(1_000, false), (60_000, true)]);
    fixture.pass(100_000);
    let at_once = Arc::clone(&done);
    client.link.quiesce(0, move |all| at_once.lock().push((0, all)));
    assert_eq!(*done.lock(), [(1_000, false), (60_000, true), (0, true)]);
}

#[test]
fn the_host_may_share_requests_with_queues() {
    let fixture = Fixture::with(Options { ingress_is_routed: true, ..Options::default() });
    let client = fixture.client();
    client.queue("spy");
    client.bind("spy", "amq.topic", "api");
    client.publish("amq.topic", "api", "ask");
    assert_eq!(client.drain("spy"), ["ask"]);
    assert_eq!(fixture.host.requests.lock().len(), 1);
}

#[test]
fn cached_routes_follow_every_change() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("a");
    client.publish("amq.topic", "k", "0");
    client.bind("a", "amq.topic", "k");
    client.publish("amq.topic", "k", "1");
    client.queue("k");
    client.publish("", "k", "2");
    client.ask(|link, op| link.delete_queue(op, "k", false, false)).unwrap();
    client.publish("", "k", "3");
    client
        .ask(|link, op| {
            link.unbind(
                op,
                &Bind { source: "amq.topic", destination: "a", routing_key: "k", ..Bind::default() },
            )
        })
        .unwrap();
    client.publish("amq.topic", "k", "4");
    assert_eq!(client.drain("a"), ["1"]);
}

#[test]
fn a_pattern_may_hide_keys_of_the_system() {
    let fixture = Fixture::new();
    let client = fixture.client();
    for (queue, hides_dollar) in [("hides", true), ("shows", false)] {
        client.queue(queue);
        let options = BindingOptions { hides_dollar, ..BindingOptions::default() };
        let bind =
            Bind { source: "amq.topic", destination: queue, routing_key: "#", options, ..Bind::default() };
        client.bind_with(bind).unwrap();
    }
    client.publish("amq.topic", "$SYS.load", "1");
    client.publish("amq.topic", "normal", "2");
    assert_eq!(client.drain("hides"), ["2"]);
    assert_eq!(client.drain("shows"), ["1", "2"]);
}
