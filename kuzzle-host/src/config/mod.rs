//! The server's configuration: every key with its default, and where values come from.
//!
//! Precedence, highest first: flag, environment (`KUZZLE_<TABLE>_<KEY>`), file, default. A key is declared once, in
//! [`Config`]; parsing, checks, errors and the printed sample all derive from that declaration.

mod keys;
mod load;
mod value;

pub use keys::Config;
pub use load::{ConfigProblems, Sources, load};
pub use value::{LogFormat, Mebibytes, Milliseconds, Paths, Seconds, SyncChoice};

/// The whole configuration file with every key, its meaning, default and environment variable; itself a valid file.
#[must_use]
pub fn sample() -> String {
    use std::fmt::Write as _;
    let mut out = String::from(
        "# The configuration of kuzzle-host. Every key is optional and shown with its default.\n\
         # Precedence: flag, environment, this file, default.\n",
    );
    let mut table = "";
    for key in keys::KEYS {
        if key.table != table {
            table = key.table;
            // Writing to a string cannot fail.
            let _ = write!(out, "\n[{table}]\n");
        }
        for line in key.meaning {
            let _ = writeln!(out, "#{line}");
        }
        let _ = writeln!(out, "# Environment: {}", key.environment());
        let _ = writeln!(out, "{} = {}", key.name, key.default);
    }
    out
}

#[cfg(test)]
mod tests;
