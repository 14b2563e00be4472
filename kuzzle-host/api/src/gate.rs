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
/// their share: an instance's share is the same as every other's that has requests under way, a connection's the same
/// as every other's of its instance. So whoever fills the server leaves room for the others, and nobody is held back
/// while there is plenty.
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
        let busy_instances = self.instances.values().filter(|load| load.total > 0).count();
        let instance_share = max / (busy_instances + usize::from(of_instance == 0));
        let busy_connections = load.map_or(0, |load| load.connections.len());
        let connection_share = instance_share / (busy_connections + usize::from(of_connection == 0)).max(1);
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
