//! Finding the way of a message, and remembering it for the next.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use bytestring::ByteString;

use super::Publish;
use crate::broker::Core;
use crate::error::{Code, Error};
use crate::exchange::ExchangeKind;
use crate::ingress::KeyClass;
use crate::message::Facts;
use crate::vhost::{Hop, Local, Route, VirtualHost};

/// What a link remembers between publishes, so that the next of the same kind costs little.
#[derive(Default)]
pub(crate) struct Publisher {
    pub(super) routes: Vec<Option<Arc<Route>>>,
    pub(super) hasher: RandomState,
    pub(super) properties: Option<(Bytes, Facts)>,
}

/// Routes remembered per link; a power of two.
const ROUTES: usize = 32;

/// Properties up to this length are kept for the next message.
const PROPERTIES_KEPT_MAX: usize = 256;

/// Whom a message comes from, for bindings that do not want their own.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Who {
    pub(crate) session: u64,
    pub(crate) connection: u64,
}

impl Publisher {
    /// The properties as shared bytes, and what they say. Those of the last message are found again without a copy.
    pub(super) fn properties(&mut self, properties: &[u8], user: &str) -> Result<(Bytes, Facts), Error> {
        if let Some((bytes, facts)) = &self.properties
            && **bytes == *properties
        {
            return Ok((bytes.clone(), *facts));
        }
        let facts = Facts::read(properties, Some(user))?;
        let bytes = Bytes::copy_from_slice(properties);
        if bytes.len() <= PROPERTIES_KEPT_MAX {
            self.properties = Some((bytes.clone(), facts));
        }
        Ok((bytes, facts))
    }

    pub(super) fn route(
        &mut self,
        core: &Core,
        vhost: &VirtualHost,
        publish: &Publish<'_>,
        properties: &[u8],
    ) -> Result<Arc<Route>, Error> {
        let hash = self.hasher.hash_one((publish.exchange, publish.routing_key));
        let place = hash as usize & (ROUTES - 1);
        if let Some(Some(route)) = self.routes.get(place)
            && route.generation == vhost.generation.load(Ordering::Acquire)
            && *route.key == *publish.routing_key
            && *route.exchange == *publish.exchange
        {
            return Ok(Arc::clone(route));
        }
        let (route, by_headers) =
            core.find_route(vhost, publish.exchange, publish.routing_key, &[], properties, false)?;
        let route = Arc::new(route);
        // What a headers exchange does depends on more than the key, also behind another exchange.
        if !by_headers {
            if self.routes.is_empty() {
                self.routes.resize(ROUTES, None);
            }
            self.routes[place] = Some(Arc::clone(&route));
        }
        Ok(route)
    }
}

impl Hop {
    /// The bindings that count for a publisher and whether they ask for no settlement; none when the queue is not for
    /// it.
    pub(super) fn for_publisher(&self, who: Who) -> Option<(Option<Arc<[u64]>>, bool)> {
        match &self.local {
            Local::Same => {}
            _ if !self.queue.is_of(who.session, who.connection) => {}
            Local::Nothing => return None,
            Local::Some(bindings, at_most_once) => return Some((bindings.clone(), *at_most_once)),
        }
        Some((self.bindings.clone(), self.at_most_once))
    }
}

impl Core {
    /// Finds the way of a message through a virtual host, and whether its headers had a say in it. `own`: the broker
    /// itself publishes, also to internal exchanges.
    pub(super) fn find_route(
        &self,
        vhost: &VirtualHost,
        exchange: &str,
        key: &str,
        copies: &[String],
        properties: &[u8],
        own: bool,
    ) -> Result<(Route, bool), Error> {
        let generation = vhost.generation.load(Ordering::Acquire);
        let topology = vhost.topology.read();
        let Some(found) = topology.exchanges.get(exchange) else {
            return Err(Error::no_exchange(exchange, &vhost.name));
        };
        if found.internal && !own {
            return Err(Error::new(
                Code::AccessRefused,
                format!("cannot publish to internal exchange '{exchange}' in vhost '{}'", vhost.name),
            ));
        }
        let is_topic = found.kind == ExchangeKind::Topic;
        let class = if is_topic { self.host.key_class(&vhost.name, exchange, key) } else { KeyClass::Open };
        let skip = class == KeyClass::Ingress && !self.options.ingress_is_routed;
        let (hops, by_headers) = if skip {
            (Vec::new(), false)
        } else {
            topology.route(exchange, key, copies, properties, class != KeyClass::Open)
        };
        let route = Route {
            generation,
            exchange: Arc::clone(&found.name),
            key: ByteString::from(key),
            class,
            is_topic,
            published: Arc::clone(&found.published),
            hops,
        };
        Ok((route, by_headers))
    }
}
