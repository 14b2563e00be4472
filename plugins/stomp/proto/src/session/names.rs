//! Names that the server makes up.

use bytestring::ByteString;
use sha2::{Digest, Sha256};

/// Characters of a made up name.
pub(super) const NAME_LENGTH: usize = 22;

/// 128 bits of the hash of some text, in characters that need no escape anywhere.
pub(super) fn hashed(parts: &[&[u8]]) -> [u8; NAME_LENGTH] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut bits = digest.iter().take(16).fold(0_u128, |bits, octet| bits << 8 | u128::from(*octet));
    [(); NAME_LENGTH].map(|()| {
        let digit = DIGITS[(bits & 63) as usize];
        bits >>= 6;
        digit
    })
}

/// A prefix with a made up name behind it.
pub(super) fn joined(prefix: &str, name: &[u8; NAME_LENGTH]) -> ByteString {
    [prefix, &String::from_utf8_lossy(name)].concat().into()
}

/// Makes up names that nobody guesses who has not seen the secret.
#[derive(Debug)]
pub(super) struct Names {
    secret: u128,
    next: u64,
}

impl Names {
    pub(super) fn new(secret: u128) -> Names {
        Names { secret, next: 0 }
    }

    /// A name that was not there before.
    pub(super) fn make(&mut self) -> [u8; NAME_LENGTH] {
        self.next += 1;
        hashed(&[&self.secret.to_be_bytes(), &self.next.to_be_bytes()])
    }
}
