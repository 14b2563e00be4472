//! What actions need of a request, and what they say when the store refuses.

use kuzzle_documents::Error;
use kuzzle_model::{ApiError, Request};
use serde_json::{Value, json};

use crate::Origin;

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

/// How many parts of an index took part in an answer: the embedded store keeps an index in one.
pub(super) fn shards() -> Value {
    json!({"failed": 0, "successful": 1, "total": 1})
}

/// Names the instance's index where a request that writes documents names none.
pub(super) fn supply_defaults(request: &mut Request, origin: &Origin) {
    if request.index.is_none() {
        request.index = origin.defaults.index.as_deref().map(str::to_owned);
    }
}

/// Says what the engine said to a request that only reads: what is not there is 404 then, not 400.
pub(super) fn refused_to_read(request: &Request, error: Error) -> ApiError {
    match error {
        Error::IndexNotFound { .. } => ApiError::index_not_found(error),
        other => refused(request, other),
    }
}

/// Says what the engine said to a request that writes, in the words and with the statuses of the API.
pub(super) fn refused(request: &Request, error: Error) -> ApiError {
    let reason = error.to_string();
    match error {
        Error::DocumentAlreadyExists { .. } => ApiError::document_exists(reason),
        Error::DocumentMissing { .. } => ApiError::document_missing(reason),
        Error::ReplaceMissing { id } => ApiError::document_to_replace_not_found(id),
        Error::DeleteMissing => ApiError::document_to_delete_not_found(),
        Error::InvalidDocument { .. } => ApiError::document_invalid(reason),
        Error::InvalidMapping { .. } => ApiError::mapping_invalid(reason),
        Error::InvalidSearch { .. } => ApiError::search_invalid(reason),
        Error::IndexAlreadyExists { .. } => ApiError::index_exists(reason),
        Error::IndexNotFound { .. } => ApiError::index_missing(reason),
        Error::InvalidIndexName { .. } | Error::InvalidCollectionName { .. } | Error::InvalidId { .. } => {
            ApiError::name_invalid(reason)
        }
        Error::TooMany { .. } => ApiError::limit_reached(reason),
        Error::Overloaded { .. } => ApiError::overloaded(),
        // Nobody is left to hear of what was cancelled.
        Error::Unavailable { .. } | Error::Closed | Error::Cancelled => ApiError::unavailable(reason),
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
                Error::InvalidMapping { reason: "of different type".into() },
                400,
                "documents.mapping.invalid",
                "of different type",
            ),
            (
                Error::InvalidSearch { reason: "unknown query".into() },
                400,
                "documents.search.invalid",
                "[search_parse_exception] unknown query",
            ),
            (Error::Failed { doing: "search" }, 500, "server.internal", "search"),
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
    #[test]
    fn what_is_read_and_not_there_is_404() {
        let missing = refused_to_read(&Request::default(), Error::IndexNotFound { index: "i".into() });
        assert_eq!((missing.status, missing.id.as_str()), (404, "documents.index.not_found"));
        assert!(missing.message.contains("index_not_found_exception"), "{missing}");
        let invalid =
            refused_to_read(&Request::default(), Error::InvalidSearch { reason: "unknown query".into() });
        assert_eq!((invalid.status, invalid.id.as_str()), (400, "documents.search.invalid"));
    }
}
