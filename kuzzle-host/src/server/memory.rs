//! What a burst has taken is given back when it is over.

use std::convert::Infallible;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::plugins::give_back_memory;

/// How often the work of the process is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// Quiet is less than this part of one processor.
const QUIET_PART: u32 = 20;
/// After less work than this nothing is worth being given back.
const WORTH: Duration = Duration::from_millis(250);

/// Gives memory back when the server has come to rest after work. Never ends.
pub(super) async fn give_back_when_quiet() -> Infallible {
    let mut seen = worked();
    let mut since_given = Duration::ZERO;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = worked();
        let lately = now.saturating_sub(seen);
        seen = now;
        since_given += lately;
        if since_given >= WORTH && lately < LOOK_EVERY / QUIET_PART {
            let _panicked = tokio::task::spawn_blocking(give_back_memory).await;
            since_given = Duration::ZERO;
            seen = worked();
        }
    }
}

/// What all threads of the process have worked since it began.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (secs, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(secs.unwrap_or(0), nanos.unwrap_or(0))
}
