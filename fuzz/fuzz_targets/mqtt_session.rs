//! A session that gets any bytes and any events at any time: it holds no more than it may, writes packets only, and closes
//! once.
#![no_main]

use std::{sync::Arc, time::Duration};

use arbitrary::Arbitrary;
use bytes::BytesMut;
use kuzzle_mqtt_proto::{
    codec::{Decoder, Limits, ReasonCode},
    session::{Action, Config, Delivery, Event, Session},
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Bytes(&'a [u8]),
    Authenticated(u16),
    Entered(u16),
    Succeeds(u8),
    Answer {
        op: u8,
        code: u16,
        existed: bool,
        text: &'a str,
    },
    Binding {
        id: u8,
        routing_key: &'a str,
        options: &'a [u8],
    },
    Note {
        key: &'a str,
        value: &'a [u8],
    },
    Deliver {
        consumer: u8,
        tag: u16,
        flags: u8,
        binding: u8,
        routing_key: &'a str,
        properties: &'a [u8],
        body: &'a [u8],
        expires_ms: Option<u32>,
    },
    Confirmed(u8),
    Refused {
        sequence: u8,
        code: u16,
    },
    Returned(u8),
    Cancelled(u8),
    Throttled,
    Unblocked,
    Closed {
        code: u16,
        taken_over: bool,
    },
    Write,
    Wait(u16),
    Disconnect(u8),
    Lost,
}

const HIGH_WATER: usize = 4096;

fn take(session: &mut Session, input: &mut BytesMut, step: Step<'_>, now: &mut Duration) {
    let event = match step {
        Step::Bytes(bytes) => {
            if session.wants_input() {
                input.extend_from_slice(bytes);
            }
            session.handle_input(input, *now);
            return;
        }
        Step::Write => return session.output().clear(),
        Step::Wait(secs) => {
            *now += Duration::from_secs(secs.into());
            return session.handle_timeout(*now);
        }
        Step::Disconnect(code) => {
            return session.disconnect(ReasonCode::from_u8(code).unwrap_or(ReasonCode::UnspecifiedError));
        }
        Step::Lost => return session.handle_lost(),
        Step::Authenticated(status) => Event::Authenticated { status },
        Step::Entered(code) => Event::Entered { code },
        Step::Succeeds(op) => Event::Answer { op: op.into(), code: 200, existed: false, text: "q" },
        Step::Answer { op, code, existed, text } => Event::Answer { op: op.into(), code, existed, text },
        Step::Binding { id, routing_key, options } => Event::Binding { id: id.into(), routing_key, options },
        Step::Note { key, value } => Event::Note { key, value },
        Step::Deliver { consumer, tag, flags, binding, routing_key, properties, body, expires_ms } => {
            Event::Delivery(Delivery {
                delivery: 1,
                consumer: consumer.into(),
                tag,
                redelivered: flags & 1 != 0,
                retained: flags & 2 != 0,
                received: flags & 4 != 0 && tag > 0,
                settled: flags & 8 != 0,
                binding: binding.into(),
                more_bindings: &[2, 3],
                routing_key,
                properties,
                body,
                published_retained: flags & 16 != 0,
                expires_in: expires_ms.map(|ms| Duration::from_millis(ms.into())),
            })
        }
        Step::Confirmed(up_to) => Event::Confirmed { up_to: up_to.into() },
        Step::Refused { sequence, code } => Event::Refused { sequence: sequence.into(), code, text: "no" },
        Step::Returned(sequence) => Event::Returned { sequence: sequence.into() },
        Step::Cancelled(consumer) => Event::Cancelled { consumer: consumer.into() },
        Step::Throttled => Event::Throttled,
        Step::Unblocked => Event::Unblocked,
        Step::Closed { code, taken_over } => Event::Closed { code, taken_over },
    };
    if session.wants_events() {
        session.handle_event(event, *now);
    }
}

fuzz_target!(|input: (bool, &[u8], Vec<Step>)| {
    let (connects, connect, steps) = input;
    let config = Config {
        output_high_water_bytes: HIGH_WATER,
        actions_max: 64,
        pending_max: 8,
        receive_maximum: 8,
        inflight_max: 8,
        subscriptions_max: 16,
        ..Config::default()
    };
    let mut now = Duration::ZERO;
    let mut session = Session::new(Arc::new(config), 1, now);
    let mut buffer = BytesMut::from(connect);
    session.handle_input(&mut buffer, now);
    if connects {
        for step in [Step::Authenticated(200), Step::Entered(200), Step::Succeeds(1), Step::Succeeds(2)] {
            take(&mut session, &mut buffer, step, &mut now);
        }
    }
    let mut closed = false;
    for step in steps {
        let largest = 2 * (HIGH_WATER + connect.len()) + 65_536;
        take(&mut session, &mut buffer, step, &mut now);
        while let Some(action) = session.poll_action() {
            assert!(!closed, "something to do after the end: {action:?}");
            closed = action == Action::Close;
        }
        assert_eq!(closed, closed && session.end().is_some());
        assert!(session.output().len() < largest + 1_000_000, "the output is bounded");
    }
    let mut decoder = Decoder::with_version(session.version());
    let limits = Limits { properties_max: usize::MAX, topic_max_bytes: usize::MAX, ..Limits::default() };
    let out = session.output();
    while decoder.decode(out, &limits).expect("what is written is packets").is_some() {}
    assert!(out.is_empty(), "no packet is left half");
});
