//! What the channels of a connection share: the output, the actions, what was negotiated and what is counted.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::BytesMut;
use bytestring::ByteString;

use super::{
    actions::{Action, Operation, Outcome, Publish, Settle},
    limits::Limits,
};
use crate::codec::{content::ContentWriter, method::Method};

/// Octets of output that an idle connection may keep room for.
const KEPT_OCTETS: usize = 1024;
/// Actions that an idle connection may keep room for.
const KEPT_ACTIONS: usize = 4;

/// Extensions that the client said it understands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Capabilities {
    pub(super) authentication_failure_close: bool,
    pub(super) consumer_cancel_notify: bool,
    pub(super) connection_blocked: bool,
}

#[derive(Debug)]
pub(super) struct Io {
    pub(super) limits: Arc<Limits>,
    ids: Arc<AtomicU64>,
    pub(super) out: BytesMut,
    /// The most that `out` held since it was given back.
    out_most: usize,
    /// Octets that have left `out`.
    pub(super) written: u64,
    actions: VecDeque<Action>,
    /// Octets of the publishes in `actions`.
    queued_bytes: usize,
    pub(super) frame_max: u32,
    pub(super) user: ByteString,
    pub(super) capabilities: Capabilities,
    /// Octets of bodies that are not whole.
    pub(super) assembling: usize,
    /// Operations that the broker has not answered.
    pub(super) operations: usize,
    next_op: u64,
    seed: u64,
    /// Something was published on this connection.
    pub(super) published: bool,
}

impl Io {
    pub(super) fn new(limits: Arc<Limits>, ids: Arc<AtomicU64>, seed: u64) -> Io {
        Io {
            frame_max: limits.handshake_frame_max,
            limits,
            ids,
            out: BytesMut::new(),
            out_most: 0,
            written: 0,
            actions: VecDeque::new(),
            queued_bytes: 0,
            user: ByteString::new(),
            capabilities: Capabilities::default(),
            assembling: 0,
            operations: 0,
            next_op: 1,
            seed,
            published: false,
        }
    }

    pub(super) fn send(&mut self, channel: u16, method: impl Into<Method>) {
        method.into().encode(channel, &mut self.out);
    }

    pub(super) fn contents(&mut self, channel: u16) -> ContentWriter<'_> {
        ContentWriter { out: &mut self.out, channel, frame_max: self.frame_max }
    }

    /// A new id of the instance.
    pub(super) fn new_id(&mut self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// A new number of an operation, which is counted as under way.
    pub(super) fn new_op(&mut self) -> u64 {
        self.operations += 1;
        self.next_op += 1;
        self.next_op - 1
    }

    /// A consumer tag that no other has: `amq.ctag-` and 22 characters.
    pub(super) fn new_tag(&mut self) -> ByteString {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut tag = String::from("amq.ctag-");
        let mut bits = u128::from(self.new_id()) << 64 | u128::from(self.seed);
        for _ in 0..22 {
            tag.push(char::from(DIGITS[(bits & 63) as usize]));
            bits >>= 6;
        }
        tag.into()
    }

    /// Remembers how large the output is.
    pub(super) fn note_growth(&mut self) {
        self.out_most = self.out_most.max(self.out.len());
    }

    /// Whether buffers are larger than an idle connection needs.
    pub(super) fn has_grown(&self) -> bool {
        self.out_most > KEPT_OCTETS || self.actions.capacity() > KEPT_ACTIONS
    }

    /// Gives back what is not in use.
    pub(super) fn shrink(&mut self) {
        if self.out.is_empty() {
            self.out = BytesMut::new();
            self.out_most = 0;
        }
        self.actions.shrink_to_fit();
    }

    /// Whether the batch has room and the output too.
    pub(super) fn has_room(&self) -> bool {
        self.actions.len() < self.limits.batch_max_actions
            && self.queued_bytes < self.limits.batch_max_bytes
            && self.out.len() < self.limits.output_max_bytes
            && self.operations < self.limits.operations_max
    }

    pub(super) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(super) fn call(&mut self, link: u64, op: u64, operation: Operation) {
        self.act(Action::Call { link, op, operation });
    }

    /// Puts an action in front of the others.
    pub(super) fn act_first(&mut self, action: Action) {
        self.queued_bytes += queued_bytes(&action);
        self.actions.push_front(action);
    }

    pub(super) fn next_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front()?;
        self.queued_bytes -= queued_bytes(&action);
        Some(action)
    }

    /// Drops all actions.
    pub(super) fn forget_actions(&mut self) {
        self.actions.clear();
        self.queued_bytes = 0;
    }

    /// Adds a publish to the batch of its link. It may pass acknowledgements, as it could have come before them: a
    /// message is then published before the one that it answers is gone, and consuming and publishing by turns still
    /// makes one batch of each.
    pub(super) fn publish(&mut self, link: u64, seq: u64, message: Publish) {
        self.published = true;
        self.queued_bytes += message.bytes();
        let last = self.actions.len().checked_sub(1);
        let place = last.and_then(|last| match &self.actions[last] {
            Action::Settle { link: settled, op: 0, settlements }
                if *settled == link && settlements.iter().all(|settle| settle.outcome == Outcome::Done) =>
            {
                last.checked_sub(1)
            }
            _ => Some(last),
        });
        if let Some(Action::Publish { link: batch, messages, .. }) =
            place.and_then(|place| self.actions.get_mut(place))
            && *batch == link
        {
            messages.push(message);
            return;
        }
        self.actions.push_back(Action::Publish { link, first_seq: seq, messages: vec![message] });
    }

    /// Adds a settlement to the batch of its link.
    pub(super) fn settle(&mut self, link: u64, settle: Settle) {
        if let Some(Action::Settle { link: batch, op: 0, settlements }) = self.actions.back_mut()
            && *batch == link
        {
            settlements.push(settle);
            return;
        }
        self.act(Action::Settle { link, op: 0, settlements: vec![settle] });
    }
}

fn queued_bytes(action: &Action) -> usize {
    match action {
        Action::Publish { messages, .. } => messages.iter().map(Publish::bytes).sum(),
        _ => 0,
    }
}
