//! A session that gets any bytes, events and times: it never panics, never holds more than it may, and always ends.
#![no_main]

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use arbitrary::Arbitrary;
use bytes::BytesMut;
use kuzzle_amqp_proto::{
    codec::{
        content::{Address, Content, ContentWriter},
        frame,
    },
    session::{Action, ConnectionEvent, Limits, LinkEvent, Message, Operation, Session},
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Bytes(&'a [u8]),
    Method { channel: u8, class: u8, method: u8, arguments: &'a [u8] },
    Publish { channel: u8, properties: &'a [u8], length: u16 },
    Answer { code: u16 },
    Deliver { consumer: u8, settled: bool, length: u8 },
    Confirm,
    Refuse { code: u16 },
    Cancel { consumer: u8 },
    CloseLink,
    Quiesced,
    Throttle,
    Unblock,
    Write(u16),
    Wait(u8),
}

#[derive(Default)]
struct Broker {
    links: Vec<u64>,
    /// Operations to answer, in order.
    operations: VecDeque<(u64, u64)>,
    deliveries: BTreeMap<u64, u64>,
    published: BTreeMap<u64, u64>,
    quiescing: Vec<u64>,
    closed: bool,
}

const OUTPUT_MAX: usize = 20_000;

fuzz_target!(|steps: Vec<Step>| {
    let limits = Limits {
        message_max_bytes: 10_000,
        assembling_max_bytes: 20_000,
        operations_max: 16,
        output_max_bytes: OUTPUT_MAX,
        ..Limits::default()
    };
    let mut now = Duration::from_secs(1);
    let mut session = Session::new(Arc::new(limits), Arc::new(AtomicU64::new(1)), 7, now);
    let (mut broker, mut input) = (Broker::default(), BytesMut::new());
    input.extend_from_slice(&frame::PROTOCOL_HEADER);
    input.extend_from_slice(
        b"\x01\0\0\0\0\0\x22\0\x0a\0\x0b\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x03x_X\xCE",
    );
    session.receive(&mut input, now);
    session.authenticated(Some("guest"), now);
    input.extend_from_slice(b"\x01\0\0\0\0\0\x0c\0\x0a\0\x1f\0\x08\0\0\x10\0\0\x0a\xCE");
    input.extend_from_slice(b"\x01\0\0\0\0\0\x08\0\x0a\0\x28\x01/\0\0\xCE");
    session.receive(&mut input, now);
    session.entered(None, now);
    input.extend_from_slice(b"\x01\0\x01\0\0\0\x05\0\x14\0\x0a\0\xCE");
    for step in steps {
        step.play(&mut session, &mut broker, &mut input, &mut now);
        session.receive(&mut input, now);
        act(&mut session, &mut broker);
        // Each event and each method adds at most one frame beyond the limit; a delivery adds two hundred octets.
        assert!(session.output().len() < 3 * OUTPUT_MAX, "the output is bounded");
        if session.is_ended() {
            break;
        }
    }
    session.close(320, "the end", now);
    while let Some(due) = session.deadline() {
        let length = session.output().len();
        session.wrote(length, now);
        now = now.max(due);
        session.handle_timeout(now);
    }
    assert!(session.is_ended());
    act(&mut session, &mut broker);
    assert!(broker.closed, "the shell is told to close");
});

impl Step<'_> {
    fn play(self, session: &mut Session, broker: &mut Broker, input: &mut BytesMut, now: &mut Duration) {
        let link = broker.links.last().copied().unwrap_or(1);
        let message = |body| Message { exchange: "e", routing_key: "k", properties: &[], body };
        match self {
            Step::Bytes(bytes) => input.extend_from_slice(bytes),
            Step::Method { channel, class, method, arguments } => {
                let length = 4 + arguments.len().min(1000) as u16;
                let [high, low] = length.to_be_bytes();
                input.extend_from_slice(&[1, 0, channel % 4, 0, 0, high, low, 0, class, 0, method]);
                input.extend_from_slice(&arguments[..usize::from(length) - 4]);
                input.extend_from_slice(&[frame::FRAME_END]);
            }
            Step::Publish { channel, properties, length } => {
                let address = Address { exchange: "", routing_key: "q" };
                let properties = if properties.is_empty() { &[0, 0][..] } else { properties };
                let body = vec![7; length.into()];
                let mut writer = ContentWriter { out: input, channel: (channel % 4).into(), frame_max: 4096 };
                writer.publish(false, address, Content { properties, body: &body });
            }
            Step::Answer { code } => {
                let Some((link, op)) = broker.operations.pop_front() else { return };
                let code = if code < 60_000 { 200 } else { code };
                let event = LinkEvent::Answer { op, code, text: "a name", messages: 1, consumers: 1 };
                session.link_event(link, event, *now);
            }
            Step::Deliver { consumer, settled, length } => {
                if session.budget(link).events == 0 {
                    return;
                }
                let delivery = broker.deliveries.entry(link).or_default();
                *delivery += 1;
                let body = [7; 255];
                let event = LinkEvent::Delivery {
                    consumer: u64::from(consumer % 4),
                    delivery: *delivery,
                    redelivered: false,
                    settled,
                    message: message(&body[..length.into()]),
                };
                session.link_event(link, event, *now);
            }
            Step::Confirm => {
                let up_to = broker.published.get(&link).copied().unwrap_or(0);
                session.link_event(link, LinkEvent::Confirmed { up_to }, *now);
            }
            Step::Refuse { code } => {
                let seq = broker.published.get(&link).copied().unwrap_or(0);
                let code = if code < 40_000 { 506 } else { 404 };
                session.link_event(link, LinkEvent::Refused { seq, code, text: "no" }, *now);
            }
            Step::Cancel { consumer } => {
                let event = LinkEvent::Cancelled { consumer: u64::from(consumer % 4) };
                session.link_event(link, event, *now);
            }
            Step::CloseLink => session.link_event(link, LinkEvent::Closed { code: 506, text: "gone" }, *now),
            Step::Quiesced => {
                for link in std::mem::take(&mut broker.quiescing) {
                    session.quiesced(link, *now);
                }
            }
            Step::Throttle => session.throttle(),
            Step::Unblock => session.connection_event(ConnectionEvent::Unblocked, *now),
            Step::Write(length) => {
                let length = usize::from(length).min(session.output().len());
                session.wrote(length, *now);
            }
            Step::Wait(secs) => {
                *now += Duration::from_secs(secs.into());
                if session.deadline().is_some_and(|due| due <= *now) {
                    session.handle_timeout(*now);
                }
            }
        }
    }
}

fn act(session: &mut Session, broker: &mut Broker) {
    while let Some(action) = session.poll_action() {
        assert!(!broker.closed, "nothing follows the end");
        match action {
            Action::OpenLink { link } => broker.links.push(link),
            Action::CloseLink { link } => {
                broker.links.retain(|open| *open != link);
                broker.operations.retain(|(open, _)| *open != link);
            }
            Action::Publish { link, first_seq, messages } => {
                let last = first_seq + messages.len() as u64 - 1;
                let before = broker.published.insert(link, last).unwrap_or(0);
                assert_eq!(first_seq, before + 1, "sequences have no gap");
            }
            Action::Commit { link, op, first_seq, messages, .. } => {
                broker.published.insert(link, first_seq + messages.len() as u64 - 1);
                broker.operations.push_back((link, op));
            }
            Action::Settle { link, op, settlements } => {
                let delivered = broker.deliveries.get(&link).copied().unwrap_or(0);
                assert!(settlements.iter().all(|settle| settle.delivery <= delivered));
                if op != 0 {
                    broker.operations.push_back((link, op));
                }
            }
            Action::Call { link, op, operation } => {
                if let Operation::Consume { consumer, .. } = operation {
                    assert_ne!(consumer, 0);
                }
                broker.operations.push_back((link, op));
            }
            Action::Quiesce { link, .. } => broker.quiescing.push(link),
            Action::Authenticate { .. } | Action::Enter { .. } => {}
            Action::Close(_) => broker.closed = true,
        }
    }
}
