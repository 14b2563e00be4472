//! The documents say what is so: what they list is compared with what the server itself says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use kuzzle_tests::{binaries, errors_page, repository, run_for_text};
use serde_json::Value;

const DOCUMENTS: [&str; 8] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/conformance.md",
    "docs/errors.md",
    "docs/operations.md",
    "docs/plugins.md",
];

#[test]
fn the_page_of_errors_is_current() {
    let page = read("docs/errors.md");
    assert!(page == errors_page::errors_page(), "docs/errors.md is not current; run `make docs`");
}

#[test]
fn the_readme_lists_exactly_what_is_built() {
    let readme = read("README.md");
    let mut listed = BTreeSet::new();
    let is_of_actions = |line: &&str| {
        ["| documents |", "| server |", "| operators |"].iter().any(|row| line.starts_with(row))
    };
    for row in readme.lines().filter(is_of_actions) {
        let cell = row.split('|').nth(2).unwrap();
        for of_controller in cell.split(';') {
            let names = in_backquotes(of_controller);
            let (controller, actions) = names.split_first().expect("a controller and its actions");
            listed.extend(actions.iter().map(|action| format!("{controller}.{action}")));
        }
    }
    let built: BTreeSet<String> = kuzzle_api::actions()
        .filter(|action| action.built)
        .map(|action| format!("{}.{}", action.controller, action.action))
        .collect();
    assert_eq!(listed, built);
    let changes = read("CHANGELOG.md");
    for action in built {
        let (_, action) = action.split_once('.').unwrap();
        assert!(changes.contains(&format!("{action}`")), "CHANGELOG.md does not name {action}");
    }
}

#[test]
fn every_key_that_is_named_exists_with_its_default() {
    let sample = run_for_text(Command::new(binaries::host()).args(["config", "print"]));
    let sample: toml_edit::DocumentMut = sample.parse().expect("the sample is a file that the server reads");
    let default_of = |name: &str| -> Option<String> {
        let (table, key) = name.split_once('.')?;
        Some(sample.get(table)?.get(key)?.to_string().trim().to_owned())
    };
    let tables: Vec<&str> = sample.iter().map(|(table, _)| table).collect();
    let mut named = 0;
    // The page of errors is full of ids that look like keys.
    for document in DOCUMENTS.into_iter().filter(|document| *document != "docs/errors.md") {
        for line in read(document).lines() {
            for word in in_backquotes(line) {
                let name = word.split(" = ").next().unwrap_or_default();
                let is_key = name.split_once('.').is_some_and(|(table, key)| {
                    tables.contains(&table)
                        && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
                });
                // `plugins.toml` and `requests.rs` are files.
                if is_key && !name.ends_with(".toml") && !name.ends_with(".rs") {
                    assert!(
                        default_of(name).is_some(),
                        "{document} names the key `{name}`, which does not exist"
                    );
                    named += 1;
                }
            }
        }
    }
    assert!(named > 10, "the documents name keys");
    // The tables of keys have their defaults.
    for row in read("README.md").lines() {
        let cells: Vec<Vec<&str>> = row.split('|').map(in_backquotes).collect();
        if let [_, key, default, ..] = cells.as_slice()
            && let ([key], [default, ..]) = (key.as_slice(), default.as_slice())
            && let Some(found) = default_of(key).filter(|_| *key != "data.dir")
        {
            assert_eq!(found.trim_matches('"'), *default, "default of `{key}` in README.md");
        }
    }
}

#[test]
fn the_shipped_plugins_file_explains_every_setting_with_its_default() {
    let text = read("plugins.toml");
    let tables: Vec<&str> = text.split("\n[protocols.").skip(1).collect();
    assert!(tables.len() >= 2, "plugins.toml has lost its tables");
    let mut whole = String::new();
    for (number, table) in tables.into_iter().enumerate() {
        let (name, _) = table.split_once(']').expect("the table's name");
        let title = format!("# [protocols.{name}.settings]\n");
        let (instance, settings) = table.split_once(&title).unwrap_or_else(|| panic!("no `{title}`"));
        let uncommented: String = settings
            .lines()
            .map_while(|line| line.strip_prefix("# "))
            .map(|line| format!("{line}\n"))
            .collect();
        let shown = run_for_text(Command::new(binaries::host()).args(["plugins", "inspect", name]));
        compare_settings(&uncommented, &serde_json::from_str(&shown).unwrap());
        // What stands behind a `#` as an example works when it is taken at its word.
        let examples: String = instance
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| {
                line.split_once(" = ")
                    .is_some_and(|(key, _)| is_plain(key) && key != "path" && key != "listen")
            })
            .map(|line| format!("{line}\n"))
            .collect();
        if number == 0 {
            for key in [
                "max_connections",
                "idle_timeout_secs",
                "drain_secs",
                "worker_threads",
                "isolation",
                "defaults",
            ] {
                assert!(examples.contains(&format!("{key} = ")), "plugins.toml does not explain `{key}`");
            }
        }
        whole += &format!("[protocols.{instance}\n{examples}[protocols.{name}.settings]\n{uncommented}\n");
    }
    let folder = kuzzle_tests::TempDir::new();
    let file = folder.path().join("plugins.toml");
    std::fs::write(&file, whole).unwrap();
    let mut check = Command::new(binaries::host());
    check.args(["plugins", "check", "--plugins"]).arg(&file).arg("--data").arg(folder.path());
    run_for_text(&mut check);
}

/// Compares settings that are explained with those that a plugin shows of itself.
fn compare_settings(explained: &str, shown: &Value) {
    let declared: BTreeMap<&str, &Value> = shown["settings"]["properties"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, schema)| (name.as_str(), &schema["default"]))
        .collect();
    let explained: toml_edit::DocumentMut =
        explained.parse().expect("the settings are TOML behind their `#`");
    let names: BTreeSet<&str> = explained.iter().map(|(name, _)| name).collect();
    assert_eq!(names, declared.keys().copied().collect());
    for (name, item) in explained.iter() {
        let value = item.as_value().unwrap();
        let bare = value.clone().decorated("", "").to_string();
        let found: Value = serde_json::from_str(&bare).expect("simple values look the same in JSON");
        assert_eq!(&found, declared[name], "default of `{name}` in plugins.toml");
    }
}

#[test]
fn every_row_of_conformance_is_shown_by_tests_that_exist() {
    let tests = names_of_tests();
    let text = read("docs/conformance.md");
    let mut rows = 0;
    for (number, line) in text.lines().enumerate() {
        let place = format!("docs/conformance.md:{}", number + 1);
        let is_row = line.starts_with("| ") && !line.starts_with("| what |");
        if !is_row {
            continue;
        }
        rows += 1;
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [_, here, shown_by] = cells[..] else { panic!("{place}: {} cells instead of 3", cells.len()) };
        let shown_by = in_backquotes(shown_by);
        if here.starts_with("not yet: ") {
            assert!(shown_by.is_empty(), "{place}: tests show what is not there yet");
        } else {
            assert!(here.starts_with("as measured") || here.starts_with("different: "), "{place}: `{here}`");
            assert!(!shown_by.is_empty(), "{place}: no test shows it");
        }
        for name in shown_by {
            assert!(tests.contains(name), "{place}: there is no test `{name}`");
        }
    }
    assert!(rows > 100, "the page has lost its rows");
}

/// Names of all functions that are tests, in every crate of the repository but those that are built apart.
fn names_of_tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders: Vec<PathBuf> =
        ["kuzzle-host", "plugin-api", "plugins", "tests"].map(|folder| repository().join(folder)).into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !["target", "node_modules"].contains(&name.as_str()) && !name.starts_with('.')
            {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let mut is_test = false;
                for line in std::fs::read_to_string(&path).unwrap().lines().map(str::trim) {
                    let signature = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
                    if line == "#[test]" || line.starts_with("#[tokio::test") {
                        is_test = true;
                    } else if let Some((name, _)) = signature.and_then(|it| it.split_once('('))
                        && std::mem::take(&mut is_test)
                    {
                        names.insert(name.to_owned());
                    }
                }
            }
        }
    }
    names
}

#[test]
fn links_lead_somewhere() {
    for document in DOCUMENTS {
        let path = repository().join(document);
        let text = read(document);
        for (line, link) in links(&text) {
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target: PathBuf =
                if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{document}:{line}: {link} leads nowhere");
            if !anchor.is_empty() {
                assert!(anchors(&target).contains(anchor), "{document}:{line}: {link} has no such heading");
            }
        }
    }
}

/// Targets of the Markdown links of a text, with their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut rest = line;
        while let Some((_, behind)) = rest.split_once("](") {
            let link = behind.split(')').next().unwrap_or_default();
            found.push((number + 1, link));
            rest = behind;
        }
    }
    found
}

/// The anchors of a page's headings.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(page).unwrap();
    let anchor = |heading: &str| -> String {
        let plain = heading.trim_start_matches('#').trim().to_lowercase();
        plain
            .chars()
            .filter(|it| it.is_alphanumeric() || *it == ' ' || *it == '-')
            .map(|it| if it == ' ' { '-' } else { it })
            .collect()
    };
    text.lines().filter(|line| line.starts_with('#')).map(anchor).collect()
}

/// The words of a text that stand in backquotes.
fn in_backquotes(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn read(file: &str) -> String {
    let path = repository().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
