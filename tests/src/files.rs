//! Folders that vanish with the test that made them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of its own, removed when dropped.
#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
}

impl TempDir {
    /// Makes an empty folder.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("kuzzle-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path)
            .unwrap_or_else(|error| panic!("cannot make {}: {error}", path.display()));
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Default for TempDir {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _gone_or_not = std::fs::remove_dir_all(&self.path);
    }
}

/// Replaces a file as editors and package managers do: a new file beside it, then a rename.
///
/// # Panics
///
/// When that fails.
pub fn replace(path: &Path, content: &[u8]) {
    let beside = path.with_extension("new-version");
    std::fs::write(&beside, content)
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", beside.display()));
    std::fs::rename(&beside, path)
        .unwrap_or_else(|error| panic!("cannot rename to {}: {error}", path.display()));
}
