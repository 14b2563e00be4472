//! What the fake host remembers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kuzzle_plugin_api::abi::{BrokerClient, LogLevel, RequestEvent, RequestsClient};
use serde_json::Value;

use crate::Call;

/// One line that a plugin logged.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// The part of the plugin that wrote it.
    pub target: String,
    /// Its constant text.
    pub message: String,
    /// What varies: a JSON object, or null.
    pub fields: Value,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) connections: BTreeMap<u64, Value>,
    pub(crate) used_ids: BTreeSet<u64>,
    pub(crate) calls: Vec<Call>,
    pub(crate) authentications: Vec<(u64, String, Vec<u8>)>,
    pub(crate) events: VecDeque<RequestEvent>,
    pub(crate) client: Option<RequestsClient>,
    pub(crate) broker_client: Option<BrokerClient>,
    pub(crate) logs: Vec<LogLine>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) lost: Vec<(u64, String)>,
}

pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) kind: u32,
    pub(crate) value: i64,
}
