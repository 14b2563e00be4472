//! AMQP 0.9.1 for kuzzle-host, for the clients of RabbitMQ.
//!
//! The protocol itself is `kuzzle-amqp-proto`; here are the sockets. One task serves a connection: it reads into the
//! [`session`](kuzzle_amqp_proto::session), carries out its actions on the host's broker (`actions`), tells it what the
//! broker has to say (`events`), and writes.

mod actions;
mod connection;
mod events;
mod properties;
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
    settings::AmqpSettings,
};

/// The protocol as the host starts it.
struct Amqp {
    server: Shared,
}

impl Protocol for Amqp {
    type Settings = AmqpSettings;

    const WEBSOCKET: Option<WebSocket> = Some(WebSocket::binary().speaking(&["amqp"]));

    async fn start(host: Host, settings: AmqpSettings) -> Result<Self, ApiError> {
        Ok(Amqp { server: Server::new(host, &settings)? })
    }

    async fn serve(self: Arc<Self>, connection: Connection) -> io::Result<()> {
        connection::serve(self.server.clone(), connection).await
    }

    fn check(settings: &AmqpSettings) -> Vec<SettingsProblem> {
        settings::check(settings)
    }

    fn status(&self) -> Value {
        self.server.counts.status()
    }
}

kuzzle_plugin_api::export_plugin!(Amqp, name = "amqp", label = "mq");
