//! `logferry search`: events of the store, newest first, for people or as JSON lines.

mod follow;
mod show;
pub(crate) mod time;

use std::{
    io::{self, BufWriter, ErrorKind, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use event::{Severity, Timestamp};
use settings::{Settings, StoreSettings, units};
use store::{Clock, Comparison, Condition, ConditionError, Field, Order, SearchRequest, Store};

use self::show::Show;
use crate::{
    command::{self, DataArgs},
    terminal::Colour,
};

const EXAMPLES: &str = "\
Examples:
  logferry search                                  the newest 100 events
  logferry search 'connection refused'             those with this phrase, in any case
  logferry search timeout --from 15m --severity warning
                                                   of the last 15 minutes, warnings and worse
  logferry search hostname=web01 app_name=nginx    by fields; also fields.user.id=7, tags=audit
  logferry search --from 2026-11-21 --to '2026-11-21 12:00' --oldest-first --limit all --json
                                                   half a day, as JSON lines
  logferry search --follow 'severity<=err'         what comes in from now on (quote the < for the shell)

What is searched is the store of the settings: SQLite in data_dir, or PostgreSQL.";

/// Rows asked of the store at a time.
const PAGE_ROWS: usize = 1000;

/// Find events
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SearchArgs {
    /// Words or phrases that an event must have (quote a phrase), and conditions: field=value, severity<=err
    #[arg(value_name = "WORD|FIELD=VALUE")]
    words: Vec<String>,
    /// A text that an event must have, taken as it is even with a = in it. May be repeated
    #[arg(short, long)]
    text: Vec<String>,
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
    /// Give up a search that takes longer
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
        let request = match self.request() {
            Ok(request) => request,
            Err(problem) => return command::usage("search", &problem),
        };
        command::run_once(&self.settings, async |settings| {
            match self.search(&settings, request).await {
                Err(error) if is_broken_pipe(&error) => Ok(()),
                searched => searched,
            }
        })
    }

    fn request(&self) -> Result<SearchRequest, String> {
        let mut request = SearchRequest {
            clock: Clock::Arrival,
            from: self.from,
            to: self.to,
            text: self.text.clone(),
            order: if self.oldest_first {
                Order::OldestFirst
            } else {
                Order::NewestFirst
            },
            timeout: self.timeout,
            ..SearchRequest::default()
        };
        for word in &self.words {
            if !word.contains('=') {
                request.text.push(word.clone());
                continue;
            }
            let condition = word.parse().map_err(|error: ConditionError| {
                format!("{error}\nTo find the text itself: --text '{word}'")
            })?;
            request.conditions.push(condition);
        }
        request.conditions.extend(self.severity.map(|severity| Condition {
            field: Field::Severity,
            comparison: Comparison::AtMost,
            value: severity.name().to_owned(),
        }));
        Ok(request)
    }

    async fn search(&self, settings: &Settings, request: SearchRequest) -> anyhow::Result<()> {
        if let StoreSettings::Sqlite(sqlite) = &settings.store {
            command::expect_data(settings, &sqlite.dir)?;
        }
        let store = Store::connect(&settings.store).context("open the store")?;
        let mut show = Show::new(self.json, self.color.is_on());
        let mut out = BufWriter::new(io::stdout().lock());
        let done = if self.follow {
            let rows = match self.limit.unwrap_or(Limit::Rows(10)) {
                Limit::All => usize::MAX,
                Limit::Rows(rows) => rows,
            };
            follow::follow(&store, request, rows, &mut show, &mut out).await
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
    ) -> anyhow::Result<()> {
        let mut left = match self.limit.unwrap_or(Limit::Rows(100)) {
            Limit::All => usize::MAX,
            Limit::Rows(rows) => rows,
        };
        let is_bounded = left != usize::MAX;
        let mut shown = 0_usize;
        while left > 0 {
            request.limit = left.min(PAGE_ROWS);
            let page = store.search(&request).await.context("search")?;
            show.rows(&page.rows, out)?;
            out.flush()?;
            shown += page.rows.len();
            left -= page.rows.len();
            match page.next {
                Some(next) => request.after = Some(next),
                None => break,
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
        Ok(())
    }
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
        Cli::try_parse_from(args)
            .map_err(|error| error.to_string())?
            .search
            .request()
    }

    #[test]
    fn words_conditions_and_texts() {
        let request = request(&[
            "connection refused",
            "hostname=web01",
            "severity<=err",
            "-t",
            "a=b",
            "-s",
            "3",
        ])
        .expect("is good");
        assert_eq!(request.text, ["a=b", "connection refused"]);
        let conditions: Vec<_> = ["hostname=web01", "severity<=err", "severity<=err"]
            .iter()
            .map(|text| text.parse().expect(text))
            .collect::<Vec<Condition>>();
        assert_eq!(request.conditions, conditions);
        assert_eq!(request.order, Order::NewestFirst);
    }

    #[test]
    fn mistakes_name_the_way_out() {
        for (args, says) in [
            (
                &["hostnme=web01"][..],
                "To find the text itself: --text 'hostnme=web01'",
            ),
            (&["severity<=loud"], "\"loud\" is not a severity"),
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
