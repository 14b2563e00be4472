//! The sockets that the host offers to a generation.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Weak;

use kuzzle_plugin_api::abi::{ApiError, Listener, ListenersCalls, SOCKET_TCP_LISTENER, SocketHandle};

use super::super::declaration::{Listen, Scheme};

/// One listener, as it is offered.
pub(crate) struct Offered {
    /// Names the listener for the life of the host.
    pub(crate) id: u64,
    /// The address as bound.
    pub(crate) address: SocketAddr,
    /// What the table says about it.
    pub(crate) declared: Listen,
    /// The host's own handle. Gone once the host has closed it.
    pub(crate) socket: Weak<TcpListener>,
}

/// The service `listeners` of one generation.
pub(crate) struct GenerationListeners {
    offered: Vec<Offered>,
    /// Told the id of a listener that can no longer be accepted from, and why.
    lost: Box<dyn Fn(u64, String) + Send + Sync>,
}

impl GenerationListeners {
    pub(crate) fn new(offered: Vec<Offered>, lost: impl Fn(u64, String) + Send + Sync + 'static) -> Self {
        Self { offered, lost: Box::new(lost) }
    }
}

impl ListenersCalls for GenerationListeners {
    fn list(&self) -> Result<Vec<Listener>, ApiError> {
        self.offered.iter().map(Offered::duplicate).collect()
    }

    fn lost(&self, id: u64, reason: &str) {
        let closed = |offered: &Offered| offered.socket.strong_count() == 0;
        if self.offered.iter().any(|offered| offered.id == id && !closed(offered)) {
            const REASON_MAX: usize = 500;
            (self.lost)(id, reason.chars().take(REASON_MAX).collect());
        }
    }
}

impl Offered {
    fn duplicate(&self) -> Result<Listener, ApiError> {
        let failed = |reason: &dyn std::fmt::Display| {
            let message = format!("cannot hand over the listener on {}: {reason}", self.address);
            ApiError::new(503, "plugin.listeners.duplicate", message)
        };
        let socket = self.socket.upgrade().ok_or_else(|| failed(&"it is closed"))?;
        // Duplicates of a non-blocking socket are non-blocking, and made close-on-exec.
        let socket = socket.try_clone().map_err(|error| failed(&error))?;
        Ok(Listener {
            id: self.id,
            address: self.address.to_string().into(),
            scheme: self.declared.scheme.to_string().into(),
            options: self.options().into(),
            socket: SocketHandle::from_fd(OwnedFd::from(socket), SOCKET_TCP_LISTENER),
        })
    }

    fn options(&self) -> String {
        let mut options = serde_json::Map::new();
        if let Some(tls) = &self.declared.tls {
            options.insert(
                "tls".to_owned(),
                serde_json::json!({ "certificate": tls.certificate, "key": tls.key }),
            );
        }
        options.insert("proxy_protocol".to_owned(), self.declared.proxy_protocol.into());
        if self.declared.scheme == Scheme::Ws {
            let (paths, origins) = (&self.declared.paths, &self.declared.allowed_origins);
            let websocket = serde_json::json!({ "paths": paths, "allowed_origins": origins });
            options.insert("websocket".to_owned(), websocket);
        }
        serde_json::Value::Object(options).to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use super::*;

    fn offered(socket: &Arc<TcpListener>) -> Offered {
        let address = socket.local_addr().unwrap();
        let tls = Some(super::super::super::declaration::Tls {
            certificate: "/c.pem".into(),
            key: "/k.pem".into(),
        });
        let declared = Listen {
            address,
            scheme: Scheme::Ws,
            tls,
            proxy_protocol: true,
            paths: vec!["/chat".into()],
            allowed_origins: None,
            span: None,
        };
        Offered { id: 7, address, declared, socket: Arc::downgrade(socket) }
    }

    #[test]
    fn each_listing_hands_out_handles_that_accept_until_the_host_closes() {
        let socket = Arc::new(crate::listen::bind("127.0.0.1:0".parse().unwrap()).unwrap());
        let listeners = GenerationListeners::new(vec![offered(&socket)], |_, _| ());
        let first = listeners.list().unwrap().remove(0);
        let second = listeners.list().unwrap().remove(0);
        assert_eq!((first.id, first.scheme.as_str()), (7, "ws"));
        let options: serde_json::Value = serde_json::from_str(&first.options).unwrap();
        assert_eq!(options["tls"]["certificate"], "/c.pem");
        assert_eq!(options["proxy_protocol"], true);
        assert_eq!(options["websocket"], serde_json::json!({ "paths": ["/chat"], "allowed_origins": null }));
        drop(first);
        let accepting = TcpListener::from(second.socket.into_fd());
        let error = accepting.accept().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        let _client = std::net::TcpStream::connect(accepting.local_addr().unwrap()).unwrap();
        drop(socket);
        assert_eq!(listeners.list().unwrap_err().status, 503);
    }

    #[test]
    fn only_losses_of_open_listeners_are_passed_on() {
        let socket = Arc::new(crate::listen::bind("127.0.0.1:0".parse().unwrap()).unwrap());
        let (sender, receiver) = mpsc::channel();
        let told = move |id, reason| sender.send((id, reason)).unwrap();
        let listeners = GenerationListeners::new(vec![offered(&socket)], told);
        listeners.lost(8, "unknown");
        listeners.lost(7, "gone");
        drop(socket);
        listeners.lost(7, "closed by the host itself");
        drop(listeners);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [(7, "gone".to_owned())]);
    }
}
