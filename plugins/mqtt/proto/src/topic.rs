//! Topic names and filters (section 4.7), and the routing keys that they are in the broker.
//!
//! The broker routes by words between dots, MQTT by levels between slashes, and one message may be published by the one
//! and received by the other. So, on exchange `amq.topic`:
//!
//! | MQTT | routing key | back |
//! |---|---|---|
//! | `/` | `.` | `/` |
//! | `.` | `.` | `/` |
//! | `+` of a filter | `*` | |
//! | `#` of a filter | `#` | |
//! | anything else | itself | itself |
//!
//! `mqtt.myId` and `mqtt/myId` are therefore one topic, and what is delivered says `mqtt/myId`. Empty levels survive both
//! ways (`/a` is `.a`). A level that is `*` alone stands for any level in a filter, as `+` does, since both are the same
//! word to the broker; in a topic name it is itself.
//!
//! A routing key that another protocol made may be no topic name: empty, with `+` or `#` in it, or with U+0000. Such a
//! message cannot be told to an MQTT client: [`is_topic_name`].

use std::fmt;

use bytes::{BufMut, BytesMut};
use bytestring::ByteString;

use crate::codec::Limits;

/// The exchange of all topics.
pub const EXCHANGE: &str = "amq.topic";

/// Why a topic name or filter is none, or not for this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicError {
    /// It has no character (`[MQTT-4.7.3-1]`).
    Empty,
    /// It is longer than [`Limits::topic_max_bytes`].
    TooLong,
    /// It has more levels than [`Limits::topic_levels_max`].
    TooDeep,
    /// `+` or `#` that is not a level of its own, or `#` before the last level (`[MQTT-4.7.1-1]`, `[MQTT-4.7.1-2]`).
    Wildcard,
    /// `$share/` without a share name, with a wildcard in it, or without a filter (`[MQTT-4.8.2-1]`, `[MQTT-4.8.2-2]`).
    Share,
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TopicError::Empty => "the topic is empty [MQTT-4.7.3-1]",
            TopicError::TooLong => "the topic is longer than this server takes",
            TopicError::TooDeep => "the topic has more levels than this server takes",
            TopicError::Wildcard => {
                "`+` and `#` must be a level of their own, and `#` the last [MQTT-4.7.1-1] [MQTT-4.7.1-2]"
            }
            TopicError::Share => "a shared subscription is `$share/<name>/<filter>` [MQTT-4.8.2-1]",
        })
    }
}

impl std::error::Error for TopicError {}

/// A topic filter that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The share name of a shared subscription (section 4.8.2).
    pub share: Option<ByteString>,
    /// The binding key: the filter in the broker's words.
    pub key: ByteString,
}

impl Filter {
    /// Checks a filter of SUBSCRIBE or UNSUBSCRIBE. Copies: nothing of the packet is held.
    ///
    /// # Errors
    /// [`TopicError`].
    pub fn parse(filter: &str, limits: &Limits) -> Result<Filter, TopicError> {
        if filter.len() > limits.topic_max_bytes {
            return Err(TopicError::TooLong);
        }
        let (share, filter) = match filter.strip_prefix("$share/") {
            Some(shared) => {
                let (name, filter) = shared.split_once('/').ok_or(TopicError::Share)?;
                if name.is_empty() || filter.is_empty() || name.contains(['+', '#']) {
                    return Err(TopicError::Share);
                }
                (Some(ByteString::from(name)), filter)
            }
            None => (None, filter),
        };
        if filter.is_empty() {
            return Err(TopicError::Empty);
        }
        check_levels(filter, limits)?;
        let mut levels = filter.split(is_separator).peekable();
        while let Some(level) = levels.next() {
            let is_wildcard = level == "+" || (level == "#" && levels.peek().is_none());
            if !is_wildcard && level.contains(['+', '#']) {
                return Err(TopicError::Wildcard);
            }
        }
        let key: String = filter
            .chars()
            .map(|character| match character {
                '/' => '.',
                '+' => '*',
                other => other,
            })
            .collect();
        Ok(Filter { share, key: key.into() })
    }
}

/// Checks a topic name whose wildcards, length and characters the codec has checked.
///
/// # Errors
/// [`TopicError`].
pub fn check_name(topic: &str, limits: &Limits) -> Result<(), TopicError> {
    if topic.is_empty() {
        return Err(TopicError::Empty);
    }
    check_levels(topic, limits)
}

/// Appends the routing key of a topic name. It has as many bytes as the name.
pub fn put_routing_key(out: &mut BytesMut, topic: &str) {
    put_mapped(out, topic, b'/', b'.');
}

/// Appends the topic name of a routing key. It has as many bytes as the key.
pub fn put_topic_name(out: &mut BytesMut, routing_key: &str) {
    put_mapped(out, routing_key, b'.', b'/');
}

/// The topic name of a routing key.
#[must_use]
pub fn topic_name(routing_key: &str) -> String {
    routing_key.replace('.', "/")
}

/// The routing key of a topic name.
#[must_use]
pub fn routing_key(topic: &str) -> String {
    topic.replace('/', ".")
}

/// Whether a routing key is a topic name that may be sent to a client.
#[must_use]
pub fn is_topic_name(routing_key: &str) -> bool {
    !routing_key.is_empty()
        && routing_key.len() <= usize::from(u16::MAX)
        && !routing_key.bytes().any(|byte| matches!(byte, b'+' | b'#' | 0))
}

fn put_mapped(out: &mut BytesMut, text: &str, from: u8, to: u8) {
    let start = out.len();
    out.put_slice(text.as_bytes());
    for byte in &mut out[start..] {
        if *byte == from {
            *byte = to;
        }
    }
}

fn check_levels(topic: &str, limits: &Limits) -> Result<(), TopicError> {
    let separators = topic.bytes().filter(|byte| matches!(byte, b'/' | b'.')).count();
    if separators >= limits.topic_levels_max { Err(TopicError::TooDeep) } else { Ok(()) }
}

fn is_separator(character: char) -> bool {
    character == '/' || character == '.'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(filter: &str) -> Result<String, TopicError> {
        let filter = Filter::parse(filter, &Limits::default())?;
        assert_eq!(filter.share, None);
        Ok(filter.key.to_string())
    }

    #[test]
    fn both_spellings_are_one_key_and_come_back_with_slashes() {
        assert_eq!(key("mqtt.myId"), Ok("mqtt.myId".to_owned()));
        assert_eq!(key("mqtt/myId"), Ok("mqtt.myId".to_owned()));
        let mut out = BytesMut::new();
        put_topic_name(&mut out, "mqtt.myId");
        assert_eq!(&out[..], b"mqtt/myId");
    }

    #[test]
    fn names_map_as_measured() {
        for (topic, expected, back) in [
            ("a/b.c", "a.b.c", "a/b/c"),
            ("a.b/c", "a.b.c", "a/b/c"),
            ("/a", ".a", "/a"),
            ("a/", "a.", "a/"),
            ("a//b", "a..b", "a//b"),
            ("a*", "a*", "a*"),
            ("$SYS/x", "$SYS.x", "$SYS/x"),
        ] {
            let mut out = BytesMut::new();
            put_routing_key(&mut out, topic);
            assert_eq!(&out[..], expected.as_bytes());
            assert_eq!(routing_key(topic), expected);
            assert_eq!(topic_name(expected), back);
        }
        // A slash that another protocol put into a key stays what it is: part of a word.
        assert_eq!(topic_name("sensor/temp"), "sensor/temp");
    }

    #[test]
    fn mqtt_4_7_1_1_multi_level_wildcard_is_last() {
        assert_eq!(key("#"), Ok("#".to_owned()));
        assert_eq!(key("sport/tennis/#"), Ok("sport.tennis.#".to_owned()));
        for filter in ["a/#/b", "a#", "#/a", "a/b#", "##"] {
            assert_eq!(key(filter), Err(TopicError::Wildcard), "{filter}");
        }
    }

    #[test]
    fn mqtt_4_7_1_2_single_level_wildcard_is_a_level() {
        assert_eq!(key("+"), Ok("*".to_owned()));
        assert_eq!(key("+/tennis/#"), Ok("*.tennis.#".to_owned()));
        assert_eq!(key("a/*/b"), Ok("a.*.b".to_owned()));
        for filter in ["a+", "sport+", "+a/b", "a/++/b"] {
            assert_eq!(key(filter), Err(TopicError::Wildcard), "{filter}");
        }
    }

    #[test]
    fn mqtt_4_7_3_1_topics_have_a_character() {
        assert_eq!(key(""), Err(TopicError::Empty));
        assert_eq!(check_name("", &Limits::default()), Err(TopicError::Empty));
    }

    #[test]
    fn mqtt_4_8_2_1_shares_have_a_name() {
        let filter = Filter::parse("$share/workers/jobs/+", &Limits::default()).unwrap();
        assert_eq!(filter.share.as_deref(), Some("workers"));
        assert_eq!(filter.key, "jobs.*");
        for filter in ["$share/", "$share//a", "$share/g", "$share/g/", "$share/+/a", "$share/g#/a"] {
            assert_eq!(Filter::parse(filter, &Limits::default()), Err(TopicError::Share), "{filter}");
        }
    }

    #[test]
    fn lengths_and_levels_are_limited() {
        let limits = Limits { topic_max_bytes: 8, topic_levels_max: 3, ..Limits::default() };
        assert_eq!(Filter::parse("123456789", &limits), Err(TopicError::TooLong));
        assert!(Filter::parse("a/b/c", &limits).is_ok());
        assert_eq!(Filter::parse("a/b/c/d", &limits), Err(TopicError::TooDeep));
        assert_eq!(check_name("a.b.c.d", &limits), Err(TopicError::TooDeep));
    }

    #[test]
    fn keys_that_are_no_topic_names_are_known() {
        assert!(is_topic_name("sensor.temp"));
        for key in ["", "a.+", "a.#", "nul\0"] {
            assert!(!is_topic_name(key), "{key:?}");
        }
    }
}
