//! A server without a network: an api over a store in a directory of its own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    reason = "helpers of tests; each test file uses some"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use kuzzle_api::{
    Api, BackupError, BackupFacts, CpuFacts, CpuTimes, Facts, Limits, Origin, PluginFacts, Problem,
    ServerFacts, SwitchError,
};
use kuzzle_broker::{Broker, NoHost, SystemClock};
use kuzzle_documents::{Documents, Options, Pending, SyncPolicy};
use kuzzle_model::{Response, ids};
use serde_json::{Value, json};

/// An api, its store and the directory they live in, removed at the end.
pub(crate) struct Server {
    pub(crate) api: Api,
    pub(crate) broker: Broker,
    documents: Documents,
    directory: PathBuf,
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::with(Limits::default(), options())
    }

    pub(crate) fn with(limits: Limits, options: Options) -> Server {
        let directory = std::env::temp_dir().join(format!("kuzzle-api-{}", ids::request_id()));
        let documents = Documents::open(&directory, options).unwrap();
        let broker =
            Broker::in_memory(kuzzle_broker::Options::default(), Arc::new(NoHost), Arc::new(SystemClock));
        let api = Api::new(documents.clone(), broker.clone(), limits, Arc::new(Host));
        Server { api, broker, documents, directory }
    }

    /// Sends a request as a message and returns the answer as the client reads it.
    pub(crate) async fn ask(&self, message: Value) -> Value {
        read(&self.api.handle_message(message.to_string().as_bytes(), origin()).await)
    }

    /// Sends a request as an operator and returns the answer.
    pub(crate) async fn operate(&self, controller: &str, action: &str, body: Value) -> Value {
        self.operate_message(json!({"controller": controller, "action": action, "body": body})).await
    }

    /// Sends a whole message as an operator and returns the answer.
    pub(crate) async fn operate_message(&self, message: Value) -> Value {
        let origin = Origin { is_operator: true, ..origin() };
        read(&self.api.handle_message(message.to_string().as_bytes(), origin).await)
    }

    /// Sends a request and returns the answer, or nothing if it was not there at the first poll.
    pub(crate) fn ask_once(&self, message: Value) -> Option<Value> {
        first_poll(self.api.handle_message(message.to_string().as_bytes(), origin()))
            .map(|response| read(&response))
    }

    /// Asks for one document's source and version.
    pub(crate) async fn stored(&self, index: &str, collection: &str, id: &str) -> Option<(Value, u64)> {
        let answer = self.ask(get(index, collection, id)).await;
        let result = &answer["result"];
        result["_version"].as_u64().map(|version| (result["_source"].clone(), version))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.documents.close();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Options that answer fast: what is durable when is the store's own concern.
pub(crate) fn options() -> Options {
    Options { sync: SyncPolicy::Os, ..Options::default() }
}

pub(crate) fn origin() -> Origin {
    Origin::new("carrier-pigeon", "pigeons", 1)
}

pub(crate) fn write(action: &str, id: Option<&str>, body: Value) -> Value {
    let mut message =
        json!({"controller": "write", "action": action, "index": "i", "collection": "c", "body": body});
    if let Some(id) = id {
        message["_id"] = id.into();
    }
    message
}

pub(crate) fn get(index: &str, collection: &str, id: &str) -> Value {
    json!({"controller": "read", "action": "get", "index": index, "collection": collection, "_id": id})
}

pub(crate) fn read(response: &Response) -> Value {
    let answer: Value = serde_json::from_slice(&response.to_bytes()).unwrap();
    assert_eq!(answer["status"], response.status);
    answer
}

/// Polls a future once, with nobody to wake.
pub(crate) fn first_poll<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = Context::from_waker(Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Asserts that an answer is an error of this status and exactly this message.
pub(crate) fn assert_error(answer: &Value, status: u16, message: &str) {
    assert_eq!(answer["error"]["message"], message, "{answer}");
    assert_eq!((&answer["status"], &answer["result"]), (&json!(status), &Value::Null), "{answer}");
}

pub(crate) struct Host;

impl Facts for Host {
    fn server(&self) -> ServerFacts {
        ServerFacts {
            version: "0.9.1".into(),
            uptime: Duration::from_millis(12_345),
            memory_used_bytes: 1_000_001,
            memory_total_bytes: 2_000_002,
            memory_free_bytes: 3_000_003,
            cpus: vec![CpuFacts {
                model: "abacus".into(),
                speed_mhz: 4,
                times: CpuTimes { user_ms: 1, nice_ms: 2, sys_ms: 3, idle_ms: 4, irq_ms: 5 },
            }],
        }
    }

    fn plugins(&self) -> Vec<PluginFacts> {
        let status = json!({"state": "running", "listens": ["127.0.0.1:1"]});
        vec![
            PluginFacts {
                name: "pigeons".into(),
                version: Some("1.2.3".into()),
                activated: true,
                status: status.as_object().unwrap().clone(),
            },
            PluginFacts { name: "drums".into(), ..PluginFacts::default() },
        ]
    }

    fn backup(&self, directory: &str) -> Pending<Result<BackupFacts, BackupError>> {
        let made = match directory {
            "/full" => Err(BackupError::Failed("the disk is full".into())),
            _ if directory.starts_with('/') => {
                Ok(BackupFacts { directory: directory.to_owned(), files: 3, bytes: 10 })
            }
            _ => Err(BackupError::Refused(format!("`{directory}` is no absolute path"))),
        };
        Box::pin(std::future::ready(made))
    }

    fn set_enabled(&self, instance: &str, enabled: bool) -> Result<String, SwitchError> {
        match instance {
            "pigeons" => Ok(format!("pigeons {}", if enabled { "on" } else { "off" })),
            "drums" => Err(SwitchError::Unusable("the file is broken".into())),
            other => Err(SwitchError::Unknown(format!("no `{other}`"))),
        }
    }

    fn problems(&self) -> Vec<Problem> {
        vec![Problem {
            at_ms: 7,
            count: 2,
            target: "birds".into(),
            message: "a pigeon is late".into(),
            fields: vec![("name".into(), "Ada".into())],
            ..Problem::default()
        }]
    }
}
