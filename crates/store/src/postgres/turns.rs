//! Who writes comes first: the searches of a process take turns, so that however many there are they leave the writer a
//! core where the database stands on the same machine.

use std::{thread, time::Duration};

use tokio::sync::{Semaphore, SemaphorePermit};

/// How long a search waits for its turn, about as long as one takes: one that takes long holds the others up, and does
/// not keep them from searching.
const PATIENCE: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub(super) struct Turns(Semaphore);

impl Default for Turns {
    fn default() -> Self {
        Self::new(thread::available_parallelism().map_or(1, usize::from))
    }
}

impl Turns {
    /// All cores but one.
    fn new(cores: usize) -> Self {
        Self(Semaphore::new(cores.saturating_sub(1).max(1)))
    }

    /// A turn, until it is dropped; `None` when it is time to go on without one.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        let turn = tokio::time::timeout(PATIENCE, self.0.acquire()).await;
        turn.ok().and_then(Result::ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn as_many_search_as_leave_a_core() {
        for (cores, most) in [(1, 1), (2, 1), (4, 3)] {
            let turns = Turns::new(cores);
            let mut held = Vec::new();
            for _ in 0..most {
                held.extend(turns.turn().await);
            }
            assert_eq!(held.len(), most);
            // One more waits for a moment, and goes on.
            assert!(turns.turn().await.is_none());
            held.pop();
            assert!(turns.turn().await.is_some());
        }
    }
}
