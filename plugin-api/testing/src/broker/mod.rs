//! The fake host's broker: small, in memory, in one virtual host, and open to tests.

mod attach;
mod calls;
mod flow;
mod routing;
mod state;

use std::sync::Arc;

use kuzzle_plugin_api::abi::{CODE_CONNECTION_FORCED, LinkEvent, Message, Publish};
use serde_json::Value;

pub(crate) use self::calls::Calls;
use self::state::State;
use crate::FakeHost;
use crate::host::Shared;

pub(crate) struct Broker {
    state: parking_lot::Mutex<State>,
}

impl Default for Broker {
    fn default() -> Self {
        Self { state: parking_lot::Mutex::new(State::new()) }
    }
}

impl Shared {
    /// Changes the broker, and then tells the plugin where events have come to wait.
    fn change_broker<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (result, woken) = {
            let mut state = self.broker.state.lock();
            let result = change(&mut state);
            (result, std::mem::take(&mut state.woken))
        };
        let client = self.state.lock().broker_client.clone();
        match client {
            Some(client) => woken.into_iter().for_each(|id| client.ready(id)),
            // A plugin that is still starting is told once it runs.
            None => self.broker.state.lock().woken.extend(woken),
        }
        self.change(|_| ());
        result
    }

    /// Tells a plugin that has started where events wait already.
    pub(crate) fn wake_broker_client(&self) {
        self.change_broker(|_| ());
    }
}

/// A connection to the fake broker.
#[derive(Clone, Debug)]
pub struct BrokerConnection {
    /// Its id.
    pub id: u64,
    /// What the plugin told of it.
    pub info: Value,
    /// Who it is; empty before it is authenticated.
    pub user: String,
    /// The client's own name.
    pub client: String,
    /// Its links.
    pub links: Vec<u64>,
}

/// The fake host's broker, as a test sees it. It knows direct, fanout and topic exchanges and the default one, retained
/// messages, sessions, credit, and settlement in two phases. Nothing in it expires, and it has the virtual host `/` alone.
/// `PLAIN` with `guest` and `guest`, or with any user and the password `secret`, is let in.
#[derive(Clone)]
pub struct FakeBroker {
    shared: Arc<Shared>,
}

impl FakeHost {
    /// The broker.
    #[must_use]
    pub fn broker(&self) -> FakeBroker {
        FakeBroker { shared: Arc::clone(&self.shared) }
    }
}

impl FakeBroker {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        self.shared.change_broker(change)
    }

    /// Publishes a message without properties, and gives the number of queues that it reached.
    pub fn publish(&self, exchange: &str, routing_key: &str, body: &[u8]) -> usize {
        self.publish_as(&Publish::new(exchange, routing_key, body))
    }

    /// Publishes a message with properties or flags, and gives the number of queues that it reached.
    pub fn publish_as(&self, publish: &Publish<'_>) -> usize {
        self.change(|state| state.route(&flow::message(publish), publish.flags, None))
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> Vec<BrokerConnection> {
        self.change(|state| {
            let links_of = |id: u64| {
                state.links.iter().filter(|(_, link)| link.connection == id).map(|(link, _)| *link).collect()
            };
            state
                .connections
                .iter()
                .map(|(id, connection)| BrokerConnection {
                    id: *id,
                    info: connection.info.clone(),
                    user: connection.user.clone(),
                    client: connection.client.clone(),
                    links: links_of(*id),
                })
                .collect()
        })
    }

    /// Names of the queues.
    #[must_use]
    pub fn queues(&self) -> Vec<String> {
        self.change(|state| state.queues.keys().cloned().collect())
    }

    /// The messages that are ready in a queue, oldest first. They stay there.
    #[must_use]
    pub fn messages(&self, queue: &str) -> Vec<Message> {
        self.change(|state| {
            let queue = state.queues.get(queue);
            queue.into_iter().flat_map(|queue| &queue.ready).map(|item| item.message.clone()).collect()
        })
    }

    /// How many deliveries of a queue are unsettled.
    #[must_use]
    pub fn unsettled(&self, queue: &str) -> usize {
        self.change(|state| {
            let unsettled = state.links.values().flat_map(|link| link.unsettled.values());
            unsettled.filter(|unsettled| unsettled.queue == queue).count()
        })
    }

    /// Names of the sessions, and whether a link has each.
    #[must_use]
    pub fn sessions(&self) -> Vec<(String, bool)> {
        self.change(|state| {
            state.sessions.iter().map(|(name, session)| (name.clone(), session.link.is_some())).collect()
        })
    }

    /// Closes a connection, as an operator does.
    pub fn close(&self, connection: u64, reason: &str) {
        let text = format!("CONNECTION_FORCED - {reason}");
        self.change(|state| state.end_connection(connection, Some((CODE_CONNECTION_FORCED, &text))));
    }

    /// Raises an alarm: publishers are throttled and told why.
    pub fn block(&self, reason: &str) {
        self.tell_all(true, &LinkEvent::blocked(reason));
    }

    /// Ends the alarm.
    pub fn unblock(&self) {
        self.tell_all(false, &LinkEvent::unblocked());
    }

    fn tell_all(&self, is_blocked: bool, event: &LinkEvent) {
        self.change(|state| {
            state.is_blocked = is_blocked;
            let connections: Vec<u64> = state.connections.keys().copied().collect();
            for connection in connections {
                state.push(connection, event.clone());
            }
        });
    }
}
