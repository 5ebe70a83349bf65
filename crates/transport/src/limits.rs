//! What may change while a listener runs.

use std::time::Duration;

use settings::ListenerSettings;
use tokio::sync::watch;

/// The limits of a listener. Caps on connections hold for those that come; those that are open stay. Open sessions take
/// the others over when they next read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerLimits {
    pub(crate) frame_bytes_max: usize,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) connections_max: usize,
    pub(crate) connections_per_peer_max: usize,
}

impl From<&ListenerSettings> for ListenerLimits {
    fn from(settings: &ListenerSettings) -> Self {
        Self {
            frame_bytes_max: settings.frame_bytes_max,
            idle_timeout: settings.idle_timeout,
            connections_max: settings.connections_max,
            connections_per_peer_max: settings.connections_per_peer_max,
        }
    }
}

/// The limits as one session or socket sees them.
#[derive(Debug, Clone)]
pub(crate) struct LimitsInForce(watch::Receiver<ListenerLimits>);

impl LimitsInForce {
    pub(crate) const fn new(limits: watch::Receiver<ListenerLimits>) -> Self {
        Self(limits)
    }

    pub(crate) fn get(&mut self) -> ListenerLimits {
        *self.0.borrow_and_update()
    }

    /// The limits, if they are others than those that were seen last. Without others it costs next to nothing.
    pub(crate) fn changed(&mut self) -> Option<ListenerLimits> {
        // Without a sender there will be no others.
        self.0.has_changed().unwrap_or(false).then(|| self.get())
    }
}
