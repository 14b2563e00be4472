//! Packets of any version: what is read is written and read again as the same, however the bytes were cut.
#![no_main]

use bytes::BytesMut;
use kuzzle_mqtt_proto::codec::{DecodeError, Decoder, Limits, Packet, Version};
use libfuzzer_sys::fuzz_target;

fn decode_all(mut decoder: Decoder, bytes: &[u8], cut: usize) -> (Vec<Packet>, Option<DecodeError>) {
    let mut buffer = BytesMut::new();
    let mut packets = Vec::new();
    for part in bytes.chunks(cut.max(1)) {
        buffer.extend_from_slice(part);
        loop {
            match decoder.decode(&mut buffer, &Limits::default()) {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(error) => return (packets, Some(error)),
            }
        }
    }
    (packets, None)
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    let version = [None, Some(Version::V31), Some(Version::V311), Some(Version::V5)][usize::from(choice & 3)];
    let decoder = || version.map_or_else(Decoder::new, Decoder::with_version);
    let (packets, error) = decode_all(decoder(), data, data.len());
    assert_eq!(decode_all(decoder(), data, usize::from(choice >> 2)), (packets.clone(), error));

    let spoken = version.or_else(|| match packets.first() {
        Some(Packet::Connect(connect)) => Some(connect.version),
        _ => None,
    });
    let Some(spoken) = spoken else { return };
    let mut out = BytesMut::new();
    for packet in &packets {
        packet.encode(spoken, &mut out).expect("what was read can be written");
    }
    assert_eq!(decode_all(decoder(), &out, out.len()), (packets, None));
});
