//! Direct reply-to: a pseudo-queue `amq.rabbitmq.reply-to`, which a link consumes to be answered without declaring a
//! queue. Behind it is a queue of the connection's own under a name nobody can guess.

use std::sync::Arc;

use bytes::Bytes;

use crate::error::Error;
use crate::link::LinkCore;
use crate::names;
use crate::properties::Properties;

/// Name of the pseudo-queue.
pub(crate) const NAME: &str = names::DIRECT_REPLY;

/// Whether a queue name is the pseudo-queue or one behind it.
pub(crate) fn is_reply_queue(name: &str) -> bool {
    name.strip_prefix(NAME).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A fresh name for a queue behind it.
pub(crate) fn fresh_name() -> String {
    format!("{NAME}.{}.{}", names::random(), names::random())
}

/// Whether properties ask for answers through the pseudo-queue.
pub(crate) fn is_asked_for(properties: &[u8]) -> bool {
    // Bit 9 of the flags: most messages have no reply-to.
    const REPLY_TO: u8 = 1 << 1;
    properties.first().is_some_and(|flags| flags & REPLY_TO != 0)
        && Properties::parse(properties).is_ok_and(|read| read.reply_to == Some(NAME.as_bytes()))
}

/// The properties with the real address in place of the pseudo one.
pub(crate) fn addressed(properties: &[u8], link: &Arc<LinkCore>) -> Result<Bytes, Error> {
    let Some(name) = link.reply_queue.lock().clone() else {
        return Err(Error::precondition("fast reply consumer does not exist"));
    };
    let read = Properties::parse(properties).unwrap_or_default();
    Ok(Properties { reply_to: Some(name.as_bytes()), ..read }.encode())
}
