//! A broker that is just enough: queues on the default exchange, consumers, refusals, and answers that can be held back.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::session::{Action, Ending, Operation, Outcome, Publish, Settle, code};

/// An event that owns its message.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Answer { op: u64, code: u16, text: String, messages: u64, consumers: u64 },
    Delivery { consumer: u64, delivery: u64, redelivered: bool, settled: bool, message: Publish },
    Got { op: u64, delivery: u64, redelivered: bool, settled: bool, messages: u64, message: Publish },
    Confirmed(u64),
    Refused { seq: u64, code: u16, text: String },
    Returned(Publish),
    Cancelled(u64),
}

#[derive(Debug, Default)]
struct Queue {
    ready: VecDeque<(u64, Publish, bool)>,
    /// Link, consumer, whether it settles nothing.
    consumers: Vec<(u64, u64, bool)>,
}

#[derive(Debug, Default)]
struct Link {
    stopped: bool,
    confirms: bool,
    last_queue: String,
    deliveries: u64,
    /// Delivery to queue, message number, message.
    unsettled: BTreeMap<u64, (String, u64, Publish)>,
    /// Credit of each consumer.
    credit: BTreeMap<u64, Option<u32>>,
    of: BTreeMap<u64, u64>,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    queues: BTreeMap<String, Queue>,
    links: BTreeMap<u64, Link>,
    made_up: u64,
    numbers: u64,
    pub(super) events: VecDeque<(u64, Event)>,
    /// The next operation is refused so.
    pub(super) refuse: Option<(u16, &'static str)>,
    /// The next publish is refused so.
    pub(super) refuse_publish: Option<(u16, &'static str)>,
    /// Every action, in order.
    pub(super) actions: Vec<Action>,
    /// Authentications and virtual hosts that wait for the test.
    pub(super) authenticating: Option<(&'static str, Bytes)>,
    pub(super) entering: Option<String>,
    /// Links that wait until what they have published is answered.
    pub(super) quiescing: Vec<u64>,
    pub(super) ended: Option<Ending>,
    /// Publishes taken before the next ones are throttled.
    pub(super) takes: Option<usize>,
    /// Publishes that were not taken.
    pub(super) not_taken: Option<(u64, u64, Vec<Publish>)>,
}

impl Model {
    pub(super) fn perform(&mut self, action: Action) {
        assert_eq!(self.ended, None, "{action:?} comes after the end");
        self.actions.push(action.clone());
        match action {
            Action::Authenticate { mechanism, credentials } => {
                self.authenticating = Some((mechanism, credentials));
            }
            Action::Enter { virtual_host, .. } => self.entering = Some(virtual_host.to_string()),
            Action::OpenLink { link } => {
                assert!(self.links.insert(link, Link::default()).is_none(), "link {link} is new");
            }
            Action::CloseLink { link } => self.close_link(link),
            Action::Publish { link, first_seq, messages } => self.publish(link, first_seq, messages),
            Action::Settle { link, op, settlements } => {
                if self.settle(link, &settlements) && op != 0 {
                    self.answer(link, op, "", 0, 0);
                }
            }
            Action::Commit { link, op, first_seq, messages, settlements } => {
                if self.settle(link, &settlements) {
                    for (seq, message) in (first_seq..).zip(messages) {
                        self.route(link, seq, message);
                    }
                    self.answer(link, op, "", 0, 0);
                }
            }
            Action::Call { link, op, operation } => self.call(link, op, operation),
            Action::Quiesce { link, .. } => self.quiescing.push(link),
            Action::Close(ending) => {
                let links: Vec<u64> = self.links.keys().copied().collect();
                for link in links {
                    self.close_link(link);
                }
                self.ended = Some(ending);
            }
        }
        self.deliver();
    }

    pub(super) fn ready(&self, queue: &str) -> usize {
        self.queues.get(queue).map_or(0, |queue| queue.ready.len())
    }

    /// The queue goes, and its consumers with it.
    pub(super) fn drop_queue(&mut self, name: &str) {
        for (link, consumer, _) in self.queues.remove(name).expect("the queue").consumers {
            self.events.push_back((link, Event::Cancelled(consumer)));
        }
    }

    fn close_link(&mut self, link: u64) {
        let Some(closed) = self.links.remove(&link) else { panic!("link {link} is open") };
        for queue in self.queues.values_mut() {
            queue.consumers.retain(|(of, ..)| *of != link);
        }
        for (_, (queue, number, message)) in closed.unsettled {
            self.requeue(&queue, number, message);
        }
        self.events.retain(|(of, _)| *of != link);
    }

    fn requeue(&mut self, queue: &str, number: u64, message: Publish) {
        let Some(queue) = self.queues.get_mut(queue) else { return };
        let place = queue.ready.partition_point(|(other, ..)| *other < number);
        queue.ready.insert(place, (number, message, true));
    }

    fn publish(&mut self, link: u64, first_seq: u64, messages: Vec<Publish>) {
        let takes = self.takes.unwrap_or(messages.len()).min(messages.len());
        let mut messages = messages.into_iter();
        for (seq, message) in (first_seq..).zip(messages.by_ref().take(takes)) {
            self.route(link, seq, message);
        }
        let rest: Vec<Publish> = messages.collect();
        if self.takes.is_some() {
            self.not_taken = Some((link, first_seq + takes as u64, rest));
        }
        if takes > 0 && self.link(link).is_some_and(|link| link.confirms) {
            self.events.push_back((link, Event::Confirmed(first_seq + takes as u64 - 1)));
        }
    }

    fn link(&mut self, link: u64) -> Option<&mut Link> {
        self.links.get_mut(&link).filter(|link| !link.stopped)
    }

    fn route(&mut self, link: u64, seq: u64, message: Publish) {
        if self.link(link).is_none() {
            return;
        }
        if let Some((code, text)) = self.refuse_publish.take() {
            self.events.push_back((link, Event::Refused { seq, code, text: text.to_owned() }));
            self.links.entry(link).or_default().stopped = code != code::RESOURCE_ERROR;
            return;
        }
        self.numbers += 1;
        match self.queues.get_mut(&*message.routing_key) {
            Some(queue) if message.exchange.is_empty() => {
                queue.ready.push_back((self.numbers, message, false));
            }
            _ if message.mandatory => self.events.push_back((link, Event::Returned(message))),
            _ => {}
        }
    }

    fn settle(&mut self, id: u64, settlements: &[Settle]) -> bool {
        for settle in settlements {
            let Some(link) = self.link(id) else { return false };
            let tags: Vec<u64> = if settle.multiple {
                link.unsettled.range(..=settle.delivery).map(|(tag, _)| *tag).collect()
            } else {
                vec![settle.delivery]
            };
            for tag in tags {
                let found = self.link(id).and_then(|link| link.unsettled.remove(&tag));
                let Some((queue, number, message)) = found else {
                    panic!("delivery {tag} is unsettled");
                };
                if settle.outcome == Outcome::Requeue {
                    self.requeue(&queue, number, message);
                }
            }
        }
        true
    }

    fn answer(&mut self, link: u64, op: u64, text: &str, messages: u64, consumers: u64) {
        let text = text.to_owned();
        self.events.push_back((link, Event::Answer { op, code: code::OK, text, messages, consumers }));
    }

    fn refused(&mut self, link: u64, op: u64, code: u16, text: String) {
        self.links.entry(link).or_default().stopped = true;
        self.events.push_back((link, Event::Answer { op, code, text, messages: 0, consumers: 0 }));
    }

    fn missing(&mut self, link: u64, op: u64, queue: &str) {
        let text = format!("NOT_FOUND - no queue '{queue}' in vhost '/'");
        self.refused(link, op, code::NOT_FOUND, text);
    }

    fn call(&mut self, id: u64, op: u64, operation: Operation) {
        let Some(last) = self.link(id).map(|link| link.last_queue.clone()) else { return };
        let named = |name: &str| if name.is_empty() { last.clone() } else { name.to_owned() };
        if let Some((code, text)) = self.refuse.take() {
            return self.refused(id, op, code, text.to_owned());
        }
        match operation {
            Operation::Confirm => {
                self.links.entry(id).or_default().confirms = true;
                self.answer(id, op, "", 0, 0);
            }
            Operation::DeclareQueue { name, passive, .. } => {
                let mut name = name.to_string();
                if passive && !self.queues.contains_key(&name) {
                    return self.missing(id, op, &name);
                }
                if name.is_empty() {
                    self.made_up += 1;
                    name = format!("amq.gen-{}", self.made_up);
                }
                let queue = self.queues.entry(name.clone()).or_default();
                let (messages, consumers) = (queue.ready.len() as u64, queue.consumers.len() as u64);
                self.links.entry(id).or_default().last_queue.clone_from(&name);
                self.answer(id, op, &name, messages, consumers);
            }
            Operation::DeleteQueue { name, .. } => {
                let messages = self.queues.remove(&named(&name)).map_or(0, |queue| queue.ready.len());
                self.answer(id, op, "", messages as u64, 0);
            }
            Operation::PurgeQueue { name } => match self.queues.get_mut(&named(&name)) {
                Some(queue) => {
                    let messages = std::mem::take(&mut queue.ready).len();
                    self.answer(id, op, "", messages as u64, 0);
                }
                None => self.missing(id, op, &name),
            },
            Operation::Consume { consumer, queue: name, no_ack, credit, .. } => {
                let name = named(&name);
                if name != crate::session::publish::REPLY_TO {
                    let Some(queue) = self.queues.get_mut(&name) else {
                        return self.missing(id, op, &name);
                    };
                    queue.consumers.push((id, consumer, no_ack));
                }
                self.links.entry(id).or_default().credit.insert(consumer, credit);
                self.answer(id, op, "", 0, 0);
            }
            Operation::Cancel { consumer } => {
                for queue in self.queues.values_mut() {
                    queue.consumers.retain(|(of, other, _)| (*of, *other) != (id, consumer));
                }
                self.answer(id, op, "", 0, 0);
            }
            Operation::Get { queue: name, no_ack } => {
                let name = named(&name);
                let Some(queue) = self.queues.get_mut(&name) else {
                    return self.missing(id, op, &name);
                };
                let Some((number, message, redelivered)) = queue.ready.pop_front() else {
                    return self.answer(id, op, "", 0, 0);
                };
                let messages = queue.ready.len() as u64;
                let link = self.links.entry(id).or_default();
                link.deliveries += 1;
                let delivery = link.deliveries;
                if !no_ack {
                    link.unsettled.insert(delivery, (name, number, message.clone()));
                }
                let event = Event::Got { op, delivery, redelivered, settled: no_ack, messages, message };
                self.events.push_back((id, event));
            }
            Operation::Credit { .. }
            | Operation::DeclareExchange { .. }
            | Operation::DeleteExchange { .. }
            | Operation::Bind(_)
            | Operation::Unbind(_) => self.answer(id, op, "", 0, 0),
        }
    }

    /// Gives what is ready to consumers that have credit, by turns.
    fn deliver(&mut self) {
        for (name, queue) in &mut self.queues {
            let mut without = 0;
            while without < queue.consumers.len() && !queue.ready.is_empty() {
                let (id, consumer, no_ack) = queue.consumers[0];
                queue.consumers.rotate_left(1);
                let link = self.links.get_mut(&id).expect("consumers have links");
                let used =
                    link.of.iter().filter(|(tag, of)| **of == consumer && link.unsettled.contains_key(tag));
                let used = used.count() as u32;
                if !no_ack && link.credit[&consumer].is_some_and(|credit| used >= credit) {
                    without += 1;
                    continue;
                }
                without = 0;
                let Some((number, message, redelivered)) = queue.ready.pop_front() else { break };
                link.deliveries += 1;
                let delivery = link.deliveries;
                if !no_ack {
                    link.unsettled.insert(delivery, (name.clone(), number, message.clone()));
                    link.of.insert(delivery, consumer);
                }
                let event = Event::Delivery { consumer, delivery, redelivered, settled: no_ack, message };
                self.events.push_back((id, event));
            }
        }
    }
}
