//! Publishing, consuming, acknowledging.

use super::{
    Bench,
    bench::secs,
    method::{basic, channel, queue},
};
use crate::{
    codec::{
        content::{Address, Content, ContentWriter},
        properties::Properties,
        table::{ArrayBuilder, TableBuilder, Value},
    },
    session::{Action, Limits, Operation, code},
};

const PUBLISH: (u16, u16) = (60, 40);

/// A channel with a queue of three messages.
fn three() -> Bench {
    let mut bench = Bench::channel();
    bench.declare(1, "q");
    for body in [b"1", b"2", b"3"] {
        bench.publish(1, "q", &Properties::default(), body);
    }
    bench
}

fn get(bench: &mut Bench, no_ack: bool) -> (basic::GetOk, Vec<u8>) {
    bench.send(1, basic::Get { queue: "q".into(), no_ack, ..Default::default() });
    (bench.expect(1), bench.content().1)
}

fn delivered(bench: &mut Bench) -> (basic::Deliver, Vec<u8>) {
    (bench.expect(1), bench.content().1)
}

#[test]
fn basic_get_and_get_empty() {
    let mut bench = three();
    let (got, body) = get(&mut bench, true);
    assert_eq!((got.delivery_tag, got.redelivered, got.message_count), (1, false, 2));
    assert_eq!((&got.exchange[..], &got.routing_key[..], &body[..]), ("", "q", &b"1"[..]));
    assert_eq!(get(&mut bench, true).0.delivery_tag, 2);
    get(&mut bench, false);
    bench.send(1, basic::Get { queue: "q".into(), ..Default::default() });
    bench.expect::<basic::GetEmpty>(1);
}

#[test]
fn basic_get_of_a_missing_queue_is_404() {
    let mut bench = Bench::channel();
    bench.send(1, basic::Get { queue: "nosuch".into(), ..Default::default() });
    bench.channel_error(1, 404, "NOT_FOUND - no queue 'nosuch' in vhost '/'", (60, 70));
}

#[test]
fn basic_publish_keeps_properties_and_splits_bodies() {
    let mut bench = Bench::channel();
    bench.declare(1, "q");
    let headers = TableBuilder::new().field("n", Value::I8(3)).field("v", Value::Void).build();
    let properties = Properties {
        headers: Some(headers.view()),
        correlation_id: Some(&[0xFF, 0]),
        delivery_mode: Some(2),
        timestamp: Some(7),
        ..Default::default()
    };
    let body: Vec<u8> = (0..300_000_u32).map(|index| (index >> 3) as u8).collect();
    bench.publish(1, "q", &properties, &body);
    bench.send(1, basic::Get { queue: "q".into(), no_ack: true, ..Default::default() });
    bench.expect::<basic::GetOk>(1);
    let sizes: Vec<usize> = bench.frames.iter().skip(1).map(|frame| frame.payload.parts().1.len()).collect();
    assert_eq!(sizes, [131_064, 131_064, 37_872]);
    let (raw, got) = bench.content();
    assert_eq!(Properties::parse(&raw), Ok(properties));
    assert_eq!(got, body);
}

#[test]
fn basic_publish_without_a_body() {
    let mut bench = Bench::channel();
    bench.declare(1, "q");
    bench.publish(1, "q", &Properties::default(), b"");
    let (_, body) = get(&mut bench, true);
    assert_eq!(body, b"");
    bench.silent();
}

#[test]
fn basic_publish_mandatory_and_unroutable_is_returned_before_the_confirm() {
    let mut bench = Bench::channel();
    bench.send(1, crate::codec::method::confirm::Select { nowait: false });
    bench.expect::<crate::codec::method::confirm::SelectOk>(1);
    bench.publish(1, "nowhere", &Properties { priority: Some(3), ..Default::default() }, b"x");
    let returned = bench.expect::<basic::Return>(1);
    assert_eq!((returned.reply_code, &returned.reply_text[..]), (312, "NO_ROUTE"));
    assert_eq!(&returned.routing_key[..], "nowhere");
    assert_eq!(bench.content().1, b"x");
    assert_eq!(bench.expect::<basic::Ack>(1).delivery_tag, 1);
}

#[test]
fn basic_publish_immediate_is_540_when_the_content_is_whole() {
    let mut bench = Bench::channel();
    bench.send(1, basic::Publish { immediate: true, ..Default::default() });
    bench.silent();
    bench.raw(&[2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xCE]);
    bench.connection_error(540, "NOT_IMPLEMENTED - immediate=true", PUBLISH);
}

#[test]
fn basic_publish_of_a_message_too_large_is_406_behind_its_body() {
    let limits = Limits { message_max_bytes: 1000, ..Limits::default() };
    let mut bench = Bench::open_with(limits, 0);
    bench.open_channel(1);
    bench.put_publish(1, "q", &Properties::default(), &[7; 1001]);
    let last = bench.input.split_off(bench.input.len() - 1);
    bench.run();
    bench.silent();
    bench.raw(&last);
    let text = "PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000";
    bench.channel_error(1, 406, text, PUBLISH);
    bench.publish(1, "nowhere", &Properties::default(), &[7; 1000]);
    bench.expect::<basic::Return>(1);
}

#[test]
fn basic_publish_of_unfinished_messages_is_limited() {
    let limits = Limits { assembling_max_bytes: 10_000, ..Limits::default() };
    let mut bench = Bench::open_with(limits, 0);
    for number in 1..=3 {
        bench.open_channel(number);
        let mut input = bytes::BytesMut::new();
        let mut writer = ContentWriter { out: &mut input, channel: number, frame_max: 4096 };
        let address = Address { exchange: "", routing_key: "q" };
        writer.publish(false, address, Content { properties: &[0, 0], body: &[7; 6000] });
        input.truncate(input.len() - (6000 - 4088) - 8);
        bench.raw(&input);
    }
    let text = "RESOURCE_ERROR - unfinished messages of this connection are larger than 10000";
    bench.connection_error(506, text, PUBLISH);
}

#[test]
fn basic_publish_with_properties_that_cannot_be_is_406() {
    let array = ArrayBuilder::new().value(Value::text("a")).value(Value::I32(1));
    let cc_text = TableBuilder::new().field("CC", Value::text("a")).build();
    let bcc_number = TableBuilder::new().field("BCC", Value::Array(array.view())).build();
    let none = Properties::default();
    for (properties, text) in [
        (
            Properties { user_id: Some(b"bob"), ..none },
            "user_id property set to 'bob' but authenticated user was 'guest'",
        ),
        (Properties { expiration: Some(b"abc"), ..none }, "invalid expiration 'abc': no_integer"),
        (Properties { expiration: Some(b""), ..none }, "invalid expiration '': no_integer"),
        (Properties { expiration: Some(b"-1"), ..none }, "invalid expiration '-1': {value_negative,-1}"),
        (
            Properties { expiration: Some(b"12x"), ..none },
            "invalid expiration '12x': {leftover_string,\"x\"}",
        ),
        (
            Properties { expiration: Some(b"4294967296"), ..none },
            "invalid expiration '4294967296': {value_too_big,4294967296}",
        ),
        (Properties { delivery_mode: Some(7), ..none }, "invalid message: {delivery_mode_unknown,7}"),
        (
            Properties { headers: Some(cc_text.view()), ..none },
            "invalid message: {unacceptable_type_in_header,\"CC\",longstr}",
        ),
        (
            Properties { headers: Some(bcc_number.view()), ..none },
            "invalid message: {unacceptable_type_in_header,\"BCC\",signedint}",
        ),
        (
            Properties { reply_to: Some(b"amq.rabbitmq.reply-to"), ..none },
            "fast reply consumer does not exist",
        ),
    ] {
        let mut bench = Bench::channel();
        bench.publish(1, "q", &properties, b"x");
        bench.channel_error(1, 406, &format!("PRECONDITION_FAILED - {text}"), PUBLISH);
    }
    let array = ArrayBuilder::new().value(Value::text("a"));
    let cc = TableBuilder::new().field("CC", Value::Array(array.view())).build();
    for properties in [
        Properties { user_id: Some(b"guest"), ..none },
        Properties { expiration: Some(b"0"), ..none },
        Properties { expiration: Some(b"4294967295"), ..none },
        Properties { delivery_mode: Some(1), ..none },
        Properties { headers: Some(cc.view()), ..none },
    ] {
        let mut bench = Bench::channel();
        bench.publish(1, "nowhere", &properties, b"x");
        bench.expect::<basic::Return>(1);
    }
}

#[test]
fn basic_publish_with_properties_that_cannot_be_read_is_501() {
    let mut bench = Bench::channel();
    bench.send(1, basic::Publish::default());
    bench.raw(&[2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0xCE]);
    bench.connection_error(501, "FRAME_ERROR - cannot decode <<128,0>>", PUBLISH);
}

#[test]
fn basic_publish_that_the_broker_refuses() {
    let missing = "NOT_FOUND - no exchange 'nope' in vhost '/'";
    let mut bench = Bench::channel();
    bench.broker.refuse_publish = Some((404, missing));
    bench.publish(1, "q", &Properties::default(), b"x");
    bench.channel_error(1, 404, missing, PUBLISH);
}

#[test]
fn basic_publishes_of_one_read_are_one_batch() {
    let mut bench = three();
    bench.consume(1, "q", "t");
    bench.broker.actions.clear();
    for tag in 1..=3 {
        bench.put_publish(1, "q", &Properties::default(), b"x");
        let ack = basic::Ack { delivery_tag: tag, multiple: false };
        super::method::Method::from(ack).encode(1, &mut bench.input);
    }
    bench.run();
    let [Action::Publish { first_seq: 4, messages, .. }, Action::Settle { op: 0, settlements, .. }] =
        &bench.broker.actions[..]
    else {
        panic!("{:?}", bench.broker.actions)
    };
    assert_eq!((messages.len(), settlements.len()), (3, 3));
}

#[test]
fn basic_consume_delivers_and_counts_tags_with_get() {
    let mut bench = three();
    get(&mut bench, true);
    bench.consume(1, "q", "t");
    let (first, body) = delivered(&mut bench);
    assert_eq!((&first.consumer_tag[..], first.delivery_tag, &body[..]), ("t", 2, &b"2"[..]));
    assert_eq!(delivered(&mut bench).0.delivery_tag, 3);
    bench.send(1, basic::Ack { delivery_tag: 0, multiple: true });
    bench.send(1, basic::Ack { delivery_tag: 0, multiple: true });
    bench.silent();
    bench.send(1, channel::Close::default());
    bench.session.quiesced(bench.link(), bench.now);
    bench.run();
    assert_eq!(bench.broker.ready("q"), 0);
}

#[test]
fn basic_consume_makes_up_tags() {
    let mut bench = three();
    let mut tags = Vec::new();
    for _ in 0..2 {
        bench.send(1, basic::Consume { queue: "q".into(), ..Default::default() });
        while tags.len() < 2 {
            if let super::method::Method::BasicConsumeOk(ok) = bench.next_method().expect("an answer").1 {
                tags.push(ok.consumer_tag.to_string());
                break;
            }
        }
        bench.frames.clear();
    }
    assert!(tags[0].starts_with("amq.ctag-") && tags[0].len() == 31, "{tags:?}");
    assert_ne!(tags[0], tags[1]);
}

#[test]
fn basic_consume_with_a_tag_in_use_is_530() {
    let mut bench = Bench::channel();
    bench.declare(1, "q");
    bench.consume(1, "q", "t1");
    bench.send(1, basic::Consume { queue: "q".into(), consumer_tag: "t1".into(), ..Default::default() });
    bench.connection_error(530, "NOT_ALLOWED - attempt to reuse consumer tag 't1'", (60, 20));
}

#[test]
fn basic_consume_beyond_the_limit_is_530() {
    let mut bench = Bench::open_with(Limits { consumers_max: 2, ..Limits::default() }, 0);
    bench.open_channel(1);
    bench.declare(1, "q");
    bench.consume(1, "q", "a");
    bench.consume(1, "q", "b");
    bench.send(1, basic::Consume { queue: "q".into(), ..Default::default() });
    bench.connection_error(530, "NOT_ALLOWED - channel 1 has reached the limit of 2 consumers", (60, 20));
}

#[test]
fn basic_consume_that_the_broker_refuses() {
    for (code, text) in [
        (404, "NOT_FOUND - no queue 'x' in vhost '/'"),
        (403, "ACCESS_REFUSED - queue 'c1' in vhost '/' in exclusive use"),
    ] {
        let mut bench = Bench::channel();
        bench.broker.refuse = Some((code, text));
        bench.send(1, basic::Consume { queue: "x".into(), nowait: true, ..Default::default() });
        bench.channel_error(1, code, text, (60, 20));
    }
}

#[test]
fn basic_qos_limits_each_consumer_that_starts_later() {
    let mut bench = three();
    bench.send(1, basic::Qos { prefetch_count: 1, ..Default::default() });
    bench.expect::<basic::QosOk>(1);
    bench.consume(1, "q", "t");
    assert_eq!(delivered(&mut bench).1, b"1");
    bench.silent();
    bench.send(1, basic::Ack { delivery_tag: 1, multiple: false });
    assert_eq!(delivered(&mut bench).1, b"2");
    bench.silent();
}

#[test]
fn basic_qos_global_is_the_brokers() {
    let mut bench = Bench::channel();
    bench.send(1, basic::Qos { prefetch_count: 4, global: true, ..Default::default() });
    bench.expect::<basic::QosOk>(1);
    let last = bench.broker.actions.last();
    assert!(matches!(last, Some(Action::Call { operation: Operation::Credit { count: 4 }, .. })), "{last:?}");
}

#[test]
fn basic_qos_in_octets_is_540() {
    let mut bench = Bench::channel();
    bench.send(1, basic::Qos { prefetch_size: 10, ..Default::default() });
    bench.connection_error(540, "NOT_IMPLEMENTED - prefetch_size!=0 (10)", (60, 10));
}

#[test]
fn basic_ack_nack_and_reject_of_unknown_tags_are_406() {
    let mut bench = three();
    bench.send(1, basic::Ack { delivery_tag: 99, multiple: false });
    bench.channel_error(1, 406, "PRECONDITION_FAILED - unknown delivery tag 99", (60, 80));
    bench.send(1, basic::Ack { delivery_tag: 0, multiple: false });
    bench.channel_error(1, 406, "PRECONDITION_FAILED - unknown delivery tag 0", (60, 80));
    bench.send(1, basic::Nack { delivery_tag: 5, multiple: true, requeue: true });
    bench.channel_error(1, 406, "PRECONDITION_FAILED - unknown delivery tag 5", (60, 120));
    bench.send(1, basic::Reject { delivery_tag: 5, requeue: true });
    bench.channel_error(1, 406, "PRECONDITION_FAILED - unknown delivery tag 5", (60, 90));
    get(&mut bench, false);
    bench.send(1, basic::Ack { delivery_tag: 1, multiple: false });
    bench.send(1, basic::Ack { delivery_tag: 1, multiple: false });
    bench.channel_error(1, 406, "PRECONDITION_FAILED - unknown delivery tag 1", (60, 80));
}

#[test]
fn basic_reject_and_nack_requeue_to_the_place_before() {
    let mut bench = three();
    get(&mut bench, false);
    get(&mut bench, false);
    bench.send(1, basic::Reject { delivery_tag: 2, requeue: true });
    bench.send(1, basic::Nack { delivery_tag: 1, multiple: false, requeue: true });
    let (got, body) = get(&mut bench, true);
    assert_eq!((got.delivery_tag, got.redelivered, &body[..]), (3, true, &b"1"[..]));
    assert_eq!(get(&mut bench, false).1, b"2");
    assert!(!get(&mut bench, false).0.redelivered);
    bench.send(1, basic::Nack { delivery_tag: 5, multiple: true, requeue: false });
    assert_eq!(bench.broker.ready("q"), 0);
}

#[test]
fn basic_ack_multiple_in_any_order() {
    let mut bench = three();
    bench.consume(1, "q", "t");
    bench.frames.clear();
    bench.send(1, basic::Ack { delivery_tag: 2, multiple: false });
    bench.send(1, basic::Ack { delivery_tag: 3, multiple: true });
    bench.send(1, basic::Ack { delivery_tag: 1, multiple: false });
    bench.channel_error(1, 406, "PRECONDITION_FAILED - unknown delivery tag 1", (60, 80));
    assert_eq!(bench.broker.ready("q"), 0);
}

#[test]
fn basic_recover_delivers_again() {
    let mut bench = three();
    get(&mut bench, false);
    bench.consume(1, "q", "t");
    bench.frames.clear();
    bench.send(1, basic::Recover { requeue: true });
    bench.expect::<basic::RecoverOk>(1);
    for (tag, body) in [(4, b"1"), (5, b"2"), (6, b"3")] {
        let (deliver, got) = delivered(&mut bench);
        assert_eq!((deliver.delivery_tag, deliver.redelivered, &got[..]), (tag, true, &body[..]));
    }
    bench.send(1, basic::Ack { delivery_tag: 3, multiple: false });
    bench.channel_error(1, 406, "PRECONDITION_FAILED - unknown delivery tag 3", (60, 80));
}

#[test]
fn basic_recover_async_is_not_answered() {
    let mut bench = three();
    get(&mut bench, false);
    bench.send(1, basic::RecoverAsync { requeue: true });
    bench.silent();
    assert_eq!(bench.broker.ready("q"), 3);
    bench.send(1, basic::Recover { requeue: true });
    bench.expect::<basic::RecoverOk>(1);
    bench.send(1, basic::Recover { requeue: false });
    bench.connection_error(540, "NOT_IMPLEMENTED - requeue=false", (60, 110));
}

#[test]
fn basic_cancel_ends_the_consumer_and_leaves_its_deliveries() {
    let mut bench = three();
    bench.consume(1, "q", "t");
    bench.frames.clear();
    bench.send(1, basic::Cancel { consumer_tag: "t".into(), nowait: false });
    assert_eq!(&bench.expect::<basic::CancelOk>(1).consumer_tag[..], "t");
    bench.publish(1, "q", &Properties::default(), b"4");
    bench.silent();
    bench.send(1, basic::Ack { delivery_tag: 3, multiple: true });
    bench.send(1, basic::Cancel { consumer_tag: "t".into(), nowait: false });
    bench.expect::<basic::CancelOk>(1);
    bench.consume(1, "q", "t");
    assert_eq!(delivered(&mut bench).1, b"4");
}

#[test]
fn basic_cancel_of_the_server_is_told_to_those_who_understand() {
    let mut bench = three();
    bench.consume(1, "q", "t");
    bench.frames.clear();
    bench.broker.drop_queue("q");
    bench.run();
    let cancel = bench.expect::<basic::Cancel>(1);
    assert_eq!((&cancel.consumer_tag[..], cancel.nowait), ("t", true));
    bench.send(1, basic::Cancel { consumer_tag: "t".into(), nowait: false });
    bench.expect::<basic::CancelOk>(1);
}

#[test]
fn basic_consume_of_direct_replies() {
    let reply_to = "amq.rabbitmq.reply-to";
    let consume = |no_ack| basic::Consume { queue: reply_to.into(), no_ack, ..Default::default() };
    let mut bench = Bench::channel();
    bench.send(1, consume(false));
    bench.channel_error(1, 406, "PRECONDITION_FAILED - reply consumer cannot acknowledge", (60, 20));
    bench.send(1, consume(true));
    let tag = bench.expect::<basic::ConsumeOk>(1).consumer_tag;
    let properties = Properties { reply_to: Some(reply_to.as_bytes()), ..Default::default() };
    bench.publish(1, "nowhere", &properties, b"x");
    bench.expect::<basic::Return>(1);
    bench.content();
    bench.send(1, basic::Cancel { consumer_tag: tag, nowait: true });
    bench.send(1, consume(true));
    bench.expect::<basic::ConsumeOk>(1);
    bench.send(1, consume(true));
    bench.channel_error(1, 406, "PRECONDITION_FAILED - reply consumer already set", (60, 20));
}

#[test]
fn basic_deliver_of_a_consumer_that_has_gone_is_requeued() {
    let mut bench = three();
    bench.hold = true;
    bench.send(1, basic::Consume { queue: "q".into(), consumer_tag: "t".into(), ..Default::default() });
    bench.broker.drop_queue("q");
    bench.hold = false;
    // The consumer's end comes behind three deliveries here; one more comes behind its end.
    bench.run();
    bench.frames.clear();
    let message = crate::session::Message { exchange: "", routing_key: "q", properties: &[], body: b"" };
    let event = crate::session::LinkEvent::Delivery {
        consumer: 1,
        delivery: 4,
        redelivered: false,
        settled: false,
        message,
    };
    bench.session.link_event(bench.link(), event, bench.now);
    let action = bench.session.poll_action();
    assert!(matches!(action, Some(Action::Settle { .. })), "{action:?}");
    bench.silent();
}

#[test]
fn no_properties_are_written_as_empty_flags() {
    let mut bench = Bench::channel();
    bench.declare(1, "q");
    bench.send(1, basic::Consume { queue: "q".into(), no_ack: true, ..Default::default() });
    bench.expect::<basic::ConsumeOk>(1);
    let message = crate::session::Message { exchange: "e", routing_key: "k", properties: &[], body: b"x" };
    let event = crate::session::LinkEvent::Delivery {
        consumer: 1,
        delivery: 1,
        redelivered: true,
        settled: true,
        message,
    };
    bench.session.link_event(bench.link(), event, bench.now);
    bench.run();
    assert!(bench.expect::<basic::Deliver>(1).redelivered);
    assert_eq!(&bench.content().0[..], [0, 0]);
}

#[test]
fn answers_out_of_turn_are_541() {
    let mut bench = Bench::channel();
    bench.hold = true;
    bench.send(1, queue::Purge { queue: "q".into(), ..Default::default() });
    let event =
        crate::session::LinkEvent::Answer { op: 77, code: code::OK, text: "", messages: 0, consumers: 0 };
    bench.session.link_event(bench.link(), event, bench.now);
    bench.run();
    bench.connection_error(541, "INTERNAL_ERROR - operation 77 was answered out of turn", (0, 0));
}

#[test]
fn what_is_unacknowledged_goes_back_as_soon_as_the_connection_fails() {
    let mut bench = three();
    get(&mut bench, false);
    bench.send(1, basic::Qos { prefetch_size: 1, ..Default::default() });
    assert_eq!(bench.broker.ready("q"), 3);
    bench.connection_error(540, "NOT_IMPLEMENTED - prefetch_size!=0 (1)", (60, 10));
}

/// A channel that may wait eight minutes for an acknowledgement, with a consumer of `q`.
fn patient() -> Bench {
    let limits = Limits { acknowledgement_timeout: secs(480), ..Limits::default() };
    let mut bench = Bench::open_with(limits, 0);
    bench.open_channel(1);
    bench.declare(1, "q");
    bench.consume(1, "q", "c");
    bench
}

#[test]
fn basic_ack_that_does_not_come_in_time_is_406() {
    let mut bench = patient();
    bench.publish(1, "q", &Properties::default(), b"kept");
    delivered(&mut bench);
    bench.wait(secs(470));
    bench.silent();
    bench.wait(secs(75));
    let text = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 480000 ms. \
                The setting is acknowledgement_timeout_secs";
    bench.channel_error(1, 406, text, (0, 0));
    // Others may have it now.
    let (got, body) = get(&mut bench, true);
    assert_eq!((got.redelivered, &body[..]), (true, &b"kept"[..]));
}

#[test]
fn basic_ack_in_time_keeps_a_channel_for_ever() {
    let mut bench = patient();
    for turn in 1..200 {
        bench.publish(1, "q", &Properties::default(), b"one");
        bench.publish(1, "q", &Properties::default(), b"two");
        delivered(&mut bench);
        delivered(&mut bench);
        // One of the two is always there, and never the same for long.
        bench.wait(secs(400));
        let tag = turn * 2 - 1;
        bench.send(1, basic::Ack { delivery_tag: tag, multiple: true });
        bench.wait(secs(30));
        bench.send(1, basic::Ack { delivery_tag: tag + 1, multiple: false });
    }
    bench.wait(secs(10_000));
    bench.silent();
}

#[test]
fn basic_ack_may_be_waited_for_without_an_end() {
    let limits = Limits { acknowledgement_timeout: secs(0), ..Limits::default() };
    let mut bench = Bench::open_with(limits, 0);
    bench.open_channel(1);
    bench.declare(1, "q");
    bench.publish(1, "q", &Properties::default(), b"kept");
    get(&mut bench, false);
    bench.wait(secs(1_000_000));
    bench.send(1, basic::Ack { delivery_tag: 1, multiple: false });
    bench.silent();
}
