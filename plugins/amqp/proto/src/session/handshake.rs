//! Opening and closing the connection: what travels on channel 0.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::{
    Phase, Session,
    actions::{Action, Ending},
    fault::{Fault, MethodId, Octets, code},
    io::Capabilities,
};
use crate::codec::{
    Malformed,
    frame::{self, FRAME_MIN_SIZE, Payload},
    method::{Method, MethodError, connection},
    table::{Table, TableBuilder, TableView, Value},
};

/// What the server can do besides the specification; clients ask for these names.
const CAPABILITIES: &[&str] = &[
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
];

impl Session {
    pub(super) fn send_start(&mut self) {
        let capabilities = CAPABILITIES
            .iter()
            .fold(TableBuilder::new(), |table, name| table.field(name, Value::Bool(true)))
            .build();
        let limits = &self.io.limits;
        let server_properties = TableBuilder::new()
            .field("capabilities", Value::Table(capabilities.view()))
            .field("cluster_name", Value::text(&limits.cluster_name))
            .field("copyright", Value::text("Licensed under Apache-2.0"))
            .field("information", Value::text("AMQP 0-9-1 with RabbitMQ's extensions"))
            .field("platform", Value::text("Rust"))
            .field("product", Value::text(&limits.product))
            .field("version", Value::text(&limits.version))
            .build();
        let mechanisms: &'static [u8] =
            if limits.anonymous { b"AMQPLAIN PLAIN ANONYMOUS" } else { b"AMQPLAIN PLAIN" };
        let start = connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties,
            mechanisms: Bytes::from_static(mechanisms),
            locales: Bytes::from_static(b"en_US"),
        };
        self.io.send(0, start);
    }

    /// Takes a frame of channel 0.
    pub(super) fn connection_frame(&mut self, payload: Payload, now: Duration) -> Result<(), Fault> {
        let running = matches!(self.phase, Phase::Running);
        let octets = match payload {
            Payload::Heartbeat => return Ok(()),
            Payload::Method(octets) => octets,
            other if running => {
                let (kind, octets) = other.parts();
                let detail = format_args!("type {kind}, all octets = {}", Octets(octets));
                return Err(Fault::connection(code::UNEXPECTED_FRAME, (0, 0), detail));
            }
            _ => return Err(Fault::Refused),
        };
        let method = match Method::decode(&octets) {
            Ok(method) => method,
            Err(error) if running => return Err(undecoded(error)),
            Err(_) => return Err(Fault::Refused),
        };
        match (&self.phase, method) {
            (Phase::AwaitsStartOk { .. }, Method::ConnectionStartOk(method)) => self.start_ok(method, now),
            (Phase::AwaitsTuneOk { .. }, Method::ConnectionTuneOk(method)) => self.tune_ok(&method, now),
            (Phase::AwaitsOpen { .. }, Method::ConnectionOpen(method)) => {
                self.phase = Phase::Entering { until: now + self.io.limits.handshake_timeout };
                self.io.act(Action::Enter {
                    virtual_host: method.virtual_host,
                    client_name: client_name(&self.client_properties),
                    client_properties: std::mem::take(&mut self.client_properties),
                });
                Ok(())
            }
            (Phase::AwaitsTuneOk { .. } | Phase::AwaitsOpen { .. }, Method::ConnectionClose(_)) => {
                self.io.send(0, connection::CloseOk {});
                Err(Fault::Gone(Ending::ClosedByClient))
            }
            (Phase::Running, Method::ConnectionClose(_)) => {
                self.close_by_client(now);
                Ok(())
            }
            (Phase::Running, Method::ConnectionUpdateSecret(_)) => {
                // Passwords do not run out: there is nothing to renew.
                self.io.send(0, connection::UpdateSecretOk {});
                Ok(())
            }
            (Phase::Running, method) => Err(Fault::connection(
                code::CHANNEL_ERROR,
                method.id(),
                "unexpected method in connection state running",
            )),
            // The client has closed the connection: nothing it says counts.
            (Phase::ClosedByClient { .. }, _) => Ok(()),
            _ => Err(Fault::Refused),
        }
    }

    fn start_ok(&mut self, method: connection::StartOk, now: Duration) -> Result<(), Fault> {
        let connection::StartOk { client_properties, mechanism, response, .. } = method;
        let asked = match client_properties.get("capabilities") {
            Some(Value::Table(table)) => table,
            _ => TableView::default(),
        };
        let has = |name| asked.get(name) == Some(Value::Bool(true));
        self.io.capabilities = Capabilities {
            authentication_failure_close: has("authentication_failure_close"),
            consumer_cancel_notify: has("consumer_cancel_notify"),
            connection_blocked: has("connection.blocked"),
        };
        let (name, credentials) = match &mechanism[..] {
            "PLAIN" if is_plain(&response) => ("PLAIN", response),
            "AMQPLAIN" => ("PLAIN", amqplain(&response).ok_or(Fault::Refused)?),
            "ANONYMOUS" if self.io.limits.anonymous => ("ANONYMOUS", Bytes::new()),
            _ => return Err(Fault::Refused),
        };
        // Memory of its own: it stays as long as the connection is opening, and a little of it longer.
        self.client_properties =
            Table::from_raw(Bytes::copy_from_slice(client_properties.raw())).unwrap_or_default();
        self.mechanism = ByteString::from(&mechanism[..]);
        self.phase = Phase::Authenticating { until: now + self.io.limits.handshake_timeout };
        self.io.act(Action::Authenticate { mechanism: name, credentials });
        Ok(())
    }

    /// Tells who the client is, or that it is nobody.
    pub fn authenticated(&mut self, user: Option<&str>, now: Duration) {
        if !matches!(self.phase, Phase::Authenticating { .. }) {
            return;
        }
        let limits = &self.io.limits;
        let Some(user) = user else {
            if self.io.capabilities.authentication_failure_close {
                let detail = format!(
                    "Login was refused using authentication mechanism {}. For details see the broker logfile.",
                    self.mechanism
                );
                self.fail(0, Fault::connection(code::ACCESS_REFUSED, (0, 0), detail), now);
            } else {
                self.fail(0, Fault::Refused, now);
            }
            return;
        };
        let tune = connection::Tune {
            channel_max: limits.channel_max,
            frame_max: limits.frame_max,
            heartbeat: limits.heartbeat_secs,
        };
        self.phase = Phase::AwaitsTuneOk { until: now + limits.handshake_timeout };
        self.io.user = user.into();
        self.io.send(0, tune);
    }

    fn tune_ok(&mut self, method: &connection::TuneOk, now: Duration) -> Result<(), Fault> {
        let limits = &self.io.limits;
        let connection::TuneOk { channel_max, frame_max, heartbeat } = *method;
        let channels = 1..=limits.channel_max;
        let frames = FRAME_MIN_SIZE..=limits.frame_max.max(FRAME_MIN_SIZE);
        if !channels.contains(&channel_max) || !frames.contains(&frame_max) {
            return Err(Fault::Refused);
        }
        self.phase = Phase::AwaitsOpen { until: now + limits.handshake_timeout };
        self.channel_max = channel_max;
        self.io.frame_max = frame_max;
        self.heartbeat = Duration::from_secs(heartbeat.into());
        self.last_heard = now;
        self.next_beat = now + self.heartbeat / 2;
        self.beat_mark = self.io.written + self.io.out.len() as u64;
        Ok(())
    }

    /// Tells whether the virtual host is entered, and else AMQP's reply text, such as
    /// `NOT_ALLOWED - vhost /x not found`.
    pub fn entered(&mut self, refusal: Option<&str>, now: Duration) {
        if !matches!(self.phase, Phase::Entering { .. }) {
            return;
        }
        match refusal {
            None => {
                self.phase = Phase::Running;
                self.io.send(0, connection::OpenOk::default());
            }
            Some(text) => {
                let id: MethodId = (connection::CLASS, connection::Open::METHOD);
                let text = text.strip_prefix("530 ").unwrap_or(text);
                self.fail(0, Fault::told(code::NOT_ALLOWED, id, text), now);
            }
        }
    }
}

/// What is wrong with a method that could not be read.
pub(super) fn undecoded(error: MethodError) -> Fault {
    let cannot_decode = |class, method, arguments: &Bytes| {
        let detail = format!("cannot decode {}", Octets(arguments));
        Fault::connection(code::FRAME_ERROR, (class, method), detail)
    };
    match error {
        MethodError::UnknownClass(_) => Fault::Gone(Ending::UnknownClass),
        MethodError::UnknownMethod { class, method, arguments } => cannot_decode(class, method, &arguments),
        MethodError::Arguments { cause: cause @ Malformed::Utf8, .. } => {
            Fault::connection(code::FRAME_ERROR, (0, 0), cause)
        }
        MethodError::Arguments { class, method, arguments, .. } => cannot_decode(class, method, &arguments),
    }
}

/// What is wrong with bytes that are no frame.
pub(super) fn unframed(error: &frame::FrameError) -> Fault {
    let detail = format!("type {}, all octets = {}: {}", error.frame_type, Octets(&error.octets), error.kind);
    Fault::connection(code::FRAME_ERROR, (0, 0), detail)
}

/// Whether `response` is NUL, a user, NUL, a password.
fn is_plain(response: &[u8]) -> bool {
    response.first() == Some(&0) && response.iter().filter(|octet| **octet == 0).count() == 2
}

/// The credentials of AMQPLAIN, a table without its length, in the form of PLAIN.
fn amqplain(response: &[u8]) -> Option<Bytes> {
    let table = TableView::from_raw(response).ok()?;
    let Some(Value::LongString(user)) = table.get("LOGIN") else { return None };
    let Some(Value::LongString(password)) = table.get("PASSWORD") else { return None };
    if user.contains(&0) || password.contains(&0) {
        return None;
    }
    let mut plain = BytesMut::with_capacity(user.len() + password.len() + 2);
    plain.put_u8(0);
    plain.put_slice(user);
    plain.put_u8(0);
    plain.put_slice(password);
    Some(plain.freeze())
}

/// What the client calls the connection.
fn client_name(properties: &Table) -> ByteString {
    let name = ["connection_name", "product"].into_iter().find_map(|name| properties.get(name));
    match name {
        Some(Value::LongString(name)) => String::from_utf8_lossy(name).as_ref().into(),
        _ => ByteString::new(),
    }
}
