//! What is to be said about a source: whether it is silent, by its own rhythm.

use serde::Serialize;
use store::{SOURCE_HOURS, SourceRow};

const HOUR_MICROS: i64 = 3_600_000_000;
/// Nobody is silent before this.
const QUIET_MICROS_MIN: i64 = 300_000_000;
/// Quiet for so many times its usual gap, a source is silent.
const GAPS: i64 = 6;
/// Hours with events that tell a rhythm.
const HOURS_MIN: usize = 3;
/// A change of rate that is worth a word.
const CHANGE: f64 = 2.0;

/// How a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Condition {
    Silent,
    /// Too little is known to call it silent.
    Unknown,
    /// Somebody said that its silence is no news.
    Muted,
    Ok,
}

/// A source, judged.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    pub(super) row: SourceRow,
    /// False for one that is expected and never sent.
    pub(super) is_seen: bool,
    pub(super) condition: Condition,
    /// The rule that says so.
    pub(super) why: String,
    /// Between two events in a usual hour; `None` while that is not known.
    pub(super) usual_gap_micros: Option<i64>,
    /// Since the last event.
    pub(super) quiet_micros: i64,
}

impl Condition {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Silent => "✕ silent",
            Self::Unknown => "? unknown",
            Self::Muted => "– muted",
            Self::Ok => "✓ sends",
        }
    }

    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Silent => "bad",
            Self::Unknown | Self::Muted => "muted",
            Self::Ok => "ok",
        }
    }

    pub(super) fn of(word: &str) -> Option<Self> {
        match word {
            "silent" => Some(Self::Silent),
            "unknown" => Some(Self::Unknown),
            "muted" => Some(Self::Muted),
            "ok" => Some(Self::Ok),
            _ => None,
        }
    }
}

impl Judged {
    pub(super) fn new(row: SourceRow, now_micros: i64) -> Self {
        let quiet_micros = (now_micros - row.last_seen.as_micros()).max(0);
        let usual_gap_micros = usual_gap(&row, now_micros);
        let rough = crate::time::rough;
        let (condition, why) = match usual_gap_micros {
            _ if quiet_micros <= QUIET_MICROS_MIN => (Condition::Ok, "an event in the last 5 min".to_owned()),
            Some(gap) if quiet_micros > gap.saturating_mul(GAPS) => (
                Condition::Silent,
                format!(
                    "quiet for {}, usually an event each {}",
                    rough(quiet_micros),
                    rough(gap)
                ),
            ),
            Some(gap) => (
                Condition::Ok,
                format!(
                    "quiet for {}, with an event each {} that is usual",
                    rough(quiet_micros),
                    rough(gap)
                ),
            ),
            None => (
                Condition::Unknown,
                format!(
                    "quiet for {}; it sent in fewer than {HOURS_MIN} of the last {SOURCE_HOURS} hours, which is no rhythm",
                    rough(quiet_micros)
                ),
            ),
        };
        Self {
            row,
            is_seen: true,
            condition,
            why,
            usual_gap_micros,
            quiet_micros,
        }
    }

    /// As pages name it: those without a name, and those beyond the catalogue's bound.
    pub(super) fn name(&self) -> &str {
        match &*self.row.hostname {
            "" => "(no hostname)",
            "*" => "(all others)",
            name => name,
        }
    }

    /// Whether there is a page of it.
    pub(super) fn has_page(&self) -> bool {
        self.is_seen && !matches!(&*self.row.hostname, "" | "*")
    }

    /// The curve in a word, for those who do not see it.
    pub(super) fn trend(&self) -> &'static str {
        let (early, late) = self.row.hours.split_at(SOURCE_HOURS / 2);
        #[expect(clippy::cast_precision_loss, reason = "a comparison needs no 53 bits")]
        let sum = |hours: &[u64]| hours.iter().sum::<u64>() as f64;
        let (early, late) = (sum(early), sum(late));
        match () {
            () if early + late == 0.0 => "nothing in 24 h",
            () if late > early * CHANGE => "rising",
            () if early > late * CHANGE => "falling",
            () => "steady",
        }
    }

    /// Events in the last 24 hours.
    pub(super) fn day(&self) -> u64 {
        self.row.hours.iter().sum()
    }
}

/// Of the whole hours in which it sent, the middle one's. The hours after its last event say nothing about how it was.
fn usual_gap(row: &SourceRow, now_micros: i64) -> Option<i64> {
    let this_hour = now_micros.div_euclid(HOUR_MICROS);
    let last_hour = row.last_seen.as_micros().div_euclid(HOUR_MICROS).min(this_hour);
    let silent_hours = usize::try_from(this_hour - last_hour).unwrap_or(SOURCE_HOURS);
    // The hour that is under way, and the one in which it stopped, are not whole.
    let whole = SOURCE_HOURS.saturating_sub(silent_hours + 1);
    let mut counts: Vec<u64> = row
        .hours
        .iter()
        .take(whole)
        .copied()
        .filter(|count| *count > 0)
        .collect();
    if counts.len() < HOURS_MIN {
        return None;
    }
    counts.sort_unstable();
    let middle = counts.get(counts.len() / 2).copied()?;
    Some(HOUR_MICROS / i64::try_from(middle).unwrap_or(i64::MAX).max(1))
}

#[cfg(test)]
mod tests {
    use event::Timestamp;

    use super::*;

    const NOW: i64 = 1_795_254_199_000_000;

    fn judged(hours: [u64; SOURCE_HOURS], quiet_s: i64) -> Judged {
        let row = SourceRow {
            hostname: "web01".to_owned(),
            apps: 1,
            peers: vec!["192.0.2.1".to_owned()],
            first_seen: Timestamp::from_micros(0),
            last_seen: Timestamp::from_micros(NOW - quiet_s * 1_000_000),
            hours,
        };
        Judged::new(row, NOW)
    }

    #[test]
    fn a_source_is_judged_by_its_own_rhythm() {
        // One event a minute.
        let busy = [60; SOURCE_HOURS];
        assert_eq!(judged(busy, 10).condition, Condition::Ok);
        assert_eq!(
            judged(busy, 301).condition,
            Condition::Ok,
            "six gaps are six minutes"
        );
        let silent = judged(busy, 361);
        assert_eq!(silent.condition, Condition::Silent);
        assert_eq!(silent.why, "quiet for 6 min, usually an event each 1 min");
        // One an hour may be quiet for long.
        let rare = [1; SOURCE_HOURS];
        assert_eq!(judged(rare, 5 * 3600).condition, Condition::Ok);
        assert_eq!(judged(rare, 7 * 3600).condition, Condition::Silent);
    }

    #[test]
    fn too_little_is_unknown() {
        let mut new = [0; SOURCE_HOURS];
        new[SOURCE_HOURS - 1] = 1000;
        assert_eq!(judged(new, 10).condition, Condition::Ok);
        assert_eq!(judged(new, 1000).condition, Condition::Unknown);
        let gone = judged([0; SOURCE_HOURS], 30 * 86_400);
        assert_eq!(
            (gone.condition, gone.usual_gap_micros),
            (Condition::Unknown, None)
        );
        assert_eq!(gone.trend(), "nothing in 24 h");
    }

    #[test]
    fn hours_after_the_last_event_do_not_count_as_its_rhythm() {
        let mut hours = [60; SOURCE_HOURS];
        hours[SOURCE_HOURS - 7..].fill(0);
        let judged = judged(hours, 7 * 3600);
        assert_eq!(judged.usual_gap_micros, Some(60_000_000));
        assert_eq!(judged.condition, Condition::Silent);
        assert_eq!(judged.trend(), "falling");
    }
}
