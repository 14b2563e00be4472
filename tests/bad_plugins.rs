//! Plugins that cannot be used, or that misbehave while they run: each is refused or contained, with one line that says
//! why, and nobody else notices.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use kuzzle_tests::load::NumberedLoad;
use kuzzle_tests::server::{free_port, instance, lines};
use kuzzle_tests::{ServerOptions, TempDir, binaries, cannot_run, wait_for};
use serde_json::Value;

#[test]
fn files_that_are_no_plugin_are_refused_by_what_they_are() {
    let folder = TempDir::new();
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let program = std::fs::read(binaries::host()).unwrap();
    let put_folder = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let good = std::fs::read(binaries::out_of_tree("bad")).unwrap();
    let half = &good[..good.len() / 2];
    let mut foreign_machine = good.clone();
    // `e_machine`, at offset 18 of every ELF file: 183 is AArch64.
    foreign_machine[18..20].copy_from_slice(&183_u16.to_le_bytes());
    let mut narrow = good.clone();
    // The class, at offset 4: 1 is 32 bits.
    narrow[4] = 1;
    let incomplete = format!("is an incomplete file ({} of ", half.len());

    let cases = [
        ("missing", folder.path().join("nowhere.so"), "does not exist"),
        ("folder", put_folder("folder.so"), "is not a file"),
        ("empty", put("empty.so", b""), "is not a shared library (it is empty)"),
        ("text", put("text.so", b"hello, I am a text\n"), "is not a shared library (first bytes \"hell\")"),
        ("truncated", put("truncated.so", half), &incomplete),
        ("header", put("header.so", &good[..40]), "is an incomplete file (40 of "),
        ("foreign", put("foreign.so", &foreign_library()), "is not a Kuzzle plugin (no entry symbol)"),
        ("program", put("program.so", &program), "is not a Kuzzle plugin (no entry symbol)"),
        (
            "machine",
            put("machine.so", &foreign_machine),
            "is built for aarch64, this host is x86_64; rebuild with --target",
        ),
        ("narrow", put("narrow.so", &narrow), "is built for 32 bits"),
    ];
    let line = free_port();
    let declared: String = cases.iter().map(|(name, path, _)| instance(name, path, free_port())).collect();
    let server = ServerOptions::with_plugins(declared + &lines(line)).start();
    server.wait_for_state("lines", "running");
    let load = NumberedLoad::over_lines(local(line));
    for (name, path, reason) in &cases {
        let status = server.wait_for_state(name, "failed");
        assert_reason(&status, name, &[reason, &path.display().to_string()]);
    }
    load.wait_for_more();
    load.finish();
}

#[test]
fn plugins_of_another_contract_are_refused_by_name() {
    let cases = [
        ("garbled-manifest", vec!["has a manifest that cannot be read"]),
        ("other-major", vec!["built with plugin-api 2.0, this host speaks 1.x (1.0)", "rebuild it with"]),
        ("other-draft", vec!["draft `0123456789abcdef`", "rebuild it with"]),
        ("changed-struct", vec!["plugin-api says 1.0 but its types differ", "was plugin-api patched?"]),
        ("panic-abort", vec!["built with panic = \"abort\": a panic would stop the host"]),
    ];
    check_refusals(&cases);
}

#[test]
fn plugins_that_fail_to_start_are_contained() {
    let cases = [
        ("refuses-to-start", vec!["the valve is stuck; oil it"]),
        ("panic-in-start", vec!["`start` panicked: on purpose: panic-in-start"]),
        ("panic-in-check-settings", vec!["`check_settings` panicked: on purpose: panic-in-check-settings"]),
    ];
    check_refusals(&cases);
}

fn check_refusals(cases: &[(&str, Vec<&str>)]) {
    let line = free_port();
    let bad = |way: &str, port| instance(way, &binaries::out_of_tree(&format!("bad-{way}")), port);
    let ports: Vec<u16> = cases.iter().map(|_| free_port()).collect();
    let declared: String = cases.iter().zip(&ports).map(|((way, _), port)| bad(way, *port)).collect();
    let server = ServerOptions::with_plugins(declared + &lines(line)).start();
    server.wait_for_state("lines", "running");
    let loads = [NumberedLoad::over_rest(server.rest()), NumberedLoad::over_lines(local(line))];
    for ((way, reasons), port) in cases.iter().zip(ports) {
        let status = server.wait_for_state(way, "failed");
        assert_reason(&status, way, reasons);
        // What failed holds no port.
        wait_until_free(port);
    }
    loads.iter().for_each(NumberedLoad::wait_for_more);
    for load in loads {
        load.finish();
    }
}

#[test]
fn plugins_that_panic_while_they_run_or_stop_are_contained() {
    let ways = [
        "panic-in-describe",
        "panic-in-service",
        "panic-in-drain",
        "panic-in-stop",
        "panic-in-release",
        "panic-in-thread",
        "leaks-listener",
    ];
    let line = free_port();
    let ports: Vec<u16> = ways.iter().map(|_| free_port()).collect();
    let declared = |enabled: bool| -> String {
        let bad =
            |(way, port): (&&str, &u16)| instance(way, &binaries::out_of_tree(&format!("bad-{way}")), *port);
        let all: String = ways.iter().zip(&ports).map(bad).collect();
        all.replace("enabled = true", &format!("enabled = {enabled}")) + &lines(line)
    };
    let server = ServerOptions::with_plugins(declared(true)).start();
    server.wait_for_state("lines", "running");
    let loads = [NumberedLoad::over_rest(server.rest()), NumberedLoad::over_lines(local(line))];
    for (way, port) in ways.iter().zip(&ports) {
        server.wait_for_state(way, "running");
        drop(
            TcpStream::connect(local(*port)).unwrap_or_else(|error| panic!("{way} does not listen: {error}")),
        );
    }
    // Off and on, twice: whatever panicked, the port is free and the next generation starts.
    for _ in 0..2 {
        server.save_plugins(&declared(false));
        for (way, port) in ways.iter().zip(&ports) {
            server.wait_for_state(way, "stopped");
            wait_until_free(*port);
        }
        server.save_plugins(&declared(true));
        for way in ways {
            server.wait_for_state(way, "running");
        }
    }
    loads.iter().for_each(NumberedLoad::wait_for_more);
    for load in loads {
        load.finish();
    }
}

#[test]
fn a_start_that_never_returns_holds_up_nobody() {
    let (port, line) = (free_port(), free_port());
    let bad = instance("stuck", &binaries::out_of_tree("bad-never-returns-from-start"), port);
    let mut server = ServerOptions::with_plugins(bad + &lines(line)).start();
    server.wait_for_state("lines", "running");
    let load = NumberedLoad::over_lines(local(line));
    let status = server.wait_for_state("stuck", "failed");
    assert_reason(&status, "stuck", &["not return"]);
    assert_eq!(status.get("retryAt"), Some(&Value::Null), "each try would cost a thread: {status}");
    wait_until_free(port);
    load.wait_for_more();
    load.finish();
    // And the server still stops when it is told to.
    assert!(server.stop().success(), "{}", server.log());
}

#[test]
fn a_stop_that_never_returns_holds_up_nobody() {
    let (port, line) = (free_port(), free_port());
    let bad = instance("stuck", &binaries::out_of_tree("bad-never-returns-from-stop"), port);
    let server = ServerOptions::with_plugins(bad + &lines(line)).start();
    server.wait_for_state("lines", "running");
    server.wait_for_state("stuck", "running");
    let load = NumberedLoad::over_lines(local(line));
    server.set_enabled("stuck", false);
    wait_until_free(port);
    server.wait_for_state("stuck", "stopped");
    load.wait_for_more();
    // It can be had again.
    server.set_enabled("stuck", true);
    server.wait_for_state("stuck", "running");
    load.finish();
}

#[test]
fn a_port_that_is_taken_is_reported_and_had_once_it_is_free() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let line = free_port();
    let clash = instance("clash", &binaries::out_of_tree("bad"), port);
    let server = ServerOptions::with_plugins(clash + &lines(line)).start();
    server.wait_for_state("lines", "running");
    let load = NumberedLoad::over_lines(local(line));
    let status = server.wait_for_state("clash", "failed");
    assert_reason(&status, "clash", &[&format!("cannot listen on `127.0.0.1:{port}`"), "taken"]);
    load.wait_for_more();
    drop(taken);
    // It is tried again by itself.
    server.wait_for_state("clash", "running");
    load.finish();
}

#[test]
fn a_plugin_that_failed_is_tried_at_once_when_its_file_changes() {
    let folder = TempDir::new();
    let library = folder.path().join("libmine.so");
    std::fs::write(&library, "not yet").unwrap();
    let port = free_port();
    let server = ServerOptions::with_plugins(instance("mine", &library, port)).start();
    let status = server.wait_for_state("mine", "failed");
    assert_reason(&status, "mine", &["is not a shared library"]);
    kuzzle_tests::files::replace(&library, &std::fs::read(binaries::out_of_tree("bad")).unwrap());
    server.wait_for_state("mine", "running");
    // A bad file over a running one: the old build goes on.
    kuzzle_tests::files::replace(&library, b"broken again");
    let mut server = server;
    server.wait_for_log(0, &["is not a shared library"]);
    drop(TcpStream::connect(local(port)).expect("the old build still listens"));
}

/// A shared library that is no plugin: one that the machine has anyway.
fn foreign_library() -> Vec<u8> {
    let folders =
        ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];
    let found = folders.iter().map(|folder| Path::new(folder).join("libm.so.6")).find(|path| path.is_file());
    found.map(|path: PathBuf| std::fs::read(path).unwrap()).unwrap_or_else(|| {
        cannot_run("there is no libm.so.6 to stand for a foreign library");
        Vec::new()
    })
}

fn assert_reason(status: &Value, name: &str, texts: &[&str]) {
    let reason = status["reason"].as_str().unwrap_or_else(|| panic!("`{name}` gives no reason: {status}"));
    assert!(!reason.contains('\n'), "one line: {reason:?}");
    for text in texts {
        assert!(reason.contains(text), "`{name}`: {text:?} is not in {reason:?}");
    }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn wait_until_free(port: u16) {
    wait_for(&format!("port {port} to be free"), || TcpListener::bind(local(port)).ok());
}

#[test]
fn every_way_of_failing_is_tested() {
    let manifest =
        std::fs::read_to_string(kuzzle_tests::repository().join("tests/plugins/bad/Cargo.toml")).unwrap();
    let manifest: toml_edit::DocumentMut = manifest.parse().unwrap();
    let tests = std::fs::read_to_string(kuzzle_tests::repository().join("tests/bad_plugins.rs")).unwrap();
    for (way, _) in manifest["features"].as_table().unwrap() {
        assert!(tests.contains(&format!("\"{way}\"")) || tests.contains(&format!("bad-{way}")), "{way}");
    }
}
