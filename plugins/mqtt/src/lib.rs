//! MQTT 3.1, 3.1.1 and 5.0 for kuzzle-host.
//!
//! A topic is a routing key of the exchange `amq.topic`, with `/` for `.`, so that clients of MQTT, AMQP and STOMP reach
//! each other. A request to the API is published to the topic `kuzzle`; its answer comes on `mqtt/<client id>`.
//!
//! The protocol itself is `kuzzle-mqtt-proto`; here are the sockets and the broker: `client` carries out what a session
//! asks of the broker and tells it what the broker says, `serve` moves bytes and keeps the time.

mod buffers;
mod client;
mod serve;
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
    settings::MqttSettings,
};

/// The protocol as the host starts it.
struct Mqtt {
    server: Shared,
}

impl Protocol for Mqtt {
    type Settings = MqttSettings;

    /// MQTT 5.0, section 6. `mqttv3.1` is what clients of 3.1 offer.
    const WEBSOCKET: Option<WebSocket> =
        Some(WebSocket::binary().at(&["/mqtt", "/"]).speaking(&["mqtt", "mqttv3.1"]));

    async fn start(host: Host, settings: MqttSettings) -> Result<Self, ApiError> {
        if !host.broker().is_offered() {
            let message =
                "cannot serve MQTT: the host does not offer the service `broker`; run a newer kuzzle-host";
            return Err(ApiError::new(503, "plugin.service.absent", message));
        }
        Ok(Mqtt { server: Server::new(host, &settings) })
    }

    async fn serve(self: Arc<Self>, connection: Connection) -> io::Result<()> {
        serve::serve(Arc::clone(&self.server), connection).await
    }

    fn check(settings: &MqttSettings) -> Vec<SettingsProblem> {
        settings::check(settings)
    }

    fn status(&self) -> Value {
        self.server.status()
    }
}

kuzzle_plugin_api::export_plugin!(Mqtt, name = "mqtt", label = "mq");
