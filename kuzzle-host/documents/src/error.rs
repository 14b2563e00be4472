use std::fmt;
use std::path::PathBuf;

/// Why a read or a write was refused. `Display` gives the text a client sees.
///
/// The texts of the first group are those of the original storage engine, which clients match on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Create of an id that exists.
    DocumentAlreadyExists {
        /// Index name.
        index: String,
        /// Collection name.
        collection: String,
        /// Document id.
        id: String,
    },
    /// Update of a document that does not exist.
    DocumentMissing {
        /// Index name.
        index: String,
        /// Collection name.
        collection: String,
        /// Document id.
        id: String,
    },
    /// Replace of a document that does not exist.
    ReplaceMissing {
        /// Document id.
        id: String,
    },
    /// Delete of a document that does not exist.
    DeleteMissing,
    /// Creation of an index that exists.
    IndexAlreadyExists {
        /// Index name.
        index: String,
    },
    /// Use of an index that does not exist, where the index is not created on the way.
    IndexNotFound {
        /// Index name.
        index: String,
    },
    /// A name that no index may have.
    InvalidIndexName {
        /// The name as given.
        index: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// A name that no collection may have.
    InvalidCollectionName {
        /// The name as given.
        collection: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// An id that no document may have.
    InvalidId {
        /// The rule it breaks.
        reason: &'static str,
    },
    /// A source that no document may have.
    InvalidDocument {
        /// What was found and what was expected.
        reason: String,
    },
    /// A mapping that is none, or that contradicts the one there is.
    InvalidMapping {
        /// What was found and what was expected.
        reason: String,
    },
    /// A search, count or deletion by query that cannot be understood or goes beyond a limit.
    InvalidSearch {
        /// What was found, where, and what was expected.
        reason: String,
    },
    /// Whoever asked gave up.
    Cancelled,
    /// A defect of this program ended the work; nothing was changed by it.
    Failed {
        /// What was being done.
        doing: &'static str,
    },
    /// One of [`INDEXES_MAX`](crate::INDEXES_MAX) and [`COLLECTIONS_MAX`](crate::COLLECTIONS_MAX) is reached.
    TooMany {
        /// `indexes` or `collections`.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// More writes wait than [`Options::queue_limit`](crate::Options) lets wait, or more searches than may; try again.
    Overloaded {
        /// What is full.
        reason: String,
    },
    /// The store takes no writes at present: the disk is full or does not do as it is told. Reads go on, and writes
    /// work again without a restart as soon as the cause is gone. The refused write was not applied, except where an
    /// error of the disk left its fate open.
    Unavailable {
        /// What was found and what to do.
        reason: String,
    },
    /// The store was closed.
    Closed,
    /// The store gave something that it cannot have been given: the file was damaged by something else.
    Corrupt {
        /// What was read, and what was expected.
        reason: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DocumentAlreadyExists { index, collection, id } => write!(
                f,
                "[document_already_exists_exception] [{collection}][{id}]: document already exists, with \
                 {{ index=\"{index}\" }}"
            ),
            Self::DocumentMissing { index, collection, id } => write!(
                f,
                "[document_missing_exception] [{collection}][{id}]: document missing, with {{ index=\"{index}\" }}"
            ),
            Self::ReplaceMissing { id } => write!(f, "Document with id {id} not found."),
            Self::DeleteMissing => f.write_str("Not Found"),
            Self::IndexAlreadyExists { index } => {
                write!(f, "[index_already_exists_exception] already exists, with {{ index=\"{index}\" }}")
            }
            Self::IndexNotFound { index } => {
                write!(f, "[index_not_found_exception] no such index, with {{ index=\"{index}\" }}")
            }
            Self::InvalidIndexName { index, reason } => {
                write!(f, "[invalid_index_name_exception] Invalid index name [{index}], {reason}")
            }
            Self::InvalidCollectionName { collection, reason } => {
                write!(f, "[invalid_type_name_exception] Invalid collection name [{collection}], {reason}")
            }
            Self::InvalidId { reason } => {
                write!(f, "[action_request_validation_exception] invalid document id: {reason}")
            }
            Self::InvalidDocument { reason } => {
                write!(f, "[mapper_parsing_exception] invalid document: {reason}")
            }
            Self::InvalidMapping { reason } => write!(f, "[mapper_parsing_exception] {reason}"),
            Self::InvalidSearch { reason } => write!(f, "[search_parse_exception] {reason}"),
            Self::Cancelled => f.write_str("the search was given up before it was done"),
            Self::Failed { doing } => {
                write!(f, "the {doing} ended by a defect of the server; its log says more")
            }
            Self::TooMany { what, limit } => {
                write!(f, "the limit of {limit} {what} is reached; delete some that are no longer used")
            }
            Self::Overloaded { reason } => {
                write!(f, "too much waits already: {reason}; try again later")
            }
            Self::Unavailable { reason } => write!(f, "documents can be read but not written: {reason}"),
            Self::Closed => f.write_str("the document store is closed"),
            Self::Corrupt { reason } => write!(f, "the document store is damaged: {reason}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<kuzzle_search::Error> for Error {
    fn from(error: kuzzle_search::Error) -> Self {
        match error.kind() {
            kuzzle_search::ErrorKind::Cancelled => Self::Cancelled,
            _ => Self::InvalidSearch { reason: error.to_string() },
        }
    }
}

/// Why a data directory could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process serves this data directory.
    Locked {
        /// The data directory.
        path: PathBuf,
        /// Id of that process, where its lock file says it.
        pid: Option<u32>,
    },
    /// The directory was written by a newer version of the program.
    NewerFormat {
        /// The data directory.
        path: PathBuf,
        /// Format number found.
        found: u32,
        /// Newest format number this version knows.
        known: u32,
    },
    /// A file holds something that it cannot have been given.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// A file or the directory could not be created, read or written.
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { path, pid } => {
                write!(f, "cannot open the documents in `{}`: locked by ", path.display())?;
                match pid {
                    Some(pid) => write!(f, "process {pid}")?,
                    None => f.write_str("another process")?,
                }
                f.write_str("; stop that server or choose another data directory")
            }
            Self::NewerFormat { path, found, known } => write!(
                f,
                "cannot open the documents in `{}`: written in format {found}, this version knows formats up to \
                 {known}; use the version that wrote them or a newer one",
                path.display()
            ),
            Self::Corrupt { path, reason } => write!(
                f,
                "cannot open `{}`: {reason}; restore the data directory from a backup or move it away to start empty",
                path.display()
            ),
            Self::Io { doing, path, source } => write!(f, "cannot {doing} `{}`: {source}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
