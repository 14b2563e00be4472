//! The output, the actions and what is counted of them.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::{
    Limits,
    action::{Action, Operation, Outcome, Publish, Settle},
};

/// Octets of output that an idle connection may keep room for.
const KEPT_OCTETS: usize = 1024;
/// Actions that an idle connection may keep room for.
const KEPT_ACTIONS: usize = 4;

#[derive(Debug)]
pub(super) struct Io {
    pub(super) out: BytesMut,
    /// The most that `out` held since it was given back.
    out_most: usize,
    /// Octets that have left `out`.
    pub(super) written: u64,
    actions: VecDeque<Action>,
    /// Octets of the publishes in `actions`.
    queued_bytes: usize,
    /// Publishes that were not taken.
    held: Option<Box<Action>>,
    /// Nothing is read until the broker says so.
    pub(super) throttled: bool,
    /// Where properties are written.
    scratch: BytesMut,
    next_op: u64,
    next_seq: u64,
}

impl Io {
    pub(super) fn new() -> Io {
        Io {
            out: BytesMut::new(),
            out_most: 0,
            written: 0,
            actions: VecDeque::new(),
            queued_bytes: 0,
            held: None,
            throttled: false,
            scratch: BytesMut::new(),
            next_op: 1,
            next_seq: 1,
        }
    }

    /// A new number of an operation.
    pub(super) fn new_op(&mut self) -> u64 {
        self.next_op += 1;
        self.next_op - 1
    }

    /// The sequence numbers of so many publishes: the first of them.
    pub(super) fn new_seqs(&mut self, count: usize) -> u64 {
        let first = self.next_seq;
        self.next_seq += count as u64;
        first
    }

    /// Whether anything was published.
    pub(super) fn has_used_broker(&self) -> bool {
        self.next_seq > 1
    }

    /// What `write` appends, in memory that it shares with what was written before.
    pub(super) fn written_by<E>(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    ) -> Result<Bytes, E> {
        let done = write(&mut self.scratch);
        let bytes = self.scratch.split();
        done.map(|()| if bytes.is_empty() { Bytes::new() } else { bytes.freeze() })
    }

    /// Remembers how large the output is.
    pub(super) fn note_growth(&mut self) {
        self.out_most = self.out_most.max(self.out.len());
    }

    /// Whether buffers are larger than an idle connection needs.
    pub(super) fn has_grown(&self) -> bool {
        self.out_most > KEPT_OCTETS
            || self.actions.capacity() > KEPT_ACTIONS
            || self.scratch.capacity() > KEPT_OCTETS
    }

    /// Gives back what is not in use.
    pub(super) fn shrink(&mut self) {
        if self.out.is_empty() {
            self.out = BytesMut::new();
            self.out_most = 0;
        }
        self.scratch = BytesMut::new();
        self.actions.shrink_to_fit();
    }

    /// Whether the batch has room and the output too.
    pub(super) fn has_room(&self, limits: &Limits) -> bool {
        !self.throttled
            && self.held.is_none()
            && self.actions.len() < limits.batch_max_actions
            && self.queued_bytes < limits.batch_max_bytes
            && self.out.len() < limits.output_max_bytes
    }

    pub(super) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(super) fn call(&mut self, op: u64, operation: Operation) {
        self.act(Action::Call { op, operation });
    }

    pub(super) fn next_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front()?;
        self.queued_bytes -= queued_bytes(&action);
        Some(action)
    }

    /// Drops all actions.
    pub(super) fn forget_actions(&mut self) {
        self.actions.clear();
        self.held = None;
        self.queued_bytes = 0;
    }

    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    pub(super) fn hold(&mut self, first_seq: u64, messages: Vec<Publish>) {
        self.throttled = true;
        if !messages.is_empty() {
            self.held = Some(Box::new(Action::Publish { first_seq, messages }));
        }
    }

    pub(super) fn unblocked(&mut self) {
        self.throttled = false;
        if let Some(held) = self.held.take() {
            self.queued_bytes += queued_bytes(&held);
            self.actions.push_front(*held);
        }
    }

    /// Adds a publish to the batch; gives its sequence. It may pass acknowledgements, as it could have come before them: a
    /// message is then published before the one that it answers is gone, and consuming and publishing by turns still
    /// makes one batch of each.
    pub(super) fn publish(&mut self, message: Publish) -> u64 {
        let seq = self.new_seqs(1);
        self.queued_bytes += message.bytes();
        let last = self.actions.len().checked_sub(1);
        let place = last.and_then(|last| match &self.actions[last] {
            Action::Settle { op: 0, settlements }
                if settlements.iter().all(|settle| settle.outcome == Outcome::Done) =>
            {
                last.checked_sub(1)
            }
            _ => Some(last),
        });
        if let Some(Action::Publish { messages, .. }) = place.and_then(|place| self.actions.get_mut(place)) {
            messages.push(message);
        } else {
            self.act(Action::Publish { first_seq: seq, messages: vec![message] });
        }
        seq
    }

    /// Adds settlements to the batch.
    pub(super) fn settle(&mut self, settle: Settle) {
        if let Some(Action::Settle { op: 0, settlements }) = self.actions.back_mut() {
            settlements.push(settle);
        } else {
            self.act(Action::Settle { op: 0, settlements: vec![settle] });
        }
    }
}

fn queued_bytes(action: &Action) -> usize {
    match action {
        Action::Publish { messages, .. } => messages.iter().map(Publish::bytes).sum(),
        _ => 0,
    }
}
