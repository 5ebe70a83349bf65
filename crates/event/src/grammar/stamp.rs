//! Timestamps of the RFC 3164 family: `Nov 21 10:00:00` and what senders make of it, and ISO 8601.

use super::{
    cursor::Cursor,
    wall_time::{self, Clock, Offset, WallTime},
    zone::Zone,
};
use crate::time::{EventTime, Timestamp};

/// A timestamp found at the front of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// `None` for one that has the shape and names a day or time that does not exist.
    pub(super) time: Option<EventTime>,
    /// ISO 8601 with a space for the `T`, which log files of applications have and syslog has not.
    pub(super) is_spaced_iso: bool,
}

/// Reads a timestamp off the front, where there is one that ends at a space, a colon and a space, or the end:
///
/// - `Nov 21 10:00:00`, `Nov  1 10:00:00`, the year in front (`2026 Nov 21 10:00:00`), behind the day
///   (`Nov 21 2026 10:00:00`) or at the end (`Nov 21 10:00:00 2026`), a weekday in front, a fraction, a zone
///   behind (`UTC`, `CET`, `+0100`, `TZ-6`);
/// - ISO 8601 ([`wall_time::iso`]), a zone behind;
/// - either with the `*` or `.` in front by which Cisco devices say that their clock is not synchronised.
pub(super) fn read(cursor: &mut Cursor<'_>, zone: &Zone, received_at: Timestamp) -> Option<Stamp> {
    let mut ahead = *cursor;
    if matches!(ahead.peek(), Some(b'*' | b'.')) {
        ahead.take(1);
    }
    let stamp = if matches!(ahead.bytes(), [_, _, _, _, b'-', ..]) {
        iso(&mut ahead, zone, received_at)?
    } else {
        traditional(&mut ahead, zone, received_at)?
    };
    if !at_boundary(ahead.bytes()) {
        return None;
    }
    *cursor = ahead;
    Some(stamp)
}

/// A colon ends a timestamp only where a space or a Cisco mnemonic is next: `2001:db8::1` is no year.
fn at_boundary(bytes: &[u8]) -> bool {
    matches!(bytes, [] | [b' ', ..] | [b':'] | [b':', b' ' | b'%', ..])
}

fn iso(cursor: &mut Cursor<'_>, zone: &Zone, received_at: Timestamp) -> Option<Stamp> {
    let head = cursor.bytes().first_chunk::<19>()?;
    let is_spaced_iso = head.get(10) == Some(&b' ');
    let Some((wall, mut offset, len)) = wall_time::iso(cursor.bytes()) else {
        let has_shape = head
            .iter()
            .zip(b"0000-00-00T00:00:00")
            .all(|(byte, model)| match model {
                b'0' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b't' | b' '),
                _ => byte == model,
            });
        cursor.take(19);
        cursor.take_word();
        return has_shape.then_some(Stamp {
            time: None,
            is_spaced_iso,
        });
    };
    cursor.take(len);
    if offset == Offset::Absent {
        offset = zone_behind(cursor, zone).unwrap_or(Offset::Absent);
    }
    let time = Some(zone.resolve(wall, offset, received_at));
    Some(Stamp { time, is_spaced_iso })
}

fn traditional(cursor: &mut Cursor<'_>, zone: &Zone, received_at: Timestamp) -> Option<Stamp> {
    let mut year = year_in_front(cursor);
    skip_weekday(cursor);
    let month = month(cursor)?;
    let day = day(cursor)?;
    year = year.or_else(|| year_in_front(cursor));
    let clock = Clock::read(cursor.bytes().first_chunk()?)?;
    cursor.take(8);
    let mut fraction = WallTime::default();
    let fraction_len = fraction.fraction(cursor.bytes());
    cursor.take(fraction_len);

    year = year.or_else(|| year_behind(cursor));
    let offset = zone_behind(cursor, zone);
    if offset.is_some() {
        year = year.or_else(|| year_behind(cursor));
    }
    let date = |year| WallTime::new(year, month, day, clock);
    let wall = match year {
        Some(year) => date(year),
        None => nearest(date, received_at),
    };
    let time = wall.map(|wall| {
        let wall = WallTime {
            seconds: wall.seconds,
            ..fraction
        };
        zone.resolve(wall, offset.unwrap_or(Offset::Absent), received_at)
    });
    Some(Stamp {
        time,
        is_spaced_iso: false,
    })
}

/// Of the years around `near` the one that brings `date` nearest to it. February 29 may be four years away.
fn nearest(date: impl Fn(u32) -> Option<WallTime>, near: Timestamp) -> Option<WallTime> {
    /// A date less than this far away has no nearer twin in another year.
    const HALF_A_YEAR: u64 = 182 * 86_400;
    /// On average, so that the year is one off at worst, and then the date is far away.
    const SECONDS_OF_A_YEAR: i64 = 31_556_952;
    let near = near.as_micros().div_euclid(1_000_000);
    let year = u32::try_from(1970 + near.div_euclid(SECONDS_OF_A_YEAR)).ok()?;
    let distance = |wall: &WallTime| wall.seconds.abs_diff(near);
    if let Some(wall) = date(year).filter(|wall| distance(wall) < HALF_A_YEAR) {
        return Some(wall);
    }
    (year.saturating_sub(5)..=year + 5)
        .filter_map(date)
        .min_by_key(distance)
}

/// `2026 `.
fn year_in_front(cursor: &mut Cursor<'_>) -> Option<u32> {
    let [digits @ .., b' '] = cursor.bytes().first_chunk::<5>()? else {
        return None;
    };
    let year = wall_time::year(digits)?;
    cursor.take(5);
    Some(year)
}

/// ` 2026`.
fn year_behind(cursor: &mut Cursor<'_>) -> Option<u32> {
    let ([b' ', digits @ ..], behind) = cursor.bytes().split_first_chunk::<5>()? else {
        return None;
    };
    let year = wall_time::year(digits).filter(|year| (1970..2200).contains(year) && at_boundary(behind))?;
    cursor.take(5);
    Some(year)
}

/// `Sat `.
fn skip_weekday(cursor: &mut Cursor<'_>) {
    if let [
        b'M' | b'T' | b'W' | b'F' | b'S',
        _,
        b'n' | b'e' | b'd' | b'u' | b'i' | b't',
        b' ',
        ..,
    ] = cursor.bytes()
    {
        cursor.take(4);
    }
}

/// `Nov ` in any case, with more spaces where there are more.
fn month(cursor: &mut Cursor<'_>) -> Option<u32> {
    let &[a, b, c, b' '] = cursor.bytes().first_chunk::<4>()? else {
        return None;
    };
    let month = match &[a | 0x20, b | 0x20, c | 0x20] {
        b"jan" => 1,
        b"feb" => 2,
        b"mar" => 3,
        b"apr" => 4,
        b"may" => 5,
        b"jun" => 6,
        b"jul" => 7,
        b"aug" => 8,
        b"sep" => 9,
        b"oct" => 10,
        b"nov" => 11,
        b"dec" => 12,
        _ => return None,
    };
    cursor.take(4);
    Some(month)
}

/// `21 `, ` 1 `, `1 `.
fn day(cursor: &mut Cursor<'_>) -> Option<u32> {
    cursor.eat(" ");
    let (day, len) = match *cursor.bytes() {
        [tens, units, b' ', ..] => (wall_time::two(tens, units)?, 3),
        [units, b' ', ..] => (wall_time::two(b'0', units)?, 2),
        _ => return None,
    };
    cursor.take(len);
    Some(day)
}

/// An offset, attached or behind a space, or a space and a zone's name. A name that nobody knows is taken only in
/// front of a Cisco mnemonic, where nothing else can stand; it is the listener's zone then.
fn zone_behind(cursor: &mut Cursor<'_>, zone: &Zone) -> Option<Offset> {
    // Nearly always a host name or a tag comes here, and this tells at once.
    if !matches!(
        cursor.bytes(),
        [b' ', b'A'..=b'Z' | b'+' | b'-', ..] | [b'Z' | b'+' | b'-', ..]
    ) {
        return None;
    }
    let mut ahead = *cursor;
    let is_attached = !ahead.eat(" ");
    let numerical = |ahead: &mut Cursor<'_>| {
        let (offset, len) = wall_time::offset(ahead.bytes());
        ahead.take(len);
        (len > 1 || (len == 1 && is_attached)).then_some(offset)
    };
    let offset = match ahead.peek()? {
        b'+' | b'-' => numerical(&mut ahead)?,
        b'Z' if is_attached => numerical(&mut ahead)?,
        b'A'..=b'Z' if !is_attached => {
            let is_upper = |byte: &&u8| byte.is_ascii_uppercase();
            let name = ahead.take(ahead.bytes().iter().take_while(is_upper).count());
            match (name, ahead.peek()) {
                ("TZ" | "UTC" | "GMT", Some(b'+' | b'-')) => hours(&mut ahead)?,
                _ => match zone.named(name) {
                    Some(offset) => offset,
                    None if name.len() <= 5 && ahead.rest().starts_with(": %") => Offset::Absent,
                    None => return None,
                },
            }
        }
        _ => return None,
    };
    if !at_boundary(ahead.bytes()) {
        return None;
    }
    *cursor = ahead;
    Some(offset)
}

/// `+2`, `-06`, `+05:30` behind `UTC`, `GMT` or `TZ`.
fn hours(cursor: &mut Cursor<'_>) -> Option<Offset> {
    let (offset, len) = match *cursor.bytes() {
        [sign, units @ b'0'..=b'9', ref behind @ ..] if at_boundary(behind) => {
            (wall_time::offset(&[sign, b'0', units, b'0', b'0']).0, 2)
        }
        [sign, tens, units, ref behind @ ..] if at_boundary(behind) => {
            (wall_time::offset(&[sign, tens, units, b'0', b'0']).0, 3)
        }
        ref bytes => wall_time::offset(bytes),
    };
    cursor.take(len);
    (offset != Offset::Absent).then_some(offset)
}
