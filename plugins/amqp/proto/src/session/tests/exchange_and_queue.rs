//! Exchanges, queues and bindings: what is passed on, how it is answered, and what is refused.

use super::{
    Bench,
    method::{Method, exchange, queue},
};
use crate::{
    codec::table::{TableBuilder, Value},
    session::{Action, Binding, Operation},
};

fn asked(bench: &Bench) -> &Operation {
    match bench.broker.actions.last() {
        Some(Action::Call { operation, .. }) => operation,
        other => panic!("{other:?} is no call"),
    }
}

#[test]
fn exchange_declare_and_delete() {
    let mut bench = Bench::channel();
    let arguments = TableBuilder::new().field("alternate-exchange", Value::text("z")).build();
    let declare = exchange::Declare {
        exchange: "e".into(),
        kind: "topic".into(),
        durable: true,
        internal: true,
        arguments: arguments.clone(),
        ..Default::default()
    };
    bench.send(1, declare.clone());
    bench.expect::<exchange::DeclareOk>(1);
    let expected = Operation::DeclareExchange {
        name: "e".into(),
        kind: "topic".into(),
        passive: false,
        durable: true,
        auto_delete: false,
        internal: true,
        arguments,
    };
    assert_eq!(asked(&bench), &expected);
    bench.send(1, exchange::Declare { nowait: true, ..declare });
    bench.silent();
    bench.send(1, exchange::Delete { exchange: "e".into(), if_unused: true, ..Default::default() });
    bench.expect::<exchange::DeleteOk>(1);
    assert_eq!(asked(&bench), &Operation::DeleteExchange { name: "e".into(), if_unused: true });
}

#[test]
fn exchange_bind_and_unbind() {
    let mut bench = Bench::channel();
    let binding = Binding {
        source: "s".into(),
        destination: "d".into(),
        to_exchange: true,
        routing_key: "k".into(),
        arguments: Default::default(),
    };
    let bind = exchange::Bind {
        source: "s".into(),
        destination: "d".into(),
        routing_key: "k".into(),
        ..Default::default()
    };
    bench.send(1, bind);
    bench.expect::<exchange::BindOk>(1);
    assert_eq!(asked(&bench), &Operation::Bind(binding.clone()));
    let unbind = exchange::Unbind {
        source: "s".into(),
        destination: "d".into(),
        routing_key: "k".into(),
        ..Default::default()
    };
    bench.send(1, unbind);
    bench.expect::<exchange::UnbindOk>(1);
    assert_eq!(asked(&bench), &Operation::Unbind(binding));
}

#[test]
fn queue_declare_purge_and_delete() {
    let mut bench = Bench::channel();
    let made_up = bench.declare(1, "");
    assert_eq!(&made_up.queue[..], "amq.gen-1");
    bench.publish(1, "amq.gen-1", &Default::default(), b"x");
    assert_eq!(bench.declare(1, "amq.gen-1").message_count, 1);
    bench.consume(1, "", "t");
    bench.frames.clear();
    bench.publish(1, "amq.gen-1", &Default::default(), b"x");
    bench.frames.clear();
    bench.send(1, queue::Purge { queue: "amq.gen-1".into(), ..Default::default() });
    assert_eq!(bench.expect::<queue::PurgeOk>(1).message_count, 0);
    assert_eq!(bench.declare(1, "amq.gen-1").consumer_count, 1);
    bench.send(1, queue::Delete { queue: "amq.gen-1".into(), ..Default::default() });
    assert_eq!(bench.expect::<queue::DeleteOk>(1).message_count, 0);
    let silent = [
        Method::from(queue::Declare { queue: "q".into(), nowait: true, ..Default::default() }),
        queue::Purge { queue: "q".into(), nowait: true, ..Default::default() }.into(),
        queue::Bind { queue: "q".into(), nowait: true, ..Default::default() }.into(),
        queue::Delete { queue: "q".into(), nowait: true, ..Default::default() }.into(),
    ];
    for method in silent {
        bench.send(1, method);
        bench.silent();
    }
}

#[test]
fn queue_bind_without_names_means_the_queue_declared_last() {
    let mut bench = Bench::channel();
    bench.declare(1, "");
    bench.send(1, queue::Bind { exchange: "amq.topic".into(), ..Default::default() });
    bench.expect::<queue::BindOk>(1);
    let Operation::Bind(binding) = asked(&bench) else { panic!() };
    assert_eq!((&binding.destination[..], &binding.routing_key[..]), ("", "amq.gen-1"));
    bench.send(1, queue::Unbind { exchange: "amq.topic".into(), ..Default::default() });
    bench.expect::<queue::UnbindOk>(1);
}

#[test]
fn queue_bind_waits_for_a_name_that_is_being_made_up() {
    let mut bench = Bench::channel();
    bench.hold = true;
    bench.send(1, queue::Declare { nowait: true, ..Default::default() });
    bench.send(1, queue::Bind { exchange: "amq.topic".into(), ..Default::default() });
    bench.send(1, queue::Declare { queue: "other".into(), ..Default::default() });
    assert!(!bench.session.wants_input());
    bench.hold = false;
    bench.run();
    bench.expect::<queue::BindOk>(1);
    bench.expect::<queue::DeclareOk>(1);
    assert!(bench.broker.actions.iter().any(|action| matches!(
        action,
        Action::Call { operation: Operation::Bind(binding), .. } if &binding.routing_key[..] == "amq.gen-1"
    )));
}

#[test]
fn what_the_broker_refuses_closes_the_channel() {
    let declare = |name: &str| queue::Declare { queue: name.into(), ..Default::default() };
    let refused: [(Method, u16, &str); 9] = [
        (
            queue::Declare { passive: true, ..declare("x") }.into(),
            404,
            "NOT_FOUND - no queue 'x' in vhost '/'",
        ),
        (queue::Bind::default().into(), 404, "NOT_FOUND - no previously declared queue"),
        (
            declare("amq.foo").into(),
            403,
            "ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'",
        ),
        (
            exchange::Declare::default().into(),
            403,
            "ACCESS_REFUSED - operation not permitted on the default exchange",
        ),
        (
            exchange::Delete { exchange: "amq.direct".into(), ..Default::default() }.into(),
            403,
            "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
        ),
        (
            queue::Purge { queue: "qx".into(), ..Default::default() }.into(),
            405,
            "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'qx' in vhost '/'. It could be \
             originally declared on another connection or the exclusive property value does not match that of the \
             original declaration.",
        ),
        (
            queue::Declare { durable: true, nowait: true, ..declare("q1") }.into(),
            406,
            "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q1' in vhost '/': received 'true' but \
             current is 'false'",
        ),
        (
            queue::Delete { queue: "q1".into(), if_empty: true, ..Default::default() }.into(),
            406,
            "PRECONDITION_FAILED - queue 'q1' in vhost '/' not empty",
        ),
        (
            exchange::Bind { source: "nope".into(), destination: "e".into(), ..Default::default() }.into(),
            404,
            "NOT_FOUND - no exchange 'nope' in vhost '/'",
        ),
    ];
    for (method, code, text) in refused {
        let mut bench = Bench::channel();
        bench.broker.refuse = Some((code, text));
        let id = method.id();
        bench.send(1, method);
        let text = match text.len() {
            ..=255 => text.to_owned(),
            _ => format!("{}...", &text[..252]),
        };
        bench.channel_error(1, code, &text, id);
    }
}

#[test]
fn exchange_declare_of_an_unknown_type_closes_the_connection() {
    let mut bench = Bench::channel();
    let text = "COMMAND_INVALID - unknown exchange type 'nope'";
    bench.broker.refuse = Some((503, text));
    bench.send(1, exchange::Declare { exchange: "e".into(), kind: "nope".into(), ..Default::default() });
    bench.connection_error(503, text, (40, 10));
}

#[test]
fn what_follows_a_refusal_is_ignored() {
    let mut bench = Bench::channel();
    bench.hold = true;
    bench.broker.refuse = Some((404, "NOT_FOUND - no queue 'x' in vhost '/'"));
    bench.send(1, queue::Purge { queue: "x".into(), ..Default::default() });
    bench.send(1, queue::Declare { queue: "q".into(), ..Default::default() });
    bench.publish(1, "q", &Default::default(), b"x");
    bench.hold = false;
    bench.run();
    bench.channel_error(1, 404, "NOT_FOUND - no queue 'x' in vhost '/'", (50, 30));
}
