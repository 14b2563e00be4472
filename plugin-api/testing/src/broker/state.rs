//! What the fake broker holds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kuzzle_plugin_api::abi::{
    CODE_ACCESS_REFUSED, CODE_CHANNEL_ERROR, CODE_NOT_FOUND, CODE_PRECONDITION_FAILED, LINK_STOPS_AT_ERROR,
    LinkEvent, LinkOptions, Message,
};
use serde_json::Value;

#[derive(Default)]
pub(super) struct State {
    pub(super) used_ids: BTreeSet<u64>,
    pub(super) connections: BTreeMap<u64, Connection>,
    pub(super) links: BTreeMap<u64, Link>,
    pub(super) exchanges: BTreeMap<String, Exchange>,
    pub(super) queues: BTreeMap<String, Queue>,
    pub(super) sessions: BTreeMap<String, Session>,
    /// By exchange and routing key.
    pub(super) retained: BTreeMap<(String, String), Message>,
    pub(super) named_queues: u64,
    /// Whether publishers are blocked.
    pub(super) is_blocked: bool,
    /// Outboxes in which events have come to wait since the client was told last.
    pub(super) woken: Vec<u64>,
}

pub(super) struct Connection {
    pub(super) info: Value,
    pub(super) user: String,
    pub(super) client: String,
    pub(super) virtual_host: Option<String>,
    pub(super) outbox: VecDeque<LinkEvent>,
}

pub(super) struct Link {
    pub(super) connection: u64,
    pub(super) stops_at_error: bool,
    pub(super) has_stopped: bool,
    pub(super) outbox: VecDeque<LinkEvent>,
    pub(super) confirms: bool,
    pub(super) deliveries: u64,
    pub(super) unsettled: BTreeMap<u64, Unsettled>,
    pub(super) consumers: BTreeMap<u64, Consumer>,
    /// Of all consumers together: deliveries and bytes.
    pub(super) credit: (u32, u64),
    pub(super) last_queue: Option<String>,
    pub(super) session: Option<String>,
}

pub(super) struct Consumer {
    pub(super) queue: String,
    pub(super) no_ack: bool,
    pub(super) is_exclusive: bool,
    pub(super) with_bindings: bool,
    pub(super) overflow: u32,
    pub(super) limit_events: u32,
    pub(super) credit: (u32, u64),
}

pub(super) struct Exchange {
    pub(super) kind: String,
    pub(super) flags: u32,
    pub(super) bindings: Vec<Binding>,
}

#[derive(Clone)]
pub(super) struct Binding {
    pub(super) id: u64,
    pub(super) destination: String,
    pub(super) pattern: String,
    pub(super) arguments: Vec<u8>,
    pub(super) options: Vec<u8>,
    pub(super) flags: u32,
}

#[derive(Default)]
pub(super) struct Queue {
    pub(super) flags: u32,
    pub(super) arguments: Vec<u8>,
    pub(super) owner: Option<u64>,
    pub(super) session: Option<String>,
    pub(super) ready: VecDeque<Item>,
    /// Links and their consumers, the next one first.
    pub(super) consumers: VecDeque<(u64, u64)>,
}

/// A message in a queue.
#[derive(Clone, Default)]
pub(super) struct Item {
    pub(super) message: Message,
    pub(super) flags: u32,
    pub(super) tag: u32,
    pub(super) bindings: Vec<u64>,
}

pub(super) struct Unsettled {
    pub(super) queue: String,
    pub(super) consumer: u64,
    pub(super) item: Item,
}

#[derive(Default)]
pub(super) struct Session {
    pub(super) queue: String,
    pub(super) expiry_secs: u32,
    pub(super) link: Option<u64>,
    pub(super) will: Option<Will>,
    pub(super) notes: BTreeMap<String, Vec<u8>>,
    pub(super) dedupe: BTreeSet<u32>,
    pub(super) last_tag: u32,
}

#[derive(Clone)]
pub(super) struct Will {
    pub(super) message: Message,
    pub(super) flags: u32,
}

/// An AMQP reply code and its text.
pub(super) type Refused = (u32, String);

pub(super) fn no_queue(name: &str) -> Refused {
    (CODE_NOT_FOUND, format!("NOT_FOUND - no queue '{name}' in vhost '/'"))
}

pub(super) fn no_exchange(name: &str) -> Refused {
    (CODE_NOT_FOUND, format!("NOT_FOUND - no exchange '{name}' in vhost '/'"))
}

pub(super) fn access(what: impl std::fmt::Display) -> Refused {
    (CODE_ACCESS_REFUSED, format!("ACCESS_REFUSED - {what}"))
}

pub(super) fn precondition(what: impl std::fmt::Display) -> Refused {
    (CODE_PRECONDITION_FAILED, format!("PRECONDITION_FAILED - {what}"))
}

pub(super) fn no_session() -> Refused {
    (CODE_CHANNEL_ERROR, "CHANNEL_ERROR - the link has no session".to_owned())
}

impl State {
    /// With the exchanges that AMQP declares by itself.
    pub(super) fn new() -> Self {
        let declared = [("amq.direct", "direct"), ("amq.fanout", "fanout"), ("amq.topic", "topic")];
        let exchange = |kind: &str| Exchange {
            kind: kind.to_owned(),
            flags: kuzzle_plugin_api::abi::DECLARE_DURABLE,
            bindings: Vec::new(),
        };
        Self {
            exchanges: declared.into_iter().map(|(name, kind)| (name.to_owned(), exchange(kind))).collect(),
            ..Self::default()
        }
    }

    /// Puts an event into the outbox of a link or connection; one that is not open loses it.
    pub(super) fn push(&mut self, id: u64, event: LinkEvent) {
        let outbox = match (self.links.get_mut(&id), self.connections.get_mut(&id)) {
            (Some(link), _) => &mut link.outbox,
            (None, Some(connection)) => &mut connection.outbox,
            (None, None) => return,
        };
        // Only on empty to non-empty, as a host does: a plugin that misses it hears nothing more.
        if outbox.is_empty() {
            self.woken.push(id);
        }
        outbox.push_back(event);
    }

    /// The link when it is open and has not stopped at an error.
    pub(super) fn open_link(&mut self, id: u64) -> Option<&mut Link> {
        self.links.get_mut(&id).filter(|link| !link.has_stopped)
    }

    /// Tells what came of an operation.
    pub(super) fn answer(&mut self, link: u64, op: u64, result: Result<LinkEvent, Refused>) {
        match result {
            Ok(_) if op == 0 => {}
            Ok(event) => self.push(link, LinkEvent { op, ..event }),
            Err((code, text)) => {
                self.push(link, LinkEvent::failed(op, code, text));
                self.stop_at_error(link);
            }
        }
    }

    pub(super) fn stop_at_error(&mut self, link: u64) {
        if let Some(link) = self.links.get_mut(&link) {
            link.has_stopped = link.stops_at_error;
        }
    }

    /// The name that a link means: the empty one is that of the queue that it declared last.
    pub(super) fn queue_name(&self, link: u64, name: &str) -> Result<String, Refused> {
        if !name.is_empty() {
            return Ok(name.to_owned());
        }
        let last = self.links.get(&link).and_then(|link| link.last_queue.clone());
        last.ok_or_else(|| (CODE_NOT_FOUND, "NOT_FOUND - no previously declared queue".to_owned()))
    }

    /// The queue that a link means, when it may use it.
    pub(super) fn queue(&mut self, link: u64, name: &str) -> Result<(String, &mut Queue), Refused> {
        let name = self.queue_name(link, name)?;
        let connection = self.links.get(&link).map(|link| link.connection);
        let queue = self.queues.get_mut(&name).ok_or_else(|| no_queue(&name))?;
        if queue.owner.is_some() && queue.owner != connection {
            let text = format!(
                "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{name}' in vhost '/'. It could be \
                 originally declared on another connection or the exclusive property value does not match that of the \
                 original declaration."
            );
            return Err((kuzzle_plugin_api::abi::CODE_RESOURCE_LOCKED, text));
        }
        Ok((name, queue))
    }
}

impl Link {
    pub(super) fn new(connection: u64, options: LinkOptions) -> Self {
        Self {
            connection,
            stops_at_error: options.flags & LINK_STOPS_AT_ERROR != 0,
            has_stopped: false,
            outbox: VecDeque::new(),
            confirms: false,
            deliveries: 0,
            unsettled: BTreeMap::new(),
            consumers: BTreeMap::new(),
            credit: (u32::MAX, u64::MAX),
            last_queue: None,
            session: None,
        }
    }

    /// Deliveries that a consumer, or all, have unsettled, and the bytes of their bodies.
    pub(super) fn outstanding(&self, consumer: Option<u64>) -> (u32, u64) {
        let of = self.unsettled.values().filter(|unsettled| {
            unsettled.consumer != 0 && consumer.is_none_or(|consumer| unsettled.consumer == consumer)
        });
        of.fold((0, 0), |(count, bytes), unsettled| {
            (count + 1, bytes + unsettled.item.message.parts().body.len() as u64)
        })
    }
}
