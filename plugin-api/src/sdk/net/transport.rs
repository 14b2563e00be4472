//! The bytes of a connection: a TCP stream, perhaps with TLS over it, perhaps with a WebSocket over that.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::websocket::WebSocketStream;

/// What a [`Connection`](super::Connection) reads from and writes to.
pub(super) enum Transport {
    Bytes(Stream),
    WebSocket(Box<WebSocketStream<Stream>>),
}

impl Transport {
    pub(super) const fn is_tls(&self) -> bool {
        let stream = match self {
            Self::Bytes(stream) => stream,
            Self::WebSocket(websocket) => websocket.get_ref(),
        };
        !matches!(stream, Stream::Plain(_))
    }

    /// Whether the client has shown that it is there, without sending bytes to the protocol, since this was asked last.
    pub(super) const fn take_heard(&mut self) -> bool {
        match self {
            Self::Bytes(_) => false,
            Self::WebSocket(websocket) => websocket.take_heard(),
        }
    }
}

/// The bytes of a TCP connection, outside of TLS.
pub(super) enum Stream {
    Plain(Prefixed),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::server::TlsStream<Prefixed>>),
}

/// Reading and writing of something that is one of several.
macro_rules! reads_and_writes {
    ($type:ident: $($(#[$attribute:meta])* $variant:ident),+) => {
        impl AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $($(#[$attribute])* Self::$variant(one) => Pin::new(one).poll_read(cx, buf),)+
                }
            }
        }

        impl AsyncWrite for $type {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $($(#[$attribute])* Self::$variant(one) => Pin::new(one).poll_write(cx, buf),)+
                }
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $($(#[$attribute])* Self::$variant(one) => Pin::new(one).poll_write_vectored(cx, bufs),)+
                }
            }

            fn is_write_vectored(&self) -> bool {
                match self {
                    $($(#[$attribute])* Self::$variant(one) => one.is_write_vectored(),)+
                }
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $($(#[$attribute])* Self::$variant(one) => Pin::new(one).poll_flush(cx),)+
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $($(#[$attribute])* Self::$variant(one) => Pin::new(one).poll_shutdown(cx),)+
                }
            }
        }
    };
}

reads_and_writes!(Transport: Bytes, WebSocket);
reads_and_writes!(Stream: Plain, #[cfg(feature = "tls")] Tls);

/// A TCP stream of which the first bytes were read already.
pub(super) struct Prefixed {
    pub(super) prefix: Bytes,
    pub(super) tcp: TcpStream,
}

impl AsyncRead for Prefixed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.prefix.is_empty() {
            return Pin::new(&mut this.tcp).poll_read(cx, buf);
        }
        let taken = this.prefix.len().min(buf.remaining());
        buf.put_slice(this.prefix.get(..taken).unwrap_or_default());
        this.prefix.advance(taken);
        if this.prefix.is_empty() {
            this.prefix = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}
