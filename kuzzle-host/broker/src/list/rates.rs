//! Rates: counters looked at now and then.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Rate;
use crate::broker::Core;
use crate::queue::{DELIVERED, PUBLISHED, SETTLED};

/// Counters are looked at so often, in milliseconds.
const RATE_OVER_MS: u64 = 5_000;

/// The last two looks at the counters.
#[derive(Default)]
pub(crate) struct Rates {
    pub(super) before: Sample,
    pub(super) now: Sample,
}

#[derive(Default)]
pub(super) struct Sample {
    pub(super) at: u64,
    pub(super) counters: HashMap<Counter, u64>,
}

/// What a counter counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Counter {
    Queue(u64, usize),
    Exchange(Arc<str>, Arc<str>),
    Connection(u64),
    Link(u64, bool),
    Published,
    Delivered,
}

impl Rates {
    pub(super) fn rate(&self, counter: Counter, total: u64) -> Rate {
        let millis = self.now.at.saturating_sub(self.before.at);
        let growth = match (self.now.counters.get(&counter), self.before.counters.get(&counter)) {
            (Some(now), Some(before)) => now.saturating_sub(*before),
            (Some(now), None) => *now,
            _ => 0,
        };
        let per_second = if millis == 0 { 0.0 } else { growth as f64 * 1_000.0 / millis as f64 };
        Rate { total, per_second }
    }
}

impl Core {
    /// Looks at the counters, if the last look is old enough.
    pub(crate) fn sample_rates(&self, now: u64) {
        if now < self.rates.lock().now.at + RATE_OVER_MS {
            return;
        }
        let mut sample = Sample { at: now, counters: HashMap::new() };
        let (mut published, mut delivered) = (0, 0);
        for vhost in self.vhosts.read().values() {
            let topology = vhost.topology.read();
            for queue in topology.queues.values() {
                for meter in [PUBLISHED, DELIVERED, SETTLED] {
                    let total = queue.meters[meter].load(Ordering::Relaxed);
                    sample.counters.insert(Counter::Queue(queue.id, meter), total);
                    delivered += if meter == DELIVERED { total } else { 0 };
                }
            }
            for exchange in topology.exchanges.values() {
                let total = exchange.published.load(Ordering::Relaxed);
                published += total;
                let counter = Counter::Exchange(Arc::clone(&vhost.name), Arc::clone(&exchange.name));
                sample.counters.insert(counter, total);
            }
        }
        for connection in self.connections.lock().values() {
            let total = connection.published.load(Ordering::Relaxed);
            sample.counters.insert(Counter::Connection(connection.uid), total);
            for link in connection.links.lock().iter() {
                let total = link.published.load(Ordering::Relaxed);
                sample.counters.insert(Counter::Link(link.uid, true), total);
                let total = link.delivered.load(Ordering::Relaxed);
                sample.counters.insert(Counter::Link(link.uid, false), total);
            }
        }
        sample.counters.insert(Counter::Published, published);
        sample.counters.insert(Counter::Delivered, delivered);
        let mut rates = self.rates.lock();
        rates.before = std::mem::replace(&mut rates.now, sample);
    }
}
