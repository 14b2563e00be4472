//! Plugin libraries: found, judged as files, copied aside and loaded once.

mod elf;
mod find;
mod give_back;
mod load;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kuzzle_plugin_api::abi::{LoadError, MAJOR, MINOR, PluginModuleRef};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::declaration::Source;
pub(crate) use elf::Manifest;
pub(crate) use find::SearchPath;
pub(crate) use give_back::give_back;

/// Largest file that is taken for a plugin, in bytes.
const FILE_MAX_BYTES: u64 = 512 << 20;
/// How long to wait for another library that is being loaded.
const LOAD_PATIENCE: Duration = Duration::from_secs(5);
/// Copies of earlier runs that are kept aside.
const COPIES_KEPT: usize = 16;

/// A library that is loaded, and stays loaded.
pub(crate) struct Library {
    /// What it says about itself.
    pub(crate) manifest: Manifest,
    /// Its root table.
    pub(crate) module: PluginModuleRef,
    /// SHA-256 of its file, in hexadecimal.
    pub(crate) hash: String,
}

/// The libraries of the process.
///
/// Each build is loaded once and never unloaded, so disabling and enabling a plugin costs no memory, while each new build
/// costs about a megabyte until the process ends.
pub(crate) struct Libraries {
    search: SearchPath,
    /// Where copies go: `<state>/plugins`.
    folder: PathBuf,
    loaded: Mutex<HashMap<String, Arc<Library>>>,
    /// One library is loaded at a time; the system's loader has one lock for all anyway.
    loading: Mutex<()>,
    hashes: Mutex<HashMap<PathBuf, (Stamp, String)>>,
}

/// What tells whether a file has changed without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Libraries {
    /// Keeps copies below `state`. Creates nothing yet.
    pub(crate) fn new(search: SearchPath, state: &Path) -> Self {
        let folder = state.join("plugins");
        Self { search, folder, loaded: Mutex::default(), loading: Mutex::default(), hashes: Mutex::default() }
    }

    /// Where plugins are looked for.
    pub(crate) fn search(&self) -> &SearchPath {
        &self.search
    }

    /// The hash of the build that `source` means now. Reads the file only when it has changed.
    ///
    /// # Errors
    ///
    /// On one line, when there is no such file or it cannot be read.
    pub(crate) fn build(&self, source: &Source) -> Result<String, String> {
        let path = self.search.find(source)?;
        let stamp = stamp(&path)?;
        if let Some((known, hash)) = self.hashes.lock().get(&path)
            && *known == stamp
        {
            return Ok(hash.clone());
        }
        let (_, hash) = read(&path)?;
        self.hashes.lock().insert(path, (stamp, hash.clone()));
        Ok(hash)
    }

    /// The library that `source` means now, loaded if it is not yet. May block for as long as its constructors run.
    ///
    /// # Errors
    ///
    /// On one line: why it cannot be used, naming the file.
    pub(crate) fn load(&self, source: &Source) -> Result<Arc<Library>, String> {
        // A file that has not changed need not be read again.
        let known = self.build(source)?;
        if let Some(library) = self.loaded.lock().get(&known) {
            return Ok(Arc::clone(library));
        }
        let path = self.search.find(source)?;
        let (bytes, hash) = read(&path)?;
        let refused = |reason: String| format!("`{}` {reason}", path.display());
        let manifest = elf::manifest(&bytes).map_err(refused)?;
        if let Some(reason) = manifest.refusal() {
            return Err(refused(format!("is {reason}")));
        }
        for warning in doubts_about(&path) {
            tracing::warn!(path = %path.display(), reason = warning, "plugin file is not protected");
        }
        let copy = self.copy(&manifest.name, &hash, &bytes).map_err(|error| {
            format!("cannot keep a copy of `{}` in `{}`: {error}", path.display(), self.folder.display())
        })?;
        let Some(_turn) = self.loading.try_lock_for(LOAD_PATIENCE) else {
            return Err(refused("waits for another plugin whose loading does not return".to_owned()));
        };
        if let Some(library) = self.loaded.lock().get(&hash) {
            return Ok(Arc::clone(library));
        }
        let module = load::load(&copy).map_err(|error| refused(self.explain(error, &manifest, &hash)))?;
        tracing::info!(
            name = manifest.name,
            version = manifest.version,
            abi = format!("{}.{}", manifest.abi.major, manifest.abi.minor),
            path = %path.display(),
            "plugin loaded"
        );
        let library = Arc::new(Library { manifest, module, hash: hash.clone() });
        self.loaded.lock().insert(hash, Arc::clone(&library));
        Ok(library)
    }

    /// How many builds are loaded, in use or not.
    pub(crate) fn loaded_builds(&self) -> usize {
        self.loaded.lock().len()
    }

    /// Removes old copies, but for the newest. Copies that are mapped somewhere stay mapped.
    pub(crate) fn tidy(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut copies: Vec<_> = entries
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        copies.sort();
        let spare = copies.len().saturating_sub(COPIES_KEPT);
        for (_, path) in copies.into_iter().take(spare) {
            // A copy that cannot be removed is in nobody's way.
            let _ = fs::remove_file(path);
        }
    }

    /// A private copy: whoever overwrites the original does not pull pages from under the process, and the system's
    /// loader, which goes by names, never mistakes a new build for an old one.
    fn copy(&self, name: &str, hash: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.folder)?;
        let name: String =
            name.chars().filter(|it| it.is_ascii_alphanumeric() || *it == '-' || *it == '_').collect();
        let short = &hash[..hash.len().min(16)];
        let path = self.folder.join(format!("{name}-{short}{}", std::env::consts::DLL_SUFFIX));
        // A copy of an earlier run may have been cut short by a crash.
        if fs::read(&path).is_ok_and(|copy| copy == bytes) {
            return Ok(path);
        }
        let draft = self.folder.join(format!(".{name}-{short}.{}", std::process::id()));
        let _ = fs::remove_file(&draft);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o500).open(&draft)?;
        file.write_all(bytes)?;
        drop(file);
        fs::rename(&draft, &path)?;
        Ok(path)
    }

    fn explain(&self, refused: load::Refused, manifest: &Manifest, hash: &str) -> String {
        match refused {
            load::Refused::System(text) => format!("cannot be loaded: {text}"),
            load::Refused::Module(LoadError::Layout(mismatch)) => {
                let details = self.folder.join(format!("{}.layout.txt", &hash[..hash.len().min(16)]));
                let mut text = format!(
                    "plugin-api says {}.{} but its types differ",
                    manifest.abi.major, manifest.abi.minor
                );
                let _ = write!(text, " ({}); was plugin-api patched?", mismatch.summary);
                if fs::write(&details, &mismatch.details).is_ok() {
                    let _ = write!(text, " full diff in `{}`", details.display());
                }
                format!("cannot be used: {text}")
            }
            load::Refused::Module(LoadError::Version(text)) => {
                format!("was built with {text}; rebuild it with kuzzle-plugin-api {MAJOR}.{MINOR}")
            }
            load::Refused::Module(error) => {
                format!("cannot be used: {}", error.to_string().replace('\n', " "))
            }
        }
    }
}

/// Reads the manifest of a file without running code of it.
///
/// # Errors
///
/// On one line, naming the file.
pub(crate) fn inspect(path: &Path) -> Result<(Manifest, String), String> {
    let (bytes, hash) = read(path)?;
    let manifest = elf::manifest(&bytes).map_err(|reason| format!("`{}` {reason}", path.display()))?;
    Ok((manifest, hash))
}

/// The whole file, and its SHA-256 in hexadecimal.
fn read(path: &Path) -> Result<(Vec<u8>, String), String> {
    let cannot = |error: io::Error| format!("cannot read `{}`: {error}", path.display());
    let length = fs::metadata(path).map_err(cannot)?.len();
    if length > FILE_MAX_BYTES {
        return Err(format!("`{}` has {length} bytes, which no plugin has", path.display()));
    }
    let bytes = fs::read(path).map_err(cannot)?;
    let mut hash = String::with_capacity(64);
    for byte in Sha256::digest(&bytes) {
        let _ = write!(hash, "{byte:02x}");
    }
    Ok((bytes, hash))
}

fn stamp(path: &Path) -> Result<Stamp, String> {
    let data = fs::metadata(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    Ok(Stamp {
        device: data.dev(),
        inode: data.ino(),
        length: data.len(),
        modified: (data.mtime(), data.mtime_nsec()),
        changed: (data.ctime(), data.ctime_nsec()),
    })
}

/// Whether others than the operator could change what is about to run with the host's rights.
fn doubts_about(path: &Path) -> Vec<&'static str> {
    const OTHERS_MAY_WRITE: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    let mut doubts = Vec::new();
    if let Ok(data) = fs::metadata(path) {
        if data.mode() & OTHERS_MAY_WRITE != 0 {
            doubts.push("every user of this machine may change it");
        }
        let own = fs::metadata("/proc/self").map(|own| own.uid()).unwrap_or_default();
        if data.uid() != 0 && data.uid() != own {
            doubts.push("it belongs to another user than the server's");
        }
    }
    if let Some(data) = path.parent().and_then(|folder| fs::metadata(folder).ok())
        && data.mode() & OTHERS_MAY_WRITE != 0
        && data.mode() & STICKY == 0
    {
        doubts.push("every user of this machine may replace it");
    }
    doubts
}

#[cfg(test)]
mod tests;
