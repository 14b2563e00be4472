//! Reading a data directory, or a backup, from end to end.

use std::path::Path;

use kuzzle_broker::Checked as BrokerReport;
use kuzzle_documents::{CheckReport, DirectoryLock, Documents};

use super::manifest::{self, Manifest};
use super::{BROKER, BackupFailure, DOCUMENTS, is_interrupted};

/// What is there, and what of it is damaged.
#[derive(Debug)]
pub struct Checked {
    /// Of the documents.
    pub documents: CheckReport,
    /// Of the broker; none when there is no journal of one.
    pub broker: Option<BrokerReport>,
    /// What else is wrong, each in a line.
    pub others: Vec<String>,
}

impl Checked {
    /// Whether anything is damaged.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        let broker = self.broker.as_ref().is_some_and(|broker| !broker.damage.is_empty());
        self.documents.is_damaged || broker || !self.others.is_empty()
    }
}

/// Reads everything in the data directory `data`, which no server may be using, or in a backup. Nothing is written.
///
/// # Errors
///
/// When a server has it, or it holds nothing that could be checked. Damage is none.
pub fn check(data: &Path) -> Result<Checked, BackupFailure> {
    let wrong = |error: &dyn std::fmt::Display| BackupFailure::Wrong(error.to_string());
    if is_interrupted(data) {
        return Err(BackupFailure::Wrong(format!(
            "`{}` holds a restore that was cut off; run `kuzzle-host restore` again",
            data.display()
        )));
    }
    let folder = data.join(DOCUMENTS);
    let lock = DirectoryLock::of_used(&folder).map_err(|error| wrong(&error))?;
    let documents = Documents::check(&folder).map_err(|error| wrong(&error))?;
    let mut others = Vec::new();
    if data.join(manifest::NAME).exists() {
        others.extend(Manifest::read(data)?.compare(data, &mut |_| {}));
    }
    let folder = data.join(BROKER);
    let broker = if folder.is_dir() {
        let disk = kuzzle_journal::Directory::new(&folder).map_err(|error| wrong(&error))?;
        kuzzle_broker::check(&disk).map_err(|error| others.push(error.to_string())).ok()
    } else {
        None
    };
    drop(lock);
    Ok(Checked { documents, broker, others })
}
