//! Why something was refused.

use std::fmt;

use abi_stable::StableAbi;
use abi_stable::std_types::RString;

use super::Blob;

/// Why a call was refused, in the terms of the API.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct ApiError {
    /// Status as in HTTP: 4xx the caller's doing, 5xx the callee's.
    pub status: u32,
    /// Stable dotted name, such as `plugin.start.bind`. The same in every language and version.
    pub id: RString,
    /// One line for people: what was being done, on what, what was found, what to do next.
    pub message: RString,
    /// More for machines: a JSON object, or empty.
    pub details: Blob,
}

impl ApiError {
    /// An error without details.
    pub fn new(status: u32, id: impl Into<RString>, message: impl Into<RString>) -> Self {
        Self { status, id: id.into(), message: message.into(), details: Blob::empty() }
    }

    /// What a guard reports when `entry` panicked: status 500, id `plugin.panic`.
    #[must_use]
    pub fn panicked(entry: &str, text: &str) -> Self {
        Self::new(500, "plugin.panic", format!("`{entry}` panicked: {text}"))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, status {})", self.message, self.id, self.status)
    }
}

impl std::error::Error for ApiError {}
