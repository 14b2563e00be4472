//! Prints what one request costs between its message and its answer, without any network: nanoseconds per call on one
//! thread, the best of several rounds.
//!
//! Run with `cargo run --release -p kuzzle-api --example funnel_cost`.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use kuzzle_api::{Api, Facts, Limits, Origin, PluginFacts, ServerFacts};
use kuzzle_broker::{Broker, NoHost, SystemClock};
use kuzzle_documents::{Documents, Options, SyncPolicy};
use kuzzle_model::{DocumentResult, RawJson, Request, Response, ResponseResult, ids};
use serde_json::json;

struct Nobody;

impl Facts for Nobody {
    fn server(&self) -> ServerFacts {
        ServerFacts::default()
    }

    fn plugins(&self) -> Vec<PluginFacts> {
        Vec::new()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::temp_dir().join(format!("kuzzle-funnel-cost-{}", ids::request_id()));
    let options = Options { sync: SyncPolicy::Os, ..Options::default() };
    let documents = Documents::open(&directory, options)?;
    let broker =
        Broker::in_memory(kuzzle_broker::Options::default(), Arc::new(NoHost), Arc::new(SystemClock));
    let api = Api::new(documents.clone(), broker, Limits::default(), Arc::new(Nobody));
    measure_all(&api).await;
    documents.close();
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}

async fn measure_all(api: &Api) {
    let origin = Origin::new("bench", "bench", 1);
    // About 200 bytes of JSON, as in the other measurements.
    let body = json!({
        "firstName": "Grace", "lastName": "Hopper", "hobby": "computer",
        "info": {"age": 85, "city": "NYC"}, "note": "x".repeat(90),
    });
    let message = |action: &str, controller: &str| {
        json!({
            "controller": controller, "action": action, "index": "index", "collection": "collection", "_id": "grace",
            "requestId": "1109ec50-9473-4e75-91ac-673debb2b8ac", "metadata": {},
        })
    };
    let mut create = message("createOrReplace", "write");
    create["body"] = body.clone();
    let create = create.to_string().into_bytes();
    api.handle_message(&create, origin.clone()).await;

    for (name, message) in [
        ("read.now, message to bytes", message("now", "read")),
        ("read.get, message to bytes", message("get", "read")),
        ("unknown action, message to bytes", message("nope", "read")),
    ] {
        let message = message.to_string().into_bytes();
        print(name, || {
            ready(api.handle_message(&message, origin.clone())).map(|response| response.to_bytes())
        });
    }
    let now = Request { controller: "read".into(), action: "now".into(), ..Request::default() };
    print("read.now, request to response", || ready(api.handle(now.clone(), origin.clone())));
    print("parse a write of 200 bytes", || {
        Request::from_message(&create, &kuzzle_model::Limits::default()).ok()
    });
    print("submit a write of 200 bytes", || drop(api.handle_message(&create, origin.clone())));

    if let Ok(request) = Request::from_message(&create, &kuzzle_model::Limits::default()) {
        let result = DocumentResult {
            id: "grace".into(),
            version: 1,
            created: Some(true),
            shards: true,
            source: Some(RawJson::from(&body)),
            ..DocumentResult::default()
        };
        let response = Response::success(request, ResponseResult::Document(result));
        print("serialise a document answer", || response.to_bytes());
    }
}

fn print<T>(name: &str, mut call: impl FnMut() -> T) {
    const CALLS: u32 = 1_000;
    let best = (0..50)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..CALLS {
                black_box(call());
            }
            start.elapsed().as_nanos() / u128::from(CALLS)
        })
        .min()
        .unwrap_or_default();
    println!("{name:<36} {best:>7} ns");
}

fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
