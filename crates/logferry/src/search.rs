//! `logferry search`: events of the store, newest first, for people or as JSON lines.

mod follow;
mod progress;
mod question;
mod show;
pub(crate) mod time;

use std::{
    io::{self, BufWriter, ErrorKind, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;
use event::{Severity, Timestamp};
use query::FieldNames;
use service::exit;
use settings::{Settings, StoreSettings, units};
use store::{End, Found, Order, SearchRequest, Selection, Store};

use self::{progress::Progress, question::Question, show::Show};
use crate::{
    command::{self, DataArgs},
    terminal::Colour,
};

const EXAMPLES: &str = "\
Examples:
  logferry search                                  the newest 100 events
  logferry search connection refused               those with both words, in any case
  logferry search '\"connection refused\"'         with this phrase
  logferry search 'host:web* -app:cron severity>=warning'
                                                   by fields (quote what the shell would take for itself)
  logferry search timeout --from 15m --severity warning
                                                   of the last 15 minutes, warnings and worse
  logferry search 'fields.user.id:7 OR tag:audit' --oldest-first --limit all --json
                                                   as JSON lines
  logferry search --follow 'severity>=err'         what comes in from now on

What is searched is the store of the settings: SQLite in data_dir, or PostgreSQL. docs/search.md has the language.
Exit codes: 0 all was looked through or the limit is reached, 75 the time was up before that, 64 a mistake in the
query, 1 no search was possible.";

/// Rows asked of the store at a time.
const PAGE_ROWS: usize = 1000;

/// Find events
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SearchArgs {
    /// What to find; several words are joined with spaces. Behind `--`, a word may begin with -
    #[arg(value_name = "QUERY")]
    words: Vec<String>,
    /// Received at or after this: 15m ago, a day, a local time, or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time::parse, allow_hyphen_values = true)]
    from: Option<Timestamp>,
    /// Received before this
    #[arg(long, value_name = "TIME", value_parser = time::parse, allow_hyphen_values = true)]
    to: Option<Timestamp>,
    /// This severity or worse: emerg, alert, crit, err, warning, notice, info, debug
    #[arg(short, long, value_name = "SEVERITY", value_parser = severity)]
    severity: Option<Severity>,
    /// How many events at most, or "all" [default: 100; with --follow: 10 to begin with]
    #[arg(short = 'n', long, value_name = "N", value_parser = limit)]
    limit: Option<Limit>,
    /// Oldest first
    #[arg(long)]
    oldest_first: bool,
    /// One JSON object a line (proto/event.schema.json)
    #[arg(long)]
    json: bool,
    /// Stay, and show what comes in
    #[arg(short, long, conflicts_with_all = ["to", "oldest_first"])]
    follow: bool,
    /// Colours: on a terminal (auto), always or never
    #[arg(long, alias = "colour", value_enum, hide_possible_values = true, default_value_t = Colour::Auto, hide_possible_values = true, value_name = "WHEN")]
    color: Colour,
    /// Stop when looking for the next 1,000 events takes longer; what was found until then is shown, and the exit code
    /// is 75
    #[arg(long, value_name = "DURATION", value_parser = units::duration, default_value = "30s")]
    timeout: Duration,
    #[command(flatten)]
    settings: DataArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    All,
    Rows(usize),
}

impl SearchArgs {
    /// Runs it.
    #[must_use]
    pub(crate) fn main(&self) -> ExitCode {
        let question = match Question::read(&self.words, self.severity, FieldNames::default()) {
            Ok(question) => question,
            Err(problem) => return command::usage("search", &problem),
        };
        command::run_to_code(&self.settings, async |settings| {
            match self.search(&settings, question).await {
                Err(error) if is_broken_pipe(&error) => Ok(exit::CLEAN),
                searched => searched,
            }
        })
    }

    fn request(&self, question: Question) -> SearchRequest {
        SearchRequest {
            selection: Selection {
                query: question.query,
                from: self.from,
                to: self.to,
                now: question.now,
                ..Selection::default()
            },
            order: if self.oldest_first {
                Order::OldestFirst
            } else {
                Order::NewestFirst
            },
            budget: self.timeout,
            ..SearchRequest::default()
        }
    }

    async fn search(&self, settings: &Settings, mut question: Question) -> anyhow::Result<u8> {
        if let StoreSettings::Sqlite(sqlite) = &settings.store {
            command::expect_data(settings, &sqlite.dir)?;
        }
        let store = Store::connect(&settings.store).context("open the store")?;
        if question.wants_names {
            let fields = store.field_names().await.context("look up the fields")?;
            question = match Question::read(&self.words, self.severity, fields) {
                Ok(question) => question,
                Err(problem) => {
                    command::usage("search", &problem);
                    return Ok(exit::USAGE);
                }
            };
        }
        for notice in &question.notices {
            eprintln!("logferry: {notice}");
        }
        let request = self.request(question);
        let mut show = Show::new(self.json, self.color.is_on());
        let mut out = BufWriter::new(io::stdout().lock());
        let done = if self.follow {
            let rows = match self.limit.unwrap_or(Limit::Rows(10)) {
                Limit::All => usize::MAX,
                Limit::Rows(rows) => rows,
            };
            let followed = follow::follow(&store, request, rows, &mut show, &mut out).await;
            followed.map(|()| exit::CLEAN)
        } else {
            self.pages(&store, request, &mut show, &mut out).await
        };
        store.close().await;
        done
    }

    async fn pages(
        &self,
        store: &Store,
        mut request: SearchRequest,
        show: &mut Show,
        out: &mut impl Write,
    ) -> anyhow::Result<u8> {
        let mut left = match self.limit.unwrap_or(Limit::Rows(100)) {
            Limit::All => usize::MAX,
            Limit::Rows(rows) => rows,
        };
        let is_bounded = left != usize::MAX;
        let mut progress = Progress::new();
        let mut shown = 0_usize;
        loop {
            request.limit = left.min(PAGE_ROWS);
            let (found, end) = page(store, &request, &mut progress, show, out).await?;
            shown += found;
            left -= found;
            if !end.complete {
                progress.tell_partial(&end, shown);
                return Ok(exit::PARTIAL);
            }
            match end.next {
                Some(next) if left > 0 => request.after = Some(next),
                Some(_) | None => break,
            }
        }
        // For people only, and not into the events.
        if io::stderr().is_terminal() && !self.json {
            if shown == 0 {
                eprintln!("nothing found");
            } else if is_bounded && left == 0 {
                eprintln!(
                    "the {} {shown}; more with --limit",
                    if self.oldest_first { "oldest" } else { "newest" }
                );
            }
        }
        Ok(exit::CLEAN)
    }
}

/// Shows the rows of one request as they come; returns how many, and how it ended.
async fn page(
    store: &Store,
    request: &SearchRequest,
    progress: &mut Progress,
    show: &mut Show,
    out: &mut impl Write,
) -> anyhow::Result<(usize, End)> {
    let mut search = store.search(request.clone());
    let mut shown = 0;
    while let Some(found) = search.next().await {
        match found.context("search")? {
            Found::Rows(rows) => {
                progress.clear();
                show.rows(&rows, out)?;
                out.flush()?;
                shown += rows.len();
            }
            Found::Progress { scanned_to, .. } => progress.at(scanned_to, shown),
            Found::End(end) => {
                progress.clear();
                return Ok((shown, end));
            }
        }
    }
    bail!("the search ended before its end");
}

/// Whoever read our output, such as `head`, has enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn severity(text: &str) -> Result<Severity, String> {
    text.parse().map_err(|_unknown| {
        "is not a severity: emerg, alert, crit, err, warning, notice, info, debug, or 0 to 7".to_owned()
    })
}

fn limit(text: &str) -> Result<Limit, String> {
    match text.parse() {
        _ if text == "all" => Ok(Limit::All),
        Ok(rows) if rows > 0 => Ok(Limit::Rows(rows)),
        _ => Err("must be a whole number above 0, or \"all\"".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        search: SearchArgs,
    }

    fn request(args: &[&str]) -> Result<SearchRequest, String> {
        let args = [&["search"], args].concat();
        let args = Cli::try_parse_from(args)
            .map_err(|error| error.to_string())?
            .search;
        Question::read(&args.words, args.severity, FieldNames::default())
            .map(|question| args.request(question))
    }

    #[test]
    fn words_are_one_query() {
        for (args, canonical) in [
            (&[][..], ""),
            (&["connection", "refused"], "connection refused"),
            (
                &["\"connection refused\"", "host:web01"],
                "\"connection refused\" hostname:web01",
            ),
            (&["a", "OR", "b", "-s", "3"], "(a OR b) severity>=err"),
            (&["a", "--", "-app:cron"], "a -app_name:cron"),
        ] {
            let request = request(args).expect("is good");
            assert_eq!(request.selection.query.canonical(), canonical);
            assert_eq!(request.order, Order::NewestFirst);
        }
    }

    #[test]
    fn mistakes_name_the_way_out() {
        for (args, says) in [
            (&["severity:loud"][..], "loud is not a severity"),
            (&["--from", "yesterday"], "RFC 3339"),
            (&["--severity", "loud"], "emerg, alert"),
            (&["--limit", "0"], "\"all\""),
            (&["--timeout", "5"], "\"5s\" for seconds"),
            (&["--follow", "--to", "now"], "cannot be used with"),
        ] {
            let told = request(args).expect_err("is a mistake");
            assert!(told.contains(says), "{args:?}: {told}");
        }
    }
}
