//! The binary contract between kuzzle-host and its protocol plugins, and the kit to write one.
