//! How far a search is, on a terminal while it takes long; and where it stopped.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use event::Timestamp;
use jiff::tz::TimeZone;
use store::End;

use super::time;

/// Searches that take less say nothing.
const PATIENCE: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Progress {
    is_terminal: bool,
    began: Instant,
    is_drawn: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            began: Instant::now(),
            is_drawn: false,
        }
    }

    /// Everything up to `scanned_to` is looked through.
    pub(super) fn at(&mut self, scanned_to: Timestamp, shown: usize) {
        if self.is_terminal && self.began.elapsed() >= PATIENCE {
            let at = time::show(scanned_to, &TimeZone::system());
            self.draw(&format!("\r\x1b[Klooked through up to {at}, {shown} found"));
            self.is_drawn = true;
        }
    }

    /// Makes room for rows.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            self.draw("\r\x1b[K");
        }
    }

    /// The time was up.
    pub(super) fn tell_partial(&mut self, end: &End, shown: usize) {
        self.clear();
        let reached = end.stopped_at.map_or_else(String::new, |at| {
            format!(" at {}", time::show(at, &TimeZone::system()))
        });
        eprintln!(
            "logferry: the time was up{reached}, with {shown} found: longer with --timeout, less to look through with --from and --to"
        );
    }

    fn draw(&self, text: &str) {
        // A terminal that is gone needs no progress.
        let mut err = io::stderr().lock();
        let _drawn = err.write_all(text.as_bytes()).and_then(|()| err.flush());
    }
}
