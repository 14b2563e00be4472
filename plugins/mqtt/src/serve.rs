//! One connection: bytes in, bytes out, and the time.
//!
//! One task does all of it, a turn at a time: it reads once, does what the session asks for, takes what the broker says,
//! and writes what came of both in one call.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use kuzzle_mqtt_proto::{codec::ReasonCode, session::End};
use kuzzle_plugin_api::sdk::Connection;
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Sleep, sleep_until, timeout},
};

use crate::{buffers, client::Client, server::Shared};

/// Turns before other connections get theirs.
const TURNS: usize = 16;
/// How long a client that is closed has to take the last packets and to leave, and the broker to take what it published.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// What a client that is closed may still send, unread.
const DISCARD_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Serves a connection until it ends.
///
/// # Errors
///
/// Why it ended, when that was a fault of the client (`InvalidData`) or of the socket.
pub(crate) async fn serve(server: Shared, socket: Connection) -> io::Result<()> {
    let lifecycle = socket.lifecycle();
    let mut served = Served {
        client: Client::new(&server, socket.info()),
        server,
        socket,
        armed: None,
        give_up_at: None,
        is_flushed: true,
        failure: None,
    };
    {
        let mut timer = pin!(sleep_until(tokio::time::Instant::now()));
        let mut stopping = pin!(lifecycle.stopping());
        poll_fn(|cx| served.poll(cx, timer.as_mut(), stopping.as_mut())).await;
    }
    // Boxed: it is short, and each idle connection would carry its room.
    Box::pin(served.end()).await
}

struct Served {
    server: Shared,
    socket: Connection,
    client: Client,
    /// When the timer fires, in the time of sessions.
    armed: Option<Duration>,
    /// When a client that was told to leave is closed whatever the broker says.
    give_up_at: Option<Duration>,
    /// Whether what was written has left this process.
    is_flushed: bool,
    /// What ended the socket.
    failure: Option<io::Error>,
}

impl Served {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
        stopping: Pin<&mut impl Future<Output = ()>>,
    ) -> Poll<()> {
        if self.give_up_at.is_none() && stopping.poll(cx).is_ready() {
            self.give_up_at = Some(self.server.now() + CLOSE_TIMEOUT);
            self.client.session.disconnect(ReasonCode::ServerShuttingDown);
            self.client.act();
        }
        buffers::lend_output(self.client.session.output());
        let mut is_done = false;
        for _ in 0..TURNS {
            let has_read = self.read(cx);
            let has_heard = self.client.poll_broker(cx);
            let has_written = self.write(cx);
            let is_late = self.keep_time(cx, timer.as_mut());
            if self.client.is_closed() {
                break;
            }
            is_done = !(has_read || has_heard || has_written || is_late);
            if is_done {
                break;
            }
        }
        self.client.input.give_back();
        buffers::give_back_output(self.client.session.output());
        if self.client.is_closed() {
            return Poll::Ready(());
        }
        if !is_done {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Handles what is left from before, and reads once.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        self.client.handle_input();
        if !self.client.session.wants_input() || self.client.is_closed() {
            return false;
        }
        self.client.input.lend();
        let read = {
            let mut reading = pin!(self.socket.read_buf(&mut self.client.input.bytes));
            reading.as_mut().poll(cx)
        };
        match read {
            Poll::Pending => return false,
            Poll::Ready(Ok(0)) => self.lost(None),
            Poll::Ready(Ok(_)) => self.client.handle_input(),
            Poll::Ready(Err(error)) => self.lost(Some(error)),
        }
        true
    }

    /// Writes what there is.
    fn write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_written = false;
        loop {
            let output = self.client.session.output();
            let socket = Pin::new(&mut self.socket);
            let polled = if !output.is_empty() {
                self.is_flushed = false;
                socket.poll_write(cx, output).map_ok(|written| take_off(output, written))
            } else if !self.is_flushed {
                socket.poll_flush(cx).map_ok(|()| self.is_flushed = true)
            } else {
                return has_written;
            };
            match polled {
                Poll::Pending => return has_written,
                Poll::Ready(Ok(())) => has_written = true,
                Poll::Ready(Err(error)) => {
                    self.client.session.output().clear();
                    self.is_flushed = true;
                    self.lost(Some(error));
                    return true;
                }
            }
        }
    }

    fn lost(&mut self, error: Option<io::Error>) {
        self.failure = self.failure.take().or(error);
        self.client.session.handle_lost();
        self.client.act();
    }

    /// Tells the session the time when that is due. Whether it was.
    fn keep_time(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> bool {
        let of_session = self.client.session.deadline();
        let Some(deadline) = of_session.into_iter().chain(self.give_up_at).min() else { return false };
        // A later deadline waits for the timer to fire: most packets move the deadline, and moving a timer costs.
        if self.armed.is_none_or(|armed| deadline < armed) {
            self.arm(timer.as_mut(), deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            let now = self.server.now();
            if now < deadline {
                self.arm(timer.as_mut(), deadline);
                continue;
            }
            self.armed = None;
            self.client.session.handle_timeout(now);
            self.client.act();
            if self.give_up_at.is_some_and(|at| now >= at) {
                self.client.close();
            }
            return true;
        }
        false
    }

    fn arm(&mut self, timer: Pin<&mut Sleep>, deadline: Duration) {
        self.armed = Some(deadline);
        timer.reset(self.server.instant(deadline));
    }

    /// Writes the last packets, and says how it ended.
    async fn end(mut self) -> io::Result<()> {
        let counts = &self.server.counts;
        let end = self.client.session.end().cloned();
        let is_ours = matches!(end, Some(End::Refused { .. } | End::Closed { .. }));
        match &end {
            Some(End::Refused { .. }) => counts.refused.add(1),
            Some(End::Closed { reason, .. }) if is_fault(*reason) => counts.faults.add(1),
            _ => {}
        }
        if self.failure.is_none() && end != Some(End::Lost) {
            let output = std::mem::take(self.client.session.output());
            let goodbye = say_goodbye(&mut self.socket, &output, is_ours);
            // One that does not take it in time is closed without.
            if let Ok(Err(error)) = timeout(CLOSE_TIMEOUT, goodbye).await {
                tracing::debug!(%error, "the last packets did not reach a client");
            }
        }
        let client = self.client.session.client_id();
        let (Some(end), failure) = (end, self.failure) else { return Ok(()) };
        match &end {
            End::Refused { reason, .. } | End::Closed { reason, .. } if is_fault(*reason) => {
                Err(io::Error::new(io::ErrorKind::InvalidData, format!("client {client:?}: {end}")))
            }
            _ => {
                tracing::debug!(client, %end, "client left");
                failure.map_or(Ok(()), Err)
            }
        }
    }
}

fn take_off(output: &mut BytesMut, written: usize) {
    if written == output.len() {
        output.clear();
    } else {
        output.advance(written);
    }
}

/// Sends what is left and ends the stream. A socket that is closed with something unread takes back what the client has
/// not read, so that what it still sends is read and thrown away until it has seen the end.
async fn say_goodbye(socket: &mut Connection, output: &[u8], waits: bool) -> io::Result<()> {
    socket.write_all(output).await?;
    socket.shutdown().await?;
    if waits {
        let mut unread = socket.take(DISCARD_MAX_BYTES);
        tokio::io::copy(&mut unread, &mut tokio::io::sink()).await?;
    }
    Ok(())
}

/// Whether a reason is a fault of the client's that is worth a warning.
fn is_fault(reason: ReasonCode) -> bool {
    use ReasonCode::*;
    matches!(
        reason,
        MalformedPacket
            | ProtocolError
            | UnsupportedProtocolVersion
            | ClientIdentifierNotValid
            | BadUserNameOrPassword
            | NotAuthorized
            | BadAuthenticationMethod
            | TopicFilterInvalid
            | TopicNameInvalid
            | ReceiveMaximumExceeded
            | TopicAliasInvalid
            | PacketTooLarge
            | QuotaExceeded
            | KeepAliveTimeout
            | MaximumConnectTime
    )
}
