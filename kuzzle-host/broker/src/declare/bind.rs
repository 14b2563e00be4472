//! Making and removing bindings, with the retained messages that they ask for.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;

use super::Asker;
use crate::broker::Core;
use crate::effects::Effects;
use crate::error::{Code, Error};
use crate::events::Done;
use crate::exchange::{Binding, BindingOptions, ExchangeKind, Target};
use crate::queue::Incoming;
use crate::topic;
use crate::vhost::{Topology, VirtualHost};

/// Retained messages that a new binding asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetainedWanted {
    /// None.
    #[default]
    Never,
    /// All that match.
    Always,
    /// All that match, if the binding was not there before.
    IfNew,
}

/// A binding to make or to remove.
#[derive(Debug, Clone, Default)]
pub struct Bind<'a> {
    /// The exchange it leads from.
    pub source: &'a str,
    /// The queue, or the exchange, it leads to.
    pub destination: &'a str,
    /// Whether the destination is an exchange.
    pub to_exchange: bool,
    /// Routing key or pattern.
    pub routing_key: &'a str,
    /// A field table without its length: what a headers exchange compares.
    pub arguments: &'a [u8],
    /// What else it asks for.
    pub options: BindingOptions,
    /// Retained messages to be put into the queue at once; topic exchanges only.
    pub retained: RetainedWanted,
}

/// Opaque options of a binding may have so many bytes.
pub const BIND_OPTIONS_MAX: usize = 1_024;

impl Core {
    /// Makes a binding. `answered` is called when it is made and before retained messages are delivered for it.
    pub(crate) fn bind(
        &self,
        vhost: &Arc<VirtualHost>,
        asker: Asker<'_>,
        bind: &Bind<'_>,
        fx: &mut Effects,
        answered: impl FnOnce(Done, u64, &mut Effects),
    ) -> Result<(), Error> {
        let _gate = self.store.as_ref().map(|store| store.gate());
        let now = self.now();
        let mut topology = vhost.topology.write();
        let (binding, is_topic) = self.new_binding(vhost, &topology, asker, bind)?;
        let existing =
            topology.bindings_to(&binding.target).iter().find(|other| other.is_same(&binding)).cloned();
        let unchanged = existing.as_ref().is_some_and(|old| {
            old.options == binding.options
                && old.routing_key == binding.routing_key
                && old.arguments == binding.arguments
        });
        let existed = existing.is_some();
        let mut after = 0;
        let binding = Arc::new(binding);
        if !unchanged {
            let limit = self.options.limits.bindings_per_queue;
            if !existed && topology.bindings_to(&binding.target).len() >= limit {
                return Err(Error::new(
                    Code::ResourceError,
                    format!(
                        "'{}' in vhost '{}' has {limit} bindings already",
                        binding.target.name(),
                        vhost.name
                    ),
                ));
            }
            topology.add_binding(&binding);
            let durable = self.is_durable(&topology, &binding);
            if let Some(old) = existing {
                // After the new one, so that an exchange that deletes itself does not.
                topology.remove_binding(&old);
                after = self.binding_gone(&old, durable, vhost);
            }
            if let Some(store) = self.store.as_ref().filter(|_| durable) {
                after = store.binding(&vhost.name, &binding);
            }
            vhost.rerouted();
        }
        answered(Done { existed, ..Done::default() }, after, fx);
        let wanted = match bind.retained {
            RetainedWanted::Never => false,
            RetainedWanted::Always => true,
            RetainedWanted::IfNew => !existed,
        };
        if wanted && is_topic {
            self.put_retained(&topology, &binding, now, fx);
        }
        Ok(())
    }

    /// Puts the retained messages that a binding matches into its queue.
    pub(super) fn put_retained(&self, topology: &Topology, binding: &Binding, now: u64, fx: &mut Effects) {
        let (Target::Queue(queue), Some(exchange)) =
            (&binding.target, topology.exchanges.get(&binding.source))
        else {
            return;
        };
        let bindings: Option<Arc<[u64]>> = (binding.options.id != 0).then(|| [binding.options.id].into());
        for (key, retained) in exchange.retained.matching(&binding.routing_key) {
            let reserved = self.host.key_class(&queue.vhost, &exchange.name, key) != crate::KeyClass::Open;
            if retained.expires_at <= now || !binding.sees(key, reserved) {
                continue;
            }
            let ttl_ms = (retained.expires_at != crate::queue::NEVER).then(|| retained.expires_at - now);
            let durable =
                retained.durable && retained.persistent && queue.is_kept() && !binding.options.at_most_once;
            let facts = (retained.size, retained.priority, retained.expires_at);
            let order = match &self.store {
                Some(store) if durable => {
                    store.enqueue(queue.id, &retained.slot, facts, bindings.as_deref()).unwrap_or(0)
                }
                _ => 0,
            };
            queue.push(
                Incoming {
                    order,
                    slot: retained.slot.clone(),
                    size: retained.size,
                    priority: retained.priority,
                    ttl_ms,
                    bindings: bindings.clone(),
                    retained: true,
                    at_most_once: binding.options.at_most_once,
                },
                now,
                fx,
            );
        }
    }

    pub(crate) fn unbind(
        &self,
        vhost: &Arc<VirtualHost>,
        asker: Asker<'_>,
        bind: &Bind<'_>,
    ) -> Result<(Done, u64), Error> {
        let mut topology = vhost.topology.write();
        if bind.source.is_empty() || (bind.to_exchange && bind.destination.is_empty()) {
            return Err(Error::default_exchange());
        }
        let (binding, _) = match self.new_binding(vhost, &topology, asker, bind) {
            Ok(binding) => binding,
            // What is not there is not bound.
            Err(error) if error.code == Code::NotFound => return Ok((Done::default(), 0)),
            Err(error) => return Err(error),
        };
        let Some(old) =
            topology.bindings_to(&binding.target).iter().find(|other| other.is_same(&binding)).cloned()
        else {
            return Ok((Done::default(), 0));
        };
        let durable = self.is_durable(&topology, &old);
        let after = self.binding_gone(&old, durable, vhost);
        if let Some(source) = topology.remove_binding(&old) {
            self.drop_exchange(vhost, &mut topology, &source);
        }
        vhost.rerouted();
        Ok((Done { existed: true, ..Done::default() }, after))
    }

    pub(super) fn new_binding(
        &self,
        vhost: &VirtualHost,
        topology: &Topology,
        asker: Asker<'_>,
        bind: &Bind<'_>,
    ) -> Result<(Binding, bool), Error> {
        if bind.source.is_empty() || (bind.to_exchange && bind.destination.is_empty()) {
            return Err(Error::default_exchange());
        }
        if bind.options.opaque.len() > BIND_OPTIONS_MAX {
            return Err(Error::precondition(format!(
                "the options of a binding have {} bytes, more than {BIND_OPTIONS_MAX}",
                bind.options.opaque.len()
            )));
        }
        let exchange =
            |name: &str| topology.exchanges.get(name).ok_or_else(|| Error::no_exchange(name, &vhost.name));
        let target = if bind.to_exchange {
            Target::Exchange(Arc::clone(&exchange(bind.destination)?.name))
        } else {
            let queue = topology
                .queues
                .get(bind.destination)
                .ok_or_else(|| Error::no_queue(bind.destination, &vhost.name))?;
            self.check_access(queue, asker)?;
            Target::Queue(Arc::clone(queue))
        };
        let source = exchange(bind.source)?;
        let is_topic = source.kind == ExchangeKind::Topic;
        if is_topic && topic::words(bind.routing_key).nth(self.options.limits.key_words).is_some() {
            return Err(Error::precondition(format!(
                "the routing key of a binding has more than {} words",
                self.options.limits.key_words
            )));
        }
        let binding = Binding::new(
            source.kind,
            &source.name,
            target,
            ByteString::from(bind.routing_key),
            Bytes::copy_from_slice(bind.arguments),
            bind.options.clone(),
        )?;
        Ok((binding, is_topic))
    }

    /// Whether a binding survives a restart: when both its ends do.
    pub(crate) fn is_durable(&self, topology: &Topology, binding: &Binding) -> bool {
        let exchange = |name: &Arc<str>| topology.exchanges.get(name).is_some_and(|found| found.durable);
        exchange(&binding.source)
            && match &binding.target {
                Target::Queue(queue) => queue.is_kept(),
                Target::Exchange(name) => exchange(name),
            }
    }

    pub(super) fn binding_gone(&self, binding: &Binding, durable: bool, vhost: &VirtualHost) -> u64 {
        match &self.store {
            Some(store) if durable => store.binding_gone(&vhost.name, binding),
            _ => 0,
        }
    }
}
