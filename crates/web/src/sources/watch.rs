//! What people say of sources: which are expected to speak, even if they never did, and which are muted for a while.

mod keep;

use std::{collections::HashMap, time::Duration};

use axum::http::StatusCode;
use event::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Note, SOURCE_HOURS, SourceRow, Subject};

pub(super) use self::keep::{add, forget, mute, replace, unmute};

use super::judge::{Condition, Judged};
use crate::{problem::Problem, state::State, time};

/// Expected sources, and muted ones, of each.
const NOTES_MAX: usize = 1000;
const NAME_BYTES_MAX: usize = 255;
/// Where nothing is said, an expected source speaks at least so often.
const EVERY: Duration = Duration::from_secs(3600);
const EVERY_MIN: Duration = Duration::from_secs(60);
const EVERY_MAX: Duration = Duration::from_secs(366 * 86_400);

/// A name, or a pattern with `*`, that is expected to speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) name: String,
    /// At least one event in so long a time.
    pub(super) every: Duration,
    pub(super) author: String,
    /// Since when.
    pub(super) at: Timestamp,
}

/// A source whose silence is no news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Muted {
    pub(super) until: Timestamp,
    pub(super) author: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct ExpectedBody {
    every_s: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct MutedBody {
    until_micros: i64,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) expected: Vec<Expected>,
    muted: HashMap<String, Muted>,
}

fn refuse(why: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_source", why)
}

/// A name as it may stand in a note.
pub(super) fn checked(name: &str) -> Result<&str, Problem> {
    let name = name.trim();
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(refuse(format!(
            "{:?} is no name of a source: up to {NAME_BYTES_MAX} bytes without control characters.",
            name.chars().take(NAME_BYTES_MAX).collect::<String>()
        )));
    }
    Ok(name)
}

/// How often an expected source speaks, from text such as `15m`.
pub(super) fn every(text: &str) -> Result<Duration, Problem> {
    if text.is_empty() {
        return Ok(EVERY);
    }
    let every = settings::units::duration(text).map_err(|why| refuse(format!("{text:?} {why}.")))?;
    in_bounds(every)
}

pub(super) fn in_bounds(every: Duration) -> Result<Duration, Problem> {
    if (EVERY_MIN..=EVERY_MAX).contains(&every) {
        Ok(every)
    } else {
        Err(refuse(
            "A source can be expected to speak at least every 1m up to every 366d.".to_owned(),
        ))
    }
}

impl Watch {
    pub(super) async fn load(state: &State) -> Result<Self, Problem> {
        let notes = state.store.notes();
        let expected = notes.newest(Subject::Expected, None, NOTES_MAX).await?;
        let muted = notes.newest(Subject::Muted, None, NOTES_MAX).await?;
        let mut expected: Vec<_> = expected.into_iter().filter_map(Expected::of).collect();
        expected.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            expected,
            muted: muted.into_iter().filter_map(Muted::of).collect(),
        })
    }

    /// What is said of a source; the narrowest expectation holds.
    pub(super) fn of(&self, hostname: &str, now: Timestamp) -> (Option<&Expected>, Option<&Muted>) {
        let expected = self.expected.iter().filter(|expected| expected.fits(hostname));
        let muted = self.muted.get(hostname).filter(|muted| muted.until > now);
        (expected.min_by_key(|expected| expected.every), muted)
    }

    /// Judges with it what was judged without.
    pub(super) fn apply(&self, source: &mut Judged, now: Timestamp) {
        let (expected, muted) = self.of(&source.row.hostname, now);
        if let Some(expected) = expected {
            expected.judge(source);
        }
        if let Some(muted) = muted {
            source.condition = Condition::Muted;
            let left = time::rough(muted.until.as_micros() - now.as_micros());
            source.why = format!("muted for {left} more by {}; {}", muted.author, source.why);
        }
    }

    /// Those that are expected and of whom nothing is known. `hostnames` are all that ever sent.
    pub(super) fn missing<'a>(
        &self,
        hostnames: impl Iterator<Item = &'a str> + Clone,
        now: Timestamp,
    ) -> Vec<Judged> {
        let is_missing = |expected: &&Expected| !hostnames.clone().any(|name| expected.fits(name));
        let mut missing: Vec<_> = self
            .expected
            .iter()
            .filter(is_missing)
            .map(|expected| expected.never_seen(now))
            .collect();
        missing.iter_mut().for_each(|source| self.apply(source, now));
        missing
    }
}

impl Expected {
    fn of(note: Note) -> Option<Self> {
        let body: ExpectedBody = serde_json::from_str(&note.body).ok()?;
        Some(Self {
            name: note.key,
            every: Duration::from_secs(body.every_s),
            author: note.author,
            at: note.at,
        })
    }

    fn note(&self) -> Result<Note, Problem> {
        let body = ExpectedBody {
            every_s: self.every.as_secs(),
        };
        Ok(Note {
            subject: Subject::Expected,
            key: self.name.clone(),
            author: self.author.clone(),
            at: self.at,
            body: serde_json::to_string(&body).map_err(Problem::internal)?,
        })
    }

    fn fits(&self, hostname: &str) -> bool {
        fits(&self.name.to_lowercase(), &hostname.to_lowercase())
    }

    fn every_micros(&self) -> i64 {
        i64::try_from(self.every.as_micros()).unwrap_or(i64::MAX)
    }

    /// As a form has it: "1h", "15m", "90s".
    pub(super) fn every_text(&self) -> String {
        match self.every.as_secs() {
            seconds if seconds.is_multiple_of(86_400) => format!("{}d", seconds / 86_400),
            seconds if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
            seconds if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
            seconds => format!("{seconds}s"),
        }
    }

    fn judge(&self, source: &mut Judged) {
        if source.condition != Condition::Silent && source.quiet_micros > self.every_micros() {
            source.condition = Condition::Silent;
            source.why = format!(
                "quiet for {}, expected at least every {}",
                time::rough(source.quiet_micros),
                self.every_text()
            );
        }
    }

    fn never_seen(&self, now: Timestamp) -> Judged {
        let quiet_micros = (now.as_micros() - self.at.as_micros()).max(0);
        let is_silent = quiet_micros > self.every_micros();
        Judged {
            row: SourceRow {
                hostname: self.name.clone(),
                apps: 0,
                peers: Vec::new(),
                first_seen: self.at,
                last_seen: self.at,
                hours: [0; SOURCE_HOURS],
            },
            is_seen: false,
            condition: if is_silent {
                Condition::Silent
            } else {
                Condition::Unknown
            },
            why: format!(
                "never seen; expected at least every {} for {}",
                self.every_text(),
                time::rough(quiet_micros)
            ),
            usual_gap_micros: None,
            is_quiet_hour: false,
            quiet_micros,
            lately: None,
            drops_per_min: None,
        }
    }
}

impl Muted {
    fn of(note: Note) -> Option<(String, Self)> {
        let body: MutedBody = serde_json::from_str(&note.body).ok()?;
        let muted = Self {
            until: Timestamp::from_micros(body.until_micros),
            author: note.author,
        };
        Some((note.key, muted))
    }
}

/// Whether `name` is what `pattern` says, in which `*` stands for any run of characters. Both are in one case.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::rhythm::Rhythm;

    const NOW: i64 = 1_795_254_199_000_000;

    fn expected(name: &str, every_s: u64, since_s: i64) -> Expected {
        Expected {
            name: name.to_owned(),
            every: Duration::from_secs(every_s),
            author: "ana".to_owned(),
            at: Timestamp::from_micros(NOW - since_s * 1_000_000),
        }
    }

    #[test]
    fn patterns_fit_names() {
        for (pattern, name, does) in [
            ("web01", "web01", true),
            ("web01", "web011", false),
            ("web*", "web", true),
            ("*01", "web01", true),
            ("w*b*1", "web01", true),
            ("w*x*1", "web01", false),
            ("*", "", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(fits(pattern, name), does, "{pattern} {name}");
        }
        assert!(expected("Web*", 60, 0).fits("WEB01"));
    }

    #[test]
    fn who_is_expected_and_quiet_is_silent_and_who_is_muted_is_not() {
        let now = Timestamp::from_micros(NOW);
        let row = SourceRow {
            hostname: "web01".to_owned(),
            apps: 1,
            peers: Vec::new(),
            first_seen: Timestamp::from_micros(0),
            last_seen: Timestamp::from_micros(NOW - 1_000_000_000),
            hours: [0; SOURCE_HOURS],
        };
        let judged = || Judged::new(row.clone(), &Rhythm::default(), NOW);
        assert_eq!(judged().condition, Condition::Unknown);
        let mut watch = Watch {
            expected: vec![expected("web*", 600, 0), expected("*", 86_400, 0)],
            muted: HashMap::new(),
        };
        let mut source = judged();
        watch.apply(&mut source, now);
        assert_eq!(source.condition, Condition::Silent);
        assert_eq!(source.why, "quiet for 16 min, expected at least every 10m");
        let muted = Muted {
            until: Timestamp::from_micros(NOW + 3_600_000_000),
            author: "ben".to_owned(),
        };
        watch.muted.insert("web01".to_owned(), muted);
        watch.apply(&mut source, now);
        assert_eq!(source.condition, Condition::Muted);
        assert!(
            source.why.starts_with("muted for 1 h more by ben; quiet for"),
            "{}",
            source.why
        );
        let later = Timestamp::from_micros(NOW + 3_600_000_000);
        assert!(watch.of("web01", later).1.is_none(), "it ends by itself");
    }

    #[test]
    fn who_was_never_seen_is_listed() {
        let watch = Watch {
            expected: vec![
                expected("db*", 3600, 7200),
                expected("new", 3600, 60),
                expected("web01", 60, 60),
            ],
            muted: HashMap::new(),
        };
        let missing = watch.missing(["web01", "web02"].into_iter(), Timestamp::from_micros(NOW));
        let told: Vec<_> = missing
            .iter()
            .map(|source| (&*source.row.hostname, source.condition))
            .collect();
        assert_eq!(told, [("db*", Condition::Silent), ("new", Condition::Unknown)]);
        assert_eq!(missing[0].why, "never seen; expected at least every 1h for 2 h");
    }
}
