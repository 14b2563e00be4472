//! The call through the contract: a host that answers, and a plugin that was built apart and loaded.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use abi_stable::library::AbiHeaderRef;
use kuzzle_plugin_api::abi::{
    ApiError, Blob, Completion, ENTRY_SYMBOL, Host, HostRef, LayoutMismatch, LogLevel, PluginModuleRef,
    Reply, RequestEvent, Requests, RequestsCalls, Service, ServiceLookup, ServiceRef, StartArguments, Status,
    module_from_header,
};
use kuzzle_plugin_api::proxy::Loopback;
use kuzzle_plugin_api::sdk::serde_json::{self, Value, json};
use kuzzle_plugin_api::sdk::tokio::runtime::Handle;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use crate::{Answering, Case, Result, answer};

/// Loads the plugin, for ever.
pub fn load(path: &Path) -> Result<PluginModuleRef> {
    // SAFETY: the library is this crate's own, which does nothing when it is loaded.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }?;
    // SAFETY: the exporting macro defines the symbol as a `LibHeader`, which begins with an `AbiHeader`.
    let header = unsafe { library.get::<AbiHeaderRef>(ENTRY_SYMBOL.as_bytes()) }.map(|symbol| *symbol);
    std::mem::forget(library);
    Ok(module_from_header(header?)?)
}

/// Runs a case: the plugin calls while it starts. `as_bytes`: through the proxy.
pub fn run(case: &Case, module: PluginModuleRef, host_runtime: &Handle, as_bytes: bool) -> Result<Duration> {
    let host = BenchHost { answering: case.answering, runtime: host_runtime.clone() };
    let host = HostRef::new(Arc::new(host));
    let arguments = StartArguments {
        instance: "bench".into(),
        generation: 1,
        settings: json!({ "in_flight": case.in_flight, "calls_each": case.calls_each }).to_string().into(),
        options: "{}".into(),
    };
    let instance = if as_bytes {
        Loopback::new(module).start(host, arguments)?
    } else {
        module.start()(host, arguments).into_result()?
    };
    let status = instance.service::<Status>().ok_or("the plugin offers no status")?;
    let report: Value = serde_json::from_slice(status.report().as_slice())?;
    instance.stop(1_000);
    let took = report["nanoseconds"].as_u64().ok_or("the plugin reports no time")?;
    Ok(Duration::from_nanos(took))
}

#[derive(Clone)]
struct BenchHost {
    answering: Answering,
    runtime: Handle,
}

impl RequestsCalls for BenchHost {
    fn open(&self, _connection: u64, _info: &str) -> std::result::Result<(), ApiError> {
        Ok(())
    }

    fn close(&self, _connection: u64) {}

    fn execute(&self, _connection: u64, request: Blob, done: Completion) {
        let run = move || {
            let (request_id, body) = answer(request.as_slice());
            done.complete(Reply { status: 200, request_id: request_id.into(), body: body.into() });
        };
        match self.answering {
            Answering::Inside => run(),
            Answering::OnAnotherThread => drop(self.runtime.spawn(async move { run() })),
        }
    }

    fn authenticate(&self, _connection: u64, _mechanism: &str, _credentials: Blob, done: Completion) {
        done.complete(Reply::authenticated("bench"));
    }

    fn take(&self, _max_events: u32, _max_bytes: u64) -> Vec<RequestEvent> {
        Vec::new()
    }
}

impl Host for BenchHost {
    fn log(&self, level: LogLevel, target: &str, message: &str, fields: &str) {
        eprintln!("{level:?} {target}: {message} {fields}");
    }

    fn log_enabled(&self, level: LogLevel) -> bool {
        level <= LogLevel::Warn
    }
}

impl ServiceLookup for BenchHost {
    fn service(&self, id: &str, major: u32) -> Option<ServiceRef> {
        ((id, major) == (Requests::ID, Requests::MAJOR)).then(|| Requests::offer(Arc::new(self.clone())))
    }

    fn service_mismatch(&self, id: &str, mismatch: &LayoutMismatch) {
        eprintln!("the plugin asked for another `{id}`: {mismatch}");
    }
}
