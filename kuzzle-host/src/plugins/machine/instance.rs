//! What the machine remembers of one instance.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{
    Call, Desired, GOOD_RUN, PREPARE_DEADLINE, Refusal, Report, START_DEADLINE, State, Step, Time, pause,
};

#[derive(Debug, Default)]
pub(super) struct Instance {
    /// What it should be; none when the declaration no longer names it.
    pub(super) desired: Option<Desired>,
    /// The generation being made.
    pub(super) attempt: Option<Attempt>,
    /// The generation that accepts.
    pub(super) serving: Option<Serving>,
    /// Generations that no longer accept.
    pub(super) retiring: BTreeMap<u64, Retiring>,
    /// Why the last attempt at what is declared failed.
    pub(super) failure: Option<Failure>,
    /// Failures in a row.
    pub(super) failures: u32,
    /// Keys of the listeners that are bound.
    pub(super) listeners: BTreeSet<String>,
    pub(super) loaded: bool,
}

#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) generation: u64,
    pub(super) fingerprint: String,
    pub(super) stage: Stage,
    /// When the stage began.
    pub(super) since: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Preparing,
    Binding,
    Starting,
}

#[derive(Debug)]
pub(super) struct Serving {
    pub(super) generation: u64,
    pub(super) fingerprint: String,
    pub(super) listeners: Vec<String>,
    pub(super) since: Time,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Retiring {
    /// Was still starting when it was given up; its thread is given up at this time.
    Cancelled { until: Time },
    /// Serves its connections until they end or this time comes.
    Draining { until: Time },
    /// Was told to stop; given up at this time.
    Stopping { until: Time },
}

#[derive(Debug)]
pub(super) struct Failure {
    /// What was tried.
    pub(super) fingerprint: String,
    pub(super) reason: String,
    pub(super) retry_at: Option<Time>,
}

impl Attempt {
    pub(super) fn is_at(&self, generation: u64, stage: Stage) -> bool {
        self.generation == generation && self.stage == stage
    }

    /// The call that should have returned by now, and the time that it had.
    pub(super) fn late_call(&self, now: Time) -> Option<(Call, Duration)> {
        let (call, deadline) = self.call()?;
        (self.since + deadline <= now).then_some((call, deadline))
    }

    fn call(&self) -> Option<(Call, Duration)> {
        match self.stage {
            Stage::Preparing => Some((Call::Prepare, PREPARE_DEADLINE)),
            Stage::Binding => None,
            Stage::Starting => Some((Call::Start, START_DEADLINE)),
        }
    }
}

impl Instance {
    /// What is declared, when it should run.
    pub(super) fn enabled(&self) -> Option<&Desired> {
        self.desired.as_ref().filter(|desired| desired.enabled)
    }

    /// Whether nothing of it runs, starts or stops.
    pub(super) fn is_gone(&self) -> bool {
        self.attempt.is_none()
            && self.serving.is_none()
            && self.retiring.is_empty()
            && self.listeners.is_empty()
    }

    /// Whether it is as declared or has failed at it.
    pub(super) fn is_settled(&self) -> bool {
        match self.enabled() {
            Some(_) => self.serves_what_is_declared() || (self.attempt.is_none() && self.failure.is_some()),
            None => self.is_gone(),
        }
    }

    /// Whether it wants to be the one that moves, now or when its pause is over.
    pub(super) fn wants_to_move(&self) -> bool {
        self.enabled().is_some() && self.attempt.is_none() && !self.serves_what_is_declared()
    }

    /// Whether a new generation should be attempted now.
    pub(super) fn is_due(&self, now: Time) -> bool {
        let paused = self.failure.as_ref().is_some_and(|failure| failure.retry_at.is_none_or(|at| at > now));
        self.wants_to_move() && !paused
    }

    pub(super) fn next_wakeup(&self) -> Option<Time> {
        let call = self.attempt.as_ref().and_then(|it| Some(it.since + it.call()?.1));
        let retry =
            self.failure.as_ref().filter(|_| self.attempt.is_none()).and_then(|failure| failure.retry_at);
        let ends = self.retiring.values().map(|retiring| match retiring {
            Retiring::Cancelled { until } | Retiring::Draining { until } | Retiring::Stopping { until } => {
                *until
            }
        });
        call.into_iter().chain(retry).chain(ends).min()
    }

    /// Drops an attempt or a failure that belongs to an earlier declaration.
    pub(super) fn forget_what_is_outdated(&mut self, name: &str, steps: &mut Vec<Step>) {
        let Some(wanted) = self.enabled().map(|desired| desired.fingerprint.clone()) else { return };
        if self.attempt.as_ref().is_some_and(|attempt| attempt.fingerprint != wanted) {
            self.cancel_attempt(name, steps);
        }
        let serves = self.serves_what_is_declared();
        self.failure.take_if(|failure| failure.fingerprint != wanted || serves);
    }

    /// Gives up the generation being made; if it comes up after all it is stopped.
    pub(super) fn cancel_attempt(&mut self, name: &str, steps: &mut Vec<Step>) {
        let Some(attempt) = self.attempt.take() else { return };
        if attempt.stage == Stage::Starting {
            let until = attempt.since + START_DEADLINE;
            self.retiring.insert(attempt.generation, Retiring::Cancelled { until });
        }
        self.close_unserved(name, steps);
    }

    /// Ends the attempt: what was bound for it alone is closed, what served before goes on.
    pub(super) fn fail(&mut self, name: &str, refusal: Refusal, now: Time, steps: &mut Vec<Step>) {
        self.attempt = None;
        self.close_unserved(name, steps);
        self.note_failure(refusal, now);
    }

    fn close_unserved(&mut self, name: &str, steps: &mut Vec<Step>) {
        let served: Vec<String> = self.serving.as_ref().map(|it| it.listeners.clone()).unwrap_or_default();
        self.close_listeners(name, |key| !served.iter().any(|kept| kept == key), steps);
    }

    /// Remembers a failure at what is declared, and when to try again.
    pub(super) fn note_failure(&mut self, refusal: Refusal, now: Time) {
        if self.serving.as_ref().is_some_and(|serving| serving.since + GOOD_RUN <= now) {
            self.failures = 0;
        }
        self.failures += 1;
        let fingerprint =
            self.desired.as_ref().map(|desired| desired.fingerprint.clone()).unwrap_or_default();
        let retry_at = refusal.retry.then(|| now + pause(self.failures));
        self.failure = Some(Failure { fingerprint, reason: refusal.reason, retry_at });
    }

    /// Closes those listeners that `which` picks.
    pub(super) fn close_listeners(
        &mut self,
        name: &str,
        which: impl Fn(&str) -> bool,
        steps: &mut Vec<Step>,
    ) {
        let listeners: Vec<String> = self.listeners.iter().filter(|key| which(key)).cloned().collect();
        if !listeners.is_empty() {
            self.listeners.retain(|key| !which(key));
            steps.push(Step::Close { instance: name.to_owned(), listeners });
        }
    }

    /// Declared listeners that have yet to be bound.
    pub(super) fn unbound(&self) -> Vec<String> {
        self.declared(|key| !self.listeners.contains(key))
    }

    /// Declared listeners that are bound, in the order of the declaration.
    pub(super) fn declared_and_bound(&self) -> Vec<String> {
        self.declared(|key| self.listeners.contains(key))
    }

    pub(super) fn report(&self) -> Report {
        Report {
            state: self.state(),
            serving: self.serving.as_ref().map(|serving| serving.generation),
            retiring: self.retiring.keys().copied().collect(),
            listeners: self.listeners.iter().cloned().collect(),
        }
    }

    fn declared(&self, which: impl Fn(&str) -> bool) -> Vec<String> {
        let declared = self.desired.iter().flat_map(|desired| &desired.listeners);
        declared.filter(|key| which(key)).cloned().collect()
    }

    fn serves_what_is_declared(&self) -> bool {
        match (&self.serving, &self.desired) {
            (Some(serving), Some(desired)) => {
                // A listener may have been lost, or given to another instance for a while.
                let has_its_listeners = serving.listeners.iter().all(|key| self.listeners.contains(key));
                serving.fingerprint == desired.fingerprint && has_its_listeners
            }
            _ => false,
        }
    }

    fn state(&self) -> State {
        if self.enabled().is_none() {
            let ends = self.serving.is_some() || self.attempt.is_some() || !self.retiring.is_empty();
            return if ends { State::Draining } else { State::Stopped };
        }
        if let Some(failure) = &self.failure
            && self.attempt.is_none()
        {
            return State::Failed { reason: failure.reason.clone(), retry_at: failure.retry_at };
        }
        if self.serving.is_some() {
            return State::Running;
        }
        match &self.attempt {
            Some(Attempt { stage: Stage::Starting, .. }) => State::Starting,
            _ if self.loaded => State::Loaded,
            _ => State::Absent,
        }
    }
}
