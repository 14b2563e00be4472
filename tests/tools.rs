//! The commands over documents and the data directory: export, import, backup, restore, check.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kuzzle_tests::process::Process;
use kuzzle_tests::server::{amqp, free_port, mqtt};
use kuzzle_tests::{
    HttpClient, Server, ServerOptions, TempDir, binaries, cannot_run, curl, run_for_text, wait_for,
};
use serde_json::{Value, json};

/// A command of the program, told where this server is.
fn command(server: &Server, arguments: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", "120"]).arg(binaries::host()).env_remove("KUZZLE_BIN_DIR");
    command.arg("--config").arg(server.folder().join("kuzzle.toml")).args(arguments);
    command.current_dir(server.folder());
    command
}

/// A command that needs no server, for a data directory.
fn offline(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binaries::host());
    command.env_remove("KUZZLE_BIN_DIR").arg("--data").arg(data).args(arguments);
    command
}

/// What a command that must fail said, and its exit code.
fn failed(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(!status.success(), "{command:?} succeeded: {}", String::from_utf8_lossy(&stdout));
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

fn ok(server: &Server, method: &str, path: &str, body: Option<Value>) -> Value {
    let body = body.map(|body| body.to_string());
    let answer = server.request(method, &format!("/api/1.0{path}"), body.as_deref());
    assert!(answer.status == 200, "{method} {path}: {}", answer.text());
    answer.json()["result"].clone()
}

fn document(n: usize) -> Value {
    json!({"n": n, "price": 1.50, "name": format!("driver é {n}"), "filling": "x".repeat(120)})
}

/// Fills a collection by imports of a thousand documents.
fn fill(server: &Server, index: &str, collection: &str, count: usize) {
    let mut http = HttpClient::connect(server.rest()).unwrap();
    for from in (0..count).step_by(1_000) {
        let numbers = from..(from + 1_000).min(count);
        let lines: Vec<Value> =
            numbers.flat_map(|n| [json!({"index": {"_id": format!("{n:06}")}}), document(n)]).collect();
        let path = format!("/api/1.0/{index}/{collection}/_bulk");
        let answer = http.request("POST", &path, Some(&Value::from(lines).to_string())).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// An index with all that an export has to carry.
fn build(server: &Server) {
    fill(server, "nyc", "taxi", 2_500);
    ok(server, "PUT", "/nyc/empty", None);
    let mapping = json!({"properties": {"plate": {"type": "string", "index": "not_analyzed"}}});
    ok(server, "PUT", "/nyc/cars/_mapping", Some(mapping));
    for id in ["a/b", "\"quoted\"", "ü", "{\"index\":{}}"] {
        let path = format!("/nyc/cars/{}", kuzzle_encoded(id));
        ok(server, "PUT", &path, Some(json!({"plate": "A B", "index": {"_id": "1"}})));
    }
    ok(server, "POST", "/nyc/_autoRefresh", Some(json!({"autoRefresh": true})));
    ok(server, "PUT", "/other/things/1", Some(json!({"not": "exported"})));
}

fn kuzzle_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Exports an index into a file of the server's folder; returns it with its mappings.
fn exported(server: &Server, index: &str, name: &str) -> (String, Value) {
    run_for_text(&mut command(server, &["export", index, "--file", name]));
    let file = server.folder().join(name);
    let mappings = read(&server.folder().join(format!("{name}.mappings.json")));
    (read(&file), serde_json::from_str(&mappings).unwrap())
}

#[test]
fn an_index_is_exported_and_imported_into_another_server() {
    let server = ServerOptions::default().start();
    build(&server);
    let said = run_for_text(&mut command(&server, &["export", "nyc"]));
    assert!(said.contains("2504 document(s) of index `nyc` are in `nyc.ndjson`"), "{said}");
    let file = server.folder().join("nyc.ndjson");
    let (lines, mappings) = (read(&file), read(&server.folder().join("nyc.ndjson.mappings.json")));
    assert_eq!(lines.lines().count(), 2 * 2_504);
    assert!(lines.contains("\"price\":1.5"), "numbers come as they are stored");
    assert!(!server.folder().join("nyc.ndjson.partial").exists());
    let (code, said) = failed(&mut command(&server, &["export", "nyc"]));
    assert!(code == Some(2) && said.contains("there already"), "{said}");

    let other = ServerOptions::default().start();
    let said = run_for_text(&mut command(&other, &["import", file.to_str().unwrap()]));
    assert!(said.starts_with("2504 action(s) of"), "{said}");
    assert!(!server.folder().join("nyc.ndjson.progress").exists());
    let (again, mappings_again) = exported(&other, "nyc", "again");
    assert!(again == lines, "the same documents, byte for byte");
    assert_eq!(mappings_again, serde_json::from_str::<Value>(&mappings).unwrap());
    assert_eq!(ok(&other, "GET", "/nyc/_autoRefresh", None), true);
    assert_eq!(
        ok(&other, "GET", "/nyc/_listCollections/stored", None)["collections"]["stored"],
        json!(["cars", "empty", "taxi"])
    );

    // Under another name, from standard output to standard input, and one collection alone.
    let said = run_for_text(&mut command(&other, &["import", file.to_str().unwrap(), "--index", "copy"]));
    assert!(said.starts_with("2504 action(s)"), "{said}");
    let (copy, _) = exported(&other, "copy", "copy");
    assert!(copy == lines.replace("\"_index\":\"nyc\"", "\"_index\":\"copy\""));
    let cars = run_for_text(&mut command(&server, &["export", "nyc", "--collection", "cars", "-o", "-"]));
    assert_eq!(cars.lines().count(), 8);
    let third = ServerOptions::default().start();
    kuzzle_tests::run_with_input(&mut command(&third, &["import", "-"]), cars.as_bytes());
    assert_eq!(run_for_text(&mut command(&third, &["export", "nyc", "-o", "-"])), cars);

    for (arguments, expected) in [
        (&["export", "none"][..], "there is no index `none`"),
        (&["export", "nyc", "--collection", "none", "-o", "-"], "index `nyc` has no collection `none`"),
        (&["import", "nowhere.ndjson"], "cannot read `nowhere.ndjson`"),
    ] {
        let (code, said) = failed(&mut command(&server, arguments));
        assert!(code == Some(2) && said.contains(expected), "{said}");
    }
}

#[test]
fn an_export_is_what_bulk_takes_from_curl() {
    let server = ServerOptions::default().start();
    build(&server);
    let (lines, _) = exported(&server, "nyc", "lines");
    let other =
        ServerOptions { config: "body_max_bytes = 4194304\n".to_owned(), ..ServerOptions::default() }.start();
    let data = format!("@{}", server.folder().join("lines").display());
    let url = other.url("/api/1.0/_bulk");
    for kind in ["application/x-ndjson", "application/json"] {
        let header = format!("Content-Type: {kind}");
        let answer = curl(None, &["-X", "POST", "-H", &header, "--data-binary", &data, &url]);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((&answer["status"], &answer["result"]["errors"]), (&json!(200), &json!(false)), "{kind}");
        assert_eq!(answer["result"]["items"].as_array().unwrap().len(), 2_504);
    }
    assert!(exported(&other, "nyc", "again").0 == lines);
}

/// Starts a command and kills it as soon as a file is there that it writes; tells whether it was cut off.
fn cut_off(command: Command, sign: &Path, result: &Path) -> bool {
    let mut process = Process::start(command);
    wait_for("the command to have begun", || {
        let begun = sign.metadata().is_ok_and(|found| found.len() > 0);
        (begun || result.exists() || process.ended().is_some()).then_some(())
    });
    process.kill();
    !result.exists() && sign.exists()
}

#[test]
fn interrupted_exports_and_imports_go_on_where_they_were() {
    const COUNT: usize = 30_000;
    let server = ServerOptions::default().start();
    fill(&server, "big", "c", COUNT);
    fill(&server, "big", "d", 10);
    let (whole, _) = exported(&server, "big", "whole.ndjson");
    let (partial, file) = (server.folder().join("cut.ndjson.partial"), server.folder().join("cut.ndjson"));
    let export = || command(&server, &["export", "big", "--file", "cut.ndjson"]);
    wait_for("an export to be cut off", || {
        let _ = std::fs::remove_file(&file);
        let _ = std::fs::remove_file(&partial);
        cut_off(export(), &partial, &file).then_some(())
    });
    // Torn in the middle of a line as well.
    let len = partial.metadata().unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&partial).unwrap().set_len(len - 7).unwrap();
    let said = run_for_text(&mut export());
    assert!(
        said.contains(&format!("{} document(s)", COUNT + 10)) && said.contains("of them before"),
        "{said}"
    );
    assert!(read(&file) == whole, "no document is missing or twice");
    // What is not the beginning of this export is left alone.
    std::fs::write(&partial, "{\"something\":\"else\"}\n{}\n").unwrap();
    std::fs::remove_file(&file).unwrap();
    let (code, said) = failed(&mut export());
    assert!(code == Some(2) && said.contains("is not the beginning of this export"), "{said}");

    let file = server.folder().join("whole.ndjson");
    let progress = server.folder().join("whole.ndjson.progress");
    let other = wait_for("an import to be cut off", || {
        let _ = std::fs::remove_file(&progress);
        let other = ServerOptions::default().start();
        let import = command(&other, &["import", file.to_str().unwrap()]);
        let done = other.folder().join("never");
        cut_off(import, &progress, &done).then_some(other)
    });
    let (code, said) = failed(&mut command(&other, &["import", file.to_str().unwrap(), "--index", "x"]));
    assert!(code == Some(2) && said.contains("with another `--index`"), "{said}");
    let said = run_for_text(&mut command(&other, &["import", file.to_str().unwrap()]));
    assert!(
        said.starts_with(&format!("{} action(s)", COUNT + 10)) && said.contains("of them before"),
        "{said}"
    );
    assert!(!progress.exists());
    assert!(exported(&other, "big", "again").0 == whole);
}

#[test]
fn what_is_refused_is_told_with_its_line_and_the_rest_is_imported() {
    let server = ServerOptions::default().start();
    let file = server.folder().join("mixed.ndjson");
    let long = "y".repeat(2 << 20);
    let lines = [
        r#"{"index":{"_index":"i","_type":"c","_id":"1"}}"#,
        r#"{"n":1}"#,
        r#"{"create":{"_index":"i","_type":"c","_id":"1"}}"#,
        r#"{"n":2}"#,
        "",
        r#"{"index":{"_index":"i","_type":"c","_id":"2"}}"#,
        r#"{"n":"no number"}"#,
        r#"{"index":{"_index":"i","_type":"c","_id":"3"}}"#,
        r#"{"n":3"#,
        r#"{"index":{"_index":"i","_type":"c","_id":"4"}}"#,
        &format!("{{\"long\":\"{long}\"}}"),
        r#"{"index":{"_index":"i","_type":"c","_id":"5","_score":1}}"#,
        r#"{"n":5}"#,
        r#"{"update":{"_index":"i","_type":"c","_id":"1"}}"#,
        r#"{"doc":{"more":true}}"#,
        r#"{"delete":{"_index":"i","_type":"c","_id":"none"}}"#,
        r#"{"index":{"_index":"i","_type":"c","_id":"6"}}"#,
        r#"{"n":6}"#,
    ];
    std::fs::write(&file, lines.join("\n")).unwrap();
    let (code, said) = failed(&mut command(&server, &["import", "mixed.ndjson"]));
    assert_eq!(code, Some(1), "{said}");
    let told: Vec<&str> = said.lines().filter(|line| line.starts_with("line ")).collect();
    let expected = [
        ("line 3: document `1`", "already exists"),
        ("line 6: document `2`", "mapper_parsing_exception"),
        ("line 8: document `3`", "not JSON"),
        ("line 10: document `4`", "rest.body_max_bytes"),
        ("line 12: document `5`", "_score"),
        ("line 16: document `none`", "Not Found"),
    ];
    assert_eq!(told.len(), expected.len(), "{said}");
    for ((line, reason), told) in expected.iter().zip(told) {
        assert!(told.starts_with(line) && told.contains(reason), "{line}: {told}");
    }
    assert!(said.contains("3 action(s) of `mixed.ndjson` are imported; 6 refused"), "{said}");
    assert_eq!(ok(&server, "GET", "/i/c/1", None)["_source"], json!({"n": 1, "more": true}));
    assert_eq!(ok(&server, "GET", "/i/c/6", None)["_source"], json!({"n": 6}));

    // A file that is none stops the import where it is none.
    std::fs::write(&file, format!("{}\n{}\nnonsense\n", lines[0], lines[1])).unwrap();
    let (code, said) = failed(&mut command(&server, &["import", "mixed.ndjson"]));
    assert!(
        code == Some(2) && said.contains("line 3: it is not JSON") && said.contains("1 action(s)"),
        "{said}"
    );
    std::fs::remove_file(server.folder().join("mixed.ndjson.progress")).unwrap();
    std::fs::write(server.folder().join("mixed.ndjson.mappings.json"), "{\"i\":{\"mapping\":{}}}").unwrap();
    let (code, said) = failed(&mut command(&server, &["import", "mixed.ndjson"]));
    assert!(code == Some(2) && said.contains("nothing was imported"), "{said}");

    let (nobody, nothing) = (free_port(), free_port());
    let mut unanswered =
        command(&server, &["--set", &format!("rest.listen=127.0.0.1:{nobody}"), "import", "-"]);
    let (code, said) = failed(unanswered.stdin(std::fs::File::open(&file).unwrap()));
    assert!(code == Some(1) && said.contains("no server answers"), "{said}");
    let listen = format!("rest.listen=127.0.0.1:{nothing}");
    let (code, said) = failed(&mut command(&server, &["--set", &listen, "export", "i"]));
    assert!(code == Some(1) && said.contains("no server answers"), "{said}");
}

#[test]
fn a_bar_is_shown_on_a_terminal_alone() {
    let server = ServerOptions::default().start();
    fill(&server, "i", "c", 3_000);
    let run = |arguments: &str| {
        let config = server.folder().join("kuzzle.toml");
        let line = format!("{} --config {} {arguments}", binaries::host().display(), config.display());
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).current_dir(server.folder());
        command.env_remove("KUZZLE_BIN_DIR").env("TERM", "xterm");
        run_for_text(&mut command)
    };
    for (arguments, sign) in [
        ("export i --file shown", "documents"),
        ("import shown --index j", "[\u{2588}"),
        ("backup shown-backup", "the server makes the backup"),
    ] {
        let shown = run(arguments);
        assert!(shown.contains(sign) && shown.contains('\u{1b}'), "{arguments}: {shown:?}");
    }
    for arguments in [
        &["export", "i", "--file", "plain"][..],
        &["import", "plain", "--index", "j"],
        &["backup", "plain-backup"],
    ] {
        let Output { status, stdout, stderr } = command(&server, arguments).output().unwrap();
        assert!(status.success());
        assert_eq!(String::from_utf8_lossy(&stderr), "", "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&stdout).lines().count(), 1, "{arguments:?}");
    }
}

/// Writes documents until told to stop; each writer notes how many of its own were answered.
fn write_on(server: &Server, writer: usize, done: &AtomicBool, answered: &AtomicU64) {
    let mut http = HttpClient::connect(server.rest()).unwrap();
    for n in 0u64.. {
        if done.load(Ordering::Relaxed) {
            return;
        }
        let path = format!("/api/1.0/load/writer{writer}/{n:06}");
        let answer = http.request("PUT", &path, Some(&json!({"n": n}).to_string())).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answered.store(n + 1, Ordering::Release);
    }
}

#[test]
fn a_backup_under_load_has_all_that_was_answered_and_is_restored() {
    const WRITERS: usize = 4;
    let mut server = ServerOptions::default().start();
    build(&server);
    std::fs::create_dir(server.folder().join("data/security")).unwrap();
    std::fs::write(server.folder().join("data/security/secret"), "s3cret").unwrap();
    let (exported_before, mappings) = exported(&server, "nyc", "before");
    let backup = server.folder().join("backup");
    let done = AtomicBool::new(false);
    let answered: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
    let before: Vec<u64> = std::thread::scope(|scope| {
        for (writer, answered) in answered.iter().enumerate() {
            let (server, done) = (&server, &done);
            scope.spawn(move || write_on(server, writer, done, answered));
        }
        wait_for("writes", || answered.iter().all(|it| it.load(Ordering::Acquire) > 100).then_some(()));
        let before = answered.iter().map(|it| it.load(Ordering::Acquire)).collect();
        let said = run_for_text(&mut command(&server, &["backup", "backup"]));
        assert!(said.contains("everything is in `"), "{said}");
        done.store(true, Ordering::Relaxed);
        before
    });
    assert!(!server.folder().join("backup.partial").exists());
    assert!(!backup.join("plugins").exists() && !backup.join("documents/index").exists());
    let said = run_for_text(&mut offline(&backup, &["check"]));
    assert!(said.contains("nothing is damaged"), "{said}");

    let folder = TempDir::new();
    let data = folder.path().join("restored");
    let said = run_for_text(&mut offline(&data, &["restore", backup.to_str().unwrap()]));
    assert!(said.contains("is restored into"), "{said}");
    assert_eq!(read(&data.join("security/secret")), "s3cret");
    let said = run_for_text(&mut offline(&data, &["check"]));
    assert!(said.contains("nothing is damaged"), "{said}");
    // The one that was backed up goes on.
    assert!(server.stop().success());
    let restored = ServerOptions { data: Some(data.clone()), ..ServerOptions::default() }.start();
    assert!(exported(&restored, "nyc", "after") == (exported_before, mappings));
    for (writer, before) in before.iter().enumerate() {
        let lines = run_for_text(&mut command(
            &restored,
            &["export", "load", "--collection", &format!("writer{writer}"), "-o", "-"],
        ));
        let found: BTreeMap<String, u64> = lines
            .lines()
            .collect::<Vec<_>>()
            .chunks(2)
            .map(|pair| {
                let [action, source] =
                    [pair[0], pair[1]].map(|it| serde_json::from_str::<Value>(it).unwrap());
                (action["index"]["_id"].as_str().unwrap().to_owned(), source["n"].as_u64().unwrap())
            })
            .collect();
        assert!(found.len() as u64 >= *before, "writer {writer}: {} of {before}", found.len());
        let expected: BTreeMap<String, u64> =
            (0..found.len() as u64).map(|n| (format!("{n:06}"), n)).collect();
        assert!(found == expected, "writer {writer}: no document without those before it");
    }

    // Neither a directory in use nor one that holds something is restored into.
    let (code, said) = failed(&mut offline(&data, &["restore", backup.to_str().unwrap()]));
    assert!(code == Some(2) && said.contains(&format!("locked by process {}", restored.id())), "{said}");
    let (code, said) = failed(&mut offline(&data, &["check"]));
    assert!(code == Some(2) && said.contains("stop that server"), "{said}");
    drop(restored);
    let (code, said) = failed(&mut offline(&data, &["restore", backup.to_str().unwrap()]));
    assert!(code == Some(2) && said.contains("not empty"), "{said}");

    // One that was cut off keeps a server from starting, and is begun anew.
    let cut = folder.path().join("cut");
    std::fs::create_dir_all(cut.join("restore.partial/documents")).unwrap();
    std::fs::create_dir(cut.join("broker")).unwrap();
    let ended = ServerOptions { data: Some(cut.clone()), ..ServerOptions::default() }.run_to_end();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.code() == Some(1) && said.contains("a restore that was cut off"), "{said}");
    let (code, said) = failed(&mut offline(&cut, &["check"]));
    assert!(code == Some(2) && said.contains("cut off"), "{said}");
    run_for_text(&mut offline(&cut, &["restore", backup.to_str().unwrap()]));
    assert!(!cut.join("restore.partial").exists());
    run_for_text(&mut offline(&cut, &["check"]));

    // What was changed in a backup is found before anything is restored.
    let fresh = folder.path().join("fresh");
    flip(&backup.join("documents/documents.redb"));
    let (code, said) = failed(&mut offline(&fresh, &["restore", backup.to_str().unwrap()]));
    assert!(
        code == Some(2) && said.contains("`documents/documents.redb` does not have the checksum"),
        "{said}"
    );
    std::fs::remove_file(backup.join("broker/root")).unwrap();
    let (_, said) = failed(&mut offline(&fresh, &["restore", backup.to_str().unwrap()]));
    assert!(said.contains("`broker/root` cannot be read"), "{said}");
    std::fs::write(backup.join("BACKUP"), r#"{"format": 99}"#).unwrap();
    let (_, said) = failed(&mut offline(&fresh, &["restore", backup.to_str().unwrap()]));
    assert!(said.contains("has format 99"), "{said}");
    std::fs::write(
        backup.join("BACKUP"),
        r#"{"format":1,"version":"","made_at_ms":0,"files":[{"path":"../x","bytes":0,"sha256":""}]}"#,
    )
    .unwrap();
    let (_, said) = failed(&mut offline(&fresh, &["restore", backup.to_str().unwrap()]));
    assert!(said.contains("`../x`, which would lie elsewhere"), "{said}");
    std::fs::remove_file(backup.join("BACKUP")).unwrap();
    let (_, said) = failed(&mut offline(&fresh, &["restore", backup.to_str().unwrap()]));
    assert!(said.contains("is no backup"), "{said}");
    assert!(!fresh.exists(), "nothing was made");
}

/// Changes a byte in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_backup_that_cannot_be_made_leaves_nothing_behind() {
    let server = ServerOptions::default().start();
    fill(&server, "i", "c", 5_000);
    let folder = TempDir::new();
    let place = |name: &str| folder.path().join(name).display().to_string();
    std::fs::create_dir(folder.path().join("there")).unwrap();
    std::fs::create_dir(folder.path().join("left.partial")).unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let inside = server.folder().join("data/inside").display().to_string();
    for (to, code, expected) in [
        (place("there"), 2, "it is there already"),
        (place("left"), 2, "left of a backup that was cut off"),
        (place("nowhere/deep"), 2, "No such file or directory"),
        (place("file/below"), 1, "Not a directory"),
        (inside, 2, "in the data directory itself"),
        ("/proc/none".to_owned(), 1, "cannot make `/proc/none.partial`"),
    ] {
        let (found, said) = failed(&mut command(&server, &["backup", &to]));
        assert!(found == Some(code) && said.contains(expected), "{to}: {said}");
    }
    let relative = server.request("POST", "/api/1.0/_server/backup", Some(r#"{"directory":"here"}"#));
    assert!(relative.status == 409 && relative.error().contains("no absolute path"), "{}", relative.text());

    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=6m", "kuzzle-test"]).arg(folder.path().join("there"));
    if !mount.output().is_ok_and(|output| output.status.success()) {
        return cannot_run("a small disk cannot be mounted: not root");
    }
    let _mounted = Mounted(folder.path().join("there"));
    let (code, said) = failed(&mut command(&server, &["backup", &place("there/full")]));
    assert!(code == Some(1) && said.to_lowercase().contains("no space left"), "{said}");
    assert!(said.contains("nothing of the backup is left"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path().join("there")).unwrap().count(), 0);
    // The server goes on, and so do backups.
    run_for_text(&mut command(&server, &["backup", &place("good")]));
    // A disk that is full leaves the data directory as it was.
    let data = folder.path().join("there/data");
    let (code, said) = failed(&mut offline(&data, &["restore", &place("good")]));
    assert!(code == Some(1) && said.contains("nothing of it is left"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path().join("there")).unwrap().count(), 0);
}

#[test]
fn a_backup_is_given_up_with_the_command() {
    let mut server = ServerOptions::default().start();
    fill(&server, "i", "c", 20_000);
    let (partial, whole) = (server.folder().join("backup.partial"), server.folder().join("backup"));
    wait_for("a backup to be cut off", || {
        let _ = std::fs::remove_dir_all(&whole);
        let mut process = Process::start(command(&server, &["backup", "backup"]));
        wait_for("the backup to have begun", || {
            (partial.exists() || whole.exists() || process.ended().is_some()).then_some(())
        });
        process.kill();
        wait_for("nothing of it to be left", || (!partial.exists()).then_some(()));
        (!whole.exists()).then_some(())
    });
    server.wait_for_log(0, &["no backup was made", "given up"]);
    // It does not keep the server from stopping, either.
    let mut process = Process::start(command(&server, &["backup", "backup"]));
    wait_for("the backup to have begun", || (partial.exists() || whole.exists()).then_some(()));
    assert!(server.stop().success(), "{}", server.log());
    assert!(!partial.exists());
    process.wait();
}

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _done = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn durable_messages_and_retained_ones_come_back() {
    let (amqp_port, mqtt_port) = (free_port(), free_port());
    let plugins = format!("{}{}", amqp(amqp_port), mqtt(mqtt_port));
    let mut server = ServerOptions::with_plugins(plugins.clone()).start();
    let url = format!("amqp://localhost:{amqp_port}");
    let tool =
        |name: &str, arguments: &[&str]| run_for_text(Command::new(name).args(["-u", &url]).args(arguments));
    let mosquitto = |name: &str, line: &str| {
        let line = format!("exec timeout -s KILL 60 {name} -h 127.0.0.1 -p {mqtt_port} {line}");
        run_for_text(Command::new("bash").args(["-euc", &line]))
    };
    server.wait_for_state("amqp", "running");
    server.wait_for_state("mqtt", "running");
    tool("amqp-declare-queue", &["-q", "orders", "-d"]);
    for n in 0..5 {
        tool("amqp-publish", &["-r", "orders", "-p", "-b", &format!("order {n}")]);
    }
    assert_eq!(tool("amqp-get", &["-q", "orders"]), "order 0");
    mosquitto("mosquitto_pub", "-q 1 -r -t sensors/kitchen -m 21.5");
    run_for_text(&mut command(&server, &["backup", "backup"]));
    // What comes later is not in it.
    mosquitto("mosquitto_pub", "-q 1 -r -t sensors/kitchen -m 30");
    let backup = server.folder().join("backup");
    let said = run_for_text(&mut offline(&backup, &["check"]));
    assert!(said.contains("broker: 5 message(s), 1 of them retained"), "{said}");
    assert!(server.stop().success());
    let data = server.folder().join("restored");
    run_for_text(&mut offline(&data, &["restore", backup.to_str().unwrap()]));

    let restored = ServerOptions { data: Some(data), ..ServerOptions::with_plugins(plugins) }.start();
    restored.wait_for_state("amqp", "running");
    restored.wait_for_state("mqtt", "running");
    for n in 1..5 {
        assert_eq!(tool("amqp-get", &["-q", "orders"]), format!("order {n}"));
    }
    assert_eq!(mosquitto("mosquitto_sub", "-t 'sensors/#' -C 1 -v").trim(), "sensors/kitchen 21.5");
}

#[test]
fn a_check_tells_good_directories_from_damaged_ones() {
    let mut server = ServerOptions::default().start();
    fill(&server, "i", "c", 3_000);
    let data = server.folder().join("data");
    let (code, said) = failed(&mut offline(&data, &["check"]));
    assert!(code == Some(2) && said.contains(&format!("locked by process {}", server.id())), "{said}");
    // As a crash leaves it, and after a stop in good order.
    server.kill();
    let said = run_for_text(&mut offline(&data, &["check"]));
    assert!(said.contains("3000 document(s) in 1 collection(s) of 1 index(es)"), "{said}");
    assert!(said.contains("broker: 0 message(s)") && said.contains("nothing is damaged"), "{said}");
    server.start_again();
    assert_eq!(ok(&server, "GET", "/i/c/002999", None)["_source"]["n"], 2_999);
    assert!(server.stop().success());
    run_for_text(&mut offline(&data, &["check"]));

    let copy = |name: &str| {
        let to = server.folder().join(name);
        run_for_text(Command::new("cp").arg("-r").arg(&data).arg(&to));
        to
    };
    let damaged = copy("documents-damaged");
    let store = damaged.join("documents/documents.redb");
    let mut bytes = std::fs::read(&store).unwrap();
    // A letter of a document, which is JSON as before: only the checksum of its page knows.
    let word = "driver é 1234\"".as_bytes();
    let at = bytes.windows(word.len()).position(|it| it == word).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&store, bytes).unwrap();
    let (code, said) = failed(&mut offline(&damaged, &["check"]));
    assert!(code == Some(1) && said.contains("damage: documents.redb"), "{said}");
    assert!(said.contains("there is damage: restore a backup"), "{said}");

    let damaged = copy("broker-damaged");
    let segment = std::fs::read_dir(damaged.join("broker")).unwrap().map(|entry| entry.unwrap().path());
    let segment = segment.filter(|path| path.to_string_lossy().contains("segment-")).min().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[30] = 0xff;
    bytes[100] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let (code, said) = failed(&mut offline(&damaged, &["check"]));
    assert!(code == Some(1) && said.contains("damage: "), "{said}");

    let (code, said) = failed(&mut offline(&server.folder().join("nothing"), &["check"]));
    assert!(code == Some(2) && said.contains("there are none"), "{said}");
    assert!(!server.folder().join("nothing").exists(), "nothing was made");
}
