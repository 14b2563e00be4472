use std::io::Cursor;

use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode as TheirCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

use super::*;

const HELLO_MASKED: [u8; 11] = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];

fn door(websocket: WebSocket) -> Door {
    Door::new(websocket, Vec::new(), Origins::OfThisMachine)
}

fn chat() -> Door {
    door(WebSocket::text().at(&["/chat"]).speaking(&["superchat", "chat"]))
}

/// The handshake of RFC 6455, section 1.3.
const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://localhost\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n";

fn accepted(door: &Door, request: &str) -> String {
    match door.answer(request.as_bytes()) {
        Some(Answer::Accepted { response, length }) => {
            assert_eq!(length, request.len());
            String::from_utf8(response).unwrap()
        }
        other => panic!("{other:?} to {request}"),
    }
}

/// The first line of a refusal and its reason.
fn refused(door: &Door, request: &[u8]) -> (String, String) {
    match door.answer(request) {
        Some(Answer::Refused { response, reason }) => {
            let response = String::from_utf8(response).unwrap();
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            let length = format!("Content-Length: {}", body.len());
            assert!(head.lines().any(|line| line == length), "{response}");
            assert!(!reason.contains('\n'), "{reason}");
            (head.lines().next().unwrap().to_owned(), reason)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn rfc_1_3_the_handshake_of_the_specification() {
    let response = accepted(&chat(), REQUEST);
    let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
    assert_eq!(response, expected);
}

#[test]
fn rfc_4_2_2_the_first_sub_protocol_that_is_known_is_told_back() {
    let chosen = |offered: &str| {
        let request = REQUEST.replace("Sec-WebSocket-Protocol: chat, superchat\r\n", offered);
        let response = accepted(&chat(), &request);
        let line = response.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "));
        line.map(str::to_owned)
    };
    assert_eq!(chosen("Sec-WebSocket-Protocol: superchat, chat\r\n").as_deref(), Some("superchat"));
    assert_eq!(
        chosen("Sec-WebSocket-Protocol: x\r\nsec-websocket-protocol: chat\r\n").as_deref(),
        Some("chat")
    );
    assert_eq!(chosen("Sec-WebSocket-Protocol: x, Chat\r\n"), None);
    assert_eq!(chosen(""), None);
}

#[test]
fn rfc_4_2_1_requests_as_browsers_and_libraries_write_them() {
    for (from, to) in [
        ("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
        ("Upgrade: websocket", "upgrade: WebSocket"),
        ("GET /chat ", "GET /chat?token=1 "),
        ("GET /chat ", "GET http://server.example.com/chat "),
        ("Origin: http://localhost\r\n", ""),
        ("Origin: http://localhost\r\n", "Origin: http://127.0.0.1:8080\r\n"),
    ] {
        accepted(&chat(), &REQUEST.replace(from, to));
    }
    let anywhere = Door::new(WebSocket::text(), vec!["/*".into()], Origins::Any);
    accepted(&anywhere, &REQUEST.replace("/chat", "/a/b"));
    let moved = Door::new(WebSocket::text().at(&["/chat"]), vec!["/x".into(), "/y".into()], Origins::Any);
    accepted(&moved, &REQUEST.replace("/chat", "/y"));
    refused(&moved, REQUEST.as_bytes());
}

#[test]
fn what_is_no_handshake_is_told_what_would_be_one() {
    for (from, to, status, word) in [
        ("GET /chat", "GET /other", "404 Not Found", "`/other`"),
        ("GET /chat", "GET /chat/", "404 Not Found", "`/chat/`"),
        ("GET /chat", "POST /chat", "405 Method Not Allowed", "`POST`"),
        ("HTTP/1.1", "HTTP/1.0", "505 HTTP Version Not Supported", "HTTP/1.0"),
        ("Host: server.example.com\r\n", "", "400 Bad Request", "`Host`"),
        ("Upgrade: websocket\r\n", "", "426 Upgrade Required", "does not ask"),
        ("Upgrade: websocket", "Upgrade: h2c", "426 Upgrade Required", "does not ask"),
        ("Connection: Upgrade", "Connection: close", "426 Upgrade Required", "does not ask"),
        ("Version: 13", "Version: 8", "426 Upgrade Required", "version `8`"),
        ("Sec-WebSocket-Version: 13\r\n", "", "426 Upgrade Required", "version `none`"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", "400 Bad Request", "16 bytes"),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", "400 Bad Request", "16 bytes"),
        ("http://localhost", "https://evil.example", "403 Forbidden", "`https://evil.example`"),
        ("http://localhost", "null", "403 Forbidden", "`null`"),
    ] {
        let (line, reason) = refused(&chat(), REQUEST.replace(from, to).as_bytes());
        assert_eq!(line, format!("HTTP/1.1 {status}"));
        assert!(reason.contains(word), "{reason}");
    }
    // An origin that is no text is none that could be allowed.
    let odd = REQUEST.replace("http://localhost", "http://l\u{fc}").into_bytes();
    let odd: Vec<u8> = odd.into_iter().filter(|byte| *byte != 0xbc).collect();
    assert_eq!(refused(&chat(), &odd).0, "HTTP/1.1 403 Forbidden");

    let (line, reason) = refused(&chat(), b"\x10\x0c\x00\x04MQTT");
    assert_eq!((line.as_str(), reason.contains("no HTTP request")), ("HTTP/1.1 400 Bad Request", true));
    let (_, reason) = refused(&chat(), b"\x16\x03\x01\x02\x00\x01\x00");
    assert!(reason.contains("TLS"), "{reason}");
    let (_, reason) =
        refused(&chat(), REQUEST.replace("/chat", &format!("/{}", "\u{1}x".repeat(99))).as_bytes());
    assert!(reason.len() < 300, "{reason}");
}

#[test]
fn a_request_has_limits() {
    let many = "A: b\r\n".repeat(HEADERS_MAX);
    let (line, _) = refused(&chat(), REQUEST.replace("Host:", &format!("{many}Host:")).as_bytes());
    assert_eq!(line, "HTTP/1.1 431 Request Header Fields Too Large");
    let long = REQUEST.replace("Host:", &format!("A: {}\r\nHost:", "x".repeat(HEAD_MAX_BYTES)));
    let (line, _) = refused(&chat(), long.as_bytes());
    assert_eq!(line, "HTTP/1.1 431 Request Header Fields Too Large");
    assert_eq!(chat().answer(&long.as_bytes()[..HEAD_MAX_BYTES - 1]), None);
    assert!(
        matches!(chat().late(), Answer::Refused { response, .. } if response.starts_with(b"HTTP/1.1 408 "))
    );
}

/// Everything that comes of `bytes`, which come in pieces that end at `cuts`.
fn decode(messages: Messages, bytes: &[u8], cuts: &[usize]) -> (Vec<u8>, Option<Vec<u8>>, Option<End>) {
    let mut decoder = Decoder::new(messages);
    let (mut payload, mut ping, mut from) = (Vec::new(), None, 0);
    for end in cuts.iter().copied().chain([bytes.len()]) {
        let mut piece = bytes[from..end].to_vec();
        from = end;
        let decoded = decoder.decode(&mut piece);
        payload.extend_from_slice(&piece[..decoded.payload]);
        ping = decoded.ping.or(ping);
        if decoded.end.is_some() {
            return (payload, ping, decoded.end);
        }
    }
    (payload, ping, None)
}

#[test]
fn rfc_5_7_the_frames_of_the_specification() {
    assert_eq!(decode(Messages::Text, &HELLO_MASKED, &[]).0, b"Hello");
    // In two frames, with a ping between them.
    let parts = frames(&[
        (Part::Data(Data::Text), false, b"Hel"),
        (Part::Control(Control::Ping), true, b"Hello"),
        (Part::Data(Data::Continue), true, b"lo"),
    ]);
    assert_eq!(decode(Messages::Text, &parts, &[]), (b"Hello".to_vec(), Some(b"Hello".to_vec()), None));
    assert_eq!(Header::new(OpCode::Text, 5).as_bytes(), [0x81, 0x05]);
    assert_eq!(Header::new(OpCode::Binary, 256).as_bytes(), [0x82, 0x7e, 0x01, 0x00]);
    let long = [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0];
    assert_eq!(Header::new(OpCode::Binary, 65_536).as_bytes(), long);
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Data(Data),
    Control(Control),
}

/// Frames as a client sends them, written by an independent codec.
fn frames(parts: &[(Part, bool, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, (part, is_final, payload)) in parts.iter().enumerate() {
        let opcode = match part {
            Part::Data(data) => TheirCode::Data(*data),
            Part::Control(control) => TheirCode::Control(*control),
        };
        let mask = [number as u8, 0xa5, 0x5a, 0xff];
        let header = FrameHeader { is_final: *is_final, opcode, mask: Some(mask), ..FrameHeader::default() };
        Frame::from_payload(header, payload.to_vec().into()).format(&mut out).unwrap();
    }
    out
}

#[test]
fn rfc_7_1_a_client_closes() {
    let closed = |payload: &[u8]| {
        let bytes = [frames(&[(Part::Control(Control::Close), true, payload)]), vec![0xff; 3]].concat();
        decode(Messages::Binary, &bytes, &[]).2
    };
    assert_eq!(closed(b""), Some(End::Closed(None)));
    assert_eq!(closed(b"\x03\xe8bye"), Some(End::Closed(Some(Close::NORMAL))));
    assert_eq!(closed(b"\x0f\xa0"), Some(End::Closed(Close::new(4000))));
    for (payload, fault) in [
        (&b"\x03"[..], Fault::Close),
        (b"\x03\xed", Fault::Close),
        (b"\x00\x00", Fault::Close),
        (b"\x13\x88", Fault::Close),
        (b"\x03\xe8\xff", Fault::NotUtf8),
    ] {
        assert_eq!(closed(payload), Some(End::Fault(fault)), "{payload:?}");
    }
}

#[test]
fn rules_that_clients_break_have_their_codes() {
    let data = |code| frames(&[(Part::Data(code), false, b"x")]);
    for (messages, bytes, fault, code) in [
        (Messages::Text, vec![0xc1, 0x80], Fault::ReservedBits, 1002),
        (Messages::Text, vec![0x83], Fault::OpCode(3), 1002),
        (Messages::Text, vec![0x8b], Fault::OpCode(11), 1002),
        (Messages::Text, vec![0x81, 0x05], Fault::NotMasked, 1002),
        (Messages::Text, vec![0x09], Fault::Control, 1002),
        (Messages::Text, vec![0x89, 0xfe], Fault::Control, 1002),
        (Messages::Text, vec![0x80], Fault::NothingToContinue, 1002),
        (Messages::Text, [data(Data::Text), vec![0x81]].concat(), Fault::NotContinued, 1002),
        (Messages::Binary, vec![0x82, 0xfe, 0, 125], Fault::Length, 1002),
        (Messages::Binary, [&[0x82, 0xff][..], &65_535_u64.to_be_bytes()].concat(), Fault::Length, 1002),
        (Messages::Binary, [&[0x82, 0xff][..], &u64::MAX.to_be_bytes()].concat(), Fault::Length, 1002),
        (Messages::Binary, data(Data::Text), Fault::Text, 1003),
        (Messages::Text, frames(&[(Part::Data(Data::Text), true, b"a\xff")]), Fault::NotUtf8, 1007),
        (Messages::Text, frames(&[(Part::Data(Data::Text), true, b"a\xe2\x82")]), Fault::NotUtf8, 1007),
    ] {
        let end = decode(messages, &bytes, &[]).2;
        assert_eq!(end, Some(End::Fault(fault)), "{bytes:02x?}");
        assert_eq!(fault.close().code(), code);
    }
    // What is no text may be anything, and a character may be cut between frames.
    let parts = frames(&[
        (Part::Data(Data::Binary), true, b"\xff"),
        (Part::Data(Data::Text), false, b"\xe2\x82"),
        (Part::Data(Data::Continue), true, b"\xac"),
    ]);
    assert_eq!(decode(Messages::Text, &parts, &[]), (b"\xff\xe2\x82\xac".to_vec(), None, None));
}

#[test]
fn a_message_has_a_limit_in_however_many_frames() {
    let announce = |first: u8, length: u64| [&[first, 0xff][..], &length.to_be_bytes()].concat();
    let end = decode(Messages::Binary, &announce(0x82, MESSAGE_MAX_BYTES + 1), &[]).2;
    assert_eq!(end, Some(End::Fault(Fault::TooLarge(MESSAGE_MAX_BYTES + 1))));
    assert_eq!(Fault::TooLarge(0).close(), Close::SIZE);
    assert_eq!(decode(Messages::Binary, &announce(0x82, MESSAGE_MAX_BYTES), &[]).2, None);
    let begun = frames(&[(Part::Data(Data::Binary), false, b"x")]);
    let end = decode(Messages::Binary, &[begun, announce(0x80, MESSAGE_MAX_BYTES)].concat(), &[]).2;
    assert_eq!(end, Some(End::Fault(Fault::TooLarge(MESSAGE_MAX_BYTES + 1))));
    // The next message counts anew.
    let whole = frames(&[(Part::Data(Data::Binary), true, b"x")]);
    assert_eq!(decode(Messages::Binary, &[whole, announce(0x82, MESSAGE_MAX_BYTES)].concat(), &[]).2, None);
}

#[test]
fn a_close_frame_carries_as_much_of_its_reason_as_fits() {
    let mut out = Vec::new();
    Close::PROTOCOL.encode(&"\u{e9}".repeat(100), &mut out);
    assert_eq!(&out[..4], [0x88, 2 + 122, 0x03, 0xea]);
    assert_eq!(std::str::from_utf8(&out[4..]).unwrap(), "\u{e9}".repeat(61));
}

fn part() -> impl Strategy<Value = (Part, Vec<u8>)> {
    let payload = |most| prop::collection::vec(any::<u8>(), 0..most);
    prop_oneof![
        4 => (Just(Part::Data(Data::Binary)), payload(300)),
        1 => (prop_oneof![Just(Control::Ping), Just(Control::Pong)].prop_map(Part::Control), payload(126)),
    ]
}

/// Messages in frames, with control frames among them; what they carry, and what the last ping did.
fn conversation() -> impl Strategy<Value = (Vec<u8>, Vec<u8>, Option<Vec<u8>>)> {
    prop::collection::vec((part(), any::<bool>()), 0..8).prop_map(|parts| {
        let mut is_open = false;
        let mut all = Vec::new();
        let (mut payload, mut ping) = (Vec::new(), None);
        for ((part, bytes), is_final) in &parts {
            match part {
                Part::Data(_) => {
                    let code = if is_open { Data::Continue } else { Data::Binary };
                    is_open = !is_final;
                    payload.extend_from_slice(bytes);
                    all.push((Part::Data(code), *is_final, bytes.as_slice()));
                }
                Part::Control(control) => {
                    if *control == Control::Ping {
                        ping = Some(bytes.clone());
                    }
                    all.push((Part::Control(*control), true, bytes.as_slice()));
                }
            }
        }
        (frames(&all), payload, ping)
    })
}

proptest! {
    #[test]
    fn messages_are_read_however_they_are_cut((bytes, payload, ping) in conversation()) {
        let expected = (payload, ping, None);
        prop_assert_eq!(&decode(Messages::Binary, &bytes, &[]), &expected);
        prop_assert_eq!(&decode(Messages::Text, &bytes, &[]), &expected);
        for cut in 0..=bytes.len() {
            prop_assert_eq!(&decode(Messages::Binary, &bytes, &[cut]), &expected);
        }
        let every: Vec<_> = (0..bytes.len()).collect();
        prop_assert_eq!(&decode(Messages::Binary, &bytes, &every), &expected);
    }

    #[test]
    fn any_bytes_come_to_the_same_however_they_are_cut(
        (begin, ..) in conversation(),
        rest in prop::collection::vec(any::<u8>(), 0..40),
        is_text in any::<bool>(),
    ) {
        let messages = if is_text { Messages::Text } else { Messages::Binary };
        let bytes = [begin, rest].concat();
        let whole = decode(messages, &bytes, &[]);
        prop_assert!(whole.0.len() <= bytes.len());
        for cut in 0..=bytes.len() {
            prop_assert_eq!(&decode(messages, &bytes, &[cut]), &whole);
        }
    }

    #[test]
    fn an_independent_codec_reads_our_frames(length in prop_oneof![0_usize..300, 65_500..65_600_usize]) {
        let header = Header::new(OpCode::Binary, length);
        let (theirs, announced) = FrameHeader::parse(&mut Cursor::new(header.as_bytes())).unwrap().unwrap();
        prop_assert!(theirs.is_final && theirs.mask.is_none());
        prop_assert_eq!((theirs.opcode, announced), (TheirCode::Data(Data::Binary), length as u64));
    }

    #[test]
    fn a_handshake_is_answered_the_same_however_it_is_cut(
        request in prop_oneof![
            Just(REQUEST.to_owned()),
            Just(REQUEST.replace("/chat", "/x")),
            "(GET|PUT) /[a-z]{0,4} HTTP/1\\.[01]\r\n([A-Z][a-z]{0,8}: [ -~]{0,20}\r\n){0,3}\r\n",
            "[ -~\r\n]{0,60}",
        ],
        after in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let bytes = [request.as_bytes(), &after].concat();
        let whole = chat().answer(&bytes);
        for cut in 0..=bytes.len() {
            match (chat().answer(&bytes[..cut]), &whole) {
                (None, _) => {}
                (Some(accepted @ Answer::Accepted { .. }), _) => prop_assert_eq!(Some(&accepted), whole.as_ref()),
                (Some(Answer::Refused { .. }), whole) => {
                    prop_assert!(matches!(whole, Some(Answer::Refused { .. })), "{:?}", whole);
                }
            }
        }
    }
}
