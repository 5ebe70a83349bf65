//! Who writes comes first: where fewer cores are there than threads that want one, searches pause while groups are
//! written, and leave a core to the writer.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// A search runs for so long before it looks whether it is to pause.
const SLICE: Duration = Duration::from_millis(1);

/// What a search waits at a time, however many there are.
const PAUSE_MAX: Duration = Duration::from_millis(20);

static CORES: LazyLock<usize> = LazyLock::new(|| thread::available_parallelism().map_or(1, usize::from));

/// Who wants a core now.
#[derive(Debug, Default)]
pub(super) struct Load {
    groups: AtomicUsize,
    searches: AtomicUsize,
}

impl Load {
    /// A group that is to be written, until the guard is dropped.
    pub(super) fn group(&self) -> impl Drop + '_ {
        Counted::one_of(&self.groups)
    }

    /// A search that runs, until the guard is dropped.
    pub(super) fn search(&self) -> impl Drop + '_ {
        Counted::one_of(&self.searches)
    }

    fn pause(&self) -> Duration {
        let is_writing = self.groups.load(Ordering::Relaxed) > 0;
        pause(*CORES, self.searches.load(Ordering::Relaxed), is_writing)
    }
}

struct Counted<'c>(&'c AtomicUsize);

impl<'c> Counted<'c> {
    fn one_of(count: &'c AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// After a slice, so that the searches together take all cores but one.
fn pause(cores: usize, searches: usize, is_writing: bool) -> Duration {
    let theirs = cores.saturating_sub(1).max(1);
    if !is_writing || searches <= theirs {
        return Duration::ZERO;
    }
    let share = u32::try_from(searches.div_ceil(theirs) - 1).unwrap_or(u32::MAX);
    SLICE.saturating_mul(share).min(PAUSE_MAX)
}

/// A search's turn, which it gives up now and then.
#[derive(Debug)]
pub(super) struct Turn {
    load: Arc<Load>,
    since: Instant,
}

impl Turn {
    pub(super) fn new(load: &Arc<Load>) -> Self {
        Self {
            load: Arc::clone(load),
            since: Instant::now(),
        }
    }

    /// Pauses if it is time to. Called often.
    pub(super) fn give_way(&mut self) {
        if self.since.elapsed() < SLICE {
            return;
        }
        let pause = self.load.pause();
        if !pause.is_zero() {
            thread::park_timeout(pause);
        }
        self.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_leave_a_core_to_the_writer() {
        for (cores, searches, is_writing, slices) in [
            (2, 5, false, 0),
            (2, 1, true, 0),
            (2, 2, true, 1),
            (2, 5, true, 4),
            (1, 1, true, 0),
            (1, 3, true, 2),
            (8, 7, true, 0),
            (8, 8, true, 1),
            (2, 500, true, 20),
        ] {
            let expected = SLICE * slices;
            assert_eq!(pause(cores, searches, is_writing), expected, "{cores} {searches}");
        }
    }

    #[test]
    fn what_ends_is_not_counted() {
        let load = Load::default();
        let (group, search) = (load.group(), load.search());
        assert_eq!(load.searches.load(Ordering::Relaxed), 1);
        drop(search);
        drop(group);
        assert_eq!(load.pause(), Duration::ZERO);
        assert_eq!(load.groups.load(Ordering::Relaxed), 0);
    }
}
