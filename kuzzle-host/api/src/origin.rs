//! Where a request comes from.

use std::sync::Arc;

/// Who carried a request to the server. Set by the host, invisible to clients.
#[derive(Clone, Debug)]
pub struct Origin {
    /// API label of the protocol, such as `rest`: requests are counted under it and notifications echo it. Any label
    /// works like any other.
    pub protocol: Arc<str>,
    /// Name of the protocol instance; instances share the places for accepted requests fairly.
    pub instance: Arc<str>,
    /// Connection within the instance, 0 when the protocol tells none apart.
    pub connection: u64,
    /// What the instance's configuration supplies when a request leaves it out.
    pub defaults: Defaults,
    /// Whether it may use the controllers that manage the server. A protocol that any web page can reach, or any client of
    /// the broker, must not: it is a promise of the host that neither is so.
    pub is_operator: bool,
}

/// What an instance's configuration supplies when a request leaves it out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// Index for the writing of documents; other actions never use it.
    pub index: Option<Arc<str>>,
}

impl Origin {
    /// Makes the origin of one connection of an instance that has no defaults.
    pub fn new(protocol: impl Into<Arc<str>>, instance: impl Into<Arc<str>>, connection: u64) -> Origin {
        Origin {
            protocol: protocol.into(),
            instance: instance.into(),
            connection,
            defaults: Defaults::default(),
            is_operator: false,
        }
    }
}
