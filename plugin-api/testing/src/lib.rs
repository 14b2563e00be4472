//! A fake host, so that a plugin is tested without a server.
//!
//! ```
//! # use kuzzle_plugin_api::sdk::{ApiError, Connection, Host, Protocol, tokio};
//! # use std::sync::Arc;
//! # struct Hello;
//! # impl Protocol for Hello {
//! #     type Settings = ();
//! #     async fn start(_host: Host, _settings: ()) -> Result<Self, ApiError> { Ok(Self) }
//! #     async fn serve(self: Arc<Self>, mut connection: Connection) -> std::io::Result<()> {
//! #         tokio::io::AsyncWriteExt::write_all(&mut connection, b"hello").await
//! #     }
//! # }
//! use std::io::Read;
//!
//! let host = kuzzle_plugin_testing::FakeHost::new();
//! let plugin = host.start::<Hello>().expect("it starts");
//! let mut client = std::net::TcpStream::connect(host.address()).expect("it accepts");
//! let mut greeting = String::new();
//! client.read_to_string(&mut greeting).expect("it greets and closes");
//! assert_eq!(greeting, "hello");
//! assert!(plugin.stop().clean);
//! ```
//!
//! The host runs in the test's process and answers each request with a closure; by default it echoes the request as the
//! result of a response. It has a [broker](FakeBroker) of its own, records calls, logs and metrics, pushes notifications and closes, and can put the
//! plugin behind the [proxy](kuzzle_plugin_api::proxy) that serialises every call. Nothing here needs a tokio runtime
//! of the test, and nothing minds one.

mod answer;
mod broker;
mod host;
mod listeners;
mod metrics;
mod plugin;
mod requests;
mod state;

pub use answer::{Answer, Call, echo};
pub use broker::{BrokerConnection, FakeBroker};
pub use host::FakeHost;
pub use plugin::{Drain, RunningPlugin};
pub use state::LogLine;
