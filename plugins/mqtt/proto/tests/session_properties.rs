//! Sessions under any sequence of packets, events and losses.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

mod common;

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use common::{broker::client, net::Net};
use kuzzle_mqtt_proto::{
    codec::{
        Ack, Connect, Decoder, Disconnect, Limits, Packet, Properties, Property, Publish, QoS, ReasonCode,
        Subscribe, SubscribeFilter, SubscriptionOptions, Unsubscribe, Version,
    },
    session::{Action, Config, Delivery, Event, Session},
};
use proptest::{collection::vec, prelude::*, sample::select};

fn ack(packet_id: u16) -> Ack {
    Ack { packet_id, reason: ReasonCode::Success, properties: Properties::NONE }
}

fn lasting(version: Version, id: &str) -> Connect {
    let properties = match version {
        Version::V5 => Properties(vec![Property::SessionExpiryInterval(1000)]),
        _ => Properties::NONE,
    };
    Connect { clean_start: false, keep_alive_secs: 0, properties, ..client(version, id) }
}

/// What may happen to a session that nobody keeps in order.
#[derive(Debug, Clone)]
enum Blow {
    Bytes(Vec<u8>),
    Packet(Packet),
    Answer(u64, u16, bool),
    Confirmed(u64),
    Refused(u64, u16),
    Returned(u64),
    Delivery { tag: u16, flags: u8, binding: u64, consumer: u64, key: String, properties: Vec<u8> },
    Binding(u64, Vec<u8>),
    Note(String, Vec<u8>),
    Login(u16),
    Cancelled(u64),
    Throttled(bool),
    Closed(bool),
    Wait(u16),
    Lost,
    Goodbye,
}

fn blow(version: Version) -> impl Strategy<Value = Blow> {
    let code = || select(vec![200_u16, 200, 200, 403, 404, 506]);
    let key = || select(vec!["a", "a.b", "", "a.#", "$SYS.x"]).prop_map(str::to_owned);
    prop_oneof![
        1 => vec(any::<u8>(), 0..20).prop_map(Blow::Bytes),
        8 => common::packet(version).prop_map(Blow::Packet),
        6 => (0..12_u64, code(), any::<bool>()).prop_map(|(op, code, flag)| Blow::Answer(op, code, flag)),
        2 => (0..20_u64).prop_map(Blow::Confirmed),
        1 => (0..20_u64, code()).prop_map(|(sequence, code)| Blow::Refused(sequence, code)),
        1 => (0..20_u64).prop_map(Blow::Returned),
        4 => (0..5_u16, any::<u8>(), 0..4_u64, 1..4_u64, key(), vec(any::<u8>(), 0..60)).prop_map(
            |(tag, flags, binding, consumer, key, properties)| Blow::Delivery {
                tag, flags, binding, consumer, key, properties,
            }
        ),
        1 => (0..4_u64, vec(0..40_u8, 5)).prop_map(|(id, options)| Blow::Binding(id, options)),
        1 => ("[$a-z/]{0,12}", vec(0..40_u8, 5)).prop_map(|(key, options)| Blow::Note(key, options)),
        3 => code().prop_map(Blow::Login),
        1 => (0..4_u64).prop_map(Blow::Cancelled),
        1 => any::<bool>().prop_map(Blow::Throttled),
        1 => any::<bool>().prop_map(Blow::Closed),
        1 => any::<u16>().prop_map(Blow::Wait),
        1 => Just(Blow::Lost),
        1 => Just(Blow::Goodbye),
    ]
}

fn strike(session: &mut Session, input: &mut BytesMut, blow: &Blow, version: Version, now: &mut Duration) {
    let event = match blow {
        Blow::Bytes(bytes) => {
            input.extend_from_slice(bytes);
            session.handle_input(input, *now);
            return;
        }
        Blow::Packet(packet) => {
            packet.encode(version, input).unwrap();
            session.handle_input(input, *now);
            return;
        }
        Blow::Wait(secs) => {
            *now += Duration::from_secs(u64::from(*secs));
            return session.handle_timeout(*now);
        }
        Blow::Lost => return session.handle_lost(),
        Blow::Goodbye => return session.disconnect(ReasonCode::ServerShuttingDown),
        Blow::Answer(op, code, existed) => {
            Event::Answer { op: *op, code: *code, existed: *existed, text: "q" }
        }
        Blow::Confirmed(up_to) => Event::Confirmed { up_to: *up_to },
        Blow::Refused(sequence, code) => Event::Refused { sequence: *sequence, code: *code, text: "no" },
        Blow::Returned(sequence) => Event::Returned { sequence: *sequence },
        Blow::Delivery { tag, flags, binding, consumer, key, properties } => Event::Delivery(Delivery {
            delivery: 1,
            consumer: *consumer,
            tag: *tag,
            redelivered: flags & 1 != 0,
            retained: flags & 2 != 0,
            // The broker's second phase is of deliveries with a tag.
            received: flags & 4 != 0 && *tag > 0,
            settled: flags & 8 != 0,
            binding: *binding,
            more_bindings: &[2, 3],
            routing_key: key,
            properties,
            body: b"body",
            published_retained: flags & 16 != 0,
            expires_in: (flags & 32 != 0).then_some(Duration::from_millis(u64::from(*flags))),
        }),
        Blow::Binding(id, options) => Event::Binding { id: *id, routing_key: "a.b", options },
        Blow::Note(key, options) => Event::Note { key, value: options },
        Blow::Login(code) => {
            session.handle_event(Event::Authenticated { status: *code }, *now);
            Event::Entered { code: *code }
        }
        Blow::Cancelled(consumer) => Event::Cancelled { consumer: *consumer },
        Blow::Throttled(true) => Event::Throttled,
        Blow::Throttled(false) => Event::Unblocked,
        Blow::Closed(taken_over) => Event::Closed { code: 320, taken_over: *taken_over },
    };
    session.handle_event(event, *now);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_packets_and_events_are_survived_in_bounded_memory(
        (version, connects, blows) in common::versions().prop_flat_map(|version| {
            (Just(version), any::<bool>(), vec(blow(version), 0..60))
        }),
    ) {
        let config = Config { actions_max: 50, pending_max: 5, receive_maximum: 4, subscriptions_max: 8,
            output_high_water_bytes: 2000, ..Config::default() };
        let mut now = Duration::ZERO;
        let mut session = Session::new(Arc::new(config), 1, now);
        let mut input = BytesMut::new();
        let mut closed = 0;
        if connects {
            let steps = [
                Blow::Packet(Packet::Connect(Box::new(lasting(version, "a")))),
                Blow::Login(200), Blow::Answer(1, 200, true), Blow::Answer(2, 200, false),
            ];
            for step in &steps {
                strike(&mut session, &mut input, step, version, &mut now);
            }
        }
        for blow in &blows {
            let before = session.output().len();
            strike(&mut session, &mut input, blow, version, &mut now);
            prop_assert!(session.output().len() <= before.max(2000) + 2000, "output grows without end");
            let mut actions = 0;
            while let Some(action) = session.poll_action() {
                prop_assert_eq!(closed, 0, "something to do after the end: {:?}", action);
                closed += usize::from(action == Action::Close);
                actions += 1;
            }
            prop_assert!(actions < 200);
            prop_assert!(closed == 0 || session.end().is_some());
        }
        // What was written is packets, in the version of the client or of the refusal.
        let mut decoder = Decoder::with_version(session.version());
        let out = session.output();
        while decoder.decode(out, &Limits::default()).unwrap().is_some() {}
        prop_assert!(out.is_empty());
    }
}

/// What clients do that do not mind the protocol.
#[derive(Debug, Clone)]
enum Move {
    Connect { at: usize, lasts: bool },
    Send(usize, Packet),
    Read(usize),
    Lose(usize),
    Wait(u64),
    Amqp(&'static str),
}

fn moves() -> impl Strategy<Value = Move> {
    let topics = || select(vec!["t", "t/1", "u", "t.2"]);
    let filters = || select(vec!["t", "t/#", "+", "#", "$share/g/t/#", "$share/g/u"]);
    let id = || 1..6_u16;
    let send = prop_oneof![
        (topics(), common::qos(), id(), any::<bool>()).prop_map(|(topic, qos, packet_id, retain)| {
            Packet::Publish(Publish {
                dup: false,
                qos,
                retain,
                topic: topic.into(),
                packet_id: if qos > QoS::AtMostOnce { packet_id } else { 0 },
                properties: Properties::NONE,
                payload: Bytes::from_static(b"x"),
            })
        }),
        id().prop_map(|id| Packet::PubAck(ack(id))),
        id().prop_map(|id| Packet::PubRec(ack(id))),
        id().prop_map(|id| Packet::PubRel(ack(id))),
        id().prop_map(|id| Packet::PubComp(ack(id))),
        (filters(), common::qos()).prop_map(|(filter, qos)| {
            let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
            let filters = vec![SubscribeFilter { filter: filter.into(), options }];
            Packet::Subscribe(Subscribe { packet_id: 1, filters, properties: Properties::NONE })
        }),
        filters().prop_map(|filter| {
            let filters = vec![filter.into()];
            Packet::Unsubscribe(Unsubscribe { packet_id: 1, filters, properties: Properties::NONE })
        }),
        Just(Packet::PingReq),
        Just(Packet::Disconnect(Disconnect { reason: ReasonCode::Success, properties: Properties::NONE })),
    ];
    prop_oneof![
        3 => (0..3_usize, any::<bool>()).prop_map(|(at, lasts)| Move::Connect { at, lasts }),
        12 => (0..3_usize, send).prop_map(|(at, packet)| Move::Send(at, packet)),
        3 => (0..3_usize).prop_map(Move::Read),
        2 => (0..3_usize).prop_map(Move::Lose),
        1 => (1..100_u64).prop_map(Move::Wait),
        2 => topics().prop_map(Move::Amqp),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// The broker of the tests panics when it is asked to settle what it did not deliver.
    #[test]
    fn clients_that_do_not_mind_the_protocol_leave_broker_and_sessions_in_order(
        moves in vec(moves(), 0..120),
    ) {
        const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];
        let mut net = Net::new(Config { inflight_max: 3, ..Config::default() });
        let mut connections: [Option<usize>; 3] = [None; 3];
        for step in moves {
            match step {
                Move::Connect { at, lasts } => {
                    let id = format!("client-{at}");
                    let mut connect = lasting(VERSIONS[at], &id);
                    connect.clean_start = !lasts;
                    let connection = net.open(VERSIONS[at]);
                    net.send(connection, &Packet::Connect(Box::new(connect)));
                    connections[at] = Some(connection);
                }
                Move::Send(at, packet) => {
                    if let Some(connection) = connections[at] {
                        net.send(connection, &packet);
                    }
                }
                Move::Read(at) => {
                    if let Some(connection) = connections[at] {
                        net.run();
                        net.receive(connection);
                    }
                }
                Move::Lose(at) => {
                    if let Some(connection) = connections[at].take() {
                        net.lose(connection);
                    }
                }
                Move::Wait(secs) => net.wait(secs),
                Move::Amqp(key) => net.broker.publish(key, &[], b"amqp"),
            }
            net.run();
        }
        for connection in &net.connections {
            prop_assert_eq!(connection.closed, connection.session.end().is_some());
        }
    }
}

/// A client that publishes numbers with QoS 2, and never gives up.
struct Publisher {
    connection: Option<usize>,
    next: u16,
    /// Packet identifier (the number itself) and whether PUBREC has come.
    inflight: Vec<(u16, bool)>,
}

/// A client that subscribes with QoS 2.
struct Subscriber {
    connection: Option<usize>,
    unreleased: HashSet<u16>,
    numbers: Vec<u16>,
}

fn number(packet_id: u16, dup: bool) -> Packet {
    Packet::Publish(Publish {
        dup,
        qos: QoS::ExactlyOnce,
        retain: false,
        topic: "numbers".into(),
        packet_id,
        properties: Properties::NONE,
        payload: Bytes::copy_from_slice(&packet_id.to_be_bytes()),
    })
}

impl Publisher {
    fn act(&mut self, net: &mut Net, version: Version) {
        let Some(at) = self.connection else {
            let at = net.open(version);
            net.send(at, &Packet::Connect(Box::new(lasting(version, "publisher"))));
            for (packet_id, received) in &self.inflight {
                let again =
                    if *received { Packet::PubRel(ack(*packet_id)) } else { number(*packet_id, true) };
                net.send(at, &again);
            }
            self.connection = Some(at);
            return;
        };
        for packet in net.receive(at) {
            match packet {
                Packet::PubRec(got) => {
                    for inflight in &mut self.inflight {
                        inflight.1 |= inflight.0 == got.packet_id;
                    }
                    net.send(at, &Packet::PubRel(ack(got.packet_id)));
                }
                Packet::PubComp(ack) => self.inflight.retain(|inflight| inflight.0 != ack.packet_id),
                _ => {}
            }
        }
    }

    fn publish(&mut self, net: &mut Net) {
        if let Some(at) = self.connection
            && self.inflight.len() < 4
        {
            self.next += 1;
            self.inflight.push((self.next, false));
            net.send(at, &number(self.next, false));
        }
    }
}

impl Subscriber {
    fn act(&mut self, net: &mut Net, version: Version) {
        let Some(at) = self.connection else {
            let at = net.open(version);
            net.send(at, &Packet::Connect(Box::new(lasting(version, "subscriber"))));
            self.connection = Some(at);
            return;
        };
        for packet in net.receive(at) {
            match packet {
                Packet::Publish(publish) => {
                    if self.unreleased.insert(publish.packet_id) {
                        self.numbers.push(u16::from_be_bytes([publish.payload[0], publish.payload[1]]));
                    }
                    net.send(at, &Packet::PubRec(ack(publish.packet_id)));
                }
                Packet::PubRel(got) => {
                    self.unreleased.remove(&got.packet_id);
                    net.send(at, &Packet::PubComp(ack(got.packet_id)));
                }
                _ => {}
            }
        }
    }
}

/// The socket breaks after `kept` more bytes have reached the server.
fn lose(net: &mut Net, connection: &mut Option<usize>, kept: usize) {
    if let Some(at) = connection.take() {
        net.connections[at].input.truncate(kept);
        net.step(at);
        net.lose(at);
    }
}

#[derive(Debug, Clone)]
enum Turn {
    Publish,
    Publisher,
    Subscriber,
    Server,
    LosePublisher(usize),
    LoseSubscriber(usize),
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn mqtt_4_3_3_qos_2_is_exactly_once_whenever_connections_break(
        version in common::versions(),
        turns in vec(
            prop_oneof![
                6 => Just(Turn::Publish),
                6 => Just(Turn::Publisher),
                6 => Just(Turn::Subscriber),
                6 => Just(Turn::Server),
                1 => (0..60_usize).prop_map(Turn::LosePublisher),
                1 => (0..60_usize).prop_map(Turn::LoseSubscriber),
            ],
            0..200,
        ),
    ) {
        let mut net = Net::new(Config { inflight_max: 3, ..Config::default() });
        let at = net.connected(lasting(version, "subscriber"));
        let options = SubscriptionOptions { qos: QoS::ExactlyOnce, ..SubscriptionOptions::default() };
        let filters = vec![SubscribeFilter { filter: "numbers".into(), options }];
        net.exchange(at, Packet::Subscribe(Subscribe { packet_id: 1, filters, properties: Properties::NONE }));
        let mut subscriber =
            Subscriber { connection: Some(at), unreleased: HashSet::new(), numbers: Vec::new() };
        let mut publisher = Publisher { connection: None, next: 0, inflight: Vec::new() };
        for turn in turns {
            match turn {
                Turn::Publish => publisher.publish(&mut net),
                Turn::Publisher => publisher.act(&mut net, version),
                Turn::Subscriber => subscriber.act(&mut net, version),
                Turn::Server => net.run(),
                Turn::LosePublisher(kept) => lose(&mut net, &mut publisher.connection, kept),
                Turn::LoseSubscriber(kept) => lose(&mut net, &mut subscriber.connection, kept),
            }
        }
        // Peace: everything is brought to its end.
        for _ in 0..30 + 4 * usize::from(publisher.next) {
            publisher.act(&mut net, version);
            subscriber.act(&mut net, version);
            net.run();
        }
        prop_assert_eq!(&publisher.inflight, &[]);
        prop_assert!(subscriber.unreleased.is_empty());
        prop_assert_eq!(subscriber.numbers, (1..=publisher.next).collect::<Vec<_>>());
        prop_assert!(net.broker.sessions["publisher"].remembered.is_empty() || publisher.next == 0);
    }
}
