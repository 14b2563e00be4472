//! README.md promises what its transcripts show: they are run here as they are printed, from the first to the last, on
//! the server that `make run` starts with the `plugins.toml` that is shipped.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use kuzzle_tests::server::free_port;
use kuzzle_tests::{Namespace, Server, ServerOptions, binaries, curl, repository, run_for_text, wait_for};
use serde_json::Value;

/// The ports that README.md and `plugins.toml` name: of REST, of socket.io, of the example plugin, of AMQP, of MQTT.
const PORTS: [u16; 5] = [7511, 7512, 7513, 5672, 1883];

/// A command of a transcript, and what it is said to print.
#[derive(Debug)]
struct Shown {
    /// Where it stands in README.md.
    line: usize,
    command: String,
    prints: String,
}

#[test]
fn the_transcripts_run_as_printed() {
    let mut readme = read("README.md");
    let mut plugins = read("plugins.toml");
    let namespace = Namespace::new();
    let mut rest_port = PORTS[0];
    if namespace.is_some() {
        println!("in a network namespace of its own, on the literal ports of localhost");
    } else {
        for port in PORTS {
            let free = free_port();
            println!("no network namespace is to be had: port {free} stands for {port}");
            readme = readme.replace(&port.to_string(), &free.to_string());
            plugins = plugins.replace(&port.to_string(), &free.to_string());
            rest_port = if port == rest_port { free } else { rest_port };
        }
    }
    let shown = transcripts(&readme);
    assert!(shown.len() >= 4, "README.md has lost its transcripts");

    let options = ServerOptions { plugins, rest_port: Some(rest_port), ..ServerOptions::default() };
    let server = options.start_in(namespace.as_ref());
    furnish(server.folder());
    for Shown { line, command, prints } in shown {
        wait_until_settled(namespace.as_ref(), &server);
        println!("$ {command}");
        let mut bash = match &namespace {
            Some(namespace) => namespace.command("bash"),
            None => Command::new("bash"),
        };
        bash.args(["-euc", &command]).current_dir(server.folder());
        let printed = run_for_text(&mut bash);
        println!("{printed}");
        assert_eq!(
            comparable(&printed),
            comparable(&prints),
            "README.md, line {line}; log:\n{}",
            server.log()
        );
    }
}

/// Puts into a folder what the repository has at that place once it is built: `node_modules` is that of somebody who has
/// installed a socket.io client.
fn furnish(folder: &Path) {
    let link = |from: &Path, to: &str| {
        let to = folder.join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        symlink(from, &to).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
    };
    let packages = repository().join("tests/clients/socketio/node_modules");
    link(&binaries::bin_dir(), "target/release");
    link(&binaries::out_of_tree("lines"), "examples/lines/target/release/libkuzzle_protocol_lines.so");
    link(&packages.join("socket.io-client-4.8.4"), "node_modules/socket.io-client");
}

/// Waits for what a reader does not notice: a saved `plugins.toml` takes a moment to be in force.
fn wait_until_settled(namespace: Option<&Namespace>, server: &Server) {
    let declared: toml_edit::DocumentMut = server.plugins().parse().expect("plugins.toml is TOML");
    for (name, table) in declared["protocols"].as_table().expect("a table") {
        let enabled = table.get("enabled").and_then(toml_edit::Item::as_bool).unwrap_or(true);
        let state = if enabled { "running" } else { "stopped" };
        wait_for(&format!("`{name}` to be {state}"), || {
            let info: Value =
                serde_json::from_str(&curl(namespace, &[&server.url("/api/_serverInfo")])).unwrap();
            let found = &info["result"]["serverInfo"]["kuzzle"]["plugins"][name]["state"];
            (found == state).then_some(())
        });
    }
}

/// The commands of the blocks that are marked `console`.
fn transcripts(text: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if inside {
            if let Some(command) = line.strip_prefix("$ ") {
                let (command, prints) = (command.to_owned(), String::new());
                shown.push(Shown { line: number + 1, command, prints });
            } else if let (Some(more), Some(last)) = (continued(line), shown.last_mut()) {
                last.command += &format!("\n{more}");
            } else {
                let last = shown.last_mut().unwrap_or_else(|| panic!("line {}: no command", number + 1));
                last.prints += &format!("{line}\n");
            }
        }
    }
    shown
}

/// What stands behind the prompt of a command's further lines.
fn continued(line: &str) -> Option<&str> {
    line.strip_prefix("> ").or((line == ">").then_some(""))
}

/// What is printed, with one name for every id that is made up anew each time.
fn comparable(text: &str) -> String {
    let mut text = text.trim().to_owned();
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(find_uuid) {
        text.replace_range(from + at..from + at + UUID_LENGTH, "<uuid>");
        from += at;
    }
    text
}

const UUID_LENGTH: usize = 36;

fn find_uuid(text: &str) -> Option<usize> {
    let is_uuid = |bytes: &[u8]| {
        bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    text.as_bytes().windows(UUID_LENGTH).position(is_uuid)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(repository().join(file)).unwrap()
}
