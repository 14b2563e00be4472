//! Prints how many messages a second the broker moves, each job on one thread of clients.
//!
//! `cargo run --release -p kuzzle-broker --example measure_broker [directory]`; the directory is for the durable job and is left
//! as it is found but for a folder `measure` in it, which is removed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kuzzle_broker::properties::Properties;
use kuzzle_broker::{
    Bind, BindingOptions, Body, Broker, Connection, ConnectionOptions, Consume, Credit, Host, Link,
    LinkEvent, LinkOptions, Options, Outcome, Publish, QueueDeclare, Request, Settle, SystemClock, Waker,
};

/// How long each job runs.
const RUN: Duration = Duration::from_secs(2);

/// Bytes of a body.
const SIZE: usize = 200;

/// Messages published at once.
const BATCH: usize = 64;

struct NoHost;

impl Host for NoHost {
    fn request(&self, _: Request) {}
}

struct NoWaker;

impl Waker for NoWaker {
    fn ready(&self, _: u64) {}
}

struct Client {
    link: Link,
    _connection: Connection,
}

fn client(broker: &Broker) -> Result<Client, Box<dyn std::error::Error>> {
    let connection = broker.connect(ConnectionOptions {
        id: 1,
        vhost: "/".into(),
        instance: "measure".into(),
        user: "guest".into(),
        client_name: None,
        info: String::new(),
        privileged: false,
        waker: Arc::new(NoWaker),
    })?;
    let link = connection.open_link(LinkOptions::default())?;
    Ok(Client { link, _connection: connection })
}

fn publish<'a>(exchange: &'a str, key: &'a str, properties: &'a [u8], body: &'a [u8]) -> Publish<'a> {
    Publish {
        exchange,
        routing_key: key,
        properties,
        body: Body::Borrowed(body),
        mandatory: false,
        retain: false,
        dedupe: 0,
    }
}

/// Publishes a batch to a topic with so many subscribers and takes all deliveries.
fn fan_out(broker: &Broker, subscribers: usize) -> Result<f64, Box<dyn std::error::Error>> {
    let publisher = client(broker)?;
    let mut takers = Vec::new();
    for n in 0..subscribers {
        let taker = client(broker)?;
        let name = format!("fan-{subscribers}-{n}");
        taker
            .link
            .declare_queue(0, &QueueDeclare { name: &name, auto_delete: true, ..QueueDeclare::default() });
        let options = BindingOptions { id: 1, at_most_once: true, ..BindingOptions::default() };
        taker.link.bind(
            0,
            &Bind {
                source: "amq.topic",
                destination: &name,
                routing_key: "sensors.+.t".replace('+', "*").as_str(),
                options,
                ..Bind::default()
            },
        );
        taker
            .link
            .consume(0, &Consume { consumer: 1, queue: &name, with_bindings: true, ..Consume::default() });
        takers.push(taker);
    }
    let body = [b'x'; SIZE];
    let batch: Vec<_> = (0..BATCH).map(|_| publish("amq.topic", "sensors.a.t", &[], &body)).collect();
    let mut events = Vec::new();
    let (mut seq, mut delivered) = (1, 0u64);
    let start = Instant::now();
    while start.elapsed() < RUN {
        publisher.link.publish(seq, &batch);
        seq += BATCH as u64;
        for taker in &takers {
            taker.link.take(1_024, u64::MAX, &mut events);
            delivered += events.len() as u64;
            events.clear();
        }
    }
    Ok(delivered as f64 / start.elapsed().as_secs_f64())
}

/// Publishes to a queue, takes and settles each message by its own number.
fn acknowledged(broker: &Broker) -> Result<f64, Box<dyn std::error::Error>> {
    let (publisher, consumer) = (client(broker)?, client(broker)?);
    consumer.link.declare_queue(0, &QueueDeclare { name: "acked", ..QueueDeclare::default() });
    let credit = Credit { count: Some(200), bytes: None };
    consumer.link.consume(0, &Consume { consumer: 1, queue: "acked", credit, ..Consume::default() });
    let body = [b'x'; SIZE];
    let properties = Properties { delivery_mode: Some(1), ..Properties::default() }.encode();
    let batch: Vec<_> = (0..BATCH).map(|_| publish("", "acked", &properties, &body)).collect();
    let (mut events, mut settles) = (Vec::new(), Vec::new());
    let (mut seq, mut settled) = (1, 0u64);
    let start = Instant::now();
    while start.elapsed() < RUN {
        publisher.link.publish(seq, &batch);
        seq += BATCH as u64;
        consumer.link.take(1_024, u64::MAX, &mut events);
        for event in events.drain(..) {
            if let LinkEvent::Delivery(delivery) = event {
                settles.push(Settle { delivery: delivery.delivery, multiple: false, outcome: Outcome::Done });
            }
        }
        consumer.link.settle(0, &settles);
        settled += settles.len() as u64;
        settles.clear();
    }
    Ok(settled as f64 / start.elapsed().as_secs_f64())
}

/// Publishes persistent messages with so many unconfirmed at a time, consumes and settles them.
fn confirmed(broker: &Broker, window: u64) -> Result<f64, Box<dyn std::error::Error>> {
    let (publisher, consumer) = (client(broker)?, client(broker)?);
    consumer.link.declare_queue(0, &QueueDeclare { name: "safe", durable: true, ..QueueDeclare::default() });
    publisher.link.confirm(0, true);
    consumer.link.consume(0, &Consume { consumer: 1, queue: "safe", ..Consume::default() });
    let body = [b'x'; SIZE];
    let properties = Properties { delivery_mode: Some(2), ..Properties::default() }.encode();
    let batch: Vec<_> = (0..BATCH).map(|_| publish("", "safe", &properties, &body)).collect();
    let (mut events, mut settles) = (Vec::new(), Vec::new());
    let (mut seq, mut upto) = (1, 0u64);
    let start = Instant::now();
    let mut ticked = start;
    while start.elapsed() < RUN {
        if seq - upto < window {
            publisher.link.publish(seq, &batch);
            seq += BATCH as u64;
        } else {
            std::thread::sleep(Duration::from_micros(50));
        }
        publisher.link.take(1_024, u64::MAX, &mut events);
        consumer.link.take(1_024, u64::MAX, &mut events);
        for event in events.drain(..) {
            match event {
                LinkEvent::ConfirmedUpTo(confirmed) => upto = confirmed,
                LinkEvent::Delivery(delivery) => settles.push(Settle {
                    delivery: delivery.delivery,
                    multiple: false,
                    outcome: Outcome::Done,
                }),
                _ => {}
            }
        }
        consumer.link.settle(0, &settles);
        settles.clear();
        if ticked.elapsed() > Duration::from_secs(1) {
            ticked = Instant::now();
            broker.tick();
        }
    }
    Ok(upto as f64 / start.elapsed().as_secs_f64())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let memory = Broker::in_memory(Options::default(), Arc::new(NoHost), Arc::new(SystemClock));
    for subscribers in [1, 50] {
        let rate = fan_out(&memory, subscribers)?;
        println!("fan-out to {subscribers:>2}, at most once     {rate:>12.0} deliveries/s");
    }
    println!("transient, acknowledged singly   {:>12.0} messages/s", acknowledged(&memory)?);
    let directory: PathBuf =
        std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into).join("measure");
    let disk = Arc::new(kuzzle_journal::Directory::new(&directory)?);
    let durable = Broker::open(Options::default(), Arc::new(NoHost), Arc::new(SystemClock), disk)?;
    for window in [64, 1_000, 10_000] {
        let rate = confirmed(&durable, window)?;
        println!("persistent, confirmed, {window:>6} open {rate:>11.0} messages/s");
    }
    durable.close();
    std::fs::remove_dir_all(directory)?;
    Ok(())
}
