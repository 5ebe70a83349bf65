//! The page: patterns as a table, the most frequent first.

use askama::Template;
use axum::{
    extract::{Query, State as Extract},
    http::StatusCode,
    response::{Html as Page, IntoResponse, Response},
};

use super::{Mined, SAMPLE_MAX, asked, mine::Pattern, mined};
use crate::{
    html::Html,
    number::grouped,
    problem::Problem,
    search::{Ask, Narrowing, prefix, severity_word_of},
    shell::Shell,
    spark::spark,
    state::State,
    time,
};

/// Bytes of a pattern that a line shows; its search and the API have all.
const TEMPLATE_BYTES_MAX: usize = 300;

#[derive(Template)]
#[template(path = "search/patterns.html")]
struct List<'a> {
    shell: &'a Shell,
    ask: &'a Ask,
    rows: Vec<Row>,
    sample: String,
    more: usize,
    is_whole: bool,
    is_sample: bool,
    problem: Option<&'a Problem>,
    /// The same search, for the other views.
    params: String,
}

struct Row {
    n: String,
    share: String,
    spark: String,
    severity: u8,
    word: &'static str,
    first: String,
    last: String,
    template: Html,
    only: Option<String>,
    not: Option<String>,
}

fn shown(template: &str) -> Html {
    let head = prefix(template, TEMPLATE_BYTES_MAX);
    if head.len() < template.len() {
        Html::line(&format!(
            "{head} … (cut at {TEMPLATE_BYTES_MAX} of {} bytes)",
            template.len()
        ))
    } else {
        Html::line(template)
    }
}

impl Row {
    fn new(pattern: &Pattern, mined: &Mined, narrowing: &Narrowing, shell: &Shell) -> Self {
        let zone = &shell.preferences.zone;
        let query = pattern.query();
        let percent = pattern.n * 100 / mined.sample.max(1);
        Self {
            n: grouped(pattern.n as u64),
            share: if percent == 0 {
                "<1 %".to_owned()
            } else {
                format!("{percent} %")
            },
            spark: spark(&pattern.trend(mined.from, mined.to)),
            severity: pattern.severity.map_or(8, |severity| severity.code()),
            word: severity_word_of(pattern.severity),
            first: time::seconds(pattern.first, zone),
            last: time::seconds(pattern.last, zone),
            template: shown(&pattern.template()),
            only: query.as_deref().map(|query| narrowing.with(query)),
            not: query
                .as_deref()
                .map(|query| narrowing.with(&format!("-({query})"))),
        }
    }
}

pub(super) async fn page(
    Extract(state): Extract<State>,
    shell: Shell,
    Query(ask): Query<Ask>,
) -> Result<Response, Problem> {
    let shell = &shell.titled("Patterns – Search", "/search");
    let kept = ask.whole();
    let view = List {
        shell,
        params: kept.to_params(),
        ask: &kept,
        rows: Vec::new(),
        sample: String::new(),
        more: 0,
        is_whole: true,
        is_sample: false,
        problem: None,
    };
    let found = async {
        let asked = asked(&state, shell, ask).await?;
        let running = state.searches.begin("patterns", shell, &asked);
        let mined = mined(&state, &asked, SAMPLE_MAX, &running).await?;
        Ok::<_, Problem>((asked, mined))
    };
    let (status, page) = match found.await {
        Ok((asked, mined)) => {
            let narrowing = Narrowing::new(&asked);
            let rows = mined.patterns.iter();
            let view = List {
                rows: rows.map(|one| Row::new(one, &mined, &narrowing, shell)).collect(),
                sample: grouped(mined.sample as u64),
                more: mined.distinct - mined.patterns.len(),
                is_whole: mined.is_whole,
                is_sample: mined.sample >= SAMPLE_MAX,
                ..view
            };
            (StatusCode::OK, view.render())
        }
        Err(problem) => {
            let view = List {
                problem: Some(&problem),
                ..view
            };
            (problem.status(), view.render())
        }
    };
    Ok((status, Page(page.map_err(Problem::internal)?)).into_response())
}
