//! Windows of time, cut by the minute rollup so that each takes about as long as people wait for a sign of life.

use std::{collections::VecDeque, time::Duration};

use super::{Order, plan::Range};
use crate::summary::COUNT_COLUMNS;

/// Minutes of the rollup that are read at a time.
const MINUTES_MAX: usize = 1440;

pub(crate) const MINUTE_MICROS: i64 = 60_000_000;

/// Asks for the minutes with rows in them from the first to the second parameter, of the wanted severities where
/// they are known; `mark` begins a parameter's name.
pub(crate) fn minutes(order: Order, wanted: Option<[bool; 9]>, mark: char) -> String {
    let sum = |wanted: [bool; 9]| {
        let columns = COUNT_COLUMNS.into_iter().zip(wanted);
        columns
            .filter(|(_, is_wanted)| *is_wanted)
            .map(|(column, _)| format!(" + \"{column}\""))
            .collect::<String>()
    };
    format!(
        "SELECT minute, 0{} FROM rollup_minute WHERE minute >= {mark}1 AND minute < {mark}2 AND 0{} > 0 \
         ORDER BY minute {} LIMIT {MINUTES_MAX}",
        sum([true; 9]),
        sum(wanted.unwrap_or([true; 9])),
        order.direction()
    )
}

/// What the first window holds: a fraction of a second on a slow machine.
const ROWS_FIRST: u64 = if cfg!(test) { 20 } else { 20_000 };
const ROWS_MIN: u64 = if cfg!(test) { 20 } else { 2_000 };
const ROWS_MAX: u64 = 2_000_000;

/// What a window should take.
const WINDOW_SECS: f64 = 0.3;

/// A window, from the first microsecond to the one behind the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) range: Range,
    /// Rows in it.
    pub(crate) rows: u64,
}

/// A walk through a range of time.
#[derive(Debug)]
pub(crate) struct Walk {
    order: Order,
    left: Range,
    minutes: VecDeque<(i64, u64)>,
    /// Rows that the next window should hold.
    target: u64,
    /// Minutes that are not fed hold nothing, and are worth going round.
    stops_at_gaps: bool,
    /// Where the next window ends if it comes that far: what is behind is read otherwise.
    border: Option<i64>,
    /// What the next window holds at most, about, however fast it goes.
    most: u64,
}

impl Walk {
    pub(crate) const fn new(order: Order, range: Range) -> Self {
        Self {
            order,
            left: range,
            minutes: VecDeque::new(),
            target: ROWS_FIRST,
            stops_at_gaps: false,
            border: None,
            most: ROWS_MAX,
        }
    }

    /// Whether windows end where a minute is missing.
    pub(crate) const fn stop_at_gaps(&mut self, stops: bool) {
        self.stops_at_gaps = stops;
    }

    /// The next window ends at `border`, the begin of a minute, if it comes that far.
    pub(crate) const fn stop_at(&mut self, border: Option<i64>) {
        self.border = border;
    }

    /// The next window holds no more than about `rows`: then an index is asked.
    pub(crate) fn stop_after(&mut self, rows: u64) {
        self.most = rows.clamp(ROWS_MIN, ROWS_MAX);
    }

    fn target(&self) -> u64 {
        self.target.min(self.most)
    }

    /// The part of the range of which more minutes of the rollup are needed now; at its end, none.
    pub(crate) fn needs(&self) -> Option<Range> {
        (self.minutes.is_empty() && self.left.0 < self.left.1).then_some(self.left)
    }

    /// The next minutes with rows in them, in the order of the walk; none when there are no more.
    pub(crate) fn feed(&mut self, minutes: Vec<(i64, u64)>) {
        if minutes.is_empty() {
            self.left.1 = self.left.0;
        }
        self.minutes = minutes.into();
    }

    /// The edge from which the walk goes on.
    pub(crate) const fn edge(&self) -> i64 {
        match self.order {
            Order::NewestFirst => self.left.1,
            Order::OldestFirst => self.left.0,
        }
    }

    /// What is not walked through yet.
    pub(crate) const fn rest(&self) -> Range {
        self.left
    }

    /// The next window of the minutes that are known.
    pub(crate) fn window(&mut self) -> Option<Window> {
        let (first, first_rows) = *self.minutes.front()?;
        if first_rows > self.target() * 2 && self.border_before(first).is_none() {
            return Some(self.part_of_minute(first, first_rows));
        }
        let (mut rows, mut last) = (0, first);
        while let Some((minute, of_minute)) = self.minutes.front() {
            let is_full = rows + of_minute > self.target();
            let is_gap = self.stops_at_gaps && minute.abs_diff(last) > MINUTE_MICROS.unsigned_abs();
            if rows > 0 && (is_full || is_gap) {
                break;
            }
            if let Some(border) = self.border_before(*minute) {
                let left = self.jump(border);
                return Some(Window {
                    rows: rows + left.rows,
                    ..left
                });
            }
            rows += of_minute;
            last = *minute;
            self.minutes.pop_front();
        }
        let (earliest, latest) = (first.min(last), first.max(last));
        Some(self.cut((earliest, latest.saturating_add(MINUTE_MICROS)), rows))
    }

    /// The border, if the minute lies behind it.
    fn border_before(&self, minute: i64) -> Option<i64> {
        self.border.filter(|border| match self.order {
            Order::NewestFirst => minute < *border,
            Order::OldestFirst => minute >= *border,
        })
    }

    fn part_of_minute(&mut self, minute: i64, rows: u64) -> Window {
        let parts = i64::try_from(rows / self.target()).unwrap_or(1).clamp(1, 60);
        let width = MINUTE_MICROS / parts;
        let end = minute.saturating_add(MINUTE_MICROS);
        let range = match self.order {
            Order::NewestFirst => {
                let to = self.left.1.min(end);
                ((to - width).max(minute), to)
            }
            Order::OldestFirst => {
                let from = self.left.0.max(minute);
                (from, (from + width).min(end))
            }
        };
        let is_last = match self.order {
            Order::NewestFirst => range.0 <= minute.max(self.left.0),
            Order::OldestFirst => range.1 >= end.min(self.left.1),
        };
        if is_last {
            self.minutes.pop_front();
        }
        self.cut(range, rows / parts.unsigned_abs())
    }

    /// Goes on to `edge` at once.
    pub(crate) fn jump(&mut self, edge: i64) -> Window {
        let range = match self.order {
            Order::NewestFirst => (edge, self.left.1),
            Order::OldestFirst => (self.left.0, edge),
        };
        let order = self.order;
        let mut rows = 0;
        self.minutes.retain(|(minute, of_minute)| {
            let is_behind = match order {
                Order::NewestFirst => *minute < edge,
                Order::OldestFirst => minute.saturating_add(MINUTE_MICROS) > edge,
            };
            rows += if is_behind { 0 } else { *of_minute };
            is_behind
        });
        self.cut(range, rows)
    }

    fn cut(&mut self, range: Range, rows: u64) -> Window {
        let range = (range.0.max(self.left.0), range.1.min(self.left.1));
        match self.order {
            Order::NewestFirst => self.left.1 = range.0,
            Order::OldestFirst => self.left.0 = range.1,
        }
        Window { range, rows }
    }

    /// Learns how fast it goes.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a guess, bounded before it is used"
    )]
    pub(crate) fn took(&mut self, window: Window, time: Duration) {
        let per_second = window.rows as f64 / time.as_secs_f64().max(0.001);
        let target = (per_second * WINDOW_SECS) as u64;
        self.target = target
            .clamp(self.target / 4, self.target * 4)
            .clamp(ROWS_MIN, ROWS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: i64 = MINUTE_MICROS;

    fn walk(order: Order, range: Range, minutes: &[(i64, u64)], target: u64) -> Vec<Window> {
        let mut walk = Walk::new(order, range);
        walk.target = target;
        assert_eq!(walk.needs(), Some(range));
        walk.feed(minutes.iter().map(|(minute, rows)| (minute * M, *rows)).collect());
        std::iter::from_fn(|| walk.window()).collect()
    }

    fn window(from: i64, to: i64, rows: u64) -> Window {
        Window {
            range: (from, to),
            rows,
        }
    }

    #[test]
    fn windows_hold_about_as_many_rows() {
        let minutes = [(9, 10), (8, 80), (5, 20), (4, 90), (1, 1)];
        assert_eq!(
            walk(Order::NewestFirst, (M + 5, 10 * M - 1), &minutes, 100),
            [
                window(8 * M, 10 * M - 1, 90),
                window(5 * M, 6 * M, 20),
                window(M + 5, 5 * M, 91)
            ]
        );
        let minutes = [(1, 1), (4, 90), (5, 20)];
        assert_eq!(
            walk(Order::OldestFirst, (0, 6 * M), &minutes, 100),
            [window(M, 5 * M, 91), window(5 * M, 6 * M, 20)]
        );
    }

    #[test]
    fn a_full_minute_is_cut() {
        for order in [Order::NewestFirst, Order::OldestFirst] {
            let mut windows = walk(order, (0, 2 * M), &[(1, 400)], 100);
            if order == Order::NewestFirst {
                windows.reverse();
            }
            let quarter = M / 4;
            let expected: Vec<_> = (4..8)
                .map(|part| window(part * quarter, (part + 1) * quarter, 100))
                .collect();
            assert_eq!(windows, expected);
        }
    }

    #[test]
    fn a_window_ends_where_an_index_begins() {
        let minutes = [(9, 10), (8, 10), (5, 10), (4, 10)];
        for (border, expected) in [
            (9 * M, window(9 * M, 10 * M, 10)),
            (7 * M, window(7 * M, 10 * M, 20)),
            (M, window(4 * M, 10 * M, 40)),
        ] {
            let mut walk = Walk::new(Order::NewestFirst, (0, 10 * M));
            walk.target = 100;
            walk.stop_at(Some(border));
            walk.feed(minutes.iter().map(|(minute, rows)| (minute * M, *rows)).collect());
            assert_eq!(walk.window(), Some(expected), "{border}");
        }
        let mut walk = Walk::new(Order::NewestFirst, (0, 10 * M));
        walk.target = 1000;
        walk.stop_after(ROWS_MIN);
        walk.feed(vec![(9 * M, ROWS_MIN - 1), (8 * M, 2)]);
        assert_eq!(walk.window(), Some(window(9 * M, 10 * M, ROWS_MIN - 1)));
        let mut walk = Walk::new(Order::OldestFirst, (0, 10 * M));
        walk.stop_at(Some(2 * M));
        walk.feed(vec![(3 * M, 9)]);
        // Nothing is before the border.
        assert_eq!(walk.window(), Some(window(0, 2 * M, 0)));
        walk.stop_at(None);
        assert_eq!(walk.window(), Some(window(3 * M, 4 * M, 9)));
    }

    #[test]
    fn a_jump_takes_what_lies_between() {
        let mut walk = Walk::new(Order::NewestFirst, (0, 10 * M));
        walk.feed(vec![(9 * M, 1), (7 * M, 2), (3 * M, 4)]);
        assert_eq!(walk.jump(5 * M), window(5 * M, 10 * M, 3));
        assert_eq!(walk.window(), Some(window(3 * M, 4 * M, 4)));
        assert_eq!(walk.needs(), Some((0, 3 * M)));
        walk.feed(Vec::new());
        assert_eq!(walk.needs(), None);
    }
}
