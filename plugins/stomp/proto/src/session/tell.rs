//! What the link says becomes what the client is told.

use std::time::Duration;

use bytes::BufMut;
use bytestring::ByteString;

use super::{
    LinkEvent, Message, Outcome, Phase, Session, Settle,
    connect::SESSION,
    fault::{Fault, code},
    subscribe::AckMode,
};
use crate::{
    codec::{FrameWriter, Version, escape},
    destination,
    message::put_headers,
};

impl Session {
    /// Takes an event of the link.
    pub fn link_event(&mut self, event: LinkEvent<'_>, now: Duration) {
        if !matches!(self.phase, Phase::Running | Phase::Leaving { .. }) {
            return;
        }
        let done = match event {
            LinkEvent::Delivery { consumer, delivery, redelivered, settled, message } => {
                self.delivered(consumer, delivery, redelivered, settled, message);
                Ok(())
            }
            LinkEvent::Confirmed { up_to } => {
                self.confirmed(up_to);
                Ok(())
            }
            LinkEvent::Answer { op, code: code::OK, .. } => self.answered(op),
            LinkEvent::Answer { op, code, text } => {
                let receipt = self.receipts.take_failed(op);
                Err(Fault::told(code, text).with_receipt(receipt))
            }
            LinkEvent::Refused { seq, code, text } => {
                let receipt = self.receipts.take_refused(seq);
                if code != code::RESOURCE_ERROR {
                    Err(Fault::told(code, text).with_receipt(receipt))
                } else if receipt.is_some() {
                    // The link goes on; who did not ask for a receipt is not told.
                    Err(Fault { is_fatal: false, ..Fault::told(code, text) }.with_receipt(receipt))
                } else {
                    Ok(())
                }
            }
            LinkEvent::Cancelled { consumer } => self.cancelled(consumer),
            LinkEvent::Closed { code, text } => Err(Fault::told(code, text)),
        };
        match done {
            Ok(()) => {
                self.leave(now);
                self.note_output(now);
            }
            Err(fault) => self.fail(fault, now),
        }
    }

    /// The broker has ended a subscription, since its queue is gone.
    fn cancelled(&mut self, consumer: u64) -> Result<(), Fault> {
        let Some(one) = self.subscriptions.get(consumer).filter(|one| !one.has_ended) else {
            self.subscriptions.cancelled(consumer);
            return Ok(());
        };
        let detail = format!(
            "The server has canceled a subscription.\nNo more messages will be delivered for {}.\n",
            one.described()
        );
        let subscription = one.id().map(ByteString::from);
        let tag = one.tag.clone();
        self.subscriptions.cancelled(consumer);
        self.forget_temp_queue(&tag);
        self.sending.forget_all_declared();
        Err(Fault { subscription, ..Fault::new("Server cancelled subscription", detail) })
    }

    fn delivered(
        &mut self,
        consumer: u64,
        delivery: u64,
        redelivered: bool,
        settled: bool,
        message: Message<'_>,
    ) {
        let Some(one) = self.subscriptions.get(consumer).filter(|one| settled || !one.has_ended) else {
            // Its subscription ended while it was on its way.
            if !settled {
                self.io.settle(Settle { delivery, outcome: Outcome::Requeue });
            }
            return;
        };
        let mut frame = FrameWriter::new(&mut self.io.out, "MESSAGE", self.version);
        if let Some(id) = one.id() {
            frame.header("subscription", id.as_bytes());
        }
        frame.raw("destination", |out, version| {
            destination::put(out, message.exchange, message.routing_key, version);
        });
        let id = self.id;
        let message_id = |out: &mut bytes::BytesMut, version| {
            escape(out, one.tag.as_bytes(), version);
            out.put_slice(b"@@");
            out.put_slice(SESSION.as_bytes());
            out.put_slice(&id);
            out.put_slice(b"@@");
            out.put_slice(itoa::Buffer::new().format(delivery).as_bytes());
        };
        frame.raw("message-id", message_id);
        frame.plain("redelivered", if redelivered { "true" } else { "false" });
        if self.version == Version::V1_2 && one.mode != AckMode::Auto {
            frame.raw("ack", message_id);
        }
        put_headers(&mut frame, message.properties);
        frame.body(message.body);
        if !settled {
            self.subscriptions.delivered(consumer, delivery);
        }
    }
}
