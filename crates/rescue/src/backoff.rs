//! How long to wait between attempts.

use std::time::Duration;

use rand::Rng;

/// Pauses that double up to a cap, each shortened by chance to at most half, so that many processes that lost
/// the same Redis do not come back at the same moment.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const MAX: Duration = Duration::from_secs(5);

    pub(crate) const fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// Starts again at the shortest pause.
    pub(crate) const fn reset(&mut self) {
        self.next = Self::FIRST;
    }

    /// The pause before the next attempt.
    pub(crate) fn pause(&mut self) -> Duration {
        let full = self.next;
        self.next = full.saturating_mul(2).min(Self::MAX);
        full.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_start_again() {
        let mut backoff = Backoff::new();
        let mut full = Backoff::FIRST;
        for _ in 0..10 {
            let pause = backoff.pause();
            assert!(pause <= full && pause >= full / 2, "{pause:?} of {full:?}");
            full = (full * 2).min(Backoff::MAX);
        }
        backoff.reset();
        assert!(backoff.pause() <= Backoff::FIRST);
    }
}
