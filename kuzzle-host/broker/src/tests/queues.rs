//! Time to live, expiry, limits, priorities, dead letters.

use super::*;

fn declare(client: &Client, name: &str, fields: &[(&str, Value<'_>)]) {
    let bytes = arguments(fields);
    client.queue_with(QueueDeclare { name, arguments: &bytes, ..QueueDeclare::default() });
}

fn expiring(client: &Client, queue: &str, body: &str, ms: &str) {
    let properties = Properties { expiration: Some(ms.as_bytes()), ..Properties::default() };
    client.publish_with("", queue, body, properties);
}

#[test]
fn messages_expire_by_the_queues_time_or_their_own_whichever_is_less() {
    let fixture = Fixture::new();
    let client = fixture.client();
    declare(&client, "q", &[("x-message-ttl", Value::I32(1000))]);
    expiring(&client, "q", "short", "100");
    expiring(&client, "q", "long", "5000");
    client.publish("", "q", "plain");
    fixture.pass(100);
    assert_eq!(fixture.broker.queues(None)[0].ready, 2);
    fixture.pass(899);
    assert_eq!(fixture.broker.queues(None)[0].ready, 2);
    fixture.pass(1);
    assert_eq!(fixture.broker.queues(None)[0].ready, 0);
}

#[test]
fn a_time_of_zero_reaches_only_who_waits() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue("q");
    expiring(&client, "q", "nobody", "0");
    assert!(client.drain("q").is_empty());
    client.consume(1, "q");
    expiring(&client, "q", "somebody", "0");
    assert_eq!(bodies(client.events()), ["somebody"]);
}

#[test]
fn an_unused_queue_expires() {
    let fixture = Fixture::new();
    let client = fixture.client();
    declare(&client, "q", &[("x-expires", Value::I32(1000))]);
    fixture.pass(900);
    declare(&client, "q", &[("x-expires", Value::I32(1000))]);
    fixture.pass(900);
    client.get("q", true);
    client.consume(1, "q");
    fixture.pass(5_000);
    assert_eq!(fixture.broker.queues(None).len(), 1, "one with a consumer is used");
    client.ask(|link, op| link.cancel(op, 1)).unwrap();
    fixture.pass(999);
    assert_eq!(fixture.broker.queues(None).len(), 1);
    fixture.pass(1);
    assert!(fixture.broker.queues(None).is_empty());
}

#[test]
fn a_full_queue_drops_its_oldest() {
    let fixture = Fixture::new();
    let client = fixture.client();
    declare(&client, "count", &[("x-max-length", Value::I32(2))]);
    declare(&client, "bytes", &[("x-max-length-bytes", Value::I32(5))]);
    for body in ["11", "22", "33"] {
        client.publish("", "count", body);
        client.publish("", "bytes", body);
    }
    assert_eq!(client.drain("count"), ["22", "33"]);
    assert_eq!(client.drain("bytes"), ["22", "33"]);
    client.publish("", "bytes", "too great");
    assert!(client.drain("bytes").is_empty());
}

#[test]
fn higher_priorities_come_first() {
    let fixture = Fixture::new();
    let client = fixture.client();
    declare(&client, "q", &[("x-max-priority", Value::I32(5))]);
    for (body, priority) in [("0", Some(0)), ("9", Some(9)), ("3", Some(3)), ("5", Some(5)), ("none", None)] {
        client.publish_with("", "q", body, Properties { priority, ..Properties::default() });
    }
    assert_eq!(client.drain("q"), ["9", "5", "3", "0", "none"]);
}

#[test]
fn dead_letters_tell_their_story() {
    let fixture = Fixture::new();
    let client = fixture.client();
    let dead_letters = [("x-dead-letter-exchange", long("amq.fanout"))];
    declare(&client, "rejecting", &dead_letters);
    declare(&client, "expiring", &[dead_letters[0], ("x-message-ttl", Value::I32(50))]);
    declare(&client, "short", &[dead_letters[0], ("x-max-length", Value::I32(1))]);
    client.queue("dead");
    client.bind("dead", "amq.fanout", "");
    client.bind("rejecting", "amq.direct", "key");

    expiring(&client, "rejecting", "unused", "90000");
    client.drain("rejecting");
    let properties =
        Properties { expiration: Some(b"90000"), delivery_mode: Some(2), ..Properties::default() };
    client.publish_with("amq.direct", "key", "rejected", properties);
    let got = client.get("rejecting", false).unwrap();
    client.settle(got.delivery, Outcome::Reject).unwrap();
    let got = client.get("dead", true).unwrap();
    assert_eq!((got.message.exchange(), got.message.routing_key()), ("amq.fanout", "key"));
    let read = Properties::parse(got.message.properties()).unwrap();
    assert_eq!((read.expiration, read.delivery_mode), (None, Some(2)));
    assert_eq!(read.header("x-first-death-queue"), Some(long("rejecting")));
    assert_eq!(read.header("x-first-death-reason"), Some(long("rejected")));
    assert_eq!(read.header("x-first-death-exchange"), Some(long("amq.direct")));
    let Some(Value::Array(deaths)) = read.header("x-death") else { panic!("no x-death") };
    let Some(Value::Table(death)) = table::values(deaths).next() else { panic!("no table in x-death") };
    let mut keys = Vec::new();
    table::put_value(&mut keys, long("key"));
    let expected = arguments(&[
        ("count", Value::I64(1)),
        ("reason", long("rejected")),
        ("queue", long("rejecting")),
        ("time", Value::Timestamp(START / 1000)),
        ("exchange", long("amq.direct")),
        ("routing-keys", Value::Array(&keys)),
        ("original-expiration", long("90000")),
    ]);
    assert_eq!(death, expected);

    let reason = |got: &Got| {
        let headers = Properties::parse(got.message.properties()).unwrap();
        headers.header("x-first-death-reason").and_then(|value| value.text().map(str::to_owned)).unwrap()
    };
    client.publish("", "expiring", "x");
    fixture.pass(50);
    assert_eq!(reason(&client.get("dead", true).unwrap()), "expired");
    client.publish("", "short", "1");
    client.publish("", "short", "2");
    let got = client.get("dead", true).unwrap();
    assert_eq!((reason(&got), text(&got.message)), ("maxlen".into(), "1".into()));
}

#[test]
fn a_dead_letter_counts_its_deaths_and_does_not_go_round_by_itself() {
    let fixture = Fixture::new();
    let client = fixture.client();
    declare(
        &client,
        "work",
        &[("x-dead-letter-exchange", long("")), ("x-dead-letter-routing-key", long("retry"))],
    );
    declare(
        &client,
        "retry",
        &[
            ("x-dead-letter-exchange", long("")),
            ("x-dead-letter-routing-key", long("work")),
            ("x-message-ttl", Value::I32(10)),
        ],
    );
    client.publish("", "work", "x");
    for round in 1..=3 {
        let got = client.get("work", false).unwrap();
        client.settle(got.delivery, Outcome::Reject).unwrap();
        fixture.pass(10);
        let got = client.get("work", false).unwrap();
        let read = Properties::parse(got.message.properties()).unwrap();
        let Some(Value::Array(deaths)) = read.header("x-death") else { panic!("no x-death") };
        let counts: Vec<_> = table::values(deaths)
            .map(|death| match death {
                Value::Table(death) => (
                    table::field(death, "queue").unwrap().text().unwrap().to_owned(),
                    table::field(death, "count").unwrap().integer().unwrap(),
                ),
                other => panic!("unexpected {other:?}"),
            })
            .collect();
        assert_eq!(counts, [("retry".to_owned(), round), ("work".to_owned(), round)]);
        client.settle(got.delivery, Outcome::Requeue).unwrap();
    }
    // Without a consumer that rejects, a circle is cut.
    let circle = [("x-dead-letter-exchange", long("")), ("x-message-ttl", Value::I32(10))];
    declare(&client, "circle", &circle);
    client.publish("", "circle", "x");
    fixture.pass(10);
    fixture.pass(10);
    assert!(client.drain("circle").is_empty());
}

#[test]
fn a_queue_that_deletes_itself_goes_with_its_last_consumer() {
    let fixture = Fixture::new();
    let client = fixture.client();
    client.queue_with(QueueDeclare { name: "q", auto_delete: true, ..QueueDeclare::default() });
    client.consume(1, "q");
    client.consume(2, "q");
    client.ask(|link, op| link.cancel(op, 1)).unwrap();
    assert_eq!(fixture.broker.queues(None).len(), 1);
    client.ask(|link, op| link.cancel(op, 2)).unwrap();
    assert!(fixture.broker.queues(None).is_empty());
}
