//! `logferry dead`: what could not be processed, to be looked at, put back, taken along or dropped.

mod contents;
mod drops;
mod record;
mod selection;
mod show;
mod socket;
mod work;

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, ErrorKind, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use broker::Broker;
use clap::{Args, Subcommand};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use jiff::tz::TimeZone;
use nix::unistd::{User, getuid};
use service::exit;
use settings::{BrokerSettings, Settings};
use tokio::{sync::mpsc, task::JoinHandle};

pub(crate) use self::socket::DeadSocket;
use self::{
    record::Record,
    selection::SelectionArgs,
    work::{CHANNEL, End, Input, Reply, Request},
};
use crate::{
    command::{self, DataArgs},
    data_dir::DataDir,
    send::our_hostname,
    terminal::{visible, visible_json},
};

const EXAMPLES: &str = "\
Examples:
  logferry dead list                                 what there is, oldest first
  logferry dead list --reason refused --since 1h     a part of it
  logferry dead show 0192f3                          all about the letters whose id begins so
  logferry dead requeue --stage shipper-pgsql        back to the queue they came from, once the cause is mended
  logferry dead export --all --output dead.jsonl     into a file
  logferry dead drop --reason undecodable            for good; asks, and records it in dead-drops.jsonl in data_dir
  logferry dead import dead.jsonl                    dead letters again, from a file

Works on RabbitMQ, and on the embedded queues of data_dir while `logferry run` has them or not.
Looking takes nothing away. On RabbitMQ letters are held while a command looks, so that another one does not see
them meanwhile; they go back to their place when it ends, however it ends.
Exit codes: 0 done, 1 failed or not done with all, 64 wrong arguments, 78 wrong settings.";

/// Look at what could not be processed, and put it back
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DeadArgs {
    #[command(subcommand)]
    command: DeadCommand,
    #[command(flatten)]
    settings: DataArgs,
}

#[derive(Debug, Subcommand)]
enum DeadCommand {
    /// A line for each letter, oldest first; takes nothing away
    List {
        #[command(flatten)]
        selection: SelectionArgs,
        /// How many at most
        #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
        limit: usize,
        /// One JSON object a line, of all
        #[arg(long)]
        json: bool,
    },
    /// All about letters, with every line or event in them; takes nothing away
    Show {
        #[command(flatten)]
        selection: SelectionArgs,
        /// One JSON object a line, with the body
        #[arg(long)]
        json: bool,
    },
    /// Put letters back to where they came from, with their ids
    Requeue {
        #[command(flatten)]
        selection: SelectionArgs,
        /// All of them
        #[arg(long)]
        all: bool,
    },
    /// Write letters to a file, one JSON object a line; takes nothing away
    Export {
        #[command(flatten)]
        selection: SelectionArgs,
        /// All of them
        #[arg(long)]
        all: bool,
        /// A new file; - is stdout
        #[arg(short, long, value_name = "FILE", default_value = "-")]
        output: PathBuf,
    },
    /// Make dead letters of what export wrote
    Import {
        /// A file that export wrote; - is stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Drop letters for good; who, when and which is recorded in `data_dir`
    Drop {
        #[command(flatten)]
        selection: SelectionArgs,
        /// All of them
        #[arg(long)]
        all: bool,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

impl DeadArgs {
    /// Runs it.
    pub(crate) fn main(&self) -> ExitCode {
        if let Some(problem) = self.command.problem() {
            return command::usage("dead", problem);
        }
        let settings = match self.settings.load() {
            Ok(loaded) => loaded.settings,
            Err(problems) => return command::bad_settings(&problems),
        };
        match command::block_on(self.command.run(&settings)) {
            Ok(true) => ExitCode::from(exit::CLEAN),
            Ok(false) => ExitCode::from(exit::START_FAILED),
            Err(error) if is_broken_pipe(&error) => ExitCode::from(exit::CLEAN),
            Err(error) => command::failed(&error),
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

impl DeadCommand {
    /// What the arguments' own rules cannot say.
    fn problem(&self) -> Option<&'static str> {
        let (selection, all) = match self {
            Self::Requeue { selection, all } | Self::Export { selection, all, .. } => (selection, *all),
            Self::Drop { selection, all, yes } => {
                if !yes && !io::stdin().is_terminal() {
                    return Some("drop asks before it drops, and there is nobody to ask: add --yes");
                }
                (selection, *all)
            }
            Self::Show { selection, .. } if selection.is_empty() => {
                return Some("which letters? Give ids or filters; `logferry dead list` shows what there is");
            }
            Self::List { .. } | Self::Show { .. } | Self::Import { .. } => return None,
        };
        match (selection.is_empty(), all) {
            (true, false) => Some("which letters? Give ids or filters, or --all"),
            (false, true) => Some("either ids and filters, or --all"),
            (true, true) | (false, false) => None,
        }
    }

    /// Returns whether it was done with all that was meant.
    async fn run(&self, settings: &Settings) -> anyhow::Result<bool> {
        match self {
            Self::List {
                selection,
                limit,
                json,
            } => {
                let request = Request::Read {
                    selection: selection.selection(),
                    bodies: false,
                };
                list(Talk::begin(settings, request).await?, *limit, *json).await
            }
            Self::Show { selection, json } => {
                let request = Request::Read {
                    selection: selection.selection(),
                    bodies: true,
                };
                show(Talk::begin(settings, request).await?, *json).await
            }
            Self::Requeue { selection, .. } => {
                let selection = selection.selection();
                requeue(Talk::begin(settings, Request::Requeue { selection }).await?).await
            }
            Self::Export {
                selection, output, ..
            } => {
                let request = Request::Read {
                    selection: selection.selection(),
                    bodies: true,
                };
                export(settings, request, output).await
            }
            Self::Import { file } => import(settings, file).await,
            Self::Drop { selection, yes, .. } => {
                let selection = selection.selection();
                let request = Request::Drop {
                    selection,
                    who: who(),
                };
                drop_letters(Talk::begin(settings, request).await?, *yes).await
            }
        }
    }
}

/// Who is at work here, for the record.
fn who() -> String {
    let uid = getuid();
    let user = User::from_uid(uid).ok().flatten().map(|user| user.name);
    format!("{}@{}", user.unwrap_or_else(|| uid.to_string()), our_hostname())
}

/// A request under way.
struct Talk {
    replies: mpsc::Receiver<Reply>,
    inputs: Option<mpsc::Sender<Input>>,
    progress: ProgressBar,
    work: JoinHandle<()>,
    // Kept while the work needs it.
    _data_dir: Option<DataDir>,
}

impl Talk {
    async fn begin(settings: &Settings, request: Request) -> anyhow::Result<Self> {
        let (inputs, inputs_out) = mpsc::channel(CHANNEL);
        let (replies_in, replies) = mpsc::channel(CHANNEL);
        let mut data_dir = None;
        let work = match &settings.broker {
            BrokerSettings::Embedded { dir, .. } => {
                command::expect_data(settings, dir)?;
                match socket::reach(&settings.data_dir).await {
                    Some(stream) => tokio::spawn(socket::ask(stream, request, inputs_out, replies_in)),
                    None => {
                        let opened = DataDir::open(&settings.data_dir);
                        data_dir = Some(opened.context(
                            "no `logferry run` answers on the socket in the data folder, and it cannot be opened without one",
                        )?);
                        let broker = connect(settings).await?;
                        here(broker, request, inputs_out, replies_in, settings)
                    }
                }
            }
            BrokerSettings::Amqp(amqp) => {
                let broker = connect(settings).await?;
                broker
                    .wait_ready(amqp.connect_timeout)
                    .await
                    .context("connect to the broker (broker.url)")?;
                here(broker, request, inputs_out, replies_in, settings)
            }
        };
        let style = ProgressStyle::with_template(
            "{bar:30} {human_pos} of {human_len} letters, {per_sec}, {eta} left",
        )
        .expect("the template is good");
        Ok(Self {
            replies,
            inputs: Some(inputs),
            progress: ProgressBar::no_length().with_style(style),
            work,
            _data_dir: data_dir,
        })
    }

    /// The next reply that is not only about progress; `Err` when it could not be done.
    async fn next(&mut self) -> anyhow::Result<Reply> {
        loop {
            match self.replies.recv().await {
                Some(Reply::Total(total)) => self.progress.set_length(total),
                Some(Reply::Seen(seen)) => self.progress.set_position(seen),
                Some(Reply::Failed(text)) => {
                    self.progress.finish_and_clear();
                    bail!(text)
                }
                Some(reply) => {
                    if matches!(reply, Reply::End(_)) {
                        self.progress.finish_and_clear();
                    }
                    return Ok(reply);
                }
                None => bail!("the work ended without an answer"),
            }
        }
    }

    /// Waits until all is closed in good order.
    async fn end(mut self) -> anyhow::Result<()> {
        self.inputs = None;
        self.work.await.context("end the work")
    }
}

async fn connect(settings: &Settings) -> anyhow::Result<Broker> {
    Broker::connect(&settings.broker, "logferry dead")
        .await
        .context("connect to the broker (broker.url)")
}

fn here(
    broker: Broker,
    request: Request,
    inputs: mpsc::Receiver<Input>,
    replies: mpsc::Sender<Reply>,
    settings: &Settings,
) -> JoinHandle<()> {
    let data_dir = settings.data_dir.clone();
    tokio::spawn(async move {
        work::serve(request, inputs, replies, &broker, &data_dir).await;
        broker.close().await;
    })
}

async fn list(mut talk: Talk, limit: usize, json: bool) -> anyhow::Result<bool> {
    let mut records = Vec::new();
    let end = loop {
        match talk.next().await? {
            Reply::Letter(record) if json => json_line(&record)?,
            Reply::Letter(record) if records.len() < limit => records.push(*record),
            Reply::End(end) => break end,
            _ => {}
        }
    };
    if !json && end.done > 0 {
        command::print(&show::table(&records, &TimeZone::system()))?;
    }
    if !json && end.done == 0 && end.missing == 0 && !end.has_company {
        command::print("no dead letters\n")?;
    }
    let shown = records.len() as u64;
    if !json && end.done > shown {
        let done = HumanCount(end.done);
        eprintln!("{shown} of {done} dead letters; --limit {} shows all", end.done);
    }
    let is_whole = tell_of_others(&end);
    talk.end().await?;
    Ok(is_whole)
}

/// Returns whether everything that was there was seen.
fn tell_of_others(end: &End) -> bool {
    if end.missing > 0 {
        eprintln!(
            "logferry dead: {} letters were not seen: another program holds them; try again when it is done",
            HumanCount(end.missing)
        );
    } else if end.has_company {
        eprintln!(
            "logferry dead: another program looks at the dead letters at this moment, and may hold some of them"
        );
    }
    end.missing == 0
}

fn json_line(record: &Record) -> anyhow::Result<()> {
    let mut line = serde_json::to_string(record)?;
    if io::stdout().is_terminal() {
        line = visible_json(&line);
    }
    line.push('\n');
    Ok(io::stdout().lock().write_all(line.as_bytes())?)
}

async fn show(mut talk: Talk, json: bool) -> anyhow::Result<bool> {
    let mut count = 0;
    let end = loop {
        match talk.next().await? {
            Reply::Letter(record) if json => json_line(&record)?,
            Reply::Letter(record) => {
                let separator = if count == 0 { "" } else { "\n" };
                command::print(&format!(
                    "{separator}{}",
                    show::whole(&record, &TimeZone::system())?
                ))?;
                count += 1;
            }
            Reply::End(end) => break end,
            _ => {}
        }
    };
    let is_whole = tell_of_others(&end);
    talk.end().await?;
    if end.done == 0 {
        eprintln!("logferry dead: no such letter; `logferry dead list` shows what there is");
    }
    Ok(is_whole && end.done > 0)
}

async fn requeue(mut talk: Talk) -> anyhow::Result<bool> {
    talk.inputs = None;
    let end = loop {
        match talk.next().await? {
            Reply::Problem { name, text } => {
                talk.progress
                    .suspend(|| eprintln!("logferry dead: {name} stays: {}", visible(&text)));
            }
            Reply::End(end) => break end,
            _ => {}
        }
    };
    talk.end().await?;
    command::print(&format!("{} put back\n", letters(end.done)))?;
    if end.failed > 0 {
        eprintln!("logferry dead: {} could not be put back", letters(end.failed));
    }
    Ok(tell_of_others(&end) && end.failed == 0)
}

fn letters(count: u64) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} dead letter{plural}", HumanCount(count))
}

async fn export(settings: &Settings, request: Request, output: &Path) -> anyhow::Result<bool> {
    let is_stdout = output == Path::new("-");
    let mut out: Box<dyn Write> = if is_stdout {
        Box::new(BufWriter::new(io::stdout()))
    } else {
        let file = File::create_new(output)
            .with_context(|| format!("make {}: name a file that is not there", output.display()))?;
        Box::new(BufWriter::new(file))
    };
    let mut talk = Talk::begin(settings, request).await?;
    let end = loop {
        match talk.next().await? {
            Reply::Letter(record) => {
                serde_json::to_writer(&mut out, &record).map_err(io::Error::from)?;
                out.write_all(b"\n")?;
            }
            Reply::End(end) => break end,
            _ => {}
        }
    };
    out.flush()?;
    drop(out);
    if !is_stdout {
        File::open(output)
            .and_then(|file| file.sync_all())
            .with_context(|| format!("sync {}", output.display()))?;
    }
    talk.end().await?;
    eprintln!("{} exported", letters(end.done));
    Ok(tell_of_others(&end))
}

async fn import(settings: &Settings, path: &Path) -> anyhow::Result<bool> {
    let is_stdin = path == Path::new("-");
    let from: Box<dyn BufRead + Send> = if is_stdin {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
        Box::new(BufReader::new(file))
    };
    let mut talk = Talk::begin(settings, Request::Import).await?;
    let inputs = talk.inputs.take().context("send what is to be imported")?;
    let reading = tokio::task::spawn_blocking(move || read_records(from, &inputs));
    let end = loop {
        match talk.next().await {
            Ok(Reply::End(end)) => break end,
            Ok(_) => {}
            Err(error) => {
                return Err(error);
            }
        }
    };
    talk.end().await?;
    let read = reading.await.context("read what is to be imported")?;
    command::print(&format!("{} imported\n", letters(end.done)))?;
    read.with_context(|| format!("read {}", path.display()))?;
    Ok(true)
}

/// Ends at the first line that is no letter: those before it are imported.
fn read_records(from: Box<dyn BufRead + Send>, to: &mpsc::Sender<Input>) -> anyhow::Result<()> {
    for (number, line) in (1..).zip(from.lines()) {
        let line = line.with_context(|| format!("line {number}"))?;
        if line.trim().is_empty() {
            continue;
        }
        let record: Record = serde_json::from_str(&line)
            .with_context(|| format!("line {number} is not from `logferry dead export`"))?;
        record.letter().with_context(|| format!("line {number}"))?;
        if to.blocking_send(Input::Record(Box::new(record))).is_err() {
            // Why it takes no more, it says itself.
            return Ok(());
        }
    }
    Ok(())
}

async fn drop_letters(mut talk: Talk, yes: bool) -> anyhow::Result<bool> {
    let end = loop {
        match talk.next().await? {
            Reply::Found(count) => {
                talk.progress.finish_and_clear();
                let inputs = talk.inputs.take();
                if count > 0 && (yes || is_confirmed(count)?) {
                    let inputs = inputs.context("say go")?;
                    inputs.send(Input::Go).await.context("say go")?;
                }
            }
            Reply::End(end) => break end,
            _ => {}
        }
    };
    talk.end().await?;
    let recorded = match &end.recorded_in {
        Some(path) if end.done > 0 => format!(", recorded in {path}"),
        _ => String::new(),
    };
    command::print(&format!("{} dropped{recorded}\n", letters(end.done)))?;
    Ok(tell_of_others(&end))
}

fn is_confirmed(count: u64) -> anyhow::Result<bool> {
    eprint!("Drop {} for good? [y/N] ", letters(count));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
