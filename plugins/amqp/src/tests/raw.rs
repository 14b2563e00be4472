//! A client that speaks frame by frame.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use kuzzle_amqp_proto::codec::{
    content::{Address, Content, ContentWriter},
    frame::{self, Frame, PROTOCOL_HEADER, Payload},
    method::{Method, basic, channel, connection, queue},
    properties::NO_PROPERTIES,
    table::{TableBuilder, Value},
};

use super::Running;

/// How long a frame may take that should come at once, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

const FRAME_MAX: u32 = 131_072;

pub(super) struct Client {
    pub(super) socket: TcpStream,
    read: BytesMut,
    written: BytesMut,
}

impl Client {
    /// A socket on which nothing was said.
    pub(super) fn connect(running: &Running) -> Client {
        let socket = TcpStream::connect(running.host.address()).expect("it accepts");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_nodelay(true).expect("a socket");
        Client { socket, read: BytesMut::new(), written: BytesMut::new() }
    }

    /// A connection that is open, with heartbeats every so many seconds, and channel 1 on it.
    pub(super) fn open(running: &Running, heartbeat: u16) -> Client {
        let mut client = Client::connect(running);
        client.say_open(heartbeat, "guest");
        client.send();
        client.expect_open();
        client
    }

    /// Writes all that opens a connection and channel 1, as those do that wait for nothing.
    pub(super) fn say_open(&mut self, heartbeat: u16, password: &str) {
        self.written.extend_from_slice(&PROTOCOL_HEADER);
        let capabilities = TableBuilder::new().field("connection.blocked", Value::Bool(true)).build();
        let properties = TableBuilder::new().field("capabilities", Value::Table(capabilities.view()));
        self.say(
            0,
            connection::StartOk {
                client_properties: properties.build(),
                mechanism: "PLAIN".into(),
                response: Bytes::from(format!("\0guest\0{password}")),
                locale: "en_US".into(),
            },
        );
        self.say(0, connection::TuneOk { channel_max: 10, frame_max: FRAME_MAX, heartbeat });
        self.say(0, connection::Open { virtual_host: "/".into(), ..connection::Open::default() });
        self.say(1, channel::Open::default());
    }

    pub(super) fn expect_open(&mut self) {
        assert!(matches!(self.method(), (0, Method::ConnectionStart(_))));
        assert!(matches!(self.method(), (0, Method::ConnectionTune(_))));
        assert!(matches!(self.method(), (0, Method::ConnectionOpenOk(_))));
        assert!(matches!(self.method(), (1, Method::ChannelOpenOk(_))));
    }

    /// Adds a method to what is sent next.
    pub(super) fn say(&mut self, channel: u16, method: impl Into<Method>) {
        method.into().encode(channel, &mut self.written);
    }

    /// Adds a message to a queue to what is sent next.
    pub(super) fn publish(&mut self, queue: &str, body: &[u8]) {
        let mut contents = ContentWriter { out: &mut self.written, channel: 1, frame_max: FRAME_MAX };
        let address = Address { exchange: "", routing_key: queue };
        contents.publish(false, address, Content { properties: NO_PROPERTIES, body });
    }

    /// Adds what makes a queue, and a consumer of it that acknowledges nothing.
    pub(super) fn say_consume(&mut self, queue: &str, no_ack: bool) {
        self.say(1, queue::Declare { queue: queue.into(), ..queue::Declare::default() });
        self.say(1, basic::Consume { queue: queue.into(), no_ack, ..basic::Consume::default() });
    }

    pub(super) fn expect_consumer(&mut self) {
        assert!(matches!(self.method(), (1, Method::QueueDeclareOk(_))));
        assert!(matches!(self.method(), (1, Method::BasicConsumeOk(_))));
    }

    /// What would be sent next.
    pub(super) fn take_written(&mut self) -> BytesMut {
        self.written.split()
    }

    pub(super) fn send(&mut self) {
        let written = self.take_written();
        self.socket.write_all(&written).expect("it is written");
    }

    /// The next frame; none when the server has closed the socket.
    pub(super) fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = frame::decode(&mut self.read, FRAME_MAX).expect("a frame") {
                return Some(frame);
            }
            let mut octets = [0; 65_536];
            match self.socket.read(&mut octets).expect("something in time") {
                0 => return None,
                read => self.read.extend_from_slice(&octets[..read]),
            }
        }
    }

    /// The next frame, which is a method.
    pub(super) fn method(&mut self) -> (u16, Method) {
        match self.frame() {
            Some(Frame { channel, payload: Payload::Method(octets) }) => {
                (channel, Method::decode(&octets).expect("a method"))
            }
            other => panic!("expected a method, got {other:?}"),
        }
    }

    /// The body of the next delivery.
    pub(super) fn delivery(&mut self) -> Vec<u8> {
        let (_, method) = self.method();
        assert!(matches!(method, Method::BasicDeliver(_)), "{method:?}");
        let Some(Frame { payload: Payload::Header(header), .. }) = self.frame() else { panic!("a header") };
        let size = frame::ContentHeader::decode(&header).expect("a header").body_size;
        let mut body = Vec::new();
        while (body.len() as u64) < size {
            let Some(Frame { payload: Payload::Body(part), .. }) = self.frame() else { panic!("a body") };
            body.extend_from_slice(&part);
        }
        body
    }

    /// Closes the connection in order.
    pub(super) fn close(mut self) {
        self.say(0, connection::Close { reply_code: 200, ..connection::Close::default() });
        self.send();
        loop {
            if let (_, Method::ConnectionCloseOk(_)) = self.method() {
                break;
            }
        }
        assert_eq!(self.frame(), None);
    }
}
