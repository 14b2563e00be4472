//! A plugin that makes calls while it starts, and reports how long they took.

mod caller;

use std::io;
use std::sync::Arc;

use kuzzle_plugin_api::sdk::serde_json::{Value, json};
use kuzzle_plugin_api::sdk::{ApiError, Connection, ConnectionInfo, Host, Protocol};

kuzzle_plugin_api::settings! {
    /// How to call.
    pub struct Settings {
        /// Calls under way at a time.
        in_flight: integer = 1, range 1..=100_000;
        /// Calls that each of them makes, one after the other.
        calls_each: integer = 1, range 1..=100_000_000;
    }
}

struct Calling {
    nanoseconds: u64,
}

impl Protocol for Calling {
    type Settings = Settings;

    async fn start(host: Host, settings: Settings) -> Result<Self, ApiError> {
        let api = Arc::new(host.requests().open(&ConnectionInfo::new())?);
        let call = move |request: Vec<u8>| {
            let reply = api.execute(request);
            async move { reply.await.body.as_slice().len() }
        };
        let took = caller::call_many(call, settings.in_flight as usize, settings.calls_each as usize).await;
        let took = took.map_err(|error| ApiError::new(500, "bench.answer", error))?;
        Ok(Self { nanoseconds: took.as_nanos() as u64 })
    }

    async fn serve(self: Arc<Self>, _connection: Connection) -> io::Result<()> {
        Ok(())
    }

    fn status(&self) -> Value {
        json!({ "nanoseconds": self.nanoseconds })
    }
}

kuzzle_plugin_api::export_plugin!(Calling, name = "abi-bench", label = "bench");
