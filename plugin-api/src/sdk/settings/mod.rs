//! What a plugin can be told in `plugins.toml`, declared once.

mod check;
mod schema;

pub use check::Reader;
#[doc(hidden)]
pub use schema::{Text, manifest, object_schema};

use crate::abi::SettingsProblem;

/// Settings of a plugin: a plain struct that knows its JSON Schema and how to be read.
///
/// Made by [`settings!`](crate::settings). A plugin without settings uses `()`, which takes no key at all.
pub trait Settings: Sized + Send + Sync + 'static {
    /// JSON Schema (2020-12) of the settings table, as text. The host shows it, and `config print` is made from it.
    const SCHEMA: &'static str;

    /// Reads a JSON object. Keys that are absent take their defaults.
    ///
    /// # Errors
    ///
    /// With every problem, each with a JSON pointer to where it is: text that is no JSON object, keys that do not exist
    /// (and the one that was perhaps meant), values of another type or out of their bounds.
    fn check(settings: &str) -> Result<Self, Vec<SettingsProblem>>;
}

impl Settings for () {
    const SCHEMA: &'static str = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{}}";

    fn check(settings: &str) -> Result<Self, Vec<SettingsProblem>> {
        Reader::new(settings, &[]).finish(())
    }
}

/// One setting as data.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its key.
    pub name: &'static str,
    /// The lines of its doc comment.
    pub doc: &'static [&'static str],
    /// The unit of its value, or empty.
    pub unit: &'static str,
    /// What values it takes.
    pub kind: Kind,
}

/// What values a setting takes, and which it has when it is absent.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool {
        /// The value when absent.
        default: bool,
    },
    /// A whole number.
    Integer {
        /// The value when absent.
        default: u64,
        /// The least value.
        min: u64,
        /// The greatest value.
        max: u64,
    },
    /// A text.
    Text {
        /// The value when absent.
        default: &'static str,
        /// The values to choose from; empty when any text will do.
        choices: &'static [&'static str],
    },
    /// A list of texts.
    List {
        /// The value when absent.
        default: &'static [&'static str],
        /// The values that each item is chosen from; empty when any text will do.
        choices: &'static [&'static str],
    },
}

impl Setting {
    /// Checks what only its author can get wrong: a default that it would not take itself.
    ///
    /// # Panics
    ///
    /// When that is so; [`settings!`](crate::settings) calls this when the plugin is compiled.
    #[must_use]
    #[allow(clippy::panic, reason = "evaluated when the plugin is compiled")]
    pub const fn validated(self) -> Self {
        match self.kind {
            Kind::Bool { .. } => {}
            Kind::Integer { default, min, max } => {
                assert!(min <= default && default <= max, "a setting's default is out of its range");
                assert!(max <= i64::MAX as u64, "a setting's range ends beyond what the file format holds");
            }
            Kind::Text { default, choices } => {
                assert!(
                    choices.is_empty() || contains(choices, default),
                    "a setting's default is none of its choices"
                );
            }
            Kind::List { default, choices } => {
                let mut at = 0;
                while at < default.len() {
                    let is_known = choices.is_empty() || contains(choices, default[at]);
                    assert!(is_known, "an item of a setting's default is none of its choices");
                    at += 1;
                }
            }
        }
        self
    }
}

const fn contains(choices: &[&str], wanted: &str) -> bool {
    let mut at = 0;
    while at < choices.len() {
        if equal(choices[at].as_bytes(), wanted.as_bytes()) {
            return true;
        }
        at += 1;
    }
    false
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Declares a plugin's settings: the struct, its defaults, its JSON Schema and its [check](Settings::check) come from one
/// line each.
///
/// | kind | type of the field | in the file | may be followed by |
/// |---|---|---|---|
/// | `bool` | `bool` | `true` or `false` | |
/// | `integer` | `u64` | a whole number from 0 | `range`, `unit` |
/// | `secs` | `std::time::Duration` | a whole number of seconds | `range` |
/// | `millis` | `std::time::Duration` | a whole number of milliseconds | `range` |
/// | `string` | `String` | a text | `choices` |
/// | `list` | `Vec<String>` | a list of texts | `choices` |
///
/// A default that is out of its own range or choices does not compile.
///
/// ```
/// kuzzle_plugin_api::settings! {
///     /// What the protocol can be told.
///     pub struct LineSettings {
///         /// Longest line taken from a client.
///         line_max_bytes: integer = 65_536, range 64..=16_777_216, unit "bytes";
///         /// How long a client may take to say hello.
///         hello_timeout_secs: secs = 10, range 1..=600;
///         /// Answers in short or in full.
///         style: string = "short", choices ["short", "full"];
///     }
/// }
/// use kuzzle_plugin_api::sdk::Settings;
///
/// let settings = LineSettings::check(r#"{ "style": "full" }"#).expect("nothing is wrong with it");
/// assert_eq!((settings.style.as_str(), settings.line_max_bytes), ("full", 65_536));
///
/// let problems = LineSettings::check(r#"{ "stile": "full", "line_max_bytes": 1 }"#).expect_err("two problems");
/// assert_eq!(problems[0].pointer, "/stile");
/// assert_eq!(problems[1].message, "is 1, expected a whole number from 64 to 16777216 (bytes)");
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[doc = $struct_doc:literal])*
        $visibility:vis struct $name:ident {
            $(
                $(#[doc = $doc:literal])*
                $field:ident : $kind:ident = $default:tt
                    $(, range $min:literal ..= $max:literal)?
                    $(, choices [$($choice:literal),* $(,)?])?
                    $(, unit $unit:literal)?
            );* $(;)?
        }
    ) => {
        $(#[doc = $struct_doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        $visibility struct $name {
            $(
                $(#[doc = $doc])*
                pub $field: $crate::__setting!(@type $kind)
            ),*
        }

        const _: () = {
            const SETTINGS: &[$crate::sdk::Setting] = &[$(
                $crate::sdk::Setting {
                    name: stringify!($field),
                    doc: &[$($doc),*],
                    unit: $crate::__setting!(@unit $kind $($unit)?),
                    kind: $crate::__setting!(@kind $kind $default [$($min, $max)?] [$($($choice),*)?]),
                }.validated()
            ),*];
            const DOC: &[&str] = &[$($struct_doc),*];
            const LENGTH: usize = $crate::sdk::object_schema::<0>(DOC, SETTINGS).length();
            const TEXT: $crate::sdk::Text<LENGTH> = $crate::sdk::object_schema::<LENGTH>(DOC, SETTINGS);

            impl $crate::sdk::Settings for $name {
                const SCHEMA: &'static str = TEXT.as_str();

                fn check(
                    settings: &str,
                ) -> ::std::result::Result<Self, ::std::vec::Vec<$crate::abi::SettingsProblem>> {
                    let mut reader = $crate::sdk::Reader::new(settings, SETTINGS);
                    let value = Self { $($field: reader.$kind(stringify!($field))),* };
                    reader.finish(value)
                }
            }

            impl ::std::default::Default for $name {
                fn default() -> Self {
                    let mut reader = $crate::sdk::Reader::new("{}", SETTINGS);
                    Self { $($field: reader.$kind(stringify!($field))),* }
                }
            }
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __setting {
    (@type bool) => { bool };
    (@type integer) => { u64 };
    (@type secs) => { ::std::time::Duration };
    (@type millis) => { ::std::time::Duration };
    (@type string) => { ::std::string::String };
    (@type list) => { ::std::vec::Vec<::std::string::String> };
    (@unit secs) => { "seconds" };
    (@unit millis) => { "milliseconds" };
    (@unit $kind:ident) => { "" };
    (@unit integer $unit:literal) => { $unit };
    (@kind bool $default:tt [] []) => { $crate::sdk::Kind::Bool { default: $default } };
    (@kind string $default:tt [] [$($choice:literal),*]) => {
        $crate::sdk::Kind::Text { default: $default, choices: &[$($choice),*] }
    };
    (@kind list [$($item:literal),* $(,)?] [] [$($choice:literal),*]) => {
        $crate::sdk::Kind::List { default: &[$($item),*], choices: &[$($choice),*] }
    };
    (@kind $number:ident $default:tt [] []) => {
        $crate::sdk::Kind::Integer { default: $default, min: 0, max: i64::MAX as u64 }
    };
    (@kind $number:ident $default:tt [$min:literal, $max:literal] []) => {
        $crate::sdk::Kind::Integer { default: $default, min: $min, max: $max }
    };
}

#[cfg(test)]
mod tests;
