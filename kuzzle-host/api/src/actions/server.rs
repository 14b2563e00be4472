//! Controller `server`: the protocols that are served, what the log complains of, and copies of what is kept.

use kuzzle_documents::Page;
use kuzzle_model::{ApiError, RawJson, Request, Response, ResponseResult};
use serde_json::{Map, Value, json};

use super::arguments;
use super::broker::Arguments;
use crate::api::Core;
use crate::step::Step;
use crate::{BackupError, Origin, Problem, SwitchError};

/// Documents in a page of an export, unless asked for otherwise, and at most.
const PAGE_SIZE: u64 = 1_000;
const PAGE_SIZE_MAX: u64 = 10_000;
/// Bytes after which a page ends before its time.
const PAGE_BYTES: usize = 2 << 20;

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

/// `exportDocuments`: index, collection; `after`, the id behind which the page begins; `size`, how many documents it may
/// have. Documents come in the order of their ids, as they are stored now, and fewer than asked for where they are large.
pub(super) fn export_documents(core: &Core, request: Request, _origin: &Origin) -> Step {
    let asked = arguments::collection(&request).and_then(|(index, collection)| {
        let given = Arguments::of(&request);
        let after = given.text("after")?.map(|after| after.into_owned());
        let size = given.number("size", 1, PAGE_SIZE_MAX, PAGE_SIZE)?;
        Ok((index, collection, after, usize::try_from(size).unwrap_or(usize::MAX)))
    });
    let (index, collection, after, size) = match asked {
        Ok(asked) => asked,
        Err(error) => return Step::failure(request, error),
    };
    let page = core.documents.page(&index, &collection, after.as_deref(), size, PAGE_BYTES);
    Step::when(request, page, |request, page| match page {
        Ok(page) => {
            Response::success(request, ResponseResult::Raw(RawJson::from_sorted(render(&page).into())))
        }
        Err(error) => {
            let error = arguments::refused_to_read(&request, error);
            Response::failure(request, error)
        }
    })
}

/// A page as JSON: sources are copied as they are stored.
fn render(page: &Page) -> Vec<u8> {
    let sources: usize =
        page.documents.iter().map(|(id, document)| id.len() + document.source.len() + 48).sum();
    let mut out = Vec::with_capacity(sources + 64);
    out.extend_from_slice(b"{\"documents\":[");
    for (n, (id, document)) in page.documents.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"_id\":");
        out.extend_from_slice(Value::from(id.as_str()).to_string().as_bytes());
        out.extend_from_slice(b",\"_source\":");
        out.extend_from_slice(&document.source);
        out.extend_from_slice(format!(",\"_version\":{}}}", document.version).as_bytes());
    }
    out.extend_from_slice(format!("],\"isLast\":{},\"total\":{}}}", page.is_last, page.total).as_bytes());
    out
}

/// `backup`: `directory`, the absolute path of a directory that is not there yet, on the server's disk.
pub(super) fn backup(core: &Core, request: Request, _origin: &Origin) -> Step {
    let copying = match Arguments::of(&request).needed("directory") {
        Ok(directory) => core.facts.backup(&directory),
        Err(error) => return Step::failure(request, error),
    };
    Step::waits(async move {
        match copying.await {
            Ok(made) => {
                let made = json!({"directory": made.directory, "files": made.files, "bytes": made.bytes});
                Response::success(request, ResponseResult::Value(made))
            }
            Err(BackupError::Refused(reason)) => Response::failure(request, ApiError::backup_refused(reason)),
            Err(BackupError::Failed(reason)) => Response::failure(request, ApiError::backup_failed(reason)),
        }
    })
}
