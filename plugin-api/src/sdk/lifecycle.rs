//! How far the end of an instance has come.

use tokio::sync::watch;

/// Where an instance is on its way from running to stopped. It only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Accepting and serving.
    Running,
    /// No longer accepting: the connections that are open are served until they end by themselves.
    Draining,
    /// The connections that are open should say goodbye and end now.
    Stopping,
    /// The time is up: what is still open is being cut.
    Cut,
}

/// Tells a protocol when its instance is about to end. Clones watch the same instance.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    phase: watch::Receiver<Phase>,
}

impl Lifecycle {
    pub(crate) fn new() -> (watch::Sender<Phase>, Self) {
        let (sender, phase) = watch::channel(Phase::Running);
        (sender, Self { phase })
    }

    /// Where the instance is now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Resolves when no more connections are accepted. A protocol whose clients reconnect by themselves, as over HTTP,
    /// may end its connections at their next pause from here on; others need not care.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + 'static {
        self.reached(Phase::Draining)
    }

    /// Resolves when connections should say goodbye and end. What has not ended when the host's time is up is cut.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        self.reached(Phase::Stopping)
    }

    /// Resolves when the time for goodbyes is up.
    pub(crate) fn cut(&self) -> impl Future<Output = ()> + Send + 'static {
        self.reached(Phase::Cut)
    }

    fn reached(&self, wanted: Phase) -> impl Future<Output = ()> + Send + 'static {
        let mut phase = self.phase.clone();
        async move {
            // An error says that the instance is gone, which is past every phase.
            let _gone = phase.wait_for(|phase| *phase >= wanted).await;
        }
    }
}
