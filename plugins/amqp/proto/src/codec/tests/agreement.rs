//! The same frames as an implementation that nobody here wrote.

use amq_protocol::frame::{AMQPFrame, WriteContext, gen_frame, parse_frame};

use super::*;

/// Reads `bytes` with the other implementation and writes them again with it.
fn through_the_other(bytes: &[u8]) -> Vec<u8> {
    let (rest, frame) = parse_frame(bytes).expect("the other implementation reads the frame");
    assert!(rest.is_empty());
    let context = gen_frame(&frame)(WriteContext::from(Vec::new())).expect("the frame is written");
    context.into_inner().0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn on_methods(seed: u64) {
        let mut sampler = Sampler::new(seed);
        sampler.reserved_empty = true;
        for method in Method::samples(&mut sampler) {
            if matches!(method, Method::AccessRequestOk(_)) {
                // Its ticket is 1 there, whatever was read.
                continue;
            }
            let channel = 1 + sampler.next() as u16 % 1000;
            let mut bytes = BytesMut::new();
            method.encode(channel, &mut bytes);
            prop_assert_eq!(&through_the_other(&bytes)[..], &bytes[..], "{:?}", method);
        }
    }

    #[test]
    fn on_contents(seed: u64) {
        let mut sampler = Sampler::new(seed);
        let (properties, body) = (sampler.properties(), sampler.octets(9000));
        let mut bytes = BytesMut::new();
        let mut writer = ContentWriter { out: &mut bytes, channel: 1, frame_max: 4096 };
        let address = Address { exchange: "ex", routing_key: "key" };
        writer.publish(true, address, Content { properties: &properties, body: &body });
        let (mut rest, mut joined) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let (tail, frame) = parse_frame(rest).expect("the other implementation reads the frame");
            match &frame {
                AMQPFrame::Header(channel, header) => {
                    prop_assert_eq!((*channel, header.class_id, header.body_size), (1, 60, body.len() as u64));
                }
                AMQPFrame::Body(_, part) => joined.extend_from_slice(part),
                _ => {}
            }
            let length = rest.len() - tail.len();
            prop_assert_eq!(&through_the_other(&rest[..length])[..], &rest[..length]);
            rest = tail;
        }
        prop_assert_eq!(&joined[..], &body[..]);
    }
}
