//! The messages of the broker: what is written is read.

use abi_stable::std_types::RString;
use proptest::collection::vec;
use proptest::prelude::*;

use super::codec::{blob, error, round_trip, text};
use crate::abi::*;
use crate::proxy::broker_wire::{
    BindParts, BrokerCall, BrokerNews, ConsumeParts, SessionParts, pack, packed_bytes, unpack,
};
use crate::proxy::messages::{ToHost, ToPlugin};
use crate::proxy::wire::{Input, Message as _};

/// A message, owned: exchange, key, properties, body, flags and key.
type Owned = (RString, RString, Vec<u8>, Vec<u8>, (u32, u32));

fn owned() -> impl Strategy<Value = Owned> {
    let bytes = || vec(any::<u8>(), 0..30);
    (text(), text(), bytes(), bytes(), any::<(u32, u32)>())
}

fn publish(owned: &Owned) -> Publish<'_> {
    let (exchange, key, properties, body, (flags, dedupe)) = owned;
    Publish {
        properties: properties[..].into(),
        flags: *flags,
        dedupe: *dedupe,
        ..Publish::new(exchange, key, body)
    }
}

fn event() -> impl Strategy<Value = LinkEvent> {
    let message = proptest::option::of((owned(), any::<(u64, u64, u32)>()));
    let numbers = (any::<[u32; 4]>(), any::<[u64; 6]>());
    (numbers, message, vec(any::<u64>(), 0..4), text(), blob()).prop_map(
        |((small, large), message, more_bindings, text, data)| LinkEvent {
            kind: small[0],
            code: small[1],
            flags: small[2],
            tag: small[3],
            op: large[0],
            consumer: large[1],
            delivery: large[2],
            binding: large[3],
            messages: large[4],
            consumers: large[5],
            message: message.map_or_else(Message::empty, |(owned, (received_ms, expires_ms, flags))| {
                let (exchange, key, properties, body, _) = &owned;
                let properties = properties[..].into();
                let parts = MessageParts::of(exchange, key, body);
                Message::new(&MessageParts { properties, received_ms, expires_ms, flags, ..parts })
            }),
            more_bindings: more_bindings.into(),
            text,
            data,
        },
    )
}

fn news() -> impl Strategy<Value = BrokerNews> {
    prop_oneof![
        (any::<u64>(), vec(event(), 0..4)).prop_map(|(id, events)| BrokerNews::Events { id, events }),
        (any::<u64>(), error()).prop_map(|(id, error)| BrokerNews::Refused { id, error }),
        (any::<u64>(), any::<u64>()).prop_map(|(connection, bytes)| BrokerNews::Room { connection, bytes }),
        any::<u64>().prop_map(|connection| BrokerNews::Throttled { connection }),
    ]
}

fn settles() -> impl Strategy<Value = Vec<Settle>> {
    let settle = any::<(u64, u32, u32)>();
    vec(settle.prop_map(|(delivery, outcome, flags)| Settle { delivery, outcome, flags }), 0..4)
}

fn call() -> impl Strategy<Value = BrokerCall> {
    let texts = (text(), text(), text());
    let bytes = || vec(any::<u8>(), 0..20);
    let ids = any::<[u64; 3]>();
    let rest = any::<([u32; 5], [u64; 3], bool)>();
    let packed = vec(owned(), 0..3);
    (0..29_u8, ids, texts, (bytes(), bytes()), rest, packed, settles()).prop_map(
        |(kind, [link, op, call], (name, queue, key), (arguments, options), rest, messages, settles)| {
            let (small, large, is) = rest;
            let flags = small[0];
            let published: Vec<_> = messages.iter().map(publish).collect();
            let will = published.first().cloned().unwrap_or_else(|| Publish::new("", "", b""));
            let messages = pack(&published);
            let bind = || {
                let bind = Bind::new(&name, &queue, &key);
                BindParts::of(&Bind {
                    id: large[0],
                    arguments: arguments[..].into(),
                    options: options[..].into(),
                    retained: small[1],
                    flags,
                    ..bind
                })
            };
            let blob = Blob::from(arguments.clone());
            match kind {
                0 => BrokerCall::Open { info: name },
                1 => BrokerCall::Close {},
                2 => BrokerCall::Authenticate { call, mechanism: name, credentials: blob },
                3 => BrokerCall::Enter { call, virtual_host: name, client: queue, info: key },
                4 => BrokerCall::OpenLink {
                    link,
                    options: LinkOptions { flags, outbox_events: small[1], outbox_bytes: large[0] },
                },
                5 => BrokerCall::CloseLink { link },
                6 => BrokerCall::Taken { id: link, events: op, bytes: call },
                7 => BrokerCall::Publish { link, first_sequence: op, messages },
                8 => BrokerCall::TooLong { link, op, is_publish: is, bytes: call },
                9 => BrokerCall::Settle { link, op, settles },
                10 => BrokerCall::Commit { link, op, first_sequence: call, messages, settles },
                11 => BrokerCall::Confirm { link, op, on: is },
                12 => BrokerCall::Recover { link, op },
                13 => BrokerCall::Get { link, op, queue, no_ack: is },
                14 => BrokerCall::DeclareExchange { link, op, name, kind: key, flags, arguments: blob },
                15 => BrokerCall::DeleteExchange { link, op, name, flags },
                16 => BrokerCall::DeclareQueue { link, op, name, flags, arguments: blob },
                17 => BrokerCall::DeleteQueue { link, op, name, flags },
                18 => BrokerCall::PurgeQueue { link, op, name },
                19 => BrokerCall::Bind { link, op, bind: bind() },
                20 => BrokerCall::Unbind { link, op, bind: bind() },
                21 => {
                    let consume = Consume {
                        name: name.as_str().into(),
                        flags,
                        overflow: small[1],
                        limit_events: small[2],
                        credit_bytes: large[1],
                        limit_bytes: large[2],
                        arguments: arguments[..].into(),
                        ..Consume::new(large[0], &queue, small[3])
                    };
                    BrokerCall::Consume { link, op, consume: ConsumeParts::of(&consume) }
                }
                22 => BrokerCall::Cancel { link, op, consumer: call },
                23 => BrokerCall::Credit { link, op, consumer: call, count: flags, bytes: large[0] },
                24 => {
                    let session = SessionAttach {
                        arguments: arguments[..].into(),
                        expiry_secs: small[1],
                        will_delay_secs: small[2],
                        durable: is,
                        clean: !is,
                        has_will: is,
                        will,
                        ..SessionAttach::new(&name, &queue)
                    };
                    BrokerCall::AttachSession { link, op, session: SessionParts::of(&session) }
                }
                25 => BrokerCall::DetachSession { link, op, flags, expiry_secs: small[1] },
                26 => BrokerCall::NoteSession { link, op, key, value: blob },
                27 => BrokerCall::Forget { link, op, dedupe: small.to_vec() },
                _ => BrokerCall::Quiesce { call, link, timeout_ms: op },
            }
        },
    )
}

proptest! {
    #[test]
    fn calls_are_read_as_they_were_written(
        calls in vec((any::<u64>(), call()), 0..6), pieces in vec(1..50_usize, 1..5)
    ) {
        let calls: Vec<_> =
            calls.into_iter().map(|(connection, call)| ToHost::Broker { connection, call }).collect();
        round_trip(&calls, &pieces);
    }

    #[test]
    fn news_are_read_as_they_were_written(news in vec(news(), 0..6), pieces in vec(1..50_usize, 1..5)) {
        let news: Vec<_> = news.into_iter().map(|news| ToPlugin::Broker { news }).collect();
        round_trip(&news, &pieces);
    }

    #[test]
    fn what_is_packed_is_unpacked(messages in vec(owned(), 0..5), lost in 1..10_usize) {
        let published: Vec<_> = messages.iter().map(publish).collect();
        let packed = pack(&published);
        let unpacked = unpack(packed.as_slice()).unwrap();
        let mut end = 0;
        prop_assert_eq!(unpacked.len(), published.len());
        for (found, expected) in unpacked.iter().zip(&published) {
            prop_assert_eq!(format!("{:?}", found.publish), format!("{expected:?}"));
            end += packed_bytes(expected);
            prop_assert_eq!(found.end, end);
        }
        prop_assert_eq!(packed.as_slice().len(), end);
        // A pack that lost its end inside of a message is refused, not read short.
        let kept = end.saturating_sub(lost);
        let is_whole = kept == 0 || unpacked.iter().any(|found| found.end == kept);
        prop_assert_eq!(unpack(&packed.as_slice()[..kept]).is_ok(), is_whole);
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300), kind in 0..31_u8) {
        drop(unpack(&bytes));
        let framed: Vec<u8> = std::iter::once(kind).chain(bytes).collect();
        if let Ok(call) = BrokerCall::get(&mut Input(&framed)) {
            let mut again = Vec::new();
            call.put(&mut again);
            prop_assert_eq!(&again, &framed);
        }
        if let Ok(news) = BrokerNews::get(&mut Input(&framed)) {
            let mut again = Vec::new();
            news.put(&mut again);
            prop_assert_eq!(&again, &framed);
        }
    }
}
