//! The page `docs/errors.md`, made from the registry of errors.

/// The page's text.
pub fn errors_page() -> String {
    format!(
        "# Errors\n\n\
         Every error that leaves the server has a stable id, a status (an HTTP status code, on every protocol) and a\n\
         message. This page is made from the registry in `kuzzle-host/model/src/error.rs` by `make docs`; a test fails\n\
         when it is not current.\n\n{}\n",
        kuzzle_model::errors_as_markdown().trim_end()
    )
}
