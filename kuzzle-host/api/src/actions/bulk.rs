//! Controller `bulk`: many writes in one request.

use std::time::Instant;

use kuzzle_documents::{Error, Write, Written};
use kuzzle_model::{ApiError, Request, Response, ResponseResult, kind_of};
use serde_json::{Map, Value, json};

use super::arguments;
use crate::Origin;
use crate::api::Core;
use crate::step::Step;

/// `import`: body: an array of lines. A line names an action, `{"index":{"_id":..,"_index":..,"_type":..}}` or the same
/// with `create`, `update` or `delete`; the next is its document, which of `update` is `{"doc":{..}}` and which `delete`
/// has not. What an action does not name is the request's index and collection. Actions are done in order, each sees those
/// before it, and none is taken back when another fails. Lines that make no sense are refused before anything is done.
pub(super) fn import(core: &Core, mut request: Request, origin: &Origin) -> Step {
    let started = Instant::now();
    // Unlike a single write, an import that names no index may need none: each action may name its own.
    let index = request.index.as_deref().or(origin.defaults.index.as_deref());
    let actions = match read(&request, index) {
        Ok(actions) => actions,
        Err(error) => return Step::failure(request, error),
    };
    let Value::Array(mut lines) = request.body.take() else {
        return Step::failure(request, ApiError::bulk_missing());
    };
    let writes = actions.iter().map(|action| action.write(&mut lines)).collect();
    drop(lines);
    let answers = core.documents.write_all(writes);
    Step::waits(async move {
        let answers = answers.await;
        respond(request, actions, answers, started)
    })
}

/// What an action does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Index,
    Create,
    Update,
    Delete,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Index, Kind::Create, Kind::Update, Kind::Delete];

    fn name(self) -> &'static str {
        match self {
            Kind::Index => "index",
            Kind::Create => "create",
            Kind::Update => "update",
            Kind::Delete => "delete",
        }
    }
}

/// One action of an import.
#[derive(Debug)]
struct Action {
    kind: Kind,
    index: String,
    collection: String,
    id: Option<String>,
    /// Where among the lines its document is; none of `delete`.
    source: Option<usize>,
}

/// A line that is not what has to stand there; lines count from 1.
fn invalid(place: usize, reason: impl std::fmt::Display) -> ApiError {
    ApiError::bulk_invalid(place + 1, reason)
}

/// Reads all lines and leaves them where they are, so that an error can repeat them.
fn read(request: &Request, index: Option<&str>) -> Result<Vec<Action>, ApiError> {
    let lines = match &request.body {
        Value::Array(lines) if !lines.is_empty() => lines,
        Value::Null | Value::Array(_) => return Err(ApiError::bulk_missing()),
        Value::Object(fields) if fields.is_empty() => return Err(ApiError::bulk_missing()),
        other => return Err(ApiError::argument_invalid("body", kind_of(other), "an array of lines")),
    };
    let mut actions = Vec::with_capacity(lines.len().div_ceil(2));
    let mut place = 0;
    while let Some(line) = lines.get(place) {
        let mut action = read_action(place, line, index, request.collection.as_deref())?;
        place += 1;
        if action.kind != Kind::Delete {
            let named = read_source(action.kind, place, lines.get(place))?;
            action.id = action.id.or(named);
            action.source = Some(place);
            place += 1;
        }
        actions.push(action);
    }
    Ok(actions)
}

/// Reads the line of an action; `index` and `collection` are what it may leave out.
fn read_action(
    place: usize,
    line: &Value,
    index: Option<&str>,
    collection: Option<&str>,
) -> Result<Action, ApiError> {
    const EXPECTED: &str = "expected an action: an object with one of `index`, `create`, `update`, `delete`";
    let Value::Object(line) = line else {
        return Err(invalid(place, format!("found {}, {EXPECTED}", kind_of(line))));
    };
    let mut keys = line.iter();
    let (Some((name, target)), None) = (keys.next(), keys.next()) else {
        return Err(invalid(place, format!("found an object with {} keys, {EXPECTED}", line.len())));
    };
    let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == name) else {
        return Err(invalid(place, format!("found the key `{}`, {EXPECTED}", excerpt(name))));
    };
    let Value::Object(target) = target else {
        return Err(invalid(
            place,
            format!("`{name}` is {}, expected an object, such as {{\"_id\":\"1\"}}", kind_of(target)),
        ));
    };
    for key in target.keys() {
        // No other writer comes between reading and writing an update, so there is nothing to try again.
        let is_known = matches!(key.as_str(), "_id" | "_index" | "_type")
            || (kind == Kind::Update && key == "_retry_on_conflict");
        if !is_known {
            let known = "`_id`, `_index`, `_type`";
            return Err(invalid(
                place,
                format!("`{name}` has the unknown key `{}`; known here: {known}", excerpt(key)),
            ));
        }
    }
    let index = name_in(place, target, "_index")?.or_else(|| index.map(str::to_owned));
    let collection = name_in(place, target, "_type")?.or_else(|| collection.map(str::to_owned));
    let (Some(index), Some(collection)) = (index, collection) else {
        return Err(ApiError::bulk_no_collection().with_details(json!({"line": place + 1})));
    };
    let id = name_in(place, target, "_id")?;
    if id.is_none() && matches!(kind, Kind::Update | Kind::Delete) {
        return Err(invalid(place, format!("`{name}` needs the `_id` of a document")));
    }
    Ok(Action { kind, index, collection, id, source: None })
}

/// Checks the document of an action, and returns the id that stands in it.
fn read_source(kind: Kind, place: usize, line: Option<&Value>) -> Result<Option<String>, ApiError> {
    let Some(line) = line else {
        return Err(invalid(place, format!("found the end, expected the document of `{}`", kind.name())));
    };
    let Value::Object(fields) = line else {
        return Err(invalid(
            place,
            format!("found {}, expected the document of `{}`", kind_of(line), kind.name()),
        ));
    };
    if kind != Kind::Update {
        return name_in(place, fields, "_id");
    }
    if let Some(other) = fields.keys().find(|key| *key != "doc") {
        return Err(invalid(
            place,
            format!("found the key `{}`, of an `update` only `doc` is supported", excerpt(other)),
        ));
    }
    match fields.get("doc") {
        Some(Value::Object(_)) => Ok(None),
        Some(other) => Err(invalid(place, format!("`doc` is {}, expected an object", kind_of(other)))),
        None => Err(invalid(place, "expected {\"doc\":{..}}, the fields to update")),
    }
}

/// A name or id among the fields of a line: text, or a number that is taken as its decimal text.
fn name_in(place: usize, fields: &Map<String, Value>, key: &str) -> Result<Option<String>, ApiError> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(other) => {
            Err(invalid(place, format!("`{key}` is {}, expected a string or a number", kind_of(other))))
        }
    }
}

/// The beginning of a key, which may be as long as the request.
fn excerpt(key: &str) -> String {
    const LONGEST: usize = 50;
    let mut short: String = key.chars().take(LONGEST).collect();
    if short.len() < key.len() {
        short.push_str("..");
    }
    short
}

impl Action {
    /// Takes the action's document out of the lines. A `_id` at its root names it and is never stored in it.
    fn write(&self, lines: &mut [Value]) -> Write {
        let (index, collection) = (self.index.clone(), self.collection.clone());
        let line = self.source.and_then(|place| lines.get_mut(place)).map(Value::take).unwrap_or_default();
        let mut source = match (self.kind, line) {
            (Kind::Update, Value::Object(mut fields)) => fields.remove("doc").unwrap_or_default(),
            (_, line) => line,
        };
        if let Value::Object(fields) = &mut source {
            fields.remove("_id");
        }
        let id = self.id.clone();
        match self.kind {
            Kind::Index => Write::CreateOrReplace { index, collection, id, source },
            Kind::Create => Write::Create { index, collection, id, source },
            Kind::Update => Write::Update { index, collection, id: id.unwrap_or_default(), source },
            Kind::Delete => Write::Delete { index, collection, id: id.unwrap_or_default() },
        }
    }

    /// What the answer says of the action.
    fn item(self, request: &Request, answer: Result<Written, Error>) -> Map<String, Value> {
        let mut item = Map::new();
        item.insert("_index".into(), self.index.into());
        item.insert("_type".into(), self.collection.into());
        match answer {
            Ok(written) => {
                item.insert("_id".into(), written.id.into());
                item.insert("_shards".into(), arguments::shards());
                item.insert("_version".into(), written.version.into());
                item.insert("status".into(), if written.created { 201 } else { 200 }.into());
                if self.kind == Kind::Delete {
                    item.insert("found".into(), true.into());
                }
            }
            Err(error) => {
                let status = own_status(&error);
                let refused = arguments::refused(request, error);
                item.insert("_id".into(), self.id.into());
                item.insert("error".into(), refused.message.into());
                item.insert("status".into(), status.unwrap_or(refused.status).into());
                if self.kind == Kind::Delete && status.is_some() {
                    item.insert("found".into(), false.into());
                }
            }
        }
        item
    }
}

/// Statuses that differ from those of the same error as the answer to a request of its own.
fn own_status(error: &Error) -> Option<u16> {
    match error {
        Error::DocumentAlreadyExists { .. } => Some(409),
        Error::DocumentMissing { .. } | Error::DeleteMissing => Some(404),
        _ => None,
    }
}

fn respond(
    request: Request,
    actions: Vec<Action>,
    answers: Vec<Result<Written, Error>>,
    started: Instant,
) -> Response {
    let mut failures = Vec::new();
    let items: Vec<Value> = actions
        .into_iter()
        .zip(answers)
        .map(|(action, answer)| {
            let (name, has_failed) = (action.kind.name(), answer.is_err());
            let item = action.item(&request, answer);
            if has_failed {
                let mut failure = item.clone();
                failure.insert("action".into(), name.into());
                failures.push(Value::Object(failure));
            }
            Value::Object(Map::from_iter([(name.to_owned(), Value::Object(item))]))
        })
        .collect();
    let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut result = json!({"errors": !failures.is_empty(), "took": took});
    result["items"] = Value::Array(items);
    if failures.is_empty() {
        return Response::success(request, ResponseResult::Value(result));
    }
    result["partialErrors"] = Value::Array(failures.clone());
    let error = ApiError::imported_in_part().with_errors(failures);
    Response::partial(request, error, ResponseResult::Value(result))
}
