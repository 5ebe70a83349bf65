//! Every message is where it belongs, once: what makes a figure count.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use broker::{Broker, Disposition, QueueName};
use event::RawBatch;
use memchr::memmem;
use testkit::RabbitVhost;
use tokio::io::AsyncBufReadExt;
use tokio::time::timeout;

use crate::database::Looker;
use crate::route::{HEAVY_MARK, Route, Way};

/// A queue that holds something hands it out sooner.
const DELIVERY_MAX: Duration = Duration::from_secs(30);
const PREFETCH: u16 = 64;
const BATCH_BYTES_MAX: usize = 64 << 20;

/// What stands before a message's number, and how many digits it has.
const NUMBER: &[u8] = b" seq=";
const DIGITS: usize = 12;

/// Ticks off the messages of one load by their numbers.
#[derive(Debug)]
pub(crate) struct Tally {
    expected: u64,
    seen: Vec<bool>,
    total: u64,
    twice: u64,
    strange: u64,
}

impl Tally {
    pub(crate) fn new(expected: u64) -> anyhow::Result<Self> {
        Ok(Self {
            expected,
            seen: vec![false; usize::try_from(expected)?],
            total: 0,
            twice: 0,
            strange: 0,
        })
    }

    /// Looks at one message, in whatever is around it.
    pub(crate) fn see(&mut self, message: &[u8]) {
        self.total += 1;
        let place = number(message).and_then(|number| self.seen.get_mut(number));
        match place {
            Some(seen) if *seen => self.twice += 1,
            Some(seen) => *seen = true,
            None => self.strange += 1,
        }
    }

    /// Complains unless each message was seen once.
    pub(crate) fn finish(&self) -> anyhow::Result<()> {
        let missing = self.seen.iter().filter(|seen| !**seen).count();
        ensure!(
            missing == 0 && self.twice == 0 && self.strange == 0,
            "of {} messages {missing} are missing, {} came twice, {} are not ours",
            self.expected,
            self.twice,
            self.strange
        );
        Ok(())
    }
}

fn number(message: &[u8]) -> Option<usize> {
    let at = memmem::find(message, NUMBER)? + NUMBER.len();
    let digits = message.get(at..at + DIGITS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What came through is there, complete and once.
pub(crate) async fn arrived(way: &Way, count: u64) -> anyhow::Result<()> {
    let checked = match way.route {
        Route::Broker => {
            let vhost = way.vhost.as_ref().context("this way has no broker")?;
            queue(vhost, count).await
        }
        Route::Rows => rows(way.database()?.url(), count).await,
        Route::Files => lines(&way.pipeline.events_file(), count),
        Route::HeavyRules => marked_lines(&way.pipeline.events_file(), count, HEAVY_MARK),
        Route::Embedded => found(way, count).await,
    };
    checked.with_context(|| format!("check what arrived; {}", way.complaints()))
}

/// Empties the parser's queue.
async fn queue(vhost: &RabbitVhost, count: u64) -> anyhow::Result<()> {
    let sources = settings::Sources {
        overrides: vec![("broker.url".to_owned(), vhost.url().to_owned())],
        ..settings::Sources::default()
    };
    let settings = settings::Settings::from_sources(&sources)
        .map_err(|problems| anyhow::anyhow!("the broker's address: {problems}"))?;
    let broker = Broker::connect(&settings.broker, "bench").await?;
    let queue = QueueName::new("parser")?;
    let mut consumer = broker.consume(&queue, PREFETCH, "bench").await?;
    let mut tally = Tally::new(count)?;
    let mut scratch = Vec::new();
    while tally.total < count {
        let delivery = timeout(DELIVERY_MAX, consumer.next()).await;
        let Ok(Some(delivery)) = delivery else {
            bail!("the queue is empty after {} of {count} messages", tally.total);
        };
        let mut batch = RawBatch::decode(&delivery.body, &mut scratch, BATCH_BYTES_MAX)?;
        while let Some(frame) = batch.next_frame()? {
            tally.see(frame.bytes);
        }
        delivery.settle(Disposition::Ack).await;
    }
    drop(consumer);
    broker.close().await;
    ensure!(
        vhost.take("parser").is_none(),
        "the queue holds more than was sent"
    );
    tally.finish()
}

/// The rows of one load.
async fn rows(url: &str, count: u64) -> anyhow::Result<()> {
    loads(url, count, 1).await
}

/// The rows of several loads of one size, and what is kept beside them: catalogue and rollups, in the same
/// transactions.
pub(crate) async fn loads(url: &str, count: u64, loads: u64) -> anyhow::Result<()> {
    let looker = Looker::connect(url).await?;
    // `run=`, eight digits and ` seq=` stand before the number.
    let [runs, rows, least, different, first, last, whole, wrongly_marked] = looker
        .numbers(
            "SELECT count(*), sum(rows)::bigint, min(rows), min(different), min(first), max(last), \
               sum(whole)::bigint, sum(wrongly_marked)::bigint \
             FROM (SELECT substr(message, 5, 8) AS run, count(*) AS rows, count(DISTINCT n) AS different, \
                 min(n) AS first, max(n) AS last, count(*) FILTER (WHERE whole) AS whole, \
                 count(*) FILTER (WHERE marked <> to_mark) AS wrongly_marked \
               FROM (SELECT message, substr(message, 18, 12)::bigint AS n, \
                   hostname IS NOT NULL AND app_name IS NOT NULL AND procid IS NOT NULL \
                     AND severity IS NOT NULL AND timestamp IS NOT NULL AND raw IS NULL \
                     AND defects IS NULL AS whole, \
                   coalesce('login_failure' = ANY (tags), false) AS marked, \
                   message LIKE '%Failed password%' AS to_mark \
                 FROM events) AS e \
               GROUP BY run) AS r",
        )
        .await?;
    let each = count / loads;
    ensure!(
        (runs, rows, least, different, first, last) == (loads, count, each, each, 0, each - 1),
        "of {count} messages in {loads} loads there are {rows} rows of {runs} loads; the poorest load has {least}, \
         {different} different; numbers go from {first} to {last}"
    );
    ensure!(
        whole == count,
        "only {whole} of {count} rows have all their columns"
    );
    ensure!(
        wrongly_marked == 0,
        "the rule went wrong on {wrongly_marked} rows"
    );
    beside_rows(&looker, count).await
}

/// Rollups count every row; the catalogue has every source.
pub(crate) async fn beside_rows(looker: &Looker, count: u64) -> anyhow::Result<()> {
    const SUM: &str =
        "coalesce(sum(emerg + alert + crit + err + warning + notice + info + debug + none), 0)::bigint";
    for table in ["rollup_minute", "rollup_hour"] {
        let counted = looker.number(&format!("SELECT {SUM} FROM {table}")).await?;
        ensure!(counted == count, "{table} counts {counted} of {count} rows");
    }
    let unknown = looker
        .number(
            "SELECT count(*) FROM (SELECT hostname, app_name FROM rollup_hour EXCEPT \
             SELECT hostname, app_name FROM sources) AS s",
        )
        .await?;
    ensure!(unknown == 0, "{unknown} sources are not in the catalogue");
    Ok(())
}

/// A file with a message a line.
pub(crate) fn lines(file: &Path, count: u64) -> anyhow::Result<()> {
    let mut tally = Tally::new(count)?;
    each_line(file, |line| tally.see(line))?;
    tally.finish()
}

/// The same, where rules left a mark on each message.
fn marked_lines(file: &Path, count: u64, mark: &str) -> anyhow::Result<()> {
    let finder = memmem::Finder::new(mark);
    let mut tally = Tally::new(count)?;
    let mut unmarked = 0_u64;
    each_line(file, |line| {
        tally.see(line);
        unmarked += u64::from(finder.find(line).is_none());
    })?;
    ensure!(unmarked == 0, "the rules missed {unmarked} messages");
    tally.finish()
}

fn each_line(file: &Path, mut see: impl FnMut(&[u8])) -> anyhow::Result<()> {
    let open = File::open(file).with_context(|| format!("open {}", file.display()))?;
    let mut reader = BufReader::with_capacity(1 << 20, open);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        see(&line);
        line.clear();
    }
    Ok(())
}

/// What `logferry search` finds.
async fn found(way: &Way, count: u64) -> anyhow::Result<()> {
    let mut command = way.pipeline.command("logferry");
    command.args(["search", "--json", "--limit", "all", "--timeout", "5m"]);
    let mut child = tokio::process::Command::from(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("start logferry search")?;
    let stdout = child.stdout.take().context("read what logferry search finds")?;
    let mut reader = tokio::io::BufReader::with_capacity(1 << 20, stdout);
    let mut tally = Tally::new(count)?;
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).await? > 0 {
        tally.see(&line);
        line.clear();
    }
    let status = child.wait().await?;
    ensure!(status.success(), "logferry search: {status}");
    tally.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_the_rules_missed_is_found() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let line = |n: u64, fields: &str| format!("{{\"message\":\"a seq={n:012} b\"{fields}}}\n");
        std::fs::write(
            &file,
            line(0, ",\"digest\":\"00\"") + &line(1, ",\"digest\":\"01\""),
        )
        .unwrap();
        marked_lines(file.path(), 2, HEAVY_MARK).unwrap();
        std::fs::write(&file, line(0, ",\"digest\":\"00\"") + &line(1, "")).unwrap();
        let complaint = marked_lines(file.path(), 2, HEAVY_MARK).unwrap_err().to_string();
        assert!(complaint.contains("missed 1"), "{complaint}");
        lines(file.path(), 2).unwrap();
    }

    #[test]
    fn a_tally_finds_what_is_missing_or_too_much() {
        let line = |n: u64| format!("<6>1 … run=0badcafe seq={n:012} text").into_bytes();
        let mut tally = Tally::new(3).unwrap();
        for n in [2, 0, 1] {
            tally.see(&line(n));
        }
        tally.finish().unwrap();
        tally.see(&line(1));
        assert!(tally.finish().unwrap_err().to_string().contains("1 came twice"));
        let mut tally = Tally::new(3).unwrap();
        tally.see(&line(0));
        tally.see(&line(3));
        tally.see(b"garbage");
        let complaint = tally.finish().unwrap_err().to_string();
        assert!(
            complaint.contains("2 are missing") && complaint.contains("2 are not ours"),
            "{complaint}"
        );
    }
}
