//! What each subcommand does with the replies: prints, files, questions. Each returns whether it was done with all
//! that was meant.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, IsTerminal, Write},
    path::Path,
};

use anyhow::Context;
use dead::{End, HOLD_MAX, Input, Record, Reply, Request};
use indicatif::HumanCount;
use jiff::tz::TimeZone;
use settings::Settings;
use tokio::sync::mpsc;

use super::{show as text, talk::Talk};
use crate::{
    command,
    terminal::{visible, visible_json},
};

pub(super) async fn list(mut talk: Talk, limit: usize, json: bool) -> anyhow::Result<bool> {
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
        command::print(&text::table(&records, &TimeZone::system()))?;
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

pub(super) async fn show(mut talk: Talk, json: bool) -> anyhow::Result<bool> {
    let mut count = 0;
    let end = loop {
        match talk.next().await? {
            Reply::Letter(record) if json => json_line(&record)?,
            Reply::Letter(record) => {
                let separator = if count == 0 { "" } else { "\n" };
                command::print(&format!(
                    "{separator}{}",
                    text::whole(&record, &TimeZone::system())?
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

pub(super) async fn requeue(mut talk: Talk) -> anyhow::Result<bool> {
    talk.inputs = None;
    let end = loop {
        match talk.next().await? {
            Reply::Problem { name, text, .. } => {
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
    if end.ran_out {
        eprintln!(
            "logferry dead: ended after {} minutes, as letters are held meanwhile; the same command goes on with what is left",
            HOLD_MAX.as_secs() / 60
        );
    }
    Ok(tell_of_others(&end) && end.failed == 0 && !end.ran_out)
}

fn letters(count: u64) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} dead letter{plural}", HumanCount(count))
}

pub(super) async fn export(settings: &Settings, request: Request, output: &Path) -> anyhow::Result<bool> {
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

pub(super) async fn import(settings: &Settings, path: &Path) -> anyhow::Result<bool> {
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

pub(super) async fn drop_letters(mut talk: Talk, yes: bool) -> anyhow::Result<bool> {
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
