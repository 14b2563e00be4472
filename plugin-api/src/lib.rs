//! The binary contract between kuzzle-host and its protocol plugins, and the kit to write one.
//!
//! - [`abi`] is the contract: what crosses between a host and a plugin that were built apart, perhaps by different
//!   compilers. It is the only part whose shape is frozen.
//! - [`sdk`] is the authoring kit over it: a plugin's author writes a safe trait and one macro call.
//! - `proxy` carries every call of the contract as bytes.
//!
//! The crate depends on nothing else of this project, so that a plugin is built from it alone.

pub mod abi;
#[cfg(feature = "proxy")]
pub mod proxy;
#[cfg(feature = "sdk")]
pub mod sdk;

// What the exporting macros name, so that a plugin depends on this crate alone.
#[doc(hidden)]
pub use abi_stable as __abi_stable;
