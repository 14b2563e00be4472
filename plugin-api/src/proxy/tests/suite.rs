//! What holds for a plugin however it is run.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering;

use super::fixture::*;
use crate::abi::*;

macro_rules! both_ways {
    ($($name:ident)*) => {
        mod direct {
            $(#[test] fn $name() { super::$name(super::Way::Direct); })*
        }
        mod proxied {
            $(#[test] fn $name() { super::$name(super::Way::Proxied); })*
        }
    };
}

both_ways! {
    the_module_describes_itself_and_checks_settings
    a_start_that_fails_says_why
    what_an_instance_starts_with_arrives_whole
    connections_open_and_close_and_are_refused
    requests_are_answered_at_once_late_and_never
    requests_of_one_connection_begin_in_order
    credentials_are_proved
    events_arrive_in_order
    metrics_are_counted
    log_lines_arrive_and_follow_the_levels
    listeners_are_handed_over_and_accepted_on
    a_lost_listener_is_reported
    the_report_is_shown
    draining_ends_when_the_plugin_says_so
    stopping_first_cancels_what_waits
    panics_stay_where_they_happen
    panics_of_the_host_stay_with_the_host
}

struct Silent;

impl ModuleCalls for Silent {
    fn describe() -> PluginInfo {
        panic!("describe went wrong")
    }

    fn check_settings(_settings: &str) -> Vec<SettingsProblem> {
        Vec::new()
    }

    fn start(_host: HostRef, _arguments: StartArguments) -> Result<Instance, ApiError> {
        Err(ApiError::new(500, "never", "never"))
    }
}

fn the_module_describes_itself_and_checks_settings(way: Way) {
    let info = way.describe::<Plugin>();
    assert_eq!((info.name.as_str(), info.version.as_str(), info.label.as_str()), ("test", "1.2.3", "té"));
    assert_eq!(way.check_settings("good words"), []);
    let problem = |at: &str, text: &str| SettingsProblem { pointer: at.into(), message: text.into() };
    assert_eq!(way.check_settings("bad good badder"), [problem("/0", "bad"), problem("/2", "badder")]);
    assert_eq!(
        way.check_settings("panic-check"),
        [problem("", "`check_settings` panicked: check went wrong")]
    );
    let info = way.describe::<Silent>();
    assert_eq!((info.name.as_str(), info.version.as_str(), info.label.as_str()), ("", "", ""));
}

fn a_start_that_fails_says_why(way: Way) {
    let start = |settings| {
        way.start(HostRef::new(TestHost::new()), arguments(settings)).err().expect("the start fails")
    };
    let error = start("refuse-start");
    assert_eq!(
        (error.status, error.id.as_str(), error.message.as_str(), error.details.as_str().unwrap()),
        (503, "plugin.start.bind", "no port", r#"{"port":1}"#)
    );
    let error = start("panic-start");
    assert_eq!((error.status, error.id.as_str()), (500, "plugin.panic"));
    assert!(error.message.contains("start went wrong"), "{error}");
}

fn what_an_instance_starts_with_arrives_whole(way: Way) {
    let stage = way.run("some words");
    let arguments = &stage.plugin.arguments;
    assert!(arguments.instance.starts_with("test-"));
    assert_eq!(arguments.generation, 7);
    assert_eq!(arguments.settings.as_str(), "some words");
    assert_eq!(arguments.options.as_str(), r#"{"max_connections":100}"#);
    assert!(stage.plugin.host.service::<Requests>().is_some());
    assert!(stage.plugin.host.service::<Status>().is_none());
    assert!(stage.instance.service::<RequestsClient>().is_some());
    assert!(stage.instance.service::<Status>().is_some());
    assert!(stage.instance.service::<Requests>().is_none());
    stage.instance.stop(1);
    let without = way.run("no-status");
    assert!(without.instance.service::<Status>().is_none());
    without.instance.stop(1);
}

fn connections_open_and_close_and_are_refused(way: Way) {
    let Stage { host, plugin, instance } = way.run("");
    assert_eq!(plugin.try_open(1, r#"{"remote":"10.0.0.1:5"}"#), 200);
    host.state.with(|state| assert_eq!(state.open[&1], r#"{"remote":"10.0.0.1:5"}"#));
    assert_eq!(plugin.try_open(2, r#"{"refuse":1}"#), 429);
    assert_eq!(plugin.try_open(3, r#"{"panic":1}"#), 500);
    plugin.requests.close(1);
    plugin.requests.close(1);
    plugin.requests.close(77);
    host.state.wait_for(|state| state.open.is_empty().then_some(()));
    assert_eq!(answer(&plugin.execute(1, r#"{"requestId":"r"}"#)).status, 400);
    instance.stop(1);
}

fn requests_are_answered_at_once_late_and_never(way: Way) {
    let Stage { host, plugin, instance } = way.run("");
    plugin.requests.open(1, "{}").unwrap();
    let reply = answer(&plugin.execute(1, r#"{"answer":"inline","requestId":"a"}"#));
    assert_eq!(
        (reply.status, reply.request_id.as_str(), reply.body.as_str().unwrap()),
        (200, "a", r#"{"answer":"inline","requestId":"a"}"#)
    );
    let first = plugin.execute(1, r#"{"answer":"late","requestId":"b"}"#);
    let second = plugin.execute(1, r#"{"answer":"late","requestId":"c"}"#);
    let reply = |text: &str| Reply { status: 201, request_id: text.into(), body: text.to_owned().into() };
    host.held("c").complete(reply("c"));
    assert_eq!(answer(&second).body.as_str().unwrap(), "c");
    host.held("b").complete(reply("b"));
    assert_eq!(answer(&first).body.as_str().unwrap(), "b");
    let reply = answer(&plugin.execute(1, r#"{"answer":"drop","requestId":"d"}"#));
    assert_eq!((reply.status, reply.body.as_slice()), (STATUS_CANCELLED, &b""[..]));
    let late = plugin.execute(1, r#"{"answer":"late","requestId":"e"}"#);
    drop(host.held("e"));
    assert_eq!(answer(&late).status, STATUS_CANCELLED);
    instance.stop(1);
}

fn requests_of_one_connection_begin_in_order(way: Way) {
    let Stage { host, plugin, instance } = way.run("");
    plugin.requests.open(1, "{}").unwrap();
    let ids: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    let calls: Vec<_> =
        ids.iter().map(|id| plugin.execute(1, &format!(r#"{{"requestId":"{id}"}}"#))).collect();
    for (call, id) in calls.iter().zip(&ids) {
        assert_eq!(answer(call).request_id.as_str(), id);
    }
    host.state.with(|state| assert_eq!(state.requests, ids));
    instance.stop(1);
}

fn credentials_are_proved(way: Way) {
    let Stage { plugin, instance, .. } = way.run("");
    plugin.requests.open(1, "{}").unwrap();
    let reply = answer(&plugin.authenticate(1, "PLAIN", b"\0alice\0secret"));
    assert_eq!((reply.status, reply.body.as_str().unwrap()), (200, r#"{"user":"alice"}"#));
    assert_eq!(answer(&plugin.authenticate(1, "PLAIN", b"\0alice\0guess")).status, 401);
    instance.stop(1);
}

fn events_arrive_in_order(way: Way) {
    let Stage { host, plugin, instance } = way.run("");
    let payload = |n: u64| format!("{{\"n\":{n}}}");
    for n in 0..5_000 {
        host.notify(RequestEvent::notification(vec![n, n + 1], format!("channel-{n}"), payload(n).into()));
    }
    host.notify(RequestEvent::close(vec![9, 8], 401, "the token has expired"));
    for n in 0..5_000 {
        let event = plugin.next_event();
        assert_eq!(event.kind, EVENT_NOTIFICATION);
        assert_eq!(event.connections.as_slice(), [n, n + 1]);
        assert_eq!(event.channel.as_str(), format!("channel-{n}"));
        assert_eq!(event.payload.as_str().unwrap(), payload(n));
    }
    let event = plugin.next_event();
    assert_eq!(
        (event.kind, event.code, event.connections.as_slice(), event.reason.as_str()),
        (EVENT_CLOSE, 401, &[9, 8][..], "the token has expired")
    );
    assert!(plugin.requests.take(10, 10).is_empty());
    host.notify(RequestEvent::notification(vec![1], "again", Blob::from("x")));
    assert_eq!(plugin.next_event().channel.as_str(), "again");
    assert!(plugin.requests.take(0, 0).is_empty());
    instance.stop(1);
}

fn metrics_are_counted(way: Way) {
    let Stage { host, plugin, instance } = way.run("");
    let metrics = &plugin.metrics;
    let counter = metrics.register("bytes_total", METRIC_COUNTER, "Bytes.").unwrap();
    let gauge = metrics.register("queue_length", METRIC_GAUGE, "Length.").unwrap();
    assert_eq!(metrics.register("bytes_total", METRIC_COUNTER, "Bytes.").unwrap(), counter);
    for _ in 0..1000 {
        metrics.add(counter, 3);
        metrics.add(counter, -5);
    }
    metrics.set(counter, 5);
    metrics.set(gauge, 40);
    metrics.add(gauge, 3);
    metrics.add(gauge, -1);
    metrics.add(9999, 1);
    let expected =
        [("bytes_total".to_owned(), METRIC_COUNTER, 3000), ("queue_length".to_owned(), METRIC_GAUGE, 42)];
    host.state.wait_for(|state| (state.metrics == expected).then_some(()));
    // What was counted before a request is known when the request runs.
    plugin.requests.open(1, "{}").unwrap();
    metrics.add(counter, 1);
    answer(&plugin.execute(1, "{}"));
    host.state.with(|state| assert_eq!(state.metrics[0].2, 3001));
    metrics.add(counter, 1);
    instance.stop(1);
    host.state.with(|state| assert_eq!(state.metrics[0].2, 3002));
}

fn log_lines_arrive_and_follow_the_levels(way: Way) {
    let Stage { host, plugin, instance } = way.run("");
    plugin.requests.open(1, "{}").unwrap();
    assert!(plugin.host.log_enabled(LogLevel::Debug));
    assert!(!plugin.host.log_enabled(LogLevel::Trace));
    plugin.host.log(LogLevel::Warn, "part", "odd", r#"{"n":1}"#);
    let line = host.state.wait_for(|state| state.logs.pop());
    assert_eq!(line, (LogLevel::Warn, "part".to_owned(), "odd".to_owned(), r#"{"n":1}"#.to_owned()));
    *host.log_level.lock() = LogLevel::Error;
    let deadline = std::time::Instant::now() + CAP;
    while plugin.host.log_enabled(LogLevel::Warn) {
        assert!(std::time::Instant::now() < deadline, "the level is followed");
        answer(&plugin.execute(1, "{}"));
    }
    assert!(plugin.host.log_enabled(LogLevel::Error));
    instance.stop(1);
}

fn listeners_are_handed_over_and_accepted_on(way: Way) {
    let host = TestHost::new();
    let bound: Vec<_> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses: Vec<_> = bound.iter().map(|listener| listener.local_addr().unwrap()).collect();
    host.state.with(|state| state.listeners = (70..).zip(bound).collect());
    let Stage { plugin, instance, .. } = way.run_on(&host, "");
    for round in 0..2 {
        let listed = plugin.listeners.list().unwrap().into_vec();
        assert_eq!(listed.iter().map(|listener| listener.id).collect::<Vec<_>>(), [70, 71]);
        for (listener, address) in listed.into_iter().zip(&addresses) {
            assert_eq!(listener.address.as_str(), address.to_string());
            assert_eq!(listener.scheme.as_str(), "tcp");
            assert_eq!(listener.options.as_str(), r#"{"proxy_protocol":true}"#);
            assert_eq!(listener.socket.kind(), SOCKET_TCP_LISTENER);
            let accepting = TcpListener::from(listener.socket.into_fd());
            let mut client = TcpStream::connect(address).unwrap();
            accepting.set_nonblocking(false).unwrap();
            let (mut accepted, _) = accepting.accept().unwrap();
            client.write_all(&[round]).unwrap();
            let mut byte = [99];
            accepted.read_exact(&mut byte).unwrap();
            assert_eq!(byte, [round]);
        }
    }
    instance.stop(1);
    drop(instance);
    host.state.with(|state| state.listeners.clear());
    for address in addresses {
        assert!(TcpStream::connect(address).is_err(), "no handle stays behind");
    }
}

fn a_lost_listener_is_reported(way: Way) {
    let Stage { host, plugin, instance } = way.run("");
    plugin.listeners.lost(70, "it broke");
    host.state.wait_for(|state| (state.lost == [(70, "it broke".to_owned())]).then_some(()));
    instance.stop(1);
}

fn the_report_is_shown(way: Way) {
    let Stage { plugin, instance, .. } = way.run("");
    let status = instance.service::<Status>().unwrap();
    assert_eq!(status.report().as_str().unwrap(), r#"{"connections":2,"draining":false}"#);
    let (done, drained) = completion();
    instance.drain(done);
    plugin.draining.wait_for(|draining| draining.is_some().then_some(()));
    let deadline = std::time::Instant::now() + CAP;
    while status.report().as_str().unwrap() != r#"{"connections":2,"draining":true}"# {
        assert!(std::time::Instant::now() < deadline, "the report is renewed");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    drop(plugin.draining.with(Option::take));
    assert_eq!(answer(&drained).status, STATUS_CANCELLED);
    instance.stop(1);
}

fn draining_ends_when_the_plugin_says_so(way: Way) {
    let Stage { plugin, instance, .. } = way.run("");
    let (done, drained) = completion();
    instance.drain(done);
    let done = plugin.draining.wait_for(Option::take);
    assert!(drained.try_recv().is_err(), "connections are left");
    done.complete(StopReport::drained());
    assert_eq!(answer(&drained).status, 200);
    let report = instance.stop(1234);
    assert_eq!(report, StopReport { clean: true, cut_connections: 3, leaked_threads: 0 });
    assert_eq!(plugin.stopped.with(|stopped| *stopped), Some(1234));
}

fn stopping_first_cancels_what_waits(way: Way) {
    let Stage { host, plugin, instance } = way.run("");
    plugin.requests.open(1, "{}").unwrap();
    let late = plugin.execute(1, r#"{"answer":"late","requestId":"l"}"#);
    let held = host.held("l");
    assert!(instance.stop(5).clean);
    drop(held);
    assert_eq!(answer(&late).status, STATUS_CANCELLED);
    drop(instance);
    assert!(plugin.stopped.with(|stopped| stopped.is_some()));
}

fn panics_stay_where_they_happen(way: Way) {
    let Stage { host, plugin, instance } = way.run("panic-drain panic-stop panic-ready panic-report");
    let (done, drained) = completion();
    instance.drain(done);
    assert_eq!(answer(&drained).status, STATUS_CANCELLED);
    assert_eq!(instance.service::<Status>().unwrap().report().as_slice(), b"");
    host.notify(RequestEvent::notification(vec![1], "c", Blob::from("x")));
    assert_eq!(plugin.next_event().channel.as_str(), "c");
    assert_eq!(instance.stop(1), StopReport::default());
}

fn panics_of_the_host_stay_with_the_host(way: Way) {
    let Stage { host, plugin, instance } = way.run("");
    plugin.requests.open(1, "{}").unwrap();
    let reply = answer(&plugin.execute(1, r#"{"answer":"panic"}"#));
    assert_eq!(reply.status, STATUS_CANCELLED);
    assert_eq!(answer(&plugin.authenticate(1, "PANIC", b"")).status, STATUS_CANCELLED);
    assert_eq!(answer(&plugin.execute(1, "{}")).status, 200);
    plugin.unstoppable.store(false, Ordering::Relaxed);
    assert!(instance.stop(1).clean);
    host.state.with(|state| assert!(state.lost.is_empty()));
}
