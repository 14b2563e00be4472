//! Doing what the machine decided.

use std::fmt;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use kuzzle_api::Defaults;
use kuzzle_plugin_api::abi::{BrokerClient, Completion, HostRef, Instance, RequestsClient, StartArguments};
use kuzzle_plugin_api::proxy::Loopback;
use serde_json::json;

use super::super::declaration::{Declaration, Isolation, Listen, Scheme};
use super::super::library::Library;
use super::super::machine::{Call, Event, Refusal, Step};
use super::super::serving::{
    BrokerOptions, GenerationBroker, GenerationListeners, GenerationRequests, InstanceHost, Offered,
    PluginLog, RequestsOptions,
};
use super::{Attempt, Manager, Message, check};
use crate::listen::{bind, check_exposure};
use crate::messaging::Asker;

/// Status of a drain that came to its end.
const DRAINED: u32 = 200;

/// A bound socket.
pub(super) struct Listening {
    /// Names it for the life of the host.
    pub(super) id: u64,
    pub(super) address: SocketAddr,
    pub(super) declared: Listen,
    pub(super) socket: Arc<TcpListener>,
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.declared.scheme, &self.declared.tls) {
            (Scheme::Tcp, None) => "",
            (Scheme::Tcp, Some(_)) => "tls://",
            (Scheme::Ws, None) => "ws://",
            (Scheme::Ws, Some(_)) => "wss://",
        };
        write!(f, "{scheme}{}{}", self.address, self.declared.paths.join(","))
    }
}

/// A generation that runs.
pub(super) struct Generation {
    /// None once it was told to stop: it ends on the thread that does so.
    pub(super) instance: Option<Arc<Instance>>,
    pub(super) requests: Arc<GenerationRequests>,
    pub(super) broker: Arc<GenerationBroker>,
    pub(super) library: Arc<Library>,
}

impl Manager {
    /// Begins one step. What is known at once is returned as an event; the rest arrives as a message.
    pub(super) fn carry(&mut self, step: Step) -> Option<Event> {
        match step {
            Step::Prepare { instance, generation } => self.prepare(instance, generation),
            Step::Bind { instance, generation, listeners } => {
                let result = self.bind_all(&instance, generation, &listeners);
                Some(Event::Bound { instance, generation, result })
            }
            Step::Start { instance, generation, listeners } => self.start(instance, generation, &listeners),
            Step::Close { instance, listeners } => {
                for listener in listeners {
                    self.close(&instance, listener);
                }
                None
            }
            Step::Drain { instance, generation } => {
                self.drain(instance, generation);
                None
            }
            Step::Stop { instance, generation, timeout } => self.stop(instance, generation, timeout),
            Step::Abandon { instance, generation, call } => {
                self.abandon(&instance, generation, call);
                None
            }
        }
    }

    fn prepare(&mut self, instance: String, generation: u64) -> Option<Event> {
        let Some(declaration) = self.declaration(&instance) else {
            let result = Err(Refusal::passing("its table is gone"));
            return Some(Event::Prepared { instance, generation, result });
        };
        let attempt = Attempt { declaration: Arc::clone(&declaration), library: None };
        // At most one attempt of an instance is under way.
        self.attempts.retain(|(other, _), _| *other != instance);
        self.attempts.insert((instance.clone(), generation), attempt);
        let (libraries, sender, name) = (Arc::clone(&self.libraries), self.sender.clone(), instance.clone());
        let prepare = move || {
            let result = libraries.load(&declaration.source).map_err(Refusal::passing).and_then(|library| {
                let problems = check::of_one(&library, &declaration);
                let line = |it: &kuzzle_plugin_api::abi::SettingsProblem| match it.pointer.as_str() {
                    "" => it.message.to_string(),
                    pointer => format!("{} (at {pointer})", it.message),
                };
                let problems: Vec<String> = problems.iter().map(line).collect();
                if problems.is_empty() {
                    Ok(library)
                } else {
                    Err(Refusal::passing(one_line(&problems.join("; "))))
                }
            });
            let _ = sender.send(Message::Prepared { instance: name, generation, result });
        };
        let refused = spawn("plugin-load", prepare)?;
        Some(Event::Prepared { instance, generation, result: Err(refused) })
    }

    fn bind_all(
        &mut self,
        instance: &str,
        generation: u64,
        listeners: &[String],
    ) -> Result<Vec<String>, Refusal> {
        let Some(attempt) = self.attempts.get(&(instance.to_owned(), generation)) else {
            return Err(Refusal::passing("its table is gone"));
        };
        let declaration = Arc::clone(&attempt.declaration);
        let declared = declaration.listeners();
        let mut bound: Vec<(String, Listening)> = Vec::new();
        let mut lacking = None;
        for (key, listen) in declared.iter().filter(|(key, _)| listeners.contains(key)) {
            if let Err(error) = check_exposure(listen.address, self.options.open_network) {
                return Err(Refusal::passing(format!("{} is {error}", listen.address)));
            }
            match bind(listen.address) {
                Ok(socket) => {
                    let address = socket.local_addr().unwrap_or(listen.address);
                    let declared = (*listen).clone();
                    let id = self.next_listener;
                    self.next_listener += 1;
                    bound.push((key.clone(), Listening { id, address, declared, socket: Arc::new(socket) }));
                }
                Err(error) if error.is_missing_family() => {
                    let address = listen.address;
                    tracing::warn!(instance, %address, "address left out: this machine has no such family");
                    lacking = Some(error);
                }
                Err(error) => return Err(Refusal::passing(error.to_string())),
            }
        }
        let has_another = self.listening.keys().any(|(owner, _)| owner == instance);
        if let Some(error) = lacking.filter(|_| bound.is_empty() && !has_another) {
            return Err(Refusal::passing(error.to_string()));
        }
        let keys = bound.iter().map(|(key, _)| key.clone()).collect();
        self.listening
            .extend(bound.into_iter().map(|(key, listening)| ((instance.to_owned(), key), listening)));
        Ok(keys)
    }

    fn start(&mut self, instance: String, generation: u64, listeners: &[String]) -> Option<Event> {
        let attempt = self.attempts.remove(&(instance.clone(), generation));
        let Some(Attempt { declaration, library: Some(library) }) = attempt else {
            let result = Err(Refusal::passing("its plugin was not loaded"));
            return Some(Event::Started { instance, generation, result });
        };
        let label: Arc<str> = Arc::from(library.manifest.label.as_str());
        let defaults = Defaults { index: declaration.defaults.index.as_deref().map(Arc::from) };
        let messaging = self.options.messaging.clone();
        messaging.register(&instance, Asker { label: Arc::clone(&label), defaults: defaults.clone() });
        let broker = Arc::new(GenerationBroker::new(BrokerOptions {
            messaging,
            instance: Arc::from(instance.as_str()),
            max_connections: declaration.max_connections,
        }));
        let requests = Arc::new(GenerationRequests::new(RequestsOptions {
            api: self.options.api.clone(),
            runtime: self.options.runtime.clone(),
            instance: Arc::from(instance.as_str()),
            label,
            defaults,
            max_connections: declaration.max_connections,
        }));
        let host = InstanceHost {
            requests: Arc::clone(&requests),
            broker: Arc::clone(&broker),
            listeners: Arc::new(self.offer(&instance, &declaration, listeners)),
            metrics: Arc::clone(self.metrics.entry(instance.clone()).or_default()),
            log: Arc::new(PluginLog::new(Arc::from(instance.as_str()))),
        };
        let arguments = StartArguments {
            instance: instance.as_str().into(),
            generation,
            settings: serde_json::Value::Object(declaration.settings.clone()).to_string().into(),
            options: json!({
                "max_connections": declaration.max_connections,
                "idle_timeout_secs": declaration.idle_timeout_secs,
                "worker_threads": declaration.worker_threads,
            })
            .to_string()
            .into(),
        };
        let (sender, name, isolation) = (self.sender.clone(), instance.clone(), declaration.isolation);
        let start = move || {
            let module = library.module;
            let host = HostRef::new(Arc::new(host));
            let result = match isolation {
                Isolation::None => (module.start())(host, arguments).into_result(),
                Isolation::Loopback => Loopback::new(module).start(host, arguments),
            };
            let message = match result {
                Ok(running) => {
                    if let Some(client) = running.service::<RequestsClient>() {
                        requests.set_client(client);
                    }
                    if let Some(client) = running.service::<BrokerClient>() {
                        broker.set_client(client);
                    }
                    let running =
                        Box::new(Generation { instance: Some(Arc::new(running)), requests, broker, library });
                    Message::Up { instance: name, generation, running }
                }
                Err(error) => {
                    requests.end();
                    broker.end();
                    let result = Err(Refusal::passing(one_line(&error.message)));
                    Message::Event(Event::Started { instance: name, generation, result })
                }
            };
            let _ = sender.send(message);
        };
        let refused = spawn("plugin-start", start)?;
        Some(Event::Started { instance, generation, result: Err(refused) })
    }

    fn offer(&self, instance: &str, declaration: &Declaration, listeners: &[String]) -> GenerationListeners {
        let offered = declaration.listeners().into_iter().filter_map(|(key, declared)| {
            let listening = self.listening.get(&(instance.to_owned(), key.clone()))?;
            listeners.contains(&key).then(|| Offered {
                id: listening.id,
                address: listening.address,
                // The socket may be older than what its table says of it now.
                declared: declared.clone(),
                socket: Arc::downgrade(&listening.socket),
            })
        });
        let sender = self.sender.clone();
        let lost = move |id, reason| drop(sender.send(Message::Lost { id, reason }));
        GenerationListeners::new(offered.collect(), lost)
    }

    /// Takes down how the sockets of an instance are spoken to now that a new generation has them.
    pub(super) fn redeclare(&mut self, instance: &str) {
        let Some(declaration) = self.declaration(instance) else { return };
        for (key, declared) in declaration.listeners() {
            if let Some(listening) = self.listening.get_mut(&(instance.to_owned(), key)) {
                listening.declared = declared.clone();
            }
        }
    }

    fn close(&mut self, instance: &str, listener: String) {
        let Some(listening) = self.listening.remove(&(instance.to_owned(), listener)) else { return };
        // A plugin that leaks its duplicate would go on accepting otherwise.
        if let Err(error) = socket2::SockRef::from(&*listening.socket).shutdown(Shutdown::Both) {
            tracing::warn!(instance, address = %listening.address, %error, "listener could not be shut down");
        }
    }

    fn drain(&self, instance: String, generation: u64) {
        let found = self.generations.get(&(instance.clone(), generation));
        let Some(running) = found.and_then(|found| found.instance.clone()) else { return };
        let sender = self.sender.clone();
        let drain = move || {
            running.drain(Completion::to_fn(move |reply| {
                // One that cannot tell is stopped when its time is up.
                if reply.status == DRAINED {
                    let _ = sender.send(Message::Event(Event::Drained { instance, generation }));
                }
            }));
        };
        if let Some(refused) = spawn("plugin-drain", drain) {
            tracing::warn!(reason = refused.reason, "protocol was not told to drain");
        }
    }

    fn stop(&mut self, instance: String, generation: u64, timeout: Duration) -> Option<Event> {
        let found = self.generations.get_mut(&(instance.clone(), generation));
        let Some((running, requests, broker)) = found.and_then(|found| {
            Some((found.instance.take()?, Arc::clone(&found.requests), Arc::clone(&found.broker)))
        }) else {
            return Some(Event::Stopped { instance, generation });
        };
        let (sender, name) = (self.sender.clone(), instance.clone());
        let stop = move || {
            requests.refuse_new();
            broker.refuse_new();
            let report = running.stop(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
            requests.end();
            broker.end();
            let is_clean = report.clean;
            drop(running);
            let _ = sender.send(Message::Down { instance: name, generation, is_clean });
        };
        let refused = spawn("plugin-stop", stop)?;
        tracing::error!(instance, generation, reason = refused.reason, "protocol was not told to stop");
        Some(Event::Stopped { instance, generation })
    }

    fn abandon(&mut self, instance: &str, generation: u64, call: Call) {
        let what = match call {
            Call::Prepare => "load",
            Call::Start => "start",
            Call::Stop => "stop",
        };
        tracing::error!(instance, generation, call = what, "plugin did not return; its thread is lost");
        *self.lost_threads.entry(instance.to_owned()).or_default() += 1;
        self.attempts.remove(&(instance.to_owned(), generation));
        if let Some(running) = self.generations.remove(&(instance.to_owned(), generation)) {
            running.requests.end();
            running.broker.end();
        }
    }
}

/// Runs something on a thread of its own. Returns why not, if not.
fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Option<Refusal> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.err().map(|error| Refusal::passing(format!("the system has no thread for it: {error}")))
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}
