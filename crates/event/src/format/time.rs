//! Timestamps as bytes, without `core::fmt`, which costs more than all the rest of a line.

use crate::time::{Civil, EventTime, Timestamp};

/// `value` in exactly two digits; larger ones lose their upper digits.
pub(super) fn two(value: u32) -> [u8; 2] {
    [digit(value / 10), digit(value)]
}

/// The last decimal digit.
pub(super) fn digit(value: u32) -> u8 {
    b'0' + u8::try_from(value % 10).unwrap_or(0)
}

/// `2026-11-21T09:43:19`.
fn put_date_time(out: &mut Vec<u8>, civil: &Civil) {
    let [y1, y2] = two(civil.year / 100);
    let [y3, y4] = two(civil.year);
    let [mo1, mo2] = two(civil.month);
    let [d1, d2] = two(civil.day);
    let [h1, h2] = two(civil.hour);
    let [mi1, mi2] = two(civil.minute);
    let [s1, s2] = two(civil.second);
    out.extend_from_slice(&[
        y1, y2, y3, y4, b'-', mo1, mo2, b'-', d1, d2, b'T', h1, h2, b':', mi1, mi2, b':', s1, s2,
    ]);
}

/// The first `digits` (6 at most) of the fraction of a second.
pub(super) fn put_fraction(out: &mut Vec<u8>, micros: u32, digits: u8) {
    let [[a, b], [c, d], [e, f]] = [micros / 10_000, micros / 100, micros].map(two);
    let all = [a, b, c, d, e, f];
    out.extend_from_slice(all.get(..usize::from(digits)).unwrap_or(&all));
}

/// The same text as `EventTime`'s `Display`.
pub(super) fn put_event_time(out: &mut Vec<u8>, time: EventTime) {
    let civil = time.civil();
    put_date_time(out, &civil);
    if time.fraction_digits > 0 {
        out.push(b'.');
        put_fraction(out, civil.micros, time.fraction_digits);
    }
    let Some(minutes) = time.offset_minutes else {
        return out.push(b'Z');
    };
    out.push(if minutes < 0 { b'-' } else { b'+' });
    let minutes = u32::from(minutes.unsigned_abs());
    out.extend_from_slice(&two(minutes / 60));
    out.push(b':');
    out.extend_from_slice(&two(minutes % 60));
}

/// RFC 3339 in UTC with six digits.
pub(super) fn put_timestamp(out: &mut Vec<u8>, at: Timestamp) {
    put_event_time(out, EventTime::utc(at));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn same_as_display(micros: i64, offset in proptest::option::of(-1439_i16..1440), digits in 0_u8..=6) {
            let time = EventTime { at: Timestamp::from_micros(micros), offset_minutes: offset, fraction_digits: digits };
            let mut out = Vec::new();
            put_event_time(&mut out, time);
            prop_assert_eq!(String::from_utf8(out).unwrap(), time.to_string());
        }
    }
}
