//! The services of a request protocol: one JSON request in, one JSON response out, notifications pushed.
//!
//! The host offers `requests`; a plugin that wants to be told of events offers `requests-client`. Connections of this
//! service are clients of the API, not sockets: a plugin opens one for each client that it can answer, under an id of its
//! own choice.

use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{RResult, RStr, RString, RVec};

use super::service::borrow;
use super::{ApiError, Blob, Completion, Reply, Service, ServiceRef, guard};

/// [`RequestEvent::kind`] of a notification: to send to `connections` as a message of `channel`.
pub const EVENT_NOTIFICATION: u32 = 1;
/// [`RequestEvent::kind`] of a close: the host wants `connections` closed for `code` and `reason`.
pub const EVENT_CLOSE: u32 = 2;

/// Something that happened for connections of an instance.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct RequestEvent {
    /// One of the `EVENT_` constants. A plugin ignores kinds that it does not know.
    pub kind: u32,
    /// Why, for [`EVENT_CLOSE`]: a status as in HTTP.
    pub code: u32,
    /// The connections that it is for. Some may have been closed meanwhile.
    pub connections: RVec<u64>,
    /// Name of the real-time channel, for [`EVENT_NOTIFICATION`].
    pub channel: RString,
    /// The notification as JSON, serialised once for all.
    pub payload: Blob,
    /// One line for people, for [`EVENT_CLOSE`].
    pub reason: RString,
}

/// The host's table of the service `requests`. Every function: any thread, from starting until stopped, never blocks.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RequestsVtRef, prefix_fields = RequestsVtPrefix)))]
#[sabi(missing_field(option))]
pub struct RequestsVt {
    /// Opens a connection under an id that the instance has never used before. `info` is a JSON object, borrowed:
    /// `remote` and `local` (addresses as text), `listener` (its id), `tls` (boolean), and what else the protocol knows
    /// of its client, all optional. Refused (429) when the instance has too many, (400) when `info` is no object, (409)
    /// when the id is in use, (503) when the host is stopping.
    pub open: unsafe extern "C" fn(ctx: *const (), connection: u64, info: RStr<'_>) -> RResult<(), ApiError>,

    /// Closes a connection: its subscriptions end, and requests still running complete but their answers may be thrown
    /// away. Unknown ids are ignored, so it may be called twice. Cannot fail.
    pub close: unsafe extern "C" fn(ctx: *const (), connection: u64),

    /// Runs one request: the bytes of one JSON object, owned. Requests of one connection begin in the order of these
    /// calls; their answers may overtake one another. The completion gets the response, also for a request that is
    /// malformed, refused or unknown, often before this function returns: when the answer needs no waiting, and when
    /// there is too much to do (503). A connection that is not open is answered 400.
    pub execute: unsafe extern "C" fn(ctx: *const (), connection: u64, request: Blob, done: Completion),

    /// Gives a connection the identity that `credentials` prove. `mechanism` is the SASL mechanism's name: `PLAIN`
    /// (RFC 4616) or `ANONYMOUS`. Completes with status 200 and a JSON object with `user`, or with 401 and the reason as
    /// a response; the connection stays as it was then. Credentials are owned, and never logged.
    pub authenticate: unsafe extern "C" fn(
        ctx: *const (),
        connection: u64,
        mechanism: RStr<'_>,
        credentials: Blob,
        done: Completion,
    ),

    /// Takes events that wait for the instance, oldest first: `max_events` at most, and no more once their payloads exceed
    /// `max_bytes`, but at least one. Empty when none waits. The host keeps a bounded number; beyond that it closes the
    /// connections that events were lost for. Owned by the caller.
    #[sabi(last_prefix_field)]
    pub take: unsafe extern "C" fn(ctx: *const (), max_events: u32, max_bytes: u64) -> RVec<RequestEvent>,
}

/// What a host implements to offer `requests`. See [`RequestsVt`].
pub trait RequestsCalls: Send + Sync + 'static {
    /// Opens a connection; see [`RequestsVt::open`].
    ///
    /// # Errors
    ///
    /// When it is refused.
    fn open(&self, connection: u64, info: &str) -> Result<(), ApiError>;

    /// Closes a connection; see [`RequestsVt::close`].
    fn close(&self, connection: u64);

    /// Runs one request; see [`RequestsVt::execute`].
    fn execute(&self, connection: u64, request: Blob, done: Completion);

    /// Gives a connection an identity; see [`RequestsVt::authenticate`].
    fn authenticate(&self, connection: u64, mechanism: &str, credentials: Blob, done: Completion);

    /// Takes waiting events; see [`RequestsVt::take`].
    fn take(&self, max_events: u32, max_bytes: u64) -> Vec<RequestEvent>;
}

/// The service `requests`.
#[derive(Clone)]
pub struct Requests {
    service: ServiceRef,
    table: RequestsVtRef,
}

impl Service for Requests {
    const ID: &'static str = "requests";
    const MAJOR: u32 = 1;
    type Table = RequestsVtRef;

    fn from_checked(service: ServiceRef, table: RequestsVtRef) -> Self {
        Self { service, table }
    }
}

impl Requests {
    /// Offers `calls` as a service.
    #[must_use]
    pub fn offer<T: RequestsCalls>(calls: Arc<T>) -> ServiceRef {
        // SAFETY: every function of `Table<T>` expects an `Arc<T>` pointer.
        unsafe { ServiceRef::new::<Self, T>(calls, Table::<T>::REF) }
    }

    /// Opens a connection; see [`RequestsVt::open`].
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn open(&self, connection: u64, info: &str) -> Result<(), ApiError> {
        // SAFETY: the context belongs to the table and is referenced by this value. So in each method below.
        unsafe { (self.table.open())(self.service.ctx(), connection, info.into()) }.into_result()
    }

    /// Closes a connection; see [`RequestsVt::close`].
    pub fn close(&self, connection: u64) {
        // SAFETY: as in `open`.
        unsafe { (self.table.close())(self.service.ctx(), connection) }
    }

    /// Runs one request; see [`RequestsVt::execute`].
    pub fn execute(&self, connection: u64, request: Blob, done: Completion) {
        // SAFETY: as in `open`.
        unsafe { (self.table.execute())(self.service.ctx(), connection, request, done) }
    }

    /// Gives a connection an identity; see [`RequestsVt::authenticate`].
    pub fn authenticate(&self, connection: u64, mechanism: &str, credentials: Blob, done: Completion) {
        // SAFETY: as in `open`.
        unsafe {
            (self.table.authenticate())(self.service.ctx(), connection, mechanism.into(), credentials, done);
        }
    }

    /// Takes waiting events; see [`RequestsVt::take`].
    #[must_use]
    pub fn take(&self, max_events: u32, max_bytes: u64) -> RVec<RequestEvent> {
        // SAFETY: as in `open`.
        unsafe { (self.table.take())(self.service.ctx(), max_events, max_bytes) }
    }
}

struct Table<T>(std::marker::PhantomData<T>);

impl<T: RequestsCalls> Table<T> {
    abi_stable::staticref!(const WITH: WithMetadata<RequestsVt> = WithMetadata::new(RequestsVt {
        open: Self::open,
        close: Self::close,
        execute: Self::execute,
        authenticate: Self::authenticate,
        take: Self::take,
    }));

    const REF: RequestsVtRef = RequestsVtRef(Self::WITH.as_prefix());

    unsafe extern "C" fn open(ctx: *const (), connection: u64, info: RStr<'_>) -> RResult<(), ApiError> {
        guard(
            // SAFETY: the table is only ever paired with a context of its own `T`, referenced by the caller. So in each
            // function below.
            || unsafe { borrow::<T>(ctx) }.open(connection, info.as_str()),
            |text| Err(ApiError::panicked("requests.open", &text)),
        )
        .into()
    }

    unsafe extern "C" fn close(ctx: *const (), connection: u64) {
        // SAFETY: as in `open`.
        guard(|| unsafe { borrow::<T>(ctx) }.close(connection), |_panic| ());
    }

    unsafe extern "C" fn execute(ctx: *const (), connection: u64, request: Blob, done: Completion) {
        // A panic drops the completion, which answers the call as cancelled.
        // SAFETY: as in `open`.
        guard(|| unsafe { borrow::<T>(ctx) }.execute(connection, request, done), |_panic| ());
    }

    unsafe extern "C" fn authenticate(
        ctx: *const (),
        connection: u64,
        mechanism: RStr<'_>,
        credentials: Blob,
        done: Completion,
    ) {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.authenticate(connection, mechanism.as_str(), credentials, done),
            |_panic| (),
        );
    }

    unsafe extern "C" fn take(ctx: *const (), max_events: u32, max_bytes: u64) -> RVec<RequestEvent> {
        // SAFETY: as in `open`.
        guard(|| unsafe { borrow::<T>(ctx) }.take(max_events, max_bytes), |_panic| Vec::new()).into()
    }
}

/// A plugin's table of the service `requests-client`.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RequestsClientVtRef, prefix_fields = RequestsClientVtPrefix)))]
#[sabi(missing_field(option))]
pub struct RequestsClientVt {
    /// Says that events have come to wait where none did: the plugin should take them soon. Only wakes a task. Any
    /// thread, from running until stopped; never blocks, cannot fail. No lock of the host is held during the call, and
    /// the plugin takes from a task of its own, not from inside.
    #[sabi(last_prefix_field)]
    pub ready: unsafe extern "C" fn(ctx: *const ()),
}

/// What a plugin implements to offer `requests-client`. See [`RequestsClientVt`].
pub trait RequestsClientCalls: Send + Sync + 'static {
    /// Says that events wait; see [`RequestsClientVt::ready`].
    fn ready(&self);
}

/// The service `requests-client`.
#[derive(Clone)]
pub struct RequestsClient {
    service: ServiceRef,
    table: RequestsClientVtRef,
}

impl Service for RequestsClient {
    const ID: &'static str = "requests-client";
    const MAJOR: u32 = 1;
    type Table = RequestsClientVtRef;

    fn from_checked(service: ServiceRef, table: RequestsClientVtRef) -> Self {
        Self { service, table }
    }
}

impl RequestsClient {
    /// Offers `calls` as a service.
    #[must_use]
    pub fn offer<T: RequestsClientCalls>(calls: Arc<T>) -> ServiceRef {
        // SAFETY: every function of `ClientTable<T>` expects an `Arc<T>` pointer.
        unsafe { ServiceRef::new::<Self, T>(calls, ClientTable::<T>::REF) }
    }

    /// Says that events wait; see [`RequestsClientVt::ready`].
    pub fn ready(&self) {
        // SAFETY: the context belongs to the table and is referenced by this value.
        unsafe { (self.table.ready())(self.service.ctx()) }
    }
}

struct ClientTable<T>(std::marker::PhantomData<T>);

impl<T: RequestsClientCalls> ClientTable<T> {
    abi_stable::staticref!(const WITH: WithMetadata<RequestsClientVt> =
        WithMetadata::new(RequestsClientVt { ready: Self::ready }));

    const REF: RequestsClientVtRef = RequestsClientVtRef(Self::WITH.as_prefix());

    unsafe extern "C" fn ready(ctx: *const ()) {
        // SAFETY: the table is only ever paired with a context of its own `T`, referenced by the caller.
        guard(|| unsafe { borrow::<T>(ctx) }.ready(), |_panic| ());
    }
}

impl RequestEvent {
    /// A notification for `connections` on `channel`.
    pub fn notification(connections: Vec<u64>, channel: impl Into<RString>, payload: Blob) -> Self {
        Self {
            kind: EVENT_NOTIFICATION,
            code: 0,
            connections: connections.into(),
            channel: channel.into(),
            payload,
            reason: RString::new(),
        }
    }

    /// The wish that `connections` be closed.
    pub fn close(connections: Vec<u64>, code: u32, reason: impl Into<RString>) -> Self {
        Self {
            kind: EVENT_CLOSE,
            code,
            connections: connections.into(),
            channel: RString::new(),
            payload: Blob::empty(),
            reason: reason.into(),
        }
    }
}

impl Reply {
    /// A reply to [`RequestsVt::authenticate`]: the connection now belongs to `user`.
    #[must_use]
    pub fn authenticated(user: &str) -> Self {
        Self {
            status: 200,
            request_id: RString::new(),
            body: serde_json::json!({ "user": user }).to_string().into(),
        }
    }
}
