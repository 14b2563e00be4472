//! What the two halves say to each other.

use abi_stable::std_types::RString;

use super::broker_wire::{BrokerCall, BrokerNews};
use super::wire::{Field, Input, Message, WireError, field_struct, messages};
use crate::abi::{ApiError, Blob, PluginInfo, Reply, RequestEvent, SettingsProblem, StopReport};

messages! {
    /// From the host's side to the plugin's.
    #[derive(Clone, Debug)]
    enum ToPlugin {
        /// Asks for [`ToHost::Described`].
        1 Describe {},
        /// Asks for [`ToHost::Checked`].
        2 CheckSettings { settings: RString },
        /// Asks for [`ToHost::Started`].
        3 Start { arguments: Start },
        /// Answers [`ToHost::Execute`] and [`ToHost::Authenticate`].
        4 Reply { call: u64, reply: Reply },
        /// The host refused a connection that was taken as open.
        5 OpenRefused { connection: u64, error: ApiError },
        /// Events, within what [`ToHost::EventsTaken`] has made room for.
        6 Events { events: Vec<RequestEvent> },
        /// Which levels of log lines are written from now on; bit `n` stands for the level `n + 1`.
        7 LogLevels { levels: u8 },
        /// Stops accepting; asks for [`ToHost::Drained`].
        8 Drain { call: u64 },
        /// Ends the instance; asks for [`ToHost::Stopped`].
        9 Stop { timeout_ms: u64 },
        /// Of the broker.
        10 Broker { news: BrokerNews },
    }
}

messages! {
    /// From the plugin's side to the host's.
    #[derive(Clone, Debug)]
    enum ToHost {
        /// What the plugin is.
        1 Described { info: PluginInfo },
        /// What is wrong with settings.
        2 Checked { problems: Vec<SettingsProblem> },
        /// How a start went.
        3 Started { result: Result<Offers, ApiError> },
        /// A connection was opened.
        4 Open { connection: u64, info: RString },
        /// A connection was closed.
        5 Close { connection: u64 },
        /// A request; asks for [`ToPlugin::Reply`].
        6 Execute { call: u64, connection: u64, request: Blob },
        /// Credentials; asks for [`ToPlugin::Reply`].
        7 Authenticate { call: u64, connection: u64, mechanism: RString, credentials: Blob },
        /// The plugin took so many events, with so many bytes: there is room for as many again.
        8 EventsTaken { events: u64, bytes: u64 },
        /// A log line.
        9 Log { level: u32, target: RString, message: RString, fields: RString },
        /// A metric; numbers count from 0.
        10 MetricRegister { metric: u32, name: RString, kind: u32, help: RString },
        /// A metric changed by so much.
        11 MetricAdd { metric: u32, delta: i64 },
        /// A metric was set.
        12 MetricSet { metric: u32, value: i64 },
        /// A listener cannot be accepted from any more.
        13 ListenerLost { id: u64, reason: RString },
        /// The plugin's report of itself, when it has changed.
        14 Status { report: Blob },
        /// Answers [`ToPlugin::Drain`].
        15 Drained { call: u64, reply: Reply },
        /// How the stop went; the last message.
        16 Stopped { report: StopReport },
        /// Of the broker, for a connection.
        17 Broker { connection: u64, call: BrokerCall },
    }
}

/// What an instance starts with, and what of the host it needs at hand.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) instance: RString,
    pub(super) generation: u64,
    pub(super) settings: RString,
    pub(super) options: RString,
    /// As in [`ToPlugin::LogLevels`].
    pub(super) log_levels: u8,
    /// Whether the host offers `requests`.
    pub(super) requests: bool,
    /// Whether the host offers `metrics`.
    pub(super) metrics: bool,
    /// The broker's limits, when the host offers `broker`.
    pub(super) broker: Option<Blob>,
    /// What `listeners` answers, when the host offers it.
    pub(super) listeners: Option<Result<Vec<ListenerParts>, ApiError>>,
}

/// A listener, its socket named by a number.
#[derive(Clone, Debug)]
pub(super) struct ListenerParts {
    pub(super) id: u64,
    pub(super) address: RString,
    pub(super) scheme: RString,
    pub(super) options: RString,
    /// The kind of the socket, one of the `SOCKET_` constants.
    pub(super) kind: u32,
    /// Number of the socket among those that cross beside the stream; see [`Sockets`](super::sockets::Sockets).
    pub(super) socket: u64,
}

/// What a plugin's instance offers, and how it is.
#[derive(Clone, Debug)]
pub(super) struct Offers {
    /// Whether it offers `status`.
    pub(super) status: bool,
    /// The first report, when it offers `status`.
    pub(super) report: Blob,
}

field_struct!(Start {
    instance: RString,
    generation: u64,
    settings: RString,
    options: RString,
    log_levels: u8,
    requests: bool,
    metrics: bool,
    broker: Option<Blob>,
    listeners: Option<Result<Vec<ListenerParts>, ApiError>>,
});

field_struct!(ListenerParts {
    id: u64,
    address: RString,
    scheme: RString,
    options: RString,
    kind: u32,
    socket: u64,
});

field_struct!(Offers { status: bool, report: Blob });
field_struct!(Reply { status: u32, request_id: RString, body: Blob });
field_struct!(ApiError { status: u32, id: RString, message: RString, details: Blob });
field_struct!(PluginInfo { name: RString, version: RString, label: RString });
field_struct!(SettingsProblem { pointer: RString, message: RString });
field_struct!(StopReport { clean: bool, cut_connections: u32, leaked_threads: u32 });

impl Field for RequestEvent {
    const MIN_BYTES: usize = 24;

    fn bytes(&self) -> usize {
        4 + 4
            + 4
            + 8 * self.connections.len()
            + self.channel.bytes()
            + self.payload.bytes()
            + self.reason.bytes()
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.kind.put(out);
        self.code.put(out);
        u32::try_from(self.connections.len()).unwrap_or(u32::MAX).put(out);
        for connection in &self.connections {
            connection.put(out);
        }
        self.channel.put(out);
        self.payload.put(out);
        self.reason.put(out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, WireError> {
        Ok(Self {
            kind: Field::get(input)?,
            code: Field::get(input)?,
            connections: Vec::get(input)?.into(),
            channel: Field::get(input)?,
            payload: Field::get(input)?,
            reason: Field::get(input)?,
        })
    }
}
