//! A client on a WebSocket: one task reads, writes, executes and keeps the time.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use kuzzle_socketio_proto::{
    ByteString,
    packet::{self, Packet, Revision},
    payload::Inbound,
    session::Session,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    time::{Sleep, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message, Utf8Bytes,
        error::CapacityError,
        protocol::{
            CloseFrame, Role, WebSocketConfig,
            frame::{
                Frame,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};

use crate::{
    client::{Client, End},
    polling::Handle,
    server::{Peer, Shared, bytes},
    sessions::random_id,
};

/// A packet beyond this leaves in fragments of this size, so that one large answer does not leave a buffer of its size
/// with its connection for good.
const FRAGMENT_BYTES: usize = 64 * 1024;
/// Packets handled in one go before other connections get their turn.
const TURN_PACKETS: usize = 64;
/// How long a client that is closed has to take the last frames and to leave.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// What a client that is closed may still send, unread.
const DISCARD_MAX_BYTES: usize = 16 * 1024 * 1024;

/// A client that starts on a WebSocket; none when the host refused it.
pub(crate) async fn start<S>(
    server: Shared,
    peer: Peer,
    revision: Revision,
    stream: S,
    read: Bytes,
) -> Option<Box<Connection<S>>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let session = Session::new(
        server.limits.clone(),
        revision,
        &random_id(),
        &random_id(),
        false,
        server.message_max_bytes(),
        Instant::now(),
    );
    let mut socket = open(&server, stream, read).await;
    match Client::open(&server, peer, session) {
        Ok(client) => Some(Connection::new(socket, client)),
        Err((client, end)) => {
            client.log_end(&end);
            close(&mut socket, &end).await;
            None
        }
    }
}

/// Moves a session from long-polling to a WebSocket; none when that fails, and the session stays where it is.
pub(crate) async fn take_over<S>(
    server: Shared,
    peer: Peer,
    session: Handle,
    stream: S,
    read: Bytes,
) -> Option<Box<Connection<S>>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut socket = open(&server, stream, read).await;
    let upgraded = timeout(server.settings.upgrade_timeout_secs, probe(&mut socket, &session)).await;
    if let Ok(Some(client)) = upgraded {
        return Some(Connection::new(socket, client));
    }
    session.probe(true).await;
    tracing::debug!(%peer, "upgrade to a WebSocket failed, the session stays on long-polling");
    close(&mut socket, &End::Transport("the upgrade failed".into())).await;
    None
}

/// Serves a client until it ends.
pub(crate) async fn serve<S>(mut connection: Box<Connection<S>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let end = {
        let lifecycle = connection.client.lifecycle();
        let mut timer = pin!(sleep_until(connection.client.session.deadline().into()));
        let mut stopping = pin!(lifecycle.stopping());
        poll_fn(|cx| connection.poll_step(cx, timer.as_mut(), stopping.as_mut())).await
    };
    connection.client.log_end(&end);
    // Boxed: it is short, and each idle connection would carry its room.
    Box::pin(close(&mut connection.socket, &end)).await;
}

/// Ping `probe`, pong `probe`, upgrade.
async fn probe<S>(socket: &mut WebSocketStream<S>, session: &Handle) -> Option<Box<Client>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match next_packet(socket).await? {
        Packet::Ping(data) if data == packet::PROBE => {}
        _ => return None,
    }
    session.probe(false).await?;
    socket.send(text(packet::PONG_PROBE)?).await.ok()?;
    match next_packet(socket).await? {
        Packet::Upgrade => session.upgrade().await,
        _ => None,
    }
}

async fn next_packet<S>(socket: &mut WebSocketStream<S>) -> Option<Packet>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match socket.next().await?.ok()? {
        Message::Text(text) => Packet::parse(&byte_string(text)?).ok(),
        _ => None,
    }
}

async fn open<S>(server: &Shared, stream: S, read: Bytes) -> WebSocketStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let settings = &server.settings;
    let config = WebSocketConfig::default()
        .read_buffer_size(bytes(settings.read_buffer_bytes))
        .write_buffer_size(bytes(settings.write_buffer_bytes))
        .max_message_size(Some(server.message_max_bytes()))
        .max_frame_size(Some(server.message_max_bytes()));
    if read.is_empty() {
        return WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    }
    // Copied: the buffer of the HTTP exchange is larger than an idle WebSocket should keep.
    WebSocketStream::from_partially_read(stream, read.to_vec(), Role::Server, Some(config)).await
}

/// A client on its WebSocket.
pub(crate) struct Connection<S> {
    socket: WebSocketStream<S>,
    client: Box<Client>,
    /// The rest of a packet that leaves in fragments.
    fragments: Option<Bytes>,
    /// Whether the socket holds bytes that it has not written yet.
    unflushed: bool,
    /// Whether nothing more is read, because the server stops.
    draining: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn new(socket: WebSocketStream<S>, client: Box<Client>) -> Box<Self> {
        Box::new(Connection { socket, client, fragments: None, unflushed: false, draining: false })
    }

    /// Does all that can be done; ready when the session is over.
    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
        stopping: Pin<&mut impl Future<Output = ()>>,
    ) -> Poll<End> {
        if !self.draining && stopping.poll(cx).is_ready() {
            self.draining = true;
        }
        for _ in 0..TURN_PACKETS {
            let mut step = self.poll_move(cx);
            if step.is_pending() {
                step = self.poll_rest(cx, timer.as_mut());
            }
            match step {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(end)) => return Poll::Ready(end),
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Moves packets out as far as the socket takes them, then one answer or notification or packet in.
    /// `Ready(Ok)` when there may be more to move.
    fn poll_move(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        while self.fragments.is_some() || self.client.session.has_transmit() {
            match self.socket.poll_ready_unpin(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(broken(&error))),
                Poll::Pending => break,
            }
            let Some(frame) = self.next_frame() else { break };
            self.unflushed = true;
            if let Err(error) = self.socket.start_send_unpin(frame) {
                return Poll::Ready(Err(broken(&error)));
            }
        }
        if let Poll::Ready(moved) = self.client.poll_host(cx) {
            return Poll::Ready(moved);
        }
        if self.draining || !self.client.can_read() {
            return Poll::Pending;
        }
        let message = match ready!(self.socket.poll_next_unpin(cx)) {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Poll::Ready(Err(broken(&error))),
            None => return Poll::Ready(Err(End::Left)),
        };
        let packet = match message {
            Message::Text(text) => match byte_string(text) {
                Some(text) => Inbound::Text(text),
                None => return Poll::Ready(Ok(())),
            },
            Message::Binary(_) => Inbound::Binary,
            Message::Close(_) => return Poll::Ready(Err(End::Left)),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {
                self.unflushed = true;
                return Poll::Ready(Ok(()));
            }
        };
        Poll::Ready(self.client.handle(packet, Instant::now()))
    }

    /// Writes out what the socket still holds, and keeps the time. `Ready(Ok)` when there is something to move again.
    fn poll_rest(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<Result<(), End>> {
        if self.unflushed {
            match self.socket.poll_flush_unpin(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(broken(&error))),
                Poll::Pending => {}
            }
            if !self.unflushed && (self.fragments.is_some() || self.client.session.has_transmit()) {
                return Poll::Ready(Ok(()));
            }
        }
        if self.draining && !self.unflushed && self.fragments.is_none() && self.client.is_idle() {
            return Poll::Ready(Err(End::Drained));
        }
        let deadline = self.client.session.deadline().into();
        if deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(cx));
        let due = self.client.session.handle_timeout(Instant::now());
        timer.as_mut().reset(self.client.session.deadline().into());
        Poll::Ready(due.map_err(End::Expired))
    }

    fn next_frame(&mut self) -> Option<Message> {
        let (mut rest, first) = match self.fragments.take() {
            Some(rest) => (rest, false),
            None => (self.client.session.poll_transmit()?.into_bytes(), true),
        };
        if first && rest.len() <= FRAGMENT_BYTES {
            return Utf8Bytes::try_from(rest).ok().map(Message::Text);
        }
        let fragment = rest.split_to(rest.len().min(FRAGMENT_BYTES));
        let is_last = rest.is_empty();
        if !is_last {
            self.fragments = Some(rest);
        }
        let code = OpCode::Data(if first { Data::Text } else { Data::Continue });
        Some(Message::Frame(Frame::message(fragment, code, is_last)))
    }
}

/// Tells the client that it is over, and waits a moment for it to leave: closing a socket with unread bytes would take
/// our last words back.
async fn close<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>, end: &End) {
    let (code, goodbye) = match end {
        End::Left => (CloseCode::Normal, false),
        End::Transport(_) => (CloseCode::Protocol, false),
        End::TooLarge => (CloseCode::Size, true),
        End::Violation(_) | End::Closed { .. } => (CloseCode::Policy, true),
        End::Expired(_) => (CloseCode::Normal, true),
        End::Drained => (CloseCode::Away, true),
    };
    let last_words = async {
        if goodbye {
            socket.feed(Message::Text(Utf8Bytes::from_static("1"))).await.ok()?;
        }
        socket.close(Some(CloseFrame { code, reason: Utf8Bytes::default() })).await.ok()?;
        let mut discarded = 0;
        let mut scratch = [0; 2048];
        while discarded < DISCARD_MAX_BYTES {
            match socket.get_mut().read(&mut scratch).await {
                Ok(0) | Err(_) => break,
                Ok(read) => discarded += read,
            }
        }
        Some(())
    };
    let _ = timeout(CLOSE_TIMEOUT, last_words).await;
}

fn broken(error: &Error) -> End {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => End::TooLarge,
        Error::ConnectionClosed | Error::AlreadyClosed => End::Left,
        error => End::Transport(error.to_string()),
    }
}

fn text(packet: ByteString) -> Option<Message> {
    Utf8Bytes::try_from(packet.into_bytes()).ok().map(Message::Text)
}

fn byte_string(text: Utf8Bytes) -> Option<ByteString> {
    ByteString::try_from(Bytes::from(text)).ok()
}
