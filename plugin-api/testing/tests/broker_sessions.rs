//! Sessions, what they remember, and what greets them: through the kit, directly and through the proxy.
#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

#[path = "common/broker.rs"]
mod common;

use std::collections::HashMap;

use common::{Inbox, both_ways, line, link};
use kuzzle_plugin_api::sdk::broker::*;

#[test]
fn a_session_is_resumed_with_its_bindings_notes_and_tags() {
    both_ways(|fake, host| async move {
        let attach =
            SessionAttach { expiry_secs: 60, durable: true, ..SessionAttach::new("me", "session-me") };
        let (connection, mut first) = link(&host, LinkOptions::default()).await;
        let attached = first.ask(|link, op| link.attach_session(op, &attach)).await.expect("it is made");
        assert_eq!((attached.existed, attached.name.as_str()), (false, "session-me"));
        for (id, pattern) in [(11, "a.*"), (12, "a.b")] {
            let options = format!("options of {id}");
            let bind = Bind {
                id,
                options: options.as_bytes().into(),
                ..Bind::new("amq.topic", "session-me", pattern)
            };
            first.ask(|link, op| link.bind(op, &bind)).await.expect("it is bound");
        }
        first.note_session(0, "shared", b"group");
        first.note_session(0, "gone", b"soon");
        first.note_session(0, "gone", b"");
        let consume = Consume { flags: CONSUME_WITH_BINDINGS, ..Consume::new(1, "session-me", 10) };
        first.ask(|link, op| link.consume(op, &consume)).await.expect("it consumes");
        for body in ["1", "2", "3"] {
            fake.broker().publish("amq.topic", "a.b", body.as_bytes());
        }
        let mut inbox = Inbox::of(first);
        let mut tags = HashMap::new();
        for _ in 0..3 {
            let delivery = inbox.delivery().await;
            assert_eq!(delivery.bindings().collect::<Vec<_>>(), [11, 12]);
            tags.insert(delivery.message.parts().body.to_vec(), delivery.tag);
        }
        assert!(tags.values().all(|tag| *tag != 0));
        inbox.link.settle(0, &[Settle::one(1, SETTLE_DONE), Settle::one(2, SETTLE_RECEIVED)]);
        inbox.nothing_more().await;
        drop((inbox, connection));
        fake.wait_for("the session to be let go", |host| {
            (host.broker().sessions() == [("me".to_owned(), false)]).then_some(())
        });
        fake.broker().publish("amq.topic", "a.b", b"4");

        let (_connection, second) = link(&host, LinkOptions::default()).await;
        second.attach_session(1, &attach);
        second.consume(2, &consume);
        let mut inbox = Inbox::of(second);
        assert!(inbox.answer(1).await.expect("it is there").existed);
        let mut told = Vec::new();
        for _ in 0..3 {
            told.push(match inbox.next().await {
                Event::Binding { id, routing_key, options } => {
                    format!("{id} {routing_key} {}", options.as_str().expect("text"))
                }
                Event::Note { key, value } => format!("{key} {}", value.as_str().expect("text")),
                other => panic!("{other:?}"),
            });
        }
        assert_eq!(told, ["11 a.* options of 11", "12 a.b options of 12", "shared group"]);
        inbox.answer(2).await.expect("it consumes");
        let resumed = [inbox.delivery().await, inbox.delivery().await, inbox.delivery().await];
        assert_eq!(resumed.each_ref().map(line), ["2 redelivered received", "3 redelivered", "4"]);
        assert_eq!(resumed[0].tag, tags[&b"2"[..]]);
        assert_eq!(resumed[1].tag, tags[&b"3"[..]]);
        assert!(resumed[2].tag != resumed[0].tag && resumed[2].tag != resumed[1].tag);
    });
}

#[test]
fn a_session_is_taken_over_and_its_will_published() {
    both_ways(|fake, host| async move {
        let (_watcher_connection, watcher) = link(&host, LinkOptions::default()).await;
        watcher.declare_queue(0, &QueueDeclare::new("wills", 0));
        watcher.bind(0, &Bind::new("amq.topic", "wills", "will.#"));
        watcher.consume(0, &Consume { flags: CONSUME_NO_ACK, ..Consume::new(1, "wills", 0) });
        let mut watcher = Inbox::of(watcher);
        watcher.nothing_more().await;
        let attach = |will: &'static str| SessionAttach {
            has_will: true,
            will: Publish::new("amq.topic", "will.me", will.as_bytes()),
            ..SessionAttach::new("me", "session-me")
        };
        let (_first_connection, mut first) = link(&host, LinkOptions::default()).await;
        first.ask(|link, op| link.attach_session(op, &attach("first"))).await.expect("it is made");
        let (second_connection, mut second) = link(&host, LinkOptions::default()).await;
        second.ask(|link, op| link.attach_session(op, &attach("second"))).await.expect("it is taken over");
        let mut first = Inbox::of(first);
        match first.next().await {
            Event::Closed { refusal, taken_over: true } => assert_eq!(refusal.code, CODE_CONNECTION_FORCED),
            other => panic!("{other:?}"),
        }
        assert_eq!(line(&watcher.delivery().await), "first settled");
        drop((second, second_connection));
        assert_eq!(line(&watcher.delivery().await), "second settled");
        let (_third_connection, mut third) = link(&host, LinkOptions::default()).await;
        third.ask(|link, op| link.attach_session(op, &attach("third"))).await.expect("it is made");
        third.ask(|link, op| link.detach_session(op, 0, 0)).await.expect("it is detached");
        assert!(third.ask(|link, op| link.detach_session(op, 0, 0)).await.is_err());
        watcher.nothing_more().await;
        assert!(fake.broker().sessions().is_empty());
    });
}

#[test]
fn a_dedupe_key_is_routed_once_until_it_is_forgotten() {
    both_ways(|fake, host| async move {
        let (_connection, mut link) = link(&host, LinkOptions::default()).await;
        link.declare_queue(0, &QueueDeclare::new("q", 0));
        let once = Publish { dedupe: 9, ..Publish::new("", "q", b"once") };
        assert_eq!(link.publish(1, std::slice::from_ref(&once)).taken, 1);
        link.confirm(0, true);
        link.ask(|link, op| link.attach_session(op, &SessionAttach::new("me", "mine")))
            .await
            .expect("it is made");
        assert_eq!(link.publish(2, &[once.clone(), once.clone()]).taken, 2);
        link.ask(|link, op| link.forget(op, &[9, 10])).await.expect("it is forgotten");
        assert_eq!(link.publish(4, &[once]).taken, 1);
        let mut inbox = Inbox::of(link);
        assert!(matches!(inbox.next().await, Event::Refused { sequence: 1, .. }), "the link had no session");
        while !matches!(inbox.next().await, Event::Confirmed { sequence: 4 }) {}
        assert_eq!(fake.broker().messages("q").len(), 2);
    });
}

#[test]
fn retained_messages_come_with_the_binding_that_asks_for_them() {
    both_ways(|fake, host| async move {
        for (key, body) in [("a.1", "one"), ("a.2", "two"), ("a.2", ""), ("b", "other")] {
            let retain = Publish { flags: PUBLISH_RETAIN, ..Publish::new("amq.topic", key, body.as_bytes()) };
            fake.broker().publish_as(&retain);
        }
        let (_connection, link) = link(&host, LinkOptions::default()).await;
        link.declare_queue(0, &QueueDeclare::new("", DECLARE_EXCLUSIVE));
        link.consume(0, &Consume::new(1, "", CREDIT_UNLIMITED));
        let bind = |retained, flags| Bind { id: 1, retained, flags, ..Bind::new("amq.topic", "", "a.#") };
        link.bind(1, &bind(RETAINED_IF_NEW, 0));
        link.bind(2, &bind(RETAINED_IF_NEW, 0));
        link.bind(3, &bind(RETAINED_ALWAYS, BIND_AT_MOST_ONCE));
        link.unbind(4, &bind(0, 0));
        link.unbind(5, &bind(0, 0));
        let mut inbox = Inbox::of(link);
        assert!(!inbox.answer(1).await.expect("it is new").existed);
        let retained = inbox.delivery().await;
        assert_eq!(
            (line(&retained).as_str(), retained.message.parts().flags),
            ("one retained", MESSAGE_RETAIN)
        );
        assert!(inbox.answer(2).await.expect("it was there").existed);
        assert!(inbox.answer(3).await.expect("it was there").existed);
        assert_eq!(line(&inbox.delivery().await), "one retained settled");
        assert!(inbox.answer(4).await.expect("it was there").existed);
        assert!(!inbox.answer(5).await.expect("it is gone").existed);
    });
}
