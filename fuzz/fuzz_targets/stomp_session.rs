//! A session between any client and any broker that keeps to its contract: no panic, bounded output, an end that comes.
#![no_main]

use std::{collections::VecDeque, sync::Arc, time::Duration};

use arbitrary::Arbitrary;
use bytes::BytesMut;
use kuzzle_stomp_proto::{
    codec::FrameLimits,
    session::{Action, Entered, Limits, LinkEvent, Message, Operation, Session},
};
use libfuzzer_sys::fuzz_target;

const OUTPUT_MAX: usize = 4096;

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Bytes(&'a [u8]),
    Frame { command: u8, headers: Vec<(u8, u8)>, body: &'a [u8] },
    Acknowledge { nack: bool, tag: u8, delivery: u8, transaction: u8 },
    Answer { code: u16 },
    Deliver { consumer: u8, settled: bool, properties: &'a [u8], length: u8 },
    Confirm,
    Refuse { code: u16 },
    Cancel { consumer: u8 },
    CloseLink,
    Quiesced,
    Throttle,
    Unblock,
    NotTaken,
    Write(u16),
    Wait(u8),
}

#[derive(Default)]
struct Broker {
    operations: VecDeque<u64>,
    last_delivery: u64,
    last_seq: u64,
    quiescing: bool,
    refuses: bool,
    closed: bool,
}

fuzz_target!(|input: (u8, Vec<Step<'_>>)| {
    let (version, steps) = input;
    let limits = Limits {
        frame: FrameLimits {
            headers_max: 16,
            line_max_bytes: 200,
            head_max_bytes: 600,
            body_max_bytes: 2000,
        },
        output_max_bytes: OUTPUT_MAX,
        subscriptions_max: 4,
        transactions_max: 2,
        transaction_max_steps: 8,
        transaction_max_bytes: 500,
        operations_max: 16,
        error_closes: version & 4 != 0,
        ..Limits::default()
    };
    let mut now = Duration::from_secs(1);
    let mut session = Session::new(Arc::new(limits), 7, now);
    let (mut broker, mut input) = (Broker::default(), BytesMut::new());
    let version = ["1.0", "1.1", "1.2"][usize::from(version % 3)];
    input.extend_from_slice(
        format!("CONNECT\naccept-version:{version}\nheart-beat:9000,9000\n\n\0").as_bytes(),
    );
    let mut told = String::new();
    for step in steps {
        session.receive(&mut input, now);
        act(&mut session, &mut broker, now);
        if told.is_empty() {
            told = String::from_utf8_lossy(session.output()).into_owned();
        }
        step.play(&mut session, &mut broker, &mut input, &mut now, &told);
        session.receive(&mut input, now);
        act(&mut session, &mut broker, now);
        assert!(session.output().len() < 8 * OUTPUT_MAX, "the output is bounded");
        if session.is_ended() {
            break;
        }
    }
    session.close("the end", "the end", now);
    while let Some(due) = session.deadline() {
        let length = session.output().len();
        session.wrote(length, now);
        now = now.max(due);
        session.handle_timeout(now);
        act(&mut session, &mut broker, now);
    }
    assert!(session.is_ended());
    act(&mut session, &mut broker, now);
    assert!(broker.closed, "the shell is told to close");
});

const COMMANDS: [&str; 10] =
    ["SEND", "SUBSCRIBE", "UNSUBSCRIBE", "BEGIN", "COMMIT", "ABORT", "ACK", "NACK", "DISCONNECT", "CONNECT"];
const NAMES: [&str; 14] = [
    "destination",
    "id",
    "receipt",
    "transaction",
    "ack",
    "reply-to",
    "durable",
    "auto-delete",
    "prefetch-count",
    "x-expires",
    "message-id",
    "content-length",
    "persistent",
    "priority",
];
const VALUES: [&str; 14] = [
    "/queue/a",
    "/topic/a.b",
    "/exchange/e/k",
    "/temp-queue/t",
    "/reply-queue/r",
    "a",
    "1",
    "2",
    "true",
    "false",
    "client",
    "client-individual",
    "/queue/a/b",
    "7",
];

impl Step<'_> {
    fn play(
        self,
        session: &mut Session,
        broker: &mut Broker,
        input: &mut BytesMut,
        now: &mut Duration,
        told: &str,
    ) {
        match self {
            Step::Bytes(bytes) => input.extend_from_slice(bytes),
            Step::Frame { command, headers, body } => {
                let mut frame = format!("{}\n", COMMANDS[usize::from(command) % COMMANDS.len()]);
                for (name, value) in headers.into_iter().take(16) {
                    let name = NAMES[usize::from(name) % NAMES.len()];
                    frame += &format!("{name}:{}\n", VALUES[usize::from(value) % VALUES.len()]);
                }
                input.extend_from_slice(frame.as_bytes());
                input.extend_from_slice(b"\n");
                input.extend_from_slice(&body[..body.len().min(300)]);
                input.extend_from_slice(b"\0");
            }
            Step::Acknowledge { nack, tag, delivery, transaction } => {
                let id =
                    told.split("session:").nth(1).and_then(|rest| rest.split('\n').next()).unwrap_or("x");
                let tag = ["T_1", "T_2", "Q_/queue/a", "T_/temp-queue/t"][usize::from(tag % 4)];
                let command = if nack { "NACK" } else { "ACK" };
                let id = format!("{tag}@@{id}@@{delivery}");
                let mut frame = format!("{command}\nid:{id}\nmessage-id:{id}\nreceipt:r\n");
                if transaction < 128 {
                    frame += "transaction:1\n";
                }
                input.extend_from_slice((frame + "\n\0").as_bytes());
            }
            Step::Answer { code } => {
                let Some(op) = broker.operations.pop_front() else { return };
                let code = if code < 60_000 { 200 } else { code };
                session.link_event(LinkEvent::Answer { op, code, text: "a text" }, *now);
            }
            Step::Deliver { consumer, settled, properties, length } => {
                if session.budget().events == 0 {
                    return;
                }
                broker.last_delivery += 1;
                let event = LinkEvent::Delivery {
                    consumer: u64::from(consumer % 6),
                    delivery: broker.last_delivery,
                    redelivered: false,
                    settled,
                    message: Message {
                        exchange: "",
                        routing_key: "a",
                        properties: &properties[..properties.len().min(300)],
                        body: &[7; 255][..length.into()],
                    },
                };
                session.link_event(event, *now);
            }
            Step::Confirm => session.link_event(LinkEvent::Confirmed { up_to: broker.last_seq }, *now),
            Step::Refuse { code } => {
                let code = if code < 40_000 { 506 } else { 404 };
                session.link_event(LinkEvent::Refused { seq: broker.last_seq, code, text: "no" }, *now);
            }
            Step::Cancel { consumer } => {
                session.link_event(LinkEvent::Cancelled { consumer: u64::from(consumer % 6) }, *now);
            }
            Step::CloseLink => session.link_event(LinkEvent::Closed { code: 506, text: "gone" }, *now),
            Step::Quiesced => {
                if std::mem::take(&mut broker.quiescing) {
                    session.quiesced(*now);
                }
            }
            Step::Throttle => session.throttle(),
            Step::Unblock => session.unblocked(*now),
            Step::NotTaken => broker.refuses = true,
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

fn act(session: &mut Session, broker: &mut Broker, now: Duration) {
    while let Some(action) = session.poll_action() {
        assert!(!broker.closed, "nothing follows the end");
        match action {
            Action::Authenticate { .. } => session.authenticated(true, now),
            Action::Enter { .. } => session.entered(Entered::Yes, now),
            Action::OpenLink => {}
            Action::Publish { first_seq, messages } => {
                assert!(first_seq > broker.last_seq && !messages.is_empty());
                if std::mem::take(&mut broker.refuses) {
                    session.not_taken(first_seq, messages);
                } else {
                    broker.last_seq = first_seq + messages.len() as u64 - 1;
                }
            }
            Action::Settle { op, settlements } => {
                assert!(!settlements.is_empty());
                assert!(settlements.iter().all(|settle| settle.delivery <= broker.last_delivery));
                expect(broker, op);
            }
            Action::Commit { op, first_seq, messages, settlements } => {
                assert!(!messages.is_empty() || !settlements.is_empty());
                assert!(first_seq > broker.last_seq);
                broker.last_seq = (first_seq + messages.len() as u64).saturating_sub(1).max(broker.last_seq);
                expect(broker, op);
            }
            Action::Call { op, operation } => {
                if let Operation::Consume { consumer, .. } = operation {
                    assert_ne!(consumer, 0);
                }
                expect(broker, op);
            }
            Action::Quiesce { .. } => broker.quiescing = true,
            Action::Close(_) => broker.closed = true,
        }
    }
}

fn expect(broker: &mut Broker, op: u64) {
    if op != 0 {
        broker.operations.push_back(op);
    }
}
