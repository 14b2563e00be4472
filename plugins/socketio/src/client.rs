//! One client, whatever carries it: its session, its connection to the API, and the requests that wait for answers.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream::FuturesOrdered};
use kuzzle_plugin_api::sdk::{Lifecycle, Notification, PendingReply, Received, Reply, RequestConnection};
use kuzzle_socketio_proto::{
    ByteString,
    payload::Inbound,
    session::{Expired, Input, Session, Violation},
};

use crate::server::{Peer, Shared, bytes};

/// A client's state, moved as a whole from long-polling to its WebSocket.
pub(crate) struct Client {
    /// The protocol's side.
    pub(crate) session: Session,
    server: Shared,
    peer: Peer,
    connection: Option<RequestConnection>,
    /// Requests that are not answered yet, in their order, in which they are answered too.
    answers: FuturesOrdered<Answer>,
}

/// A request's answer to come, and the id of the acknowledgement that the client awaits as well.
struct Answer {
    reply: PendingReply,
    ack: Option<u64>,
}

impl Future for Answer {
    type Output = (Reply, Option<u64>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ack = self.ack;
        self.reply.poll_unpin(cx).map(|reply| (reply, ack))
    }
}

/// Why a client's session is over.
#[derive(Debug)]
pub(crate) enum End {
    /// The client said so.
    Left,
    /// Its transport is gone, or broke its own rules; what was found.
    Transport(String),
    /// It sent a message beyond the limit.
    TooLarge,
    /// It broke a rule or met a limit of the protocol.
    Violation(Violation),
    /// Its time ran out.
    Expired(Expired),
    /// The host wants it closed.
    Closed { code: u32, reason: String },
    /// The server is stopping, and everything it had asked for is answered.
    Drained,
}

impl Client {
    /// A client whose handshake is done. A revision 3 client is connected at once.
    ///
    /// # Errors
    /// The client with [`End::Closed`] when the host refuses the connection.
    pub(crate) fn open(
        server: &Shared,
        peer: Peer,
        session: Session,
    ) -> Result<Box<Client>, (Box<Client>, End)> {
        let mut client = Box::new(Client {
            session,
            server: server.clone(),
            peer,
            connection: None,
            answers: FuturesOrdered::new(),
        });
        if client.session.is_connected()
            && let Err(end) = client.connect()
        {
            return Err((client, end));
        }
        Ok(client)
    }

    fn connect(&mut self) -> Result<(), End> {
        let connection = self.server.host.requests().open(&self.peer.info());
        let connection =
            connection.map_err(|error| End::Closed { code: error.status, reason: error.to_string() })?;
        self.connection = Some(connection);
        Ok(())
    }

    /// When to say goodbye.
    pub(crate) fn lifecycle(&self) -> Lifecycle {
        self.server.lifecycle()
    }

    /// The largest body for a client, either way.
    pub(crate) fn payload_max_bytes(&self) -> usize {
        self.server.message_max_bytes()
    }

    /// Whether another packet may be taken from the client: few requests wait, and it takes what is sent to it.
    pub(crate) fn can_read(&self) -> bool {
        self.answers.len() < bytes(self.server.settings.pending_requests_max)
            && self.session.accepts_answers()
    }

    /// Whether every request is answered and every packet on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.answers.is_empty() && !self.session.has_transmit()
    }

    /// Takes one packet.
    ///
    /// # Errors
    /// [`End`] when the session is over with it.
    pub(crate) fn handle(&mut self, packet: Inbound, now: Instant) -> Result<(), End> {
        let input = match packet {
            Inbound::Text(text) => self.session.handle_text(&text, now).map_err(End::Violation)?,
            Inbound::Binary => self.session.handle_binary(now),
        };
        match input {
            Input::Handled => Ok(()),
            Input::Connected => self.connect(),
            Input::Request { body, ack } => {
                self.execute(body, ack);
                Ok(())
            }
            Input::Dropped(why) => {
                self.server.counts.dropped.add(1);
                tracing::warn!(peer = %self.peer, reason = %why, "socket.io message dropped");
                Ok(())
            }
            Input::Closed => Err(End::Left),
        }
    }

    /// Submits a request. Its answer is often there at once and then costs no task and no allocation.
    fn execute(&mut self, body: ByteString, ack: Option<u64>) {
        let Some(connection) = &self.connection else { return };
        let mut reply = connection.execute(body.into_bytes());
        if self.answers.is_empty()
            && let Some(reply) = (&mut reply).now_or_never()
        {
            return self.answer(&reply, ack);
        }
        self.answers.push_back(Answer { reply, ack });
    }

    fn answer(&mut self, reply: &Reply, ack: Option<u64>) {
        if reply.request_id.is_empty() {
            self.server.counts.dropped.add(1);
            tracing::warn!(peer = %self.peer, status = reply.status, "request dropped, it names no address to answer to");
            return;
        }
        match std::str::from_utf8(reply.body.as_ref()) {
            Ok(json) => self.session.answer(&reply.request_id, json, ack),
            Err(error) => tracing::error!(%error, "a response of the host is not UTF-8"),
        }
    }

    /// Moves what the host has for this client into its session: the next answer, the next notification.
    /// `Ready(Ok)` when something was moved.
    pub(crate) fn poll_host(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        if self.session.accepts_answers()
            && let Poll::Ready(Some((reply, ack))) = self.answers.poll_next_unpin(cx)
        {
            self.answer(&reply, ack);
            return Poll::Ready(Ok(()));
        }
        let Some(connection) = &self.connection else { return Poll::Pending };
        connection.poll_received(cx).map(|received| match received {
            Received::Notification(notification) => self.notify(notification),
            Received::Closed { code, reason } => Err(End::Closed { code, reason: reason.into() }),
        })
    }

    /// Sends a notification whose payload is the packet already: see [`Server::encode`](crate::server::Server::encode).
    fn notify(&mut self, notification: Notification) -> Result<(), End> {
        let Ok(packet) = ByteString::try_from(Bytes::from(notification.payload)) else { return Ok(()) };
        self.session.send(packet).map_err(End::Violation)
    }

    /// Tells the log and the counters why the session is over.
    pub(crate) fn log_end(&self, end: &End) {
        let counts = &self.server.counts;
        match end {
            End::Left | End::Drained => tracing::debug!(peer = %self.peer, reason = %end, "client closed"),
            End::Transport(_) | End::Expired(_) => {
                tracing::info!(peer = %self.peer, reason = %end, "client lost")
            }
            End::Violation(_) | End::TooLarge | End::Closed { .. } => {
                if matches!(end, End::Violation(Violation::SlowConsumer)) {
                    counts.slow.add(1);
                }
                counts.refused.add(1);
                tracing::warn!(peer = %self.peer, reason = %end, "client closed");
            }
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Left => f.write_str("the client left"),
            End::Transport(found) => f.write_str(found),
            End::TooLarge => f.write_str("a message is larger than `message_max_bytes`"),
            End::Violation(violation) => violation.fmt(f),
            End::Expired(expired) => expired.fmt(f),
            End::Closed { code, reason } => write!(f, "closed by the host with status {code}: {reason}"),
            End::Drained => f.write_str("the server stops"),
        }
    }
}
