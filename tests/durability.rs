//! What was answered is kept: over a restart, over `kill -9` among many writers, over a full disk.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use kuzzle_tests::{Answer, Server, ServerOptions, TempDir, cannot_run, run_for_text, wait_for};
use serde_json::{Value, json};

#[test]
fn documents_survive_a_restart() {
    let mut server = ServerOptions::default().start();
    for number in 0..100 {
        let path = format!("/api/1.0/kept/docs/{number}");
        assert_eq!(server.request("PUT", &path, Some(&format!("{{\"n\":{number}}}"))).status, 200);
    }
    assert_eq!(server.request("PUT", "/api/1.0/kept/docs/7", Some(r#"{"n":7777}"#)).status, 200);
    assert_eq!(server.request("DELETE", "/api/1.0/kept/docs/8", None).status, 200);
    assert_eq!(server.request("PUT", "/api/1.0/kept/empty", None).status, 200);

    let status = server.stop();
    assert!(status.success(), "a server that is told to stop ends well: {status}\n{}", server.log());
    server.start_again();

    let seven = server.request("GET", "/api/1.0/kept/docs/7", None).json();
    assert_eq!((&seven["result"]["_version"], &seven["result"]["_source"]["n"]), (&json!(2), &json!(7777)));
    assert_eq!(server.request("GET", "/api/1.0/kept/docs/8", None).status, 404);
    assert_eq!(server.request("GET", "/api/1.0/kept/docs/99", None).json()["result"]["_source"]["n"], 99);
    let collections = server.request("GET", "/api/1.0/kept/_listCollections/stored", None).json();
    assert_eq!(collections["result"]["collections"]["stored"], json!(["docs", "empty"]));
}

/// The last answer that each document's only writer got: its version and number.
type Answered = Mutex<BTreeMap<String, (u64, u64)>>;

#[test]
fn no_answered_write_is_lost_when_the_server_is_killed() {
    let answered: Answered = Mutex::default();
    let numbers = AtomicU64::new(0);
    let mut server = ServerOptions::default().start();
    for round in 1..=5 {
        let wanted = numbers.load(Ordering::Relaxed) + 300;
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let (server, answered, numbers) = (&server, &answered, &numbers);
                scope.spawn(move || write_until_it_breaks(server, writer, numbers, answered));
            }
            wait_for("writes to be answered", || (numbers.load(Ordering::Relaxed) >= wanted).then_some(()));
            // In the middle of everything.
            run_for_text(Command::new("kill").arg("-KILL").arg(server.id().to_string()));
        });
        server.kill();
        server.start_again();
        let answered = answered.lock().unwrap();
        for (path, (version, number)) in answered.iter() {
            let found = server.request("GET", path, None).json();
            // A write that was under way may have been stored; it was newer.
            let stored = (found["result"]["_version"].as_u64(), found["result"]["_source"]["n"].as_u64());
            assert!(
                stored >= (Some(*version), Some(*number)),
                "round {round}: {path} was answered version {version} with {number}, found {found}"
            );
        }
        assert!(answered.len() >= 8, "every writer was answered");
    }
}

fn write_until_it_breaks(server: &Server, writer: u32, numbers: &AtomicU64, answered: &Answered) {
    let Ok(mut http) = kuzzle_tests::HttpClient::connect(server.rest()) else { return };
    for turn in 0_u64.. {
        let path = format!("/api/1.0/crash/writer{writer}/{}", turn % 20);
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let Ok(answer) = http.request("PUT", &path, Some(&format!("{{\"n\":{number}}}"))) else { return };
        assert_eq!(answer.status, 200, "{}", answer.text());
        let version = answer.json()["result"]["_version"].as_u64().unwrap();
        answered.lock().unwrap().insert(path, (version, number));
    }
}

#[test]
fn a_full_disk_stops_writes_and_nothing_else() {
    let folder = TempDir::new();
    let Some(_disk) = SmallDisk::mount(&folder) else {
        return cannot_run("a small disk cannot be mounted: not root");
    };
    let data = folder.path().join("data");
    let ballast = folder.path().join("ballast");
    std::fs::write(&ballast, vec![7; 64 << 20]).unwrap();
    let server = ServerOptions { data: Some(data), ..ServerOptions::default() }.start();
    let id = server.id();
    let body = json!({ "text": "x".repeat(60_000) }).to_string();
    let write = |number: u32| server.request("PUT", &format!("/api/1.0/full/docs/{number}"), Some(&body));

    let mut stored = 0;
    let refused: Answer = loop {
        let answer = write(stored);
        if answer.status != 200 {
            break answer;
        }
        stored += 1;
        assert!(stored < 10_000, "the disk does not get full");
    };
    assert!(stored > 0, "{}", refused.text());
    assert_eq!(refused.status, 503, "{}", refused.text());
    let reason = refused.error();
    assert!(reason.to_lowercase().contains("space"), "it says what is the matter: {reason}");
    // More of them: still refused or stored, never anything else.
    for number in 0..20 {
        let status = write(stored + number).status;
        assert!(status == 503 || status == 200, "{status}");
    }

    // Reads go on.
    for number in 0..stored {
        let found = server.request("GET", &format!("/api/1.0/full/docs/{number}"), None);
        assert_eq!(found.status, 200, "document {number}: {}", found.text());
    }
    assert_eq!(server.request("GET", "/api/1.0/full/_listCollections/stored", None).status, 200);
    let engine = || -> Value {
        server.request("GET", "/api/_serverInfo", None).json()["result"]["serverInfo"]["services"]["writeEngine"].clone()
    };
    assert_eq!(engine()["status"], "red", "{}", engine());

    // Space returns, and with it the writes: no restart.
    std::fs::remove_file(&ballast).unwrap();
    wait_for("writes to work again", || (write(100_000).status == 200).then_some(()));
    assert_eq!(server.id(), id);
    wait_for("the engine to say so", || (engine()["status"] == "green").then_some(()));
    for number in 0..stored {
        assert_eq!(server.request("GET", &format!("/api/1.0/full/docs/{number}"), None).status, 200);
    }
}

#[test]
fn two_servers_do_not_share_a_data_directory() {
    let server = ServerOptions::default().start();
    let second =
        ServerOptions { data: Some(server.folder().join("data")), ..ServerOptions::default() }.run_to_end();
    let said =
        String::from_utf8_lossy(&second.stderr).into_owned() + &String::from_utf8_lossy(&second.stdout);
    assert!(!second.status.success(), "{said}");
    assert!(said.contains(&format!("locked by process {}", server.id())), "it says who has it: {said}");
    assert_eq!(server.request("GET", "/api/1.0", None).status, 200);
}

#[test]
fn data_of_a_newer_server_is_refused() {
    let mut server = ServerOptions::default().start();
    assert_eq!(server.request("PUT", "/api/1.0/i/c/x", Some(r#"{"a":1}"#)).status, 200);
    assert!(server.stop().success());
    let data = server.folder().join("data");
    let format = find_file(&data, "format").expect("the data directory has a file that names its format");
    let text = std::fs::read_to_string(&format).unwrap();
    let newer: String = text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    std::fs::write(&format, newer).unwrap();
    let refused = ServerOptions { data: Some(data), ..ServerOptions::default() }.run_to_end();
    let said =
        String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
    assert!(!refused.status.success() && said.contains("format"), "{said}");
    std::fs::write(&format, text).unwrap();
    server.start_again();
    assert_eq!(server.request("GET", "/api/1.0/i/c/x", None).status, 200);
}

fn find_file(folder: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = find_file(&path, name) {
                return Some(found);
            }
        } else if entry.file_name().to_string_lossy().to_lowercase().contains(name) {
            return Some(path);
        }
    }
    None
}

/// A file system of 128 MiB over a folder, unmounted when dropped: room for the ballast, the journal, the reserve that
/// takes what the journal holds, and some documents.
struct SmallDisk<'a>(&'a TempDir);

impl<'a> SmallDisk<'a> {
    fn mount(folder: &'a TempDir) -> Option<Self> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=128m,mode=0700", "kuzzle-test"]).arg(folder.path());
        let mounted = command.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // Lazily: the server may not have gone yet.
        let _done = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}
