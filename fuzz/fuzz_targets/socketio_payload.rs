//! A body of long-polling, in each framing: taken apart without a panic, in no more packets than bytes.
#![no_main]

use bytes::Bytes;
use kuzzle_socketio_proto::packet::{Packet, Revision};
use kuzzle_socketio_proto::payload::{Decoder, Inbound, TextEncoding};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for (revision, octet_stream) in [(Revision::V3, true), (Revision::V3, false), (Revision::V4, false)] {
        let Ok(mut decoder) = Decoder::new(revision, octet_stream, Bytes::copy_from_slice(data)) else {
            continue;
        };
        let mut encoding = TextEncoding::default();
        let mut packets = 0;
        while let Some(packet) = decoder.next_packet(&mut encoding) {
            packets += 1;
            assert!(packets <= data.len() + 1, "more packets than bytes");
            match packet {
                Ok(Inbound::Text(text)) => drop(Packet::parse(&text)),
                Ok(Inbound::Binary) => {}
                Err(_) => {
                    assert!(decoder.next_packet(&mut encoding).is_none(), "nothing comes after an error");
                    break;
                }
            }
        }
    }
});
