//! The service `listeners`: sockets that the host has bound for an instance.

use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{RResult, RStr, RString, RVec};

use super::service::borrow;
use super::{ApiError, Service, ServiceRef, SocketHandle, guard};

/// A listening socket of an instance.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct Listener {
    /// Names the listener for the life of the host. Generations that share a listener see the same id.
    pub id: u64,
    /// The address as bound, such as `127.0.0.1:7512`.
    pub address: RString,
    /// How the declaration wants it spoken to: `tcp` as a stream of bytes, `ws` in messages of WebSockets. TLS, where the
    /// options have it, is below either.
    pub scheme: RString,
    /// A JSON object: `tls` (`certificate` and `key`, paths of PEM files), `proxy_protocol` (boolean), for `ws` also
    /// `websocket` (`paths`, and `allowed_origins` of web pages; lists of strings), and whatever later hosts add; all
    /// optional.
    pub options: RString,
    /// The socket, a duplicate for this receiver, already listening. Clients that came before wait in its backlog.
    pub socket: SocketHandle,
}

/// The host's table of the service `listeners`. Every function: any thread, from starting until stopped, never blocks.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ListenersVtRef, prefix_fields = ListenersVtPrefix)))]
#[sabi(missing_field(option))]
pub struct ListenersVt {
    /// The instance's listeners, each with a fresh duplicate of its socket, owned by the caller. The set is fixed for the
    /// life of a generation. Fails (503) when the system has no descriptors left; nothing is handed out then.
    pub list: unsafe extern "C" fn(ctx: *const ()) -> RResult<RVec<Listener>, ApiError>,

    /// Says that a listener can no longer be accepted from, and why. The host binds it anew for a new generation. Ids
    /// that are unknown, or of a listener that the host itself has closed, are ignored. Cannot fail.
    #[sabi(last_prefix_field)]
    pub lost: unsafe extern "C" fn(ctx: *const (), id: u64, reason: RStr<'_>),
}

/// What a host implements to offer `listeners`. See [`ListenersVt`].
pub trait ListenersCalls: Send + Sync + 'static {
    /// The instance's listeners; see [`ListenersVt::list`].
    ///
    /// # Errors
    ///
    /// When a socket cannot be duplicated.
    fn list(&self) -> Result<Vec<Listener>, ApiError>;

    /// Says that a listener can no longer be accepted from; see [`ListenersVt::lost`].
    fn lost(&self, id: u64, reason: &str);
}

/// The service `listeners`.
#[derive(Clone)]
pub struct Listeners {
    service: ServiceRef,
    table: ListenersVtRef,
}

impl Service for Listeners {
    const ID: &'static str = "listeners";
    const MAJOR: u32 = 1;
    type Table = ListenersVtRef;

    fn from_checked(service: ServiceRef, table: ListenersVtRef) -> Self {
        Self { service, table }
    }
}

impl Listeners {
    /// Offers `calls` as a service.
    #[must_use]
    pub fn offer<T: ListenersCalls>(calls: Arc<T>) -> ServiceRef {
        // SAFETY: every function of `Table<T>` expects an `Arc<T>` pointer.
        unsafe { ServiceRef::new::<Self, T>(calls, Table::<T>::REF) }
    }

    /// The instance's listeners; see [`ListenersVt::list`].
    ///
    /// # Errors
    ///
    /// When the system has no descriptors left.
    pub fn list(&self) -> Result<RVec<Listener>, ApiError> {
        // SAFETY: the context belongs to the table and is referenced by this value.
        unsafe { (self.table.list())(self.service.ctx()) }.into_result()
    }

    /// Says that a listener can no longer be accepted from; see [`ListenersVt::lost`].
    pub fn lost(&self, id: u64, reason: &str) {
        // SAFETY: as in `list`.
        unsafe { (self.table.lost())(self.service.ctx(), id, reason.into()) }
    }
}

struct Table<T>(std::marker::PhantomData<T>);

impl<T: ListenersCalls> Table<T> {
    abi_stable::staticref!(const WITH: WithMetadata<ListenersVt> =
        WithMetadata::new(ListenersVt { list: Self::list, lost: Self::lost }));

    const REF: ListenersVtRef = ListenersVtRef(Self::WITH.as_prefix());

    unsafe extern "C" fn list(ctx: *const ()) -> RResult<RVec<Listener>, ApiError> {
        guard(
            // SAFETY: the table is only ever paired with a context of its own `T`, referenced by the caller.
            || unsafe { borrow::<T>(ctx) }.list().map(RVec::from),
            |text| Err(ApiError::panicked("listeners.list", &text)),
        )
        .into()
    }

    unsafe extern "C" fn lost(ctx: *const (), id: u64, reason: RStr<'_>) {
        // SAFETY: as in `list`.
        guard(|| unsafe { borrow::<T>(ctx) }.lost(id, reason.as_str()), |_panic| ());
    }
}
