//! `GET /api/v1/suggest`: what the word at the caret may become. Late suggestions are none.

use std::time::Duration;

use axum::{
    Json,
    extract::{self, Query},
};
use serde::{Deserialize, Serialize};
use store::Selection;

use super::asked;
use crate::{
    problem::Problem,
    search::{Ask, named, quoted},
    shell::Shell,
    state::State,
};

const BUDGET: Duration = Duration::from_millis(100);
const ITEMS_MAX: usize = 12;

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
}

#[derive(Debug, Serialize)]
pub(super) struct Suggestions {
    /// The part that an item takes the place of, in UTF-16 units.
    replace: [usize; 2],
    items: Vec<Item>,
}

#[derive(Debug, Serialize)]
struct Item {
    text: String,
    kind: &'static str,
    n: Option<usize>,
    note: Option<&'static str>,
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
    // What stands there may be half a query; the values come from the range as a whole.
    let range = asked(&state, &shell, ask.with_query("")).await?.request.selection;
    let items = match word.split_once(':') {
        Some((name, value)) => values(&state, &range, name, value).await,
        None => names(&state, &range, word).await,
    };
    Ok(Json(Suggestions {
        replace: [start, caret],
        items,
    }))
}

/// The word that ends at the caret, without what negates or groups it.
fn word_before(before: &str) -> &str {
    let word = before
        .rsplit([' ', '\t', '\n', '(', ','])
        .next()
        .unwrap_or_default();
    word.strip_prefix('-').unwrap_or(word)
}

async fn names(state: &State, range: &Selection, word: &str) -> Vec<Item> {
    let lower = word.to_lowercase();
    if lower.is_empty() {
        return Vec::new();
    }
    let known = NAMES
        .iter()
        .filter(|(name, _)| name.starts_with(&lower))
        .map(|(name, note)| Item {
            text: format!("{name}{}", if *name == "sd" { "." } else { ":" }),
            kind: "field",
            n: None,
            note: Some(note),
        });
    let mut items: Vec<_> = known.collect();
    let seen = tokio::time::timeout(BUDGET, state.store.fields(range, BUDGET)).await;
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
            })
        });
        items.extend(custom);
    }
    items.truncate(ITEMS_MAX);
    items
}

async fn values(state: &State, range: &Selection, name: &str, value: &str) -> Vec<Item> {
    let Ok(field) = named(name) else {
        return Vec::new();
    };
    let lower = value.to_lowercase();
    let item = |value: &str, n| Item {
        text: format!("{name}:{}", quoted(value)),
        kind: "value",
        n,
        note: None,
    };
    if field == query::Field::Severity {
        let fitting = SEVERITIES.iter().filter(|severity| severity.starts_with(&lower));
        return fitting.map(|severity| item(severity, None)).collect();
    }
    let found = tokio::time::timeout(BUDGET, state.store.values(range, &field, 1000, BUDGET)).await;
    let Ok(Ok(found)) = found else {
        return Vec::new();
    };
    let fitting = found
        .values
        .iter()
        .filter(|(value, _)| value.to_lowercase().starts_with(&lower));
    fitting
        .take(ITEMS_MAX)
        .map(|(value, n)| item(value, Some(*n)))
        .collect()
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
