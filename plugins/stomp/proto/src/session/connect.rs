//! From `CONNECT` to `CONNECTED`.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::{
    Action, Entered, Phase, Session,
    fault::{Fault, shown},
    names,
};
use crate::codec::{Frame, FrameWriter, Version};

/// The user and the password of those who say none.
const GUEST: &str = "guest";
/// The virtual host of those who name none that there is.
const DEFAULT_HOST: &str = "/";
/// What a session's id begins with.
pub(super) const SESSION: &str = "session-";

/// What `CONNECT` said, until it is answered.
#[derive(Debug)]
pub(super) struct Opening {
    login: ByteString,
    host: ByteString,
    client_name: ByteString,
    /// What the server sends, and what it wants to get.
    beats: (Duration, Duration),
}

impl Session {
    pub(super) fn connect(&mut self, frame: &Frame) -> Result<(), Fault> {
        let Phase::AwaitsConnect { until } = self.phase else { return Ok(()) };
        self.version = Version::V1_0;
        if let Some(accepted) = frame.header("accept-version") {
            self.version = Version::negotiate(&accepted).ok_or_else(|| {
                let detail = format_args!("Supported versions are {}\n", Version::ALL);
                let fault = Fault::new("Version mismatch", detail);
                Fault { is_fatal: self.limits.error_closes, ..fault }
            })?;
        }
        let beats = match frame.header("heart-beat") {
            Some(beats) => self.heart_beats(&beats)?,
            None => (Duration::ZERO, Duration::ZERO),
        };
        let or = |name, default: &'static str| {
            frame.header(name).map_or(ByteString::from_static(default), |value| ByteString::from(&*value))
        };
        let login = or("login", GUEST);
        let passcode = or("passcode", GUEST);
        let mut credentials = BytesMut::with_capacity(login.len() + passcode.len() + 2);
        for part in [&login, &passcode] {
            credentials.put_u8(0);
            credentials.put_slice(part.as_bytes());
        }
        let opening =
            Opening { login, host: or("host", DEFAULT_HOST), client_name: or("client-id", ""), beats };
        self.phase = Phase::Authenticating { until, opening: Box::new(opening) };
        self.io.act(Action::Authenticate { credentials: Bytes::from(credentials) });
        Ok(())
    }

    /// What is agreed of what a client says it can send and would like to get, in milliseconds: what the server sends,
    /// and what it wants. (1.2, "Heart-beating")
    fn heart_beats(&self, beats: &str) -> Result<(Duration, Duration), Fault> {
        let wrong = || {
            let beats = shown(beats);
            let detail =
                format_args!("'{beats}' is not a valid heart-beat: expected two numbers and a comma\n");
            Fault::processing(detail)
        };
        let (sends, wants) = beats.split_once(',').ok_or_else(wrong)?;
        let agreed = |millis: &str| {
            let millis: u32 = millis.trim().parse().map_err(|_| wrong())?;
            let interval = Duration::from_millis(millis.into());
            Ok(if interval.is_zero() { interval } else { interval.max(self.limits.heart_beat_min) })
        };
        Ok((agreed(wants)?, agreed(sends)?))
    }

    /// The broker has checked the user.
    pub fn authenticated(&mut self, accepted: bool, now: Duration) {
        let Phase::Authenticating { until, opening } =
            std::mem::replace(&mut self.phase, Phase::AwaitsConnect { until: now })
        else {
            return;
        };
        if !accepted {
            self.phase = Phase::AwaitsConnect { until };
            let detail = format_args!("Access refused for user '{}'\n", shown(&opening.login));
            return self.fail(Fault::new("Bad CONNECT", detail), now);
        }
        self.enter(opening.host.clone(), opening, until);
    }

    fn enter(&mut self, virtual_host: ByteString, opening: Box<Opening>, until: Duration) {
        self.io.act(Action::Enter {
            virtual_host,
            client_name: opening.client_name.clone(),
            session_id: names::joined(SESSION, &self.id),
            version: self.version,
        });
        self.phase = Phase::Entering { until, opening };
    }

    /// The broker has opened the virtual host, or not. One that is not there stands for `/`: clients send the name of the
    /// machine. (1.2, "CONNECT or STOMP Frame")
    pub fn entered(&mut self, entered: Entered, now: Duration) {
        let Phase::Entering { until, mut opening } =
            std::mem::replace(&mut self.phase, Phase::AwaitsConnect { until: now })
        else {
            return;
        };
        match entered {
            Entered::Yes => {}
            Entered::NotFound if opening.host != DEFAULT_HOST => {
                opening.host = ByteString::from_static(DEFAULT_HOST);
                return self.enter(opening.host.clone(), opening, until);
            }
            Entered::NotFound | Entered::Barred => {
                self.phase = Phase::AwaitsConnect { until };
                let detail = format_args!("Virtual host '{}' access denied", shown(&opening.host));
                return self.fail(Fault::new("Bad CONNECT", detail), now);
            }
        }
        self.phase = Phase::Running;
        self.io.act(Action::OpenLink);
        self.limit_unsettled(0);
        let (sends, wants) = opening.beats;
        self.timing.agree(sends, wants, now);
        let beats = format!("{},{}", sends.as_millis(), wants.as_millis());
        let mut frame = FrameWriter::new(&mut self.io.out, "CONNECTED", Version::V1_0);
        frame.raw("session", |out, _| {
            out.put_slice(SESSION.as_bytes());
            out.put_slice(&self.id);
        });
        frame.plain("heart-beat", &beats);
        frame.plain("server", &self.limits.server);
        frame.plain("version", self.version.name());
        frame.end();
        self.note_output(now);
    }
}
