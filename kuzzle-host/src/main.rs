//! The program `kuzzle-host`: the command line over the server.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
