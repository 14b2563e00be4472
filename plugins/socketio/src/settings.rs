//! What `plugins.toml` may tell this plugin.

use kuzzle_plugin_api::sdk::SettingsProblem;

kuzzle_plugin_api::settings! {
    /// Settings of the socket.io protocol.
    pub struct SocketIoSettings {
        /// Name of the event that carries a request.
        room: string = "kuzzle";
        /// Origins of web pages that may connect, such as `https://app.example.com`; `*` stands for every origin.
        origins: list = ["*"];
        /// Pause between two heartbeats.
        ping_interval_millis: millis = 25_000, range 100..=600_000;
        /// How late a heartbeat may be before its client is given up.
        ping_timeout_millis: millis = 60_000, range 100..=600_000;
        /// How long a client of engine.io revision 4 may take to join the namespace `/`.
        connect_timeout_secs: secs = 45, range 1..=600;
        /// How long the move from long-polling to a WebSocket may take.
        upgrade_timeout_secs: secs = 10, range 1..=600;
        /// How long the head of an HTTP request may take, and how long a connection may wait for its next one.
        header_timeout_secs: secs = 10, range 1..=600;
        /// How long the body of an HTTP request may take.
        body_timeout_secs: secs = 30, range 1..=600;
        /// Largest message or long-polling body taken from a client.
        message_max_bytes: integer = 1_048_576, range 1_024..=104_857_600, unit "bytes";
        /// What may wait for a client that does not read: beyond it the client is closed. One message always may wait.
        outbox_max_bytes: integer = 4_194_304, range 65_536..=1_073_741_824, unit "bytes";
        /// Requests of one client that may wait for their answers; beyond it nothing more is read from the client.
        pending_requests_max: integer = 128, range 1..=10_000;
        /// Sessions on long-polling; beyond it their handshake is refused. Clients on a WebSocket do not count.
        polling_sessions_max: integer = 10_000, range 1..=1_000_000;
        /// Read buffer of each client on a WebSocket, kept while it is idle.
        read_buffer_bytes: integer = 2_048, range 256..=1_048_576, unit "bytes";
        /// What is gathered for a client on a WebSocket before it is written. Taken when needed.
        write_buffer_bytes: integer = 16_384, range 1_024..=1_048_576, unit "bytes";
    }
}

/// What is wrong with settings that are each fine by themselves.
pub(crate) fn check(settings: &SocketIoSettings) -> Vec<SettingsProblem> {
    let mut problems = Vec::new();
    if settings.room.is_empty() {
        problems.push(problem(
            "/room".into(),
            "is empty, expected the name of the event that carries requests".into(),
        ));
    }
    for (at, origin) in settings.origins.iter().enumerate() {
        let is_origin = origin.split_once("://").is_some_and(|(scheme, host)| {
            !scheme.is_empty() && !host.is_empty() && !host.trim_end_matches('/').contains('/')
        });
        if origin != "*" && origin != "null" && !is_origin {
            let message =
                format!("is `{origin}`, expected `*` or an origin such as `https://app.example.com`");
            problems.push(problem(format!("/origins/{at}"), message));
        }
    }
    problems
}

fn problem(pointer: String, message: String) -> SettingsProblem {
    SettingsProblem { pointer: pointer.into(), message: message.into() }
}
