//! On real files.

use serde_json::json;

use super::*;

/// A directory of its own, gone with the value.
struct TemporaryDirectory(std::path::PathBuf);

impl TemporaryDirectory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kuzzle-documents-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn documents_and_names_outlive_a_restart() {
    let directory = TemporaryDirectory::new("restart");
    let path = directory.0.join("deep/data");
    let documents = Documents::open(&path, Options::default()).unwrap();
    put(&documents, "a", json!({"n": 1})).unwrap();
    let last = put(&documents, "a", json!({"n": 2})).unwrap();
    wait(documents.write(Write::CreateIndex { index: "empty".into() })).unwrap();
    drop(documents);
    let documents = Documents::open(&path, Options::default()).unwrap();
    let found = documents.get("index", "collection", "a").unwrap().unwrap();
    assert_eq!((found.version, found.sequence), (2, last.sequence));
    assert_eq!(documents.indexes(), ["empty", "index"]);
    assert_eq!(documents.collections("empty").unwrap(), Vec::<String>::new());
    assert!(put(&documents, "b", json!({})).unwrap().sequence > last.sequence);
    let health = documents.health();
    assert_eq!(health.unwritable, None);
    assert!(health.used_bytes > 0 && health.free_bytes.unwrap() > 0);
}

#[test]
fn a_directory_is_open_once() {
    let directory = TemporaryDirectory::new("lock");
    let documents = Documents::open(&directory.0, Options::default()).unwrap();
    let message = Documents::open(&directory.0, Options::default()).map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        message,
        format!(
            "cannot open the documents in `{}`: locked by process {}; stop that server or choose another data directory",
            directory.0.display(),
            std::process::id()
        )
    );
    documents.close();
    Documents::open(&directory.0, Options::default()).unwrap();
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error() {
    let directory = TemporaryDirectory::new("file");
    std::fs::write(&directory.0, b"a file").unwrap();
    let message = Documents::open(&directory.0, Options::default()).map(|_| ()).unwrap_err().to_string();
    assert!(message.starts_with("cannot create the data directory `"), "{message}");
    std::fs::remove_file(&directory.0).unwrap();
}

#[test]
fn many_writers_and_readers_agree() {
    let directory = TemporaryDirectory::new("many");
    let documents =
        Documents::open(&directory.0, Options { journal_bytes: 256 << 10, ..Options::default() }).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..6u64 {
            let documents = &documents;
            scope.spawn(move || {
                for n in 0..300u64 {
                    put(documents, &format!("own-{writer}"), json!({ "n": n, "bulk": "x".repeat(300) }))
                        .unwrap();
                    assert_eq!(
                        source(documents, &format!("own-{writer}")).unwrap()["n"],
                        n,
                        "one reads what one wrote"
                    );
                    put(documents, "shared", json!({ "writer": writer })).unwrap();
                }
            });
        }
    });
    assert_eq!(documents.get("index", "collection", "shared").unwrap().unwrap().version, 1_800);
    for writer in 0..6 {
        let found = documents.get("index", "collection", &format!("own-{writer}")).unwrap().unwrap();
        assert_eq!(found.version, 300);
    }
}
