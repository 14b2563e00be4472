//! socket.io for kuzzle-host, every client from 1.3.7 on.
//!
//! A client emits a request as event `kuzzle` and gets its answer as an event named by its `requestId`; notifications
//! come as events named by their channel. The protocol itself is `kuzzle-socketio-proto`; here are the sockets: HTTP
//! (`http`), long-polling (`polling`) and WebSocket (`websocket`), all of which move a `client`.

mod bundle;
mod client;
mod http;
mod origins;
mod polling;
mod serve;
mod server;
mod sessions;
mod settings;
mod websocket;

use std::{io, sync::Arc};

use kuzzle_plugin_api::sdk::{
    ApiError, Connection, Event, Host, Protocol, SettingsProblem, WebSocket,
    serde_json::{Value, json},
};

use crate::{
    server::{Peer, Server, Shared},
    settings::SocketIoSettings,
};

/// The protocol as the host starts it.
struct SocketIo {
    server: Shared,
}

impl Protocol for SocketIo {
    type Settings = SocketIoSettings;

    /// It has WebSockets of its own, on the same address as the rest.
    const WEBSOCKET: Option<WebSocket> = None;

    async fn start(host: Host, settings: SocketIoSettings) -> Result<Self, ApiError> {
        Ok(SocketIo { server: Server::new(host, settings) })
    }

    async fn serve(self: Arc<Self>, connection: Connection) -> io::Result<()> {
        let peer = Peer {
            address: connection.peer(),
            local: connection.local(),
            listener: connection.listener(),
            tls: connection.is_tls(),
        };
        serve::serve(self.server.clone(), peer, connection).await;
        Ok(())
    }

    async fn stop(&self) {
        self.server.sessions.emptied().await;
    }

    fn deliver(&self, event: Event) -> Option<Event> {
        match event {
            Event::Notification { connections, notification } => {
                let notification = self.server.encode(&notification)?;
                Some(Event::Notification { connections, notification })
            }
            close @ Event::Close { .. } => Some(close),
        }
    }

    fn check(settings: &SocketIoSettings) -> Vec<SettingsProblem> {
        settings::check(settings)
    }

    fn status(&self) -> Value {
        json!({ "polling_sessions": self.server.sessions.len() })
    }
}

kuzzle_plugin_api::export_plugin!(SocketIo, name = "socketio", label = "socketio");
