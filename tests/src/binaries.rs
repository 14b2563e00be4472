//! The built binaries, and the proof that they are those of these sources.

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::SystemTime;

/// The folder of the built binaries: `KUZZLE_BIN_DIR`, or else where this test itself was built.
pub fn bin_dir() -> PathBuf {
    if let Some(folder) = std::env::var_os("KUZZLE_BIN_DIR") {
        return PathBuf::from(folder);
    }
    let this = std::env::current_exe().expect("the path of the test");
    this.ancestors().nth(2).expect("tests are built in <profile>/deps").to_owned()
}

/// The server.
///
/// # Panics
///
/// When it was not built, or when one of its sources is newer.
pub fn host() -> PathBuf {
    static CHECKED: Once = Once::new();
    let path = bin_dir().join("kuzzle-host");
    CHECKED.call_once(|| assert_current(&path));
    path
}

/// A shipped plugin, such as `socketio`.
///
/// # Panics
///
/// When it was not built, or when one of its sources is newer.
pub fn plugin(name: &str) -> PathBuf {
    let path = bin_dir().join(format!("libkuzzle_protocol_{name}.so"));
    assert_current(&path);
    path
}

/// A plugin built out of the workspace, such as `lines` or `bad-panic-in-start`.
///
/// # Panics
///
/// When it was not built, or when one of its sources is newer.
pub fn out_of_tree(name: &str) -> PathBuf {
    let path = bin_dir().join("out-of-tree").join(format!("{name}.so"));
    let built = modified(&path).unwrap_or_else(|| not_built(&path));
    let repository = crate::repository();
    let sources = if name == "lines" { "examples/lines" } else { "tests/plugins/bad" };
    for folder in [repository.join(sources), repository.join("plugin-api/src")] {
        assert_no_newer(&path, built, &folder);
    }
    path
}

/// Fails when a file that cargo names as an input of a binary is newer than the binary.
fn assert_current(path: &Path) {
    let built = modified(path).unwrap_or_else(|| not_built(path));
    let inputs = std::fs::read_to_string(path.with_extension("d")).unwrap_or_else(|_| not_built(path));
    let (_, inputs) = inputs.split_once(": ").expect("a list of inputs as make reads it");
    for input in inputs.replace("\\ ", "\0").split_whitespace() {
        let input = PathBuf::from(input.replace('\0', " "));
        if input.is_file() && modified(&input).is_none_or(|changed| changed > built) {
            stale(path, &input);
        }
    }
}

fn assert_no_newer(path: &Path, built: SystemTime, folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let entry = entry.expect("a readable folder").path();
        if entry.is_dir() {
            if !entry.ends_with("target") {
                assert_no_newer(path, built, &entry);
            }
        } else if modified(&entry).is_none_or(|changed| changed > built) {
            stale(path, &entry);
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

fn not_built(path: &Path) -> ! {
    panic!("{} was not built; run `make test`, or set KUZZLE_BIN_DIR", path.display())
}

fn stale(path: &Path, input: &Path) -> ! {
    panic!("{} is older than {}; run `make test`, which builds it anew", path.display(), input.display())
}
