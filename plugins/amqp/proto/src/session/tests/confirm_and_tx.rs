//! Confirms and transactions.

use super::{
    Bench,
    method::{Method, basic, confirm, tx},
};
use crate::{
    codec::properties::Properties,
    session::{Action, Limits, LinkEvent},
};

fn confirming() -> Bench {
    let mut bench = Bench::channel();
    bench.declare(1, "q");
    bench.send(1, confirm::Select { nowait: false });
    bench.expect::<confirm::SelectOk>(1);
    bench
}

fn transactional() -> Bench {
    let mut bench = Bench::channel();
    bench.declare(1, "q");
    bench.send(1, tx::Select {});
    bench.expect::<tx::SelectOk>(1);
    bench
}

#[test]
fn confirm_select_can_be_repeated_and_counts_from_there() {
    let mut bench = Bench::channel();
    bench.declare(1, "q");
    bench.publish(1, "q", &Properties::default(), b"before");
    bench.send(1, confirm::Select { nowait: true });
    bench.send(1, confirm::Select { nowait: false });
    bench.expect::<confirm::SelectOk>(1);
    bench.publish(1, "q", &Properties::default(), b"x");
    let ack = bench.expect::<basic::Ack>(1);
    assert_eq!((ack.delivery_tag, ack.multiple), (1, false));
    for _ in 0..3 {
        bench.put_publish(1, "q", &Properties::default(), b"x");
    }
    bench.run();
    let ack = bench.expect::<basic::Ack>(1);
    assert_eq!((ack.delivery_tag, ack.multiple), (4, true));
    bench.silent();
}

#[test]
fn basic_nack_tells_of_publishes_without_room() {
    let mut bench = confirming();
    bench.broker.refuse_publish = Some((506, "RESOURCE_ERROR - queue is full"));
    for _ in 0..3 {
        bench.put_publish(1, "q", &Properties::default(), b"x");
    }
    bench.run();
    let nack = bench.expect::<basic::Nack>(1);
    assert_eq!((nack.delivery_tag, nack.multiple, nack.requeue), (1, false, false));
    let ack = bench.expect::<basic::Ack>(1);
    assert_eq!((ack.delivery_tag, ack.multiple), (3, true));
    let link = bench.link();
    for up_to in [2, 3] {
        bench.session.link_event(link, LinkEvent::Confirmed { up_to }, bench.now);
    }
    bench.run();
    bench.silent();
}

#[test]
fn refusals_for_want_of_room_are_not_told_without_confirms() {
    let mut bench = Bench::channel();
    bench.broker.refuse_publish = Some((506, "RESOURCE_ERROR - queue is full"));
    bench.publish(1, "q", &Properties::default(), b"x");
    bench.silent();
}

#[test]
fn tx_select_and_confirm_select_exclude_each_other() {
    let mut bench = confirming();
    bench.send(1, tx::Select {});
    bench.channel_error(1, 406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode", (90, 10));
    let mut bench = transactional();
    bench.send(1, tx::Select {});
    bench.expect::<tx::SelectOk>(1);
    bench.send(1, confirm::Select { nowait: true });
    bench.channel_error(1, 406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode", (85, 10));
}

#[test]
fn tx_commit_and_rollback_without_tx_select_are_406() {
    for method in [Method::from(tx::Commit {}), tx::Rollback {}.into()] {
        let mut bench = Bench::channel();
        let id = method.id();
        bench.send(1, method);
        bench.channel_error(1, 406, "PRECONDITION_FAILED - channel is not transactional", id);
    }
}

#[test]
fn tx_commit_publishes_and_acknowledges_at_once() {
    let mut bench = transactional();
    bench.send(1, tx::Commit {});
    bench.expect::<tx::CommitOk>(1);
    bench.publish(1, "q", &Properties::default(), b"1");
    bench.publish(1, "q", &Properties::default(), b"2");
    assert_eq!(bench.broker.ready("q"), 0);
    bench.send(1, tx::Commit {});
    bench.expect::<tx::CommitOk>(1);
    assert_eq!(bench.broker.ready("q"), 2);
    bench.send(1, basic::Get { queue: "q".into(), ..Default::default() });
    bench.expect::<basic::GetOk>(1);
    bench.content();
    bench.publish(1, "q", &Properties::default(), b"3");
    bench.send(1, basic::Ack { delivery_tag: 1, multiple: false });
    bench.send(1, tx::Commit {});
    bench.expect::<tx::CommitOk>(1);
    let Some(Action::Commit { first_seq: 3, messages, settlements, .. }) = bench.broker.actions.last() else {
        panic!("{:?}", bench.broker.actions.last())
    };
    assert_eq!((messages.len(), settlements.len()), (1, 1));
    bench.send(1, basic::Ack { delivery_tag: 1, multiple: false });
    bench.channel_error(1, 406, "PRECONDITION_FAILED - unknown delivery tag 1", (60, 80));
}

#[test]
fn tx_rollback_forgets_publishes_and_acknowledgements() {
    let mut bench = transactional();
    bench.publish(1, "q", &Properties::default(), b"1");
    bench.send(1, tx::Commit {});
    bench.publish(1, "q", &Properties::default(), b"2");
    bench.frames.clear();
    bench.send(1, basic::Get { queue: "q".into(), ..Default::default() });
    bench.expect::<basic::GetOk>(1);
    bench.content();
    bench.send(1, basic::Ack { delivery_tag: 0, multiple: true });
    // What an acknowledgement waits for is none of recover's.
    bench.send(1, basic::Recover { requeue: true });
    bench.expect::<basic::RecoverOk>(1);
    assert_eq!(bench.broker.ready("q"), 0);
    bench.send(1, tx::Rollback {});
    bench.expect::<tx::RollbackOk>(1);
    bench.send(1, basic::Recover { requeue: true });
    bench.expect::<basic::RecoverOk>(1);
    assert_eq!(bench.broker.ready("q"), 1);
    bench.send(1, basic::Get { queue: "q".into(), ..Default::default() });
    assert!(bench.expect::<basic::GetOk>(1).redelivered);
    assert_eq!(bench.content().1, b"1");
}

#[test]
fn basic_recover_in_a_transaction_leaves_what_waits_for_the_commit() {
    let mut bench = transactional();
    for body in [b"1", b"2"] {
        bench.publish(1, "q", &Properties::default(), body);
    }
    bench.send(1, tx::Commit {});
    bench.expect::<tx::CommitOk>(1);
    for _ in 0..2 {
        bench.send(1, basic::Get { queue: "q".into(), ..Default::default() });
        bench.expect::<basic::GetOk>(1);
        bench.content();
    }
    bench.send(1, basic::Ack { delivery_tag: 1, multiple: false });
    bench.send(1, basic::Recover { requeue: true });
    bench.expect::<basic::RecoverOk>(1);
    bench.send(1, tx::Commit {});
    bench.expect::<tx::CommitOk>(1);
    assert_eq!(bench.broker.ready("q"), 1);
}

#[test]
fn tx_of_too_much_is_406() {
    let limits = Limits { transaction_max_bytes: 100, ..Limits::default() };
    let mut bench = Bench::open_with(limits, 0);
    bench.open_channel(1);
    bench.send(1, tx::Select {});
    bench.expect::<tx::SelectOk>(1);
    bench.publish(1, "q", &Properties::default(), &[7; 60]);
    bench.publish(1, "q", &Properties::default(), &[7; 60]);
    bench.channel_error(
        1,
        406,
        "PRECONDITION_FAILED - transaction of 2 steps and 124 bytes is larger than 100000 steps or 100 bytes; commit \
         more often",
        (60, 40),
    );
}

#[test]
fn tx_commit_that_the_broker_refuses() {
    let mut bench = transactional();
    bench.publish(1, "q", &Properties::default(), b"x");
    bench.broker.refuse_publish = Some((404, "NOT_FOUND - no exchange 'nope' in vhost '/'"));
    bench.send(1, tx::Commit {});
    bench.channel_error(1, 404, "NOT_FOUND - no exchange 'nope' in vhost '/'", (60, 40));
}
