//! How messages move: from publishers into queues, from queues to consumers, and back.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use kuzzle_plugin_api::abi::{
    BIND_AT_MOST_ONCE, BIND_NO_LOCAL, BIND_TO_EXCHANGE, CODE_CONNECTION_FORCED, CODE_RESOURCE_ERROR,
    EVENT_DELIVERY, FLAG_RECEIVED, FLAG_REDELIVERED, FLAG_RETAINED, FLAG_SETTLED, LinkEvent, MESSAGE_RETAIN,
    Message, MessageParts, OVERFLOW_CLOSE, OVERFLOW_DROP_NEWEST, OVERFLOW_DROP_OLDEST, PUBLISH_MANDATORY,
    PUBLISH_RETAIN, Publish, SETTLE_MULTIPLE, SETTLE_RECEIVED, SETTLE_REJECT, SETTLE_REQUEUE, Settle,
};

use super::routing::matches;
use super::state::{Binding, Item, Queue, Refused, State, Unsettled, access, no_exchange, precondition};

/// Exchanges bound in a circle end here.
const HOPS_MAX: usize = 8;

/// What a message of a publisher becomes.
pub(super) fn message(publish: &Publish<'_>) -> Message {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Message::new(&MessageParts {
        exchange: publish.exchange,
        routing_key: publish.routing_key,
        properties: publish.properties,
        body: publish.body().into(),
        received_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        expires_ms: 0,
        flags: if publish.flags & PUBLISH_RETAIN != 0 { MESSAGE_RETAIN } else { 0 },
    })
}

impl State {
    /// Whether a publish can be taken: the exchange must be there.
    pub(super) fn check(&self, publish: &Publish<'_>) -> Result<(), Refused> {
        match self.exchanges.get(publish.exchange.as_str()) {
            None if !publish.exchange.is_empty() => Err(no_exchange(&publish.exchange)),
            Some(exchange) if exchange.flags & kuzzle_plugin_api::abi::DECLARE_INTERNAL != 0 => Err(access(
                format_args!("cannot publish to internal exchange '{}' in vhost '/'", publish.exchange),
            )),
            _ => Ok(()),
        }
    }

    /// Publishes one message of a link, and tells of its return.
    pub(super) fn publish(&mut self, link: u64, sequence: u64, publish: &Publish<'_>) -> Result<(), Refused> {
        self.check(publish)?;
        let session = self.links.get(&link).and_then(|link| link.session.clone());
        if publish.dedupe != 0 {
            let session = session.as_ref().and_then(|name| self.sessions.get_mut(name));
            let Some(session) = session else { return Err(super::state::no_session()) };
            if !session.dedupe.insert(publish.dedupe) {
                return Ok(());
            }
        }
        let message = message(publish);
        let reached = self.route(&message, publish.flags, Some(link));
        if reached == 0 && publish.flags & PUBLISH_MANDATORY != 0 {
            self.push(link, LinkEvent::returned(sequence, message));
        }
        Ok(())
    }

    /// Puts a message into every queue that it is for, and gives their number.
    pub(super) fn route(&mut self, message: &Message, flags: u32, from: Option<u64>) -> usize {
        let parts = message.parts();
        let (exchange, key) = (parts.exchange.as_str(), parts.routing_key.as_str());
        if flags & PUBLISH_RETAIN != 0
            && self.exchanges.get(exchange).is_some_and(|found| found.kind == "topic")
        {
            let place = (exchange.to_owned(), key.to_owned());
            if parts.body.is_empty() {
                self.retained.remove(&place);
            } else {
                self.retained.insert(place, message.clone());
            }
        }
        let mut found: BTreeMap<String, Vec<Binding>> = BTreeMap::new();
        if exchange.is_empty() {
            if self.queues.contains_key(key) {
                found.insert(key.to_owned(), Vec::new());
            }
        } else {
            self.find(exchange, key, from, HOPS_MAX, &mut found);
        }
        for (name, bindings) in &found {
            let is_at_most_once =
                !bindings.is_empty() && bindings.iter().all(|binding| binding.flags & BIND_AT_MOST_ONCE != 0);
            let item = Item {
                message: message.clone(),
                flags: if is_at_most_once { FLAG_SETTLED } else { 0 },
                tag: 0,
                bindings: bindings.iter().map(|binding| binding.id).filter(|id| *id != 0).collect(),
            };
            let Some(queue) = self.queues.get_mut(name) else { continue };
            if !is_at_most_once || !queue.consumers.is_empty() {
                queue.ready.push_back(item);
                self.pump(name);
            }
        }
        found.len()
    }

    fn find(
        &self,
        exchange: &str,
        key: &str,
        from: Option<u64>,
        hops: usize,
        found: &mut BTreeMap<String, Vec<Binding>>,
    ) {
        let Some(exchange) = self.exchanges.get(exchange) else { return };
        for binding in &exchange.bindings {
            if !matches(&exchange.kind, &binding.pattern, binding.flags, key) {
                continue;
            }
            if binding.flags & BIND_TO_EXCHANGE != 0 {
                if hops > 0 {
                    self.find(&binding.destination, key, from, hops - 1, found);
                }
            } else if binding.flags & BIND_NO_LOCAL == 0 || !self.is_local(&binding.destination, from) {
                found.entry(binding.destination.clone()).or_default().push(binding.clone());
            }
        }
    }

    /// Whether a link belongs to the session or connection that a queue belongs to.
    fn is_local(&self, queue: &str, link: Option<u64>) -> bool {
        let (Some(queue), Some(link)) = (self.queues.get(queue), link.and_then(|link| self.links.get(&link)))
        else {
            return false;
        };
        let is_session = queue.session.is_some() && queue.session == link.session;
        is_session || queue.owner == Some(link.connection)
    }

    /// The retained messages that a pattern of an exchange matches.
    pub(super) fn retained_for(&self, exchange: &str, binding: &Binding) -> Vec<Item> {
        let of_exchange = self.retained.iter().filter(|((name, key), _)| {
            name == exchange && matches("topic", &binding.pattern, binding.flags, key)
        });
        let settled = if binding.flags & BIND_AT_MOST_ONCE != 0 { FLAG_SETTLED } else { 0 };
        of_exchange
            .map(|(_, message)| Item {
                message: message.clone(),
                flags: FLAG_RETAINED | settled,
                tag: 0,
                bindings: Some(binding.id).filter(|id| *id != 0).into_iter().collect(),
            })
            .collect()
    }

    /// Gives messages of a queue to its consumers, as far as they have credit.
    pub(super) fn pump(&mut self, name: &str) {
        while let Some(queue) = self.queues.get(name)
            && let Some(item) = queue.ready.front()
        {
            let takes_credit = item.flags & FLAG_SETTLED == 0;
            let may_take = |(link, consumer): &&(u64, u64)| self.may_take(*link, *consumer, takes_credit);
            let Some((link, consumer)) = queue.consumers.iter().find(may_take).copied() else { return };
            let Some(queue) = self.queues.get_mut(name) else { return };
            let Some(item) = queue.ready.pop_front() else { return };
            // Round robin: who got one goes behind the others.
            queue.consumers.retain(|other| *other != (link, consumer));
            queue.consumers.push_back((link, consumer));
            self.deliver(name, link, consumer, item);
        }
    }

    fn may_take(&self, link: u64, consumer: u64, takes_credit: bool) -> bool {
        let Some(link) = self.links.get(&link) else { return false };
        let Some(found) = link.consumers.get(&consumer) else { return false };
        if found.no_ack || !takes_credit {
            let waiting = waiting(&link.outbox, consumer);
            let overflows =
                matches!(found.overflow, OVERFLOW_DROP_NEWEST | OVERFLOW_DROP_OLDEST | OVERFLOW_CLOSE);
            return overflows || found.limit_events == 0 || waiting < found.limit_events as usize;
        }
        let has_room = |(count, bytes): (u32, u64), credit: (u32, u64)| {
            count < credit.0 && (count == 0 || bytes < credit.1)
        };
        has_room(link.outstanding(Some(consumer)), found.credit)
            && has_room(link.outstanding(None), link.credit)
    }

    fn deliver(&mut self, queue: &str, link_id: u64, consumer_id: u64, mut item: Item) {
        let Some(link) = self.links.get_mut(&link_id) else { return };
        let Some(consumer) = link.consumers.get(&consumer_id) else { return };
        if consumer.no_ack {
            item.flags |= FLAG_SETTLED;
        }
        let is_settled = item.flags & FLAG_SETTLED != 0;
        let (with_bindings, limit, overflow) =
            (consumer.with_bindings, consumer.limit_events as usize, consumer.overflow);
        if is_settled && limit > 0 && waiting(&link.outbox, consumer_id) >= limit {
            match overflow {
                OVERFLOW_DROP_NEWEST => return,
                OVERFLOW_DROP_OLDEST => {
                    let is_it = |event: &LinkEvent| {
                        event.kind == EVENT_DELIVERY && event.consumer == consumer_id && !event.is_unsettled()
                    };
                    if let Some(oldest) = link.outbox.iter().position(is_it) {
                        link.outbox.remove(oldest);
                    }
                }
                OVERFLOW_CLOSE => {
                    let text = "RESOURCE_ERROR - the consumer is too slow";
                    self.end_link(link_id, Some(LinkEvent::closed(CODE_RESOURCE_ERROR, text, 0)));
                    return;
                }
                _ => {}
            }
        }
        if !is_settled && item.tag == 0 {
            item.tag = self.next_tag(queue);
        }
        let event = LinkEvent {
            binding: item.bindings.first().copied().filter(|_| with_bindings).unwrap_or_default(),
            more_bindings: item.bindings.iter().skip(1).copied().filter(|_| with_bindings).collect(),
            ..LinkEvent::delivery(consumer_id, 0, item.flags, item.tag, item.message.clone())
        };
        self.hand_over(link_id, queue, item, event);
    }

    /// Numbers a delivery, remembers it while it is unsettled, and puts it into the outbox.
    pub(super) fn hand_over(&mut self, link_id: u64, queue: &str, item: Item, event: LinkEvent) {
        let Some(link) = self.links.get_mut(&link_id) else { return };
        link.deliveries += 1;
        let number = link.deliveries;
        if event.is_unsettled() {
            let unsettled = Unsettled { queue: queue.to_owned(), consumer: event.consumer, item };
            link.unsettled.insert(number, unsettled);
        }
        self.push(link_id, LinkEvent { delivery: number, ..event });
    }

    /// A number that no unsettled delivery of the queue's session has; 0 where there is none.
    fn next_tag(&mut self, queue: &str) -> u32 {
        let Some(queue) = self.queues.get(queue) else { return 0 };
        let Some(name) = &queue.session else { return 0 };
        let Some(session) = self.sessions.get_mut(name) else { return 0 };
        let mut used: Vec<u32> = queue.ready.iter().map(|item| item.tag).collect();
        if let Some(link) = session.link.and_then(|link| self.links.get(&link)) {
            used.extend(link.unsettled.values().map(|unsettled| unsettled.item.tag));
        }
        for _ in 0..=u16::MAX {
            session.last_tag = session.last_tag % u32::from(u16::MAX) + 1;
            if !used.contains(&session.last_tag) {
                break;
            }
        }
        session.last_tag
    }

    /// Settles, in order.
    pub(super) fn settle(&mut self, link: u64, settles: &[Settle]) -> Result<(), Refused> {
        for settle in settles {
            let numbers = self.numbers(link, settle)?;
            for number in numbers {
                self.settle_one(link, number, settle.outcome);
            }
        }
        Ok(())
    }

    /// Whether every settlement names what the link has unsettled.
    pub(super) fn check_settles(&self, link: u64, settles: &[Settle]) -> Result<(), Refused> {
        settles.iter().try_for_each(|settle| self.numbers(link, settle).map(drop))
    }

    fn numbers(&self, link: u64, settle: &Settle) -> Result<Vec<u64>, Refused> {
        let unsettled = self.links.get(&link).map(|link| &link.unsettled);
        let is_multiple = settle.flags & SETTLE_MULTIPLE != 0;
        let is_known = unsettled.is_some_and(|known| known.contains_key(&settle.delivery));
        let means_all = is_multiple && settle.delivery == 0;
        if !is_known && !means_all {
            return Err(precondition(format_args!("unknown delivery tag {}", settle.delivery)));
        }
        if !(SETTLE_RECEIVED..=SETTLE_REJECT).contains(&settle.outcome) {
            return Err(precondition(format_args!("unknown outcome {}", settle.outcome)));
        }
        if !is_multiple {
            return Ok(vec![settle.delivery]);
        }
        let last = if settle.delivery == 0 { u64::MAX } else { settle.delivery };
        Ok(unsettled.into_iter().flat_map(|known| known.range(..=last).map(|(number, _)| *number)).collect())
    }

    fn settle_one(&mut self, link: u64, number: u64, outcome: u32) {
        let Some(found) = self.links.get_mut(&link) else { return };
        if outcome == SETTLE_RECEIVED {
            if let Some(unsettled) = found.unsettled.get_mut(&number) {
                unsettled.item.flags |= FLAG_RECEIVED;
            }
            return;
        }
        let Some(Unsettled { queue, mut item, .. }) = found.unsettled.remove(&number) else { return };
        if outcome == SETTLE_REQUEUE {
            item.flags |= FLAG_REDELIVERED;
            if let Some(queue) = self.queues.get_mut(&queue) {
                queue.put_back(item);
            }
        }
        self.pump(&queue);
        self.pump_all_of(link);
    }

    /// Credit has come back, perhaps for consumers of other queues.
    pub(super) fn pump_all_of(&mut self, link: u64) {
        let Some(link) = self.links.get(&link) else { return };
        let queues: Vec<_> = link.consumers.values().map(|consumer| consumer.queue.clone()).collect();
        for queue in queues {
            self.pump(&queue);
        }
    }

    /// Puts everything that a link has unsettled back, and gives the number.
    pub(super) fn requeue_all(&mut self, link: u64) -> u64 {
        let Some(found) = self.links.get_mut(&link) else { return 0 };
        let unsettled = std::mem::take(&mut found.unsettled);
        let number = unsettled.len() as u64;
        let mut queues = Vec::new();
        for Unsettled { queue: name, mut item, .. } in unsettled.into_values().rev() {
            item.flags |= FLAG_REDELIVERED;
            if let Some(queue) = self.queues.get_mut(&name) {
                queue.put_back(item);
            }
            queues.push(name);
        }
        queues.dedup();
        queues.iter().for_each(|queue| self.pump(queue));
        number
    }

    /// Ends a link. `last` is what it is told.
    pub(super) fn end_link(&mut self, id: u64, last: Option<LinkEvent>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let consumers = std::mem::take(&mut link.consumers);
        for (number, consumer) in consumers {
            self.end_consumer(id, number, &consumer.queue);
        }
        self.requeue_all(id);
        let session = self.links.get_mut(&id).and_then(|link| link.session.take());
        if let Some(session) = session {
            self.lose_session(&session);
        }
        match last {
            Some(event) => {
                self.push(id, event);
                // Nothing but the rest of the outbox is left, until it is closed.
                if let Some(link) = self.links.get_mut(&id) {
                    link.has_stopped = true;
                }
            }
            None => drop(self.links.remove(&id)),
        }
    }

    /// Takes a consumer away from its queue.
    pub(super) fn end_consumer(&mut self, link: u64, consumer: u64, queue: &str) {
        let Some(found) = self.queues.get_mut(queue) else { return };
        found.consumers.retain(|other| *other != (link, consumer));
        let is_auto_delete = found.flags & kuzzle_plugin_api::abi::DECLARE_AUTO_DELETE != 0;
        if is_auto_delete && found.consumers.is_empty() {
            self.remove_queue(queue);
        }
    }

    /// Deletes a queue and its bindings, tells its consumers, and gives the number of its messages.
    pub(super) fn remove_queue(&mut self, name: &str) -> u64 {
        let Some(queue) = self.queues.remove(name) else { return 0 };
        for exchange in self.exchanges.values_mut() {
            let is_its =
                |binding: &Binding| binding.flags & BIND_TO_EXCHANGE == 0 && binding.destination == name;
            exchange.bindings.retain(|binding| !is_its(binding));
        }
        for (link, consumer) in queue.consumers {
            if let Some(link) = self.links.get_mut(&link) {
                link.consumers.remove(&consumer);
            }
            let text = format!("NOT_FOUND - no queue '{name}' in vhost '/'");
            self.push(link, LinkEvent::cancelled(consumer, kuzzle_plugin_api::abi::CODE_NOT_FOUND, text));
        }
        queue.ready.len() as u64
    }

    /// A session's link has ended without detaching it: its will is due.
    pub(super) fn lose_session(&mut self, name: &str) {
        let Some(session) = self.sessions.get_mut(name) else { return };
        session.link = None;
        let will = session.will.take();
        if session.expiry_secs == 0 {
            self.remove_session(name);
        }
        if let Some(will) = will {
            self.route(&will.message, will.flags, None);
        }
    }

    /// Throws a session away with its queue.
    pub(super) fn remove_session(&mut self, name: &str) {
        if let Some(session) = self.sessions.remove(name) {
            self.remove_queue(&session.queue);
        }
    }

    /// Ends a connection with its links and exclusive queues. `last` is what all of them are told.
    pub(super) fn end_connection(&mut self, id: u64, last: Option<(u32, &str)>) {
        let closed = || last.map(|(code, text)| LinkEvent::closed(code, text, 0));
        let of_it = |link: &super::state::Link| link.connection == id;
        let links: Vec<u64> =
            self.links.iter().filter(|(_, link)| of_it(link)).map(|(link, _)| *link).collect();
        for link in links {
            self.end_link(link, closed());
        }
        let owned = self.queues.iter().filter(|(_, queue)| queue.owner == Some(id));
        let owned: Vec<String> = owned.map(|(name, _)| name.clone()).collect();
        for queue in owned {
            self.remove_queue(&queue);
        }
        match closed() {
            Some(event) => self.push(id, event),
            None => drop(self.connections.remove(&id)),
        }
    }

    /// What a link is told whose session another one attaches.
    pub(super) fn taken_over() -> LinkEvent {
        let text = "CONNECTION_FORCED - another connection has attached the session";
        LinkEvent::closed(CODE_CONNECTION_FORCED, text, kuzzle_plugin_api::abi::FLAG_TAKEN_OVER)
    }
}

/// How many deliveries of a consumer that take no credit wait in an outbox.
fn waiting(outbox: &std::collections::VecDeque<LinkEvent>, consumer: u64) -> usize {
    let is_it = |event: &&LinkEvent| {
        event.kind == EVENT_DELIVERY && event.consumer == consumer && !event.is_unsettled()
    };
    outbox.iter().filter(is_it).count()
}

impl Queue {
    /// Puts a message back to the front, where it was.
    fn put_back(&mut self, item: Item) {
        self.ready.push_front(item);
    }
}
