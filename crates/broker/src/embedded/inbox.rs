//! The way from async tasks to a thread: pushing never waits and never fails for want of room, taking can wait
//! with a deadline. What is in it is bounded by what its users hold: publishers' slots and consumers' prefetch.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

#[derive(Debug)]
pub(crate) struct Inbox<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    is_waiting: bool,
    is_closed: bool,
}

impl<T> Inbox<T> {
    pub(crate) fn new() -> Self {
        let state = State {
            items: VecDeque::new(),
            is_waiting: false,
            is_closed: false,
        };
        Self {
            state: Mutex::new(state),
            arrived: Condvar::new(),
        }
    }

    /// Puts `item` at the end; gives it back when the inbox is closed.
    pub(crate) fn push(&self, item: T) -> Result<(), T> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(item);
        }
        state.items.push_back(item);
        let wake = std::mem::take(&mut state.is_waiting);
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Nothing more goes in. What is in it can still be taken.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.arrived.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }

    /// Waits for items and moves them to `into`, in order, until the sum of `weight` reaches `weight_max`.
    /// Returns false when the inbox is closed and empty.
    pub(crate) fn take(&self, into: &mut Vec<T>, weight: impl Fn(&T) -> usize, weight_max: usize) -> bool {
        let mut state = self.state.lock();
        while state.items.is_empty() {
            if state.is_closed {
                return false;
            }
            state.is_waiting = true;
            self.arrived.wait(&mut state);
        }
        Self::drain(&mut state, into, weight, weight_max);
        true
    }

    /// As [`Self::take`], without waiting.
    pub(crate) fn try_take(
        &self,
        into: &mut Vec<T>,
        weight: impl Fn(&T) -> usize,
        weight_max: usize,
    ) -> bool {
        let mut state = self.state.lock();
        let is_open = !state.is_closed || !state.items.is_empty();
        Self::drain(&mut state, into, weight, weight_max);
        is_open
    }

    /// Waits until it is closed, or for `pause`. Returns whether it is closed.
    pub(crate) fn wait_closed(&self, pause: Duration) -> bool {
        let deadline = Instant::now() + pause;
        let mut state = self.state.lock();
        while !state.is_closed {
            // Pushes do not matter here, so `is_waiting` stays false and they do not wake us.
            if self.arrived.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.is_closed
    }

    fn drain(state: &mut State<T>, into: &mut Vec<T>, weight: impl Fn(&T) -> usize, weight_max: usize) {
        let mut sum = 0_usize;
        while sum < weight_max {
            let Some(item) = state.items.pop_front() else {
                break;
            };
            sum = sum.saturating_add(weight(&item));
            into.push(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_out_in_order_and_by_weight() {
        let inbox = Inbox::new();
        for n in 0..5 {
            inbox.push(n).unwrap();
        }
        let mut taken = Vec::new();
        assert!(inbox.take(&mut taken, |_| 2, 4));
        assert_eq!(taken, [0, 1]);
        inbox.close();
        assert_eq!(inbox.push(9), Err(9));
        assert!(inbox.take(&mut taken, |_| 1, 10));
        assert_eq!(taken, [0, 1, 2, 3, 4]);
        assert!(!inbox.take(&mut taken, |_| 1, 10));
        assert!(inbox.wait_closed(Duration::from_secs(60)));
    }

    #[test]
    fn a_push_wakes_the_taker() {
        let inbox = Inbox::new();
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| {
                let mut taken = Vec::new();
                assert!(inbox.take(&mut taken, |_| 1, 10));
                taken
            });
            inbox.push(7).unwrap();
            assert_eq!(taker.join().unwrap(), [7]);
        });
    }
}
