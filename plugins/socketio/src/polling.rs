//! A client on long-polling: one task owns it, the HTTP exchanges talk to that task.

use std::{
    future::poll_fn,
    time::{Duration, Instant},
};

use bytes::Bytes;
use kuzzle_socketio_proto::{
    ByteString, packet,
    payload::{Decoder, Framing},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep_until,
};

use crate::{
    client::{Client, End},
    sessions::Place,
};

/// The way to a session's task, for the exchanges that name the session. Every answer is `None` once the session is over.
#[derive(Clone)]
pub(crate) struct Handle {
    commands: mpsc::Sender<Command>,
}

/// The body that a poll is answered with.
pub(crate) struct Polled {
    pub(crate) body: Bytes,
    pub(crate) content_type: &'static str,
}

/// What an exchange asks of the session.
pub(crate) enum Command {
    /// Wait for packets. `Err` says why this poll is refused.
    Poll(oneshot::Sender<Result<Polled, &'static str>>),
    /// Take packets. `Err` says which rule the body broke.
    Post(Decoder, oneshot::Sender<Result<(), &'static str>>),
    /// A WebSocket has asked to take over: polls end soon, so that the client can pause.
    Probe,
    /// It will not take over after all.
    ProbeFailed,
    /// It takes over: the client moves there.
    Upgrade(oneshot::Sender<Box<Client>>),
}

/// Commands that may wait for one session: a poll and a post, and those of one upgrade.
const COMMANDS_MAX: usize = 4;
/// While an upgrade is probed, a waiting poll is ended this often.
const PROBE_PAUSE: Duration = Duration::from_millis(100);
/// How long a drained client has to fetch its last packets.
const LAST_POLL_TIMEOUT: Duration = Duration::from_secs(3);

impl Handle {
    /// A handle and the end that its session's task reads.
    pub(crate) fn new() -> (Handle, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        (Handle { commands }, receiver)
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.ok()?;
        answered.await.ok()
    }

    /// Waits for packets.
    pub(crate) async fn poll(&self) -> Option<Result<Polled, &'static str>> {
        self.ask(Command::Poll).await
    }

    /// Hands over posted packets, and waits until each is taken.
    pub(crate) async fn post(&self, decoder: Decoder) -> Option<Result<(), &'static str>> {
        self.ask(|done| Command::Post(decoder, done)).await
    }

    /// Announces an upgrade, or that it failed.
    pub(crate) async fn probe(&self, failed: bool) -> Option<()> {
        self.commands.send(if failed { Command::ProbeFailed } else { Command::Probe }).await.ok()
    }

    /// Takes the client over.
    pub(crate) async fn upgrade(&self) -> Option<Box<Client>> {
        self.ask(Command::Upgrade).await
    }
}

/// Runs a session until it ends or moves to a WebSocket.
pub(crate) async fn run(client: Box<Client>, framing: Framing, mut place: Place) {
    let lifecycle = client.lifecycle();
    let mut session = Polling { client, framing, poll: None, post: None, noop_at: None };
    let mut drain = std::pin::pin!(lifecycle.draining());
    let mut draining_until = None;
    let end = loop {
        if let Err(end) = session.progress() {
            break end;
        }
        if let Some(until) = draining_until {
            let told = session.client.is_idle() && session.poll.is_none();
            if told || Instant::now() >= until {
                break End::Drained;
            }
        }
        let deadline = session.deadline(draining_until);
        let step = tokio::select! {
            command = place.commands.recv() => match command {
                Some(Command::Upgrade(to)) => return session.hand_over(to),
                Some(command) => session.take(command),
                None => Err(End::Left),
            },
            moved = poll_fn(|cx| session.client.poll_host(cx)) => moved,
            () = poll_gone(&mut session.poll) => Err(End::Transport("a poll was given up by the client".into())),
            () = sleep_until(deadline.into()) => session.client.session.handle_timeout(Instant::now()).map_err(End::Expired),
            () = &mut drain, if draining_until.is_none() => {
                draining_until = Some(Instant::now() + LAST_POLL_TIMEOUT);
                session.client.session.send(packet::CLOSE).map_err(End::Violation)
            }
        };
        if let Err(end) = step {
            break end;
        }
    };
    session.finish(end);
}

struct Polling {
    client: Box<Client>,
    framing: Framing,
    /// The poll that waits.
    poll: Option<oneshot::Sender<Result<Polled, &'static str>>>,
    /// The post whose packets are not all taken yet.
    post: Option<(Decoder, oneshot::Sender<Result<(), &'static str>>)>,
    /// While an upgrade is probed: when a waiting poll is to be ended.
    noop_at: Option<Instant>,
}

impl Polling {
    fn take(&mut self, command: Command) -> Result<(), End> {
        match command {
            Command::Poll(answer) => {
                if self.poll.is_some() {
                    let _ = answer.send(Err("Overlapping polls"));
                    return Err(End::Transport("two polls of one session overlap".into()));
                }
                self.poll = Some(answer);
            }
            Command::Post(decoder, done) => {
                if self.post.is_some() {
                    let _ = done.send(Err("Overlapping posts"));
                    return Err(End::Transport("two posts of one session overlap".into()));
                }
                self.post = Some((decoder, done));
            }
            Command::Probe => self.noop_at = Some(Instant::now()),
            Command::ProbeFailed => self.noop_at = None,
            // Taken by the caller, which owns the session.
            Command::Upgrade(_) => {}
        }
        Ok(())
    }

    /// Takes what was posted and answers the poll, as far as both are possible now.
    fn progress(&mut self) -> Result<(), End> {
        while self.client.can_read() {
            let Some((decoder, _)) = &mut self.post else { break };
            let taken = match decoder.next_packet(&mut self.client.session.encoding) {
                Some(Ok(packet)) => self.client.handle(packet, Instant::now()),
                Some(Err(error)) => Err(End::Transport(error.to_string())),
                None => {
                    if let Some((_, done)) = self.post.take() {
                        let _ = done.send(Ok(()));
                    }
                    break;
                }
            };
            if let Err(end) = taken {
                if let Some((_, done)) = self.post.take() {
                    let _ =
                        done.send(if matches!(end, End::Left) { Ok(()) } else { Err("Malformed payload") });
                }
                return Err(end);
            }
        }
        if self.poll.is_some() && self.client.session.has_transmit() {
            let packets = self.client.session.take_payload(self.client.payload_max_bytes());
            return self.answer_poll(&packets);
        }
        if self.poll.is_some() && self.noop_at.is_some_and(|at| at <= Instant::now()) {
            self.noop_at = Some(Instant::now() + PROBE_PAUSE);
            return self.answer_poll(&[packet::NOOP]);
        }
        Ok(())
    }

    fn answer_poll(&mut self, packets: &[ByteString]) -> Result<(), End> {
        let Some(poll) = self.poll.take() else { return Ok(()) };
        let polled = Polled { body: self.framing.encode(packets), content_type: self.framing.content_type() };
        poll.send(Ok(polled)).map_err(|_| End::Transport("a poll was given up by the client".into()))
    }

    fn deadline(&self, draining_until: Option<Instant>) -> Instant {
        let mut deadline = self.client.session.deadline();
        if self.poll.is_some() {
            deadline = self.noop_at.map_or(deadline, |at| deadline.min(at));
        }
        draining_until.map_or(deadline, |until| deadline.min(until))
    }

    fn hand_over(mut self, to: oneshot::Sender<Box<Client>>) {
        let _ = self.answer_poll(&[packet::NOOP]);
        if let Err(client) = to.send(self.client) {
            client.log_end(&End::Transport("the WebSocket was gone before the upgrade ended".into()));
        }
    }

    fn finish(mut self, end: End) {
        let last = if matches!(end, End::Left) { packet::NOOP } else { packet::CLOSE };
        let _ = self.answer_poll(&[last]);
        if let Some((_, done)) = self.post.take() {
            let _ = done.send(Err("The session is over"));
        }
        self.client.log_end(&end);
    }
}

/// Resolves when the client gave its waiting poll up; never while none waits.
async fn poll_gone(poll: &mut Option<oneshot::Sender<Result<Polled, &'static str>>>) {
    match poll {
        Some(poll) => poll.closed().await,
        None => std::future::pending().await,
    }
}
