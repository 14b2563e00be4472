//! Many threads at once: nothing is lost, doubled, out of order, or waited for in vain.

use std::collections::HashMap;
use std::thread;

use kuzzle_journal::{Random, SimulatedDisk};

use super::*;

const PUBLISHERS: u64 = 4;
const EACH: u64 = 3_000;

/// Publishes numbered messages in small batches, waiting for confirmation now and then.
fn publish(client: &Client, publisher: u64, properties: &[u8]) {
    client.ask(|link, op| link.confirm(op, true)).unwrap();
    let bodies: Vec<String> = (0..EACH).map(|n| format!("{publisher} {n}")).collect();
    let mut seq = 1;
    for chunk in bodies.chunks(7) {
        let batch: Vec<_> =
            chunk.iter().map(|body| Publish { properties, ..message("amq.topic", "work.x", body) }).collect();
        client.link.publish(seq, &batch);
        seq += batch.len() as u64;
        if seq % 5 == 0 {
            assert!(client.confirmed(seq - 1).is_empty());
        }
    }
    assert!(client.confirmed(seq - 1).is_empty());
}

fn parse(message: &Message) -> (u64, u64) {
    let text = text(message);
    let (publisher, n) = text.split_once(' ').unwrap();
    (publisher.parse().unwrap(), n.parse().unwrap())
}

/// Consumes until all messages were settled once, sometimes putting one back, sometimes leaving altogether.
fn consume(fixture: &Fixture, queue: &str, seed: u64, settled: &Mutex<HashMap<(u64, u64), u32>>) {
    let mut random = Random::new(seed);
    let total = (PUBLISHERS * EACH) as usize;
    let begin = Instant::now();
    'links: while settled.lock().len() < total {
        let client = fixture.client();
        let credit = Credit { count: Some(1 + random.below(50) as u32), bytes: None };
        client.consume_with_credit(queue, credit);
        let mut last: HashMap<u64, u64> = HashMap::new();
        while settled.lock().len() < total {
            assert!(begin.elapsed() < Duration::from_secs(60), "messages are waited for in vain");
            let events = client.events();
            if events.is_empty() {
                thread::sleep(Duration::from_micros(100));
            }
            for event in events {
                let LinkEvent::Delivery(delivery) = event else { continue };
                let (publisher, n) = parse(&delivery.message);
                if !delivery.redelivered {
                    let last = last.entry(publisher).or_default();
                    assert!(*last <= n, "{publisher} {n} after {last}");
                    *last = n;
                }
                let requeue = random.below(40) == 0;
                if !requeue {
                    *settled.lock().entry((publisher, n)).or_default() += 1;
                }
                let outcome = if requeue { Outcome::Requeue } else { Outcome::Done };
                client.link.settle(0, &[Settle { delivery: delivery.delivery, multiple: false, outcome }]);
            }
            if random.below(400) == 0 {
                continue 'links;
            }
        }
    }
}

fn run(fixture: &Fixture, durable: bool, properties: &[u8]) {
    let maker = fixture.client();
    for queue in ["shared", "other"] {
        maker.queue_with(QueueDeclare { name: queue, durable, ..QueueDeclare::default() });
        maker.bind(queue, "amq.topic", "work.#");
    }
    let settled: [Mutex<HashMap<(u64, u64), u32>>; 2] = Default::default();
    thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            scope.spawn(move || publish(&fixture.client(), publisher, properties));
        }
        for (n, queue) in [(0, "shared"), (0, "shared"), (1, "other")] {
            let settled = &settled[n];
            scope.spawn(move || consume(fixture, queue, n as u64 + 1, settled));
        }
        // Bindings come and go, and time passes, meanwhile.
        for n in 0..50 {
            let name = format!("passing-{n}");
            maker.queue(&name);
            maker.bind(&name, "amq.topic", "work.*");
            fixture.pass(1_000);
            thread::sleep(Duration::from_millis(1));
            maker.ask(|link, op| link.delete_queue(op, &name, false, false)).unwrap();
        }
    });
    for settled in settled {
        let settled = settled.into_inner();
        assert_eq!(settled.len() as u64, PUBLISHERS * EACH);
        assert!(settled.values().all(|times| *times == 1), "something was settled twice");
    }
    for info in fixture.broker.queues(None) {
        assert_eq!((info.ready, info.unsettled), (0, 0), "{}", info.name);
    }
}

#[test]
fn threads_share_queues_in_memory() {
    run(&Fixture::new(), false, &[]);
}

#[test]
fn threads_share_queues_on_a_journal() {
    let disk = SimulatedDisk::default();
    let options = Options {
        segment_bytes: 128 << 10,
        disk_free_min_bytes: 0,
        page_out_above_bytes: 100_000,
        ..Options::default()
    };
    let mode = Properties { delivery_mode: Some(2), ..Properties::default() }.encode();
    let fixture = Fixture::on(&disk, options.clone());
    run(&fixture, true, &mode);
    fixture.broker.close();
    let fixture = Fixture::on(&disk, options);
    assert!(fixture.broker.queues(None).iter().all(|info| info.ready == 0));
}
