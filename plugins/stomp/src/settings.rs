//! What `plugins.toml` may tell this plugin.

use kuzzle_plugin_api::sdk::SettingsProblem;
use kuzzle_stomp_proto::{codec::FrameLimits, session::Limits};

kuzzle_plugin_api::settings! {
    /// Settings of STOMP.
    pub struct StompSettings {
        /// Shortest interval between heart-beats, either way. A client that says nothing for three of its intervals is
        /// given up.
        heart_beat_min_millis: millis = 1_000, range 1..=600_000;
        /// Whether an ERROR ends connections of 1.1 and 1.2, as these say it must. Without it they stay open after mistakes
        /// that the broker has not seen, as with RabbitMQ. Those of 1.0 do in any case.
        error_closes: bool = true;
        /// Headers of a frame.
        headers_max: integer = 256, range 8..=65_536;
        /// Longest header: its name, its value, and the colon.
        header_max_bytes: integer = 16_384, range 256..=1_048_576, unit "bytes";
        /// All headers of a frame, and its command.
        head_max_bytes: integer = 65_536, range 256..=4_194_304, unit "bytes";
        /// Largest body of a message taken from a client. The host has a limit too; the smaller one holds.
        message_max_bytes: integer = 134_217_728, range 1_024..=2_147_483_648, unit "bytes";
        /// How long a client may take from the TCP connection to CONNECTED.
        connect_timeout_secs: secs = 10, range 1..=600;
        /// How long a frame may take from its first byte to its last.
        frame_timeout_secs: secs = 60, range 1..=3_600;
        /// How long a client may leave what is sent to it unread before it is closed.
        write_timeout_secs: secs = 60, range 1..=3_600;
        /// How long the end of a connection waits for answers to the requests that were published on it.
        answer_timeout_secs: secs = 5, range 0..=600;
        /// What may wait for a client that does not read: beyond it nothing more is taken for it. One message always may
        /// wait.
        output_max_bytes: integer = 524_288, range 16_384..=1_073_741_824, unit "bytes";
        /// Subscriptions of a connection.
        subscriptions_max: integer = 1_000, range 1..=1_000_000;
        /// Messages of a connection that may be unacknowledged; beyond it the client gets no more.
        unacknowledged_max: integer = 100_000, range 1..=10_000_000;
        /// Receipts of a connection that may be outstanding; beyond it nothing more is read from the client.
        receipts_max: integer = 4_096, range 1..=1_000_000;
        /// Transactions of a connection that may be open.
        transactions_max: integer = 100, range 1..=100_000;
        /// What the open transactions of a connection may hold.
        transaction_max_bytes: integer = 67_108_864, range 1_024..=4_294_967_296, unit "bytes";
        /// Messages and acknowledgements of the open transactions of a connection.
        transaction_max_steps: integer = 100_000, range 1..=10_000_000;
    }
}

/// What is wrong with settings that are each fine by themselves.
pub(crate) fn check(settings: &StompSettings) -> Vec<SettingsProblem> {
    let mut problems = Vec::new();
    let StompSettings { head_max_bytes: head, header_max_bytes: header, .. } = *settings;
    if head < header {
        problems.push(SettingsProblem {
            pointer: "/head_max_bytes".into(),
            message: format!("is {head}, expected at least `header_max_bytes`, which is {header}").into(),
        });
    }
    problems
}

/// What a session needs of the settings, on a host that takes messages of at most `host_max_bytes`.
pub(crate) fn limits(settings: &StompSettings, host_max_bytes: Option<u64>) -> Limits {
    Limits {
        error_closes: settings.error_closes,
        frame: FrameLimits {
            headers_max: size(settings.headers_max),
            line_max_bytes: size(settings.header_max_bytes),
            head_max_bytes: size(settings.head_max_bytes),
            body_max_bytes: size(settings.message_max_bytes.min(host_max_bytes.unwrap_or(u64::MAX))),
        },
        connect_timeout: settings.connect_timeout_secs,
        frame_timeout: settings.frame_timeout_secs,
        write_timeout: settings.write_timeout_secs,
        quiesce_timeout: settings.answer_timeout_secs,
        heart_beat_min: settings.heart_beat_min_millis,
        subscriptions_max: size(settings.subscriptions_max),
        unsettled_max: size(settings.unacknowledged_max),
        transactions_max: size(settings.transactions_max),
        transaction_max_bytes: size(settings.transaction_max_bytes),
        transaction_max_steps: size(settings.transaction_max_steps),
        output_max_bytes: size(settings.output_max_bytes),
        operations_max: size(settings.receipts_max),
        ..Limits::default()
    }
}

fn size(setting: u64) -> usize {
    usize::try_from(setting).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_a_session() {
        let limits = limits(&StompSettings::default(), None);
        assert_eq!(format!("{limits:?}"), format!("{:?}", Limits::default()));
    }

    #[test]
    fn the_smaller_limit_of_messages_holds() {
        let settings = StompSettings { message_max_bytes: 5_000, ..StompSettings::default() };
        assert_eq!(limits(&settings, Some(4_000)).frame.body_max_bytes, 4_000);
        assert_eq!(limits(&settings, Some(6_000)).frame.body_max_bytes, 5_000);
    }

    #[test]
    fn a_header_has_to_fit_among_all() {
        assert_eq!(check(&StompSettings::default()), []);
        let settings = StompSettings { head_max_bytes: 1_000, ..StompSettings::default() };
        let problems = check(&settings);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].pointer, "/head_max_bytes");
        assert_eq!(problems[0].message, "is 1000, expected at least `header_max_bytes`, which is 16384");
    }
}
