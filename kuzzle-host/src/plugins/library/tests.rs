use super::*;

fn state() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("kuzzle-libraries-{}", uuid::Uuid::new_v4()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_refused_file_is_named_and_leaves_nothing_behind() {
    let state = state();
    let file = state.join("x.so");
    fs::write(&file, "hello").unwrap();
    let libraries = Libraries::new(SearchPath::default(), &state);
    let Err(message) = libraries.load(&Source::Path(file.clone())) else { panic!() };
    let expected = format!("`{}` is not a shared library (first bytes \"hell\")", file.display());
    assert!(message.starts_with(&expected), "{message}");
    assert!(!state.join("plugins").exists());
    assert_eq!(libraries.loaded_builds(), 0);
    fs::remove_dir_all(state).unwrap();
}

#[test]
fn a_build_is_hashed_anew_only_when_its_file_changes() {
    let state = state();
    let file = state.join("x.so");
    fs::write(&file, "one").unwrap();
    let libraries = Libraries::new(SearchPath::default(), &state);
    let source = Source::Path(file.clone());
    let first = libraries.build(&source).unwrap();
    assert_eq!(first.len(), 64);
    assert_eq!(libraries.build(&source).unwrap(), first);
    fs::write(state.join("new"), "two").unwrap();
    fs::rename(state.join("new"), &file).unwrap();
    assert_ne!(libraries.build(&source).unwrap(), first);
    fs::remove_file(&file).unwrap();
    assert!(libraries.build(&source).unwrap_err().ends_with("does not exist"));
    fs::remove_dir_all(state).unwrap();
}

#[test]
fn a_copy_is_private_whole_and_made_once() {
    let state = state();
    let libraries = Libraries::new(SearchPath::default(), &state);
    let copy = libraries.copy("na/me", "0123456789abcdef0123", b"bytes").unwrap();
    assert_eq!(copy, state.join("plugins/name-0123456789abcdef.so"));
    assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o777, 0o500);
    let inode = fs::metadata(&copy).unwrap().ino();
    libraries.copy("na/me", "0123456789abcdef0123", b"bytes").unwrap();
    assert_eq!(fs::metadata(&copy).unwrap().ino(), inode);
    // What a crash left half written is replaced.
    fs::remove_file(&copy).unwrap();
    fs::write(&copy, b"by").unwrap();
    libraries.copy("na/me", "0123456789abcdef0123", b"bytes").unwrap();
    assert_eq!(fs::read(&copy).unwrap(), b"bytes");
    fs::remove_dir_all(state).unwrap();
}

#[test]
fn a_file_that_others_may_change_is_doubted() {
    use std::os::unix::fs::PermissionsExt as _;
    let state = state();
    let file = state.join("x.so");
    fs::write(&file, "one").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(doubts_about(&file).is_empty());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(doubts_about(&file), ["every user of this machine may change it"]);
    fs::remove_dir_all(state).unwrap();
}
