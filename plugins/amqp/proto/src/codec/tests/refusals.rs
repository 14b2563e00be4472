//! What is no frame, no method, no table and no properties.

use super::*;
use crate::codec::{Malformed, frame::FrameErrorKind, method::MethodError, table::DEPTH_MAX};

fn decode(bytes: &[u8]) -> Result<Option<Frame>, FrameErrorKind> {
    frame::decode(&mut BytesMut::from(bytes), 4096).map_err(|error| error.kind)
}

#[test]
fn the_size_is_checked_before_the_payload_is_there() {
    assert_eq!(decode(&[3, 0, 1, 0, 0, 16, 0]), Ok(None));
    let too_large = FrameErrorKind::TooLarge { size: 4097, max: 4088 };
    assert_eq!(decode(&[3, 0, 1, 0, 0, 16, 1]), Err(too_large));
    assert_eq!(too_large.to_string(), "{frame_too_large,4097,4088}");
    assert!(matches!(decode(&[1, 0, 1, 255, 255, 255, 255]), Err(FrameErrorKind::TooLarge { .. })));
}

#[test]
fn a_frame_ends_with_its_octet() {
    assert_eq!(decode(&[3, 0, 1, 0, 0, 0, 1, 9, 0xCD]), Err(FrameErrorKind::End(0xCD)));
    assert!(matches!(decode(&[3, 0, 1, 0, 0, 0, 1, 9, 0xCE]), Ok(Some(_))));
}

#[test]
fn unknown_and_short_frames() {
    for frame in [
        &[9, 0, 0, 0, 0, 0, 0, 0xCE][..],
        &[1, 0, 0, 0, 0, 0, 3, 0, 10, 0, 0xCE],
        &[2, 0, 0, 0, 0, 0, 0, 0xCE],
        &[8, 0, 0, 0, 0, 0, 1, 0, 0xCE],
    ] {
        assert_eq!(decode(frame), Err(FrameErrorKind::Unknown), "{frame:?}");
    }
}

#[test]
fn a_method_has_its_arguments_and_no_more() {
    let decode = |bytes: &'static [u8]| Method::decode(&Bytes::from_static(bytes));
    let cause = |bytes| match decode(bytes) {
        Err(MethodError::Arguments { cause, .. }) => cause,
        other => panic!("{other:?}"),
    };
    assert_eq!(cause(&[0, 60, 0, 80, 0]), Malformed::Truncated);
    assert_eq!(cause(&[0, 20, 0, 41, 0]), Malformed::Trailing);
    assert_eq!(cause(&[0, 20, 0, 10, 1, 0xFF]), Malformed::Utf8);
    assert_eq!(
        decode(&[0, 60, 0, 200]),
        Err(MethodError::UnknownMethod { class: 60, method: 200, arguments: Bytes::new() })
    );
    assert_eq!(decode(&[0, 99, 0, 10]), Err(MethodError::UnknownClass(99)));
}

#[test]
fn tables_are_nested_up_to_a_limit() {
    let nested = |depth: usize| {
        let mut table = Table::new();
        for _ in 0..depth {
            table = TableBuilder::new().field("t", Value::Table(table.view())).build();
        }
        Table::from_raw(table.raw().clone()).map(drop)
    };
    assert_eq!(nested(DEPTH_MAX), Ok(()));
    assert_eq!(nested(DEPTH_MAX + 1), Err(Malformed::Depth));
    let mut array = BytesMut::new();
    for _ in 0..10_000 {
        let mut outer = BytesMut::from(&b"A"[..]);
        outer.extend_from_slice(&(array.len() as u32).to_be_bytes());
        outer.extend_from_slice(&array);
        array = outer;
    }
    let mut table = BytesMut::from(&b"\x01a"[..]);
    table.extend_from_slice(&array);
    assert_eq!(TableView::from_raw(&table), Err(Malformed::Depth));
}

#[test]
fn tables_of_unknown_types_and_wrong_lengths() {
    assert_eq!(TableView::from_raw(b"\x01aZ"), Err(Malformed::FieldType(b'Z')));
    for raw in [&b"\x05abc"[..], b"\x01a", b"\x01aS\0\0\0\x02x", b"\x01aF\xff\xff\xff\xff", b"\x01aI\0\0"] {
        assert_eq!(TableView::from_raw(raw), Err(Malformed::Truncated), "{raw:?}");
    }
}

#[test]
fn properties_are_read_to_the_end() {
    assert_eq!(Properties::parse(&[0x10, 0]), Err(Malformed::Truncated));
    assert_eq!(Properties::parse(&[0x10, 0, 2, 9]), Err(Malformed::Trailing));
    assert_eq!(Properties::parse(&[0, 1]), Err(Malformed::PropertyFlags(1)));
    assert_eq!(Properties::parse(&[0, 2]), Err(Malformed::PropertyFlags(2)));
    assert_eq!(Properties::parse(&[]), Err(Malformed::Truncated));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut input = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = frame::decode(&mut input, 4096) {}
        let shared = Bytes::from(bytes.clone());
        let _ = Method::decode(&shared);
        let _ = frame::ContentHeader::decode(&shared);
        if let Ok(table) = TableView::from_raw(&bytes) {
            prop_assert!(table.iter().map(|(name, _)| name.len() + 2).sum::<usize>() <= bytes.len());
        }
        if let Ok(properties) = Properties::parse(&bytes) {
            prop_assert_eq!(properties.to_bytes(), bytes);
        }
    }

    #[test]
    fn damaged_methods_never_panic(seed: u64, at: prop::sample::Index, octet: u8) {
        for method in Method::samples(&mut Sampler::new(seed)) {
            let mut bytes = BytesMut::new();
            method.encode(1, &mut bytes);
            let mut payload = bytes[7..bytes.len() - 1].to_vec();
            let at = at.index(payload.len());
            payload[at] = octet;
            let _ = Method::decode(&Bytes::from(payload.clone()));
            payload.truncate(at);
            if let Ok(shorter) = Method::decode(&Bytes::from(payload)) {
                prop_assert_ne!(shorter, method);
            }
        }
    }
}
