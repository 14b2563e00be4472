//! One server from start to stop.

mod data;
mod facts;
mod memory;

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use kuzzle_api::{Api, Limits};
use kuzzle_broker::{Limits as BrokerLimits, Options as BrokerOptions};
use kuzzle_documents::{Documents, Options as StoreOptions, SyncPolicy};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::backup::{self, Backups};
use crate::config::{Config, SyncChoice};
use crate::listen::{bind, check_exposure};
use crate::messaging::Messaging;
use crate::plugins::{Options as PluginOptions, Plan, Plugins, Status, give_back_memory};
use crate::rest::{self, Rest};
pub use data::{Surroundings, data_dir};
use facts::HostFacts;

/// How long after a signal another one is taken for the same wish.
const SAME_WISH: Duration = Duration::from_secs(1);

/// Version of the product.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What ended a server that should have run.
#[derive(Debug)]
pub enum Failure {
    /// What it was told to do is wrong: nothing was started.
    Configuration(String),
    /// The machine or its files do not allow it.
    Environment(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(text) | Self::Environment(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Failure {}

/// Runs a server until it is told to stop by SIGTERM or SIGINT. SIGHUP reads `plugins.toml` again.
///
/// `data` is the folder of everything that is kept. `is_plugins_file_asked_for` tells whether the plugins file was named
/// by somebody: one that was not may be missing.
///
/// # Errors
///
/// When it cannot start.
pub fn run(config: &Config, data: &Path, is_plugins_file_asked_for: bool) -> Result<(), Failure> {
    let started = Instant::now();
    tracing::info!(version = VERSION, data = %data.display(), "kuzzle-host starts");
    for address in &config.rest_listen {
        check_exposure(*address, config.security_open_network)
            .map_err(|error| Failure::Configuration(format!("error: REST on {address} is {error}")))?;
    }
    if backup::is_interrupted(data) {
        return Err(Failure::Environment(format!(
            "error: `{}` holds a restore that was cut off; run `kuzzle-host restore` again",
            data.display()
        )));
    }
    let tls = tls(config)?;
    let plan = Plan::read(&config.plugins_file, !is_plugins_file_asked_for, &config.plugins_dirs.0, data)
        .map_err(|errors| Failure::Configuration(format!("{errors}; nothing was started")))?;
    // The disk and the plugins are waited for at the same time.
    let (documents, checked) = std::thread::scope(|scope| {
        let checked = scope.spawn(|| plan.check());
        let documents = Documents::open(&data.join(backup::DOCUMENTS), store_options(config));
        (documents, checked.join())
    });
    match checked {
        Ok(Ok(())) => {}
        Ok(Err(errors)) => {
            return Err(Failure::Configuration(format!("{errors}; nothing was started")));
        }
        Err(_) => return Err(Failure::Environment("error: checking the plugins' settings panicked".into())),
    }
    let documents = documents.map_err(|error| Failure::Environment(format!("error: {error}")))?;
    let messaging = Messaging::open(&data.join(backup::BROKER), broker_options(config))
        .map_err(|reason| Failure::Environment(format!("error: {reason}")))?;
    let listeners = rest_listeners(&config.rest_listen)?;
    let runtime = runtime(config)?;
    let status = Status::default();
    let backups = Backups::new(data, documents.clone(), messaging.broker().clone());
    let facts =
        Arc::new(HostFacts::new(started, status.clone(), config.plugins_file.clone(), backups.clone()));
    let api = Api::new(documents.clone(), messaging.broker().clone(), limits(config), facts);
    let result = runtime.block_on(async {
        let rest = Rest::start(listeners, api.clone(), rest_options(config, tls))
            .map_err(|error| Failure::Environment(format!("error: {error}")))?;
        for address in rest.addresses() {
            tracing::info!(protocol = "rest", %address, "listening");
        }
        messaging.serve(api.clone(), tokio::runtime::Handle::current());
        let options = PluginOptions {
            api,
            messaging: messaging.clone(),
            runtime: tokio::runtime::Handle::current(),
            open_network: config.security_open_network,
        };
        let plugins = Plugins::start(plan, options, status)
            .map_err(|error| Failure::Environment(format!("error: no thread for the plugins: {error}")))?;
        serve(rest, plugins, started, config.stop_deadline.0).await
    });
    // Blocking work of a connection that was cut is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    backups.close();
    messaging.close();
    documents.close();
    if result.is_ok() {
        tracing::info!("stopped");
    }
    result
}

async fn serve(rest: Rest, plugins: Plugins, started: Instant, deadline: Duration) -> Result<(), Failure> {
    let catch = |kind: SignalKind| -> Result<Signal, Failure> {
        signal(kind).map_err(|error| Failure::Environment(format!("error: cannot take signals: {error}")))
    };
    let mut terminate = catch(SignalKind::terminate())?;
    let mut interrupt = catch(SignalKind::interrupt())?;
    let mut hang_up = catch(SignalKind::hangup())?;
    let mut is_ready = false;
    let mut give_back = std::pin::pin!(memory::give_back_when_quiet());
    loop {
        tokio::select! {
            () = plugins.settled(), if !is_ready => {
                is_ready = true;
                tracing::info!(ms = started.elapsed().as_millis() as u64, "ready");
                let _not_waited_for = tokio::task::spawn_blocking(give_back_memory);
            }
            never = &mut give_back => match never {},
            _ = hang_up.recv() => plugins.reload(),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tracing::info!(deadline_secs = deadline.as_secs(), "stopping; a second signal ends at once");
    let stop = async {
        let protocols = tokio::task::spawn_blocking(move || plugins.stop(deadline));
        let (cut, protocols) = tokio::join!(rest.stop(deadline), protocols);
        if cut > 0 {
            tracing::warn!(cut, "connections of REST were cut");
        }
        if protocols.is_err() {
            tracing::error!("stopping the plugins panicked");
        }
    };
    let insisted = async {
        // A supervisor may signal both the process and its group: that is one wish.
        tokio::time::sleep(SAME_WISH).await;
        while let Some(Some(())) = terminate.recv().now_or_never() {}
        while let Some(Some(())) = interrupt.recv().now_or_never() {}
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::select! {
        () = stop => {}
        () = insisted => tracing::warn!("ends at once"),
    }
    Ok(())
}

fn runtime(config: &Config) -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().thread_name("kuzzle-worker");
    if let Ok(workers @ 1..) = usize::try_from(config.worker_threads) {
        builder.worker_threads(workers);
    }
    builder.build().map_err(|error| Failure::Environment(format!("error: cannot start threads: {error}")))
}

fn limits(config: &Config) -> Limits {
    let defaults = Limits::default();
    let or_default = |number: u64, default: usize| match usize::try_from(number) {
        Ok(0) => default,
        Ok(number) => number,
        Err(_) => usize::MAX,
    };
    Limits {
        accepted_max: or_default(config.requests_accepted_max, defaults.accepted_max),
        computing_max: or_default(config.requests_computing_max, defaults.computing_max),
        ..defaults
    }
}

fn store_options(config: &Config) -> StoreOptions {
    StoreOptions {
        sync: match config.data_sync {
            SyncChoice::Always => SyncPolicy::Always,
            SyncChoice::Interval => {
                let interval = config.data_sync_interval.0.as_millis();
                SyncPolicy::IntervalMs(u64::try_from(interval).unwrap_or(u64::MAX))
            }
            SyncChoice::Os => SyncPolicy::Os,
        },
        cache_bytes: usize::try_from(config.data_cache.0).unwrap_or(usize::MAX),
        reserve_bytes: config.data_reserve.0,
        ..StoreOptions::default()
    }
}

fn broker_options(config: &Config) -> BrokerOptions {
    let message_bytes = usize::try_from(config.broker_message_max.0).unwrap_or(usize::MAX);
    BrokerOptions {
        limits: BrokerLimits { message_bytes, ..BrokerLimits::default() },
        memory_max_bytes: config.broker_memory_max.0,
        page_out_above_bytes: config.broker_page_out_above.0,
        disk_free_min_bytes: config.broker_disk_free_min.0,
        ..BrokerOptions::default()
    }
}

fn rest_options(config: &Config, tls: Option<Arc<rustls::ServerConfig>>) -> rest::Options {
    rest::Options {
        tls,
        body_max_bytes: usize::try_from(config.rest_body_max_bytes).unwrap_or(usize::MAX),
        connections_max: usize::try_from(config.rest_connections_max).unwrap_or(usize::MAX),
        header_timeout: config.rest_header_timeout.0,
        host_names: config.rest_host_names.0.clone(),
    }
}

fn tls(config: &Config) -> Result<Option<Arc<rustls::ServerConfig>>, Failure> {
    if config.rest_certificate == PathBuf::new() {
        return Ok(None);
    }
    let tls = rest::server_config(&config.rest_certificate, &config.rest_key);
    tls.map(Some).map_err(|error| Failure::Configuration(format!("error: {error}")))
}

/// Binds every address; one of a family that the machine lacks is left out as long as another one is bound.
fn rest_listeners(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, Failure> {
    let mut bound = Vec::new();
    let mut lacking = None;
    for address in addresses {
        match bind(*address) {
            Ok(listener) => bound.push(listener),
            Err(error) if error.is_missing_family() => {
                tracing::warn!(%address, "address of REST left out: this machine has no such family");
                lacking = Some(error);
            }
            Err(error) => return Err(Failure::Environment(format!("error: REST {error}"))),
        }
    }
    match lacking {
        Some(error) if bound.is_empty() => Err(Failure::Environment(format!("error: REST {error}"))),
        _ => Ok(bound),
    }
}
