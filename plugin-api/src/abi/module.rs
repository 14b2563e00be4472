//! What a plugin library exports, and how a host gets at it.

use std::fmt;

use abi_stable::StableAbi;
use abi_stable::library::{AbiHeaderRef, RootModule};
use abi_stable::package_version_strings;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RResult, RStr, RString, RVec};

use super::{ApiError, HostRef, Instance, LayoutMismatch, check_layouts, guard};

/// Name of the static through which a host finds the [`PluginModule`] of a library.
pub const ENTRY_SYMBOL: &str = abi_stable::library::ROOT_MODULE_LOADER_NAME;

/// The root table of a plugin library.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModuleRef, prefix_fields = PluginModulePrefix)))]
#[sabi(missing_field(option))]
pub struct PluginModule {
    /// What the plugin is. Any thread, loaded. Never blocks, has no side effects. A panic answers with empty strings.
    pub describe: extern "C" fn() -> PluginInfo,

    /// Whether `settings`, a JSON object borrowed for the call, would do: every problem that it has, none when it would.
    /// Any thread, loaded; also while instances run. Has no side effects; may block for a moment, as to look at a file.
    /// A panic is answered as one problem at the root.
    pub check_settings: extern "C" fn(settings: RStr<'_>) -> RVec<SettingsProblem>,

    /// Starts an instance: returns once its accept loops run. Any thread, loaded; instances of one library may start,
    /// run and stop at the same time and share the library's statics. May block, as to make threads or read a
    /// certificate; a start that does not return within the host's deadline costs a thread and is not tried again. On
    /// failure, nothing of the instance stays behind. Ownership of `host` goes to the plugin.
    #[sabi(last_prefix_field)]
    pub start: extern "C" fn(host: HostRef, arguments: StartArguments) -> RResult<Instance, ApiError>,
}

impl RootModule for PluginModuleRef {
    abi_stable::declare_root_module_statics! {PluginModuleRef}
    const BASE_NAME: &'static str = "kuzzle_plugin";
    const NAME: &'static str = "kuzzle plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// What a plugin says it is.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, Default)]
pub struct PluginInfo {
    /// Name, such as `mqtt`.
    pub name: RString,
    /// Version of the plugin.
    pub version: RString,
    /// Name of the protocol in responses, notifications and statistics, such as `mq`. Not unique.
    pub label: RString,
}

/// One thing that is wrong with a plugin's settings.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct SettingsProblem {
    /// Where: a JSON pointer (RFC 6901) into the settings; empty for the whole.
    pub pointer: RString,
    /// What was found, what is expected.
    pub message: RString,
}

/// What an instance starts with.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct StartArguments {
    /// Name of the instance: the name of its table in `plugins.toml`.
    pub instance: RString,
    /// Counts the generations of the instance in this process, from 1.
    pub generation: u64,
    /// The instance's settings: a JSON object that `check_settings` found nothing wrong with.
    pub settings: RString,
    /// What the host declares for every protocol: a JSON object with `max_connections` and `idle_timeout_secs` (0 is
    /// unlimited), `worker_threads`, and whatever later hosts add.
    pub options: RString,
}

/// What a plugin implements to be a module. Need not guard against its own panics.
pub trait ModuleCalls: 'static {
    /// What the plugin is.
    fn describe() -> PluginInfo;

    /// Every problem of `settings`.
    fn check_settings(settings: &str) -> Vec<SettingsProblem>;

    /// Starts an instance.
    ///
    /// # Errors
    ///
    /// With the reason, when it cannot start; nothing of it stays behind.
    fn start(host: HostRef, arguments: StartArguments) -> Result<Instance, ApiError>;
}

/// The module of a plugin that is linked in rather than loaded, as tests do.
#[must_use]
pub const fn module_of<T: ModuleCalls>() -> PluginModuleRef {
    Table::<T>::REF
}

/// Why a mapped library cannot be used.
#[derive(Debug)]
pub enum LoadError {
    /// It was built with another abi_stable, or another C ABI.
    Header(String),
    /// It was built with another version of this contract.
    Version(String),
    /// It says that it speaks this contract, but its types differ.
    Layout(LayoutMismatch),
    /// Making its root table failed or panicked.
    Root(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(text) => write!(f, "its entry is not one that this host reads: {text}"),
            Self::Version(text) => write!(f, "it speaks another version of the contract: {text}"),
            Self::Layout(mismatch) => write!(f, "its types differ from the contract's: {mismatch}"),
            Self::Root(text) => write!(f, "it could not make its root table: {text}"),
        }
    }
}

impl std::error::Error for LoadError {}

/// The module of a library that exports `header` under [`ENTRY_SYMBOL`].
///
/// Compares versions first, then the layouts in both directions, and only then runs code of the plugin.
///
/// # Errors
///
/// With the reason, when it cannot be used. The library stays as it is.
pub fn module_from_header(header: AbiHeaderRef) -> Result<PluginModuleRef, LoadError> {
    let header = header.upgrade().map_err(|error| LoadError::Header(error.to_string()))?;
    let ours = PluginModuleRef::VERSION_STRINGS;
    let major =
        |version: &VersionStrings| version.version.as_str().split('.').next().unwrap_or_default().to_owned();
    let theirs = header.version_strings();
    if major(&ours) != major(&theirs) {
        return Err(LoadError::Version(format!(
            "plugin-api {}, this host has {}",
            theirs.version, ours.version
        )));
    }
    let layout = header.layout().ok_or_else(|| LoadError::Header("it has no layout".to_owned()))?;
    check_layouts(<PluginModuleRef as StableAbi>::LAYOUT, layout).map_err(LoadError::Layout)?;
    // SAFETY: the layouts were found compatible in one direction; accessors of later fields test for presence.
    unsafe { header.unchecked_layout::<PluginModuleRef>() }
        .map_err(|error| LoadError::Root(error.to_string()))
}

/// Exports a [`ModuleCalls`] type and a manifest text from a cdylib, under the two symbols that a host looks for.
///
/// Authors use the kit's `export_plugin!`, which writes the manifest too.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_module {
    ($module:ty, $manifest:expr) => {
        const _: () = {
            extern "C" fn loader() -> $crate::__abi_stable::library::RootModuleResult {
                $crate::__abi_stable::library::__call_root_module_loader($crate::abi::module_of::<$module>)
            }

            #[unsafe(no_mangle)]
            #[allow(non_upper_case_globals)]
            pub static _1as_0lib_1header_0root_bmodule_bloader: $crate::__abi_stable::library::LibHeader =
                // SAFETY: `loader` gives the erased `PluginModuleRef` that `__call_root_module_loader` makes.
                unsafe {
                    $crate::__abi_stable::library::LibHeader::from_constructor::<$crate::abi::PluginModuleRef>(
                        loader,
                        $crate::__abi_stable::library::CheckTypeLayout::Yes,
                    )
                };

            #[unsafe(no_mangle)]
            #[allow(non_upper_case_globals)]
            pub static kuzzle_plugin_manifest: $crate::abi::Manifest = $crate::abi::Manifest::new($manifest);
        };
    };
}

struct Table<T>(std::marker::PhantomData<T>);

impl<T: ModuleCalls> Table<T> {
    abi_stable::staticref!(const WITH: WithMetadata<PluginModule> = WithMetadata::new(PluginModule {
        describe: Self::describe,
        check_settings: Self::check_settings,
        start: Self::start,
    }));

    const REF: PluginModuleRef = PluginModuleRef(Self::WITH.as_prefix());

    extern "C" fn describe() -> PluginInfo {
        guard(T::describe, |_panic| PluginInfo::default())
    }

    extern "C" fn check_settings(settings: RStr<'_>) -> RVec<SettingsProblem> {
        let panicked = |text: String| {
            let message = format!("`check_settings` panicked: {text}").into();
            vec![SettingsProblem { pointer: RString::new(), message }]
        };
        guard(|| T::check_settings(settings.as_str()), panicked).into()
    }

    extern "C" fn start(host: HostRef, arguments: StartArguments) -> RResult<Instance, ApiError> {
        guard(|| T::start(host, arguments), |text| Err(ApiError::panicked("start", &text))).into()
    }
}
