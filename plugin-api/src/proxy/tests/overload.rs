//! Bounds: what is too much or too long is answered, and memory stays bounded.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use super::fixture::*;
use crate::abi::*;
use crate::proxy::link::{Limits, Link, PushError};
use crate::proxy::messages::ToHost;
use crate::proxy::sockets::Sockets;
use crate::proxy::{far, near};

const SMALL: Limits = Limits { frame_bytes: 4096, outbox_bytes: 8192 };

fn run_small(settings: &str) -> Stage {
    let (near_end, far_end) = UnixStream::pair().unwrap();
    let sockets = Arc::new(Sockets::default());
    far::serve(module_of::<Plugin>(), far_end, Arc::clone(&sockets), SMALL).unwrap();
    let host = TestHost::new();
    let arguments = arguments(settings);
    let name = arguments.instance.to_string();
    let instance =
        near::start(near_end, &sockets, SMALL, HostRef::new(Arc::clone(&host)), arguments).unwrap();
    *host.client.lock() = instance.service::<RequestsClient>();
    Stage { plugin: Plugin::named(&name).unwrap(), host, instance }
}

#[test]
fn what_does_not_fit_into_a_frame_is_answered() {
    let Stage { host, plugin, instance } = run_small("");
    plugin.requests.open(1, "{}").unwrap();
    let long = "x".repeat(5000);
    let reply = answer(&plugin.execute(1, &format!(r#"{{"requestId":"r","text":"{long}"}}"#)));
    assert_eq!((reply.status, reply.request_id.as_str()), (413, "r"));
    let body: serde_json::Value = serde_json::from_slice(reply.body.as_slice()).unwrap();
    assert_eq!((body["status"].as_u64(), body["requestId"].as_str()), (Some(413), Some("r")));
    let reply = answer(&plugin.execute(1, r#"{"requestId":"s","answer":"long","bytes":5000}"#));
    assert_eq!((reply.status, reply.request_id.as_str()), (500, "s"));
    assert_eq!(plugin.requests.open(2, &format!(r#"{{"x":"{long}"}}"#)).unwrap_err().status, 413);
    assert_eq!(answer(&plugin.authenticate(1, &long, b"")).status, 413);
    plugin.host.log(LogLevel::Info, "t", &long, "");
    host.notify(RequestEvent::notification(vec![1, 5], "short", Blob::from("{}")));
    host.notify(RequestEvent::notification(vec![1, 5], "long", Blob::from(long)));
    assert_eq!(plugin.next_event().channel.as_str(), "short");
    let event = plugin.next_event();
    assert_eq!((event.kind, event.code, event.connections.as_slice()), (EVENT_CLOSE, 413, &[1, 5][..]));
    assert_eq!(answer(&plugin.execute(1, "{}")).status, 200);
    assert!(instance.stop(1000).clean);
}

#[test]
fn more_calls_than_may_wait_are_answered_at_once() {
    let Stage { host, plugin, instance } = Way::Proxied.run("");
    plugin.requests.open(1, "{}").unwrap();
    let request = r#"{"requestId":"r","answer":"late"}"#;
    let calls: Vec<_> = (0..16_384).map(|_| plugin.execute(1, request)).collect();
    let refused = answer(&plugin.execute(1, request));
    assert_eq!((refused.status, refused.request_id.as_str()), (503, "r"));
    drop(host.held("r"));
    assert_eq!(answer(&calls[0]).status, STATUS_CANCELLED);
    let held =
        host.state.wait_for(|state| (state.held.len() == 16_383).then(|| std::mem::take(&mut state.held)));
    drop(held);
    assert!(calls[1..].iter().all(|call| answer(call).status == STATUS_CANCELLED));
    assert!(instance.stop(1000).clean);
}

#[test]
fn a_plugin_that_does_not_take_leaves_events_at_the_host() {
    let Stage { host, plugin, instance } = Way::Proxied.run("");
    let payload = Blob::from("x".repeat(100));
    for n in 0..10_000_u64 {
        host.notify(RequestEvent::notification(vec![n], "c", payload.clone()));
    }
    // A request and its answer make the round after the events that were sent ahead of it.
    plugin.requests.open(1, "{}").unwrap();
    assert_eq!(answer(&plugin.execute(1, "{}")).status, 200);
    plugin.ready.wait_for(|ready| (*ready > 0).then_some(()));
    host.state.with(|state| assert!(state.events.len() >= 10_000 - 1024, "{}", state.events.len()));
    for n in 0..10_000 {
        assert_eq!(plugin.next_event().connections.as_slice(), [n]);
    }
    let large = Blob::from("x".repeat(1024 * 1024));
    for _ in 0..20 {
        host.notify(RequestEvent::notification(vec![1], "large", large.clone()));
    }
    assert_eq!(answer(&plugin.execute(1, "{}")).status, 200);
    host.state.with(|state| assert!(state.events.len() >= 20 - 6, "{}", state.events.len()));
    for _ in 0..20 {
        assert_eq!(plugin.next_event().payload.as_slice().len(), 1024 * 1024);
    }
    assert!(instance.stop(1000).clean);
}

#[test]
fn connections_are_refused_by_what_can_be_seen_here() {
    let Stage { plugin, instance, .. } = Way::Proxied.run("");
    for info in ["", "[]", "1", "{", "{} x"] {
        assert_eq!(plugin.requests.open(1, info).unwrap_err().status, 400);
    }
    for connection in 0..100 {
        plugin.requests.open(connection, "{}").unwrap();
    }
    assert_eq!(plugin.requests.open(100, "{}").unwrap_err().status, 429);
    assert_eq!(plugin.requests.open(7, "{}").unwrap_err().status, 409);
    plugin.requests.close(7);
    plugin.requests.open(100, "{}").unwrap();
    assert!(instance.stop(1000).clean);
}

#[test]
fn a_metric_that_the_host_refuses_is_logged_and_not_counted() {
    let Stage { host, plugin, instance } = Way::Proxied.run("");
    for (name, kind) in [("", 1), ("Bad", 1), ("bad-name", 1), ("good_name", 3)] {
        assert_eq!(plugin.metrics.register(name, kind, "").unwrap_err().status, 400);
    }
    let refused = plugin.metrics.register("forbidden_total", METRIC_COUNTER, "").unwrap();
    let counted = plugin.metrics.register("good_total", METRIC_COUNTER, "").unwrap();
    assert_eq!(plugin.metrics.register("good_total", METRIC_GAUGE, "").unwrap_err().status, 400);
    plugin.metrics.add(refused, 5);
    plugin.metrics.add(counted, 6);
    assert!(instance.stop(1000).clean);
    host.state.with(|state| {
        assert_eq!(state.metrics, [("good_total".to_owned(), METRIC_COUNTER, 6)]);
        assert!(state.logs.iter().any(|line| line.0 == LogLevel::Warn && line.3.contains("forbidden_total")));
    });
    let Stage { plugin, instance, .. } = Way::Proxied.run("");
    for n in 0..1024 {
        plugin.metrics.register(&format!("m{n}"), METRIC_GAUGE, "").unwrap();
    }
    assert_eq!(plugin.metrics.register("m1024", METRIC_GAUGE, "").unwrap_err().status, 429);
    assert!(instance.stop(1000).clean);
}

#[test]
fn a_peer_that_does_not_read_costs_bounded_memory() {
    let (end, _peer) = UnixStream::pair().unwrap();
    let link = Link::new(end, SMALL);
    let message = ToHost::Status { report: vec![7; 1000].into() };
    let mut queued = 0;
    while link.push(&message).is_ok() {
        queued += 1;
    }
    assert_eq!(queued, 8192 / (4 + 1 + 4 + 1000));
    assert_eq!(link.push(&message), Err(PushError::Full));
    assert!(link.is_open());
    while link.push_surely(&message) {
        queued += 1;
    }
    assert_eq!(queued, 2 * 8192 / (4 + 1 + 4 + 1000));
    assert!(!link.is_open());
    assert_eq!(link.push(&message), Err(PushError::Closed));
    let long = ToHost::Status { report: vec![7; 5000].into() };
    let (end, _peer) = UnixStream::pair().unwrap();
    assert_eq!(Link::new(end, SMALL).push(&long), Err(PushError::TooLong { bytes: 5005, limit: 4096 }));
}
