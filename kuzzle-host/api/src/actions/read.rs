//! Controller `read`, but for `serverInfo`.

use std::time::{SystemTime, UNIX_EPOCH};

use kuzzle_documents::Error;
use kuzzle_model::{ApiError, DocumentResult, RawJson, Request, Response, ResponseResult};
use serde_json::{Value, json};

use super::arguments;
use crate::Origin;
use crate::api::Core;
use crate::step::Step;

/// `get`: index, collection, `_id`.
pub(super) fn get(core: &Core, request: Request, _origin: &Origin) -> Step {
    let (Some(index), Some(collection), Some(id)) = (&request.index, &request.collection, &request.id) else {
        return Step::failure(request, ApiError::arguments_missing("index, type, id"));
    };
    if id == "_search" {
        return Step::failure(request, ApiError::search_by_get());
    }
    let found = core.documents.get(index, collection, id);
    Step::when(request, found, |mut request, found| match found {
        Ok(Some(document)) => {
            let result = DocumentResult {
                id: request.id.take().unwrap_or_default(),
                version: document.version,
                found: Some(true),
                source: Some(RawJson::from_sorted(document.source)),
                ..DocumentResult::default()
            };
            Response::success(request, ResponseResult::Document(result))
        }
        Ok(None) => Response::failure(request, ApiError::document_not_found()),
        Err(error) => refusal(request, error),
    })
}

/// `search`: index, collection, body: a search in the query language of Elasticsearch, `{}` finds everything.
pub(super) fn search(core: &Core, request: Request, _origin: &Origin) -> Step {
    let (index, collection) = match arguments::collection(&request) {
        Ok(names) => names,
        Err(error) => return Step::failure(request, error),
    };
    let found = core.documents.search(&index, &collection, &request.body);
    Step::waits(async move {
        match found.await {
            Ok(result) => Response::success(request, ResponseResult::Value(result)),
            Err(error) => refusal(request, error),
        }
    })
}

/// `count`: index, collection, body with a `query`, `{}` counts everything.
pub(super) fn count(core: &Core, request: Request, _origin: &Origin) -> Step {
    let (index, collection) = match arguments::collection(&request) {
        Ok(names) => names,
        Err(error) => return Step::failure(request, error),
    };
    let counted = core.documents.count(&index, &collection, &request.body);
    Step::waits(async move {
        match counted.await {
            Ok(count) => {
                let result = json!({"_shards": arguments::shards(), "count": count});
                Response::success(request, ResponseResult::Value(result))
            }
            Err(error) => refusal(request, error),
        }
    })
}

/// `now`: milliseconds since 1970.
pub(super) fn now(_core: &Core, request: Request, _origin: &Origin) -> Step {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    Step::success(request, ResponseResult::Value(json!({"now": now})))
}

/// `listIndexes`.
pub(super) fn list_indexes(core: &Core, request: Request, _origin: &Origin) -> Step {
    Step::when(request, core.documents.indexes(), |request, indexes| match indexes {
        Ok(indexes) => Response::success(request, ResponseResult::Value(json!({"indexes": indexes}))),
        Err(error) => refusal(request, error),
    })
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
        Some(Value::String(kind)) => match kind.as_str() {
            "" | "all" => "all",
            "stored" => "stored",
            "realtime" => "realtime",
            unknown => {
                let error = ApiError::collection_type(unknown);
                return Step::failure(request, error);
            }
        },
        Some(other) => {
            let error = ApiError::collection_type(other);
            return Step::failure(request, error);
        }
    };
    let stored = core.documents.collections(index);
    Step::when(request, stored, move |request, stored| match stored {
        Ok(stored) => {
            let stored = stored.unwrap_or_default();
            let realtime = Vec::<String>::new();
            let collections = match kind {
                "stored" => json!({"stored": stored}),
                "realtime" => json!({"realtime": realtime}),
                _ => json!({"stored": stored, "realtime": realtime}),
            };
            let result = json!({"collections": collections, "type": kind});
            Response::success(request, ResponseResult::Value(result))
        }
        Err(error) => refusal(request, error),
    })
}

fn refusal(request: Request, error: Error) -> Response {
    let error = arguments::refused_to_read(&request, error);
    Response::failure(request, error)
}
