//! A message: made once, shared by all queues and deliveries that hold it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use bytestring::ByteString;
use smallvec::SmallVec;

use crate::error::{Code, Error};
use crate::properties::Properties;
use crate::store::Stored;
use crate::table::{self, Value};

/// Who published a message. Clients never see it, and a message read back from the disk has none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// Which plugin instance the connection belongs to.
    pub instance: String,
    /// The host's number of the connection.
    pub connection: u64,
    /// The number of the link, unique within its connection.
    pub link: u64,
    /// Name of the authenticated user.
    pub user: String,
    /// What the client calls itself, if anything.
    pub client_name: Option<String>,
}

/// See the module. Equal to what was published, but for dead letters and blind copies.
#[derive(Debug)]
pub struct Message {
    pub(crate) exchange: Arc<str>,
    pub(crate) routing_key: ByteString,
    pub(crate) properties: Bytes,
    pub(crate) body: Bytes,
    pub(crate) published_at_ms: u64,
    pub(crate) facts: Facts,
    pub(crate) retain: bool,
    pub(crate) origin: Option<Arc<Origin>>,
    pub(crate) stored: Option<Arc<Stored>>,
    pub(crate) charge: Option<Charge>,
}

impl Message {
    /// The exchange it was published to; empty is the default exchange.
    pub fn exchange(&self) -> &str {
        &self.exchange
    }

    /// The routing key it was published with.
    pub fn routing_key(&self) -> &str {
        &self.routing_key
    }

    /// The properties in the content-header encoding: flags and values. See [`Properties`].
    pub fn properties(&self) -> &Bytes {
        &self.properties
    }

    /// The payload.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// When the broker took it: milliseconds since 1970.
    pub fn published_at_ms(&self) -> u64 {
        self.published_at_ms
    }

    /// Who published it.
    pub fn origin(&self) -> Option<&Arc<Origin>> {
        self.origin.as_ref()
    }

    /// Whether its publisher wants it to survive a restart (delivery mode 2).
    pub fn is_persistent(&self) -> bool {
        self.facts.persistent
    }

    /// Its priority as published; 0 when it has none.
    pub fn priority(&self) -> u8 {
        self.facts.priority
    }

    /// Its own time to live in milliseconds.
    pub fn ttl_ms(&self) -> Option<u64> {
        self.facts.ttl_ms
    }

    /// When it expires by itself: milliseconds since 1970. A queue may let it expire earlier.
    pub fn expires_at_ms(&self) -> Option<u64> {
        Some(self.published_at_ms.saturating_add(self.facts.ttl_ms?))
    }

    /// Whether it was published to be retained.
    pub fn is_retained(&self) -> bool {
        self.retain
    }

    /// Bytes that limits count: those of the body.
    pub fn size(&self) -> usize {
        self.body.len()
    }

    /// Bytes it takes in memory, roughly.
    pub(crate) fn cost(&self) -> usize {
        self.body.len() + self.properties.len() + self.routing_key.len() + size_of::<Self>()
    }
}

/// What the broker itself acts on among the properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    pub(crate) persistent: bool,
    pub(crate) priority: u8,
    pub(crate) ttl_ms: Option<u64>,
    /// Whether headers ask for further keys: then routing takes the longer way.
    pub(crate) copies: bool,
}

/// Longest time to live that is told from for ever: about 300 years.
const TTL_MAX_MS: u64 = 10_000_000_000_000;

impl Facts {
    /// Reads the facts and refuses what no publisher may send.
    pub(crate) fn read(properties: &[u8], user: Option<&str>) -> Result<Self, Error> {
        let Ok(read) = Properties::parse(properties) else {
            return Err(Error::new(Code::FrameError, "the properties are malformed"));
        };
        if let (Some(claimed), Some(user)) = (read.user_id, user)
            && claimed != user.as_bytes()
        {
            let claimed = String::from_utf8_lossy(claimed);
            return Err(Error::precondition(format!(
                "user_id property set to '{claimed}' but authenticated user was '{user}'"
            )));
        }
        let persistent = match read.delivery_mode {
            None | Some(1) => false,
            Some(2) => true,
            Some(mode) => {
                return Err(Error::precondition(format!(
                    "invalid message: {{delivery_mode_unknown,{mode}}}"
                )));
            }
        };
        let ttl_ms = read.expiration.map(ttl).transpose()?;
        let mut copies = false;
        for name in ["CC", "BCC"] {
            match read.header(name) {
                None => {}
                Some(Value::Array(_)) => copies = true,
                Some(other) => {
                    return Err(Error::precondition(format!(
                        "invalid message: {{unacceptable_type_in_header,\"{name}\",{}}}",
                        other.type_name()
                    )));
                }
            }
        }
        Ok(Self { persistent, priority: read.priority.unwrap_or(0), ttl_ms, copies })
    }
}

fn ttl(text: &[u8]) -> Result<u64, Error> {
    let shown = String::from_utf8_lossy(text);
    let invalid = |why: String| Error::precondition(format!("invalid expiration '{shown}': {why}"));
    let digits = shown.strip_prefix('-').unwrap_or(&shown);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid("no_integer".into()));
    }
    if digits.len() < shown.len() && digits.bytes().any(|byte| byte != b'0') {
        return Err(invalid(format!("{{value_negative,{shown}}}")));
    }
    Ok(digits.parse().map_or(TTL_MAX_MS, |ms: u64| ms.min(TTL_MAX_MS)))
}

/// The keys that the headers `CC` and `BCC` add.
pub(crate) fn copies(properties: &[u8]) -> SmallVec<[String; 4]> {
    let mut keys = SmallVec::new();
    if let Ok(read) = Properties::parse(properties) {
        for name in ["CC", "BCC"] {
            if let Some(Value::Array(array)) = read.header(name) {
                keys.extend(table::values(array).filter_map(|value| value.text().map(str::to_owned)));
            }
        }
    }
    keys
}

/// The properties without the header `BCC`, which only the broker may see.
pub(crate) fn without_blind_copies(properties: &[u8]) -> Bytes {
    if let Ok(read) = Properties::parse(properties)
        && read.header("BCC").is_some()
        && let Some(headers) = read.headers
    {
        let mut left = Vec::with_capacity(headers.len());
        for (name, value) in table::fields(headers).filter(|(name, _)| *name != b"BCC") {
            table::put_short(&mut left, name);
            table::put_value(&mut left, value);
        }
        return Properties { headers: Some(&left), ..read }.encode();
    }
    Bytes::copy_from_slice(properties)
}

/// Counts the bytes of messages in memory, and of what queues know of those that are not.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    messages: AtomicU64,
    entries: AtomicU64,
}

impl Memory {
    pub(crate) fn used(&self) -> u64 {
        self.messages.load(Ordering::Relaxed) + self.entries.load(Ordering::Relaxed)
    }

    /// Sets what the entries of all queues take: it is counted now and then, not with each.
    pub(crate) fn set_entries(&self, bytes: u64) {
        self.entries.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn charge(self: &Arc<Self>, bytes: usize) -> Charge {
        self.messages.fetch_add(bytes as u64, Ordering::Relaxed);
        Charge { memory: Arc::clone(self), bytes: bytes as u64 }
    }
}

/// Bytes counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    memory: Arc<Memory>,
    bytes: u64,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.memory.messages.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(properties: Properties<'_>) -> String {
        Facts::read(&properties.encode(), Some("guest")).unwrap_err().to_string()
    }

    fn headers(name: &str, value: Value<'_>) -> Vec<u8> {
        let mut headers = Vec::new();
        table::put(&mut headers, name, value);
        headers
    }

    #[test]
    fn the_measured_texts_of_refused_messages() {
        let expiration = |text: &'static [u8]| Properties { expiration: Some(text), ..Properties::default() };
        assert_eq!(refusal(expiration(b"abc")), "PRECONDITION_FAILED - invalid expiration 'abc': no_integer");
        assert_eq!(
            refusal(expiration(b"-1")),
            "PRECONDITION_FAILED - invalid expiration '-1': {value_negative,-1}"
        );
        assert_eq!(
            refusal(Properties { delivery_mode: Some(7), ..Properties::default() }),
            "PRECONDITION_FAILED - invalid message: {delivery_mode_unknown,7}"
        );
        assert_eq!(
            refusal(Properties {
                headers: Some(&headers("CC", Value::LongString(b"x"))),
                ..Properties::default()
            }),
            "PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,\"CC\",longstr}"
        );
        assert_eq!(
            refusal(Properties { user_id: Some(b"bob"), ..Properties::default() }),
            "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'"
        );
    }

    #[test]
    fn facts_are_read() {
        let properties = Properties {
            delivery_mode: Some(2),
            priority: Some(7),
            expiration: Some(b"1500"),
            user_id: Some(b"guest"),
            ..Properties::default()
        };
        let facts = Facts::read(&properties.encode(), Some("guest")).unwrap();
        assert_eq!(facts, Facts { persistent: true, priority: 7, ttl_ms: Some(1500), copies: false });
        assert_eq!(Facts::read(&[], None).unwrap(), Facts::default());
        let far = Properties { expiration: Some(b"99999999999999999999999"), ..Properties::default() };
        assert_eq!(Facts::read(&far.encode(), None).unwrap().ttl_ms, Some(TTL_MAX_MS));
    }

    #[test]
    fn blind_copies_are_taken_out_and_an_empty_table_stays() {
        let mut keys = Vec::new();
        table::put_value(&mut keys, Value::LongString(b"k"));
        let table = headers("BCC", Value::Array(&keys));
        let bytes = Properties { headers: Some(&table), ..Properties::default() }.encode();
        assert_eq!(copies(&bytes)[..], ["k".to_owned()]);
        let left = without_blind_copies(&bytes);
        assert_eq!(Properties::parse(&left).unwrap().headers, Some(&[][..]));
    }
}
