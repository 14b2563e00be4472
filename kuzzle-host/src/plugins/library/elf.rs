//! What can be said about a plugin's file without running any of its code.
//!
//! The system's loader is no judge of files: it runs constructors before anybody can look, dies of truncated files and
//! reports another architecture as a missing file. So the file is read as data first.

use kuzzle_plugin_api::abi::{DRAFT, ENTRY_SYMBOL, MAJOR, MANIFEST_SYMBOL, MINOR, Manifest as RawManifest};
use object::elf;
use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _};
use object::{LittleEndian, Object as _, ObjectSymbol as _};
use serde::{Deserialize, Serialize};

/// The manifest that a plugin carries, as `inspect` shows it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Manifest {
    /// Name, such as `chat`.
    pub(crate) name: String,
    /// Version of the plugin.
    pub(crate) version: String,
    /// Name of the protocol in responses and statistics.
    pub(crate) label: String,
    /// The contract that it was built with.
    pub(crate) abi: Abi,
    /// What a panic does in it: `unwind` or `abort`.
    pub(crate) panic: String,
    /// The compiler that built it.
    #[serde(default)]
    pub(crate) rustc: String,
    /// What it was built for.
    #[serde(default)]
    pub(crate) target: String,
    /// JSON Schema of its settings.
    #[serde(default)]
    pub(crate) settings: serde_json::Value,
}

/// A version of the contract between host and plugins.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Abi {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    /// Hash of the draft; empty once the contract is final.
    #[serde(default)]
    pub(crate) draft: String,
}

impl Manifest {
    /// Why this host cannot use the plugin, if it cannot.
    pub(crate) fn refusal(&self) -> Option<String> {
        let Abi { major, minor, draft } = &self.abi;
        if *major != MAJOR {
            return Some(format!(
                "built with plugin-api {major}.{minor}, this host speaks {MAJOR}.x ({MAJOR}.{MINOR}); rebuild it with \
                 kuzzle-plugin-api {MAJOR}"
            ));
        }
        if draft != DRAFT {
            let theirs = if draft.is_empty() { "final".to_owned() } else { format!("draft `{draft}`") };
            let ours = if DRAFT.is_empty() { "final".to_owned() } else { format!("draft `{DRAFT}`") };
            return Some(format!(
                "built with plugin-api {major}.{minor} {theirs}, this host speaks {MAJOR}.{MINOR} {ours}; rebuild it with \
                 the kuzzle-plugin-api of this host"
            ));
        }
        if self.panic != "unwind" {
            return Some(format!(
                "built with panic = \"{}\": a panic would stop the host; build it with panic = \"unwind\"",
                self.panic
            ));
        }
        None
    }
}

/// Reads the manifest of a plugin's file, of which `bytes` is the whole.
///
/// # Errors
///
/// On one line: what the file is instead of a plugin for this machine. The file's name stands nowhere in it.
pub(crate) fn manifest(bytes: &[u8]) -> Result<Manifest, String> {
    shared_library(bytes)?;
    let file = ElfFile64::<LittleEndian>::parse(bytes)
        .map_err(|error| format!("is damaged ({error}); build or copy it again"))?;
    let symbol = |name: &str| {
        file.dynamic_symbols().find(|symbol| symbol.name() == Ok(name) && symbol.is_definition())
    };
    if symbol(ENTRY_SYMBOL).is_none() {
        return Err(
            "is not a Kuzzle plugin (no entry symbol); is kuzzle_plugin_api::export_plugin! there and \
                    crate-type = [\"cdylib\"]?"
                .to_owned(),
        );
    }
    let Some(symbol) = symbol(MANIFEST_SYMBOL) else {
        return Err("is not a Kuzzle plugin (no manifest); export it with kuzzle_plugin_api::export_plugin!"
            .to_owned());
    };
    let bytes =
        bytes_at(&file, bytes, symbol.address()).ok_or("has a manifest that lies outside the file")?;
    let text =
        RawManifest::read(bytes).map_err(|error| format!("has a manifest that cannot be read: {error}"))?;
    serde_json::from_str(text).map_err(|error| format!("has a manifest that cannot be read: {error}"))
}

/// Whether the file is a whole shared library for this machine.
fn shared_library(bytes: &[u8]) -> Result<(), String> {
    if !bytes.starts_with(&elf::ELFMAG) {
        let first: String =
            bytes.iter().take(4).flat_map(|byte| byte.escape_ascii()).map(char::from).collect();
        let found =
            if bytes.is_empty() { "it is empty".to_owned() } else { format!("first bytes \"{first}\"") };
        return Err(format!("is not a shared library ({found}); point `path` at the .so built by cargo"));
    }
    let incomplete = |expected: u64| {
        let found = bytes.len();
        format!(
            "is an incomplete file ({found} of {expected} bytes); copy it under another name, then rename it"
        )
    };
    if bytes.get(4).is_some_and(|class| *class != elf::ELFCLASS64.0) {
        return Err("is built for 32 bits, this host has 64; rebuild it".to_owned());
    }
    if bytes.get(5).is_some_and(|data| *data != elf::ELFDATA2LSB.0) {
        return Err("is built for the other byte order; rebuild it".to_owned());
    }
    let header_size = size_of::<elf::FileHeader64<LittleEndian>>();
    let Ok(header) = elf::FileHeader64::<LittleEndian>::parse(bytes) else {
        return Err(if bytes.len() < header_size {
            incomplete(header_size as u64)
        } else {
            "is damaged; build or copy it again".to_owned()
        });
    };
    let endian = LittleEndian;
    let machine = header.e_machine(endian);
    if machine != OWN_MACHINE {
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let (theirs, ours) = (machine_name(machine), std::env::consts::ARCH);
        return Err(format!("is built for {theirs}, this host is {ours}; rebuild with --target {target}"));
    }
    if header.e_type(endian) != elf::ET_DYN {
        return Err("is not a shared library but an executable or object file; point `path` at the .so built by cargo"
            .to_owned());
    }
    let length = bytes.len() as u64;
    let sections = u64::from(header.e_shnum(endian)) * u64::from(header.e_shentsize(endian));
    let mut needed = header.e_shoff(endian).saturating_add(sections);
    let segments = u64::from(header.e_phnum(endian)) * u64::from(header.e_phentsize(endian));
    needed = needed.max(header.e_phoff(endian).saturating_add(segments));
    if let Ok(segments) = header.program_headers(endian, bytes) {
        let ends = segments.iter().map(|it| it.p_offset(endian).saturating_add(it.p_filesz(endian)));
        needed = needed.max(ends.max().unwrap_or_default());
    }
    if needed > length { Err(incomplete(needed)) } else { Ok(()) }
}

/// The bytes of the file that are mapped at `address`, up to the end of their segment.
fn bytes_at<'a>(file: &ElfFile64<'_, LittleEndian>, bytes: &'a [u8], address: u64) -> Option<&'a [u8]> {
    let segment = file.elf_program_headers().iter().find(|it| {
        let start = it.p_vaddr(LittleEndian);
        it.p_type(LittleEndian) == elf::PT_LOAD
            && (start..start.saturating_add(it.p_filesz(LittleEndian))).contains(&address)
    })?;
    let within = address - segment.p_vaddr(LittleEndian);
    let start = segment.p_offset(LittleEndian).checked_add(within)?;
    let end = segment.p_offset(LittleEndian).checked_add(segment.p_filesz(LittleEndian))?;
    bytes.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?.min(bytes.len()))
}

const OWN_MACHINE: elf::Machine = match () {
    () if cfg!(target_arch = "x86_64") => elf::EM_X86_64,
    () if cfg!(target_arch = "aarch64") => elf::EM_AARCH64,
    () if cfg!(target_arch = "riscv64") => elf::EM_RISCV,
    () => elf::EM_NONE,
};

fn machine_name(machine: elf::Machine) -> String {
    match machine {
        elf::EM_X86_64 => "x86_64".to_owned(),
        elf::EM_AARCH64 => "aarch64".to_owned(),
        elf::EM_RISCV => "riscv64".to_owned(),
        elf::EM_386 => "x86".to_owned(),
        elf::EM_ARM => "arm".to_owned(),
        elf::EM_PPC64 => "powerpc64".to_owned(),
        elf::EM_S390 => "s390x".to_owned(),
        elf::EM_LOONGARCH => "loongarch64".to_owned(),
        other => format!("machine {}", other.0),
    }
}

#[cfg(test)]
mod tests;
