//! The half beside the plugin: serves a module over a stream.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::far_host::FarHost;
use super::link::{Limits, Link, Receiver};
use super::messages::{Offers, Start, ToHost, ToPlugin};
use super::sockets::Sockets;
use crate::abi::{
    ApiError, Blob, Completion, HostRef, PluginInfo, PluginModuleRef, SettingsProblem, StartArguments,
    StopReport,
};

/// How long an instance whose host is gone may take to stop.
const ORPHAN_STOP_MS: u64 = 5_000;
/// How old what the host knows of a plugin's report may be.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// What may block, and so is done by a thread of its own, one after the other.
enum Job {
    Describe,
    CheckSettings(String),
    Start(Arc<FarHost>, StartArguments),
    Stop(u64),
}

/// Serves `module` on threads of its own until `stream` ends; then the instance, if one runs, is told that its connections
/// are closed, and stopped.
///
/// # Errors
///
/// When the system has no more threads. Nothing stays behind.
pub(super) fn serve(
    module: PluginModuleRef,
    stream: UnixStream,
    sockets: Arc<Sockets>,
    limits: Limits,
) -> io::Result<()> {
    let link = Arc::new(Link::new(stream, limits));
    let (jobs, work) = mpsc::channel();
    let started = spawn_threads(module, &link, sockets, jobs, work);
    if started.is_err() {
        link.cut("the system has no more threads");
    }
    started
}

fn spawn_threads(
    module: PluginModuleRef,
    link: &Arc<Link>,
    sockets: Arc<Sockets>,
    jobs: mpsc::Sender<Job>,
    work: mpsc::Receiver<Job>,
) -> io::Result<()> {
    let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
        thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
    };
    let writer = Arc::clone(link);
    let (hosts, host) = mpsc::channel::<Arc<FarHost>>();
    spawn("proxy-far-write", Box::new(move || write(&writer, &host)))?;
    let worker = Arc::clone(link);
    spawn("proxy-far-work", Box::new(move || Worker { module, link: worker, running: None }.run(&work)))?;
    let reader = Reader { link: Arc::clone(link), sockets, jobs, hosts, host: None };
    spawn("proxy-far-read", Box::new(move || reader.run()))
}

fn write(link: &Link, hosts: &mpsc::Receiver<Arc<FarHost>>) {
    let mut host: Option<Arc<FarHost>> = None;
    let mut reported = Instant::now();
    link.write_until_cut(Some(REPORT_INTERVAL), || {
        if host.is_none() {
            host = hosts.try_recv().ok();
        }
        let Some(host) = &host else { return };
        host.flush_metrics();
        if reported.elapsed() >= REPORT_INTERVAL {
            reported = Instant::now();
            host.send_report();
        }
    });
}

struct Reader {
    link: Arc<Link>,
    sockets: Arc<Sockets>,
    jobs: mpsc::Sender<Job>,
    hosts: mpsc::Sender<Arc<FarHost>>,
    host: Option<Arc<FarHost>>,
}

impl Reader {
    fn run(mut self) {
        let link = Arc::clone(&self.link);
        link.read_until_cut(&mut self);
        if let Some(host) = &self.host {
            host.host_is_gone(&link.reason());
        }
        // Dropping `jobs` lets the worker finish: it stops the instance that still runs.
    }

    fn host(&self) -> Result<&Arc<FarHost>, String> {
        self.host.as_ref().ok_or_else(|| "a message for an instance came before its start".to_owned())
    }

    fn start(&mut self, start: Start) -> Result<Job, String> {
        if self.host.is_some() {
            return Err("a second start came".to_owned());
        }
        let arguments = StartArguments {
            instance: start.instance.clone(),
            generation: start.generation,
            settings: start.settings.clone(),
            options: start.options.clone(),
        };
        let host = FarHost::new(Arc::clone(&self.link), start, &self.sockets);
        // The writer ends only with the link.
        drop(self.hosts.send(Arc::clone(&host)));
        self.host = Some(Arc::clone(&host));
        Ok(Job::Start(host, arguments))
    }

    fn drain(&self, call: u64) -> Result<(), String> {
        let host = self.host()?;
        host.close_listeners();
        let link = Arc::clone(&self.link);
        let done = Completion::to_fn(move |reply| {
            link.push_surely(&ToHost::Drained { call, reply });
        });
        if let Some(instance) = host.instance() {
            instance.drain(done);
        }
        Ok(())
    }
}

impl Receiver<ToPlugin> for Reader {
    fn message(&mut self, message: ToPlugin) -> Result<(), String> {
        let job = match message {
            ToPlugin::Describe {} => Job::Describe,
            ToPlugin::CheckSettings { settings } => Job::CheckSettings(settings.into()),
            ToPlugin::Start { arguments } => self.start(arguments)?,
            ToPlugin::Stop { timeout_ms } => Job::Stop(timeout_ms),
            ToPlugin::Reply { call, reply } => return self.host()?.answered(call, reply),
            ToPlugin::OpenRefused { connection, error } => {
                self.host()?.open_refused(connection, &error);
                return Ok(());
            }
            ToPlugin::Events { events } => {
                self.host()?.add_events(events);
                return Ok(());
            }
            ToPlugin::Broker { news } => {
                let broker =
                    self.host()?.broker().ok_or("news came of a broker that the host does not offer")?;
                broker.heard(news);
                return Ok(());
            }
            ToPlugin::LogLevels { levels } => {
                self.host()?.set_log_levels(levels);
                return Ok(());
            }
            ToPlugin::Drain { call } => return self.drain(call),
        };
        self.jobs.send(job).map_err(|_| "the plugin's thread has ended".to_owned())
    }
}

struct Worker {
    module: PluginModuleRef,
    link: Arc<Link>,
    running: Option<Arc<FarHost>>,
}

impl Worker {
    fn run(mut self, work: &mpsc::Receiver<Job>) {
        for job in work {
            match job {
                Job::Describe => self.send_whole(
                    &ToHost::Described { info: self.module.describe()() },
                    &ToHost::Described { info: PluginInfo::default() },
                ),
                Job::CheckSettings(settings) => {
                    let problems = self.module.check_settings()(settings.as_str().into()).into_vec();
                    let problem = SettingsProblem {
                        pointer: "".into(),
                        message: format!("found {} problems, too many to tell", problems.len()).into(),
                    };
                    self.send_whole(
                        &ToHost::Checked { problems },
                        &ToHost::Checked { problems: vec![problem] },
                    );
                }
                Job::Start(host, arguments) => self.start(host, arguments),
                Job::Stop(timeout_ms) => {
                    let report = self.stop(timeout_ms);
                    self.link.push_surely(&ToHost::Stopped { report });
                }
            }
        }
        self.stop(ORPHAN_STOP_MS);
    }

    /// Sends what the plugin has made, or `instead` when it does not fit into a frame.
    fn send_whole(&self, message: &ToHost, instead: &ToHost) {
        if self.link.push(message).is_err() {
            self.link.push_surely(instead);
        }
    }

    fn start(&mut self, host: Arc<FarHost>, arguments: StartArguments) {
        let started = self.module.start()(HostRef::new(Arc::clone(&host)), arguments);
        let result = started.into_result().map(|instance| {
            let offers = host.started(instance);
            self.running = Some(Arc::clone(&host));
            offers
        });
        host.flush_metrics();
        let instead = result.as_ref().map_or_else(
            |error| {
                let text = "the plugin did not start, and its reason is too long to tell";
                Err(ApiError::new(error.status, "plugin.proxy.too_long", text))
            },
            |offers| Ok(Offers { report: Blob::empty(), ..offers.clone() }),
        );
        self.send_whole(&ToHost::Started { result }, &ToHost::Started { result: instead });
        host.wake_plugin_if_events_wait();
    }

    fn stop(&mut self, timeout_ms: u64) -> StopReport {
        let Some(host) = self.running.take() else { return StopReport::default() };
        host.close_listeners();
        let report = host.instance().map_or_else(StopReport::default, |instance| instance.stop(timeout_ms));
        host.flush_metrics();
        host.release();
        report
    }
}
