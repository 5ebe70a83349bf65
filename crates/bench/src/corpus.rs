//! Made-up events to search in: seven days of 240 hosts, 60 applications and 500 message templates with numbers,
//! addresses and names in them. The same seed and count give the same events.

use std::fmt::Write;

use bytes::Bytes;
use event::{
    BatchId, Compression, Event, EventBatchBuilder, EventId, EventTime, Facility, Severity, Timestamp, Value,
};

/// Days that the events cover.
pub(crate) const DAYS: u64 = 7;
pub(crate) const DAY_MICROS: i64 = 86_400_000_000;

/// Stands in about 7 of 100 messages, in 20 messages of all, and in none.
pub(crate) const COMMON: &str = "timed out waiting";
pub(crate) const RARE: &str = "quokka-4711";
pub(crate) const ABSENT: &str = "no such words at all";
const RARE_COUNT: u64 = 20;

const HOSTS: usize = 240;
const APPS: usize = 60;
const APPS_OF_A_HOST: usize = 12;
const TEMPLATES: usize = 500;
/// One template in so many has [`COMMON`] in it.
const COMMON_EVERY: usize = 14;

/// As intake closes batches: 128 KiB of frames.
const BATCH_EVENTS: u64 = 600;

const PLACES: [&str; 6] = ["fra", "ams", "lon", "waw", "mad", "hel"];
const ROLES: [&str; 8] = ["web", "db", "mail", "cache", "app", "edge", "build", "store"];
const APP_NAMES: [&str; 20] = [
    "sshd", "nginx", "postfix", "cron", "systemd", "kernel", "postgres", "dhcpd", "named", "haproxy",
    "dockerd", "kubelet", "redis", "java", "python", "sudo", "chronyd", "smartd", "ntpd", "rsyncd",
];
const SUBJECTS: [&str; 24] = [
    "connection",
    "session",
    "request",
    "transaction",
    "worker",
    "job",
    "disk",
    "interface",
    "certificate",
    "query",
    "backup",
    "lease",
    "queue",
    "cache entry",
    "container",
    "volume",
    "replica",
    "upstream",
    "login",
    "message",
    "process",
    "service",
    "snapshot",
    "route",
];
const VERBS: [&str; 24] = [
    "opened",
    "closed",
    "accepted",
    "refused",
    "started",
    "stopped",
    "finished",
    "failed",
    "was renewed",
    "expired",
    "was moved",
    "was dropped",
    "recovered",
    "was retried",
    "reloaded",
    "was verified",
    "was rejected",
    "was cancelled",
    "slowed down",
    "was promoted",
    "was mounted",
    "was resized",
    "was restored",
    "was flushed",
];
const NAMES: [&str; 16] = [
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory", "niaj",
    "olivia", "peggy", "rupert", "sybil",
];

/// A part of a message.
#[derive(Debug, Clone, Copy)]
enum Piece {
    Text(&'static str),
    Number(u64),
    Address,
    Name,
    Hex,
    Path,
}

/// What stands behind subject and verb.
const DETAILS: [&[Piece]; 12] = {
    use Piece::{Address, Hex, Name, Number, Path, Text};
    [
        &[Text(" from "), Address, Text(" port "), Number(65_535)],
        &[
            Text(" for user "),
            Name,
            Text(" after "),
            Number(5_000),
            Text(" ms"),
        ],
        &[Text(" id="), Hex, Text(" code="), Number(600)],
        &[Text(" in "), Path, Text(", "), Number(1_000_000), Text(" bytes")],
        &[Text(" by "), Name, Text(" ("), Address, Text(")")],
        &[Text(": status "), Number(600), Text(" for "), Path],
        &[
            Text(", attempt "),
            Number(9),
            Text(" of 9, next in "),
            Number(60),
            Text(" s"),
        ],
        &[Text(" [pid "), Number(65_535), Text("] with "), Hex],
        &[
            Text(" to "),
            Address,
            Text(": "),
            Number(100_000),
            Text(" packets"),
        ],
        &[Text(" at "), Path, Text(" (owner "), Name, Text(")")],
        &[
            Text(", load "),
            Number(100),
            Text(" %, "),
            Number(4_096),
            Text(" MiB left"),
        ],
        &[Text(" with token "), Hex],
    ]
};

#[derive(Debug, Clone, Copy)]
struct Template {
    subject: &'static str,
    verb: &'static str,
    detail: &'static [Piece],
    is_common: bool,
    severity: u8,
}

/// SplitMix64: the same numbers for the same seed, everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// One of them.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = usize::try_from(self.below(from.len() as u64)).unwrap_or(0);
        from.get(at).expect("a number below their count")
    }

    /// The place of one of so many, the first more often.
    fn skewed(&mut self, count: usize) -> usize {
        let at = self.below(count as u64).min(self.below(count as u64));
        usize::try_from(at).unwrap_or(0)
    }

    /// One of them, the first more often.
    fn pick_skewed<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        from.get(self.skewed(from.len()))
            .expect("a number below their count")
    }
}

/// All events.
#[derive(Debug, Clone)]
pub(crate) struct Corpus {
    seed: u64,
    count: u64,
    start: i64,
    span: i64,
    hosts: Vec<String>,
    apps: Vec<String>,
    templates: Vec<Template>,
}

impl Corpus {
    /// `count` events that arrive from `start` on, evenly over `span` microseconds.
    pub(crate) fn new(seed: u64, count: u64, start: i64, span: i64) -> Self {
        let mut numbers = Numbers::new(seed);
        let hosts = (0..HOSTS).map(|number| {
            let (role, place) = (numbers.pick(&ROLES), numbers.pick(&PLACES));
            format!("{role}{number:03}.{place}.example.net")
        });
        let hosts = hosts.collect();
        let apps = (0..APPS).map(|number| match APP_NAMES.get(number) {
            Some(name) => (*name).to_owned(),
            None => format!("{}-{}", numbers.pick(&SUBJECTS).replace(' ', "-"), number),
        });
        let apps = apps.collect();
        let templates = (0..TEMPLATES)
            .map(|number| template(number, &mut numbers))
            .collect();
        Self {
            seed,
            count,
            start,
            span,
            hosts,
            apps,
            templates,
        }
    }

    /// Other events from the same hosts.
    pub(crate) fn further(&self, seed: u64, count: u64, start: i64, span: i64) -> Self {
        Self {
            seed,
            count,
            start,
            span,
            ..self.clone()
        }
    }

    pub(crate) fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Event batches in the order of arrival.
    pub(crate) fn batches(&self) -> impl Iterator<Item = Bytes> + '_ {
        (0..self.count.div_ceil(BATCH_EVENTS)).map(|number| self.batch(number))
    }

    fn batch(&self, number: u64) -> Bytes {
        let mut numbers = Numbers::new(self.seed ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let source = BatchId::mint();
        let mut builder = EventBatchBuilder::new(source.derive("default"), source, "tcp", "default");
        let first = number * BATCH_EVENTS;
        let last = (first + BATCH_EVENTS).min(self.count);
        let mut message = String::new();
        for (position, serial) in (0_u32..).zip(first..last) {
            builder.push(&self.event(serial, position, source, &mut numbers, &mut message));
        }
        builder.finish(Compression::Lz4).into()
    }

    /// A host and one of the applications on it.
    fn source(&self, numbers: &mut Numbers) -> (&str, &str) {
        let host = numbers.skewed(HOSTS);
        let app = (host * 7 + numbers.skewed(APPS_OF_A_HOST)) % APPS;
        (
            self.hosts.get(host).map_or("", String::as_str),
            self.apps.get(app).map_or("", String::as_str),
        )
    }

    fn event<'a>(
        &'a self,
        serial: u64,
        position: u32,
        source: BatchId,
        numbers: &mut Numbers,
        message: &'a mut String,
    ) -> Event<'a> {
        let place = i128::from(self.span) * i128::from(serial) / i128::from(self.count.max(1));
        let micros = self.start + i64::try_from(place).unwrap_or(0);
        let at = Timestamp::from_micros(micros);
        let template = *numbers.pick_skewed(&self.templates);
        write_message(template, numbers, message);
        if serial % (self.count / RARE_COUNT).max(1) == 7 {
            message.push(' ');
            message.push_str(RARE);
        }
        let (host, app) = self.source(numbers);
        let id = EventId::derive(source, position, at);
        let mut event = Event::received(id, position, at, "192.0.2.10:40123", "tcp");
        event.facility = Facility::new(u8::try_from(numbers.below(24)).unwrap_or(1));
        event.severity = Severity::new(template.severity);
        event.timestamp = sent_at(micros, numbers);
        event.hostname = Some(host.into());
        event.app_name = Some(app.into());
        event.procid = Some(numbers.below(65_536).to_string().into());
        if numbers.below(4) == 0 {
            let status = i64::try_from(200 + numbers.below(400)).unwrap_or(200);
            event.fields = vec![
                ("status".into(), Value::Integer(status)),
                ("user".into(), Value::String((*numbers.pick(&NAMES)).into())),
            ];
        }
        if numbers.below(10) == 0 {
            event.tags = vec![(*numbers.pick(&ROLES)).into()];
        }
        event.message = Some(message.as_str().into());
        event
    }
}

/// A moment before the arrival; sometimes long before, sometimes nobody says.
fn sent_at(arrival: i64, numbers: &mut Numbers) -> Option<EventTime> {
    let lag = match numbers.below(100) {
        0 => return None,
        1 => numbers.below(600_000_000),
        _ => numbers.below(2_000_000),
    };
    let at = arrival.saturating_sub(i64::try_from(lag).unwrap_or(0));
    Some(EventTime::utc(Timestamp::from_micros(at)))
}

fn template(number: usize, numbers: &mut Numbers) -> Template {
    let severity = match numbers.below(100) {
        0 => numbers.below(3),
        1..=5 => 3,
        6..=15 => 4,
        16..=27 => 5,
        28..=89 => 6,
        _ => 7,
    };
    Template {
        subject: numbers.pick::<&str>(&SUBJECTS),
        verb: numbers.pick::<&str>(&VERBS),
        detail: numbers.pick::<&[Piece]>(&DETAILS),
        is_common: number.is_multiple_of(COMMON_EVERY),
        severity: u8::try_from(severity).unwrap_or(6),
    }
}

fn write_message(template: Template, numbers: &mut Numbers, message: &mut String) {
    const INFALLIBLE: &str = "a string takes any text";
    message.clear();
    message.push_str(template.subject);
    message.push(' ');
    message.push_str(if template.is_common { COMMON } else { template.verb });
    for piece in template.detail {
        match piece {
            Piece::Text(text) => message.push_str(text),
            Piece::Number(end) => write!(message, "{}", numbers.below(*end)).expect(INFALLIBLE),
            Piece::Address => {
                let number = numbers.next().to_le_bytes();
                let [_, b, c, d, ..] = number;
                write!(message, "10.{b}.{c}.{d}").expect(INFALLIBLE);
            }
            Piece::Name => message.push_str(numbers.pick::<&str>(&NAMES)),
            Piece::Hex => write!(message, "{:012x}", numbers.next() >> 16).expect(INFALLIBLE),
            Piece::Path => write!(
                message,
                "/srv/{}/{}/{}",
                numbers.pick(&ROLES),
                numbers.pick(&NAMES),
                numbers.below(100_000)
            )
            .expect(INFALLIBLE),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use event::EventBatch;

    use super::*;

    fn events(seed: u64) -> Vec<Event<'static>> {
        let corpus = Corpus::new(seed, 20_000, 1_000_000, 7 * DAY_MICROS);
        let mut scratch = Vec::new();
        let mut events = Vec::new();
        for payload in corpus.batches() {
            let mut batch = EventBatch::decode(&payload, &mut scratch, 1 << 24).unwrap();
            while let Some(event) = batch.next_event().unwrap() {
                events.push(event.into_owned());
            }
        }
        events
    }

    #[test]
    fn the_same_seed_gives_the_same_messages() {
        let messages = |seed| -> Vec<_> { events(seed).into_iter().map(|event| event.message).collect() };
        assert_eq!(messages(1), messages(1));
        assert_ne!(messages(1), messages(2));
    }

    #[test]
    fn there_is_variety_and_what_is_looked_for() {
        let events = events(1);
        assert_eq!(events.len(), 20_000);
        let with = |text: &str| {
            let has = |event: &&Event<'_>| {
                event
                    .message
                    .as_deref()
                    .is_some_and(|message| message.contains(text))
            };
            events.iter().filter(has).count()
        };
        assert!((600..3000).contains(&with(COMMON)), "{}", with(COMMON));
        assert_eq!((with(RARE), with(ABSENT)), (20, 0));
        let hosts: HashSet<_> = events.iter().map(|event| &event.hostname).collect();
        let apps: HashSet<_> = events.iter().map(|event| &event.app_name).collect();
        assert!(
            hosts.len() >= 200 && apps.len() >= 50,
            "{} {}",
            hosts.len(),
            apps.len()
        );
        assert!(events.is_sorted_by_key(|event| event.received_at));
        let severe = events
            .iter()
            .filter(|event| event.severity.is_some_and(|severity| severity.code() <= 3));
        assert!((100..4000).contains(&severe.count()));
    }
}
