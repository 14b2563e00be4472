//! Delivery, credit, settlement, order.

use super::*;

fn credit(count: u32) -> Credit {
    Credit { count: Some(count), bytes: None }
}

#[test]
fn the_answer_comes_before_the_first_delivery_and_numbers_ascend() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("q");
    for n in 0..3 {
        client.publish("", "q", &n.to_string());
    }
    let op = client.next_op();
    client.link.consume(op, &Consume { consumer: 7, queue: "q", ..Consume::default() });
    let mut events = client.events();
    assert!(matches!(&events[0], LinkEvent::Answer(answer) if answer.op == op && answer.result.is_ok()));
    let found: Vec<_> = deliveries(events.split_off(1))
        .iter()
        .map(|one| (one.consumer, one.delivery, text(&one.message), one.redelivered, one.settled, one.tag))
        .collect();
    let expected: Vec<_> = (0..3u64).map(|n| (7, n + 1, n.to_string(), false, false, 0)).collect();
    assert_eq!(found, expected);
}

#[test]
fn somebody_is_woken_once_until_the_outbox_is_empty() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("q");
    client.consume_with(Consume { consumer: 1, queue: "q", no_ack: true, ..Consume::default() });
    let before = client.wakes.0.load(Ordering::Relaxed);
    for _ in 0..5 {
        client.publish("", "q", "x");
    }
    assert_eq!(client.wakes.0.load(Ordering::Relaxed), before + 1);
    let mut events = Vec::new();
    assert_eq!(client.link.take(2, u64::MAX, &mut events), Taken { events: 2, more: true });
    client.publish("", "q", "x");
    assert_eq!(client.wakes.0.load(Ordering::Relaxed), before + 1, "who has not emptied it is not told");
    assert_eq!(client.link.take(9, u64::MAX, &mut events), Taken { events: 4, more: false });
    client.publish("", "q", "x");
    assert_eq!(client.wakes.0.load(Ordering::Relaxed), before + 2);
}

#[test]
fn bytes_limit_what_is_taken_at_once() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("q");
    client.consume_with(Consume { consumer: 1, queue: "q", no_ack: true, ..Consume::default() });
    for _ in 0..4 {
        client.publish("", "q", &"x".repeat(100));
    }
    let mut events = Vec::new();
    assert_eq!(client.link.take(10, 150, &mut events), Taken { events: 2, more: true });
    assert_eq!(client.link.take(10, 0, &mut events), Taken { events: 1, more: true });
}

#[test]
fn credit_of_consumers_and_of_the_link_is_kept_to() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("q");
    for n in 0..9 {
        client.publish("", "q", &n.to_string());
    }
    let first =
        client.consume_with(Consume { consumer: 1, queue: "q", credit: credit(2), ..Consume::default() });
    assert_eq!(bodies(first), ["0", "1"]);
    client.link.credit(0, 0, credit(3));
    let second = client.consume_with(Consume { consumer: 2, queue: "q", ..Consume::default() });
    assert_eq!(bodies(second), ["2"], "the link has room for one");
    let (_, more) = client.ask_all(|link, op| {
        link.settle(op, &[Settle { delivery: 1, multiple: false, outcome: Outcome::Done }])
    });
    assert_eq!(bodies(more), ["3"]);
    let (_, more) = client.ask_all(|link, op| link.credit(op, 0, Credit::default()));
    assert_eq!(bodies(more), ["4", "5", "6", "7", "8"]);
    assert!(refused(client.ask(|link, op| link.credit(op, 55, credit(1)))).starts_with("NOT_FOUND"));
}

#[test]
fn credit_can_be_counted_in_bytes() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("q");
    for _ in 0..3 {
        client.publish("", "q", "0123456789");
    }
    let consume = Consume {
        consumer: 1,
        queue: "q",
        credit: Credit { count: None, bytes: Some(15) },
        ..Consume::default()
    };
    assert_eq!(client.consume_with(consume).len(), 2, "the one that exceeds it is the last");
}

#[test]
fn what_is_requeued_goes_back_to_its_place() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("q");
    for n in 0..5 {
        client.publish("", "q", &n.to_string());
    }
    let numbers: Vec<u64> = (0..4).map(|_| client.get("q", false).unwrap().delivery).collect();
    for n in [2, 0, 3] {
        client.settle(numbers[n], Outcome::Requeue).unwrap();
    }
    let left: Vec<_> = std::iter::from_fn(|| client.get("q", true))
        .map(|got| (text(&got.message), got.redelivered, got.left))
        .collect();
    let expected = [("0", true, 3), ("2", true, 2), ("3", true, 1), ("4", false, 0)];
    assert_eq!(left, expected.map(|(body, redelivered, left)| (body.to_owned(), redelivered, left)));
}

#[test]
fn unknown_deliveries_are_refused() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("q");
    client.publish("", "q", "x");
    client.publish("", "q", "y");
    assert_eq!(refused(client.settle(99, Outcome::Done)), "PRECONDITION_FAILED - unknown delivery tag 99");
    assert_eq!(refused(client.settle(0, Outcome::Done)), "PRECONDITION_FAILED - unknown delivery tag 0");
    client.get("q", false);
    client.settle(1, Outcome::Done).unwrap();
    assert_eq!(refused(client.settle(1, Outcome::Done)), "PRECONDITION_FAILED - unknown delivery tag 1");
    client.get("q", false);
    let all = |delivery| {
        client.ask(|link, op| link.settle(op, &[Settle { delivery, multiple: true, outcome: Outcome::Done }]))
    };
    assert_eq!(refused(all(9)), "PRECONDITION_FAILED - unknown delivery tag 9");
    all(0).unwrap();
    all(0).unwrap();
    assert_eq!(fixture.broker.queues(None)[0].unsettled, 0);
}

#[test]
fn recovering_and_closing_put_back_in_order() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("q");
    for n in 0..4 {
        client.publish("", "q", &n.to_string());
    }
    let events =
        client.consume_with(Consume { consumer: 1, queue: "q", credit: credit(3), ..Consume::default() });
    assert_eq!(bodies(events), ["0", "1", "2"]);
    let (done, events) = client.ask_all(|link, op| link.recover(op));
    assert_eq!(done.unwrap().messages, 3);
    let again = deliveries(events);
    let found: Vec<_> = again.iter().map(|one| (one.delivery, text(&one.message), one.redelivered)).collect();
    assert_eq!(found, [(4, "0".into(), true), (5, "1".into(), true), (6, "2".into(), true)]);
    client.link.close();
    let other = fixture.client();
    assert_eq!(other.drain("q"), ["0", "1", "2", "3"]);
}

#[test]
fn consumers_take_turns_and_priorities_go_first() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("q");
    let consume = |consumer, arguments: &[u8]| {
        client.consume_with(Consume {
            consumer,
            queue: "q",
            credit: credit(2),
            arguments,
            ..Consume::default()
        })
    };
    consume(1, &[]);
    consume(2, &[]);
    for _ in 0..4 {
        client.publish("", "q", "x");
    }
    let who: Vec<_> = deliveries(client.events()).iter().map(|one| one.consumer).collect();
    assert_eq!(who, [1, 2, 1, 2]);
    client.settle_all();
    consume(3, &arguments(&[("x-priority", Value::I32(5))]));
    for _ in 0..4 {
        client.publish("", "q", "x");
    }
    let who: Vec<_> = deliveries(client.events()).iter().map(|one| one.consumer).collect();
    assert_eq!(who[..2], [3, 3]);
    assert!(who[2..].iter().all(|consumer| *consumer != 3));
}

#[test]
fn exclusive_consumers_share_with_nobody() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("c1");
    let consume = |consumer, exclusive| {
        let consume = Consume { consumer, queue: "c1", exclusive, ..Consume::default() };
        client.ask(|link, op| link.consume(op, &consume))
    };
    let refusal = "ACCESS_REFUSED - queue 'c1' in vhost '/' in exclusive use";
    consume(1, false).unwrap();
    assert_eq!(refused(consume(2, true)), refusal);
    client.ask(|link, op| link.cancel(op, 1)).unwrap();
    consume(2, true).unwrap();
    assert_eq!(refused(consume(3, false)), refusal);
    let again = Consume { consumer: 2, queue: "c1", name: "t1", ..Consume::default() };
    assert_eq!(
        refused(client.ask(|link, op| link.consume(op, &again))),
        "NOT_ALLOWED - attempt to reuse consumer tag 't1'"
    );
    assert!(!client.ask(|link, op| link.cancel(op, 77)).unwrap().existed);
}

#[test]
fn a_single_active_consumer_is_followed_by_the_next() {
    let fixture = Fixture::new();
    let (first, second) = (fixture.client(), fixture.client());
    let single = arguments(&[("x-single-active-consumer", Value::Bool(true))]);
    first.queue_with(QueueDeclare { name: "q", arguments: &single, ..QueueDeclare::default() });
    first.consume(1, "q");
    second.consume(1, "q");
    let exclusive = Consume { consumer: 2, queue: "q", exclusive: true, ..Consume::default() };
    assert_eq!(
        refused(second.ask(|link, op| link.consume(op, &exclusive))),
        "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use"
    );
    for n in 0..3 {
        first.publish("", "q", &n.to_string());
    }
    assert_eq!(bodies(first.events()), ["0", "1", "2"]);
    first.link.close();
    let taken = deliveries(second.events());
    assert!(taken.iter().all(|one| one.redelivered));
    assert_eq!(taken.iter().map(|one| text(&one.message)).collect::<Vec<_>>(), ["0", "1", "2"]);
}

#[test]
fn unsettled_deliveries_outlive_their_consumer() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("q");
    client.publish("", "q", "x");
    assert_eq!(client.consume(1, "q").len(), 1);
    client.ask(|link, op| link.cancel(op, 1)).unwrap();
    client.settle(1, Outcome::Done).unwrap();
    assert_eq!(fixture.broker.queues(None)[0].settled.total, 1);
}

#[test]
fn a_full_outbox_leaves_messages_in_the_queue() {
    let fixture = Fixture::new();
    let client = fixture.client_with(LinkOptions { outbox_max: 3, ..LinkOptions::default() });
    client.queue("q");
    client.consume_with(Consume { consumer: 1, queue: "q", no_ack: true, ..Consume::default() });
    for n in 0..10 {
        client.publish("", "q", &n.to_string());
    }
    assert_eq!(fixture.broker.queues(None)[0].ready, 7);
    let expected: Vec<_> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(bodies(client.events()), expected);
}

#[test]
fn slow_consumers_without_credit_meet_their_limit() {
    let fixture = Fixture::new();
    let publisher = fixture.client();
    for (beyond, expected) in [
        (SlowConsumer::Wait, vec!["0", "1", "2", "3", "4"]),
        (SlowConsumer::DropNewest, vec!["0", "1"]),
        (SlowConsumer::DropOldest, vec!["3", "4"]),
    ] {
        let client = fixture.client();
        client.queue_with(QueueDeclare { name: "slow", auto_delete: true, ..QueueDeclare::default() });
        let limit = Limit { count: 2, bytes: 0, beyond };
        client.consume_with(Consume {
            consumer: 1,
            queue: "slow",
            no_ack: true,
            limit,
            ..Consume::default()
        });
        for n in 0..5 {
            publisher.publish("", "slow", &n.to_string());
        }
        assert_eq!(bodies(client.events()), expected, "{beyond:?}");
    }
    assert_eq!(fixture.broker.info().dropped, 6);
    let client = fixture.client();
    client.queue_with(QueueDeclare { name: "slow", auto_delete: true, ..QueueDeclare::default() });
    let limit = Limit { count: 0, bytes: 20, beyond: SlowConsumer::Close };
    client.consume_with(Consume { consumer: 1, queue: "slow", no_ack: true, limit, ..Consume::default() });
    for _ in 0..3 {
        publisher.publish("", "slow", "0123456789");
    }
    let mut events = client.events();
    match events.pop() {
        Some(LinkEvent::Closed { error, taken_over: false }) => {
            assert_eq!(error.to_string(), "RESOURCE_ERROR - the consumer is too slow");
        }
        other => panic!("unexpected {other:?}"),
    }
    assert_eq!(events.len(), 2);
}

#[test]
fn listings_count() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("q");
    client.bind("q", "amq.topic", "k");
    client.consume_with(Consume {
        consumer: 4,
        queue: "q",
        name: "tag",
        credit: credit(1),
        ..Consume::default()
    });
    fixture.pass(5_000);
    for _ in 0..10 {
        client.publish("amq.topic", "k", "xx");
    }
    fixture.pass(5_000);
    let queue = &fixture.broker.queues(Some("/"))[0];
    assert_eq!((queue.ready, queue.ready_bytes, queue.unsettled, queue.consumers), (9, 18, 1, 1));
    assert_eq!(queue.published, Rate { total: 10, per_second: 2.0 });
    let info = fixture.broker.info();
    assert_eq!((info.connections, info.links, info.queues, info.consumers), (1, 1, 1, 1));
    assert_eq!(info.published, Rate { total: 10, per_second: 2.0 });
    let consumer = &fixture.broker.consumers(None)[0];
    assert_eq!((consumer.id, &*consumer.name, consumer.credit), (4, "tag", credit(1)));
    let link = &fixture.broker.links()[0];
    assert_eq!((link.unsettled, link.consumers, link.published.total), (1, 1, 10));
    let topic: Vec<_> =
        fixture.broker.bindings(None).into_iter().map(|info| (info.source, info.routing_key)).collect();
    assert_eq!(topic, [("".into(), "q".into()), ("amq.topic".into(), "k".into())]);
    assert_eq!(fixture.broker.peek("/", "q", 3, usize::MAX).unwrap().len(), 3);
    assert_eq!(fixture.broker.queues(None)[0].ready, 9);
    let number = client.connection.number();
    assert!(fixture.broker.close_connection(number, "bye"));
    assert!(!fixture.broker.close_connection(number, "bye"));
    let mut events = Vec::new();
    client.connection.take(9, &mut events);
    match &events[..] {
        [LinkEvent::Closed { error, .. }] => assert_eq!(error.to_string(), "CONNECTION_FORCED - bye"),
        other => panic!("unexpected {other:?}"),
    }
}
