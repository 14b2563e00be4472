//! The service `metrics`: numbers about an instance that operators see.

use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{RResult, RStr};

use super::service::borrow;
use super::{ApiError, Service, ServiceRef, guard};

/// A metric that only grows.
pub const METRIC_COUNTER: u32 = 1;
/// A metric that goes up and down.
pub const METRIC_GAUGE: u32 = 2;

/// The host's table of the service `metrics`. Every function: any thread, from starting until stopped, never blocks.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = MetricsVtRef, prefix_fields = MetricsVtPrefix)))]
#[sabi(missing_field(option))]
pub struct MetricsVt {
    /// Declares a metric and gives it a number. `name` is in lower case with underscores and ends in its unit
    /// (`bytes_received_total`); `kind` is one of the `METRIC_` constants; `help` is one sentence. Both are borrowed. A
    /// name that the instance declared before gives the same number. Refused (400) for a bad name, an unknown kind, or a
    /// known name of another kind, and (429) beyond the host's limit of metrics per instance.
    pub register: unsafe extern "C" fn(
        ctx: *const (),
        name: RStr<'_>,
        kind: u32,
        help: RStr<'_>,
    ) -> RResult<u32, ApiError>,

    /// Adds to a metric. A counter ignores negative values; unknown numbers are ignored. One atomic addition. Cannot fail.
    pub add: unsafe extern "C" fn(ctx: *const (), metric: u32, delta: i64),

    /// Sets a gauge. Counters and unknown numbers are left alone. One atomic store. Cannot fail.
    #[sabi(last_prefix_field)]
    pub set: unsafe extern "C" fn(ctx: *const (), metric: u32, value: i64),
}

/// What a host implements to offer `metrics`. See [`MetricsVt`].
pub trait MetricsCalls: Send + Sync + 'static {
    /// Declares a metric; see [`MetricsVt::register`].
    ///
    /// # Errors
    ///
    /// When it is refused.
    fn register(&self, name: &str, kind: u32, help: &str) -> Result<u32, ApiError>;

    /// Adds to a metric; see [`MetricsVt::add`].
    fn add(&self, metric: u32, delta: i64);

    /// Sets a gauge; see [`MetricsVt::set`].
    fn set(&self, metric: u32, value: i64);
}

/// The service `metrics`.
#[derive(Clone)]
pub struct Metrics {
    service: ServiceRef,
    table: MetricsVtRef,
}

impl Service for Metrics {
    const ID: &'static str = "metrics";
    const MAJOR: u32 = 1;
    type Table = MetricsVtRef;

    fn from_checked(service: ServiceRef, table: MetricsVtRef) -> Self {
        Self { service, table }
    }
}

impl Metrics {
    /// Offers `calls` as a service.
    #[must_use]
    pub fn offer<T: MetricsCalls>(calls: Arc<T>) -> ServiceRef {
        // SAFETY: every function of `Table<T>` expects an `Arc<T>` pointer.
        unsafe { ServiceRef::new::<Self, T>(calls, Table::<T>::REF) }
    }

    /// Declares a metric; see [`MetricsVt::register`].
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn register(&self, name: &str, kind: u32, help: &str) -> Result<u32, ApiError> {
        // SAFETY: the context belongs to the table and is referenced by this value.
        unsafe { (self.table.register())(self.service.ctx(), name.into(), kind, help.into()) }.into_result()
    }

    /// Adds to a metric; see [`MetricsVt::add`].
    pub fn add(&self, metric: u32, delta: i64) {
        // SAFETY: as in `register`.
        unsafe { (self.table.add())(self.service.ctx(), metric, delta) }
    }

    /// Sets a gauge; see [`MetricsVt::set`].
    pub fn set(&self, metric: u32, value: i64) {
        // SAFETY: as in `register`.
        unsafe { (self.table.set())(self.service.ctx(), metric, value) }
    }
}

struct Table<T>(std::marker::PhantomData<T>);

impl<T: MetricsCalls> Table<T> {
    abi_stable::staticref!(const WITH: WithMetadata<MetricsVt> =
        WithMetadata::new(MetricsVt { register: Self::register, add: Self::add, set: Self::set }));

    const REF: MetricsVtRef = MetricsVtRef(Self::WITH.as_prefix());

    unsafe extern "C" fn register(
        ctx: *const (),
        name: RStr<'_>,
        kind: u32,
        help: RStr<'_>,
    ) -> RResult<u32, ApiError> {
        guard(
            // SAFETY: the table is only ever paired with a context of its own `T`, referenced by the caller.
            || unsafe { borrow::<T>(ctx) }.register(name.as_str(), kind, help.as_str()),
            |text| Err(ApiError::panicked("metrics.register", &text)),
        )
        .into()
    }

    unsafe extern "C" fn add(ctx: *const (), metric: u32, delta: i64) {
        // SAFETY: as in `register`.
        guard(|| unsafe { borrow::<T>(ctx) }.add(metric, delta), |_panic| ());
    }

    unsafe extern "C" fn set(ctx: *const (), metric: u32, value: i64) {
        // SAFETY: as in `register`.
        guard(|| unsafe { borrow::<T>(ctx) }.set(metric, value), |_panic| ());
    }
}
