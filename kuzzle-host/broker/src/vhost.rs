//! Virtual hosts: the exchanges, queues, bindings and sessions of one name space.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use bytestring::ByteString;
use parking_lot::RwLock;

use crate::error::Error;
use crate::exchange::{Binding, Exchange, ExchangeKind, Target};
use crate::ingress::KeyClass;
use crate::names::PREDECLARED;
use crate::queue::Queue;
use crate::session::Session;

/// Whether an exchange is one of those that are there from the start.
pub(crate) fn is_predeclared(exchange: &str) -> bool {
    PREDECLARED.iter().any(|(name, ..)| *name == exchange)
}

/// See the module.
pub(crate) struct VirtualHost {
    pub(crate) name: Arc<str>,
    pub(crate) topology: RwLock<Topology>,
    /// Changes whenever a route may have; cached routes of another generation are worthless.
    pub(crate) generation: AtomicU64,
}

#[derive(Default)]
pub(crate) struct Topology {
    pub(crate) exchanges: HashMap<Arc<str>, Exchange>,
    pub(crate) queues: HashMap<Arc<str>, Arc<Queue>>,
    /// Bindings by the name of the queue they lead to.
    pub(crate) to_queues: HashMap<Arc<str>, Vec<Arc<Binding>>>,
    /// Bindings by the name of the exchange they lead to.
    pub(crate) to_exchanges: HashMap<Arc<str>, Vec<Arc<Binding>>>,
    pub(crate) sessions: HashMap<Arc<str>, Arc<Session>>,
}

/// Where a message goes.
pub(crate) struct Route {
    pub(crate) generation: u64,
    pub(crate) exchange: Arc<str>,
    pub(crate) key: ByteString,
    pub(crate) class: KeyClass,
    pub(crate) is_topic: bool,
    pub(crate) published: Arc<AtomicU64>,
    pub(crate) hops: Vec<Hop>,
}

/// One queue of a route.
#[derive(Clone)]
pub(crate) struct Hop {
    pub(crate) queue: Arc<Queue>,
    /// Numbers of the bindings that matched; none when no binding has one.
    pub(crate) bindings: Option<Arc<[u64]>>,
    /// The same, for a publisher that is the queue's own.
    pub(crate) local: Local,
    pub(crate) at_most_once: bool,
}

/// What of a hop is left for a publisher that is the queue's own.
#[derive(Clone)]
pub(crate) enum Local {
    /// All of it.
    Same,
    /// Nothing.
    Nothing,
    /// These bindings, and whether they ask for settlement.
    Some(Option<Arc<[u64]>>, bool),
}

impl VirtualHost {
    pub(crate) fn new(name: &str) -> Self {
        let mut topology = Topology::default();
        for (name, kind, internal) in PREDECLARED {
            let name: Arc<str> = name.into();
            topology
                .exchanges
                .insert(Arc::clone(&name), Exchange::new(name, kind, (true, false, internal), Bytes::new()));
        }
        Self { name: name.into(), topology: RwLock::new(topology), generation: AtomicU64::new(1) }
    }

    /// Says that routes may have changed.
    pub(crate) fn rerouted(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn queue(&self, name: &str) -> Result<Arc<Queue>, Error> {
        self.topology.read().queues.get(name).cloned().ok_or_else(|| Error::no_queue(name, &self.name))
    }
}

/// One binding that a message matched, of a queue.
struct Match {
    id: u64,
    no_local: bool,
    at_most_once: bool,
}

impl Topology {
    /// Finds where a message goes from an exchange, which exists, and whether its headers had a say. `copies` are
    /// further keys.
    pub(crate) fn route(
        &self,
        exchange: &str,
        key: &str,
        copies: &[String],
        properties: &[u8],
        reserved: bool,
    ) -> (Vec<Hop>, bool) {
        let mut by_headers = false;
        let mut matches: Vec<(Arc<Queue>, Vec<Match>)> = Vec::new();
        let mut places: HashMap<u64, usize> = HashMap::new();
        let mut seen: Vec<&str> = vec![exchange];
        let mut open: Vec<&str> = vec![exchange];
        while let Some(name) = open.pop() {
            let Some(exchange) = self.exchanges.get(name) else { continue };
            let mut routed = false;
            by_headers |= exchange.kind == ExchangeKind::Headers;
            let mut add = |queue: &Arc<Queue>, found: Match| {
                let place = *places.entry(queue.id).or_insert_with(|| {
                    matches.push((Arc::clone(queue), Vec::new()));
                    matches.len() - 1
                });
                matches[place].1.push(found);
            };
            for key in std::iter::once(key).chain(copies.iter().map(String::as_str)) {
                if name.is_empty() {
                    // Every queue is bound to the default exchange by its name.
                    if let Some(queue) = self.queues.get(key) {
                        routed = true;
                        add(queue, Match { id: 0, no_local: false, at_most_once: false });
                    }
                    continue;
                }
                exchange.route(key, properties, reserved, |binding| {
                    routed = true;
                    match &binding.target {
                        Target::Queue(queue) => add(
                            queue,
                            Match {
                                id: binding.options.id,
                                no_local: binding.options.no_local,
                                at_most_once: binding.options.at_most_once,
                            },
                        ),
                        Target::Exchange(next) => {
                            if !seen.contains(&&**next) {
                                seen.push(next);
                                open.push(next);
                            }
                        }
                    }
                });
            }
            if !routed
                && let Some(alternate) = &exchange.alternate
                && !seen.contains(&&**alternate)
            {
                seen.push(alternate);
                open.push(alternate);
            }
        }
        (matches.into_iter().map(|(queue, matches)| hop(queue, &matches)).collect(), by_headers)
    }

    /// Adds a binding to the indexes.
    pub(crate) fn add_binding(&mut self, binding: &Arc<Binding>) {
        if let Some(exchange) = self.exchanges.get_mut(&binding.source) {
            exchange.add(Arc::clone(binding));
        }
        self.index_of(&binding.target)
            .entry(Arc::clone(binding.target.name()))
            .or_default()
            .push(Arc::clone(binding));
    }

    /// Takes a binding out of the indexes. Returns its source, if it deletes itself with its last binding.
    pub(crate) fn remove_binding(&mut self, binding: &Arc<Binding>) -> Option<Arc<str>> {
        let index = self.index_of(&binding.target);
        if let Some(list) = index.get_mut(binding.target.name()) {
            list.retain(|other| !Arc::ptr_eq(other, binding));
            if list.is_empty() {
                index.remove(binding.target.name());
            }
        }
        let source = self.exchanges.get_mut(&binding.source)?;
        source.remove(binding);
        (source.auto_delete && !source.is_used()).then(|| Arc::clone(&source.name))
    }

    pub(crate) fn bindings_to(&self, target: &Target) -> &[Arc<Binding>] {
        let index = match target {
            Target::Queue(_) => &self.to_queues,
            Target::Exchange(_) => &self.to_exchanges,
        };
        index.get(target.name()).map_or(&[], Vec::as_slice)
    }

    fn index_of(&mut self, target: &Target) -> &mut HashMap<Arc<str>, Vec<Arc<Binding>>> {
        match target {
            Target::Queue(_) => &mut self.to_queues,
            Target::Exchange(_) => &mut self.to_exchanges,
        }
    }
}

fn hop(queue: Arc<Queue>, matches: &[Match]) -> Hop {
    let ids = |matches: &mut dyn Iterator<Item = &Match>| -> Option<Arc<[u64]>> {
        let ids: Vec<u64> = matches.map(|found| found.id).filter(|id| *id != 0).collect();
        (!ids.is_empty()).then(|| ids.into())
    };
    let at_most_once =
        |mut matches: Box<dyn Iterator<Item = &Match> + '_>| matches.all(|found| found.at_most_once);
    let local = if !matches.iter().any(|found| found.no_local) {
        Local::Same
    } else if matches.iter().all(|found| found.no_local) {
        Local::Nothing
    } else {
        Local::Some(
            ids(&mut matches.iter().filter(|found| !found.no_local)),
            at_most_once(Box::new(matches.iter().filter(|found| !found.no_local))),
        )
    };
    Hop {
        queue,
        bindings: ids(&mut matches.iter()),
        local,
        at_most_once: at_most_once(Box::new(matches.iter())),
    }
}
