//! Named points at which a process dies as if it were killed there, for the torture test.
//!
//! They stand between "done" and "acknowledged" of every hop. The feature `crash-points` compiles them in, which only
//! builds with tests have; without it a point is an empty function.

/// Ends the process, without running anything more, when this is the point and the count that
/// `LOGFERRY_TEST_CRASH_POINT` names, such as `rows:committed=3` for the third time.
#[cfg(feature = "crash-points")]
pub fn crash_point(name: &str) {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    };
    struct Chosen {
        name: String,
        left: AtomicU64,
    }
    static CHOSEN: LazyLock<Option<Chosen>> = LazyLock::new(|| {
        let chosen = std::env::var("LOGFERRY_TEST_CRASH_POINT").ok()?;
        let (name, count) = chosen.split_once('=')?;
        Some(Chosen {
            name: name.to_owned(),
            left: AtomicU64::new(count.parse().ok()?),
        })
    });
    if let Some(chosen) = &*CHOSEN
        && chosen.name == name
        && chosen.left.fetch_sub(1, Ordering::Relaxed) <= 1
    {
        std::process::abort();
    }
}

/// Nothing: this build has no crash points.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub const fn crash_point(_name: &str) {}
