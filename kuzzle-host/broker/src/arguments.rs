//! Arguments of queues, exchanges and header bindings: read once, refused with the texts that clients know.

use std::sync::Arc;

use bytestring::ByteString;

use crate::error::Error;
use crate::table::{self, Value};

/// What becomes of a message that a full queue has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The oldest one goes.
    #[default]
    DropHead,
    /// The new one is refused to its publisher.
    RejectPublish,
    /// As before, and the new one goes to the dead-letter exchange.
    RejectPublishDlx,
}

/// The arguments of a queue that the broker acts on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct QueueArguments {
    pub(crate) message_ttl_ms: Option<u64>,
    pub(crate) expires_ms: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) max_length_bytes: Option<u64>,
    pub(crate) overflow: Overflow,
    pub(crate) dead_letter_exchange: Option<Arc<str>>,
    pub(crate) dead_letter_routing_key: Option<ByteString>,
    pub(crate) max_priority: Option<u8>,
    pub(crate) single_active_consumer: bool,
}

/// Arguments that must be the same when a queue is declared again, in the order they are compared.
const COMPARED: [&str; 11] = [
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-single-active-consumer",
    "x-queue-type",
];

/// Argument of a queue or an exchange that holds what a policy adds to it: a table with [`POLICY_DEFINITION`] among its
/// fields. What a policy says is used where the declaration says nothing, and is not compared when clients declare again.
pub const POLICY: &str = "x-policy";
/// Field of [`POLICY`]: a table with some of [`POLICY_KEYS`].
pub const POLICY_DEFINITION: &str = "definition";
/// What a policy may say of a queue, each with the argument that means the same.
pub const POLICY_KEYS: [(&str, &str); 7] = [
    ("message-ttl", "x-message-ttl"),
    ("expires", "x-expires"),
    ("max-length", "x-max-length"),
    ("max-length-bytes", "x-max-length-bytes"),
    ("overflow", "x-overflow"),
    ("dead-letter-exchange", "x-dead-letter-exchange"),
    ("dead-letter-routing-key", "x-dead-letter-routing-key"),
];

/// What the policy among the arguments says, if there is one.
fn policy(bytes: &[u8]) -> Option<&[u8]> {
    let Some(Value::Table(policy)) = table::field(bytes, POLICY) else { return None };
    match table::field(policy, POLICY_DEFINITION) {
        Some(Value::Table(definition)) => Some(definition),
        _ => None,
    }
}

/// The alternate exchange that the arguments of an exchange name, or its policy does.
pub(crate) fn alternate_exchange(bytes: &[u8]) -> Option<Arc<str>> {
    const NAME: &str = "alternate-exchange";
    let own = table::field(bytes, NAME).and_then(Value::text);
    own.or_else(|| table::field(policy(bytes)?, NAME).and_then(Value::text)).map(Arc::from)
}

impl QueueArguments {
    /// Reads the arguments of queue `name`, and its policy; unknown ones are accepted.
    pub(crate) fn read(bytes: &[u8], name: &str, vhost: &str, durable: bool) -> Result<Self, Error> {
        let own = Self::read_own(bytes, name, vhost, durable)?;
        let Some(policy) = policy(bytes) else { return Ok(own) };
        let mut translated = Vec::new();
        for (key, argument) in POLICY_KEYS {
            if let Some(value) = table::field(policy, key) {
                table::put(&mut translated, argument, value);
            }
        }
        Ok(own.with_policy(Self::read_own(&translated, name, vhost, durable)?, bytes))
    }

    /// Adds what a policy says. Of two limits the lower holds.
    fn with_policy(self, policy: Self, bytes: &[u8]) -> Self {
        let lower = |own: Option<u64>, other: Option<u64>| match (own, other) {
            (Some(own), Some(other)) => Some(own.min(other)),
            (own, other) => own.or(other),
        };
        let has = |argument| table::field(bytes, argument).is_some();
        Self {
            message_ttl_ms: lower(self.message_ttl_ms, policy.message_ttl_ms),
            expires_ms: lower(self.expires_ms, policy.expires_ms),
            max_length: lower(self.max_length, policy.max_length),
            max_length_bytes: lower(self.max_length_bytes, policy.max_length_bytes),
            overflow: if has("x-overflow") { self.overflow } else { policy.overflow },
            dead_letter_exchange: self.dead_letter_exchange.or(policy.dead_letter_exchange),
            dead_letter_routing_key: self.dead_letter_routing_key.or(policy.dead_letter_routing_key),
            max_priority: self.max_priority,
            single_active_consumer: self.single_active_consumer,
        }
    }

    fn read_own(bytes: &[u8], name: &str, vhost: &str, durable: bool) -> Result<Self, Error> {
        check_table(bytes)?;
        let of = format!("queue '{name}' in vhost '{vhost}'");
        let invalid =
            |arg: &str, why: String| Error::precondition(format!("invalid arg '{arg}' for {of}: {why}"));
        let number = |arg: &str, least: i64| -> Result<Option<u64>, Error> {
            let Some(value) = table::field(bytes, arg) else { return Ok(None) };
            let Some(n) = value.integer() else {
                return Err(invalid(arg, format!("\"expected integer, got {}\"", value.type_name())));
            };
            if n < 0 {
                return Err(invalid(arg, format!("{{value_negative,{n}}}")));
            }
            if n < least {
                return Err(invalid(arg, format!("{{value_zero,{n}}}")));
            }
            Ok(Some(n as u64))
        };
        let text = |arg: &str| -> Result<Option<&str>, Error> {
            let Some(value) = table::field(bytes, arg) else { return Ok(None) };
            match value.text() {
                Some(text) => Ok(Some(text)),
                None => Err(invalid(arg, format!("{{unacceptable_type,{}}}", value.type_name()))),
            }
        };

        let message_ttl_ms = number("x-message-ttl", 0)?;
        let expires_ms = number("x-expires", 1)?;
        let max_length = number("x-max-length", 0)?;
        let max_length_bytes = number("x-max-length-bytes", 0)?;
        let max_priority = match number("x-max-priority", 0)? {
            Some(n) if n > 255 => {
                return Err(invalid("x-max-priority", format!("{{max_value_exceeded,{n}}}")));
            }
            n => n.map(|n| n as u8),
        };
        let dead_letter_exchange = match table::field(bytes, "x-dead-letter-exchange") {
            None => None,
            Some(value) => match value.text() {
                Some(exchange) => Some(exchange.into()),
                None => {
                    return Err(Error::precondition(format!(
                        "invalid type '{}' for arg 'x-dead-letter-exchange' in {of}",
                        value.type_name()
                    )));
                }
            },
        };
        let dead_letter_routing_key = text("x-dead-letter-routing-key")?.map(ByteString::from);
        if dead_letter_routing_key.is_some() && dead_letter_exchange.is_none() {
            return Err(invalid("x-dead-letter-routing-key", "routing_key_but_no_dlx_defined".into()));
        }
        let overflow = match text("x-overflow")? {
            None | Some("drop-head") => Overflow::DropHead,
            Some("reject-publish") => Overflow::RejectPublish,
            Some("reject-publish-dlx") => Overflow::RejectPublishDlx,
            Some(_) => return Err(invalid("x-overflow", "invalid_overflow".into())),
        };
        let single_active_consumer = match table::field(bytes, "x-single-active-consumer") {
            None => false,
            Some(Value::Bool(value)) => value,
            Some(value) => {
                return Err(invalid(
                    "x-single-active-consumer",
                    format!("{{unacceptable_type,{}}}", value.type_name()),
                ));
            }
        };
        match text("x-queue-type")? {
            None | Some("classic") => {}
            Some("quorum") if durable => {}
            Some("quorum") => {
                return Err(Error::precondition(format!("invalid property 'non-durable' for {of}")));
            }
            Some(kind) => {
                return Err(invalid("x-queue-type", format!("\"unsupported queue type '{kind}'\"")));
            }
        }
        match text("x-queue-mode")? {
            None | Some("default" | "lazy") => {}
            Some(mode) => {
                return Err(invalid("x-queue-mode", format!("\"unsupported queue mode '{mode}'\"")));
            }
        }
        Ok(Self {
            message_ttl_ms,
            expires_ms,
            max_length,
            max_length_bytes,
            overflow,
            dead_letter_exchange,
            dead_letter_routing_key,
            max_priority,
            single_active_consumer,
        })
    }
}

/// Refuses a second declaration of a queue whose arguments differ.
pub(crate) fn check_queue_equivalence(
    current: &[u8],
    received: &[u8],
    name: &str,
    vhost: &str,
) -> Result<(), Error> {
    COMPARED.iter().try_for_each(|arg| {
        check_argument(current, received, arg, &format!("queue '{name}' in vhost '{vhost}'"))
    })
}

/// Refuses a second declaration of an exchange whose arguments differ.
pub(crate) fn check_exchange_equivalence(
    current: &[u8],
    received: &[u8],
    name: &str,
    vhost: &str,
) -> Result<(), Error> {
    check_argument(current, received, "alternate-exchange", &format!("exchange '{name}' in vhost '{vhost}'"))
}

fn check_argument(current: &[u8], received: &[u8], arg: &str, of: &str) -> Result<(), Error> {
    let (current, received) = (table::field(current, arg), table::field(received, arg));
    let same = match (current, received) {
        (None, None) => true,
        (Some(a), Some(b)) => a.same(b),
        _ => false,
    };
    if same {
        return Ok(());
    }
    let shown = |value: Option<Value<'_>>| match value {
        None => "none".to_owned(),
        Some(value) => format!("the value '{value}' of type '{}'", value.type_name()),
    };
    Err(Error::precondition(format!(
        "inequivalent arg '{arg}' for {of}: received {} but current is {}",
        shown(received),
        shown(current)
    )))
}

/// Refuses a second declaration whose property differs.
pub(crate) fn check_property(
    property: &str,
    of: &str,
    received: impl std::fmt::Display + PartialEq,
    current: impl std::fmt::Display,
) -> Result<(), Error> {
    let (received, current) = (received.to_string(), current.to_string());
    if received == current {
        return Ok(());
    }
    Err(Error::precondition(format!(
        "inequivalent arg '{property}' for {of}: received '{received}' but current is '{current}'"
    )))
}

/// Refuses bytes that are no table.
pub(crate) fn check_table(bytes: &[u8]) -> Result<(), Error> {
    table::check(bytes).map_err(|_| Error::precondition("the arguments are no field table"))
}

/// How a binding of a headers exchange matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadersMatch {
    all: bool,
    with_x: bool,
}

impl HeadersMatch {
    /// Reads `x-match`; `all` when there is none.
    pub(crate) fn read(arguments: &[u8]) -> Result<Self, Error> {
        let invalid = |shown: String| {
            Error::precondition(format!(
                "Invalid x-match field value {shown}; expected all, any, all-with-x, or any-with-x"
            ))
        };
        let (all, with_x) = match table::field(arguments, "x-match") {
            None => (true, false),
            Some(Value::LongString(b"all")) => (true, false),
            Some(Value::LongString(b"any")) => (false, false),
            Some(Value::LongString(b"all-with-x")) => (true, true),
            Some(Value::LongString(b"any-with-x")) => (false, true),
            Some(Value::LongString(other)) => {
                return Err(invalid(format!("<<\"{}\">>", String::from_utf8_lossy(other))));
            }
            Some(other) => return Err(invalid(other.to_string())),
        };
        Ok(Self { all, with_x })
    }

    /// Whether headers match the arguments of a binding. A void argument asks only that the header be there.
    pub(crate) fn matches(self, arguments: &[u8], headers: &[u8]) -> bool {
        let mut asked = table::fields(arguments)
            .filter(|(name, _)| *name != b"x-match" && (self.with_x || !name.starts_with(b"x-")));
        let mut holds = |(name, value): (&[u8], Value<'_>)| {
            table::fields(headers)
                .find(|(found, _)| *found == name)
                .is_some_and(|(_, found)| value == Value::Void || value.same(found))
        };
        if self.all { asked.all(&mut holds) } else { asked.any(holds) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(fields: &[(&str, Value<'_>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, value) in fields {
            table::put(&mut bytes, name, *value);
        }
        bytes
    }

    #[test]
    fn the_measured_texts_of_bad_queue_arguments() {
        let text = |text: &'static str| Value::LongString(text.as_bytes());
        let rows = [
            ("x-message-ttl", Value::I32(-1), "{value_negative,-1}"),
            ("x-message-ttl", text("x"), "\"expected integer, got longstr\""),
            ("x-expires", Value::I8(0), "{value_zero,0}"),
            ("x-max-length", Value::I32(-5), "{value_negative,-5}"),
            ("x-max-length-bytes", text("9"), "\"expected integer, got longstr\""),
            ("x-max-priority", Value::I32(256), "{max_value_exceeded,256}"),
            ("x-dead-letter-routing-key", text("k"), "routing_key_but_no_dlx_defined"),
            ("x-overflow", text("bad"), "invalid_overflow"),
            ("x-queue-type", text("bad"), "\"unsupported queue type 'bad'\""),
            ("x-queue-mode", text("zzz"), "\"unsupported queue mode 'zzz'\""),
            ("x-single-active-consumer", text("true"), "{unacceptable_type,longstr}"),
        ];
        for (arg, value, why) in rows {
            let error = QueueArguments::read(&table(&[(arg, value)]), "q", "/", true).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("PRECONDITION_FAILED - invalid arg '{arg}' for queue 'q' in vhost '/': {why}")
            );
        }
        let dlx = table(&[("x-dead-letter-exchange", Value::I8(1))]);
        assert_eq!(
            QueueArguments::read(&dlx, "q", "/", true).unwrap_err().to_string(),
            "PRECONDITION_FAILED - invalid type 'byte' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'"
        );
        let quorum = table(&[("x-queue-type", text("quorum"))]);
        assert_eq!(
            QueueArguments::read(&quorum, "qq", "/", false).unwrap_err().to_string(),
            "PRECONDITION_FAILED - invalid property 'non-durable' for queue 'qq' in vhost '/'"
        );
    }

    #[test]
    fn good_arguments_are_read_and_unknown_ones_accepted() {
        let bytes = table(&[
            ("x-message-ttl", Value::I16(0)),
            ("x-expires", Value::I64(5000)),
            ("x-max-length", Value::U8(7)),
            ("x-overflow", Value::LongString(b"reject-publish-dlx")),
            ("x-dead-letter-exchange", Value::LongString(b"")),
            ("x-dead-letter-routing-key", Value::LongString(b"dead")),
            ("x-max-priority", Value::I32(5)),
            ("x-single-active-consumer", Value::Bool(true)),
            ("x-mine", Value::Void),
        ]);
        let read = QueueArguments::read(&bytes, "q", "/", false).unwrap();
        assert_eq!(read.message_ttl_ms, Some(0));
        assert_eq!(read.expires_ms, Some(5000));
        assert_eq!(read.max_length, Some(7));
        assert_eq!(read.overflow, Overflow::RejectPublishDlx);
        assert_eq!(read.dead_letter_exchange.as_deref(), Some(""));
        assert_eq!(read.dead_letter_routing_key.as_deref(), Some("dead"));
        assert_eq!(read.max_priority, Some(5));
        assert!(read.single_active_consumer);
    }

    #[test]
    fn a_policy_adds_what_the_declaration_leaves_open_and_is_not_compared() {
        let definition = table(&[
            ("message-ttl", Value::I32(1000)),
            ("max-length", Value::I32(5)),
            ("overflow", Value::LongString(b"reject-publish")),
            ("dead-letter-exchange", Value::LongString(b"dlx")),
            ("alternate-exchange", Value::LongString(b"other")),
            ("ha-mode", Value::LongString(b"all")),
        ]);
        let policy =
            table(&[("name", Value::LongString(b"p")), (POLICY_DEFINITION, Value::Table(&definition))]);
        let own = [("x-message-ttl", Value::I32(10)), ("x-dead-letter-exchange", Value::LongString(b"mine"))];
        let with = table(&[own[0], own[1], (POLICY, Value::Table(&policy))]);
        let read = QueueArguments::read(&with, "q", "/", true).unwrap();
        assert_eq!((read.message_ttl_ms, read.max_length), (Some(10), Some(5)));
        assert_eq!(read.overflow, Overflow::RejectPublish);
        assert_eq!(read.dead_letter_exchange.as_deref(), Some("mine"));
        assert_eq!(alternate_exchange(&with).as_deref(), Some("other"));
        check_queue_equivalence(&with, &table(&own), "q", "/").unwrap();
        let wrong = table(&[("message-ttl", Value::LongString(b"soon"))]);
        let wrong = table(&[(POLICY_DEFINITION, Value::Table(&wrong))]);
        let error =
            QueueArguments::read(&table(&[(POLICY, Value::Table(&wrong))]), "q", "/", true).unwrap_err();
        assert!(error.to_string().contains("invalid arg 'x-message-ttl'"), "{error}");
    }

    #[test]
    fn the_measured_texts_of_inequivalent_arguments() {
        let ttl = table(&[("x-message-ttl", Value::I16(1000))]);
        assert_eq!(
            check_queue_equivalence(&[], &ttl, "q1", "/").unwrap_err().to_string(),
            "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'q1' in vhost '/': received the value \
             '1000' of type 'short' but current is none"
        );
        let long = table(&[("x-message-ttl", Value::I64(1000))]);
        check_queue_equivalence(&ttl, &long, "q1", "/").unwrap();
        let alternate = table(&[("alternate-exchange", Value::LongString(b"z"))]);
        assert_eq!(
            check_exchange_equivalence(&[], &alternate, "e1", "/").unwrap_err().to_string(),
            "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'e1' in vhost '/': received \
             the value 'z' of type 'longstr' but current is none"
        );
        assert_eq!(
            check_property("durable", "queue 'q1' in vhost '/'", true, false).unwrap_err().to_string(),
            "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q1' in vhost '/': received 'true' but \
             current is 'false'"
        );
    }

    #[test]
    fn headers_match_as_measured() {
        let wrong = table(&[("x-match", Value::LongString(b"zzz"))]);
        assert_eq!(
            HeadersMatch::read(&wrong).unwrap_err().to_string(),
            "PRECONDITION_FAILED - Invalid x-match field value <<\"zzz\">>; expected all, any, all-with-x, or \
             any-with-x"
        );
        let case = |kind: Option<&'static str>, asked: &[(&str, Value<'_>)], found: &[(&str, Value<'_>)]| {
            let mut asked = table(asked);
            if let Some(kind) = kind {
                table::put(&mut asked, "x-match", Value::LongString(kind.as_bytes()));
            }
            HeadersMatch::read(&asked).unwrap().matches(&asked, &table(found))
        };
        let (one, two) = (("a", Value::I32(1)), ("b", Value::LongString(b"2")));
        assert!(case(None, &[one, two], &[one, two]));
        assert!(!case(None, &[one, two], &[one]));
        assert!(case(Some("any"), &[one, two], &[one]));
        assert!(!case(None, &[one], &[("a", Value::LongString(b"1"))]));
        assert!(case(None, &[], &[]));
        assert!(!case(Some("any"), &[], &[one]));
        let x = ("x-k", Value::I32(1));
        assert!(case(None, &[x], &[]));
        assert!(!case(Some("all-with-x"), &[x], &[]));
        assert!(case(Some("any-with-x"), &[x], &[x]));
        assert!(case(None, &[("a", Value::Void)], &[one]));
    }
}
