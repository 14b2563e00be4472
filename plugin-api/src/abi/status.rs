//! The service `status`: what a plugin says about itself to operators.

use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::prefix_type::WithMetadata;

use super::service::borrow;
use super::{Blob, Service, ServiceRef, guard};

/// A plugin's table of the service `status`.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = StatusVtRef, prefix_fields = StatusVtPrefix)))]
#[sabi(missing_field(option))]
pub struct StatusVt {
    /// The instance's state: a JSON object with `connections` (open sockets) and whatever else the protocol wants shown.
    /// Any thread, from running until stopped; never blocks. A panic answers with empty bytes. Owned by the caller.
    #[sabi(last_prefix_field)]
    pub report: unsafe extern "C" fn(ctx: *const ()) -> Blob,
}

/// What a plugin implements to offer `status`. See [`StatusVt`].
pub trait StatusCalls: Send + Sync + 'static {
    /// The instance's state; see [`StatusVt::report`].
    fn report(&self) -> Blob;
}

/// The service `status`.
#[derive(Clone)]
pub struct Status {
    service: ServiceRef,
    table: StatusVtRef,
}

impl Service for Status {
    const ID: &'static str = "status";
    const MAJOR: u32 = 1;
    type Table = StatusVtRef;

    fn from_checked(service: ServiceRef, table: StatusVtRef) -> Self {
        Self { service, table }
    }
}

impl Status {
    /// Offers `calls` as a service.
    #[must_use]
    pub fn offer<T: StatusCalls>(calls: Arc<T>) -> ServiceRef {
        // SAFETY: every function of `Table<T>` expects an `Arc<T>` pointer.
        unsafe { ServiceRef::new::<Self, T>(calls, Table::<T>::REF) }
    }

    /// The instance's state; see [`StatusVt::report`].
    #[must_use]
    pub fn report(&self) -> Blob {
        // SAFETY: the context belongs to the table and is referenced by this value.
        unsafe { (self.table.report())(self.service.ctx()) }
    }
}

struct Table<T>(std::marker::PhantomData<T>);

impl<T: StatusCalls> Table<T> {
    abi_stable::staticref!(const WITH: WithMetadata<StatusVt> =
        WithMetadata::new(StatusVt { report: Self::report }));

    const REF: StatusVtRef = StatusVtRef(Self::WITH.as_prefix());

    unsafe extern "C" fn report(ctx: *const ()) -> Blob {
        // SAFETY: the table is only ever paired with a context of its own `T`, referenced by the caller.
        guard(|| unsafe { borrow::<T>(ctx) }.report(), |_panic| Blob::empty())
    }
}
