//! Tests of the engine as a whole: through its public face, on a disk that the test controls or on real files.

mod answers;
mod backups;
mod crash;
mod disk_full;
mod files;
mod searches;
mod trouble;

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::disk::simulated::SimulatedDisk;
use crate::{Documents, Error, OpenError, Options, Write, Written};

/// Longest time anything here may take.
const CAP: Duration = Duration::from_secs(60);

/// Opens a simulated disk with a small journal, so that its files change often.
fn open(disk: &SimulatedDisk) -> Documents {
    try_open(disk, small()).unwrap()
}

fn try_open(disk: &SimulatedDisk, options: Options) -> Result<Documents, OpenError> {
    Documents::open_on(Arc::new(disk.clone()), Path::new("simulated"), options, None)
}

fn small() -> Options {
    Options { journal_bytes: 128 << 10, reserve_bytes: 0, cache_bytes: 1 << 20, ..Options::default() }
}

/// Waits for a future on this thread.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let until = Instant::now() + CAP;
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        assert!(Instant::now() < until, "no answer within {CAP:?}");
        std::thread::park_timeout(Duration::from_secs(1));
    }
}

/// Waits until something holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + CAP;
    while !holds() {
        assert!(Instant::now() < until, "{what}: not within {CAP:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn put(documents: &Documents, id: &str, source: Value) -> Result<Written, Error> {
    wait(documents.write(create_or_replace(id, source)))
}

fn create_or_replace(id: &str, source: Value) -> Write {
    Write::CreateOrReplace {
        index: "index".into(),
        collection: "collection".into(),
        id: Some(id.into()),
        source,
    }
}

fn source(documents: &Documents, id: &str) -> Option<Value> {
    documents
        .get("index", "collection", id)
        .unwrap()
        .map(|document| serde_json::from_slice(&document.source).unwrap())
}
