//! Who did what with dead letters, and when. The newest acts are kept in the store; the log has all.

use askama::Template;
use axum::{
    Json,
    extract::{Query, State as Extract},
    response::Html as Page,
};
use event::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Note, Subject};
use uuid::Uuid;

use crate::{html::Html, problem::Problem, shell::Shell, state::State, time};

/// Acts that are kept.
const ACTS_MAX: usize = 5000;
/// Acts of a page.
const PAGE: usize = 100;
/// Letters that an act names one by one.
const IDS_MAX: usize = 100;
/// Acts that are looked through for those of one letter.
const HISTORY_MAX: usize = 1000;

/// Something that was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Act {
    /// `requeue`, `reparse`, `discard`, `hold`, `release`, `edit`.
    pub(super) what: String,
    /// Letters with which it was done, and with which it could not be.
    pub(super) done: u64,
    pub(super) failed: u64,
    /// Where they died, where that was said.
    pub(super) stage: String,
    pub(super) reason: String,
    pub(super) why: String,
    /// The first of them.
    pub(super) ids: Vec<String>,
    /// Of a line that was mended: as it was, and as it was sent again.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) before: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) after: String,
}

/// An act, with who did it and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Acted {
    author: String,
    at: String,
    #[serde(skip)]
    instant: Timestamp,
    #[serde(flatten)]
    act: Act,
}

/// Writes an act down; false where the store does not take it. The act itself is done by then, so that this is no error.
pub(super) async fn note(state: &State, author: &str, mut act: Act) -> bool {
    act.ids.truncate(IDS_MAX);
    tracing::info!(
        author,
        what = act.what,
        done = act.done,
        failed = act.failed,
        stage = act.stage,
        reason = act.reason,
        "dead letters handled"
    );
    let kept = async {
        let note = Note {
            subject: Subject::Act,
            key: Uuid::now_v7().to_string(),
            author: author.to_owned(),
            at: Timestamp::now(),
            body: serde_json::to_string(&act).map_err(Problem::internal)?,
        };
        let notes = state.store.notes();
        notes.put(&note).await?;
        notes.trim(Subject::Act, ACTS_MAX).await?;
        Ok::<_, Problem>(())
    };
    kept.await.is_ok()
}

async fn newest(state: &State, before: Option<Timestamp>, limit: usize) -> Result<Vec<Acted>, Problem> {
    let notes = state.store.notes().newest(Subject::Act, before, limit).await?;
    let acts = notes.into_iter().filter_map(|note| {
        Some(Acted {
            act: serde_json::from_str(&note.body).ok()?,
            author: note.author,
            at: note.at.to_string(),
            instant: note.at,
        })
    });
    Ok(acts.collect())
}

/// What was done with one letter, the newest first; what is not known is nothing.
pub(super) async fn history(state: &State, id: &str) -> Vec<Acted> {
    let mut acts = newest(state, None, HISTORY_MAX).await.unwrap_or_default();
    acts.retain(|acted| acted.act.ids.iter().any(|named| named == id));
    acts
}

/// The last act that took letters away; what is not known is none.
pub(super) async fn last_resolving(state: &State) -> Option<Acted> {
    let acts = newest(state, None, HISTORY_MAX).await.ok()?;
    let resolves = |acted: &Acted| acted.act.done > 0 && !matches!(&*acted.act.what, "hold" | "release");
    acts.into_iter().find(resolves)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Params {
    /// Only what was done before this instant, in microseconds since 1970.
    cursor: String,
}

impl Params {
    fn before(&self) -> Result<Option<Timestamp>, Problem> {
        match &*self.cursor {
            "" => Ok(None),
            text => {
                let micros = text.parse().map_err(|_no_number| {
                    Problem::bad_request("bad_parameter", "cursor must be one that an answer had.")
                })?;
                Ok(Some(Timestamp::from_micros(micros)))
            }
        }
    }
}

fn next(acts: &[Acted]) -> Option<String> {
    let last = acts.last().filter(|_| acts.len() >= PAGE)?;
    Some(last.instant.as_micros().to_string())
}

pub(super) async fn api(
    Extract(state): Extract<State>,
    Query(params): Query<Params>,
) -> Result<Json<Value>, Problem> {
    let acts = newest(&state, params.before()?, PAGE).await?;
    Ok(Json(json!({ "next": next(&acts), "acts": acts })))
}

#[derive(Template)]
#[template(path = "dead/audit.html")]
struct List {
    shell: Shell,
    acts: Vec<Acted>,
    next: Option<String>,
}

impl Acted {
    pub(super) fn when(&self, shell: &Shell) -> String {
        time::seconds(self.instant, &shell.preferences.zone)
    }

    pub(super) fn author(&self) -> &str {
        &self.author
    }

    /// "put back 3, 1 stayed".
    pub(super) fn what(&self) -> String {
        let word = match &*self.act.what {
            "requeue" => "put back",
            "reparse" => "sent through the rules",
            "discard" => "discarded",
            "hold" => "held",
            "release" => "released",
            "edit" => "mended and sent again",
            other => other,
        };
        match self.act.failed {
            0 => format!("{word} {}", self.act.done),
            failed => format!("{word} {}, {failed} stayed", self.act.done),
        }
    }

    pub(super) fn why(&self) -> Html {
        Html::line(&self.act.why)
    }

    /// Of a line that was mended.
    fn change(&self) -> Option<(Html, Html)> {
        let act = &self.act;
        (!act.after.is_empty()).then(|| (Html::block(&act.before), Html::block(&act.after)))
    }

    pub(super) fn place(&self) -> Html {
        Html::line(&format!("{} {}", self.act.stage, self.act.reason))
    }

    fn first(&self) -> Option<&str> {
        self.act.ids.first().map(String::as_str)
    }
}

pub(super) async fn page(
    Extract(state): Extract<State>,
    shell: Shell,
    Query(params): Query<Params>,
) -> Result<Page<String>, Problem> {
    let acts = newest(&state, params.before()?, PAGE).await?;
    let list = List {
        next: next(&acts),
        acts,
        shell: shell.titled("Acts on dead letters", "/dead-letters"),
    };
    Ok(Page(list.render().map_err(Problem::internal)?))
}
