//! Frames to bytes.

use bytes::{BufMut, BytesMut};

use super::{Version, escape};

/// Appends one frame of the server: its command, then headers, then its end. Each frame ends with the NUL octet and a line
/// feed.
#[derive(Debug)]
pub struct FrameWriter<'a> {
    out: &'a mut BytesMut,
    version: Version,
}

impl<'a> FrameWriter<'a> {
    /// A frame of that command. `version` says how headers are escaped.
    pub fn new(out: &'a mut BytesMut, command: &str, version: Version) -> FrameWriter<'a> {
        out.put_slice(command.as_bytes());
        out.put_u8(b'\n');
        FrameWriter { out, version }
    }

    /// A header whose name has nothing to escape.
    pub fn header(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.raw(name, |out, version| escape(out, value, version))
    }

    /// A header whose name may be anything.
    pub fn custom(&mut self, name: &[u8], value: &[u8]) -> &mut Self {
        if self.version == Version::V1_0 {
            // A colon ends a name, and there is no way to write one.
            for octet in name {
                let octet = if matches!(octet, b':' | b'\n' | b'\r') { b'_' } else { *octet };
                self.out.put_u8(octet);
            }
        } else {
            escape(self.out, name, self.version);
        }
        self.out.put_u8(b':');
        escape(self.out, value, self.version);
        self.out.put_u8(b'\n');
        self
    }

    /// A header of which neither name nor value has anything to escape.
    pub fn plain(&mut self, name: &str, value: &str) -> &mut Self {
        self.raw(name, |out, _| out.put_slice(value.as_bytes()))
    }

    /// A header whose value is a number.
    pub fn number(&mut self, name: &str, value: u64) -> &mut Self {
        self.plain(name, itoa::Buffer::new().format(value))
    }

    /// A header whose value is written by `value`, already escaped for the version that it is given.
    pub fn raw(&mut self, name: &str, value: impl FnOnce(&mut BytesMut, Version)) -> &mut Self {
        self.out.put_slice(name.as_bytes());
        self.out.put_u8(b':');
        value(self.out, self.version);
        self.out.put_u8(b'\n');
        self
    }

    /// Ends the frame without a body.
    pub fn end(&mut self) {
        self.out.put_slice(b"\n\0\n");
    }

    /// Ends the frame with a body and, unless that is empty, its `content-length`.
    pub fn body(&mut self, body: &[u8]) {
        if body.is_empty() {
            return self.end();
        }
        self.number("content-length", body.len() as u64);
        self.out.reserve(body.len() + 3);
        self.out.put_u8(b'\n');
        self.out.put_slice(body);
        self.out.put_slice(b"\0\n");
    }
}
