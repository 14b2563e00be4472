//! The command line.

mod broker;
mod export;
mod import;
mod offline;
mod running;

use std::fmt::Display;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use kuzzle_host::config::{self, Config, Sources};
use kuzzle_host::logging;
use kuzzle_host::plugins::commands;
use kuzzle_host::server::{self, Failure, Surroundings};
use running::Failed;

/// Exit code when what was asked for is wrong: nothing was started or changed.
const WRONG: u8 = 2;
/// Exit code when the machine or its files do not allow it.
const FAILED: u8 = 1;

/// A backend server that speaks one JSON API over many protocols.
///
/// REST is built in; other protocols are plugins, declared in plugins.toml and switched while the server runs.
#[derive(Debug, Parser)]
#[command(name = "kuzzle-host", version, about, args_conflicts_with_subcommands = false)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args, Debug)]
struct Options {
    /// The file that declares the protocols; saving it applies it.
    #[arg(long, value_name = "FILE", global = true)]
    plugins: Option<PathBuf>,
    /// The configuration file; see `kuzzle-host config print`.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The folder of everything that is kept.
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    /// Any key of the configuration.
    #[arg(long = "set", value_name = "TABLE.KEY=VALUE", global = true)]
    set: Vec<String>,
    /// How log lines are written: human or json.
    #[arg(long, value_name = "FORMAT", global = true)]
    log_format: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Looks at plugins.toml and edits it.
    Plugins {
        #[command(subcommand)]
        command: PluginsCommand,
    },
    /// Looks at the broker of the running server and manages it.
    Broker {
        #[command(subcommand)]
        command: broker::BrokerCommand,
    },
    /// Writes an index of the running server into a file of lines that `import` and `_bulk` take.
    Export(export::Export),
    /// Brings a file of such lines into the running server.
    Import(import::Import),
    /// Has the running server copy everything it keeps into a new folder.
    Backup(offline::Backup),
    /// Brings a backup back into an empty data directory, with no server running.
    Restore(offline::Restore),
    /// Reads everything in the data directory, or in a backup, and says what is damaged; with no server running.
    Check,
    /// Shows the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Subcommand)]
enum PluginsCommand {
    /// The declared protocols, with their state when a server runs on the same file.
    List,
    /// Switches a protocol on; a running server applies it at once.
    Enable {
        /// The name of its table.
        name: String,
    },
    /// Switches a protocol off; a running server applies it at once.
    Disable {
        /// The name of its table.
        name: String,
    },
    /// Checks the file and the settings in it; loads the plugins to ask them.
    Check,
    /// What a plugin's file says about itself; runs none of its code.
    Inspect {
        /// The file, or the name of a plugin.
        plugin: String,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// A configuration file with every key, its meaning and its default.
    Print,
}

/// Reads the command line and does what it says.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Command::Config { command: ConfigCommand::Print }) = &cli.command {
        return say(config::sample().trim_end());
    }
    let sources = match cli.options.sources() {
        Ok(sources) => sources,
        Err(problem) => return fail(WRONG, problem),
    };
    let (config, unknown) = match config::load(&sources) {
        Ok(loaded) => loaded,
        Err(problems) => return fail(WRONG, problems),
    };
    match cli.command {
        Some(Command::Plugins { command }) => plugins(command, &config),
        Some(Command::Broker { command }) => said(broker::run(command, &config.rest_listen)),
        Some(Command::Export(command)) => said(export::run(&command, &config.rest_listen)),
        Some(Command::Import(command)) => said(import::run(&command, &config)),
        Some(Command::Backup(command)) => said(offline::backup(&command, &config.rest_listen)),
        Some(Command::Restore(command)) => said(offline::restore(&command, &data_dir(&config))),
        Some(Command::Check) => said(offline::check(&data_dir(&config))),
        Some(Command::Config { .. }) | None => {
            let is_asked_for = config.plugins_file != Config::default().plugins_file;
            serve(&config, &unknown, cli.options.plugins.is_some() || is_asked_for)
        }
    }
}

impl Options {
    fn sources(&self) -> Result<Sources, String> {
        let mut flags = Vec::new();
        for pair in &self.set {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(format!("error: `--set {pair}` has no value, expected `--set TABLE.KEY=VALUE`"));
            };
            flags.push((name.trim().to_owned(), value.to_owned()));
        }
        let paths = [("plugins.file", &self.plugins), ("data.dir", &self.data)];
        for (name, path) in paths.into_iter().filter_map(|(name, path)| Some((name, path.as_ref()?))) {
            let Some(text) = path.to_str() else {
                return Err(format!("error: `{}` is not UTF-8, which paths must be", path.display()));
            };
            // As TOML, so that a path that looks like something else stays a path.
            flags.push((name.to_owned(), format!("{text:?}")));
        }
        flags.extend(self.log_format.iter().map(|format| ("log.format".to_owned(), format.clone())));
        // Variables that are not UTF-8 are none of ours.
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Ok(Sources { file: self.config.clone(), environment: environment.collect(), flags })
    }
}

fn serve(config: &Config, unknown: &[String], is_plugins_file_asked_for: bool) -> ExitCode {
    if let Err(error) = logging::start(&config.log_level, config.log_format) {
        return fail(WRONG, format!("error: {error}"));
    }
    for variable in unknown {
        tracing::warn!(variable, "environment variable names no key of the configuration");
    }
    match server::run(config, &data_dir(config), is_plugins_file_asked_for) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure @ Failure::Configuration(_)) => fail(WRONG, failure),
        Err(failure @ Failure::Environment(_)) => fail(FAILED, failure),
    }
}

fn plugins(command: PluginsCommand, config: &Config) -> ExitCode {
    let (file, dirs) = (&config.plugins_file, config.plugins_dirs.0.as_slice());
    let done = match command {
        PluginsCommand::List => {
            let states = running::states(&config.rest_listen, file);
            commands::list(file, dirs, |name| states.get(name).cloned())
        }
        PluginsCommand::Enable { name } => commands::set_enabled(file, &name, true),
        PluginsCommand::Disable { name } => commands::set_enabled(file, &name, false),
        PluginsCommand::Check => commands::check(file, dirs, &data_dir(config)),
        PluginsCommand::Inspect { plugin } => commands::inspect(&plugin, dirs),
    };
    match done {
        Ok(text) => say(text.trim_end()),
        Err(error) => fail(WRONG, error),
    }
}

fn data_dir(config: &Config) -> PathBuf {
    let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let first = |paths: PathBuf| std::env::split_paths(&paths).next();
    let surroundings = Surroundings {
        current: std::env::current_dir().unwrap_or_default(),
        state_directory: path("STATE_DIRECTORY").and_then(first),
        xdg_state_home: path("XDG_STATE_HOME"),
        home: path("HOME"),
    };
    server::data_dir(&config.data_dir, &surroundings)
}

/// Prints a result. A reader that has gone is no failure of the command.
fn say(text: &str) -> ExitCode {
    let _ = writeln!(std::io::stdout(), "{text}");
    ExitCode::SUCCESS
}

/// Prints what a command came to.
fn said(done: Result<String, Failed>) -> ExitCode {
    match done {
        // What went to standard output itself.
        Ok(text) if text.is_empty() => ExitCode::SUCCESS,
        Ok(text) => say(text.trim_end()),
        Err(failed) => failed_with(failed),
    }
}

fn failed_with(failed: Failed) -> ExitCode {
    match failed {
        Failed::Wrong(text) => fail(WRONG, text),
        Failed::Server(text) => fail(FAILED, text),
    }
}

fn fail(code: u8, problem: impl Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{problem}");
    ExitCode::from(code)
}
