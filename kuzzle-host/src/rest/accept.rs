//! Connections: accepting, limits, TLS, and stopping within a deadline.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use kuzzle_api::Api;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use warp::Filter;

use super::body::Bounds;
use super::dispatch::{Dispatcher, Head};
use super::linger::Lingering;

/// How the REST host runs.
#[derive(Clone)]
pub struct Options {
    /// TLS for every listener; plain when absent.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Longest body, as sent and once inflated, in bytes.
    pub body_max_bytes: usize,
    /// Most open connections; more wait in the backlog.
    pub connections_max: usize,
    /// Time for a request's head to arrive, counted from the end of the request before it; so also the time that an idle
    /// connection is kept. TLS handshakes and bodies each have the same time.
    pub header_timeout: Duration,
    /// Names of hosts under which operators reach this server, besides `localhost` and addresses.
    pub host_names: Vec<String>,
}

/// A running REST host.
pub struct Rest {
    addresses: Vec<SocketAddr>,
    phase: watch::Sender<Phase>,
    /// Ends when the last task that holds the other side is gone.
    gone: mpsc::Receiver<()>,
    connections: Arc<Semaphore>,
    connections_max: usize,
}

/// Why the REST host cannot start.
#[derive(Debug)]
pub enum StartError {
    /// A listener cannot be used.
    Listener(io::Error),
    /// The route table has a path that the router does not take.
    Routes(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listener(error) => write!(f, "cannot use a listener for REST: {error}"),
            Self::Routes(reason) => write!(f, "cannot build the routes: {reason}"),
        }
    }
}

impl std::error::Error for StartError {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// Accept no more; each connection ends after its request.
    Draining,
    /// End now.
    Cut,
}

/// Pause after an accept that failed for want of resources, during which some may be given back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Longest head of a request, in bytes; longer ones are answered 431.
const HEAD_MAX_BYTES: usize = 64 * 1024;

impl Rest {
    /// Serves `api` on listeners that are bound already. Must be called inside a tokio runtime, whose workers do the work.
    ///
    /// # Errors
    ///
    /// When a listener cannot be used.
    pub fn start(listeners: Vec<StdListener>, api: Api, options: Options) -> Result<Self, StartError> {
        let bounds = Bounds { bytes_max: options.body_max_bytes, time_max: options.header_timeout };
        let dispatcher =
            Arc::new(Dispatcher::new(api, bounds, options.host_names.clone()).map_err(StartError::Routes)?);
        let (phase, phase_seen) = watch::channel(Phase::Running);
        let (alive, gone) = mpsc::channel(1);
        let connections = Arc::new(Semaphore::new(options.connections_max));
        let mut addresses = Vec::new();
        let mut bound = Vec::new();
        for listener in listeners {
            addresses.push(listener.local_addr().map_err(StartError::Listener)?);
            bound.push(TcpListener::from_std(listener).map_err(StartError::Listener)?);
        }
        let connections_max = options.connections_max;
        let ids = Arc::new(AtomicU64::new(1));
        for listener in bound {
            let shop = Acceptor {
                dispatcher: Arc::clone(&dispatcher),
                tls: options.tls.clone().map(TlsAcceptor::from),
                header_timeout: options.header_timeout,
                phase: phase_seen.clone(),
                _alive: alive.clone(),
                connections: Arc::clone(&connections),
                ids: Arc::clone(&ids),
            };
            tokio::spawn(shop.run(listener));
        }
        Ok(Self { addresses, phase, gone, connections, connections_max })
    }

    /// The addresses that are listened on.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Connections open now.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.connections_max.saturating_sub(self.connections.available_permits())
    }

    /// Stops: closes the listeners, lets each connection finish its request, and cuts those that have not after
    /// `deadline`. Returns how many were cut.
    pub async fn stop(mut self, deadline: Duration) -> usize {
        let _ = self.phase.send(Phase::Draining);
        if tokio::time::timeout(deadline, self.gone.recv()).await.is_ok() {
            return 0;
        }
        let cut = self.open_connections();
        let _ = self.phase.send(Phase::Cut);
        self.gone.recv().await;
        cut
    }
}

/// What one listener's accept loop and its connections need.
#[derive(Clone)]
struct Acceptor {
    dispatcher: Arc<Dispatcher>,
    tls: Option<TlsAcceptor>,
    header_timeout: Duration,
    phase: watch::Receiver<Phase>,
    /// Held until the last task ends, which is how the stop knows.
    _alive: mpsc::Sender<()>,
    connections: Arc<Semaphore>,
    ids: Arc<AtomicU64>,
}

impl Acceptor {
    async fn run(mut self, listener: TcpListener) {
        loop {
            let mut phase = self.phase.clone();
            let stopping = async move { phase.wait_for(|phase| *phase != Phase::Running).await.is_ok() };
            let accepted = async {
                // Before accepting, so that clients beyond the limit wait in the backlog.
                let permit = Arc::clone(&self.connections).acquire_owned().await;
                (permit, listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                _ = stopping => return,
                accepted = accepted => accepted,
            };
            let Ok(permit) = permit else { return };
            match accepted {
                Ok((stream, peer)) => {
                    tokio::spawn(self.clone().connection(stream, peer, permit));
                }
                Err(error) => {
                    if !is_of_one_connection(&error) {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
            self.phase.mark_unchanged();
        }
    }

    async fn connection(self, stream: TcpStream, peer: SocketAddr, _permit: OwnedSemaphorePermit) {
        // Answers are written whole; waiting to fill a segment would only delay them.
        let _ = stream.set_nodelay(true);
        let stream = Lingering::new(stream);
        let rest = stream.clone();
        match &self.tls {
            None => self.serve(stream, peer).await,
            Some(tls) => match tokio::time::timeout(self.header_timeout, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.serve(stream, peer).await,
                Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
            },
        }
        // Whoever stops the server does not wait for that.
        let mut phase = self.phase.clone();
        tokio::select! {
            () = rest.read_out() => {}
            _ = phase.wait_for(|phase| *phase != Phase::Running) => {}
        }
    }

    async fn serve<S>(&self, stream: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let dispatcher = Arc::clone(&self.dispatcher);
        let filter = warp::method()
            .and(warp::path::full())
            .and(
                warp::query::raw()
                    .map(Some)
                    .or_else(|_| async { Ok::<_, std::convert::Infallible>((None,)) }),
            )
            .and(warp::header::headers_cloned())
            .and(warp::body::stream())
            .then(move |method, path: warp::path::FullPath, query, headers, body| {
                let dispatcher = Arc::clone(&dispatcher);
                let head = Head { method, path: path.as_str().to_owned(), query, headers, connection: id };
                async move { dispatcher.answer(head, body).await }
            });
        let service = TowerToHyperService::new(warp::service(filter));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_buf_size(HEAD_MAX_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let mut phase = self.phase.clone();
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, connection = id, %error, "connection ended");
                    }
                    return;
                }
                changed = phase.changed() => match (changed, *phase.borrow_and_update()) {
                    (Ok(()), Phase::Running) => {}
                    (Ok(()), Phase::Draining) => connection.as_mut().graceful_shutdown(),
                    (Ok(()), Phase::Cut) | (Err(_), _) => return,
                },
            }
        }
    }
}

/// Whether an accept failed for the one connection alone, so that the next may be taken at once.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests;
