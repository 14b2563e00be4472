//! The limits of the engine, each checked before memory or disk is taken.

/// Longest name of an index, in bytes.
pub const INDEX_NAME_MAX_BYTES: usize = 255;

/// Longest name of a collection, in bytes.
pub const COLLECTION_NAME_MAX_BYTES: usize = 255;

/// Longest id of a document, in bytes (the limit later versions of the original engine set).
pub const DOCUMENT_ID_MAX_BYTES: usize = 512;

/// Largest document as compact JSON, in bytes. Requests usually meet a smaller limit of their protocol first.
pub const DOCUMENT_MAX_BYTES: usize = 64 * 1024 * 1024;

/// Deepest nesting of objects and arrays in a document; `{"a":[1]}` has depth 2. It keeps recursion bounded and lies
/// below the depth at which JSON parsers give up.
pub const DOCUMENT_MAX_DEPTH: usize = 100;

/// Number of indexes in one data directory. The catalogue lives in memory, hence the limit.
pub const INDEXES_MAX: usize = 10_000;

/// Number of collections over all indexes of one data directory.
pub const COLLECTIONS_MAX: usize = 100_000;
