//! Events that wait for a plugin to take them.

use std::collections::{BTreeSet, VecDeque};

use kuzzle_plugin_api::abi::RequestEvent;

/// Events that wait at most.
const EVENTS_MAX: usize = 16 * 1024;
/// Bytes of payload that wait at most.
const BYTES_MAX: usize = 32 << 20;
/// Status of the close that tells a connection that it was too slow.
const TOO_SLOW: u32 = 503;

/// The events of one generation, oldest first, bounded in number and bytes.
///
/// When it is full, the connections that an event would be lost for are closed instead: a client that reconnects knows
/// that it missed something, one that silently lacks a notification does not.
#[derive(Default)]
pub(super) struct Outbox {
    events: VecDeque<RequestEvent>,
    bytes: usize,
    /// Connections that lost an event and have yet to be told.
    condemned: BTreeSet<u64>,
}

impl Outbox {
    /// Adds an event. Returns whether nothing waited before, so that the plugin has to be woken.
    pub(super) fn push(&mut self, event: RequestEvent) -> bool {
        let was_waiting = self.is_waiting();
        let bytes = self.bytes.saturating_add(event.payload.as_slice().len());
        if self.events.len() >= EVENTS_MAX || bytes > BYTES_MAX {
            self.condemned.extend(event.connections.iter());
        } else {
            self.bytes = bytes;
            self.events.push_back(event);
        }
        !was_waiting && self.is_waiting()
    }

    /// Whether something waits.
    pub(super) fn is_waiting(&self) -> bool {
        !self.events.is_empty() || !self.condemned.is_empty()
    }

    /// Takes events: `events_max` at most, and no more once their payloads exceed `bytes_max`, but at least one.
    pub(super) fn take(&mut self, events_max: u32, bytes_max: u64) -> Vec<RequestEvent> {
        let mut taken = Vec::new();
        if !self.condemned.is_empty() {
            let connections = std::mem::take(&mut self.condemned).into_iter().collect();
            taken.push(RequestEvent::close(
                connections,
                TOO_SLOW,
                "too many notifications wait for this connection",
            ));
        }
        let mut bytes = 0_u64;
        while taken.len() < events_max.max(1) as usize && (taken.is_empty() || bytes < bytes_max) {
            let Some(event) = self.events.pop_front() else { break };
            let length = event.payload.as_slice().len();
            self.bytes -= length;
            bytes = bytes.saturating_add(length as u64);
            taken.push(event);
        }
        taken
    }

    /// Forgets that a connection was to be closed.
    pub(super) fn forget(&mut self, connection: u64) {
        self.condemned.remove(&connection);
    }
}

#[cfg(test)]
mod tests {
    use kuzzle_plugin_api::abi::{Blob, EVENT_CLOSE};
    use proptest::prelude::*;

    use super::*;

    fn event(connection: u64, bytes: usize) -> RequestEvent {
        RequestEvent::notification(vec![connection], "c", Blob::from(vec![0; bytes]))
    }

    #[test]
    fn it_wakes_once_and_gives_what_was_asked_for() {
        let mut outbox = Outbox::default();
        assert!(outbox.push(event(1, 10)));
        assert!(!outbox.push(event(2, 10)));
        assert!(!outbox.push(event(3, 10)));
        assert_eq!(outbox.take(10, 5).len(), 1, "at least one");
        assert_eq!(outbox.take(1, 1_000).len(), 1);
        assert_eq!(outbox.take(0, 0).len(), 1);
        assert!(outbox.take(10, 10).is_empty());
        assert!(outbox.push(event(1, 0)));
    }

    #[test]
    fn connections_that_lose_an_event_are_closed_once() {
        let mut outbox = Outbox::default();
        for _ in 0..EVENTS_MAX {
            outbox.push(event(1, 0));
        }
        outbox.push(event(2, 0));
        outbox.push(event(2, 0));
        outbox.push(event(3, 0));
        outbox.forget(3);
        let taken = outbox.take(1, 0);
        assert_eq!((taken[0].kind, taken[0].connections.as_slice()), (EVENT_CLOSE, &[2][..]));
        assert_eq!(outbox.take(u32::MAX, u64::MAX).len(), EVENTS_MAX);
        assert!(outbox.take(1, 1).is_empty());
    }

    proptest! {
        #[test]
        fn every_event_arrives_in_order_or_its_connection_is_closed(
            acts in prop::collection::vec((any::<bool>(), 0..40_u32, 0..6_usize), 0..200)
        ) {
            let mut outbox = Outbox::default();
            let (mut sent, mut arrived, mut closed) = (0_u64, Vec::new(), BTreeSet::new());
            let mut note = |taken: Vec<RequestEvent>| {
                for event in taken {
                    if event.kind == EVENT_CLOSE { closed.extend(event.connections.iter()) } else { arrived.push(event.connections[0]) }
                }
            };
            for (push, number, megabytes) in acts {
                if push {
                    for _ in 0..number {
                        outbox.push(event(sent, megabytes << 20));
                        sent += 1;
                        prop_assert!(outbox.bytes <= BYTES_MAX && outbox.events.len() <= EVENTS_MAX);
                    }
                } else {
                    note(outbox.take(number, (megabytes as u64) << 20));
                }
            }
            while outbox.is_waiting() {
                note(outbox.take(7, 1 << 20));
            }
            prop_assert_eq!(outbox.bytes, 0);
            prop_assert!(arrived.is_sorted());
            let all: BTreeSet<u64> = arrived.iter().copied().chain(closed).collect();
            prop_assert_eq!(all.len() as u64, sent);
        }
    }
}
