//! Dead letters for people: a table, or one of them with all that is in it.

use std::fmt::Write;

use dead::Record;
use jiff::{Timestamp, tz::TimeZone};

use crate::terminal::{push_visible, visible};

/// The table, with a line for each letter.
pub(super) fn table(records: &[Record], zone: &TimeZone) -> String {
    let mut rows = vec![["DIED", "ID", "STAGE", "REASON", "EVENTS", "WHY", "CONTENT"].map(str::to_owned)];
    rows.extend(records.iter().map(|record| row(record, zone)));
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            push(&mut line, format_args!("{cell:width$}  "));
        }
        push(&mut out, format_args!("{}\n", line.trim_end()));
    }
    out
}

const WHY_MAX: usize = 48;
const CONTENT_MAX: usize = 60;

fn row(record: &Record, zone: &TimeZone) -> [String; 7] {
    let id = record.id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let events = record
        .events
        .map_or_else(|| "-".to_owned(), |events| events.to_string());
    let content = cut(&visible(&record.preview), CONTENT_MAX);
    match &record.death {
        Some(death) => [
            time(death.at, zone),
            id,
            visible(&death.stage),
            visible(&death.reason),
            events,
            cut(&visible(&death.text), WHY_MAX),
            content,
        ],
        None => [
            "-".to_owned(),
            id,
            "-".to_owned(),
            "unknown".to_owned(),
            events,
            "-".to_owned(),
            content,
        ],
    }
}

/// Everything about one letter.
pub(super) fn whole(record: &Record, zone: &TimeZone) -> anyhow::Result<String> {
    let mut out = String::new();
    let mut field = |name: &str, value: &str| push(&mut out, format_args!("{name:12} {}\n", visible(value)));
    field("id", &record.name());
    match &record.death {
        Some(death) => {
            field("reason", &death.reason);
            field("why", &death.text);
            field("died", &time(death.at, zone));
            field("stage", &death.stage);
            field("queue", &death.queue);
            if let Some(batch) = death.batch {
                field("batch", &batch.to_string());
            }
            if let Some(position) = death.position {
                field("position", &position.to_string());
            }
            field("attempts", &death.attempts.to_string());
            field(
                "came by",
                &format!("{} with key {}", death.exchange, death.routing_key),
            );
        }
        None => field(
            "reason",
            "unknown: it has no headers of Logferry or RabbitMQ that say it",
        ),
    }
    field("dead key", &record.routing_key);
    field("type", record.content_type.as_deref().unwrap_or("-"));
    let events = match record.events {
        Some(1) => format!("1 line or event, {} bytes", record.bytes),
        Some(events) => format!("{events} lines or events, {} bytes", record.bytes),
        None => format!("no batch, {} bytes", record.bytes),
    };
    field("content", &events);
    for line in dead::lines(&record.body()?) {
        out.push_str("  ");
        push_visible(&mut out, &line);
        out.push('\n');
    }
    Ok(out)
}

pub(super) fn time(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone())
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max - 1).chain(['…']).collect()
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string does not fail");
}
