//! Any bytes as frames, in any version and however split: the same frames come out, and what they say survives writing.
#![no_main]

use bytes::BytesMut;
use kuzzle_stomp_proto::{
    codec::{Decoder, Frame, FrameLimits, FrameWriter, Problem, Version},
    destination::{self, Destination, ReplyTo},
    message::{self, Answer},
};
use libfuzzer_sys::fuzz_target;

const LIMITS: FrameLimits =
    FrameLimits { headers_max: 16, line_max_bytes: 200, head_max_bytes: 600, body_max_bytes: 2000 };

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (version, part, bytes) = input;
    let version = [Version::V1_0, Version::V1_1, Version::V1_2][usize::from(version % 3)];
    let (whole, problem) = decode(bytes, bytes.len(), version);
    let (split, same) = decode(bytes, usize::from(part), version);
    assert_eq!(problem, same);
    assert_eq!(whole.len(), split.len());
    for (one, other) in whole.iter().zip(&split) {
        assert_eq!(one.command_text(), other.command_text());
        assert!(one.raw_headers().eq(other.raw_headers()));
        assert_eq!(one.body(), other.body());
        written_again(one, version);
        understood(one);
    }
});

fn decode(bytes: &[u8], part: usize, version: Version) -> (Vec<Frame>, Option<Problem>) {
    let (mut decoder, mut input, mut frames) = (Decoder::new(), BytesMut::new(), Vec::new());
    for part in bytes.chunks(part.max(1)) {
        input.extend_from_slice(part);
        loop {
            match decoder.decode(&mut input, version, &LIMITS) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error.problem)),
            }
        }
    }
    (frames, None)
}

/// What a frame says is the same once it was written by the latest version.
fn written_again(frame: &Frame, version: Version) {
    let mut out = BytesMut::new();
    let mut writer = FrameWriter::new(&mut out, "SEND", Version::V1_2);
    let headers: Vec<_> = frame.headers().filter(|(name, _)| name != "content-length").collect();
    for (name, value) in &headers {
        writer.custom(name.as_bytes(), value.as_bytes());
    }
    writer.body(frame.body());
    let limits = FrameLimits::default();
    let again =
        Decoder::new().decode(&mut out, Version::V1_2, &limits).expect("a frame").expect("a whole one");
    assert_eq!(again.body(), frame.body(), "{version}");
    let said: Vec<_> = again.headers().filter(|(name, _)| name != "content-length").collect();
    // Names that differ in how they were escaped are one.
    assert!(said.len() <= headers.len());
    for (name, value) in &said {
        assert!(headers.iter().any(|(known, first)| known == name && first == value));
    }
}

fn understood(frame: &Frame) {
    for (_, value) in frame.raw_headers() {
        let _ = ReplyTo::parse(value);
        if let Ok(Destination::Exchange { exchange, key }) = Destination::parse(value)
            && !exchange.is_empty()
        {
            let mut shown = BytesMut::new();
            destination::put(&mut shown, &exchange, &key, Version::V1_0);
            let shown = String::from_utf8_lossy(&shown).into_owned();
            if !exchange.contains('\n') && !key.contains('\n') && !(exchange == "amq.topic" && key.is_empty())
            {
                assert_eq!(
                    Destination::parse(&shown),
                    Ok(Destination::Exchange { exchange, key }),
                    "{shown}"
                );
            }
        }
    }
    let mut properties = BytesMut::new();
    if message::put_properties(&mut properties, frame, Answer::None).is_ok() {
        let mut out = BytesMut::new();
        let mut writer = FrameWriter::new(&mut out, "MESSAGE", Version::V1_2);
        message::put_headers(&mut writer, &properties);
        writer.body(b"x");
        let limits = FrameLimits::default();
        assert!(matches!(Decoder::new().decode(&mut out, Version::V1_2, &limits), Ok(Some(_))));
    }
    let mut out = BytesMut::new();
    message::put_headers(&mut FrameWriter::new(&mut out, "MESSAGE", Version::V1_1), frame.body());
}
