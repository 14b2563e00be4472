//! The rules of the broker, asked through its links.

mod consumers;
mod copies;
mod declarations;
mod durability;
mod exactly_once;
mod model;
mod publishing;
mod queues;
mod routing;
mod sessions;
mod threads;
mod trouble;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::properties::Properties;
use crate::table::{self, Value};
use crate::*;

/// A clock that stands until it is moved.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A host that keeps the requests it is given.
#[derive(Default)]
pub(crate) struct TestHost {
    pub(crate) requests: Mutex<Vec<Request>>,
}

impl Host for TestHost {
    fn request(&self, request: Request) {
        self.requests.lock().push(request);
    }

    fn key_class(&self, _: &str, exchange: &str, routing_key: &str) -> KeyClass {
        match (exchange, routing_key) {
            ("amq.topic", "api") => KeyClass::Ingress,
            ("amq.topic", key) if key.starts_with("reply.") => KeyClass::Reserved,
            _ => KeyClass::Open,
        }
    }
}

#[derive(Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Waker for Wakes {
    fn ready(&self, _: u64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub(crate) struct Fixture {
    pub(crate) broker: Broker,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) host: Arc<TestHost>,
}

pub(crate) const START: u64 = 1_700_000_000_000;

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let clock = Arc::new(TestClock(AtomicU64::new(START)));
        let host = Arc::new(TestHost::default());
        let broker = Broker::in_memory(options, host.clone(), clock.clone());
        Self { broker, clock, host }
    }

    pub(crate) fn on(disk: &kuzzle_journal::SimulatedDisk, options: Options) -> Self {
        let clock = Arc::new(TestClock(AtomicU64::new(START)));
        let host = Arc::new(TestHost::default());
        let broker = Broker::open(options, host.clone(), clock.clone(), Arc::new(disk.clone())).unwrap();
        Self { broker, clock, host }
    }

    pub(crate) fn pass(&self, ms: u64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
        self.broker.tick();
    }

    pub(crate) fn client(&self) -> Client {
        self.client_with(LinkOptions { id: 2, ..LinkOptions::default() })
    }

    pub(crate) fn client_with(&self, options: LinkOptions) -> Client {
        let wakes = Arc::new(Wakes::default());
        let connection = self
            .broker
            .connect(ConnectionOptions {
                id: 1,
                vhost: "/".into(),
                instance: "test".into(),
                user: "guest".into(),
                client_name: Some("tester".into()),
                info: "{}".into(),
                privileged: false,
                waker: wakes.clone(),
            })
            .unwrap();
        let link = connection.open_link(options).unwrap();
        Client { link, connection, wakes, op: AtomicU64::new(1), seq: AtomicU64::new(1) }
    }
}

/// A link with its connection, asked step by step.
pub(crate) struct Client {
    pub(crate) link: Link,
    pub(crate) connection: Connection,
    pub(crate) wakes: Arc<Wakes>,
    op: AtomicU64,
    seq: AtomicU64,
}

impl Client {
    pub(crate) fn next_op(&self) -> u64 {
        self.op.fetch_add(1, Ordering::Relaxed)
    }

    /// All events that wait.
    pub(crate) fn events(&self) -> Vec<LinkEvent> {
        let mut events = Vec::new();
        while self.link.take(64, u64::MAX, &mut events).more {}
        events
    }

    /// Asks and gives the answer; other events must not come.
    pub(crate) fn ask(&self, call: impl FnOnce(&Link, u64) -> bool) -> Result<Done, Error> {
        let (answer, events) = self.ask_all(call);
        assert!(events.is_empty(), "unexpected {events:?}");
        answer
    }

    /// Asks and gives the answer and what came besides.
    pub(crate) fn ask_all(
        &self,
        call: impl FnOnce(&Link, u64) -> bool,
    ) -> (Result<Done, Error>, Vec<LinkEvent>) {
        let op = self.next_op();
        call(&self.link, op);
        let mut answer = None;
        let mut others = Vec::new();
        let start = Instant::now();
        loop {
            for event in self.events() {
                match event {
                    LinkEvent::Answer(found) if found.op == op => answer = Some(found.result),
                    other => others.push(other),
                }
            }
            if let Some(answer) = answer {
                return (answer, others);
            }
            assert!(start.elapsed() < Duration::from_secs(30), "no answer; but {others:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn queue(&self, name: &str) -> Arc<str> {
        self.queue_with(QueueDeclare { name, ..QueueDeclare::default() })
    }

    pub(crate) fn queue_with(&self, declare: QueueDeclare<'_>) -> Arc<str> {
        self.ask(|link, op| link.declare_queue(op, &declare)).unwrap().name.unwrap()
    }

    pub(crate) fn bind(&self, queue: &str, source: &str, routing_key: &str) {
        self.bind_with(Bind { source, destination: queue, routing_key, ..Bind::default() }).unwrap();
    }

    pub(crate) fn bind_with(&self, bind: Bind<'_>) -> Result<Done, Error> {
        self.ask(|link, op| link.bind(op, &bind))
    }

    pub(crate) fn consume(&self, consumer: u64, queue: &str) -> Vec<LinkEvent> {
        self.consume_with(Consume { consumer, queue, ..Consume::default() })
    }

    pub(crate) fn consume_with(&self, consume: Consume<'_>) -> Vec<LinkEvent> {
        let (answer, events) = self.ask_all(|link, op| link.consume(op, &consume));
        answer.unwrap();
        events
    }

    pub(crate) fn publish(&self, exchange: &str, routing_key: &str, body: &str) -> u64 {
        self.publish_with(exchange, routing_key, body, Properties::default())
    }

    pub(crate) fn persistent(&self, exchange: &str, routing_key: &str, body: &str) -> u64 {
        self.publish_with(
            exchange,
            routing_key,
            body,
            Properties { delivery_mode: Some(2), ..Properties::default() },
        )
    }

    pub(crate) fn publish_with(
        &self,
        exchange: &str,
        routing_key: &str,
        body: &str,
        properties: Properties<'_>,
    ) -> u64 {
        let properties = properties.encode();
        self.send(Publish { properties: &properties, ..message(exchange, routing_key, body) })
    }

    pub(crate) fn send(&self, publish: Publish<'_>) -> u64 {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed);
        self.link.publish(seq, &[publish]);
        seq
    }

    /// Waits until publishes up to a number are confirmed; gives what came besides.
    pub(crate) fn confirmed(&self, upto: u64) -> Vec<LinkEvent> {
        let mut others = Vec::new();
        let start = Instant::now();
        loop {
            let mut found = false;
            for event in self.events() {
                match event {
                    LinkEvent::ConfirmedUpTo(seq) if seq >= upto => found = true,
                    LinkEvent::ConfirmedUpTo(_) => {}
                    other => others.push(other),
                }
            }
            if found {
                return others;
            }
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "publish {upto} is not confirmed; but {others:?}"
            );
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    pub(crate) fn get(&self, queue: &str, no_ack: bool) -> Option<Got> {
        let op = self.next_op();
        self.link.get(op, queue, no_ack);
        match self.events().pop() {
            Some(LinkEvent::Got(got)) => Some(*got),
            Some(LinkEvent::Answer(answer)) => {
                assert!(answer.result.unwrap().empty);
                None
            }
            other => panic!("unexpected {other:?}"),
        }
    }

    /// Empties a queue; gives the bodies.
    pub(crate) fn drain(&self, queue: &str) -> Vec<String> {
        std::iter::from_fn(|| self.get(queue, true)).map(|got| text(&got.message)).collect()
    }

    /// Starts a consumer whose answer may be held back.
    pub(crate) fn consume_with_no_answer(&self, queue: &str) {
        self.link.consume(self.next_op(), &Consume { consumer: 1, queue, ..Consume::default() });
    }

    pub(crate) fn consume_with_credit(&self, queue: &str, credit: Credit) {
        let consume = Consume { consumer: 1, queue, credit, ..Consume::default() };
        self.link.consume(0, &consume);
    }

    pub(crate) fn settle_all(&self) {
        let all = Settle { delivery: 0, multiple: true, outcome: Outcome::Done };
        self.ask(|link, op| link.settle(op, &[all])).unwrap();
    }

    pub(crate) fn settle(&self, delivery: u64, outcome: Outcome) -> Result<Done, Error> {
        self.ask_all(|link, op| link.settle(op, &[Settle { delivery, multiple: false, outcome }])).0
    }
}

pub(crate) fn message<'a>(exchange: &'a str, routing_key: &'a str, body: &'a str) -> Publish<'a> {
    Publish {
        exchange,
        routing_key,
        properties: &[],
        body: Body::Borrowed(body.as_bytes()),
        mandatory: false,
        retain: false,
        dedupe: 0,
    }
}

pub(crate) fn text(message: &Message) -> String {
    String::from_utf8(message.body().to_vec()).unwrap()
}

pub(crate) fn deliveries(events: Vec<LinkEvent>) -> Vec<Delivery> {
    events
        .into_iter()
        .map(|event| match event {
            LinkEvent::Delivery(delivery) => delivery,
            other => panic!("unexpected {other:?}"),
        })
        .collect()
}

pub(crate) fn bodies(events: Vec<LinkEvent>) -> Vec<String> {
    deliveries(events).iter().map(|delivery| text(&delivery.message)).collect()
}

pub(crate) fn arguments(fields: &[(&str, Value<'_>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        table::put(&mut bytes, name, *value);
    }
    bytes
}

pub(crate) fn long(text: &'static str) -> Value<'static> {
    Value::LongString(text.as_bytes())
}

pub(crate) fn refused(result: Result<Done, Error>) -> String {
    result.unwrap_err().to_string()
}

pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
