//! Bytes seen on the wire between RabbitMQ 3.10 and its clients.

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The method encodes to the bytes, and the bytes decode to the method.
fn seen(channel: u16, method: impl Into<Method>, hex: &str) {
    let (method, expected) = (method.into(), bytes(hex));
    let mut out = BytesMut::new();
    method.encode(channel, &mut out);
    assert_eq!(out, expected, "{method:?}");
    let frames = decode_all(&mut out);
    assert_eq!(frames[0].channel, channel);
    assert_eq!(method_of(&frames[0]), method);
}

#[test]
fn connection_start_ok() {
    let method = connection::StartOk {
        client_properties: Table::new(),
        mechanism: "PLAIN".into(),
        response: Bytes::from_static(b"\0guest\0guest"),
        locale: "en_US".into(),
    };
    seen(
        0,
        method,
        "01 0000 00000024 000a000b 00000000 05 504c41494e 0000000c 00 6775657374 00 6775657374 05 656e5f5553 ce",
    );
}

#[test]
fn connection_tune() {
    let method = connection::Tune { channel_max: 2047, frame_max: 131_072, heartbeat: 60 };
    seen(0, method, "01 0000 0000000c 000a001e 07ff 00020000 003c ce");
}

#[test]
fn connection_open_and_open_ok() {
    let open = connection::Open { virtual_host: "/".into(), ..connection::Open::default() };
    seen(0, open, "01 0000 00000008 000a0028 01 2f 00 00 ce");
    seen(0, connection::OpenOk::default(), "01 0000 00000005 000a0029 00 ce");
}

#[test]
fn channel_open_and_open_ok() {
    seen(1, channel::Open { out_of_band: "0".into() }, "01 0001 00000006 0014000a 01 30 ce");
    seen(1, channel::OpenOk::default(), "01 0001 00000008 0014000b 00000000 ce");
}

#[test]
fn queue_declare_ok() {
    let method = queue::DeclareOk { queue: "r".into(), message_count: 0, consumer_count: 0 };
    seen(1, method, "01 0001 0000000e 0032000b 01 72 00000000 00000000 ce");
}

#[test]
fn basic_get_ok_with_content() {
    let mut out = BytesMut::new();
    let properties = Properties { delivery_mode: Some(2), ..Properties::default() }.to_bytes();
    ContentWriter { out: &mut out, channel: 1, frame_max: 131_072 }.get_ok(
        1,
        false,
        Address { exchange: "", routing_key: "r" },
        0,
        Content { properties: &properties, body: b"hi" },
    );
    assert_eq!(
        out,
        bytes(
            "01 0001 00000014 003c0047 0000000000000001 00 00 01 72 00000000 ce
             02 0001 0000000f 003c 0000 0000000000000002 1000 02 ce   03 0001 00000002 6869 ce"
        )
    );
}

#[test]
fn basic_get_empty() {
    seen(1, basic::GetEmpty::default(), "01 0001 00000005 003c0048 00 ce");
}

#[test]
fn close_oks() {
    seen(1, channel::CloseOk {}, "01 0001 00000004 00140029 ce");
    seen(0, connection::CloseOk {}, "01 0000 00000004 000a0033 ce");
}

#[test]
fn heartbeat() {
    assert_eq!(frame::HEARTBEAT_FRAME[..], bytes("08 0000 00000000 ce"));
}
