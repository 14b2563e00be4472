//! What actions need of a request, and what they say when the store refuses.

use kuzzle_documents::Error;
use kuzzle_model::{ApiError, Request};

/// Returns the request's index, or an error that says an index is needed.
pub(super) fn index(request: &Request) -> Result<String, ApiError> {
    request.index.clone().ok_or_else(|| ApiError::arguments_missing("index"))
}

/// Returns the request's index and collection, or an error that says both are needed.
pub(super) fn collection(request: &Request) -> Result<(String, String), ApiError> {
    match (&request.index, &request.collection) {
        (Some(index), Some(collection)) => Ok((index.clone(), collection.clone())),
        _ => Err(ApiError::arguments_missing("index, type")),
    }
}

/// Returns the request's index, collection and document id, or an error that says all three are needed.
pub(super) fn document(request: &Request) -> Result<(String, String, String), ApiError> {
    match (&request.index, &request.collection, &request.id) {
        (Some(index), Some(collection), Some(id)) => Ok((index.clone(), collection.clone(), id.clone())),
        _ => Err(ApiError::arguments_missing("index, type, id")),
    }
}

/// Says what the store said, in the words and with the statuses of the API.
pub(super) fn refused(request: &Request, error: Error) -> ApiError {
    let reason = error.to_string();
    match error {
        Error::DocumentAlreadyExists { .. } => ApiError::document_exists(reason),
        Error::DocumentMissing { .. } => ApiError::document_missing(reason),
        Error::ReplaceMissing { id } => ApiError::document_to_replace_not_found(id),
        Error::DeleteMissing => ApiError::document_to_delete_not_found(),
        Error::InvalidDocument { .. } => ApiError::document_invalid(reason),
        Error::IndexAlreadyExists { .. } => ApiError::index_exists(reason),
        Error::IndexNotFound { .. } => ApiError::index_missing(reason),
        Error::InvalidIndexName { .. } | Error::InvalidCollectionName { .. } | Error::InvalidId { .. } => {
            ApiError::name_invalid(reason)
        }
        Error::TooMany { .. } => ApiError::limit_reached(reason),
        Error::Overloaded { .. } => ApiError::overloaded(),
        Error::Unavailable { .. } | Error::Closed => ApiError::unavailable(reason),
        other => {
            tracing::error!(
                controller = request.controller,
                action = request.action,
                error = %other,
                "document store failed"
            );
            ApiError::internal(reason)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_store_says_keeps_its_words_and_gets_its_status() {
        let (index, collection, id) = ("i".to_string(), "c".to_string(), "x".to_string());
        for (error, status, name, text) in [
            (
                Error::DocumentAlreadyExists {
                    index: index.clone(),
                    collection: collection.clone(),
                    id: id.clone(),
                },
                400,
                "documents.document.already_exists",
                "document_already_exists_exception",
            ),
            (
                Error::DocumentMissing {
                    index: index.clone(),
                    collection: collection.clone(),
                    id: id.clone(),
                },
                400,
                "documents.document.missing",
                "document_missing_exception",
            ),
            (
                Error::ReplaceMissing { id },
                404,
                "documents.document.nothing_to_replace",
                "Document with id x not found.",
            ),
            (Error::DeleteMissing, 400, "documents.document.nothing_to_delete", "Not Found"),
            (
                Error::IndexAlreadyExists { index: index.clone() },
                400,
                "documents.index.already_exists",
                "index_already_exists_exception",
            ),
            (
                Error::IndexNotFound { index: index.clone() },
                400,
                "documents.index.missing",
                "index_not_found_exception",
            ),
            (Error::InvalidIndexName { index, reason: "too odd" }, 400, "documents.name.invalid", "too odd"),
            (
                Error::InvalidCollectionName { collection, reason: "too odd" },
                400,
                "documents.name.invalid",
                "too odd",
            ),
            (Error::InvalidId { reason: "too odd" }, 400, "documents.name.invalid", "too odd"),
            (
                Error::InvalidDocument { reason: "too deep".into() },
                400,
                "documents.document.invalid",
                "too deep",
            ),
            (
                Error::TooMany { what: "indexes", limit: 3 },
                400,
                "documents.limit.reached",
                "limit of 3 indexes",
            ),
            (
                Error::Overloaded { reason: "queue".into() },
                503,
                "api.request.overloaded",
                "Request discarded: Kuzzle Server is temporarily overloaded",
            ),
            (
                Error::Unavailable { reason: "disk full".into() },
                503,
                "documents.store.unavailable",
                "disk full",
            ),
            (Error::Closed, 503, "documents.store.unavailable", "closed"),
            (Error::Corrupt { reason: "torn".into() }, 500, "server.internal", "torn"),
        ] {
            let refused = refused(&Request::default(), error);
            assert_eq!((refused.status, refused.id.as_str()), (status, name));
            assert!(refused.message.contains(text), "{}", refused.message);
        }
    }
}
