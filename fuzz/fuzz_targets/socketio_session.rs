//! A session that gets any packets at any time: it never holds more for its client than it may.
#![no_main]

use std::sync::Arc;
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use kuzzle_socketio_proto::ByteString;
use kuzzle_socketio_proto::packet::Revision;
use kuzzle_socketio_proto::session::{Limits, Session};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Text(&'a str),
    Binary,
    Answer(&'a str, Option<u64>),
    Transmit,
    Payload(u16),
    Wait(u16),
}

fuzz_target!(|input: (bool, Vec<Step>)| {
    const OUTBOX_MAX: usize = 4096;
    let (old, steps) = input;
    let limits = Limits {
        request_event: "kuzzle".to_owned(),
        ping_interval: Duration::from_secs(25),
        ping_timeout: Duration::from_secs(60),
        connect_timeout: Duration::from_secs(45),
        outbox_max_bytes: OUTBOX_MAX,
        attachments_max: 10,
    };
    let mut now = Instant::now();
    let revision = if old { Revision::V3 } else { Revision::V4 };
    let mut session = Session::new(Arc::new(limits), revision, "id", "socket", true, 100_000, now);
    for step in steps {
        match step {
            Step::Text(text) => {
                if session.handle_text(&ByteString::from(text), now).is_err() {
                    return;
                }
            }
            Step::Binary => drop(session.handle_binary(now)),
            Step::Answer(id, ack) => {
                if session.accepts_answers() {
                    session.answer(id, "{}", ack);
                }
            }
            Step::Transmit => drop(session.poll_transmit()),
            Step::Payload(bytes) => drop(session.take_payload(bytes.into())),
            Step::Wait(secs) => {
                now += Duration::from_secs(secs.into());
                if session.deadline() <= now && session.handle_timeout(now).is_err() {
                    return;
                }
            }
        }
    }
    while session.has_transmit() {
        assert!(session.poll_transmit().is_some(), "what waits can be taken");
    }
});
