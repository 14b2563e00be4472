//! The service `broker` as a plugin calls it.

use abi_stable::std_types::RVec;

use super::super::{ApiError, Blob, Completion, Service, ServiceRef};
use super::{
    Accepted, Bind, BrokerVtRef, Consume, Enter, ExchangeDeclare, LinkEvent, LinkOptions, Publish,
    QueueDeclare, SessionAttach, Settle,
};

/// The service `broker`. Where a method returns a truth value, true says *throttled*: stop reading from the peer until the
/// connection is unblocked.
#[derive(Clone)]
pub struct Broker {
    service: ServiceRef,
    table: BrokerVtRef,
}

impl Service for Broker {
    const ID: &'static str = "broker";
    const MAJOR: u32 = 1;
    type Table = BrokerVtRef;

    fn from_checked(service: ServiceRef, table: BrokerVtRef) -> Self {
        Self { service, table }
    }
}

impl Broker {
    /// Opens a connection; see [`BrokerVt::open`](super::BrokerVt::open).
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn open(&self, connection: u64, info: &str) -> Result<(), ApiError> {
        // SAFETY: the context belongs to the table and is referenced by this value. So in each method below.
        unsafe { (self.table.open())(self.service.ctx(), connection, info.into()) }.into_result()
    }

    /// Gives a connection an identity; see [`BrokerVt::authenticate`](super::BrokerVt::authenticate).
    pub fn authenticate(&self, connection: u64, mechanism: &str, credentials: Blob, done: Completion) {
        // SAFETY: as in `open`.
        unsafe {
            (self.table.authenticate())(self.service.ctx(), connection, mechanism.into(), credentials, done)
        }
    }

    /// Takes a connection into a virtual host; see [`BrokerVt::enter`](super::BrokerVt::enter).
    pub fn enter(&self, connection: u64, enter: &Enter<'_>, done: Completion) {
        // SAFETY: as in `open`.
        unsafe { (self.table.enter())(self.service.ctx(), connection, enter, done) }
    }

    /// Closes a connection; see [`BrokerVt::close`](super::BrokerVt::close).
    pub fn close(&self, connection: u64) {
        // SAFETY: as in `open`.
        unsafe { (self.table.close())(self.service.ctx(), connection) }
    }

    /// Opens a link; see [`BrokerVt::open_link`](super::BrokerVt::open_link).
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn open_link(&self, connection: u64, link: u64, options: LinkOptions) -> Result<(), ApiError> {
        // SAFETY: as in `open`.
        unsafe { (self.table.open_link())(self.service.ctx(), connection, link, options) }.into_result()
    }

    /// Closes a link; see [`BrokerVt::close_link`](super::BrokerVt::close_link).
    pub fn close_link(&self, link: u64) {
        // SAFETY: as in `open`.
        unsafe { (self.table.close_link())(self.service.ctx(), link) }
    }

    /// Takes waiting events; see [`BrokerVt::take`](super::BrokerVt::take).
    #[must_use]
    pub fn take(&self, id: u64, max_events: u32, max_bytes: u64) -> RVec<LinkEvent> {
        // SAFETY: as in `open`.
        unsafe { (self.table.take())(self.service.ctx(), id, max_events, max_bytes) }
    }

    /// Publishes messages; see [`BrokerVt::publish`](super::BrokerVt::publish).
    #[must_use]
    pub fn publish(&self, link: u64, first_sequence: u64, messages: &[Publish<'_>]) -> Accepted {
        // SAFETY: as in `open`.
        unsafe { (self.table.publish())(self.service.ctx(), link, first_sequence, messages.into()) }
    }

    /// Settles deliveries; see [`BrokerVt::settle`](super::BrokerVt::settle). True says *throttled*.
    pub fn settle(&self, link: u64, op: u64, settles: &[Settle]) -> bool {
        // SAFETY: as in `open`.
        unsafe { (self.table.settle())(self.service.ctx(), link, op, settles.into()) }
    }

    /// Publishes and settles as one; see [`BrokerVt::commit`](super::BrokerVt::commit). True says *throttled*.
    pub fn commit(
        &self,
        link: u64,
        op: u64,
        first_sequence: u64,
        messages: &[Publish<'_>],
        settles: &[Settle],
    ) -> bool {
        // SAFETY: as in `open`.
        unsafe {
            (self.table.commit())(
                self.service.ctx(),
                link,
                op,
                first_sequence,
                messages.into(),
                settles.into(),
            )
        }
    }

    /// Turns confirms on or off; see [`BrokerVt::confirm`](super::BrokerVt::confirm). True says *throttled*.
    pub fn confirm(&self, link: u64, op: u64, on: bool) -> bool {
        // SAFETY: as in `open`.
        unsafe { (self.table.confirm())(self.service.ctx(), link, op, on) }
    }

    /// Requeues what is unsettled; see [`BrokerVt::recover`](super::BrokerVt::recover). True says *throttled*.
    pub fn recover(&self, link: u64, op: u64) -> bool {
        // SAFETY: as in `open`.
        unsafe { (self.table.recover())(self.service.ctx(), link, op) }
    }

    /// Takes one message; see [`BrokerVt::get`](super::BrokerVt::get). True says *throttled*.
    pub fn get(&self, link: u64, op: u64, queue: &str, no_ack: bool) -> bool {
        // SAFETY: as in `open`.
        unsafe { (self.table.get())(self.service.ctx(), link, op, queue.into(), no_ack) }
    }

    /// Declares an exchange; see [`BrokerVt::declare_exchange`](super::BrokerVt::declare_exchange). True says *throttled*.
    pub fn declare_exchange(&self, link: u64, op: u64, declare: &ExchangeDeclare<'_>) -> bool {
        // SAFETY: as in `open`.
        unsafe { (self.table.declare_exchange())(self.service.ctx(), link, op, declare) }
    }

    /// Deletes an exchange; see [`BrokerVt::delete_exchange`](super::BrokerVt::delete_exchange). True says *throttled*.
    pub fn delete_exchange(&self, link: u64, op: u64, name: &str, flags: u32) -> bool {
        // SAFETY: as in `open`.
        unsafe { (self.table.delete_exchange())(self.service.ctx(), link, op, name.into(), flags) }
    }

    /// Declares a queue; see [`BrokerVt::declare_queue`](super::BrokerVt::declare_queue). True says *throttled*.
    pub fn declare_queue(&self, link: u64, op: u64, declare: &QueueDeclare<'_>) -> bool {
        // SAFETY: as in `open`.
        unsafe { (self.table.declare_queue())(self.service.ctx(), link, op, declare) }
    }

    /// Deletes a queue; see [`BrokerVt::delete_queue`](super::BrokerVt::delete_queue). True says *throttled*.
    pub fn delete_queue(&self, link: u64, op: u64, name: &str, flags: u32) -> bool {
        // SAFETY: as in `open`.
        unsafe { (self.table.delete_queue())(self.service.ctx(), link, op, name.into(), flags) }
    }

    /// Empties a queue; see [`BrokerVt::purge_queue`](super::BrokerVt::purge_queue). True says *throttled*.
    pub fn purge_queue(&self, link: u64, op: u64, name: &str) -> bool {
        // SAFETY: as in `open`.
        unsafe { (self.table.purge_queue())(self.service.ctx(), link, op, name.into()) }
    }

    /// Makes a binding; see [`BrokerVt::bind`](super::BrokerVt::bind). True says *throttled*.
    pub fn bind(&self, link: u64, op: u64, bind: &Bind<'_>) -> bool {
        // SAFETY: as in `open`.
        unsafe { (self.table.bind())(self.service.ctx(), link, op, bind) }
    }

    /// Takes a binding away; see [`BrokerVt::unbind`](super::BrokerVt::unbind). True says *throttled*.
    pub fn unbind(&self, link: u64, op: u64, bind: &Bind<'_>) -> bool {
        // SAFETY: as in `open`.
        unsafe { (self.table.unbind())(self.service.ctx(), link, op, bind) }
    }

    /// Begins a consumer; see [`BrokerVt::consume`](super::BrokerVt::consume). True says *throttled*.
    pub fn consume(&self, link: u64, op: u64, consume: &Consume<'_>) -> bool {
        // SAFETY: as in `open`.
        unsafe { (self.table.consume())(self.service.ctx(), link, op, consume) }
    }

    /// Ends a consumer; see [`BrokerVt::cancel`](super::BrokerVt::cancel). True says *throttled*.
    pub fn cancel(&self, link: u64, op: u64, consumer: u64) -> bool {
        // SAFETY: as in `open`.
        unsafe { (self.table.cancel())(self.service.ctx(), link, op, consumer) }
    }

    /// Sets a credit; see [`BrokerVt::credit`](super::BrokerVt::credit). True says *throttled*.
    pub fn credit(&self, link: u64, op: u64, consumer: u64, count: u32, bytes: u64) -> bool {
        // SAFETY: as in `open`.
        unsafe { (self.table.credit())(self.service.ctx(), link, op, consumer, count, bytes) }
    }

    /// Attaches a session; see [`BrokerVt::attach_session`](super::BrokerVt::attach_session). True says *throttled*.
    pub fn attach_session(&self, link: u64, op: u64, session: &SessionAttach<'_>) -> bool {
        // SAFETY: as in `open`.
        unsafe { (self.table.attach_session())(self.service.ctx(), link, op, session) }
    }

    /// Detaches a session; see [`BrokerVt::detach_session`](super::BrokerVt::detach_session). True says *throttled*.
    pub fn detach_session(&self, link: u64, op: u64, flags: u32, expiry_secs: u32) -> bool {
        // SAFETY: as in `open`.
        unsafe { (self.table.detach_session())(self.service.ctx(), link, op, flags, expiry_secs) }
    }

    /// Keeps a note with a session; see [`BrokerVt::note_session`](super::BrokerVt::note_session). True says *throttled*.
    pub fn note_session(&self, link: u64, op: u64, key: &str, value: &[u8]) -> bool {
        // SAFETY: as in `open`.
        unsafe { (self.table.note_session())(self.service.ctx(), link, op, key.into(), value.into()) }
    }

    /// Forgets dedupe keys; see [`BrokerVt::forget`](super::BrokerVt::forget). True says *throttled*.
    pub fn forget(&self, link: u64, op: u64, dedupe: &[u32]) -> bool {
        // SAFETY: as in `open`.
        unsafe { (self.table.forget())(self.service.ctx(), link, op, dedupe.into()) }
    }

    /// Waits for answers of the API; see [`BrokerVt::quiesce`](super::BrokerVt::quiesce).
    pub fn quiesce(&self, link: u64, timeout_ms: u64, done: Completion) {
        // SAFETY: as in `open`.
        unsafe { (self.table.quiesce())(self.service.ctx(), link, timeout_ms, done) }
    }

    /// The host's limits; see [`BrokerVt::limits`](super::BrokerVt::limits).
    #[must_use]
    pub fn limits(&self) -> Blob {
        // SAFETY: as in `open`.
        unsafe { (self.table.limits())(self.service.ctx()) }
    }
}
