//! Where each frame goes: to the connection, to a channel, or nowhere.

use std::time::Duration;

use super::{
    Phase, Session,
    actions::{Action, Ending},
    channel::{Channel, State},
    fault::{Fault, code},
    handshake::undecoded,
};
use crate::codec::{
    frame::{self, Frame, Payload},
    method::{Method, channel as channel_methods, connection},
};

impl Session {
    pub(super) fn protocol_header(&mut self, header: [u8; 8], now: Duration) {
        if header == frame::PROTOCOL_HEADER || header == frame::PROTOCOL_HEADER_DRAFT {
            self.phase = Phase::AwaitsStartOk { until: now + self.io.limits.handshake_timeout };
            self.send_start();
        } else {
            self.io.out.extend_from_slice(&frame::PROTOCOL_HEADER);
            self.end(Ending::Protocol);
        }
    }

    pub(super) fn fail_reading(&mut self, fault: Fault, now: Duration) {
        match self.phase {
            Phase::ClosedByServer { .. } => {}
            Phase::Running | Phase::ClosedByClient { .. } => self.fail(0, fault, now),
            _ => self.fail(0, Fault::Refused, now),
        }
    }

    pub(super) fn frame(&mut self, frame: Frame, now: Duration) {
        let Frame { channel: number, payload } = frame;
        let result = match self.phase {
            Phase::ClosedByServer { code, .. } => {
                if number == 0 {
                    self.frame_after_close(&payload, code);
                }
                return;
            }
            _ if number == 0 => self.connection_frame(payload, now),
            Phase::Running => self.channel_frame(number, payload, now),
            Phase::ClosedByClient { .. } => Ok(()),
            _ => Err(Fault::Refused),
        };
        if let Err(fault) = result {
            self.fail(number, fault, now);
        }
    }

    /// After a `connection.close` of the server nothing counts but that the client agrees.
    pub(super) fn frame_after_close(&mut self, payload: &Payload, code: u16) {
        let Payload::Method(octets) = payload else { return };
        match Method::decode(octets) {
            Ok(Method::ConnectionCloseOk(_)) => self.end(Ending::ClosedByServer(code)),
            Ok(Method::ConnectionClose(_)) => self.io.send(0, connection::CloseOk {}),
            _ => {}
        }
    }

    pub(super) fn channel_frame(
        &mut self,
        number: u16,
        payload: Payload,
        now: Duration,
    ) -> Result<(), Fault> {
        let octets = match payload {
            Payload::Method(octets) => octets,
            Payload::Heartbeat => {
                let detail = "type 8, all octets = <<>>";
                return Err(Fault::connection(code::UNEXPECTED_FRAME, (0, 0), detail));
            }
            content => return self.content_frame(number, content),
        };
        let Some(channel) = self.channels.get_mut(&number) else {
            return self.open_channel(number, &octets);
        };
        match channel.state {
            State::Open => channel.assembly.expects_method()?,
            State::Failing | State::ClosedByClient { .. } | State::ClosedByServer { .. } => {}
        }
        let method = Method::decode(&octets);
        match (channel.state, method) {
            (State::ClosedByServer { .. }, Ok(Method::ChannelCloseOk(_))) => {
                self.channels.remove(&number);
                Ok(())
            }
            (State::ClosedByServer { .. }, Ok(Method::ChannelClose(_))) => {
                self.io.send(number, channel_methods::CloseOk {});
                Ok(())
            }
            (State::ClosedByServer { .. } | State::Failing, _) => Ok(()),
            (_, Err(error)) => Err(undecoded(error)),
            (State::ClosedByClient { .. }, Ok(method)) => {
                Err(Fault::connection(code::CHANNEL_ERROR, method.id(), "expected 'channel.open'"))
            }
            (State::Open, Ok(Method::ChannelClose(_))) => {
                channel.close_by_client(now, &mut self.io);
                self.finish_channel(number);
                Ok(())
            }
            (State::Open, Ok(method)) if channel.must_wait(&method) => {
                self.parked = Some(Frame { channel: number, payload: Payload::Method(octets) });
                Ok(())
            }
            (State::Open, Ok(method)) => channel.method(method, &mut self.io),
        }
    }

    pub(super) fn content_frame(&mut self, number: u16, payload: Payload) -> Result<(), Fault> {
        let no_method = "expected method frame, got non method frame instead";
        let unexpected = || Fault::connection(code::UNEXPECTED_FRAME, (0, 0), no_method);
        let channel = self.channels.get_mut(&number).ok_or_else(unexpected)?;
        match channel.state {
            State::Open => {
                if let Some(whole) = channel.assembly.take(payload, &mut self.io)? {
                    channel.publish(whole, &mut self.io)?;
                    self.tell_alarm();
                }
                Ok(())
            }
            State::ClosedByClient { .. } => Err(unexpected()),
            State::Failing | State::ClosedByServer { .. } => Ok(()),
        }
    }

    pub(super) fn open_channel(&mut self, number: u16, octets: &bytes::Bytes) -> Result<(), Fault> {
        let method = Method::decode(octets).map_err(undecoded)?;
        let (open, max) = (self.channels.len(), self.channel_max);
        if open >= max.into() {
            let detail = format_args!(
                "number of channels opened ({open}) has reached the negotiated channel_max ({max})"
            );
            return Err(Fault::connection(code::NOT_ALLOWED, (0, 0), detail));
        }
        let Method::ChannelOpen(_) = method else {
            return Err(Fault::connection(code::CHANNEL_ERROR, method.id(), "expected 'channel.open'"));
        };
        let link = self.io.new_id();
        self.links.insert(link, number);
        self.channels.insert(number, Box::new(Channel::new(number, link)));
        self.io.act(Action::OpenLink { link });
        self.io.send(number, channel_methods::OpenOk::default());
        Ok(())
    }

    /// Answers a client's `close` when nothing has to be waited for any more.
    pub(super) fn finish_channel(&mut self, number: u16) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let closing_connection = matches!(self.phase, Phase::ClosedByClient { .. });
        if !channel.is_quiet() {
            return;
        }
        if let State::ClosedByClient { .. } = channel.state {
            let link = channel.link;
            channel.forget(&mut self.io);
            self.channels.remove(&number);
            self.links.remove(&link);
            self.io.act(Action::CloseLink { link });
            if !closing_connection {
                self.io.send(number, channel_methods::CloseOk {});
            }
        }
        if closing_connection && self.channels.values().all(|channel| channel.is_quiet()) {
            self.finish_connection();
        }
    }

    /// The client has closed the connection: each open channel comes to rest as if it had been closed first.
    pub(super) fn close_by_client(&mut self, now: Duration) {
        // The channels' own time, and a little more.
        let until = now + self.io.limits.quiesce_timeout + Duration::from_secs(2);
        self.phase = Phase::ClosedByClient { until };
        for channel in self.channels.values_mut() {
            if channel.state == State::Open {
                channel.close_by_client(now, &mut self.io);
            }
        }
        if self.channels.values().all(|channel| channel.is_quiet()) {
            self.finish_connection();
        }
    }

    pub(super) fn finish_connection(&mut self) {
        self.io.send(0, connection::CloseOk {});
        self.end(Ending::ClosedByClient);
    }
}
