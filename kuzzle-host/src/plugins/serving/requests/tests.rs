use std::sync::mpsc;
use std::time::Duration;

use kuzzle_api::{Facts, Limits, PluginFacts, ServerFacts};
use kuzzle_broker::{Broker, NoHost, SystemClock};
use kuzzle_documents::{Documents, Options};
use kuzzle_plugin_api::abi::{EVENT_NOTIFICATION, STATUS_CANCELLED};
use serde_json::{Value, json};

use super::*;

struct NoFacts;

impl Facts for NoFacts {
    fn server(&self) -> ServerFacts {
        ServerFacts::default()
    }

    fn plugins(&self) -> Vec<PluginFacts> {
        Vec::new()
    }
}

struct Fixture {
    requests: Arc<GenerationRequests>,
    /// Lives as long as what runs on it.
    _runtime: tokio::runtime::Runtime,
    folder: std::path::PathBuf,
}

impl Fixture {
    fn new(max_connections: u32) -> Self {
        let folder = std::env::temp_dir().join(format!("kuzzle-requests-{}", uuid::Uuid::new_v4()));
        let documents = Documents::open(&folder, Options::default()).unwrap();
        let broker =
            Broker::in_memory(kuzzle_broker::Options::default(), Arc::new(NoHost), Arc::new(SystemClock));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let requests = Arc::new(GenerationRequests::new(RequestsOptions {
            api: Api::new(documents, broker, Limits::default(), Arc::new(NoFacts)),
            runtime: runtime.handle().clone(),
            instance: "birds".into(),
            label: "carrier-pigeon".into(),
            defaults: Defaults::default(),
            max_connections,
        }));
        Self { requests, _runtime: runtime, folder }
    }

    fn execute(&self, connection: u64, request: &Value) -> (u32, Value) {
        let (sender, receiver) = mpsc::channel();
        let done = Completion::to_fn(move |reply| sender.send(reply).unwrap());
        self.requests.execute(connection, request.to_string().into_bytes().into(), done);
        let reply = receiver.recv_timeout(Duration::from_secs(30)).unwrap();
        (reply.status, serde_json::from_slice(reply.body.as_slice()).unwrap_or_default())
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn now() -> Value {
    json!({"controller": "read", "action": "now", "requestId": "r"})
}

#[test]
fn a_request_is_answered_to_an_open_connection_alone() {
    let fixture = Fixture::new(0);
    assert_eq!(fixture.execute(7, &now()).0, 400);
    fixture.requests.open(7, "{}").unwrap();
    let (status, response) = fixture.execute(7, &now());
    assert_eq!((status, &response["requestId"]), (200, &json!("r")));
    assert_eq!(fixture.requests.options.api.statistics().traffic("carrier-pigeon").connections, 1);
    let write =
        json!({"controller": "write", "action": "create", "index": "i", "collection": "c", "body": {"a": 1}});
    assert_eq!(fixture.execute(7, &write).0, 200, "answered once it is durable");
    fixture.requests.close(7);
    fixture.requests.close(7);
    assert_eq!(fixture.execute(7, &now()).0, 400);
    assert_eq!(fixture.requests.options.api.statistics().traffic("carrier-pigeon").connections, 0);
}

#[test]
fn connections_are_refused_for_a_reason() {
    let fixture = Fixture::new(2);
    let status =
        |connection, info: &str| fixture.requests.open(connection, info).map_err(|error| error.status);
    assert_eq!(status(1, "[]"), Err(400));
    assert_eq!(status(1, &format!("{{\"x\":\"{}\"}}", "y".repeat(INFO_MAX))), Err(400));
    assert_eq!(status(1, "{}"), Ok(()));
    assert_eq!(status(1, "{}"), Err(409));
    assert_eq!(status(2, "{}"), Ok(()));
    assert_eq!(status(3, "{}"), Err(429));
    fixture.requests.refuse_new();
    assert_eq!(status(4, "{}"), Err(503));
    assert_eq!(fixture.execute(1, &now()).0, 503);
}

#[test]
fn the_end_of_a_generation_cancels_what_is_waited_for() {
    let fixture = Fixture::new(0);
    fixture.requests.open(1, "{}").unwrap();
    let (sender, receiver) = mpsc::channel();
    let done = Completion::to_fn(move |reply| sender.send(reply.status).unwrap());
    fixture.requests.answer_later(std::future::pending(), done);
    fixture.requests.end();
    assert_eq!(receiver.recv_timeout(Duration::from_secs(30)).unwrap(), STATUS_CANCELLED);
    assert_eq!(fixture.requests.open_connections(), 0);
}

#[test]
fn a_notification_waits_for_those_it_is_for() {
    let fixture = Fixture::new(0);
    fixture.requests.open(1, "{}").unwrap();
    fixture.requests.open(2, "{}").unwrap();
    let number = |id: u64| fixture.requests.connections.read()[&id].origin.connection;
    let payload = Blob::from(b"{}".to_vec());
    assert_eq!(fixture.requests.notify(&[number(2), u64::MAX], "channel", &payload), 1);
    assert_eq!(fixture.requests.notify(&[u64::MAX], "channel", &payload), 0);
    let taken = fixture.requests.take(10, 1000);
    assert_eq!(taken.len(), 1);
    assert_eq!((taken[0].kind, taken[0].connections.as_slice()), (EVENT_NOTIFICATION, &[2][..]));
}

#[test]
fn only_the_anonymous_user_can_be_proved() {
    assert_eq!(user("ANONYMOUS", b"trace"), Ok(ANONYMOUS));
    assert_eq!(user("PLAIN", b"\0guest\0guest"), Ok(ANONYMOUS));
    assert!(user("PLAIN", b"\0guest\0other").unwrap_err().contains("wrong"));
    assert!(user("PLAIN", b"guest").unwrap_err().contains("three parts"));
    assert!(user("PLAIN", &vec![0; CREDENTIALS_MAX + 1]).unwrap_err().contains("at most"));
    assert!(user("EXTERNAL", b"").unwrap_err().contains("unknown"));
}
