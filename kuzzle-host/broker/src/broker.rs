//! The broker as a whole: virtual hosts, connections, time, alarms, and what is done after locks are released.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};

use crate::alarms::Alarms;
use crate::connection::{Connection, ConnectionCore, ConnectionOptions};
use crate::durable::WhenDurable;
use crate::effects::Effects;
use crate::error::{Code, Error};
use crate::events::LinkEvent;
use crate::ingress::{Host, NoHost, Request};
use crate::link::LinkCore;
use crate::message::Memory;
use crate::options::Options;
use crate::queue::{NEVER, Queue};
use crate::session::Session;
use crate::store::{Store, StoreError};
use crate::vhost::VirtualHost;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;
}

/// The time of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis() as u64)
    }
}

/// Name of the virtual host that is always there.
pub const DEFAULT_VHOST: &str = "/";

/// A broker. Clones are handles to the same one.
#[derive(Clone)]
pub struct Broker {
    pub(crate) core: Arc<Core>,
}

/// The inside of the broker.
pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) vhosts: RwLock<HashMap<Arc<str>, Arc<VirtualHost>>>,
    pub(crate) connections: Mutex<HashMap<u64, Arc<ConnectionCore>>>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) alarms: Alarms,
    pub(crate) store: Option<Store>,
    pub(crate) attaching: Mutex<()>,
    pub(crate) dropped: AtomicU64,
    pub(crate) rates: Mutex<crate::list::Rates>,
    timers: Mutex<Timers>,
    /// A deadline that the host has to be told of, earlier than it knows.
    deadline_moved: AtomicU64,
    next_uid: AtomicU64,
    /// Numbers of queues and sessions, unique for the life of the data directory.
    next_id: AtomicU64,
    waiting_for_sync: Mutex<Vec<Arc<LinkCore>>>,
    pub(crate) waiting_calls: Mutex<Vec<(u64, WhenDurable)>>,
    throttled: Mutex<Vec<Weak<ConnectionCore>>>,
    closed: AtomicBool,
}

/// Something to be looked at when its time has come.
pub(crate) enum Timer {
    Queue(Weak<Queue>),
    Session(Weak<Session>),
    Call(Box<dyn FnOnce() + Send>),
}

#[derive(Default)]
struct Timers {
    heap: BinaryHeap<Reverse<(u64, u64)>>,
    by_number: HashMap<u64, Timer>,
    next: u64,
    /// When the host was last told to call.
    told: u64,
}

impl Broker {
    /// A broker that keeps nothing when it ends.
    pub fn in_memory(options: Options, host: Arc<dyn Host>, clock: Arc<dyn Clock>) -> Self {
        let core = Arc::new(Core::new(options, host, clock, None));
        core.vhosts.write().insert(DEFAULT_VHOST.into(), Arc::new(VirtualHost::new(DEFAULT_VHOST)));
        Self { core }
    }

    /// A broker that keeps what is durable in a journal on `disk`, and finds again what was kept there.
    ///
    /// # Errors
    /// When the disk cannot be used, or what is there is damaged or newer than this version reads.
    pub fn open(
        options: Options,
        host: Arc<dyn Host>,
        clock: Arc<dyn Clock>,
        disk: Arc<dyn kuzzle_journal::Disk>,
    ) -> Result<Self, StoreError> {
        let (store, recovered) = Store::open(disk, &options)?;
        let core = Arc::new(Core::new(options, host, clock, Some(store)));
        core.restore(recovered)?;
        let weak = Arc::downgrade(&core);
        if let Some(store) = &core.store {
            store.start(Box::new(move || {
                if let Some(core) = weak.upgrade() {
                    core.journal_synced();
                }
            }));
        }
        Ok(Self { core })
    }

    /// An empty broker in memory with the same settings, on which can be tried what this one would say to a change.
    #[must_use]
    pub fn draft(&self) -> Self {
        Self::in_memory(self.core.options.clone(), Arc::new(NoHost), Arc::new(SystemClock))
    }

    /// Makes a virtual host; doing it again does nothing.
    pub fn create_vhost(&self, name: &str) {
        let mut vhosts = self.core.vhosts.write();
        if !vhosts.contains_key(name) {
            vhosts.insert(name.into(), Arc::new(VirtualHost::new(name)));
            if let Some(store) = &self.core.store {
                store.vhost(name);
            }
        }
    }

    /// Names of the virtual hosts, sorted.
    pub fn vhosts(&self) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self.core.vhosts.read().keys().cloned().collect();
        names.sort();
        names
    }

    /// Opens a connection on a virtual host.
    ///
    /// # Errors
    /// `NOT_ALLOWED - vhost <name> not found`.
    pub fn connect(&self, options: ConnectionOptions) -> Result<Connection, Error> {
        Connection::open(&self.core, options)
    }

    /// Does what is due: expiry, wills, alarms, paging, tidying the journal. It may wait for the disk. Returns when it
    /// should be called next: milliseconds since 1970.
    pub fn tick(&self) -> u64 {
        self.core.tick()
    }

    /// Ends well: what is durable reaches the disk, and it is noted what was never delivered.
    pub fn close(&self) {
        self.core.close();
    }
}

impl Core {
    fn new(options: Options, host: Arc<dyn Host>, clock: Arc<dyn Clock>, store: Option<Store>) -> Self {
        Self {
            options,
            host,
            clock,
            vhosts: RwLock::default(),
            connections: Mutex::default(),
            memory: Arc::default(),
            alarms: Alarms::default(),
            store,
            attaching: Mutex::new(()),
            dropped: AtomicU64::new(0),
            rates: Mutex::default(),
            timers: Mutex::new(Timers { told: NEVER, ..Timers::default() }),
            deadline_moved: AtomicU64::new(NEVER),
            next_uid: AtomicU64::new(1),
            next_id: AtomicU64::new(1),
            waiting_for_sync: Mutex::default(),
            waiting_calls: Mutex::default(),
            throttled: Mutex::default(),
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.now_ms()
    }

    pub(crate) fn next_uid(&self) -> u64 {
        self.next_uid.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn peek_next_id(&self) -> u64 {
        self.next_id.load(Ordering::Relaxed)
    }

    pub(crate) fn set_next_id(&self, next: u64) {
        self.next_id.fetch_max(next, Ordering::Relaxed);
    }

    pub(crate) fn vhost(&self, name: &str) -> Result<Arc<VirtualHost>, Error> {
        let found = self.vhosts.read().get(name).cloned();
        found.ok_or_else(|| Error::new(Code::NotAllowed, format!("vhost {name} not found")))
    }

    /// Does what follows from changes. Called without any lock.
    pub(crate) fn finish(&self, mut fx: Effects) {
        let mut requests = Vec::new();
        while !fx.is_done() {
            let mut next = Effects {
                wakes: std::mem::take(&mut fx.wakes),
                connections: std::mem::take(&mut fx.connections),
                dropped: fx.dropped,
                ..Effects::default()
            };
            self.follow(fx, &mut next, &mut requests);
            fx = next;
        }
        if fx.dropped > 0 {
            self.dropped.fetch_add(fx.dropped, Ordering::Relaxed);
        }
        for link in fx.wakes {
            link.connection.waker.ready(link.options.id);
        }
        for connection in fx.connections {
            connection.waker.ready(connection.id);
        }
        for request in requests {
            self.host.request(request);
        }
        if self.deadline_moved.load(Ordering::Relaxed) != NEVER {
            let at = self.deadline_moved.swap(NEVER, Ordering::AcqRel);
            if at != NEVER {
                self.host.deadline(at);
            }
        }
    }

    fn follow(&self, mut fx: Effects, next: &mut Effects, requests: &mut Vec<Request>) {
        if !fx.settled.is_empty() {
            self.write_settled(&mut fx, false);
        }
        if let Some(store) = &self.store {
            for (queue, order, tag) in fx.tags {
                store.tag(queue, order, tag);
            }
        }
        for link in fx.waiting {
            self.call_when_synced(&link, next);
        }
        for dead in fx.dead {
            let queue = Arc::clone(&dead.queue);
            self.dead_letter(dead, next);
            queue.buried();
        }
        for queue in fx.loads {
            if let Err(error) = self.load(&queue, next) {
                tracing::error!(queue = &*queue.name, %error, "messages of a queue cannot be read");
            }
        }
        for queue in fx.unused {
            self.delete_unused(&queue, next);
        }
        for (at, queue) in fx.timers {
            self.add_timer(at, Timer::Queue(Arc::downgrade(&queue)));
        }
        for link in fx.too_slow {
            let error = Error::new(Code::ResourceError, "the consumer is too slow");
            self.close_link(&link, Some((error, false)), next);
        }
        for (link, message) in fx.ingress {
            requests.push(Request {
                message,
                vhost: Arc::clone(&link.connection.vhost.name),
                unanswered: Arc::clone(&link.unanswered),
            });
        }
    }

    /// Writes settlements down; with `wait` somebody waits for that. Returns the position that makes them durable.
    pub(crate) fn write_settled(&self, fx: &mut Effects, wait: bool) -> u64 {
        let settled = std::mem::take(&mut fx.settled);
        match &self.store {
            Some(store) => store.settled(&settled, wait),
            None => 0,
        }
    }

    pub(crate) fn add_timer(&self, at: u64, timer: Timer) {
        let mut timers = self.timers.lock();
        let number = timers.next;
        timers.next += 1;
        timers.by_number.insert(number, timer);
        timers.heap.push(Reverse((at, number)));
        let earlier = at < timers.told;
        if earlier {
            timers.told = at;
        }
        drop(timers);
        if earlier {
            self.deadline_moved.fetch_min(at, Ordering::AcqRel);
        }
    }

    fn tick(&self) -> u64 {
        let now = self.now();
        let mut fx = Effects::default();
        while let Some(timer) = self.next_timer(now) {
            match timer {
                Timer::Queue(queue) => {
                    if let Some(queue) = queue.upgrade()
                        && queue.timer(now, &mut fx)
                        && let Ok(vhost) = self.vhost(&queue.vhost)
                    {
                        self.remove_queue(&vhost, &queue, &mut fx);
                    }
                }
                Timer::Session(session) => {
                    if let Some(session) = session.upgrade() {
                        self.session_timer(&session, now, &mut fx);
                    }
                }
                Timer::Call(call) => {
                    self.finish(std::mem::take(&mut fx));
                    call();
                }
            }
        }
        self.count_entries();
        self.check_alarms(&mut fx);
        self.relieve_all(&mut fx);
        self.finish(fx);
        self.call_durable();
        self.page_out();
        self.sample_rates(now);
        if !self.closed.load(Ordering::Acquire)
            && let Some(store) = &self.store
        {
            store.tidy(self);
        }
        let mut timers = self.timers.lock();
        let next = timers.heap.peek().map_or(NEVER, |Reverse((at, _))| *at);
        timers.told = next.min(now + TICK_MS);
        timers.told
    }

    fn next_timer(&self, now: u64) -> Option<Timer> {
        let mut timers = self.timers.lock();
        let Reverse((at, number)) = timers.heap.peek().copied()?;
        if at > now {
            return None;
        }
        timers.heap.pop();
        timers.by_number.remove(&number)
    }

    /// How far the journal is synced; everything, without one.
    pub(crate) fn synced(&self) -> u64 {
        self.store.as_ref().map_or(NEVER, Store::synced)
    }

    /// Calls a link when the journal is synced beyond what it is now.
    pub(crate) fn call_when_synced(&self, link: &Arc<LinkCore>, fx: &mut Effects) {
        let before = self.synced();
        self.waiting_for_sync.lock().push(Arc::clone(link));
        // The sync it waits for may have come just before.
        if self.store.as_ref().is_some_and(|store| store.synced() != before || store.is_idle()) {
            self.tell_synced(fx);
        }
    }

    fn tell_synced(&self, fx: &mut Effects) {
        loop {
            let waiting = std::mem::take(&mut *self.waiting_for_sync.lock());
            let synced = self.synced();
            let mut more: Vec<_> = waiting.into_iter().filter(|link| link.synced(synced, fx)).collect();
            if more.is_empty() {
                return;
            }
            self.waiting_for_sync.lock().append(&mut more);
            // A sync that came meanwhile has not seen them.
            if self.synced() == synced {
                return;
            }
        }
    }

    /// The journal was synced: called from its own thread.
    fn journal_synced(&self) {
        let mut fx = Effects::default();
        self.tell_synced(&mut fx);
        self.relieve_all(&mut fx);
        self.finish(fx);
        self.call_durable();
    }

    /// Whether a client should be read no further; it is told when to go on.
    pub(crate) fn throttle(&self, link: &Arc<LinkCore>, fx: &mut Effects) -> bool {
        let connection = &link.connection;
        let alarm = self.alarms.reason().filter(|_| connection.published.load(Ordering::Relaxed) > 0);
        if let Some(reason) = alarm
            && !connection.blocked.swap(true, Ordering::AcqRel)
        {
            connection.tell(LinkEvent::Blocked(reason), fx);
        }
        if alarm.is_none() && !self.is_behind() && !link.is_flooded() {
            return false;
        }
        self.hold(connection);
        // What it waits for may have passed meanwhile.
        self.relieve(connection, fx);
        true
    }

    /// Remembers a connection that is to be told when it may go on.
    pub(crate) fn hold(&self, connection: &Arc<ConnectionCore>) {
        if !connection.throttled.swap(true, Ordering::AcqRel) {
            self.throttled.lock().push(Arc::downgrade(connection));
        }
    }

    fn is_behind(&self) -> bool {
        self.store
            .as_ref()
            .is_some_and(|store| store.waiting_bytes() > self.options.journal_waiting_max_bytes)
    }

    /// Lets a connection go on if nothing holds it any more.
    pub(crate) fn relieve(&self, connection: &Arc<ConnectionCore>, fx: &mut Effects) {
        if self.alarms.reason().is_some()
            || self.is_behind()
            || connection.links.lock().iter().any(|link| link.is_flooded())
        {
            return;
        }
        self.unthrottle(connection, fx);
    }

    pub(crate) fn relieve_all(&self, fx: &mut Effects) {
        if self.throttled.lock().is_empty() {
            return;
        }
        let throttled = std::mem::take(&mut *self.throttled.lock());
        let mut still = Vec::new();
        for weak in throttled {
            let Some(connection) = weak.upgrade() else { continue };
            self.relieve(&connection, fx);
            let is_held = connection.throttled.load(Ordering::Acquire);
            if is_held && !still.iter().any(|other| Weak::ptr_eq(other, &weak)) {
                still.push(weak);
            }
        }
        self.throttled.lock().append(&mut still);
    }

    pub(crate) fn quiesce(&self, link: &LinkCore, deadline_ms: u64, done: Box<dyn FnOnce(bool) + Send>) {
        let done = Arc::new(Mutex::new(Some(done)));
        let at_deadline = Arc::clone(&done);
        link.unanswered.when_none(Box::new(move || {
            let done = done.lock().take();
            if let Some(done) = done {
                done(true);
            }
        }));
        if at_deadline.lock().is_some() {
            let call = move || {
                let done = at_deadline.lock().take();
                if let Some(done) = done {
                    done(false);
                }
            };
            self.add_timer(deadline_ms, Timer::Call(Box::new(call)));
            self.finish(Effects::default());
        }
    }

    fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let connections: Vec<_> = self.connections.lock().values().cloned().collect();
        for connection in connections {
            let error = Error::new(Code::ConnectionForced, "the broker is closing");
            self.close_connection(&connection, Some(error));
        }
        if let Some(store) = &self.store {
            store.close(self);
        }
    }
}

/// The host calls at least so often: alarms and the journal are looked at.
const TICK_MS: u64 = 1_000;
