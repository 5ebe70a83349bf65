//! Instants as pages show them.

use event::Timestamp;
use jiff::tz::TimeZone;

/// Of the form that `strftime` writes, in the zone of the visitor. Years that no calendar has are clamped.
pub(crate) fn show(at: Timestamp, zone: &TimeZone, form: &str) -> String {
    let at = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or(if at.as_micros() < 0 {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    });
    at.to_zoned(zone.clone()).strftime(form).to_string()
}

/// `2026-11-21 09:43:19`.
pub(crate) fn seconds(at: Timestamp, zone: &TimeZone) -> String {
    show(at, zone, "%Y-%m-%d %H:%M:%S")
}

/// "3 min", "2 h", "5 d": one unit, rounded down.
pub(crate) fn rough(micros: i64) -> String {
    let seconds = micros.unsigned_abs() / 1_000_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_zone_and_survives_the_edges() {
        let at = Timestamp::from_micros(1_700_000_000_123_456);
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(seconds(at, &TimeZone::UTC), "2023-11-14 22:13:20");
        assert_eq!(seconds(at, &berlin), "2023-11-14 23:13:20");
        for micros in [i64::MIN, i64::MAX] {
            assert!(!seconds(Timestamp::from_micros(micros), &berlin).is_empty());
        }
    }

    #[test]
    fn rough_has_one_unit() {
        assert_eq!(rough(59_999_999), "59 s");
        assert_eq!(rough(-3_600_000_000), "1 h");
        assert_eq!(rough(200_000_000_000), "2 d");
    }
}
