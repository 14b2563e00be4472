//! One client: what its session asks of the broker is done, and what the broker says is told to its session.

mod calls;
mod events;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use kuzzle_mqtt_proto::{
    codec::Version,
    session::{Action, Credentials, Event, PublishBatch, SESSION_CONSUMER, Session},
};
use kuzzle_plugin_api::sdk::{
    Blob, ConnectionInfo,
    broker::{Connection, Enter, Link, LinkOptions, Refusal},
};
use uuid::Uuid;

use crate::{
    buffers::Input,
    server::{Connected, Shared},
};

/// Batches of events that are taken in one go before what came of them is written.
const EVENT_BATCHES_MAX: usize = 16;

/// One client of MQTT.
pub(crate) struct Client {
    server: Shared,
    /// What the host is told of it, once.
    info: Option<ConnectionInfo>,
    /// The protocol.
    pub(crate) session: Session,
    /// What was read and not handled yet.
    pub(crate) input: Input,
    // Before the connection, so that it is closed first.
    link: Option<Link>,
    connection: Option<Connection>,
    /// What the broker is asked and has not answered, of that which comes by itself.
    reply: Option<Pin<Box<dyn Future<Output = Event<'static>> + Send>>>,
    /// Why there is no link.
    link_refused: Option<u16>,
    /// Whether it has published: only then does an alarm concern it.
    has_published: bool,
    is_closed: bool,
    connected: Option<Connected>,
}

impl Client {
    /// A client that has connected just now.
    pub(crate) fn new(server: &Shared, info: ConnectionInfo) -> Self {
        let session = Session::new(Arc::clone(&server.config), Uuid::new_v4().as_u128(), server.now());
        Self {
            server: Arc::clone(server),
            info: Some(info),
            session,
            input: Input::default(),
            link: None,
            connection: None,
            reply: None,
            link_refused: None,
            has_published: false,
            is_closed: false,
            connected: None,
        }
    }

    /// Whether the session is over for the broker, and what is left is to write its output.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Handles what was read, as far as the session wants it. What is left after that is half a packet, or waits for the
    /// broker or for the client to read.
    pub(crate) fn handle_input(&mut self) {
        let mut goes_on = !self.input.bytes.is_empty();
        while goes_on && !self.is_closed {
            goes_on = self.session.handle_input(&mut self.input.bytes, self.server.now());
            self.act();
        }
    }

    /// Takes what the broker has to say. Whether it said something.
    pub(crate) fn poll_broker(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_said = false;
        if let Some(reply) = &mut self.reply
            && let Poll::Ready(event) = reply.as_mut().poll(cx)
        {
            self.reply = None;
            self.session.handle_event(event, self.server.now());
            self.act();
            has_said = true;
        }
        for _ in 0..EVENT_BATCHES_MAX {
            if !self.session.wants_events() {
                break;
            }
            let Some(connection) = &self.connection else { break };
            let Poll::Ready(taken) = connection.poll_events(cx) else { break };
            self.tell(taken.events);
            self.act();
            has_said = true;
        }
        has_said
    }

    /// Does what the session asks for.
    pub(crate) fn act(&mut self) {
        while !self.is_closed
            && let Some(action) = self.session.poll_action()
        {
            self.execute(action);
        }
    }

    /// Ends it, though the session may have things to do.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.reply = None;
        self.link = None;
        self.connection = None;
        self.connected = None;
    }

    fn execute(&mut self, action: Action) {
        match action {
            Action::Publish(batch) => self.publish(batch),
            Action::Authenticate(credentials) => self.authenticate(credentials),
            Action::Enter { virtual_host, client } => self.enter(&virtual_host, &client),
            Action::OpenLink => self.open_link(),
            Action::Close => self.close(),
            Action::Attach(attach) if self.link.is_none() => {
                let code = self.link_refused.unwrap_or(NOT_OPEN);
                let text = "the broker opened no link";
                let refused = Event::Answer { op: attach.op, code, existed: false, text };
                self.session.handle_event(refused, self.server.now());
            }
            Action::Consume(consume) if consume.consumer == SESSION_CONSUMER => {
                self.connected = Some(Connected::new(&self.server, self.session.version()));
                self.call(&Action::Consume(consume));
            }
            call => self.call(&call),
        }
    }

    fn call(&mut self, action: &Action) {
        if self.link.as_ref().is_some_and(|link| calls::call(link, action)) {
            self.session.handle_event(Event::Throttled, self.server.now());
        }
    }

    fn publish(&mut self, mut batch: PublishBatch) {
        let Some(link) = &self.link else { return };
        self.has_published = true;
        let accepted = calls::publish(link, &batch);
        let taken = accepted.taken as usize;
        self.server.counts.received.add(taken);
        if taken < batch.messages.len() && accepted.throttled {
            batch.messages.drain(..taken);
            batch.first_sequence += taken as u64;
            self.session.publish_again(batch);
        } else if accepted.throttled {
            self.session.handle_event(Event::Throttled, self.server.now());
        }
    }

    fn authenticate(&mut self, credentials: Credentials) {
        let version = version_text(self.session.version());
        let info = self.info.take().unwrap_or_default().with("version", version);
        let connection = match self.server.host.broker().open(&info) {
            Ok(connection) => connection,
            Err(error) => {
                tracing::debug!(%error, "the broker refused a connection");
                let status = code(error.status);
                return self.session.handle_event(Event::Authenticated { status }, self.server.now());
            }
        };
        let (mechanism, credentials) = match &credentials {
            Credentials::Anonymous => ("ANONYMOUS", Blob::empty()),
            Credentials::Plain { user, password } => {
                ("PLAIN", Blob::from([&b"\0"[..], user.as_bytes(), b"\0", &password[..]].concat()))
            }
        };
        let reply = connection.authenticate(mechanism, credentials);
        self.reply = Some(Box::pin(async move {
            let status = reply.await.map_or_else(|refusal| code(refusal.code), |_user| OK);
            Event::Authenticated { status }
        }));
        self.connection = Some(connection);
    }

    fn enter(&mut self, virtual_host: &str, client: &str) {
        let Some(connection) = &self.connection else { return };
        let reply = connection.enter(&Enter::new(virtual_host, client));
        self.reply = Some(Box::pin(async move {
            let code = reply.await.map_or_else(|refusal| entered_code(&refusal), |()| OK);
            Event::Entered { code }
        }));
    }

    fn open_link(&mut self) {
        let Some(connection) = &self.connection else { return };
        // No less than what its consumers may leave waiting, which would be dropped.
        let config = &self.server.config;
        let options = LinkOptions {
            outbox_events: config.outbox_max_events,
            outbox_bytes: config.outbox_max_bytes,
            ..LinkOptions::default()
        };
        match connection.open_link(options) {
            Ok(link) => {
                let _not_throttled = link.confirm(0, true);
                self.link = Some(link);
            }
            Err(error) => {
                tracing::debug!(%error, "the broker refused a link");
                self.link_refused = Some(code(error.status));
            }
        }
    }
}

const OK: u16 = 200;
/// What an attachment is refused with where the broker said nothing.
const NOT_OPEN: u16 = 503;

/// A status or reply code of the host as sessions have them.
fn code(code: u32) -> u16 {
    u16::try_from(code).unwrap_or(u16::MAX)
}

/// Whether there is no such virtual host (404) or the user may not enter it (403). AMQP's code is the same for both.
fn entered_code(refusal: &Refusal) -> u16 {
    const NO_ACCESS: &str = "refused for user";
    match code(refusal.code) {
        530 if refusal.text.contains(NO_ACCESS) => 403,
        other => other,
    }
}

fn version_text(version: Version) -> &'static str {
    match version {
        Version::V31 => "3.1",
        Version::V311 => "3.1.1",
        Version::V5 => "5.0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_host_that_is_not_there_is_told_from_one_that_is_barred() {
        let refusal = |text: &str| Refusal { code: 530, text: text.into() };
        assert_eq!(entered_code(&refusal("NOT_ALLOWED - vhost /x not found")), 530);
        let barred = "NOT_ALLOWED - access to vhost '/' refused for user 'guest'";
        assert_eq!(entered_code(&refusal(barred)), 403);
    }
}
