use std::fmt;

/// Why a mapping, a document or a search was refused. Whoever sent it has to change it: except for
/// [`ErrorKind::Cancelled`] every error is a bad request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    pointer: Option<String>,
    message: String,
}

/// What sort of fault an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The JSON does not have the shape that is expected at this place.
    Malformed,
    /// The query language has this, and this crate does not.
    Unsupported,
    /// A limit of [`limits`](crate::limits) is passed.
    Limit,
    /// A mapping contradicts itself or the one that exists.
    Mapping,
    /// A document does not fit its mapping.
    Document,
    /// The request was cancelled while it ran.
    Cancelled,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, pointer: Some(pointer.into()), message: message.into() }
    }

    pub(crate) fn bare(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, pointer: None, message: message.into() }
    }

    pub(crate) fn cancelled() -> Self {
        Self::bare(ErrorKind::Cancelled, "the search was cancelled before it was done")
    }

    /// What sort of fault it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Where the fault is, as a JSON pointer (RFC 6901) into what was given; `None` when it is no place in it.
    pub fn pointer(&self) -> Option<&str> {
        self.pointer.as_deref()
    }

    /// What was found and what is allowed, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same fault, at the given place if it has none yet.
    pub(crate) fn or_at(mut self, pointer: impl FnOnce() -> String) -> Self {
        self.pointer.get_or_insert_with(pointer);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pointer {
            Some(pointer) if pointer.is_empty() => write!(out, "{}, at the root", self.message),
            Some(pointer) => write!(out, "{}, at `{pointer}`", self.message),
            None => out.write_str(&self.message),
        }
    }
}

impl std::error::Error for Error {}

/// What this crate's functions return.
pub type Result<T> = std::result::Result<T, Error>;
