//! What an author implements.

use std::io;
use std::sync::Arc;

use serde_json::Value;

use super::{Connection, Event, Host, Settings, WebSocket};
use crate::abi::{ApiError, SettingsProblem};

/// A protocol: how to start it, and how to serve one connection.
///
/// Write the functions as `async fn`. They run on a tokio runtime of the instance's own, so `tokio::spawn`, timers and
/// sockets work. A panic in any of them is contained, logged by the host, and ends what it was about: the start, the one
/// connection, the one event.
///
/// One build may run as several instances at the same time: keep state in `self`, not in statics.
pub trait Protocol: Sized + Send + Sync + 'static {
    /// What `plugins.toml` can tell it; see [`settings!`](crate::settings). `()` when nothing.
    type Settings: Settings;

    /// How it is spoken on addresses that `plugins.toml` declares with `ws://`: a connection is a stream of bytes there as
    /// it is everywhere. None for a protocol that brings its own WebSockets, or whose bytes make no sense in messages: an
    /// instance with such an address fails with a reason that says so. By default binary messages at `/`.
    const WEBSOCKET: Option<WebSocket> = Some(WebSocket::binary());

    /// Makes an instance. Connections are accepted once it returns.
    ///
    /// # Errors
    ///
    /// With the reason in one line, when the instance cannot run; the host shows it and tries again later.
    fn start(host: Host, settings: Self::Settings) -> impl Future<Output = Result<Self, ApiError>> + Send;

    /// Serves one connection until it ends. Each runs in a task of its own.
    ///
    /// Watch [`Connection::lifecycle`]: when it is [stopping](super::Lifecycle::stopping), say the protocol's goodbye and
    /// return.
    ///
    /// # Errors
    ///
    /// What ended the connection, for the log: [`InvalidData`](io::ErrorKind::InvalidData) when the client broke the
    /// protocol (a warning), any other kind for what happens to connections (debug).
    fn serve(self: Arc<Self>, connection: Connection) -> impl Future<Output = io::Result<()>> + Send;

    /// Ends what the instance does besides its connections. Called once, when they are told to end; the host's time limit
    /// holds for both.
    fn stop(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Has the first say on each event of the API. What it gives back waits in the
    /// [`RequestConnection`](super::RequestConnection)s that it is for; a protocol that sends to many clients in one go
    /// takes it and gives none back. Called from one task, in order; must not block.
    fn deliver(&self, event: Event) -> Option<Event> {
        Some(event)
    }

    /// What else is wrong with settings whose every value is fine by itself, as two that exclude each other or a file that
    /// does not exist. Called while other instances run; has no side effects.
    fn check(_settings: &Self::Settings) -> Vec<SettingsProblem> {
        Vec::new()
    }

    /// What operators see of the instance besides its number of connections: a JSON object, or null. Must not block.
    fn status(&self) -> Value {
        Value::Null
    }
}
