//! A host's broker that writes down what it is asked for.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use super::fixture::*;
use crate::abi::*;

/// What was asked for, in order, and events to be taken.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) calls: Watched<Vec<String>>,
    pub(super) outboxes: Mutex<HashMap<u64, VecDeque<LinkEvent>>>,
    /// How many more publishes are taken before the connection is throttled; none for no end.
    pub(super) room: Mutex<Option<u32>>,
    pub(super) panics: bool,
}

impl Recorder {
    fn record(&self, call: String) {
        self.calls.with(|calls| calls.push(call));
        assert!(!self.panics, "boom in the broker");
    }

    pub(super) fn push(&self, host: &TestHost, client: Option<&BrokerClient>, id: u64, event: LinkEvent) {
        let is_first = {
            let mut outboxes = self.outboxes.lock();
            let outbox = outboxes.entry(id).or_default();
            outbox.push_back(event);
            outbox.len() == 1
        };
        host.state.with(|_| ());
        if let Some(client) = client.filter(|_| is_first) {
            client.ready(id);
        }
    }

    pub(super) fn waiting(&self, id: u64) -> usize {
        self.outboxes.lock().get(&id).map_or(0, VecDeque::len)
    }

    #[track_caller]
    pub(super) fn wait_for(&self, number: usize) -> Vec<String> {
        self.calls.wait_for(|calls| (calls.len() >= number).then(|| calls.clone()))
    }
}

fn shown(publish: &Publish<'_>) -> String {
    let Publish { exchange, routing_key, properties, flags, dedupe, .. } = publish;
    format!("{exchange}/{routing_key}/{:?}/{}/{flags}/{dedupe}", properties.as_slice(), publish.body().len())
}

fn shown_all(messages: &[Publish<'_>]) -> Vec<String> {
    messages.iter().map(shown).collect()
}

impl BrokerCalls for Recorder {
    fn open(&self, connection: u64, info: &str) -> Result<(), ApiError> {
        self.record(format!("open {connection} {info}"));
        if info.contains("refuse") { Err(ApiError::new(429, "host.full", "too many")) } else { Ok(()) }
    }

    fn authenticate(&self, connection: u64, mechanism: &str, credentials: Blob, done: Completion) {
        self.record(format!("authenticate {connection} {mechanism} {:?}", credentials.as_slice()));
        if mechanism != "DROP" {
            done.complete(Reply::authenticated("me"));
        }
    }

    fn enter(&self, connection: u64, enter: &Enter<'_>, done: Completion) {
        self.record(format!("enter {connection} {enter:?}"));
        done.complete(Reply { status: 200, ..Reply::cancelled() });
    }

    fn close(&self, connection: u64) {
        self.record(format!("close {connection}"));
    }

    fn open_link(&self, connection: u64, link: u64, options: LinkOptions) -> Result<(), ApiError> {
        self.record(format!("open_link {connection} {link} {options:?}"));
        if options.outbox_events == 666 { Err(ApiError::new(429, "host.full", "too many")) } else { Ok(()) }
    }

    fn close_link(&self, link: u64) {
        self.record(format!("close_link {link}"));
    }

    fn take(&self, id: u64, max_events: u32, max_bytes: u64) -> Vec<LinkEvent> {
        assert!(!self.panics, "boom in take");
        let mut outboxes = self.outboxes.lock();
        let Some(outbox) = outboxes.get_mut(&id) else { return Vec::new() };
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < max_events as usize && (taken.is_empty() || bytes <= max_bytes) {
            let Some(event) = outbox.pop_front() else { break };
            bytes += event.weight();
            taken.push(event);
        }
        taken
    }

    fn publish(&self, link: u64, first_sequence: u64, messages: &[Publish<'_>]) -> Accepted {
        let fits = {
            let mut room = self.room.lock();
            let all = messages.len() as u32;
            let fits = room.map_or(all, |room| room.min(all));
            *room = room.map(|room| room - fits);
            fits
        };
        for (sequence, publish) in (first_sequence..).zip(&messages[..fits as usize]) {
            self.record(format!("publish {link} {sequence} {}", shown(publish)));
        }
        Accepted { taken: fits, throttled: (fits as usize) < messages.len() }
    }

    fn settle(&self, link: u64, op: u64, settles: &[Settle]) -> bool {
        self.record(format!("settle {link} {op} {settles:?}"));
        false
    }

    fn commit(&self, link: u64, op: u64, first: u64, messages: &[Publish<'_>], settles: &[Settle]) -> bool {
        self.record(format!("commit {link} {op} {first} {:?} {settles:?}", shown_all(messages)));
        false
    }

    fn confirm(&self, link: u64, op: u64, on: bool) -> bool {
        self.record(format!("confirm {link} {op} {on}"));
        false
    }

    fn recover(&self, link: u64, op: u64) -> bool {
        self.record(format!("recover {link} {op}"));
        false
    }

    fn get(&self, link: u64, op: u64, queue: &str, no_ack: bool) -> bool {
        self.record(format!("get {link} {op} {queue} {no_ack}"));
        false
    }

    fn declare_exchange(&self, link: u64, op: u64, declare: &ExchangeDeclare<'_>) -> bool {
        self.record(format!("declare_exchange {link} {op} {declare:?}"));
        false
    }

    fn delete_exchange(&self, link: u64, op: u64, name: &str, flags: u32) -> bool {
        self.record(format!("delete_exchange {link} {op} {name} {flags}"));
        false
    }

    fn declare_queue(&self, link: u64, op: u64, declare: &QueueDeclare<'_>) -> bool {
        self.record(format!("declare_queue {link} {op} {declare:?}"));
        false
    }

    fn delete_queue(&self, link: u64, op: u64, name: &str, flags: u32) -> bool {
        self.record(format!("delete_queue {link} {op} {name} {flags}"));
        false
    }

    fn purge_queue(&self, link: u64, op: u64, name: &str) -> bool {
        self.record(format!("purge_queue {link} {op} {name}"));
        false
    }

    fn bind(&self, link: u64, op: u64, bind: &Bind<'_>) -> bool {
        self.record(format!("bind {link} {op} {bind:?}"));
        false
    }

    fn unbind(&self, link: u64, op: u64, bind: &Bind<'_>) -> bool {
        self.record(format!("unbind {link} {op} {bind:?}"));
        false
    }

    fn consume(&self, link: u64, op: u64, consume: &Consume<'_>) -> bool {
        self.record(format!("consume {link} {op} {consume:?}"));
        false
    }

    fn cancel(&self, link: u64, op: u64, consumer: u64) -> bool {
        self.record(format!("cancel {link} {op} {consumer}"));
        false
    }

    fn credit(&self, link: u64, op: u64, consumer: u64, count: u32, bytes: u64) -> bool {
        self.record(format!("credit {link} {op} {consumer} {count} {bytes}"));
        false
    }

    fn attach_session(&self, link: u64, op: u64, session: &SessionAttach<'_>) -> bool {
        self.record(format!("attach_session {link} {op} {session:?}"));
        false
    }

    fn detach_session(&self, link: u64, op: u64, flags: u32, expiry_secs: u32) -> bool {
        self.record(format!("detach_session {link} {op} {flags} {expiry_secs}"));
        false
    }

    fn note_session(&self, link: u64, op: u64, key: &str, value: &[u8]) -> bool {
        self.record(format!("note_session {link} {op} {key} {value:?}"));
        false
    }

    fn forget(&self, link: u64, op: u64, dedupe: &[u32]) -> bool {
        self.record(format!("forget {link} {op} {dedupe:?}"));
        false
    }

    fn quiesce(&self, link: u64, timeout_ms: u64, done: Completion) {
        self.record(format!("quiesce {link} {timeout_ms}"));
        done.complete(Reply { status: 200, ..Reply::cancelled() });
    }

    fn limits(&self) -> Blob {
        assert!(!self.panics, "boom in limits");
        r#"{"max_links":3}"#.into()
    }
}
