//! What a group adds to the source catalogue and to the rollups: counted while the rows are encoded, written in
//! the rows' transaction, so that it is exact however often a batch is delivered.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use event::Timestamp;
use parking_lot::Mutex;

use crate::row::Row;

/// Sources that one process adds in an hour; further ones are counted together under [`FOLDED`]. A sender that
/// makes up names can therefore not grow the catalogue and the rollups without bound.
const SOURCES_PER_HOUR_MAX: usize = 20_000;

/// Characters of a name in the catalogue; PostgreSQL refuses index entries over about 2,700 bytes.
pub(crate) const NAME_CHARS_MAX: usize = 255;

/// The name under which sources beyond [`SOURCES_PER_HOUR_MAX`] are counted together.
pub(crate) const FOLDED: &str = "*";

const MINUTE_MICROS: i64 = 60_000_000;
const HOUR_MICROS: i64 = 3_600_000_000;

/// Counts by severity; the last is for events without one.
pub(crate) type Counts = [i64; 9];

/// The columns of the rollups that hold [`Counts`].
pub(crate) const COUNT_COLUMNS: [&str; 9] = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "none",
];

/// How much later than written a source may have been seen: writing each time would be a row for each source in each
/// transaction, and nobody asks more closely.
const SEEN_AGAIN_MICROS: i64 = 5_000_000;

/// Which sources this process has seen in this hour, and what of them is written.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    hasher: RandomState,
    seen: Mutex<Seen>,
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct Seen {
    hour: i64,
    /// By hash, the first and last time that the store has; not [`Some`] before that is committed.
    sources: HashMap<u64, Option<(i64, i64)>>,
}

impl Admission {
    fn hash(&self, key: &SourceKey) -> u64 {
        self.hasher.hash_one(key)
    }

    /// False for a source that is one too many.
    fn admit(&self, key: &SourceKey) -> bool {
        let hour = Timestamp::now().as_micros().div_euclid(HOUR_MICROS);
        let hash = self.hash(key);
        let mut seen = self.seen.lock();
        if seen.hour != hour {
            *seen = Seen {
                hour,
                sources: HashMap::new(),
            };
        }
        let has_room = seen.sources.len() < SOURCES_PER_HOUR_MAX;
        match seen.sources.entry(hash) {
            Entry::Occupied(_) => true,
            Entry::Vacant(entry) if has_room => {
                entry.insert(None);
                true
            }
            Entry::Vacant(_) => false,
        }
    }

    /// True when what is written of the source will not do.
    fn is_news(&self, source: &SourceSeen) -> bool {
        match self.seen.lock().sources.get(&self.hash(&source.key)) {
            Some(Some((first, last))) => {
                source.first < *first || source.last > last.saturating_add(SEEN_AGAIN_MICROS)
            }
            Some(None) | None => true,
        }
    }

    /// Another number whenever a name may be new to the store.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Notes what a committed transaction wrote.
    pub(crate) fn written(&self, sources: &[SourceSeen]) {
        let mut seen = self.seen.lock();
        for source in sources {
            if let Some(known) = seen.sources.get_mut(&self.hash(&source.key)) {
                if known.is_none() {
                    self.generation.fetch_add(1, Ordering::Relaxed);
                }
                let (first, last) = known.unwrap_or((source.first, source.last));
                *known = Some((first.min(source.first), last.max(source.last)));
            }
        }
    }
}

/// Host, application and address. Absent is `""`, since these are keys and keys cannot be null.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SourceKey {
    pub(crate) hostname: String,
    pub(crate) app_name: String,
    pub(crate) peer: String,
}

impl SourceKey {
    /// All that are too many.
    fn folded() -> Self {
        Self {
            hostname: FOLDED.to_owned(),
            app_name: FOLDED.to_owned(),
            peer: FOLDED.to_owned(),
        }
    }
}

#[derive(Debug)]
struct Source {
    key: SourceKey,
    first: i64,
    last: i64,
    hours: Vec<(i64, Counts)>,
}

/// One row of the catalogue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SourceSeen {
    pub(crate) key: SourceKey,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// One row of the hour rollup: hour, host, application and how many of each severity.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HourCount {
    pub(crate) hour: i64,
    pub(crate) hostname: String,
    pub(crate) app_name: String,
    pub(crate) counts: Counts,
}

/// Counts of the rows so far.
#[derive(Debug)]
pub(crate) struct Summary {
    admission: Arc<Admission>,
    sources: HashMap<String, Source>,
    minutes: BTreeMap<i64, Counts>,
    sent: Option<(i64, i64)>,
    key: String,
}

impl Summary {
    pub(crate) fn new(admission: Arc<Admission>) -> Self {
        Self {
            admission,
            sources: HashMap::new(),
            minutes: BTreeMap::new(),
            sent: None,
            key: String::new(),
        }
    }

    /// Counts a row.
    pub(crate) fn add(&mut self, row: &Row<'_>) {
        let at = row.received_at.as_micros();
        let sent_at = row.sent_at.as_micros();
        let (first, last) = self.sent.unwrap_or((sent_at, sent_at));
        self.sent = Some((first.min(sent_at), last.max(sent_at)));
        let slot = row.severity.map_or(8, |severity| usize::from(severity.code()));
        count(
            self.minutes
                .entry(at.div_euclid(MINUTE_MICROS) * MINUTE_MICROS)
                .or_default(),
            slot,
        );
        let hour = at.div_euclid(HOUR_MICROS) * HOUR_MICROS;
        let (hostname, app_name) = (
            row.hostname.as_deref().unwrap_or(""),
            row.app_name.as_deref().unwrap_or(""),
        );
        let peer = host_of(&row.peer_addr);
        // None of them holds a NUL, so the joined text is a key.
        self.key.clear();
        for part in [hostname, "\0", app_name, "\0", peer] {
            self.key.push_str(part);
        }
        if let Some(source) = self.sources.get_mut(&self.key) {
            return source.add(at, hour, slot);
        }
        let [hostname, app_name, peer] = [hostname, app_name, peer].map(shortened);
        let mut key = SourceKey {
            hostname,
            app_name,
            peer,
        };
        if !self.admission.admit(&key) {
            self.key.clear();
            self.key.push_str(FOLDED);
            key = SourceKey::folded();
        }
        self.sources
            .entry(self.key.clone())
            .or_insert_with(|| Source {
                key,
                first: at,
                last: at,
                hours: Vec::new(),
            })
            .add(at, hour, slot);
    }

    /// The catalogue's part that is news to the store.
    pub(crate) fn news(&self) -> Vec<SourceSeen> {
        let mut sources = self.sources();
        sources.retain(|source| self.admission.is_news(source));
        sources
    }

    /// The catalogue's part, in the order of the key, so that transactions side by side lock rows in one order.
    pub(crate) fn sources(&self) -> Vec<SourceSeen> {
        let mut merged: BTreeMap<&SourceKey, (i64, i64)> = BTreeMap::new();
        for source in self.sources.values() {
            let seen = merged.entry(&source.key).or_insert((source.first, source.last));
            *seen = (seen.0.min(source.first), seen.1.max(source.last));
        }
        merged
            .into_iter()
            .map(|(key, (first, last))| SourceSeen {
                key: key.clone(),
                first,
                last,
            })
            .collect()
    }

    /// The first and the last of the senders' times.
    pub(crate) const fn sent(&self) -> Option<(i64, i64)> {
        self.sent
    }

    /// The minute rollup's part, in the order of its key.
    pub(crate) const fn minutes(&self) -> &BTreeMap<i64, Counts> {
        &self.minutes
    }

    /// The hour rollup's part, in the order of its key.
    pub(crate) fn hours(&self) -> Vec<HourCount> {
        let mut merged: BTreeMap<(i64, &str, &str), Counts> = BTreeMap::new();
        for source in self.sources.values() {
            for (hour, counts) in &source.hours {
                let key = (*hour, &*source.key.hostname, &*source.key.app_name);
                let sum = merged.entry(key).or_default();
                for (sum, count) in sum.iter_mut().zip(counts) {
                    *sum += count;
                }
            }
        }
        merged
            .into_iter()
            .map(|((hour, hostname, app_name), counts)| HourCount {
                hour,
                hostname: hostname.to_owned(),
                app_name: app_name.to_owned(),
                counts,
            })
            .collect()
    }
}

impl Source {
    fn add(&mut self, at: i64, hour: i64, slot: usize) {
        self.first = self.first.min(at);
        self.last = self.last.max(at);
        // Nearly always the last one; arrival times within a group lie close together.
        match self.hours.iter_mut().rev().find(|(known, _)| *known == hour) {
            Some((_, counts)) => count(counts, slot),
            None => {
                let mut counts = Counts::default();
                count(&mut counts, slot);
                self.hours.push((hour, counts));
            }
        }
    }
}

fn count(counts: &mut Counts, slot: usize) {
    if let Some(count) = counts.get_mut(slot) {
        *count += 1;
    }
}

/// The address without its port, which changes with every connection.
pub(crate) fn host_of(peer_addr: &str) -> &str {
    let Some((host, port)) = peer_addr.rsplit_once(':') else {
        return peer_addr;
    };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if port.bytes().any(|byte| !byte.is_ascii_digit()) || (inner.is_none() && host.contains(':')) {
        return peer_addr;
    }
    inner.unwrap_or(host)
}

fn shortened(name: &str) -> String {
    match name.char_indices().nth(NAME_CHARS_MAX) {
        Some((end, _)) => name.get(..end).unwrap_or(name).to_owned(),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_no_part_of_a_source() {
        for (peer_addr, host) in [
            ("192.0.2.1:40000", "192.0.2.1"),
            ("[2001:db8::1]:514", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("/run/logferry.sock", "/run/logferry.sock"),
            ("/run/a:b", "/run/a:b"),
            ("192.0.2.1", "192.0.2.1"),
            ("", ""),
        ] {
            assert_eq!(host_of(peer_addr), host, "{peer_addr}");
        }
    }

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"ä".repeat(300)), "ä".repeat(255));
    }
}
