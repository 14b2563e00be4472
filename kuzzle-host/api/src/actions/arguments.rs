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
