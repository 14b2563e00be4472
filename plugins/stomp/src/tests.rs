//! The plugin on a fake host, called directly and through the proxy.

mod raw;
mod rules;

use kuzzle_plugin_api::sdk::serde_json::{Value, json};
use kuzzle_plugin_testing::{FakeHost, RunningPlugin};

use crate::Stomp;

/// The plugin while it runs.
struct Running {
    /// Whether the calls are carried by the proxy.
    is_proxied: bool,
    host: FakeHost,
    plugin: RunningPlugin,
}

impl Running {
    fn start(is_proxied: bool, settings: &Value) -> Running {
        let host = FakeHost::new().proxied(is_proxied).with_settings(settings.clone());
        let plugin = host.start::<Stomp>().expect("it starts");
        Running { is_proxied, host, plugin }
    }

    /// Waits until its status is this: clients of 1.0, 1.1 and 1.2, and those that are throttled.
    #[track_caller]
    fn wait_for_status(&self, clients: [u64; 3], throttled: u64) {
        let [first, second, third] = clients;
        let expected =
            json!({ "clients": { "1.0": first, "1.1": second, "1.2": third }, "throttled": throttled });
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
        let running = Running::start(is_proxied, settings);
        test(&running);
        running.wait_for_nobody();
        let Running { host, plugin, .. } = running;
        assert!(plugin.stop().clean);
        assert!(host.logs().iter().all(|line| !line.message.contains("panic")), "{:#?}", host.logs());
    }
}
