//! Noticing that a file was saved.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// Watches folders, since editors and package managers replace files by renaming.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Watch {
    /// Calls `changed` whenever something in a watched folder changes. Where the system has no means for that, says so
    /// in the log: changes are then applied on SIGHUP alone.
    pub(super) fn new(changed: impl Fn() + Send + 'static) -> Self {
        let told = move |event: notify::Result<notify::Event>| {
            // Reading, which the manager does itself, is no change.
            if !matches!(event, Ok(event) if matches!(event.kind, EventKind::Access(_))) {
                changed();
            }
        };
        let watcher = notify::recommended_watcher(told);
        if let Err(error) = &watcher {
            tracing::warn!(%error, "saved files are not noticed; send SIGHUP to apply them");
        }
        Self { watcher: watcher.ok(), watched: BTreeSet::new() }
    }

    /// Watches these folders, and those alone.
    pub(super) fn set(&mut self, folders: BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.watched.difference(&folders) {
            // A folder that was removed is no longer watched anyway.
            let _ = watcher.unwatch(gone);
        }
        let mut watched: BTreeSet<PathBuf> = self.watched.intersection(&folders).cloned().collect();
        for new in folders.difference(&self.watched) {
            match watcher.watch(new, RecursiveMode::NonRecursive) {
                Ok(()) => drop(watched.insert(new.clone())),
                Err(error) => note(new, &error),
            }
        }
        self.watched = watched;
    }
}

fn note(folder: &Path, error: &notify::Error) {
    tracing::debug!(folder = %folder.display(), %error, "folder is not watched");
}
