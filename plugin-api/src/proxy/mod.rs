//! The proxy: carries every call of the contract as bytes.
//!
//! A plugin behind it runs unchanged, with the same file and the same tables, though no pointer of the host ever reaches
//! it nor one of its own the host. Today both halves live in one process, to find plugins that lean on more than the
//! contract gives; the same two halves over a socket between two processes isolate a plugin from its host.
//!
//! The *far* half stands beside the plugin. To the plugin it is the host. The *near* half stands beside the host. To the
//! host it is the plugin. Between them runs one byte stream; each half has a thread that reads and one that writes
//! whatever has come to wait since its last write, and the far half one that runs what may block.
//!
//! # What differs from a plugin without it
//!
//! The contract lets no call wait for the other side, so what returns a value is answered from what the half at hand knows:
//!
//! - `requests.open` looks at what it can see (that `info` is an object, that the id is free, the `max_connections` that
//!   the host declares) and takes the connection as open. When the host then refuses it, the refusal arrives as a close
//!   event with its status and message; requests sent meanwhile are answered as to a connection that is not open.
//! - `requests.take` answers from events that the near half fetches ahead, once the host says that some wait: up to
//!   1024 events or 4 MiB beyond what the plugin has taken. Beyond that they wait at the host, under the host's own bounds.
//! - Connections and links of `broker` are taken as open in the same way; a refusal arrives as a close event of each. What a
//!   link's operations come to is told by events anyway. A connection is throttled while more than 4 MiB of its calls are on
//!   their way; when the host throttles it, its calls wait in the near half, in their order. The near half fetches up to
//!   1024 events or 4 MiB ahead for each outbox.
//! - `listeners.list` duplicates sockets that crossed with the start. Once the instance drains or stops, the far half has
//!   closed its own, and `list` answers 503.
//! - `metrics.register` gives numbers itself, up to 1024 per instance. A metric that the host refuses is logged and not
//!   counted. Changes are added up and cross with the next write.
//! - `log_enabled` follows the host's levels with the next traffic. Log lines are dropped, and counted, when too much
//!   waits to be written.
//! - `status.report` is at most about a second old.
//!
//! At most 16384 calls wait for their answer; more are answered 503. A frame has at most 32 MiB: a longer request is
//! answered 413, a longer response is replaced by an error with status 500, a longer event closes its connections; a longer
//! publish is refused (311), and a longer delivery is rejected. Up to 64 MiB wait to be written, then requests and responses are answered 503.
//!
//! # When one side ends
//!
//! When the far half's end of the stream closes, the instance has failed: the near half closes its connections, reports
//! its listeners as lost so that the host binds them anew for another generation, cancels a drain, and `stop` returns at
//! once with `clean` false. When the near half's end closes, the far half cancels every call, gives the plugin a close
//! event (503) for all its connections, and stops the instance.

mod broker_wire;
mod calls;
mod far;
mod far_broker;
mod far_host;
mod inbox;
mod link;
mod messages;
mod metrics;
mod near;
mod near_broker;
mod near_host;
mod sockets;
#[cfg(test)]
mod tests;
mod wire;

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use self::link::Limits;
use self::sockets::Sockets;
use crate::abi::{ApiError, HostRef, Instance, PluginInfo, PluginModuleRef, SettingsProblem, StartArguments};

/// A plugin's module behind a proxy inside this process: `isolation = "loopback"`.
///
/// Has the functions of a [`PluginModule`](crate::abi::PluginModule), with the same meaning. Each call of one of them makes
/// a stream of its own; a started instance keeps its stream until it is stopped.
#[derive(Clone, Copy)]
pub struct Loopback {
    module: PluginModuleRef,
}

impl Loopback {
    /// Puts `module` behind a proxy.
    #[must_use]
    pub const fn new(module: PluginModuleRef) -> Self {
        Self { module }
    }

    /// What the plugin is. Empty strings when it panics, or when the system has no descriptors or threads left.
    #[must_use]
    pub fn describe(&self) -> PluginInfo {
        self.serve()
            .and_then(|(stream, _sockets)| near::describe(stream, Limits::DEFAULT))
            .unwrap_or_default()
    }

    /// Every problem of `settings`, a JSON object; none when it would do. Blocks while the plugin looks. When it cannot be
    /// asked, the reason is answered as one problem at the root.
    #[must_use]
    pub fn check_settings(&self, settings: &str) -> Vec<SettingsProblem> {
        self.serve()
            .and_then(|(stream, _sockets)| near::check_settings(stream, Limits::DEFAULT, settings))
            .unwrap_or_else(|error| vec![SettingsProblem { pointer: "".into(), message: error.message }])
    }

    /// Starts an instance for `host`. Blocks until the plugin has started.
    ///
    /// # Errors
    ///
    /// With the plugin's reason when it does not start, or with the proxy's own (`plugin.proxy.*`) when the system has no
    /// descriptors or threads left.
    pub fn start(&self, host: HostRef, arguments: StartArguments) -> Result<Instance, ApiError> {
        let (stream, sockets) = self.serve()?;
        near::start(stream, &sockets, Limits::DEFAULT, host, arguments)
    }

    /// Serves the module on a new stream, and gives the near end of it.
    fn serve(&self) -> Result<(UnixStream, Arc<Sockets>), ApiError> {
        let failed = |error: std::io::Error| {
            ApiError::new(
                503,
                "plugin.proxy.stream",
                format!("the proxy's stream could not be made: {error}"),
            )
        };
        let (near, far) = UnixStream::pair().map_err(failed)?;
        let sockets = Arc::new(Sockets::default());
        far::serve(self.module, far, Arc::clone(&sockets), Limits::DEFAULT).map_err(failed)?;
        Ok((near, sockets))
    }
}
