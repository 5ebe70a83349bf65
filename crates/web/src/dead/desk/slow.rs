//! Whether somebody puts letters back slowly, so that nobody waits for a turn in vain.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// While letters are put back slowly.
pub(super) struct Slow(Arc<AtomicBool>);

impl Slow {
    pub(super) fn begin(is_slow: &Arc<AtomicBool>) -> Self {
        is_slow.store(true, Ordering::Relaxed);
        Self(Arc::clone(is_slow))
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
