//! Clients that run in Python: the scripts below `tests/clients`.

use std::ffi::OsStr;
use std::process::Command;

use crate::repository;

/// How long a script may take, in seconds; longer than its own deadlines.
const DEADLINE_SECS: &str = "180";

/// A command that runs a script of `tests/clients/<folder>` with the packages that it needs.
///
/// # Panics
///
/// When those packages are not installed.
pub fn python<A: AsRef<OsStr>>(
    folder: &str,
    script: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    let folder = repository().join("tests/clients").join(folder);
    assert!(
        folder.join(".venv/installed").is_file(),
        "the packages of {} are not installed; run tests/setup.sh",
        folder.display()
    );
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", DEADLINE_SECS]).arg(folder.join(".venv/bin/python"));
    // What is said is seen at once, and nothing is written beside the scripts.
    command.args(["-u", "-B"]).arg(folder.join(script)).args(arguments);
    command
}
