//! A small broker in memory, as a session sees one: enough of exchanges, queues and sessions to test against.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use bytes::Bytes;
use kuzzle_mqtt_proto::{
    codec::{Connect, Properties, Version},
    session::{Action, Credentials, Outcome, Publish, PublishBatch, Retained, SESSION_CONSUMER, Settlement},
};

#[derive(Debug, Clone)]
pub struct Message {
    pub key: String,
    pub properties: Bytes,
    pub body: Bytes,
    pub retain: bool,
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub message: Message,
    pub bindings: Vec<u64>,
    pub at_most_once: bool,
    pub retained: bool,
    pub redelivered: bool,
}

#[derive(Debug, Clone)]
pub struct Binding {
    pub id: u64,
    pub key: String,
    pub options: Bytes,
    pub no_local: bool,
    pub at_most_once: bool,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Entry>,
    bindings: Vec<Binding>,
    /// The session that owns it; none for a shared subscription's.
    session: Option<String>,
    expires: bool,
}

#[derive(Debug)]
struct Unsettled {
    tag: u16,
    received: bool,
    entry: Entry,
}

#[derive(Debug, Default)]
pub struct BrokerSession {
    pub link: Option<usize>,
    pub expiry_secs: u32,
    queue: String,
    notes: BTreeMap<String, Bytes>,
    unsettled: Vec<Unsettled>,
    pub remembered: HashSet<u16>,
    will: Option<(Publish, u32)>,
    last_tag: u16,
}

#[derive(Debug)]
struct Consumer {
    queue: String,
    no_ack: bool,
}

#[derive(Debug, Default)]
struct Link {
    session: Option<String>,
    consumers: BTreeMap<u64, Consumer>,
    credit: usize,
    last_delivery: u64,
    /// Deliveries that are not settled: queue, tag, and the message where no session keeps it.
    deliveries: BTreeMap<u64, (String, u16, Option<Entry>)>,
    outbox: VecDeque<Outgoing>,
}

#[derive(Debug)]
pub enum Outgoing {
    Answer(u64, u16, bool, String),
    Binding(Binding),
    Note(String, Bytes),
    Delivery { delivery: u64, consumer: u64, tag: u16, received: bool, settled: bool, entry: Entry },
    Confirmed(u64),
    Refused(u64, u16),
    Returned(u64),
    Authenticated(u16),
    Entered(u16),
    Cancelled(u64),
    Closed(bool),
}

#[derive(Default)]
pub struct Broker {
    pub sessions: HashMap<String, BrokerSession>,
    queues: BTreeMap<String, Queue>,
    pub retained: BTreeMap<String, Message>,
    links: HashMap<usize, Link>,
    /// Keys that may not be published or bound, and the code.
    pub refused: HashMap<String, u16>,
    /// Everything that was routed.
    pub routed: Vec<Message>,
    /// Wills that wait.
    pub delayed: Vec<(Publish, u32)>,
    /// Whether confirmations wait for `confirm`.
    pub holds_confirms: bool,
    /// Messages that are taken of a batch before the broker is throttled.
    pub takes: Option<usize>,
}

/// Matches a routing key as a topic exchange does.
pub fn matches(pattern: &str, key: &str) -> bool {
    fn words(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern.split_first(), key.split_first()) {
            (None, None) => true,
            (Some((&"#", rest)), _) => {
                words(rest, key) || key.split_first().is_some_and(|(_, key)| words(pattern, key))
            }
            (Some((&"*", pattern)), Some((_, key))) => words(pattern, key),
            (Some((word, pattern)), Some((found, key))) => word == found && words(pattern, key),
            _ => false,
        }
    }
    let hidden = key.starts_with('$') && (pattern.starts_with('*') || pattern.starts_with('#'));
    let pattern: Vec<&str> = pattern.split('.').collect();
    let key: Vec<&str> = if key.is_empty() { Vec::new() } else { key.split('.').collect() };
    !hidden && words(&pattern, &key)
}

impl Broker {
    fn link(&mut self, at: usize) -> &mut Link {
        self.links.entry(at).or_default()
    }

    /// The next event of a link.
    pub fn take(&mut self, at: usize) -> Option<Outgoing> {
        self.link(at).outbox.pop_front()
    }

    fn tell(&mut self, at: usize, event: Outgoing) {
        self.link(at).outbox.push_back(event);
    }

    fn answer(&mut self, at: usize, op: u64, code: u16, existed: bool, text: &str) {
        if op > 0 {
            self.tell(at, Outgoing::Answer(op, code, existed, text.to_owned()));
        }
    }

    /// Routes a message of an AMQP client.
    pub fn publish(&mut self, key: &str, properties: &[u8], body: &[u8]) {
        self.route(
            Message {
                key: key.to_owned(),
                properties: Bytes::copy_from_slice(properties),
                body: Bytes::copy_from_slice(body),
                retain: false,
            },
            None,
        );
    }

    fn publish_will(&mut self, will: Publish) {
        let message = message_of(will);
        self.retain(&message);
        self.route(message, None);
    }

    fn retain(&mut self, message: &Message) {
        if message.retain && message.body.is_empty() {
            self.retained.remove(&message.key);
        } else if message.retain {
            self.retained.insert(message.key.clone(), message.clone());
        }
    }

    fn route(&mut self, message: Message, from: Option<&str>) -> bool {
        self.routed.push(message.clone());
        let mut reached = false;
        let names: Vec<String> = self.queues.keys().cloned().collect();
        for name in names {
            let queue = self.queues.get_mut(&name).unwrap();
            let own = from.is_some() && queue.session.as_deref() == from;
            let matched: Vec<&Binding> = queue
                .bindings
                .iter()
                .filter(|binding| matches(&binding.key, &message.key) && !(own && binding.no_local))
                .collect();
            if matched.is_empty() {
                continue;
            }
            reached = true;
            let at_most_once = matched.iter().all(|binding| binding.at_most_once);
            let offline = queue.session.as_ref().is_some_and(|session| {
                self.sessions.get(session).is_none_or(|session| session.link.is_none())
            });
            if at_most_once && offline {
                continue;
            }
            queue.waiting.push_back(Entry {
                bindings: matched.iter().map(|binding| binding.id).collect(),
                message: message.clone(),
                at_most_once,
                retained: false,
                redelivered: false,
            });
            self.pump(&name);
        }
        reached
    }

    /// Delivers what waits in a queue, as far as there is credit.
    fn pump(&mut self, name: &str) {
        loop {
            let Some(queue) = self.queues.get_mut(name) else { return };
            let Some(front) = queue.waiting.front() else { return };
            let mut ready: Vec<(usize, u64)> = Vec::new();
            for (at, link) in &self.links {
                for (id, consumer) in &link.consumers {
                    let free = consumer.no_ack || front.at_most_once || link.deliveries.len() < link.credit;
                    if consumer.queue == name && free {
                        ready.push((*at, *id));
                    }
                }
            }
            // The least busy of them.
            let Some(&(at, id)) = ready.iter().min_by_key(|(at, _)| (self.links[at].last_delivery, *at))
            else {
                return;
            };
            let entry = queue.waiting.pop_front().unwrap();
            self.deliver(at, id, entry, None);
        }
    }

    fn deliver(&mut self, at: usize, consumer: u64, entry: Entry, resumed: Option<(u16, bool)>) {
        let link = self.links.get_mut(&at).unwrap();
        link.last_delivery += 1;
        let delivery = link.last_delivery;
        let queue = link.consumers[&consumer].queue.clone();
        let settled = link.consumers[&consumer].no_ack || entry.at_most_once;
        let (mut tag, mut received) = (0, false);
        if !settled {
            let owner = self.queues[&queue].session.clone();
            let mut kept = Some(entry.clone());
            if let Some(session) = owner.and_then(|owner| self.sessions.get_mut(&owner)) {
                match resumed {
                    Some(resumed) => (tag, received) = resumed,
                    None => {
                        session.last_tag = session.last_tag % u16::MAX + 1;
                        tag = session.last_tag;
                        session.unsettled.push(Unsettled { tag, received: false, entry: entry.clone() });
                    }
                }
                kept = None;
            }
            link.deliveries.insert(delivery, (queue, tag, kept));
        }
        link.outbox.push_back(Outgoing::Delivery { delivery, consumer, tag, received, settled, entry });
    }

    pub fn apply(&mut self, at: usize, action: Action) -> Option<PublishBatch> {
        match action {
            Action::Authenticate(credentials) => {
                let known = match credentials {
                    Credentials::Anonymous => true,
                    Credentials::Plain { user, password } => user == "guest" && password == "guest",
                };
                self.tell(at, Outgoing::Authenticated(if known { 200 } else { 401 }));
            }
            Action::Enter { virtual_host, .. } => {
                let code = match &*virtual_host {
                    "/" => 200,
                    "locked" => 403,
                    _ => 530,
                };
                self.tell(at, Outgoing::Entered(code));
            }
            Action::OpenLink => drop(self.link(at)),
            Action::Attach(attach) => self.attach(at, *attach),
            Action::Consume(consume) => {
                let consumer = Consumer { queue: consume.queue.to_string(), no_ack: consume.no_ack };
                let link = self.link(at);
                if link.consumers.is_empty() {
                    link.credit = usize::from(consume.credit);
                }
                link.consumers.insert(consume.consumer, consumer);
                self.answer(at, consume.op, 200, false, "");
                if consume.consumer == SESSION_CONSUMER {
                    self.resume(at);
                }
                self.pump(&consume.queue);
            }
            Action::Cancel { op, consumer } => {
                let removed = self.link(at).consumers.remove(&consumer);
                self.answer(at, op, 200, removed.is_some(), "");
            }
            Action::Credit { count } => self.link(at).credit = usize::from(count),
            Action::DeclareQueue(declare) => {
                let queue = self.queues.entry(declare.name.to_string()).or_default();
                queue.expires |= declare.expires_ms.is_some();
                self.answer(at, declare.op, 200, true, &declare.name);
            }
            Action::Bind(bind) => self.bind(at, *bind),
            Action::Unbind { op, id, queue } => {
                let bindings = &mut self.queues.get_mut(&*queue).unwrap().bindings;
                let before = bindings.len();
                bindings.retain(|binding| binding.id != id);
                let existed = bindings.len() < before;
                self.answer(at, op, 200, existed, "");
            }
            Action::Note { key, value } => {
                let session = self.link(at).session.clone().unwrap();
                let notes = &mut self.sessions.get_mut(&session).unwrap().notes;
                match value.is_empty() {
                    true => notes.remove(&*key),
                    false => notes.insert(key.to_string(), value),
                };
            }
            Action::Publish(batch) => return self.take_batch(at, batch),
            Action::Settle { op, settlements } => {
                for settlement in settlements {
                    self.settle(at, settlement);
                }
                self.answer(at, op, 200, false, "");
            }
            Action::Forget { op, keys } => {
                let session = self.link(at).session.clone().unwrap();
                for key in keys {
                    self.sessions.get_mut(&session).unwrap().remembered.remove(&key);
                }
                self.answer(at, op, 200, true, "");
            }
            Action::Detach { with_will, expiry_secs } => {
                if let Some(session) = self.link(at).session.clone() {
                    self.sessions.get_mut(&session).unwrap().expiry_secs = expiry_secs;
                }
                self.detach(at, with_will);
            }
            Action::Close => self.detach(at, true),
        }
        None
    }

    fn attach(&mut self, at: usize, attach: kuzzle_mqtt_proto::session::Attach) {
        let name = attach.name.to_string();
        if let Some(other) = self.sessions.get(&name).and_then(|session| session.link) {
            self.detach(other, true);
            self.tell(other, Outgoing::Closed(true));
        }
        if attach.clean {
            self.remove_session(&name);
        }
        let existed = self.sessions.contains_key(&name);
        if existed {
            // A will that waited for the client is not due any more.
            self.delayed.clear();
        }
        let session = self.sessions.entry(name.clone()).or_default();
        session.queue = attach.queue.to_string();
        session.link = Some(at);
        session.expiry_secs = attach.expiry_secs;
        session.will = attach.will.map(|will| (will.publish, will.delay_secs));
        let notes: Vec<(String, Bytes)> =
            session.notes.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let queue = self.queues.entry(attach.queue.to_string()).or_default();
        queue.session = Some(name.clone());
        let bindings = queue.bindings.clone();
        self.link(at).session = Some(name);
        self.answer(at, attach.op, 200, existed, &attach.queue);
        for binding in bindings {
            self.tell(at, Outgoing::Binding(binding));
        }
        for (key, value) in notes {
            self.tell(at, Outgoing::Note(key, value));
        }
    }

    /// The deliveries of a session that were not settled over the link before.
    fn resume(&mut self, at: usize) {
        let name = self.link(at).session.clone().unwrap();
        let unsettled: Vec<(u16, bool, Entry)> = self.sessions[&name]
            .unsettled
            .iter()
            .map(|unsettled| (unsettled.tag, unsettled.received, unsettled.entry.clone()))
            .collect();
        for (tag, received, mut entry) in unsettled {
            entry.redelivered = true;
            self.deliver(at, SESSION_CONSUMER, entry, Some((tag, received)));
        }
    }

    fn detach(&mut self, at: usize, with_will: bool) {
        let Some(link) = self.links.remove(&at) else { return };
        // What was written for the peer before stays to be read.
        self.links.insert(at, Link { outbox: VecDeque::new(), ..Link::default() });
        for (_, (queue, _, entry)) in link.deliveries.into_iter().rev() {
            if let Some(mut entry) = entry {
                entry.redelivered = true;
                self.queues.get_mut(&queue).unwrap().waiting.push_front(entry);
                self.pump(&queue);
            }
        }
        let Some(name) = link.session else { return };
        let session = self.sessions.get_mut(&name).unwrap();
        session.link = None;
        let will = session.will.take().filter(|_| with_will);
        if session.expiry_secs == 0 {
            self.remove_session(&name);
        }
        match will {
            Some((will, 0)) => self.publish_will(will),
            Some(will) => self.delayed.push(will),
            None => {}
        }
    }

    fn remove_session(&mut self, name: &str) {
        if let Some(session) = self.sessions.remove(name) {
            self.queues.remove(&session.queue);
        }
    }

    fn bind(&mut self, at: usize, bind: kuzzle_mqtt_proto::session::Bind) {
        if let Some(&code) = self.refused.get(&*bind.routing_key) {
            return self.answer(at, bind.op, code, false, "ACCESS_REFUSED - no");
        }
        let queue = self.queues.get_mut(&*bind.queue).unwrap();
        let existed = queue.bindings.iter().any(|binding| binding.id == bind.id);
        queue.bindings.retain(|binding| binding.id != bind.id);
        queue.bindings.push(Binding {
            id: bind.id,
            key: bind.routing_key.to_string(),
            options: bind.options.clone(),
            no_local: bind.no_local,
            at_most_once: bind.at_most_once,
        });
        self.answer(at, bind.op, 200, existed, "");
        let brings = match bind.retained {
            Retained::None => false,
            Retained::Always => true,
            Retained::IfNew => !existed,
        };
        if brings {
            let found: Vec<Message> = self
                .retained
                .values()
                .filter(|message| matches(&bind.routing_key, &message.key))
                .cloned()
                .collect();
            let queue = self.queues.get_mut(&*bind.queue).unwrap();
            queue.waiting.extend(found.into_iter().map(|message| Entry {
                message,
                bindings: vec![bind.id],
                at_most_once: bind.at_most_once,
                retained: true,
                redelivered: false,
            }));
            self.pump(&bind.queue);
        }
    }

    fn take_batch(&mut self, at: usize, mut batch: PublishBatch) -> Option<PublishBatch> {
        let taken = self.takes.unwrap_or(batch.messages.len()).min(batch.messages.len());
        let rest = batch.messages.split_off(taken);
        let session = self.link(at).session.clone();
        let mut sequence = batch.first_sequence;
        for publish in batch.messages {
            self.take_one(at, sequence, publish, session.as_deref());
            sequence += 1;
        }
        if taken > 0 && !self.holds_confirms {
            self.tell(at, Outgoing::Confirmed(sequence - 1));
        }
        (!rest.is_empty()).then_some(PublishBatch { first_sequence: sequence, messages: rest })
    }

    fn take_one(&mut self, at: usize, sequence: u64, publish: Publish, session: Option<&str>) {
        if let Some(&code) = self.refused.get(&*publish.routing_key) {
            return self.tell(at, Outgoing::Refused(sequence, code));
        }
        if publish.dedupe > 0 {
            let remembered = &mut self.sessions.get_mut(session.unwrap()).unwrap().remembered;
            if !remembered.insert(publish.dedupe) {
                return;
            }
        }
        let mandatory = publish.mandatory;
        let message = message_of(publish);
        self.retain(&message);
        if !self.route(message, session) && mandatory {
            self.tell(at, Outgoing::Returned(sequence));
        }
    }

    /// An operator deletes a queue.
    pub fn delete_queue(&mut self, name: &str) {
        self.queues.remove(name).unwrap();
        for link in self.links.values_mut() {
            let gone: Vec<u64> =
                link.consumers.iter().filter(|(_, c)| c.queue == name).map(|(id, _)| *id).collect();
            for id in gone {
                link.consumers.remove(&id);
                link.outbox.push_back(Outgoing::Cancelled(id));
            }
        }
    }

    /// Deliveries of a session that are not settled.
    pub fn unsettled(&self, session: &str) -> usize {
        self.sessions[session].unsettled.len()
    }

    pub fn confirm(&mut self, at: usize, up_to: u64) {
        self.tell(at, Outgoing::Confirmed(up_to));
    }

    fn settle(&mut self, at: usize, settlement: Settlement) {
        let link = self.link(at);
        let Some((queue, tag, entry)) = (match settlement.outcome {
            Outcome::Received => link.deliveries.get(&settlement.delivery).cloned(),
            _ => link.deliveries.remove(&settlement.delivery),
        }) else {
            panic!("{settlement:?} of no delivery")
        };
        let owner = self.queues[&queue].session.clone();
        if let Some(session) = owner.and_then(|owner| self.sessions.get_mut(&owner)) {
            let position = session.unsettled.iter().position(|unsettled| unsettled.tag == tag).unwrap();
            match settlement.outcome {
                Outcome::Received => session.unsettled[position].received = true,
                Outcome::Done | Outcome::Reject => drop(session.unsettled.remove(position)),
                Outcome::Requeue => {
                    let mut entry = session.unsettled.remove(position).entry;
                    entry.redelivered = true;
                    self.queues.get_mut(&queue).unwrap().waiting.push_back(entry);
                }
            }
        } else if settlement.outcome == Outcome::Requeue {
            self.queues.get_mut(&queue).unwrap().waiting.push_back(entry.unwrap());
        }
        self.pump(&queue);
    }
}

fn message_of(publish: Publish) -> Message {
    Message {
        key: publish.routing_key.to_string(),
        properties: publish.properties,
        body: publish.body,
        retain: publish.retain,
    }
}

/// A CONNECT without anything special.
pub fn client(version: Version, id: &str) -> Connect {
    Connect {
        version,
        clean_start: true,
        keep_alive_secs: 60,
        client_id: id.into(),
        will: None,
        username: None,
        password: None,
        properties: Properties::NONE,
    }
}
