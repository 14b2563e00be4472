//! Accepts connections and watches over each until it ends.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::listener::ListenerFacts;
use super::transport::{Prefixed, Stream, Transport};
use super::websocket::WebSocketStream;
use super::{
    BoundListener, Connection, Ending, HANDSHAKE_TIMEOUT, IDLE_GOODBYE, Net, Place, V2_MAX_BYTES,
    parse_proxy_header,
};

/// What serves the connections of an instance.
pub(crate) trait Serve: Clone + Send + Sync + 'static {
    fn serve(self, connection: Connection) -> impl Future<Output = io::Result<()>> + Send;
}

/// Accepts from one listener until the instance drains. Gives why the listener is lost, when it is.
pub(crate) async fn accept_loop(
    net: Arc<Net>,
    listener: BoundListener,
    serve: impl Serve,
) -> Result<(), String> {
    let BoundListener { tcp, facts } = listener;
    let mut draining = std::pin::pin!(net.lifecycle.draining());
    let mut pause = Pause::new();
    let mut refusals = Quiet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut draining => return Ok(()),
            accepted = tcp.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause.reset();
                net.metrics.accepted.add(1);
                match net.place() {
                    Some(place) => {
                        let (net, facts, serve) = (Arc::clone(&net), Arc::clone(&facts), serve.clone());
                        tokio::spawn(watch(net, facts, stream, peer, place, serve));
                    }
                    None => {
                        net.metrics.refused.add(1);
                        if let Some(more) = refusals.may_speak() {
                            warn!(%peer, max_connections = net.max_connections, more, "connection refused: too many are open");
                        }
                    }
                }
            }
            Err(error) if is_lost(&error) => return Err(error.to_string()),
            Err(error) if is_of_one_client(&error) => {
                debug!(%error, "connection ended before it was accepted")
            }
            Err(error) => {
                if pause.is_first() {
                    warn!(%error, listener = facts.address, "cannot accept connections for now; clients wait");
                }
                tokio::select! {
                    biased;
                    () = &mut draining => return Ok(()),
                    () = pause.wait() => {}
                }
            }
        }
    }
}

/// The socket no longer listens: the host has shut it down, or somebody closed it.
fn is_lost(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EBADF | libc::ENOTSOCK | libc::EOPNOTSUPP))
}

fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Growing pauses while the system has no descriptors or memory for another connection.
struct Pause {
    next: Duration,
}

impl Pause {
    const FIRST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_secs(1);

    const fn new() -> Self {
        Self { next: Self::FIRST }
    }

    fn is_first(&self) -> bool {
        self.next == Self::FIRST
    }

    fn reset(&mut self) {
        if !self.is_first() {
            info!("accepting connections again");
            self.next = Self::FIRST;
        }
    }

    async fn wait(&mut self) {
        let pause = self.next;
        self.next = (pause * 2).min(Self::LONGEST);
        tokio::time::sleep(pause).await;
    }
}

/// Keeps a line that could come for every connection from filling the log.
struct Quiet {
    spoke: Option<Instant>,
    unspoken: u64,
}

impl Quiet {
    const PAUSE: Duration = Duration::from_secs(10);

    const fn new() -> Self {
        Self { spoke: None, unspoken: 0 }
    }

    /// Whether to write the line now: then how many were not written before it.
    fn may_speak(&mut self) -> Option<u64> {
        if self.spoke.is_some_and(|spoke| spoke.elapsed() < Self::PAUSE) {
            self.unspoken += 1;
            return None;
        }
        self.spoke = Some(Instant::now());
        Some(std::mem::take(&mut self.unspoken))
    }
}

/// The life of one connection, from the handshakes until the protocol has dropped it.
async fn watch(
    net: Arc<Net>,
    listener: Arc<ListenerFacts>,
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    serve: impl Serve,
) {
    let mut cut = std::pin::pin!(net.lifecycle.cut());
    let connection = tokio::select! {
        // Boxed: it is short, and each idle connection would carry its room.
        established = Box::pin(establish(&net, listener, stream, peer, place)) => match established {
            Ok(connection) => connection,
            Err(error) => {
                net.metrics.handshakes_failed.add(1);
                warn!(%peer, %error, "handshake failed");
                return;
            }
        },
        () = &mut cut => return,
    };
    let peer = connection.peer();
    let control = connection.control();
    let mut whole = std::pin::pin!(async {
        // In a box of its own, so that its memory is free when it ends before the connection does.
        report(peer, Box::pin(serve.serve(connection)).await);
        control.closed().await;
    });
    tokio::select! {
        () = &mut whole => return,
        () = &mut cut => {}
        () = control.idle() => {
            net.metrics.idle_closed.add(1);
            debug!(%peer, "connection idle for too long");
            control.end(Ending::Idle);
            tokio::select! {
                _ended = timeout(IDLE_GOODBYE, &mut whole) => return,
                () = &mut cut => {}
            }
        }
    }
    net.cut.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    control.end(Ending::Cut);
}

/// Says how a connection ended. A client that broke the protocol is worth a warning, one that went away is not.
fn report(peer: SocketAddr, result: io::Result<()>) {
    match result {
        Ok(()) => debug!(%peer, "connection ended"),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            warn!(%peer, %error, "connection closed: the client broke the protocol");
        }
        Err(error) => debug!(%peer, %error, "connection ended by an error"),
    }
}

async fn establish(
    net: &Arc<Net>,
    listener: Arc<ListenerFacts>,
    tcp: TcpStream,
    peer: SocketAddr,
    place: Place,
) -> io::Result<Connection> {
    let late = |what: &str| {
        io::Error::new(io::ErrorKind::TimedOut, format!("no {what} within {} s", HANDSHAKE_TIMEOUT.as_secs()))
    };
    // Fails on a connection that has ended already, which the first read finds out.
    let _ended = tcp.set_nodelay(true);
    let mut addresses = (peer, tcp.local_addr()?);
    let mut stream = Prefixed { prefix: bytes::Bytes::new(), tcp };
    if listener.proxy_protocol {
        let read = timeout(HANDSHAKE_TIMEOUT, read_proxy_header(&mut stream));
        if let Some(told) = read.await.map_err(|_late| late("PROXY protocol header"))?? {
            addresses = told;
        }
    }
    #[cfg(feature = "tls")]
    let stream = match &listener.tls {
        None => Stream::Plain(stream),
        Some(acceptor) => {
            let handshake = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream));
            Stream::Tls(Box::new(handshake.await.map_err(|_late| late("TLS handshake"))??))
        }
    };
    #[cfg(not(feature = "tls"))]
    let stream = Stream::Plain(stream);
    let transport = match &listener.door {
        None => Transport::Bytes(stream),
        Some(door) => Transport::WebSocket(Box::new(WebSocketStream::accept(stream, door).await?)),
    };
    Ok(Connection::new(transport, addresses, listener, Arc::clone(net), place))
}

async fn read_proxy_header(stream: &mut Prefixed) -> io::Result<Option<(SocketAddr, SocketAddr)>> {
    let mut bytes = BytesMut::with_capacity(256);
    loop {
        match parse_proxy_header(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
            Some(header) => {
                stream.prefix = bytes.split_off(header.length).freeze();
                return Ok(header.addresses);
            }
            None => {
                let room = V2_MAX_BYTES.saturating_sub(bytes.len()) as u64;
                if (&mut stream.tcp).take(room).read_buf(&mut bytes).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
}
