use std::fmt;

/// Why a filter was refused. Whoever sent it has to change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    kind: FilterErrorKind,
    pointer: String,
    message: String,
}

/// What sort of fault a [`FilterError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterErrorKind {
    /// The JSON does not have the shape that is expected at this place.
    Malformed,
    /// No filter has this name; it stands at the root.
    Unknown,
    /// The language has this, and this server does not.
    Unsupported,
    /// A regular expression that cannot be compiled.
    Pattern,
    /// A limit of [`limits`](crate::limits) is passed.
    Limit,
}

impl FilterError {
    pub(crate) fn new(
        kind: FilterErrorKind,
        pointer: impl Into<String>,
        message: impl Into<String>,
    ) -> FilterError {
        FilterError { kind, pointer: pointer.into(), message: message.into() }
    }

    /// What sort of fault it is.
    pub fn kind(&self) -> FilterErrorKind {
        self.kind
    }

    /// The status of the API, an HTTP status code: 404 for an unknown name at the root, 500 for what this server cannot
    /// evaluate, else 400, as the first server had them.
    pub fn status(&self) -> u16 {
        match self.kind {
            FilterErrorKind::Malformed | FilterErrorKind::Limit => 400,
            FilterErrorKind::Unknown => 404,
            FilterErrorKind::Unsupported | FilterErrorKind::Pattern => 500,
        }
    }

    /// Where the fault is, as a JSON pointer (RFC 6901) into the filter; empty at its root.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// What was found and what is allowed, without the place. It begins with the text of the first server where that
    /// had one.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            write!(out, "{}, at the root of the filter", self.message)
        } else {
            write!(out, "{}, at `{}` of the filter", self.message, self.pointer)
        }
    }
}

impl std::error::Error for FilterError {}

/// What reading a filter returns.
pub type FilterResult<T> = std::result::Result<T, FilterError>;
