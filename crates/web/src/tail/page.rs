//! The page: the newest rows of the store, and where the stream goes on. It works without JavaScript.

use askama::Template;
use axum::{
    extract::{Query, State as Extract},
    response::Html,
};
use serde::Deserialize;
use store::Clock;

use super::stream::{asked, newest};
use crate::{
    problem::Problem,
    search::{Ask, Drawing, write_cursor},
    shell::Shell,
    state::State,
};

const ROWS: usize = 100;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Params {
    q: String,
}

#[derive(Template)]
#[template(path = "tail/page.html")]
struct Page<'a> {
    shell: &'a Shell,
    q: &'a str,
    rows: String,
    count: usize,
    /// Of the newest row, where the stream begins.
    after: String,
    /// Why the query does not run.
    problem: Option<&'a Problem>,
    /// Why there are no rows.
    trouble: Option<String>,
    search: String,
    zone: &'a str,
}

pub(super) async fn page(
    Extract(state): Extract<State>,
    shell: Shell,
    Query(params): Query<Params>,
) -> Result<Html<String>, Problem> {
    let shell = shell.titled("Live tail", "/tail");
    let zone = shell.preferences.zone_name.clone();
    let mut page = Page {
        shell: &shell,
        q: &params.q,
        rows: String::new(),
        count: 0,
        after: String::new(),
        problem: None,
        trouble: None,
        search: Ask::default().with_query(&*params.q).last("1h").href(),
        zone: &zone,
    };
    let found = asked(&state, &shell, params.q.clone()).await;
    match &found {
        Ok(asked) => match newest(&state, asked, ROWS).await {
            Ok(rows) => {
                page.count = rows.len();
                page.after = rows
                    .last()
                    .map(|row| write_cursor(row.cursor(Clock::Arrival)))
                    .unwrap_or_default();
                page.rows = Drawing::new(asked).rows(&rows, None).map_err(Problem::internal)?;
            }
            Err(problem) => page.trouble = Some(problem.detail().to_owned()),
        },
        Err(problem) => page.problem = Some(problem),
    }
    Ok(Html(page.render().map_err(Problem::internal)?))
}
