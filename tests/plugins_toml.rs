//! `plugins.toml`: what is wrong with it is said all at once, by place; at start nothing starts, later nothing changes.

use kuzzle_tests::load::NumberedLoad;
use kuzzle_tests::server::{free_port, lines, socketio};
use kuzzle_tests::{Server, ServerOptions, run_for_text};
use std::net::Ipv4Addr;
use std::process::Command;

const BROKEN: &str = r#"[protocols.socketio]
plugin = "socketio"
enabeld = true
listen = ["localhost:7512"]
drain_secs = "5"

[protocols.other]
listen = []
isolation = "process"
"#;

/// Place and text of each problem of [`BROKEN`].
const PROBLEMS: [(&str, &str); 5] = [
    (":3:1", "unknown key `enabeld` in [protocols.socketio]"),
    (":4:11", "`localhost:7512` is not an address to listen on"),
    (":5:14", "`drain_secs` is a string, expected a whole number"),
    (":7:1", "[protocols.other] names no plugin"),
    (":9:13", "`isolation = \"process\"` is not available yet"),
];

#[test]
fn a_broken_file_at_start_starts_nothing() {
    let rest = free_port();
    let mut options = ServerOptions::with_plugins(BROKEN);
    options.rest_port = Some(rest);
    let ended = options.run_to_end();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    for (place, text) in PROBLEMS {
        assert!(said.contains(text), "{text} is not in:\n{said}");
        assert!(said.contains(&format!("plugins.toml{place}")), "{place} is not in:\n{said}");
    }
    assert!(said.contains("closest known key: `enabled`"), "{said}");
    assert!(!said.contains("ready"), "{said}");
}

#[test]
fn a_file_that_is_no_toml_at_start_starts_nothing() {
    let ended = ServerOptions::with_plugins("[protocols.socketio\nplugin = \"socketio\"\n").run_to_end();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("plugins.toml:1:"), "{said}");
}

#[test]
fn a_missing_file_that_was_asked_for_starts_nothing() {
    let mut command = Command::new(kuzzle_tests::binaries::host());
    let folder = kuzzle_tests::TempDir::new();
    command.args(["--plugins", "/nonexistent/plugins.toml", "--data"]).arg(folder.path().join("data"));
    let ended = command.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("/nonexistent/plugins.toml"), "{said}");
}

#[test]
fn settings_that_the_plugin_refuses_start_nothing() {
    let text = socketio(free_port()) + "[protocols.socketio.settings]\nno_such_setting = 1\nneither = true\n";
    let ended = ServerOptions::with_plugins(text).run_to_end();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    for (place, name) in [(":7:", "no_such_setting"), (":8:", "neither")] {
        assert!(said.contains(name), "{name} is not in:\n{said}");
        assert!(said.contains(&format!("plugins.toml{place}")), "{place} is not in:\n{said}");
    }
}

#[test]
fn a_broken_file_later_changes_nothing() {
    let (web, line) = (free_port(), free_port());
    let good = socketio(web) + &lines(line);
    let mut server = ServerOptions::with_plugins(good.clone()).start();
    server.wait_for_state("socketio", "running");
    server.wait_for_state("lines", "running");
    let load = NumberedLoad::over_lines((Ipv4Addr::LOCALHOST, line).into());
    let before = running(&server);

    let from = server.log_lines();
    server.save_plugins(BROKEN);
    for (place, text) in PROBLEMS {
        server.wait_for_log(from, &[text, &format!("plugins.toml{place}")]);
    }
    assert_eq!(running(&server), before);
    load.wait_for_more();

    // By signal too; and a file that is gone is no wish to stop everything.
    let from = server.log_lines();
    server.signal("HUP");
    server.wait_for_log(from, &[PROBLEMS[0].1]);
    std::fs::remove_file(server.plugins_file()).unwrap();
    let from = server.log_lines();
    server.signal("HUP");
    server.wait_for_log(from, &["plugins.toml"]);
    assert_eq!(running(&server), before);
    load.wait_for_more();

    // Settings that a plugin refuses touch nothing either.
    let from = server.log_lines();
    server.save_plugins(&(good.clone() + "[protocols.lines.settings]\nno_such_setting = 1\n"));
    server.wait_for_log(from, &["no_such_setting"]);
    assert_eq!(running(&server), before);

    // The good file again is no change.
    server.save_plugins(&good);
    load.wait_for_more();
    assert_eq!(running(&server), before);
    load.finish();
}

/// State and generation of both instances.
fn running(server: &Server) -> Vec<(String, String)> {
    let of = |name: &str| {
        let found = server.instance(name);
        (found["state"].to_string(), found["generation"].to_string())
    };
    vec![of("socketio"), of("lines")]
}

#[test]
fn an_open_address_is_refused_while_everyone_may_do_everything() {
    let port = free_port();
    let open = socketio(port).replace("127.0.0.1", "0.0.0.0");
    let server = ServerOptions::with_plugins(open.clone()).start();
    let status = server.wait_for_state("socketio", "failed");
    let reason = status["reason"].as_str().unwrap();
    assert!(
        reason
            .contains("open to everyone; run kuzzle-host admin create, or set security.open_network = true"),
        "{reason}"
    );
    drop(server);

    let config = "[security]\nopen_network = true\n".to_owned();
    let server = ServerOptions { config, ..ServerOptions::with_plugins(open) }.start();
    server.wait_for_state("socketio", "running");
}

#[test]
fn an_open_address_of_rest_is_refused_too() {
    let folder = kuzzle_tests::TempDir::new();
    let config = folder.path().join("kuzzle.toml");
    std::fs::write(&config, format!("[rest]\nlisten = [\"0.0.0.0:{}\"]\n", free_port())).unwrap();
    let mut command = Command::new("timeout");
    command.arg("60").arg(kuzzle_tests::binaries::host()).arg("--config").arg(&config);
    command.arg("--data").arg(folder.path().join("data")).current_dir(folder.path());
    let ended = command.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned() + &String::from_utf8_lossy(&ended.stdout);
    assert!(!ended.status.success(), "{said}");
    assert!(said.contains("open to everyone"), "{said}");
}

#[test]
fn an_address_of_a_family_that_the_machine_lacks_is_left_out() {
    // A network namespace whose loopback has no IPv6 address.
    let Some(namespace) = kuzzle_tests::Namespace::new() else {
        return kuzzle_tests::cannot_run("a network namespace is not allowed here");
    };
    let off = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6";
    let switched = namespace.command("sh").args(["-c", off]).output().unwrap();
    if !switched.status.success() && std::path::Path::new("/proc/sys/net/ipv6").exists() {
        return kuzzle_tests::cannot_run("IPv6 cannot be switched off in the namespace");
    }
    let both = "listen = [\"127.0.0.1:7512\", \"[::1]:7512\"]\n";
    let plugins = format!("[protocols.socketio]\nplugin = \"socketio\"\n{both}");
    let mut options = ServerOptions::with_plugins(plugins);
    options.rest_port = Some(7511);
    let mut server = options.start_in(Some(&namespace));
    server.wait_for_log(0, &["[::1]:7512"]);
    let hello = "http://127.0.0.1:7512/socket.io/?EIO=3&transport=polling";
    let answer = kuzzle_tests::wait_for("socket.io to answer", || {
        let output = namespace.command("curl").args(["-sS", hello]).output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    });
    assert!(answer.contains("\"sid\""), "{answer}");
}

#[test]
fn the_commands_edit_the_file_and_keep_its_comments() {
    let web = free_port();
    let text = format!(
        "# Who may come in, and where.\n\n# The browsers.\n{}# The end.\n",
        socketio(web).replace("enabled = true", "enabled = true # for now")
    );
    let server = ServerOptions::with_plugins(text.clone()).start();
    server.wait_for_state("socketio", "running");

    let printed = plugins_command(&server, &["list"]);
    assert!(printed.contains("socketio"), "{printed}");

    plugins_command(&server, &["disable", "socketio"]);
    assert_eq!(server.plugins(), text.replace("enabled = true", "enabled = false"));
    // Saving applied it.
    server.wait_for_state("socketio", "stopped");
    plugins_command(&server, &["enable", "socketio"]);
    assert_eq!(server.plugins(), text);
    server.wait_for_state("socketio", "running");

    let checked = plugins_command(&server, &["check"]);
    assert!(!checked.is_empty());
    let inspected = run_for_text(
        Command::new(kuzzle_tests::binaries::host())
            .args(["plugins", "inspect"])
            .arg(kuzzle_tests::binaries::plugin("socketio")),
    );
    assert!(inspected.contains("socketio") && inspected.contains("1.0"), "{inspected}");

    let unknown = command(&server, &["disable", "socketoi"]).output().unwrap();
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(!unknown.status.success() && said.contains("socketoi") && said.contains("`socketio`"), "{said}");

    std::fs::write(server.folder().join("broken.toml"), BROKEN).unwrap();
    let mut check = Command::new(kuzzle_tests::binaries::host());
    check.args(["plugins", "check", "--plugins"]).arg(server.folder().join("broken.toml"));
    let refused = check.output().unwrap();
    let said =
        String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
    assert!(!refused.status.success(), "{said}");
    for (_, text) in PROBLEMS {
        assert!(said.contains(text), "{text} is not in:\n{said}");
    }
}

fn command(server: &Server, arguments: &[&str]) -> Command {
    let mut command = Command::new(kuzzle_tests::binaries::host());
    command.arg("plugins").args(arguments).arg("--plugins").arg(server.plugins_file());
    command
}

fn plugins_command(server: &Server, arguments: &[&str]) -> String {
    run_for_text(&mut command(server, arguments))
}
