//! What is to be said about a source: whether it is silent, by its own rhythm.

use serde::Serialize;
use store::{SOURCE_HOURS, SourceRow};

use super::{
    lately::OfSource,
    rhythm::{Missed, Rhythm},
};
use crate::time::rough;

/// Nobody is silent before this.
const QUIET_MICROS_MIN: i64 = 300_000_000;
/// A source that misses more events than these is silent: quiet for so many times its usual gap.
pub(super) const GAPS: f64 = 6.0;
/// Who is quiet for longer and misses no more sends too seldom to be judged.
const SELDOM_MICROS: i64 = 7 * DAY_MICROS;
/// What it takes to know a rhythm.
pub(super) const LEARNING_MICROS: i64 = DAY_MICROS;
const DAY_MICROS: i64 = 86_400_000_000;
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
    /// Between two events, as usual at this hour of the week; `None` while that is not known, and where nothing is usual.
    pub(super) usual_gap_micros: Option<i64>,
    /// At this hour it usually says nothing.
    pub(super) is_quiet_hour: bool,
    /// Since the last event.
    pub(super) quiet_micros: i64,
    /// What its newest events tell, if there are any among those that are looked at.
    pub(super) lately: Option<OfSource>,
    /// Datagrams that the kernel drops where its datagrams arrive; `None` where that is not known.
    pub(super) drops_per_min: Option<f64>,
}

/// What is to be seen to, whether it sends or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Sign {
    /// Its clock is off.
    Clock,
    /// The kernel drops datagrams where it sends to.
    Dropping,
}

impl Sign {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Clock => "▲ clock",
            Self::Dropping => "▲ drops",
        }
    }
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
    pub(super) fn new(row: SourceRow, rhythm: &Rhythm, now_micros: i64) -> Self {
        let last = row.last_seen.as_micros();
        let quiet_micros = (now_micros - last).max(0);
        let usual_gap_micros = rhythm.gap_micros();
        let missed = rhythm.missed(last, now_micros);
        let (condition, so) = if quiet_micros <= QUIET_MICROS_MIN {
            (Condition::Ok, None)
        } else {
            let (condition, so) = judge(missed, quiet_micros);
            (condition, Some(so))
        };
        let why = match (so, missed) {
            (None, _) => "an event in the last 5 min".to_owned(),
            (Some(_), None) if now_micros - row.first_seen.as_micros() < LEARNING_MICROS => format!(
                "quiet for {}; to know its rhythm takes {} h",
                rough(quiet_micros),
                LEARNING_MICROS / 3_600_000_000
            ),
            (Some(so), _) => match usual_gap_micros {
                Some(gap) if condition == Condition::Silent => {
                    format!(
                        "quiet for {}, {so}; now an event each {}",
                        rough(quiet_micros),
                        rough(gap)
                    )
                }
                Some(_) | None => format!("quiet for {}, {so}", rough(quiet_micros)),
            },
        };
        Self {
            row,
            is_seen: true,
            condition,
            why,
            usual_gap_micros,
            is_quiet_hour: rhythm.usual_now() == Some(0),
            quiet_micros,
            lately: None,
            drops_per_min: None,
        }
    }

    /// The signs beside its condition.
    pub(super) fn signs(&self) -> impl Iterator<Item = Sign> {
        let is_off = self
            .lately
            .as_ref()
            .is_some_and(|lately| lately.guess().is_some());
        let drops = self.drops_per_min.is_some_and(|drops| drops > 0.0);
        let clock = is_off.then_some(Sign::Clock);
        clock.into_iter().chain(drops.then_some(Sign::Dropping))
    }

    /// What comes first where the worst is wanted first.
    pub(super) fn rank(&self) -> i64 {
        match self.condition {
            Condition::Silent => 0,
            Condition::Unknown | Condition::Muted | Condition::Ok if self.signs().next().is_some() => 1,
            Condition::Unknown => 2,
            Condition::Muted => 3,
            Condition::Ok => 4,
        }
    }

    /// "40 s", or why there is none.
    pub(super) fn gap(&self) -> String {
        match self.usual_gap_micros {
            Some(gap) if gap < 1_000_000 => "under 1 s".to_owned(),
            Some(gap) => rough(gap),
            None if self.is_quiet_hour => "quiet hour".to_owned(),
            None => "unknown".to_owned(),
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

    /// Events in this hour and the one before.
    pub(super) fn last_hours(&self) -> u64 {
        let [.., before, this_hour] = self.row.hours;
        before + this_hour
    }

    /// Events in the last 24 hours.
    pub(super) fn day(&self) -> u64 {
        self.row.hours.iter().sum()
    }
}

/// What follows from what is missed, and the rule that says so.
fn judge(missed: Option<Missed>, quiet_micros: i64) -> (Condition, String) {
    #[expect(clippy::cast_precision_loss, reason = "five minutes")]
    let active_min = QUIET_MICROS_MIN as f64;
    let Some(missed) = missed else {
        return (
            Condition::Unknown,
            "and nothing is known of this time in the weeks before".to_owned(),
        );
    };
    let usual = match missed.events {
        events if events <= 0.0 => "in which nothing is usual".to_owned(),
        events if events < 1.0 => "in which less than one event is usual".to_owned(),
        events => format!("in which about {events:.0} events are usual"),
    };
    let condition = match missed {
        Missed {
            events,
            active_micros,
        } if events > GAPS && active_micros > active_min => Condition::Silent,
        _ if quiet_micros > SELDOM_MICROS => {
            return (Condition::Unknown, "too seldom to be judged".to_owned());
        }
        _ => Condition::Ok,
    };
    (condition, usual)
}

#[cfg(test)]
mod tests {
    use event::Timestamp;

    use super::*;
    use crate::sources::rhythm::{Past, hour_of};

    const NOW: i64 = 1_795_254_199_000_000;

    /// Long known, each hour of each week the same.
    fn judged(events_per_hour: u32, quiet_s: i64) -> Judged {
        judged_since(0, events_per_hour, quiet_s)
    }

    fn judged_since(first: i64, events_per_hour: u32, quiet_s: i64) -> Judged {
        let last = NOW - quiet_s * 1_000_000;
        let row = SourceRow {
            hostname: "web01".to_owned(),
            apps: 1,
            peers: vec!["192.0.2.1".to_owned()],
            first_seen: Timestamp::from_micros(first),
            last_seen: Timestamp::from_micros(last),
            hours: [0; SOURCE_HOURS],
        };
        let past = Past::new((first, last), None, |_| events_per_hour);
        Judged::new(row, &past.rhythm(hour_of(NOW)), NOW)
    }

    #[test]
    fn a_source_is_judged_by_its_own_rhythm() {
        assert_eq!(judged(60, 10).condition, Condition::Ok);
        assert_eq!(
            judged(60, 301).condition,
            Condition::Ok,
            "six gaps are six minutes"
        );
        let silent = judged(60, 420);
        assert_eq!(silent.condition, Condition::Silent);
        assert_eq!(
            silent.why,
            "quiet for 7 min, in which about 7 events are usual; now an event each 1 min"
        );
        assert_eq!(silent.gap(), "1 min");
        let busy = judged(3600, 299);
        assert_eq!(
            busy.condition,
            Condition::Ok,
            "nobody is silent before five minutes"
        );
        assert_eq!(judged(3600, 302).condition, Condition::Silent);
        // One an hour may be quiet for long.
        assert_eq!(judged(1, 5 * 3600).condition, Condition::Ok);
        assert_eq!(judged(1, 7 * 3600).condition, Condition::Silent);
        // It stays silent for weeks.
        assert_eq!(judged(1, 20 * 86_400).condition, Condition::Silent);
    }

    #[test]
    fn too_little_is_unknown() {
        let hour = 3_600_000_000;
        let new = judged_since(NOW - 5 * hour, 60, 3600);
        assert_eq!(new.condition, Condition::Unknown);
        assert_eq!(new.why, "quiet for 1 h; to know its rhythm takes 24 h");
        assert_eq!(judged_since(NOW - 5 * hour, 60, 10).condition, Condition::Ok);
        let gone = judged(60, 40 * 86_400);
        assert_eq!(
            (gone.condition, gone.usual_gap_micros),
            (Condition::Unknown, None)
        );
        assert_eq!(gone.gap(), "unknown");
        assert_eq!(gone.trend(), "nothing in 24 h");
        let never = judged(0, 3600);
        assert_eq!((never.condition, &*never.gap()), (Condition::Ok, "quiet hour"));
        assert_eq!(judged(0, 8 * 86_400).condition, Condition::Unknown);
    }
}
