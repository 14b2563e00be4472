//! Exchanges and their bindings.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use bytestring::ByteString;

use crate::arguments::HeadersMatch;
use crate::error::{Code, Error};
use crate::properties::Properties;
use crate::queue::Queue;
use crate::retained::RetainedMessages;
use crate::topic::{self, Trie};

/// How an exchange routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExchangeKind {
    /// To bindings with exactly the routing key.
    Direct,
    /// To every binding.
    Fanout,
    /// To bindings whose pattern the routing key matches.
    Topic,
    /// To bindings whose arguments the headers match.
    Headers,
}

impl ExchangeKind {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            ExchangeKind::Direct => "direct",
            ExchangeKind::Fanout => "fanout",
            ExchangeKind::Topic => "topic",
            ExchangeKind::Headers => "headers",
        }
    }

    /// The kind of that name.
    ///
    /// # Errors
    /// `COMMAND_INVALID - unknown exchange type '<name>'`.
    pub fn from_name(name: &str) -> Result<Self, Error> {
        [Self::Direct, Self::Fanout, Self::Topic, Self::Headers]
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| Error::new(Code::CommandInvalid, format!("unknown exchange type '{name}'")))
    }
}

impl std::fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a binding leads.
#[derive(Clone)]
pub(crate) enum Target {
    Queue(Arc<Queue>),
    Exchange(Arc<str>),
}

impl Target {
    pub(crate) fn name(&self) -> &Arc<str> {
        match self {
            Target::Queue(queue) => &queue.name,
            Target::Exchange(name) => name,
        }
    }

    pub(crate) fn same(&self, other: &Target) -> bool {
        match (self, other) {
            (Target::Queue(a), Target::Queue(b)) => Arc::ptr_eq(a, b),
            (Target::Exchange(a), Target::Exchange(b)) => a == b,
            _ => false,
        }
    }
}

/// What a binding asks for besides routing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BindingOptions {
    /// The caller's number of the binding, unique in its queue; 0 when it has none. Binding again under a number
    /// replaces what it was.
    pub id: u64,
    /// Not for messages published over the queue's own session or connection.
    pub no_local: bool,
    /// Deliveries need no settlement, take no credit and are not stored; without a consumer there are none.
    pub at_most_once: bool,
    /// A pattern that begins with a wildcard does not match keys that begin with `$`.
    pub hides_dollar: bool,
    /// A pattern with wildcards also matches reserved keys.
    pub sees_reserved: bool,
    /// What the caller keeps with it.
    pub opaque: Bytes,
}

/// A binding from an exchange to a queue or another exchange.
pub(crate) struct Binding {
    pub(crate) source: Arc<str>,
    pub(crate) target: Target,
    pub(crate) routing_key: ByteString,
    pub(crate) arguments: Bytes,
    pub(crate) options: BindingOptions,
    wildcard: bool,
    first_is_wildcard: bool,
    headers: Option<HeadersMatch>,
}

impl Binding {
    pub(crate) fn new(
        kind: ExchangeKind,
        source: &Arc<str>,
        target: Target,
        routing_key: ByteString,
        arguments: Bytes,
        options: BindingOptions,
    ) -> Result<Self, Error> {
        crate::arguments::check_table(&arguments)?;
        let headers =
            if kind == ExchangeKind::Headers { Some(HeadersMatch::read(&arguments)?) } else { None };
        let is_topic = kind == ExchangeKind::Topic;
        Ok(Self {
            source: Arc::clone(source),
            wildcard: is_topic && topic::is_wildcard(&routing_key),
            first_is_wildcard: is_topic
                && topic::words(&routing_key).next().is_some_and(|word| word == "*" || word == "#"),
            target,
            routing_key,
            arguments,
            options,
            headers,
        })
    }

    /// Whether the binding is the one that the other would be.
    pub(crate) fn is_same(&self, other: &Binding) -> bool {
        self.source == other.source
            && self.target.same(&other.target)
            && if self.options.id != 0 || other.options.id != 0 {
                self.options.id == other.options.id
            } else {
                self.routing_key == other.routing_key && self.arguments == other.arguments
            }
    }

    /// Whether a key that its pattern matches reaches it all the same.
    pub(crate) fn sees(&self, key: &str, reserved: bool) -> bool {
        !(reserved && self.wildcard && !self.options.sees_reserved
            || self.options.hides_dollar && self.first_is_wildcard && key.starts_with('$'))
    }
}

/// An exchange.
pub(crate) struct Exchange {
    pub(crate) name: Arc<str>,
    pub(crate) kind: ExchangeKind,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
    pub(crate) arguments: Bytes,
    pub(crate) alternate: Option<Arc<str>>,
    pub(crate) published: Arc<AtomicU64>,
    pub(crate) retained: RetainedMessages,
    bindings: Bindings,
    len: usize,
}

enum Bindings {
    Direct(HashMap<ByteString, Vec<Arc<Binding>>>),
    Any(Vec<Arc<Binding>>),
    Topic(Trie<Arc<Binding>>),
}

impl Exchange {
    pub(crate) fn new(
        name: Arc<str>,
        kind: ExchangeKind,
        (durable, auto_delete, internal): (bool, bool, bool),
        arguments: Bytes,
    ) -> Self {
        let alternate = crate::arguments::alternate_exchange(&arguments);
        Self {
            name,
            kind,
            durable,
            auto_delete,
            internal,
            alternate,
            arguments,
            published: Arc::default(),
            retained: RetainedMessages::default(),
            bindings: match kind {
                ExchangeKind::Direct => Bindings::Direct(HashMap::new()),
                ExchangeKind::Fanout | ExchangeKind::Headers => Bindings::Any(Vec::new()),
                ExchangeKind::Topic => Bindings::Topic(Trie::default()),
            },
            len: 0,
        }
    }

    /// Whether anything is bound to it.
    pub(crate) fn is_used(&self) -> bool {
        self.len > 0
    }

    pub(crate) fn add(&mut self, binding: Arc<Binding>) {
        self.len += 1;
        match &mut self.bindings {
            Bindings::Direct(keys) => keys.entry(binding.routing_key.clone()).or_default().push(binding),
            Bindings::Any(list) => list.push(binding),
            Bindings::Topic(trie) => trie.entry(&binding.routing_key).push(binding),
        }
    }

    pub(crate) fn remove(&mut self, binding: &Arc<Binding>) {
        self.len -= 1;
        match &mut self.bindings {
            Bindings::Direct(keys) => {
                if let Some(list) = keys.get_mut(&binding.routing_key) {
                    list.retain(|other| !Arc::ptr_eq(other, binding));
                    if list.is_empty() {
                        keys.remove(&binding.routing_key);
                    }
                }
            }
            Bindings::Any(list) => list.retain(|other| !Arc::ptr_eq(other, binding)),
            Bindings::Topic(trie) => {
                trie.retain(&binding.routing_key, |other| !Arc::ptr_eq(other, binding));
            }
        }
    }

    /// Calls `found` with each binding that a message reaches.
    pub(crate) fn route<'a>(
        &'a self,
        key: &str,
        properties: &[u8],
        reserved: bool,
        mut found: impl FnMut(&'a Arc<Binding>),
    ) {
        match &self.bindings {
            Bindings::Direct(keys) => {
                keys.get(key).into_iter().flatten().for_each(found);
            }
            Bindings::Any(list) if self.kind == ExchangeKind::Fanout => list.iter().for_each(found),
            Bindings::Any(list) => {
                let read = Properties::parse(properties).unwrap_or_default();
                let headers = read.headers.unwrap_or_default();
                list.iter()
                    .filter(|binding| {
                        binding.headers.is_some_and(|rule| rule.matches(&binding.arguments, headers))
                    })
                    .for_each(found);
            }
            Bindings::Topic(trie) => trie.matching(key, |binding| {
                if binding.sees(key, reserved) {
                    found(binding);
                }
            }),
        }
    }

    pub(crate) fn for_each(&self, mut found: impl FnMut(&Arc<Binding>)) {
        match &self.bindings {
            Bindings::Direct(keys) => keys.values().flatten().for_each(&mut found),
            Bindings::Any(list) => list.iter().for_each(&mut found),
            Bindings::Topic(trie) => trie.for_each(&mut found),
        }
    }
}
