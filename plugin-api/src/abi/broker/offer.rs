//! What a host implements, and how it becomes a table.

use std::sync::Arc;

use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{RResult, RSlice, RStr, RVec};

use super::super::service::borrow;
use super::super::{ApiError, Blob, Completion, ServiceRef, guard};
use super::{
    Accepted, Bind, Broker, BrokerVt, BrokerVtRef, Consume, Enter, ExchangeDeclare, LinkEvent, LinkOptions,
    Publish, QueueDeclare, SessionAttach, Settle,
};

/// What a host implements to offer `broker`. See [`BrokerVt`]. Need not guard against its own panics.
pub trait BrokerCalls: Send + Sync + 'static {
    /// Opens a connection; see [`BrokerVt::open`].
    ///
    /// # Errors
    ///
    /// When it is refused.
    fn open(&self, connection: u64, info: &str) -> Result<(), ApiError>;

    /// Gives a connection an identity; see [`BrokerVt::authenticate`].
    fn authenticate(&self, connection: u64, mechanism: &str, credentials: Blob, done: Completion);

    /// Takes a connection into a virtual host; see [`BrokerVt::enter`].
    fn enter(&self, connection: u64, enter: &Enter<'_>, done: Completion);

    /// Closes a connection; see [`BrokerVt::close`].
    fn close(&self, connection: u64);

    /// Opens a link; see [`BrokerVt::open_link`].
    ///
    /// # Errors
    ///
    /// When it is refused.
    fn open_link(&self, connection: u64, link: u64, options: LinkOptions) -> Result<(), ApiError>;

    /// Closes a link; see [`BrokerVt::close_link`].
    fn close_link(&self, link: u64);

    /// Takes waiting events; see [`BrokerVt::take`].
    fn take(&self, id: u64, max_events: u32, max_bytes: u64) -> Vec<LinkEvent>;

    /// Publishes messages; see [`BrokerVt::publish`].
    fn publish(&self, link: u64, first_sequence: u64, messages: &[Publish<'_>]) -> Accepted;

    /// Settles deliveries; see [`BrokerVt::settle`]. True says *throttled*.
    fn settle(&self, link: u64, op: u64, settles: &[Settle]) -> bool;

    /// Publishes and settles as one; see [`BrokerVt::commit`]. True says *throttled*.
    fn commit(
        &self,
        link: u64,
        op: u64,
        first_sequence: u64,
        messages: &[Publish<'_>],
        settles: &[Settle],
    ) -> bool;

    /// Turns confirms on or off; see [`BrokerVt::confirm`]. True says *throttled*.
    fn confirm(&self, link: u64, op: u64, on: bool) -> bool;

    /// Requeues what is unsettled; see [`BrokerVt::recover`]. True says *throttled*.
    fn recover(&self, link: u64, op: u64) -> bool;

    /// Takes one message; see [`BrokerVt::get`]. True says *throttled*.
    fn get(&self, link: u64, op: u64, queue: &str, no_ack: bool) -> bool;

    /// Declares an exchange; see [`BrokerVt::declare_exchange`]. True says *throttled*.
    fn declare_exchange(&self, link: u64, op: u64, declare: &ExchangeDeclare<'_>) -> bool;

    /// Deletes an exchange; see [`BrokerVt::delete_exchange`]. True says *throttled*.
    fn delete_exchange(&self, link: u64, op: u64, name: &str, flags: u32) -> bool;

    /// Declares a queue; see [`BrokerVt::declare_queue`]. True says *throttled*.
    fn declare_queue(&self, link: u64, op: u64, declare: &QueueDeclare<'_>) -> bool;

    /// Deletes a queue; see [`BrokerVt::delete_queue`]. True says *throttled*.
    fn delete_queue(&self, link: u64, op: u64, name: &str, flags: u32) -> bool;

    /// Empties a queue; see [`BrokerVt::purge_queue`]. True says *throttled*.
    fn purge_queue(&self, link: u64, op: u64, name: &str) -> bool;

    /// Makes a binding; see [`BrokerVt::bind`]. True says *throttled*.
    fn bind(&self, link: u64, op: u64, bind: &Bind<'_>) -> bool;

    /// Takes a binding away; see [`BrokerVt::unbind`]. True says *throttled*.
    fn unbind(&self, link: u64, op: u64, bind: &Bind<'_>) -> bool;

    /// Begins a consumer; see [`BrokerVt::consume`]. True says *throttled*.
    fn consume(&self, link: u64, op: u64, consume: &Consume<'_>) -> bool;

    /// Ends a consumer; see [`BrokerVt::cancel`]. True says *throttled*.
    fn cancel(&self, link: u64, op: u64, consumer: u64) -> bool;

    /// Sets a credit; see [`BrokerVt::credit`]. True says *throttled*.
    fn credit(&self, link: u64, op: u64, consumer: u64, count: u32, bytes: u64) -> bool;

    /// Attaches a session; see [`BrokerVt::attach_session`]. True says *throttled*.
    fn attach_session(&self, link: u64, op: u64, session: &SessionAttach<'_>) -> bool;

    /// Detaches a session; see [`BrokerVt::detach_session`]. True says *throttled*.
    fn detach_session(&self, link: u64, op: u64, flags: u32, expiry_secs: u32) -> bool;

    /// Keeps a note with a session; see [`BrokerVt::note_session`]. True says *throttled*.
    fn note_session(&self, link: u64, op: u64, key: &str, value: &[u8]) -> bool;

    /// Forgets dedupe keys; see [`BrokerVt::forget`]. True says *throttled*.
    fn forget(&self, link: u64, op: u64, dedupe: &[u32]) -> bool;

    /// Waits for answers of the API; see [`BrokerVt::quiesce`].
    fn quiesce(&self, link: u64, timeout_ms: u64, done: Completion);

    /// The host's limits; see [`BrokerVt::limits`].
    fn limits(&self) -> Blob;
}

impl Broker {
    /// Offers `calls` as a service.
    #[must_use]
    pub fn offer<T: BrokerCalls>(calls: Arc<T>) -> ServiceRef {
        // SAFETY: every function of `Table<T>` expects an `Arc<T>` pointer.
        unsafe { ServiceRef::new::<Self, T>(calls, Table::<T>::REF) }
    }
}

struct Table<T>(std::marker::PhantomData<T>);

impl<T: BrokerCalls> Table<T> {
    abi_stable::staticref!(const WITH: WithMetadata<BrokerVt> = WithMetadata::new(BrokerVt {
        open: Self::open,
        authenticate: Self::authenticate,
        enter: Self::enter,
        close: Self::close,
        open_link: Self::open_link,
        close_link: Self::close_link,
        take: Self::take,
        publish: Self::publish,
        settle: Self::settle,
        commit: Self::commit,
        confirm: Self::confirm,
        recover: Self::recover,
        get: Self::get,
        declare_exchange: Self::declare_exchange,
        delete_exchange: Self::delete_exchange,
        declare_queue: Self::declare_queue,
        delete_queue: Self::delete_queue,
        purge_queue: Self::purge_queue,
        bind: Self::bind,
        unbind: Self::unbind,
        consume: Self::consume,
        cancel: Self::cancel,
        credit: Self::credit,
        attach_session: Self::attach_session,
        detach_session: Self::detach_session,
        note_session: Self::note_session,
        forget: Self::forget,
        quiesce: Self::quiesce,
        limits: Self::limits,
    }));

    const REF: BrokerVtRef = BrokerVtRef(Self::WITH.as_prefix());

    unsafe extern "C" fn open(ctx: *const (), connection: u64, info: RStr<'_>) -> RResult<(), ApiError> {
        guard(
            // SAFETY: the table is only ever paired with a context of its own `T`, referenced by the caller. So in each
            // function below.
            || unsafe { borrow::<T>(ctx) }.open(connection, info.as_str()),
            |text| Err(ApiError::panicked("broker.open", &text)),
        )
        .into()
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

    unsafe extern "C" fn enter(ctx: *const (), connection: u64, enter: &Enter<'_>, done: Completion) {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.enter(connection, enter, done),
            |_panic| (),
        );
    }

    unsafe extern "C" fn close(ctx: *const (), connection: u64) {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.close(connection),
            |_panic| (),
        );
    }

    unsafe extern "C" fn open_link(
        ctx: *const (),
        connection: u64,
        link: u64,
        options: LinkOptions,
    ) -> RResult<(), ApiError> {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.open_link(connection, link, options),
            |text| Err(ApiError::panicked("broker.open_link", &text)),
        )
        .into()
    }

    unsafe extern "C" fn close_link(ctx: *const (), link: u64) {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.close_link(link),
            |_panic| (),
        );
    }

    unsafe extern "C" fn take(ctx: *const (), id: u64, max_events: u32, max_bytes: u64) -> RVec<LinkEvent> {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.take(id, max_events, max_bytes),
            |_panic| Vec::new(),
        )
        .into()
    }

    unsafe extern "C" fn publish(
        ctx: *const (),
        link: u64,
        first_sequence: u64,
        messages: RSlice<'_, Publish<'_>>,
    ) -> Accepted {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.publish(link, first_sequence, messages.as_slice()),
            |_panic| Accepted::default(),
        )
    }

    unsafe extern "C" fn settle(ctx: *const (), link: u64, op: u64, settles: RSlice<'_, Settle>) -> bool {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.settle(link, op, settles.as_slice()),
            |_panic| false,
        )
    }

    unsafe extern "C" fn commit(
        ctx: *const (),
        link: u64,
        op: u64,
        first_sequence: u64,
        messages: RSlice<'_, Publish<'_>>,
        settles: RSlice<'_, Settle>,
    ) -> bool {
        guard(
            || {
                // SAFETY: as in `open`.
                let calls = unsafe { borrow::<T>(ctx) };
                calls.commit(link, op, first_sequence, messages.as_slice(), settles.as_slice())
            },
            |_panic| false,
        )
    }

    unsafe extern "C" fn confirm(ctx: *const (), link: u64, op: u64, on: bool) -> bool {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.confirm(link, op, on),
            |_panic| false,
        )
    }

    unsafe extern "C" fn recover(ctx: *const (), link: u64, op: u64) -> bool {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.recover(link, op),
            |_panic| false,
        )
    }

    unsafe extern "C" fn get(ctx: *const (), link: u64, op: u64, queue: RStr<'_>, no_ack: bool) -> bool {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.get(link, op, queue.as_str(), no_ack),
            |_panic| false,
        )
    }

    unsafe extern "C" fn declare_exchange(
        ctx: *const (),
        link: u64,
        op: u64,
        declare: &ExchangeDeclare<'_>,
    ) -> bool {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.declare_exchange(link, op, declare),
            |_panic| false,
        )
    }

    unsafe extern "C" fn delete_exchange(
        ctx: *const (),
        link: u64,
        op: u64,
        name: RStr<'_>,
        flags: u32,
    ) -> bool {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.delete_exchange(link, op, name.as_str(), flags),
            |_panic| false,
        )
    }

    unsafe extern "C" fn declare_queue(
        ctx: *const (),
        link: u64,
        op: u64,
        declare: &QueueDeclare<'_>,
    ) -> bool {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.declare_queue(link, op, declare),
            |_panic| false,
        )
    }

    unsafe extern "C" fn delete_queue(
        ctx: *const (),
        link: u64,
        op: u64,
        name: RStr<'_>,
        flags: u32,
    ) -> bool {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.delete_queue(link, op, name.as_str(), flags),
            |_panic| false,
        )
    }

    unsafe extern "C" fn purge_queue(ctx: *const (), link: u64, op: u64, name: RStr<'_>) -> bool {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.purge_queue(link, op, name.as_str()),
            |_panic| false,
        )
    }

    unsafe extern "C" fn bind(ctx: *const (), link: u64, op: u64, bind: &Bind<'_>) -> bool {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.bind(link, op, bind),
            |_panic| false,
        )
    }

    unsafe extern "C" fn unbind(ctx: *const (), link: u64, op: u64, bind: &Bind<'_>) -> bool {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.unbind(link, op, bind),
            |_panic| false,
        )
    }

    unsafe extern "C" fn consume(ctx: *const (), link: u64, op: u64, consume: &Consume<'_>) -> bool {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.consume(link, op, consume),
            |_panic| false,
        )
    }

    unsafe extern "C" fn cancel(ctx: *const (), link: u64, op: u64, consumer: u64) -> bool {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.cancel(link, op, consumer),
            |_panic| false,
        )
    }

    unsafe extern "C" fn credit(
        ctx: *const (),
        link: u64,
        op: u64,
        consumer: u64,
        count: u32,
        bytes: u64,
    ) -> bool {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.credit(link, op, consumer, count, bytes),
            |_panic| false,
        )
    }

    unsafe extern "C" fn attach_session(
        ctx: *const (),
        link: u64,
        op: u64,
        session: &SessionAttach<'_>,
    ) -> bool {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.attach_session(link, op, session),
            |_panic| false,
        )
    }

    unsafe extern "C" fn detach_session(
        ctx: *const (),
        link: u64,
        op: u64,
        flags: u32,
        expiry_secs: u32,
    ) -> bool {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.detach_session(link, op, flags, expiry_secs),
            |_panic| false,
        )
    }

    unsafe extern "C" fn note_session(
        ctx: *const (),
        link: u64,
        op: u64,
        key: RStr<'_>,
        value: RSlice<'_, u8>,
    ) -> bool {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.note_session(link, op, key.as_str(), value.as_slice()),
            |_panic| false,
        )
    }

    unsafe extern "C" fn forget(ctx: *const (), link: u64, op: u64, dedupe: RSlice<'_, u32>) -> bool {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.forget(link, op, dedupe.as_slice()),
            |_panic| false,
        )
    }

    unsafe extern "C" fn quiesce(ctx: *const (), link: u64, timeout_ms: u64, done: Completion) {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.quiesce(link, timeout_ms, done),
            |_panic| (),
        );
    }

    unsafe extern "C" fn limits(ctx: *const ()) -> Blob {
        guard(
            // SAFETY: as in `open`.
            || unsafe { borrow::<T>(ctx) }.limits(),
            |_panic| Blob::empty(),
        )
    }
}
