//! Starts and stops many times over. Alone in its process, so that it can count.

mod common;

use common::{Client, Scripted, threads_named};
use kuzzle_plugin_api::abi::StopReport;
use kuzzle_plugin_testing::FakeHost;
use serde_json::json;

#[test]
fn a_hundred_starts_and_stops_leak_no_thread_and_no_descriptor() {
    let descriptors = || std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count());
    let host = FakeHost::new()
        .with_settings(json!({ "on_serve": "goodbye", "on_start": "open_client" }))
        .with_options(json!({ "worker_threads": 3 }));
    let cycle = || {
        let plugin = host.start::<Scripted>().expect("it starts");
        let mut client = Client::connect(host.address());
        client.send("x\n");
        assert_eq!(client.line(), "x");
        assert_eq!(plugin.stop(), StopReport { clean: true, cut_connections: 0, leaked_threads: 0 });
        assert!(host.connections().is_empty());
    };
    cycle();
    let before = descriptors();
    (0..100).for_each(|_| cycle());
    // A thread leaves the list a moment after it has told that it ends.
    host.wait_for("the threads to end", |_| (threads_named("test") == 0).then_some(()));
    host.wait_for("the descriptors to close", |_| (descriptors() <= before).then_some(()));
}
