//! A disk in memory that remembers what was synced: it can lose the rest, fill up, and fail.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile};

/// A disk keeps or loses whole sectors.
const SECTOR: usize = 512;
const PAGE: u64 = 4096;

/// See the module. Clones are handles to the same disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<String, usize>,
    files: Vec<Contents>,
    events: Vec<Event>,
    capacity: Option<u64>,
    failing: Option<Failing>,
    power_loss: Option<PowerLoss>,
}

/// A power loss to come, and the disk as it is found afterwards.
#[derive(Debug)]
struct PowerLoss {
    after_events: usize,
    seed: u64,
    kept_percent: u64,
    survivor: Option<SimulatedDisk>,
}

#[derive(Debug, Default, Clone)]
struct Contents {
    name: String,
    current: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Unsynced>,
    /// Pages that take space. Others read as zeros.
    pages: BTreeSet<u64>,
    durable_pages: BTreeSet<u64>,
}

#[derive(Debug, Clone)]
enum Unsynced {
    Write { offset: usize, data: Vec<u8> },
    SetLen(usize),
}

/// What happened, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A write to a file.
    Write { file: String, len: usize },
    /// A sync of a file that had unsynced writes.
    Sync { file: String },
    /// Whatever a test notes.
    Note(u64),
}

/// Which operations fail with an error of the disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failing {
    pub(crate) reads: bool,
    pub(crate) writes: bool,
    pub(crate) syncs: bool,
    /// Only files whose name begins so.
    pub(crate) files: &'static str,
}

/// A small generator of pseudo-random numbers (xorshift), so that a run is known by its seed.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

impl SimulatedDisk {
    /// The disk as it is found after power was lost right now: what was synced, and of the rest each sector only
    /// with the given chance in a hundred, in any order.
    pub(crate) fn after_power_loss(&self, seed: u64, kept_percent: u64) -> Self {
        self.0.lock().after_power_loss(seed, kept_percent)
    }

    /// Has power lost right after so many events, see [`SimulatedDisk::survivor`].
    pub(crate) fn lose_power(&self, after_events: usize, seed: u64, kept_percent: u64) {
        self.0.lock().power_loss = Some(PowerLoss { after_events, seed, kept_percent, survivor: None });
    }

    /// The disk as it is found after the power loss that was asked for, once it has come. This disk goes on, so that
    /// its users can be stopped in good order.
    pub(crate) fn survivor(&self) -> Option<Self> {
        self.0.lock().power_loss.as_ref()?.survivor.clone()
    }

    /// Notes something among the events.
    pub(crate) fn note(&self, number: u64) {
        self.0.lock().push(Event::Note(number));
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().events.clone()
    }

    /// Number of events so far.
    pub(crate) fn event_count(&self) -> usize {
        self.0.lock().events.len()
    }

    /// Limits the space; what is taken already stays.
    pub(crate) fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().capacity = bytes;
    }

    /// Leaves so much free.
    pub(crate) fn leave_free(&self, bytes: u64) {
        let mut state = self.0.lock();
        state.capacity = Some(state.used() + bytes);
    }

    pub(crate) fn set_failing(&self, failing: Option<Failing>) {
        self.0.lock().failing = failing;
    }

    /// Changes bytes of a file behind everyone's back.
    pub(crate) fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        let file = state.names[name];
        let contents = &mut state.files[file];
        change(&mut contents.current);
        contents.durable = contents.current.clone();
        contents.unsynced.clear();
    }

    pub(crate) fn remove(&self, name: &str) {
        self.0.lock().names.remove(name);
    }

    pub(crate) fn contents(&self, name: &str) -> Vec<u8> {
        let state = self.0.lock();
        state.files[state.names[name]].current.clone()
    }

    fn file(&self, index: usize) -> Arc<dyn DiskFile> {
        Arc::new(SimulatedFile { disk: self.clone(), index })
    }
}

impl Contents {
    fn after_power_loss(&self, random: &mut Random, kept_percent: u64) -> Self {
        let mut bytes = self.durable.clone();
        let mut pages = self.durable_pages.clone();
        let mut kept = Vec::new();
        for unsynced in &self.unsynced {
            match unsynced {
                Unsynced::SetLen(len) => {
                    if random.below(100) < kept_percent {
                        bytes.resize(*len, 0);
                    }
                }
                Unsynced::Write { offset, data } => {
                    let mut at = 0;
                    while at < data.len() {
                        // Up to the next sector of the disk, wherever the write began.
                        let end = (at + SECTOR - (offset + at) % SECTOR).min(data.len());
                        if random.below(100) < kept_percent {
                            kept.push((offset + at, &data[at..end]));
                        }
                        at = end;
                    }
                }
            }
        }
        for last in (1..kept.len()).rev() {
            kept.swap(last, random.below(last as u64 + 1) as usize);
        }
        for (offset, data) in kept {
            write(&mut bytes, offset, data);
            pages.extend(pages_of(offset as u64, data.len()));
        }
        pages.retain(|page| *page < (bytes.len() as u64).div_ceil(PAGE));
        Self {
            name: self.name.clone(),
            current: bytes.clone(),
            durable: bytes,
            unsynced: Vec::new(),
            pages: pages.clone(),
            durable_pages: pages,
        }
    }
}

impl State {
    fn push(&mut self, event: Event) {
        self.events.push(event);
        let Some(loss) = &self.power_loss else { return };
        if loss.survivor.is_none() && self.events.len() >= loss.after_events {
            let survivor = self.after_power_loss(loss.seed, loss.kept_percent);
            if let Some(loss) = &mut self.power_loss {
                loss.survivor = Some(survivor);
            }
        }
    }

    fn after_power_loss(&self, seed: u64, kept_percent: u64) -> SimulatedDisk {
        let mut random = Random::new(seed);
        let files = self.files.iter().map(|file| file.after_power_loss(&mut random, kept_percent)).collect();
        SimulatedDisk(Arc::new(Mutex::new(Self { names: self.names.clone(), files, ..Self::default() })))
    }

    fn used(&self) -> u64 {
        self.names.values().map(|file| self.files[*file].pages.len() as u64 * PAGE).sum()
    }

    fn check(&self, file: usize, fails: impl Fn(Failing) -> bool) -> io::Result<()> {
        match self.failing {
            Some(failing) if fails(failing) && self.files[file].name.starts_with(failing.files) => {
                Err(io::Error::other("injected error of the disk"))
            }
            _ => Ok(()),
        }
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let index = self.0.lock().names.get(name).copied();
        index.map(|index| self.file(index)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        let index = state.files.len();
        state.files.push(Contents { name: name.to_owned(), ..Contents::default() });
        state.names.insert(name.to_owned(), index);
        drop(state);
        Ok(self.file(index))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        let index = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files[index].name = to.to_owned();
        state.names.insert(to.to_owned(), index);
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = self.0.lock();
        Ok(state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used())))
    }

    fn used_bytes(&self) -> io::Result<u64> {
        Ok(self.0.lock().used())
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    index: usize,
}

impl DiskFile for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().files[self.index].current.len() as u64)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.disk.0.lock();
        state.check(self.index, |failing| failing.reads)?;
        let bytes = &state.files[self.index].current;
        let found =
            bytes.get(offset as usize..offset as usize + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.check(self.index, |failing| failing.writes)?;
        let touched = pages_of(offset, data.len());
        let fresh =
            touched.clone().filter(|page| !state.files[self.index].pages.contains(page)).count() as u64;
        if state.capacity.is_some_and(|capacity| fresh > 0 && state.used() + fresh * PAGE > capacity) {
            return Err(io::Error::from(rustix::io::Errno::NOSPC));
        }
        let file = &mut state.files[self.index];
        file.pages.extend(touched);
        write(&mut file.current, offset as usize, data);
        file.unsynced.push(Unsynced::Write { offset: offset as usize, data: data.to_vec() });
        let event = Event::Write { file: file.name.clone(), len: data.len() };
        state.push(event);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.check(self.index, |failing| failing.writes)?;
        let file = &mut state.files[self.index];
        file.current.resize(len as usize, 0);
        file.pages.retain(|page| *page < len.div_ceil(PAGE));
        file.unsynced.push(Unsynced::SetLen(len as usize));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.check(self.index, |failing| failing.syncs)?;
        let file = &mut state.files[self.index];
        if !file.unsynced.is_empty() {
            for unsynced in std::mem::take(&mut file.unsynced) {
                match unsynced {
                    Unsynced::SetLen(len) => file.durable.resize(len, 0),
                    Unsynced::Write { offset, data } => write(&mut file.durable, offset, &data),
                }
            }
            file.durable_pages = file.pages.clone();
            let event = Event::Sync { file: file.name.clone() };
            state.push(event);
        }
        Ok(())
    }
}

fn pages_of(offset: u64, len: usize) -> std::ops::Range<u64> {
    offset / PAGE..(offset + len as u64).div_ceil(PAGE)
}

fn write(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if bytes.len() < offset + data.len() {
        bytes.resize(offset + data.len(), 0);
    }
    bytes[offset..offset + data.len()].copy_from_slice(data);
}
