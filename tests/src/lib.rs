//! What the black-box tests share: the built binaries, a server on ports of its own, clients, and patience.
//!
//! Everything here fails the test that uses it by a panic that says what was being done and what was found, with the
//! server's log beside it.

pub mod binaries;
pub mod client;
pub mod curl;
pub mod documented;
pub mod errors_page;
pub mod every_protocol;
pub mod files;
pub mod load;
pub mod namespace;
pub mod node;
pub mod process;
pub mod python;
pub mod server;
pub mod wait;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub use client::{Answer, HttpClient};
pub use curl::{curl, curl_request};
pub use documented::Documented;
pub use every_protocol::EveryProtocol;
pub use files::TempDir;
pub use namespace::Namespace;
pub use node::node;
pub use python::python;
pub use server::{Server, ServerOptions};
pub use wait::{PATIENCE, wait_for};

/// The guide for authors of plugins, so that its examples are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/plugins.md")]
pub struct PluginGuide;

/// The root of the repository.
pub fn repository() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the tests are a folder of the repository").to_owned()
}

/// Runs a command that must succeed, and returns what it printed.
///
/// # Panics
///
/// When it cannot run or fails, with everything that it printed.
pub fn run_for_text(command: &mut Command) -> String {
    run_with_input(command, &[])
}

/// Runs a command that must succeed with this input, and returns what it printed.
///
/// # Panics
///
/// When it cannot run or fails, with everything that it printed.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let mut to_child = child.stdin.take().expect("piped");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A command that does not read its input may have ended.
            let _taken = to_child.write_all(input);
        });
        child.wait_with_output().expect("the output of a child")
    });
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Says that a test cannot run here, and why. In continuous integration, where everything it needs is installed, that is
/// a failure.
///
/// # Panics
///
/// When the variable `CI` is set.
pub fn cannot_run(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "cannot run: {why}");
    println!("NOT RUN: {why}");
}
