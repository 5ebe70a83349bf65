//! As many messages as are taken: from the first byte sent until the last one has arrived.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Map, Value, json};
use testkit::{Database, Pipeline, RabbitVhost, Service, eventually};

use crate::case::{Case, Line, Outcome, Run, median, repeat};
use crate::database::Looker;
use crate::load::{Load, Protocol};
use crate::place::Place;
use crate::reference::{Reference, Work};
use crate::usage::Watched;

/// A run that takes longer is broken.
const RUN_MAX: Duration = Duration::from_secs(600);
/// The format that rsyslog writes, too.
const FILE: &str = "format = \"rsyslog\"";

pub(crate) async fn measure(case: Case, place: &Place) -> anyhow::Result<Outcome> {
    let ours = repeat(place.runs, || ours(case, place)).await?;
    let logferry = median(&ours).context("measure at least once")?.value;
    let line = |remark: &str, reference| Line {
        what: format!("{}{remark}", case.describe()),
        unit: "/s",
        logferry,
        reference,
        is_time: false,
    };
    let mut details = Map::new();
    details.insert(
        "logferry".to_owned(),
        ours.into_iter().map(|run| run.details).collect(),
    );
    let mut lines = Vec::new();
    for work in Work::beside(case).iter().filter(|work| place.measures(**work)) {
        eprintln!("  rsyslog, {work:?}:");
        let theirs = repeat(place.runs, || theirs(*work, place)).await?;
        lines.push(line(work.remark(), median(&theirs).map(|run| run.value)));
        details.insert(
            format!("rsyslog {work:?}"),
            theirs.into_iter().map(|run| run.details).collect(),
        );
    }
    if lines.is_empty() {
        lines.push(line("", None));
    }
    Ok(Outcome {
        case,
        lines,
        details: details.into(),
    })
}

/// The services that take part, the last of which ends the measurement.
fn services(case: Case) -> &'static [Service] {
    match case {
        Case::Relp | Case::Rabbitmq => &[Service::SyslogServer],
        Case::Files => &[Service::SyslogServer, Service::Parser, Service::ShipperFs],
        Case::Embedded => &[Service::Run],
        Case::Rows | Case::Latency | Case::Parse => {
            &[Service::SyslogServer, Service::Parser, Service::ShipperPgsql]
        }
    }
}

/// A pipeline of one run, with what it runs on.
pub(crate) struct Setup {
    pub(crate) pipeline: Pipeline,
    pub(crate) database: Database,
    _vhost: RabbitVhost,
}

impl Setup {
    pub(crate) async fn start(case: Case, place: &Place) -> anyhow::Result<Self> {
        let vhost = place.rabbitmq().await?.vhost();
        let database = place.postgres().await?.database();
        let builder = match case {
            Case::Embedded => Pipeline::embedded(),
            _ => Pipeline::over(vhost.url(), database.url()).services(services(case)),
        };
        let pipeline = builder.release_in(place.dir()).file_settings(FILE).start().await;
        Ok(Self {
            pipeline,
            database,
            _vhost: vhost,
        })
    }

    /// Every process that works for this pipeline, to be watched.
    pub(crate) async fn watch(&self, case: Case, place: &Place) -> anyhow::Result<Vec<Watched>> {
        let services = services(case).iter();
        let mut watched: Vec<Watched> = services
            .filter_map(|service| Some(Watched::start(service.name(), self.pipeline.pid(*service)?)))
            .collect();
        if case != Case::Embedded
            && let Some(pid) = place.rabbitmq().await?.pid()
        {
            watched.push(Watched::start("rabbitmq", pid));
        }
        Ok(watched)
    }
}

async fn ours(case: Case, place: &Place) -> anyhow::Result<Run> {
    let setup = Setup::start(case, place).await?;
    let pipeline = &setup.pipeline;
    let watched = setup.watch(case, place).await?;
    let (protocol, to) = match case {
        Case::Relp => (Protocol::Relp, pipeline.relp()),
        _ => (Protocol::Tcp, pipeline.tcp()),
    };
    let start = Instant::now();
    let load = Load::start(place, protocol, to, place.count, None)?;
    let report = if case == Case::Relp {
        load.finish().await?
    } else {
        let (last, stage) = last_stage(case);
        eventually(RUN_MAX, || async {
            sent(pipeline, last, stage).await >= place.count
        })
        .await;
        Value::Null
    };
    let elapsed = start.elapsed();
    let usage: Map<String, Value> = watched.iter().map(|watched| watched.finish(elapsed)).collect();
    verify(case, place, &setup).await?;
    Ok(run(
        place.count,
        elapsed,
        json!({ "load": report, "usage": usage }),
    ))
}

fn run(count: u64, elapsed: Duration, mut details: Value) -> Run {
    let value = to_f64(count) / elapsed.as_secs_f64();
    if let Some(details) = details.as_object_mut() {
        details.insert("per_second".to_owned(), value.round().into());
        details.insert("seconds".to_owned(), elapsed.as_secs_f64().into());
        details.insert("arrived".to_owned(), count.into());
    }
    Run { value, details }
}

/// Who sees a message last, and how that stage is called in the metrics.
fn last_stage(case: Case) -> (Service, &'static str) {
    match case {
        Case::Relp | Case::Rabbitmq => (Service::SyslogServer, "syslog-server"),
        Case::Files => (Service::ShipperFs, "shipper-fs"),
        Case::Embedded => (Service::Run, "shipper-pgsql"),
        Case::Rows | Case::Latency | Case::Parse => (Service::ShipperPgsql, "shipper-pgsql"),
    }
}

async fn sent(pipeline: &Pipeline, service: Service, stage: &str) -> u64 {
    let stage = format!("stage=\"{stage}\"");
    let sent = pipeline
        .metric(service, &["logferry_events_sent_total{", &stage])
        .await;
    // A counter is a whole number, and far below where floats get coarse.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of messages"
    )]
    let sent = sent as u64;
    sent
}

fn to_f64(count: u64) -> f64 {
    Duration::from_micros(count).as_secs_f64() * 1e6
}

/// Every message is where it belongs, once. What ends in RabbitMQ is brought into the database first.
async fn verify(case: Case, place: &Place, setup: &Setup) -> anyhow::Result<()> {
    let pipeline = &setup.pipeline;
    let arrived = match case {
        Case::Embedded => count_found(pipeline)?,
        Case::Files => count_lines(&pipeline.events_file())?,
        _ => {
            for service in [Service::Parser, Service::ShipperPgsql] {
                if pipeline.pid(service).is_none() {
                    pipeline.start(service).await;
                }
            }
            eventually(RUN_MAX, || async {
                sent(pipeline, Service::ShipperPgsql, "shipper-pgsql").await >= place.count
            })
            .await;
            let looker = Looker::connect(setup.database.url()).await?;
            let distinct = looker
                .number("SELECT count(DISTINCT message) FROM events")
                .await?;
            ensure!(
                distinct == place.count,
                "{distinct} different rows for {} messages",
                place.count
            );
            looker.number("SELECT count(*) FROM events").await?
        }
    };
    ensure!(arrived == place.count, "{arrived} arrived of {}", place.count);
    Ok(())
}

fn count_lines(file: &Path) -> anyhow::Result<u64> {
    let file = File::open(file).with_context(|| format!("open {}", file.display()))?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut lines = 0;
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            return Ok(lines);
        }
        lines += u64::try_from(chunk.iter().filter(|byte| **byte == b'\n').count())?;
        let length = chunk.len();
        reader.consume(length);
    }
}

fn count_found(pipeline: &Pipeline) -> anyhow::Result<u64> {
    let output = pipeline.logferry(&["search", "--json", "--limit", "all", "--timeout", "5m"]);
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = output.stdout.iter().filter(|byte| **byte == b'\n').count();
    Ok(u64::try_from(lines)?)
}

async fn theirs(work: Work, place: &Place) -> anyhow::Result<Run> {
    let reference = Reference::start(work, place).await?;
    let watched: Vec<Watched> = reference
        .rsyslog
        .pid()
        .map(|pid| Watched::start("rsyslogd", pid))
        .into_iter()
        .collect();
    let is_relp = matches!(work, Work::Relp | Work::RelpFromMemory);
    let protocol = if is_relp { Protocol::Relp } else { Protocol::Tcp };
    let count = work.count(place.count);
    let start = Instant::now();
    let load = Load::start(place, protocol, reference.rsyslog.addr(), count, None)?;
    let mut elapsed = Duration::ZERO;
    let report = if is_relp {
        // The answers are what is measured; the rest is only checked.
        let report = load.finish().await?;
        elapsed = start.elapsed();
        report
    } else {
        Value::Null
    };
    await_reference(&reference, count).await?;
    if elapsed.is_zero() {
        elapsed = start.elapsed();
    }
    let usage: Map<String, Value> = watched.iter().map(|watched| watched.finish(elapsed)).collect();
    Ok(run(count, elapsed, json!({ "load": report, "usage": usage })))
}

/// Waits until rsyslogd has written everything.
pub(crate) async fn await_reference(reference: &Reference, count: u64) -> anyhow::Result<()> {
    match &reference.database {
        Some(database) => {
            let looker = Looker::connect(database.url()).await?;
            // The newest id is cheap to look up, counting is not.
            let newest = "SELECT coalesce(max(id), 0) FROM events";
            eventually(RUN_MAX, || async {
                looker.number(newest).await.is_ok_and(|id| id >= count)
            })
            .await;
            let all = "SELECT count(*) FROM events";
            eventually(RUN_MAX, || async {
                looker.number(all).await.is_ok_and(|rows| rows >= count)
            })
            .await;
        }
        None => {
            let file = reference.file();
            let first_line = eventually(RUN_MAX, || async { first_line_bytes(&file) }).await;
            // Lines are of one length, so the size says how many there are.
            let bytes = first_line * count;
            eventually(RUN_MAX, || async {
                std::fs::metadata(&file).is_ok_and(|meta| meta.len() >= bytes)
            })
            .await;
            ensure!(
                count_lines(&file)? == count,
                "rsyslogd wrote another number of lines"
            );
        }
    }
    Ok(())
}

fn first_line_bytes(file: &Path) -> Option<u64> {
    let mut line = Vec::new();
    BufReader::new(File::open(file).ok()?)
        .read_until(b'\n', &mut line)
        .ok()?;
    line.ends_with(b"\n").then_some(u64::try_from(line.len()).ok()?)
}
