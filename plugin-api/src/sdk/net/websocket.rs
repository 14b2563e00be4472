//! A WebSocket as a stream of bytes: what messages carry is read, what is written leaves as messages.
//!
//! An idle one holds no buffers. Frames are decoded where the protocol wants its bytes, and are encoded in front of what it
//! writes; only what the socket does not take of a frame is kept.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};

use super::HANDSHAKE_TIMEOUT;
use crate::sdk::websocket::{Answer, Close, Decoder, Door, End, Fault, Header, Messages, OpCode};

/// Most bytes that one message carries to a client; a longer write leaves as several. Also what is kept, at most, for a
/// client that does not read.
const MESSAGE_BYTES: usize = 256 * 1024;
/// Most pieces of a vectored write that leave as one message.
const PIECES_MAX: usize = 16;
/// How long a client that broke a rule has to leave, once it was told: a socket that is closed with something unread
/// takes back what the client has not read.
const LINGER: Duration = Duration::from_secs(2);
/// What such a client may still send, unread.
const DISCARD_MAX_BYTES: usize = 1024 * 1024;

/// A client that was let in.
pub(super) struct WebSocketStream<S> {
    stream: S,
    /// What the client sent behind its handshake.
    early: Bytes,
    decoder: Decoder,
    messages: Messages,
    /// Frames, or ends of frames, that the socket did not take.
    outgoing: BytesMut,
    /// What the last ping carried, while its pong waits.
    pong: Option<Vec<u8>>,
    /// Whether something was written that was not flushed.
    is_unflushed: bool,
    /// Whether a ping has come that nobody has asked about yet.
    has_heard: bool,
    has_sent_close: bool,
    incoming: Incoming,
    wakers: Arc<Wakers>,
    /// Wakes both ends: either may have left something that has to be written.
    waker: Waker,
}

/// What is to be expected of the client.
enum Incoming {
    Frames,
    /// It has closed.
    Closed,
    /// It broke a rule, and has a while to leave.
    Lingering(Box<Linger>),
    /// It broke a rule, and that was long ago.
    Broken(Fault),
}

struct Linger {
    fault: Fault,
    sleep: Pin<Box<Sleep>>,
    is_shut: bool,
    discarded: usize,
}

/// Those who wait for the stream.
#[derive(Default)]
struct Wakers {
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.reader.wake();
        self.writer.wake();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketStream<S> {
    /// Takes the handshake of a client and answers it.
    ///
    /// # Errors
    ///
    /// When the client asks for something else, or not in time; it was told so.
    pub(super) async fn accept(mut stream: S, door: &Door) -> io::Result<Self> {
        let mut head = BytesMut::new();
        let answer = match timeout(HANDSHAKE_TIMEOUT, read_request(&mut stream, door, &mut head)).await {
            Ok(answer) => answer?,
            Err(_late) => door.late(),
        };
        let leave = |reason| io::Error::new(io::ErrorKind::InvalidData, format!("no WebSocket: {reason}"));
        match answer {
            Answer::Accepted { response, length } => {
                let written = timeout(HANDSHAKE_TIMEOUT, async {
                    stream.write_all(&response).await?;
                    stream.flush().await
                });
                written.await.map_err(|_late| leave("the response was not taken in time".to_owned()))??;
                // Copied: what is left of the request's buffer is larger than an idle client should keep.
                let early = head.get(length..).unwrap_or_default();
                Ok(Self::new(stream, Bytes::copy_from_slice(early), door.messages()))
            }
            Answer::Refused { response, reason } => {
                let refused = timeout(LINGER, async {
                    stream.write_all(&response).await?;
                    stream.shutdown().await?;
                    let mut unread = (&mut stream).take(DISCARD_MAX_BYTES as u64);
                    tokio::io::copy(&mut unread, &mut tokio::io::sink()).await
                });
                let _gone_or_late = refused.await;
                Err(leave(reason))
            }
        }
    }

    fn new(stream: S, early: Bytes, messages: Messages) -> Self {
        let wakers = Arc::new(Wakers::default());
        Self {
            stream,
            early,
            decoder: Decoder::new(messages),
            messages,
            outgoing: BytesMut::new(),
            pong: None,
            is_unflushed: false,
            has_heard: false,
            has_sent_close: false,
            incoming: Incoming::Frames,
            waker: Waker::from(Arc::clone(&wakers)),
            wakers,
        }
    }

    /// Whether the client has shown that it is there, without sending a byte of a message, since this was asked last.
    pub(super) const fn take_heard(&mut self) -> bool {
        std::mem::replace(&mut self.has_heard, false)
    }

    /// The stream below.
    pub(super) const fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Writes what is left of frames, and the pong after them.
    fn poll_outgoing(&mut self) -> Poll<io::Result<()>> {
        let waker = self.waker.clone();
        let cx = &mut Context::from_waker(&waker);
        loop {
            if self.outgoing.is_empty() {
                let Some(pong) = self.pong.take().filter(|_| !self.has_sent_close) else {
                    // Its room is not kept while the client is idle.
                    self.outgoing = BytesMut::new();
                    return Poll::Ready(Ok(()));
                };
                self.outgoing.extend_from_slice(Header::new(OpCode::Pong, pong.len()).as_bytes());
                self.outgoing.extend_from_slice(&pong);
            }
            self.is_unflushed = true;
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.outgoing))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.advance(written);
        }
    }

    /// Writes and flushes all there is.
    fn poll_all_out(&mut self) -> Poll<io::Result<()>> {
        ready!(self.poll_outgoing())?;
        if self.is_unflushed {
            let waker = self.waker.clone();
            ready!(Pin::new(&mut self.stream).poll_flush(&mut Context::from_waker(&waker)))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Puts a close frame behind what is going out, unless there was one.
    fn send_close(&mut self, close: Close, reason: &str) {
        if !self.has_sent_close {
            self.has_sent_close = true;
            close.encode(reason, &mut self.outgoing);
        }
    }

    /// Handles how the client's frames ended.
    fn end(&mut self, end: End) {
        match end {
            End::Closed(close) => {
                self.send_close(close.unwrap_or(Close::NORMAL), "");
                self.incoming = Incoming::Closed;
            }
            End::Fault(fault) => {
                self.send_close(fault.close(), &fault.to_string());
                let sleep = Box::pin(sleep(LINGER));
                let linger = Linger { fault, sleep, is_shut: false, discarded: 0 };
                self.incoming = Incoming::Lingering(Box::new(linger));
            }
        }
    }

    /// Waits a moment for a client that broke a rule to leave. Ready with the rule once it has, or the time is up.
    fn poll_linger(&mut self) -> Poll<Fault> {
        let waker = self.waker.clone();
        let cx = &mut Context::from_waker(&waker);
        let is_out = self.poll_all_out();
        let linger = match &mut self.incoming {
            Incoming::Lingering(linger) => linger,
            Incoming::Broken(fault) => return Poll::Ready(*fault),
            // Only those who broke a rule get here.
            Incoming::Frames | Incoming::Closed => return Poll::Ready(Fault::Close),
        };
        let mut is_over = matches!(is_out, Poll::Ready(Err(_))) || linger.sleep.as_mut().poll(cx).is_ready();
        if is_out.is_ready() && !linger.is_shut {
            linger.is_shut = Pin::new(&mut self.stream).poll_shutdown(cx).is_ready();
        }
        let mut scratch = [0; 1024];
        while !is_over {
            let mut unread = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut unread) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !unread.filled().is_empty() => {
                    linger.discarded += unread.filled().len();
                    is_over = linger.discarded > DISCARD_MAX_BYTES;
                }
                Poll::Ready(_) => is_over = true,
            }
        }
        let fault = linger.fault;
        self.incoming = Incoming::Broken(fault);
        self.waker.wake_by_ref();
        Poll::Ready(fault)
    }

    /// Whether a message may be written now.
    fn poll_writable(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.wakers.writer.register(cx.waker());
        if matches!(self.incoming, Incoming::Lingering(_) | Incoming::Broken(_)) {
            let fault = ready!(self.poll_linger());
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, fault)));
        }
        ready!(self.poll_outgoing())?;
        if self.has_sent_close {
            let message = "the WebSocket is closed";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, message)));
        }
        Poll::Ready(Ok(()))
    }

    /// Writes a message of these pieces; none is kept unless the socket has taken a part of the frame.
    fn poll_message(&mut self, code: OpCode, pieces: &[&[u8]]) -> Poll<io::Result<usize>> {
        let length = pieces.iter().map(|piece| piece.len()).sum();
        let header = Header::new(code, length);
        let mut slices = [IoSlice::new(&[]); PIECES_MAX + 1];
        let all = || std::iter::once(header.as_bytes()).chain(pieces.iter().copied());
        for (slice, bytes) in slices.iter_mut().zip(all()) {
            *slice = IoSlice::new(bytes);
        }
        let slices = slices.get(..=pieces.len()).unwrap_or_default();
        let waker = self.waker.clone();
        let cx = &mut Context::from_waker(&waker);
        let mut written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.is_unflushed = true;
        for bytes in all() {
            let taken = written.min(bytes.len());
            written -= taken;
            self.outgoing.extend_from_slice(bytes.get(taken..).unwrap_or_default());
        }
        Poll::Ready(Ok(length))
    }
}

/// Reads until the request can be answered.
async fn read_request<S>(stream: &mut S, door: &Door, head: &mut BytesMut) -> io::Result<Answer>
where
    S: AsyncRead + Unpin,
{
    loop {
        if let Some(answer) = door.answer(head) {
            return Ok(answer);
        }
        if stream.read_buf(head).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "no WebSocket: the client left"));
        }
    }
}

/// The kind of message that carries `bytes`, and how many of them: text does not end within a character.
fn kind_of(messages: Messages, bytes: &[u8]) -> (OpCode, usize) {
    let length = bytes.len().min(MESSAGE_BYTES);
    if messages == Messages::Binary {
        return (OpCode::Binary, length);
    }
    match std::str::from_utf8(bytes.get(..length).unwrap_or(bytes)) {
        Ok(_) => (OpCode::Text, length),
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            (OpCode::Text, error.valid_up_to())
        }
        Err(_) => (OpCode::Binary, length),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocketStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.wakers.reader.register(cx.waker());
        loop {
            match &this.incoming {
                Incoming::Frames => {}
                Incoming::Closed => {
                    // What cannot be written is of no use to a client that has closed.
                    let _answered = this.poll_all_out();
                    return Poll::Ready(Ok(()));
                }
                Incoming::Lingering(_) | Incoming::Broken(_) => {
                    let fault = ready!(this.poll_linger());
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault)));
                }
            }
            if this.pong.is_some() || !this.outgoing.is_empty() {
                // A failure is found by reading as well.
                let _pong = this.poll_all_out();
            }
            let before = buf.filled().len();
            if this.early.is_empty() {
                ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            } else {
                let taken = this.early.split_to(this.early.len().min(buf.remaining()));
                buf.put_slice(&taken);
            }
            let came = buf.filled_mut().get_mut(before..).unwrap_or_default();
            if came.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let decoded = this.decoder.decode(came);
            buf.set_filled(before + decoded.payload);
            if let Some(ping) = decoded.ping {
                this.pong = Some(ping);
                this.has_heard = true;
            }
            if let Some(end) = decoded.end {
                this.end(end);
            }
            if decoded.payload > 0 {
                if this.pong.is_some() {
                    let _pong = this.poll_all_out();
                }
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocketStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_writable(cx))?;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let (code, length) = kind_of(this.messages, buf);
        this.poll_message(code, &[buf.get(..length).unwrap_or(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.messages == Messages::Text {
            // Whether text is whole is seen in one piece.
            let first = bufs.iter().find(|buf| !buf.is_empty());
            return self.poll_write(cx, first.map_or(&[], |buf| buf));
        }
        let this = self.get_mut();
        ready!(this.poll_writable(cx))?;
        let mut pieces: [&[u8]; PIECES_MAX] = [&[]; PIECES_MAX];
        let (mut count, mut left) = (0, MESSAGE_BYTES);
        for (piece, buf) in pieces.iter_mut().zip(bufs.iter().filter(|buf| !buf.is_empty())) {
            if left == 0 {
                break;
            }
            *piece = buf.get(..left).unwrap_or(buf);
            left -= piece.len();
            count += 1;
        }
        match pieces.get(..count) {
            None | Some([]) => Poll::Ready(Ok(0)),
            Some(pieces) => this.poll_message(OpCode::Binary, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.messages == Messages::Binary
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.wakers.writer.register(cx.waker());
        this.poll_all_out()
    }

    /// Closes: what was written, a close frame, and the end of the stream below.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.wakers.writer.register(cx.waker());
        this.send_close(Close::NORMAL, "");
        ready!(this.poll_all_out())?;
        let waker = this.waker.clone();
        Pin::new(&mut this.stream).poll_shutdown(&mut Context::from_waker(&waker))
    }
}

#[cfg(test)]
mod tests;
