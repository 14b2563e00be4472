//! A link to the broker.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use abi_stable::std_types::RVec;

use super::hub::{Hub, Outbox};
use super::{
    Accepted, Bind, CODE_RESOURCE_ERROR, Consume, Done, Event, Events, ExchangeDeclare, Publish,
    QueueDeclare, Refusal, SessionAttach, Settle, TAKEN_MAX_BYTES, TAKEN_MAX_EVENTS,
};
use crate::abi::{self, EVENT_ANSWER, EVENT_CLOSED, EVENT_GOT, LinkEvent};
use crate::sdk::PendingReply;

/// How many other events [`Link::answer`] keeps for later, at most.
pub const KEPT_EVENTS_MAX: usize = 65_536;

/// The numbers that [`Link::ask`] gives; those of a caller's own stay below.
const OWN_OPS: u64 = 1 << 63;

/// A link to the broker. Dropping it closes it: what it has unsettled goes back to the queues.
///
/// Operations never wait; they take effect in the order of the calls. Each returns whether it is throttled: then read no
/// more from the peer until the connection is [unblocked](Event::Unblocked).
pub struct Link {
    service: abi::Broker,
    hub: Arc<Hub>,
    outbox: Arc<Outbox>,
    next_op: AtomicU64,
    kept: VecDeque<LinkEvent>,
}

impl Link {
    pub(super) const fn new(service: abi::Broker, hub: Arc<Hub>, outbox: Arc<Outbox>) -> Self {
        Self { service, hub, outbox, next_op: AtomicU64::new(OWN_OPS), kept: VecDeque::new() }
    }

    /// Its id, unique among those of connections and links that the instance ever opened.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.outbox.id
    }

    /// The next events, as many as there are. Cancelling loses nothing.
    pub fn events(&mut self) -> impl Future<Output = Events> + Send + '_ {
        std::future::poll_fn(|context| self.poll_events(context))
    }

    /// As [`events`](Self::events), for those who write their own futures. One task reads at a time: the last waker is the
    /// one that is woken.
    pub fn poll_events(&mut self, context: &Context<'_>) -> Poll<Events> {
        if !self.kept.is_empty() {
            let kept: RVec<_> = self.kept.drain(..).collect();
            return Poll::Ready(Events::new(kept));
        }
        self.poll_taken(context).map(Events::new)
    }

    fn poll_taken(&self, context: &Context<'_>) -> Poll<RVec<LinkEvent>> {
        loop {
            if self.outbox.is_worth_a_look() {
                let taken = self.service.take(self.id(), TAKEN_MAX_EVENTS, TAKEN_MAX_BYTES);
                if !taken.is_empty() {
                    self.outbox.found();
                    return Poll::Ready(taken);
                }
            } else if self.outbox.wait(context) {
                return Poll::Pending;
            }
        }
    }

    /// Makes one operation and waits for its answer: for what is done once, as before the first consumer. Events that come
    /// before the answer are kept for [`events`](Self::events).
    ///
    /// # Errors
    ///
    /// When it is refused; when the link ends before; or with [`CODE_RESOURCE_ERROR`] when more than [`KEPT_EVENTS_MAX`]
    /// events come before the answer.
    pub async fn ask(&mut self, operation: impl FnOnce(&Self, u64) -> bool) -> Result<Done, Refusal> {
        let op = self.next_op.fetch_add(1, Ordering::Relaxed);
        let _throttled = operation(self, op);
        self.answer(op).await
    }

    /// Waits for the answer to an operation that was made under the number `op`; see [`ask`](Self::ask).
    ///
    /// # Errors
    ///
    /// As for [`ask`](Self::ask).
    pub async fn answer(&mut self, op: u64) -> Result<Done, Refusal> {
        // It is often there already; a plugin that is still starting is not told.
        self.outbox.found();
        let mut looked = 0;
        loop {
            while let Some(event) = self.kept.get(looked) {
                let is_it = event.op == op && (event.kind == EVENT_ANSWER || event.kind == EVENT_GOT);
                if is_it && let Some(Event::Answer(answer)) = self.kept.remove(looked).and_then(Event::of) {
                    return answer.result;
                }
                if let Some(closed) = self.kept.get(looked).filter(|event| event.kind == EVENT_CLOSED) {
                    return Err(Refusal { code: closed.code, text: closed.text.clone() });
                }
                looked += 1;
            }
            if looked > KEPT_EVENTS_MAX {
                let text = "RESOURCE_ERROR - too many events came before the answer".into();
                return Err(Refusal { code: CODE_RESOURCE_ERROR, text });
            }
            let taken = std::future::poll_fn(|context| self.poll_taken(context)).await;
            self.kept.extend(taken);
        }
    }

    /// Publishes messages, numbered from `first_sequence` on; numbers only grow on a link. Nothing is kept of what is
    /// borrowed. What was not taken is published again once the connection is unblocked; when the answer is not throttled
    /// and none was taken, the link has ended.
    #[must_use = "says how many were taken, and whether to stop reading from the peer"]
    pub fn publish(&self, first_sequence: u64, messages: &[Publish<'_>]) -> Accepted {
        self.service.publish(self.id(), first_sequence, messages)
    }

    /// Settles deliveries, in order.
    pub fn settle(&self, op: u64, settles: &[Settle]) -> bool {
        self.service.settle(self.id(), op, settles)
    }

    /// Publishes and settles as one: all of it or nothing. Answered when it is durable.
    pub fn commit(&self, op: u64, first_sequence: u64, messages: &[Publish<'_>], settles: &[Settle]) -> bool {
        self.service.commit(self.id(), op, first_sequence, messages, settles)
    }

    /// Turns [`Event::Confirmed`] on or off, for what is published from here on.
    pub fn confirm(&self, op: u64, on: bool) -> bool {
        self.service.confirm(self.id(), op, on)
    }

    /// Puts everything unsettled back into its queue.
    pub fn recover(&self, op: u64) -> bool {
        self.service.recover(self.id(), op)
    }

    /// Takes one message from a queue; it comes in [`Done::got`].
    pub fn get(&self, op: u64, queue: &str, no_ack: bool) -> bool {
        self.service.get(self.id(), op, queue, no_ack)
    }

    /// Declares an exchange.
    pub fn declare_exchange(&self, op: u64, declare: &ExchangeDeclare<'_>) -> bool {
        self.service.declare_exchange(self.id(), op, declare)
    }

    /// Deletes an exchange, when the `DELETE_` flags allow.
    pub fn delete_exchange(&self, op: u64, name: &str, flags: u32) -> bool {
        self.service.delete_exchange(self.id(), op, name, flags)
    }

    /// Declares a queue. Wherever else this link names a queue, the empty name is that of the one that it declared last.
    pub fn declare_queue(&self, op: u64, declare: &QueueDeclare<'_>) -> bool {
        self.service.declare_queue(self.id(), op, declare)
    }

    /// Deletes a queue, when the `DELETE_` flags allow.
    pub fn delete_queue(&self, op: u64, name: &str, flags: u32) -> bool {
        self.service.delete_queue(self.id(), op, name, flags)
    }

    /// Removes a queue's ready messages.
    pub fn purge_queue(&self, op: u64, name: &str) -> bool {
        self.service.purge_queue(self.id(), op, name)
    }

    /// Makes a binding.
    pub fn bind(&self, op: u64, bind: &Bind<'_>) -> bool {
        self.service.bind(self.id(), op, bind)
    }

    /// Takes a binding away: the one of that number, or with the number 0 the one of that source, key and arguments.
    pub fn unbind(&self, op: u64, bind: &Bind<'_>) -> bool {
        self.service.unbind(self.id(), op, bind)
    }

    /// Begins a consumer. Its answer comes before its first delivery.
    pub fn consume(&self, op: u64, consume: &Consume<'_>) -> bool {
        self.service.consume(self.id(), op, consume)
    }

    /// Ends a consumer. Its answer comes after its last delivery.
    pub fn cancel(&self, op: u64, consumer: u64) -> bool {
        self.service.cancel(self.id(), op, consumer)
    }

    /// Sets how many deliveries and bytes a consumer may have unsettled; the consumer 0 stands for all of the link together.
    pub fn credit(&self, op: u64, consumer: u64, count: u32, bytes: u64) -> bool {
        self.service.credit(self.id(), op, consumer, count, bytes)
    }

    /// Attaches a session. [`Done::name`] is its queue; [`Event::Binding`] and [`Event::Note`] tell what else it has.
    pub fn attach_session(&self, op: u64, session: &SessionAttach<'_>) -> bool {
        self.service.attach_session(self.id(), op, session)
    }

    /// Detaches the session in good order: without its will, unless
    /// [`DETACH_WITH_WILL`](super::DETACH_WITH_WILL).
    pub fn detach_session(&self, op: u64, flags: u32, expiry_secs: u32) -> bool {
        self.service.detach_session(self.id(), op, flags, expiry_secs)
    }

    /// Keeps a small value with the session; an empty one removes it.
    pub fn note_session(&self, op: u64, key: &str, value: &[u8]) -> bool {
        self.service.note_session(self.id(), op, key, value)
    }

    /// Lets [`Publish::dedupe`] keys be used anew.
    pub fn forget(&self, op: u64, dedupe: &[u32]) -> bool {
        self.service.forget(self.id(), op, dedupe)
    }

    /// Waits until every request to the API that was published on this link before is answered, but no longer than
    /// `timeout`. Says whether it was in time. The call is under way when this returns.
    pub fn quiesce(&self, timeout: Duration) -> impl Future<Output = bool> + Send + use<> {
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let reply = PendingReply::of(|done| self.service.quiesce(self.id(), timeout_ms, done));
        async move { reply.await.status == 200 }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.hub.remove(&self.outbox);
        self.service.close_link(self.outbox.id);
    }
}
