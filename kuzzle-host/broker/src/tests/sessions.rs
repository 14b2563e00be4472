//! Sessions: what outlives a link.

use super::*;

pub(crate) fn attach<'a>(name: &'a str) -> SessionAttach<'a> {
    SessionAttach {
        name,
        queue: name,
        arguments: &[],
        expiry_secs: 60,
        durable: true,
        clean: false,
        will: None,
        will_delay_secs: 0,
    }
}

fn attached(client: &Client, attach: &SessionAttach<'_>) -> (Done, Vec<LinkEvent>) {
    let (done, events) = client.ask_all(|link, op| link.attach_session(op, attach));
    (done.unwrap(), events)
}

fn subscribe(client: &Client, queue: &str, id: u64, pattern: &str, options: BindingOptions) {
    let options = BindingOptions { id, ..options };
    let bind =
        Bind { source: "amq.topic", destination: queue, routing_key: pattern, options, ..Bind::default() };
    client.bind_with(bind).unwrap();
}

fn consume<'a>(queue: &'a str) -> Consume<'a> {
    Consume { consumer: 1, queue, with_bindings: true, ..Consume::default() }
}

#[test]
fn a_session_keeps_messages_bindings_and_notes_for_its_next_link() {
    let fixture = Fixture::new();
    let client = fixture.client();
    let (done, events) = attached(&client, &attach("s"));
    assert_eq!((done.existed, done.name.as_deref(), events.len()), (false, Some("s"), 0));
    let opaque = bytes::Bytes::from_static(b"qos");
    subscribe(&client, "s", 3, "a.#", BindingOptions { opaque, ..BindingOptions::default() });
    client.ask(|link, op| link.note_session(op, "share", b"x")).unwrap();
    client.ask(|link, op| link.note_session(op, "gone", b"x")).unwrap();
    client.ask(|link, op| link.note_session(op, "gone", b"")).unwrap();
    client.link.close();
    let publisher = fixture.client();
    publisher.publish("amq.topic", "a.b", "while away");

    let client = fixture.client();
    let (done, events) = attached(&client, &attach("s"));
    assert!(done.existed);
    match &events[..] {
        [LinkEvent::Binding(binding), LinkEvent::Note { key, value }] => {
            assert_eq!((binding.id, &*binding.routing_key, &binding.options[..]), (3, "a.#", &b"qos"[..]));
            assert_eq!((&**key, &value[..]), ("share", &b"x"[..]));
        }
        other => panic!("unexpected {other:?}"),
    }
    let found = deliveries(client.consume_with(consume("s")));
    assert_eq!(text(&found[0].message), "while away");
    assert_eq!(found[0].bindings.as_deref(), Some(&[3][..]));
    let info = &fixture.broker.sessions(None)[0];
    assert_eq!((&*info.name, info.unsettled, info.expires_at_ms), ("s", 1, None));
}

#[test]
fn unsettled_deliveries_come_again_with_their_tags_and_phases() {
    let fixture = Fixture::new();
    let client = fixture.client();
    attached(&client, &attach("s"));
    for n in 0..4 {
        client.publish("", "s", &n.to_string());
    }
    let first = deliveries(client.consume_with(consume("s")));
    let tags: Vec<_> = first.iter().map(|one| one.tag).collect();
    assert_eq!(tags.iter().collect::<std::collections::HashSet<_>>().len(), 4);
    assert!(tags.iter().all(|tag| *tag != 0));
    client.settle(first[1].delivery, Outcome::Received).unwrap();
    client.settle(first[2].delivery, Outcome::Done).unwrap();
    client.link.close();
    let client = fixture.client();
    attached(&client, &attach("s"));
    let again: Vec<_> = deliveries(client.consume_with(consume("s")))
        .iter()
        .map(|one| (text(&one.message), one.tag, one.redelivered, one.received))
        .collect();
    assert_eq!(
        again,
        [
            ("0".to_owned(), tags[0], true, false),
            ("1".to_owned(), tags[1], true, true),
            ("3".to_owned(), tags[3], true, false)
        ]
    );
}

#[test]
fn another_link_takes_a_session_over() {
    let fixture = Fixture::new();
    let (old, new) = (fixture.client(), fixture.client());
    attached(&old, &attach("s"));
    old.publish("", "s", "x");
    old.consume_with(consume("s"));
    let (done, _) = attached(&new, &attach("s"));
    assert!(done.existed);
    match &old.events()[..] {
        [LinkEvent::Closed { error, taken_over: true }] => assert_eq!(error.code, Code::ConnectionForced),
        other => panic!("unexpected {other:?}"),
    }
    assert!(deliveries(new.consume_with(consume("s")))[0].redelivered);
    old.link.close();
    assert_eq!(fixture.broker.sessions(None)[0].connection, Some(new.connection.number()));
    assert!(
        refused(new.ask(|link, op| link.attach_session(op, &attach("t")))).contains("has a session already")
    );
}

#[test]
fn sessions_end_by_expiry_by_a_clean_attach_and_at_once() {
    let fixture = Fixture::new();
    let client = fixture.client();
    attached(&client, &SessionAttach { expiry_secs: 10, ..attach("s") });
    client.publish("", "s", "x");
    client.link.close();
    fixture.pass(9_999);
    assert_eq!(fixture.broker.sessions(None).len(), 1);
    fixture.pass(1);
    assert!(fixture.broker.sessions(None).is_empty() && fixture.broker.queues(None).is_empty());

    let client = fixture.client();
    attached(&client, &attach("s"));
    client.publish("", "s", "x");
    let other = fixture.client();
    let (done, _) = attached(&other, &SessionAttach { clean: true, ..attach("s") });
    assert!(!done.existed);
    assert_eq!(fixture.broker.queues(None)[0].ready, 0);
    other.ask(|link, op| link.detach_session(op, false, Some(0))).unwrap();
    assert!(fixture.broker.sessions(None).is_empty());

    let client = fixture.client();
    attached(&client, &SessionAttach { expiry_secs: EXPIRY_NEVER, ..attach("s") });
    client.link.close();
    fixture.pass(u32::MAX as u64 * 1_000);
    assert_eq!(fixture.broker.sessions(None).len(), 1);
    fixture.broker.delete_session("/", "s").unwrap();
    assert!(fixture.broker.sessions(None).is_empty());
    assert!(fixture.broker.delete_session("/", "s").is_err());
}

#[test]
fn a_will_is_published_when_the_link_is_lost() {
    let fixture = Fixture::new();
    let watcher = fixture.client();
    watcher.queue("wills");
    watcher.bind("wills", "amq.topic", "will.#");
    let with_will = |delay, expiry_secs| SessionAttach {
        will: Some(message("amq.topic", "will.s", "gone")),
        will_delay_secs: delay,
        expiry_secs,
        ..attach("s")
    };
    let lose = |attach: SessionAttach<'_>| {
        let client = fixture.client();
        attached(&client, &attach);
        client.link.close();
    };
    lose(with_will(0, 60));
    assert_eq!(watcher.drain("wills"), ["gone"], "at once");
    lose(with_will(5, 60));
    fixture.pass(4_999);
    assert!(watcher.drain("wills").is_empty());
    fixture.pass(1);
    assert_eq!(watcher.drain("wills"), ["gone"], "after its delay");
    lose(with_will(50, 2));
    fixture.pass(2_000);
    assert_eq!(watcher.drain("wills"), ["gone"], "the end of the session comes first");
    lose(with_will(50, 0));
    assert_eq!(watcher.drain("wills"), ["gone"], "a session that ends with its link");
    lose(with_will(5, 60));
    let client = fixture.client();
    attached(&client, &attach("s"));
    fixture.pass(10_000);
    assert!(watcher.drain("wills").is_empty(), "who comes back in time has not gone");
    client.ask(|link, op| link.detach_session(op, false, None)).unwrap();

    let client = fixture.client();
    attached(&client, &with_will(0, 60));
    client.ask(|link, op| link.detach_session(op, false, None)).unwrap();
    client.link.close();
    assert!(watcher.drain("wills").is_empty(), "nor who leaves in good order");
    let client = fixture.client();
    attached(&client, &with_will(0, 60));
    client.ask(|link, op| link.detach_session(op, true, None)).unwrap();
    assert_eq!(watcher.drain("wills"), ["gone"], "but for who asks for it");

    let client = fixture.client();
    attached(&client, &with_will(0, 60));
    attached(&fixture.client(), &attach("s"));
    assert_eq!(watcher.drain("wills"), ["gone"], "a takeover is a loss");
    let forbidden =
        SessionAttach { will: Some(message("amq.topic", "reply.x", "forged")), ..attach("other") };
    let refusal = refused(fixture.client().ask(|link, op| link.attach_session(op, &forbidden)));
    assert!(refusal.starts_with("ACCESS_REFUSED - access to topic 'reply.x'"), "{refusal}");
}

#[test]
fn remembered_publishes_are_confirmed_and_not_routed_again() {
    let fixture = Fixture::new();
    let client = fixture.client();
    attached(&client, &attach("s"));
    client.queue("q");
    client.ask(|link, op| link.confirm(op, true)).unwrap();
    let publish = |body| {
        let seq = client.send(Publish { dedupe: 7, ..message("", "q", body) });
        assert!(client.confirmed(seq).is_empty());
    };
    publish("first");
    publish("again");
    client.ask(|link, op| link.forget(op, &[7])).unwrap();
    publish("anew");
    assert_eq!(client.drain("q"), ["first", "anew"]);
}

#[test]
fn bindings_may_ask_for_no_settlement_and_not_for_ones_own() {
    let fixture = Fixture::new();
    let client = fixture.client();
    attached(&client, &attach("s"));
    let lax = BindingOptions { at_most_once: true, ..BindingOptions::default() };
    subscribe(&client, "s", 1, "lax.#", lax);
    subscribe(&client, "s", 2, "strict.#", BindingOptions::default());
    subscribe(&client, "s", 3, "lax.both", BindingOptions::default());
    let quiet = BindingOptions { no_local: true, ..BindingOptions::default() };
    subscribe(&client, "s", 4, "mine.#", quiet);
    subscribe(&client, "s", 5, "mine.too", BindingOptions::default());
    let publisher = fixture.client();
    publisher.publish("amq.topic", "lax.x", "nobody consumes");
    let events =
        client.consume_with(Consume { credit: Credit { count: Some(2), bytes: None }, ..consume("s") });
    assert!(events.is_empty());
    for (key, body) in [("lax.1", "1"), ("lax.2", "2"), ("strict.1", "3"), ("lax.both", "4"), ("lax.3", "5")]
    {
        publisher.publish("amq.topic", key, body);
    }
    let found: Vec<_> = deliveries(client.events())
        .iter()
        .map(|one| (text(&one.message), one.settled, one.tag == 0, one.bindings.clone().unwrap().to_vec()))
        .collect();
    let mut expected = vec![
        ("1".to_owned(), true, true, vec![1]),
        ("2".to_owned(), true, true, vec![1]),
        ("3".to_owned(), false, false, vec![2]),
        ("4".to_owned(), false, false, vec![1, 3]),
        ("5".to_owned(), true, true, vec![1]),
    ];
    let mut sorted = found.clone();
    sorted.iter_mut().for_each(|(.., bindings)| bindings.sort_unstable());
    expected.iter_mut().for_each(|(.., bindings)| bindings.sort_unstable());
    assert_eq!(sorted, expected);
    client.settle_all();
    client.publish("amq.topic", "mine.x", "own");
    client.publish("amq.topic", "mine.too", "own by another binding");
    publisher.publish("amq.topic", "mine.x", "another's");
    let found: Vec<_> = deliveries(client.events())
        .iter()
        .map(|one| (text(&one.message), one.bindings.clone().unwrap().to_vec()))
        .collect();
    assert_eq!(found, [("own by another binding".into(), vec![5]), ("another's".into(), vec![4])]);
}

#[test]
fn retained_messages_greet_new_bindings() {
    let fixture = Fixture::new();
    let client = fixture.client();
    let retain = |key: &str, body: &str| {
        client.send(Publish { retain: true, ..message("amq.topic", key, body) });
    };
    retain("r.a", "old");
    retain("r.a", "a");
    retain("r.b", "b");
    retain("r.c", "c");
    retain("r.c", "");
    client.queue("q");
    client.consume_with(Consume { consumer: 1, queue: "q", no_ack: true, ..Consume::default() });
    let bind = |routing_key: &str, retained| {
        let bind = Bind { source: "amq.topic", destination: "q", routing_key, retained, ..Bind::default() };
        let (done, events) = client.ask_all(|link, op| link.bind(op, &bind));
        done.unwrap();
        let found: Vec<_> = deliveries(events)
            .iter()
            .map(|one| {
                assert!(one.retained && one.message.is_retained());
                text(&one.message)
            })
            .collect();
        found
    };
    assert!(bind("r.a", RetainedWanted::Never).is_empty());
    assert!(bind("r.a", RetainedWanted::IfNew).is_empty());
    assert_eq!(bind("r.a", RetainedWanted::Always), ["a"]);
    assert_eq!(bind("r.#", RetainedWanted::IfNew), ["a", "b"]);
    assert_eq!(bind("*.b", RetainedWanted::IfNew), ["b"]);
    retain("r.b", "live");
    let live = deliveries(client.events());
    assert_eq!((text(&live[0].message), live[0].retained), ("live".to_owned(), false));
    // Retained messages expire like others.
    let properties = Properties { expiration: Some(b"1000"), ..Properties::default() }.encode();
    client.send(Publish { retain: true, properties: &properties, ..message("amq.topic", "x", "brief") });
    fixture.pass(1_000);
    assert!(bind("x", RetainedWanted::Always).is_empty());
}

#[test]
fn binding_again_under_a_number_replaces_it() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("q");
    subscribe(&client, "q", 1, "a", BindingOptions::default());
    subscribe(&client, "q", 1, "b", BindingOptions::default());
    client.publish("amq.topic", "a", "a");
    client.publish("amq.topic", "b", "b");
    assert_eq!(client.drain("q"), ["b"]);
    let unbind = Bind {
        source: "amq.topic",
        destination: "q",
        options: BindingOptions { id: 1, ..BindingOptions::default() },
        ..Bind::default()
    };
    assert!(client.ask(|link, op| link.unbind(op, &unbind)).unwrap().existed);
    client.publish("amq.topic", "b", "b");
    assert!(client.drain("q").is_empty());
}
