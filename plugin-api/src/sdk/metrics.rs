//! Numbers that operators see.

use crate::abi;

/// Declares metrics of the instance. Where the host has no `metrics`, or refuses one, its handle counts nothing.
#[derive(Clone)]
pub struct Metrics {
    service: Option<abi::Metrics>,
}

impl Metrics {
    pub(crate) const fn new(service: Option<abi::Metrics>) -> Self {
        Self { service }
    }

    /// Declares a number that only grows. `name` is lower case with underscores and ends in its unit
    /// (`bytes_received_total`); `help` is one sentence. The same name gives the same metric.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        Counter(self.declare(name, abi::METRIC_COUNTER, help))
    }

    /// Declares a number that goes up and down. Name and help as for [`counter`](Self::counter).
    #[must_use]
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        Gauge(self.declare(name, abi::METRIC_GAUGE, help))
    }

    fn declare(&self, name: &str, kind: u32, help: &str) -> Handle {
        let service = self.service.as_ref()?;
        match service.register(name, kind, help) {
            Ok(number) => Some((service.clone(), number)),
            Err(error) => {
                tracing::warn!(metric = name, %error, "metric refused by the host; it is not counted");
                None
            }
        }
    }
}

type Handle = Option<(abi::Metrics, u32)>;

/// A number that only grows.
#[derive(Clone)]
pub struct Counter(Handle);

impl Counter {
    /// Adds to it. Costs a call into the host: a few nanoseconds.
    pub fn add(&self, delta: u64) {
        if let Some((service, number)) = &self.0 {
            service.add(*number, i64::try_from(delta).unwrap_or(i64::MAX));
        }
    }
}

/// A number that goes up and down.
#[derive(Clone)]
pub struct Gauge(Handle);

impl Gauge {
    /// Adds to it, or takes away.
    pub fn add(&self, delta: i64) {
        if let Some((service, number)) = &self.0 {
            service.add(*number, delta);
        }
    }

    /// Sets it.
    pub fn set(&self, value: i64) {
        if let Some((service, number)) = &self.0 {
            service.set(*number, value);
        }
    }
}
