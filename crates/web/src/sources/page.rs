//! The pages: all sources, and one.

use std::time::Instant;

use askama::Template;
use axum::{
    extract::{Path, Query, State as Extract},
    response::Html as Page,
};

use super::{
    api::{Listed, PAGE, Params, Via, kernel_drops, list as listed, one, via},
    clock::{Last, last},
    judge::Judged,
    watch::{Expected, Watch},
    watch_page::mutes,
};
use crate::{
    html::Html,
    hub::Known,
    problem::Problem,
    search::{Ask, Drawing, quoted},
    shell::Shell,
    spark::spark,
    state::State,
    time,
};

/// Usual gaps are told from the hours of a day.
const LEARNING_MICROS: i64 = 86_400_000_000;

/// Rows of one source's page.
const LINES: usize = 20;

#[derive(Template)]
#[template(path = "sources/list.html")]
struct List<'a> {
    shell: &'a Shell,
    params: &'a Params,
    sources: &'a [Judged],
    listed: &'a Listed,
    known: Vec<Known>,
    now: Instant,
    next: Option<String>,
    problem: Option<&'a Problem>,
}

/// Where a source comes from, in one line.
fn via_text(all: &[Via]) -> Html {
    let text: Vec<_> = all
        .iter()
        .map(|via| {
            let input = via
                .input
                .as_deref()
                .map(|input| format!("{input} "))
                .unwrap_or_default();
            let name = via
                .tls_name
                .as_deref()
                .map(|name| format!(" CN={name}"))
                .unwrap_or_default();
            format!("{input}{}{name}", via.peer_addr)
        })
        .collect();
    Html::line(&text.join(", "))
}

fn href(source: &Judged) -> String {
    href_of(&source.row.hostname)
}

/// The page of a source.
pub(super) fn href_of(hostname: &str) -> String {
    let name: String = form_urlencoded::byte_serialize(hostname.as_bytes()).collect();
    // In a path a plus is a plus.
    format!("/sources/{}", name.replace('+', "%20"))
}

impl List<'_> {
    fn name(&self, source: &Judged) -> Html {
        Html::line(source.name())
    }

    fn href(&self, source: &Judged) -> String {
        href(source)
    }

    fn via(&self, source: &Judged) -> Html {
        via_text(&via(source, &self.known, self.now))
    }

    fn spark(&self, source: &Judged) -> String {
        spark(&source.row.hours)
    }

    fn this_hour(&self, source: &Judged) -> u64 {
        let [.., this_hour] = source.row.hours;
        this_hour
    }

    fn last_seen(&self, source: &Judged) -> String {
        if !source.is_seen {
            return "never".to_owned();
        }
        let at = time::seconds(source.row.last_seen, &self.shell.preferences.zone);
        format!("{at}, {} ago", time::rough(source.quiet_micros))
    }

    fn gap(&self, source: &Judged) -> String {
        source
            .usual_gap_micros
            .map_or_else(|| "unknown".to_owned(), time::rough)
    }

    fn since(&self, source: &Judged) -> String {
        time::show(source.row.first_seen, &self.shell.preferences.zone, "%Y-%m-%d")
    }

    /// How long ago the first of all was seen, while that is less than a day.
    fn learning(&self) -> Option<String> {
        let sources = self.listed.sources.iter().filter(|source| source.is_seen);
        let first = sources.map(|source| source.row.first_seen).min()?;
        let age = event::Timestamp::now().as_micros() - first.as_micros();
        (self.listed.is_whole && self.params.q.is_empty() && age < LEARNING_MICROS).then(|| time::rough(age))
    }

    fn drops(&self) -> Vec<(String, f64)> {
        kernel_drops(&self.known, self.now)
    }

    fn next(&self) -> Option<String> {
        let next = self.next.as_ref()?;
        let mut params = form_urlencoded::Serializer::new(String::new());
        params
            .append_pair("q", &self.params.q)
            .append_pair("state", &self.params.state)
            .append_pair("cursor", next);
        Some(format!("/sources?{}", params.finish()))
    }

    fn is_state(&self, word: &str) -> bool {
        self.params.state == word
    }
}

pub(super) async fn list(
    Extract(state): Extract<State>,
    shell: Shell,
    Query(params): Query<Params>,
) -> Result<Page<String>, Problem> {
    let begin = params.begin()?;
    let found = listed(&state, &params).await;
    let nothing = Listed {
        sources: Vec::new(),
        silent: 0,
        is_whole: true,
    };
    let all = found.as_ref().unwrap_or(&nothing);
    let rest = all.sources.get(begin..).unwrap_or_default();
    let page = rest.get(..PAGE).unwrap_or(rest);
    let view = List {
        shell: &shell.titled(format!("{} sources", all.sources.len()), "/sources"),
        params: &params,
        sources: page,
        listed: all,
        known: state.hub.all(),
        now: Instant::now(),
        next: (rest.len() > page.len()).then(|| (begin + page.len()).to_string()),
        problem: found.as_ref().err(),
    };
    Ok(Page(view.render().map_err(Problem::internal)?))
}

#[derive(Template)]
#[template(path = "sources/source.html")]
struct Source<'a> {
    shell: &'a Shell,
    source: &'a Judged,
    name: Html,
    via: Vec<Via>,
    last: Option<&'a Last>,
    trouble: Option<&'a Problem>,
    spark: String,
    rows: String,
    search: String,
    tail: String,
    href: String,
    mutes: [(&'static str, &'static str); 5],
    /// Whether it is muted now.
    is_muted: bool,
    expected: Option<Expectation>,
}

/// That a source is expected to speak.
struct Expectation {
    every: String,
    author: String,
    /// By a pattern, which has other sources too.
    pattern: Option<String>,
}

impl Expectation {
    fn of(hostname: &str, expected: &Expected) -> Self {
        Self {
            every: expected.every_text(),
            author: expected.author.clone(),
            pattern: (expected.name != hostname).then(|| expected.name.clone()),
        }
    }
}

impl Source<'_> {
    fn at(&self, at: &event::Timestamp) -> String {
        time::seconds(*at, &self.shell.preferences.zone)
    }

    fn is_expected_itself(&self) -> bool {
        self.expected
            .as_ref()
            .is_some_and(|expected| expected.pattern.is_none())
    }

    fn gap(&self) -> String {
        let gap = self.source.usual_gap_micros;
        gap.map_or_else(|| "unknown".to_owned(), time::rough)
    }

    fn text(&self, text: &str) -> Html {
        Html::line(text)
    }
}

pub(super) async fn source(
    Extract(state): Extract<State>,
    shell: Shell,
    Path(hostname): Path<String>,
) -> Result<Page<String>, Problem> {
    let source = one(&state, &hostname).await?;
    let watch = Watch::load(&state).await?;
    let (expected, muted) = watch.of(&hostname, event::Timestamp::now());
    let told = last(&state, &hostname).await;
    let query = format!("host:{}", quoted(&hostname));
    let ask = Ask::default().with_query(&*query).last("24h");
    let shell = shell.titled("Source", "/sources");
    let rows = match &told {
        Ok(told) => {
            let asked = crate::tail::asked(&state, &shell, query.clone()).await?;
            let newest = told.rows.get(..LINES).unwrap_or(&told.rows);
            Drawing::new(&asked)
                .rows(newest, None)
                .map_err(Problem::internal)?
        }
        Err(_) => String::new(),
    };
    let view = Source {
        name: Html::line(source.name()),
        via: via(&source, &state.hub.all(), Instant::now()),
        last: told.as_ref().ok(),
        trouble: told.as_ref().err(),
        spark: spark(&source.row.hours),
        rows,
        search: ask.href(),
        href: href_of(&hostname),
        mutes: mutes(),
        is_muted: muted.is_some(),
        expected: expected.map(|expected| Expectation::of(&hostname, expected)),
        tail: format!(
            "/tail?{}",
            form_urlencoded::Serializer::new(String::new())
                .append_pair("q", &query)
                .finish()
        ),
        shell: &shell,
        source: &source,
    };
    Ok(Page(view.render().map_err(Problem::internal)?))
}
