use kuzzle_plugin_api::abi::MANIFEST_MAGIC;
use proptest::prelude::*;

use super::*;

/// A little ELF file with dynamic symbols, and with a manifest as the bytes that are mapped.
struct Crafted {
    class: u8,
    machine: u16,
    kind: u16,
    symbols: Vec<&'static str>,
    mapped: Vec<u8>,
}

impl Crafted {
    fn plugin(manifest: &str) -> Self {
        let mut mapped = MANIFEST_MAGIC.to_vec();
        mapped.extend(1_u32.to_le_bytes());
        mapped.extend(u32::try_from(manifest.len()).unwrap().to_le_bytes());
        mapped.extend(manifest.as_bytes());
        Self {
            class: elf::ELFCLASS64.0,
            machine: OWN_MACHINE.0,
            kind: elf::ET_DYN.0,
            symbols: vec![ENTRY_SYMBOL, MANIFEST_SYMBOL],
            mapped,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        const HEADER: usize = 64;
        const SEGMENT: usize = 56;
        const BASE: u64 = 0x10_0000;
        let mut names = vec![0];
        let mut symbols = vec![0; 24];
        let mapped_at = HEADER + SEGMENT;
        for name in &self.symbols {
            symbols.extend(u32::try_from(names.len()).unwrap().to_le_bytes());
            symbols.extend([0x11, 0, 1, 0]);
            symbols.extend(BASE.to_le_bytes());
            symbols.extend((self.mapped.len() as u64).to_le_bytes());
            names.extend(name.as_bytes());
            names.push(0);
        }
        let symbols_at = mapped_at + self.mapped.len();
        let names_at = symbols_at + symbols.len();
        let sections_at = names_at + names.len();

        let mut file = elf::ELFMAG.to_vec();
        file.extend([self.class, elf::ELFDATA2LSB.0, 1, 0]);
        file.extend([0; 8]);
        file.extend(self.kind.to_le_bytes());
        file.extend(self.machine.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        for word in [0, HEADER as u64, sections_at as u64] {
            file.extend(word.to_le_bytes());
        }
        file.extend(0_u32.to_le_bytes());
        for half in [HEADER as u16, SEGMENT as u16, 1, 64, 3, 2] {
            file.extend(half.to_le_bytes());
        }
        file.extend(elf::PT_LOAD.0.to_le_bytes());
        file.extend(4_u32.to_le_bytes());
        let length = self.mapped.len() as u64;
        for word in [mapped_at as u64, BASE, BASE, length, length, 0x1000] {
            file.extend(word.to_le_bytes());
        }
        file.extend(&self.mapped);
        file.extend(&symbols);
        file.extend(&names);
        file.extend([0; 64]);
        let mut section = |kind: u32, at: usize, size: usize, link: u32, entry: u64| {
            file.extend(0_u32.to_le_bytes());
            file.extend(kind.to_le_bytes());
            for word in [0, 0, at as u64, size as u64] {
                file.extend(word.to_le_bytes());
            }
            file.extend(link.to_le_bytes());
            file.extend(1_u32.to_le_bytes());
            for word in [8, entry] {
                file.extend(word.to_le_bytes());
            }
        };
        section(elf::SHT_DYNSYM.0, symbols_at, symbols.len(), 2, 24);
        section(elf::SHT_STRTAB.0, names_at, names.len(), 0, 0);
        file
    }

    fn refusal(&self) -> String {
        manifest(&self.bytes()).unwrap_err()
    }
}

fn text(major: u32, draft: &str, panic: &str) -> String {
    serde_json::json!({
        "name": "x", "version": "1.2.3", "label": "l", "panic": panic, "rustc": "rustc 1", "future": true,
        "abi": {"major": major, "minor": 0, "draft": draft}, "settings": {"type": "object"},
    })
    .to_string()
}

#[test]
fn the_manifest_of_a_plugin_is_read() {
    let manifest = manifest(&Crafted::plugin(&text(MAJOR, DRAFT, "unwind")).bytes()).unwrap();
    assert_eq!(
        (manifest.name.as_str(), manifest.version.as_str(), manifest.label.as_str()),
        ("x", "1.2.3", "l")
    );
    assert_eq!(manifest.settings["type"], "object");
    assert_eq!(manifest.refusal(), None);
}

#[test]
fn other_builds_are_refused_with_what_they_are() {
    let refusal = |major, draft: &str, panic: &str| {
        manifest(&Crafted::plugin(&text(major, draft, panic)).bytes()).unwrap().refusal().unwrap()
    };
    assert!(
        refusal(2, DRAFT, "unwind")
            .starts_with("built with plugin-api 2.0, this host speaks 1.x (1.0); rebuild")
    );
    let other = refusal(MAJOR, "0123", "unwind");
    assert!(other.starts_with("built with plugin-api 1.0 draft `0123`, this host speaks 1.0 "), "{other}");
    let abort = refusal(MAJOR, DRAFT, "abort");
    assert!(abort.starts_with("built with panic = \"abort\": a panic would stop the host"), "{abort}");
}

#[test]
fn what_is_no_shared_library_for_this_machine_is_named() {
    assert_eq!(
        manifest(b"hello world").unwrap_err(),
        "is not a shared library (first bytes \"hell\"); point `path` at the .so built by cargo"
    );
    assert!(manifest(b"").unwrap_err().starts_with("is not a shared library (it is empty)"));
    let plugin = || Crafted::plugin("{}");
    let foreign = Crafted { machine: elf::EM_S390.0, ..plugin() }.refusal();
    assert!(foreign.starts_with("is built for s390x, this host is "), "{foreign}");
    assert!(Crafted { class: elf::ELFCLASS32.0, ..plugin() }.refusal().starts_with("is built for 32 bits"));
    assert!(Crafted { kind: elf::ET_EXEC.0, ..plugin() }.refusal().contains("an executable or object file"));
    let other = Crafted { symbols: vec!["malloc"], ..plugin() }.refusal();
    assert!(other.starts_with("is not a Kuzzle plugin (no entry symbol)"), "{other}");
    let old = Crafted { symbols: vec![ENTRY_SYMBOL], ..plugin() }.refusal();
    assert!(old.starts_with("is not a Kuzzle plugin (no manifest)"), "{old}");
    assert!(plugin().refusal().starts_with("has a manifest that cannot be read"));
    let garbage = Crafted { mapped: vec![7; 40], ..plugin() }.refusal();
    assert_eq!(garbage, "has a manifest that cannot be read: the manifest does not begin as one");
}

#[test]
fn a_file_cut_anywhere_is_incomplete() {
    let whole = Crafted::plugin(&text(MAJOR, DRAFT, "unwind")).bytes();
    for length in 6..whole.len() {
        let message = manifest(&whole[..length]).unwrap_err();
        assert!(message.starts_with(&format!("is an incomplete file ({length} of ")), "{length}: {message}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        start in prop::sample::select(vec![0_usize, 4, 8, 64]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        tail in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut bytes = Crafted::plugin(&text(MAJOR, DRAFT, "unwind")).bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = manifest(&bytes);
        let mut garbage = bytes[..start].to_vec();
        garbage.extend(tail);
        let _ = manifest(&garbage);
    }
}
