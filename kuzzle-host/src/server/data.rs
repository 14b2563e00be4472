//! Where everything is kept.

use std::path::{Path, PathBuf};

/// What the folder is chosen by, where nobody names one.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The current folder.
    pub current: PathBuf,
    /// `STATE_DIRECTORY`, as a service manager sets it; the first of several.
    pub state_directory: Option<PathBuf>,
    /// `XDG_STATE_HOME`.
    pub xdg_state_home: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
}

/// Where the system's services keep their state.
const SYSTEM_STATE: &str = "/var/lib/kuzzle-host";
/// What the folder is called below a user's state.
const NAME: &str = "kuzzle-host";

/// The folder of everything that is kept: `named` if it is not empty; `data` in the current folder when that is a source
/// checkout; the folder that the service manager gives; the user's state folder; `/var/lib/kuzzle-host`.
#[must_use]
pub fn data_dir(named: &Path, surroundings: &Surroundings) -> PathBuf {
    if !named.as_os_str().is_empty() {
        return named.to_owned();
    }
    let current = &surroundings.current;
    if current.join("kuzzle-host/Cargo.toml").is_file() && current.join("Cargo.toml").is_file() {
        return current.join("data");
    }
    if let Some(folder) = &surroundings.state_directory {
        return folder.clone();
    }
    let users = surroundings.home.as_ref().map(|home| home.join(".local/state"));
    match surroundings.xdg_state_home.clone().filter(|path| path.is_absolute()).or(users) {
        Some(state) => state.join(NAME),
        None => PathBuf::from(SYSTEM_STATE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_wish_wins() {
        let mut surroundings = Surroundings { current: "/nonexistent".into(), ..Surroundings::default() };
        let dir = |named: &str, surroundings: &Surroundings| data_dir(Path::new(named), surroundings);
        assert_eq!(dir("x", &surroundings), Path::new("x"));
        assert_eq!(dir("", &surroundings), Path::new(SYSTEM_STATE));
        surroundings.home = Some("/home/u".into());
        assert_eq!(dir("", &surroundings), Path::new("/home/u/.local/state/kuzzle-host"));
        surroundings.xdg_state_home = Some("relative".into());
        assert_eq!(
            dir("", &surroundings),
            Path::new("/home/u/.local/state/kuzzle-host").parent().unwrap().join(NAME)
        );
        surroundings.xdg_state_home = Some("/state".into());
        assert_eq!(dir("", &surroundings), Path::new("/state/kuzzle-host"));
        surroundings.state_directory = Some("/var/lib/k".into());
        assert_eq!(dir("", &surroundings), Path::new("/var/lib/k"));
        surroundings.current = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
        assert_eq!(dir("", &surroundings), surroundings.current.join("data"));
    }
}
