//! Controller `read`, but for `serverInfo`. Every action answers at once.

use std::time::{SystemTime, UNIX_EPOCH};

use kuzzle_model::{ApiError, DocumentResult, RawJson, Request, ResponseResult};
use serde_json::{Value, json};

use super::arguments;
use crate::Origin;
use crate::api::Core;
use crate::step::Step;

/// `get`: index, collection, `_id`.
pub(super) fn get(core: &Core, mut request: Request, _origin: &Origin) -> Step {
    let (Some(index), Some(collection), Some(id)) = (&request.index, &request.collection, &request.id) else {
        return Step::failure(request, ApiError::arguments_missing("index, type, id"));
    };
    if id == "_search" {
        return Step::failure(request, ApiError::search_by_get());
    }
    match core.documents.get(index, collection, id) {
        Ok(Some(document)) => {
            let result = DocumentResult {
                id: request.id.take().unwrap_or_default(),
                version: document.version,
                found: Some(true),
                source: Some(RawJson::from_sorted(document.source)),
                ..DocumentResult::default()
            };
            Step::success(request, ResponseResult::Document(result))
        }
        Ok(None) => Step::failure(request, ApiError::document_not_found()),
        Err(error) => {
            let error = arguments::refused(&request, error);
            Step::failure(request, error)
        }
    }
}

/// `now`: milliseconds since 1970.
pub(super) fn now(_core: &Core, request: Request, _origin: &Origin) -> Step {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    Step::success(request, ResponseResult::Value(json!({"now": now})))
}

/// `listIndexes`.
pub(super) fn list_indexes(core: &Core, request: Request, _origin: &Origin) -> Step {
    let indexes = core.documents.indexes();
    Step::success(request, ResponseResult::Value(json!({"indexes": indexes})))
}

/// `listCollections`: index, `type` (`all` by default, `stored` or `realtime`) in the body.
///
/// An index that does not exist has no stored collections. A real-time collection is one with a room, and nobody can
/// open a room before `subscribe.on` is built.
pub(super) fn list_collections(core: &Core, request: Request, _origin: &Origin) -> Step {
    let Some(index) = &request.index else {
        return Step::failure(request, ApiError::arguments_missing("index"));
    };
    let kind = match request.body.get("type") {
        None | Some(Value::Null) => "all",
        Some(Value::String(kind)) if kind.is_empty() => "all",
        Some(Value::String(kind)) => kind,
        Some(other) => {
            let error = ApiError::collection_type(other);
            return Step::failure(request, error);
        }
    };
    let stored = || core.documents.collections(index).unwrap_or_default();
    let realtime = Vec::<String>::new;
    let collections = match kind {
        "all" => json!({"stored": stored(), "realtime": realtime()}),
        "stored" => json!({"stored": stored()}),
        "realtime" => json!({"realtime": realtime()}),
        unknown => {
            let error = ApiError::collection_type(unknown);
            return Step::failure(request, error);
        }
    };
    let result = json!({"collections": collections, "type": kind});
    Step::success(request, ResponseResult::Value(result))
}
