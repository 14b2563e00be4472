//! Controller `admin`: indexes.

use std::collections::BTreeSet;

use kuzzle_documents::{Error, Write};
use kuzzle_model::{ApiError, Request, Response, ResponseResult};
use serde_json::{Value, json};

use super::arguments;
use super::write::acknowledged;
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
    let wanted: BTreeSet<&str> = names.iter().filter_map(Value::as_str).collect();
    let answers: Vec<_> = core
        .documents
        .indexes()
        .into_iter()
        .filter(|index| wanted.contains(index.as_str()))
        .map(|index| {
            let answer = core.documents.write(Write::DeleteIndex { index: index.clone() });
            (index, answer)
        })
        .collect();
    Step::waits(async move {
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
