//! Counters per protocol label.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

/// Counts connections and requests per protocol label since the start. Clones share the counters.
///
/// A label gets its counters when it is first seen; labels come from plugin descriptions, never from clients.
#[derive(Clone, Default)]
pub struct Statistics {
    labels: Arc<RwLock<HashMap<Arc<str>, Arc<Counters>>>>,
}

/// The counters of one label at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Connections open now.
    pub connections: u64,
    /// Requests waiting for their answer now.
    pub ongoing: u64,
    /// Requests answered with a status below 400.
    pub completed: u64,
    /// Requests answered with a status of 400 or more.
    pub failed: u64,
}

/// An open connection: counted until this is dropped.
#[must_use = "the connection counts as closed when this is dropped"]
pub struct OpenConnection {
    counters: Arc<Counters>,
}

/// A request on its way: counted as ongoing until this is dropped.
pub(crate) struct OngoingRequest {
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    connections: AtomicU64,
    ongoing: AtomicU64,
    completed: AtomicU64,
    failed: AtomicU64,
}

impl Statistics {
    /// Counts a connection under a label until what is returned is dropped.
    pub fn connection_opened(&self, label: &str) -> OpenConnection {
        let counters = self.counters(label);
        counters.connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection { counters }
    }

    /// Returns the counters of one label, zeroes when it was never seen.
    pub fn traffic(&self, label: &str) -> Traffic {
        self.labels.read().get(label).map_or_else(Traffic::default, |counters| counters.traffic())
    }

    /// Returns the counters of every label seen so far, by label.
    pub fn snapshot(&self) -> BTreeMap<String, Traffic> {
        let labels = self.labels.read();
        labels.iter().map(|(label, counters)| (label.to_string(), counters.traffic())).collect()
    }

    pub(crate) fn request_started(&self, label: &str) -> OngoingRequest {
        let counters = self.counters(label);
        counters.ongoing.fetch_add(1, Ordering::Relaxed);
        OngoingRequest { counters }
    }

    fn counters(&self, label: &str) -> Arc<Counters> {
        if let Some(counters) = self.labels.read().get(label) {
            return Arc::clone(counters);
        }
        Arc::clone(self.labels.write().entry(Arc::from(label)).or_default())
    }
}

impl Counters {
    fn traffic(&self) -> Traffic {
        Traffic {
            connections: self.connections.load(Ordering::Relaxed),
            ongoing: self.ongoing.load(Ordering::Relaxed),
            completed: self.completed.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }
}

impl OngoingRequest {
    /// Counts the request as answered. One that is dropped unanswered, because its connection is gone, say, counts as
    /// neither completed nor failed.
    pub(crate) fn answered(self, status: u16) {
        let counter = if status < 400 { &self.counters.completed } else { &self.counters.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for OngoingRequest {
    fn drop(&mut self) {
        self.counters.ongoing.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.counters.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_count_while_they_are_held() {
        let statistics = Statistics::default();
        let first = statistics.connection_opened("carrier-pigeon");
        let second = statistics.connection_opened("carrier-pigeon");
        assert_eq!(statistics.traffic("carrier-pigeon").connections, 2);
        drop(first);
        assert_eq!(statistics.traffic("carrier-pigeon").connections, 1);
        drop(second);
        assert_eq!(statistics.snapshot()["carrier-pigeon"], Traffic::default());
    }

    #[test]
    fn requests_end_completed_failed_or_dropped() {
        let statistics = Statistics::default();
        let requests: Vec<_> = (0..4).map(|_| statistics.request_started("x")).collect();
        assert_eq!(statistics.traffic("x").ongoing, 4);
        let mut requests = requests.into_iter();
        requests.next().unwrap().answered(200);
        requests.next().unwrap().answered(206);
        requests.next().unwrap().answered(400);
        drop(requests);
        assert_eq!(statistics.traffic("x"), Traffic { connections: 0, ongoing: 0, completed: 2, failed: 1 });
        assert_eq!(statistics.traffic("never seen"), Traffic::default());
        assert_eq!(statistics.snapshot().len(), 1);
    }
}
