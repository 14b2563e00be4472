//! A client that speaks frame by frame.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use bytes::BytesMut;
use kuzzle_stomp_proto::codec::{Decoder, Frame, FrameLimits, Version};

use super::Running;

/// How long a frame may take that should come at once, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Client {
    pub(super) socket: TcpStream,
    decoder: Decoder,
    read: BytesMut,
}

impl Client {
    /// A socket on which nothing was said.
    pub(super) fn connect(running: &Running) -> Client {
        let socket = TcpStream::connect(running.host.address()).expect("it accepts");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_nodelay(true).expect("a socket");
        Client { socket, decoder: Decoder::new(), read: BytesMut::new() }
    }

    /// A connection of that version that is open, with that heart-beat.
    pub(super) fn open(running: &Running, version: Version, heart_beat: &str) -> Client {
        let mut client = Client::connect(running);
        client.say(&format!("CONNECT\naccept-version:{version}\nhost:here\nheart-beat:{heart_beat}\n\n\0"));
        assert_eq!(client.expect("CONNECTED").header("version").as_deref(), Some(version.name()));
        client
    }

    pub(super) fn say(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).expect("it is written");
    }

    /// The next frame; none when the server has closed the socket.
    pub(super) fn frame(&mut self) -> Option<Frame> {
        loop {
            let frame =
                self.decoder.decode(&mut self.read, Version::V1_2, &FrameLimits::default()).expect("a frame");
            if frame.is_some() {
                return frame;
            }
            let mut octets = [0; 65_536];
            match self.socket.read(&mut octets) {
                Ok(0) => return None,
                Ok(read) => self.read.extend_from_slice(&octets[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("something has to come in time: {error}"),
            }
        }
    }

    /// The next frame, which is of that command.
    pub(super) fn expect(&mut self, command: &str) -> Frame {
        let frame = self.frame().unwrap_or_else(|| panic!("expected {command}, and the server has left"));
        assert_eq!(frame.command_text(), command, "{frame:?}");
        frame
    }

    /// The body of the next message.
    pub(super) fn message(&mut self) -> Vec<u8> {
        self.expect("MESSAGE").body().to_vec()
    }

    /// Waits for a receipt.
    pub(super) fn receipt(&mut self, id: &str) {
        assert_eq!(self.expect("RECEIPT").header("receipt-id").as_deref(), Some(id));
    }

    /// The text of the next `ERROR`, behind which the server leaves.
    pub(super) fn last_error(&mut self) -> (String, String) {
        let error = self.expect("ERROR");
        assert!(self.frame().is_none());
        let message = error.header("message").expect("a message").into_owned();
        (message, String::from_utf8_lossy(error.body()).into_owned())
    }

    /// Subscribes to a queue.
    pub(super) fn subscribe(&mut self, queue: &str, ack: &str) {
        self.say(&format!("SUBSCRIBE\nid:1\ndestination:/queue/{queue}\nack:{ack}\nreceipt:sub\n\n\0"));
        self.receipt("sub");
    }

    /// Closes the connection in order.
    pub(super) fn close(mut self) {
        self.say("DISCONNECT\nreceipt:bye\n\n\0");
        self.receipt("bye");
        assert!(self.frame().is_none());
    }
}
