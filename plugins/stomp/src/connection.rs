//! One connection: its task reads, acts, takes events, writes and keeps the time.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::{Pin, pin},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use futures_util::{StreamExt, stream::FuturesUnordered};
use kuzzle_plugin_api::sdk::{
    ApiError, Blob, Connection,
    broker::{
        self, Budget, CODE_RESOURCE_ERROR, ConnectionEvents, Enter, Event, LINK_STOPS_AT_ERROR, Link,
        LinkOptions, Refusal,
    },
    serde_json::json,
};
use kuzzle_stomp_proto::{
    codec::Version,
    session::{Action, Ending, Entered, LinkEvent, Publish, Received, Session},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::{Sleep, sleep_until, timeout},
};

use crate::{
    actions, events,
    server::{Counts, Shared},
};

/// What is read in one call.
const READ_BYTES: usize = 64 * 1024;
/// Once so much waits to be written, it is, before more events are taken.
const WRITE_BYTES: usize = 64 * 1024;
/// How often a connection goes round before others get their turn.
const TURNS: usize = 16;
/// How long a client has to take the last words when the server stops.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a client has to leave once all is said.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);
/// What a client that is closed may still send, unread.
const DISCARD_MAX_BYTES: usize = 16 * 1024 * 1024;
/// For a timer that waits for nothing.
const FAR_AWAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Serves a client until it ends.
pub(crate) async fn serve(server: Shared, socket: Connection) -> io::Result<()> {
    let mut client = Box::new(Client::new(server, socket));
    let end = {
        let lifecycle = client.socket.lifecycle();
        let mut timer = pin!(sleep_until((client.server.instant(client.server.now()) + FAR_AWAY).into()));
        let mut stopping = pin!(lifecycle.stopping());
        poll_fn(|context| client.poll(context, timer.as_mut(), stopping.as_mut())).await?
    };
    client.count(&end);
    let Client { socket, link, broker, .. } = *client;
    // First the broker, so that what is unacknowledged goes to others at once.
    drop(link);
    drop(broker);
    if !matches!(end, End::Left | End::Session(Ending::WriteTimeout | Ending::HeartBeatTimeout)) {
        // Boxed: it is short, and each idle connection would carry its room.
        Box::pin(leave(socket)).await;
    }
    end.into_result()
}

/// Closes a socket: with bytes unread, closing would take our last words back.
async fn leave(mut socket: Connection) {
    let _ = timeout(LEAVE_TIMEOUT, async {
        socket.shutdown().await.ok()?;
        let (mut discarded, mut scratch) = (0, [0; 2048]);
        while discarded < DISCARD_MAX_BYTES {
            match socket.read(&mut scratch).await {
                Ok(0) | Err(_) => break,
                Ok(read) => discarded += read,
            }
        }
        Some(())
    })
    .await;
}

/// How a connection ended.
#[derive(Debug)]
enum End {
    /// In one of the protocol's ways.
    Session(Ending),
    /// The client has closed its socket.
    Left,
}

impl End {
    fn into_result(self) -> io::Result<()> {
        use io::ErrorKind::{InvalidData, TimedOut, UnexpectedEof};
        let (kind, text) = match self {
            End::Session(Ending::Disconnected | Ending::ClosedByServer) => return Ok(()),
            End::Session(Ending::Error) => (InvalidData, "the client was told an error and closed"),
            End::Session(Ending::ConnectTimeout) => (TimedOut, "the client did not connect in time"),
            End::Session(Ending::HeartBeatTimeout) => (TimedOut, "nothing came for three heart-beats"),
            End::Session(Ending::WriteTimeout) => (TimedOut, "the client did not read"),
            End::Left => (UnexpectedEof, "the client left without a DISCONNECT"),
        };
        Err(io::Error::new(kind, text))
    }
}

/// Something that the broker was asked has come to its end.
enum Completed {
    /// Who the client is.
    Authenticated(Result<String, Refusal>),
    /// Whether it may enter its virtual host.
    Entered(Result<(), Refusal>),
    /// What was published is answered, or the time for it is over.
    Quiesced,
}

type Completion = Pin<Box<dyn Future<Output = Completed> + Send>>;

/// One more in one of the numbers that operators see, as long as it lives.
struct Counted {
    server: Shared,
    number: Number,
}

/// Which of the numbers.
#[derive(Clone, Copy)]
enum Number {
    Clients(Version),
    Throttled,
}

impl Number {
    fn of(self, counts: &Counts) -> &AtomicU64 {
        match self {
            Number::Clients(version) => counts.clients_of(version),
            Number::Throttled => &counts.throttled,
        }
    }
}

impl Counted {
    fn new(server: &Shared, number: Number) -> Counted {
        number.of(&server.counts).fetch_add(1, Relaxed);
        Counted { server: server.clone(), number }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.number.of(&self.server.counts).fetch_sub(1, Relaxed);
    }
}

/// A client on its socket.
struct Client {
    server: Shared,
    socket: Connection,
    session: Session,
    /// What was read and is not a whole frame yet, or has to wait.
    input: BytesMut,
    /// The client has closed its side, after its last word.
    silent: bool,
    /// Whether the input is to be handed over again before more is read.
    interrupted: bool,
    /// Whether the socket may hold bytes that it has not sent yet.
    unflushed: bool,
    link: Option<Link>,
    connected: Option<Counted>,
    /// There once the client says who it is.
    broker: Option<broker::Connection>,
    completions: FuturesUnordered<Completion>,
    throttled: Option<Counted>,
    stopping: bool,
    ending: Option<Ending>,
    /// When the client is left, whatever still waits for it.
    leave_at: Option<Duration>,
}

impl Client {
    fn new(server: Shared, socket: Connection) -> Client {
        Client {
            session: server.session(),
            server,
            socket,
            input: BytesMut::new(),
            silent: false,
            interrupted: false,
            unflushed: false,
            link: None,
            connected: None,
            broker: None,
            completions: FuturesUnordered::new(),
            throttled: None,
            stopping: false,
            ending: None,
            leave_at: None,
        }
    }

    /// Does all that can be done; ready when the connection is over.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
        stopping: Pin<&mut impl Future<Output = ()>>,
    ) -> Poll<io::Result<End>> {
        if !self.stopping && stopping.poll(context).is_ready() {
            self.stop();
        }
        for _ in 0..TURNS {
            let now = self.server.now();
            let mut moved = match self.poll_input(context, now) {
                Ok(Some(moved)) => moved,
                Ok(None) => return Poll::Ready(Ok(self.ending.map_or(End::Left, End::Session))),
                Err(error) => return Poll::Ready(Err(error)),
            };
            moved |= self.act(now);
            moved |= self.poll_completions(context, now);
            moved |= self.poll_events(context, now);
            match self.poll_output(context, now) {
                Ok(wrote) => moved |= wrote,
                Err(error) => return Poll::Ready(Err(error)),
            }
            if let Some(ending) = self.ending {
                let all_said = self.session.output().is_empty() && !self.unflushed;
                if all_said || self.leave_at.is_some_and(|at| at <= now) {
                    return Poll::Ready(Ok(End::Session(ending)));
                }
            }
            moved |= self.poll_time(context, timer.as_mut());
            if !moved {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Says goodbye.
    fn stop(&mut self) {
        let now = self.server.now();
        self.stopping = true;
        let reason = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";
        self.session.close("connection_forced", reason, now);
        self.leave_at.get_or_insert(now + GOODBYE_TIMEOUT);
    }

    /// Reads once, and hands over what there is. `None` when the client has left.
    fn poll_input(&mut self, context: &mut Context<'_>, now: Duration) -> io::Result<Option<bool>> {
        if self.silent || !self.session.wants_input() {
            return Ok(Some(false));
        }
        if !self.interrupted {
            match self.poll_read(context) {
                Poll::Ready(Ok(0)) if self.session.is_ending() => {
                    self.silent = true;
                    return Ok(Some(false));
                }
                Poll::Ready(Ok(0)) => return Ok(None),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(Some(false)),
            }
        }
        self.interrupted = self.session.receive(&mut self.input, now) == Received::Interrupted;
        if self.input.is_empty() {
            // An idle connection keeps no buffer.
            self.input = BytesMut::new();
        }
        Ok(Some(true))
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut scratch = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut read = ReadBuf::uninit(&mut scratch);
        let polled = Pin::new(&mut self.socket).poll_read(context, &mut read);
        polled.map_ok(|()| {
            let read = read.filled();
            if self.input.is_empty() {
                self.input = BytesMut::from(read);
            } else {
                self.input.extend_from_slice(read);
            }
            read.len()
        })
    }

    /// Does what the session wants done.
    fn act(&mut self, now: Duration) -> bool {
        let mut moved = false;
        while let Some(action) = self.session.poll_action() {
            moved = true;
            self.carry_out(action, now);
        }
        moved
    }

    fn carry_out(&mut self, action: Action, now: Duration) {
        match action {
            Action::Publish { first_seq, messages } => self.publish(first_seq, messages),
            Action::Settle { op, settlements } => {
                self.on_link(|link| link.settle(op, &actions::settles(&settlements)));
            }
            Action::Commit { op, first_seq, messages, settlements } => {
                let (publishes, settles) = (actions::publishes(&messages), actions::settles(&settlements));
                self.server.counts.published.add(publishes.len() as u64);
                self.on_link(|link| link.commit(op, first_seq, &publishes, &settles));
            }
            Action::Call { op, operation } => self.on_link(|link| actions::call(link, op, &operation)),
            Action::OpenLink => self.open_link(now),
            Action::Quiesce { within } => match &self.link {
                Some(open) => {
                    let quiesced = open.quiesce(within);
                    self.completions.push(Box::pin(async move {
                        quiesced.await;
                        Completed::Quiesced
                    }));
                }
                None => self.session.quiesced(now),
            },
            Action::Authenticate { credentials } => {
                self.authenticate(Blob::from_owner(credentials), now);
            }
            Action::Enter { virtual_host, client_name, session_id, version } => {
                let Some(broker) = &self.broker else { return };
                let info = json!({ "protocol_version": version.name(), "session": &*session_id }).to_string();
                let enter = Enter { info: info.as_str().into(), ..Enter::new(&virtual_host, &client_name) };
                let entered = broker.enter(&enter);
                self.completions.push(Box::pin(async move { Completed::Entered(entered.await) }));
            }
            Action::Close(ending) => {
                self.ending = Some(ending);
                let patience = match ending {
                    Ending::WriteTimeout | Ending::HeartBeatTimeout => Duration::ZERO,
                    _ => GOODBYE_TIMEOUT,
                };
                self.leave_at.get_or_insert(now + patience);
            }
        }
    }

    /// Makes a call that says whether it is throttled.
    fn on_link(&mut self, call: impl FnOnce(&Link) -> bool) {
        let throttled = self.link.as_ref().is_some_and(call);
        self.throttle(throttled);
    }

    fn publish(&mut self, first_seq: u64, mut messages: Vec<Publish>) {
        let Some(open) = &self.link else { return };
        let accepted = open.publish(first_seq, &actions::publishes(&messages));
        let taken = messages.len().min(accepted.taken as usize);
        self.server.counts.published.add(taken as u64);
        // Without being throttled, the link is not open any more, and says so itself.
        if accepted.throttled {
            self.session.not_taken(first_seq + taken as u64, messages.split_off(taken));
            self.throttle(true);
        }
    }

    fn throttle(&mut self, throttled: bool) {
        if throttled {
            self.session.throttle();
            self.throttled.get_or_insert_with(|| Counted::new(&self.server, Number::Throttled));
        }
    }

    fn open_link(&mut self, now: Duration) {
        let options = LinkOptions { flags: LINK_STOPS_AT_ERROR, ..LinkOptions::default() };
        let Some(broker) = &self.broker else { return };
        match broker.open_link(options) {
            Ok(link) => {
                self.link = Some(link);
                let number = Number::Clients(self.session.version());
                self.connected = Some(Counted::new(&self.server, number));
            }
            Err(error) => {
                tracing::warn!(peer = %self.socket.peer(), %error, "the host opens no link for a connection");
                let text = format!("RESOURCE_ERROR - {}", error.message);
                let closed = LinkEvent::Closed { code: CODE_RESOURCE_ERROR as u16, text: &text };
                self.session.link_event(closed, now);
            }
        }
    }

    fn authenticate(&mut self, credentials: Blob, now: Duration) {
        match self.open_broker() {
            Ok(broker) => {
                let authenticated = broker.authenticate("PLAIN", credentials);
                let completed = async move { Completed::Authenticated(authenticated.await) };
                self.completions.push(Box::pin(completed));
            }
            Err(error) => {
                tracing::warn!(peer = %self.socket.peer(), %error, "the host takes no more connections to the broker");
                self.session.close("resource_error", &error.message, now);
            }
        }
    }

    fn open_broker(&mut self) -> Result<&broker::Connection, ApiError> {
        // A client that was refused may try again.
        match &mut self.broker {
            Some(broker) => Ok(broker),
            none => Ok(none.insert(self.server.host.broker().open(&self.socket.info())?)),
        }
    }

    /// Takes what the broker was asked and has answered.
    fn poll_completions(&mut self, context: &mut Context<'_>, now: Duration) -> bool {
        let mut moved = false;
        while let Poll::Ready(Some(completed)) = self.completions.poll_next_unpin(context) {
            moved = true;
            match completed {
                Completed::Authenticated(result) => {
                    if let Err(refusal) = &result {
                        tracing::debug!(peer = %self.socket.peer(), %refusal, "a client is not who it says");
                    }
                    self.session.authenticated(result.is_ok(), now);
                }
                Completed::Entered(result) => {
                    let entered = events::entered(&result);
                    if entered == Entered::Barred {
                        tracing::debug!(peer = %self.socket.peer(), ?result, "a client may not enter a virtual host");
                    }
                    self.session.entered(entered, now);
                }
                Completed::Quiesced => self.session.quiesced(now),
            }
        }
        moved
    }

    /// Takes events, as long as there is room for what becomes of them.
    fn poll_events(&mut self, context: &mut Context<'_>, now: Duration) -> bool {
        let Some(broker) = &self.broker else { return false };
        let mut moved = false;
        while self.session.output().len() < WRITE_BYTES {
            let link = self.link.as_ref().map(Link::id);
            let session = &self.session;
            let polled = broker.poll_events_within(context, |id| {
                if Some(id) != link {
                    return Budget::FULL;
                }
                let budget = session.budget();
                Budget { events: budget.events, bytes: budget.bytes }
            });
            let Poll::Ready(ConnectionEvents { from, events }) = polled else { break };
            moved = true;
            if Some(from) == link {
                let mut delivered = 0;
                for event in events {
                    delivered += u64::from(matches!(event, Event::Delivery(_)));
                    events::tell(&mut self.session, &event, now);
                }
                if delivered > 0 {
                    self.server.counts.delivered.add(delivered);
                }
            } else if from == broker.id() {
                for event in events {
                    match event {
                        Event::Unblocked => {
                            self.throttled = None;
                            self.session.unblocked(now);
                        }
                        Event::Closed { refusal, .. } => {
                            self.session.close("connection_forced", &refusal.text, now);
                        }
                        _ => {}
                    }
                }
            }
        }
        moved
    }

    /// Writes what waits, as far as the socket takes it.
    fn poll_output(&mut self, context: &mut Context<'_>, now: Duration) -> io::Result<bool> {
        let mut moved = false;
        while !self.session.output().is_empty() {
            match Pin::new(&mut self.socket).poll_write(context, self.session.output()) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    self.session.wrote(written, now);
                    self.unflushed = true;
                    moved = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        if self.unflushed {
            match Pin::new(&mut self.socket).poll_flush(context) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {}
            }
        }
        Ok(moved)
    }

    /// Does what is due, and has the task woken for what comes next.
    fn poll_time(&mut self, context: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> bool {
        let next = |client: &Client| {
            let deadline = [client.session.deadline(), client.leave_at].into_iter().flatten().min();
            let now = client.server.now();
            client.server.instant(deadline.unwrap_or(now + FAR_AWAY)).into()
        };
        // A deadline that has moved away is met early once, which costs less than moving the timer with it each time.
        let deadline = next(self);
        if deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        }
        if timer.as_mut().poll(context).is_pending() {
            return false;
        }
        let now = self.server.now();
        self.session.handle_timeout(now);
        if self.leave_at.is_some_and(|at| at <= now) {
            self.ending.get_or_insert(Ending::ClosedByServer);
        }
        timer.as_mut().reset(next(self));
        true
    }

    fn count(&self, end: &End) {
        let counts = &self.server.counts;
        match end {
            End::Session(Ending::WriteTimeout) => counts.slow.add(1),
            End::Left | End::Session(Ending::Disconnected | Ending::ClosedByServer) => {}
            End::Session(_) => counts.refused.add(1),
        }
    }
}
