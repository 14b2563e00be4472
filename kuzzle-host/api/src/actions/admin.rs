//! Controller `admin`: indexes, mappings and what searches see.

use std::collections::BTreeSet;
use std::sync::Arc;

use kuzzle_documents::{Answer, Error, Write};
use kuzzle_model::{ApiError, Request, Response, ResponseResult};
use serde_json::{Value, json};

use super::arguments;
use super::write::{acknowledged, delete_matching};
use crate::Origin;
use crate::api::Core;
use crate::step::Step;

/// `createIndex`: index; an existing one is an error.
pub(super) fn create_index(core: &Core, request: Request, _origin: &Origin) -> Step {
    match arguments::index(&request) {
        Ok(index) => acknowledged(core, request, Write::CreateIndex { index }),
        Err(error) => Step::failure(request, error),
    }
}

/// `deleteIndex`: an existing index.
pub(super) fn delete_index(core: &Core, request: Request, _origin: &Origin) -> Step {
    match arguments::index(&request) {
        Ok(index) => acknowledged(core, request, Write::DeleteIndex { index }),
        Err(error) => Step::failure(request, error),
    }
}

/// `deleteIndexes`: names of indexes in `body.indexes`; unknown ones are passed over. Answers with the deleted ones,
/// sorted; with status 206 and the reasons when some could not be deleted, with the first reason when none could.
pub(super) fn delete_indexes(core: &Core, request: Request, _origin: &Origin) -> Step {
    let Some(Value::Array(names)) = request.body.get("indexes") else {
        return Step::failure(request, ApiError::indexes_not_array());
    };
    let wanted: BTreeSet<String> = names.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let engine = Arc::clone(&core.documents);
    let known = engine.indexes();
    Step::begin(async move {
        let known = match known {
            Answer::Now(known) => known,
            Answer::Later(known) => known.await,
        };
        let known = match known {
            Ok(known) => known,
            Err(error) => {
                let error = arguments::refused(&request, error);
                return Response::failure(request, error);
            }
        };
        let answers: Vec<_> = known
            .into_iter()
            .filter(|index| wanted.contains(index))
            .map(|index| {
                let answer = engine.write(Write::DeleteIndex { index: index.clone() });
                (index, answer)
            })
            .collect();
        let mut deleted = Vec::new();
        let mut refused = Vec::new();
        for (index, answer) in answers {
            match answer.await {
                Ok(_) => deleted.push(index),
                // Somebody else deleted it between the listing and the deletion.
                Err(Error::IndexNotFound { .. }) => {}
                Err(error) => refused.push((index, arguments::refused(&request, error))),
            }
        }
        deleted_indexes(request, deleted, refused)
    })
}

/// `updateMapping`: an existing index, collection, body `{"properties":{..}}`; merges it into the collection's mapping.
pub(super) fn update_mapping(core: &Core, request: Request, _origin: &Origin) -> Step {
    let (index, collection) = match arguments::collection(&request) {
        Ok(names) => names,
        Err(error) => return Step::failure(request, error),
    };
    let mapping = request.body.clone();
    acknowledged(core, request, Write::UpdateMapping { index, collection, mapping })
}

/// `getMapping`: index, collection.
pub(super) fn get_mapping(core: &Core, request: Request, _origin: &Origin) -> Step {
    let (index, collection) = match arguments::collection(&request) {
        Ok(names) => names,
        Err(error) => return Step::failure(request, error),
    };
    let found = core.documents.mapping(&index, &collection);
    Step::when(request, found, move |request, found| match found {
        Ok(Some(mapping)) => {
            let result = json!({index: {"mappings": {collection: mapping}}});
            Response::success(request, ResponseResult::Value(result))
        }
        Ok(None) => Response::failure(request, ApiError::mapping_not_found(index)),
        Err(error) => {
            let error = arguments::refused_to_read(&request, error);
            Response::failure(request, error)
        }
    })
}

/// `truncateCollection`: index, collection; removes all documents that searches see, and answers with their ids.
pub(super) fn truncate_collection(core: &Core, request: Request, _origin: &Origin) -> Step {
    delete_matching(core, request, &json!({}))
}

/// `refreshIndex`: an existing index.
pub(super) fn refresh_index(core: &Core, request: Request, _origin: &Origin) -> Step {
    let index = match arguments::index(&request) {
        Ok(index) => index,
        Err(error) => return Step::failure(request, error),
    };
    Step::when(request, core.documents.refresh(&index), |request, refreshed| match refreshed {
        Ok(()) => {
            let result = json!({"_shards": arguments::shards()});
            Response::success(request, ResponseResult::Value(result))
        }
        Err(error) => {
            let error = arguments::refused(&request, error);
            Response::failure(request, error)
        }
    })
}

/// `getAutoRefresh`: index, which need not exist. The result is `true` or `false`.
pub(super) fn get_auto_refresh(core: &Core, request: Request, _origin: &Origin) -> Step {
    let index = match arguments::index(&request) {
        Ok(index) => index,
        Err(error) => return Step::failure(request, error),
    };
    Step::when(request, core.documents.auto_refresh(&index), |request, enabled| match enabled {
        Ok(enabled) => Response::success(request, ResponseResult::Value(enabled.into())),
        Err(error) => {
            let error = arguments::refused(&request, error);
            Response::failure(request, error)
        }
    })
}

/// `setAutoRefresh`: index, which need not exist, and `autoRefresh` in the body. The result is the new value.
pub(super) fn set_auto_refresh(core: &Core, request: Request, _origin: &Origin) -> Step {
    let index = match arguments::index(&request) {
        Ok(index) => index,
        Err(error) => return Step::failure(request, error),
    };
    let enabled = match request.body.get("autoRefresh") {
        Some(Value::Bool(enabled)) => *enabled,
        None => return Step::failure(request, ApiError::auto_refresh_missing()),
        Some(other) => {
            let error = ApiError::auto_refresh_invalid(javascript_type(other));
            return Step::failure(request, error);
        }
    };
    let answer = core.documents.write(Write::SetAutoRefresh { index, enabled });
    Step::waits(async move {
        match answer.await {
            Ok(_) => Response::success(request, ResponseResult::Value(enabled.into())),
            Err(error) => {
                let error = arguments::refused(&request, error);
                Response::failure(request, error)
            }
        }
    })
}

/// What JavaScript's `typeof` says, which is what the error has always said.
fn javascript_type(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Null | Value::Array(_) | Value::Object(_) => "object",
    }
}

fn deleted_indexes(request: Request, deleted: Vec<String>, refused: Vec<(String, ApiError)>) -> Response {
    if refused.is_empty() {
        return Response::success(request, ResponseResult::Value(json!({"deleted": deleted})));
    }
    if deleted.is_empty() {
        let error = refused.into_iter().next().map_or_else(ApiError::overloaded, |(_, error)| error);
        return Response::failure(request, error);
    }
    let errors: Vec<Value> = refused
        .into_iter()
        .map(|(index, error)| json!({"_index": index, "error": error.message, "status": error.status}))
        .collect();
    let result = json!({"deleted": deleted, "partialErrors": errors});
    Response::partial(request, ApiError::deleted_in_part().with_errors(errors), ResponseResult::Value(result))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(deleted: &[&str], refused: &[&str]) -> Value {
        let deleted = deleted.iter().map(|index| index.to_string()).collect();
        let refused =
            refused.iter().map(|index| (index.to_string(), ApiError::unavailable("disk full"))).collect();
        let response = deleted_indexes(Request::default(), deleted, refused);
        serde_json::from_slice(&response.to_bytes()).unwrap()
    }

    #[test]
    fn deletion_in_part_says_what_is_left() {
        let answer = answer(&["a"], &["b", "c"]);
        assert_eq!(answer["status"], 206);
        assert_eq!(answer["error"]["status"], 206);
        assert_eq!(answer["error"]["count"], 2);
        assert_eq!(answer["result"]["deleted"], json!(["a"]));
        assert_eq!(
            answer["result"]["partialErrors"][1],
            json!({"_index": "c", "error": "disk full", "status": 503})
        );
        assert_eq!(answer["error"]["errors"], answer["result"]["partialErrors"]);
    }

    #[test]
    fn deletion_of_nothing_says_why() {
        let answer = answer(&[], &["b"]);
        assert_eq!((&answer["status"], &answer["result"]), (&json!(503), &Value::Null));
        assert_eq!(answer["error"]["message"], "disk full");
    }
}
