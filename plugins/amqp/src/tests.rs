//! The plugin on a fake host, called directly and through the proxy: with lapin, and frame by frame.

mod lapin;
mod raw;
mod rules;

use kuzzle_plugin_api::sdk::serde_json::{Value, json};
use kuzzle_plugin_testing::{FakeHost, RunningPlugin};

use crate::Amqp;

/// The plugin while it runs.
struct Running {
    /// Whether the calls are carried by the proxy.
    is_proxied: bool,
    host: FakeHost,
    plugin: RunningPlugin,
}

impl Running {
    /// Waits until its status is this.
    #[track_caller]
    fn wait_for_status(&self, channels: u64, throttled: u64) {
        let expected = json!({ "channels": channels, "throttled": throttled });
        // What operators see besides may be more.
        let is_it = |status: &Value| {
            expected.as_object().is_some_and(|all| all.iter().all(|(key, value)| status[key] == *value))
        };
        self.host.wait_for(&format!("the status {expected}"), |_| is_it(&self.plugin.status()).then_some(()));
    }

    /// Waits until no client is left.
    #[track_caller]
    fn wait_for_nobody(&self) {
        self.host.wait_for("the connections to the broker to close", |host| {
            host.broker().connections().is_empty().then_some(())
        });
    }
}

/// Runs a test with settings on a host that is called directly, and on one behind the proxy.
fn both_ways(settings: &Value, test: impl Fn(&Running)) {
    for is_proxied in [false, true] {
        eprintln!("proxied: {is_proxied}");
        let host = FakeHost::new().proxied(is_proxied).with_settings(settings.clone());
        let plugin = host.start::<Amqp>().expect("it starts");
        let running = Running { is_proxied, host, plugin };
        test(&running);
        running.wait_for_nobody();
        let Running { host, plugin, .. } = running;
        assert!(plugin.stop().clean);
        assert!(host.logs().iter().all(|line| !line.message.contains("panic")), "{:#?}", host.logs());
    }
}
