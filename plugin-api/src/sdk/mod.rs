//! The authoring kit: what turns a safe trait into a plugin.
//!
//! An author implements [`Protocol`], declares settings with [`settings!`](crate::settings), and exports both with
//! [`export_plugin!`](crate::export_plugin). The kit makes the runtime, accepts connections from the sockets that the
//! host has bound, speaks TLS, WebSocket and the PROXY protocol where a listener is declared so, keeps limits and timeouts, sends
//! log lines and panics to the host, and ends everything in time.
//!
//! A crate that depends on `kuzzle-plugin-api` alone has what it needs: [`tokio`], [`bytes`], [`serde_json`] and
//! [`tracing`] are re-exported here.

#![deny(unsafe_code)]

pub mod broker;
mod export;
mod host;
mod inbox;
mod instance;
mod lifecycle;
mod line_reader;
mod logging;
mod metrics;
mod net;
mod options;
mod protocol;
mod requests;
mod runtime;
mod settings;
pub mod websocket;

pub use export::linked_module;
#[doc(hidden)]
pub use export::{Identity, Module};
pub use host::Host;
pub use inbox::{EVENTS_MAX, EVENTS_MAX_BYTES, Notification, Received};
pub use lifecycle::{Lifecycle, Phase};
pub use line_reader::{Line, LineReader};
pub use metrics::{Counter, Gauge, Metrics};
pub use net::{
    Connection, HANDSHAKE_TIMEOUT, IDLE_GOODBYE, ProxyError, ProxyHeader, V1_MAX_BYTES, V2_MAX_BYTES,
    parse_proxy_header,
};
pub use protocol::Protocol;
pub use requests::{ConnectionInfo, Event, RequestConnection, Requests};
pub use settings::{Kind, Reader, Setting, Settings};
#[doc(hidden)]
pub use settings::{Text, manifest, object_schema};
pub use websocket::WebSocket;

pub use crate::abi::{ApiError, Blob, PendingReply, Reply, SettingsProblem};
pub use {bytes, serde_json, tokio, tracing};
