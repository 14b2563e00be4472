//! From a declaration to what the machine wants to know.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::super::declaration::{Declaration, Source};
use super::super::library::Libraries;
use super::super::machine::Desired;

/// What an instance should be, by its declaration and the files that it names as they are now.
pub(super) fn desired(declaration: &Declaration, libraries: &Libraries) -> Desired {
    let mut fingerprint = declaration.fingerprint();
    // A file that is missing or unreadable is a build like any other: it changes when the reason does.
    let build = libraries.build(&declaration.source).unwrap_or_else(|reason| reason);
    // Writing to a string cannot fail.
    let _ = write!(fingerprint, "\n{build}");
    for file in certificates(declaration) {
        let _ = write!(fingerprint, "\n{}", stamp(&file));
    }
    Desired {
        enabled: declaration.enabled,
        listeners: declaration.listeners().into_iter().map(|(key, _)| key).collect(),
        fingerprint,
        drain: declaration.drain,
    }
}

/// Folders in which a change may concern the instance.
pub(super) fn folders(declaration: &Declaration, libraries: &Libraries) -> Vec<PathBuf> {
    let mut files = certificates(declaration);
    match &declaration.source {
        Source::Path(path) => files.push(path.clone()),
        Source::Plugin(_) => {
            return libraries
                .search()
                .folders()
                .iter()
                .cloned()
                .chain(files.iter().filter_map(|file| folder_of(file)))
                .collect();
        }
    }
    files.iter().filter_map(|file| folder_of(file)).collect()
}

/// The folder that holds a file.
pub(super) fn folder_of(file: &Path) -> Option<PathBuf> {
    match file.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Some(PathBuf::from(".")),
        parent => parent.map(Path::to_owned),
    }
}

fn certificates(declaration: &Declaration) -> Vec<PathBuf> {
    let tls = declaration.listen.iter().filter_map(|listen| listen.tls.as_ref());
    tls.flat_map(|tls| [tls.certificate.clone(), tls.key.clone()]).collect()
}

/// Changes when the file does.
fn stamp(file: &Path) -> String {
    match std::fs::metadata(file) {
        Ok(data) => format!("{}:{}:{}.{}", data.ino(), data.len(), data.mtime(), data.mtime_nsec()),
        Err(error) => error.to_string(),
    }
}
