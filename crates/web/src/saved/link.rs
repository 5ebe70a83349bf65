//! Short links: `/s/` and ten characters lead to a search with absolute times, so that it finds the same later.

use askama::Template;
use axum::{
    Form, Json,
    extract::{self, Path},
    http::StatusCode,
    response::{Html, Redirect},
};
use event::Timestamp;
use rand::RngCore as _;
use serde::Serialize;
use store::{Note, Subject};

use super::{Kept, asked};
use crate::{problem::Problem, search::Ask, shell::Shell, state::State};

/// Of more, the oldest go.
const LINKS_MAX: usize = 10_000;
/// They are thrown out when so many more have come.
const LINKS_SLACK: u64 = 100;
const KEY_CHARS: usize = 10;
/// Easy to read to somebody: no letter that looks like another.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
/// A key that is taken is a chance of one in 10^11.
const ATTEMPTS: usize = 3;

#[derive(Debug, Serialize)]
pub(super) struct Made {
    /// The path of the link.
    path: String,
    /// The path that it leads to.
    href: String,
}

fn key() -> String {
    let mut bytes = [0; KEY_CHARS];
    rand::rng().fill_bytes(&mut bytes);
    bytes
        .iter()
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)))
        .map(|byte| char::from(*byte))
        .collect()
}

async fn make(state: &State, shell: &Shell, ask: Ask) -> Result<Made, Problem> {
    let at = ask.at.clone();
    let asked = asked(state, shell, ask).await?;
    let selection = &asked.request.selection;
    let text = |instant: Option<Timestamp>| instant.map_or_else(String::new, |at| at.to_string());
    let kept = Kept {
        q: asked.parsed.query.canonical(),
        range: String::new(),
        from: text(selection.from),
        to: text(Some(selection.to.unwrap_or(selection.now))),
        at,
        ..Kept::from(asked.ask.clone())
    };
    let notes = state.store.notes();
    for _ in 0..ATTEMPTS {
        let note = Note {
            subject: Subject::Link,
            key: key(),
            author: shell.visitor.author(),
            at: Timestamp::now(),
            body: serde_json::to_string(&kept).map_err(Problem::internal)?,
        };
        if notes.add(&note).await? {
            if notes.count(Subject::Link).await? > LINKS_MAX as u64 + LINKS_SLACK {
                notes.trim(Subject::Link, LINKS_MAX).await?;
            }
            return Ok(Made {
                path: format!("/s/{}", note.key),
                href: Ask::from(kept).href(),
            });
        }
    }
    Err(Problem::internal("random keys of links are all taken"))
}

pub(super) async fn make_by_api(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Json(wanted): Json<Kept>,
) -> Result<(StatusCode, Json<Made>), Problem> {
    Ok((
        StatusCode::CREATED,
        Json(make(&state, &shell, wanted.into()).await?),
    ))
}

#[derive(Template)]
#[template(path = "saved/link.html")]
struct Page {
    shell: Shell,
    made: Made,
    url: String,
}

pub(super) async fn make_by_form(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Form(ask): Form<Ask>,
) -> Result<Html<String>, Problem> {
    let made = make(&state, &shell, ask).await?;
    let page = Page {
        url: format!("{}{}", state.accounts.url(), made.path),
        made,
        shell: shell.titled("Short link", "/search"),
    };
    Ok(Html(page.render().map_err(Problem::internal)?))
}

/// To the search.
pub(super) async fn open(
    extract::State(state): extract::State<State>,
    Path(key): Path<String>,
) -> Result<Redirect, Problem> {
    let gone = || Problem::not_found(format!("There is no such link. The newest {LINKS_MAX} are kept."));
    if key.len() != KEY_CHARS || !key.bytes().all(|byte| ALPHABET.contains(&byte)) {
        return Err(gone());
    }
    let note = state.store.notes().get(Subject::Link, &key).await?;
    let note = note.ok_or_else(gone)?;
    let kept: Kept = serde_json::from_str(&note.body).map_err(Problem::internal)?;
    Ok(Redirect::to(&Ask::from(kept).href()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_and_differ() {
        let (one, two) = (key(), key());
        assert_eq!(one.len(), KEY_CHARS);
        assert!(one.bytes().all(|byte| ALPHABET.contains(&byte)), "{one}");
        assert_ne!(one, two);
    }
}
