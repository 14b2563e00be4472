//! What the names of destinations mean to the broker, as RabbitMQ's clients know them.
//!
//! | destination | exchange, routing key or queue |
//! |---|---|
//! | `/queue/<n>`, `<n>` | the queue `n`, which is declared |
//! | `/amq/queue/<n>` | the queue `n`, which has to be there |
//! | `/reply-queue/<n>` | the same; `n` is taken as it is, slashes and all |
//! | `/topic/<key>` | the exchange `amq.topic` |
//! | `/exchange/<e>`, `/exchange/<e>/<key>` | the exchange `e` |
//! | `/temp-queue/<n>` | in `reply-to` alone: a queue of the connection's own |
//!
//! Within a segment `%2F` stands for a slash and `%25` for a percent sign.

use bytes::{BufMut, BytesMut};
use bytestring::ByteString;

use crate::codec::{Version, escape};

/// The exchange that topics belong to.
pub const TOPIC_EXCHANGE: &str = "amq.topic";

const QUEUE: &str = "/queue/";
const AMQ_QUEUE: &str = "/amq/queue/";
const REPLY_QUEUE: &str = "/reply-queue/";
const TOPIC: &str = "/topic/";
const EXCHANGE: &str = "/exchange/";
const TEMP_QUEUE: &str = "/temp-queue/";

/// A destination, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A queue that is declared when it is not there.
    Queue(ByteString),
    /// A queue that has to be there.
    ExistingQueue(ByteString),
    /// An exchange and a routing key.
    Exchange {
        /// Its name.
        exchange: ByteString,
        /// The routing key, or pattern.
        key: ByteString,
    },
    /// A queue of the connection's own, by the client's name for it.
    TempQueue(ByteString),
}

/// Why text is no destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotADestination<'a> {
    /// It begins with no known prefix.
    Unknown,
    /// Behind the prefix of that kind there is not what has to be.
    Invalid {
        /// `queue`, `topic` or `exchange`.
        kind: &'static str,
        /// What is there, from the slash on.
        rest: &'a str,
    },
}

impl Destination {
    /// Takes a destination apart. Spaces in front of it do not belong to it: no destination begins with one.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Destination, NotADestination<'_>> {
        let text = text.trim_start_matches(' ');
        let one = |kind, rest: &str| {
            match rest {
                "" => None,
                rest if rest.contains('/') => None,
                rest => Some(decode(rest)),
            }
            .ok_or(kind)
        };
        if let Some(rest) = text.strip_prefix(TOPIC) {
            let key = one("topic", rest).map_err(|kind| invalid(kind, text, TOPIC))?;
            Ok(Destination::Exchange { exchange: ByteString::from_static(TOPIC_EXCHANGE), key })
        } else if let Some(rest) = text.strip_prefix(QUEUE) {
            one("queue", rest).map(Destination::Queue).map_err(|kind| invalid(kind, text, QUEUE))
        } else if let Some(rest) = text.strip_prefix(AMQ_QUEUE) {
            one("queue", rest).map(Destination::ExistingQueue).map_err(|kind| invalid(kind, text, AMQ_QUEUE))
        } else if let Some(rest) = text.strip_prefix(EXCHANGE) {
            let (exchange, key) = rest.split_once('/').unwrap_or((rest, ""));
            if exchange.is_empty() || key.contains('/') {
                return Err(invalid("exchange", text, EXCHANGE));
            }
            Ok(Destination::Exchange { exchange: decode(exchange), key: decode(key) })
        } else if let Some(rest) = text.strip_prefix(REPLY_QUEUE) {
            if rest.is_empty() {
                return Err(invalid("queue", text, REPLY_QUEUE));
            }
            Ok(Destination::ExistingQueue(rest.into()))
        } else if let Some(rest) = text.strip_prefix(TEMP_QUEUE) {
            if rest.is_empty() {
                return Err(invalid("queue", text, TEMP_QUEUE));
            }
            Ok(Destination::TempQueue(rest.into()))
        } else if text.starts_with('/') || text.is_empty() {
            Err(NotADestination::Unknown)
        } else {
            Ok(Destination::Queue(decode(text)))
        }
    }
}

fn invalid<'a>(kind: &'static str, text: &'a str, prefix: &str) -> NotADestination<'a> {
    NotADestination::Invalid { kind, rest: text.get(prefix.len() - 1..).unwrap_or_default() }
}

/// Whether an address for answers is shown as it is. Any other one is the name of a queue.
#[must_use]
pub fn has_known_prefix(text: &str) -> bool {
    [QUEUE, AMQ_QUEUE, REPLY_QUEUE, TOPIC, EXCHANGE, TEMP_QUEUE].iter().any(|prefix| text.starts_with(prefix))
}

/// What the address for answers that a client gives means to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyTo {
    /// A queue. `declare` says that it is declared when it is not there.
    Queue {
        /// Its name.
        name: ByteString,
        /// Whether it is declared.
        declare: bool,
    },
    /// A key of the topic exchange.
    Topic(ByteString),
    /// A queue of the connection's own, by the client's name for it.
    TempQueue(ByteString),
    /// Anything else goes through unchanged.
    Other,
}

impl ReplyTo {
    /// Takes an address for answers apart.
    #[must_use]
    pub fn parse(text: &str) -> ReplyTo {
        let text = text.trim_start_matches(' ');
        if !text.starts_with('/') {
            return ReplyTo::Queue { name: text.into(), declare: false };
        }
        match Destination::parse(text) {
            Ok(Destination::Queue(name)) => ReplyTo::Queue { name, declare: true },
            Ok(Destination::ExistingQueue(name)) => ReplyTo::Queue { name, declare: false },
            Ok(Destination::Exchange { exchange, key }) if exchange == TOPIC_EXCHANGE => ReplyTo::Topic(key),
            Ok(Destination::TempQueue(name)) => ReplyTo::TempQueue(name),
            Ok(Destination::Exchange { .. }) | Err(_) => ReplyTo::Other,
        }
    }
}

/// Appends the destination of a message that was published to `exchange` with `key`, escaped for the version.
pub fn put(out: &mut BytesMut, exchange: &str, key: &str, version: Version) {
    match exchange {
        "" => out.put_slice(QUEUE.as_bytes()),
        TOPIC_EXCHANGE => out.put_slice(TOPIC.as_bytes()),
        exchange => {
            out.put_slice(EXCHANGE.as_bytes());
            put_segment(out, exchange, version);
            if key.is_empty() {
                return;
            }
            out.put_u8(b'/');
        }
    }
    put_segment(out, key, version);
}

fn put_segment(out: &mut BytesMut, segment: &str, version: Version) {
    let mut rest = segment.as_bytes();
    while let Some(at) = memchr::memchr2(b'/', b'%', rest) {
        escape(out, &rest[..at], version);
        out.put_slice(if rest[at] == b'/' { b"%2F" } else { b"%25" });
        rest = &rest[at + 1..];
    }
    escape(out, rest, version);
}

/// Resolves `%` and two hexadecimal digits. What is no such thing, or would make no UTF-8, stays as it is.
fn decode(segment: &str) -> ByteString {
    if memchr::memchr(b'%', segment.as_bytes()).is_none() {
        return segment.into();
    }
    let hex = |digit: Option<&u8>| digit.and_then(|digit| char::from(*digit).to_digit(16));
    let bytes = segment.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(octet) = bytes.get(at) {
        match (octet, hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                decoded.push(*octet);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).map_or_else(|_| segment.into(), ByteString::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exchange(exchange: &str, key: &str) -> Destination {
        Destination::Exchange { exchange: exchange.into(), key: key.into() }
    }

    #[test]
    fn destinations_mean_what_was_measured() {
        let parse = |text| Destination::parse(text).expect("a destination");
        assert_eq!(parse("/queue/a"), Destination::Queue("a".into()));
        assert_eq!(parse("/queue/a%2Fb"), Destination::Queue("a/b".into()));
        assert_eq!(parse("a"), Destination::Queue("a".into()));
        assert_eq!(parse(" /queue/a"), Destination::Queue("a".into()));
        assert_eq!(parse("/amq/queue/a"), Destination::ExistingQueue("a".into()));
        assert_eq!(parse("/reply-queue/a/b%2F"), Destination::ExistingQueue("a/b%2F".into()));
        assert_eq!(parse("/topic/a.b"), exchange("amq.topic", "a.b"));
        assert_eq!(parse("/topic/sensor%2ftemp"), exchange("amq.topic", "sensor/temp"));
        assert_eq!(parse("/exchange/e"), exchange("e", ""));
        assert_eq!(parse("/exchange/e/k"), exchange("e", "k"));
        assert_eq!(parse("/temp-queue/x"), Destination::TempQueue("x".into()));
    }

    #[test]
    fn what_is_no_destination_is_told_by_kind() {
        for (text, kind, rest) in [
            ("/queue/a/b", "queue", "/a/b"),
            ("/queue/", "queue", "/"),
            ("/topic/a/b", "topic", "/a/b"),
            ("/topic/", "topic", "/"),
            ("/exchange/", "exchange", "/"),
            ("/exchange/amq.topic/a/b", "exchange", "/amq.topic/a/b"),
            ("/amq/queue/a/b", "queue", "/a/b"),
            ("/reply-queue/", "queue", "/"),
        ] {
            assert_eq!(Destination::parse(text), Err(NotADestination::Invalid { kind, rest }), "{text}");
        }
        for text in ["", "/", "/foo/bar", "/queue", "/Queue/a"] {
            assert_eq!(Destination::parse(text), Err(NotADestination::Unknown), "{text}");
        }
    }

    #[test]
    fn every_form_of_reply_to_is_understood() {
        let queue = |name: &str, declare| ReplyTo::Queue { name: name.into(), declare };
        assert_eq!(ReplyTo::parse("x"), queue("x", false));
        assert_eq!(ReplyTo::parse("/queue/x"), queue("x", true));
        assert_eq!(ReplyTo::parse("/amq/queue/x"), queue("x", false));
        assert_eq!(ReplyTo::parse("/reply-queue/x/y"), queue("x/y", false));
        assert_eq!(ReplyTo::parse("/topic/k"), ReplyTo::Topic("k".into()));
        assert_eq!(ReplyTo::parse("/temp-queue/x"), ReplyTo::TempQueue("x".into()));
        assert_eq!(ReplyTo::parse("/exchange/e/k"), ReplyTo::Other);
        assert_eq!(ReplyTo::parse("/nowhere"), ReplyTo::Other);
    }

    fn shown(exchange: &str, key: &str) -> String {
        let mut out = BytesMut::new();
        put(&mut out, exchange, key, Version::V1_2);
        String::from_utf8(out.to_vec()).expect("text")
    }

    #[test]
    fn messages_show_where_they_were_published() {
        assert_eq!(shown("", "a"), "/queue/a");
        assert_eq!(shown("", "a/b"), "/queue/a%2Fb");
        assert_eq!(shown("amq.topic", "sensor/temp"), "/topic/sensor%2Ftemp");
        assert_eq!(shown("amq.topic", ""), "/topic/");
        assert_eq!(shown("e", ""), "/exchange/e");
        assert_eq!(shown("e", "a:b"), "/exchange/e/a\\cb");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_a_destination_again(name in "[a-z/%2Fé]{1,12}", key in "[a-z/%2Fé]{1,12}") {
            let mut out = BytesMut::new();
            put(&mut out, &name, &key, Version::V1_0);
            let text = std::str::from_utf8(&out).expect("text");
            prop_assert_eq!(Destination::parse(text), Ok(exchange(&name, &key)));
        }

        #[test]
        fn any_text_is_taken_apart_without_harm(text in ".{0,40}") {
            let _ = Destination::parse(&text);
            let _ = ReplyTo::parse(&text);
        }
    }
}
