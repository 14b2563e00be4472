//! What indexes, collections and documents may be called.

use crate::error::Error;
use crate::limits::{COLLECTION_NAME_MAX_BYTES, DOCUMENT_ID_MAX_BYTES, INDEX_NAME_MAX_BYTES};

/// Checks the name of an index by the rules of the original engine: no upper case, none of `\ / * ? " < > | , #`, no
/// space or control character, not starting with `_`, not `.` or `..`.
pub(crate) fn check_index(index: &str) -> Result<(), Error> {
    let reason = if let Some(reason) = common(index, INDEX_NAME_MAX_BYTES) {
        reason
    } else if index.chars().any(char::is_uppercase) {
        "must be lowercase"
    } else if index.chars().any(|c| "\\/*?\"<>| ,".contains(c)) {
        "must not contain the following characters [\\, /, *, ?, \", <, >, |,  , ,]"
    } else if index == "." || index == ".." {
        "must not be '.' or '..'"
    } else {
        return Ok(());
    };
    Err(Error::InvalidIndexName { index: shortened(index), reason })
}

/// Checks the name of a collection: like an index, but upper case, spaces and most punctuation are allowed.
pub(crate) fn check_collection(collection: &str) -> Result<(), Error> {
    let reason = if let Some(reason) = common(collection, COLLECTION_NAME_MAX_BYTES) {
        reason
    } else if collection.contains(',') {
        "must not contain a ','"
    } else if collection.starts_with('.') {
        "must not start with '.'"
    } else {
        return Ok(());
    };
    Err(Error::InvalidCollectionName { collection: shortened(collection), reason })
}

/// Checks the id of a document: not empty and not longer than the limit; any characters.
pub(crate) fn check_id(id: &str) -> Result<(), Error> {
    if id.is_empty() {
        Err(Error::InvalidId { reason: "it is empty; leave it out to have one generated" })
    } else if id.len() > DOCUMENT_ID_MAX_BYTES {
        Err(Error::InvalidId { reason: "it is longer than 512 bytes" })
    } else {
        Ok(())
    }
}

fn common(name: &str, max: usize) -> Option<&'static str> {
    if name.is_empty() {
        Some("must not be empty")
    } else if name.len() > max {
        Some("must not be longer than 255 bytes")
    } else if name.chars().any(char::is_control) {
        Some("must not contain control characters")
    } else if name.starts_with('_') {
        Some("must not start with '_'")
    } else if name.contains('#') {
        Some("must not contain '#'")
    } else {
        None
    }
}

/// The beginning of a name, for a message that must not grow with it.
fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_names() {
        for good in ["index", "%kuzzle", "test-index_2", "a.b", "ünïcode", "-x", "kuzzle-test-index-alt"] {
            assert_eq!(check_index(good), Ok(()), "{good}");
        }
        for bad in ["", "Index", "_x", "a b", "a/b", "a,b", "a*", "..", ".", "a#b", "a\0b", "a\nb", "a\"b"] {
            assert!(matches!(check_index(bad), Err(Error::InvalidIndexName { .. })), "{bad}");
        }
        assert_eq!(check_index(&"a".repeat(255)), Ok(()));
        assert!(check_index(&"a".repeat(256)).is_err());
    }

    #[test]
    fn collection_names() {
        for good in ["collection", "My Collection", "a/b", "kuzzle-collection-test"] {
            assert_eq!(check_collection(good), Ok(()), "{good}");
        }
        for bad in ["", "_x", ".x", "a,b", "a#b", "a\0b"] {
            assert!(matches!(check_collection(bad), Err(Error::InvalidCollectionName { .. })), "{bad}");
        }
        assert!(check_collection(&"a".repeat(256)).is_err());
    }

    #[test]
    fn ids() {
        assert_eq!(check_id("a b/c\u{1F600}"), Ok(()));
        assert_eq!(check_id(&"x".repeat(512)), Ok(()));
        assert!(check_id(&"x".repeat(513)).is_err());
        assert!(check_id("").is_err());
    }

    #[test]
    fn messages_do_not_grow_with_the_name() {
        let error = check_index(&"A".repeat(100_000)).unwrap_err();
        assert!(error.to_string().len() < 300);
    }
}
