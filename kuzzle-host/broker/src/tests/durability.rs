//! What survives a stop, and how the journal stays in proportion.

use kuzzle_journal::{Failing, SimulatedDisk};

use super::*;

pub(super) fn small() -> Options {
    Options { segment_bytes: 64 << 10, disk_free_min_bytes: 0, ..Options::default() }
}

pub(super) fn durable<'a>(name: &'a str) -> QueueDeclare<'a> {
    QueueDeclare { name, durable: true, ..QueueDeclare::default() }
}

/// Makes one of everything.
pub(super) fn build(fixture: &Fixture) {
    fixture.broker.create_vhost("second");
    let client = fixture.client();
    let exchange = ExchangeDeclare { name: "e", kind: "topic", durable: true, ..ExchangeDeclare::default() };
    client.ask(|link, op| link.declare_exchange(op, &exchange)).unwrap();
    let brief = ExchangeDeclare { name: "brief", kind: "fanout", ..ExchangeDeclare::default() };
    client.ask(|link, op| link.declare_exchange(op, &brief)).unwrap();
    let priorities = arguments(&[("x-max-priority", Value::I32(3))]);
    client.queue_with(QueueDeclare { arguments: &priorities, ..durable("q") });
    client.queue_with(durable("other"));
    client.queue("transient");
    client.bind("q", "e", "a.*");
    client.bind("other", "e", "#");
    client.bind("transient", "e", "#");
    client
        .bind_with(Bind {
            source: "amq.topic",
            destination: "e",
            to_exchange: true,
            routing_key: "up.#",
            ..Bind::default()
        })
        .unwrap();
    client.ask(|link, op| link.confirm(op, true)).unwrap();
    let seq = client.persistent("e", "a.b", "both");
    client.confirmed(seq);
    let seq = client.publish("e", "a.b", "transient");
    client.confirmed(seq);
    let properties = Properties { delivery_mode: Some(2), priority: Some(2), ..Properties::default() };
    let seq = client.publish_with("e", "a.c", "urgent", properties);
    client.confirmed(seq);
    let mode = Properties { delivery_mode: Some(2), ..Properties::default() }.encode();
    let seq =
        client.send(Publish { retain: true, properties: &mode, ..message("amq.topic", "r", "retained") });
    client.confirmed(seq);
    let gone = client.send(Publish { retain: true, ..message("amq.topic", "gone", "retained") });
    client.confirmed(gone);
    let gone = client.send(Publish { retain: true, ..message("amq.topic", "gone", "") });
    client.confirmed(gone);

    let attach = SessionAttach {
        will: Some(message("e", "will", "gone")),
        will_delay_secs: 5,
        ..sessions::attach("s")
    };
    client.ask(|link, op| link.attach_session(op, &attach)).unwrap();
    let options =
        BindingOptions { id: 4, opaque: bytes::Bytes::from_static(b"o"), ..BindingOptions::default() };
    client
        .bind_with(Bind {
            source: "amq.topic",
            destination: "s",
            routing_key: "dev.#",
            options,
            ..Bind::default()
        })
        .unwrap();
    client.ask(|link, op| link.note_session(op, "note", b"value")).unwrap();
    let seq = client.send(Publish {
        dedupe: 9,
        properties: &mode,
        ..message("amq.topic", "dev.1", "for the session")
    });
    client.confirmed(seq);
}

/// Checks one of everything. With `clean` nothing was delivered.
pub(super) fn check(fixture: &Fixture, clean: bool) {
    assert_eq!(fixture.broker.vhosts(), ["/".into(), "second".into()]);
    let client = fixture.client();
    let names: Vec<_> = fixture.broker.queues(None).into_iter().map(|info| info.name.to_string()).collect();
    assert_eq!(names, ["other", "q", "s"]);
    assert!(fixture.broker.exchanges(None).iter().all(|info| &*info.name != "brief"));
    let priorities = arguments(&[("x-max-priority", Value::I32(3))]);
    assert!(
        client
            .ask(|link, op| link.declare_queue(op, &QueueDeclare { arguments: &priorities, ..durable("q") }))
            .unwrap()
            .existed
    );
    let first = client.get("q", false).unwrap();
    assert_eq!((text(&first.message), first.redelivered), ("urgent".into(), !clean));
    assert_eq!(first.message.origin(), None);
    assert_eq!((first.message.exchange(), first.message.routing_key()), ("e", "a.c"));
    client.settle(first.delivery, Outcome::Requeue).unwrap();
    assert_eq!(client.drain("q"), ["urgent", "both"]);
    assert_eq!(client.drain("other"), ["both", "urgent"]);
    client.queue("new");
    let bind = Bind {
        source: "amq.topic",
        destination: "new",
        routing_key: "#",
        retained: RetainedWanted::Always,
        ..Bind::default()
    };
    client.bind_with(bind).unwrap();
    assert_eq!(client.drain("new"), ["retained"]);
    client.publish("amq.topic", "up.x", "through both");
    assert_eq!(client.drain("other"), ["through both"]);

    let (done, events) = client.ask_all(|link, op| link.attach_session(op, &sessions::attach("s")));
    assert!(done.unwrap().existed);
    match &events[..] {
        [LinkEvent::Binding(binding), LinkEvent::Note { key, .. }] => {
            assert_eq!((binding.id, &binding.options[..], &**key), (4, &b"o"[..], "note"));
        }
        other => panic!("unexpected {other:?}"),
    }
    let events =
        client.consume_with(Consume { consumer: 1, queue: "s", with_bindings: true, ..Consume::default() });
    let events = if events.is_empty() { client.events() } else { events };
    let found = deliveries(events);
    assert_eq!(
        (text(&found[0].message), found[0].bindings.as_deref()),
        ("for the session".into(), Some(&[4][..]))
    );
    client.ask(|link, op| link.confirm(op, true)).unwrap();
    let mode = Properties { delivery_mode: Some(2), ..Properties::default() }.encode();
    let seq = client.send(Publish { dedupe: 9, properties: &mode, ..message("amq.topic", "dev.1", "again") });
    assert!(client.confirmed(seq).is_empty(), "it is remembered");
    client.link.close();
}

#[test]
fn all_that_is_durable_survives_a_stop_and_power_loss() {
    for clean in [true, false] {
        let disk = SimulatedDisk::default();
        let fixture = Fixture::on(&disk, small());
        build(&fixture);
        let disk = if clean {
            fixture.broker.close();
            disk
        } else {
            disk.after_power_loss(7, 0)
        };
        let fixture = Fixture::on(&disk, small());
        check(&fixture, clean);
        drop(fixture);
    }
}

#[test]
fn a_will_that_waited_is_published_after_the_restart() {
    let disk = SimulatedDisk::default();
    build(&Fixture::on(&disk, small()));
    let fixture = Fixture::on(&disk.after_power_loss(1, 0), small());
    let client = fixture.client();
    client.drain("other");
    fixture.pass(4_999);
    assert!(client.drain("other").is_empty());
    fixture.pass(1);
    assert_eq!(client.drain("other"), ["gone"]);
    fixture.pass(60_000);
    assert!(fixture.broker.sessions(None).is_empty());
}

#[test]
fn what_is_deleted_stays_deleted() {
    let disk = SimulatedDisk::default();
    {
        let fixture = Fixture::on(&disk, small());
        build(&fixture);
        let client = fixture.client();
        client.ask(|link, op| link.delete_queue(op, "q", false, false)).unwrap();
        client.ask(|link, op| link.delete_exchange(op, "e", false)).unwrap();
        fixture.broker.delete_session("/", "s").unwrap();
        client.ask(|link, op| link.purge_queue(op, "other")).unwrap();
        client.ask(|link, op| link.confirm(op, true)).unwrap();
        let seq = client.persistent("", "other", "last");
        client.confirmed(seq);
    }
    let fixture = Fixture::on(&disk.after_power_loss(1, 0), small());
    let names: Vec<_> =
        fixture.broker.queues(None).into_iter().map(|info| (info.name.to_string(), info.ready)).collect();
    assert_eq!(names, [("other".to_owned(), 1)]);
    assert!(fixture.broker.exchanges(None).iter().all(|info| &*info.name != "e"));
    assert!(fixture.broker.bindings(None).iter().all(|info| info.source.is_empty()));
}

#[test]
fn answers_and_confirmations_follow_the_sync() {
    let disk = SimulatedDisk::default();
    let fixture = Fixture::on(&disk, small());
    let client = fixture.client();
    client.queue_with(durable("q"));
    client.ask(|link, op| link.confirm(op, true)).unwrap();
    let seq = client.persistent("", "q", "1");
    client.confirmed(seq);
    disk.set_failing(Failing { syncs: true, ..Failing::default() });
    let seq = client.persistent("", "q", "2");
    until("it fails", || fixture.broker.info().journal_failure.is_some());
    client.link.declare_queue(77, &durable("late"));
    client.consume_with_no_answer("q");
    assert!(client.events().is_empty(), "nothing that is not durable is said, and what follows waits for it");
    fixture.broker.tick();
    assert_eq!(fixture.broker.info().alarm, Some("low on disk"));
    disk.set_failing(Failing::default());
    let mut answered = false;
    let mut confirmed = false;
    let mut delivered = 0;
    until("all is said", || {
        for event in client.events() {
            match event {
                LinkEvent::Answer(answer) if answer.op == 77 => answered = true,
                LinkEvent::Answer(_) => assert!(answered, "answers come in order"),
                LinkEvent::ConfirmedUpTo(upto) => confirmed = upto >= seq,
                LinkEvent::Delivery(_) => delivered += 1,
                other => panic!("unexpected {other:?}"),
            }
        }
        answered && confirmed && delivered == 2
    });
    fixture.broker.tick();
    assert_eq!(fixture.broker.info().alarm, None);
}

#[test]
fn a_session_is_given_nothing_that_could_be_lost() {
    let disk = SimulatedDisk::default();
    let fixture = Fixture::on(&disk, small());
    let client = fixture.client();
    client.ask(|link, op| link.attach_session(op, &sessions::attach("s"))).unwrap();
    client.consume(1, "s");
    disk.set_failing(Failing { syncs: true, ..Failing::default() });
    let publisher = fixture.client();
    publisher.persistent("", "s", "x");
    until("it fails", || fixture.broker.info().journal_failure.is_some());
    assert!(client.events().is_empty());
    disk.set_failing(Failing::default());
    let mut found = Vec::new();
    until("it is delivered", || {
        found.extend(client.events());
        !found.is_empty()
    });
    assert_eq!(bodies(found), ["x"]);
}

#[test]
fn a_body_is_written_once_for_many_queues() {
    let disk = SimulatedDisk::default();
    let fixture = Fixture::on(&disk, small());
    let client = fixture.client();
    for n in 0..50 {
        let name = format!("q{n}");
        client.queue_with(durable(&name));
        client.bind(&name, "amq.fanout", "");
    }
    client.ask(|link, op| link.confirm(op, true)).unwrap();
    let before = fixture.broker.info().journal_bytes;
    let seq = client.persistent("amq.fanout", "", &"x".repeat(10_000));
    client.confirmed(seq);
    let written = fixture.broker.info().journal_bytes - before;
    assert!((10_000..13_000).contains(&written), "{written} bytes");
}

#[test]
fn the_journal_stays_in_proportion_to_what_is_live() {
    let disk = SimulatedDisk::default();
    let mut fixture = Fixture::on(&disk, small());
    let client = fixture.client();
    client.queue_with(durable("kept"));
    client.queue_with(durable("passing"));
    client.ask(|link, op| link.confirm(op, true)).unwrap();
    let body = "x".repeat(1_000);
    let mut kept = Vec::new();
    for round in 0..40 {
        let mut seq = 0;
        for n in 0..50 {
            seq = client.persistent("", "passing", &body);
            if n == 25 {
                let text = format!("kept {round} {body}");
                seq = client.persistent("", "kept", &text);
                kept.push(text);
            }
        }
        client.confirmed(seq);
        assert_eq!(client.drain("passing").len(), 50);
        fixture.pass(1_000);
    }
    drop(client);
    // Two megabytes passed; forty kilobytes are live.
    let bytes = fixture.broker.info().journal_bytes;
    assert!(bytes < 400_000, "{bytes} bytes");
    assert!(disk.used_bytes() < 800_000, "{} bytes on the disk", disk.used_bytes());
    for _ in 0..2 {
        drop(fixture);
        fixture = Fixture::on(&disk, small());
    }
    assert_eq!(fixture.client().drain("kept"), kept);
    let fixture = Fixture::on(&disk.after_power_loss(1, 0), small());
    assert!(fixture.client().drain("passing").is_empty());
}

#[test]
fn what_left_memory_stays_in_the_journal_as_long_as_any_queue_has_it() {
    // A queue that the journal knows nothing of, beside one that it keeps and that is emptied at once.
    let disk = SimulatedDisk::default();
    let options = Options { page_out_above_bytes: 100_000, memory_max_bytes: 100 << 20, ..small() };
    let fixture = Fixture::on(&disk, options);
    let client = fixture.client();
    client.queue("passing");
    client.queue_with(durable("kept"));
    client.queue_with(QueueDeclare {
        name: "own",
        durable: true,
        exclusive: true,
        ..QueueDeclare::default()
    });
    let brief = ExchangeDeclare { name: "brief", kind: "topic", ..ExchangeDeclare::default() };
    client.ask(|link, op| link.declare_exchange(op, &brief)).unwrap();
    for queue in ["passing", "kept", "own"] {
        client.bind(queue, "amq.fanout", "");
    }
    let text = |n: usize| format!("{n} {}", "x".repeat(1_000));
    client.bind("kept", "brief", "#");
    let properties = Properties { delivery_mode: Some(2), ..Properties::default() }.encode();
    client.send(Publish { retain: true, properties: &properties, ..message("brief", "key", "retained") });
    client.ask(|link, op| link.confirm(op, true)).unwrap();
    for n in 0..1_500 {
        let seq = match n % 2 {
            0 => client.persistent("amq.fanout", "", &text(n)),
            _ => client.publish("amq.fanout", "", &text(n)),
        };
        if n % 50 == 49 {
            client.confirmed(seq);
            assert_eq!(client.drain("kept").len(), 50 + usize::from(n == 49));
            fixture.pass(1_000);
        }
    }
    client.queue("late");
    let retained = RetainedWanted::Always;
    client
        .bind_with(Bind {
            source: "brief",
            destination: "late",
            routing_key: "#",
            retained,
            ..Bind::default()
        })
        .unwrap();
    for queue in ["passing", "own"] {
        let counts = fixture.broker.queues(None).into_iter().find(|info| &*info.name == queue).unwrap();
        assert!(counts.paged > 1_000, "{counts:?}");
        let all: Vec<String> = (0..1_500).map(text).collect();
        assert!(client.drain(queue) == all, "{queue}");
    }
    assert_eq!(client.drain("late"), ["retained"]);
    // And what nobody has any more is given back.
    for _ in 0..4 {
        let seq = (0..500).map(|n| client.persistent("", "kept", &text(n))).last().unwrap();
        client.confirmed(seq);
        client.drain("kept");
        fixture.pass(1_000);
    }
    assert!(fixture.broker.info().journal_bytes < 1_000_000, "{}", fixture.broker.info().journal_bytes);
}

#[test]
fn queues_greater_than_memory_page_out_and_come_back_in_order() {
    for persistent in [true, false] {
        let disk = SimulatedDisk::default();
        let options = Options { page_out_above_bytes: 500_000, memory_max_bytes: 100 << 20, ..small() };
        let fixture = Fixture::on(&disk, options);
        let client = fixture.client();
        client.queue_with(durable("q"));
        client.ask(|link, op| link.confirm(op, true)).unwrap();
        let text = |n: usize| format!("{n} {}", "x".repeat(1_000));
        let mut seq = 0;
        for n in 0..2_000 {
            seq = if persistent {
                client.persistent("", "q", &text(n))
            } else {
                client.publish("", "q", &text(n))
            };
            if n % 200 == 0 {
                fixture.pass(1_000);
            }
        }
        client.confirmed(seq);
        fixture.pass(1_000);
        let info = fixture.broker.info();
        assert!(info.memory_bytes < 800_000, "{} bytes in memory", info.memory_bytes);
        assert!(fixture.broker.queues(None)[0].paged > 1_000);
        let events = client.consume_with(Consume {
            consumer: 1,
            queue: "q",
            no_ack: !persistent,
            ..Consume::default()
        });
        let mut found = bodies(events);
        until("all came", || {
            found.extend(bodies(client.events()));
            found.len() >= 2_000
        });
        let expected: Vec<_> = (0..2_000).map(text).collect();
        assert!(found == expected, "all in order");
    }
}

#[test]
fn damage_stops_the_start_and_says_where() {
    let disk = SimulatedDisk::default();
    {
        let fixture = Fixture::on(&disk, small());
        build(&fixture);
    }
    disk.damage("segment-00000000000000000000", |bytes| bytes[100] ^= 1);
    let clock = Arc::new(SystemClock);
    let error = Broker::open(small(), Arc::new(TestHost::default()), clock, Arc::new(disk)).err().unwrap();
    let text = error.to_string();
    assert!(text.starts_with("cannot open the broker: the journal is damaged: segment-0"), "{text}");
}
