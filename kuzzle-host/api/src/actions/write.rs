//! Controller `write`: documents and collections.

use kuzzle_documents::{Error, Write, Written};
use kuzzle_model::{ApiError, DocumentResult, RawJson, Request, Response, ResponseResult};
use serde_json::{Value, json};

use super::arguments;
use crate::Origin;
use crate::api::Core;
use crate::step::Step;

/// `create`: index, collection, body; `_id` is generated when absent, an existing one is an error.
pub(super) fn create(core: &Core, request: Request, origin: &Origin) -> Step {
    store(core, request, origin, |request, source| {
        let (index, collection) = arguments::collection(request)?;
        Ok(Write::Create { index, collection, id: request.id.clone(), source })
    })
}

/// `createOrReplace`: index, collection, body; `_id` is generated when absent.
pub(super) fn create_or_replace(core: &Core, request: Request, origin: &Origin) -> Step {
    store(core, request, origin, |request, source| {
        let (index, collection) = arguments::collection(request)?;
        Ok(Write::CreateOrReplace { index, collection, id: request.id.clone(), source })
    })
}

/// `replace`: index, collection, `_id` of an existing document, body.
pub(super) fn replace(core: &Core, request: Request, origin: &Origin) -> Step {
    store(core, request, origin, |request, source| {
        let (index, collection, id) = arguments::document(request)?;
        Ok(Write::Replace { index, collection, id, source })
    })
}

/// `update`: index, collection, `_id` of an existing document, body to merge into it at every depth. The answer does
/// not repeat the document.
pub(super) fn update(core: &Core, mut request: Request, origin: &Origin) -> Step {
    let (source, repeat) = match take_document(&mut request) {
        Ok(taken) => taken,
        Err(error) => return Step::failure(request, error),
    };
    arguments::supply_defaults(&mut request, origin);
    let (index, collection, id) = match arguments::document(&request) {
        Ok(names) => names,
        Err(error) => return failure(request, error, repeat),
    };
    let answer = core.documents.write(Write::Update { index, collection, id, source });
    Step::waits(async move {
        match answer.await {
            Ok(written) => document(
                request,
                DocumentResult {
                    id: written.id,
                    version: written.version,
                    shards: true,
                    ..DocumentResult::default()
                },
            ),
            Err(error) => refusal(request, error, repeat),
        }
    })
}

/// `delete`: index, collection, `_id` of an existing document.
pub(super) fn delete(core: &Core, mut request: Request, origin: &Origin) -> Step {
    arguments::supply_defaults(&mut request, origin);
    let (index, collection, id) = match arguments::document(&request) {
        Ok(names) => names,
        Err(error) => return Step::failure(request, error),
    };
    let answer = core.documents.write(Write::Delete { index, collection, id });
    Step::waits(async move {
        match answer.await {
            Ok(written) => document(
                request,
                DocumentResult {
                    id: written.id,
                    version: written.version,
                    found: Some(true),
                    shards: true,
                    ..DocumentResult::default()
                },
            ),
            Err(error) => {
                let error = arguments::refused(&request, error);
                Response::failure(request, error)
            }
        }
    })
}

/// `deleteByQuery`: index, collection, body: a search, of which `{}` finds everything. Answers with the ids of what was
/// removed.
pub(super) fn delete_by_query(core: &Core, mut request: Request, origin: &Origin) -> Step {
    arguments::supply_defaults(&mut request, origin);
    if request.body.is_null() {
        return Step::failure(request, ApiError::search_null());
    }
    let body = request.body.clone();
    delete_matching(core, request, &body)
}

/// Removes what a search finds, and answers with its ids.
pub(super) fn delete_matching(core: &Core, request: Request, body: &Value) -> Step {
    let (index, collection) = match arguments::collection(&request) {
        Ok(names) => names,
        Err(error) => return Step::failure(request, error),
    };
    let deleted = core.documents.delete_by_query(&index, &collection, body);
    Step::waits(async move {
        match deleted.await {
            Ok(deleted) => {
                let ids: Vec<Value> = deleted.into_iter().map(|written| written.id.into()).collect();
                Response::success(request, ResponseResult::Value(json!({"ids": ids})))
            }
            Err(error) => {
                let error = arguments::refused(&request, error);
                Response::failure(request, error)
            }
        }
    })
}

/// `createCollection`: an existing index, collection; succeeds when the collection exists.
pub(super) fn create_collection(core: &Core, request: Request, _origin: &Origin) -> Step {
    let (index, collection) = match arguments::collection(&request) {
        Ok(names) => names,
        Err(error) => return Step::failure(request, error),
    };
    acknowledged(core, request, Write::CreateCollection { index, collection })
}

/// Submits a change of indexes or collections and answers `{"acknowledged":true}`.
pub(super) fn acknowledged(core: &Core, request: Request, write: Write) -> Step {
    let answer = core.documents.write(write);
    Step::waits(async move {
        match answer.await {
            Ok(_) => Response::success(request, ResponseResult::Value(json!({"acknowledged": true}))),
            Err(error) => {
                let error = arguments::refused(&request, error);
                Response::failure(request, error)
            }
        }
    })
}

/// Submits the storing of the request's body and answers with the document as stored.
fn store(
    core: &Core,
    mut request: Request,
    origin: &Origin,
    write: impl FnOnce(&Request, Value) -> Result<Write, ApiError>,
) -> Step {
    let (source, repeat) = match take_document(&mut request) {
        Ok(taken) => taken,
        Err(error) => return Step::failure(request, error),
    };
    arguments::supply_defaults(&mut request, origin);
    let write = match write(&request, source) {
        Ok(write) => write,
        Err(error) => return failure(request, error, repeat),
    };
    let answer = core.documents.write(write);
    Step::waits(async move {
        match answer.await {
            Ok(Written { id, version, created, source, .. }) => document(
                request,
                DocumentResult {
                    id,
                    version,
                    created: Some(created),
                    shards: true,
                    source: source.map(RawJson::from_sorted),
                    ..DocumentResult::default()
                },
            ),
            Err(error) => refusal(request, error, repeat),
        }
    })
}

/// Takes the document out of the body, and what an error is to repeat of the request: the store keeps the document, so
/// it has to be put down before.
fn take_document(request: &mut Request) -> Result<(Value, Option<RawJson>), ApiError> {
    let repeat = request.source();
    Ok((request.take_document()?, repeat))
}

fn document(request: Request, result: DocumentResult) -> Response {
    Response::success(request, ResponseResult::Document(result))
}

fn refusal(request: Request, error: Error, repeat: Option<RawJson>) -> Response {
    let error = arguments::refused(&request, error);
    Response { error_source: repeat, ..Response::failure(request, error) }
}

fn failure(request: Request, error: ApiError, repeat: Option<RawJson>) -> Step {
    Step::Done(Box::new(Response { error_source: repeat, ..Response::failure(request, error) }))
}
