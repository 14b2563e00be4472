//! What is encoded decodes to itself, whatever the cuts; what is not, is refused without a panic; another implementation
//! reads and writes the same bytes; and the bytes seen on the wire of RabbitMQ are reproduced.

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use proptest::prelude::*;

use super::{
    content::{Address, Content, ContentWriter},
    frame::{self, Frame, Payload},
    method::{Method, basic, channel, connection, queue},
    properties::Properties,
    table::{ArrayBuilder, Table, TableBuilder, TableView, Value},
};

mod agreement;
mod bytes_seen;
mod refusals;

/// Chooses the fields of sampled methods; the same seed chooses the same.
pub(crate) struct Sampler {
    state: u64,
    /// Leave the fields empty that other implementations write as nothing: see [`RESERVED`].
    pub(crate) reserved_empty: bool,
}

/// Fields of other implementations' constants.
const RESERVED: &[&str] = &[
    "ticket",
    "out_of_band",
    "channel_id",
    "capabilities",
    "insist",
    "known_hosts",
    "cluster_id",
    "prefetch_size",
];

impl Sampler {
    pub(crate) fn new(seed: u64) -> Sampler {
        Sampler { state: seed, reserved_empty: false }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn text(&mut self, max: u64) -> String {
        let length = self.next() % max;
        (0..length).map(|_| ['a', 'é', '.', '☃', '#', '\0'][(self.next() % 6) as usize]).collect()
    }

    /// A value that is found again as it was, nested at most `depth` deep.
    fn push_value(&mut self, name: &str, depth: u32, out: &mut TableBuilder) {
        let bits = self.next();
        let text = self.text(20);
        let value = match self.next() % if depth == 0 { 15 } else { 17 } {
            0 => Value::Bool(bits & 1 == 0),
            1 => Value::I8(bits as i8),
            2 => Value::U8(bits as u8),
            3 => Value::I16(bits as i16),
            4 => Value::U16(bits as u16),
            5 => Value::I32(bits as i32),
            6 => Value::U32(bits as u32),
            7 => Value::I64(bits as i64),
            8 => Value::F32(bits as f32),
            9 => Value::F64(bits as f64),
            10 => Value::Decimal { scale: bits as u8, value: (bits >> 8) as u32 },
            11 => Value::Timestamp(bits),
            12 => Value::text(&text),
            13 => Value::ByteArray(text.as_bytes()),
            14 => Value::Void,
            15 => {
                let table = self.table(depth - 1);
                out.push(name.as_bytes(), Value::Table(table.view()));
                return;
            }
            _ => {
                let table = self.table(depth - 1);
                let array =
                    table.view().iter().fold(ArrayBuilder::new(), |array, (_, value)| array.value(value));
                out.push(name.as_bytes(), Value::Array(array.view()));
                return;
            }
        };
        out.push(name.as_bytes(), value);
    }

    /// A table with different names in alphabetical order: implementations that keep a map write it back alike.
    pub(crate) fn table(&mut self, depth: u32) -> Table {
        let mut builder = TableBuilder::new();
        for letter in ["a", "b", "c", "d"].iter().take((self.next() % 5) as usize) {
            self.push_value(letter, depth, &mut builder);
        }
        builder.build()
    }

    fn octets(&mut self, max: u64) -> Bytes {
        let length = self.next() % max;
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// Encoded properties, each there or not.
    fn properties(&mut self) -> Bytes {
        let table = self.table(3);
        let texts: Vec<String> = (0..9).map(|_| self.text(40)).collect();
        let there = self.next();
        let text = |index: usize| (there >> index & 1 == 1).then(|| texts[index].as_bytes());
        Properties {
            content_type: text(0),
            content_encoding: text(1),
            headers: (there >> 20 & 1 == 1).then(|| table.view()),
            delivery_mode: (there >> 21 & 1 == 1).then_some((there >> 32) as u8),
            priority: (there >> 22 & 1 == 1).then_some((there >> 40) as u8),
            correlation_id: text(2),
            reply_to: text(3),
            expiration: text(4),
            message_id: text(5),
            timestamp: (there >> 23 & 1 == 1).then_some(there),
            kind: text(6),
            user_id: text(7),
            app_id: text(8),
            cluster_id: None,
        }
        .to_bytes()
    }
}

/// A field that a sampler can choose.
pub(crate) trait Sample {
    fn sample(sampler: &mut Sampler, name: &str) -> Self;
}

macro_rules! samples {
    ($($type:ty: $sampler:ident => $value:expr),* $(,)?) => {$(
        impl Sample for $type {
            fn sample($sampler: &mut Sampler, name: &str) -> $type {
                if $sampler.reserved_empty && RESERVED.contains(&name) {
                    return <$type>::default();
                }
                $value
            }
        }
    )*};
}

samples! {
    bool: sampler => sampler.next() & 1 == 1,
    u8: sampler => sampler.next() as u8,
    u16: sampler => sampler.next() as u16,
    u32: sampler => sampler.next() as u32,
    u64: sampler => sampler.next(),
    ByteString: sampler => sampler.text(60).into(),
    Bytes: sampler => Bytes::from(sampler.text(300).into_bytes()),
    Table: sampler => sampler.table(3),
}

fn decode_all(input: &mut BytesMut) -> Vec<Frame> {
    std::iter::from_fn(|| frame::decode(input, 131_072).expect("frames")).collect()
}

fn method_of(frame: &Frame) -> Method {
    match &frame.payload {
        Payload::Method(payload) => Method::decode(payload).expect("a method"),
        other => panic!("{other:?} is no method"),
    }
}

/// Some of everything: each method, headers, bodies and heartbeats.
fn stream(seed: u64) -> (BytesMut, Vec<Frame>) {
    let mut sampler = Sampler::new(seed);
    let mut bytes = BytesMut::new();
    for method in Method::samples(&mut sampler) {
        method.encode(sampler.next() as u16, &mut bytes);
        if sampler.next().is_multiple_of(8) {
            bytes.extend_from_slice(&frame::HEARTBEAT_FRAME);
        }
        if sampler.next().is_multiple_of(4) {
            let (properties, body) = (sampler.properties(), sampler.octets(20_000));
            let channel = sampler.next() as u16;
            let mut writer = ContentWriter { out: &mut bytes, channel, frame_max: 4096 };
            let address = Address { exchange: "e", routing_key: "k" };
            writer.deliver("tag", 7, true, address, Content { properties: &properties, body: &body });
        }
    }
    let frames = decode_all(&mut bytes.clone());
    (bytes, frames)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_method_decodes_to_itself(seed: u64) {
        let mut sampler = Sampler::new(seed);
        for method in Method::samples(&mut sampler) {
            let channel = sampler.next() as u16;
            let mut bytes = BytesMut::new();
            method.encode(channel, &mut bytes);
            let frames = decode_all(&mut bytes);
            prop_assert_eq!(frames.len(), 1);
            prop_assert_eq!(frames[0].channel, channel);
            prop_assert_eq!(method_of(&frames[0]), method);
            prop_assert!(bytes.is_empty());
        }
    }

    #[test]
    fn frames_encode_to_the_bytes_they_came_from(seed: u64) {
        let (bytes, frames) = stream(seed);
        let mut again = BytesMut::new();
        for frame in &frames {
            frame::encode(frame, &mut again);
        }
        prop_assert_eq!(bytes, again);
    }

    #[test]
    fn frames_survive_any_cut(seed: u64, cuts in prop::collection::vec(1_usize..5000, 1..60)) {
        let (bytes, frames) = stream(seed);
        let (mut input, mut got, mut rest) = (BytesMut::new(), Vec::new(), &bytes[..]);
        for cut in cuts.iter().cycle() {
            let (part, tail) = rest.split_at((*cut).min(rest.len()));
            rest = tail;
            input.extend_from_slice(part);
            got.extend(decode_all(&mut input));
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(input.is_empty());
        prop_assert_eq!(got, frames);
    }

    #[test]
    fn properties_parse_to_what_was_encoded(seed: u64) {
        let raw = Sampler::new(seed).properties();
        let properties = Properties::parse(&raw).expect("properties");
        prop_assert_eq!(properties.to_bytes(), raw);
    }

    #[test]
    fn tables_are_read_in_place(seed: u64) {
        let table = Sampler::new(seed).table(4);
        let again = Table::from_raw(table.raw().clone()).expect("a table");
        let mut copy = TableBuilder::new();
        for (name, value) in again.view() {
            copy.push(name, value);
        }
        prop_assert_eq!(copy.build(), table);
    }

    #[test]
    fn a_content_is_split_and_joined(
        length in 0_usize..40_000,
        frame_max in 4096_u32..20_000,
        properties in any::<u64>().prop_map(|seed| Sampler::new(seed).properties()),
    ) {
        let body: Vec<u8> = (0..length).map(|index| index as u8).collect();
        let mut bytes = BytesMut::new();
        let mut writer = ContentWriter { out: &mut bytes, channel: 3, frame_max };
        let address = Address { exchange: "ex", routing_key: "key" };
        writer.get_ok(1, false, address, 9, Content { properties: &properties, body: &body });
        let mut frames = decode_all(&mut bytes).into_iter();
        prop_assert_eq!(
            method_of(&frames.next().expect("a method")),
            Method::BasicGetOk(basic::GetOk {
                delivery_tag: 1,
                redelivered: false,
                exchange: "ex".into(),
                routing_key: "key".into(),
                message_count: 9,
            })
        );
        let Some(Frame { payload: Payload::Header(header), .. }) = frames.next() else {
            panic!("no header")
        };
        let header = frame::ContentHeader::decode(&header).expect("a header");
        prop_assert_eq!((header.class, header.body_size), (60, length as u64));
        prop_assert_eq!(header.properties, properties);
        let mut joined = Vec::new();
        for frame in frames {
            let Payload::Body(part) = frame.payload else { panic!("no body") };
            prop_assert!(!part.is_empty() && part.len() + 8 <= frame_max as usize);
            joined.extend_from_slice(&part);
        }
        prop_assert_eq!(joined, body);
    }
}

#[test]
fn frames_survive_a_cut_at_every_byte() {
    let (bytes, frames) = stream(7);
    let (mut input, mut got) = (BytesMut::new(), Vec::new());
    for byte in bytes {
        input.extend_from_slice(&[byte]);
        got.extend(decode_all(&mut input));
    }
    assert_eq!(got, frames);
}

#[test]
fn a_long_text_is_cut_at_a_character() {
    let text = "é".repeat(200);
    let mut bytes = BytesMut::new();
    connection::Blocked { reason: text.into() }.into_frame(&mut bytes);
    let Method::ConnectionBlocked(blocked) = method_of(&decode_all(&mut bytes)[0]) else { panic!() };
    assert_eq!(blocked.reason, "é".repeat(127));
}

impl connection::Blocked {
    fn into_frame(self, out: &mut BytesMut) {
        Method::from(self).encode(0, out);
    }
}
