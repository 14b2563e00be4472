//! Queues that a frame's destination needs, and what its headers want of them.

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use super::{
    Operation, Session,
    fault::{Fault, shown},
};
use crate::{
    codec::Frame,
    destination::{Destination, NotADestination},
    message::{put_field, put_number},
};

/// Arguments of queues that are numbers.
const NUMBERS: [&str; 5] =
    ["x-message-ttl", "x-expires", "x-max-length", "x-max-length-bytes", "x-max-priority"];
/// Arguments of queues that are texts.
const TEXTS: [&str; 5] =
    ["x-dead-letter-exchange", "x-dead-letter-routing-key", "x-overflow", "x-queue-type", "x-queue-mode"];
/// Names of queues longer than that are no names (AMQP's short strings).
const NAME_MAX: usize = 255;

/// What headers want of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wishes {
    pub(super) durable: Option<bool>,
    pub(super) auto_delete: Option<bool>,
    pub(super) exclusive: Option<bool>,
    pub(super) arguments: Bytes,
}

impl Wishes {
    /// Reads them. `persistent` is another word for `durable` where it does not say how messages are kept.
    pub(super) fn of(frame: &Frame, is_subscribe: bool) -> Result<Wishes, Fault> {
        let mut wishes =
            Wishes { durable: None, auto_delete: None, exclusive: None, arguments: Bytes::new() };
        let mut arguments = BytesMut::new();
        for (name, value) in frame.headers() {
            let flag = match &*name {
                "durable" => &mut wishes.durable,
                "persistent" if is_subscribe => {
                    wishes.durable = wishes.durable.or(Some(&*value == "true"));
                    continue;
                }
                "auto-delete" => &mut wishes.auto_delete,
                "exclusive" => &mut wishes.exclusive,
                name if NUMBERS.contains(&name) => {
                    let number = value.trim().parse().map_err(|_| {
                        let value = shown(&value);
                        Fault::processing(format_args!(
                            "the header '{name}' is '{value}', which is not a number\n"
                        ))
                    })?;
                    put_number(&mut arguments, name, number);
                    continue;
                }
                name if TEXTS.contains(&name) => {
                    put_field(&mut arguments, name, &value)
                        .map_err(|bad| Fault::processing(format_args!("{bad}\n")))?;
                    continue;
                }
                _ => continue,
            };
            *flag = Some(&*value == "true");
        }
        wishes.arguments = arguments.freeze();
        Ok(wishes)
    }

    /// Whether nothing is wished for: a queue that is there will do then.
    fn is_none(&self) -> bool {
        self.durable.is_none()
            && self.auto_delete.is_none()
            && self.exclusive.is_none()
            && self.arguments.is_empty()
    }
}

/// A destination as clients write it, and its place among those of a command.
pub(super) fn parse(text: &str, command: &str) -> Result<Destination, Fault> {
    let destination = Destination::parse(text).map_err(|error| match error {
        NotADestination::Unknown => Fault::new(
            "Unknown destination",
            format_args!(
                "'{}' is not a valid destination.\nValid destination types are: /temp-queue, /exchange, /topic, /queue, /amq/queue, /reply-queue/.\n",
                shown(text)
            ),
        ),
        NotADestination::Invalid { kind, rest } => Fault::new(
            "Invalid destination",
            format_args!("'{}' is not a valid {kind} destination\n", shown(rest)),
        ),
    })?;
    let names = match &destination {
        Destination::TempQueue(_) => {
            let detail = format_args!("'{}' is not a valid destination for '{command}'\n", shown(text));
            return Err(Fault::new("Invalid destination", detail));
        }
        Destination::Queue(name) | Destination::ExistingQueue(name) => [name, name],
        Destination::Exchange { exchange, key } => [exchange, key],
    };
    if names.iter().any(|name| name.len() > NAME_MAX) {
        let detail = format_args!("'{}' has a name of more than {NAME_MAX} octets\n", shown(text));
        return Err(Fault::new("Invalid destination", detail));
    }
    Ok(destination)
}

impl Session {
    /// Declares a queue of everybody's, unless this connection has.
    pub(super) fn declare_shared(&mut self, name: &ByteString, wishes: &Wishes) {
        if !self.sending.note_declared(name) {
            return;
        }
        let declare = Operation::DeclareQueue {
            name: name.clone(),
            durable: wishes.durable.unwrap_or(true),
            exclusive: wishes.exclusive.unwrap_or(false),
            auto_delete: wishes.auto_delete.unwrap_or(false),
            any: wishes.is_none(),
            arguments: wishes.arguments.clone(),
        };
        self.io.call(0, declare);
    }
}
