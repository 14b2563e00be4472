//! Messages on their way to a client: the method, the content header and as many body frames as it takes.
//!
//! A delivery is written with one reservation and no allocation of its own, many of them into one buffer.

use bytes::{BufMut, BytesMut};

use super::{
    frame::{self, CONTENT_HEADER_MIN, FRAME_END, FRAME_OVERHEAD},
    wire::{put_short_str, put_short_string},
};

const BASIC: u16 = 60;

/// Properties and body of a message, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// The encoding from the property flags on.
    pub properties: &'a [u8],
    /// All of the body.
    pub body: &'a [u8],
}

/// Where a message was published to, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Address<'a> {
    /// Name of the exchange; empty: the default exchange.
    pub exchange: &'a str,
    /// Routing key.
    pub routing_key: &'a str,
}

/// Writes contents for one channel of one connection.
#[derive(Debug)]
pub struct ContentWriter<'a> {
    /// Where the frames are appended.
    pub out: &'a mut BytesMut,
    /// The channel.
    pub channel: u16,
    /// The negotiated size of a whole frame; at least [`FRAME_MIN_SIZE`](super::frame::FRAME_MIN_SIZE).
    pub frame_max: u32,
}

impl ContentWriter<'_> {
    /// Appends a `basic.deliver` and its content.
    pub fn deliver(
        &mut self,
        consumer_tag: &str,
        delivery_tag: u64,
        redelivered: bool,
        address: Address<'_>,
        content: Content<'_>,
    ) {
        let names = consumer_tag.len() + address.exchange.len() + address.routing_key.len();
        self.reserve(16 + names, content);
        self.method(60, |out| {
            put_short_str(out, consumer_tag);
            out.put_u64(delivery_tag);
            out.put_u8(redelivered.into());
            put_short_str(out, address.exchange);
            put_short_str(out, address.routing_key);
        });
        self.content(content);
    }

    /// Appends a `basic.get-ok` and its content. `message_count` is how many messages the queue has left.
    pub fn get_ok(
        &mut self,
        delivery_tag: u64,
        redelivered: bool,
        address: Address<'_>,
        message_count: u32,
        content: Content<'_>,
    ) {
        self.reserve(20 + address.exchange.len() + address.routing_key.len(), content);
        self.method(71, |out| {
            out.put_u64(delivery_tag);
            out.put_u8(redelivered.into());
            put_short_str(out, address.exchange);
            put_short_str(out, address.routing_key);
            out.put_u32(message_count);
        });
        self.content(content);
    }

    /// Appends a `basic.return` and its content.
    pub fn returned(
        &mut self,
        reply_code: u16,
        reply_text: &str,
        address: Address<'_>,
        content: Content<'_>,
    ) {
        let names = reply_text.len() + address.exchange.len() + address.routing_key.len();
        self.reserve(9 + names, content);
        self.method(50, |out| {
            out.put_u16(reply_code);
            put_short_str(out, reply_text);
            put_short_str(out, address.exchange);
            put_short_str(out, address.routing_key);
        });
        self.content(content);
    }

    /// Appends a `basic.publish` and its content: what a client sends.
    pub fn publish(&mut self, mandatory: bool, address: Address<'_>, content: Content<'_>) {
        self.reserve(9 + address.exchange.len() + address.routing_key.len(), content);
        self.method(40, |out| {
            out.put_u16(0);
            put_short_string(out, address.exchange.as_bytes());
            put_short_string(out, address.routing_key.as_bytes());
            out.put_u8(mandatory.into());
        });
        self.content(content);
    }

    fn reserve(&mut self, method: usize, content: Content<'_>) {
        let frames = 3 + content.body.len() / self.body_max();
        let payload = method + CONTENT_HEADER_MIN + content.properties.len() + content.body.len();
        self.out.reserve(frames * FRAME_OVERHEAD + payload);
    }

    fn method(&mut self, method: u16, arguments: impl FnOnce(&mut BytesMut)) {
        frame::put_with(self.out, frame::METHOD, self.channel, |out| {
            out.put_u16(BASIC);
            out.put_u16(method);
            arguments(out);
        });
    }

    /// The header frame, then the body in parts. A header cannot be split: properties that came in larger frames than
    /// this connection has agreed on go out as they are.
    fn content(&mut self, content: Content<'_>) {
        let Content { properties, body } = content;
        frame::put_head(self.out, frame::HEADER, self.channel, CONTENT_HEADER_MIN + properties.len());
        self.out.put_u32(u32::from(BASIC) << 16);
        self.out.put_u64(body.len() as u64);
        self.out.put_slice(properties);
        self.out.put_u8(FRAME_END);
        for part in body.chunks(self.body_max()) {
            frame::put(self.out, frame::BODY, self.channel, part);
        }
    }

    fn body_max(&self) -> usize {
        (self.frame_max as usize).saturating_sub(FRAME_OVERHEAD).max(1)
    }
}
