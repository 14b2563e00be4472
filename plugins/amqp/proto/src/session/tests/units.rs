//! Parts by themselves.

use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;

use crate::session::{
    fault::{Octets, Reason, code},
    unsettled::Unsettled,
};

proptest! {
    /// The deliveries behave like a set that remembers what was taken out of it.
    #[test]
    fn unsettled_deliveries_are_a_set(steps in prop::collection::vec((0_u8..4, 0_u64..200), 0..400)) {
        let (mut unsettled, mut model) = (Unsettled::default(), BTreeSet::new());
        let (mut last, mut taken) = (0, Vec::new());
        for (step, value) in steps {
            match step {
                0 | 1 => {
                    last += 1 + value % 3;
                    unsettled.push(last, Duration::ZERO, Duration::ZERO);
                    model.insert(last);
                }
                2 => {
                    let tag = last.saturating_sub(value % 40);
                    prop_assert_eq!(unsettled.contains(tag), model.contains(&tag));
                    prop_assert_eq!(unsettled.remove(tag), model.remove(&tag));
                }
                _ if value % 4 == 0 => unsettled.put_back(taken.drain(..).inspect(|tag| {
                    model.insert(*tag);
                })),
                _ => {
                    let tag = last.saturating_sub(value % 20);
                    let expected: Vec<u64> = model.range(..=tag).copied().collect();
                    model = model.split_off(&(tag + 1));
                    let got: Vec<u64> = unsettled.take_up_to(tag).collect();
                    prop_assert_eq!(&got, &expected);
                    taken.extend(got);
                }
            }
            prop_assert_eq!(unsettled.len(), model.len());
            prop_assert_eq!(unsettled.last(), model.last().copied());
        }
    }
}

#[test]
fn unsettled_deliveries_take_no_more_memory_than_they_are() {
    let mut unsettled = Unsettled::default();
    unsettled.push(1, Duration::ZERO, Duration::from_secs(1));
    for tag in 2..100_000 {
        unsettled.push(tag, Duration::from_millis(tag), Duration::from_secs(1));
        assert!(unsettled.remove(tag));
    }
    assert_eq!(unsettled.len(), 1);
    assert!(unsettled.kept() < 100);
}

#[test]
fn octets_are_shown_as_erlang_does() {
    for (octets, shown) in [
        (&b""[..], "<<>>"),
        (b"\0\x14\0\x0a", "<<0,20,0,10>>"),
        (b"zzz", "<<\"zzz\">>"),
        (b"a\"\\\n", "<<\"a\\\"\\\\\\n\">>"),
        (b"a\x7f", "<<97,127>>"),
    ] {
        assert_eq!(Octets(octets).to_string(), shown);
    }
}

#[test]
fn reply_texts_fit_a_short_string() {
    let reason = Reason::new(code::NOT_FOUND, (0, 0), "é".repeat(300));
    assert!(reason.text.len() <= 255 && reason.text.ends_with("..."), "{}", reason.text);
    assert!(Octets(&[0; 100_000]).to_string().len() < 1000);
}

#[test]
fn reply_codes_end_a_channel_or_the_connection() {
    for (code, name, connection) in [
        (311, "CONTENT_TOO_LARGE", false),
        (312, "NO_ROUTE", false),
        (313, "NO_CONSUMERS", false),
        (320, "CONNECTION_FORCED", true),
        (402, "INVALID_PATH", true),
        (403, "ACCESS_REFUSED", false),
        (404, "NOT_FOUND", false),
        (405, "RESOURCE_LOCKED", false),
        (406, "PRECONDITION_FAILED", false),
        (501, "FRAME_ERROR", true),
        (502, "SYNTAX_ERROR", true),
        (503, "COMMAND_INVALID", true),
        (504, "CHANNEL_ERROR", true),
        (505, "UNEXPECTED_FRAME", true),
        (506, "RESOURCE_ERROR", true),
        (530, "NOT_ALLOWED", true),
        (540, "NOT_IMPLEMENTED", true),
        (541, "INTERNAL_ERROR", true),
    ] {
        assert_eq!((code::name(code), code::ends_connection(code)), (Some(name), connection));
    }
    assert_eq!(code::name(999), None);
}
