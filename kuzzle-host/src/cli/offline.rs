//! The commands `backup`, `restore` and `check`: the data directory as a whole.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{HumanBytes, ProgressBar};
use kuzzle_host::backup::{self, BackupFailure, Checked};
use kuzzle_host::table::plain;
use serde_json::json;

use super::export;
use super::running::{self, Failed};

/// Where the backup is to be.
#[derive(Args, Debug)]
pub(super) struct Backup {
    /// A folder that is not there yet, on the server's disk; best another disk than that of the data.
    dir: PathBuf,
}

/// Which backup is brought back.
#[derive(Args, Debug)]
pub(super) struct Restore {
    /// The folder that `backup` has made.
    dir: PathBuf,
}

/// Has the running server make a backup. Returns what to print.
pub(super) fn backup(backup: &Backup, addresses: &[SocketAddr]) -> Result<String, Failed> {
    let directory = std::path::absolute(&backup.dir)
        .map_err(|error| Failed::Wrong(format!("error: `{}`: {error}", backup.dir.display())))?;
    let Some(directory) = directory.to_str() else {
        return Err(Failed::Wrong(format!("error: `{}` is not UTF-8", directory.display())));
    };
    let bar = export::bar(0, "{spinner} the server makes the backup, {elapsed}");
    bar.enable_steady_tick(Duration::from_millis(100));
    let body = json!({"directory": directory}).to_string();
    // It takes as long as it takes; the connection breaks when the server does.
    let answered = running::send(addresses, "POST", "/api/1.0/_server/backup", Some(body.as_bytes()), None);
    bar.finish_and_clear();
    let made = answered.and_then(|answered| answered.json());
    let made = running::result_of(made.map_err(|reason| Failed::Server(format!("error: {reason}")))?)?;
    let number = |name: &str| made[name].as_u64().unwrap_or_default();
    Ok(format!(
        "everything is in `{}`: {} file(s), {}",
        plain(directory),
        number("files"),
        HumanBytes(number("bytes"))
    ))
}

/// Brings a backup back. Returns what to print.
pub(super) fn restore(restore: &Restore, data: &Path) -> Result<String, Failed> {
    let bar = export::bar(0, "restoring [{bar:40}] {bytes}/{total_bytes}, {eta} left");
    let restored =
        backup::restore(&restore.dir, data, |bytes| bar.set_length(bytes), &mut |bytes| bar.inc(bytes));
    bar.finish_and_clear();
    let restored = restored.map_err(failed)?;
    let mut text = format!(
        "`{}` is restored into `{}`: {} file(s), {}",
        restore.dir.display(),
        data.display(),
        restored.files,
        HumanBytes(restored.bytes)
    );
    for damage in &restored.damage {
        // Writing to a string cannot fail.
        let _ = write!(text, "\nas it was in the backup: {}", plain(damage));
    }
    Ok(text)
}

/// Checks a data directory or a backup. Returns what to print.
pub(super) fn check(data: &Path) -> Result<String, Failed> {
    let spinner = ProgressBar::new_spinner().with_message("checking");
    spinner.enable_steady_tick(Duration::from_millis(100));
    let checked = backup::check(data);
    spinner.finish_and_clear();
    let checked = checked.map_err(failed)?;
    let text = summary(data, &checked);
    if checked.is_damaged() { Err(Failed::Server(text)) } else { Ok(text) }
}

fn summary(data: &Path, checked: &Checked) -> String {
    let documents = &checked.documents;
    let mut text = format!(
        "`{}`: {} document(s) in {} collection(s) of {} index(es), {} change(s) of them in the journal\n",
        data.display(),
        documents.documents,
        documents.collections,
        documents.indexes,
        documents.journal_changes
    );
    // Writing to a string cannot fail.
    if let Some(broker) = &checked.broker {
        let _ = writeln!(
            text,
            "broker: {} message(s), {} of them retained, {} queue(s), {} exchange(s), {} session(s), {}",
            broker.messages,
            broker.retained,
            broker.queues,
            broker.exchanges,
            broker.sessions,
            HumanBytes(broker.bytes)
        );
    }
    let is_torn = documents.torn || checked.broker.as_ref().is_some_and(|broker| broker.torn);
    if is_torn {
        text.push_str(
            "a batch was being written at the last stop; it was answered to nobody and is left out\n",
        );
    }
    for finding in &documents.findings {
        let _ = writeln!(text, "{}", plain(&finding.to_string()));
    }
    let of_broker = checked.broker.iter().flat_map(|broker| &broker.damage);
    for damage in of_broker.chain(&checked.others) {
        let _ = writeln!(text, "damage: {}", plain(damage));
    }
    let more = documents.more_findings + checked.broker.as_ref().map_or(0, |broker| broker.more_damage);
    if more > 0 {
        let _ = writeln!(text, "and {more} more");
    }
    text.push_str(match checked.is_damaged() {
        true => "there is damage: restore a backup, or export what can still be read and import it elsewhere",
        false => "nothing is damaged",
    });
    text
}

fn failed(failure: BackupFailure) -> Failed {
    match failure {
        BackupFailure::Wrong(text) => Failed::Wrong(format!("error: {text}")),
        BackupFailure::Failed(text) => Failed::Server(format!("error: {text}")),
    }
}
