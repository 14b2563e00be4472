//! Opening, closing and what ends a connection.

use bytes::Bytes;

use super::{
    Bench,
    bench::{capable, secs},
    method::{Method, basic, channel, connection, queue},
};
use crate::{
    codec::{
        frame,
        properties::Properties,
        table::{Table, TableBuilder, Value},
    },
    session::{Action, ConnectionEvent, Ending, Limits},
};

fn start_ok(mechanism: &str, response: &'static [u8]) -> connection::StartOk {
    connection::StartOk {
        client_properties: capable(),
        mechanism: mechanism.into(),
        response: Bytes::from_static(response),
        locale: "de_AT".into(),
    }
}

#[test]
fn connection_start_offers_what_clients_look_for() {
    let mut bench = Bench::new(Limits::default());
    bench.raw(&frame::PROTOCOL_HEADER);
    let start = bench.expect::<connection::Start>(0);
    assert_eq!((start.version_major, start.version_minor), (0, 9));
    assert_eq!((&start.mechanisms[..], &start.locales[..]), (&b"AMQPLAIN PLAIN"[..], &b"en_US"[..]));
    let Some(Value::Table(capabilities)) = start.server_properties.get("capabilities") else { panic!() };
    for name in [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "consumer_priorities",
        "authentication_failure_close",
        "per_consumer_qos",
        "direct_reply_to",
    ] {
        assert_eq!(capabilities.get(name), Some(Value::Bool(true)), "{name}");
    }
    assert!(matches!(start.server_properties.get("product"), Some(Value::LongString(_))));
}

#[test]
fn the_draft_header_is_taken_as_well() {
    let mut bench = Bench::new(Limits::default());
    bench.raw(&frame::PROTOCOL_HEADER_DRAFT);
    bench.expect::<connection::Start>(0);
}

#[test]
fn other_headers_get_the_right_one() {
    for header in [b"AMQP\0\0\x08\0", b"AMQP\0\0\x09\0", b"AMQP\0\x01\0\0", b"AMQP\x03\x01\0\0", b"GET / HT"]
    {
        let mut bench = Bench::new(Limits::default());
        bench.raw(header);
        assert_eq!(bench.bytes(), &frame::PROTOCOL_HEADER[..]);
        assert_eq!(bench.broker.ended, Some(Ending::Protocol));
    }
}

#[test]
fn each_step_of_the_opening_has_its_time() {
    let mut bench = Bench::new(Limits::default());
    bench.raw(b"AMQP");
    bench.wait(secs(9));
    assert_eq!(bench.broker.ended, None);
    bench.wait(secs(1));
    assert_eq!(bench.broker.ended, Some(Ending::HandshakeTimeout));

    let mut bench = Bench::new(Limits::default());
    bench.start(capable());
    bench.session.authenticated(Some("guest"), bench.now);
    bench.run();
    bench.wait(secs(10));
    assert_eq!(bench.broker.ended, Some(Ending::HandshakeTimeout));
}

#[test]
fn connection_start_ok_plain_and_amqplain_and_anonymous() {
    let anonymous = Limits { anonymous: true, ..Limits::default() };
    for (mechanism, response, credentials) in [
        ("PLAIN", &b"\0guest\0guest"[..], ("PLAIN", &b"\0guest\0guest"[..])),
        ("AMQPLAIN", b"\x05LOGINS\0\0\0\x03bob\x08PASSWORDS\0\0\0\x02pw", ("PLAIN", b"\0bob\0pw")),
        ("ANONYMOUS", b"whoever", ("ANONYMOUS", b"")),
    ] {
        let mut bench = Bench::new(anonymous.clone());
        bench.raw(&frame::PROTOCOL_HEADER);
        assert_eq!(&bench.expect::<connection::Start>(0).mechanisms[..], b"AMQPLAIN PLAIN ANONYMOUS");
        bench.send(0, start_ok(mechanism, response));
        let (mechanism, response) = bench.broker.authenticating.take().expect("it is asked who this is");
        assert_eq!((mechanism, &response[..]), credentials);
    }
}

#[test]
fn connection_start_ok_that_is_malformed_is_met_with_silence() {
    for (mechanism, response) in [
        ("PLAIN", &b"guest\0guest"[..]),
        ("PLAIN", b"\0guest"),
        ("PLAIN", b""),
        ("AMQPLAIN", b"\x05LOGINS\0\0\0\x03bob"),
        ("AMQPLAIN", b"nonsense"),
        ("EXTERNAL", b""),
        ("ANONYMOUS", b""),
    ] {
        let mut bench = Bench::new(Limits::default());
        bench.raw(&frame::PROTOCOL_HEADER);
        bench.expect::<connection::Start>(0);
        bench.send(0, start_ok(mechanism, response));
        assert_eq!(bench.broker.authenticating, None);
        bench.refused();
    }
}

#[test]
fn connection_start_ok_with_a_wrong_password_is_403_when_the_client_understands() {
    let mut bench = Bench::new(Limits::default());
    bench.start(capable());
    bench.session.authenticated(None, bench.now);
    bench.run();
    bench.connection_error(
        403,
        "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.",
        (0, 0),
    );

    let mut bench = Bench::new(Limits::default());
    bench.start(Table::new());
    bench.session.authenticated(None, bench.now);
    bench.run();
    bench.refused();
}

#[test]
fn methods_out_of_order_in_the_opening_are_met_with_silence() {
    let mut bench = Bench::new(Limits::default());
    bench.raw(&frame::PROTOCOL_HEADER);
    bench.expect::<connection::Start>(0);
    bench.send(0, connection::Open::default());
    bench.refused();

    let mut bench = Bench::new(Limits::default());
    bench.raw(&frame::PROTOCOL_HEADER);
    bench.expect::<connection::Start>(0);
    bench.send(1, channel::Open::default());
    bench.refused();

    let mut bench = Bench::new(Limits::default());
    bench.raw(&frame::PROTOCOL_HEADER);
    bench.expect::<connection::Start>(0);
    bench.raw(&[1, 0, 0, 0, 0, 0, 0, 0]);
    bench.refused();
}

#[test]
fn connection_tune_ok_out_of_range_is_met_with_silence() {
    for (channel_max, frame_max) in [(0, 131_072), (2048, 131_072), (9, 0), (9, 4095), (9, 131_073)] {
        let mut bench = Bench::new(Limits::default());
        bench.start(capable());
        bench.session.authenticated(Some("guest"), bench.now);
        bench.run();
        let tune = bench.expect::<connection::Tune>(0);
        assert_eq!((tune.channel_max, tune.frame_max, tune.heartbeat), (2047, 131_072, 60));
        bench.send(0, connection::TuneOk { channel_max, frame_max, heartbeat: 0 });
        bench.refused();
    }
}

#[test]
fn connection_tune_ok_with_small_frames_splits_bodies() {
    let mut bench = Bench::new(Limits::default());
    bench.start(capable());
    bench.session.authenticated(Some("guest"), bench.now);
    bench.run();
    bench.expect::<connection::Tune>(0);
    bench.send(0, connection::TuneOk { channel_max: 1, frame_max: 4096, heartbeat: 0 });
    bench.send(0, connection::Open { virtual_host: "/".into(), insist: true, ..Default::default() });
    bench.session.entered(None, bench.now);
    bench.run();
    bench.expect::<connection::OpenOk>(0);
    bench.open_channel(1);
    bench.declare(1, "q");
    let body: Vec<u8> = (0..10_000_u32).map(|index| index as u8).collect();
    bench.send(1, basic::Publish { routing_key: "q".into(), ..Default::default() });
    let mut header = vec![2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0];
    header.extend_from_slice(&10_000_u64.to_be_bytes());
    header.extend_from_slice(&[0, 0, 0xCE]);
    bench.raw(&header);
    for part in body.chunks(4088) {
        let mut frame = vec![3, 0, 1, 0, 0];
        frame.extend_from_slice(&(part.len() as u16).to_be_bytes());
        frame.extend_from_slice(part);
        frame.push(0xCE);
        bench.raw(&frame);
    }
    assert_eq!(bench.broker.ready("q"), 1);
    bench.send(1, basic::Get { queue: "q".into(), no_ack: true, ..Default::default() });
    bench.expect::<basic::GetOk>(1);
    assert_eq!(bench.frames.len(), 4);
    assert_eq!(bench.content().1, body);
}

#[test]
fn connection_open_of_a_virtual_host_that_is_not_there_is_530() {
    for text in ["NOT_ALLOWED - vhost /nope not found", "530 NOT_ALLOWED - vhost /nope not found"] {
        let mut bench = Bench::new(Limits::default());
        bench.start(capable());
        bench.session.authenticated(Some("guest"), bench.now);
        bench.run();
        bench.expect::<connection::Tune>(0);
        bench.send(0, connection::TuneOk { channel_max: 9, frame_max: 4096, heartbeat: 0 });
        bench.send(0, connection::Open { virtual_host: "/nope".into(), ..Default::default() });
        assert_eq!(bench.broker.entering.as_deref(), Some("/nope"));
        bench.session.entered(Some(text), bench.now);
        bench.run();
        bench.connection_error(530, "NOT_ALLOWED - vhost /nope not found", (10, 40));
    }
}

#[test]
fn connection_open_names_the_client() {
    let mut bench = Bench::new(Limits::default());
    let properties = TableBuilder::new().field("connection_name", Value::text("mine")).build();
    bench.start(properties.clone());
    bench.session.authenticated(Some("guest"), bench.now);
    bench.run();
    bench.send(0, connection::TuneOk { channel_max: 9, frame_max: 4096, heartbeat: 0 });
    bench.send(0, connection::Open { virtual_host: "v".into(), ..Default::default() });
    let expected =
        Action::Enter { virtual_host: "v".into(), client_name: "mine".into(), client_properties: properties };
    assert_eq!(bench.broker.actions.last(), Some(&expected));
}

#[test]
fn connection_update_secret_is_answered() {
    let mut bench = Bench::open();
    bench.send(0, connection::UpdateSecret { new_secret: Bytes::from_static(b"s"), reason: "r".into() });
    bench.expect::<connection::UpdateSecretOk>(0);
}

#[test]
fn connection_close_of_the_client_is_answered() {
    let mut bench = Bench::channel();
    bench.send(0, connection::Close { reply_code: 200, ..Default::default() });
    bench.expect::<connection::CloseOk>(0);
    assert_eq!(bench.broker.ended, Some(Ending::ClosedByClient));
    bench.silent();
    assert_eq!(bench.session.deadline(), None);
}

#[test]
fn connection_close_waits_for_what_was_published() {
    let mut bench = Bench::channel();
    bench.publish(1, "nowhere", &Properties::default(), b"x");
    bench.frames.clear();
    bench.send(0, connection::Close::default());
    bench.silent();
    let link = bench.broker.quiescing[0];
    bench.session.quiesced(link, bench.now);
    bench.run();
    bench.expect::<connection::CloseOk>(0);
    assert_eq!(bench.broker.ended, Some(Ending::ClosedByClient));

    let mut bench = Bench::channel();
    bench.publish(1, "nowhere", &Properties::default(), b"x");
    bench.frames.clear();
    bench.send(0, connection::Close::default());
    bench.wait(secs(8));
    bench.expect::<connection::CloseOk>(0);
}

#[test]
fn connection_close_of_the_server_waits_for_close_ok_a_while() {
    let mut bench = Bench::channel();
    bench.session.close(320, "the operator says so", bench.now);
    bench.run();
    let close = bench.expect::<connection::Close>(0);
    assert_eq!((close.reply_code, &close.reply_text[..]), (320, "CONNECTION_FORCED - the operator says so"));
    bench.wait(secs(10));
    assert_eq!(bench.broker.ended, Some(Ending::ClosedByServer(320)));
}

#[test]
fn connection_close_from_both_ends_is_agreed() {
    let mut bench = Bench::channel();
    bench.session.close(320, "now", bench.now);
    bench.run();
    bench.expect::<connection::Close>(0);
    bench.send(0, connection::Close::default());
    bench.expect::<connection::CloseOk>(0);
    bench.send(0, connection::CloseOk {});
    assert_eq!(bench.broker.ended, Some(Ending::ClosedByServer(320)));
}

#[test]
fn connection_methods_out_of_place_are_504_and_503() {
    let mut bench = Bench::open();
    bench.send(0, queue::Declare::default());
    bench.connection_error(504, "CHANNEL_ERROR - unexpected method in connection state running", (50, 10));
    let mut bench = Bench::channel();
    bench.send(1, connection::Open { virtual_host: "/".into(), ..Default::default() });
    bench.connection_error(503, "COMMAND_INVALID - unimplemented method", (10, 40));
}

#[test]
fn frames_that_are_none_are_501() {
    for (bytes, text) in [
        (
            &b"\x01\0\x01\0\0\0\x04\0\x14\0\x0a\0"[..],
            "FRAME_ERROR - type 1, all octets = <<0,20,0,10>>: {invalid_frame_end_marker,0}",
        ),
        (b"\x09\0\x01\0\0\0\0\xCE", "FRAME_ERROR - type 9, all octets = <<>>: unknown_frame"),
        (b"\x09\0\x01\0\0\0\x03ab\"\xCE", "FRAME_ERROR - type 9, all octets = <<\"ab\\\"\">>: unknown_frame"),
        (
            b"\x03\0\x01\x00\x03\x00\x00",
            "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,196608,131064}",
        ),
    ] {
        let mut bench = Bench::channel();
        bench.raw(bytes);
        if bytes[3..] == *b"\x00\x03\x00\x00" {
            // The rest of the frame is passed over.
            bench.raw(&vec![7; 196_609]);
        }
        bench.connection_error(501, text, (0, 0));
    }
}

#[test]
fn methods_that_cannot_be_read_are_501() {
    for (payload, text, id) in [
        (&b"\0\x3c\0\x50\0"[..], "FRAME_ERROR - cannot decode <<0>>", (60, 80)),
        (b"\0\x3c\0\xc8", "FRAME_ERROR - cannot decode <<>>", (60, 200)),
        (b"\0\x32\0\x0a\0\0\x01\xff\0\0\0\0\0", "FRAME_ERROR - Malformed UTF-8 in shortstr", (0, 0)),
        (b"\0\x1e\0\x0a\x05", "FRAME_ERROR - cannot decode <<5>>", (30, 10)),
    ] {
        let mut bench = Bench::channel();
        let mut bytes = vec![1, 0, 1, 0, 0, 0, payload.len() as u8];
        bytes.extend_from_slice(payload);
        bytes.push(0xCE);
        bench.raw(&bytes);
        bench.connection_error(501, text, id);
    }
}

#[test]
fn a_method_of_an_unknown_class_cuts_the_client_off() {
    let mut bench = Bench::channel();
    bench.raw(b"\x01\0\x01\0\0\0\x04\0\x63\0\x0a\xCE");
    bench.silent();
    assert_eq!(bench.broker.ended, Some(Ending::UnknownClass));
}

#[test]
fn half_a_frame_has_its_time() {
    let mut bench = Bench::channel();
    bench.raw(b"\x01\0\x01\0\0");
    bench.wait(secs(29));
    bench.silent();
    bench.wait(secs(1));
    bench.raw(b"\0\x04\0\x14\0\x29\xCE");
    bench.connection_error(501, "FRAME_ERROR - a frame was not whole within 30 s", (0, 0));
}

#[test]
fn heartbeats_go_out_when_nothing_else_does() {
    let mut bench = Bench::open_with(Limits::default(), 1);
    // The answer to `open` was a sign of life.
    bench.wait(std::time::Duration::from_millis(500));
    bench.silent();
    for _ in 0..3 {
        bench.raw(&frame::HEARTBEAT_FRAME);
        bench.wait(std::time::Duration::from_millis(500));
        assert_eq!(bench.frames.pop_front().map(|frame| frame.payload), Some(frame::Payload::Heartbeat));
        bench.silent();
    }
    bench.wait(secs(2));
    assert_eq!(bench.broker.ended, None);
    bench.wait(secs(1));
    assert_eq!(bench.broker.ended, Some(Ending::HeartbeatTimeout));
}

#[test]
fn no_heartbeats_when_the_client_wants_none() {
    let mut bench = Bench::open_with(Limits::default(), 0);
    bench.wait(secs(100_000));
    bench.silent();
    assert_eq!((bench.broker.ended, bench.session.deadline()), (None, None));
}

#[test]
fn heartbeats_are_not_missed_while_nothing_is_read() {
    let mut bench = Bench::open_with(Limits::default(), 1);
    bench.session.throttle();
    assert!(!bench.session.wants_input());
    bench.wait(secs(60));
    assert_eq!(bench.broker.ended, None);
    bench.session.connection_event(ConnectionEvent::Unblocked, bench.now);
    bench.wait(secs(2));
    assert_eq!(bench.broker.ended, None);
    bench.wait(secs(2));
    assert_eq!(bench.broker.ended, Some(Ending::HeartbeatTimeout));
}

#[test]
fn a_heartbeat_on_a_channel_is_505() {
    let mut bench = Bench::channel();
    bench.raw(&[8, 0, 1, 0, 0, 0, 0, 0xCE]);
    bench.connection_error(505, "UNEXPECTED_FRAME - type 8, all octets = <<>>", (0, 0));
}

#[test]
fn a_content_on_channel_0_is_505() {
    let mut bench = Bench::open();
    bench.raw(&[3, 0, 0, 0, 0, 0, 1, 9, 0xCE]);
    bench.connection_error(505, "UNEXPECTED_FRAME - type 3, all octets = <<\"\\t\">>", (0, 0));
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let mut bench = Bench::channel();
    let mut bytes = bytes::BytesMut::new();
    Method::from(channel::Flow { active: true }).encode(1, &mut bytes);
    bench.session.receive(&mut bytes, bench.now);
    assert!(!bench.session.output().is_empty());
    let due = bench.session.deadline().expect("there is a limit");
    bench.session.handle_timeout(due);
    assert!(bench.session.is_ended());
    assert!(
        std::iter::from_fn(|| bench.session.poll_action())
            .any(|action| action == Action::Close(Ending::WriteTimeout))
    );
}

#[test]
fn connection_blocked_is_told_to_those_who_publish() {
    let mut bench = Bench::channel();
    bench.session.connection_event(ConnectionEvent::Blocked { reason: "low on memory" }, bench.now);
    bench.run();
    bench.silent();
    bench.publish(1, "nowhere", &Properties::default(), b"x");
    assert_eq!(&bench.expect::<connection::Blocked>(0).reason[..], "low on memory");
    bench.expect::<basic::Return>(1);
    bench.content();
    bench.session.connection_event(ConnectionEvent::Unblocked, bench.now);
    bench.run();
    bench.expect::<connection::Unblocked>(0);
    bench.silent();
}

#[test]
fn connection_blocked_is_not_told_to_those_who_do_not_know_it() {
    let mut bench = Bench::new(Limits::default());
    bench.start(Table::new());
    bench.session.authenticated(Some("guest"), bench.now);
    bench.send(0, connection::TuneOk { channel_max: 9, frame_max: 4096, heartbeat: 0 });
    bench.send(0, connection::Open { virtual_host: "/".into(), ..Default::default() });
    bench.session.entered(None, bench.now);
    bench.open_channel_after(2);
    bench.publish(1, "nowhere", &Properties::default(), b"x");
    bench.frames.clear();
    bench.session.connection_event(ConnectionEvent::Blocked { reason: "low on disk" }, bench.now);
    bench.session.connection_event(ConnectionEvent::Unblocked, bench.now);
    bench.run();
    bench.silent();
}

impl Bench {
    /// Opens channel 1 behind so many frames.
    fn open_channel_after(&mut self, frames: usize) {
        self.run();
        self.frames.drain(..frames);
        self.open_channel(1);
    }
}
