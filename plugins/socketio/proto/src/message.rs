//! One socket.io packet, as an engine.io message carries it:
//! `<type>[<attachments>-][<namespace>,][<acknowledgement id>][<JSON>]`.

use std::{borrow::Cow, fmt};

use bytestring::ByteString;
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The namespace of every client that names none.
pub const DEFAULT_NAMESPACE: &str = "/";

/// A socket.io packet from a client. The texts borrow from the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is.
    pub kind: Kind,
    /// The namespace without its query (`/` when the packet names none).
    pub namespace: &'a str,
    /// The id under which the sender waits for an acknowledgement.
    pub ack: Option<u64>,
    /// Binary attachments that follow as packets of their own.
    pub attachments: u32,
    /// The JSON text behind it, unread; empty when there is none.
    pub data: &'a str,
}

/// The type of a socket.io packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `0`: join a namespace.
    Connect,
    /// `1`: leave it.
    Disconnect,
    /// `2`: an event: a JSON array of its name and arguments.
    Event,
    /// `3`: an acknowledgement of an event of ours.
    Ack,
    /// `4`: an error (a server's packet; a client has no use for it).
    Error,
    /// `5`: an event with binary attachments.
    BinaryEvent,
    /// `6`: an acknowledgement with binary attachments.
    BinaryAck,
}

/// The name and the first argument of an event; further ones are ignored, as the original server does.
#[derive(Debug)]
pub struct Event<'a> {
    /// The event's name.
    pub name: Cow<'a, str>,
    /// The JSON text of the first argument, absent when the event has none.
    pub argument: Option<&'a str>,
}

/// Why a socket.io packet could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageError {
    /// It does not start with a type from `0` to `6`.
    UnknownType,
    /// An acknowledgement id beyond 64 bits.
    AckTooLarge,
    /// A binary packet without the count of its attachments, or with more of them than a `u32` holds.
    BadAttachmentCount,
    /// The data of an event is no JSON array that starts with a string.
    BadEvent,
}

impl<'a> Message<'a> {
    /// Reads the data of an engine.io message. The JSON behind it stays unread: see [`Event::parse`].
    ///
    /// # Errors
    /// [`MessageError`] when type, attachment count or acknowledgement id cannot be read.
    pub fn parse(text: &'a str) -> Result<Message<'a>, MessageError> {
        let kind = match text.as_bytes().first() {
            Some(b'0') => Kind::Connect,
            Some(b'1') => Kind::Disconnect,
            Some(b'2') => Kind::Event,
            Some(b'3') => Kind::Ack,
            Some(b'4') => Kind::Error,
            Some(b'5') => Kind::BinaryEvent,
            Some(b'6') => Kind::BinaryAck,
            _ => return Err(MessageError::UnknownType),
        };
        let mut rest = &text[1..];
        let mut attachments = 0;
        if matches!(kind, Kind::BinaryEvent | Kind::BinaryAck) {
            let (count, behind) = rest.split_once('-').ok_or(MessageError::BadAttachmentCount)?;
            attachments = count.parse().map_err(|_| MessageError::BadAttachmentCount)?;
            rest = behind;
        }
        let mut namespace = DEFAULT_NAMESPACE;
        if rest.starts_with('/') {
            let (address, behind) = rest.split_once(',').unwrap_or((rest, ""));
            namespace = address.split_once('?').map_or(address, |(path, _query)| path);
            rest = behind;
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let ack = match &rest[..digits] {
            "" => None,
            id => Some(id.parse().map_err(|_| MessageError::AckTooLarge)?),
        };
        Ok(Message { kind, namespace, ack, attachments, data: &rest[digits..] })
    }
}

impl<'a> Event<'a> {
    /// Reads the JSON array of an event: its syntax is checked, its arguments stay text.
    ///
    /// # Errors
    /// [`MessageError::BadEvent`] when it is no JSON array that starts with a string.
    pub fn parse(data: &'a str) -> Result<Event<'a>, MessageError> {
        serde_json::from_str(data).map_err(|_| MessageError::BadEvent)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Event<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = Event<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of an event's name and its arguments")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
                let Some(Name(name)) = elements.next_element()? else {
                    return Err(serde::de::Error::invalid_length(0, &self));
                };
                let argument = elements.next_element::<&RawValue>()?.map(RawValue::get);
                while elements.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Event { name, argument })
            }
        }
        deserializer.deserialize_seq(Elements)
    }
}

/// A JSON string, borrowed when it holds no escape.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event's name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// The engine.io packet of an event `name` with the one argument `json`.
///
/// Encode a notification once and send the same packet to every client.
#[must_use]
pub fn event(name: &str, json: &str) -> ByteString {
    let mut out = String::with_capacity(name.len() + json.len() + 8);
    out.push_str("42[");
    push_json_string(&mut out, name);
    out.push(',');
    out.push_str(json);
    out.push(']');
    out.into()
}

/// The engine.io packet that acknowledges the client's event `id` with the one argument `json`.
#[must_use]
pub fn ack(id: u64, json: &str) -> ByteString {
    format!("43{id}[{json}]").into()
}

/// The engine.io packet that tells a revision 3 client that it has joined the default namespace.
pub(crate) const CONNECTED_V3: ByteString = ByteString::from_static("40");

/// The engine.io packet that tells a revision 4 client that it has joined the default namespace as `socket_id`.
pub(crate) fn connected_v4(socket_id: &str) -> ByteString {
    let mut out = String::from("40{\"sid\":");
    push_json_string(&mut out, socket_id);
    out.push('}');
    out.into()
}

fn push_json_string(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{0}'..='\u{1f}' => {
                out.push_str("\\u00");
                out.push(char::from(HEX[(c as usize) >> 4]));
                out.push(char::from(HEX[(c as usize) & 0xF]));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MessageError::UnknownType => "a socket.io packet has an unknown type, expected `0` to `6`",
            MessageError::AckTooLarge => "a socket.io packet has an acknowledgement id beyond 64 bits",
            MessageError::BadAttachmentCount => {
                "a binary socket.io packet has no usable attachment count, expected digits and `-` behind the type"
            }
            MessageError::BadEvent => "the data of a socket.io event is no JSON array that starts with a string",
        })
    }
}

impl std::error::Error for MessageError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_every_part() {
        let plain = Message::parse(r#"2["kuzzle",{"a":1}]"#).unwrap();
        assert_eq!((plain.kind, plain.namespace, plain.ack), (Kind::Event, "/", None));
        assert_eq!(plain.data, r#"["kuzzle",{"a":1}]"#);

        let full = Message::parse(r#"52-/chat?x=1,17["a",{"_placeholder":true,"num":0}]"#).unwrap();
        assert_eq!(
            (full.kind, full.namespace, full.ack, full.attachments),
            (Kind::BinaryEvent, "/chat", Some(17), 2)
        );

        let connect = Message::parse("0/admin?token=1").unwrap();
        assert_eq!((connect.kind, connect.namespace, connect.data), (Kind::Connect, "/admin", ""));
        assert_eq!(Message::parse("").unwrap_err(), MessageError::UnknownType);
        assert_eq!(Message::parse("9").unwrap_err(), MessageError::UnknownType);
        assert_eq!(Message::parse("5[]").unwrap_err(), MessageError::BadAttachmentCount);
        assert_eq!(Message::parse("299999999999999999999[]").unwrap_err(), MessageError::AckTooLarge);
    }

    #[test]
    fn the_first_argument_stays_text() {
        let event = Event::parse(r#"["kuzzle", {"b":1,  "a":[2]} , 3, null]"#).unwrap();
        assert_eq!(event.name, "kuzzle");
        assert_eq!(event.argument, Some(r#"{"b":1,  "a":[2]}"#));
        assert_eq!(Event::parse(r#"["k\u0075zzle"]"#).unwrap().name, "kuzzle");
        assert!(Event::parse(r#"["kuzzle"]"#).unwrap().argument.is_none());
        for bad in ["", "[]", "{}", "[1]", r#"["a""#, r#"["a",]"#, r#"["a"] x"#, r#"["a",{]"#] {
            assert_eq!(Event::parse(bad).unwrap_err(), MessageError::BadEvent, "{bad}");
        }
    }

    #[test]
    fn deep_nesting_is_only_text() {
        let deep = format!("[\"kuzzle\",{}{}]", "[".repeat(200_000), "]".repeat(200_000));
        assert!(Event::parse(&deep).is_ok());
        assert!(Event::parse(&deep[..deep.len() - 2]).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = Message::parse(&text);
            let _ = Event::parse(&text);
        }

        #[test]
        fn near_valid_text_never_panics(text in "[0-6]([0-9]{0,21}-)?(/[a-z?]{0,3},?)?[0-9]{0,22}[\\[\\]\"a-z,0-9{}]{0,12}") {
            if let Ok(message) = Message::parse(&text) {
                let _ = Event::parse(message.data);
            }
        }

        #[test]
        fn an_event_reads_back(name in any::<String>(), text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let packet = event(&name, &json);
            let message = Message::parse(packet.strip_prefix('4').unwrap()).unwrap();
            prop_assert_eq!(message.kind, Kind::Event);
            let read = Event::parse(message.data).unwrap();
            prop_assert_eq!(&*read.name, name.as_str());
            prop_assert_eq!(read.argument, Some(json.as_str()));
        }

        #[test]
        fn an_acknowledgement_reads_back(id in any::<u64>(), number in any::<i64>()) {
            let packet = ack(id, &number.to_string());
            let message = Message::parse(packet.strip_prefix('4').unwrap()).unwrap();
            prop_assert_eq!((message.kind, message.ack), (Kind::Ack, Some(id)));
            prop_assert_eq!(message.data, format!("[{number}]"));
        }
    }
}
