//! Consuming, getting, settling and committing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use crate::broker::Core;
use crate::direct_reply;
use crate::effects::Effects;
use crate::error::Error;
use crate::events::Done;
use crate::link::{LinkCore, NewConsumer, Unsettled};
use crate::link_calls::Consume;
use crate::names;
use crate::publish::Publish;
use crate::queue::{NewQueue, Outcome, Queue, QueueConsumer, QueueGot};
use crate::table;

/// How deliveries are settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settle {
    /// Number of the delivery.
    pub delivery: u64,
    /// All unsettled ones of the link up to it; with number 0 all.
    pub multiple: bool,
    /// What becomes of them.
    pub outcome: Outcome,
}

impl Core {
    pub(crate) fn consume(
        &self,
        link: &Arc<LinkCore>,
        op: u64,
        consume: &Consume<'_>,
        fx: &mut Effects,
    ) -> Result<(), Error> {
        let queue = if consume.queue == direct_reply::NAME {
            self.reply_queue(link, consume)?
        } else {
            self.queue_of(link, consume.queue)?
        };
        let limit = self.options.limits.consumers_per_link;
        if link.counts().consumers >= limit {
            return Err(Error::new(
                crate::Code::NotAllowed,
                format!("the link has {limit} consumers already"),
            ));
        }
        let priority =
            table::field(consume.arguments, "x-priority").and_then(|value| value.integer()).unwrap_or(0);
        let slot = link.add_consumer(NewConsumer {
            id: consume.consumer,
            name: consume.name,
            queue: &queue,
            no_ack: consume.no_ack,
            with_bindings: consume.with_bindings,
            credit: consume.credit,
            limit: consume.limit,
        })?;
        let consumer = QueueConsumer {
            link: Arc::clone(link),
            slot,
            no_ack: consume.no_ack,
            exclusive: consume.exclusive,
            priority: priority.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
            stalled: false,
        };
        let name = Arc::clone(&queue.name);
        let started = queue.consume(consumer, self.now(), fx, |fx| {
            let done = Done { name: Some(name), ..Done::default() };
            self.answer(link, op, Ok(done), 0, fx);
        });
        if started.is_err() {
            link.remove_consumer(consume.consumer);
            if consume.queue == direct_reply::NAME {
                link.reply_queue.lock().take();
            }
        }
        started
    }

    /// Makes the queue behind the pseudo-queue of direct replies.
    fn reply_queue(&self, link: &Arc<LinkCore>, consume: &Consume<'_>) -> Result<Arc<Queue>, Error> {
        if !consume.no_ack {
            return Err(Error::precondition("reply consumer cannot acknowledge"));
        }
        let mut reply_queue = link.reply_queue.lock();
        if reply_queue.is_some() {
            return Err(Error::precondition("reply consumer already set"));
        }
        let (queue, ..) = self.add_queue(
            &link.connection.vhost,
            NewQueue {
                id: self.next_id(),
                name: direct_reply::fresh_name().into(),
                vhost: Arc::clone(&link.connection.vhost.name),
                durable: false,
                auto_delete: true,
                exclusive: Some(link.connection.uid),
                session: 0,
                arguments: Default::default(),
                args: Default::default(),
            },
        )?;
        link.connection.exclusive.lock().push(Arc::clone(&queue.name));
        *reply_queue = Some(Arc::clone(&queue.name));
        Ok(queue)
    }

    /// Gives the head of a queue to a link; `false` when the queue is empty.
    pub(crate) fn get(
        &self,
        link: &Arc<LinkCore>,
        op: u64,
        queue: &Arc<Queue>,
        no_ack: bool,
        fx: &mut Effects,
    ) -> Result<bool, Error> {
        loop {
            match queue.get(no_ack, self.now(), fx) {
                QueueGot::Empty => return Ok(false),
                QueueGot::NotLoaded => self.load(queue, fx)?,
                QueueGot::Message { message, key, size, redelivered, left } => {
                    let key = (!no_ack).then_some(key);
                    let got = (message, size, redelivered, left as u64);
                    if !link.got(op, queue, got, key, fx)
                        && let Some(key) = key
                    {
                        queue.settle(std::iter::once(key), Outcome::Requeue, self.now(), fx);
                    }
                    return Ok(true);
                }
            }
        }
    }

    /// Settles deliveries in order. Returns the position to wait for if the outcome should be durable before it is
    /// answered.
    pub(crate) fn settle(
        &self,
        link: &Arc<LinkCore>,
        settles: &[Settle],
        wait: bool,
        fx: &mut Effects,
    ) -> Result<u64, Error> {
        let mut after = 0;
        for settle in settles {
            if settle.outcome == Outcome::Received {
                after = self.receive(link, settle)?;
                continue;
            }
            let mut unsettled = SmallVec::new();
            let resumed = link.settle(settle.delivery, settle.multiple, &mut unsettled)?;
            self.settle_unsettled(unsettled, settle.outcome, fx);
            self.resume(link, resumed, fx);
        }
        if wait && !fx.settled.is_empty() {
            after = self.write_settled(fx, true);
        }
        Ok(after)
    }

    /// The first phase of two: the delivery stays, and is not sent again.
    fn receive(&self, link: &Arc<LinkCore>, settle: &Settle) -> Result<u64, Error> {
        let (queue, key) =
            link.with_unsettled(settle.delivery, |unsettled| (Arc::clone(&unsettled.queue), unsettled.key))?;
        let known = queue.mark(key, |entry| entry.received = true);
        Ok(match (&self.store, known) {
            (Some(store), Some((order, tag))) => store.received(queue.id, order, tag),
            _ => 0,
        })
    }

    /// Settles what was taken out of a link; runs of one queue under one lock.
    pub(crate) fn settle_unsettled(
        &self,
        mut unsettled: SmallVec<[Unsettled; 8]>,
        outcome: Outcome,
        fx: &mut Effects,
    ) {
        let now = self.now();
        if outcome == Outcome::Requeue {
            // All of a queue go back before any is delivered again, so that they come in their order.
            unsettled.sort_by_key(|one| one.queue.id);
        }
        let mut rest = unsettled.as_slice();
        while let Some(first) = rest.first() {
            let run = rest.iter().take_while(|other| Arc::ptr_eq(&other.queue, &first.queue)).count();
            first.queue.settle(rest[..run].iter().map(|unsettled| unsettled.key), outcome, now, fx);
            rest = &rest[run..];
        }
    }

    /// Puts everything back that a link has unsettled; returns how much.
    pub(crate) fn requeue_all(&self, link: &Arc<LinkCore>, fx: &mut Effects) -> usize {
        let mut unsettled = SmallVec::new();
        let resumed = link.take_all_unsettled(&mut unsettled);
        let n = unsettled.len();
        self.settle_unsettled(unsettled, Outcome::Requeue, fx);
        self.resume(link, resumed, fx);
        n
    }

    /// Ends the consumers of a link on one queue and puts back what it has unsettled of it.
    pub(crate) fn part_from_queue(&self, link: &Arc<LinkCore>, queue: &Arc<Queue>, fx: &mut Effects) {
        let slots = link.end_consumers_of(queue);
        let mut unsettled = SmallVec::new();
        let resumed = link.take_unsettled_of(queue, &mut unsettled);
        self.settle_unsettled(unsettled, Outcome::Requeue, fx);
        for slot in slots {
            queue.leave(link, slot, self.now(), fx);
        }
        self.resume(link, resumed, fx);
    }

    /// Publishes and settles as one: checked first, written as one record group, then put into queues.
    pub(crate) fn commit(
        &self,
        link: &Arc<LinkCore>,
        first_seq: u64,
        publishes: &[Publish<'_>],
        settles: &[Settle],
        fx: &mut Effects,
    ) -> Result<u64, Error> {
        let now = self.now();
        let mut publisher = link.publisher.lock();
        let mut planned = SmallVec::<[_; 16]>::new();
        for (seq, publish) in (first_seq..).zip(publishes) {
            planned.push(self.plan(link, &mut publisher, seq, publish, now, fx)?);
        }
        for settle in settles {
            link.check_settle(settle.delivery, settle.multiple)?;
        }
        link.published.fetch_add(publishes.len() as u64, Ordering::Relaxed);
        let group = self.store.as_ref().map(|store| store.group());
        let mut after = 0;
        for planned in planned {
            after = self.carry_out(link, planned, now, fx)?.max(after);
        }
        after = after.max(self.settle(link, settles, true, fx)?);
        if let Some(group) = group.filter(|_| after > 0) {
            after = after.max(group.end());
        }
        drop(publisher);
        if link.confirms.load(Ordering::Relaxed) && !publishes.is_empty() {
            self.confirm(link, first_seq + publishes.len() as u64 - 1, after, fx);
        }
        Ok(after)
    }

    /// A queue that lost its last consumer, if it still has none.
    pub(crate) fn delete_unused(&self, queue: &Arc<Queue>, fx: &mut Effects) {
        if queue.is_unused()
            && let Ok(vhost) = self.vhost(&queue.vhost)
        {
            tracing::trace!(
                queue = &*queue.name,
                kept = queue.is_kept(),
                "a queue goes with its last consumer"
            );
            self.remove_queue(&vhost, queue, fx);
        }
    }
}

/// A consumer name that the broker makes: `amq.ctag-<22 characters>`.
pub fn consumer_name() -> String {
    names::consumer()
}
