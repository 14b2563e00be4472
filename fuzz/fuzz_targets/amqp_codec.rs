//! Any bytes as frames, methods, tables and properties: what decodes encodes to what it came from.
#![no_main]

use bytes::{Bytes, BytesMut};
use kuzzle_amqp_proto::codec::{
    frame::{self, ContentHeader, Payload},
    method::Method,
    properties::Properties,
    table::{TableBuilder, TableView},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = BytesMut::from(data);
    while let Ok(Some(frame)) = frame::decode(&mut input, 4096) {
        let mut again = BytesMut::new();
        frame::encode(&frame, &mut again);
        assert_eq!(frame::decode(&mut again, 1 << 20), Ok(Some(frame.clone())));
        match frame.payload {
            Payload::Method(payload) => method(&payload),
            Payload::Header(payload) => {
                let header = ContentHeader::decode(&payload).expect("a header frame has a header");
                properties(&header.properties);
            }
            Payload::Body(_) | Payload::Heartbeat => {}
        }
    }
    method(&Bytes::copy_from_slice(data));
    properties(data);
    if let Ok(table) = TableView::from_raw(data) {
        let mut copy = TableBuilder::new();
        for (name, value) in table {
            copy.push(name, value);
        }
        let copy = copy.build();
        assert_eq!(copy.view().iter().count(), table.iter().count());
        assert_eq!(copy.raw().len(), data.len());
    }
});

fn method(payload: &Bytes) {
    let Ok(method) = Method::decode(payload) else { return };
    let mut frame = BytesMut::new();
    method.encode(1, &mut frame);
    let Ok(Some(frame)) = frame::decode(&mut frame, 1 << 20) else { panic!("a method is a frame") };
    let Payload::Method(payload) = frame.payload else { panic!("a method is a method frame") };
    assert_eq!(Method::decode(&payload), Ok(method));
}

fn properties(raw: &[u8]) {
    if let Ok(properties) = Properties::parse(raw) {
        assert_eq!(properties.to_bytes(), raw);
    }
}
