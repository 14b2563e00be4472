//! Declaring and deleting exchanges, queues and bindings.

mod bind;

use std::sync::Arc;

use bytes::Bytes;

use crate::arguments::{self, QueueArguments};
use crate::broker::Core;
use crate::connection::ConnectionCore;
use crate::direct_reply;
use crate::effects::Effects;
use crate::error::{Code, Error};
use crate::events::Done;
use crate::exchange::{Exchange, ExchangeKind, Target};
use crate::names::{self, RESERVED_PREFIX};
use crate::queue::{NewQueue, Queue};
use crate::vhost::{self, Topology, VirtualHost};

pub use bind::{BIND_OPTIONS_MAX, Bind, RetainedWanted};

/// An exchange to declare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExchangeDeclare<'a> {
    /// Its name.
    pub name: &'a str,
    /// `direct`, `fanout`, `topic` or `headers`.
    pub kind: &'a str,
    /// It must be there; nothing else is compared.
    pub passive: bool,
    /// It survives a restart.
    pub durable: bool,
    /// It goes with its last binding.
    pub auto_delete: bool,
    /// Clients cannot publish to it.
    pub internal: bool,
    /// A field table without its length: `alternate-exchange`.
    pub arguments: &'a [u8],
}

/// A queue to declare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueDeclare<'a> {
    /// Its name; empty for one that the broker makes.
    pub name: &'a str,
    /// It must be there; nothing else is compared.
    pub passive: bool,
    /// It survives a restart.
    pub durable: bool,
    /// It goes with its last consumer.
    pub auto_delete: bool,
    /// It belongs to the connection and goes with it.
    pub exclusive: bool,
    /// One that exists will do, whatever its properties.
    pub any: bool,
    /// A field table without its length: `x-message-ttl` and others.
    pub arguments: &'a [u8],
}

/// Who asks: the connection whose exclusive queues may be used, or the host itself.
pub(crate) type Asker<'a> = Option<&'a Arc<ConnectionCore>>;

impl Core {
    pub(crate) fn declare_exchange(
        &self,
        vhost: &Arc<VirtualHost>,
        declare: &ExchangeDeclare<'_>,
    ) -> Result<(Done, u64), Error> {
        let name = declare.name;
        if name.is_empty() {
            return Err(Error::default_exchange());
        }
        arguments::check_table(declare.arguments)?;
        let mut topology = vhost.topology.write();
        if let Some(found) = topology.exchanges.get(name) {
            if !declare.passive {
                let of = format!("exchange '{name}' in vhost '{}'", vhost.name);
                let kind = ExchangeKind::from_name(declare.kind)?;
                arguments::check_property("type", &of, kind, found.kind)?;
                arguments::check_property("durable", &of, declare.durable, found.durable)?;
                arguments::check_property("auto_delete", &of, declare.auto_delete, found.auto_delete)?;
                arguments::check_property("internal", &of, declare.internal, found.internal)?;
                arguments::check_exchange_equivalence(
                    &found.arguments,
                    declare.arguments,
                    name,
                    &vhost.name,
                )?;
            }
            return Ok((Done { existed: true, ..Done::default() }, 0));
        }
        if declare.passive {
            return Err(Error::no_exchange(name, &vhost.name));
        }
        let kind = ExchangeKind::from_name(declare.kind)?;
        check_name("exchange", name)?;
        let limit = self.options.limits.exchanges_per_vhost;
        if topology.exchanges.len() >= limit {
            return Err(limit_reached("exchanges", limit, vhost));
        }
        let exchange = Exchange::new(
            name.into(),
            kind,
            (declare.durable, declare.auto_delete, declare.internal),
            Bytes::copy_from_slice(declare.arguments),
        );
        let after = match &self.store {
            Some(store) if exchange.durable => store.exchange(&vhost.name, &exchange),
            _ => 0,
        };
        topology.exchanges.insert(Arc::clone(&exchange.name), exchange);
        vhost.rerouted();
        Ok((Done::default(), after))
    }

    pub(crate) fn delete_exchange(
        &self,
        vhost: &Arc<VirtualHost>,
        name: &str,
        if_unused: bool,
    ) -> Result<(Done, u64), Error> {
        if name.is_empty() {
            return Err(Error::default_exchange());
        }
        if vhost::is_predeclared(name) {
            return Err(Error::new(
                Code::AccessRefused,
                format!("deletion of system exchange '{name}' in vhost '{}' not allowed", vhost.name),
            ));
        }
        let mut topology = vhost.topology.write();
        let Some(exchange) = topology.exchanges.get(name) else { return Ok((Done::default(), 0)) };
        if if_unused && exchange.is_used() {
            return Err(Error::precondition(format!("exchange '{name}' in vhost '{}' in use", vhost.name)));
        }
        let after = self.drop_exchange(vhost, &mut topology, name);
        Ok((Done { existed: true, ..Done::default() }, after))
    }

    /// Deletes an exchange with all its bindings, and those that delete themselves for it.
    fn drop_exchange(&self, vhost: &VirtualHost, topology: &mut Topology, name: &str) -> u64 {
        let mut after = 0;
        let mut names: Vec<Arc<str>> = vec![name.into()];
        while let Some(name) = names.pop() {
            let Some(exchange) = topology.exchanges.get(&name) else { continue };
            let mut bindings = Vec::new();
            exchange.for_each(|binding| bindings.push(Arc::clone(binding)));
            bindings.extend(topology.bindings_to(&Target::Exchange(Arc::clone(&name))).iter().cloned());
            for binding in bindings {
                // Its own end as a source is under way already.
                names.extend(topology.remove_binding(&binding).filter(|source| *source != name));
            }
            if let Some(exchange) = topology.exchanges.remove(&name)
                && exchange.durable
                && let Some(store) = &self.store
            {
                after = store.exchange_gone(&vhost.name, &name);
            }
        }
        vhost.rerouted();
        after
    }

    pub(crate) fn declare_queue(
        &self,
        vhost: &Arc<VirtualHost>,
        asker: Asker<'_>,
        declare: &QueueDeclare<'_>,
        fx: &mut Effects,
    ) -> Result<(Done, u64), Error> {
        let now = self.now();
        if direct_reply::is_reply_queue(declare.name) {
            let done =
                Done { existed: true, name: Some(declare.name.into()), consumers: 1, ..Done::default() };
            return Ok((done, 0));
        }
        let found = vhost.topology.read().queues.get(declare.name).cloned();
        if let Some(queue) = found {
            return self.declare_again(&queue, asker, declare, now).map(|done| (done, 0));
        }
        if declare.passive {
            return Err(Error::no_queue(declare.name, &vhost.name));
        }
        let name = match declare.name {
            "" => names::queue(),
            name => {
                check_name("queue", name)?;
                name.to_owned()
            }
        };
        let args = QueueArguments::read(declare.arguments, &name, &vhost.name, declare.durable)?;
        let exclusive = match asker {
            Some(connection) if declare.exclusive => Some(connection.uid),
            _ => None,
        };
        let new = NewQueue {
            id: self.next_id(),
            name: name.into(),
            vhost: Arc::clone(&vhost.name),
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            exclusive,
            session: 0,
            arguments: Bytes::copy_from_slice(declare.arguments),
            args,
        };
        let (queue, made, after) = self.add_queue(vhost, new)?;
        if !made {
            return self.declare_again(&queue, asker, declare, now).map(|done| (done, 0));
        }
        if let Some(connection) = asker.filter(|_| declare.exclusive) {
            connection.exclusive.lock().push(Arc::clone(&queue.name));
        }
        queue.start(fx);
        Ok((Done { name: Some(Arc::clone(&queue.name)), ..Done::default() }, after))
    }

    fn declare_again(
        &self,
        queue: &Arc<Queue>,
        asker: Asker<'_>,
        declare: &QueueDeclare<'_>,
        now: u64,
    ) -> Result<Done, Error> {
        self.check_access(queue, asker)?;
        if !declare.passive && !declare.any {
            let of = format!("queue '{}' in vhost '{}'", queue.name, queue.vhost);
            arguments::check_property("durable", &of, declare.durable, queue.durable)?;
            arguments::check_property("auto_delete", &of, declare.auto_delete, queue.auto_delete)?;
            if declare.exclusive != queue.exclusive.is_some() {
                return Err(Error::locked(&queue.name, &queue.vhost));
            }
            QueueArguments::read(declare.arguments, &queue.name, &queue.vhost, queue.durable)?;
            arguments::check_queue_equivalence(
                &queue.arguments,
                declare.arguments,
                &queue.name,
                &queue.vhost,
            )?;
        }
        queue.touch(now);
        let counts = queue.counts();
        Ok(Done {
            existed: true,
            empty: false,
            name: Some(Arc::clone(&queue.name)),
            messages: counts.ready as u64,
            consumers: counts.consumers as u64,
        })
    }

    /// Makes the queue of a session, or finds it free to be taken.
    pub(crate) fn make_session_queue(
        &self,
        vhost: &Arc<VirtualHost>,
        declare: &QueueDeclare<'_>,
        session: u64,
    ) -> Result<Arc<Queue>, Error> {
        let name = if declare.name.is_empty() { names::queue() } else { declare.name.to_owned() };
        let args = QueueArguments::read(declare.arguments, &name, &vhost.name, declare.durable)?;
        let new = NewQueue {
            id: self.next_id(),
            name: name.into(),
            vhost: Arc::clone(&vhost.name),
            durable: declare.durable,
            auto_delete: false,
            exclusive: None,
            session,
            arguments: Bytes::copy_from_slice(declare.arguments),
            args,
        };
        let (queue, made, _) = self.add_queue(vhost, new)?;
        if !made {
            return Err(Error::locked(&queue.name, &queue.vhost));
        }
        Ok(queue)
    }

    /// Adds a queue unless there is one of that name. Returns the one that is there, whether it was made, and the
    /// position that makes it durable.
    pub(crate) fn add_queue(
        &self,
        vhost: &Arc<VirtualHost>,
        new: NewQueue,
    ) -> Result<(Arc<Queue>, bool, u64), Error> {
        let mut topology = vhost.topology.write();
        if let Some(found) = topology.queues.get(&new.name) {
            return Ok((Arc::clone(found), false, 0));
        }
        let limit = self.options.limits.queues_per_vhost;
        if topology.queues.len() >= limit {
            return Err(limit_reached("queues", limit, vhost));
        }
        let queue = Arc::new(Queue::new(new, self.now()));
        let after = match &self.store {
            Some(store) if queue.is_kept() => store.queue(&queue),
            _ => 0,
        };
        topology.queues.insert(Arc::clone(&queue.name), Arc::clone(&queue));
        vhost.rerouted();
        Ok((queue, true, after))
    }

    /// The queue, if the asker may use it.
    pub(crate) fn queue_for(
        &self,
        vhost: &VirtualHost,
        asker: Asker<'_>,
        name: &str,
    ) -> Result<Arc<Queue>, Error> {
        let queue = vhost.queue(name)?;
        self.check_access(&queue, asker)?;
        Ok(queue)
    }

    fn check_access(&self, queue: &Queue, asker: Asker<'_>) -> Result<(), Error> {
        match (queue.exclusive, asker) {
            (Some(owner), Some(connection)) if owner != connection.uid => {
                Err(Error::locked(&queue.name, &queue.vhost))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn delete_queue(
        &self,
        vhost: &Arc<VirtualHost>,
        asker: Asker<'_>,
        name: &str,
        (if_unused, if_empty): (bool, bool),
        fx: &mut Effects,
    ) -> Result<(Done, u64), Error> {
        let queue = match self.queue_for(vhost, asker, name) {
            Ok(queue) => queue,
            Err(error) if error.code == Code::NotFound => return Ok((Done::default(), 0)),
            Err(error) => return Err(error),
        };
        let counts = queue.counts();
        let of = format!("queue '{name}' in vhost '{}'", vhost.name);
        if if_unused && counts.consumers > 0 {
            return Err(Error::precondition(format!("{of} in use")));
        }
        if if_empty && counts.ready > 0 {
            return Err(Error::precondition(format!("{of} not empty")));
        }
        let (removed, after) = self.remove_queue(vhost, &queue, fx);
        Ok((Done { existed: true, messages: removed as u64, ..Done::default() }, after))
    }

    /// Deletes a queue with its bindings and messages. Returns how many were ready.
    pub(crate) fn remove_queue(
        &self,
        vhost: &Arc<VirtualHost>,
        queue: &Arc<Queue>,
        fx: &mut Effects,
    ) -> (usize, u64) {
        let mut topology = vhost.topology.write();
        if !topology.queues.get(&queue.name).is_some_and(|found| Arc::ptr_eq(found, queue)) {
            return (0, 0);
        }
        topology.queues.remove(&queue.name);
        let target = Target::Queue(Arc::clone(queue));
        let bindings = topology.bindings_to(&target).to_vec();
        for binding in bindings {
            if let Some(source) = topology.remove_binding(&binding) {
                self.drop_exchange(vhost, &mut topology, &source);
            }
        }
        let after = match &self.store {
            Some(store) if queue.is_kept() => store.queue_gone(queue.id),
            _ => 0,
        };
        vhost.rerouted();
        drop(topology);
        (queue.shut(fx), after)
    }

    pub(crate) fn delete_exclusive(&self, connection: &Arc<ConnectionCore>, name: &str, fx: &mut Effects) {
        let found = connection.vhost.topology.read().queues.get(name).cloned();
        if let Some(queue) = found.filter(|queue| queue.exclusive == Some(connection.uid)) {
            self.remove_queue(&connection.vhost, &queue, fx);
        }
    }

    pub(crate) fn purge_queue(
        &self,
        vhost: &VirtualHost,
        asker: Asker<'_>,
        name: &str,
        fx: &mut Effects,
    ) -> Result<Done, Error> {
        let queue = self.queue_for(vhost, asker, name)?;
        Ok(Done { existed: true, messages: queue.purge(fx) as u64, ..Done::default() })
    }
}

fn check_name(what: &str, name: &str) -> Result<(), Error> {
    if name.starts_with(RESERVED_PREFIX) {
        return Err(Error::new(
            Code::AccessRefused,
            format!("{what} name '{name}' contains reserved prefix '{RESERVED_PREFIX}*'"),
        ));
    }
    if name.len() > NAME_MAX {
        return Err(Error::precondition(format!(
            "the name of a {what} has {} bytes, more than {NAME_MAX}",
            name.len()
        )));
    }
    Ok(())
}

/// Names of queues and exchanges may have so many bytes; those of sessions give queues that are longer than AMQP's 255.
const NAME_MAX: usize = 65_535;

fn limit_reached(what: &str, limit: usize, vhost: &VirtualHost) -> Error {
    Error::new(Code::ResourceError, format!("vhost '{}' has {limit} {what} already", vhost.name))
}
