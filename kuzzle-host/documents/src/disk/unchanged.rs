//! A disk that is read and never written: what is written stays in memory. So files can be opened, and even repaired,
//! without being changed.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile};

const PAGE: u64 = 4096;

/// See the module.
#[derive(Debug)]
pub(crate) struct Unchanged {
    disk: Arc<dyn Disk>,
    files: Mutex<HashMap<String, Arc<Shadow>>>,
}

/// A file with what was written to it.
#[derive(Debug)]
struct Shadow {
    file: Option<Arc<dyn DiskFile>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    len: u64,
    /// How much of the file below still shows.
    shown: u64,
    /// Pages that were written.
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Unchanged {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, files: Mutex::default() }
    }
}

impl Disk for Unchanged {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = self.files.lock();
        if let Some(shadow) = files.get(name) {
            return Ok(Arc::clone(shadow) as _);
        }
        let shadow = Arc::new(Shadow::new(Some(self.disk.open(name)?))?);
        files.insert(name.to_owned(), Arc::clone(&shadow));
        Ok(shadow)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let shadow = Arc::new(Shadow::new(None)?);
        self.files.lock().insert(name.to_owned(), Arc::clone(&shadow));
        Ok(shadow)
    }

    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }

    fn used_bytes(&self) -> io::Result<u64> {
        self.disk.used_bytes()
    }
}

impl Shadow {
    fn new(file: Option<Arc<dyn DiskFile>>) -> io::Result<Self> {
        let len = file.as_ref().map_or(Ok(0), |file| file.len())?;
        Ok(Self { file, state: Mutex::new(State { len, shown: len, pages: BTreeMap::new() }) })
    }

    /// Fills a part of a page from below.
    fn read_below(&self, shown: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let from_file = shown.saturating_sub(offset).min(out.len() as u64) as usize;
        if let Some(file) = &self.file
            && from_file > 0
        {
            file.read_at(offset, &mut out[..from_file])?;
        }
        out[from_file..].fill(0);
        Ok(())
    }
}

impl DiskFile for Shadow {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().len)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state.lock();
        if offset + out.len() as u64 > state.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if state.pages.is_empty() {
            return self.read_below(state.shown, offset, out);
        }
        let mut at = 0;
        while at < out.len() {
            let (place, part) = part(offset + at as u64, out.len() - at);
            let end = at + part.len();
            match state.pages.get(&place) {
                Some(page) => out[at..end].copy_from_slice(&page[part]),
                None => self.read_below(state.shown, offset + at as u64, &mut out[at..end])?,
            }
            at = end;
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        let mut at = 0;
        while at < data.len() {
            let (place, part) = part(offset + at as u64, data.len() - at);
            let end = at + part.len();
            if !state.pages.contains_key(&place) {
                let mut page = vec![0; PAGE as usize];
                self.read_below(state.shown, place * PAGE, &mut page)?;
                state.pages.insert(place, page);
            }
            if let Some(page) = state.pages.get_mut(&place) {
                page[part].copy_from_slice(&data[at..end]);
            }
            at = end;
        }
        state.len = state.len.max(offset + data.len() as u64);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.shown = state.shown.min(len);
        state.pages.retain(|place, _| place * PAGE < len);
        let (place, inside) = (len / PAGE, (len % PAGE) as usize);
        if let Some(page) = state.pages.get_mut(&place) {
            page[inside..].fill(0);
        }
        state.len = len;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The page at an offset, and the part of it that up to `len` bytes from there on take.
fn part(offset: u64, len: usize) -> (u64, std::ops::Range<usize>) {
    let inside = (offset % PAGE) as usize;
    (offset / PAGE, inside..(inside + len).min(PAGE as usize))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::disk::simulated::SimulatedDisk;

    #[derive(Debug, Clone)]
    enum Step {
        Write(u64, Vec<u8>),
        SetLen(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u64..20_000, proptest::collection::vec(any::<u8>(), 1..9_000))
                .prop_map(|(at, data)| Step::Write(at, data)),
            (0u64..30_000).prop_map(Step::SetLen),
        ]
    }

    proptest! {
        /// The same steps on a file and on its shadow give the same bytes, and the file below stays as it was.
        #[test]
        fn a_shadow_is_like_the_file_which_stays_as_it_was(
            first in proptest::collection::vec(any::<u8>(), 0..20_000),
            steps in proptest::collection::vec(step(), 0..12),
        ) {
            let (below, plain) = (SimulatedDisk::default(), SimulatedDisk::default());
            for disk in [&below, &plain] {
                disk.create("f").unwrap().write_at(0, &first).unwrap();
            }
            let unchanged = Unchanged::new(Arc::new(below.clone()));
            let files = [unchanged.open("f").unwrap(), plain.open("f").unwrap()];
            for step in &steps {
                for file in &files {
                    match step {
                        Step::Write(at, data) => file.write_at(*at, data).unwrap(),
                        Step::SetLen(len) => file.set_len(*len).unwrap(),
                    }
                }
            }
            let [shadow, plain] = files.map(|file| {
                let mut bytes = vec![1; file.len().unwrap() as usize];
                file.read_at(0, &mut bytes).unwrap();
                bytes
            });
            prop_assert!(shadow == plain);
            prop_assert!(below.contents("f") == first);
            prop_assert!(unchanged.open("f").unwrap().read_at(shadow.len() as u64, &mut [0]).is_err());
        }
    }
}
