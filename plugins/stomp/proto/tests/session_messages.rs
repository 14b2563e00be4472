//! Subscriptions, messages, acknowledgements, transactions and receipts. Tests are named after the sections of the
//! specifications that they are about.

mod common;

use common::{Client, commands, error, header, message};
use kuzzle_stomp_proto::{
    codec::Version,
    session::{Ending, Limits, LinkEvent, Message, Operation, Outcome, Settle},
};

const VERSIONS: [Version; 3] = [Version::V1_0, Version::V1_1, Version::V1_2];

fn settle(delivery: u64, outcome: Outcome) -> Settle {
    Settle { delivery, outcome }
}

/// A client of 1.2 that is subscribed with that mode, and has so many messages.
fn subscribed(ack: &str, messages: usize) -> (Client, Vec<String>) {
    let mut client = Client::connected(Version::V1_2);
    client.say(&format!("SUBSCRIBE\nid:1\ndestination:/queue/a\nack:{ack}\n\n\0"));
    let ids = (0..messages).map(|_| {
        let told = client.deliver(message("a", b"x"));
        header(&told, "ack").unwrap_or_default()
    });
    let ids = ids.collect();
    (client, ids)
}

#[test]
fn destinations_of_send_are_declared_and_published_as_measured() {
    let mut client = Client::connected(Version::V1_0);
    for (destination, asked, exchange, key) in [
        ("/queue/a", &["declare a durable any 0"][..], "", "a"),
        ("/queue/a", &[], "", "a"),
        ("b%2Fc", &["declare b/c durable any 0"], "", "b/c"),
        ("/amq/queue/x", &[], "", "x"),
        ("/reply-queue/x/y", &[], "", "x/y"),
        ("/topic/k.l", &[], "amq.topic", "k.l"),
        ("/exchange/e", &[], "e", ""),
        ("/exchange/e/k", &[], "e", "k"),
    ] {
        assert_eq!(client.say(&format!("SEND\ndestination:{destination}\n\nx\0")), "");
        assert_eq!(client.asked(), asked, "{destination}");
        let (_, publish) = client.published.pop().expect("a message");
        assert_eq!((&*publish.exchange, &*publish.routing_key), (exchange, key), "{destination}");
        assert!(publish.properties.is_empty());
    }
}

#[test]
fn queues_get_the_properties_that_headers_say() {
    let mut client = Client::connected(Version::V1_2);
    client.say("SUBSCRIBE\nid:1\ndestination:/queue/a\ndurable:false\nauto-delete:true\nexclusive:true\nx-message-ttl:1000\n\n\0");
    assert_eq!(client.asked(), ["declare a exclusive auto-delete 23", "consume a as T_1"]);
    client.say("SEND\ndestination:/queue/b\nx-max-length:10\nx-dead-letter-exchange:d\n\nx\0");
    assert_eq!(client.asked(), [format!("declare b durable {}", 22 + 29)]);
    let told = client.say("SEND\ndestination:/queue/c\nx-expires:soon\n\nx\0");
    assert_eq!(
        told,
        error("Processing error", "", "the header 'x-expires' is 'soon', which is not a number\n")
    );
}

#[test]
fn subscriptions_to_exchanges_have_a_queue_of_their_own() {
    let mut client = Client::connected(Version::V1_2);
    client.say("SUBSCRIBE\nid:1\ndestination:/topic/a.*\n\n\0");
    let asked = client.asked();
    let queue = asked[0].split(' ').nth(1).expect("a name").to_owned();
    assert!(queue.starts_with("stomp-subscription-") && queue.len() == 19 + 22, "{queue}");
    let expected = [
        format!("declare {queue} exclusive auto-delete 0"),
        format!("bind {queue} to amq.topic with 'a.*'"),
        format!("consume {queue} as T_1"),
    ];
    assert_eq!(asked, expected);
    client.say("SUBSCRIBE\nid:2\ndestination:/exchange/e\nx-queue-name:mine\n\n\0");
    assert_eq!(
        client.asked(),
        ["declare mine auto-delete 0", "bind mine to e with ''", "consume mine as T_2"]
    );
}

#[test]
fn durable_subscriptions_come_back_to_their_queue_and_end_when_told() {
    let subscribe = "SUBSCRIBE\nid:1\ndestination:/topic/a\ndurable:true\nauto-delete:false\n\n\0";
    let mut first = Client::connected(Version::V1_2);
    first.say(subscribe);
    let asked = first.asked();
    let queue = asked[0].split(' ').nth(1).expect("a name").to_owned();
    assert_eq!(asked[0], format!("declare {queue} durable 0"));
    let mut second = Client::connected(Version::V1_2);
    second.say(&subscribe.replace("durable", "persistent"));
    assert_eq!(second.asked(), asked);
    second.say("SUBSCRIBE\nid:2\ndestination:/topic/a\ndurable:true\nauto-delete:false\n\n\0");
    assert_ne!(second.asked()[0], asked[0]);
    let told = second.say("UNSUBSCRIBE\nid:1\ndurable:true\nreceipt:9\n\n\0");
    assert_eq!(second.asked(), ["cancel 1".to_owned(), format!("delete {queue}")]);
    assert_eq!(told, "RECEIPT\nreceipt-id:9\n\n\0\n");
    first.say("UNSUBSCRIBE\nid:1\n\n\0");
    assert_eq!(first.asked(), ["cancel 1"]);
    let mut nameless = Client::connected(Version::V1_1);
    let told = nameless.say("SUBSCRIBE\ndestination:/topic/a\ndurable:true\nauto-delete:false\n\n\0");
    assert_eq!(told, error("Missing Header", "", "Header 'id' is required for durable subscriptions"));
}

#[test]
fn temp_queues_are_for_reply_to_alone() {
    for command in ["SEND", "SUBSCRIBE"] {
        let mut client = Client::connected(Version::V1_0);
        let told = client.say(&format!("{command}\ndestination:/temp-queue/x\n\n\0"));
        let detail = format!("'/temp-queue/x' is not a valid destination for '{command}'\n");
        assert_eq!(told, error("Invalid destination", "", &detail));
    }
    let told = Client::connected(Version::V1_0).say("SUBSCRIBE\nid:/temp-queue/x\ndestination:a\n\n\0");
    assert!(told.starts_with("ERROR\nmessage:Invalid id\n"));
}

#[test]
fn answers_come_over_temp_queues_that_are_made_once() {
    let mut client = Client::connected(Version::V1_2);
    client.say("SEND\ndestination:/queue/ask\nreply-to:/temp-queue/mine\n\nx\0");
    let asked = client.asked();
    let queue = asked[1].split(' ').nth(1).expect("a name").to_owned();
    assert_eq!(
        asked[1..],
        [
            format!("declare {queue} exclusive auto-delete 0"),
            format!("consume {queue} as T_/temp-queue/mine"),
        ]
    );
    client.say("SEND\ndestination:/queue/ask\nreply-to:/temp-queue/mine\n\nx\0");
    assert!(client.asked().is_empty() || client.calls.is_empty());
    for (_, publish) in &client.published {
        assert!(publish.properties.ends_with(queue.as_bytes()));
    }
    let told = client.deliver_to(1, true, message(&queue, b"answer"));
    assert_eq!(header(&told, "subscription").as_deref(), Some("/temp-queue/mine"));
    assert_eq!(header(&told, "destination"), Some(format!("/queue/{queue}")));
}

#[test]
fn every_form_of_reply_to_names_a_queue_or_a_topic() {
    let mut client = Client::connected(Version::V1_2);
    for (to, asked, property) in [
        ("x", &[][..], &b"\x02\0\x01x"[..]),
        (" x", &[], b"\x02\0\x01x"),
        ("/queue/x", &["declare x durable any 0"], b"\x02\0\x01x"),
        ("/amq/queue/x", &[], b"\x02\0\x01x"),
        ("/reply-queue/x", &[], b"\x02\0\x01x"),
        ("/exchange/e/k", &[], b"\x02\0\x0d/exchange/e/k"),
        ("/topic/k", &[], b"\x22\0\0\0\0\x17\x10x-reply-to-topicS\0\0\0\x01k\x08/topic/k"),
    ] {
        client.say(&format!("SEND\ndestination:/amq/queue/q\nreply-to:{to}\n\nx\0"));
        assert_eq!(client.asked(), asked, "{to}");
        let (_, publish) = client.published.pop().expect("a message");
        assert_eq!(publish.properties[..], *property, "{to}");
    }
}

#[test]
fn stomp_1_2_send_user_defined_headers_must_be_passed_through_in_message() {
    for version in VERSIONS {
        let mut client = Client::connected(version);
        client.say("SUBSCRIBE\nid:1\ndestination:/queue/a\n\n\0");
        client.say("SEND\ndestination:/queue/a\nfirst:1\nsecond:a b \ncontent-type:text/plain\npersistent:true\npriority:3\ncorrelation-id:c\nexpiration:1000\namqp-message-id:m\ntimestamp:5\ntype:t\nuser-id:guest\napp-id:p\ncontent-encoding:e\n\nbody\0");
        let (_, publish) = client.published.pop().expect("a message");
        let told = client.deliver(Message {
            exchange: "",
            routing_key: "a",
            properties: &publish.properties,
            body: &publish.body,
        });
        let id = header(&told, "message-id").expect("an id");
        let expected = format!(
            "MESSAGE\nsubscription:1\ndestination:/queue/a\nmessage-id:{id}\nredelivered:false\nfirst:1\nsecond:a b \napp-id:p\nuser-id:guest\ntype:t\ntimestamp:5\namqp-message-id:m\nexpiration:1000\ncorrelation-id:c\npriority:3\npersistent:true\ncontent-encoding:e\ncontent-type:text/plain\ncontent-length:4\n\nbody\0\n"
        );
        assert_eq!(told, expected);
    }
}

#[test]
fn stomp_1_2_value_encoding_must_be_reversed_in_message() {
    for (version, written) in [
        (Version::V1_0, "key:a\\cb\\nc\\\\d"),
        (Version::V1_1, "key:a\\cb\\nc\\\\d"),
        (Version::V1_2, "key:a\\cb\\nc\\\\d"),
    ] {
        let mut client = Client::connected(version);
        client.say("SUBSCRIBE\nid:1\ndestination:/queue/a\n\n\0");
        client.say(&format!("SEND\ndestination:/queue/a\n{written}\n\nx\0"));
        let (_, publish) = client.published.pop().expect("a message");
        let is_decoded = publish.properties.windows(7).any(|part| part == b"a:b\nc\\d");
        assert_eq!(is_decoded, version > Version::V1_0);
        let told = client.deliver(Message { properties: &publish.properties, ..message("a", b"x") });
        assert!(told.contains(&format!("\n{written}\n")), "{told}");
    }
}

#[test]
fn stomp_1_2_headers_must_not_be_trimmed_or_padded() {
    let mut client = Client::connected(Version::V1_2);
    client.say("SUBSCRIBE\nid: 1 \ndestination:/queue/a\n\n\0");
    client.say("SEND\ndestination:/queue/a\n key : value \n\nx\0");
    let (_, publish) = client.published.pop().expect("a message");
    let told = client.deliver(Message { properties: &publish.properties, ..message("a", b"x") });
    assert!(told.contains("\n key : value \n") && told.contains("\nsubscription: 1 \n"), "{told}");
}

#[test]
fn headers_of_amqp_are_shown_as_measured() {
    let mut client = Client::connected(Version::V1_2);
    client.say("SUBSCRIBE\nid:1\ndestination:/queue/a\n\n\0");
    let table = b"\x01tS\0\0\0\x01v\x01iI\0\0\0\x07\x01ll\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01bb\x05\x01?t\x01\x0econtent-lengthS\0\0\0\x0299";
    let mut properties = b"\x32\0\0\0\0".to_vec();
    properties.push(table.len() as u8);
    properties.extend_from_slice(table);
    properties.extend_from_slice(b"\x01\x02rq");
    let told = client.deliver(Message { exchange: "e", properties: &properties, ..message("k", b"") });
    assert!(told.starts_with("MESSAGE\nsubscription:1\ndestination:/exchange/e/k\n"), "{told}");
    assert!(told.ends_with("\nt:v\ni:7\nl:-1\nreply-to:/reply-queue/rq\npersistent:1\n\n\0\n"), "{told}");
}

#[test]
fn stomp_1_2_send_that_cannot_be_must_be_told_and_close() {
    for (frame, told) in [
        ("SEND\n\nx\0", error("Missing destination", "", "\"SEND\" must include a 'destination' header\n")),
        (
            "SEND\ndestination:/queue/a\nmessage-id:1\n\nx\0",
            error("Invalid header", "", "'message-id' is not allowed on 'SEND'.\n"),
        ),
        (
            "SEND\ndestination:/queue/a\npriority:high\n\nx\0",
            error("Processing error", "", "the header 'priority' is not a number from 0 to 255\n"),
        ),
        (
            "SEND\ndestination:/queue/a\ntransaction:t\n\nx\0",
            error("Bad transaction", "", "Invalid transaction identifier: \"t\"\n"),
        ),
    ] {
        let mut client = Client::connected(Version::V1_2);
        assert_eq!(client.say(frame), told);
        assert_eq!(client.closed, Some(Ending::Error));
        assert!(client.published.is_empty());
    }
}

#[test]
fn stomp_1_2_subscribe_that_cannot_be_must_be_told_and_close() {
    for (frame, message) in [
        ("SUBSCRIBE\nid:1\n\n\0", "Missing destination"),
        ("SUBSCRIBE\nid:1\ndestination:/nowhere/a\n\n\0", "Unknown destination"),
        ("SUBSCRIBE\nid:1\ndestination:/queue/a\nack:never\n\n\0", "Processing error"),
        ("SUBSCRIBE\nid:1\ndestination:/queue/a\nprefetch-count:x\n\n\0", "Processing error"),
    ] {
        let mut client = Client::connected(Version::V1_2);
        assert!(client.say(frame).starts_with(&format!("ERROR\nmessage:{message}\n")));
        assert_eq!(client.closed, Some(Ending::Error));
    }
    let mut client = Client::connected(Version::V1_0);
    client.answers = false;
    client.say("SUBSCRIBE\nid:1\ndestination:/amq/queue/nope\nreceipt:5\n\n\0");
    let op = client.unanswered[0];
    let text = "NOT_FOUND - no queue 'nope' in vhost '/'";
    client.event(LinkEvent::Answer { op, code: 404, text });
    assert_eq!(client.go_on(), error("not_found", "receipt-id:5\n", text));
    assert_eq!(client.closed, Some(Ending::Error));
}

#[test]
fn stomp_1_2_subscribe_id_must_be_different_for_each() {
    let mut client = Client::connected(Version::V1_2);
    client.say("SUBSCRIBE\nid:1\ndestination:/queue/a\n\n\0");
    let told = client.say("SUBSCRIBE\nid:1\ndestination:/queue/b\n\n\0");
    assert_eq!(
        told,
        error("Duplicated subscription identifier", "", "A subscription identified by 'T_1' already exists.")
    );
    assert_eq!(client.closed, Some(Ending::Error));
}

#[test]
fn stomp_1_2_unsubscribe_id_must_match_a_subscription() {
    let told = Client::connected(Version::V1_2).say("UNSUBSCRIBE\nid:9\n\n\0");
    let detail =
        "UNSUBSCRIBE must refer to an existing subscription.\nSubscription to \"id='9'\" not found.\n";
    assert_eq!(told, error("No subscription found", "", detail));
    let told = Client::connected(Version::V1_2).say("UNSUBSCRIBE\n\n\0");
    let detail = "UNSUBSCRIBE must include a 'destination' or 'id' header";
    assert_eq!(told, error("Missing destination or id", "", detail));
}

#[test]
fn stomp_1_0_unsubscribe_by_destination() {
    let mut client = Client::connected(Version::V1_0);
    client.say("SUBSCRIBE\ndestination: /queue/a\n\n\0");
    client.asked();
    assert_eq!(
        client.say("UNSUBSCRIBE\ndestination: /queue/a\nreceipt:1\n\n\0"),
        "RECEIPT\nreceipt-id:1\n\n\0\n"
    );
    assert_eq!(client.asked(), ["cancel 1"]);
    client.say("SUBSCRIBE\ndestination:/queue/a\n\n\0");
    assert_eq!(client.asked(), ["declare a durable any 0", "consume a as Q_/queue/a"]);
}

#[test]
fn stomp_1_2_unsubscribe_ends_what_is_received_and_what_is_unsettled_can_be_settled() {
    let (mut client, ids) = subscribed("client-individual", 1);
    client.answers = false;
    client.say("UNSUBSCRIBE\nid:1\n\n\0");
    // On its way when the client unsubscribed: back to its place.
    assert_eq!(client.deliver_to(1, false, message("a", b"late")), "");
    assert_eq!(client.settled, [(0, vec![settle(2, Outcome::Requeue)])]);
    client.answer_all();
    assert_eq!(client.say(&format!("ACK\nid:{}\n\n\0", ids[0])), "");
    assert_eq!(client.settled[1], (0, vec![settle(1, Outcome::Done)]));
    let told = client.say(&format!("ACK\nid:{}\n\n\0", ids[0]));
    let text = format!("Message with id \"{}\" has no subscription", ids[0]);
    assert_eq!(told, error("Subscription not found", "", &text));
}

#[test]
fn stomp_1_2_ack_mode_auto_needs_no_ack() {
    let (mut client, ids) = subscribed("auto", 1);
    assert_eq!(ids, [""]);
    let consume = client.calls.last().expect("a consumer");
    assert!(matches!(consume.1, Operation::Consume { no_ack: true, .. }));
    let told = client.deliver(message("a", b"x"));
    let id = header(&told, "message-id").expect("an id");
    assert_eq!(client.say(&format!("ACK\nid:{id}\nreceipt:1\n\n\0")), "RECEIPT\nreceipt-id:1\n\n\0\n");
    assert!(client.settled.is_empty());
}

#[test]
fn stomp_1_2_ack_mode_client_is_cumulative_for_the_subscription() {
    let (mut client, ids) = subscribed("client", 3);
    client.say("SUBSCRIBE\nid:2\ndestination:/queue/b\nack:client\n\n\0");
    client.deliver_to(2, false, message("b", b"x"));
    client.say(&format!("ACK\nid:{}\n\n\0", ids[1]));
    assert_eq!(client.settled, [(0, vec![settle(1, Outcome::Done), settle(2, Outcome::Done)])]);
    client.say(&format!("NACK\nid:{}\n\n\0", ids[2]));
    assert_eq!(client.settled[1], (0, vec![settle(3, Outcome::Requeue)]));
}

#[test]
fn stomp_1_2_client_individual_must_not_acknowledge_a_previous_message() {
    let (mut client, ids) = subscribed("client-individual", 3);
    client.say(&format!("ACK\nid:{}\n\n\0", ids[2]));
    client.say(&format!("NACK\nid:{}\nrequeue:false\n\n\0", ids[0]));
    assert_eq!(client.settled, [(0, vec![settle(3, Outcome::Done)]), (0, vec![settle(1, Outcome::Reject)])]);
    let told = client.say(&format!("ACK\nid:{}\n\n\0", ids[2]));
    assert_eq!(told, error("precondition_failed", "", "PRECONDITION_FAILED - unknown delivery tag 3"));
    assert_eq!(client.closed, Some(Ending::Error));
}

#[test]
fn stomp_1_2_ack_must_have_an_id_that_matches_a_message() {
    for (version, header) in
        [(Version::V1_0, "message-id"), (Version::V1_1, "message-id"), (Version::V1_2, "id")]
    {
        for command in ["ACK", "NACK"] {
            let told = Client::connected(version).say(&format!("{command}\n\n\0"));
            let detail = format!("\"{command}\" must include the \"{header}\" header\n");
            assert_eq!(told, error("Missing header", "", &detail));
            for id in ["x", "a@@b@@c", "T_1@@session-other@@1", "@@"] {
                let told = Client::connected(version).say(&format!("{command}\n{header}:{id}\n\n\0"));
                let detail = format!("\"{command}\" must include a valid \"{header}\" header\n");
                assert_eq!(told, error("Invalid header", "", &detail));
            }
        }
    }
}

#[test]
fn stomp_1_1_ack_by_message_id() {
    let mut client = Client::connected(Version::V1_1);
    client.say("SUBSCRIBE\nid:1\ndestination:/queue/a\nack:client\n\n\0");
    let told = client.deliver(message("a", b"x"));
    assert_eq!(header(&told, "ack"), None);
    let id = header(&told, "message-id").expect("an id");
    client.say(&format!("ACK\nsubscription:1\nmessage-id:{id}\nreceipt:r\n\n\0"));
    assert_eq!(client.settled.len(), 1);
    assert_eq!(client.settled[0].1, [settle(1, Outcome::Done)]);
}

#[test]
fn prefetch_count_is_the_window_and_carries_over() {
    let mut client = Client::connected(Version::V1_2);
    client.say("SUBSCRIBE\nid:1\ndestination:a\nack:client\nprefetch-count:7\n\n\0");
    client.say("SUBSCRIBE\nid:2\ndestination:b\nack:client\n\n\0");
    client.say("SUBSCRIBE\nid:3\ndestination:c\n\n\0");
    let consumers: Vec<_> = client.asked().into_iter().filter(|call| call.starts_with("consume")).collect();
    assert_eq!(
        consumers,
        ["consume a as T_1 with acks credit 7", "consume b as T_2 with acks credit 7", "consume c as T_3"]
    );
}

#[test]
fn limits_of_subscriptions_and_of_unacknowledged_messages() {
    let limits = Limits { unsettled_max: 2, subscriptions_max: 1, ..Limits::default() };
    let mut client = Client::with(limits.clone());
    client.say("CONNECT\n\n\0");
    assert_eq!(client.asked(), ["credit 2"]);
    let mut client = Client::connected_with(Version::V1_2, limits);
    client.say("SUBSCRIBE\nid:1\ndestination:/queue/a\nack:client\n\n\0");
    let told = client.say("SUBSCRIBE\nid:2\ndestination:/queue/a\n\n\0");
    assert!(told.starts_with("ERROR\nmessage:Too many subscriptions\n"), "{told}");
}

#[test]
fn a_queue_that_is_deleted_ends_its_subscription() {
    let mut client = Client::connected(Version::V1_0);
    client.say("SUBSCRIBE\nid:1\ndestination:/queue/a\n\n\0");
    client.event(LinkEvent::Cancelled { consumer: 1 });
    let detail =
        "The server has canceled a subscription.\nNo more messages will be delivered for \"id='1'\".\n";
    assert_eq!(client.go_on(), error("Server cancelled subscription", "subscription:1\n", detail));
    assert_eq!(client.closed, None);
    assert_eq!(client.say("SUBSCRIBE\nid:1\ndestination:/queue/a\n\n\0"), "");
}

#[test]
fn stomp_1_2_begin_commit_and_abort_must_name_a_transaction() {
    for command in ["BEGIN", "COMMIT", "ABORT"] {
        let told = Client::connected(Version::V1_2).say(&format!("{command}\n\n\0"));
        let detail = format!("\"{command}\" must include a 'transaction' header\n");
        assert_eq!(told, error("Missing transaction", "", &detail));
    }
    for command in ["COMMIT", "ABORT"] {
        let told = Client::connected(Version::V1_2).say(&format!("{command}\ntransaction:t\n\n\0"));
        assert_eq!(told, error("Bad transaction", "", "Invalid transaction identifier: \"t\"\n"));
    }
    let mut client = Client::connected(Version::V1_2);
    let begin = "BEGIN\ntransaction:t\nreceipt:1\n\n\0";
    assert_eq!(client.say(&begin.repeat(2)), "RECEIPT\nreceipt-id:1\n\n\0\n".repeat(2));
}

#[test]
fn stomp_1_2_a_commit_does_all_of_it_at_once_and_its_receipt_comes_first() {
    let (mut client, ids) = subscribed("client-individual", 2);
    client.answers = false;
    let told = client.say(&format!(
        "BEGIN\ntransaction:t\n\n\0SEND\ndestination:/queue/b\ntransaction:t\nreceipt:send\n\none\0ACK\nid:{}\ntransaction:t\n\n\0NACK\nid:{}\ntransaction:t\nrequeue:false\n\n\0",
        ids[0], ids[1]
    ));
    assert_eq!(told, "");
    assert!(client.published.is_empty() && client.settled.is_empty());
    assert_eq!(client.say("COMMIT\ntransaction:t\nreceipt:commit\n\n\0"), "");
    let (seq, messages, settlements) = &client.commits[0];
    assert_eq!((*seq, messages.len(), &*messages[0].routing_key), (1, 1, "b"));
    assert!(messages[0].properties.windows(11).any(|part| part == b"transaction"));
    assert_eq!(*settlements, [settle(1, Outcome::Done), settle(2, Outcome::Reject)]);
    let told = client.answer_all();
    assert_eq!(told, "RECEIPT\nreceipt-id:commit\n\n\0\nRECEIPT\nreceipt-id:send\n\n\0\n");
    let told = client.say("COMMIT\ntransaction:t\n\n\0");
    assert_eq!(commands(&told), ["ERROR"]);
}

#[test]
fn stomp_1_2_an_abort_does_nothing_of_it() {
    let (mut client, ids) = subscribed("client-individual", 1);
    client.say("BEGIN\ntransaction:t\n\n\0");
    client.say("SEND\ndestination:/queue/b\ntransaction:t\nreceipt:send\n\none\0");
    client.say(&format!("ACK\nid:{}\ntransaction:t\n\n\0", ids[0]));
    assert_eq!(client.say("ABORT\ntransaction:t\nreceipt:abort\n\n\0"), "RECEIPT\nreceipt-id:abort\n\n\0\n");
    client.say(&format!("ACK\nid:{}\n\n\0", ids[0]));
    assert_eq!(client.settled, [(0, vec![settle(1, Outcome::Done)])]);
    assert!(client.commits.is_empty() && client.published.is_empty());
}

#[test]
fn transactions_are_bounded() {
    let limits = Limits {
        transactions_max: 1,
        transaction_max_bytes: 10,
        transaction_max_steps: 2,
        ..Limits::default()
    };
    let mut client = Client::connected_with(Version::V1_0, limits);
    client.say("BEGIN\ntransaction:t\n\n\0");
    assert!(client.say("BEGIN\ntransaction:u\n\n\0").starts_with("ERROR\nmessage:Too many transactions\n"));
    let told = client.say("SEND\ndestination:/topic/b\ntransaction:t\n\n0123456789\0");
    assert!(told.starts_with("ERROR\nmessage:Transaction too large\n"), "{told}");
    assert_eq!(client.closed, Some(Ending::Error));
}

#[test]
fn stomp_1_2_receipt_of_every_frame_but_connect() {
    let mut client = Client::new();
    let told = client.say("CONNECT\naccept-version:1.2\nhost:/\nreceipt:0\n\n\0");
    assert_eq!(commands(&told), ["CONNECTED"]);
    for (frame, receipt) in [
        ("SUBSCRIBE\nid:1\ndestination:/queue/a\nack:client\nreceipt:a\\cb\n\n\0", "a\\cb"),
        ("SEND\ndestination:/queue/a\nreceipt:2\n\nx\0", "2"),
        ("BEGIN\ntransaction:t\nreceipt:3\n\n\0", "3"),
        ("COMMIT\ntransaction:t\nreceipt:4\n\n\0", "4"),
        ("BEGIN\ntransaction:t\nreceipt:5\n\n\0", "5"),
        ("ABORT\ntransaction:t\nreceipt:6\n\n\0", "6"),
        ("UNSUBSCRIBE\nid:1\nreceipt:7\n\n\0", "7"),
        ("DISCONNECT\nreceipt:8\n\n\0", "8"),
    ] {
        assert_eq!(client.say(frame), format!("RECEIPT\nreceipt-id:{receipt}\n\n\0\n"));
    }
    let (mut client, ids) = subscribed("client", 2);
    assert_eq!(client.say(&format!("ACK\nid:{}\nreceipt:1\n\n\0", ids[0])), "RECEIPT\nreceipt-id:1\n\n\0\n");
    assert_eq!(client.say(&format!("NACK\nid:{}\nreceipt:2\n\n\0", ids[1])), "RECEIPT\nreceipt-id:2\n\n\0\n");
}

#[test]
fn receipts_of_send_come_when_the_broker_has_confirmed() {
    let mut client = Client::connected(Version::V1_2);
    client.answers = false;
    client.say("SEND\ndestination:/queue/a\n\nx\0");
    assert_eq!(
        client
            .say("SEND\ndestination:/queue/a\nreceipt:1\n\nx\0SEND\ndestination:/queue/a\nreceipt:2\n\nx\0"),
        ""
    );
    assert_eq!(client.asked(), ["declare a durable any 0", "confirm"]);
    client.event(LinkEvent::Confirmed { up_to: 2 });
    assert_eq!(client.go_on(), "RECEIPT\nreceipt-id:1\n\n\0\n");
    client.event(LinkEvent::Refused { seq: 3, code: 506, text: "RESOURCE_ERROR - no room" });
    assert_eq!(client.go_on(), error("resource_error", "receipt-id:2\n", "RESOURCE_ERROR - no room"));
}

#[test]
fn what_is_not_taken_comes_again_before_anything_else() {
    let mut client = Client::connected(Version::V1_2);
    client.say("SEND\ndestination:/topic/a\n\n1\0");
    let (seq, publish) = client.published.pop().expect("a message");
    client.session.not_taken(seq, vec![publish.clone()]);
    assert!(!client.session.wants_input());
    client.say("SEND\ndestination:/topic/a\n\n2\0DISCONNECT\n\n\0");
    assert!(client.published.is_empty() && client.closed.is_none());
    let now = client.now;
    client.session.unblocked(now);
    assert_eq!(
        client.session.poll_action(),
        Some(kuzzle_stomp_proto::session::Action::Publish { first_seq: 1, messages: vec![publish] })
    );
    client.go_on();
    assert_eq!(client.published[0].1.body[..], b"2"[..]);
    assert_eq!(client.closed, Some(Ending::Disconnected));
}

#[test]
fn many_messages_are_one_batch_and_acknowledgements_another() {
    let (mut client, ids) = subscribed("client-individual", 50);
    let frames: String =
        ids.iter().map(|id| format!("ACK\nid:{id}\n\n\0SEND\ndestination:/topic/t\n\nx\0")).collect();
    client.say(&frames);
    assert_eq!(client.published.len(), 50);
    // The first acknowledgement, and all others.
    assert_eq!(client.settled.len(), 2);
}
