//! Exactly once, end to end: a publisher and a receiver that keep to MQTT's quality of service 2, and a broker that
//! crashes and loses unsynced writes whenever it can.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kuzzle_journal::{Random, SimulatedDisk};
use proptest::prelude::*;

use super::*;

/// What the publisher's side has to do for one message. The publisher itself never crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// PUBLISH until PUBREC.
    Publish,
    /// PUBREL until PUBCOMP.
    Release,
}

/// Two devices with a session each, and what they know.
#[derive(Default)]
struct World {
    /// Packet id and message of the publisher's open handshakes, in order.
    open: VecDeque<(u32, u64, Phase)>,
    published: u64,
    /// Packet ids that the receiver has stored and not been released of.
    stored: BTreeSet<u16>,
    received: BTreeMap<u64, u32>,
}

/// What a connection of the receiver knows of its deliveries.
#[derive(Default)]
struct Receiving {
    /// Answers of `received` that are awaited: operation, delivery, packet id.
    waiting: BTreeMap<u64, (u64, u16)>,
}

fn connect(disk: &SimulatedDisk, sync_takes: Duration) -> (Fixture, [Client; 3]) {
    disk.set_sync_takes(sync_takes);
    let options = Options { segment_bytes: 8 << 10, disk_free_min_bytes: 0, ..Options::default() };
    let fixture = Fixture::on(disk, options);
    let publisher = fixture.client();
    publisher.ask_all(|link, op| link.attach_session(op, &sessions::attach("publisher"))).0.unwrap();
    publisher.ask(|link, op| link.confirm(op, true)).unwrap();
    let receiver = fixture.client();
    receiver.ask_all(|link, op| link.attach_session(op, &sessions::attach("receiver"))).0.unwrap();
    let bind = Bind {
        source: "amq.topic",
        destination: "receiver",
        routing_key: "t",
        options: BindingOptions { id: 1, ..BindingOptions::default() },
        ..Bind::default()
    };
    receiver.ask_all(|link, op| link.bind(op, &bind)).0.unwrap();
    receiver.link.consume(
        0,
        &Consume {
            consumer: 1,
            queue: "receiver",
            credit: Credit { count: Some(4), bytes: None },
            ..Consume::default()
        },
    );
    let noise = fixture.client();
    noise.queue_with(QueueDeclare { name: "noise", durable: true, ..QueueDeclare::default() });
    (fixture, [publisher, receiver, noise])
}

impl World {
    /// The publisher begins as many handshakes as it may and goes on with the others.
    fn publish(
        &mut self,
        client: &Client,
        total: u64,
        seqs: &mut BTreeMap<u64, u32>,
        ops: &mut BTreeMap<u64, u32>,
    ) {
        while self.open.len() < 5 && self.published < total {
            self.published += 1;
            // Packet ids come again soon.
            let id = (1..).find(|id| self.open.iter().all(|(other, ..)| other != id)).unwrap();
            self.open.push_back((id, self.published, Phase::Publish));
        }
        let mode = Properties { delivery_mode: Some(2), ..Properties::default() }.encode();
        for (id, n, phase) in &self.open {
            match phase {
                Phase::Publish if !seqs.values().any(|other| other == id) => {
                    let body = n.to_string();
                    let publish =
                        Publish { properties: &mode, dedupe: *id, ..message("amq.topic", "t", &body) };
                    seqs.insert(client.send(publish), *id);
                }
                Phase::Release if !ops.values().any(|other| other == id) => {
                    let op = client.next_op();
                    client.link.forget(op, &[*id]);
                    ops.insert(op, *id);
                }
                _ => {}
            }
        }
    }

    fn hear(&mut self, client: &Client, seqs: &mut BTreeMap<u64, u32>, ops: &mut BTreeMap<u64, u32>) {
        for event in client.events() {
            match event {
                LinkEvent::ConfirmedUpTo(upto) => {
                    let done: Vec<u64> = seqs.range(..=upto).map(|(seq, _)| *seq).collect();
                    for seq in done {
                        let id = seqs.remove(&seq).unwrap();
                        if let Some(open) = self.open.iter_mut().find(|(other, ..)| *other == id) {
                            open.2 = Phase::Release;
                        }
                    }
                }
                LinkEvent::Answer(answer) => {
                    answer.result.unwrap();
                    if let Some(id) = ops.remove(&answer.op) {
                        self.open.retain(|(other, ..)| *other != id);
                    }
                }
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    /// The receiver takes deliveries and goes through both phases.
    fn receive(&mut self, client: &Client, receiving: &mut Receiving) {
        for event in client.events() {
            match event {
                LinkEvent::Delivery(delivery) => {
                    assert!(!delivery.settled && delivery.tag != 0);
                    if !delivery.received {
                        let n: u64 = text(&delivery.message).parse().unwrap();
                        // As [MQTT-4.3.3] has it: a packet id that is stored is the same message.
                        if self.stored.insert(delivery.tag) {
                            *self.received.entry(n).or_default() += 1;
                        }
                    }
                    let op = client.next_op();
                    let settle =
                        Settle { delivery: delivery.delivery, multiple: false, outcome: Outcome::Received };
                    client.link.settle(op, &[settle]);
                    receiving.waiting.insert(op, (delivery.delivery, delivery.tag));
                }
                LinkEvent::Answer(answer) => {
                    answer.result.unwrap();
                    // PUBREL and PUBCOMP.
                    if let Some((delivery, tag)) = receiving.waiting.remove(&answer.op) {
                        self.stored.remove(&tag);
                        client
                            .link
                            .settle(0, &[Settle { delivery, multiple: false, outcome: Outcome::Done }]);
                    }
                }
                other => panic!("unexpected {other:?}"),
            }
        }
    }
}

fn run(seed: u64, total: u64, crashes: u64, kept_percent: u64, sync_takes: Duration) {
    let mut random = Random::new(seed);
    let mut disk = SimulatedDisk::default();
    let mut world = World::default();
    let (mut fixture, [mut publisher, mut receiver, mut noise]) = connect(&disk, sync_takes);
    let (mut seqs, mut ops, mut receiving) = (BTreeMap::new(), BTreeMap::new(), Receiving::default());
    let mut crashes_left = crashes;
    let begin = Instant::now();
    while !world.open.is_empty() || world.published < total || (world.received.len() as u64) < total {
        assert!(begin.elapsed() < Duration::from_secs(60), "it goes on and on: {:?}", world.open);
        match random.below(6) {
            0 | 1 => world.publish(&publisher, total, &mut seqs, &mut ops),
            2 => world.hear(&publisher, &mut seqs, &mut ops),
            3 | 4 => world.receive(&receiver, &mut receiving),
            _ if crashes_left > 0 && random.below(4) == 0 => {
                crashes_left -= 1;
                disk = disk.after_power_loss(random.below(u64::MAX), kept_percent);
                (seqs, ops, receiving) = (BTreeMap::new(), BTreeMap::new(), Receiving::default());
                drop((publisher, receiver, noise, fixture));
                (fixture, [publisher, receiver, noise]) = connect(&disk, sync_takes);
            }
            _ if random.below(2) == 0 => {
                // Others publish too, so that numbers of messages are not given out in the same order again.
                let mode = Properties { delivery_mode: Some(2), ..Properties::default() }.encode();
                noise.send(Publish { properties: &mode, ..message("", "noise", "x") });
            }
            _ => fixture.pass(1_000),
        }
    }
    let expected: BTreeMap<u64, u32> = (1..=total).map(|n| (n, 1)).collect();
    assert_eq!(world.received, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn each_message_is_received_exactly_once(
        seed: u64,
        total in 1u64..60,
        crashes in 0u64..6,
        kept_percent in prop_oneof![Just(0u64), Just(50), Just(95)],
        sync_takes in prop_oneof![Just(0u64), 0u64..2_000],
    ) {
        run(seed, total, crashes, kept_percent, Duration::from_micros(sync_takes));
    }
}
