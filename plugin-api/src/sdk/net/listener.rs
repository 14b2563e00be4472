//! A listener of the host as one of tokio.

use std::sync::Arc;

use serde_json::Value;
use tokio::net::TcpListener;

use crate::abi::{ApiError, Listener, SOCKET_TCP_LISTENER};

/// A listening socket that connections are accepted from.
pub(crate) struct BoundListener {
    pub(crate) tcp: TcpListener,
    pub(crate) facts: Arc<ListenerFacts>,
}

/// What is known of a listener.
pub(crate) struct ListenerFacts {
    pub(crate) id: u64,
    pub(crate) address: String,
    pub(crate) scheme: String,
    pub(crate) proxy_protocol: bool,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<tokio_rustls::TlsAcceptor>,
}

impl BoundListener {
    /// Takes a listener over. Must be called inside the instance's runtime.
    pub(crate) fn take(listener: Listener) -> Result<Self, ApiError> {
        let address = listener.address.to_string();
        let options = options(&address, &listener.options)?;
        let proxy_protocol = match options.get("proxy_protocol") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(is_on)) => *is_on,
            Some(_) => return Err(refused(&address, "`proxy_protocol` is neither `true` nor `false`")),
        };
        let tls = options.get("tls").filter(|tls| !tls.is_null());
        #[cfg(not(feature = "tls"))]
        if tls.is_some() {
            return Err(refused(&address, "`tls` is set, but this plugin was built without TLS"));
        }
        let facts = ListenerFacts {
            id: listener.id,
            scheme: listener.scheme.to_string(),
            proxy_protocol,
            #[cfg(feature = "tls")]
            tls: tls.map(|tls| super::tls::acceptor(&address, tls)).transpose()?,
            address,
        };
        if listener.socket.kind() != SOCKET_TCP_LISTENER {
            let kind = listener.socket.kind();
            return Err(refused(
                &facts.address,
                &format!("its socket is of kind {kind}, expected a TCP listener"),
            ));
        }
        let socket = std::net::TcpListener::from(listener.socket.into_fd());
        let tcp = socket.set_nonblocking(true).and_then(|()| TcpListener::from_std(socket));
        let tcp = tcp.map_err(|error| refused(&facts.address, &error.to_string()))?;
        Ok(Self { tcp, facts: Arc::new(facts) })
    }
}

fn options(address: &str, text: &str) -> Result<Value, ApiError> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text)
        .map_err(|error| refused(address, &format!("its options are not JSON: {error}")))
}

/// A listener that cannot be used as it was declared.
pub(super) fn refused(address: &str, reason: &str) -> ApiError {
    ApiError::new(500, "plugin.start.listener", format!("cannot listen on `{address}`: {reason}"))
}
