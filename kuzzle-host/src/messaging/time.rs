//! Calls the broker when something of it is due.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use kuzzle_broker::{Broker, Clock as _, SystemClock};
use parking_lot::{Condvar, Mutex};

/// Longest pause between two looks, since clocks may be set.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A thread that sleeps until the next deadline.
#[derive(Default)]
pub(super) struct Timekeeper {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// A deadline that came up since the last look, in milliseconds since 1970.
    earlier: Option<u64>,
    is_stopping: bool,
    thread: Option<JoinHandle<()>>,
}

impl Timekeeper {
    pub(super) fn start(self: &std::sync::Arc<Self>, broker: Broker) -> io::Result<()> {
        let keeper = std::sync::Arc::clone(self);
        let thread =
            std::thread::Builder::new().name("broker-time".to_owned()).spawn(move || keeper.run(&broker))?;
        self.state.lock().thread = Some(thread);
        Ok(())
    }

    /// Something is due at `at_ms`, perhaps earlier than all else.
    pub(super) fn deadline(&self, at_ms: u64) {
        let mut state = self.state.lock();
        if state.earlier.is_none_or(|earlier| at_ms < earlier) {
            state.earlier = Some(at_ms);
            self.changed.notify_one();
        }
    }

    pub(super) fn stop(&self) {
        let thread = {
            let mut state = self.state.lock();
            state.is_stopping = true;
            self.changed.notify_one();
            state.thread.take()
        };
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that keeps the broker's time panicked");
        }
    }

    fn run(&self, broker: &Broker) {
        loop {
            let mut next = broker.tick();
            let mut state = self.state.lock();
            loop {
                if state.is_stopping {
                    return;
                }
                if let Some(earlier) = state.earlier.take() {
                    next = next.min(earlier);
                }
                let pause = Duration::from_millis(next.saturating_sub(SystemClock.now_ms())).min(PAUSE_MAX);
                if pause.is_zero() || self.changed.wait_for(&mut state, pause).timed_out() {
                    break;
                }
            }
        }
    }
}
