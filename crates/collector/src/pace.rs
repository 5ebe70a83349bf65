//! A bound on bytes a second.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How much may be spent at once after a rest.
const BURST: Duration = Duration::from_millis(200);

/// Lets so many bytes a second pass. What is spent is waited for before the next is spent.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_second: f64,
    /// When all that was spent is paid.
    paid_at: Instant,
}

impl Pace {
    pub(crate) fn new(bytes_per_second_max: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact to the byte")]
        let bytes_per_second = bytes_per_second_max.max(1) as f64;
        Self {
            bytes_per_second,
            paid_at: Instant::now(),
        }
    }

    /// Waits until more may be spent. Cancel-safe.
    pub(crate) async fn ready(&self) {
        sleep_until(self.paid_at).await;
    }

    /// Spends `bytes`.
    pub(crate) fn spend(&mut self, bytes: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact to the byte")]
        let seconds = bytes as f64 / self.bytes_per_second;
        let rested = Instant::now().checked_sub(BURST).unwrap_or(self.paid_at);
        self.paid_at = self.paid_at.max(rested) + Duration::from_secs_f64(seconds.min(3600.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_pass_at_the_rate_that_was_set() {
        let began = Instant::now();
        let mut pace = Pace::new(1000);
        for _ in 0..20 {
            pace.ready().await;
            pace.spend(500);
        }
        pace.ready().await;
        let took = began.elapsed();
        assert!(
            (Duration::from_millis(9_700)..=Duration::from_millis(10_100)).contains(&took),
            "{took:?}"
        );
    }
}
