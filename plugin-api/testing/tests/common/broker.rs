//! A protocol that lends its host to the test, so that the test uses the broker as a plugin does.
#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kuzzle_plugin_api::sdk::broker::{Connection, Delivery, Enter, Event, Link, LinkOptions, Refusal};
use kuzzle_plugin_api::sdk::{self, ApiError, ConnectionInfo, Host, Protocol, tokio};
use kuzzle_plugin_testing::{FakeHost, RunningPlugin};
use serde_json::json;

static LENT: Mutex<Option<HashMap<String, Host>>> = Mutex::new(None);

kuzzle_plugin_api::settings! {
    /// Which test it is for.
    pub(crate) struct Settings {
        /// A name that no other test has.
        key: string = "";
    }
}

struct Lender;

impl Protocol for Lender {
    type Settings = Settings;

    async fn start(host: Host, settings: Settings) -> Result<Self, ApiError> {
        let mut lent = LENT.lock().unwrap_or_else(PoisonError::into_inner);
        lent.get_or_insert_default().insert(settings.key, host);
        Ok(Self)
    }

    async fn serve(self: Arc<Self>, _connection: sdk::Connection) -> io::Result<()> {
        Ok(())
    }
}

/// Runs `test` with a host that is called directly, and with one behind the proxy.
pub(crate) fn both_ways<F: Future<Output = ()>>(test: impl Fn(FakeHost, Host) -> F) {
    for is_proxied in [false, true] {
        eprintln!("proxied: {is_proxied}");
        with_host(FakeHost::new().proxied(is_proxied), &test);
    }
}

/// Runs `test` with the host that a protocol on `fake` has.
pub(crate) fn with_host<F: Future<Output = ()>>(fake: FakeHost, test: impl Fn(FakeHost, Host) -> F) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let key = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
    let fake = fake.with_settings(json!({ "key": key }));
    let plugin: RunningPlugin = fake.start::<Lender>().expect("it starts");
    let lent =
        LENT.lock().unwrap_or_else(PoisonError::into_inner).as_mut().and_then(|lent| lent.remove(&key));
    let host = lent.expect("the protocol has lent its host");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let test = test(fake.clone(), host);
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test ends in time");
    });
    fake.wait_for("the connections to close", |host| host.broker().connections().is_empty().then_some(()));
    assert!(plugin.stop().clean);
}

/// A connection of the guest in the virtual host `/`.
pub(crate) async fn connect(host: &Host) -> Connection {
    let connection = host.broker().open(&ConnectionInfo::new().with("remote", "test")).expect("it opens");
    connection.authenticate("PLAIN", "\0guest\0guest".into()).await.expect("guest is let in");
    connection.enter(&Enter::new("/", "client")).await.expect("the virtual host is there");
    connection
}

/// A connection with one link.
pub(crate) async fn link(host: &Host, options: LinkOptions) -> (Connection, Link) {
    let connection = connect(host).await;
    let link = connection.open_link(options).expect("it opens");
    (connection, link)
}

/// Events, one at a time.
pub(crate) struct Inbox {
    pub(crate) link: Link,
    events: std::collections::VecDeque<Event>,
}

impl Inbox {
    pub(crate) fn of(link: Link) -> Self {
        Self { link, events: Default::default() }
    }

    pub(crate) async fn next(&mut self) -> Event {
        while self.events.is_empty() {
            self.events.extend(self.link.events().await);
        }
        self.events.pop_front().expect("there is one")
    }

    pub(crate) async fn delivery(&mut self) -> Delivery {
        match self.next().await {
            Event::Delivery(delivery) => delivery,
            other => panic!("expected a delivery, got {other:?}"),
        }
    }

    /// The answer to `op`, which must be the next event.
    pub(crate) async fn answer(&mut self, op: u64) -> Result<sdk::broker::Done, Refusal> {
        match self.next().await {
            Event::Answer(answer) if answer.op == op => answer.result,
            other => panic!("expected the answer to {op}, got {other:?}"),
        }
    }

    /// Makes sure that nothing waits: asks for something, whose answer must be the next event.
    pub(crate) async fn nothing_more(&mut self) {
        self.link.confirm(u64::MAX, false);
        self.answer(u64::MAX).await.expect("it is done");
    }
}

/// A delivery in one line: `body`, and what is special about it.
pub(crate) fn line(delivery: &Delivery) -> String {
    let mut line = String::from_utf8_lossy(&delivery.message.parts().body).into_owned();
    for (is, name) in [
        (delivery.redelivered, "redelivered"),
        (delivery.retained, "retained"),
        (delivery.received, "received"),
        (delivery.settled, "settled"),
    ] {
        if is {
            line.push(' ');
            line.push_str(name);
        }
    }
    line
}
