//! The plugin on a fake host: sockets, timers and the broker around sessions, whose own tests are in `kuzzle-mqtt-proto`.

mod client;
mod limits;
mod messages;
mod sessions;
mod websocket;

use kuzzle_plugin_api::sdk::serde_json::{Value, json};
use kuzzle_plugin_testing::{FakeHost, RunningPlugin};

use crate::Mqtt;

/// A host on which the plugin runs.
struct Running {
    host: FakeHost,
    plugin: RunningPlugin,
}

impl Running {
    fn new() -> Self {
        Self::with_settings(json!({}))
    }

    fn with_settings(settings: Value) -> Self {
        Self::on(FakeHost::new().with_settings(settings))
    }

    fn on(host: FakeHost) -> Self {
        let plugin = host.start::<Mqtt>().expect("it starts");
        Self { host, plugin }
    }

    /// Waits until the broker has so many connections.
    fn wait_for_connections(&self, number: usize) {
        self.host.wait_for(&format!("{number} connections to the broker"), |host| {
            (host.broker().connections().len() == number).then_some(())
        });
    }
}

/// Runs a test with the plugin beside the host, and behind the proxy that serialises every call.
fn both_ways(test: impl Fn(&Running)) {
    for is_proxied in [false, true] {
        test(&Running::on(FakeHost::new().proxied(is_proxied)));
    }
}

#[test]
fn a_host_without_a_broker_is_told_why_there_is_no_mqtt() {
    let host = FakeHost::new().without_service("broker");
    let error = host.start::<Mqtt>().err().expect("it does not start");
    assert!(error.message.contains("does not offer the service `broker`"), "{error}");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let start = |settings| FakeHost::new().with_settings(settings).start::<Mqtt>().err();
    let error = start(json!({ "response_prefix": "a/#" })).expect("a wildcard is no prefix");
    assert!(error.message.contains("`/response_prefix` is `a/#`, expected a topic name"), "{error}");
    let error = start(json!({ "keep_alive_max_secs": 0 })).expect("no keep alive at all");
    assert!(error.message.contains("/keep_alive_max_secs"), "{error}");
}
