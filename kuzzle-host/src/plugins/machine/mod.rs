//! Decides what has to happen so that what runs becomes what `plugins.toml` declares.
//!
//! Neither clock nor sockets nor plugins are touched here: the [`Machine`] takes declarations, events and the time, and
//! gives [`Step`]s that somebody else carries out and reports back as events. Time is the duration since any fixed
//! moment. Every step names an instance and, where it belongs to one, a generation; an event for a generation that the
//! machine has given up meanwhile is answered with the steps that clean it up.
//!
//! ```text
//! absent -> loaded -> starting -> running -> draining -> stopped
//!    \________\___________\___________\-> failed (reason, retry at)
//! ```

mod instance;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use instance::{Attempt, Failure, Instance, Retiring, Serving, Stage};

/// Time since a fixed moment.
pub(crate) type Time = Duration;

/// Longest time that a plugin may take to load and to check its settings.
pub(crate) const PREPARE_DEADLINE: Duration = Duration::from_secs(10);
/// Longest time that a plugin may take to start: also how long a bound listener may lack a generation to serve it.
pub(crate) const START_DEADLINE: Duration = Duration::from_secs(5);
/// How long a plugin that was told to stop has to say goodbye to its clients.
pub(crate) const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How much longer than it was given a stop may take before its thread is given up.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(2);
/// How long one instance may keep the others waiting while it moves.
pub(crate) const MOVE_PATIENCE: Duration = Duration::from_secs(1);
/// How many generations of one instance may serve their last connections at the same time.
pub(crate) const RETIRING_MAX: usize = 4;
/// A generation that served this long makes earlier failures forgotten.
pub(crate) const GOOD_RUN: Duration = Duration::from_secs(60);

/// Pause before the first retry; each further one is twice as long.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// Longest pause between retries.
const RETRY_LONGEST: Duration = Duration::from_secs(60);

/// What one instance should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Desired {
    /// Whether it should run.
    pub(crate) enabled: bool,
    /// Keys of the listeners that it should have; no two instances that are enabled share one.
    pub(crate) listeners: Vec<String>,
    /// Stands for everything that a generation is made from: the table and the plugin's file. A change of it asks for a
    /// new generation.
    pub(crate) fingerprint: String,
    /// How long a generation that was replaced may serve its connections.
    pub(crate) drain: Duration,
}

/// Something to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Find, load and check the plugin; answer with [`Event::Prepared`].
    Prepare { instance: String, generation: u64 },
    /// Bind these listeners; answer with [`Event::Bound`].
    Bind { instance: String, generation: u64, listeners: Vec<String> },
    /// Start a generation on these listeners; answer with [`Event::Started`], however late.
    Start { instance: String, generation: u64, listeners: Vec<String> },
    /// Shut these listeners down and close them, before any later step.
    Close { instance: String, listeners: Vec<String> },
    /// Tell a generation to accept no more; answer with [`Event::Drained`] when its last connection has ended.
    Drain { instance: String, generation: u64 },
    /// Stop a generation within this time; answer with [`Event::Stopped`].
    Stop { instance: String, generation: u64, timeout: Duration },
    /// A call into the plugin has not come back in time; its thread is lost unless it answers late.
    Abandon { instance: String, generation: u64, call: Call },
}

/// A call into a plugin that may block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// Loading it, or having it check its settings.
    Prepare,
    /// Starting a generation.
    Start,
    /// Stopping a generation.
    Stop,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The plugin is loaded and content with its settings, or not.
    Prepared { instance: String, generation: u64, result: Result<(), Refusal> },
    /// Which listeners were bound (an address whose family the machine lacks may be left out), or why none is.
    Bound { instance: String, generation: u64, result: Result<Vec<String>, Refusal> },
    /// A generation runs, or why it does not.
    Started { instance: String, generation: u64, result: Result<(), Refusal> },
    /// A generation has no connections left.
    Drained { instance: String, generation: u64 },
    /// A generation has stopped.
    Stopped { instance: String, generation: u64 },
    /// A listener can no longer be accepted from.
    Lost { instance: String, listener: String, reason: String },
}

/// Why something did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// One line.
    pub(crate) reason: String,
    /// Whether to try again by itself. If not, only a change of the file or the table does.
    pub(crate) retry: bool,
}

impl Refusal {
    /// A refusal that may go away by itself.
    pub(crate) fn passing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry: true }
    }

    /// A refusal that stays until something is changed.
    pub(crate) fn lasting(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry: false }
    }
}

/// Where an instance is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Declared; its plugin is not loaded.
    Absent,
    /// Its plugin is loaded.
    Loaded,
    /// A generation is starting, and none serves.
    Starting,
    /// A generation serves.
    Running,
    /// It is disabled, and its last generations are ending.
    Draining,
    /// It is disabled and nothing of it runs.
    Stopped,
    /// What is declared does not run.
    Failed { reason: String, retry_at: Option<Time> },
}

/// What the machine knows about an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// Where it is.
    pub(crate) state: State,
    /// The generation that serves, if one does; also while the instance has failed, when it is an older one.
    pub(crate) serving: Option<u64>,
    /// Generations that serve their last connections.
    pub(crate) retiring: Vec<u64>,
    /// Keys of the listeners that are bound.
    pub(crate) listeners: Vec<String>,
}

/// The decisions for all instances.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    instances: BTreeMap<String, Instance>,
    /// The last generation of each name that was ever declared: a late answer never meets a namesake.
    generations: BTreeMap<String, u64>,
    /// Who moves, and since when.
    mover: Option<(String, Time)>,
    /// Set by `close`: until when everything has to have stopped.
    closing: Option<Time>,
}

impl Machine {
    /// Takes a new declaration: instances that it does not name are to go. With `insist`, failed instances that would be
    /// tried again later are tried at once.
    pub(crate) fn declare(&mut self, declared: BTreeMap<String, Desired>, insist: bool, now: Time) {
        for (name, instance) in &mut self.instances {
            if !declared.contains_key(name) {
                instance.desired = None;
            }
        }
        for (name, desired) in declared {
            let instance = self.instances.entry(name).or_default();
            if instance.desired.as_ref().is_none_or(|before| before.fingerprint != desired.fingerprint) {
                instance.failures = 0;
            }
            if let (true, Some(Failure { retry_at: Some(at), .. })) = (insist, &mut instance.failure) {
                *at = now;
            }
            instance.desired = Some(desired);
        }
    }

    /// From now on everything is to stop, by `until` at the latest.
    pub(crate) fn close(&mut self, until: Time) {
        self.closing = Some(until);
    }

    /// Takes an event in.
    pub(crate) fn handle(&mut self, event: Event, now: Time) -> Vec<Step> {
        let mut steps = Vec::new();
        match event {
            Event::Prepared { instance, generation, result } => {
                self.prepared(&instance, generation, result, now, &mut steps);
            }
            Event::Bound { instance, generation, result } => {
                self.bound(&instance, generation, result, now, &mut steps);
            }
            Event::Started { instance, generation, result } => {
                self.started(&instance, generation, result, now, &mut steps);
            }
            Event::Drained { instance, generation } => {
                if let Some(instance) = self.instances.get_mut(&instance)
                    && let Some(Retiring::Draining { until }) = instance.retiring.get_mut(&generation)
                {
                    *until = now;
                }
            }
            Event::Stopped { instance, generation } => {
                if let Some(instance) = self.instances.get_mut(&instance) {
                    instance.retiring.remove(&generation);
                }
            }
            Event::Lost { instance: name, listener, reason } => {
                self.lost(name, &listener, &reason, now, &mut steps)
            }
        }
        steps
    }

    /// What has to be done at this time. Call it after every event, declaration and wake-up.
    pub(crate) fn poll(&mut self, now: Time) -> Vec<Step> {
        let mut steps = Vec::new();
        self.end_what_should_not_run(now, &mut steps);
        self.close_what_others_want(&mut steps);
        self.give_up_late_calls(now, &mut steps);
        self.move_on(now, &mut steps);
        self.retire(now, &mut steps);
        self.instances.retain(|_, instance| instance.desired.is_some() || !instance.is_gone());
        steps
    }

    /// When [`poll`](Self::poll) has something to do even if nothing happens until then.
    pub(crate) fn next_wakeup(&self) -> Option<Time> {
        let moving = self.mover.as_ref().map(|(_, since)| *since + MOVE_PATIENCE);
        let waiting = self.instances.values().any(|instance| instance.wants_to_move());
        let own = self.instances.values().filter_map(Instance::next_wakeup).min();
        match (moving.filter(|_| waiting), own) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// What is known about an instance.
    pub(crate) fn report(&self, name: &str) -> Option<Report> {
        self.instances.get(name).map(Instance::report)
    }

    /// The names of all instances, also of those that are no longer declared but have not ended yet.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.instances.keys().map(String::as_str)
    }

    /// Whether every instance is as declared or has failed at it.
    pub(crate) fn is_settled(&self) -> bool {
        self.instances.values().all(Instance::is_settled)
    }

    /// Whether nothing runs, starts or stops.
    pub(crate) fn is_idle(&self) -> bool {
        self.instances.values().all(Instance::is_gone)
    }

    fn end_what_should_not_run(&mut self, now: Time, steps: &mut Vec<Step>) {
        let timeout = self.closing.map_or(STOP_TIMEOUT, |until| until.saturating_sub(now).min(STOP_TIMEOUT));
        for (name, instance) in &mut self.instances {
            let runs =
                self.closing.is_none() && instance.desired.as_ref().is_some_and(|desired| desired.enabled);
            if runs {
                continue;
            }
            instance.cancel_attempt(name, steps);
            instance.failure = None;
            // Ports first: whoever sees the instance stopped may bind them.
            instance.close_listeners(name, |_| true, steps);
            if let Some(serving) = instance.serving.take() {
                instance.retiring.insert(serving.generation, Retiring::Draining { until: now });
            }
            for (generation, retiring) in &mut instance.retiring {
                if matches!(retiring, Retiring::Draining { .. }) {
                    *retiring = Retiring::Stopping { until: now + timeout + STOP_GRACE };
                    steps.push(Step::Stop { instance: name.clone(), generation: *generation, timeout });
                }
            }
        }
    }

    /// A listener that its instance does not declare any more, kept only until its next generation serves, gives way at
    /// once when another instance declares it.
    fn close_what_others_want(&mut self, steps: &mut Vec<Step>) {
        let wanted: BTreeMap<String, String> = self
            .instances
            .iter()
            .filter_map(|(name, instance)| Some((name, instance.enabled()?)))
            .flat_map(|(name, desired)| desired.listeners.iter().map(|key| (key.clone(), name.clone())))
            .collect();
        for (name, instance) in &mut self.instances {
            instance.close_listeners(name, |key| wanted.get(key).is_some_and(|other| other != name), steps);
        }
    }

    fn give_up_late_calls(&mut self, now: Time, steps: &mut Vec<Step>) {
        for (name, instance) in &mut self.instances {
            let late = instance.attempt.as_ref().and_then(|attempt| attempt.late_call(now));
            if let (Some((call, after)), Some(attempt)) = (late, &instance.attempt) {
                let generation = attempt.generation;
                steps.push(Step::Abandon { instance: name.clone(), generation, call });
                let what = if call == Call::Prepare { "loading it" } else { "`start`" };
                let reason = format!(
                    "{what} did not return within {} seconds; its thread is lost, so it is not tried again until its file \
                     or table changes",
                    after.as_secs()
                );
                instance.fail(name, Refusal::lasting(reason), now, steps);
            }
            instance.retiring.retain(|generation, retiring| {
                let call = match retiring {
                    Retiring::Cancelled { until } if *until <= now => Call::Start,
                    Retiring::Stopping { until } if *until <= now => Call::Stop,
                    _ => return true,
                };
                steps.push(Step::Abandon { instance: name.clone(), generation: *generation, call });
                false
            });
        }
    }

    fn move_on(&mut self, now: Time, steps: &mut Vec<Step>) {
        if self.closing.is_some() {
            return;
        }
        for (name, instance) in &mut self.instances {
            instance.forget_what_is_outdated(name, steps);
        }
        loop {
            let moving = |(name, since): &(String, Time)| {
                *since + MOVE_PATIENCE > now
                    && self.instances.get(name).is_some_and(|instance| instance.attempt.is_some())
            };
            if self.mover.as_ref().is_some_and(moving) {
                return;
            }
            self.mover = None;
            let due = self.instances.iter_mut().find(|(_, instance)| instance.is_due(now));
            let Some((name, instance)) = due else { return };
            let Some(desired) = instance.enabled() else { return };
            let fingerprint = desired.fingerprint.clone();
            let last = self.generations.entry(name.clone()).or_default();
            *last += 1;
            let generation = *last;
            instance.attempt = Some(Attempt { generation, fingerprint, stage: Stage::Preparing, since: now });
            self.mover = Some((name.clone(), now));
            steps.push(Step::Prepare { instance: name.clone(), generation });
        }
    }

    fn retire(&mut self, now: Time, steps: &mut Vec<Step>) {
        for (name, instance) in &mut self.instances {
            let draining = |retiring: &Retiring| matches!(retiring, Retiring::Draining { .. });
            let mut spare =
                instance.retiring.values().filter(|it| draining(it)).count().saturating_sub(RETIRING_MAX);
            for (generation, retiring) in &mut instance.retiring {
                let Retiring::Draining { until } = *retiring else { continue };
                if until <= now || spare > 0 {
                    spare = spare.saturating_sub(1);
                    *retiring = Retiring::Stopping { until: now + STOP_TIMEOUT + STOP_GRACE };
                    let (instance, generation) = (name.clone(), *generation);
                    steps.push(Step::Stop { instance, generation, timeout: STOP_TIMEOUT });
                }
            }
        }
    }

    fn prepared(
        &mut self,
        name: &str,
        generation: u64,
        result: Result<(), Refusal>,
        now: Time,
        steps: &mut Vec<Step>,
    ) {
        let Some(instance) = self.instances.get_mut(name) else { return };
        instance.loaded |= result.is_ok();
        let Some(attempt) = instance.attempt.as_mut().filter(|it| it.is_at(generation, Stage::Preparing))
        else {
            return;
        };
        if let Err(refusal) = result {
            return instance.fail(name, refusal, now, steps);
        }
        attempt.stage = Stage::Binding;
        attempt.since = now;
        let listeners = instance.unbound();
        steps.push(Step::Bind { instance: name.to_owned(), generation, listeners });
    }

    fn bound(
        &mut self,
        name: &str,
        generation: u64,
        result: Result<Vec<String>, Refusal>,
        now: Time,
        steps: &mut Vec<Step>,
    ) {
        let instance = self.instances.get_mut(name);
        let current =
            instance.filter(|it| it.attempt.as_ref().is_some_and(|it| it.is_at(generation, Stage::Binding)));
        let Some(instance) = current else {
            // Nobody wants them any more.
            if let Ok(listeners) = result
                && !listeners.is_empty()
            {
                steps.push(Step::Close { instance: name.to_owned(), listeners });
            }
            return;
        };
        match result {
            Err(refusal) => instance.fail(name, refusal, now, steps),
            Ok(bound) => {
                instance.listeners.extend(bound);
                let listeners = instance.declared_and_bound();
                if let Some(attempt) = &mut instance.attempt {
                    attempt.stage = Stage::Starting;
                    attempt.since = now;
                }
                steps.push(Step::Start { instance: name.to_owned(), generation, listeners });
            }
        }
    }

    fn started(
        &mut self,
        name: &str,
        generation: u64,
        result: Result<(), Refusal>,
        now: Time,
        steps: &mut Vec<Step>,
    ) {
        // A generation that was given up may still come up; then it is stopped, even when its instance is gone.
        let instance = self.instances.entry(name.to_owned()).or_default();
        let Some(attempt) = instance.attempt.take_if(|it| it.is_at(generation, Stage::Starting)) else {
            if result.is_ok() {
                instance.retiring.insert(generation, Retiring::Draining { until: now });
            } else {
                instance.retiring.remove(&generation);
            }
            return;
        };
        if let Err(refusal) = result {
            instance.attempt = Some(attempt);
            return instance.fail(name, refusal, now, steps);
        }
        let listeners = instance.declared_and_bound();
        let drain = instance.desired.as_ref().map_or(Duration::ZERO, |desired| desired.drain);
        let serving = Serving {
            generation,
            fingerprint: attempt.fingerprint,
            listeners: listeners.clone(),
            since: now,
        };
        let before = instance.serving.replace(serving);
        instance.failure = None;
        instance.close_listeners(name, |key| !listeners.iter().any(|kept| kept == key), steps);
        if let Some(before) = before {
            instance.retiring.insert(before.generation, Retiring::Draining { until: now + drain });
            steps.push(Step::Drain { instance: name.to_owned(), generation: before.generation });
        }
    }

    fn lost(&mut self, name: String, listener: &str, reason: &str, now: Time, steps: &mut Vec<Step>) {
        let Some(instance) = self.instances.get_mut(&name) else { return };
        if !instance.listeners.contains(listener) {
            return;
        }
        instance.close_listeners(&name, |key| key == listener, steps);
        // A generation that is still to bind its listeners binds this one as well.
        if instance.attempt.as_ref().is_none_or(|attempt| attempt.stage != Stage::Preparing) {
            instance.cancel_attempt(&name, steps);
            let reason = format!("listener {listener} was lost: {reason}");
            instance.note_failure(Refusal::passing(reason), now);
        }
    }
}

/// The pause after this many failures in a row.
fn pause(failures: u32) -> Duration {
    RETRY_FIRST.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(RETRY_LONGEST)
}
