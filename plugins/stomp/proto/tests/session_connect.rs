//! Opening, negotiation, heart-beats, limits and the end of a connection. Tests are named after the sections of the
//! specifications that they are about.

mod common;

use std::time::Duration;

use common::{Client, commands, error, header};
use kuzzle_stomp_proto::{
    codec::Version,
    session::{Ending, Limits, LinkEvent, Message},
};

#[test]
fn the_bytes_of_the_documentation() {
    let mut client = Client::new();
    let told = client.say("CONNECT\n\n\0\n");
    let session = header(&told, "session").expect("a session");
    assert_eq!(session.len(), "session-".len() + 22);
    let server = concat!("kuzzle-host/", env!("CARGO_PKG_VERSION"));
    let expected =
        format!("CONNECTED\nsession:{session}\nheart-beat:0,0\nserver:{server}\nversion:1.0\n\n\0\n");
    assert_eq!(told, expected);
    assert_eq!(client.credentials, [b"\0guest\0guest"]);
    assert_eq!(client.entered, ["/"]);
    assert_eq!(client.say("SUBSCRIBE\ndestination:/queue/myResponse\n\n\0\n"), "");
    assert_eq!(
        client.asked()[1..],
        ["declare myResponse durable any 0", "consume myResponse as Q_/queue/myResponse"]
    );
    let send = "SEND\ndestination: /exchange/amq.topic/kuzzle\ncontent-type: application/json\nreply-to: myResponse\n\n{}\n\0\n";
    assert_eq!(client.say(send), "");
    let (_, publish) = &client.published[0];
    assert_eq!((&*publish.exchange, &*publish.routing_key), ("amq.topic", "kuzzle"));
    assert_eq!(publish.properties[..], b"\x82\x00\x10application/json\x0amyResponse"[..]);
    assert_eq!(publish.body[..], b"{}\n"[..]);
    let answer = client.deliver_to(
        1,
        true,
        Message {
            exchange: "",
            routing_key: "myResponse",
            properties: b"\x10\x00\x02",
            body: b"{\"error\":null}",
        },
    );
    assert_eq!(
        answer,
        format!(
            "MESSAGE\ndestination:/queue/myResponse\nmessage-id:Q_/queue/myResponse@@{session}@@1\nredelivered:false\npersistent:true\ncontent-length:14\n\n{{\"error\":null}}\0\n"
        )
    );
}

#[test]
fn stomp_1_2_connect_and_stomp_are_the_same() {
    for command in ["CONNECT", "STOMP"] {
        let told = Client::new().say(&format!("{command}\naccept-version:1.2\nhost:/\n\n\0"));
        assert_eq!(header(&told, "version").as_deref(), Some("1.2"));
    }
}

#[test]
fn stomp_1_2_protocol_negotiation_takes_the_highest_version_in_common() {
    for (accepted, version) in
        [("1.0", "1.0"), ("1.0,1.1,2.0", "1.1"), ("1.2,1.1", "1.2"), ("1.0,1.1,1.2", "1.2")]
    {
        let told = Client::new().say(&format!("CONNECT\naccept-version:{accepted}\nhost:x\n\n\0"));
        assert_eq!(header(&told, "version").as_deref(), Some(version), "{told}");
    }
}

#[test]
fn stomp_1_2_protocol_negotiation_without_a_version_in_common_is_an_error() {
    let mut client = Client::new();
    let told = client.say("CONNECT\naccept-version:2.0\nhost:/\n\n\0");
    assert_eq!(told, error("Version mismatch", "", "Supported versions are 1.0,1.1,1.2\n"));
    assert_eq!(client.closed, Some(Ending::Error));
}

#[test]
fn stomp_1_2_connected_must_have_a_version_and_a_server_with_a_name() {
    for version in ["1.1", "1.2"] {
        let told = Client::new().say(&format!("CONNECT\naccept-version:{version}\nhost:/\n\n\0"));
        assert_eq!(header(&told, "version").as_deref(), Some(version));
        let server = header(&told, "server").expect("a server");
        assert!(server.starts_with("kuzzle-host/"), "{server}");
    }
}

#[test]
fn stomp_1_2_connect_has_no_escapes_and_login_and_passcode_default_each() {
    let mut client = Client::new();
    client.password = "a\\cb";
    client.say("CONNECT\naccept-version:1.2\nhost:/\npasscode:a\\cb\n\n\0");
    assert_eq!(client.credentials, [b"\0guest\0a\\cb"]);
    let mut client = Client::new();
    client.say("CONNECT\naccept-version:1.2\nhost:/\nlogin:me\n\n\0");
    assert_eq!(client.credentials, [b"\0me\0guest"]);
}

#[test]
fn stomp_1_2_host_that_is_no_virtual_host_is_the_default_one() {
    let mut client = Client::new();
    let told = client.say("CONNECT\naccept-version:1.2\nhost:rabbit\n\n\0");
    assert_eq!(commands(&told), ["CONNECTED"]);
    assert_eq!(client.entered, ["rabbit", "/"]);
    let mut client = Client::new();
    client.hosts = vec![];
    let told = client.say("CONNECT\nhost:nope\n\n\0");
    assert_eq!(told, error("Bad CONNECT", "", "Virtual host '/' access denied"));
}

#[test]
fn a_wrong_password_is_told_and_in_1_0_another_try_is_heard() {
    let refused = error("Bad CONNECT", "", "Access refused for user 'guest'\n");
    let mut client = Client::new();
    assert_eq!(client.say("CONNECT\npasscode:no\n\n\0"), refused);
    assert_eq!(client.closed, None);
    assert_eq!(commands(&client.say("CONNECT\n\n\0")), ["CONNECTED"]);
    let mut client = Client::new();
    assert_eq!(client.say("CONNECT\naccept-version:1.1\npasscode:no\n\n\0"), refused);
    assert_eq!(client.closed, Some(Ending::Error));
}

#[test]
fn anything_before_connect_is_told() {
    for first in ["SEND\ndestination:/queue/a\n\nx\0", "connect\n\n\0"] {
        let mut client = Client::new();
        let told = client.say(first);
        assert_eq!(told, error("Illegal command", "", "You must log in using CONNECT first"));
        assert_eq!(commands(&client.say("CONNECT\n\n\0")), ["CONNECTED"]);
    }
}

#[test]
fn a_second_connect_ends_the_connection() {
    let mut client = Client::connected(Version::V1_0);
    assert!(client.say("CONNECT\n\n\0").starts_with("ERROR\nmessage:Illegal command\n"));
    assert_eq!(client.closed, Some(Ending::Error));
}

#[test]
fn a_client_that_does_not_connect_is_closed() {
    let mut client = Client::new();
    client.say("CONN");
    assert_eq!(client.wait(Duration::from_secs(11)), "");
    assert_eq!(client.closed, Some(Ending::ConnectTimeout));
}

#[test]
fn stomp_1_2_heart_beat_is_the_larger_of_both_and_a_second_at_least() {
    for (asked, agreed) in
        [("0,0", "0,0"), ("5000,7000", "7000,5000"), ("10,20", "1000,1000"), ("0,3000", "3000,0")]
    {
        let told = Client::new().say(&format!("CONNECT\naccept-version:1.2\nheart-beat:{asked}\n\n\0"));
        assert_eq!(header(&told, "heart-beat").as_deref(), Some(agreed));
    }
}

#[test]
fn stomp_1_2_heart_beat_must_be_two_numbers() {
    for beats in ["x,y", "1000", "1000,-1", ",", "99999999999,0"] {
        let mut client = Client::new();
        let told = client.say(&format!("CONNECT\naccept-version:1.2\nheart-beat:{beats}\n\n\0"));
        assert!(told.starts_with("ERROR\nmessage:Processing error\n"), "{beats}: {told}");
        assert!(told.contains("is not a valid heart-beat"));
    }
}

#[test]
fn stomp_1_2_a_missing_heart_beat_must_be_treated_as_0_0() {
    let mut client = Client::connected(Version::V1_2);
    assert_eq!(client.wait(Duration::from_secs(3600)), "");
    assert_eq!(client.closed, None);
}

#[test]
fn stomp_1_2_the_sender_must_send_a_newline_when_it_has_nothing_else() {
    let mut client = Client::new();
    client.say("CONNECT\naccept-version:1.2\nheart-beat:0,2000\n\n\0");
    client.wait(Duration::from_secs(1));
    assert_eq!(client.wait(Duration::from_secs(4)), "\n\n\n\n");
    assert_eq!(client.closed, None);
}

#[test]
fn stomp_1_2_a_silent_client_is_closed_after_three_heart_beats_and_a_newline_is_enough() {
    let mut client = Client::new();
    client.say("CONNECT\naccept-version:1.2\nheart-beat:1000,0\n\n\0");
    for _ in 0..10 {
        client.wait(Duration::from_millis(2900));
        client.say("\n");
    }
    assert_eq!(client.closed, None);
    client.wait(Duration::from_millis(3000));
    assert_eq!(client.closed, Some(Ending::HeartBeatTimeout));
}

#[test]
fn half_a_frame_has_its_time() {
    let mut client = Client::connected(Version::V1_2);
    client.say("SEND\ndestination:/que");
    let told = client.wait(Duration::from_secs(61));
    assert!(told.starts_with("ERROR\nmessage:Malformed frame\n"), "{told}");
    assert_eq!(client.closed, Some(Ending::Error));
    // Heart-beats are no part of a frame.
    let mut client = Client::connected(Version::V1_2);
    client.say("\n\r\n\n");
    assert_eq!(client.wait(Duration::from_secs(600)), "");
    assert_eq!(client.closed, None);
}

#[test]
fn who_does_not_read_is_closed() {
    let mut client = Client::connected(Version::V1_2);
    client.say("SUBSCRIBE\nid:1\ndestination:/queue/a\n\n\0");
    client.event(LinkEvent::Delivery {
        consumer: 1,
        delivery: 1,
        redelivered: false,
        settled: true,
        message: common::message("a", b"x"),
    });
    let due = client.session.deadline().expect("something is due");
    client.session.handle_timeout(due + Duration::from_secs(60));
    assert!(client.session.is_ended());
}

#[test]
fn stomp_1_2_size_limits_are_told_and_close() {
    let mut limits = Limits::default();
    limits.frame.headers_max = 8;
    limits.frame.body_max_bytes = 1000;
    let many = (0..9).fold("SEND\n".to_owned(), |text, number| format!("{text}h{number}:v\n"));
    let long = format!("SEND\nkey:{}\n", "v".repeat(20_000));
    for (text, detail) in [
        (many.as_str(), "SEND frame has more than 8 headers"),
        (&long, "SEND frame has a line of more than 16384 octets"),
        ("SEND\ncontent-length:1001\n\n", "SEND frame has a body of more than 1000 octets"),
    ] {
        let mut client = Client::connected_with(Version::V1_0, limits.clone());
        assert_eq!(client.say(text), error("Malformed frame", "", &format!("{detail}\n")));
        assert_eq!(client.closed, Some(Ending::Error));
    }
    let mut stranger = Client::new();
    let told = stranger.say(&"A".repeat(9_000));
    assert_eq!(told, error("Malformed frame", "", "a frame has a line of more than 8192 octets\n"));
}

#[test]
fn stomp_1_2_undefined_escapes_must_be_fatal() {
    for version in [Version::V1_1, Version::V1_2] {
        let mut client = Client::connected(version);
        let told = client.say("SEND\ndestination:/queue/a\nkey:a\\tb\n\nx\0");
        assert!(told.contains("has an escape that is not one of"), "{told}");
        assert_eq!(client.closed, Some(Ending::Error));
        assert!(client.published.is_empty());
    }
}

#[test]
fn stomp_1_2_error_must_be_followed_by_the_close() {
    for (version, closes) in [(Version::V1_0, false), (Version::V1_1, true), (Version::V1_2, true)] {
        let mut client = Client::connected(version);
        let told = client.say("SEND\ndestination:/queue/a/b\n\nx\0SEND\ndestination:/queue/c\n\ny\0");
        assert_eq!(told, error("Invalid destination", "", "'/a/b' is not a valid queue destination\n"));
        assert_eq!(client.closed, closes.then_some(Ending::Error));
        assert_eq!(client.published.len(), usize::from(!closes));
    }
    // As RabbitMQ has it.
    let mut client =
        Client::connected_with(Version::V1_2, Limits { error_closes: false, ..Limits::default() });
    client.say("SEND\ndestination:/queue/a/b\n\nx\0SEND\ndestination:/queue/c\n\ny\0");
    assert_eq!((client.closed, client.published.len()), (None, 1));
}

#[test]
fn stomp_1_2_error_names_the_receipt_of_its_frame() {
    let mut client = Client::connected(Version::V1_2);
    let told = client.say("SEND\ndestination:/foo/bar\nreceipt:77\n\nx\0");
    let detail = "'/foo/bar' is not a valid destination.\nValid destination types are: /temp-queue, /exchange, /topic, /queue, /amq/queue, /reply-queue/.\n";
    assert_eq!(told, error("Unknown destination", "receipt-id:77\n", detail));
}

#[test]
fn stomp_1_2_other_frames_may_be_refused() {
    let mut client = Client::connected(Version::V1_0);
    let told = client.say("FOO\n\n\0");
    assert_eq!(told, error("Bad command", "", "Could not interpret command \"FOO\"\n"));
    assert_eq!(commands(&client.say("MESSAGE\n\n\0")), ["ERROR"]);
}

#[test]
fn refusals_of_the_broker_are_told_and_close() {
    let mut client = Client::connected(Version::V1_0);
    client.answers = false;
    client.say("SEND\ndestination:/exchange/nope/k\n\nx\0");
    let text = "NOT_FOUND - no exchange 'nope' in vhost '/'";
    client.event(LinkEvent::Refused { seq: 1, code: 404, text });
    assert_eq!(client.go_on(), error("not_found", "", text));
    assert_eq!(client.closed, Some(Ending::Error));
}

#[test]
fn the_server_says_why_it_closes() {
    let mut client = Client::connected(Version::V1_2);
    client.session.close("connection_forced", "CONNECTION_FORCED - x\n", client.now);
    assert_eq!(client.go_on(), error("connection_forced", "", "CONNECTION_FORCED - x\n"));
    assert_eq!(client.closed, Some(Ending::ClosedByServer));
}

#[test]
fn stomp_1_2_disconnect_gives_its_receipt_when_all_before_it_is_done() {
    let mut client = Client::connected(Version::V1_2);
    client.say("SUBSCRIBE\nid:1\ndestination:/queue/r\n\n\0");
    client.answers = false;
    let told = client.say("SEND\ndestination:/exchange/amq.topic/kuzzle\nreply-to:r\nreceipt:1\n\nx\0DISCONNECT\nreceipt:77\n\n\0");
    assert_eq!(told, "");
    assert!(client.quiescing);
    client.session.quiesced(client.now);
    assert_eq!(client.go_on(), "");
    let told = client.deliver_to(1, true, common::message("r", b"answer"));
    assert_eq!(commands(&told), ["MESSAGE"]);
    assert_eq!(client.answer_all(), "", "a receipt is still to come");
    let told = client.confirm();
    assert_eq!(told, "RECEIPT\nreceipt-id:1\n\n\0\nRECEIPT\nreceipt-id:77\n\n\0\n");
    assert_eq!(client.closed, Some(Ending::Disconnected));
}

#[test]
fn disconnect_does_not_wait_for_ever() {
    let mut client = Client::connected(Version::V1_2);
    client.answers = false;
    client.say("SEND\ndestination:/queue/a\n\nx\0DISCONNECT\nreceipt:77\n\n\0");
    assert_eq!(client.wait(Duration::from_secs(6)), "RECEIPT\nreceipt-id:77\n\n\0\n");
    assert_eq!(client.closed, Some(Ending::Disconnected));
    let mut client = Client::connected(Version::V1_2);
    assert_eq!(client.say("DISCONNECT\n\n\0"), "");
    assert_eq!(client.closed, Some(Ending::Disconnected));
}

#[test]
fn an_idle_session_keeps_little() {
    let mut client = Client::connected(Version::V1_2);
    client.wait(Duration::from_secs(5));
    assert_eq!(client.session.deadline(), None);
    assert!(size_of_val(&client.session) < 1300, "{}", size_of_val(&client.session));
}
