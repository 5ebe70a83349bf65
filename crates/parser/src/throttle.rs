//! Keeps the log readable: what events cause is logged once in a while, with a count.

use std::time::Duration;

use tokio::time::Instant;

/// Lets one log line pass in each [`Throttle::PERIOD`].
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    last: Option<Instant>,
    held_back: u64,
}

impl Throttle {
    const PERIOD: Duration = Duration::from_secs(60);

    /// `Some` when a line about `n` more may be logged: how many there were since the last line.
    pub(crate) fn pass(&mut self, n: u64) -> Option<u64> {
        self.held_back += n;
        let now = Instant::now();
        if self.last.is_some_and(|last| now < last + Self::PERIOD) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_a_period_counts_what_was_held_back() {
        let mut throttle = Throttle::default();
        assert_eq!(throttle.pass(2), Some(2));
        assert_eq!(throttle.pass(3), None);
        tokio::time::advance(Throttle::PERIOD).await;
        assert_eq!(throttle.pass(1), Some(4));
    }
}
