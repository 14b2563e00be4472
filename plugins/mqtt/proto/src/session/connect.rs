//! From CONNECT to CONNACK (sections 3.1, 3.2 and 4.12).

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use super::{
    Action, Attach, Consume, Credentials, End, OK, Op, Phase, Publish, SESSION_CONSUMER, Session, WillMessage,
};
use crate::{
    codec::{ConnAck, Connect, DecodeError, PacketType, Properties, Property, ReasonCode, Version, Will},
    message, topic,
};

/// What CONNECT asked for, kept until it is answered.
#[derive(Debug)]
pub(super) struct Handshake {
    virtual_host: ByteString,
    clean: bool,
    will: Option<WillMessage>,
    /// Properties of the CONNACK.
    answer: Vec<Property>,
}

impl Session {
    pub(super) fn handle_connect(&mut self, connect: Connect) {
        self.version = connect.version;
        self.phase = Phase::Connecting;
        let mut answer = Vec::new();
        if let Err((reason, what)) = self.negotiate(&connect, &mut answer) {
            return self.refuse(reason, what);
        }
        let (virtual_host, credentials) = match credentials(&connect) {
            Ok(who) => who,
            Err(what) => return self.refuse(ReasonCode::BadUserNameOrPassword, what),
        };
        let will = match connect.will.as_deref().map(|will| self.will_message(will)).transpose() {
            Ok(will) => will,
            Err(what) => return self.refuse(ReasonCode::TopicNameInvalid, what),
        };
        self.queue = format!("mqtt-subscription-{}qos1", self.client_id).into();
        self.handshake = Some(Box::new(Handshake { virtual_host, clean: connect.clean_start, will, answer }));
        self.push(Action::Authenticate(credentials));
    }

    pub(super) fn authenticated(&mut self, status: u16) {
        let Some(handshake) = &self.handshake else { return };
        match status {
            OK => {
                let virtual_host = handshake.virtual_host.clone();
                self.push(Action::Enter { virtual_host, client: self.client_id.clone() });
            }
            400..=428 => self.refuse(ReasonCode::BadUserNameOrPassword, "no such user, or not its password"),
            other => self.refuse(server_reason(other), "the broker refused the client"),
        }
    }

    pub(super) fn entered(&mut self, code: u16) {
        let Some(handshake) = &mut self.handshake else { return };
        match code {
            OK => {
                let attach = Attach {
                    op: self.last_op + 1,
                    name: self.client_id.clone(),
                    queue: self.queue.clone(),
                    expiry_secs: self.expiry_secs,
                    durable: self.expiry_secs > 0,
                    clean: handshake.clean,
                    will: handshake.will.take(),
                };
                let op = self.next_op();
                self.ops.insert(op, Op::Attach);
                self.push(Action::OpenLink);
                self.push(Action::Attach(Box::new(attach)));
            }
            404 | 530 => self.refuse(ReasonCode::BadUserNameOrPassword, "no such virtual host"),
            403 => self.refuse(ReasonCode::NotAuthorized, "the user may not enter the virtual host"),
            other => self.refuse(server_reason(other), "the broker refused the client"),
        }
    }

    pub(super) fn attached(&mut self, code: u16, existed: bool, text: &str) {
        let Some(handshake) = self.handshake.take() else { return };
        if code != OK {
            let reason = if code == 403 { ReasonCode::NotAuthorized } else { server_reason(code) };
            return self.refuse(reason, text);
        }
        if !text.is_empty() {
            self.queue = text.into();
        }
        self.resumed = existed && !handshake.clean;
        self.send_connack(ConnAck {
            session_present: self.resumed && self.version > Version::V31,
            code: 0,
            properties: Properties(handshake.answer),
        });
        self.phase = Phase::Resuming;
        let op = self.next_op();
        self.ops.insert(op, Op::Consume);
        self.push(Action::Consume(Box::new(Consume {
            op,
            consumer: SESSION_CONSUMER,
            queue: self.queue.clone(),
            no_ack: false,
            credit: self.outgoing.window,
            limit_events: self.config.outbox_max_events,
            limit_bytes: self.config.outbox_max_bytes,
        })));
    }

    /// Answers a CONNECT that was read with a refusal.
    pub(super) fn refuse(&mut self, reason: ReasonCode, what: &str) {
        self.handshake = None;
        let reason = if reason.fits(PacketType::ConnAck) { reason } else { ReasonCode::UnspecifiedError };
        match self.version {
            Version::V5 => self.send_connack(ConnAck {
                session_present: false,
                code: reason as u8,
                properties: Properties(vec![Property::ReasonString(what.into())]),
            }),
            _ => {
                if let Some(code) = return_code(reason) {
                    self.send_connack(ConnAck { session_present: false, code, properties: Properties::NONE });
                }
            }
        }
        self.end = Some(End::Refused { reason, what: what.to_owned() });
        self.finish();
    }

    /// Answers bytes that are no CONNECT, if there is an answer that the client can read.
    pub(super) fn refuse_connect_bytes(&mut self, error: &DecodeError) {
        match (self.decoder.version(), self.decoder.refused_level()) {
            (Some(version), _) => {
                self.version = version;
                self.refuse(error.reason, error.what);
            }
            (None, Some(level)) => {
                // The highest bit marks a bridge, which reads the answer of the version below it.
                let is_later = level & 0x7F > Version::V5.level();
                self.version = if is_later { Version::V5 } else { Version::V311 };
                self.refuse(error.reason, error.what);
            }
            (None, None) => {
                self.end = Some(End::Refused { reason: error.reason, what: error.to_string() });
                self.finish();
            }
        }
    }

    /// Takes over what the client asked for, as far as the server grants it, and collects what it is told.
    fn negotiate(
        &mut self,
        connect: &Connect,
        answer: &mut Vec<Property>,
    ) -> Result<(), (ReasonCode, &'static str)> {
        let mut expiry_secs = match (connect.version, connect.clean_start) {
            (Version::V5, _) | (_, true) => 0,
            _ => self.config.session_expiry_max_secs,
        };
        let mut wants_response_information = false;
        for property in connect.properties.iter() {
            match property {
                Property::SessionExpiryInterval(secs) => expiry_secs = *secs,
                Property::ReceiveMaximum(count) => {
                    self.outgoing.window = self.outgoing.window.min(*count);
                }
                Property::MaximumPacketSize(bytes) => self.outgoing.packet_max_bytes = *bytes as usize,
                Property::TopicAliasMaximum(count) => {
                    self.outgoing.alias_max = (*count).min(self.config.topic_alias_out_max);
                }
                Property::RequestResponseInformation(wanted) => wants_response_information = *wanted,
                Property::RequestProblemInformation(wanted) => self.problem_information = *wanted,
                Property::AuthenticationMethod(_) | Property::AuthenticationData(_) => {
                    return Err((
                        ReasonCode::BadAuthenticationMethod,
                        "no authentication method is offered; use user name and password",
                    ));
                }
                _ => {}
            }
        }
        self.negotiate_client_id(connect, answer)?;
        self.expiry_secs = expiry_secs.min(self.config.session_expiry_max_secs);
        let keep_alive_secs = self.negotiate_keep_alive(connect);
        self.keep_alive =
            (keep_alive_secs > 0).then(|| std::time::Duration::from_secs(u64::from(keep_alive_secs)));
        if connect.version < Version::V5 {
            return Ok(());
        }
        if self.expiry_secs != expiry_secs {
            answer.push(Property::SessionExpiryInterval(self.expiry_secs));
        }
        if keep_alive_secs != connect.keep_alive_secs {
            answer.push(Property::ServerKeepAlive(keep_alive_secs));
        }
        answer.push(Property::ReceiveMaximum(self.config.receive_maximum.max(1)));
        answer.push(Property::MaximumPacketSize(self.config.limits.packet_max_bytes as u32));
        if self.config.topic_alias_max > 0 {
            answer.push(Property::TopicAliasMaximum(self.config.topic_alias_max));
        }
        if let (true, Some(prefix)) = (wants_response_information, &self.config.response_prefix) {
            let topic = format!("{prefix}/{}", self.client_id);
            answer.push(Property::ResponseInformation(topic.into()));
        }
        Ok(())
    }

    fn negotiate_client_id(
        &mut self,
        connect: &Connect,
        answer: &mut Vec<Property>,
    ) -> Result<(), (ReasonCode, &'static str)> {
        if !connect.client_id.is_empty() {
            // A copy, so that the buffer it came in is free.
            self.client_id = ByteString::from(&*connect.client_id);
            return Ok(());
        }
        if connect.version < Version::V5 && !connect.clean_start {
            return Err((
                ReasonCode::ClientIdentifierNotValid,
                "no client identifier and no clean session [MQTT-3.1.3-8]",
            ));
        }
        self.client_id = format!("auto-{:032x}", self.unique).into();
        if connect.version == Version::V5 {
            answer.push(Property::AssignedClientIdentifier(self.client_id.clone()));
        }
        Ok(())
    }

    /// The keep alive in seconds. Only a 5.0 client can be told another than it asked for.
    fn negotiate_keep_alive(&self, connect: &Connect) -> u16 {
        let max = self.config.keep_alive_max_secs;
        match connect.keep_alive_secs {
            asked if connect.version < Version::V5 => asked,
            0 if max < u16::MAX => max,
            asked => asked.min(max),
        }
    }

    fn will_message(&self, will: &Will) -> Result<WillMessage, &'static str> {
        if will.topic.contains(['+', '#']) {
            return Err("the will's topic has wildcards [MQTT-3.3.2-2]");
        }
        if topic::check_name(&will.topic, &self.config.limits).is_err()
            || will.topic.len() > self.config.limits.topic_max_bytes
        {
            return Err("the will's topic is empty or longer than this server takes [MQTT-4.7.3-1]");
        }
        let mut properties = BytesMut::new();
        message::put_properties(&mut properties, will.qos, false, &will.properties);
        let delay_secs = will.properties.iter().find_map(|property| match property {
            Property::WillDelayInterval(secs) => Some(*secs),
            _ => None,
        });
        let publish = Publish {
            routing_key: topic::routing_key(&will.topic).into(),
            properties: properties.freeze(),
            body: Bytes::copy_from_slice(&will.payload),
            retain: will.retain,
            mandatory: false,
            dedupe: 0,
        };
        Ok(WillMessage { publish, delay_secs: delay_secs.unwrap_or(0) })
    }
}

/// Virtual host and credentials; the host is what stands before the last colon of the user name.
fn credentials(connect: &Connect) -> Result<(ByteString, Credentials), &'static str> {
    let root = ByteString::from_static("/");
    let Some(username) = &connect.username else {
        return match connect.password {
            None => Ok((root, Credentials::Anonymous)),
            Some(_) => Err("a password without a user name"),
        };
    };
    let Some(password) = &connect.password else {
        return Err("a user name without a password");
    };
    let (virtual_host, user) = match username.rsplit_once(':') {
        Some((virtual_host, user)) => (virtual_host.into(), user),
        None => (root, &**username),
    };
    if user.is_empty() {
        return Err("an empty user name");
    }
    let password = Bytes::copy_from_slice(password);
    Ok((virtual_host, Credentials::Plain { user: user.into(), password }))
}

/// The return code of CONNACK before 5.0 (MQTT 3.1.1, section 3.2.2.3); `None` where it has none and the connection is
/// closed in silence.
fn return_code(reason: ReasonCode) -> Option<u8> {
    match reason {
        ReasonCode::UnsupportedProtocolVersion => Some(1),
        ReasonCode::ClientIdentifierNotValid => Some(2),
        ReasonCode::ServerUnavailable | ReasonCode::ServerBusy | ReasonCode::QuotaExceeded => Some(3),
        ReasonCode::UnspecifiedError | ReasonCode::ConnectionRateExceeded => Some(3),
        ReasonCode::BadUserNameOrPassword => Some(4),
        ReasonCode::NotAuthorized | ReasonCode::Banned => Some(5),
        _ => None,
    }
}

/// Why a broker that is in trouble refuses.
fn server_reason(code: u16) -> ReasonCode {
    match code {
        429 | 506 => ReasonCode::QuotaExceeded,
        503 => ReasonCode::ServerUnavailable,
        _ => ReasonCode::UnspecifiedError,
    }
}
