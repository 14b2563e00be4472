//! What is written is read, and what was never written is refused without harm.

use abi_stable::std_types::RString;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::abi::*;
use crate::proxy::messages::{ListenerParts, Offers, Start, ToHost, ToPlugin};
use crate::proxy::wire::{Decoder, Input, Message, WireError, put_frame};

pub(super) fn text() -> impl Strategy<Value = RString> {
    ".{0,20}".prop_map(RString::from)
}

pub(super) fn blob() -> impl Strategy<Value = Blob> {
    vec(any::<u8>(), 0..40).prop_map(Blob::from)
}

pub(super) fn error() -> impl Strategy<Value = ApiError> {
    (any::<u32>(), text(), text(), blob()).prop_map(|(status, id, message, details)| ApiError {
        status,
        id,
        message,
        details,
    })
}

fn reply() -> impl Strategy<Value = Reply> {
    (any::<u32>(), text(), blob()).prop_map(|(status, request_id, body)| Reply { status, request_id, body })
}

fn event() -> impl Strategy<Value = RequestEvent> {
    (any::<u32>(), any::<u32>(), vec(any::<u64>(), 0..5), text(), blob(), text()).prop_map(
        |(kind, code, connections, channel, payload, reason)| RequestEvent {
            kind,
            code,
            connections: connections.into(),
            channel,
            payload,
            reason,
        },
    )
}

fn listener() -> impl Strategy<Value = ListenerParts> {
    (any::<u64>(), text(), text(), text(), any::<u32>(), any::<u64>()).prop_map(
        |(id, address, scheme, options, kind, socket)| ListenerParts {
            id,
            address,
            scheme,
            options,
            kind,
            socket,
        },
    )
}

fn start() -> impl Strategy<Value = Start> {
    let listeners = proptest::option::of(prop_oneof![
        vec(listener(), 0..3).prop_map(Ok),
        error().prop_map(Err::<Vec<ListenerParts>, _>)
    ]);
    let broker = proptest::option::of(blob());
    (text(), any::<u64>(), text(), text(), any::<u8>(), any::<bool>(), any::<bool>(), broker, listeners)
        .prop_map(
            |(instance, generation, settings, options, log_levels, requests, metrics, broker, listeners)| {
                Start {
                    instance,
                    generation,
                    settings,
                    options,
                    log_levels,
                    requests,
                    metrics,
                    broker,
                    listeners,
                }
            },
        )
}

fn to_plugin() -> impl Strategy<Value = ToPlugin> {
    prop_oneof![
        Just(ToPlugin::Describe {}),
        text().prop_map(|settings| ToPlugin::CheckSettings { settings }),
        start().prop_map(|arguments| ToPlugin::Start { arguments }),
        (any::<u64>(), reply()).prop_map(|(call, reply)| ToPlugin::Reply { call, reply }),
        (any::<u64>(), error()).prop_map(|(connection, error)| ToPlugin::OpenRefused { connection, error }),
        vec(event(), 0..4).prop_map(|events| ToPlugin::Events { events }),
        any::<u8>().prop_map(|levels| ToPlugin::LogLevels { levels }),
        any::<u64>().prop_map(|call| ToPlugin::Drain { call }),
        any::<u64>().prop_map(|timeout_ms| ToPlugin::Stop { timeout_ms }),
    ]
}

fn to_host() -> impl Strategy<Value = ToHost> {
    let problem = (text(), text()).prop_map(|(pointer, message)| SettingsProblem { pointer, message });
    let offers = (any::<bool>(), blob()).prop_map(|(status, report)| Offers { status, report });
    let module = prop_oneof![
        (text(), text(), text()).prop_map(|(name, version, label)| ToHost::Described {
            info: PluginInfo { name, version, label }
        }),
        vec(problem, 0..4).prop_map(|problems| ToHost::Checked { problems }),
        offers.prop_map(|offers| ToHost::Started { result: Ok(offers) }),
        error().prop_map(|error| ToHost::Started { result: Err(error) }),
        (any::<bool>(), any::<u32>(), any::<u32>()).prop_map(|(clean, cut_connections, leaked_threads)| {
            ToHost::Stopped { report: StopReport { clean, cut_connections, leaked_threads } }
        }),
        (any::<u64>(), reply()).prop_map(|(call, reply)| ToHost::Drained { call, reply }),
        blob().prop_map(|report| ToHost::Status { report }),
    ];
    let calls = prop_oneof![
        (any::<u64>(), text()).prop_map(|(connection, info)| ToHost::Open { connection, info }),
        any::<u64>().prop_map(|connection| ToHost::Close { connection }),
        (any::<u64>(), any::<u64>(), blob()).prop_map(|(call, connection, request)| ToHost::Execute {
            call,
            connection,
            request
        }),
        (any::<u64>(), any::<u64>(), text(), blob()).prop_map(
            |(call, connection, mechanism, credentials)| ToHost::Authenticate {
                call,
                connection,
                mechanism,
                credentials
            }
        ),
        (any::<u64>(), any::<u64>()).prop_map(|(events, bytes)| ToHost::EventsTaken { events, bytes }),
        (any::<u32>(), text(), text(), text()).prop_map(|(level, target, message, fields)| ToHost::Log {
            level,
            target,
            message,
            fields
        }),
        (any::<u32>(), text(), any::<u32>(), text())
            .prop_map(|(metric, name, kind, help)| ToHost::MetricRegister { metric, name, kind, help }),
        (any::<u32>(), any::<i64>()).prop_map(|(metric, delta)| ToHost::MetricAdd { metric, delta }),
        (any::<u32>(), any::<i64>()).prop_map(|(metric, value)| ToHost::MetricSet { metric, value }),
        (any::<u64>(), text()).prop_map(|(id, reason)| ToHost::ListenerLost { id, reason }),
    ];
    prop_oneof![module, calls]
}

const LIMIT: usize = 1 << 20;

/// The messages read from a stream that arrives in pieces of the given sizes, over and over.
fn read<M: Message>(stream: &[u8], pieces: &[usize]) -> Result<Vec<M>, WireError> {
    let mut decoder = Decoder::new(LIMIT);
    let mut messages = Vec::new();
    let mut rest = stream;
    for piece in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at((*piece).min(rest.len()));
        rest = later;
        decoder.push(now);
        while let Some(message) = decoder.next()? {
            messages.push(message);
        }
    }
    assert!(!decoder.is_inside_frame());
    Ok(messages)
}

pub(super) fn round_trip<M: Message + std::fmt::Debug>(messages: &[M], pieces: &[usize]) {
    let write = |messages: &[M]| {
        let mut stream = Vec::new();
        for message in messages {
            let before = stream.len();
            put_frame(message, LIMIT, &mut stream).unwrap();
            assert_eq!(stream.len() - before, 4 + message.bytes());
        }
        stream
    };
    let stream = write(messages);
    let back: Vec<M> = read(&stream, pieces).unwrap();
    // The text shows each field but the bytes of blobs; written again, the streams compare those.
    assert_eq!(format!("{messages:?}"), format!("{back:?}"));
    assert_eq!(write(&back), stream);
}

proptest! {
    #[test]
    fn what_is_written_to_the_plugin_is_read(
        messages in vec(to_plugin(), 0..6), pieces in vec(1..50_usize, 1..5)
    ) {
        round_trip(&messages, &pieces);
    }

    #[test]
    fn what_is_written_to_the_host_is_read(
        messages in vec(to_host(), 0..6), pieces in vec(1..50_usize, 1..5)
    ) {
        round_trip(&messages, &pieces);
    }

    #[test]
    fn arbitrary_frames_are_read_or_refused(bytes in vec(any::<u8>(), 0..200), kind in 0..20_u8) {
        let framed: Vec<u8> = std::iter::once(kind).chain(bytes).collect();
        for bytes in [&framed[..], &framed[1..]] {
            if let Ok(message) = ToPlugin::get(&mut Input(bytes)) {
                let mut again = Vec::new();
                message.put(&mut again);
                prop_assert_eq!(&again[..], bytes);
            }
            if let Ok(message) = ToHost::get(&mut Input(bytes)) {
                let mut again = Vec::new();
                message.put(&mut again);
                prop_assert_eq!(&again[..], bytes);
            }
        }
    }

    #[test]
    fn a_decoder_holds_no_more_than_a_frame_and_a_piece(
        length in any::<u32>(), piece in 1..300_usize, limit in 1..1000_usize
    ) {
        let mut decoder = Decoder::new(limit);
        decoder.push(&length.to_le_bytes());
        for _ in 0..20 {
            match decoder.next::<ToHost>() {
                Err(WireError::TooLong { bytes, limit: found }) => {
                    prop_assert_eq!((bytes, found), (length as usize, limit));
                    prop_assert!(length as usize > limit);
                    break;
                }
                Err(_) => break,
                Ok(_) => decoder.push(&vec![0; piece]),
            }
            prop_assert!(decoder.capacity() <= 4 + limit + piece);
        }
    }

    #[test]
    fn a_frame_that_lost_its_end_is_refused(message in to_host(), lost in 1..20_usize) {
        let mut bytes = Vec::new();
        message.put(&mut bytes);
        let kept = bytes.len().saturating_sub(lost);
        prop_assert!(ToHost::get(&mut Input(&bytes[..kept])).is_err());
        bytes.push(0);
        prop_assert!(ToHost::get(&mut Input(&bytes)).is_err());
    }
}

#[test]
fn the_bytes_are_these() {
    let mut stream = Vec::new();
    let message = ToHost::Execute { call: 0x0102, connection: 3, request: Blob::from("{}") };
    put_frame(&message, LIMIT, &mut stream).unwrap();
    assert_eq!(
        stream,
        [&[23, 0, 0, 0, 6][..], &[2, 1, 0, 0, 0, 0, 0, 0], &[3, 0, 0, 0, 0, 0, 0, 0], &[2, 0, 0, 0], b"{}"]
            .concat()
    );
}

#[test]
fn a_long_list_is_refused_before_memory_is_taken() {
    // 2^32 - 1 problems announced, none there.
    let frame = [2, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(ToHost::get(&mut Input(&frame)).err(), Some(WireError::Truncated));
}
