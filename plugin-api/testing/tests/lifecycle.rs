//! Starting, stopping, and panics in every entry.

mod common;

use std::time::{Duration, Instant};

use common::{Client, Scripted};
use kuzzle_plugin_api::abi::{LogLevel, StopReport};
use kuzzle_plugin_testing::FakeHost;
use serde_json::json;

/// For a stop that needs its whole time: its last part is enough for threads to end on a busy machine.
const TIME_ENOUGH: Duration = Duration::from_millis(2_500);

fn scripted(settings: serde_json::Value) -> FakeHost {
    let host = FakeHost::new().with_settings(settings);
    // As a part of `proxied.rs` the same tests run through the proxy.
    if module_path!().starts_with("proxied::") { host.proxied(true) } else { host }
}

#[test]
fn a_start_that_fails_or_panics_is_an_error_and_leaves_nothing() {
    for (script, status, message) in
        [("fail", 503, "no reason to start"), ("panic", 500, "`start` panicked: boom in start")]
    {
        let host = scripted(json!({ "on_start": script }));
        let error = host.start::<Scripted>().err().expect("it does not start");
        assert_eq!((error.status, error.message.as_str()), (status, message));
        assert!(host.connections().is_empty());
    }
}

#[test]
fn a_panic_in_start_is_in_the_hosts_log() {
    let host = scripted(json!({ "on_start": "panic" }));
    assert!(host.start::<Scripted>().is_err());
    let line = host.wait_for_log("the plugin panicked");
    assert_eq!((line.level, line.target.as_str()), (LogLevel::Error, "panic"));
    assert_eq!(line.fields["panic"], "boom in start");
    assert_eq!(line.fields["thread"], "test");
    assert!(line.fields["at"].as_str().is_some_and(|at| at.contains("common/mod.rs")));
}

#[test]
fn settings_may_be_refused_by_the_protocol_itself() {
    let error = scripted(json!({ "on_check": "refuse" })).start::<Scripted>().err().expect("it is refused");
    assert_eq!(error.message, "`/on_check` is refused");
    let error = scripted(json!({ "on_check": "panic" })).start::<Scripted>().err().expect("it panics");
    assert_eq!(error.message, "`` `check_settings` panicked: boom in check");
}

#[test]
fn a_panic_while_serving_ends_that_connection_alone() {
    let host = scripted(json!({ "on_serve": "panic" }));
    let plugin = host.start::<Scripted>().expect("it starts");
    for _ in 0..3 {
        assert_eq!(Client::connect(host.address()).rest(), "");
    }
    host.wait_for("all connections to be counted out", |_| {
        (plugin.status()["connections"] == 0).then_some(())
    });
    assert_eq!(host.wait_for_log("the plugin panicked").fields["panic"], "boom in serve");
    assert!(plugin.stop().clean);
}

#[test]
fn a_panic_in_deliver_loses_one_event() {
    let host = scripted(json!({ "on_event": "panic_once", "on_start": "open_client" }));
    let _plugin = host.start::<Scripted>().expect("it starts");
    let ids = host.wait_for_connections(1);
    host.notify(&ids, "room", "{}");
    host.wait_for_log("the plugin panicked");
    host.notify(&ids, "room", "{}");
    host.wait_for("the second event to be taken", |host| host.has_no_events().then_some(()));
}

#[test]
fn a_panic_or_a_hang_in_stop_is_in_the_report() {
    let host = scripted(json!({ "on_stop": "panic" }));
    let report = host.start::<Scripted>().expect("it starts").stop();
    assert_eq!(report, StopReport { clean: false, cut_connections: 0, leaked_threads: 0 });
    assert_eq!(host.wait_for_log("the plugin panicked").fields["panic"], "boom in stop");

    let plugin = scripted(json!({ "on_stop": "hang" })).start::<Scripted>().expect("it starts");
    let started = Instant::now();
    let report = plugin.stop_within(TIME_ENOUGH);
    assert_eq!(report, StopReport { clean: false, cut_connections: 0, leaked_threads: 0 });
    assert!(started.elapsed() < Duration::from_secs(20), "the time limit holds");
}

#[test]
fn what_the_protocol_owns_is_freed_before_stop_returns() {
    let host = scripted(json!({ "on_start": "open_client" }));
    let plugin = host.start::<Scripted>().expect("it starts");
    assert_eq!(plugin.status()["has_client"], true);
    assert_eq!(host.connections().len(), 1);
    assert!(plugin.stop().clean);
    assert!(host.connections().is_empty());
}

#[test]
fn connections_say_goodbye_or_are_cut() {
    let host = scripted(json!({ "on_serve": "goodbye" }));
    let plugin = host.start::<Scripted>().expect("it starts");
    let mut client = Client::connect(host.address());
    client.send("here\n");
    assert_eq!(client.line(), "here");
    assert_eq!(plugin.stop(), StopReport { clean: true, cut_connections: 0, leaked_threads: 0 });
    assert_eq!(client.rest(), "goodbye\n");

    for script in ["ignore_stop", "moved"] {
        let host = scripted(json!({ "on_serve": script }));
        let plugin = host.start::<Scripted>().expect("it starts");
        let mut client = Client::connect(host.address());
        client.send("here\n");
        assert_eq!(client.line(), "here");
        let report = plugin.stop_within(TIME_ENOUGH);
        assert_eq!(report, StopReport { clean: false, cut_connections: 1, leaked_threads: 0 }, "{script}");
        assert_eq!(client.rest(), "");
    }
}

#[test]
fn a_task_that_never_yields_is_reported_as_a_leaked_thread() {
    let host = scripted(json!({ "on_serve": "spin" }));
    let plugin = host.start::<Scripted>().expect("it starts");
    let _client = Client::connect(host.address());
    host.wait_for("the connection", |_| (plugin.status()["connections"] == 1).then_some(()));
    // The one worker may not have come to the task yet; only then does it spin.
    std::thread::sleep(Duration::from_millis(100));
    let started = Instant::now();
    let report = plugin.stop_within(Duration::from_millis(500));
    assert_eq!(report, StopReport { clean: false, cut_connections: 1, leaked_threads: 1 });
    assert!(started.elapsed() < Duration::from_secs(20), "the time limit holds");
}

#[test]
fn draining_stops_accepting_and_completes_with_the_last_connection() {
    let host = scripted(json!({}));
    let plugin = host.start::<Scripted>().expect("it starts");
    let mut client = Client::connect(host.address());
    client.send("one\n");
    assert_eq!(client.line(), "one");
    let drain = plugin.drain();
    client.send("two\n");
    assert_eq!(client.line(), "two");
    assert!(drain.try_done().is_none(), "a connection is open");

    // The host's own socket is still there, so that a new client waits for the next generation.
    let next = host.start::<Scripted>().expect("the next generation starts");
    let mut newcomer = Client::connect(host.address());
    newcomer.send("new\n");
    assert_eq!(newcomer.line(), "new");
    for instance in [&plugin, &next] {
        // Through the proxy it is up to a second old.
        host.wait_for("its one connection", |_| (instance.status()["connections"] == 1).then_some(()));
    }

    drop(client);
    assert_eq!(drain.wait().status, 200);
    assert!(plugin.stop().clean);
    newcomer.send("still\n");
    assert_eq!(newcomer.line(), "still");
}

#[test]
fn a_stop_during_a_drain_cancels_it() {
    let host = scripted(json!({}));
    let plugin = host.start::<Scripted>().expect("it starts");
    let mut client = Client::connect(host.address());
    client.send("one\n");
    assert_eq!(client.line(), "one");
    let drain = plugin.drain();
    plugin.stop_within(Duration::from_millis(100));
    let status = drain.wait().status;
    assert!(status == 499 || status == 200, "{status}");
}

#[test]
fn instances_of_one_build_run_side_by_side() {
    let hosts = [scripted(json!({ "on_serve": "tell" })), scripted(json!({ "on_serve": "tell" }))];
    let plugins: Vec<_> = hosts.iter().map(|host| host.start::<Scripted>().expect("it starts")).collect();
    let mut told: Vec<_> = hosts.iter().map(|host| Client::connect(host.address())).collect();
    for (client, host) in told.iter_mut().zip(&hosts) {
        assert_eq!(client.json()["local"], host.address().to_string());
        assert_eq!(host.wait_for_log("started").fields, json!({ "instance": "test", "generation": 1 }));
    }
    let mut plugins = plugins.into_iter();
    drop(told.remove(0));
    assert!(plugins.next().expect("two").stop().clean);
    told[0].send("still\n");
    assert_eq!(told[0].line(), "still");
}
