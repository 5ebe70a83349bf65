//! The picture as text.

use std::time::Duration;

use jiff::Timestamp;
use settings::units;

use super::{Picture, Process};
use crate::terminal::visible;

/// Two columns are so far apart.
const GAP: &str = "  ";
/// A longer text of a process is cut in the table.
const CELL_CHARS_MAX: usize = 60;

pub(super) fn text(picture: &Picture, wait: Duration) -> String {
    if picture.processes.is_empty() {
        return format!(
            "no process was heard within {}: none runs on this broker, or it has no exchange logferry.status yet (`logferry init`)\n{}",
            units::show_duration(wait),
            queues(picture)
        );
    }
    format!("{}{}{}", processes(picture), queues(picture), errors(picture))
}

fn processes(picture: &Picture) -> String {
    let mut rows = vec![
        [
            "SERVICE",
            "PROCESS",
            "VERSION",
            "UP",
            "IN/S",
            "OUT/S",
            "UNDER WAY",
            "STATE",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for process in &picture.processes {
        let beat = &process.beat;
        rows.push(vec![
            cell(&beat.service),
            cell(&beat.instance),
            cell(&beat.version),
            age(picture.at, beat.since),
            rate(beat.rates.map(|rates| rates.received)),
            rate(beat.rates.map(|rates| rates.sent)),
            beat.counters.in_flight.to_string(),
            state(process),
        ]);
    }
    aligned(&rows, 4..7)
}

fn state(process: &Process) -> String {
    let mut parts = Vec::new();
    if process.is_silent {
        parts.push("silent".to_owned());
    }
    for not_ready in &process.beat.not_ready {
        let (part, why) = (cell(&not_ready.part), cell(&not_ready.why));
        parts.push(format!("{part}: {why}"));
    }
    if parts.is_empty() {
        parts.push("ok".to_owned());
    }
    if let Some(durability) = &process.beat.durability {
        parts.push(cell(&durability.in_force));
    }
    parts.join(", ")
}

fn queues(picture: &Picture) -> String {
    if picture.queues.is_empty() {
        return String::new();
    }
    let number = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
    let mut rows = vec![["QUEUE", "BATCHES", "CONSUMERS", ""].map(str::to_owned).to_vec()];
    for queue in &picture.queues {
        rows.push(vec![
            cell(&queue.queue),
            number(queue.messages),
            number(queue.consumers.map(u64::from)),
            queue.problem.as_deref().map(visible).unwrap_or_default(),
        ]);
    }
    format!("\n{}", aligned(&rows, 1..3))
}

fn errors(picture: &Picture) -> String {
    let mut lines = String::new();
    for Process { beat, .. } in &picture.processes {
        if let Some(trouble) = &beat.last_error {
            let (service, instance) = (cell(&beat.service), cell(&beat.instance));
            let (ago, level) = (age(picture.at, trouble.at), cell(&trouble.level));
            let text = visible(&trouble.text);
            lines.push_str(&format!("{service} {instance}: {level} {ago} ago: {text}\n"));
        }
    }
    if lines.is_empty() {
        return lines;
    }
    format!("\nLAST WARNINGS AND ERRORS\n{lines}")
}

/// Text from elsewhere, fit for a table.
fn cell(text: &str) -> String {
    let text = visible(text);
    match text.char_indices().nth(CELL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.split_at(end).0),
        None => text,
    }
}

fn rate(rate: Option<f64>) -> String {
    match rate {
        None => "-".to_owned(),
        Some(rate) if rate >= 10.0 || rate == 0.0 => format!("{rate:.0}"),
        Some(rate) => format!("{rate:.1}"),
    }
}

/// How long ago something was, in its two largest units.
fn age(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second()).max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {}s", seconds % 60),
        (0, hours, _) => format!("{hours}h {}m", minutes % 60),
        (days, hours, _) => format!("{days}d {}h", hours % 24),
    }
}

/// Rows under each other; the columns in `numbers` end at one place, the others begin there.
fn aligned(rows: &[Vec<String>], numbers: std::ops::Range<usize>) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<_> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                if numbers.contains(&column) {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            })
            .collect();
        text.push_str(cells.join(GAP).trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_units() {
        let at = |seconds| Timestamp::from_second(seconds).expect("is in range");
        for (seconds, expected) in [
            (0, "0s"),
            (59, "59s"),
            (61, "1m 1s"),
            (3600, "1h 0m"),
            (90_000, "1d 1h"),
            (-5, "0s"),
        ] {
            assert_eq!(age(at(seconds), at(0)), expected);
        }
    }

    #[test]
    fn columns_are_aligned_and_control_characters_are_seen() {
        let rows = [["a", "b", "c"], ["long", "10", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(aligned(&rows, 1..2), "a      b  c\nlong  10\n");
        assert!(!cell("x\x1b[2Jy").contains('\x1b'));
        assert_eq!(rate(None), "-");
        assert_eq!(rate(Some(1.25)), "1.2");
    }
}
