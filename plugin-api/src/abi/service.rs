//! Services: tables asked for by name, in both directions.

use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::marker_type::ErasedPrefix;
use abi_stable::prefix_type::{PrefixRef, PrefixRefTrait};
use abi_stable::std_types::{ROption, RStr};
use abi_stable::type_layout::TypeLayout;

use super::{LayoutMismatch, check_layouts, guard};

/// A service as it crosses: a table, its context, and the context's reference count.
///
/// It holds one reference; the service stays usable until the last clone is dropped, though after its provider has
/// stopped its functions answer with their documented failure.
#[repr(C)]
#[derive(StableAbi)]
pub struct ServiceRef {
    ctx: *const (),
    /// The table that `layout` describes. Lives as long as the library that it is in, which is never unloaded.
    table: PrefixRef<ErasedPrefix>,
    layout: &'static TypeLayout,
    /// Counts one more reference to `ctx`. Any thread, in any state; never blocks, cannot fail.
    retain: unsafe extern "C" fn(ctx: *const ()),
    /// Gives one reference to `ctx` back, the last of which frees it. Any thread, in any state; never blocks, cannot fail.
    release: unsafe extern "C" fn(ctx: *const ()),
}

/// A kind of service: its name, its major version and its table.
///
/// The ids are the contract's own words: `requests`, `broker`, `listeners`, `metrics` of the host, `requests-client`,
/// `broker-client`, `status` of a plugin. Each has a linear history of its own: a table grows at its end, anything else is
/// another major.
pub trait Service: Sized {
    /// The name that it is asked for by.
    const ID: &'static str;
    /// Its major version.
    const MAJOR: u32;
    /// Reference to its table.
    type Table: PrefixRefTrait + StableAbi + Copy;
    /// Wraps a service whose table was checked to be a [`Self::Table`](Service::Table).
    fn from_checked(service: ServiceRef, table: Self::Table) -> Self;
}

impl ServiceRef {
    /// Makes a service from a table and the shared value that its functions expect as context.
    ///
    /// # Safety
    ///
    /// Every function of `table` must expect as its context a pointer made by `Arc::<T>::into_raw`, and may use it for
    /// as long as the service is referenced.
    pub(super) unsafe fn new<S: Service, T: Send + Sync + 'static>(value: Arc<T>, table: S::Table) -> Self {
        // SAFETY: only erases which table it is; `layout` remembers it and `typed` checks it.
        let table = unsafe { table.to_prefix_ref().cast::<ErasedPrefix>() };
        Self {
            ctx: Arc::into_raw(value).cast(),
            table,
            layout: <S::Table as StableAbi>::LAYOUT,
            retain: retain::<T>,
            release: release::<T>,
        }
    }

    /// The context for the table's functions.
    pub(super) const fn ctx(&self) -> *const () {
        self.ctx
    }

    /// The typed service, when its table is compatible with ours.
    ///
    /// # Errors
    ///
    /// With the differences, when it is not.
    pub fn typed<S: Service>(self) -> Result<S, LayoutMismatch> {
        check_layouts(<S::Table as StableAbi>::LAYOUT, self.layout)?;
        // SAFETY: the layouts were found compatible: one table is the other's beginning, and its accessors test for
        // presence at run time.
        let table = unsafe {
            S::Table::from_prefix_ref(
                self.table.cast::<<S::Table as abi_stable::prefix_type::PrefixRefTrait>::PrefixFields>(),
            )
        };
        Ok(S::from_checked(self, table))
    }

    fn fits(&self, expected: &'static TypeLayout) -> Result<(), LayoutMismatch> {
        check_layouts(expected, self.layout)
    }
}

impl Clone for ServiceRef {
    fn clone(&self) -> Self {
        // SAFETY: this value holds a reference to `ctx`; `retain` was made for it.
        unsafe { (self.retain)(self.ctx) }
        Self {
            ctx: self.ctx,
            table: self.table,
            layout: self.layout,
            retain: self.retain,
            release: self.release,
        }
    }
}

impl Drop for ServiceRef {
    fn drop(&mut self) {
        // SAFETY: gives back the one reference that this value holds.
        unsafe { (self.release)(self.ctx) }
    }
}

// SAFETY: the context is `Send + Sync` (required by `new`) and so is its counting; tables are immutable statics.
unsafe impl Send for ServiceRef {}
// SAFETY: as above.
unsafe impl Sync for ServiceRef {}

/// What answers a request for a service; shared by both directions.
pub trait ServiceLookup: Send + Sync + 'static {
    /// The service of that name and major version, when there is one.
    fn service(&self, id: &str, major: u32) -> Option<ServiceRef>;

    /// Told when a service was asked for with a table that does not fit; the asker is answered that it is absent.
    fn service_mismatch(&self, id: &str, mismatch: &LayoutMismatch);
}

/// The body of both `service` entries: looks up, and compares the tables in both directions.
pub(super) fn look_up(
    provider: &dyn ServiceLookup,
    id: RStr<'_>,
    major: u32,
    expected: &'static TypeLayout,
) -> ROption<ServiceRef> {
    let Some(service) = provider.service(id.as_str(), major) else { return ROption::RNone };
    match service.fits(expected) {
        Ok(()) => ROption::RSome(service),
        Err(mismatch) => {
            provider.service_mismatch(id.as_str(), &mismatch);
            ROption::RNone
        }
    }
}

/// The body of every `retain`: counts one more reference to the `T` behind `ctx`.
pub(super) unsafe extern "C" fn retain<T>(ctx: *const ()) {
    // SAFETY: `ctx` came from `Arc::<T>::into_raw`, and the caller holds a reference to it.
    unsafe { Arc::increment_strong_count(ctx.cast::<T>()) }
}

/// The body of every `release`: gives one reference to the `T` behind `ctx` back.
pub(super) unsafe extern "C" fn release<T>(ctx: *const ()) {
    guard(
        // SAFETY: as in `retain`; the caller gives up the reference that it holds.
        || unsafe { Arc::decrement_strong_count(ctx.cast::<T>()) },
        |_panic| (),
    );
}

/// Borrows the value behind a context pointer.
///
/// # Safety
///
/// `ctx` came from `Arc::<T>::into_raw` and stays referenced for `'a`.
pub(super) unsafe fn borrow<'a, T>(ctx: *const ()) -> &'a T {
    // SAFETY: the caller's promise.
    unsafe { &*ctx.cast::<T>() }
}
