//! The search page. It is sent as it is found: the form at once, then rows, then how the search ended, then the shape of
//! the whole and its most frequent values. The style sheet puts the parts in their places.

use std::time::Instant;

use askama::Template;
use axum::{
    extract::{self, Query},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};
use bytes::Bytes;
use serde::Deserialize;
use store::{Cursor, End, Found, StoredEvent};

use super::{
    ask::{Ask, Asked, Reading},
    chart,
    columns::{self, Column},
    empty::{Empty, empty},
    event, facets, field_names,
    mend::{Mistake, without},
    row::{Drawing, Opened},
    status::Status,
};
use crate::{
    html,
    problem::Problem,
    shell::Shell,
    state::State,
    stream::{Out, written_by},
    time,
};

pub(super) const RANGES: [(&str, &str); 9] = [
    ("5m", "Last 5 minutes"),
    ("15m", "Last 15 minutes"),
    ("1h", "Last hour"),
    ("6h", "Last 6 hours"),
    ("24h", "Last 24 hours"),
    ("7d", "Last 7 days"),
    ("30d", "Last 30 days"),
    ("365d", "Last year"),
    ("all", "All time"),
];

#[derive(Template)]
#[template(path = "search/head.html")]
struct Head<'a> {
    shell: &'a Shell,
    ask: &'a Ask,
    ranges: [(&'static str, &'static str); 9],
    range_name: String,
    export: String,
    other_clock: Option<(&'static str, String)>,
    other_order: Option<(&'static str, String)>,
    columns: Vec<Chosen>,
    chips: Vec<Chip>,
    notices: Vec<Mistake>,
    error: Option<Mistake>,
    reading: Option<html::Html>,
    canonical: String,
}

struct Chip {
    label: String,
    shown: html::Html,
    without: String,
}

/// A column that can be taken away.
struct Chosen {
    name: String,
    without: String,
}

impl Chosen {
    fn new(column: &Column, ask: &Ask) -> Self {
        let others = columns::without(&ask.cols, &column.name);
        Self {
            without: ask.with_columns(others).href(),
            name: column.name.clone(),
        }
    }
}

impl<'a> Head<'a> {
    fn new(shell: &'a Shell, ask: &'a Ask) -> Self {
        let export = ask.whole().to_params();
        Self {
            shell,
            ask,
            ranges: RANGES,
            range_name: ask.range_name().to_owned(),
            export,
            other_clock: None,
            other_order: None,
            columns: Vec::new(),
            chips: Vec::new(),
            notices: Vec::new(),
            error: None,
            reading: None,
            canonical: String::new(),
        }
    }

    fn of(shell: &'a Shell, asked: &'a Asked) -> Self {
        let (ask, parsed) = (&asked.ask, &asked.parsed);
        let chips = parsed.chips.iter().map(|chip| Chip {
            shown: html::Html::line(&chip.label),
            label: chip.label.clone(),
            without: ask.with_query(without(&ask.q, chip.span)).href(),
        });
        let is_event = ask.by == "event";
        let is_old = ask.sort == "old";
        let (by, sort) = (
            if is_event { "event" } else { "" },
            if is_old { "old" } else { "" },
        );
        Self {
            other_clock: Some(if is_event {
                ("by event time", ask.sorted("", sort).href())
            } else {
                ("by received time", ask.sorted("event", sort).href())
            }),
            other_order: Some(if is_old {
                ("oldest first", ask.sorted(by, "").href())
            } else {
                ("newest first", ask.sorted(by, "old").href())
            }),
            columns: asked
                .columns
                .iter()
                .map(|column| Chosen::new(column, ask))
                .collect(),
            chips: chips.collect(),
            notices: parsed
                .notices
                .iter()
                .map(|notice| Mistake::new(notice, ask))
                .collect(),
            reading: (!ask.q.trim().is_empty()).then(|| html::Html::line(&parsed.query.reading())),
            canonical: parsed.query.canonical(),
            ..Self::new(shell, ask)
        }
    }
}

#[derive(Template)]
#[template(path = "search/foot.html")]
struct Foot<'a> {
    newer: Option<String>,
    older: Option<String>,
    /// Why there are not all rows that there could be.
    partial: Option<Partial>,
    failure: Option<&'a Problem>,
    empty: Option<Empty>,
}

struct Partial {
    to: String,
    href: Option<String>,
}

#[derive(Template)]
#[template(path = "search/progress.html")]
struct Progress {
    to: String,
    matched: u64,
}

/// `view=patterns` and `view=fields` are pages of their own.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct View {
    view: String,
}

pub(super) async fn page(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Query(ask): Query<Ask>,
    Query(view): Query<View>,
) -> Result<Response, Problem> {
    if matches!(&*view.view, "patterns" | "fields") {
        let path = format!("/search/{}?{}", view.view, ask.whole().to_params());
        return Ok(Redirect::to(&path).into_response());
    }
    let shell = shell.titled("Search", "/search");
    let fields = field_names(&state).await;
    let asked = match ask.clone().read(&Reading::new(&state.settings, &shell, fields)) {
        Ok(asked) => asked,
        Err(problem) => match problem.query_error() {
            Some(error) => return mistaken(&shell, &ask, error),
            None => return Err(problem),
        },
    };
    let head = Head::of(&shell, &asked).render().map_err(Problem::internal)?;
    let body = written_by(async move |out| {
        out.push(head).await;
        let writing = Writing {
            out: &out,
            state: &state,
            shell: &shell,
            asked: &asked,
        };
        writing.write().await;
        out.push(BOTTOM).await;
    });
    Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], body).into_response())
}

/// What closes the page.
const BOTTOM: &str = include_str!("../../templates/search/bottom.html");

/// Nothing runs; the form says what to mend.
fn mistaken(shell: &Shell, ask: &Ask, error: &query::Problem) -> Result<Response, Problem> {
    let head = Head {
        error: Some(Mistake::new(error, ask)),
        ..Head::new(shell, ask)
    };
    let mut page = head.render().map_err(Problem::internal)?;
    let nothing = Foot {
        newer: None,
        older: None,
        partial: None,
        failure: None,
        empty: None,
    };
    page.push_str(&nothing.render().map_err(Problem::internal)?);
    page.push_str(BOTTOM);
    Ok((StatusCode::UNPROCESSABLE_ENTITY, Html(page)).into_response())
}

/// The part of the page that comes as it is found.
struct Writing<'a> {
    out: &'a Out,
    state: &'a State,
    shell: &'a Shell,
    asked: &'a Asked,
}

/// What the search for rows gave.
#[derive(Default)]
struct Outcome {
    rows: usize,
    first: Option<Cursor>,
    last: Option<Cursor>,
    end: Option<End>,
    failure: Option<Problem>,
    took_ms: u128,
}

impl Outcome {
    /// All was looked through, and there is nothing.
    fn is_nothing(&self) -> bool {
        self.rows == 0 && self.failure.is_none() && self.end.is_some_and(|end| end.complete)
    }
}

impl Writing<'_> {
    async fn write(&self) {
        let started = Instant::now();
        let mut outcome = self.rows().await;
        outcome.took_ms = started.elapsed().as_millis();
        self.push(&self.foot(&outcome).await).await;
        // The shape must not hold back the rows, and what is frequent must not hold back the shape. The focus goes
        // through the parts in the order in which they are sent, so that it is always the same.
        let shape = async {
            let without_filter = match outcome.is_nothing() {
                true => self.without_filter().await,
                false => None,
            };
            let shape = chart::Shape::of(self.state, without_filter.as_ref().unwrap_or(self.asked)).await;
            let (rows, took_ms, end) = (outcome.rows, outcome.took_ms, outcome.end.as_ref());
            self.push(&Status::new(self.asked, rows, took_ms, end, shape.count()))
                .await;
            let chart = match &without_filter {
                Some(asked) => shape.chart(asked).of_all_events(),
                None => shape.chart(self.asked),
            };
            self.push(&chart).await;
        };
        if outcome.failure.is_none() {
            let ((), frequent) = tokio::join!(shape, facets::Facets::of(self.state, self.asked));
            self.push(&frequent).await;
        }
    }

    /// The same range with everything in it: what there is where nothing was found.
    async fn without_filter(&self) -> Option<Asked> {
        let ask = &self.asked.ask;
        if ask.q.trim().is_empty() || !ask.cursor.is_empty() {
            return None;
        }
        let reading = Reading::new(&self.state.settings, self.shell, field_names(self.state).await);
        ask.with_query(String::new()).read(&reading).ok()
    }

    /// A part that cannot be drawn is a bug of ours; the rest of the page stands.
    async fn push(&self, part: &impl Template) {
        match part.render() {
            Ok(html) => self.out.push(html).await,
            Err(error) => tracing::error!(%error, "cannot draw a part of the search page"),
        }
    }

    async fn rows(&self) -> Outcome {
        let drawing = Drawing::new(self.asked);
        let open = self.opened().await;
        let clock = self.asked.request.selection.clock;
        let mut outcome = Outcome::default();
        let mut backwards = Vec::new();
        let running = self.state.searches.begin("page", self.shell, self.asked);
        let mut search = running.rows(self.state, self.asked.request.clone());
        while let Some(found) = search.next().await {
            match found {
                Ok(Found::Rows(rows)) => {
                    outcome.rows += rows.len();
                    outcome.first = outcome
                        .first
                        .or_else(|| rows.first().map(|row| row.cursor(clock)));
                    outcome.last = rows.last().map(|row| row.cursor(clock)).or(outcome.last);
                    if self.asked.is_back {
                        backwards.extend(rows);
                    } else {
                        self.lines(&drawing, &rows, open.as_ref()).await;
                    }
                }
                Ok(Found::Progress { scanned_to, matched }) => {
                    let to = time::seconds(scanned_to, &self.asked.zone);
                    self.push(&Progress { to, matched }).await;
                }
                Ok(Found::End(end)) => outcome.end = Some(end),
                Err(problem) => outcome.failure = Some(problem),
            }
        }
        if self.asked.is_back {
            backwards.reverse();
            self.lines(&drawing, &backwards, open.as_ref()).await;
            std::mem::swap(&mut outcome.first, &mut outcome.last);
        }
        outcome
    }

    async fn lines(&self, drawing: &Drawing, rows: &[StoredEvent], open: Option<&Opened>) {
        match drawing.rows(rows, open) {
            Ok(html) => self.out.push(Bytes::from(html)).await,
            Err(error) => tracing::error!(%error, "cannot draw rows"),
        }
    }

    /// The event that the address wants open, if the visitor may see it.
    async fn opened(&self) -> Option<Opened> {
        let id = self.asked.ask.at.parse().ok()?;
        let stored = event::find(self.state, &self.shell.visitor, id).await.ok()?;
        Some(event::opened(&stored, self.asked))
    }

    async fn foot<'b>(&self, outcome: &'b Outcome) -> Foot<'b> {
        let ask = &self.asked.ask;
        let more = outcome.end.is_some_and(|end| end.next.is_some() && end.complete);
        let has_newer = if self.asked.is_back {
            more
        } else {
            !ask.cursor.is_empty()
        };
        let has_older = self.asked.is_back || more;
        let newer = outcome
            .first
            .filter(|_| has_newer)
            .map(|first| ask.before(first).href());
        let older = outcome
            .last
            .filter(|_| has_older)
            .map(|last| ask.behind(last).href());
        let partial = outcome.end.filter(|end| !end.complete).map(|end| Partial {
            to: end.stopped_at.map_or_else(
                || "the beginning".to_owned(),
                |at| time::seconds(at, &self.asked.zone),
            ),
            href: end.next.map(|next| {
                if self.asked.is_back {
                    ask.before(next)
                } else {
                    ask.behind(next)
                }
                .href()
            }),
        });
        let is_empty = outcome.rows == 0 && outcome.failure.is_none() && partial.is_none();
        Foot {
            newer,
            older,
            partial,
            failure: outcome.failure.as_ref(),
            empty: if is_empty {
                Some(empty(self.state, self.shell, self.asked).await)
            } else {
                None
            },
        }
    }
}
