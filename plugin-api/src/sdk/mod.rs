//! The authoring kit.

mod settings;

pub use settings::{Kind, Reader, Setting, Settings};
#[doc(hidden)]
pub use settings::{Text, manifest, object_schema};
