//! Requests to the API that come as messages, and their answers.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use kuzzle_api::reserved_names::{EXCHANGE, REQUEST_KEY, answer_key, is_reserved};
use kuzzle_api::{Api, Defaults, Origin};
use kuzzle_broker::properties::Properties;
use kuzzle_broker::table::Value;
use kuzzle_broker::{
    Body, Broker, Connection, ConnectionOptions, KeyClass, Link, LinkOptions, Message, Publish, Request,
};
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::Asker;
use super::time::Timekeeper;

/// Delivery mode of answers: they survive a restart in a queue that does.
const PERSISTENT: u8 = 2;
/// Header that names the routing key for the answer, on [`EXCHANGE`].
const REPLY_TOPIC: &str = "x-reply-to-topic";
/// Name of the host's own connections in listings.
const OWN_INSTANCE: &str = "api";
/// Events of an answering link that are looked at together; there are few, as nothing is confirmed.
const EVENTS: usize = 64;

/// Takes requests out of the broker and puts answers in.
pub(super) struct Ingress {
    time: Arc<Timekeeper>,
    askers: RwLock<HashMap<String, Asker>>,
    server: OnceLock<Server>,
    /// Turns true when nobody is answered any more.
    stopped: watch::Sender<bool>,
}

/// What answers.
struct Server {
    broker: Broker,
    api: Api,
    runtime: Handle,
    /// The host's own way into each virtual host.
    links: Mutex<HashMap<Arc<str>, Arc<OwnLink>>>,
}

/// A link of the host's own.
struct OwnLink {
    link: Link,
    /// Of the next message.
    sequence: AtomicU64,
    /// The link is open for as long as it is.
    _connection: Connection,
}

/// Where an answer goes.
struct Address {
    vhost: Arc<str>,
    /// Key on [`EXCHANGE`], for requests over protocols whose answers go to topics.
    reply_topic: Option<String>,
    reply_to: Option<String>,
    client_id: Option<String>,
    correlation_id: Option<Bytes>,
}

struct Nobody;

impl kuzzle_broker::Waker for Nobody {
    fn ready(&self, _id: u64) {}
}

impl Ingress {
    pub(super) fn new(time: Arc<Timekeeper>) -> Self {
        Self { time, askers: RwLock::default(), server: OnceLock::new(), stopped: watch::Sender::new(false) }
    }

    pub(super) fn serve(&self, broker: Broker, api: Api, runtime: Handle) {
        let server = Server { broker, api, runtime, links: Mutex::default() };
        if self.server.set(server).is_err() {
            tracing::error!("requests that come as messages are answered already");
        }
    }

    pub(super) fn register(&self, instance: &str, asker: Asker) {
        self.askers.write().insert(instance.to_owned(), asker);
    }

    pub(super) fn stop(&self) {
        self.stopped.send_replace(true);
        if let Some(server) = self.server.get() {
            server.links.lock().clear();
        }
    }

    /// Who asks, as the API knows it. A message that was read back from the disk does not say.
    fn origin(&self, message: &Message) -> Origin {
        let known = message.origin();
        let instance = known.map(|it| it.instance.as_str()).unwrap_or_default();
        let asker = self.askers.read().get(instance).cloned();
        let (label, defaults) =
            asker.map_or_else(|| (Arc::from(""), Defaults::default()), |asker| (asker.label, asker.defaults));
        Origin {
            protocol: label,
            instance: Arc::from(instance),
            connection: known.map_or(0, |it| it.connection),
            defaults,
            is_operator: false,
        }
    }
}

impl kuzzle_broker::Host for Ingress {
    fn request(&self, request: Request) {
        let Some(server) = self.server.get() else {
            tracing::debug!("a request came before the API was there; it is not answered");
            return;
        };
        let message = Arc::clone(&request.message);
        let read = server.api.read(message.body());
        let asked = match &read {
            Ok(request) => request.client_id.clone(),
            Err(malformed) => malformed.request.client_id.clone(),
        };
        let origin = self.origin(&message);
        let named = message.origin().and_then(|origin| origin.client_name.clone());
        let properties = Properties::parse(message.properties()).unwrap_or_default();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok().filter(|text| !text.is_empty());
        let address = Address {
            vhost: Arc::clone(&request.vhost),
            reply_topic: match properties.header(REPLY_TOPIC) {
                Some(Value::LongString(key)) => text(key),
                _ => None,
            },
            reply_to: properties.reply_to.and_then(text),
            client_id: asked.or(named).filter(|id| !id.is_empty()),
            correlation_id: properties.correlation_id.map(Bytes::copy_from_slice),
        };
        // The caller is a thread of a plugin, on which no runtime of the host is current.
        let _entered = server.runtime.enter();
        let mut response = Box::pin(server.api.handle_read(read, origin));
        // Most answers are there at once; only waiting for a disk, or for a turn, needs a task.
        if let Poll::Ready(response) = response.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            server.answer(&address, response.to_bytes());
            drop(request);
            return;
        }
        let mut stopped = self.stopped.subscribe();
        let link = server.link(&address.vhost);
        server.runtime.spawn(async move {
            let ended = pin!(async move {
                // The sender lives as long as the host.
                let _ = stopped.wait_for(|stopped| *stopped).await;
            });
            if let futures_util::future::Either::Left((response, _)) =
                futures_util::future::select(response, ended).await
                && let Some(link) = link
            {
                link.put(&address, response.to_bytes());
            }
            // Only now is the request answered, for whoever waits for that.
            drop(request);
        });
    }

    fn key_class(&self, _vhost: &str, exchange: &str, routing_key: &str) -> KeyClass {
        match routing_key {
            _ if exchange != EXCHANGE => KeyClass::Open,
            REQUEST_KEY => KeyClass::Ingress,
            key if is_reserved(key) => KeyClass::Reserved,
            _ => KeyClass::Open,
        }
    }

    fn deadline(&self, at_ms: u64) {
        self.time.deadline(at_ms);
    }
}

impl Server {
    fn answer(&self, address: &Address, body: Vec<u8>) {
        if let Some(link) = self.link(&address.vhost) {
            link.put(address, body);
        }
    }

    /// The host's own link into a virtual host.
    fn link(&self, vhost: &Arc<str>) -> Option<Arc<OwnLink>> {
        let mut links = self.links.lock();
        if let Some(link) = links.get(vhost) {
            return Some(Arc::clone(link));
        }
        let options = ConnectionOptions {
            id: 0,
            vhost: vhost.to_string(),
            instance: OWN_INSTANCE.to_owned(),
            user: OWN_INSTANCE.to_owned(),
            client_name: None,
            info: "{}".to_owned(),
            privileged: true,
            waker: Arc::new(Nobody),
        };
        let opened = self.broker.connect(options).and_then(|connection| {
            let link = connection.open_link(LinkOptions::default())?;
            Ok(Arc::new(OwnLink { link, sequence: AtomicU64::new(1), _connection: connection }))
        });
        match opened {
            Ok(link) => {
                links.insert(Arc::clone(vhost), Arc::clone(&link));
                Some(link)
            }
            Err(error) => {
                tracing::warn!(%vhost, %error, "requests of a virtual host cannot be answered");
                None
            }
        }
    }
}

impl OwnLink {
    /// Publishes an answer: to the queue that the request named, or else under the client's key.
    fn put(&self, address: &Address, body: Vec<u8>) {
        let key;
        let (exchange, routing_key) = match (&address.reply_topic, &address.reply_to) {
            (Some(topic), _) => (EXCHANGE, topic.as_str()),
            (None, Some(queue)) => ("", queue.as_str()),
            (None, None) => {
                key = answer_key(address.client_id.as_deref());
                (EXCHANGE, key.as_str())
            }
        };
        let properties = Properties {
            delivery_mode: Some(PERSISTENT),
            correlation_id: address.correlation_id.as_deref(),
            ..Properties::default()
        }
        .encode();
        let publish = Publish {
            exchange,
            routing_key,
            properties: &properties,
            body: Body::Shared(body.into()),
            mandatory: false,
            retain: false,
            dedupe: 0,
        };
        // An answer to an address that is gone is lost, as a letter would be.
        let _ = self.link.publish(self.sequence.fetch_add(1, Ordering::Relaxed), &[publish]);
        let mut events = Vec::new();
        while self.link.take(EVENTS, u64::MAX, &mut events).more {
            events.clear();
        }
    }
}
