//! Having plugins check the settings that a file declares for them, before anything is touched.

use std::collections::BTreeSet;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use kuzzle_plugin_api::abi::SettingsProblem;
use kuzzle_plugin_api::proxy::Loopback;

use super::super::declaration::{Declaration, Declarations, Isolation, Problem};
use super::super::library::{Libraries, Library};
use super::super::machine::PREPARE_DEADLINE;

/// What a plugin that panicked while it checked begins its one problem with: no fault of the settings.
const PANICKED: &str = "`check_settings` panicked";

/// Every problem that plugins have with the settings of those instances that `which` picks.
///
/// A plugin that cannot be loaded, panics or does not come back has no say here: its instance fails by itself, and
/// that is no fault of the file. Blocks for the time that a plugin may take to load.
pub(super) fn settings(
    declarations: &Declarations,
    libraries: &Arc<Libraries>,
    which: impl Fn(&Declaration) -> bool,
) -> Vec<Problem> {
    let chosen: Vec<&Declaration> = declarations.instances.iter().filter(|it| which(it)).collect();
    let (sender, answers) = mpsc::channel();
    let mut waiting = BTreeSet::new();
    for instance in &chosen {
        let (libraries, sender, asked) = (Arc::clone(libraries), sender.clone(), (*instance).clone());
        let check = move || {
            let found = libraries.load(&asked.source).map(|library| of_one(&library, &asked));
            // Nobody listens any more once the time is up.
            let _ = sender.send((asked.name, found.unwrap_or_default()));
        };
        if std::thread::Builder::new().name("plugin-check".to_owned()).spawn(check).is_ok() {
            waiting.insert(instance.name.clone());
        }
    }
    drop(sender);
    let deadline = Instant::now() + PREPARE_DEADLINE;
    let mut problems = Vec::new();
    while !waiting.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok((name, found)) = answers.recv_timeout(left) else { break };
        waiting.remove(&name);
        let Some(instance) = chosen.iter().find(|instance| instance.name == name) else { continue };
        let faults = found.iter().filter(|problem| !is_panic(problem));
        problems.extend(
            faults.map(|fault| declarations.settings_problem(instance, &fault.pointer, &fault.message)),
        );
    }
    problems
}

/// What one loaded plugin says of the settings of one instance.
pub(super) fn of_one(library: &Library, instance: &Declaration) -> Vec<SettingsProblem> {
    let settings = serde_json::Value::Object(instance.settings.clone()).to_string();
    match instance.isolation {
        Isolation::None => (library.module.check_settings())(settings.as_str().into()).into_iter().collect(),
        Isolation::Loopback => Loopback::new(library.module).check_settings(&settings),
    }
}

fn is_panic(problem: &SettingsProblem) -> bool {
    problem.pointer.is_empty() && problem.message.starts_with(PANICKED)
}
