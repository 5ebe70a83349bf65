//! The pages: groups with the letters of one, and one letter with all that is in it.

use std::fmt::Write as _;

use ::dead::{Piece, Record};
use askama::Template;
use axum::{
    extract::{Path, Query, State as Extract},
    response::Html as Page,
};
use jiff::Timestamp;

use super::{
    api::checked,
    audit::{self, Acted},
    desk::Look,
    edit::{Line, NoLine},
    group::{Group, Which, groups},
    hold::{Held, Holds},
    sent::Sent,
};
use crate::{html::Html, problem::Problem, shell::Shell, state::State, time};

/// Letters of a group that the page lists; the rest is by the API.
const LISTED: usize = 200;
/// Lines or events of one letter that are shown.
const PIECES: usize = 50;
/// Bytes of each.
const PIECE_BYTES: usize = 8192;
/// Bytes of properties and headers.
const HEADERS_BYTES: usize = 32 << 10;
/// Bytes of each in hexadecimal.
const HEX_BYTES: usize = 1024;

#[derive(Template)]
#[template(path = "dead/list.html")]
struct List<'a> {
    shell: &'a Shell,
    which: &'a Which,
    groups: Vec<Group>,
    open: Option<Group>,
    letters: Vec<&'a Record>,
    look: &'a Look,
    holds: Holds,
    problem: Option<&'a Problem>,
    /// Where there are none: who took the last ones away.
    last: Option<Acted>,
    now: Timestamp,
}

/// What lists and single letters show alike.
fn at(shell: &Shell, at: Timestamp) -> String {
    let at = event::Timestamp::from_micros(at.as_microsecond());
    time::seconds(at, &shell.preferences.zone)
}

impl List<'_> {
    fn href(&self, group: &Group) -> String {
        let which = Which {
            stage: group.stage.clone(),
            reason: group.reason.clone(),
            fingerprint: group.fingerprint.clone(),
            q: self.which.q.clone(),
            id: String::new(),
        };
        format!("/dead-letters?{}", which.params())
    }

    fn is_open(&self, group: &Group) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|open| open.fingerprint == group.fingerprint && open.stage == group.stage)
    }

    fn age(&self, at: Option<&Timestamp>) -> String {
        at.map_or_else(
            || "–".to_owned(),
            |at| time::rough(self.now.as_microsecond() - at.as_microsecond()),
        )
    }

    fn text(&self, text: &str) -> Html {
        Html::line(text)
    }

    fn when(&self, instant: Option<&Timestamp>) -> String {
        instant.map_or_else(|| "unknown".to_owned(), |instant| at(self.shell, *instant))
    }

    fn at(&self, record: &Record) -> String {
        self.when(record.death.as_ref().map(|death| &death.at))
    }

    fn export(&self) -> String {
        format!("/api/v1/dead-letters/export?{}", self.which.params())
    }

    /// Letters of this list that are held.
    fn held(&self) -> usize {
        let held = self
            .letters
            .iter()
            .filter(|letter| self.holds.of(letter).is_some());
        held.count()
    }

    const fn found(&self) -> usize {
        self.look.records.len()
    }
}

pub(super) async fn list(
    Extract(state): Extract<State>,
    shell: Shell,
    Query(which): Query<Which>,
) -> Result<Page<String>, Problem> {
    let looked = state.desk.look(&which.q).await;
    let nothing = Look::default();
    let look = looked.as_deref().unwrap_or(&nothing);
    let groups = groups(&look.records);
    let is_chosen = !which.stage.is_empty() || !which.reason.is_empty() || !which.fingerprint.is_empty();
    let open = groups.iter().find(|group| {
        let is = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        is_chosen
            && is(&which.stage, &group.stage)
            && is(&which.reason, &group.reason)
            && is(&which.fingerprint, &group.fingerprint)
    });
    // What is listed, and what its buttons act on, are the letters of the group that is open and no others.
    let which = match open {
        Some(group) => Which {
            stage: group.stage.clone(),
            reason: group.reason.clone(),
            fingerprint: group.fingerprint.clone(),
            ..which
        },
        None => which,
    };
    let letters = look
        .records
        .iter()
        .filter(|record| is_chosen && which.takes(record));
    let page = List {
        open: open.cloned(),
        shell: &shell.titled(format!("{} dead letters", look.total), "/dead-letters"),
        which: &which,
        letters: letters.take(LISTED).collect(),
        groups,
        look,
        // Who cannot be asked holds nothing here, and acts say so.
        holds: Holds::load(&state).await.unwrap_or_default(),
        problem: looked.as_ref().err(),
        last: if looked.is_ok() && look.total == 0 {
            audit::last_resolving(&state).await
        } else {
            None
        },
        now: Timestamp::now(),
    };
    Ok(Page(page.render().map_err(Problem::internal)?))
}

/// A line or event as it is shown.
struct Shown {
    text: Html,
    hex: String,
    json: Option<Html>,
    cut: Option<String>,
}

#[derive(Template)]
#[template(path = "dead/letter.html")]
struct Letter<'a> {
    shell: &'a Shell,
    record: &'a Record,
    id: String,
    held: Option<&'a Held>,
    /// Why it goes no other way than through the rules.
    sent: Option<String>,
    history: Vec<Acted>,
    /// The one line that can be mended, or why there is none.
    line: Result<Line, NoLine>,
    pieces: Vec<Shown>,
    more: usize,
    /// Properties and headers, as JSON.
    headers: Html,
}

impl Letter<'_> {
    fn text(&self, text: &str) -> Html {
        Html::block(text)
    }

    fn at(&self, instant: &Timestamp) -> String {
        at(self.shell, *instant)
    }
}

pub(super) async fn letter(
    Extract(state): Extract<State>,
    shell: Shell,
    Path(id): Path<String>,
) -> Result<Page<String>, Problem> {
    let record = state.desk.letter(&checked(id)?).await?;
    let body = record.body().map_err(Problem::internal)?;
    let pieces = ::dead::pieces(&body);
    let holds = Holds::load(&state).await.unwrap_or_default();
    let page = Letter {
        held: holds.of(&record),
        // Who cannot be asked knows of nothing here, and acts say so.
        sent: Sent::load(&state).await.unwrap_or_default().check(&record).err(),
        line: Line::of(&body),
        history: audit::history(&state, &record.name()).await,
        shell: &shell.titled("Dead letter", "/dead-letters"),
        id: record.name(),
        headers: json(&record.headers)?,
        more: pieces.len().saturating_sub(PIECES),
        pieces: pieces.iter().take(PIECES).map(shown).collect(),
        record: &record,
    };
    Ok(Page(page.render().map_err(Problem::internal)?))
}

fn json(headers: &serde_json::Map<String, serde_json::Value>) -> Result<Html, Problem> {
    let mut text = serde_json::to_string_pretty(headers).map_err(Problem::internal)?;
    if text.len() > HEADERS_BYTES {
        text.truncate(text.floor_char_boundary(HEADERS_BYTES));
        text.push_str("\n… the export has all.");
    }
    Ok(Html::block(&text))
}

fn shown(piece: &Piece) -> Shown {
    let bytes = piece.raw.as_deref().unwrap_or_default();
    let head = bytes.get(..PIECE_BYTES).unwrap_or(bytes);
    Shown {
        text: Html::bytes(head),
        hex: hex(bytes.get(..HEX_BYTES).unwrap_or(bytes)),
        json: piece.json.as_deref().map(|json| {
            let end = json.floor_char_boundary(PIECE_BYTES);
            Html::block(json.get(..end).unwrap_or_default())
        }),
        cut: (head.len() < bytes.len()).then(|| format!("cut at {PIECE_BYTES} of {} bytes", bytes.len())),
    }
}

/// Sixteen bytes a line, with their place and what of them is ASCII.
fn hex(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (number, line) in bytes.chunks(16).enumerate() {
        let mut put = |text: std::fmt::Arguments<'_>| out.write_fmt(text).expect("a string takes all text");
        put(format_args!("{:08x} ", number * 16));
        for place in 0..16 {
            match line.get(place) {
                Some(byte) => put(format_args!(" {byte:02x}")),
                None => put(format_args!("   ")),
            }
        }
        let ascii: String = line
            .iter()
            .map(|&byte| {
                if (0x20..0x7f).contains(&byte) {
                    char::from(byte)
                } else {
                    '.'
                }
            })
            .collect();
        put(format_args!("  {ascii}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_hexadecimal_stand_below_each_other() {
        assert_eq!(
            hex(b"<13>0123456789ab\xff\n"),
            "00000000  3c 31 33 3e 30 31 32 33 34 35 36 37 38 39 61 62  <13>0123456789ab\n\
             00000010  ff 0a                                            ..\n"
        );
        assert_eq!(hex(b""), "");
    }
}
