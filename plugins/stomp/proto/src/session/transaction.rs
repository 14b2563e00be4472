//! `BEGIN`, `COMMIT` and `ABORT`.

use bytestring::ByteString;

use super::{
    Action, Map, Session,
    acknowledge::Acknowledged,
    action::Publish,
    fault::{Fault, shown},
};
use crate::codec::Frame;

/// Octets of the longest identifier.
const ID_MAX: usize = 1024;

/// A transaction that is open: what its commit does.
#[derive(Debug, Default)]
struct Transaction {
    publishes: Vec<Publish>,
    acknowledged: Vec<Acknowledged>,
    /// Of the publishes, in their order.
    receipts: Vec<ByteString>,
    bytes: usize,
}

impl Transaction {
    fn steps(&self) -> usize {
        self.publishes.len() + self.acknowledged.len()
    }
}

/// The transactions of a connection.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    open: Map<Transaction>,
    bytes: usize,
    steps: usize,
}

impl Transactions {
    /// Aborts all of them.
    pub(super) fn clear(&mut self) {
        *self = Transactions::default();
    }

    fn remove(&mut self, id: &str) -> Option<Transaction> {
        let transaction = self.open.remove(id)?;
        self.bytes -= transaction.bytes;
        self.steps -= transaction.steps();
        if self.open.is_empty() {
            self.open = Map::default();
        }
        Some(transaction)
    }
}

/// The identifier that a frame names.
fn transaction_of(frame: &Frame) -> Result<ByteString, Fault> {
    let Some(id) = frame.header("transaction") else {
        let command = frame.command().name();
        let detail = format_args!("\"{command}\" must include a 'transaction' header\n");
        return Err(Fault::new("Missing transaction", detail));
    };
    if id.len() > ID_MAX {
        return Err(bad(&id));
    }
    Ok(ByteString::from(&*id))
}

fn bad(id: &str) -> Fault {
    Fault::new("Bad transaction", format_args!("Invalid transaction identifier: \"{}\"\n", shown(id)))
}

impl Session {
    pub(super) fn begin(&mut self, frame: &Frame) -> Result<(), Fault> {
        let id = transaction_of(frame)?;
        let max = self.limits.transactions_max;
        if self.transactions.open.len() >= max && !self.transactions.open.contains_key(&id) {
            let detail =
                format_args!("A connection may have {max} open transactions; commit or abort some first\n");
            return Err(Fault::new("Too many transactions", detail));
        }
        // One that is open already goes on.
        self.transactions.open.entry(id).or_default();
        self.receipt_now(frame.header("receipt").as_deref());
        Ok(())
    }

    pub(super) fn abort(&mut self, frame: &Frame) -> Result<(), Fault> {
        let id = transaction_of(frame)?;
        self.transactions.remove(&id).ok_or_else(|| bad(&id))?;
        self.receipt_now(frame.header("receipt").as_deref());
        Ok(())
    }

    pub(super) fn commit(&mut self, frame: &Frame) -> Result<(), Fault> {
        let id = transaction_of(frame)?;
        let transaction = self.transactions.remove(&id).ok_or_else(|| bad(&id))?;
        let mut settlements = Vec::with_capacity(transaction.acknowledged.len());
        for acknowledged in transaction.acknowledged {
            let settled = self.settlements(acknowledged);
            if settled.is_empty() {
                // It was acknowledged outside of the transaction, or twice within.
                let detail =
                    format_args!("PRECONDITION_FAILED - unknown delivery tag {}", acknowledged.delivery);
                return Err(Fault::fatal("precondition_failed", detail));
            }
            settlements.extend(settled);
        }
        let receipt = frame.header("receipt").map(|receipt| ByteString::from(&*receipt));
        if transaction.publishes.is_empty() && settlements.is_empty() {
            self.receipt_now(receipt.as_deref());
            return Ok(());
        }
        let op = if receipt.is_none() && transaction.receipts.is_empty() {
            0
        } else {
            let op = self.io.new_op();
            self.receipts.await_commit(op, receipt, transaction.receipts);
            op
        };
        let messages = transaction.publishes;
        let first_seq = self.io.new_seqs(messages.len());
        self.io.act(Action::Commit { op, first_seq, messages, settlements });
        Ok(())
    }

    /// Whether a transaction is open.
    pub(super) fn check_transaction(&self, id: &str) -> Result<(), Fault> {
        if self.transactions.open.contains_key(id) { Ok(()) } else { Err(bad(id)) }
    }

    /// Publishes when a transaction commits.
    pub(super) fn send_later(
        &mut self,
        id: &str,
        publish: Publish,
        receipt: Option<ByteString>,
    ) -> Result<(), Fault> {
        let bytes = publish.bytes();
        let transaction = self.step(id, bytes)?;
        transaction.publishes.push(publish);
        transaction.receipts.extend(receipt);
        Ok(())
    }

    /// Acknowledges when a transaction commits.
    pub(super) fn acknowledge_later(&mut self, id: &str, acknowledged: Acknowledged) -> Result<(), Fault> {
        self.step(id, 0)?.acknowledged.push(acknowledged);
        Ok(())
    }

    /// Makes room for one more step of a transaction.
    fn step(&mut self, id: &str, bytes: usize) -> Result<&mut Transaction, Fault> {
        let (max_bytes, max_steps) = (self.limits.transaction_max_bytes, self.limits.transaction_max_steps);
        let transactions = &mut self.transactions;
        if transactions.bytes.saturating_add(bytes) > max_bytes || transactions.steps >= max_steps {
            let detail = format_args!(
                "Open transactions of a connection may hold {max_steps} frames and {max_bytes} octets; commit sooner\n"
            );
            return Err(Fault::fatal("Transaction too large", detail));
        }
        let transaction = transactions.open.get_mut(id).ok_or_else(|| bad(id))?;
        transactions.bytes += bytes;
        transactions.steps += 1;
        transaction.bytes += bytes;
        Ok(transaction)
    }
}
