//! What a host may ask of a running plugin.

use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{ROption, RStr};
use abi_stable::type_layout::TypeLayout;

use super::service::{borrow, look_up, release};
use super::{Completion, Reply, Service, ServiceLookup, ServiceRef, guard};

/// The table of a running plugin instance. Every function: any thread.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = InstanceVtRef, prefix_fields = InstanceVtPrefix)))]
#[sabi(missing_field(option))]
pub struct InstanceVt {
    /// Ends the instance's life; the last call, after `stop` has returned. Never blocks, cannot fail.
    pub release: unsafe extern "C" fn(ctx: *const ()),

    /// The plugin's service `id` in version `major`, or none; see [`HostVt::service`](super::HostVt::service), with the
    /// roles exchanged. From running until stopped. Never blocks.
    pub service: unsafe extern "C" fn(
        ctx: *const (),
        id: RStr<'_>,
        major: u32,
        expected: &'static TypeLayout,
    ) -> ROption<ServiceRef>,

    /// Stops accepting: closes the instance's own handles of its listeners, and leaves its connections as they are until
    /// they end by themselves. Completes with status 200 when none is left. Running; called at most once. Never blocks;
    /// dropping the completion says that the instance can no longer tell.
    pub drain: unsafe extern "C" fn(ctx: *const (), done: Completion),

    /// Ends the instance: stops accepting if it has not yet, gives the remaining connections their protocol's goodbye,
    /// waits for them and for its threads, but no longer than `timeout_ms` in all, and cuts what is left. Running or
    /// draining; called once. Blocks for that time at most. After it returned the plugin calls the host no more.
    #[sabi(last_prefix_field)]
    pub stop: unsafe extern "C" fn(ctx: *const (), timeout_ms: u64) -> StopReport,
}

/// How a stop went.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StopReport {
    /// Whether every connection got its goodbye and every thread ended in time.
    pub clean: bool,
    /// Connections that were cut when the time was up.
    pub cut_connections: u32,
    /// Threads that did not end. They go on using memory of the plugin for the life of the process.
    pub leaked_threads: u32,
}

/// A host's hold on a running plugin instance. There is one; dropping it releases the instance.
#[repr(C)]
#[derive(StableAbi)]
pub struct Instance {
    ctx: *const (),
    vt: InstanceVtRef,
}

/// What a plugin implements to be an instance. Need not guard against its own panics.
pub trait InstanceCalls: ServiceLookup {
    /// Stops accepting; see [`InstanceVt::drain`].
    fn drain(&self, done: Completion);

    /// Ends the instance; see [`InstanceVt::stop`].
    fn stop(&self, timeout_ms: u64) -> StopReport;
}

impl Instance {
    /// Offers `instance` to the host.
    #[must_use]
    pub fn new<T: InstanceCalls>(instance: Arc<T>) -> Self {
        Self { ctx: Arc::into_raw(instance).cast(), vt: Table::<T>::REF }
    }

    /// Asks for a service of the plugin. None when it does not have it, or has one that does not fit.
    #[must_use]
    pub fn service<S: Service>(&self) -> Option<S> {
        // SAFETY: `ctx` belongs to `vt` and is alive until this value is dropped; layouts are statics of libraries that
        // are never unloaded.
        let found =
            unsafe { (self.vt.service())(self.ctx, S::ID.into(), S::MAJOR, <S::Table as StableAbi>::LAYOUT) };
        found.into_option().and_then(|service| service.typed::<S>().ok())
    }

    /// Stops accepting; see [`InstanceVt::drain`].
    pub fn drain(&self, done: Completion) {
        // SAFETY: as in `service`.
        unsafe { (self.vt.drain())(self.ctx, done) }
    }

    /// Ends the instance; see [`InstanceVt::stop`]. Blocks for `timeout_ms` at most, if the plugin keeps its word.
    pub fn stop(&self, timeout_ms: u64) -> StopReport {
        // SAFETY: as in `service`.
        unsafe { (self.vt.stop())(self.ctx, timeout_ms) }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: the only holder gives its reference back, once.
        unsafe { (self.vt.release())(self.ctx) }
    }
}

// SAFETY: the instance behind it is `Send + Sync` (a bound of `ServiceLookup`), and every function may be called from
// any thread.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

struct Table<T>(std::marker::PhantomData<T>);

impl<T: InstanceCalls> Table<T> {
    abi_stable::staticref!(const WITH: WithMetadata<InstanceVt> = WithMetadata::new(InstanceVt {
        release: release::<T>,
        service: Self::service,
        drain: Self::drain,
        stop: Self::stop,
    }));

    const REF: InstanceVtRef = InstanceVtRef(Self::WITH.as_prefix());

    unsafe extern "C" fn service(
        ctx: *const (),
        id: RStr<'_>,
        major: u32,
        expected: &'static TypeLayout,
    ) -> ROption<ServiceRef> {
        guard(
            // SAFETY: the table is only ever paired with a context of its own `T`, alive until released.
            || look_up(unsafe { borrow::<T>(ctx) }, id, major, expected),
            |_panic| ROption::RNone,
        )
    }

    unsafe extern "C" fn drain(ctx: *const (), done: Completion) {
        // SAFETY: as in `service`.
        guard(|| unsafe { borrow::<T>(ctx) }.drain(done), |_panic| ());
    }

    unsafe extern "C" fn stop(ctx: *const (), timeout_ms: u64) -> StopReport {
        // SAFETY: as in `service`.
        guard(|| unsafe { borrow::<T>(ctx) }.stop(timeout_ms), |_panic| StopReport::default())
    }
}

impl StopReport {
    /// What [`InstanceVt::drain`] completes with once no connection is left.
    #[must_use]
    pub fn drained() -> Reply {
        Reply { status: 200, ..Reply::cancelled() }
    }
}
