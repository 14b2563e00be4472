//! A disk in memory that remembers what was synced: it can lose the rest, fill up, and fail.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Disk, DiskFile};

/// A disk keeps or loses whole sectors.
const SECTOR: usize = 512;
const PAGE: u64 = 4096;

/// See the module. Clones are handles to the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<String, usize>,
    files: Vec<Contents>,
    syncs: u64,
    capacity: Option<u64>,
    failing: Option<Failing>,
    sync_takes: Duration,
}

#[derive(Debug, Default, Clone)]
struct Contents {
    current: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Unsynced>,
    pages: BTreeSet<u64>,
}

#[derive(Debug, Clone)]
enum Unsynced {
    Write { offset: usize, data: Vec<u8> },
    SetLen(usize),
}

/// Which operations fail with an error of the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failing {
    /// Reads do.
    pub reads: bool,
    /// Writes do.
    pub writes: bool,
    /// Syncs do; what was to be synced is lost with a power loss, whatever is synced later.
    pub syncs: bool,
}

/// A small generator of pseudo-random numbers (xorshift), so that a run is known by its seed.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// A generator whose numbers follow from the seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `n`, which must not be 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

impl SimulatedDisk {
    /// The disk as it is found after power was lost right now: what was synced, and of the rest each sector only
    /// with the given chance in a hundred, in any order.
    pub fn after_power_loss(&self, seed: u64, kept_percent: u64) -> Self {
        let mut random = Random::new(seed);
        let state = self.0.lock();
        let files = state.files.iter().map(|file| file.after_power_loss(&mut random, kept_percent)).collect();
        Self(Arc::new(Mutex::new(State { names: state.names.clone(), files, ..State::default() })))
    }

    /// Limits the space; what is taken already stays.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().capacity = bytes;
    }

    /// Space taken by all files.
    pub fn used_bytes(&self) -> u64 {
        self.0.lock().used()
    }

    /// Makes operations fail from now on, or succeed again.
    pub fn set_failing(&self, failing: Failing) {
        self.0.lock().failing = Some(failing);
    }

    /// Makes syncs take their time from now on.
    pub fn set_sync_takes(&self, time: Duration) {
        self.0.lock().sync_takes = time;
    }

    /// Syncs that had something to sync.
    pub fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    /// Changes bytes of a file behind everyone's back. Nothing happens when there is no such file.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        if let Some(file) = state.names.get(name).copied() {
            let contents = &mut state.files[file];
            change(&mut contents.current);
            contents.durable = contents.current.clone();
            contents.unsynced.clear();
        }
    }

    fn file(&self, index: usize) -> Arc<dyn DiskFile> {
        Arc::new(SimulatedFile { disk: self.clone(), index })
    }
}

impl Contents {
    fn after_power_loss(&self, random: &mut Random, kept_percent: u64) -> Self {
        let mut bytes = self.durable.clone();
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
        }
        Self { current: bytes.clone(), durable: bytes, ..Self::default() }
    }
}

impl State {
    fn used(&self) -> u64 {
        self.names.values().map(|file| self.files[*file].pages.len() as u64 * PAGE).sum()
    }

    fn check(&self, fails: impl Fn(Failing) -> bool) -> io::Result<()> {
        match self.failing {
            Some(failing) if fails(failing) => Err(io::Error::other("injected error of the disk")),
            _ => Ok(()),
        }
    }
}

impl Disk for SimulatedDisk {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let index = self.0.lock().names.get(name).copied();
        index.map(|index| self.file(index)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        state.check(|failing| failing.writes)?;
        let index = state.files.len();
        state.files.push(Contents::default());
        state.names.insert(name.to_owned(), index);
        drop(state);
        Ok(self.file(index))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.check(|failing| failing.writes)?;
        let index = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), index);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.lock().names.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = self.0.lock();
        Ok(state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used())))
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
        state.check(|failing| failing.reads)?;
        let bytes = &state.files[self.index].current;
        let found =
            bytes.get(offset as usize..offset as usize + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.check(|failing| failing.writes)?;
        let touched = offset / PAGE..(offset + data.len() as u64).div_ceil(PAGE);
        let fresh =
            touched.clone().filter(|page| !state.files[self.index].pages.contains(page)).count() as u64;
        if state.capacity.is_some_and(|capacity| fresh > 0 && state.used() + fresh * PAGE > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = &mut state.files[self.index];
        file.pages.extend(touched);
        write(&mut file.current, offset as usize, data);
        file.unsynced.push(Unsynced::Write { offset: offset as usize, data: data.to_vec() });
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.check(|failing| failing.writes)?;
        let file = &mut state.files[self.index];
        file.current.resize(len as usize, 0);
        file.pages.retain(|page| *page < len.div_ceil(PAGE));
        file.unsynced.push(Unsynced::SetLen(len as usize));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let time = self.disk.0.lock().sync_takes;
        if !time.is_zero() {
            std::thread::sleep(time);
        }
        let mut state = self.disk.0.lock();
        if let Err(error) = state.check(|failing| failing.syncs) {
            // The system takes the pages for written, though they are not.
            state.files[self.index].unsynced.clear();
            return Err(error);
        }
        let file = &mut state.files[self.index];
        if !file.unsynced.is_empty() {
            for unsynced in std::mem::take(&mut file.unsynced) {
                match unsynced {
                    Unsynced::SetLen(len) => file.durable.resize(len, 0),
                    Unsynced::Write { offset, data } => write(&mut file.durable, offset, &data),
                }
            }
            state.syncs += 1;
        }
        Ok(())
    }
}

fn write(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if bytes.len() < offset + data.len() {
        bytes.resize(offset + data.len(), 0);
    }
    bytes[offset..offset + data.len()].copy_from_slice(data);
}
