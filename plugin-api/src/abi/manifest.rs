//! What a host reads of a plugin file before it runs any of its code.
//!
//! The manifest is a static under [`MANIFEST_SYMBOL`] made of plain bytes without pointers, so it needs no relocation
//! and can be read from the file by looking the symbol up:
//!
//! | offset | size | what |
//! |---|---|---|
//! | 0 | 8 | [`MANIFEST_MAGIC`] |
//! | 8 | 4 | format of this structure, 1, in the byte order of the machine |
//! | 12 | 4 | bytes of text that follow |
//! | 16 | [`MANIFEST_CAPACITY`] | the text: a JSON object in UTF-8, then zeros |
//!
//! The object has the members `name`, `version`, `label`, `abi` (`major`, `minor`, `draft`), `panic` (`unwind` or
//! `abort`), `rustc`, `target` (`<arch>-<os>`) and `settings`, the JSON Schema of the plugin's settings. Readers ignore
//! members that they do not know.

use std::fmt;

/// Symbol of the manifest.
pub const MANIFEST_SYMBOL: &str = "kuzzle_plugin_manifest";

/// The first eight bytes of a manifest.
pub const MANIFEST_MAGIC: [u8; 8] = *b"KUZPLUG\x01";

/// Room for the text, in bytes.
pub const MANIFEST_CAPACITY: usize = 16 * 1024 - 16;

const FORMAT: u32 = 1;

/// A manifest as it lies in the file.
#[repr(C)]
pub struct Manifest {
    magic: [u8; 8],
    format: u32,
    length: u32,
    text: [u8; MANIFEST_CAPACITY],
}

impl Manifest {
    /// Makes a manifest of a JSON text.
    ///
    /// # Panics
    ///
    /// When the text does not fit; in the static that holds a manifest this is an error of compilation.
    #[must_use]
    #[allow(clippy::panic, reason = "evaluated when the plugin is compiled")]
    pub const fn new(json: &str) -> Self {
        let bytes = json.as_bytes();
        assert!(
            bytes.len() <= MANIFEST_CAPACITY,
            "the plugin's manifest is too long: shorten its settings' texts"
        );
        let mut text = [0; MANIFEST_CAPACITY];
        let mut at = 0;
        while at < bytes.len() {
            text[at] = bytes[at];
            at += 1;
        }
        Self { magic: MANIFEST_MAGIC, format: FORMAT, length: bytes.len() as u32, text }
    }

    /// Size of a manifest in a file, in bytes.
    pub const SIZE: usize = size_of::<Self>();

    /// The JSON text of the manifest whose bytes are `bytes`.
    ///
    /// # Errors
    ///
    /// When they are not a manifest that this reader knows.
    pub fn read(bytes: &[u8]) -> Result<&str, ManifestError> {
        let word =
            |at: usize| bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_ne_bytes);
        if bytes.get(..8) != Some(&MANIFEST_MAGIC) {
            return Err(ManifestError::Magic);
        }
        match word(8) {
            Some(FORMAT) => {}
            found => return Err(ManifestError::Format(found.unwrap_or_default())),
        }
        let length = word(12).unwrap_or_default() as usize;
        let text =
            bytes.get(16..).and_then(|rest| rest.get(..length)).ok_or(ManifestError::Length(length))?;
        std::str::from_utf8(text).map_err(|_| ManifestError::Text)
    }

    /// The JSON text of this manifest.
    ///
    /// # Errors
    ///
    /// Never for one made by [`Manifest::new`].
    pub fn text(&self) -> Result<&str, ManifestError> {
        let text =
            self.text.get(..self.length as usize).ok_or(ManifestError::Length(self.length as usize))?;
        std::str::from_utf8(text).map_err(|_| ManifestError::Text)
    }
}

/// Why bytes are not a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestError {
    /// They do not begin like one.
    Magic,
    /// Its format is another one.
    Format(u32),
    /// Its text is longer than the bytes given.
    Length(usize),
    /// Its text is not UTF-8.
    Text,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("the manifest does not begin as one"),
            Self::Format(found) => {
                write!(f, "the manifest has format {found}, this host reads format {FORMAT}")
            }
            Self::Length(found) => {
                write!(f, "the manifest says that its text has {found} bytes, which it does not")
            }
            Self::Text => f.write_str("the text of the manifest is not UTF-8"),
        }
    }
}

impl std::error::Error for ManifestError {}

/// Whether `text` can stand between quotes in JSON as it is: what the exporting macros ask of names and versions when a
/// plugin is compiled.
#[must_use]
pub const fn json_text_is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] < 0x20 || bytes[at] == b'"' || bytes[at] == b'\\' {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        static MANIFEST: Manifest = Manifest::new(r#"{"name":"x"}"#);
        assert_eq!(MANIFEST.text().unwrap(), r#"{"name":"x"}"#);
        assert_eq!(Manifest::SIZE, 16 * 1024);
    }

    #[test]
    fn damaged_manifests_are_refused() {
        let mut bytes = MANIFEST_MAGIC.to_vec();
        assert_eq!(Manifest::read(&bytes), Err(ManifestError::Format(0)));
        bytes.extend(1_u32.to_ne_bytes());
        bytes.extend(3_u32.to_ne_bytes());
        assert_eq!(Manifest::read(&bytes), Err(ManifestError::Length(3)));
        bytes.extend(b"{} ");
        assert_eq!(Manifest::read(&bytes), Ok("{} "));
        assert_eq!(Manifest::read(&bytes[1..]), Err(ManifestError::Magic));
    }
}
