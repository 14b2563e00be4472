//! The broker inside the host: where it lies on the disk, who winds its clock, and how requests to the API get out of it
//! and their answers back in.

mod ingress;
mod time;

use std::path::Path;
use std::sync::Arc;

use kuzzle_api::{Api, Defaults};
use kuzzle_broker::{Broker, Limits, Options, SystemClock};
use kuzzle_journal::Directory;
use tokio::runtime::Handle;

use ingress::Ingress;
use time::Timekeeper;

/// The broker, and what keeps it going. Dropping the last clone does not close it; see [`Messaging::close`].
#[derive(Clone)]
pub struct Messaging {
    broker: Broker,
    limits: Arc<Limits>,
    ingress: Arc<Ingress>,
    time: Arc<Timekeeper>,
}

/// What the API has to know of an instance whose connections publish requests.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Name of the protocol in responses and statistics.
    pub label: Arc<str>,
    /// What its table supplies when a request leaves it out.
    pub defaults: Defaults,
}

impl Messaging {
    /// Opens the broker whose journal lies in `folder`, which is made where it is missing.
    ///
    /// # Errors
    ///
    /// In one line: when the folder cannot be used, or what is in it is damaged or newer than this version reads.
    pub fn open(folder: &Path, options: Options) -> Result<Self, String> {
        let failed = |reason: &dyn std::fmt::Display| {
            format!("cannot open the broker in `{}`: {reason}", folder.display())
        };
        let disk = Directory::new(folder).map_err(|error| failed(&error))?;
        let limits = Arc::new(options.limits.clone());
        let time = Arc::new(Timekeeper::default());
        let ingress = Arc::new(Ingress::new(Arc::clone(&time)));
        let host: Arc<dyn kuzzle_broker::Host> = Arc::clone(&ingress) as _;
        let broker = Broker::open(options, host, Arc::new(SystemClock), Arc::new(disk))
            .map_err(|error| failed(&error))?;
        time.start(broker.clone()).map_err(|error| failed(&error))?;
        Ok(Self { broker, limits, ingress, time })
    }

    /// The broker.
    #[must_use]
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// What clients can ask of it.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Lets requests through to `api`. Requests that come before are answered as to a server that is starting (503).
    pub fn serve(&self, api: Api, runtime: Handle) {
        self.ingress.serve(self.broker.clone(), api, runtime);
    }

    /// Tells who the connections of an instance are to the API.
    pub fn register(&self, instance: &str, asker: Asker) {
        self.ingress.register(instance, asker);
    }

    /// Brings what is durable to the disk and ends. Blocks for as long as that takes.
    pub fn close(&self) {
        self.time.stop();
        self.ingress.stop();
        self.broker.close();
    }
}
