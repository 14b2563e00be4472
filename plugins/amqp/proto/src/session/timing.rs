//! What is due when: heartbeats both ways, and the end of everybody's patience.

use std::{sync::Arc, time::Duration};

use super::{
    Phase, Session,
    actions::Ending,
    channel::{Channel, State},
    fault::{Fault, code},
    limits::Limits,
};
use crate::codec::frame;

/// How long buffers that have grown are kept for more of the same.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(1);

impl Session {
    /// When [`Session::handle_timeout`] is due. It may move with every call.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let phase = match self.phase {
            Phase::AwaitsHeader { until }
            | Phase::AwaitsStartOk { until }
            | Phase::Authenticating { until }
            | Phase::AwaitsTuneOk { until }
            | Phase::AwaitsOpen { until }
            | Phase::Entering { until }
            | Phase::ClosedByClient { until }
            | Phase::ClosedByServer { until, .. }
            | Phase::Refused { until } => Some(until),
            Phase::Running => None,
            Phase::Ended => return None,
        };
        let limits = &self.io.limits;
        let closing = self.channels.values().filter_map(|channel| match channel.state {
            State::ClosedByServer { until } | State::ClosedByClient { until, .. } => Some(until),
            State::Open | State::Failing => None,
        });
        let unacknowledged = self.channels.values().filter_map(|channel| self.acknowledgement_due(channel));
        [
            phase,
            self.part_since.map(|since| since + limits.frame_timeout),
            self.unwritten_since.map(|since| since + limits.write_timeout),
            self.kept_until,
            self.beats().then_some(self.next_beat),
            self.unheard(),
        ]
        .into_iter()
        .flatten()
        .chain(closing)
        .chain(unacknowledged)
        .min()
    }

    /// Whether heartbeats are sent.
    fn beats(&self) -> bool {
        !self.heartbeat.is_zero()
            && !matches!(self.phase, Phase::Ended | Phase::Refused { .. } | Phase::ClosedByServer { .. })
    }

    /// When the client is given up for silence.
    fn unheard(&self) -> Option<Duration> {
        (self.beats() && self.wants_input()).then(|| self.last_heard + self.heartbeat * 3)
    }

    /// When a channel is closed for what its client has not acknowledged, or has to be looked at again.
    fn acknowledgement_due(&self, channel: &Channel) -> Option<Duration> {
        let Limits { acknowledgement_timeout: timeout, .. } = *self.io.limits;
        if timeout.is_zero() || channel.state != State::Open {
            return None;
        }
        Some(channel.unsettled.oldest_before(self.io.limits.acknowledgement_grain())? + timeout)
    }

    /// Closes the channels whose clients have kept a delivery for too long.
    fn close_unacknowledged(&mut self, now: Duration) {
        let due = |session: &Session, number: &u16| {
            let channel = session.channels.get(number)?;
            session.acknowledgement_due(channel).filter(|due| *due <= now)
        };
        let numbers: Vec<u16> =
            self.channels.keys().filter(|number| due(self, number).is_some()).copied().collect();
        for number in numbers {
            if let Some(channel) = self.channels.get_mut(&number) {
                channel.unsettled.forget_grains();
            }
            if due(self, &number).is_none() {
                continue;
            }
            let timeout = self.io.limits.acknowledgement_timeout.as_millis();
            let detail = format_args!(
                "delivery acknowledgement on channel {number} timed out. Timeout value used: {timeout} ms. \
                 The setting is acknowledgement_timeout_secs"
            );
            self.fail(number, Fault::channel(code::PRECONDITION_FAILED, (0, 0), detail), now);
        }
    }

    /// Does what is due by `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        let limits = Arc::clone(&self.io.limits);
        let over = |until: Duration| until <= now;
        match self.phase {
            Phase::AwaitsHeader { until }
            | Phase::AwaitsStartOk { until }
            | Phase::Authenticating { until }
            | Phase::AwaitsTuneOk { until }
            | Phase::AwaitsOpen { until }
            | Phase::Entering { until }
                if over(until) =>
            {
                return self.end(Ending::HandshakeTimeout);
            }
            Phase::ClosedByClient { until } if over(until) => return self.finish_connection(),
            Phase::ClosedByServer { until, code } if over(until) => {
                return self.end(Ending::ClosedByServer(code));
            }
            Phase::Refused { until } if over(until) => return self.end(Ending::Refused),
            Phase::Ended => return,
            _ => {}
        }
        if self.unwritten_since.is_some_and(|since| over(since + limits.write_timeout)) {
            return self.end(Ending::WriteTimeout);
        }
        if self.unheard().is_some_and(over) {
            return self.end(Ending::HeartbeatTimeout);
        }
        if self.part_since.is_some_and(|since| over(since + limits.frame_timeout)) {
            self.part_since = None;
            let detail = format_args!("a frame was not whole within {} s", limits.frame_timeout.as_secs());
            self.fail_reading(Fault::connection(code::FRAME_ERROR, (0, 0), detail), now);
        }
        if self.beats() && over(self.next_beat) {
            self.beat(now);
        }
        if self.kept_until.is_some_and(over) {
            // An idle connection gives its buffers back.
            self.kept_until = None;
            self.io.shrink();
            self.channels.values_mut().for_each(|channel| channel.awaited.shrink_to_fit());
        }
        self.close_unacknowledged(now);
        // A channel whose close-ok does not come is forgotten; its number may be used anew.
        self.channels
            .retain(|_, channel| !matches!(channel.state, State::ClosedByServer { until } if over(until)));
        while let Some((number, channel)) = self
            .channels
            .iter_mut()
            .find(|(_, channel)| matches!(channel.state, State::ClosedByClient { until, .. } if over(until)))
        {
            let number = *number;
            channel.give_up(&mut self.io);
            self.finish_channel(number);
        }
        self.note_output(now);
    }

    /// Half a heartbeat is over: when nothing was sent in it, a heartbeat is.
    fn beat(&mut self, now: Duration) {
        if self.io.written + self.io.out.len() as u64 == self.beat_mark {
            self.io.out.extend_from_slice(&frame::HEARTBEAT_FRAME);
        }
        self.beat_mark = self.io.written + self.io.out.len() as u64;
        self.next_beat = now + self.heartbeat / 2;
        if !self.wants_input() {
            // Nothing is read now, so that nothing can be missed.
            self.last_heard = now;
        }
    }
}
