//! Clients that speak to the broker of the tests through real sessions.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use kuzzle_mqtt_proto::{
    codec::{Connect, Decoder, Limits, Packet, Version},
    session::{Action, Config, Delivery, Event, Session},
};

use super::broker::{Broker, Outgoing};

/// One client's connection.
pub struct Connection {
    pub session: Session,
    pub input: BytesMut,
    decoder: Decoder,
    version: Version,
    /// Whether the server has closed it.
    pub closed: bool,
}

/// Broker, connections and a clock.
pub struct Net {
    pub broker: Broker,
    pub connections: Vec<Connection>,
    pub now: Duration,
    pub config: Arc<Config>,
    /// Expiry that deliveries are told.
    pub expires_in: Option<Duration>,
}

impl Net {
    pub fn new(config: Config) -> Net {
        Net {
            broker: Broker::default(),
            connections: Vec::new(),
            now: Duration::ZERO,
            config: Arc::new(config),
            expires_in: None,
        }
    }

    /// A connection over which nothing was sent.
    pub fn open(&mut self, version: Version) -> usize {
        let session = Session::new(self.config.clone(), self.connections.len() as u128, self.now);
        self.connections.push(Connection {
            session,
            input: BytesMut::new(),
            decoder: Decoder::with_version(version),
            version,
            closed: false,
        });
        self.connections.len() - 1
    }

    pub fn connect(&mut self, connect: Connect) -> (usize, Vec<Packet>) {
        let at = self.open(connect.version);
        let answers = self.exchange(at, Packet::Connect(Box::new(connect)));
        (at, answers)
    }

    /// A connection that was accepted.
    pub fn connected(&mut self, connect: Connect) -> usize {
        let (at, answers) = self.connect(connect);
        assert!(matches!(&answers[0], Packet::ConnAck(connack) if connack.code == 0), "{answers:?}");
        at
    }

    pub fn send(&mut self, at: usize, packet: &Packet) {
        let connection = &mut self.connections[at];
        packet.encode(connection.version, &mut connection.input).unwrap();
    }

    pub fn send_bytes(&mut self, at: usize, bytes: &[u8]) {
        self.connections[at].input.extend_from_slice(bytes);
    }

    /// Sends, lets everybody work, and reads what came back.
    pub fn exchange(&mut self, at: usize, packet: Packet) -> Vec<Packet> {
        self.send(at, &packet);
        self.run();
        self.receive(at)
    }

    pub fn receive(&mut self, at: usize) -> Vec<Packet> {
        let connection = &mut self.connections[at];
        let mut packets = Vec::new();
        let out = connection.session.output();
        while let Some(packet) = connection.decoder.decode(out, &Limits::default()).unwrap() {
            packets.push(packet);
        }
        assert!(out.is_empty(), "half a packet was written: {out:?}");
        packets
    }

    pub fn output(&mut self, at: usize) -> BytesMut {
        std::mem::take(self.connections[at].session.output())
    }

    /// The socket breaks: what is under way either way is gone.
    pub fn lose(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        connection.input.clear();
        connection.session.handle_lost();
        self.run();
        self.connections[at].session.output().clear();
    }

    pub fn wait(&mut self, secs: u64) {
        self.now += Duration::from_secs(secs);
        for connection in &mut self.connections {
            connection.session.handle_timeout(self.now);
        }
        self.run();
    }

    pub fn unblock(&mut self, at: usize) {
        self.broker.takes = None;
        self.connections[at].session.handle_event(Event::Unblocked, self.now);
        self.run();
    }

    /// Until nobody has anything to do.
    pub fn run(&mut self) {
        let mut busy = true;
        while busy {
            busy = false;
            for at in 0..self.connections.len() {
                busy |= self.step(at);
            }
        }
    }

    /// Lets one connection work, once; whether it had anything to do.
    pub fn step(&mut self, at: usize) -> bool {
        let connection = &mut self.connections[at];
        let before = connection.input.len();
        if connection.session.wants_input() {
            connection.session.handle_input(&mut connection.input, self.now);
        }
        let mut busy = connection.input.len() < before;
        while let Some(action) = connection.session.poll_action() {
            busy = true;
            connection.closed |= action == Action::Close;
            if let Some(rest) = self.broker.apply(at, action) {
                connection.session.publish_again(rest);
            }
        }
        while connection.session.wants_events()
            && let Some(event) = self.broker.take(at)
        {
            busy = true;
            hand_over(&mut connection.session, &event, self.now, self.expires_in);
        }
        busy
    }
}

fn hand_over(session: &mut Session, event: &Outgoing, now: Duration, expires_in: Option<Duration>) {
    let event = match event {
        Outgoing::Answer(op, code, existed, text) => {
            Event::Answer { op: *op, code: *code, existed: *existed, text }
        }
        Outgoing::Binding(binding) => {
            Event::Binding { id: binding.id, routing_key: &binding.key, options: &binding.options }
        }
        Outgoing::Note(key, value) => Event::Note { key, value },
        Outgoing::Delivery { delivery, consumer, tag, received, settled, entry } => {
            Event::Delivery(Delivery {
                delivery: *delivery,
                consumer: *consumer,
                tag: *tag,
                redelivered: entry.redelivered,
                retained: entry.retained,
                received: *received,
                settled: *settled,
                binding: entry.bindings.first().copied().unwrap_or(0),
                more_bindings: entry.bindings.get(1..).unwrap_or_default(),
                routing_key: &entry.message.key,
                properties: &entry.message.properties,
                body: &entry.message.body,
                published_retained: entry.message.retain,
                expires_in,
            })
        }
        Outgoing::Confirmed(up_to) => Event::Confirmed { up_to: *up_to },
        Outgoing::Refused(sequence, code) => {
            Event::Refused { sequence: *sequence, code: *code, text: "ACCESS_REFUSED - no" }
        }
        Outgoing::Returned(sequence) => Event::Returned { sequence: *sequence },
        Outgoing::Authenticated(status) => Event::Authenticated { status: *status },
        Outgoing::Entered(code) => Event::Entered { code: *code },
        Outgoing::Cancelled(consumer) => Event::Cancelled { consumer: *consumer },
        Outgoing::Closed(taken_over) => Event::Closed { code: 320, taken_over: *taken_over },
    };
    session.handle_event(event, now);
}
