//! What is expected and what is muted: the list of those that are expected, and the forms.

use std::{collections::BTreeMap, time::Duration};

use askama::Template;
use axum::{
    extract::{Form, Path, State as Extract},
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
};
use event::Timestamp;
use serde::Deserialize;

use super::{
    page::href_of,
    watch::{self, Watch, checked, every},
};
use crate::{problem::Problem, shell::Shell, state::State};

/// For how long a source can be muted by the page.
const MUTES: [(&str, &str); 5] = [
    ("1h", "1 hour"),
    ("8h", "8 hours"),
    ("1d", "1 day"),
    ("7d", "7 days"),
    ("30d", "30 days"),
];

/// What a source's page offers.
pub(super) const fn mutes() -> [(&'static str, &'static str); 5] {
    MUTES
}

#[derive(Template)]
#[template(path = "sources/expected.html")]
struct Page {
    shell: Shell,
    text: String,
    error: Option<String>,
}

pub(super) async fn page(Extract(state): Extract<State>, shell: Shell) -> Result<Response, Problem> {
    let expected = Watch::load(&state).await?.expected;
    let lines = expected
        .iter()
        .map(|one| format!("{} {}\n", one.name, one.every_text()));
    draw(shell, StatusCode::OK, lines.collect(), None)
}

fn draw(shell: Shell, status: StatusCode, text: String, error: Option<String>) -> Result<Response, Problem> {
    let page = Page {
        shell: shell.titled("Expected sources", "/sources"),
        text,
        error,
    };
    Ok((status, Html(page.render().map_err(Problem::internal)?)).into_response())
}

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    expected: String,
}

/// A line for each: a name, and perhaps how often it speaks.
fn read(text: &str) -> Result<Vec<(String, Duration)>, Problem> {
    let mut all = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, often) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        all.insert(checked(name)?.to_owned(), every(often.trim())?);
    }
    Ok(all.into_iter().collect())
}

pub(super) async fn expect(
    Extract(state): Extract<State>,
    shell: Shell,
    Form(wanted): Form<Wanted>,
) -> Result<Response, Problem> {
    let done = async {
        let all = read(&wanted.expected)?;
        watch::replace(&state, all, &shell.visitor.author()).await
    };
    match done.await {
        Ok(()) => Ok(Redirect::to("/sources").into_response()),
        Err(problem) if problem.is_about_visitor() => {
            let (status, detail) = (problem.status(), problem.detail().to_owned());
            draw(shell, status, wanted.expected, Some(detail))
        }
        Err(problem) => Err(problem),
    }
}

/// Back to the source.
fn back(hostname: &str) -> Redirect {
    Redirect::to(&href_of(hostname))
}

#[derive(Debug, Deserialize)]
pub(super) struct Mute {
    /// How long.
    #[serde(rename = "for")]
    span: String,
}

pub(super) async fn mute(
    Extract(state): Extract<State>,
    shell: Shell,
    Path(hostname): Path<String>,
    Form(wanted): Form<Mute>,
) -> Result<Redirect, Problem> {
    // The same bounds as for what is expected do.
    let span = every(&wanted.span)?;
    let micros = i64::try_from(span.as_micros()).map_err(Problem::internal)?;
    let until = Timestamp::from_micros(Timestamp::now().as_micros() + micros);
    watch::mute(&state, &hostname, until, &shell.visitor.author()).await?;
    Ok(back(&hostname))
}

pub(super) async fn unmute(
    Extract(state): Extract<State>,
    Path(hostname): Path<String>,
) -> Result<Redirect, Problem> {
    watch::unmute(&state, &hostname).await?;
    Ok(back(&hostname))
}

#[derive(Debug, Deserialize)]
pub(super) struct Expect {
    every: String,
}

pub(super) async fn expect_one(
    Extract(state): Extract<State>,
    shell: Shell,
    Path(hostname): Path<String>,
    Form(wanted): Form<Expect>,
) -> Result<Redirect, Problem> {
    let (name, every) = (checked(&hostname)?.to_owned(), every(wanted.every.trim())?);
    watch::add(&state, name, every, &shell.visitor.author()).await?;
    Ok(back(&hostname))
}

pub(super) async fn unexpect(
    Extract(state): Extract<State>,
    Path(hostname): Path<String>,
) -> Result<Redirect, Problem> {
    watch::forget(&state, checked(&hostname)?).await?;
    Ok(back(&hostname))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_and_how_often() {
        let read = read(" web01 \r\n\ndb* 15m\n").unwrap();
        let all: Vec<_> = read
            .iter()
            .map(|(name, every)| (&**name, every.as_secs()))
            .collect();
        assert_eq!(all, [("db*", 900), ("web01", 3600)]);
        for text in ["web01 often", "web01 1s", "web01 500d", "a\u{1}b"] {
            assert!(super::read(text).is_err(), "{text}");
        }
    }
}
