//! All events of a search as a file, written while they are read.

mod confirm;

use std::time::Duration;

use axum::{
    Router,
    extract::{self, Query},
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use event::{Event, format::Format};
use serde::Deserialize;
use store::{Found, LIMIT_MAX, SearchRequest};

use super::{
    ask::{Ask, Asked, Reading},
    columns::Column,
    field_names,
};
use crate::{
    problem::Problem,
    running::Running,
    shell::Shell,
    state::State,
    stream::{Out, written_by},
};

/// Events of one file.
const EVENTS_MAX: usize = 1_000_000;
/// For each page of the search; a file may take as many as it needs.
const BUDGET: Duration = Duration::from_secs(60);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Form {
    format: String,
}

/// What is written.
#[derive(Debug, Clone)]
struct File {
    kind: Kind,
    /// As addresses have it.
    format: &'static str,
    /// For people.
    name: &'static str,
    content_type: &'static str,
    extension: &'static str,
}

/// How a file looks.
#[derive(Debug, Clone)]
enum Kind {
    /// With these columns beside the usual ones.
    Csv(Vec<Column>),
    /// One of the formats that files are shipped in.
    Lines(Format),
}

impl File {
    fn read(form: &Form, ask: &Ask) -> Result<Self, Problem> {
        let plain = "text/plain; charset=utf-8";
        let (format, name, kind, content_type, extension) = match &*form.format {
            "" | "ndjson" => {
                let kind = Kind::Lines(Format::Json);
                ("ndjson", "JSON lines", kind, "application/x-ndjson", "ndjson")
            }
            "csv" => {
                let kind = Kind::Csv(Column::read(&ask.cols)?);
                ("csv", "CSV", kind, "text/csv; charset=utf-8", "csv")
            }
            "text" => ("text", "text", Kind::Lines(Format::Rsyslog), plain, "txt"),
            "syslog" => ("syslog", "syslog", Kind::Lines(Format::Rfc5424), plain, "log"),
            _ => {
                let allowed = "format must be csv, ndjson, text or syslog.";
                return Err(Problem::bad_request("bad_parameter", allowed));
            }
        };
        Ok(Self {
            kind,
            format,
            name,
            content_type,
            extension,
        })
    }
}

pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/export", get(export))
        .route("/search/export", get(confirm::page))
}

pub(crate) async fn export(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Query(ask): Query<Ask>,
    Query(form): Query<Form>,
) -> Result<Response, Problem> {
    let file = File::read(&form, &ask)?;
    let fields = field_names(&state).await;
    let asked = ask.read(&Reading::new(&state.settings, &shell, fields))?;
    let name = format!("attachment; filename=\"logferry.{}\"", file.extension);
    let running = state.searches.begin("export", &shell, &asked);
    let body = written_by(async move |out| write(&out, &state, &asked, &file.kind, &running).await);
    Ok((
        [
            (header::CONTENT_TYPE, file.content_type.to_owned()),
            (header::CONTENT_DISPOSITION, name),
        ],
        body,
    )
        .into_response())
}

/// Pages of the search, one after the other; the last record says how many there were and whether that is all.
async fn write(out: &Out, state: &State, asked: &Asked, kind: &Kind, running: &Running) {
    let mut request = SearchRequest {
        limit: LIMIT_MAX,
        budget: BUDGET,
        ..asked.request.clone()
    };
    let mut written = 0;
    let mut piece = kind.head();
    let why = loop {
        let mut search = running.rows(state, request.clone());
        let mut end = None;
        let mut failure = None;
        while let Some(found) = search.next().await {
            match found {
                Ok(Found::Rows(rows)) => {
                    for row in &rows {
                        kind.write(&row.event, &mut piece);
                        written += 1;
                    }
                    out.push(std::mem::take(&mut piece)).await;
                }
                Ok(Found::Progress { .. }) => {}
                Ok(Found::End(found)) => end = Some(found),
                Err(problem) => failure = Some(problem),
            }
        }
        match (failure, end) {
            (Some(problem), _) => break Some(problem.detail().to_owned()),
            (None, Some(end)) if !end.complete => break Some("the time was up".to_owned()),
            (None, Some(end)) => match end.next {
                None => break None,
                Some(_) if written >= EVENTS_MAX => break Some(format!("a file holds {EVENTS_MAX}")),
                Some(next) => request.after = Some(next),
            },
            (None, None) => break Some("the store is closed".to_owned()),
        }
    };
    out.push([piece, kind.last(written, why.as_deref())].concat())
        .await;
}

impl Kind {
    fn head(&self) -> Vec<u8> {
        match self {
            Self::Csv(columns) => {
                let mut head =
                    b"timestamp,received_at,severity,facility,hostname,app_name,procid,msgid,message,tags,id"
                        .to_vec();
                for column in columns {
                    head.push(b',');
                    write_cell(&column.name, &mut head);
                }
                head.extend_from_slice(b"\r\n");
                head
            }
            Self::Lines(_) => Vec::new(),
        }
    }

    fn write(&self, event: &Event<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Csv(columns) => write_csv(event, columns, out),
            Self::Lines(format) => format.write(event, out),
        }
    }

    /// The last record.
    fn last(&self, written: usize, why_not_all: Option<&str>) -> Vec<u8> {
        if matches!(self, Self::Lines(Format::Json)) {
            let end = serde_json::json!({
                "end": { "events": written, "complete": why_not_all.is_none(), "why": why_not_all }
            });
            return format!("{end}\n").into_bytes();
        }
        match why_not_all {
            None => format!("# {written} events, complete\n"),
            Some(why) => format!("# {written} events, not complete: {why}\n"),
        }
        .into_bytes()
    }
}

fn write_csv(event: &Event<'_>, columns: &[Column], out: &mut Vec<u8>) {
    let text = |value: &Option<std::borrow::Cow<'_, str>>| value.as_deref().unwrap_or_default().to_owned();
    let cells = [
        event.timestamp.map(|time| time.to_string()).unwrap_or_default(),
        event.received_at.to_string(),
        event.severity.map_or("", |severity| severity.name()).to_owned(),
        event.facility.map_or("", |facility| facility.name()).to_owned(),
        text(&event.hostname),
        text(&event.app_name),
        text(&event.procid),
        text(&event.msgid),
        text(&event.message),
        event.tags.join(" "),
        event.id.to_string(),
    ];
    let chosen = columns.iter().map(|column| column.text(event));
    for (index, cell) in cells.into_iter().chain(chosen).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_cell(&cell, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// RFC 4180; and spreadsheets must not take what somebody logged for a formula.
fn write_cell(cell: &str, out: &mut Vec<u8>) {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !is_formula && !cell.contains(['"', ',', '\r', '\n']) {
        out.extend_from_slice(cell.as_bytes());
        return;
    }
    out.push(b'"');
    if is_formula {
        out.push(b'\'');
    }
    out.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        for (cell, expected) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("a \"b\"\nc", "\"a \"\"b\"\"\nc\""),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("-1", "\"'-1\""),
        ] {
            let mut out = Vec::new();
            write_cell(cell, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
