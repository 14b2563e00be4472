//! The caller's loop: the same code in the plugin and in the program that does without one.

use std::time::{Duration, Instant};

use kuzzle_plugin_api::sdk::tokio;

/// A request of 200 bytes, as in the other measurements.
pub const REQUEST: &[u8; 200] = br#"{"controller":"write","action":"createOrReplace","index":"index","collection":"collection","_id":"grace","requestId":"1109ec50-9473-4e75-91ac-673debb2b8ac","body":{"firstName":"Grace","hobby":"golf"}}"#;

/// Length of each answer, in bytes.
pub const ANSWER_BYTES: usize = 200;

/// Bytes as they are when they were read from a socket or written by a serialiser: with some room behind them.
pub fn written(bytes: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(bytes.len().next_power_of_two());
    written.extend_from_slice(bytes);
    written
}

/// Calls with so many under way at a time, each by a task of its own that makes the next one when it has its answer.
///
/// `call` takes the request as it came off a socket and gives the length of the answer. Gives the time that all took.
///
/// # Errors
///
/// When an answer has another length than [`ANSWER_BYTES`].
pub async fn call_many<F>(
    call: impl Fn(Vec<u8>) -> F + Clone + Send + 'static,
    in_flight: usize,
    calls_each: usize,
) -> Result<Duration, String>
where
    F: Future<Output = usize> + Send,
{
    let started = Instant::now();
    let callers: Vec<_> = (0..in_flight)
        .map(|_| {
            let call = call.clone();
            tokio::spawn(async move {
                for _ in 0..calls_each {
                    let bytes = call(written(REQUEST)).await;
                    if bytes != ANSWER_BYTES {
                        return Err(format!("an answer of {bytes} bytes, expected {ANSWER_BYTES}"));
                    }
                }
                Ok(())
            })
        })
        .collect();
    for caller in callers {
        caller.await.map_err(|error| format!("a caller ended: {error}"))??;
    }
    Ok(started.elapsed())
}
