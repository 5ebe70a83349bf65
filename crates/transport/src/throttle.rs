//! Keeps the log readable: what one peer or a flood of them causes is logged once in a while, with a count.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Lets one log line pass in each [`Throttle::PERIOD`].
#[derive(Debug, Default)]
pub struct Throttle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    held_back: u64,
}

impl Throttle {
    /// Between two lines.
    pub const PERIOD: Duration = Duration::from_secs(10);

    /// `Some` when the line may be logged: how many were held back since the last one.
    #[must_use]
    pub fn pass(&self) -> Option<u64> {
        let now = Instant::now();
        let mut state = self.0.lock();
        if state.last.is_some_and(|last| now < last + Self::PERIOD) {
            state.held_back += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_a_period_says_how_many_were_held_back() {
        let throttle = Throttle::default();
        assert_eq!(throttle.pass(), Some(0));
        assert_eq!(throttle.pass(), None);
        assert_eq!(throttle.pass(), None);
        tokio::time::advance(Throttle::PERIOD).await;
        assert_eq!(throttle.pass(), Some(2));
    }
}
