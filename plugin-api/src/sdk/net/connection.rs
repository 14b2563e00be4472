//! One client of a protocol.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use super::listener::ListenerFacts;
use super::transport::Transport;
use super::{Net, Place};
use crate::sdk::{ConnectionInfo, Lifecycle};

/// An accepted connection: a stream of bytes, and what is known of its other end.
///
/// It counts as open until it is dropped, wherever it was moved to. Dropping it closes the socket; a protocol that
/// wants its last bytes to arrive, and TLS to end well, calls `shutdown` before.
///
/// Reading and writing fail with [`TimedOut`](io::ErrorKind::TimedOut) once nothing was sent or received, not even a ping
/// of a WebSocket, for the instance's idle timeout, and with [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) once the time for goodbyes
/// is up.
pub struct Connection {
    transport: Transport,
    control: Arc<Control>,
    peer: SocketAddr,
    local: SocketAddr,
    listener: Arc<ListenerFacts>,
    // Last, so that the socket is closed before the connection is counted out.
    _place: Place,
}

impl Connection {
    pub(super) fn new(
        transport: Transport,
        (peer, local): (SocketAddr, SocketAddr),
        listener: Arc<ListenerFacts>,
        net: Arc<Net>,
        place: Place,
    ) -> Self {
        let control = Arc::new(Control {
            active_millis: AtomicU64::new(millis(net.started.elapsed())),
            ending: AtomicU8::new(Ending::None as u8),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
            closed: Notify::new(),
            net,
        });
        Self { transport, control, peer, local, listener, _place: place }
    }

    /// Address of the client; behind a balancer that speaks the PROXY protocol, of the client that it speaks for.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Address that the client connected to.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Id of the listener that it came through.
    #[must_use]
    pub fn listener(&self) -> u64 {
        self.listener.id
    }

    /// How that listener is spoken to: `tcp`, or `ws` for WebSockets.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.listener.scheme
    }

    /// Whether its bytes go over TLS.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.transport.is_tls()
    }

    /// When to say goodbye.
    #[must_use]
    pub fn lifecycle(&self) -> Lifecycle {
        self.control.net.lifecycle.clone()
    }

    /// What the host is told of a client of the API that comes over this connection.
    #[must_use]
    pub fn info(&self) -> ConnectionInfo {
        ConnectionInfo::new()
            .with("remote", self.peer.to_string())
            .with("local", self.local.to_string())
            .with("listener", self.listener.id)
            .with("tls", self.is_tls())
    }

    pub(super) fn control(&self) -> Arc<Control> {
        Arc::clone(&self.control)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.control.closed.notify_one();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &self.peer)
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.transport).poll_read(cx, buf);
        if this.transport.take_heard() {
            this.control.active();
        }
        match polled {
            Poll::Ready(Ok(())) => this.control.received(buf.filled().len() - before),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => return this.control.pending(&this.control.reader, cx),
        }
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.transport).poll_write(cx, buf);
        this.control.sent(polled, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.transport).poll_write_vectored(cx, bufs);
        this.control.sent(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.transport).poll_flush(cx) {
            Poll::Pending => this.control.pending(&this.control.writer, cx),
            ready @ Poll::Ready(_) => ready,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.transport).poll_shutdown(cx) {
            Poll::Pending => this.control.pending(&this.control.writer, cx),
            ready @ Poll::Ready(_) => ready,
        }
    }
}

/// Why the kit ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Ending {
    None = 0,
    Idle = 1,
    Cut = 2,
}

/// What the kit keeps of a connection while the protocol owns it.
pub(super) struct Control {
    net: Arc<Net>,
    /// When bytes last moved, in milliseconds since the instance started.
    active_millis: AtomicU64,
    ending: AtomicU8,
    reader: AtomicWaker,
    writer: AtomicWaker,
    closed: Notify,
}

impl Control {
    /// Makes reading and writing fail from here on.
    pub(super) fn end(&self, ending: Ending) {
        self.ending.store(ending as u8, Ordering::Release);
        self.reader.wake();
        self.writer.wake();
    }

    /// Resolves when the connection has been dropped.
    pub(super) async fn closed(&self) {
        self.closed.notified().await;
    }

    /// Resolves when no bytes have moved for the idle timeout; never when there is none.
    pub(super) async fn idle(&self) {
        let timeout = self.net.idle_timeout;
        if timeout.is_zero() {
            return std::future::pending().await;
        }
        loop {
            let active = Duration::from_millis(self.active_millis.load(Ordering::Relaxed));
            let deadline = self.net.started + active + timeout;
            if deadline <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(deadline.into()).await;
        }
    }

    fn active(&self) {
        if !self.net.idle_timeout.is_zero() {
            self.active_millis.store(millis(self.net.started.elapsed()), Ordering::Relaxed);
        }
    }

    fn received(&self, bytes: usize) {
        self.active();
        self.net.metrics.received.add(bytes as u64);
    }

    fn sent(&self, polled: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match polled {
            Poll::Ready(Ok(bytes)) => {
                self.active();
                self.net.metrics.sent.add(bytes as u64);
                Poll::Ready(Ok(bytes))
            }
            Poll::Pending => self.pending(&self.writer, cx),
            failed @ Poll::Ready(Err(_)) => failed,
        }
    }

    /// What a poll answers that has to wait: it is woken when the kit ends the connection.
    fn pending<T>(&self, waker: &AtomicWaker, cx: &Context<'_>) -> Poll<io::Result<T>> {
        waker.register(cx.waker());
        match self.ending.load(Ordering::Acquire) {
            ending if ending == Ending::None as u8 => Poll::Pending,
            ending if ending == Ending::Idle as u8 => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "idle for too long")))
            }
            _ => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the protocol was stopped")))
            }
        }
    }
}

fn millis(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
