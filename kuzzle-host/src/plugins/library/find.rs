//! Where the library of a plugin is.

use std::path::{Path, PathBuf};

use super::super::declaration::{Source, closest};

/// The folders in which plugins are looked for, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct SearchPath(Vec<PathBuf>);

impl SearchPath {
    /// Beside the executable first, then in `plugin_dirs`.
    pub(crate) fn new(plugin_dirs: &[PathBuf]) -> Self {
        let beside =
            std::env::current_exe().ok().and_then(|executable| executable.parent().map(Path::to_owned));
        let mut folders: Vec<PathBuf> = Vec::new();
        for folder in beside.into_iter().chain(plugin_dirs.iter().cloned()) {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        Self(folders)
    }

    /// The folders.
    pub(crate) fn folders(&self) -> &[PathBuf] {
        &self.0
    }

    /// The file of a plugin.
    ///
    /// # Errors
    ///
    /// On one line, when there is none, or when one folder has it under two names.
    pub(crate) fn find(&self, source: &Source) -> Result<PathBuf, String> {
        match source {
            Source::Path(path) if path.is_file() => Ok(path.clone()),
            Source::Path(path) if path.exists() => Err(format!("`{}` is not a file", path.display())),
            Source::Path(path) => Err(format!("`{}` does not exist", path.display())),
            Source::Plugin(name) => self.find_by_name(name),
        }
    }

    fn find_by_name(&self, name: &str) -> Result<PathBuf, String> {
        let names = file_names(name);
        for folder in &self.0 {
            let found: Vec<PathBuf> =
                names.iter().map(|name| folder.join(name)).filter(|path| path.is_file()).collect();
            match &found[..] {
                [] => {}
                [path] => return Ok(path.clone()),
                [first, second, ..] => {
                    return Err(format!(
                        "plugin `{name}` is ambiguous: both `{}` and `{}` exist; remove one, or name the file by `path`",
                        first.display(),
                        second.display()
                    ));
                }
            }
        }
        let folders: Vec<String> = self.0.iter().map(|folder| format!("`{}`", folder.display())).collect();
        let known = self.known();
        let hint = closest(name, known.iter().map(String::as_str), "plugin").map(|hint| format!("; {hint}"));
        let [short, long] = names;
        Err(format!(
            "there is no plugin `{name}`: neither `{short}` nor `{long}` is in {}{}",
            folders.join(", "),
            hint.unwrap_or_default()
        ))
    }

    /// Names of the plugins that would be found.
    fn known(&self) -> Vec<String> {
        let entries = self.0.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
        let names = entries.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let stem = name
                .strip_prefix(std::env::consts::DLL_PREFIX)?
                .strip_suffix(std::env::consts::DLL_SUFFIX)?;
            Some(stem.strip_prefix(LONG_PREFIX).unwrap_or(stem).to_owned())
        });
        names.take(KNOWN_MAX).collect()
    }
}

/// What cargo makes of the package name `kuzzle-protocol-<name>`.
const LONG_PREFIX: &str = "kuzzle_protocol_";
const KNOWN_MAX: usize = 1_000;

fn file_names(plugin: &str) -> [String; 2] {
    let stem = plugin.replace('-', "_");
    let file = |stem: &str| format!("{}{stem}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    [file(&stem), file(&format!("{LONG_PREFIX}{stem}"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> (PathBuf, SearchPath) {
        let folder = std::env::temp_dir().join(format!("kuzzle-find-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        for file in files {
            std::fs::write(folder.join(file), "").unwrap();
        }
        (folder.clone(), SearchPath(vec![PathBuf::from("/nonexistent"), folder]))
    }

    #[test]
    fn both_names_are_known_and_two_matches_are_refused() {
        let (dir, path) =
            folder(&["libone.so", "libkuzzle_protocol_two_a.so", "libsix.so", "libkuzzle_protocol_six.so"]);
        let find = |name: &str| path.find(&Source::Plugin(name.into()));
        assert_eq!(find("one").unwrap(), dir.join("libone.so"));
        assert_eq!(find("two-a").unwrap(), dir.join("libkuzzle_protocol_two_a.so"));
        let message = find("six").unwrap_err();
        assert!(message.contains("libsix.so` and `"), "{message}");
        let message = find("onne").unwrap_err();
        assert!(message.starts_with("there is no plugin `onne`: neither `libonne.so` nor"), "{message}");
        assert!(message.ends_with("; closest known plugin: `one`"), "{message}");
        let message = path.find(&Source::Path(dir.join("x.so"))).unwrap_err();
        assert!(message.ends_with("x.so` does not exist"), "{message}");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
