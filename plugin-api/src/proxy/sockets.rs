//! Sockets beside the stream.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::abi::SocketHandle;

/// The sockets on their way from one half to the other, by number.
///
/// Inside one process a number is all that needs to cross: the sockets wait here until the other half takes them. Between
/// two processes the descriptors travel with the bytes of the frame that names them, as `SCM_RIGHTS` control messages,
/// and the numbers count them in that order: then the sender's [`put`](Sockets::put) queues a descriptor for the next
/// write, and the receiver's reader fills the table that [`take`](Sockets::take) looks into.
#[derive(Default)]
pub(super) struct Sockets(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    next: u64,
    sockets: HashMap<u64, SocketHandle>,
}

impl Sockets {
    /// Hands a socket over, and gives the number to name it by.
    pub(super) fn put(&self, socket: SocketHandle) -> u64 {
        let mut waiting = self.0.lock();
        let number = waiting.next;
        waiting.next += 1;
        waiting.sockets.insert(number, socket);
        number
    }

    /// Takes over the socket of that number; none when there is no such one, or it was taken.
    pub(super) fn take(&self, number: u64) -> Option<SocketHandle> {
        self.0.lock().sockets.remove(&number)
    }
}
