//! Names of the API that stand in messages: the exchange and the keys through which message protocols reach it.
//!
//! They are part of what clients send and bind to, so they stand here and nowhere else.

/// The exchange through which requests come, and answers and notifications go.
pub const EXCHANGE: &str = "amq.topic";

/// Routing key of a request on [`EXCHANGE`]. Whatever is published under it is for the host alone.
pub const REQUEST_KEY: &str = "kuzzle";

/// What the routing key of an answer on [`EXCHANGE`] begins with; the id of the client follows.
const ANSWER_PREFIX: &str = "mqtt.";

/// Id in the key of an answer to a client that has none.
const NO_CLIENT: &str = "undefined";

/// Routing key, on [`EXCHANGE`], of an answer to a client whose request named no address to answer to.
pub fn answer_key(client_id: Option<&str>) -> String {
    format!("{ANSWER_PREFIX}{}", client_id.unwrap_or(NO_CLIENT))
}

/// Whether only the host may publish under `key` on [`EXCHANGE`]: answers, and channels of notifications.
pub fn is_reserved(key: &str) -> bool {
    key.starts_with(ANSWER_PREFIX) || is_channel(key)
}

/// Whether a key is the name of a channel: two times 32 hexadecimal digits with a dash between.
fn is_channel(key: &str) -> bool {
    const HALF: usize = 32;
    let is_hex = |half: &[u8]| half.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let bytes = key.as_bytes();
    bytes.len() == 2 * HALF + 1 && bytes[HALF] == b'-' && is_hex(&bytes[..HALF]) && is_hex(&bytes[HALF + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_channels_are_the_hosts() {
        assert_eq!(answer_key(Some("myId")), "mqtt.myId");
        assert_eq!(answer_key(None), "mqtt.undefined");
        assert!(is_reserved("mqtt.myId") && is_reserved("mqtt."));
        assert!(!is_reserved("mqtt") && !is_reserved("kuzzle") && !is_reserved("é-".repeat(16).as_str()));
        let channel = format!("{}-{}", "0a".repeat(16), "9f".repeat(16));
        assert!(is_reserved(&channel));
        assert!(!is_reserved(&channel.to_uppercase()) && !is_reserved(&channel[1..]));
    }
}
