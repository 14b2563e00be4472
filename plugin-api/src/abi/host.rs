//! What a plugin may ask of its host.

use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{ROption, RStr};
use abi_stable::type_layout::TypeLayout;

use super::service::{borrow, look_up, release, retain};
use super::{Service, ServiceLookup, ServiceRef, guard};

/// How much a log line matters. Travels as its number; unknown numbers are read as [`LogLevel::Trace`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Act now.
    Error = 1,
    /// Odd, but handled.
    Warn = 2,
    /// What happened.
    Info = 3,
    /// One per connection or action.
    Debug = 4,
    /// One per packet.
    Trace = 5,
}

impl LogLevel {
    /// The level behind a number.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Error,
            2 => Self::Warn,
            3 => Self::Info,
            4 => Self::Debug,
            _ => Self::Trace,
        }
    }
}

/// The host's table. Every function: any thread, from starting until stopped, never blocks.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HostVtRef, prefix_fields = HostVtPrefix)))]
#[sabi(missing_field(option))]
pub struct HostVt {
    /// Counts one more reference to `ctx`. May also be called after stopped. Cannot fail.
    pub retain: unsafe extern "C" fn(ctx: *const ()),

    /// Gives one reference to `ctx` back. May also be called after stopped. Cannot fail.
    pub release: unsafe extern "C" fn(ctx: *const ()),

    /// Writes one log line. `level` is a [`LogLevel`]; `target` names the part of the plugin; `message` is constant text
    /// and `fields` a JSON object with what varies, or empty. All are borrowed. The host adds instance and time, cuts
    /// what is too long and drops what comes too fast, counting it. Cannot fail.
    pub log: unsafe extern "C" fn(
        ctx: *const (),
        level: u32,
        target: RStr<'_>,
        message: RStr<'_>,
        fields: RStr<'_>,
    ),

    /// Whether lines of `level` are written at all, so that nobody formats what is thrown away. Cannot fail; `true` when
    /// in doubt.
    pub log_enabled: unsafe extern "C" fn(ctx: *const (), level: u32) -> bool,

    /// The service `id` in version `major`, or none: absence is a normal answer. `expected` is the layout of the asker's
    /// table; the host compares it with its own in both directions and answers none, with a log line, when they do not
    /// fit. The answer is owned by the asker.
    #[sabi(last_prefix_field)]
    pub service: unsafe extern "C" fn(
        ctx: *const (),
        id: RStr<'_>,
        major: u32,
        expected: &'static TypeLayout,
    ) -> ROption<ServiceRef>,
}

/// A plugin's hold on its host. Clones share one host instance; dropping gives the reference back.
#[repr(C)]
#[derive(StableAbi)]
pub struct HostRef {
    ctx: *const (),
    vt: HostVtRef,
}

/// What a host implements to serve one plugin instance. Called from any thread, must not block and need not guard
/// against its own panics.
pub trait Host: ServiceLookup {
    /// Writes one log line; see [`HostVt::log`].
    fn log(&self, level: LogLevel, target: &str, message: &str, fields: &str);

    /// Whether lines of `level` are written at all.
    fn log_enabled(&self, level: LogLevel) -> bool;
}

impl HostRef {
    /// Offers `host` to a plugin.
    #[must_use]
    pub fn new<T: Host>(host: Arc<T>) -> Self {
        Self { ctx: Arc::into_raw(host).cast(), vt: Table::<T>::REF }
    }

    /// Writes one log line; see [`HostVt::log`].
    pub fn log(&self, level: LogLevel, target: &str, message: &str, fields: &str) {
        // SAFETY: `ctx` belongs to `vt` and is referenced by this value.
        unsafe { (self.vt.log())(self.ctx, level as u32, target.into(), message.into(), fields.into()) }
    }

    /// Whether lines of `level` are written at all.
    #[must_use]
    pub fn log_enabled(&self, level: LogLevel) -> bool {
        // SAFETY: as in `log`.
        unsafe { (self.vt.log_enabled())(self.ctx, level as u32) }
    }

    /// Asks for a service. None when the host does not have it, or has one that does not fit.
    #[must_use]
    pub fn service<S: Service>(&self) -> Option<S> {
        // SAFETY: as in `log`; layouts are statics of libraries that are never unloaded.
        let found =
            unsafe { (self.vt.service())(self.ctx, S::ID.into(), S::MAJOR, <S::Table as StableAbi>::LAYOUT) };
        found.into_option().and_then(|service| service.typed::<S>().ok())
    }
}

impl Clone for HostRef {
    fn clone(&self) -> Self {
        // SAFETY: this value holds a reference to `ctx`.
        unsafe { (self.vt.retain())(self.ctx) }
        Self { ctx: self.ctx, vt: self.vt }
    }
}

impl Drop for HostRef {
    fn drop(&mut self) {
        // SAFETY: gives back the one reference that this value holds.
        unsafe { (self.vt.release())(self.ctx) }
    }
}

// SAFETY: the host behind it is `Send + Sync` (a bound of `ServiceLookup`), and every function may be called from any
// thread.
unsafe impl Send for HostRef {}
// SAFETY: as above.
unsafe impl Sync for HostRef {}

struct Table<T>(std::marker::PhantomData<T>);

impl<T: Host> Table<T> {
    abi_stable::staticref!(const WITH: WithMetadata<HostVt> = WithMetadata::new(HostVt {
        retain: retain::<T>,
        release: release::<T>,
        log: Self::log,
        log_enabled: Self::log_enabled,
        service: Self::service,
    }));

    const REF: HostVtRef = HostVtRef(Self::WITH.as_prefix());

    unsafe extern "C" fn log(
        ctx: *const (),
        level: u32,
        target: RStr<'_>,
        message: RStr<'_>,
        fields: RStr<'_>,
    ) {
        guard(
            // SAFETY: the table is only ever paired with a context of its own `T`, referenced by the caller.
            || unsafe { borrow::<T>(ctx) }.log(LogLevel::from_number(level), &target, &message, &fields),
            |_panic| (),
        );
    }

    unsafe extern "C" fn log_enabled(ctx: *const (), level: u32) -> bool {
        // SAFETY: as in `log`.
        guard(|| unsafe { borrow::<T>(ctx) }.log_enabled(LogLevel::from_number(level)), |_panic| true)
    }

    unsafe extern "C" fn service(
        ctx: *const (),
        id: RStr<'_>,
        major: u32,
        expected: &'static TypeLayout,
    ) -> ROption<ServiceRef> {
        guard(
            // SAFETY: as in `log`.
            || look_up(unsafe { borrow::<T>(ctx) }, id, major, expected),
            |_panic| ROption::RNone,
        )
    }
}
