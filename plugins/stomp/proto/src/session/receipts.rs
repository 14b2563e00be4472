//! Receipts that wait for the broker.

use std::collections::VecDeque;

use bytestring::ByteString;

use super::{Session, Step, fault::Fault};
use crate::codec::FrameWriter;

/// What the answer to an operation means.
#[derive(Debug)]
enum Awaited {
    /// The frame that it comes from is done.
    Receipt(ByteString),
    /// A transaction is committed: its own receipt, and those of the frames in it.
    Committed { receipt: Option<ByteString>, sends: Vec<ByteString> },
    /// A subscription has ended.
    Unsubscribed { consumer: u64, receipt: Option<ByteString> },
    /// Everything that was on its way has come.
    Barrier,
}

/// Receipts that wait.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    /// By the sequence of the publish.
    confirms: VecDeque<(u64, ByteString)>,
    /// By the number of the operation.
    answers: VecDeque<(u64, Awaited)>,
    /// Whether the link confirms publishes.
    pub(super) confirming: bool,
}

impl Receipts {
    pub(super) fn len(&self) -> usize {
        self.confirms.len() + self.answers.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn has_grown(&self) -> bool {
        self.confirms.capacity() > 0 || self.answers.capacity() > 0
    }

    pub(super) fn shrink(&mut self) {
        self.confirms.shrink_to_fit();
        self.answers.shrink_to_fit();
    }

    pub(super) fn await_confirm(&mut self, seq: u64, receipt: ByteString) {
        self.confirms.push_back((seq, receipt));
    }

    pub(super) fn await_answer(&mut self, op: u64, receipt: ByteString) {
        self.answers.push_back((op, Awaited::Receipt(receipt)));
    }

    pub(super) fn await_commit(&mut self, op: u64, receipt: Option<ByteString>, sends: Vec<ByteString>) {
        self.answers.push_back((op, Awaited::Committed { receipt, sends }));
    }

    pub(super) fn await_cancel(&mut self, op: u64, consumer: u64, receipt: Option<ByteString>) {
        self.answers.push_back((op, Awaited::Unsubscribed { consumer, receipt }));
    }

    pub(super) fn await_barrier(&mut self, op: u64) {
        self.answers.push_back((op, Awaited::Barrier));
    }

    fn take_answer(&mut self, op: u64) -> Option<Awaited> {
        let index = self.answers.binary_search_by_key(&op, |(op, _)| *op).ok()?;
        self.answers.remove(index).map(|(_, awaited)| awaited)
    }

    /// The receipt that a publish would have had.
    pub(super) fn take_refused(&mut self, seq: u64) -> Option<ByteString> {
        let index = self.confirms.binary_search_by_key(&seq, |(seq, _)| *seq).ok()?;
        self.confirms.remove(index).map(|(_, receipt)| receipt)
    }

    /// The receipt that an operation would have had.
    pub(super) fn take_failed(&mut self, op: u64) -> Option<ByteString> {
        match self.take_answer(op)? {
            Awaited::Receipt(receipt) => Some(receipt),
            Awaited::Committed { receipt, .. } | Awaited::Unsubscribed { receipt, .. } => receipt,
            Awaited::Barrier => None,
        }
    }
}

impl Session {
    pub(super) fn put_receipt(&mut self, receipt: &str) {
        let mut frame = FrameWriter::new(&mut self.io.out, "RECEIPT", self.version);
        frame.header("receipt-id", receipt.as_bytes());
        frame.end();
    }

    /// Gives a receipt at once for a frame that needs nothing of the broker.
    pub(super) fn receipt_now(&mut self, receipt: Option<&str>) {
        if let Some(receipt) = receipt {
            self.put_receipt(receipt);
        }
    }

    /// Publishes were confirmed.
    pub(super) fn confirmed(&mut self, up_to: u64) {
        while let Some((_, receipt)) = self.receipts.confirms.pop_front_if(|(seq, _)| *seq <= up_to) {
            self.put_receipt(&receipt);
        }
    }

    /// An operation is done.
    pub(super) fn answered(&mut self, op: u64) -> Result<(), Fault> {
        match self.receipts.take_answer(op) {
            Some(Awaited::Receipt(receipt)) => self.put_receipt(&receipt),
            Some(Awaited::Committed { receipt, sends }) => {
                for receipt in receipt.into_iter().chain(sends) {
                    self.put_receipt(&receipt);
                }
            }
            Some(Awaited::Unsubscribed { consumer, receipt }) => {
                self.subscriptions.cancelled(consumer);
                self.receipt_now(receipt.as_deref());
            }
            Some(Awaited::Barrier) => {
                if let super::Phase::Leaving { step, .. } = &mut self.phase {
                    *step = Step::Receipts;
                }
            }
            None => {
                return Err(Fault::fatal(
                    "internal_error",
                    "an operation was answered that was not asked for",
                ));
            }
        }
        Ok(())
    }
}
