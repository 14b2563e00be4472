//! The same call in one program: a trait object, owned bytes, and a channel for the answer.

use std::sync::Arc;
use std::time::Duration;

use kuzzle_plugin_api::sdk::tokio::runtime::{Builder, Handle};
use kuzzle_plugin_api::sdk::tokio::sync::oneshot;

use crate::caller::call_many;
use crate::{Answering, Case, Result, answer};

struct Reply {
    _status: u32,
    _request_id: String,
    body: Vec<u8>,
}

trait Requests: Send + Sync {
    fn execute(&self, connection: u64, request: Vec<u8>, done: oneshot::Sender<Reply>);
}

struct Host {
    answering: Answering,
    runtime: Handle,
}

impl Requests for Host {
    fn execute(&self, _connection: u64, request: Vec<u8>, done: oneshot::Sender<Reply>) {
        let run = move || {
            let (request_id, body) = answer(&request);
            // Who no longer waits does not mind.
            drop(done.send(Reply { _status: 200, _request_id: request_id.to_owned(), body }));
        };
        match self.answering {
            Answering::Inside => run(),
            Answering::OnAnotherThread => drop(self.runtime.spawn(async move { run() })),
        }
    }
}

/// Runs a case on a runtime like the one that a plugin has.
pub fn run(case: &Case, host_runtime: &Handle) -> Result<Duration> {
    let host: Arc<dyn Requests> = Arc::new(Host { answering: case.answering, runtime: host_runtime.clone() });
    let call = move |request: Vec<u8>| {
        let (done, reply) = oneshot::channel();
        host.execute(1, request, done);
        async move { reply.await.map_or(0, |reply| reply.body.len()) }
    };
    let (in_flight, calls_each) = (case.in_flight, case.calls_each);
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let calling = runtime.spawn(async move { call_many(call, in_flight, calls_each).await });
    Ok(runtime.block_on(calling)??)
}
