use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn desired(fingerprint: &str, listeners: &[&str]) -> Desired {
    Desired {
        enabled: true,
        listeners: listeners.iter().map(|&key| key.to_owned()).collect(),
        fingerprint: fingerprint.to_owned(),
        drain: secs(30),
    }
}

/// A machine with a clock, driven by hand.
#[derive(Default)]
struct Bench {
    machine: Machine,
    now: Time,
    declared: BTreeMap<String, Desired>,
}

impl Bench {
    fn declare(&mut self, name: &str, desired: Desired) -> Vec<Step> {
        self.declared.insert(name.to_owned(), desired);
        self.apply()
    }

    fn apply(&mut self) -> Vec<Step> {
        self.machine.declare(self.declared.clone(), false, self.now);
        self.machine.poll(self.now)
    }

    fn event(&mut self, event: Event) -> Vec<Step> {
        let mut steps = self.machine.handle(event, self.now);
        steps.extend(self.machine.poll(self.now));
        steps
    }

    fn after(&mut self, time: Duration) -> Vec<Step> {
        self.now += time;
        self.machine.poll(self.now)
    }

    fn prepared(&mut self, name: &str, generation: u64) -> Vec<Step> {
        self.event(Event::Prepared { instance: name.to_owned(), generation, result: Ok(()) })
    }

    fn bound(&mut self, name: &str, generation: u64, keys: &[&str]) -> Vec<Step> {
        let keys = keys.iter().map(|&key| key.to_owned()).collect();
        self.event(Event::Bound { instance: name.to_owned(), generation, result: Ok(keys) })
    }

    fn started(&mut self, name: &str, generation: u64, result: Result<(), Refusal>) -> Vec<Step> {
        self.event(Event::Started { instance: name.to_owned(), generation, result })
    }

    fn run(&mut self, name: &str, generation: u64, keys: &[&str]) -> Vec<Step> {
        self.prepared(name, generation);
        self.bound(name, generation, keys);
        self.started(name, generation, Ok(()))
    }

    fn state(&self, name: &str) -> State {
        self.machine.report(name).unwrap().state
    }
}

fn close(instance: &str, keys: &[&str]) -> Step {
    Step::Close { instance: instance.into(), listeners: keys.iter().map(|&key| key.to_owned()).collect() }
}

#[test]
fn an_instance_goes_from_absent_to_running_and_to_stopped() {
    let mut bench = Bench::default();
    let steps = bench.declare("a", desired("1", &["p"]));
    assert_eq!(steps, [Step::Prepare { instance: "a".into(), generation: 1 }]);
    assert_eq!(bench.state("a"), State::Absent);
    let steps = bench.prepared("a", 1);
    assert_eq!(bench.state("a"), State::Loaded);
    assert_eq!(steps, [Step::Bind { instance: "a".into(), generation: 1, listeners: vec!["p".into()] }]);
    let steps = bench.bound("a", 1, &["p"]);
    assert_eq!(steps, [Step::Start { instance: "a".into(), generation: 1, listeners: vec!["p".into()] }]);
    assert_eq!(bench.state("a"), State::Starting);
    assert!(!bench.machine.is_settled());
    assert_eq!(bench.started("a", 1, Ok(())), []);
    assert_eq!(bench.state("a"), State::Running);
    assert!(bench.machine.is_settled());

    let steps = bench.declare("a", Desired { enabled: false, ..desired("1", &["p"]) });
    let stop = Step::Stop { instance: "a".into(), generation: 1, timeout: STOP_TIMEOUT };
    assert_eq!(steps, [close("a", &["p"]), stop]);
    assert_eq!(bench.state("a"), State::Draining);
    bench.event(Event::Stopped { instance: "a".into(), generation: 1 });
    assert_eq!(bench.state("a"), State::Stopped);
    assert_eq!(
        bench.declare("a", desired("1", &["p"])),
        [Step::Prepare { instance: "a".into(), generation: 2 }]
    );
}

#[test]
fn a_changed_table_replaces_the_generation_and_keeps_the_listener() {
    let mut bench = Bench::default();
    bench.declare("a", desired("1", &["p"]));
    bench.run("a", 1, &["p"]);
    bench.declare("a", desired("2", &["p"]));
    let steps = bench.prepared("a", 2);
    assert_eq!(steps, [Step::Bind { instance: "a".into(), generation: 2, listeners: vec![] }]);
    bench.bound("a", 2, &[]);
    assert_eq!(bench.state("a"), State::Running, "the old generation serves meanwhile");
    assert_eq!(bench.started("a", 2, Ok(())), [Step::Drain { instance: "a".into(), generation: 1 }]);
    assert_eq!(bench.after(secs(29)), []);
    let stop = Step::Stop { instance: "a".into(), generation: 1, timeout: STOP_TIMEOUT };
    assert_eq!(bench.after(secs(1)), [stop]);
}

#[test]
fn a_moved_port_is_closed_only_when_the_new_one_serves() {
    let mut bench = Bench::default();
    bench.declare("a", desired("1", &["p"]));
    bench.run("a", 1, &["p"]);
    bench.declare("a", desired("2", &["q"]));
    bench.prepared("a", 2);
    bench.bound("a", 2, &["q"]);
    let steps = bench.started("a", 2, Ok(()));
    assert_eq!(steps, [close("a", &["p"]), Step::Drain { instance: "a".into(), generation: 1 }]);
}

#[test]
fn a_port_that_moves_between_instances_is_given_up_at_once() {
    let mut bench = Bench::default();
    bench.declare("a", desired("1", &["p"]));
    bench.run("a", 1, &["p"]);
    bench.declare("b", desired("1", &["q"]));
    bench.run("b", 1, &["q"]);
    bench.declared.insert("a".into(), desired("2", &["q"]));
    bench.declared.insert("b".into(), desired("2", &["p"]));
    let steps = bench.apply();
    assert_eq!(steps[..2], [close("a", &["p"]), close("b", &["q"])]);
}

#[test]
fn a_failed_change_leaves_the_old_generation_serving() {
    let mut bench = Bench::default();
    bench.declare("a", desired("1", &["p"]));
    bench.run("a", 1, &["p"]);
    bench.declare("a", desired("2", &["q"]));
    bench.prepared("a", 2);
    bench.bound("a", 2, &["q"]);
    assert_eq!(bench.started("a", 2, Err(Refusal::passing("no"))), [close("a", &["q"])]);
    let report = bench.machine.report("a").unwrap();
    assert_eq!(report.state, State::Failed { reason: "no".into(), retry_at: Some(secs(1)) });
    assert_eq!(report.serving, Some(1));
    assert_eq!(report.listeners, ["p"]);
    assert_eq!(bench.declare("a", desired("1", &["p"])), []);
    assert_eq!(bench.state("a"), State::Running);
}

#[test]
fn retries_come_with_growing_pauses_and_at_once_after_a_change() {
    let mut bench = Bench::default();
    bench.declare("a", desired("1", &["p"]));
    let mut pauses = Vec::new();
    for generation in 1..=9 {
        let result = Err(Refusal::passing("no"));
        bench.event(Event::Prepared { instance: "a".into(), generation, result });
        let State::Failed { retry_at: Some(at), .. } = bench.state("a") else {
            panic!("{:?}", bench.state("a"))
        };
        assert_eq!(bench.machine.next_wakeup(), Some(at));
        pauses.push((at - bench.now).as_secs());
        let steps = bench.after(at - bench.now);
        assert_eq!(steps, [Step::Prepare { instance: "a".into(), generation: generation + 1 }]);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    bench.event(Event::Prepared {
        instance: "a".into(),
        generation: 10,
        result: Err(Refusal::passing("no")),
    });
    assert_eq!(
        bench.declare("a", desired("2", &["p"])),
        [Step::Prepare { instance: "a".into(), generation: 11 }]
    );
}

#[test]
fn a_start_that_does_not_return_is_never_tried_again_by_itself() {
    let mut bench = Bench::default();
    bench.declare("a", desired("1", &["p"]));
    bench.prepared("a", 1);
    bench.bound("a", 1, &["p"]);
    let steps = bench.after(START_DEADLINE);
    let abandoned = Step::Abandon { instance: "a".into(), generation: 1, call: Call::Start };
    assert_eq!(steps, [abandoned, close("a", &["p"])]);
    let State::Failed { reason, retry_at: None } = bench.state("a") else { panic!() };
    assert!(reason.starts_with("`start` did not return within 5 seconds"), "{reason}");
    assert_eq!(bench.after(secs(100_000)), []);
    bench.machine.declare(bench.declared.clone(), true, bench.now);
    assert_eq!(bench.machine.poll(bench.now), []);
    // It does return, much later.
    let stop = Step::Stop { instance: "a".into(), generation: 1, timeout: STOP_TIMEOUT };
    assert_eq!(bench.started("a", 1, Ok(())), [stop]);
    assert_eq!(
        bench.declare("a", desired("2", &["p"])),
        [Step::Prepare { instance: "a".into(), generation: 2 }]
    );
}

#[test]
fn one_instance_moves_at_a_time_and_a_slow_one_does_not_hold_the_others_for_long() {
    let mut bench = Bench::default();
    bench.declared.insert("a".into(), desired("1", &["p"]));
    bench.declared.insert("b".into(), desired("1", &["q"]));
    assert_eq!(bench.apply(), [Step::Prepare { instance: "a".into(), generation: 1 }]);
    assert_eq!(bench.machine.next_wakeup(), Some(MOVE_PATIENCE));
    assert_eq!(bench.after(MOVE_PATIENCE), [Step::Prepare { instance: "b".into(), generation: 1 }]);
    let bound = bench.prepared("a", 1);
    assert_eq!(bound, [Step::Bind { instance: "a".into(), generation: 1, listeners: vec!["p".into()] }]);
}

#[test]
fn disabling_while_it_starts_stops_what_comes_up() {
    let mut bench = Bench::default();
    bench.declare("a", desired("1", &["p"]));
    bench.prepared("a", 1);
    bench.bound("a", 1, &["p"]);
    let steps = bench.declare("a", Desired { enabled: false, ..desired("1", &["p"]) });
    assert_eq!(steps, [close("a", &["p"])]);
    assert_eq!(bench.state("a"), State::Draining);
    let stop = Step::Stop { instance: "a".into(), generation: 1, timeout: STOP_TIMEOUT };
    assert_eq!(bench.started("a", 1, Ok(())), [stop]);
    assert!(!bench.machine.is_idle());
    bench.event(Event::Stopped { instance: "a".into(), generation: 1 });
    assert!(bench.machine.is_idle());
}

#[test]
fn a_listener_bound_for_a_change_that_was_taken_back_is_closed() {
    let mut bench = Bench::default();
    bench.declare("a", desired("1", &["p"]));
    bench.prepared("a", 1);
    assert_eq!(
        bench.declare("a", desired("2", &["p"])),
        [Step::Prepare { instance: "a".into(), generation: 2 }]
    );
    assert_eq!(bench.bound("a", 1, &["p"]), [close("a", &["p"])]);
}

#[test]
fn a_lost_listener_is_bound_anew_for_a_new_generation() {
    let mut bench = Bench::default();
    bench.declare("a", desired("1", &["p", "q"]));
    bench.run("a", 1, &["p", "q"]);
    let lost = |key: &str| Event::Lost { instance: "a".into(), listener: key.into(), reason: "gone".into() };
    assert_eq!(bench.event(lost("p")), [close("a", &["p"])]);
    assert_eq!(bench.event(lost("p")), []);
    assert_eq!(bench.after(secs(1)), [Step::Prepare { instance: "a".into(), generation: 2 }]);
    let steps = bench.prepared("a", 2);
    assert_eq!(steps, [Step::Bind { instance: "a".into(), generation: 2, listeners: vec!["p".into()] }]);
}

#[test]
fn at_most_a_few_generations_retire_at_once() {
    let mut bench = Bench::default();
    bench.declare("a", desired("1", &["p"]));
    bench.run("a", 1, &["p"]);
    for generation in 2..=20 {
        bench.declare("a", desired(&generation.to_string(), &["p"]));
        bench.run("a", generation, &[]);
        let retiring = bench.machine.instances["a"].retiring.values();
        let draining = retiring.filter(|it| matches!(it, Retiring::Draining { .. })).count();
        assert!(draining <= RETIRING_MAX);
    }
}

#[test]
fn a_stop_that_does_not_return_is_given_up() {
    let mut bench = Bench::default();
    bench.declare("a", desired("1", &[]));
    bench.run("a", 1, &[]);
    bench.machine.close(secs(3));
    let stop = Step::Stop { instance: "a".into(), generation: 1, timeout: secs(3) };
    assert_eq!(bench.after(secs(0)), [stop]);
    let abandoned = Step::Abandon { instance: "a".into(), generation: 1, call: Call::Stop };
    assert_eq!(bench.after(secs(3) + STOP_GRACE), [abandoned]);
    assert!(bench.machine.is_idle());
}

#[derive(Clone, Debug)]
enum Act {
    /// Declare: instance, version of its table, which listeners (bits), enabled.
    Declare(usize, u8, u8, bool),
    Forget(usize),
    /// Answer one of the calls under way, with success or not.
    Answer(prop::sample::Index, bool),
    Lose(prop::sample::Index),
    Pass(u16),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0..3_usize, 0..4_u8, 0..8_u8, prop::bool::weighted(0.8)).prop_map(|(a, b, c, d)| Act::Declare(a, b, c, d)),
        1 => (0..3_usize).prop_map(Act::Forget),
        12 => (any::<prop::sample::Index>(), prop::bool::weighted(0.8)).prop_map(|(a, b)| Act::Answer(a, b)),
        1 => any::<prop::sample::Index>().prop_map(Act::Lose),
        4 => (0..8_000_u16).prop_map(Act::Pass),
    ];
    prop::collection::vec(act, 1..120)
}

/// Stands in for the world: sockets that can be bound once, calls that are under way.
#[derive(Default)]
struct World {
    bench: Bench,
    sockets: BTreeMap<String, String>,
    calls: Vec<Step>,
    stopping: BTreeSet<(String, u64)>,
    started: BTreeSet<(String, u64)>,
}

impl World {
    fn carry_out(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Bind { instance, generation, listeners } => {
                    for key in &listeners {
                        let before = self.sockets.insert(key.clone(), instance.clone());
                        assert_eq!(before, None, "{key} is bound twice");
                    }
                    let result = Ok(listeners);
                    let steps = self.bench.event(Event::Bound { instance, generation, result });
                    self.carry_out(steps);
                }
                Step::Close { instance, listeners } => {
                    for key in listeners {
                        assert_eq!(
                            self.sockets.remove(&key).as_ref(),
                            Some(&instance),
                            "{key} is not its own"
                        );
                    }
                }
                Step::Stop { ref instance, generation, .. } => {
                    let known = self.stopping.insert((instance.clone(), generation));
                    assert!(known, "generation {generation} of {instance} is stopped twice");
                    assert!(self.started.contains(&(instance.clone(), generation)), "it never started");
                    self.calls.push(step);
                }
                Step::Abandon { .. } => {}
                Step::Start { ref instance, ref listeners, .. } => {
                    for key in listeners {
                        assert_eq!(
                            self.sockets.get(key),
                            Some(instance),
                            "started on a socket that it does not have"
                        );
                    }
                    self.calls.push(step);
                }
                Step::Prepare { .. } | Step::Drain { .. } => self.calls.push(step),
            }
        }
    }

    fn answer(&mut self, at: usize, well: bool) {
        let call = self.calls.remove(at);
        let outcome = || if well { Ok(()) } else { Err(Refusal::passing("no")) };
        let event = match call {
            Step::Prepare { instance, generation } => {
                Event::Prepared { instance, generation, result: outcome() }
            }
            Step::Start { instance, generation, .. } => {
                if well {
                    self.started.insert((instance.clone(), generation));
                }
                Event::Started { instance, generation, result: outcome() }
            }
            Step::Drain { instance, generation } => Event::Drained { instance, generation },
            Step::Stop { instance, generation, .. } => Event::Stopped { instance, generation },
            other => unreachable!("{other:?}"),
        };
        let steps = self.bench.event(event);
        self.carry_out(steps);
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Declare(instance, version, listeners, enabled) => {
                let name = ["a", "b", "c"][instance].to_owned();
                // Checked by the declaration's reader: no two instances that are enabled share a listener.
                let taken: BTreeSet<String> = self
                    .bench
                    .declared
                    .iter()
                    .filter(|(other, it)| it.enabled && **other != name)
                    .flat_map(|(_, it)| it.listeners.clone())
                    .collect();
                let keys = ["p", "q", "r"].into_iter().enumerate();
                let keys: Vec<&str> = keys
                    .filter(|(bit, key)| listeners & (1 << bit) != 0 && !taken.contains(*key))
                    .map(|(_, key)| key)
                    .collect();
                let fingerprint = format!("{version}{keys:?}");
                let steps = self.bench.declare(&name, Desired { enabled, ..desired(&fingerprint, &keys) });
                self.carry_out(steps);
            }
            Act::Forget(instance) => {
                self.bench.declared.remove(["a", "b", "c"][instance]);
                let steps = self.bench.apply();
                self.carry_out(steps);
            }
            Act::Answer(at, well) => {
                if !self.calls.is_empty() {
                    self.answer(at.index(self.calls.len()), well);
                }
            }
            Act::Lose(at) => {
                let sockets: Vec<_> =
                    self.sockets.iter().map(|(key, name)| (key.clone(), name.clone())).collect();
                if !sockets.is_empty() {
                    let (listener, instance) = sockets[at.index(sockets.len())].clone();
                    let steps = self.bench.event(Event::Lost { instance, listener, reason: "gone".into() });
                    self.carry_out(steps);
                }
            }
            Act::Pass(millis) => {
                let steps = self.bench.after(Duration::from_millis(millis.into()));
                self.carry_out(steps);
            }
        }
    }

    fn check(&self) {
        for (name, instance) in &self.bench.machine.instances {
            let own: BTreeSet<_> =
                self.sockets.iter().filter(|(_, owner)| *owner == name).map(|(key, _)| key.clone()).collect();
            assert_eq!(own, instance.listeners, "the machine's idea of the sockets of {name}");
            let unserved = instance.serving.is_none() && instance.attempt.is_none();
            assert!(!unserved || own.is_empty(), "{name} holds {own:?} for nobody");
        }
        for name in self.sockets.values() {
            assert!(self.bench.machine.instances.contains_key(name), "a socket of {name}, which is gone");
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_reality_ends_as_declared(acts in acts()) {
        let mut world = World::default();
        for act in acts {
            world.act(act);
            world.check();
            prop_assert!(world.bench.machine.poll(world.bench.now).is_empty(), "poll leaves nothing to do");
        }
        // From here on everything works: after the longest pause each instance is as declared.
        for _ in 0..200 {
            while !world.calls.is_empty() {
                world.answer(0, true);
                world.check();
            }
            match world.bench.machine.next_wakeup() {
                Some(at) => {
                    let wait = at.saturating_sub(world.bench.now);
                    let steps = world.bench.after(wait);
                    world.carry_out(steps);
                }
                None => break,
            }
        }
        prop_assert!(world.bench.machine.is_settled());
        for (name, desired) in &world.bench.declared {
            let report = world.bench.machine.report(name).unwrap();
            let mut keys = if desired.enabled { desired.listeners.clone() } else { Vec::new() };
            keys.sort();
            if !matches!(report.state, State::Failed { .. }) {
                prop_assert_eq!(&report.listeners, &keys, "listeners of {}", name);
            }
            match (&report.state, desired.enabled) {
                (State::Running, true) | (State::Stopped, false) => {}
                // A start that did not return in time is not tried again.
                (State::Failed { retry_at: None, .. }, true) => {}
                other => prop_assert!(false, "{}: {:?}", name, other),
            }
        }
        let declared: Vec<&str> = world.bench.declared.keys().map(String::as_str).collect();
        prop_assert_eq!(world.bench.machine.names().collect::<Vec<_>>(), declared);
    }
}
