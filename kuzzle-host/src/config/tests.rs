use super::keys::KEYS;
use super::*;
use std::path::PathBuf;

fn with_file(text: &str) -> (PathBuf, Result<(Config, Vec<String>), ConfigProblems>) {
    let file = std::env::temp_dir().join(format!("kuzzle-config-{}.toml", uuid::Uuid::new_v4()));
    std::fs::write(&file, text).unwrap();
    let result = load(&Sources { file: Some(file.clone()), ..Sources::default() });
    std::fs::remove_file(&file).unwrap();
    (file, result)
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_printed_sample_is_a_valid_file_that_changes_nothing() {
    let (_, result) = with_file(&sample());
    assert_eq!(result.unwrap().0, Config::default());
    for key in KEYS {
        assert!((key.assign)(&mut Config::default(), &key.default.parse().unwrap()).is_ok(), "{}", key.name);
        assert!(key.meaning.iter().all(|line| line.starts_with(' ')), "{}", key.name);
    }
    assert_eq!(Config::default().rest_listen.len(), 2);
    assert_eq!(Config::default().data_cache.0, 8 << 20);
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let file = std::env::temp_dir().join(format!("kuzzle-config-{}.toml", uuid::Uuid::new_v4()));
    std::fs::write(&file, "[data]\ndir = \"file\"\nsync = \"os\"\ncache_mib = 3\n").unwrap();
    let sources = Sources {
        file: Some(file.clone()),
        environment: pairs(&[
            ("KUZZLE_DATA_DIR", "environment"),
            ("KUZZLE_DATA_CACHE_MIB", "4"),
            ("KUZZLE_REST_LISTEN", "127.0.0.1:1, [::1]:2"),
            ("KUZZLE_PLUGINS_FILE", "127.0.0.1"),
            ("KUZZLE_SOMETHING", "x"),
            ("PATH", "y"),
        ]),
        flags: pairs(&[("data.dir", "flag")]),
    };
    let (config, unknown) = load(&sources).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(config.data_dir, PathBuf::from("flag"));
    assert_eq!(config.data_cache.0, 4 << 20);
    assert_eq!(config.data_sync, SyncChoice::Os);
    assert_eq!(config.rest_listen, ["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()]);
    assert_eq!(unknown, ["KUZZLE_SOMETHING"]);
}

#[test]
fn every_problem_is_told_with_its_place() {
    let text = "[rest]\nlisen = []\nbody_max_bytes = 0\nlisten = [\"localhost\"]\n[dta]\nx = 1\n[log]\nformat = \"xml\"\n";
    let (file, result) = with_file(text);
    let shown = result.unwrap_err().to_string();
    let at = |line: u32, column: u32| format!("  --> {}:{line}:{column}\n", file.display());
    for expected in [
        "error: unknown key `lisen` in [rest]\n",
        &at(2, 1),
        "closest known key: `listen`",
        "error: `rest.body_max_bytes` is 0, expected 1 to 1073741824\n",
        &at(3, 18),
        "error: `rest.listen` has `localhost`, expected an IP address and a port",
        "error: unknown table `dta`\n",
        "closest known table: `data`",
        "error: `log.format` is `xml`, expected `human`, `json`\n",
        "5 errors in the configuration file; nothing was started",
    ] {
        assert!(shown.contains(expected), "{expected}\nin\n{shown}");
    }
}

#[test]
fn problems_outside_the_file_name_their_source() {
    let sources = Sources {
        environment: pairs(&[("KUZZLE_REST_CONNECTIONS_MAX", "many")]),
        flags: pairs(&[("data.dri", "x"), ("rest.key", "k.pem")]),
        ..Sources::default()
    };
    let shown = load(&sources).unwrap_err().to_string();
    for expected in [
        "error: environment variable `KUZZLE_REST_CONNECTIONS_MAX` is `many`, expected a whole number\n",
        "error: flag for unknown key `data.dri`; closest known key: `data.dir`\n",
        "error: `rest.certificate` and `rest.key` go together",
    ] {
        assert!(shown.contains(expected), "{expected}\nin\n{shown}");
    }
}
