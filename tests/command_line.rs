//! The command line and the configuration, as an operator meets them.

use std::path::Path;
use std::process::{Command, Output};

use kuzzle_tests::server::{free_port, lines};
use kuzzle_tests::{Server, ServerOptions, TempDir, binaries, run_for_text};
use serde_json::Value;

/// A server that is expected to end at once.
fn refused(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> (Output, String) {
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", "60"]).arg(binaries::host()).args(arguments).current_dir(folder);
    command.envs(environment.iter().copied());
    let output = command.output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    (output, said)
}

#[test]
fn a_wrong_configuration_starts_nothing_and_says_everything_that_is_wrong() {
    let folder = TempDir::new();
    let config = "[rest]\nlisen = []\nbody_max_bytes = 0\n\n[dta]\nx = 1\n\n[log]\nformat = \"xml\"\n";
    std::fs::write(folder.path().join("kuzzle.toml"), config).unwrap();
    let arguments =
        ["--config", "kuzzle.toml", "--data", "data", "--set", "data.snyc=os", "--set", "log.level"];
    let (output, said) = refused(folder.path(), &arguments[..6], &[("KUZZLE_DATA_CACHE_MIB", "lots")]);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for expected in [
        "kuzzle.toml:2:1",
        "unknown key `lisen` in [rest]",
        "closest known key: `listen`",
        "kuzzle.toml:3:",
        "kuzzle.toml:5:",
        "unknown table `dta`",
        "kuzzle.toml:9:",
        "`human`, `json`",
        "environment variable `KUZZLE_DATA_CACHE_MIB`",
        "flag for unknown key `data.snyc`",
        "`data.sync`",
    ] {
        assert!(said.contains(expected), "{expected:?} is not in:\n{said}");
    }
    assert!(!folder.path().join("data").exists(), "nothing was started");

    let (output, said) = refused(folder.path(), &arguments[6..], &[]);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("expected `--set TABLE.KEY=VALUE`"), "{said}");

    let (output, said) = refused(folder.path(), &["--config", "nowhere.toml"], &[]);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("nowhere.toml"), "{said}");
    let (output, said) = refused(folder.path(), &["--plugin", "x"], &[]);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--plugins"), "{said}");
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    // The port of the file, which the harness writes, is beaten by the environment's, and that by the flag's.
    let (environment, flag) = (free_port(), free_port());
    let options = |arguments: Vec<String>| ServerOptions {
        environment: vec![("KUZZLE_REST_LISTEN".to_owned(), format!("127.0.0.1:{environment}"))],
        arguments,
        ..ServerOptions::default()
    };
    let is_served = |mut server: Server, port: u16| {
        let line = server.wait_for_log(0, &["listening", "rest"]);
        assert!(line.contains(&format!("127.0.0.1:{port}")), "{line}");
        let answer = kuzzle_tests::curl(None, &[&format!("http://127.0.0.1:{port}/api/1.0")]);
        assert!(answer.contains("Hello"), "{answer}");
    };
    is_served(options(Vec::new()).start(), environment);
    let set = vec!["--set".to_owned(), format!("rest.listen=127.0.0.1:{flag}")];
    is_served(options(set).start(), flag);
}

#[test]
fn the_printed_configuration_is_one_that_a_server_takes() {
    let sample = run_for_text(Command::new(binaries::host()).args(["config", "print"]));
    let sample =
        sample.replace("\"127.0.0.1:7511\", \"[::1]:7511\"", &format!("\"127.0.0.1:{}\"", free_port()));
    let folder = TempDir::new();
    let file = folder.path().join("printed.toml");
    std::fs::write(&file, sample).unwrap();
    let mut command = Command::new(binaries::host());
    command.arg("--config").arg(&file).arg("--data").arg(folder.path().join("data"));
    command.current_dir(folder.path());
    let mut process = kuzzle_tests::process::Process::start(command);
    process.wait_for_line("the line that says ready", 0, |line| line.contains(" ready "));
    process.signal("INT");
    let status = process.wait();
    assert!(status.success(), "{status}\n{}", process.log());
}

#[test]
fn the_log_is_json_when_asked_for_plugins_included() {
    let port = free_port();
    let options = ServerOptions {
        arguments: vec!["--log-format".to_owned(), "json".to_owned()],
        ..ServerOptions::with_plugins(lines(port))
    };
    // The line that says ready looks different there.
    let mut server = options.start_when(|line| line.contains("\"ready\""));
    server.wait_for_state("lines", "running");
    drop(std::net::TcpStream::connect(("127.0.0.1", port)).unwrap());
    assert!(server.stop().success(), "{}", server.log());
    let log = server.log();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        assert!(line["level"].is_string() && line["fields"]["message"].is_string(), "{line}");
    }
    for wanted in ["plugin loaded", "listening", "ready", "stopped"] {
        assert!(log.contains(&format!("\"message\":\"{wanted}\"")), "{wanted} is not in:\n{log}");
    }
}

#[test]
fn the_start_says_what_there_is() {
    let port = free_port();
    let mut server = ServerOptions::with_plugins(lines(port)).start();
    server.wait_for_state("lines", "running");
    let data = server.folder().join("data").display().to_string();
    let rest = server.rest().to_string();
    for texts in [
        vec!["starts", "version", &data],
        vec!["plugin loaded", "lines", "version", "abi", "1.0"],
        vec!["listening", "rest", &rest],
        vec!["listening", "lines", &format!("127.0.0.1:{port}")],
    ] {
        server.wait_for_log(0, &texts);
    }
    let log = server.log();
    let ready: Vec<&str> = log.lines().filter(|line| line.contains(" ready ")).collect();
    assert_eq!(ready.len(), 1, "{log}");
    assert!(ready[0].contains("ms="), "{log}");
    let position = |text: &str| log.find(text).unwrap();
    assert!(position("listening") < position(" ready "), "{log}");
}

#[test]
fn a_taken_port_of_rest_is_told_with_who_has_it() {
    let holder = ServerOptions::default().start();
    let options = ServerOptions { rest_port: Some(holder.rest().port()), ..ServerOptions::default() };
    let ended = options.run_to_end();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    let expected = format!("the port is taken by process {} (kuzzle-host)", holder.id());
    assert!(said.contains(&holder.rest().to_string()) && said.contains(&expected), "{said}");
}

#[test]
fn it_knows_its_version() {
    let printed = run_for_text(Command::new(binaries::host()).arg("--version"));
    assert_eq!(printed.trim(), format!("kuzzle-host {}", env!("CARGO_PKG_VERSION")));
}
