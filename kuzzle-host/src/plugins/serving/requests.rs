//! The service `requests`: from a plugin's bytes to the API and back.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use futures_util::future::{Either, select};
use kuzzle_api::{Api, Defaults, OpenConnection, Origin};
use kuzzle_model::Response;
use kuzzle_plugin_api::abi::{
    ApiError, Blob, Completion, Reply, RequestEvent, RequestsCalls, RequestsClient,
};
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::outbox::Outbox;

/// Longest description of a connection, in bytes.
const INFO_MAX: usize = 64 * 1024;
/// Longest credentials, in bytes.
const CREDENTIALS_MAX: usize = 64 * 1024;
/// Connections of an instance that declares no limit of its own.
const CONNECTIONS_MAX: usize = 10_000_000;
/// Name of the user that every client is as long as there are no others.
const ANONYMOUS: &str = "anonymous";

/// Numbers connections for the life of the process: those of two generations never look like one.
static NEXT_CONNECTION: AtomicU64 = AtomicU64::new(1);

/// What a generation's requests are made with.
pub(crate) struct RequestsOptions {
    /// Answers them.
    pub(crate) api: Api,
    /// Where an answer that takes time is waited for.
    pub(crate) runtime: Handle,
    /// Name of the instance.
    pub(crate) instance: Arc<str>,
    /// The plugin's name for its protocol in responses and statistics.
    pub(crate) label: Arc<str>,
    /// What the instance's table supplies when a request leaves it out.
    pub(crate) defaults: Defaults,
    /// Most connections at a time; 0 is unlimited.
    pub(crate) max_connections: u32,
}

/// The clients of one generation of an instance.
pub(crate) struct GenerationRequests {
    options: RequestsOptions,
    connections: RwLock<HashMap<u64, Connection>>,
    outbox: Mutex<Outbox>,
    /// Whom to wake. Let go at the end: it holds the plugin, which holds this.
    client: RwLock<Option<RequestsClient>>,
    stopping: AtomicBool,
    /// Turns true when the generation has stopped: nobody is there to be answered any more.
    stopped: watch::Sender<bool>,
}

struct Connection {
    origin: Origin,
    /// Keeps it counted as open.
    _counted: OpenConnection,
}

impl GenerationRequests {
    pub(crate) fn new(options: RequestsOptions) -> Self {
        Self {
            options,
            connections: RwLock::default(),
            outbox: Mutex::default(),
            client: RwLock::default(),
            stopping: AtomicBool::new(false),
            stopped: watch::Sender::new(false),
        }
    }

    /// Connections open now.
    pub(crate) fn open_connections(&self) -> usize {
        self.connections.read().len()
    }

    /// Whom to wake when events wait. Those that came before are told of now.
    pub(crate) fn set_client(&self, client: RequestsClient) {
        *self.client.write() = Some(client.clone());
        // Only now: what comes from here on finds the client.
        if self.outbox.lock().is_waiting() {
            client.ready();
        }
    }

    /// Puts an event out for those of `connections`, by the host's numbers, that belong to this generation; `payload` is
    /// shared by all. Returns how many they were.
    pub(crate) fn notify(&self, connections: &[u64], channel: &str, payload: &Blob) -> usize {
        let own: Vec<u64> = {
            let known = self.connections.read();
            let number = |(id, connection): (&u64, &Connection)| {
                connections.contains(&connection.origin.connection).then_some(*id)
            };
            known.iter().filter_map(number).collect()
        };
        let count = own.len();
        if count > 0 {
            let was_empty =
                self.outbox.lock().push(RequestEvent::notification(own, channel, payload.clone()));
            // Outside the lock: it is a call into the plugin.
            let client = self.client.read().clone().filter(|_| was_empty);
            if let Some(client) = client {
                client.ready();
            }
        }
        count
    }

    /// Takes no more connections nor requests.
    pub(crate) fn refuse_new(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Ends everything: answers that are still waited for are cancelled, connections are forgotten.
    pub(crate) fn end(&self) {
        self.refuse_new();
        self.stopped.send_replace(true);
        let connections = std::mem::take(&mut *self.connections.write());
        let client = self.client.write().take();
        // Outside the locks: the last hold on the plugin may go with it.
        drop((connections, client));
    }

    fn origin(&self, connection: u64) -> Result<Origin, ApiError> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(ApiError::new(503, "plugin.requests.stopping", "the protocol is being stopped"));
        }
        let connections = self.connections.read();
        connections.get(&connection).map(|connection| connection.origin.clone()).ok_or_else(|| {
            ApiError::new(400, "plugin.requests.connection", format!("connection {connection} is not open"))
        })
    }

    fn answer_later(&self, response: impl Future<Output = Response> + Send + 'static, done: Completion) {
        let mut stopped = self.stopped.subscribe();
        self.options.runtime.spawn(async move {
            let ended = pin!(async move {
                // The sender is gone only when the generation is.
                let _ = stopped.wait_for(|stopped| *stopped).await;
            });
            match select(pin!(response), ended).await {
                Either::Left((response, _)) => done.complete(reply(&response)),
                Either::Right(_) => drop(done),
            }
        });
    }
}

impl RequestsCalls for GenerationRequests {
    fn open(&self, connection: u64, info: &str) -> Result<(), ApiError> {
        let refused = |status, id, message: String| Err(ApiError::new(status, id, message));
        if self.stopping.load(Ordering::Acquire) {
            return refused(503, "plugin.requests.stopping", "the protocol is being stopped".to_owned());
        }
        let is_object = info.len() <= INFO_MAX
            && serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(info).is_ok();
        if !is_object {
            let message = format!(
                "what is known of connection {connection} is no JSON object of {INFO_MAX} bytes at most"
            );
            return refused(400, "plugin.requests.info", message);
        }
        let options = &self.options;
        let limit = match options.max_connections {
            0 => CONNECTIONS_MAX,
            limit => limit as usize,
        };
        let origin = Origin {
            protocol: Arc::clone(&options.label),
            instance: Arc::clone(&options.instance),
            connection: NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed),
            defaults: options.defaults.clone(),
            is_operator: false,
        };
        let mut connections = self.connections.write();
        if connections.contains_key(&connection) {
            return refused(
                409,
                "plugin.requests.connection",
                format!("connection {connection} is open already"),
            );
        }
        if connections.len() >= limit {
            let message = format!("the protocol has its {limit} connections (`max_connections`)");
            return refused(429, "plugin.requests.limit", message);
        }
        let counted = options.api.statistics().connection_opened(&options.label);
        connections.insert(connection, Connection { origin, _counted: counted });
        Ok(())
    }

    fn close(&self, connection: u64) {
        let known = self.connections.write().remove(&connection);
        if known.is_some() {
            self.outbox.lock().forget(connection);
        }
    }

    fn execute(&self, connection: u64, request: Blob, done: Completion) {
        let origin = match self.origin(connection) {
            Ok(origin) => origin,
            Err(error) => return done.complete(Reply::from_error(&error)),
        };
        // The caller is a thread of the plugin, on which no runtime of the host is current.
        let _entered = self.options.runtime.enter();
        let mut response = Box::pin(self.options.api.handle_message(request.as_slice(), origin));
        // Most answers are there at once; only waiting for a disk, or for a turn, needs a task.
        match response.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(response) => done.complete(reply(&response)),
            Poll::Pending => self.answer_later(response, done),
        }
    }

    fn authenticate(&self, connection: u64, mechanism: &str, credentials: Blob, done: Completion) {
        if let Err(error) = self.origin(connection) {
            return done.complete(Reply::from_error(&error));
        }
        done.complete(match user(mechanism, credentials.as_slice()) {
            Ok(user) => Reply::authenticated(user),
            Err(reason) => Reply::from_error(&ApiError::new(401, "security.credentials", reason)),
        });
    }

    fn take(&self, max_events: u32, max_bytes: u64) -> Vec<RequestEvent> {
        self.outbox.lock().take(max_events, max_bytes)
    }
}

fn reply(response: &Response) -> Reply {
    Reply {
        status: response.status.into(),
        request_id: response.request_id.as_str().into(),
        body: response.to_bytes().into(),
    }
}

/// Whom credentials prove. There is only the anonymous user, who also goes by the name and password that brokers of old
/// shipped with.
pub(super) fn user(mechanism: &str, credentials: &[u8]) -> Result<&'static str, String> {
    if credentials.len() > CREDENTIALS_MAX {
        return Err(format!(
            "credentials have {} bytes, at most {CREDENTIALS_MAX} are read",
            credentials.len()
        ));
    }
    match mechanism {
        "ANONYMOUS" => Ok(ANONYMOUS),
        "PLAIN" => {
            // RFC 4616: authorisation identity, authentication identity and password, with zero bytes between.
            let parts: Vec<&[u8]> = credentials.split(|byte| *byte == 0).collect();
            match parts[..] {
                [b"" | b"guest", b"guest", b"guest"] => Ok(ANONYMOUS),
                [_, _, _] => Err("the user name or the password is wrong".to_owned()),
                _ => Err("PLAIN credentials have three parts with zero bytes between".to_owned()),
            }
        }
        _ => Err("the mechanism is unknown, expected `PLAIN` or `ANONYMOUS`".to_owned()),
    }
}

#[cfg(test)]
mod tests;
