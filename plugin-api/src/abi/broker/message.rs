//! A message of the broker, shared without copying.

use std::fmt;
use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RStr};

use super::super::guard;

/// One published message: a reference to an immutable object of its maker, freed by its maker.
///
/// Cloning counts a reference and copies nothing, so that one message waits in any number of outboxes at the cost of an
/// atomic increment each.
#[repr(C)]
#[derive(StableAbi)]
pub struct Message {
    owner: *const (),
    vt: &'static MessageVt,
}

/// How the maker of a [`Message`] counts its references and shows its parts. Every function: any thread, never blocks,
/// cannot fail.
#[repr(C)]
#[derive(StableAbi)]
pub struct MessageVt {
    /// Counts one more reference to the owner.
    pub retain: unsafe extern "C" fn(owner: *const ()),
    /// Gives one reference back; the last one frees the message with the maker's allocator.
    pub release: unsafe extern "C" fn(owner: *const ()),
    /// The parts. They are always the same, and borrowed for as long as a reference is held.
    pub parts: unsafe extern "C" fn(owner: *const ()) -> MessageParts<'static>,
}

/// What a message is made of. Which connection it came from is known to the host alone.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct MessageParts<'a> {
    /// The exchange that it was published to.
    pub exchange: RStr<'a>,
    /// Its routing key.
    pub routing_key: RStr<'a>,
    /// Its properties as the receiver is to see them: an AMQP 0-9-1 content header from the property flags on (4.2.6.1).
    /// Empty is the same as no property.
    pub properties: RSlice<'a, u8>,
    /// Its body.
    pub body: RSlice<'a, u8>,
    /// When the broker took it, in milliseconds since 1970.
    pub received_ms: u64,
    /// When it expires, in milliseconds since 1970; 0 for never.
    pub expires_ms: u64,
    /// `MESSAGE_` flags.
    pub flags: u32,
}

/// How a type of the host's is seen as a message. Implemented by a marker, since the host need not own the type.
pub trait MessageSource: 'static {
    /// What holds the message.
    type Owner: Send + Sync + 'static;

    /// Its parts, which must be the same each time. A panic shows a message without parts.
    fn parts(owner: &Self::Owner) -> MessageParts<'_>;
}

impl Message {
    /// Shares a message that `owner` holds. Costs no allocation.
    #[must_use]
    pub fn share<S: MessageSource>(owner: Arc<S::Owner>) -> Self {
        Self { owner: Arc::into_raw(owner).cast(), vt: &Shared::<S>::VT }
    }

    /// A message of its own, copied from `parts` into one allocation.
    #[must_use]
    pub fn new(parts: &MessageParts<'_>) -> Self {
        Self::share::<Copied>(Arc::new(Copied::of(parts)))
    }

    /// No message: where an event has none. All its parts are empty.
    #[must_use]
    pub const fn empty() -> Self {
        Self { owner: std::ptr::null(), vt: &EMPTY_VT }
    }

    /// Whether there is no message.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.owner.is_null()
    }

    /// What it is made of.
    #[must_use]
    pub fn parts(&self) -> MessageParts<'_> {
        // SAFETY: this value holds a reference to `owner`, whose maker's `parts` this is; the parts live as long as the
        // reference, which the returned lifetime cannot outlast.
        unsafe { (self.vt.parts)(self.owner) }
    }
}

impl<'a> MessageParts<'a> {
    /// No parts.
    pub const EMPTY: Self = Self {
        exchange: RStr::empty(),
        routing_key: RStr::empty(),
        properties: RSlice::EMPTY,
        body: RSlice::EMPTY,
        received_ms: 0,
        expires_ms: 0,
        flags: 0,
    };

    /// A message of `body` without properties.
    #[must_use]
    pub fn of(exchange: &'a str, routing_key: &'a str, body: &'a [u8]) -> Self {
        Self { exchange: exchange.into(), routing_key: routing_key.into(), body: body.into(), ..Self::EMPTY }
    }
}

impl Clone for Message {
    fn clone(&self) -> Self {
        // SAFETY: this value holds a reference to `owner`; its maker's `retain` is for this owner.
        unsafe { (self.vt.retain)(self.owner) }
        Self { owner: self.owner, vt: self.vt }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: gives back the one reference that this value holds, once.
        unsafe { (self.vt.release)(self.owner) }
    }
}

// SAFETY: the owner is `Send + Sync` (required by `MessageSource`), as is its counting, and what is shown is immutable.
unsafe impl Send for Message {}
// SAFETY: as above.
unsafe impl Sync for Message {}

impl Default for Message {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Message {
    /// Addresses and length only: payloads never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().fmt(f)
    }
}

impl fmt::Debug for MessageParts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({:?} {:?}, {} bytes)", self.exchange, self.routing_key, self.body.len())
    }
}

static EMPTY_VT: MessageVt = MessageVt { retain: keep, release: keep, parts: nothing };

unsafe extern "C" fn keep(_owner: *const ()) {}

unsafe extern "C" fn nothing(_owner: *const ()) -> MessageParts<'static> {
    MessageParts::EMPTY
}

struct Shared<S>(std::marker::PhantomData<S>);

impl<S: MessageSource> Shared<S> {
    const VT: MessageVt = MessageVt { retain: Self::retain, release: Self::release, parts: Self::parts };

    unsafe extern "C" fn retain(owner: *const ()) {
        // SAFETY: `owner` came from `Arc::into_raw` in `share`, and the caller holds a reference.
        unsafe { Arc::increment_strong_count(owner.cast::<S::Owner>()) }
    }

    unsafe extern "C" fn release(owner: *const ()) {
        guard(
            // SAFETY: as in `retain`; the caller gives up the reference that it holds.
            || unsafe { Arc::decrement_strong_count(owner.cast::<S::Owner>()) },
            |_panic| (),
        );
    }

    unsafe extern "C" fn parts(owner: *const ()) -> MessageParts<'static> {
        guard(
            // SAFETY: as in `retain`. The lifetime is a fiction of the table: `Message::parts` gives it the one of the
            // reference that the caller holds.
            || S::parts(unsafe { &*owner.cast::<S::Owner>() }),
            |_panic| MessageParts::EMPTY,
        )
    }
}

/// A message in one allocation: exchange, routing key, properties and body one after the other.
struct Copied {
    bytes: Box<[u8]>,
    /// Where the routing key, the properties and the body begin.
    begins: [usize; 3],
    received_ms: u64,
    expires_ms: u64,
    flags: u32,
}

impl Copied {
    fn of(parts: &MessageParts<'_>) -> Self {
        let pieces: [&[u8]; 4] =
            [parts.exchange.as_bytes(), parts.routing_key.as_bytes(), &parts.properties, &parts.body];
        let key = pieces[0].len();
        let properties = key + pieces[1].len();
        Self {
            bytes: pieces.concat().into_boxed_slice(),
            begins: [key, properties, properties + pieces[2].len()],
            received_ms: parts.received_ms,
            expires_ms: parts.expires_ms,
            flags: parts.flags,
        }
    }

    fn text(&self, from: usize, to: usize) -> RStr<'_> {
        std::str::from_utf8(self.bytes.get(from..to).unwrap_or_default()).unwrap_or_default().into()
    }

    fn run(&self, from: usize, to: usize) -> RSlice<'_, u8> {
        self.bytes.get(from..to).unwrap_or_default().into()
    }
}

impl MessageSource for Copied {
    type Owner = Self;

    fn parts(owner: &Self) -> MessageParts<'_> {
        let [key, properties, body] = owner.begins;
        MessageParts {
            exchange: owner.text(0, key),
            routing_key: owner.text(key, properties),
            properties: owner.run(properties, body),
            body: owner.run(body, owner.bytes.len()),
            received_ms: owner.received_ms,
            expires_ms: owner.expires_ms,
            flags: owner.flags,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_copy_has_the_parts_of_its_original() {
        let body = vec![7; 300];
        let parts = MessageParts {
            properties: b"\x80\x00\x04text"[..].into(),
            received_ms: 1,
            expires_ms: 2,
            flags: 3,
            ..MessageParts::of("amq.topic", "a.\u{e9}", &body)
        };
        let message = Message::new(&parts);
        let clone = message.clone();
        drop(message);
        let seen = clone.parts();
        assert_eq!((seen.exchange.as_str(), seen.routing_key.as_str()), ("amq.topic", "a.\u{e9}"));
        assert_eq!((&seen.properties[..], &seen.body[..]), (&b"\x80\x00\x04text"[..], &body[..]));
        assert_eq!((seen.received_ms, seen.expires_ms, seen.flags), (1, 2, 3));
        assert!(!clone.is_empty());
    }

    #[test]
    fn the_owner_is_freed_once_after_the_last_reference_and_is_not_copied() {
        static DROPS: AtomicUsize = AtomicUsize::new(0);
        struct Owner(Vec<u8>);
        impl Drop for Owner {
            fn drop(&mut self) {
                DROPS.fetch_add(1, Ordering::SeqCst);
            }
        }
        struct Seen;
        impl MessageSource for Seen {
            type Owner = Owner;
            fn parts(owner: &Owner) -> MessageParts<'_> {
                MessageParts::of("", "q", &owner.0)
            }
        }
        let owner = Arc::new(Owner(b"hello".to_vec()));
        let address = owner.0.as_ptr();
        let message = Message::share::<Seen>(owner);
        let clones: Vec<_> = (0..10).map(|_| message.clone()).collect();
        assert!(clones.iter().all(|clone| clone.parts().body.as_ptr() == address));
        drop(message);
        assert_eq!(DROPS.load(Ordering::SeqCst), 0);
        drop(clones);
        assert_eq!(DROPS.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_source_that_panics_shows_nothing_and_crosses_nothing() {
        struct Bad;
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("boom in drop");
            }
        }
        impl MessageSource for Bad {
            type Owner = Bomb;
            fn parts(_: &Bomb) -> MessageParts<'_> {
                panic!("boom in parts");
            }
        }
        let message = Message::share::<Bad>(Arc::new(Bomb));
        assert_eq!(message.parts().body.len(), 0);
        drop(message);
    }

    #[test]
    fn no_message_has_no_parts() {
        let none = Message::empty().clone();
        assert!(none.is_empty());
        assert!(none.parts().exchange.is_empty() && none.parts().body.is_empty());
    }
}
