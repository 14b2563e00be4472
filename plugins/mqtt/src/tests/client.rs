//! A client that speaks packet by packet.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use kuzzle_mqtt_proto::codec::{
    Ack, ConnAck, Connect, Decoder, Disconnect, Limits, Packet, Properties, Publish, QoS, ReasonCode, SubAck,
    Subscribe, SubscribeFilter, SubscriptionOptions, Version,
};

use super::Running;

/// How long a packet may take that should come at once, on the slowest machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

pub(super) struct Client {
    pub(super) socket: TcpStream,
    version: Version,
    decoder: Decoder,
    read: BytesMut,
    last_id: u16,
}

/// A CONNECT of a client that starts anew.
pub(super) fn connect(version: Version, client_id: &str) -> Connect {
    Connect {
        version,
        clean_start: true,
        keep_alive_secs: 0,
        client_id: client_id.into(),
        will: None,
        username: None,
        password: None,
        properties: Properties::NONE,
    }
}

/// A message without properties.
pub(super) fn publish(topic: &str, qos: QoS, payload: impl Into<Bytes>) -> Publish {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: topic.into(),
        packet_id: 0,
        properties: Properties::NONE,
        payload: payload.into(),
    }
}

/// An acknowledgement that says yes.
pub(super) fn ack(packet_id: u16) -> Ack {
    Ack { packet_id, reason: ReasonCode::Success, properties: Properties::NONE }
}

/// A normal disconnection.
pub(super) fn leave() -> Packet {
    Packet::Disconnect(Disconnect { reason: ReasonCode::Success, properties: Properties::NONE })
}

impl Client {
    /// A socket on which nothing was said.
    pub(super) fn open(running: &Running, version: Version) -> Self {
        let socket = TcpStream::connect(running.host.address()).expect("it accepts");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_nodelay(true).expect("a socket");
        let decoder = Decoder::with_version(version);
        Self { socket, version, decoder, read: BytesMut::new(), last_id: 0 }
    }

    /// A client that has asked to connect, and the answer.
    pub(super) fn ask(running: &Running, connect: Connect) -> (Self, ConnAck) {
        let mut client = Self::open(running, connect.version);
        client.send(&Packet::Connect(Box::new(connect)));
        match client.receive() {
            Packet::ConnAck(answer) => (client, answer),
            other => panic!("{other:?} instead of CONNACK"),
        }
    }

    /// A client that is connected.
    pub(super) fn connect(running: &Running, connect: Connect) -> Self {
        let (client, answer) = Self::ask(running, connect);
        assert_eq!(answer.code, 0, "{answer:?}");
        client
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("it is read");
    }

    pub(super) fn encode(&self, packets: &[Packet]) -> BytesMut {
        let mut bytes = BytesMut::new();
        for packet in packets {
            packet.encode(self.version, &mut bytes).expect("it can be encoded");
        }
        bytes
    }

    /// Sends packets in one write.
    pub(super) fn send_all(&mut self, packets: &[Packet]) {
        let bytes = self.encode(packets);
        self.write(&bytes);
    }

    pub(super) fn send(&mut self, packet: &Packet) {
        self.send_all(std::slice::from_ref(packet));
    }

    /// The next packet; none when the server has closed the connection.
    pub(super) fn next(&mut self) -> Option<Packet> {
        let limits = Limits { packet_max_bytes: usize::MAX, ..Limits::default() };
        let mut bytes = [0; 65_536];
        loop {
            if let Some(packet) = self.decoder.decode(&mut self.read, &limits).expect("a packet") {
                return Some(packet);
            }
            match self.socket.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.read.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no packet came: {error}"),
            }
        }
    }

    pub(super) fn receive(&mut self) -> Packet {
        self.next().expect("the connection is open")
    }

    /// The next packet, which is a message.
    pub(super) fn message(&mut self) -> Publish {
        match self.receive() {
            Packet::Publish(publish) => publish,
            other => panic!("{other:?} instead of PUBLISH"),
        }
    }

    /// Waits for the end of the connection, and gives what came before it.
    pub(super) fn rest(&mut self) -> Vec<Packet> {
        std::iter::from_fn(|| self.next()).collect()
    }

    pub(super) fn next_id(&mut self) -> u16 {
        self.last_id += 1;
        self.last_id
    }

    /// Asks for subscriptions of one QoS, and gives what they are answered.
    pub(super) fn subscribe(&mut self, filters: &[&str], qos: QoS) -> Vec<u8> {
        let packet_id = self.next_id();
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        let filters =
            filters.iter().map(|filter| SubscribeFilter { filter: (*filter).into(), options }).collect();
        self.send(&Packet::Subscribe(Subscribe { packet_id, filters, properties: Properties::NONE }));
        match self.receive() {
            Packet::SubAck(SubAck { packet_id: answered, codes, .. }) if answered == packet_id => codes,
            other => panic!("{other:?} instead of SUBACK"),
        }
    }

    /// Publishes with QoS 1, and waits for the answer.
    pub(super) fn publish(&mut self, mut publish: Publish) -> ReasonCode {
        publish.packet_id = self.next_id();
        publish.qos = QoS::AtLeastOnce;
        let packet_id = publish.packet_id;
        self.send(&Packet::Publish(publish));
        match self.receive() {
            Packet::PubAck(ack) if ack.packet_id == packet_id => ack.reason,
            other => panic!("{other:?} instead of PUBACK"),
        }
    }
}
