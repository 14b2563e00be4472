//! What a plugin offers so that it is told when events wait.

use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::prefix_type::WithMetadata;

use super::super::service::borrow;
use super::super::{Service, ServiceRef, guard};

/// A plugin's table of the service `broker-client`.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = BrokerClientVtRef, prefix_fields = BrokerClientVtPrefix)))]
#[sabi(missing_field(option))]
pub struct BrokerClientVt {
    /// Says that events have come to wait in the outbox of a link or connection, where none did. Only wakes a task. Any
    /// thread, from running until stopped, also for an id that the plugin has just closed; never blocks, cannot fail. No
    /// lock of the host is held during the call, and the plugin takes from a task of its own, not from inside. For events
    /// that came while the plugin was starting it is called once it runs.
    #[sabi(last_prefix_field)]
    pub ready: unsafe extern "C" fn(ctx: *const (), id: u64),
}

/// What a plugin implements to offer `broker-client`. See [`BrokerClientVt`].
pub trait BrokerClientCalls: Send + Sync + 'static {
    /// Says that events wait; see [`BrokerClientVt::ready`].
    fn ready(&self, id: u64);
}

/// The service `broker-client`.
#[derive(Clone)]
pub struct BrokerClient {
    service: ServiceRef,
    table: BrokerClientVtRef,
}

impl Service for BrokerClient {
    const ID: &'static str = "broker-client";
    const MAJOR: u32 = 1;
    type Table = BrokerClientVtRef;

    fn from_checked(service: ServiceRef, table: BrokerClientVtRef) -> Self {
        Self { service, table }
    }
}

impl BrokerClient {
    /// Offers `calls` as a service.
    #[must_use]
    pub fn offer<T: BrokerClientCalls>(calls: Arc<T>) -> ServiceRef {
        // SAFETY: every function of `Table<T>` expects an `Arc<T>` pointer.
        unsafe { ServiceRef::new::<Self, T>(calls, Table::<T>::REF) }
    }

    /// Says that events wait; see [`BrokerClientVt::ready`].
    pub fn ready(&self, id: u64) {
        // SAFETY: the context belongs to the table and is referenced by this value.
        unsafe { (self.table.ready())(self.service.ctx(), id) }
    }
}

struct Table<T>(std::marker::PhantomData<T>);

impl<T: BrokerClientCalls> Table<T> {
    abi_stable::staticref!(const WITH: WithMetadata<BrokerClientVt> =
        WithMetadata::new(BrokerClientVt { ready: Self::ready }));

    const REF: BrokerClientVtRef = BrokerClientVtRef(Self::WITH.as_prefix());

    unsafe extern "C" fn ready(ctx: *const (), id: u64) {
        // SAFETY: the table is only ever paired with a context of its own `T`, referenced by the caller.
        guard(|| unsafe { borrow::<T>(ctx) }.ready(id), |_panic| ());
    }
}
