//! `GET /api/v1/suggest`: what the word at the caret may become. What takes longer than a moment is left out, and the answer
//! says so; whoever still wants it asks again with `patient`.

use std::time::Duration;

use axum::{
    Json,
    extract::{self, Query},
};
use query::{Field, WordField};
use serde::{Deserialize, Serialize};
use store::{SearchError, Selection, SourcesRequest};
use tokio::time::timeout;

use super::asked;
use crate::{
    problem::Problem,
    saved::{self, Saved},
    search::{Ask, named, quoted},
    shell::Shell,
    state::State,
};

const BUDGET: Duration = Duration::from_millis(100);
/// For whoever was told that it takes longer.
const BUDGET_PATIENT: Duration = Duration::from_secs(2);
/// Names of the catalogue that hold what was typed; those that begin with it are shown.
const NAMES_MAX: usize = 200;
const ITEMS_MAX: usize = 12;
/// Of them, saved searches.
const SAVED_MAX: usize = 4;

/// Names that are always there, and what they hold.
const NAMES: [(&str, &str); 16] = [
    ("hostname", "who sent it"),
    ("app_name", "the program"),
    ("severity", "such as severity>=warning"),
    ("facility", "auth, cron, local0 …"),
    ("message", "only in the message"),
    ("procid", "the process"),
    ("msgid", "the kind of message"),
    ("tags", "what rules gave"),
    ("peer_addr", "an address, or 10.0.0.0/8"),
    ("timestamp", "the sender's clock"),
    ("received_at", "our clock"),
    ("lag", "such as lag>5m"),
    ("listener", "what took the line"),
    ("tls_peer", "the client's certificate"),
    ("id", "one event"),
    ("sd", "sd.<id>.<param>"),
];
const SEVERITIES: [&str; 8] = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Form {
    caret: String,
    /// `1`: it may take longer.
    patient: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Suggestions {
    /// The part that an item takes the place of, in UTF-16 units.
    replace: [usize; 2],
    items: Vec<Item>,
    /// False when the time was up.
    complete: bool,
}

/// Items, and whether they are all.
type Suggested = (Vec<Item>, bool);

#[derive(Debug, Serialize)]
struct Item {
    text: String,
    kind: &'static str,
    n: Option<usize>,
    note: Option<String>,
    /// Where it takes the place of more than the word.
    #[serde(skip_serializing_if = "Option::is_none")]
    replace: Option<[usize; 2]>,
}

pub(super) async fn suggest(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Query(ask): Query<Ask>,
    Query(form): Query<Form>,
) -> Result<Json<Suggestions>, Problem> {
    let units: Vec<u16> = ask.q.encode_utf16().collect();
    let caret = form.caret.parse().unwrap_or(units.len()).min(units.len());
    let before = String::from_utf16_lossy(units.get(..caret).unwrap_or_default());
    let word = word_before(&before);
    let start = caret - word.encode_utf16().count();
    let typed = ask.q.clone();
    // What stands there may be half a query; the values come from the range as a whole.
    let range = asked(&state, &shell, ask.with_query("")).await?.request.selection;
    let budget = if form.patient == "1" {
        BUDGET_PATIENT
    } else {
        BUDGET
    };
    // The catalogue knows no query that a token is bound to.
    let has_catalogue = shell.visitor.bound_query().is_none();
    let of_word = async {
        match word.split_once(':') {
            Some((name, value)) => values(&state, &range, name, value, budget, has_catalogue).await,
            None => names(&state, &range, word, budget).await,
        }
    };
    let kept = timeout(budget, kept(&state, &shell, &typed, [0, units.len()]));
    let ((mut items, is_whole), kept) = tokio::join!(of_word, kept);
    let complete = is_whole && kept.is_ok();
    let kept = kept.unwrap_or_default();
    items.truncate(ITEMS_MAX - kept.len());
    items.extend(kept);
    Ok(Json(Suggestions {
        replace: [start, caret],
        items,
        complete,
    }))
}

/// Saved searches whose name or query holds all that is typed so far; one takes the place of it.
async fn kept(state: &State, shell: &Shell, typed: &str, all: [usize; 2]) -> Vec<Item> {
    // Whoever may see none is suggested none.
    let saved = saved::visible(state, &shell.visitor).await.unwrap_or_default();
    let typed = typed.trim().to_lowercase();
    let is_meant = |saved: &&Saved| {
        let holds = |text: &str| text.to_lowercase().contains(&typed);
        saved.query().trim() != "" && (holds(saved.name()) || holds(saved.query()))
    };
    let items = saved.iter().filter(is_meant).map(|saved| Item {
        text: saved.query().to_owned(),
        kind: "saved",
        n: None,
        note: Some(saved.name().to_owned()),
        replace: Some(all),
    });
    items.take(SAVED_MAX).collect()
}

/// The word that ends at the caret, without what negates or groups it.
fn word_before(before: &str) -> &str {
    let word = before
        .rsplit([' ', '\t', '\n', '(', ','])
        .next()
        .unwrap_or_default();
    word.strip_prefix('-').unwrap_or(word)
}

async fn names(state: &State, range: &Selection, word: &str, budget: Duration) -> Suggested {
    let lower = word.to_lowercase();
    if lower.is_empty() {
        return (Vec::new(), true);
    }
    let known = NAMES
        .iter()
        .filter(|(name, _)| name.starts_with(&lower))
        .map(|(name, note)| Item {
            text: format!("{name}{}", if *name == "sd" { "." } else { ":" }),
            kind: "field",
            n: None,
            note: Some((*note).to_owned()),
            replace: None,
        });
    let mut items: Vec<_> = known.collect();
    let seen = timeout(budget, state.store.fields(range, budget)).await;
    let is_whole = matches!(&seen, Ok(Ok(seen)) if seen.complete);
    if let Ok(Ok(seen)) = seen {
        let custom = seen.fields.iter().filter_map(|seen| {
            let name = seen.field.name();
            let bare = name.strip_prefix("fields.")?.to_lowercase();
            let is_meant = name.to_lowercase().starts_with(&lower) || bare.starts_with(&lower);
            is_meant.then(|| Item {
                text: format!("{name}:"),
                kind: "field",
                n: Some(seen.present),
                note: None,
                replace: None,
            })
        });
        items.extend(custom);
    }
    items.truncate(ITEMS_MAX);
    (items, is_whole)
}

async fn values(
    state: &State,
    range: &Selection,
    name: &str,
    value: &str,
    budget: Duration,
    has_catalogue: bool,
) -> Suggested {
    let Ok(field) = named(name) else {
        return (Vec::new(), true);
    };
    let lower = value.to_lowercase();
    let item = |value: &str, n| Item {
        text: format!("{name}:{}", quoted(value)),
        kind: "value",
        n,
        note: None,
        replace: None,
    };
    if field == Field::Severity {
        let fitting = SEVERITIES.iter().filter(|severity| severity.starts_with(&lower));
        return (fitting.map(|severity| item(severity, None)).collect(), true);
    }
    let known = async {
        if has_catalogue {
            timeout(budget, catalogue(state, &field, value))
                .await
                .unwrap_or((Vec::new(), false))
        } else {
            (Vec::new(), true)
        }
    };
    let sample = timeout(budget, state.store.values(range, &field, 1000, budget));
    let (found, (known, is_all)) = tokio::join!(sample, known);
    let is_whole = is_all && matches!(&found, Ok(Ok(found)) if found.complete);
    let frequent = found
        .ok()
        .and_then(Result::ok)
        .map(|found| found.values)
        .unwrap_or_default();
    let is_meant = |found: &str| found.to_lowercase().starts_with(&lower);
    let mut items: Vec<_> = frequent
        .iter()
        .filter(|(found, _)| is_meant(found))
        .map(|(found, n)| item(found, Some(*n)))
        .collect();
    let rare = known
        .iter()
        .filter(|name| is_meant(name) && !frequent.iter().any(|(found, _)| found == *name));
    items.extend(rare.map(|name| item(name, None)));
    items.truncate(ITEMS_MAX);
    (items, is_whole)
}

/// Hosts, or applications, that ever sent and whose names hold `value`; of other fields none.
async fn catalogue(state: &State, field: &Field, value: &str) -> (Vec<String>, bool) {
    let found = match field {
        Field::Word(WordField::Hostname) => hosts(state, value).await,
        Field::Word(WordField::AppName) => state.store.apps(value, NAMES_MAX).await,
        _ => Ok(Vec::new()),
    };
    let is_known = found.is_ok();
    (found.unwrap_or_default(), is_known)
}

async fn hosts(state: &State, value: &str) -> Result<Vec<String>, SearchError> {
    let request = SourcesRequest {
        containing: value.to_owned(),
        after: None,
        limit: NAMES_MAX,
        now: event::Timestamp::now(),
    };
    let rows = state.store.sources(&request).await?;
    let names = rows.into_iter().map(|row| row.hostname);
    Ok(names.filter(|name| !matches!(&**name, "" | "*")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_at_the_caret_is_meant() {
        for (before, word) in [
            ("", ""),
            ("a ho", "ho"),
            ("-ho", "ho"),
            ("(host:we", "host:we"),
            ("a ", ""),
        ] {
            assert_eq!(word_before(before), word, "{before}");
        }
    }
}
