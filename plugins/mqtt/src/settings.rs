//! What `plugins.toml` may tell this plugin.

use std::time::Duration;

use kuzzle_mqtt_proto::{
    codec::Limits,
    session::{Config, EXPIRY_NEVER},
    topic,
};
use kuzzle_plugin_api::sdk::{SettingsProblem, broker::Broker};

kuzzle_plugin_api::settings! {
    /// Settings of the MQTT protocol.
    pub struct MqttSettings {
        /// Longest keep alive. A 5.0 client that asks for more, or for none, is told this one and held to it. With the default
        /// a client may also have none; older clients may have any.
        keep_alive_max_secs: secs = 65_535, range 1..=65_535;
        /// How long a client may take from the connection to the end of its CONNECT, and the broker to answer it.
        connect_timeout_secs: secs = 10, range 1..=600;
        /// How long a packet that has begun to arrive may take, keep alive or not.
        packet_timeout_secs: secs = 60, range 1..=3_600;
        /// Largest packet taken from a client. 5.0 clients are told.
        packet_max_bytes: integer = 16_777_216, range 1_024..=268_435_460, unit "bytes";
        /// Longest topic name or filter.
        topic_max_bytes: integer = 4_096, range 64..=65_535, unit "bytes";
        /// Levels of a topic name or filter.
        topic_levels_max: integer = 128, range 1..=1_024;
        /// Longest client identifier.
        client_id_max_bytes: integer = 1_024, range 23..=65_535, unit "bytes";
        /// How long a session may outlive its connection; 4294967295 is for ever. Clients before 5.0 that want to keep their
        /// session get this time.
        session_expiry_max_secs: secs = 86_400, range 0..=4_294_967_295;
        /// Messages of QoS 1 and 2 from one client that may be unacknowledged: a 5.0 client that sends more is closed, others
        /// are not read from meanwhile.
        receive_maximum: integer = 1_024, range 1..=65_535;
        /// Messages of QoS 1 and 2 that one client may have unacknowledged, unless it wants fewer.
        inflight_max: integer = 256, range 1..=65_535;
        /// Topic aliases that a 5.0 client may set.
        topic_alias_maximum: integer = 32, range 0..=65_535;
        /// Topic aliases that are set for a 5.0 client, unless it wants fewer.
        topic_alias_out_maximum: integer = 32, range 0..=65_535;
        /// Subscriptions of one session.
        subscriptions_max: integer = 1_024, range 1..=1_000_000;
        /// What is gathered for one client that does not read before nothing more is taken for it, or from it.
        output_max_bytes: integer = 262_144, range 4_096..=268_435_456, unit "bytes";
        /// Messages of QoS 0 that may wait beyond that for one client; newer ones are dropped.
        outbox_max_messages: integer = 10_000, range 1..=10_000_000;
        /// Bytes of messages of QoS 0 that may wait beyond that for one client; newer ones are dropped.
        outbox_max_bytes: integer = 8_388_608, range 4_096..=1_073_741_824, unit "bytes";
        /// The topic below which a 5.0 client that asks for response information is given one of its own,
        /// `<prefix>/<client id>`; it is told nothing when this is empty.
        response_prefix: string = "";
    }
}

/// What is wrong with settings that are each fine by themselves.
pub(crate) fn check(settings: &MqttSettings) -> Vec<SettingsProblem> {
    let mut problems = Vec::new();
    let prefix = &settings.response_prefix;
    if !prefix.is_empty() && !topic::is_topic_name(prefix) {
        let message = format!("is `{prefix}`, expected a topic name, such as `responses`, without wildcards");
        problems.push(SettingsProblem { pointer: "/response_prefix".into(), message: message.into() });
    }
    problems
}

/// What every session is told. What the broker takes less of than the settings say is lowered to that.
pub(crate) fn config(settings: &MqttSettings, broker: &Broker) -> Config {
    let defaults = Config::default();
    let limited = |setting: u64, limit: &str| broker.limit(limit).map_or(setting, |most| setting.min(most));
    let packet_max_bytes = size(limited(settings.packet_max_bytes, "max_message_bytes"));
    Config {
        limits: Limits {
            packet_max_bytes,
            connect_max_bytes: defaults.limits.connect_max_bytes.min(packet_max_bytes),
            topic_max_bytes: size(settings.topic_max_bytes),
            topic_levels_max: size(settings.topic_levels_max),
            client_id_max_bytes: size(settings.client_id_max_bytes),
            ..defaults.limits
        },
        connect_timeout: settings.connect_timeout_secs,
        packet_timeout: settings.packet_timeout_secs,
        keep_alive_max_secs: number(settings.keep_alive_max_secs.as_secs()),
        session_expiry_max_secs: expiry(settings.session_expiry_max_secs, broker),
        receive_maximum: number(settings.receive_maximum),
        inflight_max: number(settings.inflight_max),
        topic_alias_max: number(settings.topic_alias_maximum),
        topic_alias_out_max: number(settings.topic_alias_out_maximum),
        subscriptions_max: size(settings.subscriptions_max),
        publish_batch_max: size(limited(defaults.publish_batch_max as u64, "max_publish_batch")).max(1),
        output_high_water_bytes: size(settings.output_max_bytes),
        outbox_max_events: u32::try_from(settings.outbox_max_messages).unwrap_or(u32::MAX),
        outbox_max_bytes: settings.outbox_max_bytes,
        response_prefix: Some(settings.response_prefix.clone()).filter(|prefix| !prefix.is_empty()),
        ..defaults
    }
}

fn expiry(setting: Duration, broker: &Broker) -> u32 {
    let most = broker.limit("max_session_secs").map_or(EXPIRY_NEVER, saturated);
    saturated(setting.as_secs()).min(most)
}

fn saturated(seconds: u64) -> u32 {
    u32::try_from(seconds).unwrap_or(EXPIRY_NEVER)
}

/// A setting that its range keeps within 16 bits.
fn number(setting: u64) -> u16 {
    u16::try_from(setting).unwrap_or(u16::MAX)
}

/// A limit from the settings as a size in memory.
fn size(setting: u64) -> usize {
    usize::try_from(setting).unwrap_or(usize::MAX)
}
