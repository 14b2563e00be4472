//! The plugin manager.

pub(crate) mod declaration;
pub(crate) mod machine;
