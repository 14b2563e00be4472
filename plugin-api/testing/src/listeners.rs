//! The fake host's `listeners`: real sockets on free ports of the loopback interface.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use kuzzle_plugin_api::abi::{ApiError, Listener, ListenersCalls, SOCKET_TCP_LISTENER, SocketHandle};
use serde_json::Value;

use crate::host::Shared;

pub(crate) struct Bound {
    pub(crate) socket: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) scheme: &'static str,
    pub(crate) options: Value,
}

impl Bound {
    pub(crate) fn on_a_free_port(scheme: &'static str, options: Value) -> std::io::Result<Self> {
        let socket = TcpListener::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        Ok(Self { address: socket.local_addr()?, scheme, socket, options })
    }

    pub(crate) fn shut_down(&self) -> std::io::Result<()> {
        socket2::SockRef::from(&self.socket).shutdown(std::net::Shutdown::Both)
    }
}

pub(crate) struct FakeListeners(pub(crate) Arc<Shared>);

impl ListenersCalls for FakeListeners {
    fn list(&self) -> Result<Vec<Listener>, ApiError> {
        let duplicate = |(id, bound): (u64, &Bound)| {
            let socket = bound.socket.try_clone().map_err(|error| {
                ApiError::new(503, "listeners.list", format!("cannot duplicate a listener: {error}"))
            })?;
            Ok(Listener {
                id,
                address: bound.address.to_string().into(),
                scheme: bound.scheme.into(),
                options: bound.options.to_string().into(),
                socket: SocketHandle::from_fd(socket.into(), SOCKET_TCP_LISTENER),
            })
        };
        (1..).zip(&self.0.listeners).map(duplicate).collect()
    }

    fn lost(&self, id: u64, reason: &str) {
        self.0.change(|state| state.lost.push((id, reason.to_owned())));
    }
}
