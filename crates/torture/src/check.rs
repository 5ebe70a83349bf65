//! Looking at what arrived, from outside: rows in PostgreSQL and lines in the files.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::TryStreamExt;
use serde_json::Value;
use tokio_postgres::Client;

use crate::ledger::{Ledger, Place};
use crate::message::{Key, Message};

/// Examples of what is wrong that a report shows.
const EXAMPLES_MAX: usize = 10;

/// What should not be there.
#[derive(Debug, Default)]
pub(crate) struct Strange {
    /// Events that nobody sent.
    pub(crate) unknown: u64,
    /// Events whose content is not what was sent.
    pub(crate) damaged: u64,
    /// Parts of messages over plain TCP whose connection broke in their middle; they say so themselves.
    pub(crate) fragments: u64,
    /// Rows with the id of another row.
    pub(crate) repeated_ids: u64,
    pub(crate) examples: BTreeSet<String>,
}

impl Strange {
    pub(crate) fn is_none(&self) -> bool {
        self.unknown == 0 && self.damaged == 0 && self.repeated_ids == 0
    }

    fn example(&mut self, text: String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.insert(text);
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.unknown += other.unknown;
        self.damaged += other.damaged;
        self.fragments += other.fragments;
        self.repeated_ids += other.repeated_ids;
        self.examples.extend(other.examples);
    }
}

/// An event as it was found.
struct Found<'a> {
    message: Option<&'a str>,
    raw: Option<&'a [u8]>,
    is_fragment: bool,
    /// For examples.
    whole: &'a dyn Fn() -> String,
}

/// Enters what is found.
struct Checker<'a> {
    seed: u64,
    ledger: &'a mut Ledger,
    place: Place,
    /// Events of other rounds are not looked at.
    only: Option<u32>,
    strange: Strange,
}

impl Checker<'_> {
    fn event(&mut self, found: &Found<'_>) {
        if found.is_fragment {
            self.strange.fragments += 1;
            return;
        }
        let in_raw = || Key::find(&String::from_utf8_lossy(found.raw?));
        let key = found.message.and_then(Key::find).or_else(in_raw);
        if let (Some(key), Some(only)) = (key, self.only)
            && key.round != only
        {
            return;
        }
        let Some(key) = key.filter(|key| self.ledger.found(*key, self.place)) else {
            self.strange.unknown += 1;
            self.strange
                .example(format!("it should not be there: {}", (found.whole)()));
            return;
        };
        let sent = Message::new(self.seed, key);
        let is_raw_right = match found.raw {
            Some(raw) => raw == sent.bytes,
            None => !sent.is_kept_raw,
        };
        let is_text_right = sent.text.is_none_or(|text| found.message == Some(&text));
        if !is_raw_right || !is_text_right {
            self.strange.damaged += 1;
            self.strange
                .example(format!("{key} is damaged: {}", (found.whole)()));
        }
    }
}

/// Looks at all rows, or at those of one round.
pub(crate) async fn rows(
    client: &Client,
    seed: u64,
    ledger: &mut Ledger,
    round: Option<u32>,
) -> anyhow::Result<Strange> {
    ledger.look_again(Place::Row, round);
    let mut checker = Checker {
        seed,
        ledger,
        place: Place::Row,
        only: round,
        strange: Strange::default(),
    };
    let columns = "SELECT message, raw, coalesce('unterminated' = ANY (defects), false) FROM events";
    let (sql, parameters) = match round {
        // A line that is no syslog has no hostname.
        Some(round) => (
            format!(
                "{columns} WHERE hostname = convert_from($1, 'UTF8') OR (hostname IS NULL AND position($2 IN raw) > 0)"
            ),
            vec![format!("r{round}").into_bytes(), Key::start(round).into_bytes()],
        ),
        None => (columns.to_owned(), Vec::new()),
    };
    let stream = client.query_raw(&sql, parameters).await.context("read rows")?;
    let mut stream = std::pin::pin!(stream);
    while let Some(row) = stream.try_next().await.context("read rows")? {
        let (message, raw): (Option<&str>, Option<&[u8]>) = (row.try_get(0)?, row.try_get(1)?);
        checker.event(&Found {
            message,
            raw,
            is_fragment: row.try_get(2)?,
            whole: &|| format!("row {message:?}"),
        });
    }
    let mut strange = checker.strange;
    if round.is_none() {
        let sql = "SELECT count(*) - count(DISTINCT id) FROM events";
        let row = client.query_one(sql, &[]).await.context("count ids")?;
        strange.repeated_ids = u64::try_from(row.try_get::<_, i64>(0)?)?;
    }
    Ok(strange)
}

/// Looks at all dead letters, as `logferry dead list --json` and `logferry dead show` tell them. Returns how many are not
/// those that rules chose.
pub(crate) fn letters(listed: &str, shown: &str, ledger: &mut Ledger) -> anyhow::Result<u64> {
    ledger.look_again(Place::Letter, None);
    let mut others = 0;
    for line in listed.lines() {
        let letter: Value = serde_json::from_str(line).context("read the list of dead letters")?;
        let reason = letter.pointer("/death/reason").and_then(Value::as_str);
        others += u64::from(reason != Some("unroutable"));
    }
    // A letter may be there twice, as nobody passes over its repetition; its events have the same ids then.
    let mut ids = BTreeSet::new();
    for line in shown.lines().map(str::trim).filter(|line| line.starts_with('{')) {
        let event: Value = serde_json::from_str(line).context("read an event of a dead letter")?;
        let text = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default();
        if ids.insert(text("id").to_owned()) {
            let key = Key::find(text("message"));
            let is_known = key.is_some_and(|key| ledger.found(key, Place::Letter));
            others += u64::from(!is_known);
        }
    }
    Ok(others)
}

/// Looks at the whole lines of a file of JSON events from an offset on: at all, or at those of one round.
pub(crate) fn lines(
    path: &Path,
    from: u64,
    seed: u64,
    ledger: &mut Ledger,
    round: Option<u32>,
) -> anyhow::Result<Strange> {
    ledger.look_again(Place::Line, round);
    let mut checker = Checker {
        seed,
        ledger,
        place: Place::Line,
        only: round,
        strange: Strange::default(),
    };
    let mut file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    file.seek(SeekFrom::Start(from)).context("seek")?;
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line).context("read lines")?;
        if read == 0 || line.last() != Some(&b'\n') {
            return Ok(checker.strange);
        }
        let Ok(event) = serde_json::from_slice::<Value>(&line) else {
            checker.strange.damaged += 1;
            let text = String::from_utf8_lossy(&line)
                .chars()
                .take(200)
                .collect::<String>();
            checker.strange.example(format!("a line is no JSON: {text}"));
            continue;
        };
        let text = |key: &str| event.get(key).and_then(Value::as_str);
        let decoded = text("raw_base64").and_then(|text| BASE64.decode(text).ok());
        let defects = event.get("defects").and_then(Value::as_array);
        checker.event(&Found {
            message: text("message"),
            raw: decoded.as_deref().or_else(|| text("raw").map(str::as_bytes)),
            is_fragment: defects.is_some_and(|defects| defects.iter().any(|defect| defect == "unterminated")),
            whole: &|| format!("line {:?}", text("message")),
        });
    }
}
