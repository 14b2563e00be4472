//! A session with a broker that does as it is told, and remembers what it was asked.

#![allow(
    dead_code,
    clippy::expect_used,
    reason = "each test file uses some of it, and a helper fails its test"
)]

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::BytesMut;
use kuzzle_stomp_proto::{
    codec::{Decoder, FrameLimits, Version},
    session::{
        Action, Ending, Entered, Limits, LinkEvent, Message, Operation, Publish, Received, Session, Settle,
    },
};

/// A client before its session.
pub(crate) struct Client {
    pub(crate) session: Session,
    pub(crate) input: BytesMut,
    pub(crate) now: Duration,
    /// What was asked of the broker, but for what is in the other fields.
    pub(crate) calls: Vec<(u64, Operation)>,
    pub(crate) published: Vec<(u64, Publish)>,
    pub(crate) settled: Vec<(u64, Vec<Settle>)>,
    pub(crate) commits: Vec<(u64, Vec<Publish>, Vec<Settle>)>,
    pub(crate) entered: Vec<String>,
    pub(crate) credentials: Vec<Vec<u8>>,
    pub(crate) quiescing: bool,
    pub(crate) closed: Option<Ending>,
    /// Operations that wait for their answers.
    pub(crate) unanswered: VecDeque<u64>,
    /// Whether operations are answered at once.
    pub(crate) answers: bool,
    /// Virtual hosts that there are.
    pub(crate) hosts: Vec<&'static str>,
    pub(crate) password: &'static str,
    last_delivery: u64,
    confirms: bool,
    last_seq: u64,
}

pub(crate) const START: Duration = Duration::from_secs(100);

impl Client {
    pub(crate) fn new() -> Client {
        Client::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Client {
        Client {
            session: Session::new(Arc::new(limits), 7, START),
            input: BytesMut::new(),
            now: START,
            calls: Vec::new(),
            published: Vec::new(),
            settled: Vec::new(),
            commits: Vec::new(),
            entered: Vec::new(),
            credentials: Vec::new(),
            quiescing: false,
            closed: None,
            unanswered: VecDeque::new(),
            answers: true,
            hosts: vec!["/"],
            password: "guest",
            last_delivery: 0,
            confirms: false,
            last_seq: 0,
        }
    }

    /// A client of that version that is connected.
    pub(crate) fn connected(version: Version) -> Client {
        Client::connected_with(version, Limits::default())
    }

    pub(crate) fn connected_with(version: Version, limits: Limits) -> Client {
        let mut client = Client::with(limits);
        let told = client.say(&format!("CONNECT\naccept-version:{version}\nhost:/\n\n\0"));
        assert!(told.starts_with("CONNECTED\n"), "{told}");
        assert_eq!(client.asked().len(), 1, "the limit of unsettled deliveries");
        client
    }

    /// Sends text, and gives what comes back.
    pub(crate) fn say(&mut self, text: &str) -> String {
        self.say_bytes(text.as_bytes())
    }

    pub(crate) fn say_bytes(&mut self, bytes: &[u8]) -> String {
        self.input.extend_from_slice(bytes);
        self.go_on()
    }

    /// Does all there is to do, and gives what was written.
    pub(crate) fn go_on(&mut self) -> String {
        loop {
            let received = self.session.receive(&mut self.input, self.now);
            let acted = self.act();
            if !acted && (received == Received::Everything || !self.session.wants_input()) {
                break;
            }
        }
        self.written()
    }

    /// What waits to be written.
    pub(crate) fn written(&mut self) -> String {
        let written = String::from_utf8_lossy(self.session.output()).into_owned();
        let length = self.session.output().len();
        self.session.wrote(length, self.now);
        written
    }

    fn act(&mut self) -> bool {
        let mut acted = false;
        while let Some(action) = self.session.poll_action() {
            assert_eq!(self.closed, None, "nothing follows the end: {action:?}");
            acted = true;
            match action {
                Action::Authenticate { credentials } => {
                    let accepted = credentials.ends_with(format!("\0{}", self.password).as_bytes());
                    self.credentials.push(credentials.to_vec());
                    self.session.authenticated(accepted, self.now);
                }
                Action::Enter { virtual_host, .. } => {
                    self.entered.push(virtual_host.to_string());
                    let known = self.hosts.contains(&&*virtual_host);
                    self.session.entered(if known { Entered::Yes } else { Entered::NotFound }, self.now);
                }
                Action::OpenLink => {}
                Action::Publish { first_seq, messages } => {
                    for (seq, message) in (first_seq..).zip(messages) {
                        assert!(seq > self.last_seq, "sequences grow");
                        self.last_seq = seq;
                        self.published.push((seq, message));
                    }
                    if self.answers && self.confirms {
                        let up_to = self.last_seq;
                        self.session.link_event(LinkEvent::Confirmed { up_to }, self.now);
                    }
                }
                Action::Settle { op, settlements } => {
                    self.settled.push((op, settlements));
                    self.answer_op(op);
                }
                Action::Commit { op, first_seq, messages, settlements } => {
                    assert!(first_seq > self.last_seq, "sequences grow");
                    self.last_seq = first_seq + messages.len() as u64 - u64::from(!messages.is_empty());
                    self.commits.push((first_seq, messages, settlements));
                    self.answer_op(op);
                }
                Action::Call { op, operation } => {
                    self.confirms |= operation == Operation::Confirm;
                    self.calls.push((op, operation));
                    self.answer_op(op);
                }
                Action::Quiesce { .. } => {
                    self.quiescing = true;
                    if self.answers {
                        self.session.quiesced(self.now);
                    }
                }
                Action::Close(ending) => self.closed = Some(ending),
            }
        }
        acted
    }

    fn answer_op(&mut self, op: u64) {
        if op == 0 {
        } else if self.answers {
            self.event(LinkEvent::Answer { op, code: 200, text: "" });
        } else {
            self.unanswered.push_back(op);
        }
    }

    pub(crate) fn event(&mut self, event: LinkEvent<'_>) {
        self.session.link_event(event, self.now);
    }

    /// Has the broker do what waits for an answer.
    pub(crate) fn answer_all(&mut self) -> String {
        while let Some(op) = self.unanswered.pop_front() {
            self.event(LinkEvent::Answer { op, code: 200, text: "" });
        }
        self.go_on()
    }

    pub(crate) fn confirm(&mut self) -> String {
        let up_to = self.last_seq;
        self.event(LinkEvent::Confirmed { up_to });
        self.go_on()
    }

    /// A message for the newest consumer, unsettled unless it acknowledges nothing.
    pub(crate) fn deliver(&mut self, message: Message<'_>) -> String {
        let (consumer, settled) = self
            .calls
            .iter()
            .rev()
            .find_map(|(_, call)| match call {
                Operation::Consume { consumer, no_ack, .. } => Some((*consumer, *no_ack)),
                _ => None,
            })
            .expect("a consumer");
        self.deliver_to(consumer, settled, message)
    }

    /// Whether a consumer that there is settles by itself.
    pub(crate) fn acknowledges_nothing(&self, wanted: u64) -> Option<bool> {
        let mut all = self.calls.iter().filter_map(|(_, call)| match call {
            Operation::Consume { consumer, no_ack, .. } if *consumer == wanted => Some(*no_ack),
            _ => None,
        });
        all.next()
    }

    pub(crate) fn deliver_to(&mut self, consumer: u64, settled: bool, message: Message<'_>) -> String {
        self.last_delivery += 1;
        let delivery = self.last_delivery;
        self.event(LinkEvent::Delivery { consumer, delivery, redelivered: false, settled, message });
        self.go_on()
    }

    /// Lets time go by, step by step.
    pub(crate) fn wait(&mut self, time: Duration) -> String {
        let until = self.now + time;
        let mut written = String::new();
        while let Some(due) = self.session.deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            written += &self.go_on();
        }
        self.now = until;
        written
    }

    /// Declarations, bindings and consumers, in short.
    pub(crate) fn asked(&mut self) -> Vec<String> {
        self.calls
            .drain(..)
            .map(|(_, call)| match call {
                Operation::Confirm => "confirm".to_owned(),
                Operation::Credit { count } => format!("credit {count}"),
                Operation::DeclareQueue { name, durable, exclusive, auto_delete, any, arguments } => {
                    let mut flags = String::new();
                    for (is_set, flag) in [
                        (durable, " durable"),
                        (exclusive, " exclusive"),
                        (auto_delete, " auto-delete"),
                        (any, " any"),
                    ] {
                        flags += if is_set { flag } else { "" };
                    }
                    format!("declare {name}{flags} {}", arguments.len())
                }
                Operation::DeleteQueue { name } => format!("delete {name}"),
                Operation::Bind { exchange, queue, key } => {
                    format!("bind {queue} to {exchange} with '{key}'")
                }
                Operation::Consume { queue, tag, no_ack, credit, .. } => {
                    let credit = credit.map_or(String::new(), |credit| format!(" credit {credit}"));
                    format!("consume {queue} as {tag}{}{credit}", if no_ack { "" } else { " with acks" })
                }
                Operation::Cancel { consumer } => format!("cancel {consumer}"),
            })
            .collect()
    }
}

/// The commands of some text of frames.
pub(crate) fn commands(text: &str) -> Vec<String> {
    frames(text).into_iter().map(|frame| frame.0).collect()
}

/// Command, headers and body of a frame.
pub(crate) type Told = (String, Vec<(String, String)>, String);

/// Frames of a server.
pub(crate) fn frames(text: &str) -> Vec<Told> {
    let (mut decoder, mut input) = (Decoder::new(), BytesMut::from(text));
    let limits = FrameLimits::default();
    let mut frames = Vec::new();
    while let Some(frame) = decoder.decode(&mut input, Version::V1_2, &limits).expect("frames") {
        let headers = frame.headers().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let body = String::from_utf8_lossy(frame.body()).into_owned();
        frames.push((frame.command_text().to_owned(), headers, body));
    }
    assert!(input.is_empty(), "{text}");
    frames
}

/// A header of the first frame of some text.
pub(crate) fn header(text: &str, name: &str) -> Option<String> {
    let (_, headers, _) = frames(text).into_iter().next()?;
    headers.into_iter().find_map(|(found, value)| (found == name).then_some(value))
}

pub(crate) fn message<'a>(key: &'a str, body: &'a [u8]) -> Message<'a> {
    Message { exchange: "", routing_key: key, properties: &[], body }
}

/// The text of an `ERROR`.
pub(crate) fn error(message: &str, more: &str, detail: &str) -> String {
    let length = detail.len();
    format!(
        "ERROR\nmessage:{message}\ncontent-type:text/plain\nversion:1.0,1.1,1.2\n{more}content-length:{length}\n\n{detail}\0\n"
    )
}
