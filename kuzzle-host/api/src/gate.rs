//! How many requests are let in, and how many may compute at once.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Counts accepted requests against the limit and shares it out; bounds how many compute at once.
///
/// An accepted request keeps its place until it is answered; a computing one gives the second kind of place back before
/// it waits for a disk. While less than nine tenths of the places for accepted requests are taken, a newcomer is
/// refused only if its connection alone has a tenth of all places. The last tenth goes to those who have less than
/// their share: an instance's share is all places divided by the instances that have requests under way and one more; a
/// connection's is its instance's, divided likewise. So whoever fills the server leaves room for the others, and nobody
/// is held back while there is plenty.
pub(crate) struct Gate {
    accepted_max: usize,
    accepted: Mutex<Accepted>,
    computing: Arc<Semaphore>,
}

#[derive(Default)]
struct Accepted {
    total: usize,
    /// Instances that ever had a request: as few as the configuration names.
    instances: HashMap<Arc<str>, Load>,
}

#[derive(Default)]
struct Load {
    total: usize,
    /// Connections with at least one request under way. What comes without one (0) is not counted here: it is held to
    /// its instance's share alone.
    connections: HashMap<u64, usize>,
}

/// The place of one accepted request; given back when this is dropped.
pub(crate) struct Place {
    gate: Arc<Gate>,
    instance: Arc<str>,
    connection: u64,
}

impl Gate {
    pub(crate) fn new(accepted_max: usize, computing_max: usize) -> Gate {
        Gate {
            accepted_max: accepted_max.max(1),
            accepted: Mutex::default(),
            computing: Arc::new(Semaphore::new(computing_max.clamp(1, Semaphore::MAX_PERMITS))),
        }
    }

    /// Lets a request in, or not.
    pub(crate) fn accept(self: &Arc<Self>, instance: &Arc<str>, connection: u64) -> Option<Place> {
        let mut accepted = self.accepted.lock();
        if !accepted.has_room_for(instance, connection, self.accepted_max) {
            return None;
        }
        accepted.total += 1;
        let load = match accepted.instances.get_mut(instance) {
            Some(load) => load,
            None => accepted.instances.entry(Arc::clone(instance)).or_default(),
        };
        load.total += 1;
        if connection != 0 {
            *load.connections.entry(connection).or_default() += 1;
        }
        Some(Place { gate: Arc::clone(self), instance: Arc::clone(instance), connection })
    }

    /// Takes a place for computing if one is free and nobody waits for it.
    pub(crate) fn compute_now(&self) -> Option<SemaphorePermit<'_>> {
        self.computing.try_acquire().ok()
    }

    /// Waits for a place for computing, first come, first served. The wait starts when the future is first polled.
    pub(crate) fn compute_later(&self) -> impl Future<Output = Option<OwnedSemaphorePermit>> + Send + use<> {
        let computing = Arc::clone(&self.computing);
        async move { computing.acquire_owned().await.ok() }
    }
}

impl Accepted {
    fn has_room_for(&self, instance: &str, connection: u64, max: usize) -> bool {
        let load = self.instances.get(instance);
        let of_instance = load.map_or(0, |load| load.total);
        let of_connection = load.map_or(0, |load| load.of_connection(connection));
        if self.total >= max {
            return false;
        }
        if self.total < max - max / 10 {
            return of_connection < (max / 10).max(1);
        }
        // One share more than there are takers: the next newcomer's.
        let busy_instances = self.instances.values().filter(|load| load.total > 0).count();
        let instance_share = max / (busy_instances + 1);
        let busy_connections = load.map_or(0, |load| load.connections.len());
        let connection_share = instance_share / (busy_connections + 1);
        of_instance < instance_share.max(1) && of_connection < connection_share.max(1)
    }

    fn leave(&mut self, instance: &str, connection: u64) {
        self.total -= 1;
        let Some(load) = self.instances.get_mut(instance) else { return };
        load.total -= 1;
        if let Some(count) = load.connections.get_mut(&connection) {
            *count -= 1;
            if *count == 0 {
                load.connections.remove(&connection);
            }
        }
    }
}

impl Load {
    fn of_connection(&self, connection: u64) -> usize {
        self.connections.get(&connection).copied().unwrap_or(0)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.accepted.lock().leave(&self.instance, self.connection);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gate(accepted_max: usize) -> Arc<Gate> {
        Arc::new(Gate::new(accepted_max, 1))
    }

    /// Takes places for an instance, each on a connection of its own, as long as there are any.
    fn fill(gate: &Arc<Gate>, instance: &str) -> Vec<Place> {
        (1..).map_while(|connection| gate.accept(&instance.into(), connection)).collect()
    }

    #[test]
    fn an_instance_alone_leaves_the_last_tenth() {
        let gate = gate(100);
        let held = fill(&gate, "greedy");
        assert_eq!(held.len(), 90);
        drop(held);
        assert_eq!(gate.accepted.lock().total, 0);
        assert_eq!(fill(&gate, "greedy").len(), 90);
    }

    #[test]
    fn the_last_tenth_goes_to_those_below_their_share() {
        let gate = gate(100);
        let greedy = fill(&gate, "greedy");
        let modest = fill(&gate, "modest");
        assert_eq!((greedy.len(), modest.len()), (90, 10));
        assert!(gate.accept(&"late".into(), 1).is_none(), "no place is left");

        // A place given back goes to others than the one who has most.
        let mut greedy = greedy;
        greedy.pop();
        assert!(gate.accept(&"greedy".into(), 500).is_none());
        assert!(gate.accept(&"late".into(), 1).is_some());
    }

    #[test]
    fn a_connection_has_a_tenth_at_most() {
        let gate = gate(100);
        let one: Vec<Place> = std::iter::from_fn(|| gate.accept(&"i".into(), 7)).collect();
        assert_eq!(one.len(), 10);
        assert!(gate.accept(&"i".into(), 8).is_some());
        assert!(gate.accept(&"other".into(), 7).is_some(), "numbers of connections are an instance's own");
    }

    #[test]
    fn what_comes_without_a_connection_is_held_to_the_share_of_its_instance() {
        let gate = gate(100);
        let held: Vec<Place> = std::iter::from_fn(|| gate.accept(&"i".into(), 0)).collect();
        assert_eq!(held.len(), 90);
    }

    #[test]
    fn the_smallest_gate_lets_one_in() {
        for max in [0, 1] {
            let gate = gate(max);
            let place = gate.accept(&"i".into(), 1);
            assert!(place.is_some());
            assert!(gate.accept(&"j".into(), 1).is_none());
            drop(place);
            assert!(gate.accept(&"j".into(), 1).is_some());
        }
    }

    #[test]
    fn places_for_computing_are_given_back_and_waited_for() {
        let gate = gate(10);
        let held = gate.compute_now();
        assert!(held.is_some());
        assert!(gate.compute_now().is_none());
        let mut waiting = polled(gate.compute_later());
        assert!(waiting().is_none());
        drop(held);
        assert!(gate.compute_now().is_none(), "the place belongs to the one who waited");
        let held = waiting();
        assert!(held.is_some());
        drop(held);
        assert!(gate.compute_now().is_some());
    }

    /// Polls a future by hand; gives its output once it is ready.
    fn polled<T>(future: impl Future<Output = Option<T>>) -> impl FnMut() -> Option<T> {
        let mut future = Box::pin(future);
        move || {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match future.as_mut().poll(&mut context) {
                std::task::Poll::Ready(output) => output,
                std::task::Poll::Pending => None,
            }
        }
    }

    proptest! {
        #[test]
        fn counts_agree_with_the_places_held(
            max in 1_usize..60, steps in prop::collection::vec((0_usize..4, 0_u64..5, any::<prop::sample::Index>()), 1..300),
        ) {
            let gate = gate(max);
            let names: [Arc<str>; 3] = ["a".into(), "b".into(), "c".into()];
            let mut held: Vec<(usize, u64, Place)> = Vec::new();
            for (instance, connection, which) in steps {
                if instance == names.len() {
                    if !held.is_empty() {
                        held.swap_remove(which.index(held.len()));
                    }
                } else {
                    let of_instance = held.iter().filter(|(name, ..)| *name == instance).count();
                    match gate.accept(&names[instance], connection) {
                        Some(place) => held.push((instance, connection, place)),
                        None => prop_assert!(
                            held.len() >= max || of_instance > 0,
                            "an instance without requests is refused only when no place is left"
                        ),
                    }
                }
                prop_assert!(held.len() <= max);
                prop_assert_eq!(gate.accepted.lock().total, held.len());
            }
            drop(held);
            let accepted = gate.accepted.lock();
            prop_assert_eq!(accepted.total, 0);
            prop_assert!(accepted.instances.values().all(|load| load.total == 0 && load.connections.is_empty()));
        }
    }
}
