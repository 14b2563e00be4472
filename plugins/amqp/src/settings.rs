//! What `plugins.toml` may tell this plugin.

use std::time::Duration;

use kuzzle_amqp_proto::session::Limits;
use kuzzle_plugin_api::sdk::SettingsProblem;

kuzzle_plugin_api::settings! {
    /// Settings of AMQP 0.9.1.
    pub struct AmqpSettings {
        /// Heartbeat that is proposed to clients, who decide; 0 proposes none. A client that says nothing for three of its
        /// heartbeats is given up.
        heartbeat_secs: secs = 60, range 0..=65_535;
        /// Channels that a connection may have open at a time.
        channel_max: integer = 2_047, range 1..=65_535;
        /// Largest frame, either way. A body beyond it travels in several.
        frame_max_bytes: integer = 131_072, range 4_096..=16_777_216, unit "bytes";
        /// Largest body of a message taken from a client. The host has a limit too; the smaller one holds.
        message_max_bytes: integer = 134_217_728, range 1_024..=2_147_483_648, unit "bytes";
        /// What a connection may have sent of messages that are not whole yet.
        unfinished_max_bytes: integer = 268_435_456, range 1_024..=4_294_967_296, unit "bytes";
        /// Whether clients may use the mechanism ANONYMOUS, besides PLAIN and AMQPLAIN.
        anonymous: bool = false;
        /// How long a client may take for each step of its opening, from the TCP connection to the virtual host.
        handshake_timeout_secs: secs = 10, range 1..=600;
        /// How long a client that is refused is left waiting, so that it cannot try passwords quickly.
        refusal_delay_millis: millis = 3_000, range 0..=60_000;
        /// How long a frame may take from its first byte to its last.
        frame_timeout_secs: secs = 30, range 1..=3_600;
        /// How long a delivery may wait for its acknowledgement before its channel is closed and the message goes to
        /// another consumer; 0: for ever.
        acknowledgement_timeout_secs: secs = 1_800, range 0..=31_536_000;
        /// How long a client may leave what is sent to it unread before it is closed.
        write_timeout_secs: secs = 60, range 1..=3_600;
        /// How long a client may take to agree that a channel or the connection is closed.
        close_timeout_secs: secs = 10, range 1..=600;
        /// How long the end of a channel that its client closes waits for answers to the requests that were published on it.
        answer_timeout_secs: secs = 5, range 0..=600;
        /// What may wait for a client that does not read: beyond it nothing more is taken for it. One message always may
        /// wait.
        output_max_bytes: integer = 524_288, range 16_384..=1_073_741_824, unit "bytes";
        /// Consumers of a channel.
        consumers_max: integer = 10_000, range 1..=1_000_000;
        /// Deliveries of a channel that may be unacknowledged; beyond it the channel gets no more.
        unacknowledged_max: integer = 1_000_000, range 1..=10_000_000;
        /// Operations of a connection that may be under way; beyond it nothing more is read from the client.
        operations_max: integer = 1_024, range 1..=65_536;
        /// What a transaction may publish before its commit.
        transaction_max_bytes: integer = 67_108_864, range 1_024..=4_294_967_296, unit "bytes";
        /// Publishes and acknowledgements of a transaction.
        transaction_max_steps: integer = 100_000, range 1..=10_000_000;
    }
}

/// What is wrong with settings that are each fine by themselves.
pub(crate) fn check(settings: &AmqpSettings) -> Vec<SettingsProblem> {
    let mut problems = Vec::new();
    let AmqpSettings { message_max_bytes: message, unfinished_max_bytes: unfinished, .. } = *settings;
    if unfinished < message {
        problems.push(SettingsProblem {
            pointer: "/unfinished_max_bytes".into(),
            message: format!("is {unfinished}, expected at least `message_max_bytes`, which is {message}")
                .into(),
        });
    }
    problems
}

/// What a session needs of the settings, on a host that takes messages of at most `host_max_bytes`.
pub(crate) fn limits(settings: &AmqpSettings, host_max_bytes: Option<u64>) -> Limits {
    Limits {
        anonymous: settings.anonymous,
        channel_max: u16::try_from(settings.channel_max).unwrap_or(u16::MAX),
        frame_max: u32::try_from(settings.frame_max_bytes).unwrap_or(u32::MAX),
        heartbeat_secs: secs(settings.heartbeat_secs),
        handshake_timeout: settings.handshake_timeout_secs,
        refusal_delay: settings.refusal_delay_millis,
        close_timeout: settings.close_timeout_secs,
        quiesce_timeout: settings.answer_timeout_secs,
        frame_timeout: settings.frame_timeout_secs,
        acknowledgement_timeout: settings.acknowledgement_timeout_secs,
        write_timeout: settings.write_timeout_secs,
        message_max_bytes: settings.message_max_bytes.min(host_max_bytes.unwrap_or(u64::MAX)),
        assembling_max_bytes: size(settings.unfinished_max_bytes),
        transaction_max_bytes: size(settings.transaction_max_bytes),
        transaction_max_count: size(settings.transaction_max_steps),
        consumers_max: size(settings.consumers_max),
        unsettled_max: size(settings.unacknowledged_max),
        output_max_bytes: size(settings.output_max_bytes),
        operations_max: size(settings.operations_max),
        ..Limits::default()
    }
}

fn secs(duration: Duration) -> u16 {
    u16::try_from(duration.as_secs()).unwrap_or(u16::MAX)
}

fn size(setting: u64) -> usize {
    usize::try_from(setting).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_a_session() {
        let limits = limits(&AmqpSettings::default(), None);
        assert_eq!(format!("{limits:?}"), format!("{:?}", Limits::default()));
    }

    #[test]
    fn the_smaller_limit_of_messages_holds() {
        let settings = AmqpSettings { message_max_bytes: 5_000, ..AmqpSettings::default() };
        assert_eq!(limits(&settings, Some(4_000)).message_max_bytes, 4_000);
        assert_eq!(limits(&settings, Some(6_000)).message_max_bytes, 5_000);
    }

    #[test]
    fn a_message_has_to_fit_what_may_be_unfinished() {
        assert_eq!(check(&AmqpSettings::default()), []);
        let settings = AmqpSettings { unfinished_max_bytes: 2_000, ..AmqpSettings::default() };
        let problems = check(&settings);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].pointer, "/unfinished_max_bytes");
        assert_eq!(problems[0].message, "is 2000, expected at least `message_max_bytes`, which is 134217728");
    }
}
