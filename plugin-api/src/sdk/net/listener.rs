//! A listener of the host as one of tokio.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;
use tokio::net::TcpListener;

use crate::abi::{ApiError, Listener, SOCKET_TCP_LISTENER};
use crate::sdk::websocket::{Door, Origins, WebSocket};

/// Scheme of a listener whose connections are streams of bytes.
const PLAIN: &str = "tcp";
/// Scheme of a listener of WebSockets.
const WEBSOCKET: &str = "ws";

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
    /// What lets WebSockets in, where the listener is of those.
    pub(crate) door: Option<Door>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<tokio_rustls::TlsAcceptor>,
}

impl BoundListener {
    /// Takes a listener over, for a protocol that is spoken over WebSockets like this. Must be called inside the instance's
    /// runtime.
    pub(crate) fn take(listener: Listener, websocket: Option<WebSocket>) -> Result<Self, ApiError> {
        let address = listener.address.to_string();
        let options = options(&address, &listener.options)?;
        let door = match listener.scheme.as_str() {
            PLAIN => None,
            WEBSOCKET => Some(door(&address, websocket, options.get("websocket").unwrap_or(&Value::Null))?),
            other => {
                return Err(refused(&address, &format!("its scheme is `{other}`, expected `tcp` or `ws`")));
            }
        };
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
            door,
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

/// Reads the `websocket` of a listener's options.
fn door(address: &str, websocket: Option<WebSocket>, options: &Value) -> Result<Door, ApiError> {
    let Some(websocket) = websocket else {
        let reason =
            "the protocol is not offered over WebSockets of this kind; write the address without `ws://`";
        return Err(refused(address, reason));
    };
    let list = |name: &str| match options.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(list) => serde_json::from_value::<Vec<String>>(list.clone())
            .map(Some)
            .map_err(|_| refused(address, &format!("`{name}` is not a list of strings"))),
    };
    let paths = list("paths")?.unwrap_or_default();
    let is_loopback = |address: SocketAddr| address.ip().to_canonical().is_loopback();
    let origins = match list("allowed_origins")? {
        Some(origins) => Origins::listed(origins),
        // Whoever reaches such an address is on this machine, and so should be the pages that do.
        None if address.parse().is_ok_and(is_loopback) => Origins::OfThisMachine,
        None => Origins::Any,
    };
    Ok(Door::new(websocket, paths, origins))
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
