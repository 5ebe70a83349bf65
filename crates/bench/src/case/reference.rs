//! rsyslogd doing work that compares.
//!
//! Each configuration is one that its documentation advises for throughput. Files hold the messages as they were
//! received, which is the least that it can be asked to write.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::json;
use testkit::{Database, Rsyslog};
use tokio::time::interval;

use crate::check;
use crate::database::Looker;
use crate::load::{Load, Protocol, Shape};
use crate::place::Place;
use crate::route::to_f64;
use crate::series::Run;
use crate::usage::Watched;

/// The columns that rsyslog can fill of those that we fill, and the index that we have.
const TABLE: &str = "
    CREATE TABLE events (
        id bigserial NOT NULL, received_at timestamptz NOT NULL, \"timestamp\" timestamptz,
        facility smallint, severity smallint, hostname text, app_name text, procid text, msgid text,
        message text, peer_addr text
    );
    CREATE INDEX ON events (received_at)";

/// A run that makes no progress for so long is broken.
const STALLED_MAX: Duration = Duration::from_secs(120);
/// How often it is looked how far rsyslogd is.
const ASK_PERIOD: Duration = Duration::from_millis(25);

/// The work that rsyslogd is set up to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// RELP, answered when the message is in a queue in memory, which goes into a file.
    RelpMemory,
    /// RELP, answered when the message is in a synced queue on disk.
    RelpDisk,
    /// TCP into a file.
    TcpFile,
    /// TCP into PostgreSQL.
    TcpRows,
}

impl Work {
    fn modules(self) -> &'static [&'static str] {
        match self {
            Self::RelpMemory | Self::RelpDisk => &["imrelp"],
            Self::TcpFile => &["imtcp"],
            Self::TcpRows => &["imtcp", "ompgsql"],
        }
    }

    /// How many messages make a run of a few seconds, where we have `count`.
    pub(super) fn count(self, count: u64) -> u64 {
        let count = match self {
            Self::RelpMemory => count,
            Self::TcpFile => count.max(2_000_000).min(count * 2),
            // One statement for each row.
            Self::TcpRows => count / 25,
            // One sync for each message.
            Self::RelpDisk => count / 125,
        };
        count.max(1)
    }
}

/// Whether rsyslog is to do this work beside us, and can.
pub(super) fn is_measured(work: Work, place: &Place) -> bool {
    if !place.is_reference_measured {
        return false;
    }
    let missing = work.modules().iter().find(|module| !Rsyslog::has_module(module));
    if !Rsyslog::is_installed() {
        eprintln!("  rsyslog is not measured beside us: it is not installed");
    } else if let Some(module) = missing {
        eprintln!("  rsyslog is not measured beside us: its module {module} is not installed");
    } else {
        return true;
    }
    false
}

/// An rsyslogd that runs, and where it writes to.
struct Reference {
    rsyslog: Rsyslog,
    database: Option<Database>,
}

impl Reference {
    async fn start(work: Work, place: &Place) -> anyhow::Result<Self> {
        let mut database = None;
        let launch = |config: &dyn Fn(&Path, u16) -> String| Rsyslog::launch_in(place.dir(), config);
        let rsyslog = match work {
            Work::RelpMemory => launch(&|dir, port| input("imrelp", port) + &file(dir, MEMORY_QUEUE))?,
            Work::RelpDisk => launch(&|dir, port| input("imrelp", port) + &file(dir, &disk_queue(dir)))?,
            Work::TcpFile => launch(&|dir, port| input("imtcp", port) + &file(dir, MEMORY_QUEUE))?,
            Work::TcpRows => {
                let database = database.insert(place.database().await?);
                Looker::connect(database.url()).await?.run(TABLE).await?;
                let url = database.url();
                launch(&|_, port| input("imtcp", port) + &rows(url))?
            }
        };
        Ok(Self { rsyslog, database })
    }

    fn file(&self) -> PathBuf {
        self.rsyslog.dir().join(FILE)
    }

    /// Waits until everything is written, and returns when that was seen.
    async fn written(&self, count: u64, size: u64) -> anyhow::Result<Instant> {
        let looker = match &self.database {
            Some(database) => Some(Looker::connect(database.url()).await?),
            None => None,
        };
        let file = self.file();
        let mut ticks = interval(ASK_PERIOD);
        let (mut best, mut best_at) = (0, Instant::now());
        loop {
            ticks.tick().await;
            let messages = match &looker {
                // The newest id is cheap to look up, counting is not.
                Some(looker) => looker.number("SELECT coalesce(max(id), 0) FROM events").await?,
                None => std::fs::metadata(&file).map_or(0, |meta| meta.len()) / (size + 1),
            };
            let now = Instant::now();
            if messages >= count {
                return Ok(now);
            }
            if messages > best {
                (best, best_at) = (messages, now);
            } else if now.duration_since(best_at) > STALLED_MAX {
                bail!(
                    "rsyslogd is stuck after {messages} of {count}: {}",
                    self.rsyslog.log()
                );
            }
        }
    }

    async fn check(&self, count: u64) -> anyhow::Result<()> {
        let Some(database) = &self.database else {
            return check::lines(&self.file(), count);
        };
        let looker = Looker::connect(database.url()).await?;
        let rows = looker
            .number("SELECT count(DISTINCT message) FROM events")
            .await?;
        ensure!(rows == count, "{rows} different rows of {count} messages");
        Ok(())
    }
}

pub(super) async fn once(work: Work, shape: Shape, place: &Place) -> anyhow::Result<Run> {
    let reference = Reference::start(work, place).await?;
    let watched = reference.rsyslog.pid().map(|pid| Watched::start("rsyslogd", pid));
    let size = u64::from(place.measuring.size);
    let start = Instant::now();
    let load = Load::start(place, reference.rsyslog.addr(), shape)?;
    let (report, elapsed) = if shape.protocol == Protocol::Relp {
        // The answers are what is measured; the rest is only checked.
        let report = load.finish().await?;
        let elapsed = start.elapsed();
        reference.written(shape.count, size).await?;
        (report, elapsed)
    } else {
        let written = reference.written(shape.count, size);
        let (report, end) = tokio::try_join!(load.finish(), written)?;
        (report, end.duration_since(start))
    };
    let checked = reference.check(shape.count).await;
    checked.with_context(|| format!("check what rsyslogd wrote ({work:?})"))?;
    Ok(Run {
        value: to_f64(shape.count) / elapsed.as_secs_f64(),
        usage: watched.iter().map(Watched::used).collect(),
        details: json!({ "seconds": elapsed.as_secs_f64(), "messages": shape.count, "load": report }),
    })
}

const FILE: &str = "events.log";

/// A queue in memory, emptied in large batches.
const MEMORY_QUEUE: &str =
    r#"queue.type="fixedArray" queue.size="500000" queue.dequeueBatchSize="4096" queue.workerThreads="1""#;

/// A queue on disk that survives what ours survives.
fn disk_queue(dir: &Path) -> String {
    format!(
        r#"queue.type="disk" queue.spoolDirectory="{}" queue.filename="q" queue.maxFileSize="100m"
    queue.syncQueueFiles="on" queue.checkpointInterval="1" queue.dequeueBatchSize="1024""#,
        dir.display()
    )
}

fn input(module: &str, port: u16) -> String {
    format!(
        "module(load=\"{module}\")\n\
         input(type=\"{module}\" address=\"127.0.0.1\" port=\"{port}\" ruleset=\"in\")\n"
    )
}

fn file(dir: &Path, queue: &str) -> String {
    let file = dir.join(FILE);
    format!(
        r#"template(name="asreceived" type="string" string="%rawmsg%\n")
ruleset(name="in" {queue}) {{
    action(type="omfile" file="{}" template="asreceived" ioBufferSize="1m" flushOnTXEnd="on")
}}
"#,
        file.display()
    )
}

fn rows(database: &str) -> String {
    // The commit ends a batch of the queue, as it does with us.
    format!(
        r#"module(load="ompgsql")
template(name="row" type="string" option.stdsql="on" string="INSERT INTO events (received_at, timestamp,
 facility, severity, hostname, app_name, procid, msgid, message, peer_addr) VALUES
 ('%timegenerated:::date-rfc3339%', '%timereported:::date-rfc3339%', %syslogfacility%, %syslogseverity%,
 '%hostname%', '%app-name%', '%procid%', '%msgid%', '%msg%', '%fromhost-ip%')")
ruleset(name="in" {MEMORY_QUEUE}) {{
    action(type="ompgsql" conninfo="{database}" template="row")
}}
"#
    )
}
