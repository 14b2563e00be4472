//! What the shell itself keeps: the order of bytes, limits, times, and goodbyes.

use std::{
    io::{Read, Write},
    net::Shutdown,
    time::{Duration, Instant},
};

use kuzzle_amqp_proto::codec::{
    frame::{Frame, PROTOCOL_HEADER, Payload},
    method::{Method, channel, connection},
};
use kuzzle_plugin_api::{abi::LogLevel, sdk::serde_json::json};
use kuzzle_plugin_testing::FakeHost;

use super::{Running, both_ways, raw::Client};
use crate::Amqp;

#[test]
fn a_client_may_send_byte_by_byte_or_all_at_once() {
    both_ways(&json!({}), |running| {
        let mut client = Client::connect(running);
        client.say_open(0, "guest");
        client.say_consume("q", true);
        client.publish("q", b"one");
        for byte in client.take_written() {
            client.socket.write_all(&[byte]).expect("it is written");
        }
        client.expect_open();
        client.expect_consumer();
        assert_eq!(client.delivery(), b"one");
        let bodies: Vec<_> = (0..1_000_u32).map(u32::to_be_bytes).collect();
        bodies.iter().for_each(|body| client.publish("q", body));
        client.send();
        for body in bodies {
            assert_eq!(client.delivery(), body);
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
        let mut client = Client::open(running, 0);
        client.say_consume("q", true);
        client.send();
        client.expect_consumer();
        let body = |number: u32| {
            let mut body = vec![0; BODY];
            body[..4].copy_from_slice(&number.to_be_bytes());
            body
        };
        (0..MESSAGES).for_each(|number| assert_eq!(running.host.broker().publish("", "q", &body(number)), 1));
        let taken = || running.host.metric("amqp_messages_delivered_total");
        // Until nothing moves any more.
        let mut before = None;
        running.host.wait_for("the client's sockets to be full", |_| {
            std::thread::sleep(Duration::from_millis(200));
            (std::mem::replace(&mut before, taken()) == taken()).then_some(())
        });
        assert!(taken() < Some(MESSAGES.into()), "all of it was taken for a client that does not read");
        for number in 0..MESSAGES {
            assert_eq!(client.delivery(), body(number));
        }
        // The proxy carries counts with its next write.
        running.host.wait_for("all to be counted", |_| (taken() == Some(MESSAGES.into())).then_some(()));
        client.close();
    });
}

#[test]
fn publishers_wait_out_an_alarm() {
    both_ways(&json!({}), |running| {
        let broker = running.host.broker();
        let mut client = Client::open(running, 0);
        client.say_consume("q", true);
        client.publish("q", &0_u32.to_be_bytes());
        client.send();
        client.expect_consumer();
        assert_eq!(client.delivery(), 0_u32.to_be_bytes());
        broker.block("low on memory");
        let (0, Method::ConnectionBlocked(blocked)) = client.method() else { panic!("an alarm") };
        assert_eq!(&blocked.reason[..], "low on memory");
        // Consumers go on.
        broker.publish("", "q", b"meanwhile");
        assert_eq!(client.delivery(), b"meanwhile");
        for number in 1..=50_u32 {
            client.publish("q", &number.to_be_bytes());
            client.send();
        }
        // The proxy has room for so few by itself.
        if !running.is_proxied {
            running.wait_for_status(1, 1);
        }
        broker.unblock();
        assert!(matches!(client.method(), (0, Method::ConnectionUnblocked(_))));
        for number in 1..=50_u32 {
            assert_eq!(client.delivery(), number.to_be_bytes());
        }
        running.wait_for_status(1, 0);
        client.close();
    });
}

#[test]
fn who_never_reads_is_closed() {
    both_ways(&json!({ "output_max_bytes": 16_384, "write_timeout_secs": 1 }), |running| {
        let mut client = Client::open(running, 0);
        client.say_consume("q", true);
        client.send();
        client.expect_consumer();
        for _ in 0..20_000 {
            running.host.broker().publish("", "q", &[0; 1_000]);
        }
        running.wait_for_nobody();
        running.host.wait_for("it to be counted", |host| {
            (host.metric("amqp_slow_consumers_total") == Some(1)).then_some(())
        });
    });
}

#[test]
fn other_protocols_are_told_which_is_spoken() {
    both_ways(&json!({}), |running| {
        let mut client = Client::connect(running);
        client.socket.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it is written");
        let mut said = Vec::new();
        client.socket.read_to_end(&mut said).expect("it closes in order");
        assert_eq!(said, PROTOCOL_HEADER);
        let line = running
            .host
            .wait_for("a warning", |host| host.logs().into_iter().find(|line| line.level == LogLevel::Warn));
        assert!(line.fields.to_string().contains("does not speak AMQP"), "{line:?}");
        assert!(running.host.broker().connections().is_empty());
    });
}

#[test]
fn a_wrong_password_is_answered_with_silence_after_a_while() {
    both_ways(&json!({ "refusal_delay_millis": 300 }), |running| {
        let mut client = Client::connect(running);
        let started = Instant::now();
        client.say_open(0, "wrong");
        client.send();
        assert!(matches!(client.method(), (0, Method::ConnectionStart(_))));
        assert_eq!(client.frame(), None);
        assert!(started.elapsed() >= Duration::from_millis(300));
    });
}

#[test]
fn a_handshake_has_to_come_in_time() {
    both_ways(&json!({ "handshake_timeout_secs": 1 }), |running| {
        let mut client = Client::connect(running);
        client.socket.write_all(&PROTOCOL_HEADER[..5]).expect("it is written");
        assert_eq!(client.frame(), None);
    });
}

#[test]
fn heartbeats_are_sent_and_wanted() {
    both_ways(&json!({}), |running| {
        let mut client = Client::open(running, 1);
        for _ in 0..3 {
            assert_eq!(client.frame(), Some(Frame { channel: 0, payload: Payload::Heartbeat }));
        }
        // It has said nothing itself.
        while client.frame().is_some() {}
        running.wait_for_nobody();
    });
}

#[test]
fn a_client_that_leaves_takes_its_consumers_along() {
    both_ways(&json!({}), |running| {
        let mut client = Client::open(running, 0);
        client.say_consume("q", false);
        client.send();
        client.expect_consumer();
        running.host.broker().publish("", "q", b"one");
        assert_eq!(client.delivery(), b"one");
        assert_eq!(running.host.broker().unsettled("q"), 1);
        client.socket.shutdown(Shutdown::Both).expect("it leaves");
        running.wait_for_nobody();
        assert_eq!(running.host.broker().messages("q").len(), 1);
        running.wait_for_status(0, 0);
    });
}

#[test]
fn channels_come_and_go() {
    both_ways(&json!({}), |running| {
        let mut client = Client::open(running, 0);
        for number in 2..=10 {
            client.say(number, channel::Open::default());
        }
        client.send();
        for number in 2..=10 {
            assert!(matches!(client.method(), (from, Method::ChannelOpenOk(_)) if from == number));
        }
        running.wait_for_status(10, 0);
        for number in (1..=9).rev() {
            client.say(number, channel::Close { reply_code: 200, ..channel::Close::default() });
        }
        client.send();
        for number in (1..=9).rev() {
            assert!(matches!(client.method(), (from, Method::ChannelCloseOk(_)) if from == number));
        }
        running.wait_for_status(1, 0);
        client.close();
    });
}

#[test]
fn an_operator_and_the_end_of_the_server_are_told() {
    for is_proxied in [false, true] {
        let host = FakeHost::new().proxied(is_proxied);
        let plugin = host.start::<Amqp>().expect("it starts");
        let running = Running { is_proxied, host, plugin };
        let mut client = Client::open(&running, 0);
        let [open] = &running.host.broker().connections()[..] else { panic!("one connection") };
        running.host.broker().close(open.id, "out of here");
        let (0, Method::ConnectionClose(close)) = client.method() else { panic!("a goodbye") };
        assert_eq!((close.reply_code, &close.reply_text[..]), (320, "CONNECTION_FORCED - out of here"));
        client.say(0, connection::CloseOk {});
        client.send();
        assert_eq!(client.frame(), None);

        let mut client = Client::open(&running, 0);
        // One in the middle of its handshake, and one that will not agree to the end.
        let mut early = Client::connect(&running);
        early.socket.write_all(&PROTOCOL_HEADER).expect("it is written");
        assert!(matches!(early.method(), (0, Method::ConnectionStart(_))));
        let mut stubborn = Client::open(&running, 0);
        let Running { plugin, .. } = running;
        let stopping = std::thread::spawn(move || plugin.stop());
        let (0, Method::ConnectionClose(close)) = client.method() else { panic!("a goodbye") };
        let reason = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";
        assert_eq!((close.reply_code, &close.reply_text[..]), (320, reason));
        client.say(0, connection::CloseOk {});
        client.send();
        assert_eq!(client.frame(), None);
        assert_eq!(early.frame(), None);
        assert!(matches!(stubborn.method(), (0, Method::ConnectionClose(_))));
        assert_eq!(stubborn.frame(), None);
        assert!(stopping.join().expect("it stops").clean);
    }
}

#[test]
fn a_host_without_a_broker_is_refused_at_the_start() {
    let host = FakeHost::new().without_service("broker").proxied(false);
    let refused = host.start::<Amqp>().err().expect("it does not start");
    assert_eq!(refused.status, 503);
    assert!(refused.message.contains("does not offer the service `broker`"), "{refused}");
}
