//! Confirms, returns, refusals, commits, direct replies, alarms.

use super::*;

fn refusal(events: &[LinkEvent]) -> String {
    match events {
        [LinkEvent::Refused { error, .. }] => error.to_string(),
        other => panic!("unexpected {other:?}"),
    }
}

#[test]
fn publishes_are_confirmed_in_one_and_returned_before() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("q");
    client.publish("", "q", "not confirmed");
    assert!(client.events().is_empty());
    client.ask(|link, op| link.confirm(op, true)).unwrap();
    let lost = Publish { mandatory: true, ..message("", "nowhere", "lost") };
    let accepted = client.link.publish(10, &[message("", "q", "1"), lost, message("", "q", "2")]);
    assert_eq!(accepted, Accepted { taken: 3, throttled: false });
    match &client.events()[..] {
        [LinkEvent::Returned { seq: 11, message }, LinkEvent::ConfirmedUpTo(12)] => {
            assert_eq!((message.routing_key(), text(message)), ("nowhere", "lost".to_owned()));
        }
        other => panic!("unexpected {other:?}"),
    }
    client.link.publish(13, &[message("", "q", "3")]);
    client.link.publish(14, &[message("", "q", "4")]);
    assert!(matches!(client.events()[..], [LinkEvent::ConfirmedUpTo(14)]), "confirmations run together");
}

#[test]
fn mistakes_of_publishers_are_refused_with_or_without_confirms() {
    let fixture = Fixture::with(Options {
        limits: Limits { message_bytes: 100, ..Limits::default() },
        ..Options::default()
    });
    let client = fixture.client();
    client.publish("nope", "k", "x");
    assert_eq!(refusal(&client.events()), "NOT_FOUND - no exchange 'nope' in vhost '/'");
    client.publish("", "q", &"x".repeat(101));
    assert_eq!(
        refusal(&client.events()),
        "PRECONDITION_FAILED - message size 101 is larger than configured max size 100"
    );
    client.publish_with("", "q", "x", Properties { user_id: Some(b"bob"), ..Properties::default() });
    assert_eq!(
        refusal(&client.events()),
        "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'"
    );
    let internal =
        ExchangeDeclare { name: "ei", kind: "fanout", internal: true, ..ExchangeDeclare::default() };
    client.ask(|link, op| link.declare_exchange(op, &internal)).unwrap();
    client.publish("ei", "", "x");
    assert_eq!(
        refusal(&client.events()),
        "ACCESS_REFUSED - cannot publish to internal exchange 'ei' in vhost '/'"
    );
    client.send(Publish { properties: &[0xff], ..message("", "q", "x") });
    assert!(refusal(&client.events()).contains("the properties are malformed"));
}

#[test]
fn a_full_queue_refuses_and_only_who_confirms_is_told() {
    let fixture = Fixture::new();
    let client = fixture.client();
    let full = arguments(&[("x-max-length", Value::I32(1)), ("x-overflow", long("reject-publish"))]);
    client.queue_with(QueueDeclare { name: "q", arguments: &full, ..QueueDeclare::default() });
    client.publish("", "q", "1");
    client.publish("", "q", "2");
    assert!(client.events().is_empty());
    client.ask(|link, op| link.confirm(op, true)).unwrap();
    let seq = client.publish("", "q", "3");
    match &client.events()[..] {
        [LinkEvent::Refused { seq: refused, error }, LinkEvent::ConfirmedUpTo(upto)] => {
            assert_eq!((*refused, *upto, error.code), (seq, seq, Code::ResourceError));
        }
        other => panic!("unexpected {other:?}"),
    }
    assert_eq!(client.drain("q"), ["1"]);
}

#[test]
fn a_refused_publish_can_go_to_the_dead_letters() {
    let fixture = Fixture::new();
    let client = fixture.client();
    let full = arguments(&[
        ("x-max-length", Value::I32(1)),
        ("x-overflow", long("reject-publish-dlx")),
        ("x-dead-letter-exchange", long("")),
        ("x-dead-letter-routing-key", long("dead")),
    ]);
    client.queue_with(QueueDeclare { name: "q", arguments: &full, ..QueueDeclare::default() });
    client.queue("dead");
    client.publish("", "q", "1");
    client.publish("", "q", "2");
    assert_eq!(client.drain("dead"), ["2"]);
    assert_eq!(client.drain("q"), ["1"]);
}

#[test]
fn a_commit_does_all_or_nothing() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("in");
    client.queue("out");
    client.publish("", "in", "work");
    let delivery = client.get("in", false).unwrap().delivery;
    let done = |delivery| Settle { delivery, multiple: false, outcome: Outcome::Done };
    let commit = |publishes: &[Publish<'_>], settles: &[Settle]| {
        client.ask(|link, op| link.commit(op, 1, publishes, settles))
    };
    assert_eq!(
        refused(commit(&[message("", "out", "1"), message("nope", "", "2")], &[done(delivery)])),
        "NOT_FOUND - no exchange 'nope' in vhost '/'"
    );
    assert_eq!(
        refused(commit(&[message("", "out", "1")], &[done(delivery), done(99)])),
        "PRECONDITION_FAILED - unknown delivery tag 99"
    );
    assert!(client.drain("out").is_empty());
    commit(&[message("", "out", "1"), message("", "out", "2")], &[done(delivery)]).unwrap();
    assert_eq!(client.drain("out"), ["1", "2"]);
    client.ask(|link, op| link.recover(op)).unwrap();
    assert!(client.drain("in").is_empty());
}

#[test]
fn direct_replies_come_without_a_queue_of_ones_own() {
    let fixture = Fixture::new();
    let (asker, replier) = (fixture.client(), fixture.client());
    let name = "amq.rabbitmq.reply-to";
    let reply_to = |who: &Client| {
        let reply_to = Some(name.as_bytes());
        who.publish_with("", "work", "ask", Properties { reply_to, ..Properties::default() })
    };
    replier.queue("work");
    reply_to(&asker);
    assert_eq!(refusal(&asker.events()), "PRECONDITION_FAILED - fast reply consumer does not exist");
    let consume = |no_ack, consumer| {
        let consume = Consume { consumer, queue: name, no_ack, ..Consume::default() };
        asker.ask(|link, op| link.consume(op, &consume))
    };
    assert_eq!(refused(consume(false, 1)), "PRECONDITION_FAILED - reply consumer cannot acknowledge");
    consume(true, 1).unwrap();
    assert_eq!(refused(consume(true, 2)), "PRECONDITION_FAILED - reply consumer already set");
    reply_to(&asker);
    let got = replier.get("work", true).unwrap();
    let address =
        String::from_utf8(Properties::parse(got.message.properties()).unwrap().reply_to.unwrap().to_vec())
            .unwrap();
    assert!(address.starts_with("amq.rabbitmq.reply-to.") && address.matches('.').count() == 4, "{address}");
    replier.publish("", &address, "answer");
    let answers = deliveries(asker.events());
    assert_eq!(answers.len(), 1);
    assert_eq!((text(&answers[0].message), answers[0].message.routing_key()), ("answer".into(), &*address));
    for queue in [name, &address] {
        let passive = QueueDeclare { name: queue, passive: true, ..QueueDeclare::default() };
        let done = replier.ask(|link, op| link.declare_queue(op, &passive)).unwrap();
        assert_eq!((done.messages, done.consumers), (0, 1));
    }
    assert!(fixture.broker.queues(None).iter().all(|info| !info.name.starts_with(name)));
    asker.link.close();
    replier.send(Publish { mandatory: true, ..message("", &address, "late") });
    assert!(matches!(replier.events()[..], [LinkEvent::Returned { .. }]));
}

#[test]
fn an_alarm_blocks_publishers_and_lets_them_go_on() {
    let fixture = Fixture::with(Options { memory_max_bytes: 100_000, ..Options::default() });
    let (publisher, reader) = (fixture.client(), fixture.client());
    reader.queue("q");
    let body = "x".repeat(10_000);
    for _ in 0..11 {
        publisher.publish("", "q", &body);
    }
    let told = |client: &Client| {
        let mut events = Vec::new();
        client.connection.take(16, &mut events);
        events
    };
    assert!(told(&publisher).is_empty());
    fixture.pass(1_000);
    assert!(matches!(told(&publisher)[..], [LinkEvent::Blocked("low on memory")]));
    assert!(told(&reader).is_empty(), "who never published is not told");
    assert!(publisher.link.publish(100, &[message("", "q", "more")]).throttled);
    assert_eq!(fixture.broker.info().alarm, Some("low on memory"));
    assert_eq!(reader.drain("q").len(), 12, "consumers go on");
    fixture.pass(1_000);
    assert!(matches!(told(&publisher)[..], [LinkEvent::Unblocked]));
    assert!(!publisher.link.publish(200, &[message("", "q", "more")]).throttled);
    // Whoever goes on publishing all the same is refused at last.
    for _ in 0..25 {
        publisher.publish("", "q", &body);
    }
    fixture.pass(1_000);
    publisher.ask(|link, op| link.confirm(op, true)).unwrap();
    publisher.publish("", "q", &body);
    match &publisher.events()[..] {
        [LinkEvent::Refused { error, .. }, LinkEvent::ConfirmedUpTo(_)] => {
            assert_eq!(error.code, Code::ResourceError);
        }
        other => panic!("unexpected {other:?}"),
    }
}

#[test]
fn a_client_that_reads_nothing_is_throttled() {
    let fixture = Fixture::new();
    let client = fixture.client_with(LinkOptions { outbox_max: 10, ..LinkOptions::default() });
    let lost = Publish { mandatory: true, ..message("", "nowhere", "x") };
    let mut seq = 1;
    while !client.link.publish(seq, std::slice::from_ref(&lost)).throttled {
        seq += 1;
        assert!(seq < 100, "it is never throttled");
    }
    assert_eq!(client.events().len(), 10);
    let mut events = Vec::new();
    client.connection.take(16, &mut events);
    assert!(matches!(events[..], [LinkEvent::Unblocked]));
    assert!(!client.link.publish(seq + 1, &[lost]).throttled);
}

#[test]
fn properties_and_bodies_come_through_unchanged() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("q");
    let headers = arguments(&[
        ("bool", Value::Bool(true)),
        ("byte", Value::I8(-3)),
        ("double", Value::F64(1.5)),
        ("void", Value::Void),
    ]);
    let bytes = Properties {
        headers: Some(&headers),
        correlation_id: Some(b"c1"),
        timestamp: Some(7),
        ..Properties::default()
    }
    .encode();
    client.send(Publish { properties: &bytes, ..message("", "q", "") });
    let got = client.get("q", true).unwrap();
    assert_eq!(got.message.properties(), &bytes);
    assert!(got.message.body().is_empty());
    let shared = bytes::Bytes::from_static(b"not copied");
    client.send(Publish { body: Body::Shared(shared.clone()), ..message("", "q", "") });
    let got = client.get("q", true).unwrap();
    assert_eq!(got.message.body().as_ptr(), shared.as_ptr());
    assert_eq!(got.message.published_at_ms(), START);
}
