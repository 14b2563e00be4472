//! STOMP 1.0, 1.1 and 1.2 for kuzzle-host, for the clients of RabbitMQ.
//!
//! The protocol itself is `kuzzle-stomp-proto`; here are the sockets. One task serves a connection: it reads into the
//! [`session`](kuzzle_stomp_proto::session), carries out its actions on the host's broker (`actions`), tells it what the
//! broker has to say (`events`), and writes.

mod actions;
mod connection;
mod events;
mod server;
mod settings;
#[cfg(test)]
mod tests;

use std::{io, sync::Arc};

use kuzzle_plugin_api::sdk::{
    ApiError, Connection, Host, Protocol, SettingsProblem, WebSocket, serde_json::Value,
};

use crate::{
    server::{Server, Shared},
    settings::StompSettings,
};

/// The protocol as the host starts it.
struct Stomp {
    server: Shared,
}

impl Protocol for Stomp {
    type Settings = StompSettings;

    const WEBSOCKET: Option<WebSocket> = Some(WebSocket::text().at(&["/stomp", "/ws", "/"]).speaking(&[
        "v12.stomp",
        "v11.stomp",
        "v10.stomp",
    ]));

    async fn start(host: Host, settings: StompSettings) -> Result<Self, ApiError> {
        Ok(Stomp { server: Server::new(host, &settings)? })
    }

    async fn serve(self: Arc<Self>, connection: Connection) -> io::Result<()> {
        connection::serve(self.server.clone(), connection).await
    }

    fn check(settings: &StompSettings) -> Vec<SettingsProblem> {
        settings::check(settings)
    }

    fn status(&self) -> Value {
        self.server.counts.status()
    }
}

kuzzle_plugin_api::export_plugin!(Stomp, name = "stomp", label = "mq");
