//! Clients that run in Node: the scripts below `tests/clients`.

use std::ffi::OsStr;
use std::process::Command;

use crate::{Namespace, repository};

/// How long a script may take, in seconds; longer than its own deadlines.
const DEADLINE_SECS: &str = "180";

/// A command that runs a script of `tests/clients/<folder>`, beside the packages that it needs.
///
/// # Panics
///
/// When those packages are not installed.
pub fn node<A: AsRef<OsStr>>(
    namespace: Option<&Namespace>,
    folder: &str,
    script: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    let folder = repository().join("tests/clients").join(folder);
    assert!(
        folder.join("node_modules/.package-lock.json").is_file(),
        "the packages of {} are not installed; run tests/setup.sh",
        folder.display()
    );
    let mut command = match namespace {
        Some(namespace) => namespace.command("timeout"),
        None => Command::new("timeout"),
    };
    // Killed, since what it would do on a polite signal has just failed.
    command.args(["-s", "KILL", DEADLINE_SECS, "node"]).arg(folder.join(script)).args(arguments);
    command
}
