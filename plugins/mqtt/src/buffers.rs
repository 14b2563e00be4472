//! Buffers that a thread's connections take turns with, so that an idle one holds none.

use std::{cell::Cell, mem};

use bytes::BytesMut;

/// What one read may bring.
const READ_BYTES: usize = 64 * 1024;
/// Room that output begins with.
const WRITE_BYTES: usize = 16 * 1024;
/// A larger buffer is freed instead of kept for the next connection.
const KEPT_MAX_BYTES: usize = 1024 * 1024;
/// Half a packet up to this size is moved out of the thread's buffer.
const REST_BYTES: usize = 1024;

thread_local! {
    static INPUT: Cell<Option<BytesMut>> = Cell::default();
    static OUTPUT: Cell<Option<BytesMut>> = Cell::default();
}

/// What was read from a client and not handled yet.
#[derive(Debug, Default)]
pub(crate) struct Input {
    /// The bytes.
    pub(crate) bytes: BytesMut,
    /// Whether they are in a thread's buffer.
    is_lent: bool,
}

impl Input {
    /// Makes room for a read, behind what is there.
    pub(crate) fn lend(&mut self) {
        if !self.is_lent && self.bytes.len() <= REST_BYTES {
            let rest = mem::replace(&mut self.bytes, INPUT.take().unwrap_or_default());
            self.bytes.clear();
            self.bytes.reserve(READ_BYTES);
            self.bytes.extend_from_slice(&rest);
        }
        self.is_lent = true;
        self.bytes.reserve(READ_BYTES);
    }

    /// Takes the room back, but for what half a packet needs.
    pub(crate) fn give_back(&mut self) {
        if !self.is_lent || self.bytes.len() > REST_BYTES {
            return;
        }
        self.is_lent = false;
        let rest = BytesMut::from(&self.bytes[..]);
        keep(&INPUT, mem::replace(&mut self.bytes, rest));
    }
}

/// Gives an output that has no room some.
pub(crate) fn lend_output(output: &mut BytesMut) {
    if output.capacity() == 0 {
        *output = OUTPUT.take().unwrap_or_default();
        output.reserve(WRITE_BYTES);
    }
}

/// Takes the room of an empty output back.
pub(crate) fn give_back_output(output: &mut BytesMut) {
    if output.is_empty() {
        keep(&OUTPUT, mem::take(output));
    }
}

fn keep(place: &'static std::thread::LocalKey<Cell<Option<BytesMut>>>, mut buffer: BytesMut) {
    buffer.clear();
    if buffer.capacity() <= KEPT_MAX_BYTES {
        place.set(Some(buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_holds_no_room() {
        let (mut input, mut output) = (Input::default(), BytesMut::new());
        for _ in 0..3 {
            input.lend();
            assert!(input.bytes.is_empty() && input.bytes.capacity() >= READ_BYTES);
            input.give_back();
            lend_output(&mut output);
            assert!(output.is_empty() && output.capacity() >= WRITE_BYTES);
            give_back_output(&mut output);
            assert_eq!((input.bytes.capacity(), output.capacity()), (0, 0));
        }
    }

    #[test]
    fn connections_take_turns_with_one_buffer() {
        let (mut one, mut other) = (Input::default(), Input::default());
        one.lend();
        one.bytes.extend_from_slice(&[1; 1000]);
        let at = one.bytes.as_ptr();
        // All of it was handled.
        drop(one.bytes.split());
        one.give_back();
        other.lend();
        assert_eq!(other.bytes.as_ptr(), at);
    }

    #[test]
    fn half_a_packet_stays_and_needs_no_more_than_its_size() {
        let mut input = Input::default();
        input.lend();
        input.bytes.extend_from_slice(b"half a pac");
        input.give_back();
        assert_eq!((&input.bytes[..], input.bytes.capacity()), (&b"half a pac"[..], 10));
        // A turn in which nothing was read changes nothing.
        let at = input.bytes.as_ptr();
        input.give_back();
        assert_eq!(input.bytes.as_ptr(), at);
        input.lend();
        assert!(input.bytes.capacity() >= READ_BYTES + 10);
        input.bytes.extend_from_slice(b"ket");
        assert_eq!(&input.bytes[..], b"half a packet");
    }

    #[test]
    fn a_large_half_packet_is_not_copied_again_and_again() {
        let mut input = Input::default();
        input.lend();
        input.bytes.extend_from_slice(&[1; 2 * REST_BYTES]);
        let at = input.bytes.as_ptr();
        input.give_back();
        assert_eq!(input.bytes.as_ptr(), at);
    }

    #[test]
    fn output_that_waits_keeps_its_room() {
        let mut output = BytesMut::new();
        lend_output(&mut output);
        output.extend_from_slice(b"waits");
        give_back_output(&mut output);
        lend_output(&mut output);
        assert_eq!(&output[..], b"waits");
    }
}
