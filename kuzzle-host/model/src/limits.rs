//! Bounds on what a peer may send, applied before memory is taken for it.

/// Deepest nesting of objects and arrays in a request message, the message itself counted; deeper JSON is refused as
/// malformed.
///
/// This is the JSON parser's own recursion limit, named here because the parser, the serialiser and the deep merge of
/// an update all recurse at most this far.
pub const JSON_DEPTH_MAX: usize = 127;

/// Default of [`Limits::request_max_bytes`]: 1 MiB.
///
/// The first Kuzzle allowed 100 kB over REST; a larger bound keeps every old client working.
pub const REQUEST_MAX_BYTES: usize = 1024 * 1024;

/// What one request may cost before it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest request message in bytes, default [`REQUEST_MAX_BYTES`]; longer ones are answered 413 without being
    /// parsed.
    pub request_max_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { request_max_bytes: REQUEST_MAX_BYTES }
    }
}
