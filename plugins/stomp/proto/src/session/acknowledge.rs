//! `ACK` and `NACK`.

use bytestring::ByteString;

use super::{
    Action, Outcome, Session, Settle,
    connect::SESSION,
    fault::{Fault, shown},
    subscribe::AckMode,
};
use crate::codec::{Command, Frame, Version};

/// A delivery that a client acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Acknowledged {
    pub(super) consumer: u64,
    pub(super) delivery: u64,
    pub(super) cumulative: bool,
    pub(super) outcome: Outcome,
}

impl Session {
    pub(super) fn acknowledge(&mut self, frame: &Frame, outcome: Outcome) -> Result<(), Fault> {
        let receipt = frame.header("receipt");
        let acknowledged = self.acknowledged(frame, outcome)?;
        if let Some(transaction) = frame.header("transaction") {
            self.check_transaction(&transaction)?;
            if let Some(acknowledged) = acknowledged {
                self.acknowledge_later(&transaction, acknowledged)?;
            }
            self.receipt_now(receipt.as_deref());
            return Ok(());
        }
        let Some(acknowledged) = acknowledged else {
            self.receipt_now(receipt.as_deref());
            return Ok(());
        };
        let settlements = self.settlements(acknowledged);
        match receipt {
            Some(receipt) => {
                let op = self.op_for(Some(ByteString::from(&*receipt)));
                self.io.act(Action::Settle { op, settlements });
            }
            None => settlements.into_iter().for_each(|settle| self.io.settle(settle)),
        }
        Ok(())
    }

    /// What an acknowledgement settles.
    pub(super) fn settlements(&mut self, acknowledged: Acknowledged) -> Vec<Settle> {
        let Acknowledged { consumer, delivery, cumulative, outcome } = acknowledged;
        let settled = self.subscriptions.settle(consumer, delivery, cumulative);
        settled.into_iter().map(|delivery| Settle { delivery, outcome }).collect()
    }

    /// The delivery that a frame names. `None` when its subscription acknowledges by itself.
    fn acknowledged(&self, frame: &Frame, outcome: Outcome) -> Result<Option<Acknowledged>, Fault> {
        let command = if frame.command() == Command::Nack { "NACK" } else { "ACK" };
        let header = if self.version == Version::V1_2 { "id" } else { "message-id" };
        let Some(id) = frame.header(header) else {
            let detail = format_args!("\"{command}\" must include the \"{header}\" header\n");
            return Err(Fault::new("Missing header", detail));
        };
        let Some((tag, delivery)) = self.parts_of(&id) else {
            let detail = format_args!("\"{command}\" must include a valid \"{header}\" header\n");
            return Err(Fault::new("Invalid header", detail));
        };
        if let Some(consumer) = self.subscriptions.with_delivery(tag, delivery)
            && let Some(one) = self.subscriptions.get(consumer)
        {
            let cumulative = one.mode == AckMode::Client;
            return Ok(Some(Acknowledged { consumer, delivery, cumulative, outcome }));
        }
        if !self.subscriptions.is_known(tag) {
            let detail = format_args!("Message with id \"{}\" has no subscription", shown(&id));
            return Err(Fault::new("Subscription not found", detail));
        }
        let is_auto =
            |consumer| self.subscriptions.get(consumer).is_some_and(|one| one.mode == AckMode::Auto);
        if self.subscriptions.tagged(tag).is_some_and(is_auto) {
            return Ok(None);
        }
        let detail = format_args!("PRECONDITION_FAILED - unknown delivery tag {delivery}");
        Err(Fault::fatal("precondition_failed", detail))
    }

    /// A message's id taken apart: its subscription's tag, and its number. Ids of other sessions are none here.
    fn parts_of<'a>(&self, id: &'a str) -> Option<(&'a str, u64)> {
        let (rest, delivery) = id.rsplit_once("@@")?;
        let (tag, session) = rest.rsplit_once("@@")?;
        let is_ours = session.strip_prefix(SESSION).is_some_and(|id| id.as_bytes() == self.id);
        (is_ours && !delivery.starts_with('+')).then(|| Some((tag, delivery.parse().ok()?)))?
    }
}
