//! One server with every protocol, and the scripts that speak all of them.

use crate::server::{amqp, free_port, mqtt, socketio, stomp};
use crate::{Server, ServerOptions, node, run_for_text};

/// In the order of the scripts' arguments.
pub const PROTOCOLS: [&str; 5] = ["REST", "socket.io", "AMQP", "MQTT", "STOMP"];

/// A server that serves REST and every protocol of the shipped plugins.
#[derive(Debug)]
pub struct EveryProtocol {
    server: Server,
    ports: [u16; 4],
}

impl EveryProtocol {
    /// Starts the server and waits until each protocol runs.
    ///
    /// # Panics
    ///
    /// When one does not.
    pub fn start() -> Self {
        let ports = [free_port(), free_port(), free_port(), free_port()];
        let plugins = [socketio(ports[0]), amqp(ports[1]), mqtt(ports[2]), stomp(ports[3])];
        let server = ServerOptions::with_plugins(plugins.concat()).start();
        for instance in ["socketio", "amqp", "mqtt", "stomp"] {
            server.wait_for_state(instance, "running");
        }
        Self { server, ports }
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Runs a script of `tests/clients/cross` with the ports of all protocols, and returns what it printed.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn run(&self, script: &str) -> String {
        let ports = [&[self.server.rest().port()][..], &self.ports].concat();
        run_for_text(&mut node(None, "cross", script, ports.iter().map(u16::to_string)))
    }
}

impl Drop for EveryProtocol {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(!self.server.log().contains("panicked"), "{}", self.server.log());
        }
    }
}
