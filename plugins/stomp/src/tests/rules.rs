//! What the shell itself keeps: the order of bytes, limits, times, and goodbyes.

use std::{
    io::{Read, Write},
    net::Shutdown,
    time::Duration,
};

use kuzzle_plugin_api::{abi::LogLevel, sdk::serde_json::json};
use kuzzle_plugin_testing::FakeHost;
use kuzzle_stomp_proto::codec::Version;

use super::{Running, both_ways, raw::Client};
use crate::Stomp;

#[test]
fn a_client_may_send_byte_by_byte_or_all_at_once() {
    both_ways(&json!({}), |running| {
        let mut client = Client::connect(running);
        let said =
            "CONNECT\n\n\0\nSUBSCRIBE\ndestination: /queue/q\n\n\0\nSEND\ndestination: /queue/q\n\none\0\n";
        for byte in said.bytes() {
            client.socket.write_all(&[byte]).expect("it is written");
        }
        client.expect("CONNECTED");
        let message = client.expect("MESSAGE");
        assert_eq!(message.body()[..], b"one"[..]);
        assert_eq!(message.header("destination").as_deref(), Some("/queue/q"));
        let id = message.header("message-id").expect("an id");
        assert!(id.starts_with("Q_/queue/q@@session-") && id.ends_with("@@1"), "{id}");
        running.wait_for_status([1, 0, 0], 0);
        let many: String =
            (0..1_000).map(|number| format!("SEND\ndestination:/queue/q\n\n{number}\0")).collect();
        client.say(&many);
        for number in 0..1_000 {
            assert_eq!(client.message(), number.to_string().into_bytes());
        }
        client.close();
    });
}

#[test]
fn bodies_of_any_size_cross_both_ways() {
    both_ways(&json!({}), |running| {
        let mut client = Client::open(running, Version::V1_2, "0,0");
        client.subscribe("q", "auto");
        for size in [0, 1, 1_000, 65_535, 65_536, 3_000_000] {
            let body: Vec<u8> = (0..size).map(|index: usize| index as u8).collect();
            client.say(&format!("SEND\ndestination:/queue/q\ncontent-length:{size}\n\n"));
            client.socket.write_all(&body).expect("it is written");
            client.say("\0");
            let message = client.expect("MESSAGE");
            assert!(message.body()[..] == body[..], "a body of {size} octets has changed");
            let length = message.header("content-length").map(|length| length.into_owned());
            assert_eq!(length, (size > 0).then(|| size.to_string()));
        }
        client.close();
    });
}

#[test]
fn who_does_not_read_holds_messages_back_and_loses_none() {
    // More than the buffers of both sockets and the plugin hold.
    const MESSAGES: u32 = 20_000;
    const BODY: usize = 1_000;
    both_ways(&json!({ "output_max_bytes": 16_384 }), |running| {
        let mut client = Client::open(running, Version::V1_2, "0,0");
        client.subscribe("q", "auto");
        let body = |number: u32| format!("{number:0BODY$}").into_bytes();
        (0..MESSAGES).for_each(|number| assert_eq!(running.host.broker().publish("", "q", &body(number)), 1));
        let taken = || running.host.metric("stomp_messages_delivered_total");
        // Until nothing moves any more.
        let mut before = None;
        running.host.wait_for("the client's sockets to be full", |_| {
            std::thread::sleep(Duration::from_millis(200));
            (std::mem::replace(&mut before, taken()) == taken()).then_some(())
        });
        assert!(taken() < Some(MESSAGES.into()), "all of it was taken for a client that does not read");
        for number in 0..MESSAGES {
            assert!(client.message() == body(number), "message {number} is another one");
        }
        // The proxy carries counts with its next write.
        running.host.wait_for("all to be counted", |_| (taken() == Some(MESSAGES.into())).then_some(()));
        client.close();
    });
}

#[test]
fn who_acknowledges_nothing_gets_no_more_and_its_messages_go_back() {
    // More than are taken at a time, so that an answer would have to wait behind them.
    both_ways(&json!({ "unacknowledged_max": 10 }), |running| {
        let mut client = Client::open(running, Version::V1_2, "0,0");
        client.subscribe("q", "client");
        (0..100_u8).for_each(|number| assert_eq!(running.host.broker().publish("", "q", &[number]), 1));
        let ids: Vec<String> =
            (0..10).map(|_| client.expect("MESSAGE").header("ack").expect("an id").into_owned()).collect();
        client.say(&format!("ACK\nid:{}\nreceipt:ack\n\n\0", ids[4]));
        // Five more come, before the receipt or behind it.
        let mut more = 0;
        let mut told = false;
        while more < 5 || !told {
            let frame = client.frame().expect("a frame");
            match frame.command_text() {
                "MESSAGE" => more += 1,
                _ => told = true,
            }
        }
        assert_eq!(more, 5);
        client.socket.shutdown(Shutdown::Both).expect("it leaves");
        running.wait_for_nobody();
        assert_eq!(running.host.broker().messages("q").len(), 95);
    });
}

#[test]
fn publishers_wait_out_an_alarm() {
    both_ways(&json!({}), |running| {
        let broker = running.host.broker();
        let mut client = Client::open(running, Version::V1_2, "0,0");
        client.subscribe("q", "auto");
        broker.block("low on memory");
        // Consumers go on.
        broker.publish("", "q", b"meanwhile");
        assert_eq!(client.message(), b"meanwhile");
        for number in 1..=50 {
            client.say(&format!("SEND\ndestination:/queue/q\n\n{number}\0"));
        }
        // The proxy has room for so few by itself.
        if !running.is_proxied {
            running.wait_for_status([0, 0, 1], 1);
        }
        broker.unblock();
        for number in 1..=50 {
            assert_eq!(client.message(), number.to_string().into_bytes());
        }
        running.wait_for_status([0, 0, 1], 0);
        client.close();
    });
}

#[test]
fn who_never_reads_is_closed() {
    both_ways(&json!({ "output_max_bytes": 16_384, "write_timeout_secs": 1 }), |running| {
        let mut client = Client::open(running, Version::V1_2, "0,0");
        client.subscribe("q", "auto");
        for _ in 0..20_000 {
            running.host.broker().publish("", "q", &[b'x'; 1_000]);
        }
        running.wait_for_nobody();
        running.host.wait_for("it to be counted", |host| {
            (host.metric("stomp_slow_consumers_total") == Some(1)).then_some(())
        });
    });
}

#[test]
fn transactions_are_done_or_undone_as_a_whole() {
    both_ways(&json!({}), |running| {
        let mut client = Client::open(running, Version::V1_2, "0,0");
        client.subscribe("q", "client-individual");
        running.host.broker().publish("", "q", b"first");
        let id = client.expect("MESSAGE").header("ack").expect("an id").into_owned();
        let steps =
            format!("SEND\ndestination:/queue/r\ntransaction:t\n\nx\0ACK\nid:{id}\ntransaction:t\n\n\0");
        client.say(&format!("BEGIN\ntransaction:t\n\n\0{steps}ABORT\ntransaction:t\nreceipt:1\n\n\0"));
        client.receipt("1");
        assert_eq!(running.host.broker().unsettled("q"), 1);
        assert!(running.host.broker().messages("r").is_empty());
        client.say(&format!("BEGIN\ntransaction:t\n\n\0{steps}COMMIT\ntransaction:t\nreceipt:2\n\n\0"));
        client.receipt("2");
        assert_eq!(running.host.broker().unsettled("q"), 0);
        assert_eq!(running.host.broker().messages("r").len(), 1);
        client.close();
    });
}

#[test]
fn refusals_of_the_broker_are_told() {
    both_ways(&json!({}), |running| {
        let mut client = Client::open(running, Version::V1_0, "0,0");
        client.say("SEND\ndestination:/exchange/nope/k\n\nx\0");
        let (message, detail) = client.last_error();
        assert_eq!((&*message, &*detail), ("not_found", "NOT_FOUND - no exchange 'nope' in vhost '/'"));
        let mut client = Client::open(running, Version::V1_2, "0,0");
        client.say("SUBSCRIBE\nid:1\ndestination:/amq/queue/nope\n\n\0");
        let (message, detail) = client.last_error();
        assert_eq!((&*message, &*detail), ("not_found", "NOT_FOUND - no queue 'nope' in vhost '/'"));
    });
}

#[test]
fn a_wrong_password_is_told() {
    both_ways(&json!({}), |running| {
        let mut client = Client::connect(running);
        client.say("CONNECT\naccept-version:1.2\nhost:/\npasscode:wrong\n\n\0");
        let (message, detail) = client.last_error();
        assert_eq!((&*message, &*detail), ("Bad CONNECT", "Access refused for user 'guest'\n"));
        // In 1.0 a second try is heard.
        let mut client = Client::connect(running);
        client.say("CONNECT\npasscode:wrong\n\n\0");
        client.expect("ERROR");
        client.say("CONNECT\n\n\0");
        client.expect("CONNECTED");
        client.close();
    });
}

#[test]
fn connecting_and_frames_have_their_time() {
    let settings = json!({ "connect_timeout_secs": 1, "frame_timeout_secs": 1 });
    both_ways(&settings, |running| {
        let mut client = Client::connect(running);
        client.say("CONN");
        assert!(client.frame().is_none() || client.frame().is_none());
        let mut client = Client::open(running, Version::V1_2, "0,0");
        client.say("SEND\ndestination:/queue/q\ncontent-length:10\n\nhalf");
        let (message, detail) = client.last_error();
        assert_eq!((&*message, &*detail), ("Malformed frame", "A frame was not whole within 1 s\n"));
    });
}

#[test]
fn heart_beats_are_sent_and_wanted() {
    both_ways(&json!({ "heart_beat_min_millis": 200 }), |running| {
        let mut client = Client::open(running, Version::V1_2, "200,200");
        let mut beats = [0; 3];
        client.socket.read_exact(&mut beats).expect("three heart-beats");
        assert_eq!(beats, *b"\n\n\n");
        // It has said nothing itself.
        while client.frame().is_some() {}
        running.wait_for_nobody();
    });
}

#[test]
fn other_protocols_are_told_which_is_spoken() {
    both_ways(&json!({}), |running| {
        let mut client = Client::connect(running);
        client.say("GET / HTTP/1.1\r\nHost: here\r\nmore\r\n\r\n");
        let (message, detail) = client.last_error();
        assert_eq!(message, "Malformed frame");
        assert_eq!(detail, "a frame has a header line without a name and a colon\n");
        running
            .host
            .wait_for("a warning", |host| host.logs().into_iter().find(|line| line.level == LogLevel::Warn));
        assert!(running.host.broker().connections().is_empty());
    });
}

#[test]
fn who_has_said_all_and_closes_its_side_still_gets_the_receipt() {
    both_ways(&json!({}), |running| {
        let mut client = Client::connect(running);
        client.say("CONNECT\n\n\0SEND\ndestination:/queue/q\n\nx\0DISCONNECT\nreceipt:bye\n\n\0");
        client.socket.shutdown(Shutdown::Write).expect("it says no more");
        client.expect("CONNECTED");
        client.receipt("bye");
        assert!(client.frame().is_none());
        assert_eq!(running.host.broker().messages("q").len(), 1);
    });
}

#[test]
fn queues_for_answers_go_with_their_connection() {
    both_ways(&json!({}), |running| {
        let mut client = Client::open(running, Version::V1_2, "0,0");
        client.say("SEND\ndestination:/queue/ask\nreply-to:/temp-queue/mine\nreceipt:1\n\nx\0");
        client.receipt("1");
        let queues = running.host.broker().queues();
        let answers = queues.iter().find(|name| name.starts_with("stomp-temp-")).expect("a queue");
        running.host.broker().publish("", answers, b"answer");
        let message = client.expect("MESSAGE");
        assert_eq!(message.header("subscription").as_deref(), Some("/temp-queue/mine"));
        client.close();
        running.wait_for_nobody();
        assert_eq!(running.host.broker().queues(), ["ask"]);
    });
}

#[test]
fn an_operator_and_the_end_of_the_server_are_told() {
    for is_proxied in [false, true] {
        let running = Running::start(is_proxied, &json!({}));
        let mut client = Client::open(&running, Version::V1_2, "0,0");
        let [open] = &running.host.broker().connections()[..] else { panic!("one connection") };
        running.host.broker().close(open.id, "out of here");
        let (message, detail) = client.last_error();
        assert_eq!((&*message, &*detail), ("connection_forced", "CONNECTION_FORCED - out of here"));

        let mut client = Client::open(&running, Version::V1_0, "0,0");
        // One in the middle of its opening.
        let mut early = Client::connect(&running);
        early.say("SEND\n\n\0CONNECT\n");
        early.expect("ERROR");
        let Running { plugin, .. } = running;
        let stopping = std::thread::spawn(move || plugin.stop());
        let (message, detail) = client.last_error();
        let reason = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";
        assert_eq!((&*message, &*detail), ("connection_forced", reason));
        early.last_error();
        assert!(stopping.join().expect("it stops").clean);
    }
}

#[test]
fn a_host_without_a_broker_is_refused_at_the_start() {
    let host = FakeHost::new().without_service("broker").proxied(false);
    let refused = host.start::<Stomp>().err().expect("it does not start");
    assert_eq!(refused.status, 503);
    assert!(refused.message.contains("does not offer the service `broker`"), "{refused}");
}
