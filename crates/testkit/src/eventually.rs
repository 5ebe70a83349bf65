//! Waiting for a condition with a deadline, so that no test sleeps and hopes.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use tokio::time::Instant;

/// Pause between two tries: short enough not to slow a test down, long enough not to burn a core.
const PAUSE: Duration = Duration::from_millis(10);

/// What a probe answers: not yet, or done with a value.
pub trait Probe {
    /// What the wait returns.
    type Value;
    /// The value, or `None` for "not yet".
    fn value(self) -> Option<Self::Value>;
}

impl Probe for bool {
    type Value = ();
    fn value(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T> Probe for Option<T> {
    type Value = T;
    fn value(self) -> Option<T> {
        self
    }
}

impl<T, E> Probe for Result<T, E> {
    type Value = T;
    fn value(self) -> Option<T> {
        self.ok()
    }
}

/// Calls `probe` again and again until it answers `true`, `Some` or `Ok`, and returns the value.
///
/// # Panics
/// When `deadline` has passed, naming the place of the call.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let mut tries = 0;
/// testkit::eventually(std::time::Duration::from_secs(5), || {
///     tries += 1;
///     std::future::ready(tries == 3)
/// })
/// .await;
/// # });
/// ```
#[track_caller]
pub fn eventually<P, F, R>(deadline: Duration, probe: P) -> impl Future<Output = R::Value>
where
    P: FnMut() -> F,
    F: Future<Output = R>,
    R: Probe,
{
    poll(deadline, probe, Location::caller())
}

#[expect(clippy::panic, reason = "failing the test is what it is for")]
async fn poll<P, F, R>(deadline: Duration, mut probe: P, caller: &Location<'_>) -> R::Value
where
    P: FnMut() -> F,
    F: Future<Output = R>,
    R: Probe,
{
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = probe().await.value() {
            return value;
        }
        if Instant::now() >= end {
            panic!("{caller}: did not happen within {deadline:?}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn returns_the_first_value() {
        let tries = Cell::new(0);
        let got = eventually(Duration::from_secs(10), || async {
            tries.set(tries.get() + 1);
            (tries.get() == 4).then_some("there")
        })
        .await;
        assert_eq!((got, tries.get()), ("there", 4));
    }

    #[tokio::test]
    #[should_panic(expected = "did not happen within 30ms")]
    async fn panics_at_the_deadline() {
        eventually(Duration::from_millis(30), || async { false }).await;
    }
}
