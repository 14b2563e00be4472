//! Any frames and any events in any order: no panic, bounded memory, and bytes that clients can read.

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::{
    Bench,
    bench::secs,
    method::{basic, channel, tx},
};
use crate::{
    codec::{
        content::{Address, Content, ContentWriter},
        frame::Payload,
        method::Method,
        tests::Sampler,
    },
    session::{ConnectionEvent, Limits},
};

#[derive(Debug, Clone)]
enum Step {
    /// A method of the sampler's choice.
    Method {
        channel: u16,
        index: prop::sample::Index,
        seed: u64,
    },
    /// A publish and its content.
    Publish {
        channel: u16,
        length: usize,
        queue: u8,
    },
    /// Any bytes as a frame.
    Frame {
        kind: u8,
        channel: u16,
        payload: Vec<u8>,
    },
    /// Any bytes.
    Bytes(Vec<u8>),
    Wait(u64),
    Hold(bool),
    Throttle,
    Unblock,
    Quiesced,
    Queue(u8),
    Open(u16),
    Consume {
        channel: u16,
        queue: u8,
        no_ack: bool,
    },
    Get {
        channel: u16,
        queue: u8,
    },
    /// Settles one of the deliveries seen.
    Settle {
        index: prop::sample::Index,
        how: u8,
        multiple: bool,
    },
    Transaction {
        channel: u16,
        how: u8,
    },
}

/// What a client does that knows the rules; `wild` says how often it forgets them.
fn step(wild: u32) -> impl Strategy<Value = Step> {
    let channel = prop_oneof![4000 => 1_u16..4, wild => Just(0_u16), wild => Just(9_u16)];
    let payload = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        1200 => (channel.clone(), any::<prop::sample::Index>(), any::<u64>())
            .prop_map(|(channel, index, seed)| Step::Method { channel, index, seed }),
        1200 => (1_u16..4, 0_usize..6000, 0_u8..3)
            .prop_map(|(channel, length, queue)| Step::Publish { channel, length, queue }),
        wild => (1_u8..10, channel.clone(), payload.clone())
            .prop_map(|(kind, channel, payload)| Step::Frame { kind, channel, payload }),
        wild => payload.prop_map(Step::Bytes),
        300 => (0_u64..12).prop_map(Step::Wait),
        400 => prop::bool::weighted(0.3).prop_map(Step::Hold),
        100 => Just(Step::Throttle),
        800 => Just(Step::Unblock),
        400 => Just(Step::Quiesced),
        600 => (0_u8..3).prop_map(Step::Queue),
        wild => channel.clone().prop_map(Step::Open),
        600 => (1_u16..4, 0_u8..3, any::<bool>())
            .prop_map(|(channel, queue, no_ack)| Step::Consume { channel, queue, no_ack }),
        600 => (1_u16..4, 0_u8..3).prop_map(|(channel, queue)| Step::Get { channel, queue }),
        1600 => (any::<prop::sample::Index>(), 0_u8..6, prop::bool::weighted(0.2))
            .prop_map(|(index, how, multiple)| Step::Settle { index, how, multiple }),
        200 => (1_u16..3, 0_u8..3).prop_map(|(channel, how)| Step::Transaction { channel, how }),
    ]
}

/// Whether a client may send the method at any time without losing its connection.
fn harmless(method: &Method) -> bool {
    match method {
        Method::BasicRecover(method) => method.requeue,
        Method::BasicRecoverAsync(method) => method.requeue,
        Method::ChannelFlow(method) => method.active,
        Method::ExchangeDeclare(_)
        | Method::ExchangeDelete(_)
        | Method::ExchangeBind(_)
        | Method::ExchangeUnbind(_)
        | Method::QueueDeclare(_)
        | Method::QueueBind(_)
        | Method::QueueUnbind(_)
        | Method::QueuePurge(_)
        | Method::QueueDelete(_)
        | Method::BasicConsume(_)
        | Method::BasicCancel(_)
        | Method::ConfirmSelect(_)
        | Method::TxSelect(_)
        | Method::TxCommit(_)
        | Method::TxRollback(_)
        | Method::ChannelClose(_)
        | Method::AccessRequest(_) => true,
        _ => false,
    }
}

/// Remembers deliveries, agrees to the end of channels and opens them anew, as a client does.
fn reopen(bench: &mut Bench, seen: &mut Vec<(u16, u64)>) {
    for frame in std::mem::take(&mut bench.frames) {
        let Payload::Method(octets) = &frame.payload else { continue };
        match Method::decode(octets) {
            Ok(Method::BasicDeliver(method)) => seen.push((frame.channel, method.delivery_tag)),
            Ok(Method::BasicGetOk(method)) => seen.push((frame.channel, method.delivery_tag)),
            Ok(Method::ChannelClose(_)) => {
                seen.retain(|(channel, _)| *channel != frame.channel);
                bench.send(frame.channel, channel::CloseOk {});
                bench.send(frame.channel, channel::Open::default());
            }
            Ok(Method::ChannelCloseOk(_)) => bench.send(frame.channel, channel::Open::default()),
            _ => {}
        }
    }
}

fn limits() -> Limits {
    Limits {
        message_max_bytes: 5000,
        assembling_max_bytes: 8000,
        transaction_max_bytes: 10_000,
        operations_max: 8,
        output_max_bytes: 20_000,
        batch_max_bytes: 10_000,
        batch_max_actions: 16,
        ..Limits::default()
    }
}

fn play(bench: &mut Bench, seen: &mut Vec<(u16, u64)>, step: Step) {
    match step {
        Step::Method { channel, index, seed } => {
            let mut methods = Method::samples(&mut Sampler::new(seed));
            if !seed.is_multiple_of(64) {
                methods.retain(harmless);
            }
            let method = methods.swap_remove(index.index(methods.len()));
            bench.send(channel, method);
        }
        Step::Publish { channel, length, queue } => {
            let mut writer = ContentWriter { out: &mut bench.input, channel, frame_max: 4096 };
            let key = format!("q{queue}");
            let address = Address { exchange: "", routing_key: &key };
            writer.publish(true, address, Content { properties: &[0, 0], body: &vec![7; length] });
            bench.run();
        }
        Step::Frame { kind, channel, payload } => {
            bench.input.put_u8(kind);
            bench.input.put_u16(channel);
            bench.input.put_u32(payload.len() as u32);
            bench.input.put_slice(&payload);
            bench.input.put_u8(0xCE);
            bench.run();
        }
        Step::Bytes(bytes) => bench.raw(&bytes),
        Step::Wait(pause) => bench.wait(secs(pause)),
        Step::Hold(hold) => {
            bench.hold = hold;
            bench.run();
        }
        Step::Throttle => bench.session.throttle(),
        Step::Unblock => {
            bench.session.connection_event(ConnectionEvent::Unblocked, bench.now);
            bench.run();
        }
        Step::Quiesced => {
            for link in std::mem::take(&mut bench.broker.quiescing) {
                bench.session.quiesced(link, bench.now);
            }
            bench.run();
        }
        Step::Queue(queue) => {
            let queue = format!("q{queue}").into();
            bench.send(1, super::method::queue::Declare { queue, ..Default::default() });
        }
        Step::Open(number) => bench.send(number, channel::Open::default()),
        Step::Consume { channel, queue, no_ack } => {
            let queue = format!("q{queue}").into();
            let consume = basic::Consume { queue, no_ack, ..Default::default() };
            bench.send(channel, consume);
        }
        Step::Get { channel, queue } => {
            let queue = format!("q{queue}").into();
            bench.send(channel, basic::Get { queue, ..Default::default() });
        }
        Step::Settle { index, how, multiple } => {
            if seen.is_empty() {
                return;
            }
            let (channel, delivery_tag) = seen.swap_remove(index.index(seen.len()));
            let method = match how {
                0 => Method::from(basic::Reject { delivery_tag, requeue: multiple }),
                1 => basic::Nack { delivery_tag, multiple, requeue: true }.into(),
                _ => basic::Ack { delivery_tag, multiple }.into(),
            };
            if multiple && how > 0 {
                seen.retain(|(other, tag)| *other != channel || *tag > delivery_tag);
            }
            bench.send(channel, method);
        }
        Step::Transaction { channel, how } => match how {
            0 => bench.send(channel, tx::Select {}),
            1 => bench.send(channel, tx::Commit {}),
            _ => bench.send(channel, tx::Rollback {}),
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn an_open_connection_survives_anything(
        rules in prop::collection::vec(step(1), 0..120),
        wild in prop::collection::vec(step(100), 0..40),
    ) {
        let mut bench = Bench::open_with(limits(), 10);
        let mut seen = Vec::new();
        for number in 1..4 {
            bench.open_channel(number);
        }
        for queue in ["q0", "q1", "q2"] {
            bench.declare(1, queue);
        }
        for step in rules.into_iter().chain(wild) {
            play(&mut bench, &mut seen, step);
            reopen(&mut bench, &mut seen);
            if bench.session.is_ended() {
                break;
            }
        }
        // Whatever was said, the session comes to its end when the client says nothing more.
        bench.hold = false;
        bench.session.connection_event(ConnectionEvent::Unblocked, bench.now);
        bench.wait(secs(200));
        prop_assert!(bench.session.is_ended());
        prop_assert!(bench.broker.ended.is_some());
        prop_assert_eq!(bench.session.counted(), (0, 0));
    }

    #[test]
    fn a_new_connection_survives_anything(
        header: bool,
        bytes in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20),
    ) {
        let mut bench = Bench::new(Limits::default());
        if header {
            bench.raw(b"AMQP\0\0\x09\x01");
        }
        for bytes in bytes {
            let mut input = BytesMut::new();
            input.put_slice(&bytes);
            bench.session.receive(&mut input, bench.now);
        }
        while let Some(due) = bench.session.deadline() {
            bench.session.handle_timeout(due);
        }
        prop_assert!(bench.session.is_ended());
    }
}
