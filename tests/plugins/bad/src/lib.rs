//! A plugin that fails on purpose, in the one way that its feature names; without a feature it is a plugin that works.
//!
//! It is written on the contract alone: no kit, no runtime.

mod manifest;

use std::sync::Arc;

use kuzzle_plugin_api::abi::{
    ApiError, Blob, Completion, HostRef, Instance, InstanceCalls, LayoutMismatch, Listener, Listeners,
    LogLevel, ModuleCalls, PluginInfo, ServiceLookup, ServiceRef, SettingsProblem, StartArguments, Status,
    StatusCalls, StopReport,
};

kuzzle_plugin_api::__export_module!(Bad, manifest::TEXT);

struct Bad;

impl ModuleCalls for Bad {
    fn describe() -> PluginInfo {
        fail("panic-in-describe");
        // The rest by default: a build with changed types has more of it.
        #[allow(clippy::needless_update)]
        PluginInfo {
            name: "bad".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            label: "bad".into(),
            ..PluginInfo::default()
        }
    }

    fn check_settings(settings: &str) -> Vec<SettingsProblem> {
        fail("panic-in-check-settings");
        if settings.replace(char::is_whitespace, "") == "{}" {
            return Vec::new();
        }
        vec![SettingsProblem { pointer: "".into(), message: "this plugin has no settings".into() }]
    }

    fn start(host: HostRef, _arguments: StartArguments) -> Result<Instance, ApiError> {
        fail("panic-in-start");
        if cfg!(feature = "refuses-to-start") {
            return Err(ApiError::new(500, "plugin.bad.valve", "the valve is stuck; oil it"));
        }
        if cfg!(feature = "never-returns-from-start") {
            forever();
        }
        let listeners = host.service::<Listeners>().map(|listeners| listeners.list()).transpose()?;
        if cfg!(feature = "panic-in-thread") {
            let _detached = std::thread::spawn(|| panic!("on purpose: panic-in-thread"));
        }
        host.log(LogLevel::Info, "bad", "started", "{}");
        let mut listeners: Vec<Listener> = listeners.into_iter().flatten().collect();
        if cfg!(feature = "leaks-listener") {
            listeners.drain(..).for_each(accept_forever);
        }
        Ok(Instance::new(Arc::new(Running { _listeners: listeners })))
    }
}

struct Running {
    /// Held open: clients connect into the backlog and are never answered.
    _listeners: Vec<Listener>,
}

impl ServiceLookup for Running {
    fn service(&self, id: &str, major: u32) -> Option<ServiceRef> {
        fail("panic-in-service");
        (id == "status" && major == 1).then(|| Status::offer(Arc::new(Report)))
    }

    fn service_mismatch(&self, _id: &str, _mismatch: &LayoutMismatch) {}
}

impl InstanceCalls for Running {
    fn drain(&self, done: Completion) {
        fail("panic-in-drain");
        done.complete(StopReport::drained());
    }

    fn stop(&self, _timeout_ms: u64) -> StopReport {
        fail("panic-in-stop");
        if cfg!(feature = "never-returns-from-stop") {
            forever();
        }
        StopReport { clean: true, cut_connections: 0, leaked_threads: 0 }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        fail("panic-in-release");
    }
}

struct Report;

impl StatusCalls for Report {
    fn report(&self) -> Blob {
        Blob::from_static(br#"{"valve":"open"}"#)
    }
}

/// Panics when the build is meant to fail in this way.
fn fail(way: &str) {
    if manifest::WAYS.contains(&way) {
        panic!("on purpose: {way}");
    }
}

/// Goes on accepting for the life of the process, whatever becomes of the instance.
fn accept_forever(listener: Listener) {
    let listener = std::net::TcpListener::from(listener.socket.into_fd());
    let _detached = std::thread::spawn(move || {
        let mut held = Vec::new();
        loop {
            match listener.accept() {
                Ok((stream, _peer)) => held.push(stream),
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(5)),
            }
        }
    });
}

fn forever() -> ! {
    loop {
        std::thread::park();
    }
}
