//! From a protocol to a library that a host can load.

use std::marker::PhantomData;

use super::{Protocol, Settings, instance};
use crate::abi::{
    ApiError, HostRef, Instance, ModuleCalls, PluginInfo, PluginModuleRef, SettingsProblem, StartArguments,
};

/// What the exporting macro says of a plugin.
#[doc(hidden)]
pub trait Identity: 'static {
    /// Name of the plugin.
    const NAME: &'static str;
    /// Its version.
    const VERSION: &'static str;
    /// Name of the protocol in the API.
    const LABEL: &'static str;
    /// Whether the plugin is a library of its own, with a panic hook and a `tracing` of its own.
    const IS_LIBRARY: bool;
}

/// The module of a protocol.
#[doc(hidden)]
pub struct Module<P, I>(PhantomData<fn() -> (P, I)>);

impl<P: Protocol, I: Identity> ModuleCalls for Module<P, I> {
    fn describe() -> PluginInfo {
        PluginInfo { name: I::NAME.into(), version: I::VERSION.into(), label: I::LABEL.into() }
    }

    fn check_settings(settings: &str) -> Vec<SettingsProblem> {
        match P::Settings::check(settings) {
            Ok(settings) => P::check(&settings),
            Err(problems) => problems,
        }
    }

    fn start(host: HostRef, arguments: StartArguments) -> Result<Instance, ApiError> {
        instance::start::<P>(host, &arguments, I::IS_LIBRARY)
    }
}

/// The module of a protocol that is linked into the program, as a test does. The program keeps its panic hook and its
/// `tracing` subscriber for its own threads.
#[must_use]
pub const fn linked_module<P: Protocol>() -> PluginModuleRef {
    crate::abi::module_of::<Module<P, Linked>>()
}

struct Linked;

impl Identity for Linked {
    const NAME: &'static str = "linked";
    const VERSION: &'static str = "0.0.0";
    const LABEL: &'static str = "linked";
    const IS_LIBRARY: bool = false;
}

/// Makes a library of the crate: the host finds the [`Protocol`](crate::sdk::Protocol) in it.
///
/// - `name`: the plugin's name, such as `mqtt`;
/// - `label`: the protocol's name in responses, notifications and statistics, such as `mq`; not unique;
/// - the version is that of the crate.
///
/// Once per crate, which has `crate-type = ["cdylib"]` and is built with `panic = "unwind"`.
///
/// ```ignore
/// kuzzle_plugin_api::export_plugin!(Lines, name = "lines", label = "lines");
/// ```
#[macro_export]
macro_rules! export_plugin {
    ($protocol:ty, name = $name:literal, label = $label:literal $(,)?) => {
        const _: () = {
            struct Exported;

            impl $crate::sdk::Identity for Exported {
                const NAME: &'static str = $name;
                const VERSION: &'static str = env!("CARGO_PKG_VERSION");
                const LABEL: &'static str = $label;
                const IS_LIBRARY: bool = true;
            }

            const SCHEMA: &str =
                <<$protocol as $crate::sdk::Protocol>::Settings as $crate::sdk::Settings>::SCHEMA;
            const LENGTH: usize =
                $crate::sdk::manifest::<0>($name, env!("CARGO_PKG_VERSION"), $label, SCHEMA).length();
            const MANIFEST: $crate::sdk::Text<LENGTH> =
                $crate::sdk::manifest::<LENGTH>($name, env!("CARGO_PKG_VERSION"), $label, SCHEMA);

    $crate::__export_module!($crate::sdk::Module<$protocol, Exported>, MANIFEST.as_str());
        };
    };
}
