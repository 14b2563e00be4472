//! The manifest's text, put together when the plugin is compiled; and the ways in which this build fails.

use kuzzle_plugin_api::abi::{DRAFT, MAJOR, RUSTC};

/// The ways of failing that this build was asked for.
pub const WAYS: &[&str] = &[
    #[cfg(feature = "panic-in-describe")]
    "panic-in-describe",
    #[cfg(feature = "panic-in-check-settings")]
    "panic-in-check-settings",
    #[cfg(feature = "panic-in-start")]
    "panic-in-start",
    #[cfg(feature = "panic-in-service")]
    "panic-in-service",
    #[cfg(feature = "panic-in-drain")]
    "panic-in-drain",
    #[cfg(feature = "panic-in-stop")]
    "panic-in-stop",
    #[cfg(feature = "panic-in-release")]
    "panic-in-release",
];

/// The manifest of this build.
pub const TEXT: &str = match std::str::from_utf8(&JOINED) {
    Ok(text) => text,
    Err(_) => panic!("the parts are UTF-8"),
};

const MAJOR_TEXT: &str = if cfg!(feature = "other-major") {
    "2"
} else {
    assert!(MAJOR == 1);
    "1"
};

/// The draft that it says it speaks. A build with changed types says the true one, so that only the types give it away.
const DRAFT_TEXT: &str = match option_env!("KUZZLE_BAD_PLUGIN_DRAFT") {
    Some(draft) => draft,
    None if cfg!(feature = "other-draft") => "0123456789abcdef",
    None => DRAFT,
};

const PARTS: &[&str] = &[
    if cfg!(feature = "garbled-manifest") { "{\"name\":" } else { "" },
    "{\"name\":\"bad\",\"version\":\"",
    env!("CARGO_PKG_VERSION"),
    "\",\"label\":\"bad\",\"abi\":{\"major\":",
    MAJOR_TEXT,
    ",\"minor\":0,\"draft\":\"",
    DRAFT_TEXT,
    "\"},\"panic\":\"",
    if cfg!(panic = "abort") { "abort" } else { "unwind" },
    "\",\"rustc\":\"",
    RUSTC,
    "\",\"target\":\"",
    TARGET,
    "\",\"settings\":{\"type\":\"object\",\"additionalProperties\":false}}",
];

const TARGET: &str = match (std::env::consts::ARCH.as_bytes(), std::env::consts::OS.as_bytes()) {
    (b"x86_64", b"linux") => "x86_64-linux",
    (b"aarch64", b"linux") => "aarch64-linux",
    (b"x86_64", _) => "x86_64-macos",
    _ => "aarch64-macos",
};

const LENGTH: usize = {
    let mut length = 0;
    let mut part = 0;
    while part < PARTS.len() {
        length += PARTS[part].len();
        part += 1;
    }
    length
};

const JOINED: [u8; LENGTH] = {
    let mut joined = [0; LENGTH];
    let (mut part, mut at) = (0, 0);
    while part < PARTS.len() {
        let bytes = PARTS[part].as_bytes();
        let mut byte = 0;
        while byte < bytes.len() {
            joined[at] = bytes[byte];
            byte += 1;
            at += 1;
        }
        part += 1;
    }
    joined
};
