//! Carries out what the machine decides, and tells it what happens.
//!
//! One thread owns everything: the declaration in force, the machine, the bound sockets and the running generations. Calls
//! into plugins that may block run on threads of their own and report back as messages, so a plugin that never comes
//! back costs its thread and nobody's patience.

mod carry;
mod check;
mod desired;
mod status;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kuzzle_api::Api;
use kuzzle_plugin_api::abi::Blob;
use tokio::runtime::Handle;

use super::declaration::{ConfigErrors, Declaration, Declarations};
use super::library::{Libraries, Library, SearchPath};
use super::machine::{Event, Machine, Refusal, STOP_GRACE, State, Step, Time};
use super::serving::InstanceMetrics;
use crate::messaging::Messaging;
use carry::{Generation, Listening};
pub use status::Status;
use status::{Entry, Snapshot};
use watch::Watch;

/// Longest pause of the manager's thread when nothing is due.
const IDLE: Duration = Duration::from_secs(3600);
/// How much longer than plugins may take to stop the manager itself may take.
const GIVE_UP: Duration = Duration::from_secs(1);
/// How long a folder must have been quiet before its files are looked at: an editor may take several steps to save.
const QUIET: Duration = Duration::from_millis(30);
/// How long quiet is waited for at most.
const QUIET_MAX: Duration = Duration::from_millis(300);

/// What the manager needs from the rest of the host.
#[derive(Clone)]
pub struct Options {
    /// Answers requests.
    pub api: Api,
    /// What carries messages.
    pub messaging: Messaging,
    /// Where answers that take time are waited for.
    pub runtime: Handle,
    /// Whether to listen where other machines reach although everyone may do everything.
    pub open_network: bool,
}

/// A declaration that was read, and the means to load what it declares. Nothing of it runs yet.
pub struct Plan {
    declarations: Declarations,
    libraries: Arc<Libraries>,
    file: PathBuf,
}

impl Plan {
    /// Reads `file`. One that is missing declares nothing if it `may_be_missing`. Plugins are looked for beside the
    /// executable and then in `plugin_dirs`; private copies of them go below `state`.
    ///
    /// # Errors
    ///
    /// With everything that is wrong with the file.
    pub fn read(
        file: &Path,
        may_be_missing: bool,
        plugin_dirs: &[PathBuf],
        state: &Path,
    ) -> Result<Self, ConfigErrors> {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let declarations = if may_be_missing && !file.exists() {
            Declarations::parse(&file, "".into())?
        } else {
            Declarations::read(&file)?
        };
        let libraries = Arc::new(Libraries::new(SearchPath::new(plugin_dirs), state));
        Ok(Self { declarations, libraries, file })
    }

    /// Loads the plugins that are to run and has them check their settings. A plugin that cannot be loaded is no
    /// problem of the file: it will fail by itself. Blocks while plugins load.
    ///
    /// # Errors
    ///
    /// With every problem that a plugin has with its settings.
    pub fn check(&self) -> Result<(), ConfigErrors> {
        let problems = check::settings(&self.declarations, &self.libraries, |instance| instance.enabled);
        if problems.is_empty() { Ok(()) } else { Err(self.declarations.errors(problems)) }
    }

    /// The declaration.
    pub(crate) fn declarations(&self) -> &Declarations {
        &self.declarations
    }

    /// The libraries.
    pub(crate) fn libraries(&self) -> &Arc<Libraries> {
        &self.libraries
    }

    /// Every problem that plugins have with settings, also of instances that are not to run. Loads all of them.
    pub(crate) fn check_all(&self) -> Result<(), ConfigErrors> {
        let problems = check::settings(&self.declarations, &self.libraries, |_| true);
        if problems.is_empty() { Ok(()) } else { Err(self.declarations.errors(problems)) }
    }
}

/// The running manager.
pub struct Plugins {
    sender: Sender<Message>,
    status: Status,
    thread: Option<JoinHandle<()>>,
}

impl Plugins {
    /// Starts what `plan` declares, and from then on whatever its file declares whenever it is saved. `status` is kept up
    /// to date.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub fn start(plan: Plan, options: Options, status: Status) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let told = sender.clone();
        let watch = Watch::new(move || drop(told.send(Message::Changed)));
        let manager = Manager {
            options,
            libraries: plan.libraries,
            file: plan.file,
            declarations: plan.declarations,
            sender: sender.clone(),
            status: status.clone(),
            started: Instant::now(),
            machine: Machine::default(),
            watch,
            is_checking: false,
            is_closing: false,
            look_again: None,
            attempts: HashMap::new(),
            listening: BTreeMap::new(),
            generations: BTreeMap::new(),
            metrics: BTreeMap::new(),
            manifests: BTreeMap::new(),
            lost_threads: BTreeMap::new(),
            logged: BTreeMap::new(),
            next_listener: 1,
        };
        let thread =
            std::thread::Builder::new().name("plugin-manager".to_owned()).spawn(|| manager.run(receiver))?;
        Ok(Self { sender, status, thread: Some(thread) })
    }

    /// Reads the file again, and tries at once what failed.
    pub fn reload(&self) {
        self.send(Message::Reload);
    }

    /// Returns once every instance is as declared or has failed at it.
    pub async fn settled(&self) {
        const LOOK: Duration = Duration::from_millis(1);
        while !self.status.is_settled() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Puts a notification out for those connections that belong to a plugin, by the host's numbers of them; `payload` is
    /// shared by all. Returns how many of them were found.
    pub fn notify(&self, connections: &[u64], channel: &str, payload: &Blob) -> usize {
        let snapshot = self.status.snapshot();
        let generations = snapshot.instances.iter().flat_map(|instance| &instance.requests);
        generations.map(|requests| requests.notify(connections, channel, payload)).sum()
    }

    /// Stops every plugin, within `deadline`. Blocks for that time at most, and a moment for what is to be given up.
    pub fn stop(mut self, deadline: Duration) {
        const LOOK: Duration = Duration::from_millis(5);
        self.send(Message::Close { deadline });
        let Some(thread) = self.thread.take() else { return };
        let until = Instant::now() + deadline + STOP_GRACE + GIVE_UP;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        if !thread.is_finished() {
            tracing::error!("the plugin manager did not end; what its plugins still do is cut");
        } else if thread.join().is_err() {
            tracing::error!("the plugin manager panicked");
        }
    }

    fn send(&self, message: Message) {
        if self.sender.send(message).is_err() {
            tracing::error!("the plugin manager has ended");
        }
    }
}

/// What the manager's thread is told.
enum Message {
    /// Something changed in a watched folder.
    Changed,
    /// Somebody asks to read everything again.
    Reload,
    /// Plugins have looked at the settings of a new declaration.
    Checked { declarations: Box<Declarations>, result: Result<(), ConfigErrors>, insist: bool },
    /// A plugin was loaded and checked, or not.
    Prepared { instance: String, generation: u64, result: Result<Arc<Library>, Refusal> },
    /// A generation came up.
    Up { instance: String, generation: u64, running: Box<Generation> },
    /// Something that the machine wants to know.
    Event(Event),
    /// A generation has ended.
    Down { instance: String, generation: u64, is_clean: bool },
    /// A plugin cannot accept from a listener any more.
    Lost { id: u64, reason: String },
    /// Everything is to stop.
    Close { deadline: Duration },
}

/// A generation being made.
struct Attempt {
    declaration: Arc<Declaration>,
    library: Option<Arc<Library>>,
}

struct Manager {
    options: Options,
    libraries: Arc<Libraries>,
    file: PathBuf,
    declarations: Declarations,
    sender: Sender<Message>,
    status: Status,
    started: Instant,
    machine: Machine,
    watch: Watch,
    is_checking: bool,
    /// Whether everything is to stop.
    is_closing: bool,
    /// Set when the file was saved again while plugins looked at it; whether somebody insists.
    look_again: Option<bool>,
    attempts: HashMap<(String, u64), Attempt>,
    /// Bound sockets by instance and key.
    listening: BTreeMap<(String, String), Listening>,
    generations: BTreeMap<(String, u64), Generation>,
    metrics: BTreeMap<String, Arc<InstanceMetrics>>,
    manifests: BTreeMap<String, Arc<Library>>,
    lost_threads: BTreeMap<String, u32>,
    /// What was last written to the log about each instance.
    logged: BTreeMap<String, String>,
    next_listener: u64,
}

impl Manager {
    fn run(mut self, receiver: Receiver<Message>) {
        let declarations = self.declarations.clone();
        self.adopt(declarations, false);
        // It may have been saved since it was read.
        self.look(false);
        self.libraries.tidy();
        loop {
            self.advance();
            if self.is_closing && self.machine.is_idle() {
                return;
            }
            let pause = self.machine.next_wakeup().map_or(IDLE, |at| at.saturating_sub(self.now()));
            match receiver.recv_timeout(pause) {
                Ok(Message::Changed) => {
                    for message in settle(&receiver) {
                        self.take(message);
                    }
                    self.look(false);
                }
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                // It holds a sender itself.
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Changed => self.look(false),
            Message::Reload => self.look(true),
            Message::Checked { declarations, result, insist } => self.checked(*declarations, result, insist),
            Message::Prepared { instance, generation, result } => {
                let key = (instance.clone(), generation);
                let result = result.map(|library| {
                    self.manifests.insert(instance.clone(), Arc::clone(&library));
                    if let Some(attempt) = self.attempts.get_mut(&key) {
                        attempt.library = Some(library);
                    }
                });
                self.handle(Event::Prepared { instance, generation, result });
            }
            Message::Up { instance, generation, running } => {
                self.generations.insert((instance.clone(), generation), *running);
                self.redeclare(&instance);
                self.handle(Event::Started { instance, generation, result: Ok(()) });
            }
            Message::Event(event) => self.handle(event),
            Message::Down { instance, generation, is_clean } => {
                if !is_clean {
                    tracing::warn!(instance, generation, "protocol did not stop cleanly");
                }
                self.generations.remove(&(instance.clone(), generation));
                self.handle(Event::Stopped { instance, generation });
            }
            Message::Lost { id, reason } => {
                let found = self.listening.iter().find(|(_, listening)| listening.id == id);
                if let Some(((instance, listener), _)) = found {
                    let (instance, listener) = (instance.clone(), listener.clone());
                    self.handle(Event::Lost { instance, listener, reason });
                }
            }
            Message::Close { deadline } => {
                self.is_closing = true;
                let until = self.now() + deadline;
                self.machine.close(until);
            }
        }
    }

    fn now(&self) -> Time {
        self.started.elapsed()
    }

    fn handle(&mut self, event: Event) {
        let steps = self.machine.handle(event, self.now());
        self.carry_all(steps);
    }

    /// Does everything that is due, and tells the world.
    fn advance(&mut self) {
        let steps = self.machine.poll(self.now());
        self.carry_all(steps);
        self.report();
    }

    fn carry_all(&mut self, steps: Vec<Step>) {
        let mut waiting: VecDeque<Step> = steps.into();
        while let Some(step) = waiting.pop_front() {
            if let Some(event) = self.carry(step) {
                waiting.extend(self.machine.handle(event, self.now()));
            }
            if waiting.is_empty() {
                waiting.extend(self.machine.poll(self.now()));
            }
        }
    }

    /// Looks at the file, and has the plugins look at what is new in it.
    fn look(&mut self, insist: bool) {
        if self.is_checking {
            self.look_again = Some(insist || self.look_again.unwrap_or(false));
            return;
        }
        if !insist && !self.file.exists() && self.declarations.text().is_empty() {
            return;
        }
        let declarations = match Declarations::read(&self.file) {
            Ok(declarations) => declarations,
            Err(errors) => return refuse(&errors),
        };
        if declarations.text() == self.declarations.text() {
            // Files that it names may be others now; their settings are checked as part of the attempt.
            let declarations = self.declarations.clone();
            return self.adopt(declarations, insist);
        }
        self.is_checking = true;
        let (libraries, sender) = (Arc::clone(&self.libraries), self.sender.clone());
        let check = move || {
            let problems = check::settings(&declarations, &libraries, |instance| instance.enabled);
            let result = if problems.is_empty() { Ok(()) } else { Err(declarations.errors(problems)) };
            let declarations = Box::new(declarations);
            // The manager ends before its checks only when the process does.
            let _ = sender.send(Message::Checked { declarations, result, insist });
        };
        if let Err(error) = std::thread::Builder::new().name("plugin-check".to_owned()).spawn(check) {
            self.is_checking = false;
            tracing::error!(%error, "plugins file not applied: no thread to check it");
        }
    }

    fn checked(&mut self, declarations: Declarations, result: Result<(), ConfigErrors>, insist: bool) {
        self.is_checking = false;
        match result {
            Ok(()) => {
                tracing::info!(file = %self.file.display(), "plugins file applied");
                self.adopt(declarations, insist);
            }
            Err(errors) => refuse(&errors),
        }
        if let Some(insist) = self.look_again.take() {
            self.look(insist);
        }
    }

    /// Makes a declaration the one in force.
    fn adopt(&mut self, declarations: Declarations, insist: bool) {
        self.declarations = declarations;
        let named = self.declarations.instances.iter().flat_map(|it| desired::folders(it, &self.libraries));
        let folders: BTreeSet<PathBuf> = named.chain(desired::folder_of(&self.file)).collect();
        // Before the files are looked at, so that no change falls in between.
        self.watch.set(folders);
        let desired = |it: &Declaration| (it.name.clone(), desired::desired(it, &self.libraries));
        let wanted = self.declarations.instances.iter().map(desired).collect();
        let now = self.now();
        self.machine.declare(wanted, insist, now);
    }

    /// The declaration of an instance that is to be made now.
    fn declaration(&self, instance: &str) -> Option<Arc<Declaration>> {
        self.declarations.instances.iter().find(|it| it.name == instance).cloned().map(Arc::new)
    }

    /// Publishes what is known, and logs what has changed.
    fn report(&mut self) {
        let names: Vec<String> = self.machine.names().map(str::to_owned).collect();
        let mut instances = Vec::with_capacity(names.len());
        for name in names {
            let Some(report) = self.machine.report(&name) else { continue };
            let of_this = |(instance, _): &(String, u64)| *instance == name;
            let generations: Vec<&Generation> =
                self.generations.iter().filter(|(key, _)| of_this(key)).map(|(_, it)| it).collect();
            let serving = report.serving.and_then(|it| self.generations.get(&(name.clone(), it)));
            let library =
                serving.map(|it| Arc::clone(&it.library)).or_else(|| self.manifests.get(&name).cloned());
            let addresses = report
                .listeners
                .iter()
                .filter_map(|key| self.listening.get(&(name.clone(), key.clone())).map(Listening::to_string));
            let retry_at = match &report.state {
                State::Failed { retry_at: Some(at), .. } => Some(self.started + *at),
                _ => None,
            };
            let entry = Entry {
                is_enabled: self.declarations.instances.iter().any(|it| it.name == name && it.enabled),
                retry_at,
                library,
                listen: addresses.collect(),
                metrics: self.metrics.get(&name).cloned().unwrap_or_default(),
                requests: generations.iter().map(|it| Arc::clone(&it.requests)).collect(),
                brokers: generations.iter().map(|it| Arc::clone(&it.broker)).collect(),
                serving: serving.and_then(|it| it.instance.as_ref()).map(Arc::downgrade),
                lost_threads: self.lost_threads.get(&name).copied().unwrap_or_default(),
                report,
                name,
            };
            self.log(&entry);
            instances.push(entry);
        }
        self.logged.retain(|name, _| instances.iter().any(|entry| entry.name == *name));
        self.status.publish(Snapshot {
            instances,
            file: self.file.display().to_string(),
            loaded_builds: self.libraries.loaded_builds(),
            is_settled: self.machine.is_settled(),
        });
    }

    fn log(&mut self, entry: &Entry) {
        let instance = entry.name.as_str();
        let line = match &entry.report.state {
            State::Failed { reason, .. } => format!("failed: {reason}"),
            State::Running => format!("running {:?} {:?}", entry.report.serving, entry.listen),
            State::Draining => "draining".to_owned(),
            State::Stopped => "stopped".to_owned(),
            // Passed through in a moment.
            State::Absent | State::Loaded | State::Starting => return,
        };
        if self.logged.get(instance) == Some(&line) {
            return;
        }
        let is_new = self.logged.insert(entry.name.clone(), line).is_none();
        match &entry.report.state {
            State::Failed { reason, retry_at } => {
                let retry_secs = retry_at.map(|at| at.saturating_sub(self.started.elapsed()).as_secs());
                match retry_secs {
                    Some(retry_secs) => tracing::error!(instance, %reason, retry_secs, "protocol failed"),
                    None => tracing::error!(instance, %reason, "protocol failed"),
                }
            }
            State::Running => {
                let generation = entry.report.serving.unwrap_or_default();
                for address in &entry.listen {
                    tracing::info!(instance, generation, %address, "listening");
                }
                if entry.listen.is_empty() {
                    tracing::info!(instance, generation, "protocol running without a listener");
                }
            }
            State::Draining => tracing::info!(instance, "protocol stopping"),
            _ if is_new => tracing::info!(instance, "protocol disabled"),
            _ => tracing::info!(instance, "protocol stopped"),
        }
    }
}

/// Waits until changes stop coming, and gives what else came meanwhile.
fn settle(receiver: &Receiver<Message>) -> Vec<Message> {
    let until = Instant::now() + QUIET_MAX;
    let mut others = Vec::new();
    while Instant::now() < until {
        match receiver.recv_timeout(QUIET) {
            Ok(Message::Changed) => {}
            // Whoever stops or answers does not wait for a quiet folder.
            Ok(message) => {
                others.push(message);
                break;
            }
            Err(_) => break,
        }
    }
    others
}

/// Says everything that is wrong with a file that is not applied.
fn refuse(errors: &ConfigErrors) {
    for problem in errors.lines() {
        tracing::error!(%problem, "plugins file not applied, what runs goes on");
    }
}
