//! The rules of `ARCHITECTURE.md` that a program can check: who depends on whom, who must never know what, that every
//! public item is documented, and that no word stands where it does not belong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kuzzle_tests::{repository, run_for_text};
use serde_json::Value;

/// One row of the table "Who must never know what".
struct Rule {
    /// Packages that the row speaks of.
    packages: &'static [&'static str],
    /// The row's first cell.
    name: &'static str,
    /// The row's second cell.
    never: &'static str,
    /// The packages of this workspace that they may depend on.
    may: &'static [&'static str],
    /// Crates that would teach them what they must not know.
    without: &'static [&'static str],
    /// Text in their sources that would show the same.
    unsaid: &'static [&'static str],
}

const SOCKETS: &[&str] =
    &["tokio", "hyper", "hyper-util", "warp", "tower", "socket2", "libc", "socketioxide"];
const HTTP_AND_PLUGINS: &[&str] =
    &["hyper", "hyper-util", "warp", "tower", "socket2", "socketioxide", "libloading", "abi_stable"];
const SOCKETS_AND_PLUGINS: &[&str] = &[
    "tokio",
    "hyper",
    "hyper-util",
    "warp",
    "tower",
    "socket2",
    "libc",
    "socketioxide",
    "libloading",
    "abi_stable",
];
const CLOCK: &[&str] = &["SystemTime::now", "Instant::now", "std::net", "std::fs", "std::thread"];

const RULES: &[Rule] = &[
    Rule {
        packages: &["kuzzle-model"],
        name: "model",
        never: "sockets, files, time of day",
        may: &[],
        without: SOCKETS,
        unsaid: CLOCK,
    },
    Rule {
        packages: &["kuzzle-journal"],
        name: "journal",
        never: "what its records mean",
        may: &[],
        without: SOCKETS_AND_PLUGINS,
        unsaid: &["std::net", "std::env"],
    },
    Rule {
        packages: &["kuzzle-search"],
        name: "search",
        never: "storage, users and rights, HTTP, files, time of day",
        may: &[],
        without: SOCKETS_AND_PLUGINS,
        unsaid: CLOCK,
    },
    Rule {
        packages: &["kuzzle-realtime"],
        name: "realtime",
        never: "documents' storage, users and rights, HTTP, plugins, files, time of day",
        may: &["kuzzle-model"],
        without: SOCKETS_AND_PLUGINS,
        unsaid: CLOCK,
    },
    Rule {
        packages: &["kuzzle-documents"],
        name: "documents, broker",
        never: "each other, users and rights, HTTP, plugins",
        may: &["kuzzle-model", "kuzzle-search"],
        without: HTTP_AND_PLUGINS,
        unsaid: &["std::net", "std::env"],
    },
    Rule {
        packages: &["kuzzle-broker"],
        name: "documents, broker",
        never: "each other, users and rights, HTTP, plugins",
        may: &["kuzzle-journal"],
        without: SOCKETS_AND_PLUGINS,
        unsaid: &["std::net", "std::env", "std::fs", "std::thread"],
    },
    Rule {
        packages: &["kuzzle-api"],
        name: "api",
        never: "which protocol a request came from (a label in the request, echoed)",
        may: &["kuzzle-model", "kuzzle-documents", "kuzzle-broker"],
        without: HTTP_AND_PLUGINS,
        unsaid: &["std::net", "std::env", "tokio::spawn", "tokio::time"],
    },
    Rule {
        packages: &["kuzzle-plugin-api"],
        name: "plugin-api",
        never: "anything of ours",
        may: &[],
        without: &[],
        unsaid: &["std::env::var", "std::env::args", "env::set_var", "set_current_dir"],
    },
    Rule {
        packages: &["kuzzle-protocol-socketio"],
        name: "plugins",
        never: "anything of ours but plugin-api and their own proto",
        may: &["kuzzle-plugin-api", "kuzzle-socketio-proto"],
        without: &["warp"],
        unsaid: &["std::env::var", "std::env::args", "env::set_var", "set_current_dir", "tokio::signal"],
    },
    Rule {
        packages: &["kuzzle-protocol-mqtt"],
        name: "plugins",
        never: "anything of ours but plugin-api and their own proto",
        may: &["kuzzle-plugin-api", "kuzzle-mqtt-proto"],
        without: &["warp"],
        unsaid: &["std::env::var", "std::env::args", "env::set_var", "set_current_dir", "tokio::signal"],
    },
    Rule {
        packages: &["kuzzle-protocol-amqp"],
        name: "plugins",
        never: "anything of ours but plugin-api and their own proto",
        may: &["kuzzle-plugin-api", "kuzzle-amqp-proto"],
        without: &["warp"],
        unsaid: &["std::env::var", "std::env::args", "env::set_var", "set_current_dir", "tokio::signal"],
    },
    Rule {
        packages: &["kuzzle-protocol-stomp"],
        name: "plugins",
        never: "anything of ours but plugin-api and their own proto",
        may: &["kuzzle-plugin-api", "kuzzle-stomp-proto"],
        without: &["warp"],
        unsaid: &["std::env::var", "std::env::args", "env::set_var", "set_current_dir", "tokio::signal"],
    },
    Rule {
        packages: &["kuzzle-socketio-proto", "kuzzle-amqp-proto", "kuzzle-mqtt-proto", "kuzzle-stomp-proto"],
        name: "proto",
        never: "tokio, sockets, the clock, plugin-api",
        may: &[],
        without: SOCKETS,
        unsaid: CLOCK,
    },
    Rule {
        packages: &["kuzzle-host"],
        name: "kuzzle-host",
        never: "it alone reads the environment and argv; it holds no API logic",
        may: &[
            "kuzzle-model",
            "kuzzle-journal",
            "kuzzle-documents",
            "kuzzle-broker",
            "kuzzle-api",
            "kuzzle-plugin-api",
        ],
        without: &["redb", "socketioxide"],
        unsaid: &[],
    },
];

/// Packages that exist for tests; nothing that is shipped depends on them.
const TEST_PACKAGES: &[&str] = &["kuzzle-plugin-testing", "kuzzle-tests"];

/// The one file of the host in which names of protocols may stand, because the API itself has them.
const PROTOCOL_NAMES_ALLOWED_IN: &str = "kuzzle-host/api/src/reserved_names.rs";
/// The one file of the broker in which names that clients know by heart stand.
const BROKER_NAMES_ALLOWED_IN: &str = "kuzzle-host/broker/src/names.rs";

#[test]
fn dependencies_point_one_way() {
    let packages = packages();
    for rule in RULES {
        for package in rule.packages {
            let dependencies = &packages[*package].dependencies;
            for dependency in dependencies {
                let ours = packages.contains_key(dependency.as_str());
                assert!(
                    !ours || rule.may.contains(&dependency.as_str()),
                    "`{package}` depends on `{dependency}`; it may depend on {:?}",
                    rule.may
                );
                assert!(
                    !rule.without.contains(&dependency.as_str()),
                    "`{package}` must never know {}, but depends on `{dependency}`",
                    rule.never
                );
            }
        }
    }
}

#[test]
fn every_package_has_a_rule() {
    for package in packages().keys() {
        let named = RULES.iter().any(|rule| rule.packages.contains(&package.as_str()));
        assert!(named || TEST_PACKAGES.contains(&package.as_str()), "`{package}` stands in no rule");
    }
}

#[test]
fn sources_do_not_say_what_they_must_never_know() {
    let packages = packages();
    for rule in RULES {
        for package in rule.packages {
            for (path, line, text) in code_lines(&packages[*package].folder.join("src")) {
                for word in rule.unsaid {
                    assert!(!text.contains(word), "{}:{line}: `{word}` in `{package}`", path.display());
                }
            }
        }
    }
}

#[test]
fn only_the_host_reads_environment_and_arguments() {
    for (name, package) in packages() {
        if name == "kuzzle-host" || TEST_PACKAGES.contains(&name.as_str()) {
            continue;
        }
        for (path, line, text) in code_lines(&package.folder.join("src")) {
            for word in ["env::var", "env::args", "env::current_dir", "env::home_dir"] {
                assert!(!text.contains(word), "{}:{line}: `{word}` outside the host", path.display());
            }
        }
    }
}

#[test]
fn the_table_in_the_document_is_the_checked_one() {
    let text = std::fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let rows: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("| crate | must never know |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let mut checked: Vec<String> =
        RULES.iter().map(|rule| format!("| {} | {} |", rule.name, rule.never)).collect();
    // Plugins share a row, and so do engines.
    checked.dedup();
    assert_eq!(
        rows, checked,
        "the table \"Who must never know what\" of ARCHITECTURE.md is not the checked one"
    );
}

#[test]
fn the_host_knows_no_protocol_by_name() {
    let allowed = repository().join(PROTOCOL_NAMES_ALLOWED_IN);
    for (path, line, text) in code_lines(&repository().join("kuzzle-host")) {
        if path == allowed {
            continue;
        }
        let lower = text.to_lowercase();
        for word in ["mqtt", "amqp", "stomp", "socketio", "socket.io"] {
            assert!(!lower.contains(word), "{}:{line}: the host names a protocol: {text}", path.display());
        }
    }
}

#[test]
fn names_that_clients_know_by_heart_stand_in_one_file_each() {
    let allowed = [PROTOCOL_NAMES_ALLOWED_IN, BROKER_NAMES_ALLOWED_IN].map(|file| repository().join(file));
    let mut found = 0;
    for package in packages().values().filter(|it| it.folder.starts_with(repository().join("kuzzle-host"))) {
        for (path, line, text) in code_lines(&package.folder.join("src")) {
            let here = text.contains("amq.");
            assert!(!here || allowed.contains(&path), "{}:{line}: a reserved name: {text}", path.display());
            found += usize::from(here);
        }
    }
    assert!(found >= 2, "the files with the names have moved");
}

#[test]
fn every_public_item_must_be_documented() {
    let root = manifest(&repository().join("Cargo.toml"));
    for lint in ["missing_docs", "unreachable_pub"] {
        assert_eq!(
            root["workspace"]["lints"]["rust"][lint].as_str(),
            Some("warn"),
            "workspace lint `{lint}`"
        );
    }
    for (name, package) in packages() {
        let lints = &manifest(&package.folder.join("Cargo.toml"))["lints"];
        let inherited = lints.get("workspace").and_then(toml_edit::Item::as_bool) == Some(true);
        let own =
            lints.get("rust").and_then(|rust| rust.get("missing_docs")).and_then(toml_edit::Item::as_str);
        assert!(inherited || own == Some("warn"), "`{name}` does not ask for documentation of public items");
        for (path, line, text) in code_lines(&package.folder.join("src")) {
            let excused = text.contains("allow(") && text.contains("missing_docs");
            assert!(!excused, "{}:{line}: an excuse from documentation", path.display());
        }
    }
}

#[test]
fn unsafe_code_stays_where_the_contract_needs_it() {
    let allowed =
        ["plugin-api/src/abi", "kuzzle-host/src/plugins/library"].map(|folder| repository().join(folder));
    for (name, package) in packages() {
        for (path, line, text) in code_lines(&package.folder.join("src")) {
            let has = text.split_whitespace().any(|word| word == "unsafe" || word.starts_with("unsafe{"));
            let fine = allowed.iter().any(|folder| path.starts_with(folder));
            assert!(!has || fine, "{}:{line}: `unsafe` in `{name}`", path.display());
        }
    }
}

#[test]
fn nothing_is_left_to_do() {
    // Put together here, so that this file does not hold them.
    let words = [
        concat!("to", "do!"),
        concat!("unimple", "mented!"),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("XX", "X"),
        concat!("/wo", "rk/"),
        concat!("shared/", "reference"),
        concat!("design", ".md"),
        concat!("product-", "document"),
        concat!("kuzzle-", "api.md"),
        concat!("plugin-", "abi.md"),
        concat!("crates", ".md"),
        concat!("style", ".md"),
    ];
    // The scripts of socket.io's authors, published unchanged.
    let others = repository().join("plugins/socketio/client");
    for path in files(&repository(), &["rs", "toml", "md", "sh", "py", "js", "mjs", "json", "html", "yml"]) {
        // A lock file holds hashes, in which any word may come up.
        if path.starts_with(&others) || path.ends_with("package-lock.json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for (line, text) in text.lines().enumerate() {
            for word in words {
                assert!(!text.contains(word), "{}:{}: `{word}`", path.display(), line + 1);
            }
        }
    }
}

#[test]
fn files_stay_readable() {
    for path in files(&repository(), &["rs"]) {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 700, "{} has {lines} lines: split it by idea", path.display());
    }
}

struct Package {
    folder: PathBuf,
    /// Names of its normal and build dependencies.
    dependencies: Vec<String>,
}

fn packages() -> BTreeMap<String, Package> {
    let text = run_for_text(
        std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
            .current_dir(repository()),
    );
    let metadata: Value = serde_json::from_str(&text).unwrap();
    let package = |value: &Value| {
        let manifest = PathBuf::from(value["manifest_path"].as_str().unwrap());
        let dependencies = value["dependencies"].as_array().unwrap().iter();
        let shipped = dependencies.filter(|dependency| dependency["kind"].as_str() != Some("dev"));
        (
            value["name"].as_str().unwrap().to_owned(),
            Package {
                folder: manifest.parent().unwrap().to_owned(),
                dependencies: shipped.map(|it| it["name"].as_str().unwrap().to_owned()).collect(),
            },
        )
    };
    let packages: BTreeMap<_, _> = metadata["packages"].as_array().unwrap().iter().map(package).collect();
    assert!(packages.len() >= 9, "the workspace has its packages");
    packages
}

fn manifest(path: &Path) -> toml_edit::DocumentMut {
    std::fs::read_to_string(path)
        .unwrap()
        .parse()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Lines of code below a folder, without comments, and without modules of tests: those may name anything.
fn code_lines(folder: &Path) -> Vec<(PathBuf, usize, String)> {
    let mut lines = Vec::new();
    for path in files(folder, &["rs"]) {
        if path.components().any(|part| part.as_os_str() == "tests")
            || path
                .file_stem()
                .is_some_and(|stem| stem == "tests" || stem.to_string_lossy().ends_with("_tests"))
        {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
        for (index, line) in code.lines().enumerate() {
            let line = line.trim();
            if !line.starts_with("//") {
                let code = line.split(" // ").next().unwrap_or(line);
                lines.push((path.clone(), index + 1, code.to_owned()));
            }
        }
    }
    lines
}

/// Files of the repository below a folder, with one of these extensions; nothing that was built or installed.
fn files(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                let built = ["target", "node_modules", "data", "run", "corpus", "artifacts"];
                if !built.contains(&name.as_str()) && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|it| extensions.iter().any(|wanted| it == *wanted)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
