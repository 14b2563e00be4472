//! The contract: types and tables that cross between a host and a plugin.
//!
//! # How to read it
//!
//! Each table of functions names, for every function, the thread that may call it, the state in which it may be
//! called, who owns what crosses, and what failure looks like. The words are:
//!
//! - *any thread*: any thread of the caller, at the same time as any other call. Every function of the contract may be
//!   called from any thread unless it says otherwise, and none may be called while holding a lock that the other
//!   side's reply could need.
//! - *never blocks*: returns after bounded work on memory; it does not wait for a peer, a file or another thread's
//!   progress. Every function never blocks unless it says otherwise.
//! - *loaded*: the library is mapped and its [`PluginModule`] known. *starting*: inside `start`.
//!   *running*: from the return of `start` on. *draining*: from the call of `drain`. *stopped*: from the return of
//!   `stop`; after it the plugin calls the host no more and the host calls only `release`.
//!
//! # Ownership
//!
//! A value passed or returned by value is moved: the receiver drops it, and each type carries the function that frees
//! it, so that memory goes back to the allocator it came from. `RStr` and `RSlice` are borrowed for the duration of the
//! call; nobody keeps a borrow. A context pointer belongs to the table that came with it.
//!
//! # Failure
//!
//! Nothing waits for a return value that needs another party: ids are chosen by the caller, and what can only be
//! answered later completes through a [`Completion`] or arrives as an event. A panic never crosses: each entry runs in
//! a guard that turns it into the function's documented failure. The guards need `panic = "unwind"`.
//!
//! # Evolution
//!
//! Structs passed by value are frozen for a major version. Tables grow at their end only, in one linear history; a
//! reader of an older table finds a missing function as `None`. Open-ended data is JSON inside a [`Blob`] or `RString`
//! and readers ignore members that they do not know. While the contract is a draft ([`DRAFT`]), host and plugin must
//! agree on the draft's hash.

mod blob;
mod broker;
mod completion;
mod error;
mod guard;
mod host;
mod instance;
mod layout;
mod listeners;
mod manifest;
mod metrics;
mod module;
mod pending;
mod requests;
mod service;
mod socket;
mod status;

pub use blob::{Blob, BlobVt};
pub use broker::*;
pub use completion::{Completion, CompletionTarget, Reply, STATUS_CANCELLED};
pub use error::ApiError;
pub use guard::{guard, panic_text};
pub use host::{Host, HostRef, HostVt, HostVtRef, LogLevel};
pub use instance::{Instance, InstanceCalls, InstanceVt, InstanceVtRef, StopReport};
pub use layout::{LayoutMismatch, check_layouts};
pub use listeners::{Listener, Listeners, ListenersCalls, ListenersVt, ListenersVtRef};
pub use manifest::{
    MANIFEST_CAPACITY, MANIFEST_MAGIC, MANIFEST_SYMBOL, Manifest, ManifestError, json_text_is_plain,
};
pub use metrics::{METRIC_COUNTER, METRIC_GAUGE, Metrics, MetricsCalls, MetricsVt, MetricsVtRef};
pub use module::{
    ENTRY_SYMBOL, LoadError, ModuleCalls, PluginInfo, PluginModule, PluginModuleRef, SettingsProblem,
    StartArguments, module_from_header, module_of,
};
pub use pending::PendingReply;
pub use requests::{
    EVENT_CLOSE, EVENT_NOTIFICATION, RequestEvent, Requests, RequestsCalls, RequestsClient,
    RequestsClientCalls, RequestsClientVt, RequestsClientVtRef, RequestsVt, RequestsVtRef,
};
pub use service::{Service, ServiceLookup, ServiceRef};
pub use socket::{SOCKET_TCP_LISTENER, SOCKET_TCP_STREAM, SOCKET_UNIX_LISTENER, SocketHandle};
pub use status::{Status, StatusCalls, StatusVt, StatusVtRef};

/// Major version of the contract. A host refuses a plugin with another one.
pub const MAJOR: u32 = 1;

/// Minor version of the contract: how far the tables have grown. Any pair of minors of one major works together.
pub const MINOR: u32 = 0;

/// Hash of the draft that this build speaks, or the empty string once the contract is final.
///
/// While it is not empty, host and plugin must have been built with the same draft.
pub const DRAFT: &str = env!("KUZZLE_PLUGIN_DRAFT");

/// The compiler that built this crate, as it names itself.
pub const RUSTC: &str = env!("KUZZLE_PLUGIN_RUSTC");
