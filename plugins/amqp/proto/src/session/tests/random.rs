//! Any frames and any events in any order: no panic, bounded memory, and bytes that clients can read.

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::{Bench, bench::secs, method::channel};
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
    Ack {
        channel: u16,
        tag: u64,
        multiple: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let channel = prop_oneof![40 => 1_u16..4, 1 => Just(0_u16), 1 => Just(9_u16)];
    let payload = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        12 => (channel.clone(), any::<prop::sample::Index>(), any::<u64>())
            .prop_map(|(channel, index, seed)| Step::Method { channel, index, seed }),
        12 => (1_u16..4, 0_usize..6000, 0_u8..3)
            .prop_map(|(channel, length, queue)| Step::Publish { channel, length, queue }),
        1 => (1_u8..10, channel.clone(), payload.clone())
            .prop_map(|(kind, channel, payload)| Step::Frame { kind, channel, payload }),
        1 => payload.prop_map(Step::Bytes),
        3 => (0_u64..20).prop_map(Step::Wait),
        4 => any::<bool>().prop_map(Step::Hold),
        2 => Just(Step::Throttle),
        4 => Just(Step::Unblock),
        4 => Just(Step::Quiesced),
        6 => (0_u8..3).prop_map(Step::Queue),
        1 => channel.clone().prop_map(Step::Open),
        6 => (1_u16..4, 0_u8..3, any::<bool>())
            .prop_map(|(channel, queue, no_ack)| Step::Consume { channel, queue, no_ack }),
        6 => (1_u16..4, 0_u8..3).prop_map(|(channel, queue)| Step::Get { channel, queue }),
        6 => (1_u16..4, 0_u64..6, any::<bool>())
            .prop_map(|(channel, tag, multiple)| Step::Ack { channel, tag, multiple }),
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

/// Agrees to the end of channels and opens them anew, as a client does.
fn reopen(bench: &mut Bench) {
    for frame in std::mem::take(&mut bench.frames) {
        let Payload::Method(octets) = &frame.payload else { continue };
        match Method::decode(octets) {
            Ok(Method::ChannelClose(_)) => {
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

fn play(bench: &mut Bench, step: Step) {
    match step {
        Step::Method { channel, index, seed } => {
            let mut methods = Method::samples(&mut Sampler::new(seed));
            if !seed.is_multiple_of(32) {
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
            let consume = super::method::basic::Consume { queue, no_ack, ..Default::default() };
            bench.send(channel, consume);
        }
        Step::Get { channel, queue } => {
            let queue = format!("q{queue}").into();
            bench.send(channel, super::method::basic::Get { queue, ..Default::default() });
        }
        Step::Ack { channel, tag, multiple } => {
            bench.send(channel, super::method::basic::Ack { delivery_tag: tag, multiple });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn an_open_connection_survives_anything(steps in prop::collection::vec(step(), 0..80)) {
        let mut bench = Bench::open_with(limits(), 10);
        for number in 1..4 {
            bench.open_channel(number);
        }
        for step in steps {
            play(&mut bench, step);
            reopen(&mut bench);
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
