//! Properties of a message as another protocol may have left them: they are read without a panic, and what MQTT is told of
//! them can be carried again.
#![no_main]

use bytes::BytesMut;
use kuzzle_mqtt_proto::{
    codec::{Limits, Properties, Property},
    message::{MessageProperties, put_properties},
    topic::Filter,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let read = MessageProperties::parse(data);
    let user: Vec<Property> = read
        .user_properties()
        .map(|(name, value)| Property::UserProperty(name.into(), value.into()))
        .collect();
    let mut out = BytesMut::new();
    put_properties(&mut out, read.qos, false, &Properties(user));
    let again = MessageProperties::parse(&out);
    assert_eq!(again.qos, read.qos);
    assert!(again.user_properties().eq(read.user_properties()), "user properties survive");

    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(filter) = Filter::parse(text, &Limits::default())
    {
        assert!(!filter.key.contains('+'), "a binding key has the broker's wildcards");
    }
});
