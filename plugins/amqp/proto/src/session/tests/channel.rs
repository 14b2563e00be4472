//! Opening and closing channels, and frames that are not the next.

use super::{
    Bench,
    bench::secs,
    method::{Method, access, basic, channel, connection, queue},
};
use crate::{
    codec::properties::Properties,
    session::{Action, LinkEvent},
};

#[test]
fn channel_open_twice_is_504() {
    let mut bench = Bench::channel();
    bench.send(1, channel::Open::default());
    bench.connection_error(504, "CHANNEL_ERROR - second 'channel.open' seen", (20, 10));
}

#[test]
fn methods_on_a_channel_that_is_not_open_are_504() {
    let mut bench = Bench::open();
    bench.send(7, queue::Declare::default());
    bench.connection_error(504, "CHANNEL_ERROR - expected 'channel.open'", (50, 10));

    let mut bench = Bench::channel();
    bench.send(1, channel::Close::default());
    bench.expect::<channel::CloseOk>(1);
    bench.send(1, basic::Get::default());
    bench.connection_error(504, "CHANNEL_ERROR - expected 'channel.open'", (60, 70));
}

#[test]
fn channel_open_counts_channels_not_numbers() {
    let mut bench = Bench::new(crate::session::Limits::default());
    bench.start(super::bench::capable());
    bench.session.authenticated(Some("guest"), bench.now);
    bench.send(0, connection::TuneOk { channel_max: 1, frame_max: 4096, heartbeat: 0 });
    bench.send(0, connection::Open { virtual_host: "/".into(), ..Default::default() });
    bench.session.entered(None, bench.now);
    bench.run();
    bench.frames.clear();
    bench.open_channel(9);
    bench.send(10, channel::Open::default());
    bench.connection_error(
        530,
        "NOT_ALLOWED - number of channels opened (1) has reached the negotiated channel_max (1)",
        (0, 0),
    );
}

#[test]
fn channel_flow_off_is_540() {
    let mut bench = Bench::channel();
    bench.send(1, channel::Flow { active: true });
    assert!(bench.expect::<channel::FlowOk>(1).active);
    bench.send(1, channel::Flow { active: false });
    bench.connection_error(540, "NOT_IMPLEMENTED - active=false", (20, 20));
}

#[test]
fn access_request_gets_a_ticket() {
    let mut bench = Bench::channel();
    bench.send(1, access::Request { realm: "/data".into(), ..Default::default() });
    assert_eq!(bench.expect::<access::RequestOk>(1).ticket, 1);
}

#[test]
fn methods_of_the_server_are_503() {
    for method in [
        Method::from(basic::Deliver::default()),
        basic::GetEmpty::default().into(),
        queue::DeclareOk::default().into(),
        channel::OpenOk::default().into(),
    ] {
        let mut bench = Bench::channel();
        let id = method.id();
        bench.send(1, method);
        bench.connection_error(503, "COMMAND_INVALID - unimplemented method", id);
    }
}

#[test]
fn contents_without_a_method_are_505() {
    let text = "UNEXPECTED_FRAME - expected method frame, got non method frame instead";
    for number in [1, 2] {
        let mut bench = Bench::channel();
        bench.raw(&[3, 0, number, 0, 0, 0, 1, 9, 0xCE]);
        bench.connection_error(505, text, (0, 0));
        let mut bench = Bench::channel();
        bench.raw(&[2, 0, number, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0xCE]);
        bench.connection_error(505, text, (0, 0));
    }
}

#[test]
fn basic_publish_without_a_header_is_505() {
    let text =
        "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead";
    let mut bench = Bench::channel();
    bench.send(1, basic::Publish::default());
    bench.send(1, basic::Get::default());
    bench.connection_error(505, text, (60, 40));

    let mut bench = Bench::channel();
    bench.send(1, basic::Publish::default());
    bench.raw(&[3, 0, 1, 0, 0, 0, 1, 9, 0xCE]);
    bench.connection_error(505, text, (60, 40));

    let mut bench = Bench::channel();
    bench.send(1, basic::Publish::default());
    bench.raw(&[2, 0, 1, 0, 0, 0, 14, 0, 50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0xCE]);
    bench.connection_error(
        505,
        "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
        (60, 40),
    );
}

#[test]
fn basic_publish_with_more_body_than_announced_is_505_at_the_next_method() {
    let mut bench = Bench::channel();
    bench.send(1, basic::Publish::default());
    bench.raw(&[2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0xCE]);
    bench.raw(&[3, 0, 1, 0, 0, 0, 2, 9, 9, 0xCE]);
    bench.silent();
    bench.send(1, basic::Get::default());
    bench.connection_error(
        505,
        "UNEXPECTED_FRAME - expected content body, got non content body frame instead",
        (60, 40),
    );
}

#[test]
fn channel_close_of_the_client_is_answered_and_the_number_is_free() {
    let mut bench = Bench::channel();
    bench.declare(1, "q");
    bench.send(1, channel::Close::default());
    bench.expect::<channel::CloseOk>(1);
    bench.open_channel(1);
    let links: Vec<u64> = bench
        .broker
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::OpenLink { link } => Some(*link),
            _ => None,
        })
        .collect();
    assert_eq!(links.len(), 2);
    assert_ne!(links[0], links[1]);
}

#[test]
fn channel_close_waits_for_what_was_published() {
    let mut bench = Bench::channel();
    bench.declare(1, "q");
    bench.publish(1, "q", &Properties::default(), b"x");
    bench.send(1, channel::Close::default());
    bench.silent();
    assert_eq!(bench.broker.quiescing.len(), 1);
    bench.session.quiesced(bench.broker.quiescing[0], bench.now);
    bench.run();
    bench.expect::<channel::CloseOk>(1);

    // And no longer than it may.
    bench.open_channel(1);
    bench.publish(1, "q", &Properties::default(), b"x");
    bench.send(1, channel::Close::default());
    bench.wait(secs(6));
    bench.expect::<channel::CloseOk>(1);
}

#[test]
fn channel_close_comes_behind_the_answers_before_it() {
    let mut bench = Bench::channel();
    bench.hold = true;
    bench.send(1, queue::Declare { queue: "q".into(), ..Default::default() });
    bench.send(1, channel::Close::default());
    bench.silent();
    bench.hold = false;
    bench.run();
    bench.expect::<queue::DeclareOk>(1);
    bench.expect::<channel::CloseOk>(1);
    bench.silent();
}

#[test]
fn channel_close_of_the_server_is_forgotten_when_nobody_agrees() {
    let mut bench = Bench::channel();
    bench.send(1, basic::Ack { delivery_tag: 9, multiple: false });
    bench.expect::<channel::Close>(1);
    bench.send(1, channel::Close::default());
    bench.expect::<channel::CloseOk>(1);
    bench.wait(secs(10));
    bench.open_channel(1);
}

#[test]
fn answers_come_in_the_order_of_the_methods() {
    let mut bench = Bench::channel();
    bench.open_channel(2);
    bench.hold = true;
    bench.send(1, queue::Declare { queue: "q".into(), ..Default::default() });
    bench.send(1, basic::Qos { prefetch_count: 3, ..Default::default() });
    bench.send(1, basic::Cancel { consumer_tag: "nobody".into(), nowait: false });
    bench.send(1, basic::Ack { delivery_tag: 5, multiple: false });
    bench.silent();
    // Another channel does not wait.
    bench.send(2, basic::Qos { prefetch_count: 3, ..Default::default() });
    bench.expect::<basic::QosOk>(2);
    bench.hold = false;
    bench.run();
    bench.expect::<queue::DeclareOk>(1);
    bench.expect::<basic::QosOk>(1);
    bench.expect::<basic::CancelOk>(1);
    bench.channel_error(1, 406, "PRECONDITION_FAILED - unknown delivery tag 5", (60, 80));
}

#[test]
fn a_link_that_the_broker_closes_closes_its_channel() {
    let mut bench = Bench::channel();
    let link = bench.link();
    let closed = LinkEvent::Closed { code: 406, text: "PRECONDITION_FAILED - consumer ack timed out" };
    bench.session.link_event(link, closed, bench.now);
    bench.broker.actions.clear();
    bench.run();
    bench.channel_error(1, 406, "PRECONDITION_FAILED - consumer ack timed out", (0, 0));
}

impl Bench {
    /// The link that was opened last.
    pub(super) fn link(&self) -> u64 {
        let opened = self.broker.actions.iter().rev().find_map(|action| match action {
            Action::OpenLink { link } => Some(*link),
            _ => None,
        });
        opened.expect("a link")
    }
}
