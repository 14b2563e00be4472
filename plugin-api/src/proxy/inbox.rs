//! Connections and events on the plugin's side: what `open` and `take` are answered from.

use std::collections::{HashMap, VecDeque};

use crate::abi::{ApiError, RequestEvent};

/// How many connections an instance may have, whatever the host declares.
const CONNECTIONS_LIMIT: usize = 1_000_000;
/// How many events the host's side may send ahead of what the plugin has taken.
pub(super) const WINDOW_EVENTS: u64 = 1024;
/// How many bytes those may have, in bytes of [`weight`]; one event may go beyond.
pub(super) const WINDOW_BYTES: u64 = 4 * 1024 * 1024;

/// What an event counts for in the window, in bytes.
pub(super) fn weight(event: &RequestEvent) -> u64 {
    (64 + event.payload.as_slice().len()
        + event.channel.len()
        + event.reason.len()
        + 8 * event.connections.len()) as u64
}

/// The connections of an instance, and the events that wait for the plugin to take them.
pub(super) struct Inbox {
    connections: HashMap<u64, Opened>,
    limit: usize,
    events: VecDeque<Event>,
}

#[derive(PartialEq, Eq)]
enum Opened {
    /// As far as this side knows.
    Open,
    /// The host has refused it, and the event that says so was not taken yet.
    Refused,
}

struct Event {
    event: RequestEvent,
    /// Whether it came from the host, and so takes room in the window.
    counted: bool,
}

/// What the plugin has taken.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) events: Vec<RequestEvent>,
    /// How many of them had taken room in the window, and with how many bytes.
    pub(super) freed: (u64, u64),
}

impl Inbox {
    /// For a host that declares `max_connections`; 0 is unlimited.
    pub(super) fn new(max_connections: u64) -> Self {
        let declared = usize::try_from(max_connections).unwrap_or(usize::MAX);
        let limit = if declared == 0 { CONNECTIONS_LIMIT } else { declared.min(CONNECTIONS_LIMIT) };
        Self { connections: HashMap::new(), limit, events: VecDeque::new() }
    }

    /// Opens a connection, as far as this side can tell.
    pub(super) fn open(&mut self, connection: u64) -> Result<(), ApiError> {
        if self.connections.contains_key(&connection) {
            return Err(ApiError::new(
                409,
                "plugin.connection.exists",
                format!("connection {connection} is open already, expected an id that was never used"),
            ));
        }
        if self.connections.len() >= self.limit {
            return Err(ApiError::new(
                429,
                "plugin.connection.limit",
                format!("the instance may have {} connections, and has them; close some first", self.limit),
            ));
        }
        self.connections.insert(connection, Opened::Open);
        Ok(())
    }

    /// Closes a connection; says whether there was one.
    pub(super) fn close(&mut self, connection: u64) -> bool {
        self.connections.remove(&connection).is_some()
    }

    /// Takes events of the host in; says whether none waited before.
    pub(super) fn add(&mut self, events: Vec<RequestEvent>) -> bool {
        let first = self.events.is_empty() && !events.is_empty();
        self.events.extend(events.into_iter().map(|event| Event { event, counted: true }));
        first
    }

    /// The host has refused a connection: it is to be closed. Says whether no event waited before.
    pub(super) fn refuse(&mut self, connection: u64, error: &ApiError) -> bool {
        match self.connections.get_mut(&connection) {
            Some(opened) if *opened == Opened::Open => *opened = Opened::Refused,
            // Closed by the plugin meanwhile.
            _ => return false,
        }
        self.add_own(RequestEvent::close(vec![connection], error.status, error.message.clone()))
    }

    /// The host is gone: every connection is to be closed. Says whether no event waited before, when there is one now.
    pub(super) fn close_all(&mut self, code: u32, reason: &str) -> bool {
        let open: Vec<u64> = self
            .connections
            .drain()
            .filter_map(|(connection, opened)| (opened == Opened::Open).then_some(connection))
            .collect();
        !open.is_empty() && self.add_own(RequestEvent::close(open, code, reason))
    }

    fn add_own(&mut self, event: RequestEvent) -> bool {
        let first = self.events.is_empty();
        self.events.push_back(Event { event, counted: false });
        first
    }

    /// Whether events wait.
    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Takes waiting events, oldest first; see [`RequestsVt::take`](crate::abi::RequestsVt::take).
    pub(super) fn take(&mut self, max_events: u32, max_bytes: u64) -> Taken {
        let mut taken = Taken::default();
        let mut bytes = 0_u64;
        while taken.events.len() < max_events as usize {
            let Some(next) = self.events.front() else { break };
            bytes = bytes.saturating_add(next.event.payload.as_slice().len() as u64);
            if bytes > max_bytes && !taken.events.is_empty() {
                break;
            }
            let Some(Event { event, counted }) = self.events.pop_front() else { break };
            if counted {
                taken.freed.0 += 1;
                taken.freed.1 += weight(&event);
            } else {
                for connection in &event.connections {
                    self.connections.remove(connection);
                }
            }
            taken.events.push(event);
        }
        taken
    }
}
