//! `logferry harvest`: files that are named, imported once.

mod folder;
mod stages;

use std::{
    fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use broker::{Broker, BrokerState, Topology};
use clap::Args;
use harvest::{Imported, Importer};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use service::{DataDir, InUse, exit};
use settings::{BrokerSettings, FolderSettings, Settings};
use tokio::{
    pin,
    sync::watch,
    time::{Instant as Moment, interval},
};

use self::{folder::FolderArgs, stages::Stages};
use crate::{
    command::{self, DataArgs},
    init::declare,
    terminal::visible,
};

const EXAMPLES: &str = "\
Examples:
  logferry harvest old/*.log.gz                     into ./data, where `logferry search` finds them
  zcat app.log.gz | logferry harvest - --app-name app --no-grammar
  logferry harvest --continuation '^\\s' --encoding latin1 trace.log
  logferry harvest --config /etc/logferry/logferry.toml --folder uploads *.zst
                                     to the broker of these settings, as files of a folder there

With embedded queues the lines are in the store when the command ends, and no `logferry run` may
use the data folder meanwhile; else they are with the broker. It may be interrupted at any time:
the same command goes on where it was, and no line arrives twice.
Exit codes: 0 all was imported, 1 not all, 64 wrong arguments, 78 wrong settings.";

/// A broker that is away for longer than this is told of: shorter ones nobody notices.
const AWAY_PATIENCE: Duration = Duration::from_secs(1);

/// Between two looks at how far it is.
const TICK: Duration = Duration::from_millis(200);

/// Import log files, also gzip, zstd and LZ4, each line once
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct HarvestArgs {
    /// Files, one after the other; - is stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Import files anew that were imported in full before
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    settings: DataArgs,
}

/// What came of the files.
#[derive(Debug, Default)]
struct Tally {
    whole: u64,
    before: u64,
    failed: u64,
}

impl HarvestArgs {
    /// Runs it.
    pub(crate) fn main(&self) -> ExitCode {
        let stdins = self.files.iter().filter(|file| is_stdin(file)).count();
        if stdins > 1 {
            return command::usage("harvest", "stdin can be read once: name - once");
        }
        let (settings, folder) = match self.folder.load(&self.settings) {
            Ok(loaded) => loaded,
            Err(problems) => return command::bad_settings(&problems),
        };
        if is_embedded(&settings) {
            // So that our parser knows its labels.
            let mut settings = settings;
            settings.harvest.folders.retain(|known| known.name != folder.name);
            settings.harvest.folders.push(folder.clone());
            return ended(command::block_on(self.harvest(&settings, &folder)));
        }
        if let Some(problem) = self.folder.needs_own_parser() {
            return command::usage("harvest", problem);
        }
        ended(command::block_on(self.harvest(&settings, &folder)))
    }

    async fn harvest(&self, settings: &Settings, folder: &FolderSettings) -> anyhow::Result<bool> {
        let data_dir = open_data(settings)?;
        let broker = Broker::connect(&settings.broker, "logferry harvest")
            .await
            .context("connect to the broker (broker.url)")?;
        let topology = Topology::of(settings)?;
        declare(&broker, &settings.broker, &topology).await?;
        let importer = Importer::open(settings, folder, &broker).await?;
        let is_whole = if is_embedded(settings) {
            let mut stages = Stages::start(settings, &broker).await?;
            // Both are given up together, by an error; nothing is lost by that.
            let tally = tokio::select! {
                tally = self.import(&importer, broker.state()) => tally?,
                error = stages.failed() => return Err(error),
            };
            stages.drain(&broker, &topology).await?;
            tally
        } else {
            self.import(&importer, broker.state()).await?
        };
        broker.close().await;
        drop(data_dir);
        Ok(is_whole)
    }

    /// Takes all files, and gives whether all of each was taken.
    async fn import(&self, importer: &Importer, state: watch::Receiver<BrokerState>) -> anyhow::Result<bool> {
        let (bar, started) = (self.bar(), Instant::now());
        let all = self.take_all(importer, &bar);
        pin!(all);
        let mut tick = interval(TICK);
        let mut away = Away::new(state);
        let tally = loop {
            // Both branches are cancel-safe: `all` goes on.
            tokio::select! {
                tally = &mut all => break tally,
                _ = tick.tick() => {
                    bar.set_position(importer.bytes());
                    bar.set_message(HumanCount(importer.lines()).to_string());
                    if let Some(told) = away.look() {
                        bar.suspend(|| eprintln!("logferry harvest: {told}"));
                    }
                }
            }
        };
        bar.finish_and_clear();
        let mut told = format!(
            "imported {}, {} ({}) in {:.2} s\n",
            count(tally.whole + tally.failed, "file"),
            count(importer.lines(), "line"),
            HumanBytes(importer.bytes()),
            started.elapsed().as_secs_f64(),
        );
        if tally.before > 0 {
            told += &format!(
                "passed over {}, imported before; --again imports anew\n",
                HumanCount(tally.before)
            );
        }
        if tally.failed > 0 {
            told += &format!("not in full: {}\n", HumanCount(tally.failed));
        }
        command::print(&told)?;
        Ok(tally.failed == 0)
    }

    async fn take_all(&self, importer: &Importer, bar: &ProgressBar) -> Tally {
        let mut tally = Tally::default();
        for file in &self.files {
            let path = (!is_stdin(file)).then_some(file.as_path());
            let problem = match importer.take(path, self.again).await {
                Ok(Imported::Whole) => {
                    tally.whole += 1;
                    continue;
                }
                Ok(Imported::Before(None)) => {
                    tally.before += 1;
                    continue;
                }
                Ok(Imported::Flawed(flaw)) => format!("{flaw}; what could be read is imported"),
                Ok(Imported::Before(Some(flaw))) => {
                    format!("{flaw}; what could be read was imported before")
                }
                Err(error) => format!("{error:#}"),
            };
            tally.failed += 1;
            let name = visible(&file.to_string_lossy());
            bar.suspend(|| eprintln!("logferry harvest: {name}: {problem}"));
        }
        tally
    }

    /// Shown only to people.
    fn bar(&self) -> ProgressBar {
        if !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let sizes: Option<u64> = self.files.iter().map(|file| size(file)).sum();
        let (bar, style) = match sizes {
            Some(bytes) => (
                ProgressBar::new(bytes),
                "{bar:30} {msg} lines, {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            ),
            None => (
                ProgressBar::new_spinner(),
                "{spinner} {msg} lines, {bytes}, {bytes_per_sec}",
            ),
        };
        bar.enable_steady_tick(TICK);
        match ProgressStyle::with_template(style) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }
}

/// Whether the broker is away, and whether that was told.
struct Away {
    state: watch::Receiver<BrokerState>,
    since: Option<Moment>,
    is_told: bool,
}

impl Away {
    const fn new(state: watch::Receiver<BrokerState>) -> Self {
        Self {
            state,
            since: None,
            is_told: false,
        }
    }

    /// What is to be told now.
    fn look(&mut self) -> Option<String> {
        let state = self.state.borrow();
        if state.is_ready() {
            self.since = None;
            return std::mem::take(&mut self.is_told).then(|| "the broker is back, going on".to_owned());
        }
        let since = *self.since.get_or_insert_with(Moment::now);
        if self.is_told || since.elapsed() < AWAY_PATIENCE {
            return None;
        }
        self.is_told = true;
        Some(format!(
            "waiting for the broker ({}); the import goes on when it is back. Interrupted, it goes on from here when \
             the command is repeated",
            visible(&state.to_string())
        ))
    }
}

fn ended(is_whole: anyhow::Result<bool>) -> ExitCode {
    match is_whole {
        Ok(true) => ExitCode::from(exit::CLEAN),
        Ok(false) => ExitCode::from(exit::START_FAILED),
        Err(error) => command::failed(&error),
    }
}

fn count(number: u64, of: &str) -> String {
    format!(
        "{} {of}{}",
        HumanCount(number),
        if number == 1 { "" } else { "s" }
    )
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// Of what has one before it was read; what cannot be opened is told later.
fn size(file: &Path) -> Option<u64> {
    if is_stdin(file) {
        return None;
    }
    match fs::metadata(file) {
        Ok(metadata) if metadata.is_file() => Some(metadata.len()),
        Ok(metadata) if !metadata.is_dir() => None,
        Ok(_) | Err(_) => Some(0),
    }
}

const fn is_embedded(settings: &Settings) -> bool {
    matches!(settings.broker, BrokerSettings::Embedded { .. })
}

/// Progress is kept there in any case; embedded queues are for one process at a time.
fn open_data(settings: &Settings) -> anyhow::Result<Option<DataDir>> {
    if !is_embedded(settings) {
        return DataDir::prepare(&settings.data_dir).map(|_| None);
    }
    match DataDir::open(&settings.data_dir) {
        Ok(dir) => Ok(Some(dir)),
        Err(error) if error.is::<InUse>() => Err(anyhow::anyhow!(
            "{error:#}. A `logferry run` that goes on takes files too: move them into an upload folder of its \
             settings ([[harvest.folder]]), or send it their lines with `logferry send --file FILE`"
        )),
        Err(error) => Err(error),
    }
}
