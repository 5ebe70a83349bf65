//! How long a peer may keep silent.

use std::{pin::Pin, time::Duration};

use tokio::time::{Instant, Sleep, sleep_until};

/// Notices that nothing happened for a while. Being told that something happened costs no timer: the deadline is
/// looked at when the timer fires.
#[derive(Debug)]
pub(crate) struct Idle {
    timeout: Duration,
    last: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Idle {
    /// From now on; a timeout of `None` never ends.
    pub(crate) fn new(timeout: Option<Duration>) -> Option<Self> {
        let timeout = timeout?;
        let last = Instant::now();
        Some(Self {
            timeout,
            last,
            sleep: Box::pin(sleep_until(last + timeout)),
        })
    }

    /// Something happened.
    pub(crate) fn touch(&mut self) {
        self.last = Instant::now();
    }

    /// Ends when nothing happened for the timeout. Cancel-safe.
    pub(crate) async fn elapsed(this: &mut Option<Self>) {
        let Some(this) = this else {
            return std::future::pending().await;
        };
        loop {
            this.sleep.as_mut().await;
            let deadline = this.last + this.timeout;
            if Instant::now() >= deadline {
                return;
            }
            this.sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_the_last_touch() {
        let mut idle = Idle::new(Some(TIMEOUT));
        for _ in 0..10 {
            advance(TIMEOUT / 2).await;
            idle.as_mut().unwrap().touch();
        }
        let start = Instant::now();
        Idle::elapsed(&mut idle).await;
        assert!((TIMEOUT..TIMEOUT + Duration::from_secs(1)).contains(&start.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn off_means_for_ever() {
        let elapsed = timeout(TIMEOUT * 1000, Idle::elapsed(&mut Idle::new(None))).await;
        assert!(elapsed.is_err());
    }
}
