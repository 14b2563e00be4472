//! Frames: what is taken, what is refused with which words, and that splits make no difference.

#![allow(clippy::expect_used, reason = "a helper fails the test that uses it")]

use bytes::BytesMut;
use kuzzle_stomp_proto::codec::{
    Command, Decoder, Frame, FrameLimits, FrameWriter, Problem, Version, escape, unescape,
};
use proptest::prelude::*;

const LIMITS: FrameLimits =
    FrameLimits { headers_max: 10, line_max_bytes: 100, head_max_bytes: 300, body_max_bytes: 1000 };

/// What a frame says, owned: its first line, its headers, its body.
type Said = (String, Vec<(String, String)>, Vec<u8>);

fn said(frame: &Frame) -> Said {
    let headers = frame.headers().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    (frame.command_text().to_owned(), headers, frame.body().to_vec())
}

/// All frames of some bytes that come in parts of that length, and what was wrong then.
fn decode_in(parts: usize, bytes: &[u8], version: Version) -> (Vec<Said>, Option<Problem>) {
    let (mut decoder, mut input, mut frames) = (Decoder::new(), BytesMut::new(), Vec::new());
    for part in bytes.chunks(parts.max(1)) {
        input.extend_from_slice(part);
        loop {
            match decoder.decode(&mut input, version, &LIMITS) {
                Ok(Some(frame)) => frames.push(said(&frame)),
                Ok(None) => break,
                Err(error) => return (frames, Some(error.problem)),
            }
        }
    }
    (frames, None)
}

fn frames(bytes: &[u8], version: Version) -> Vec<Said> {
    let (frames, problem) = decode_in(bytes.len(), bytes, version);
    assert_eq!(problem, None, "{frames:?}");
    frames
}

fn problem(bytes: &[u8], version: Version) -> Problem {
    decode_in(bytes.len(), bytes, version).1.expect("a problem")
}

fn one(command: &str, headers: &[(&str, &str)], body: &[u8]) -> Said {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    (command.to_owned(), headers, body.to_vec())
}

#[test]
fn a_frame_ends_with_nul_and_line_ends_may_follow() {
    let expected = vec![one("SEND", &[("destination", "/queue/a")], b"hello"), one("DISCONNECT", &[], b"")];
    let bytes = b"\n\r\nSEND\ndestination:/queue/a\n\nhello\0\n\n\r\nDISCONNECT\n\n\0\n";
    for version in [Version::V1_0, Version::V1_1, Version::V1_2] {
        assert_eq!(frames(bytes, version), expected);
    }
}

#[test]
fn lines_may_end_in_cr_lf() {
    let expected = [one("SEND", &[("destination", "/queue/a"), ("b", "c")], b"x\r\n")];
    assert_eq!(frames(b"SEND\r\ndestination:/queue/a\r\nb:c\r\n\r\nx\r\n\0\r\n", Version::V1_2), expected);
}

#[test]
fn a_content_length_makes_room_for_nul() {
    let bytes = b"SEND\ndestination:a\ncontent-length:5\n\na\0b\0c\0\nBEGIN\n\n\0";
    let all = frames(bytes, Version::V1_1);
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].2, b"a\0b\0c");
    assert_eq!(frames(b"SEND\ncontent-length: 0\n\n\0", Version::V1_2)[0].2, b"");
}

#[test]
fn bytes_that_are_no_frame_are_refused() {
    for (bytes, expected) in [
        (&b"SEND\nnocolon\n\n\0"[..], Problem::HeaderWithoutColon),
        (b"SEND\n:value\n\n\0", Problem::HeaderWithoutColon),
        (b"SEND\ncontent-length:5\n\nabc\0 and more", Problem::NoNul),
        (b"SEND\ncontent-length:2\n\nabc\0", Problem::NoNul),
        (b"SEND\ncontent-length:x\n\nabc\0", Problem::ContentLength),
        (b"SEND\ncontent-length:-1\n\nabc\0", Problem::ContentLength),
        (b"SEND\ncontent-length:\n\nabc\0", Problem::ContentLength),
        (b"SEND\nkey:\\t\n\n\0", Problem::Escape),
        (b"SEND\nkey:a\\\n\n\0", Problem::Escape),
        (b"SEND\nke\\y:a\n\n\0", Problem::Escape),
        (b"SEND\nkey:\xFF\n\n\0", Problem::NotUtf8),
        (b"SEND\nkey:a\rb\n\n\0", Problem::StrayCarriageReturn),
    ] {
        assert_eq!(problem(bytes, Version::V1_2), expected, "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn limits_are_met_before_the_rest_has_come() {
    let mut many = b"SEND\n".to_vec();
    (0..11).for_each(|number| many.extend_from_slice(format!("h{number}:v\n").as_bytes()));
    assert_eq!(problem(&many, Version::V1_2), Problem::TooManyHeaders(10));
    assert_eq!(problem(&[b'A'; 101], Version::V1_2), Problem::LineTooLong(100));
    let line = [b"SEND\nkey:", &[b'v'; 100][..]].concat();
    assert_eq!(problem(&line, Version::V1_2), Problem::LineTooLong(100));
    let heads = [&b"SEND\n"[..], &[b"k:", &[b'v'; 90][..], b"\n"].concat().repeat(4)].concat();
    assert_eq!(problem(&heads, Version::V1_2), Problem::HeadTooLarge(300));
    let both = [&heads[..], b"k:", &[b'v'; 200]].concat();
    assert_eq!(decode_in(1, &both, Version::V1_2).1, Some(problem(&both, Version::V1_2)));
    assert_eq!(problem(b"SEND\ncontent-length:1001\n\n", Version::V1_2), Problem::BodyTooLarge(1000));
    let digits = [b"SEND\ncontent-length:", &[b'9'; 60][..], b"\n\n"].concat();
    assert_eq!(problem(&digits, Version::V1_2), Problem::BodyTooLarge(1000));
    let body = [b"SEND\n\n", &[b'b'; 1001][..]].concat();
    assert_eq!(problem(&body, Version::V1_2), Problem::BodyTooLarge(1000));
    assert_eq!(frames(&[b"SEND\n\n", &[b'b'; 1000][..], b"\0"].concat(), Version::V1_2)[0].2.len(), 1000);
}

#[test]
fn of_repeated_headers_the_first_counts() {
    let all = frames(b"SEND\nfoo:World\nfoo:Hello\ncontent-length:1\ncontent-length:9\n\nx\0", Version::V1_2);
    assert_eq!(all, [one("SEND", &[("foo", "World"), ("content-length", "1")], b"x")]);
}

#[test]
fn escapes_differ_by_version() {
    let value = |version| frames(b"SEND\na\\cb:c\\nd\\\\e\\r\n\n\0", version).remove(0).1.remove(0);
    assert_eq!(value(Version::V1_2), ("a:b".into(), "c\nd\\e\r".into()));
    assert_eq!(value(Version::V1_1), ("a:b".into(), "c\nd\\e\r".into()));
    assert_eq!(value(Version::V1_0), ("a\\cb".into(), "c\\nd\\\\e\\r".into()));
    // CONNECT has no escapes, whatever is spoken then.
    assert_eq!(frames(b"CONNECT\npasscode:a\\cb\n\n\0", Version::V1_2)[0].1[0].1, "a\\cb");
}

#[test]
fn spaces_in_front_of_a_value_belong_to_it_but_in_1_0() {
    let value = |version| frames(b"SEND\nkey:  a \n\n\0", version)[0].1[0].1.clone();
    assert_eq!(value(Version::V1_0), "a ");
    assert_eq!(value(Version::V1_1), "  a ");
    assert_eq!(value(Version::V1_2), "  a ");
}

#[test]
fn commands_are_case_sensitive() {
    assert_eq!(Command::of(b"SEND"), Command::Send);
    assert_eq!(Command::of(b"STOMP"), Command::Connect);
    for other in [&b"send"[..], b"connect", b"SEND ", b"", b"CONNECTED", b"MESSAGE"] {
        assert_eq!(Command::of(other), Command::Unknown);
    }
}

#[test]
fn the_highest_version_in_common_is_spoken() {
    assert_eq!(Version::negotiate("1.0,1.1,1.2"), Some(Version::V1_2));
    assert_eq!(Version::negotiate("1.0,1.1,2.0"), Some(Version::V1_1));
    assert_eq!(Version::negotiate(" 1.0 , 9"), Some(Version::V1_0));
    assert_eq!(Version::negotiate("2.0"), None);
    assert_eq!(Version::negotiate(""), None);
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V1_0), Just(Version::V1_1), Just(Version::V1_2)]
}

proptest! {
    #[test]
    fn what_is_escaped_reads_the_same(text in "[a-c:\\\\\n\ré ]{0,30}", latest in any::<bool>()) {
        let version = if latest { Version::V1_2 } else { Version::V1_1 };
        let mut out = BytesMut::new();
        escape(&mut out, text.as_bytes(), version);
        let written = std::str::from_utf8(&out).expect("text");
        prop_assert!(!written.contains('\n') && !written.contains(':'));
        let read = unescape(written, version).expect("known escapes");
        prop_assert_eq!(&*read, &text);
    }

    #[test]
    fn what_is_written_is_read_the_same_however_it_is_split(
        headers in proptest::collection::vec(("[a-z:\\\\\n]{1,8}", "[a-z:\\\\\n ]{0,12}"), 0..6),
        body in proptest::collection::vec(any::<u8>(), 0..50),
        parts in 1_usize..20,
        latest in any::<bool>(),
    ) {
        let version = if latest { Version::V1_2 } else { Version::V1_1 };
        let mut out = BytesMut::new();
        let mut frame = FrameWriter::new(&mut out, "SEND", version);
        for (name, value) in &headers {
            frame.custom(name.as_bytes(), value.as_bytes());
        }
        frame.body(&body);
        let (frames, problem) = decode_in(parts, &out, version);
        prop_assert_eq!(problem, None);
        prop_assert_eq!(frames.len(), 1);
        let mut expected: Vec<(String, String)> = Vec::new();
        for (name, value) in headers {
            if expected.iter().all(|(known, _)| *known != name) {
                expected.push((name, value));
            }
        }
        if !body.is_empty() && expected.iter().all(|(name, _)| name != "content-length") {
            expected.push(("content-length".into(), body.len().to_string()));
        }
        prop_assert_eq!(&frames[0].1, &expected);
        prop_assert_eq!(&frames[0].2, &body);
    }

    #[test]
    fn splits_make_no_difference_to_any_bytes(
        bytes in proptest::collection::vec(
            proptest::sample::select(vec![
                &b"\n"[..], b"\r", b"\0", b":", b"\\n", b"\\t", b"SEND\n", b"content-length:3\n", b"a:b\n",
                b"\n\0", b"abc", b"\xFF", b"CONNECT\n",
            ]),
            0..30,
        ),
        parts in 1_usize..9,
        version in version(),
    ) {
        let bytes = bytes.concat();
        prop_assert_eq!(decode_in(parts, &bytes, version), decode_in(bytes.len(), &bytes, version));
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200), version in version()) {
        let _ = decode_in(7, &bytes, version);
    }
}
