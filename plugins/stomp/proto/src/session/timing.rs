//! What is due when: heart-beats both ways, and the end of everybody's patience.

use std::time::Duration;

use super::{Ending, Phase, Session, fault::Fault};

/// How long buffers that have grown are kept for more of the same.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(1);

/// The longest interval of a heart-beat that is kept to; who wants a longer one gets more.
const HEART_BEAT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A connection's times.
#[derive(Debug)]
pub(super) struct Timing {
    /// Interval in which something is sent; zero: none.
    send_every: Duration,
    /// Interval in which something has to come; zero: none.
    expect_every: Duration,
    pub(super) last_heard: Duration,
    next_beat: Duration,
    /// Octets sent when the last beat was due.
    beat_mark: u64,
    /// Octets of input that the last `receive` left.
    pub(super) left_over: usize,
    /// Since when the input ends in a part of a frame.
    pub(super) part_since: Option<Duration>,
    /// Since when output waits without any of it being written.
    pub(super) unwritten_since: Option<Duration>,
    /// Until when buffers that have grown are kept, unless more is written.
    pub(super) kept_until: Option<Duration>,
}

impl Timing {
    pub(super) fn new(now: Duration) -> Timing {
        Timing {
            send_every: Duration::ZERO,
            expect_every: Duration::ZERO,
            last_heard: now,
            next_beat: now,
            beat_mark: 0,
            left_over: 0,
            part_since: None,
            unwritten_since: None,
            kept_until: None,
        }
    }

    /// Heart-beats were agreed on.
    pub(super) fn agree(&mut self, send_every: Duration, expect_every: Duration, now: Duration) {
        self.send_every = send_every.min(HEART_BEAT_MAX);
        self.expect_every = expect_every.min(HEART_BEAT_MAX);
        self.last_heard = now;
        self.next_beat = now + self.send_every / 2;
    }
}

impl Session {
    /// When [`Session::handle_timeout`] is due. It may move with every call.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let phase = match self.phase {
            Phase::AwaitsConnect { until }
            | Phase::Authenticating { until, .. }
            | Phase::Entering { until, .. }
            | Phase::Leaving { until, .. }
            | Phase::Closing { until, .. } => Some(until),
            Phase::Running => None,
            Phase::Ended => return None,
        };
        [
            phase,
            self.timing.part_since.map(|since| since + self.limits.frame_timeout),
            self.timing.unwritten_since.map(|since| since + self.limits.write_timeout),
            self.timing.kept_until,
            self.beats().then_some(self.timing.next_beat),
            self.unheard(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Whether heart-beats are sent.
    fn beats(&self) -> bool {
        !self.timing.send_every.is_zero() && matches!(self.phase, Phase::Running | Phase::Leaving { .. })
    }

    /// When the client is given up for silence.
    fn unheard(&self) -> Option<Duration> {
        let expects = !self.timing.expect_every.is_zero() && matches!(self.phase, Phase::Running);
        (expects && self.wants_input()).then(|| self.timing.last_heard + self.timing.expect_every * 3)
    }

    /// Does what is due by `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        let over = |until: Duration| until <= now;
        match self.phase {
            Phase::AwaitsConnect { until }
            | Phase::Authenticating { until, .. }
            | Phase::Entering { until, .. }
                if over(until) =>
            {
                return self.end(Ending::ConnectTimeout);
            }
            Phase::Leaving { until, .. } if over(until) => self.finish_leaving(now),
            Phase::Closing { until, ending } if over(until) => return self.end(ending),
            Phase::Ended => return,
            _ => {}
        }
        if self.timing.unwritten_since.is_some_and(|since| over(since + self.limits.write_timeout)) {
            return self.end(Ending::WriteTimeout);
        }
        if self.unheard().is_some_and(over) {
            return self.end(Ending::HeartBeatTimeout);
        }
        if self.timing.part_since.is_some_and(|since| over(since + self.limits.frame_timeout)) {
            self.timing.part_since = None;
            let detail =
                format_args!("A frame was not whole within {} s\n", self.limits.frame_timeout.as_secs());
            self.fail(Fault::fatal("Malformed frame", detail), now);
        }
        if self.beats() && over(self.timing.next_beat) {
            self.beat(now);
        }
        if self.timing.kept_until.is_some_and(over) {
            // An idle connection gives its buffers back.
            self.timing.kept_until = None;
            self.io.shrink();
            self.receipts.shrink();
            self.subscriptions.shrink();
        }
        self.note_output(now);
    }

    /// Half an interval is over: when nothing was sent in it, a heart-beat is.
    fn beat(&mut self, now: Duration) {
        let sent = self.io.written + self.io.out.len() as u64;
        if sent == self.timing.beat_mark {
            self.io.out.extend_from_slice(b"\n");
        }
        self.timing.beat_mark = self.io.written + self.io.out.len() as u64;
        self.timing.next_beat = now + self.timing.send_every / 2;
        if !self.wants_input() {
            // Nothing is read now, so that nothing can be missed.
            self.timing.last_heard = now;
        }
    }
}
