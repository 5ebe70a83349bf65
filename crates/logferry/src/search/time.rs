//! Points in time as people give them: an instant, a day, or how long ago.

use event::Timestamp;
use jiff::{Zoned, civil, tz::TimeZone};
use settings::units;

const FORM: &str = "write how long ago (15m, 2h, 1d), \"now\", a day (2026-11-21), a local time (\"2026-11-21 10:30\"), or RFC 3339 (2026-11-21T10:30:00Z)";

/// Reads a point in time; what names no zone is local.
pub(crate) fn parse(text: &str) -> Result<Timestamp, String> {
    parse_at(text, &Zoned::now())
}

fn parse_at(text: &str, now: &Zoned) -> Result<Timestamp, String> {
    let text = text.trim();
    if text == "now" {
        return Ok(micros(now.timestamp()));
    }
    if text.ends_with(|c: char| c.is_ascii_lowercase()) {
        let ago = text.strip_prefix('-').unwrap_or(text);
        let ago = units::duration(ago).map_err(|problem| format!("{problem}; {FORM}"))?;
        let instant = now
            .timestamp()
            .checked_sub(ago)
            .map_err(|_too_long| format!("is too long ago; {FORM}"))?;
        return Ok(micros(instant));
    }
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Ok(micros(instant));
    }
    let local = text
        .parse::<civil::DateTime>()
        .or_else(|_| text.parse::<civil::Date>().map(|day| day.at(0, 0, 0, 0)));
    let local = local.map_err(|_other| format!("is not a point in time: {FORM}"))?;
    let zoned = local
        .to_zoned(now.time_zone().clone())
        .map_err(|_gone| format!("is not a point in time: {FORM}"))?;
    Ok(micros(zoned.timestamp()))
}

fn micros(instant: jiff::Timestamp) -> Timestamp {
    Timestamp::from_micros(instant.as_microsecond())
}

/// Writes a point in time as [`parse`] reads it, to the millisecond, in `zone`.
pub(crate) fn show(at: Timestamp, zone: &TimeZone) -> String {
    match jiff::Timestamp::from_microsecond(at.as_micros()) {
        Ok(instant) => instant
            .to_zoned(zone.clone())
            .strftime("%Y-%m-%d %H:%M:%S%.3f")
            .to_string(),
        Err(_) => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Zoned {
        "2026-11-21T12:00:00+01:00[Europe/Berlin]"
            .parse()
            .expect("is a time")
    }

    #[test]
    fn all_forms() {
        for (text, instant) in [
            ("now", "2026-11-21T11:00:00Z"),
            ("15m", "2026-11-21T10:45:00Z"),
            ("-15m", "2026-11-21T10:45:00Z"),
            ("1d2h", "2026-11-20T09:00:00Z"),
            ("2026-11-21T10:30:00Z", "2026-11-21T10:30:00Z"),
            ("2026-11-21T10:30:00+02:00", "2026-11-21T08:30:00Z"),
            ("2026-11-21", "2026-11-20T23:00:00Z"),
            ("2026-07-01", "2026-06-30T22:00:00Z"),
            ("2026-11-21T10:30", "2026-11-21T09:30:00Z"),
            ("2026-11-21 10:30:05.25", "2026-11-21T09:30:05.25Z"),
        ] {
            let expected: jiff::Timestamp = instant.parse().expect(instant);
            assert_eq!(parse_at(text, &now()), Ok(micros(expected)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_told_the_forms() {
        for text in [
            "",
            "yesterday",
            "15",
            "15 minutes",
            "2026-13-01",
            "21.11.2026",
            "9999999d",
            "99999999999999999d",
        ] {
            let told = parse_at(text, &now()).expect_err(text);
            assert!(told.contains("RFC 3339"), "{text}: {told}");
        }
    }

    #[test]
    fn what_is_shown_can_be_asked_for() {
        let at = Timestamp::from_micros(1_795_258_805_250_000);
        let shown = show(at, now().time_zone());
        assert_eq!(parse_at(&shown, &now()), Ok(at), "{shown}");
    }
}
