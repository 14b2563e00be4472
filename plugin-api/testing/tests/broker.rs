//! The broker as a protocol uses it: through the kit, directly and through the proxy.
#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

#[path = "common/broker.rs"]
mod common;

use std::collections::HashMap;
use std::time::Duration;

use common::{Inbox, both_ways, connect, line, link};
use kuzzle_plugin_api::sdk::broker::*;
use kuzzle_plugin_api::sdk::{ConnectionInfo, tokio};
use kuzzle_plugin_testing::FakeHost;

fn stopping() -> LinkOptions {
    LinkOptions { flags: LINK_STOPS_AT_ERROR, ..LinkOptions::default() }
}

#[test]
fn a_connection_is_known_before_it_enters() {
    both_ways(|fake, host| async move {
        let connection = host.broker().open(&ConnectionInfo::new().with("tls", true)).expect("it opens");
        assert_eq!(connection.open_link(LinkOptions::default()).err().map(|error| error.status), Some(403));
        let refused =
            connection.authenticate("PLAIN", "\0me\0guess".into()).await.expect_err("wrong password");
        assert_eq!(refused.code, CODE_ACCESS_REFUSED);
        assert!(refused.text.starts_with("ACCESS_REFUSED - Login was refused"), "{refused}");
        let user = connection.authenticate("PLAIN", "\0me\0secret".into()).await;
        assert_eq!(user.as_deref(), Ok("me"));
        let nowhere = connection.enter(&Enter::new("/nope", "")).await.expect_err("no such virtual host");
        assert_eq!(
            (nowhere.code, nowhere.text.as_str()),
            (CODE_NOT_ALLOWED, "NOT_ALLOWED - vhost /nope not found")
        );
        let enter = Enter { info: r#"{"version":4}"#.into(), ..Enter::new("/", "pump-7") };
        connection.enter(&enter).await.expect("it is there");
        let link = connection.open_link(LinkOptions::default()).expect("it opens");
        let seen = fake.wait_for("the link", |host| {
            host.broker().connections().into_iter().find(|seen| !seen.links.is_empty())
        });
        assert_eq!((seen.user.as_str(), seen.client.as_str()), ("me", "pump-7"));
        assert_eq!(seen.info, serde_json::json!({ "tls": true, "version": 4 }));
        assert_eq!((seen.id, seen.links), (connection.id(), vec![link.id()]));
        assert_eq!(host.broker().limit("max_links"), Some(2047));
        assert_eq!(host.broker().limit("max_patience"), None);
    });
}

#[test]
fn what_is_published_is_delivered_after_the_answer_and_settled() {
    both_ways(|fake, host| async move {
        let (_connection, mut link) = link(&host, LinkOptions::default()).await;
        let declared =
            link.ask(|link, op| link.declare_queue(op, &QueueDeclare::new("", DECLARE_EXCLUSIVE))).await;
        let queue = declared.expect("it is made").name.to_string();
        assert!(queue.starts_with("amq.gen-"));
        link.bind(2, &Bind::new("amq.topic", "", "a.#"));
        let properties = b"\x80\x00\x0atext/plain";
        let publish =
            Publish { properties: properties[..].into(), ..Publish::new("amq.topic", "a.b", b"one") };
        assert_eq!(link.publish(1, &[publish]), Accepted { taken: 1, throttled: false });
        let large = vec![b'x'; 300_000];
        let shared = Publish { shared: large.clone().into(), ..Publish::new("", &queue, b"") };
        assert_eq!(link.publish(2, &[shared]).taken, 1);
        link.consume(3, &Consume::new(7, "", CREDIT_UNLIMITED));
        let mut inbox = Inbox::of(link);
        assert!(!inbox.answer(2).await.expect("it is bound").existed);
        inbox.answer(3).await.expect("it consumes");
        let first = inbox.delivery().await;
        assert_eq!((first.consumer, first.number, first.tag, line(&first).as_str()), (7, 1, 0, "one"));
        let parts = first.message.parts();
        assert_eq!((parts.exchange.as_str(), parts.routing_key.as_str()), ("amq.topic", "a.b"));
        assert_eq!(parts.properties.as_slice(), properties);
        assert!(parts.received_ms > 1_600_000_000_000);
        let second = inbox.delivery().await;
        assert_eq!(second.message.parts().body.as_slice(), large);
        inbox.link.settle(4, &[Settle { delivery: 2, outcome: SETTLE_DONE, flags: SETTLE_MULTIPLE }]);
        inbox.answer(4).await.expect("they are settled");
        assert_eq!(fake.broker().unsettled(&queue), 0);
        let unknown = [Settle::one(2, SETTLE_DONE)];
        inbox.link.settle(0, &unknown);
        let refused = inbox.answer(0).await.expect_err("a refusal is told without a number");
        assert_eq!(refused.text, "PRECONDITION_FAILED - unknown delivery tag 2");
    });
}

#[test]
fn a_link_that_stops_at_an_error_ignores_the_rest() {
    both_ways(|fake, host| async move {
        let connection = connect(&host).await;
        let strict = connection.open_link(stopping()).expect("it opens");
        let lenient = connection.open_link(LinkOptions::default()).expect("it opens");
        for (prefix, link) in [("strict", &strict), ("lenient", &lenient)] {
            link.declare_queue(1, &QueueDeclare::new("nosuch", DECLARE_PASSIVE));
            link.declare_queue(2, &QueueDeclare::new(prefix, 0));
        }
        let (mut strict, mut lenient) = (Inbox::of(strict), Inbox::of(lenient));
        let refused = strict.answer(1).await.expect_err("it is not there");
        assert_eq!(
            (refused.code, refused.text.as_str()),
            (404, "NOT_FOUND - no queue 'nosuch' in vhost '/'")
        );
        lenient.answer(1).await.expect_err("it is not there");
        lenient.answer(2).await.expect("it is made");
        assert_eq!(fake.broker().queues(), ["lenient"]);
        assert!(strict.link.quiesce(Duration::from_secs(5)).await);
        assert_eq!(strict.link.publish(1, &[Publish::new("", "lenient", b"x")]).taken, 0);
    });
}

#[test]
fn publishes_are_confirmed_returned_and_refused_in_order() {
    both_ways(|_fake, host| async move {
        let (_connection, link) = link(&host, LinkOptions::default()).await;
        link.declare_queue(1, &QueueDeclare::new("q", 0));
        link.confirm(2, true);
        let mandatory = Publish { flags: PUBLISH_MANDATORY, ..Publish::new("", "nobody", b"back") };
        let batch = [
            Publish::new("", "q", b"a"),
            mandatory,
            Publish::new("nosuch", "", b""),
            Publish::new("", "q", b"b"),
        ];
        assert_eq!(link.publish(5, &batch).taken, 4);
        let mut inbox = Inbox::of(link);
        inbox.answer(1).await.expect("it is made");
        inbox.answer(2).await.expect("it is on");
        let mut told = Vec::new();
        while told.last().is_none_or(|last| last != "confirmed 8") {
            told.push(match inbox.next().await {
                Event::Confirmed { sequence } => format!("confirmed {sequence}"),
                Event::Refused { sequence, refusal } => format!("refused {sequence} {}", refusal.code),
                Event::Returned { sequence, refusal, message } => {
                    format!("returned {sequence} {} {}", refusal.text, message.parts().body.len())
                }
                other => panic!("{other:?}"),
            });
        }
        told.retain(|line| !line.starts_with("confirmed") || line == "confirmed 8");
        assert_eq!(told, ["returned 6 NO_ROUTE 4", "refused 7 404", "confirmed 8"]);
    });
}

#[test]
fn credit_holds_deliveries_back() {
    both_ways(|fake, host| async move {
        let (_connection, link) = link(&host, LinkOptions::default()).await;
        link.declare_queue(0, &QueueDeclare::new("q", 0));
        let batch: Vec<_> =
            ["1", "2", "3", "4", "5", "6"].map(|body| Publish::new("", "q", body.as_bytes())).into();
        assert_eq!(link.publish(1, &batch).taken, 6);
        link.consume(0, &Consume::new(1, "q", 2));
        let mut inbox = Inbox::of(link);
        for number in [1, 2] {
            assert_eq!(inbox.delivery().await.number, number);
        }
        inbox.nothing_more().await;
        inbox.link.settle(0, &[Settle::one(1, SETTLE_DONE)]);
        assert_eq!(inbox.delivery().await.number, 3);
        inbox.nothing_more().await;
        inbox.link.credit(0, 0, 3, BYTES_UNLIMITED);
        inbox.link.credit(0, 1, CREDIT_UNLIMITED, BYTES_UNLIMITED);
        assert_eq!(inbox.delivery().await.number, 4);
        inbox.nothing_more().await;
        inbox.link.credit(0, 0, CREDIT_UNLIMITED, 1);
        inbox.link.settle(0, &[Settle { delivery: 0, outcome: SETTLE_DONE, flags: SETTLE_MULTIPLE }]);
        assert_eq!(line(&inbox.delivery().await), "5");
        inbox.nothing_more().await;
        inbox.link.cancel(9, 1);
        inbox.answer(9).await.expect("it is cancelled");
        inbox.link.settle(0, &[Settle::one(5, SETTLE_REQUEUE)]);
        inbox.nothing_more().await;
        let left: Vec<_> =
            fake.broker().messages("q").iter().map(|left| left.parts().body.to_vec()).collect();
        assert_eq!(left, [b"5", b"6"]);
    });
}

#[test]
fn messages_come_back_in_their_order_and_are_got_one_by_one() {
    both_ways(|_fake, host| async move {
        let (_connection, link) = link(&host, LinkOptions::default()).await;
        link.declare_queue(0, &QueueDeclare::new("q", 0));
        assert_eq!(
            link.publish(1, &["1", "2", "3"].map(|body| Publish::new("", "q", body.as_bytes()))).taken,
            3
        );
        link.get(1, "q", false);
        link.get(2, "q", true);
        let mut inbox = Inbox::of(link);
        let got = inbox.answer(1).await.expect("it is there");
        let delivery = got.got.expect("a message");
        assert_eq!((got.messages, delivery.number, line(&delivery).as_str()), (2, 1, "1"));
        assert_eq!(line(&inbox.answer(2).await.expect("it is there").got.expect("a message")), "2 settled");
        inbox.link.recover(3);
        assert_eq!(inbox.answer(3).await.expect("it is requeued").messages, 1);
        for expected in ["1 redelivered settled", "3 settled"] {
            inbox.link.get(4, "", true);
            assert_eq!(line(&inbox.answer(4).await.expect("it is there").got.expect("a message")), expected);
        }
        inbox.link.get(5, "q", true);
        let empty = inbox.answer(5).await.expect("the queue is there");
        assert!(empty.empty && empty.got.is_none());
        inbox.link.purge_queue(6, "q");
        assert_eq!(inbox.answer(6).await.expect("it is empty").messages, 0);
        inbox.link.delete_queue(7, "q", DELETE_IF_UNUSED);
        assert!(inbox.answer(7).await.expect("it is deleted").existed);
        inbox.link.delete_queue(8, "q", 0);
        assert!(!inbox.answer(8).await.expect("it was deleted").existed);
    });
}

#[test]
fn a_commit_is_all_or_nothing() {
    both_ways(|fake, host| async move {
        let (_connection, link) = link(&host, LinkOptions::default()).await;
        link.declare_queue(0, &QueueDeclare::new("q", 0));
        assert_eq!(link.publish(1, &[Publish::new("", "q", b"1")]).taken, 1);
        link.get(1, "q", false);
        let done = [Settle::one(1, SETTLE_DONE)];
        link.commit(2, 2, &[Publish::new("", "q", b"2"), Publish::new("nosuch", "", b"")], &done);
        link.commit(3, 4, &[Publish::new("", "q", b"3")], &done);
        let mut inbox = Inbox::of(link);
        inbox.answer(1).await.expect("it is there");
        assert_eq!(inbox.answer(2).await.expect_err("no such exchange").code, CODE_NOT_FOUND);
        inbox.answer(3).await.expect("it is committed");
        let left: Vec<_> =
            fake.broker().messages("q").iter().map(|left| left.parts().body.to_vec()).collect();
        assert_eq!((left, fake.broker().unsettled("q")), (vec![b"3".to_vec()], 0));
    });
}

#[test]
fn many_links_are_read_through_their_connection() {
    const LINKS: u64 = 50;
    both_ways(|fake, host| async move {
        let connection = connect(&host).await;
        let links: Vec<_> =
            (0..LINKS).map(|_| connection.open_link(LinkOptions::default()).expect("it opens")).collect();
        for (index, link) in links.iter().enumerate() {
            link.declare_queue(0, &QueueDeclare::new(&format!("q{index}"), 0));
            link.bind(0, &Bind::new("amq.fanout", "", ""));
            link.consume(1, &Consume { flags: CONSUME_NO_ACK, ..Consume::new(1, "", 0) });
        }
        let mut seen: HashMap<u64, u32> = HashMap::new();
        let mut published = 0;
        while seen.len() < links.len() || seen.values().any(|count| *count < 101) {
            let ConnectionEvents { from, events } = connection.events().await;
            let count = seen.entry(from).or_default();
            *count += u32::try_from(events.count()).expect("few");
            if published < 100 && seen.len() == links.len() {
                (0..100).for_each(|_| assert_eq!(fake.broker().publish("amq.fanout", "", b"x"), links.len()));
                published = 100;
            }
        }
        assert!(seen.values().all(|count| *count == 101));
        fake.broker().block("low on memory");
        let ConnectionEvents { from, events } = connection.events().await;
        assert_eq!(from, connection.id());
        let events: Vec<_> = events.collect();
        assert!(
            matches!(&events[..], [Event::Blocked { reason }] if reason == "low on memory"),
            "{events:?}"
        );
    });
}

#[test]
fn a_link_without_budget_keeps_its_events() {
    both_ways(|fake, host| async move {
        let connection = connect(&host).await;
        let links: Vec<_> = (0..2)
            .map(|index| {
                let link = connection.open_link(LinkOptions::default()).expect("it opens");
                link.declare_queue(0, &QueueDeclare::new(&format!("q{index}"), 0));
                link.bind(0, &Bind::new("amq.fanout", "", ""));
                link.consume(1, &Consume { flags: CONSUME_NO_ACK, ..Consume::new(1, "", 0) });
                link
            })
            .collect();
        let mut answers = 0;
        while answers < 2 {
            answers += connection.events().await.events.count();
        }
        (0..10).for_each(|_| assert_eq!(fake.broker().publish("amq.fanout", "", b"x"), 2));
        let (held, free) = (links[0].id(), links[1].id());
        let take = |events: u32| {
            let connection = &connection;
            std::future::poll_fn(move |context| {
                let budget = |id| Budget { events: if id == held { events } else { 3 }, bytes: 1_000 };
                connection.poll_events_within(context, budget)
            })
        };
        let mut taken = 0;
        while taken < 10 {
            let ConnectionEvents { from, events } = take(0).await;
            assert_eq!(from, free);
            let count = events.count();
            assert!(count <= 3, "{count}");
            taken += count;
        }
        // Nothing is left but what has no budget, and what comes for the other link still wakes.
        let waiting = tokio::time::timeout(Duration::from_millis(50), take(0)).await;
        assert!(waiting.is_err(), "{waiting:?}");
        let broker = fake.broker();
        let (woken, ()) = tokio::join!(take(0), async move {
            tokio::task::yield_now().await;
            broker.publish("", "q1", b"x");
        });
        assert_eq!((woken.from, woken.events.count()), (free, 1));
        let mut taken = 0;
        while taken < 10 {
            let ConnectionEvents { from, events } = take(4).await;
            assert_eq!(from, held);
            let count = events.count();
            assert!(count <= 4, "{count}");
            taken += count;
        }
    });
}

#[test]
fn a_blocked_publisher_is_throttled_until_it_is_unblocked() {
    both_ways(|fake, host| async move {
        let (connection, mut link) = link(&host, LinkOptions::default()).await;
        link.ask(|link, op| link.declare_queue(op, &QueueDeclare::new("q", 0))).await.expect("it is made");
        fake.broker().block("low on disk");
        let mut sequence = 0;
        // Behind the proxy it takes a moment until it is known.
        loop {
            let accepted = link.publish(sequence + 1, &[Publish::new("", "q", b"x")]);
            sequence += u64::from(accepted.taken);
            if accepted.throttled {
                break;
            }
            tokio::task::yield_now().await;
        }
        fake.broker().unblock();
        loop {
            let mut batch = connection.events().await;
            if batch.from == connection.id() && batch.events.any(|event| matches!(event, Event::Unblocked)) {
                break;
            }
        }
        let accepted = link.publish(sequence + 1, &[Publish::new("", "q", b"last")]);
        assert_eq!(accepted.taken, 1);
        fake.wait_for("all of them", |host| {
            (host.broker().messages("q").len() as u64 == sequence + 1).then_some(())
        });
        let last = fake.broker().messages("q").pop().expect("the last");
        assert_eq!(last.parts().body.as_slice(), b"last");
    });
}

#[test]
fn an_operator_closes_a_connection_with_its_links() {
    both_ways(|fake, host| async move {
        let (connection, mut link) = link(&host, LinkOptions::default()).await;
        link.ask(|link, op| link.declare_queue(op, &QueueDeclare::new("mine", DECLARE_EXCLUSIVE)))
            .await
            .expect("it is made");
        link.ask(|link, op| link.consume(op, &Consume::new(1, "mine", 1))).await.expect("it consumes");
        fake.broker().close(connection.id(), "closed by an operator");
        let mut inbox = Inbox::of(link);
        match inbox.next().await {
            Event::Closed { refusal, taken_over: false } => {
                assert_eq!(refusal.text, "CONNECTION_FORCED - closed by an operator");
            }
            other => panic!("{other:?}"),
        }
        loop {
            let mut batch = connection.events().await;
            if batch.from == connection.id() {
                assert!(matches!(batch.events.next(), Some(Event::Closed { .. })));
                break;
            }
        }
        assert!(fake.broker().queues().is_empty());
        assert_eq!(inbox.link.publish(1, &[Publish::new("", "mine", b"")]), Accepted::default());
    });
}

#[test]
fn what_a_dropped_link_has_unsettled_goes_back() {
    both_ways(|fake, host| async move {
        let (connection, first) = link(&host, LinkOptions::default()).await;
        first.declare_queue(0, &QueueDeclare::new("q", 0));
        first.declare_queue(0, &QueueDeclare::new("mine", DECLARE_EXCLUSIVE));
        assert_eq!(first.publish(1, &[Publish::new("", "q", b"1"), Publish::new("", "q", b"2")]).taken, 2);
        first.consume(0, &Consume::new(1, "q", CREDIT_UNLIMITED));
        let mut first = Inbox::of(first);
        first.delivery().await;
        first.delivery().await;
        first.link.settle(0, &[Settle::one(1, SETTLE_REJECT)]);
        first.nothing_more().await;
        drop(first);
        let second = connection.open_link(LinkOptions::default()).expect("it opens");
        second.consume(0, &Consume::new(1, "q", CREDIT_UNLIMITED));
        let mut second = Inbox::of(second);
        let again = second.delivery().await;
        assert_eq!((again.number, line(&again).as_str()), (1, "2 redelivered"));
        assert_eq!(fake.broker().queues(), ["mine", "q"]);
        drop(second);
        drop(connection);
        fake.wait_for("the connection's own queue to go", |host| {
            (host.broker().queues() == ["q"]).then_some(())
        });
        assert_eq!(fake.broker().messages("q").len(), 1);
    });
}

#[test]
fn bindings_say_what_their_queue_gets() {
    both_ways(|fake, host| async move {
        let (_connection, link) = link(&host, LinkOptions::default()).await;
        link.attach_session(0, &SessionAttach { expiry_secs: 60, ..SessionAttach::new("me", "mine") });
        let bind = |id, pattern, flags| Bind { id, flags, ..Bind::new("amq.topic", "mine", pattern) };
        link.bind(0, &bind(1, "lossy", BIND_AT_MOST_ONCE));
        link.bind(0, &bind(2, "foreign", BIND_NO_LOCAL));
        link.bind(0, &bind(3, "#", BIND_HIDES_DOLLAR | BIND_NO_LOCAL));
        let mut inbox = Inbox::of(link);
        inbox.nothing_more().await;
        let keys = ["lossy", "foreign", "$sys"];
        assert_eq!(keys.map(|key| fake.broker().publish("amq.topic", key, key.as_bytes())), [1, 1, 0]);
        inbox.link.unbind(0, &bind(3, "", 0));
        let own = keys.map(|key| Publish::new("amq.topic", key, key.as_bytes()));
        assert_eq!(inbox.link.publish(1, &own).taken, 3);
        let consume = Consume { flags: CONSUME_WITH_BINDINGS, ..Consume::new(9, "mine", 2) };
        inbox.link.consume(5, &consume);
        inbox.answer(5).await.expect("it consumes");
        // The lossy one that came over the session itself found no consumer, and is gone.
        let mut found = Vec::new();
        for _ in 0..2 {
            let delivery = inbox.delivery().await;
            found.push((line(&delivery), delivery.bindings().collect::<Vec<_>>()));
        }
        assert_eq!(found, [("lossy".to_owned(), vec![1, 3]), ("foreign".to_owned(), vec![2, 3])]);
        inbox.nothing_more().await;
        assert_eq!(inbox.link.publish(4, &[Publish::new("amq.topic", "lossy", b"lossy")]).taken, 1);
        let lossy = inbox.delivery().await;
        assert_eq!((line(&lossy).as_str(), lossy.tag), ("lossy settled", 0), "it takes no credit");
        inbox.link.detach_session(0, 0, 0);
        inbox.nothing_more().await;
    });
}

#[test]
fn a_deleted_queue_cancels_its_consumers() {
    both_ways(|_fake, host| async move {
        let (_connection, link) = link(&host, LinkOptions::default()).await;
        link.declare_queue(0, &QueueDeclare::new("q", 0));
        link.consume(0, &Consume::new(5, "q", 1));
        link.delete_queue(2, "q", 0);
        let mut inbox = Inbox::of(link);
        match inbox.next().await {
            Event::Cancelled { consumer: 5, refusal } => assert_eq!(refusal.code, CODE_NOT_FOUND),
            other => panic!("{other:?}"),
        }
        inbox.answer(2).await.expect("it is deleted");
    });
}

#[test]
fn a_slow_consumer_without_credit_is_bounded_by_its_policy() {
    both_ways(|fake, host| async move {
        for (overflow, expected) in [
            (OVERFLOW_DROP_NEWEST, &["1", "2"][..]),
            (OVERFLOW_DROP_OLDEST, &["4", "5"]),
            (OVERFLOW_WAIT, &["1", "2", "3", "4", "5"]),
        ] {
            let (_connection, mut link) = link(&host, LinkOptions::default()).await;
            link.ask(|link, op| link.declare_queue(op, &QueueDeclare::new("", DECLARE_EXCLUSIVE)))
                .await
                .expect("it is made");
            for body in ["1", "2", "3", "4", "5"] {
                link.bind(0, &Bind::new("amq.fanout", "", ""));
                fake.wait_for("the binding", |host| {
                    (host.broker().publish("amq.fanout", "", body.as_bytes()) == 1).then_some(())
                });
            }
            let consume =
                Consume { flags: CONSUME_NO_ACK, overflow, limit_events: 2, ..Consume::new(1, "", 0) };
            link.consume(0, &consume);
            let mut inbox = Inbox::of(link);
            let mut bodies = Vec::new();
            for _ in expected {
                bodies.push(line(&inbox.delivery().await).replace(" settled", ""));
            }
            assert_eq!(bodies, expected);
            inbox.nothing_more().await;
        }
        let (_connection, mut closed) = link(&host, LinkOptions::default()).await;
        closed.ask(|link, op| link.declare_queue(op, &QueueDeclare::new("c", 0))).await.expect("it is made");
        (0..3).for_each(|_| assert_eq!(fake.broker().publish("", "c", b"x"), 1));
        let consume = Consume {
            flags: CONSUME_NO_ACK,
            overflow: OVERFLOW_CLOSE,
            limit_events: 2,
            ..Consume::new(1, "c", 0)
        };
        closed.consume(0, &consume);
        let mut inbox = Inbox::of(closed);
        inbox.delivery().await;
        inbox.delivery().await;
        assert!(
            matches!(inbox.next().await, Event::Closed { refusal, .. } if refusal.code == CODE_RESOURCE_ERROR)
        );
    });
}

#[test]
fn many_messages_cross_in_order() {
    const MESSAGES: u64 = 20_000;
    const BATCH: u64 = 100;
    both_ways(|_fake, host| async move {
        let (_in, consumer) = link(&host, LinkOptions::default()).await;
        consumer.declare_queue(0, &QueueDeclare::new("q", 0));
        consumer.consume(1, &Consume::new(1, "q", 1_000));
        let mut consumer = Inbox::of(consumer);
        consumer.answer(1).await.expect("it consumes");
        let (connection, publisher) = link(&host, LinkOptions::default()).await;
        let publishing = async {
            let mut sequence = 0;
            while sequence < MESSAGES {
                let bodies: Vec<_> =
                    (sequence..sequence + BATCH).map(|number| number.to_le_bytes()).collect();
                let batch: Vec<_> = bodies.iter().map(|body| Publish::new("", "q", body)).collect();
                let mut taken = 0;
                while taken < batch.len() {
                    let accepted = publisher.publish(sequence + 1, &batch[taken..]);
                    taken += accepted.taken as usize;
                    sequence += u64::from(accepted.taken);
                    if accepted.throttled {
                        connection.events().await;
                    }
                }
                tokio::task::yield_now().await;
            }
        };
        let consuming = async {
            let mut expected = 0_u64;
            while expected < MESSAGES {
                let mut last = 0;
                for event in consumer.link.events().await {
                    let Event::Delivery(delivery) = event else { panic!("{event:?}") };
                    assert_eq!(delivery.message.parts().body.as_slice(), expected.to_le_bytes());
                    expected += 1;
                    last = delivery.number;
                }
                consumer
                    .link
                    .settle(0, &[Settle { delivery: last, outcome: SETTLE_DONE, flags: SETTLE_MULTIPLE }]);
            }
        };
        tokio::join!(publishing, consuming);
    });
}

#[test]
fn a_host_without_a_broker_says_so() {
    let fake = FakeHost::new().without_service("broker").proxied(false);
    common::with_host(fake, |_fake, host| async move {
        assert!(!host.broker().is_offered());
        let refused = host.broker().open(&ConnectionInfo::new()).err().expect("there is none");
        assert_eq!(refused.status, 503);
        assert_eq!(host.broker().limit("max_links"), None);
    });
}
