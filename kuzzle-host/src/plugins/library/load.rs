//! Maps a checked library into the process.
#![allow(unsafe_code)]

use std::path::Path;

use abi_stable::library::AbiHeaderRef;
use kuzzle_plugin_api::abi::{ENTRY_SYMBOL, LoadError, PluginModuleRef, module_from_header};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

/// Why a library could not be loaded.
#[derive(Debug)]
pub(super) enum Refused {
    /// The system's loader refused it.
    System(String),
    /// It is no plugin that this host can use.
    Module(LoadError),
}

/// Loads the library at `path`, for ever: it is never unmapped.
///
/// Unmapping would leave threads, thread-local destructors and layouts of the plugin dangling.
///
/// `path` must be a private copy that nobody changes, of a file that [`manifest`](super::elf::manifest) accepted.
pub(super) fn load(path: &Path) -> Result<PluginModuleRef, Refused> {
    // SAFETY: loading runs the library's constructors, which is what enabling a plugin means: its operator trusts it as
    // much as the host. The file is complete (checked) and private (the caller's promise), so its pages stay valid.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
    let library = library.map_err(|error| Refused::System(chain(&error)))?;
    // SAFETY: the symbol is the static `LibHeader` that the exporting macro defines, which begins with an `AbiHeader`;
    // `module_from_header` compares its magic before it believes anything else about it.
    let header = unsafe { library.get::<AbiHeaderRef>(ENTRY_SYMBOL.as_bytes()) }.map(|symbol| *symbol);
    // From here on something of it may be in use.
    std::mem::forget(library);
    let header = header.map_err(|error| Refused::System(chain(&error)))?;
    module_from_header(header).map_err(Refused::Module)
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}
