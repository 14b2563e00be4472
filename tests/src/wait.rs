//! Patience: tests wait for an event, with a cap so generous that only a fault reaches it.

use std::time::{Duration, Instant};

/// How long anything may take before the test calls it broken.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer, and returns it.
///
/// # Panics
///
/// When there is none after [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for: {what}");
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
