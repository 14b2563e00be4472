//! JSON text that is put together when a plugin is compiled.

use super::{Kind, Setting};
use crate::abi;

/// A text of `N` bytes under construction. With `N` too small it only counts, so that a first pass finds the length.
#[doc(hidden)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

/// The JSON Schema of a table of settings.
#[doc(hidden)]
#[must_use]
pub const fn object_schema<const N: usize>(doc: &[&str], settings: &[Setting]) -> Text<N> {
    let mut text = Text { bytes: [0; N], length: 0 };
    text.raw("{\"type\":\"object\",\"description\":").doc(doc);
    text.raw(",\"additionalProperties\":false,\"properties\":{");
    let mut at = 0;
    while at < settings.len() {
        if at > 0 {
            text.byte(b',');
        }
        text.setting(&settings[at]);
        at += 1;
    }
    text.raw("}}");
    text
}

/// The text of a plugin's [manifest](abi::Manifest).
#[doc(hidden)]
#[must_use]
pub const fn manifest<const N: usize>(name: &str, version: &str, label: &str, settings: &str) -> Text<N> {
    let mut text = Text { bytes: [0; N], length: 0 };
    text.raw("{\"name\":").quoted(name).raw(",\"version\":").quoted(version).raw(",\"label\":").quoted(label);
    text.raw(",\"abi\":{\"major\":").number(abi::MAJOR as u64).raw(",\"minor\":").number(abi::MINOR as u64);
    text.raw(",\"draft\":").quoted(abi::DRAFT).raw("},\"panic\":");
    text.quoted(if cfg!(panic = "unwind") { "unwind" } else { "abort" })
        .raw(",\"rustc\":")
        .quoted(abi::RUSTC);
    text.raw(",\"target\":\"").escaped(std::env::consts::ARCH).byte(b'-').escaped(std::env::consts::OS);
    text.raw("\",\"settings\":").raw(settings).byte(b'}');
    text
}

impl<const N: usize> Text<N> {
    /// Bytes that the whole text has.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }

    /// The text.
    ///
    /// # Panics
    ///
    /// When it is not whole, which stops the compilation it runs in.
    #[must_use]
    #[allow(clippy::panic, reason = "evaluated when the plugin is compiled")]
    pub const fn as_str(&self) -> &str {
        assert!(self.length == N, "the text has another length than was counted");
        match std::str::from_utf8(&self.bytes) {
            Ok(text) => text,
            Err(_) => panic!("the text is not UTF-8"),
        }
    }

    const fn byte(&mut self, byte: u8) -> &mut Self {
        if self.length < N {
            self.bytes[self.length] = byte;
        }
        self.length += 1;
        self
    }

    const fn raw(&mut self, text: &str) -> &mut Self {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            self.byte(bytes[at]);
            at += 1;
        }
        self
    }

    const fn escaped(&mut self, text: &str) -> &mut Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            match byte {
                b'"' | b'\\' => self.byte(b'\\').byte(byte),
                0..0x20 => self.raw("\\u00").byte(HEX[(byte >> 4) as usize]).byte(HEX[(byte & 15) as usize]),
                _ => self.byte(byte),
            };
            at += 1;
        }
        self
    }

    const fn quoted(&mut self, text: &str) -> &mut Self {
        self.byte(b'"').escaped(text).byte(b'"')
    }

    const fn number(&mut self, number: u64) -> &mut Self {
        if number >= 10 {
            self.number(number / 10);
        }
        self.byte(b'0' + (number % 10) as u8)
    }

    const fn list(&mut self, items: &[&str]) -> &mut Self {
        self.byte(b'[');
        let mut at = 0;
        while at < items.len() {
            if at > 0 {
                self.byte(b',');
            }
            self.quoted(items[at]);
            at += 1;
        }
        self.byte(b']')
    }

    /// The lines of a doc comment as one paragraph.
    const fn doc(&mut self, lines: &[&str]) -> &mut Self {
        self.byte(b'"');
        let mut at = 0;
        while at < lines.len() {
            if at > 0 {
                self.byte(b' ');
            }
            self.escaped(lines[at].trim_ascii());
            at += 1;
        }
        self.byte(b'"')
    }

    const fn setting(&mut self, setting: &Setting) -> &mut Self {
        self.quoted(setting.name).raw(":{\"description\":").doc(setting.doc);
        if !setting.unit.is_empty() {
            self.raw(",\"x-unit\":").quoted(setting.unit);
        }
        match setting.kind {
            Kind::Bool { default } => {
                self.raw(",\"type\":\"boolean\",\"default\":").raw(if default { "true" } else { "false" });
            }
            Kind::Integer { default, min, max } => {
                self.raw(",\"type\":\"integer\",\"default\":").number(default);
                self.raw(",\"minimum\":").number(min).raw(",\"maximum\":").number(max);
            }
            Kind::Text { default, choices } => {
                self.raw(",\"type\":\"string\",\"default\":").quoted(default).choices(choices);
            }
            Kind::List { default, choices } => {
                self.raw(",\"type\":\"array\",\"default\":").list(default);
                self.raw(",\"items\":{\"type\":\"string\"").choices(choices).byte(b'}');
            }
        }
        self.byte(b'}')
    }

    const fn choices(&mut self, choices: &[&str]) -> &mut Self {
        if !choices.is_empty() {
            self.raw(",\"enum\":").list(choices);
        }
        self
    }
}
