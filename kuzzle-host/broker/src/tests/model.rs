//! Random operations against a simple model, with crashes that drop unsynced writes and recovery in between.

use std::collections::{BTreeMap, BTreeSet};

use kuzzle_journal::{Random, SimulatedDisk};
use proptest::prelude::*;

use super::*;

const QUEUES: [&str; 3] = ["q0", "q1", "q2"];

/// One that does not outlast the broker, though what is in it may be in the journal too.
const TRANSIENT: usize = 2;

#[derive(Debug, Clone)]
enum Op {
    /// To one queue, or with 3 to all of them.
    Publish {
        to: usize,
        size: usize,
    },
    /// Publishes two and settles what is unsettled of a queue, as one.
    Commit {
        from: usize,
        to: usize,
    },
    Get {
        queue: usize,
    },
    Settle {
        which: prop::sample::Index,
        outcome: Outcome,
    },
    Recover,
    /// Waits for all confirmations.
    Confirm,
    /// Another link: what was unsettled goes back.
    Relink,
    Pass,
    Crash,
    CleanStop,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (0..4usize, prop_oneof![Just(10usize), Just(700), Just(9_000)])
            .prop_map(|(to, size)| Op::Publish { to, size }),
        2 => (0..3usize, 0..3usize).prop_map(|(from, to)| Op::Commit { from, to }),
        8 => (0..3usize).prop_map(|queue| Op::Get { queue }),
        8 => (any::<prop::sample::Index>(), prop_oneof![
            4 => Just(Outcome::Done), 2 => Just(Outcome::Requeue), 1 => Just(Outcome::Reject)
        ]).prop_map(|(which, outcome)| Op::Settle { which, outcome }),
        1 => Just(Op::Recover),
        4 => Just(Op::Confirm),
        1 => Just(Op::Relink),
        2 => Just(Op::Pass),
        2 => Just(Op::Crash),
        1 => Just(Op::CleanStop),
    ]
}

/// What is known of one message in one queue.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// Its publisher was told that it is safe.
    confirmed: bool,
    /// Somebody saw it.
    delivered: bool,
    /// It was settled for good; that may be lost with a crash.
    settled: bool,
}

#[derive(Default)]
struct Model {
    queues: [BTreeMap<u64, Known>; 3],
    /// Delivery number, queue, message.
    unsettled: Vec<(u64, usize, u64)>,
    unconfirmed: Vec<(u64, Vec<(usize, u64)>)>,
    next: u64,
}

impl Model {
    fn fresh(&mut self, queue: usize) -> u64 {
        self.next += 1;
        self.queues[queue].insert(self.next, Known::default());
        self.next
    }

    fn confirm_upto(&mut self, upto: u64) {
        for (_, messages) in self.unconfirmed.extract_if(.., |(seq, _)| *seq <= upto) {
            for (queue, n) in messages {
                if let Some(known) = self.queues[queue].get_mut(&n) {
                    known.confirmed = true;
                }
            }
        }
    }

    /// The messages that should be ready now, oldest first, with their redelivered flags.
    fn ready(&self, queue: usize) -> Vec<(u64, bool)> {
        let unsettled: BTreeSet<u64> =
            self.unsettled.iter().filter(|(_, of, _)| *of == queue).map(|(_, _, n)| *n).collect();
        self.queues[queue]
            .iter()
            .filter(|(n, known)| !known.settled && !unsettled.contains(n))
            .map(|(n, known)| (*n, known.delivered))
            .collect()
    }
}

fn body(n: u64, size: usize) -> String {
    let mut body = format!("{n} ");
    body.extend(std::iter::repeat_n('x', size));
    body
}

fn number(message: &Message) -> u64 {
    text(message).split(' ').next().unwrap().parse().unwrap()
}

fn options() -> Options {
    Options {
        segment_bytes: 16 << 10,
        disk_free_min_bytes: 0,
        page_out_above_bytes: 30_000,
        ..Options::default()
    }
}

fn mode() -> bytes::Bytes {
    Properties { delivery_mode: Some(2), ..Properties::default() }.encode()
}

fn start(disk: &SimulatedDisk, sync_takes: Duration) -> (Fixture, Client) {
    disk.set_sync_takes(sync_takes);
    let fixture = Fixture::on(disk, options());
    let client = fixture.client();
    for (n, queue) in QUEUES.into_iter().enumerate() {
        client.queue_with(QueueDeclare { name: queue, durable: n != TRANSIENT, ..QueueDeclare::default() });
        client.bind(queue, "amq.fanout", "");
    }
    client.ask(|link, op| link.confirm(op, true)).unwrap();
    (fixture, client)
}

/// Looks at everything ready without taking it away.
fn ready(fixture: &Fixture, queue: usize) -> Vec<(u64, bool)> {
    let found = fixture.broker.peek("/", QUEUES[queue], usize::MAX, usize::MAX).unwrap();
    found.iter().map(|one| (number(&one.message), one.redelivered)).collect()
}

/// After a restart: takes what was found for true, if it may be.
fn adopt(model: &mut Model, fixture: &Fixture, clean: bool) {
    model.unsettled.clear();
    model.queues[TRANSIENT].clear();
    // Written as one record, a message is in all of its queues or in none.
    let found: Vec<Vec<(u64, bool)>> = (0..QUEUES.len()).map(|queue| ready(fixture, queue)).collect();
    for (_, messages) in std::mem::take(&mut model.unconfirmed) {
        let there: Vec<bool> = messages
            .iter()
            .filter(|(queue, n)| *queue != TRANSIENT && !model.queues[*queue][n].settled)
            .map(|(queue, n)| found[*queue].iter().any(|(found, _)| found == n))
            .collect();
        assert!(there.windows(2).all(|pair| pair[0] == pair[1]), "half of {messages:?} is there");
    }
    for (queue, found) in found.iter().enumerate() {
        let known = &mut model.queues[queue];
        assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0), "order or doubles in {queue}: {found:?}");
        for (n, redelivered) in found {
            let known = known.get(n).unwrap_or_else(|| panic!("{n} in {queue} comes from nowhere"));
            assert!(!clean || !known.settled, "{n} in {queue} was settled before a clean stop");
            assert!(!known.delivered || *redelivered, "{n} in {queue} was delivered before");
            assert!(!clean || known.delivered == *redelivered, "{n} in {queue} after a clean stop");
        }
        let there: BTreeSet<u64> = found.iter().map(|(n, _)| *n).collect();
        for (n, known) in known.iter() {
            let lost = known.confirmed && !known.settled && !there.contains(n);
            assert!(!lost, "{n} in {queue} was confirmed and is lost");
        }
        known.retain(|n, _| there.contains(n));
        for (n, redelivered) in found {
            if let Some(known) = known.get_mut(n) {
                *known = Known { confirmed: true, delivered: *redelivered, settled: false };
            }
        }
    }
}

fn run(ops: &[Op], seed: u64, kept_percent: u64, sync_takes: Duration) {
    let mut random = Random::new(seed);
    let mut disk = SimulatedDisk::default();
    let (mut fixture, mut client) = start(&disk, sync_takes);
    let mut model = Model::default();
    for op in ops {
        // Confirmations that came meanwhile.
        for event in client.events() {
            match event {
                LinkEvent::ConfirmedUpTo(upto) => model.confirm_upto(upto),
                LinkEvent::Answer(answer) => assert!(answer.result.is_ok(), "{answer:?}"),
                other => panic!("unexpected {other:?}"),
            }
        }
        match op {
            Op::Publish { to, size } => {
                let queues: Vec<usize> = if *to < 3 { vec![*to] } else { (0..3).collect() };
                model.next += 1;
                let n = model.next;
                for queue in &queues {
                    model.queues[*queue].insert(n, Known::default());
                }
                let (exchange, key) = if *to < 3 { ("", QUEUES[*to]) } else { ("amq.fanout", "") };
                let text = body(n, *size);
                let seq = client.send(Publish { properties: &mode(), ..message(exchange, key, &text) });
                model.unconfirmed.push((seq, queues.into_iter().map(|queue| (queue, n)).collect()));
            }
            Op::Commit { from, to } => {
                let settles: Vec<Settle> = model
                    .unsettled
                    .extract_if(.., |(_, queue, _)| queue == from)
                    .map(|(delivery, queue, n)| {
                        model.queues[queue].get_mut(&n).unwrap().settled = true;
                        Settle { delivery, multiple: false, outcome: Outcome::Done }
                    })
                    .collect();
                let (a, b) = (model.fresh(*to), model.fresh(*to));
                let (first, second) = (body(a, 10), body(b, 10));
                let mode = mode();
                let publishes = [
                    Publish { properties: &mode, ..message("", QUEUES[*to], &first) },
                    Publish { properties: &mode, ..message("", QUEUES[*to], &second) },
                ];
                let seq = client.seq.fetch_add(2, Ordering::Relaxed);
                client.link.commit(client.next_op(), seq, &publishes, &settles);
                model.unconfirmed.push((seq + 1, vec![(*to, a), (*to, b)]));
            }
            Op::Get { queue } => {
                let expected = model.ready(*queue);
                client.link.get(client.next_op(), QUEUES[*queue], false);
                let mut got = None;
                for event in client.events() {
                    match event {
                        LinkEvent::Got(found) => got = Some(*found),
                        LinkEvent::Answer(answer) => assert!(answer.result.is_ok(), "{answer:?}"),
                        LinkEvent::ConfirmedUpTo(upto) => model.confirm_upto(upto),
                        other => panic!("unexpected {other:?}"),
                    }
                }
                // It may be held behind an answer that waits for the disk.
                if got.is_none() && !expected.is_empty() {
                    let mut events = Vec::new();
                    until("the message is given", || {
                        client.link.take(9, u64::MAX, &mut events);
                        events.iter().any(|event| matches!(event, LinkEvent::Got(_)))
                    });
                    for event in events {
                        match event {
                            LinkEvent::Got(found) => got = Some(*found),
                            LinkEvent::ConfirmedUpTo(upto) => model.confirm_upto(upto),
                            _ => {}
                        }
                    }
                }
                let found = got.as_ref().map(|got| (number(&got.message), got.redelivered));
                assert_eq!(found, expected.first().copied(), "the head of {queue}");
                if let (Some(got), Some((n, _))) = (got, found) {
                    model.queues[*queue].get_mut(&n).unwrap().delivered = true;
                    model.unsettled.push((got.delivery, *queue, n));
                }
            }
            Op::Settle { which, outcome } => {
                if model.unsettled.is_empty() {
                    continue;
                }
                let (delivery, queue, n) = model.unsettled.remove(which.index(model.unsettled.len()));
                let settle = Settle { delivery, multiple: false, outcome: *outcome };
                client.link.settle(0, &[settle]);
                if *outcome != Outcome::Requeue {
                    model.queues[queue].get_mut(&n).unwrap().settled = true;
                }
            }
            Op::Recover => {
                client.link.recover(0);
                model.unsettled.clear();
            }
            Op::Confirm => {
                if let Some((upto, _)) = model.unconfirmed.last().cloned() {
                    client.confirmed(upto);
                    model.confirm_upto(upto);
                }
            }
            Op::Relink => {
                client.link.close();
                client = fixture.client();
                client.ask(|link, op| link.confirm(op, true)).unwrap();
                model.unsettled.clear();
                // Who has gone is not told any more.
                for (_, messages) in std::mem::take(&mut model.unconfirmed) {
                    model.unconfirmed.push((0, messages));
                }
                model.unconfirmed.retain(|(seq, _)| *seq > 0);
            }
            Op::Pass => fixture.pass(1_000),
            Op::Crash | Op::CleanStop => {
                let clean = matches!(op, Op::CleanStop);
                if clean {
                    fixture.broker.close();
                } else {
                    if random.below(2) == 0 {
                        std::thread::sleep(Duration::from_micros(random.below(3_000)));
                    }
                    // The picture of the disk comes first: what is told afterwards is not known to anybody.
                    for event in client.events() {
                        if let LinkEvent::ConfirmedUpTo(upto) = event {
                            model.confirm_upto(upto);
                        }
                    }
                    disk = disk.after_power_loss(random.below(u64::MAX), kept_percent);
                }
                drop(client);
                drop(fixture);
                (fixture, client) = start(&disk, sync_takes);
                adopt(&mut model, &fixture, clean);
            }
        }
        for queue in 0..QUEUES.len() {
            assert_eq!(ready(&fixture, queue), model.ready(queue), "{queue} after {op:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_broker_agrees_with_a_simple_model(
        ops in proptest::collection::vec(op(), 1..120),
        seed: u64,
        kept_percent in prop_oneof![Just(0u64), Just(50), Just(95)],
        sync_takes in prop_oneof![Just(0u64), 0u64..1_000],
    ) {
        run(&ops, seed, kept_percent, Duration::from_micros(sync_takes));
    }
}
