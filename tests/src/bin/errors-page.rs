//! Prints `docs/errors.md`.

use std::io::Write;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(kuzzle_tests::errors_page::errors_page().as_bytes())
}
