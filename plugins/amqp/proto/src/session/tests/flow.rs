//! Limits in both directions: throttling, batches, budgets.

use bytes::BytesMut;

use super::{
    Bench,
    bench::secs,
    method::{Method, basic, channel, queue},
};
use crate::{
    codec::{
        content::{Address, Content, ContentWriter},
        properties::Properties,
    },
    session::{Action, ConnectionEvent, Ending, Limits, Operation, Received, code},
};

#[test]
fn basic_publish_that_is_not_taken_comes_again_before_anything_else() {
    let mut bench = Bench::channel();
    bench.declare(1, "q");
    bench.broker.takes = Some(1);
    for body in [b"1", b"2", b"3"] {
        bench.put_publish(1, "q", &Properties::default(), body);
    }
    Method::from(queue::Purge { queue: "q".into(), ..Default::default() }).encode(1, &mut bench.input);
    bench.run();
    assert_eq!(bench.broker.ready("q"), 1);
    assert!(!bench.session.wants_input());
    bench.silent();
    bench.broker.takes = None;
    bench.session.connection_event(ConnectionEvent::Unblocked, bench.now);
    bench.run();
    let seqs: Vec<(u64, usize)> = bench
        .broker
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Publish { first_seq, messages, .. } => Some((*first_seq, messages.len())),
            _ => None,
        })
        .collect();
    assert_eq!(seqs, [(1, 3), (2, 2)]);
    assert_eq!(bench.expect::<queue::PurgeOk>(1).message_count, 3);
    assert!(bench.session.wants_input());
}

#[test]
fn a_batch_ends_when_it_is_full() {
    let limits = Limits { batch_max_bytes: 1000, ..Limits::default() };
    let mut bench = Bench::open_with(limits, 0);
    bench.open_channel(1);
    bench.declare(1, "q");
    for _ in 0..100 {
        bench.put_publish(1, "q", &Properties::default(), &[7; 100]);
    }
    assert_eq!(bench.session.receive(&mut bench.input, bench.now), Received::Interrupted);
    let Some(Action::Publish { messages, .. }) = bench.session.poll_action() else { panic!() };
    assert_eq!(messages.len(), 10);
    bench.run();
    assert_eq!(bench.broker.ready("q"), 90);
}

#[test]
fn nothing_is_read_while_too_many_operations_are_under_way() {
    let limits = Limits { operations_max: 5, ..Limits::default() };
    let mut bench = Bench::open_with(limits, 0);
    bench.open_channel(1);
    bench.declare(1, "q");
    bench.hold = true;
    for _ in 0..9 {
        Method::from(queue::Purge { queue: "q".into(), ..Default::default() }).encode(1, &mut bench.input);
    }
    bench.run();
    assert_eq!(bench.broker.events.len(), 5);
    assert!(!bench.session.wants_input());
    bench.hold = false;
    bench.run();
    assert_eq!(bench.frames.len(), 9);
}

#[test]
fn nothing_is_read_nor_taken_while_the_client_does_not_read() {
    let limits = Limits { output_max_bytes: 100, ..Limits::default() };
    let mut bench = Bench::open_with(limits, 0);
    bench.open_channel(1);
    let link = bench.link();
    assert!(bench.session.budget(link).events > 0);
    let mut input = bytes::BytesMut::new();
    for _ in 0..1000 {
        Method::from(channel::Flow { active: true }).encode(1, &mut input);
    }
    assert_eq!(bench.session.receive(&mut input, bench.now), Received::Interrupted);
    assert!(bench.session.output().len() < 200);
    assert_eq!(bench.session.budget(link).events, 0);
    let length = bench.session.output().len();
    bench.session.wrote(length, bench.now);
    assert!(bench.session.wants_input());
    assert!(bench.session.budget(link).events > 0);
}

#[test]
fn the_broker_keeps_to_what_may_be_unacknowledged() {
    let limits = Limits { unsettled_max: 2, ..Limits::default() };
    let mut bench = Bench::open_with(limits, 0);
    bench.open_channel(1);
    bench.declare(1, "q");
    let credits = |bench: &Bench| -> Vec<u32> {
        let credit = |action: &Action| match action {
            Action::Call { operation: Operation::Credit { count }, .. } => Some(*count),
            _ => None,
        };
        bench.broker.actions.iter().filter_map(credit).collect()
    };
    bench.consume(1, "q", "first");
    bench.consume(1, "q", "second");
    assert_eq!(credits(&bench), [2], "once for a channel");
    for (prefetch_count, count) in [(1, 1), (9, 2), (0, 2)] {
        bench.send(1, basic::Qos { prefetch_count, global: true, ..Default::default() });
        bench.expect::<basic::QosOk>(1);
        assert_eq!(credits(&bench).last(), Some(&count));
    }
}

#[test]
fn basic_get_beyond_what_may_be_unacknowledged_is_406() {
    let limits = Limits { unsettled_max: 2, ..Limits::default() };
    let mut bench = Bench::open_with(limits, 0);
    bench.open_channel(1);
    bench.declare(1, "q");
    for body in [b"1", b"2", b"3"] {
        bench.publish(1, "q", &Properties::default(), body);
    }
    for _ in 0..2 {
        bench.send(1, basic::Get { queue: "q".into(), ..Default::default() });
        bench.expect::<basic::GetOk>(1);
        bench.content();
    }
    bench.send(1, basic::Get { queue: "q".into(), ..Default::default() });
    bench.channel_error(1, 406, "PRECONDITION_FAILED - channel 1 has 2 unacknowledged messages", (60, 70));
}

#[test]
fn what_was_not_taken_is_dropped_with_its_connection() {
    let mut bench = Bench::channel();
    bench.declare(1, "q");
    bench.broker.takes = Some(1);
    for body in [b"1", b"2"] {
        bench.put_publish(1, "q", &Properties::default(), body);
    }
    bench.run();
    bench.broker.takes = None;
    bench.session.close(320, "now", bench.now);
    bench.run();
    bench.connection_error(320, "CONNECTION_FORCED - now", (0, 0));
    assert_eq!(bench.broker.ready("q"), 1);
}

#[test]
fn what_is_read_may_be_cut_anywhere() {
    let conversation = |feed: fn(&mut Bench, &[u8])| {
        let mut bench = Bench::channel();
        let mut bytes = bytes::BytesMut::new();
        let declare = queue::Declare { queue: "q".into(), ..Default::default() };
        Method::from(declare).encode(1, &mut bytes);
        let mut writer = ContentWriter { out: &mut bytes, channel: 1, frame_max: 4096 };
        let address = Address { exchange: "", routing_key: "q" };
        for length in [0, 10, 9000] {
            let body = vec![7; length];
            writer.publish(true, address, Content { properties: &[0x10, 0, 2], body: &body });
        }
        for _ in 0..4 {
            let get = basic::Get { queue: "q".into(), ..Default::default() };
            Method::from(get).encode(1, &mut bytes);
        }
        Method::from(channel::Flow { active: true }).encode(1, &mut bytes);
        feed(&mut bench, &bytes);
        bench.frames
    };
    let whole = conversation(|bench, bytes| bench.raw(bytes));
    let cut = conversation(|bench, bytes| bytes.iter().for_each(|octet| bench.raw(&[*octet])));
    assert_eq!(whole.len(), 1 + 2 + 3 + 3 + 1 + 1);
    assert_eq!(whole, cut);
}

#[test]
fn basic_publish_does_not_pass_a_reject() {
    let mut bench = Bench::channel();
    bench.declare(1, "q");
    bench.publish(1, "q", &Properties::default(), b"1");
    bench.consume(1, "q", "t");
    bench.frames.clear();
    bench.broker.actions.clear();
    bench.put_publish(1, "q", &Properties::default(), b"2");
    Method::from(basic::Reject { delivery_tag: 1, requeue: false }).encode(1, &mut bench.input);
    bench.put_publish(1, "q", &Properties::default(), b"3");
    bench.run();
    let actions = &bench.broker.actions[..];
    assert!(
        matches!(actions, [Action::Publish { .. }, Action::Settle { .. }, Action::Publish { .. }]),
        "{actions:?}"
    );
}

#[test]
fn an_idle_connection_gives_its_buffers_back() {
    let mut bench = Bench::open_with(Limits::default(), 0);
    bench.open_channel(1);
    assert!(!bench.session.io.has_grown());
    let mut many = BytesMut::new();
    (0..1_000).for_each(|_| Method::from(channel::Flow { active: true }).encode(1, &mut many));
    bench.raw(&many);
    (0..1_000).for_each(|_| assert!(bench.expect::<channel::FlowOk>(1).active));
    assert!(bench.session.io.has_grown());
    assert!(bench.session.deadline().is_some());
    bench.wait(secs(1));
    assert!(!bench.session.io.has_grown());
    assert_eq!(bench.session.deadline(), None);
}

#[test]
fn it_is_known_how_a_connection_ended_whose_client_left() {
    let mut bench = Bench::channel();
    assert_eq!(bench.session.ending_when_left(), None);
    bench.session.close(code::CONNECTION_FORCED, "over", bench.now);
    let ending = Ending::ClosedByServer(code::CONNECTION_FORCED);
    assert_eq!(bench.session.ending_when_left(), Some(ending));
}
