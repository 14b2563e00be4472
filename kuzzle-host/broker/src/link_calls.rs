//! What a client asks of its link. Every operation carries a number of the caller's; its answer is an event in the
//! outbox, in order with deliveries. An operation without a number (0) is answered only when it is refused.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use crate::broker::Core;
use crate::declare::{Bind, ExchangeDeclare, QueueDeclare};
use crate::effects::Effects;
use crate::error::Error;
use crate::events::{Done, LinkEvent};
use crate::link::{Credit, Limit, LinkCore, Resumed, Taken};
use crate::publish::{Accepted, Publish};
use crate::queue::{Outcome, Queue};
use crate::session::SessionAttach;
use crate::settle::Settle;

/// A consumer to start.
#[derive(Debug, Clone, Default)]
pub struct Consume<'a> {
    /// The caller's number of it, unique on the link.
    pub consumer: u64,
    /// The queue; empty for the one declared last on this link.
    pub queue: &'a str,
    /// Shown in listings and refusals: AMQP's consumer tag.
    pub name: &'a str,
    /// Deliveries are settled as they enter the outbox.
    pub no_ack: bool,
    /// Nobody else may consume.
    pub exclusive: bool,
    /// Deliveries name the bindings that matched.
    pub with_bindings: bool,
    /// How many deliveries may be unsettled.
    pub credit: Credit,
    /// What may wait in the outbox of deliveries that take no credit.
    pub limit: Limit,
    /// A field table without its length: `x-priority`.
    pub arguments: &'a [u8],
}

/// A link. Dropping it closes it as a lost one.
pub struct Link {
    pub(crate) core: Arc<Core>,
    pub(crate) inner: Arc<LinkCore>,
}

impl Link {
    /// Publishes a batch in order, under ascending sequence numbers from `first_seq` on.
    pub fn publish(&self, first_seq: u64, batch: &[Publish<'_>]) -> Accepted {
        let mut fx = Effects::default();
        let accepted = self.core.publish(&self.inner, first_seq, batch, &mut fx);
        self.core.finish(fx);
        accepted
    }

    /// Settles deliveries in order. The first that is refused ends it.
    pub fn settle(&self, op: u64, settles: &[Settle]) -> bool {
        self.run(op, |core, link, fx| {
            let after = core.settle(link, settles, op != 0, fx)?;
            Ok((Done::default(), after))
        })
    }

    /// Publishes and settles, all or nothing; answered when it is durable.
    pub fn commit(&self, op: u64, first_seq: u64, publishes: &[Publish<'_>], settles: &[Settle]) -> bool {
        self.run(op, |core, link, fx| {
            Ok((Done::default(), core.commit(link, first_seq, publishes, settles, fx)?))
        })
    }

    /// Whether publishes are confirmed; off at first.
    pub fn confirm(&self, op: u64, on: bool) -> bool {
        self.run(op, |_, link, _| {
            link.confirms.store(on, Ordering::Relaxed);
            Ok((Done::default(), 0))
        })
    }

    /// Puts all unsettled deliveries of the link back.
    pub fn recover(&self, op: u64) -> bool {
        self.run(op, |core, link, fx| {
            let messages = core.requeue_all(link, fx) as u64;
            Ok((Done { messages, ..Done::default() }, 0))
        })
    }

    /// Takes the head of a queue: [`LinkEvent::Got`], or an answer that says it is empty.
    pub fn get(&self, op: u64, queue: &str, no_ack: bool) -> bool {
        self.start(op, |core, link, fx| {
            let queue = core.queue_of(link, queue)?;
            if !core.get(link, op, &queue, no_ack, fx)? {
                core.answer(link, op, Ok(Done { empty: true, ..Done::default() }), 0, fx);
            }
            Ok(())
        })
    }

    /// Declares an exchange.
    pub fn declare_exchange(&self, op: u64, declare: &ExchangeDeclare<'_>) -> bool {
        self.run(op, |core, link, _| core.declare_exchange(&link.connection.vhost, declare))
    }

    /// Deletes an exchange; one that does not exist is deleted already.
    pub fn delete_exchange(&self, op: u64, name: &str, if_unused: bool) -> bool {
        self.run(op, |core, link, _| core.delete_exchange(&link.connection.vhost, name, if_unused))
    }

    /// Declares a queue.
    pub fn declare_queue(&self, op: u64, declare: &QueueDeclare<'_>) -> bool {
        self.run(op, |core, link, fx| {
            let last = link.last_queue.lock().clone();
            let mut declare = *declare;
            // Asked passively, no name is the last one.
            if let Some(last) = last.as_deref().filter(|_| declare.name.is_empty() && declare.passive) {
                declare.name = last;
            }
            let connection = Some(&link.connection);
            let (done, after) = core.declare_queue(&link.connection.vhost, connection, &declare, fx)?;
            link.last_queue.lock().clone_from(&done.name);
            Ok((done, after))
        })
    }

    /// Deletes a queue; one that does not exist is deleted already.
    pub fn delete_queue(&self, op: u64, name: &str, if_unused: bool, if_empty: bool) -> bool {
        self.run(op, |core, link, fx| {
            let name = core.queue_name(link, name)?;
            let vhost = &link.connection.vhost;
            core.delete_queue(vhost, Some(&link.connection), &name, (if_unused, if_empty), fx)
        })
    }

    /// Removes the ready messages of a queue.
    pub fn purge_queue(&self, op: u64, name: &str) -> bool {
        self.run(op, |core, link, fx| {
            let name = core.queue_name(link, name)?;
            let done = core.purge_queue(&link.connection.vhost, Some(&link.connection), &name, fx)?;
            Ok((done, 0))
        })
    }

    /// Makes a binding.
    pub fn bind(&self, op: u64, bind: &Bind<'_>) -> bool {
        self.start(op, |core, link, fx| {
            let name = core.destination(link, bind)?;
            let bind = Bind { destination: &name, ..bind.clone() };
            let vhost = &link.connection.vhost;
            core.bind(vhost, Some(&link.connection), &bind, fx, |done, after, fx| {
                core.answer(link, op, Ok(done), after, fx);
            })
        })
    }

    /// Removes a binding; one that does not exist is removed already.
    pub fn unbind(&self, op: u64, bind: &Bind<'_>) -> bool {
        self.run(op, |core, link, _| {
            let name = core.destination(link, bind)?;
            let bind = Bind { destination: &name, ..bind.clone() };
            core.unbind(&link.connection.vhost, Some(&link.connection), &bind)
        })
    }

    /// Starts a consumer; the answer comes before its first delivery.
    pub fn consume(&self, op: u64, consume: &Consume<'_>) -> bool {
        self.start(op, |core, link, fx| core.consume(link, op, consume, fx))
    }

    /// Ends a consumer; the answer comes after its last delivery. What is unsettled can still be settled.
    pub fn cancel(&self, op: u64, consumer: u64) -> bool {
        self.run(op, |core, link, fx| {
            if let Some((queue, slot)) = link.remove_consumer(consumer) {
                queue.leave(link, slot, core.now(), fx);
                return Ok((Done { existed: true, ..Done::default() }, 0));
            }
            Ok((Done::default(), 0))
        })
    }

    /// Sets the credit of a consumer, or with 0 what all consumers of the link share.
    pub fn credit(&self, op: u64, consumer: u64, credit: Credit) -> bool {
        self.run(op, |core, link, fx| {
            let Some(resumed) = link.set_credit((consumer != 0).then_some(consumer), credit) else {
                return Err(Error::new(crate::Code::NotFound, format!("no consumer {consumer} on the link")));
            };
            core.resume(link, resumed, fx);
            Ok((Done::default(), 0))
        })
    }

    /// Attaches a session, making it if there is none. Its bindings and notes follow the answer; deliveries begin when
    /// its queue is consumed.
    pub fn attach_session(&self, op: u64, attach: &SessionAttach<'_>) -> bool {
        self.start(op, |core, link, fx| {
            core.attach_session(link, attach, fx, |done, after, fx| {
                core.answer(link, op, Ok(done), after, fx);
            })
        })
    }

    /// Parts from the session in good order: its will is dropped unless `with_will`, its expiry counts from here.
    pub fn detach_session(&self, op: u64, with_will: bool, expiry_secs: Option<u32>) -> bool {
        self.run(op, |core, link, fx| {
            let queue = link.session.lock().as_ref().map(|session| Arc::clone(&session.queue));
            if let Some(queue) = queue {
                core.part_from_queue(link, &queue, fx);
            }
            Ok((Done::default(), core.detach_session(link, with_will, expiry_secs, fx)))
        })
    }

    /// Keeps a small value with the session; an empty one removes it.
    pub fn note_session(&self, op: u64, key: &str, value: &[u8]) -> bool {
        self.run(op, |core, link, _| Ok((Done::default(), core.note_session(link, key, value)?)))
    }

    /// Lets dedupe keys be used anew; answered when that is durable.
    pub fn forget(&self, op: u64, keys: &[u32]) -> bool {
        self.run(op, |core, link, _| Ok((Done::default(), core.forget(link, keys)?)))
    }

    /// Moves events out of the outbox, at most `max` and about `max_bytes` of bodies, at least one if there is any.
    pub fn take(&self, max: usize, max_bytes: u64, events: &mut Vec<LinkEvent>) -> Taken {
        let (mut taken, mut resumed) = self.inner.take(max, max_bytes, self.core.synced(), events);
        let throttled = self.inner.connection.throttled.load(Ordering::Relaxed);
        if resumed.is_empty() && !throttled {
            return taken;
        }
        let mut fx = Effects::default();
        while !resumed.is_empty() {
            self.core.resume(&self.inner, resumed, &mut fx);
            if taken.events >= max {
                taken.more = true;
                break;
            }
            let (next, again) = self.inner.take(max - taken.events, max_bytes, self.core.synced(), events);
            taken = Taken { events: taken.events + next.events, more: next.more };
            if next.events == 0 {
                self.core.resume(&self.inner, again, &mut fx);
                break;
            }
            resumed = again;
        }
        // Whoever takes is awake.
        fx.wakes.retain(|link| !Arc::ptr_eq(link, &self.inner));
        if throttled {
            self.core.relieve(&self.inner.connection, &mut fx);
        }
        self.core.finish(fx);
        taken
    }

    /// Calls `done(true)` when all requests published on the link are answered, or `done(false)` at `deadline_ms`
    /// (milliseconds since 1970).
    pub fn quiesce(&self, deadline_ms: u64, done: impl FnOnce(bool) + Send + 'static) {
        self.core.quiesce(&self.inner, deadline_ms, Box::new(done));
    }

    /// Requests published on the link and not yet answered.
    pub fn unanswered(&self) -> u64 {
        self.inner.unanswered.open()
    }

    /// Ends the link: consumers end, what is unsettled goes back, its session is detached as lost. Doing it again does
    /// nothing.
    pub fn close(&self) {
        let mut fx = Effects::default();
        self.core.close_link(&self.inner, None, &mut fx);
        self.core.finish(fx);
    }

    /// Runs an operation that answers by itself when it succeeds.
    fn start(
        &self,
        op: u64,
        call: impl FnOnce(&Core, &Arc<LinkCore>, &mut Effects) -> Result<(), Error>,
    ) -> bool {
        if self.inner.stopped.load(Ordering::Acquire) {
            return false;
        }
        let mut fx = Effects::default();
        if let Err(error) = call(&self.core, &self.inner, &mut fx) {
            self.core.answer(&self.inner, op, Err(error), 0, &mut fx);
        }
        let throttled = self.core.throttle(&self.inner, &mut fx);
        self.core.finish(fx);
        throttled
    }

    fn run(
        &self,
        op: u64,
        call: impl FnOnce(&Core, &Arc<LinkCore>, &mut Effects) -> Result<(Done, u64), Error>,
    ) -> bool {
        self.start(op, |core, link, fx| {
            let (done, after) = call(core, link, fx)?;
            core.answer(link, op, Ok(done), after, fx);
            Ok(())
        })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close();
    }
}

impl Core {
    pub(crate) fn answer(
        &self,
        link: &Arc<LinkCore>,
        op: u64,
        result: Result<Done, Error>,
        after: u64,
        fx: &mut Effects,
    ) {
        let after = if after > self.synced() { after } else { 0 };
        if link.answer(op, result, after, fx) {
            self.call_when_synced(link, fx);
        }
    }

    /// The name that a client means by a queue name on its link.
    fn queue_name(&self, link: &LinkCore, name: &str) -> Result<Arc<str>, Error> {
        if !name.is_empty() {
            return Ok(name.into());
        }
        link.last_queue
            .lock()
            .clone()
            .ok_or_else(|| Error::new(crate::Code::NotFound, "no previously declared queue"))
    }

    fn destination(&self, link: &LinkCore, bind: &Bind<'_>) -> Result<Arc<str>, Error> {
        if bind.to_exchange { Ok(bind.destination.into()) } else { self.queue_name(link, bind.destination) }
    }

    pub(crate) fn queue_of(&self, link: &LinkCore, name: &str) -> Result<Arc<Queue>, Error> {
        let name = self.queue_name(link, name)?;
        self.queue_for(&link.connection.vhost, Some(&link.connection), &name)
    }

    /// Consumers that can take again.
    pub(crate) fn resume(&self, link: &Arc<LinkCore>, resumed: Resumed, fx: &mut Effects) {
        if resumed.is_empty() {
            return;
        }
        let now = self.now();
        for (queue, slot) in resumed {
            queue.resume(link, slot, now, fx);
        }
    }

    /// Ends a link. `reason` is told to its client.
    pub(crate) fn close_link(&self, link: &Arc<LinkCore>, reason: Option<(Error, bool)>, fx: &mut Effects) {
        if link.is_closed() {
            return;
        }
        let now = self.now();
        link.stopped.store(true, Ordering::Release);
        let consumers = link.shut(reason, fx);
        // Messages go back before the consumers go: a queue that deletes itself takes them along.
        let mut unsettled = SmallVec::new();
        link.take_all_unsettled(&mut unsettled);
        self.settle_unsettled(unsettled, Outcome::Requeue, fx);
        for (queue, slot) in consumers {
            queue.leave(link, slot, now, fx);
        }
        let reply_queue = link.reply_queue.lock().take();
        if let Some(name) = reply_queue {
            self.delete_exclusive(&link.connection, &name, fx);
            link.connection.exclusive.lock().retain(|other| *other != name);
        }
        self.detach_session(link, true, None, fx);
        link.connection.links.lock().retain(|other| !Arc::ptr_eq(other, link));
    }
}
