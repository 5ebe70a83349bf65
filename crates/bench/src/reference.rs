//! rsyslogd doing the equal work.
//!
//! Each configuration is what its documentation advises for throughput with the same promise: batches,
//! several workers where order does not matter, rows committed, files synced.

use std::path::{Path, PathBuf};

use testkit::{Database, Rsyslog};

use crate::case::Case;
use crate::database::Looker;
use crate::place::Place;

/// The columns that rsyslog can fill of those that we fill, and the index that we have.
pub(crate) const TABLE: &str = "
    CREATE TABLE events (
        id bigserial NOT NULL, received_at timestamptz NOT NULL, \"timestamp\" timestamptz,
        facility smallint, severity smallint, hostname text, app_name text, procid text, msgid text,
        message text, peer_addr text
    );
    CREATE INDEX ON events (received_at, id)";

/// The work that rsyslogd is set up to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// TCP to rows committed in PostgreSQL.
    Rows,
    /// TCP to a file that is synced.
    Files,
    /// RELP, answered when the message is in a synced file.
    Relp,
    /// RELP, answered when the message is in a queue in memory: less than we promise, and usual.
    RelpFromMemory,
}

impl Work {
    /// The work of rsyslogd that equals a case, and another that is worth knowing.
    ///
    /// RabbitMQ is no output of a distribution's rsyslog, and SQLite is none at all.
    pub(crate) fn beside(case: Case) -> &'static [Self] {
        match case {
            Case::Relp => &[Self::Relp, Self::RelpFromMemory],
            Case::Rows | Case::Latency => &[Self::Rows],
            Case::Files => &[Self::Files],
            Case::Rabbitmq | Case::Embedded | Case::Parse => &[],
        }
    }

    /// Whether what it takes is installed.
    pub(crate) fn is_possible(self) -> bool {
        let module = match self {
            Self::Rows => "ompgsql",
            Self::Relp | Self::RelpFromMemory => "imrelp",
            Self::Files => "imptcp",
        };
        Rsyslog::is_installed() && Rsyslog::has_module(module)
    }

    /// What the line of the table says after the case's own words.
    pub(crate) fn remark(self) -> &'static str {
        match self {
            Self::Rows | Self::Files => "",
            Self::Relp => " (rsyslog: a synced file)",
            Self::RelpFromMemory => " (rsyslog: memory)",
        }
    }

    /// How many messages make a run of a few seconds.
    pub(crate) fn count(self, count: u64) -> u64 {
        let part = match self {
            Self::Files | Self::RelpFromMemory => 1,
            // One statement for each row.
            Self::Rows => 10,
            // One sync for each message.
            Self::Relp => 100,
        };
        (count / part).max(1)
    }
}

/// An rsyslogd that runs, and where it writes to.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) rsyslog: Rsyslog,
    pub(crate) database: Option<Database>,
}

impl Reference {
    pub(crate) async fn start(work: Work, place: &Place) -> anyhow::Result<Self> {
        let (rsyslog, database) = match work {
            Work::Rows => {
                let database = place.postgres().await?.database();
                Looker::connect(database.url()).await?.run(TABLE).await?;
                (
                    Rsyslog::launch_in(place.dir(), |_, port| rows(port, database.url()))?,
                    Some(database),
                )
            }
            Work::Files => (Rsyslog::launch_in(place.dir(), files)?, None),
            Work::Relp => (
                Rsyslog::launch_in(place.dir(), |dir, port| relp(dir, port, DIRECT))?,
                None,
            ),
            Work::RelpFromMemory => (
                Rsyslog::launch_in(place.dir(), |dir, port| relp(dir, port, QUEUE))?,
                None,
            ),
        };
        Ok(Self { rsyslog, database })
    }

    /// The file that rsyslogd writes.
    pub(crate) fn file(&self) -> PathBuf {
        self.rsyslog.dir().join(FILE)
    }
}

const FILE: &str = "events.log";

/// Without a queue: what is taken is written before it is answered.
const DIRECT: &str = r#"queue.type="direct""#;

/// What stands between input and output: a queue in memory, emptied in large batches.
const QUEUE: &str = r#"queue.type="fixedArray" queue.size="1000000" queue.dequeueBatchSize="4096"
    queue.workerThreads="2" queue.workerThreadMinimumMessages="8192""#;

fn tcp(port: u16) -> String {
    format!(
        "module(load=\"imptcp\" threads=\"2\")\n\
         input(type=\"imptcp\" address=\"127.0.0.1\" port=\"{port}\" ruleset=\"in\")\n"
    )
}

fn rows(port: u16, database: &str) -> String {
    // The commit ends a batch of the queue, as it does with us.
    format!(
        r#"module(load="ompgsql")
template(name="row" type="string" option.stdsql="on" string="INSERT INTO events (received_at, timestamp,
 facility, severity, hostname, app_name, procid, msgid, message, peer_addr) VALUES
 ('%timegenerated:::date-rfc3339%', '%timereported:::date-rfc3339%', %syslogfacility%, %syslogseverity%,
 '%hostname%', '%app-name%', '%procid%', '%msgid%', '%msg%', '%fromhost-ip%')")
ruleset(name="in" {QUEUE}) {{
    action(type="ompgsql" conninfo="{database}" template="row")
}}
{}"#,
        tcp(port)
    )
}

fn files(dir: &Path, port: u16) -> String {
    format!("{}{}", synced_file(dir, QUEUE), tcp(port))
}

fn relp(dir: &Path, port: u16, queue: &str) -> String {
    format!(
        "module(load=\"imrelp\")\n{}\
         input(type=\"imrelp\" address=\"127.0.0.1\" port=\"{port}\" ruleset=\"in\")\n",
        synced_file(dir, queue)
    )
}

fn synced_file(dir: &Path, queue: &str) -> String {
    let file = dir.join(FILE);
    format!(
        r#"ruleset(name="in" {queue}) {{
    action(type="omfile" file="{}" template="RSYSLOG_FileFormat" sync="on" ioBufferSize="1m"
        flushOnTXEnd="on")
}}
"#,
        file.display()
    )
}
