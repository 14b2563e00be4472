//! Controller `server`: the protocols that are served, and what the log complains of.

use kuzzle_model::{ApiError, Request, ResponseResult};
use serde_json::{Map, Value, json};

use super::broker::Arguments;
use crate::api::Core;
use crate::step::Step;
use crate::{Origin, Problem, SwitchError};

/// `listProtocols`: every protocol that is declared, with its state.
pub(super) fn list_protocols(core: &Core, request: Request, _origin: &Origin) -> Step {
    let protocols: Vec<Value> = core
        .facts
        .plugins()
        .into_iter()
        .map(|facts| {
            let mut shown = facts.status;
            shown.insert("name".into(), facts.name.into());
            shown.insert("enabled".into(), facts.activated.into());
            shown.insert("version".into(), facts.version.into());
            Value::Object(shown)
        })
        .collect();
    Step::success(request, ResponseResult::Value(json!({"protocols": protocols})))
}

/// `enableProtocol`: `protocol`, its name.
pub(super) fn enable_protocol(core: &Core, request: Request, _origin: &Origin) -> Step {
    switch(core, request, true)
}

/// `disableProtocol`: `protocol`, its name.
pub(super) fn disable_protocol(core: &Core, request: Request, _origin: &Origin) -> Step {
    switch(core, request, false)
}

fn switch(core: &Core, request: Request, enabled: bool) -> Step {
    let done = Arguments::of(&request).needed("protocol").and_then(|name| {
        core.facts.set_enabled(&name, enabled).map_err(|error| match error {
            SwitchError::Unknown(reason) => ApiError::protocol_not_found(reason),
            SwitchError::Unusable(reason) => ApiError::protocol_unchanged(reason),
        })
    });
    match done {
        Ok(done) => Step::success(request, ResponseResult::Value(json!({"done": done}))),
        Err(error) => Step::failure(request, error),
    }
}

/// `listProblems`: the latest warnings and errors of the log, the newest first.
pub(super) fn list_problems(core: &Core, request: Request, _origin: &Origin) -> Step {
    let problems: Vec<Value> = core.facts.problems().into_iter().map(problem).collect();
    Step::success(request, ResponseResult::Value(json!({"problems": problems})))
}

fn problem(problem: Problem) -> Value {
    let fields: Map<String, Value> =
        problem.fields.into_iter().map(|(name, value)| (name, value.into())).collect();
    json!({
        "level": if problem.is_error { "error" } else { "warning" },
        "at": problem.at_ms,
        "count": problem.count,
        "target": problem.target,
        "message": problem.message,
        "fields": fields,
    })
}
