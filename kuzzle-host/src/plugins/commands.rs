//! The commands `kuzzle-host plugins ...`: looking at `plugins.toml` and editing it from the shell.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item};

use super::declaration::{Declarations, Source};
use super::library::{SearchPath, inspect as inspect_file};
use super::{ConfigErrors, Plan, Problem, closest};
use crate::table;

/// Why a command failed: what to print.
#[derive(Debug)]
pub struct CommandError {
    text: String,
    is_unknown: bool,
}

impl CommandError {
    fn new(text: String) -> Self {
        Self { text, is_unknown: false }
    }

    /// Whether it is that no protocol of that name is declared.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.is_unknown
    }
}

impl std::fmt::Display for CommandError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for CommandError {}

impl From<ConfigErrors> for CommandError {
    fn from(errors: ConfigErrors) -> Self {
        Self::new(errors.to_string())
    }
}

/// One row of [`list`].
#[derive(Debug)]
struct Row {
    name: String,
    is_enabled: bool,
    plugin: String,
    listen: String,
    state: String,
}

/// A table of what `file` declares; `state_of` tells the state of an instance in the running server, where one runs.
///
/// # Errors
///
/// When the file cannot be used.
pub fn list(
    file: &Path,
    plugin_dirs: &[PathBuf],
    state_of: impl Fn(&str) -> Option<String>,
) -> Result<String, CommandError> {
    let declarations = Declarations::read(file)?;
    let search = SearchPath::new(plugin_dirs);
    let row = |instance: &super::declaration::Declaration| {
        let found = search.find(&instance.source).and_then(|path| inspect_file(&path));
        let listen: Vec<String> = instance.listen.iter().map(|it| it.address.to_string()).collect();
        Row {
            name: instance.name.clone(),
            is_enabled: instance.enabled,
            plugin: match found {
                Ok((manifest, _)) => format!("{} {}", manifest.name, manifest.version),
                Err(reason) => reason,
            },
            listen: listen.join(" "),
            state: state_of(&instance.name).unwrap_or_else(|| "-".to_owned()),
        }
    };
    let rows: Vec<Row> = declarations.instances.iter().map(row).collect();
    Ok(table(&rows))
}

fn table(rows: &[Row]) -> String {
    let titles = ["protocol", "enabled", "state", "listen", "plugin"].map(str::to_owned).to_vec();
    let cells = rows.iter().map(|row| {
        let enabled = if row.is_enabled { "yes" } else { "no" };
        [&row.name, enabled, &row.state, &row.listen, &row.plugin].map(str::to_owned).to_vec()
    });
    table::aligned(&std::iter::once(titles).chain(cells).collect::<Vec<_>>())
}

/// Switches an instance on or off by editing `file`, whose comments and layout stay. A running server that watches the file
/// applies it. Returns what was done.
///
/// # Errors
///
/// When the file cannot be used or written, has no such instance, or would be wrong afterwards.
pub fn set_enabled(file: &Path, name: &str, enabled: bool) -> Result<String, CommandError> {
    let declarations = Declarations::read(file)?;
    let word = if enabled { "enabled" } else { "disabled" };
    let known = declarations.instances.iter().map(|instance| instance.name.as_str());
    let Some(instance) = declarations.instances.iter().find(|instance| instance.name == name) else {
        let hint = closest(name, known.clone(), "protocol");
        let all: Vec<String> = known.map(|name| format!("`{name}`")).collect();
        let hint = hint.unwrap_or_else(|| format!("it declares {}", all.join(", ")));
        let text = format!("`{}` declares no protocol `{name}`; {hint}", file.display());
        return Err(CommandError { text, is_unknown: true });
    };
    if instance.enabled == enabled {
        return Ok(format!("`{name}` is {word} already in `{}`", file.display()));
    }
    let text = declarations.text();
    let unwritable = |error: &dyn std::fmt::Display| {
        CommandError::new(format!("cannot write plugins file `{}`: {error}", file.display()))
    };
    let mut document: DocumentMut = text.parse().map_err(|error| unwritable(&error))?;
    let table = document.get_mut("protocols").and_then(Item::as_table_like_mut);
    let table = table.and_then(|it| it.get_mut(name)).and_then(Item::as_table_like_mut);
    let Some(table) = table else { return Err(unwritable(&"its table cannot be edited")) };
    match table.get_mut("enabled").and_then(Item::as_value_mut) {
        // The comment behind the value belongs to it.
        Some(value) => {
            let decor = value.decor().clone();
            *value = enabled.into();
            *value.decor_mut() = decor;
        }
        None => drop(table.insert("enabled", toml_edit::value(enabled))),
    }
    let edited = document.to_string();
    Declarations::parse(file, edited.as_str().into())?;
    replace(file, &edited).map_err(|error| unwritable(&error))?;
    Ok(format!("`{name}` is now {word} in `{}`", file.display()))
}

/// Checks `file` as a starting server would, and also the settings of instances that are not enabled: loads every
/// plugin that it names into this process. Copies of them go below `state`. Returns what was found.
///
/// # Errors
///
/// With everything that is wrong, also with plugins that cannot be loaded.
pub fn check(file: &Path, plugin_dirs: &[PathBuf], state: &Path) -> Result<String, CommandError> {
    let plan = Plan::read(file, false, plugin_dirs, state)?;
    plan.check_all()?;
    let mut found = String::new();
    let mut refused = Vec::new();
    for instance in &plan.declarations().instances {
        match plan.libraries().load(&instance.source) {
            Ok(library) => {
                let manifest = &library.manifest;
                let _ = writeln!(found, "`{}`: {} {}, fine", instance.name, manifest.name, manifest.version);
            }
            Err(reason) => {
                let message = format!("`{}`: {reason}", instance.name);
                refused.push(Problem::at(instance.source_span.clone(), message));
            }
        }
    }
    if !refused.is_empty() {
        return Err(plan.declarations().errors(refused).into());
    }
    let count = plan.declarations().instances.len();
    let _ = write!(found, "`{}` is fine: {count} protocol(s)", file.display());
    Ok(found)
}

/// What a plugin's file says about itself, as JSON; none of its code runs. `which` is a file, or the name of a plugin that
/// is looked for as `plugins.toml` does.
///
/// # Errors
///
/// When there is no such file, or it is no plugin.
pub fn inspect(which: &str, plugin_dirs: &[PathBuf]) -> Result<String, CommandError> {
    let path = Path::new(which);
    let path = if path.is_file() || which.contains(std::path::MAIN_SEPARATOR) {
        path.to_owned()
    } else {
        SearchPath::new(plugin_dirs).find(&Source::Plugin(which.to_owned())).map_err(CommandError::new)?
    };
    let (manifest, hash) = inspect_file(&path).map_err(CommandError::new)?;
    let usable = manifest.refusal();
    let mut shown = serde_json::json!(manifest);
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("file".to_owned(), path.display().to_string().into());
        shown.insert("sha256".to_owned(), hash.into());
        shown.insert("usable".to_owned(), usable.is_none().into());
        shown.insert("refusal".to_owned(), usable.into());
    }
    serde_json::to_string_pretty(&shown).map_err(|error| CommandError::new(error.to_string()))
}

/// Puts a whole new file in place of the old one, so that whoever reads sees one or the other.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let target = std::fs::canonicalize(file)?;
    let draft = target.with_extension(format!("toml.{}", std::process::id()));
    let permissions = std::fs::metadata(&target)?.permissions();
    std::fs::write(&draft, text)?;
    std::fs::set_permissions(&draft, permissions)?;
    std::fs::rename(&draft, &target).inspect_err(|_| {
        // What could not take its place is in the way.
        let _ = std::fs::remove_file(&draft);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> PathBuf {
        let file = std::env::temp_dir().join(format!("kuzzle-commands-{}.toml", uuid::Uuid::new_v4()));
        std::fs::write(&file, text).unwrap();
        file
    }

    #[test]
    fn switching_keeps_everything_else() {
        let text = "# Who.\n[protocols.a] # one\nplugin = \"a\"\nenabled = true # for now\n\n[protocols.b]\nplugin = \"b\"\n# end\n";
        let file = file(text);
        set_enabled(&file, "a", false).unwrap();
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            text.replace("enabled = true", "enabled = false")
        );
        assert!(set_enabled(&file, "a", false).unwrap().contains("already"));
        set_enabled(&file, "b", false).unwrap();
        let edited = std::fs::read_to_string(&file).unwrap();
        assert!(edited.contains("plugin = \"b\"\nenabled = false\n"), "{edited}");
        let unknown = set_enabled(&file, "aa", true).unwrap_err().to_string();
        assert!(unknown.contains("no protocol `aa`"), "{unknown}");
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn the_table_lines_up() {
        let row = |name: &str, is_enabled| Row {
            name: name.into(),
            is_enabled,
            plugin: "p 1".into(),
            listen: "127.0.0.1:1".into(),
            state: "-".into(),
        };
        let text = table(&[row("a", true), row("longer", false)]);
        assert_eq!(
            text,
            "protocol  enabled  state  listen       plugin\n\
             a         yes      -      127.0.0.1:1  p 1\n\
             longer    no       -      127.0.0.1:1  p 1\n"
        );
    }
}
