//! Searching day files: newest or oldest day first, until the page is full.

use std::{
    borrow::Cow,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use event::{Defects, Event, EventId, Facility, Severity, Timestamp};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params_from_iter, types::Value};
use uuid::Uuid;

use super::{
    file::{self, Day},
    functions,
    writer::SEQ_BITS,
};
use crate::{
    error::StoreError,
    json::{read_fields, read_strings, read_structured_data},
    row::event_time,
    search::{
        Clock, Condition, Cursor, Field, Order, Page, SearchError, SearchRequest, StoredEvent, TextField,
        position_of,
    },
};

const COLUMNS: &str = "seq, id, timestamp, timestamp_form, facility, severity, hostname, app_name, procid, msgid, \
    structured_data, message, has_bom, tags, fields, peer_addr, tls_peer, listener, route, raw, defects";

/// SQLite looks up whether to go on after this many steps of its machine, some ten microseconds.
const STEPS: i32 = 1000;

/// Runs on a thread that may block; `is_cancelled` stops it.
pub(super) fn search(
    dir: &Path,
    request: &SearchRequest,
    is_cancelled: Arc<AtomicBool>,
) -> Result<Page, SearchError> {
    let mut days = file::days(dir)?;
    if request.order == Order::NewestFirst {
        days.reverse();
    }
    if request.clock == Clock::Arrival {
        let (first, last) = bounds(request);
        days.retain(|day| day.start() < last && day.start() + DAY_MICROS > first);
    }
    let deadline = Instant::now() + request.timeout;
    let mut rows = Vec::new();
    for day in days {
        // Days of arrival say nothing of the senders' clocks: there every file has its say, and the best are kept.
        let wanted = match request.clock {
            Clock::Arrival => request.limit - rows.len(),
            Clock::Sender => request.limit,
        };
        if wanted == 0 {
            break;
        }
        let path = day.path(dir);
        let mut conn = match file::open_for_reading(dir, day) {
            Ok(conn) => conn,
            // Retention deletes files.
            Err(_) if path.try_exists().is_ok_and(|is_there| !is_there) => continue,
            Err(error) => return Err(error.into()),
        };
        let is_cancelled = Arc::clone(&is_cancelled);
        let stop = move || is_cancelled.load(Ordering::Relaxed) || Instant::now() >= deadline;
        let found = conn
            .progress_handler(STEPS, Some(stop))
            .and_then(|()| functions::add(&conn))
            .and_then(|()| search_day(&conn, day, request, wanted));
        match found {
            Ok(found) => rows.extend(found),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
                return Err(StoreError::TimedOut(request.timeout).into());
            }
            Err(error) => return Err(file::sort(error, &path).into()),
        }
    }
    if request.clock == Clock::Sender {
        rows.sort_by_key(|row: &StoredEvent| row.cursor(Clock::Sender));
        if request.order == Order::NewestFirst {
            rows.reverse();
        }
        rows.truncate(request.limit);
    }
    Ok(Page::of(rows, request))
}

const DAY_MICROS: i64 = 86_400_000_000;

/// The first instant that is meant, and the first that is not any more, with the cursor taken into account.
fn bounds(request: &SearchRequest) -> (i64, i64) {
    let mut first = request.from.map_or(i64::MIN, Timestamp::as_micros);
    let mut last = request.to.map_or(i64::MAX, Timestamp::as_micros);
    match (request.after, request.order) {
        (Some(after), Order::NewestFirst) => last = last.min(after.time.as_micros().saturating_add(1)),
        (Some(after), Order::OldestFirst) => first = first.max(after.time.as_micros()),
        (None, _) => {}
    }
    (first, last)
}

/// A statement in the making.
#[derive(Default)]
struct Query {
    conditions: Vec<String>,
    params: Vec<Value>,
}

impl Query {
    /// Binds a value; returns its name in the statement.
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.params.push(value.into());
        format!("?{}", self.params.len())
    }

    fn and(&mut self, condition: String) {
        self.conditions.push(condition);
    }
}

fn search_day(
    conn: &Connection,
    day: Day,
    request: &SearchRequest,
    limit: usize,
) -> rusqlite::Result<Vec<StoredEvent>> {
    let mut query = Query::default();
    let direction = match request.order {
        Order::NewestFirst => "DESC",
        Order::OldestFirst => "ASC",
    };
    let order = match request.clock {
        Clock::Arrival => {
            arrival(conn, &mut query, day, request)?;
            format!("seq {direction}")
        }
        Clock::Sender => {
            if !spans(conn, request)? {
                return Ok(Vec::new());
            }
            let time = sender(&mut query, day, request);
            format!("{time} {direction}, id {direction}")
        }
    };
    for text in &request.text {
        let needle = query.bind(text.to_lowercase());
        query.and(format!(
            "(contains(message, {needle}) OR contains(hostname, {needle}) OR contains(app_name, {needle}))"
        ));
    }
    for condition in &request.conditions {
        add_condition(&mut query, condition);
    }
    query.and("true".to_owned());
    let limit = query.bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let sql = format!(
        "SELECT {COLUMNS} FROM events WHERE {} ORDER BY {order} LIMIT {limit}",
        query.conditions.join(" AND ")
    );
    conn.prepare(&sql)?
        .query_map(params_from_iter(query.params), |row| stored(row, day))?
        .collect()
}

/// The range of `seq`, which is the order of arrival.
fn arrival(conn: &Connection, query: &mut Query, day: Day, request: &SearchRequest) -> rusqlite::Result<()> {
    let (first, last) = bounds(request);
    let seq_of = |at: i64| (at.clamp(day.start(), day.start() + DAY_MICROS) - day.start()) << SEQ_BITS;
    let (mut from, mut to) = (seq_of(first), seq_of(last));
    if let Some(after) = request.after {
        let of_cursor = (seq_of(after.time.as_micros()), seq_of(after.time.as_micros() + 1));
        let seq: Option<i64> = conn
            .query_row(
                "SELECT seq FROM events WHERE seq >= ?1 AND seq < ?2 AND id = ?3",
                (of_cursor.0, of_cursor.1, after.id.as_uuid().as_bytes()),
                |row| row.get(0),
            )
            .optional()?;
        match (request.order, seq) {
            (Order::NewestFirst, Some(seq)) => to = to.min(seq),
            (Order::OldestFirst, Some(seq)) => from = from.max(seq + 1),
            // In another file, or not there any more.
            (_, None) => {}
        }
    }
    let (from, to) = (query.bind(from), query.bind(to));
    query.and(format!("seq >= {from} AND seq < {to}"));
    Ok(())
}

/// Whether the file can hold events of the senders' times that are asked for.
fn spans(conn: &Connection, request: &SearchRequest) -> rusqlite::Result<bool> {
    let (first, last) = bounds(request);
    conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM span WHERE sent_first < ?1 AND sent_last >= ?2)",
        (last, first),
        |row| row.get(0),
    )
}

/// The range of the senders' times; returns the expression.
fn sender(query: &mut Query, day: Day, request: &SearchRequest) -> String {
    let time = format!("coalesce(timestamp, {} + (seq >> {SEQ_BITS}))", day.start());
    if let Some(from) = request.from {
        let from = query.bind(from.as_micros());
        query.and(format!("{time} >= {from}"));
    }
    if let Some(to) = request.to {
        let to = query.bind(to.as_micros());
        query.and(format!("{time} < {to}"));
    }
    if let Some(Cursor { time: at, id }) = request.after {
        let (at, id) = (
            query.bind(at.as_micros()),
            query.bind(id.as_uuid().as_bytes().to_vec()),
        );
        let behind = match request.order {
            Order::NewestFirst => "<",
            Order::OldestFirst => ">",
        };
        query.and(format!("({time}, id) {behind} ({at}, {id})"));
    }
    time
}

fn add_condition(query: &mut Query, condition: &Condition) {
    let value = condition.value.to_lowercase();
    match &condition.field {
        Field::Severity | Field::Facility => {
            // Checked before; a condition that could not be read would find nothing.
            let code = query.bind(condition.to_code().ok().flatten());
            let (column, comparison) = (condition.field.column(), condition.comparison.operator());
            query.and(format!("{column} {comparison} {code}"));
        }
        Field::Id => {
            let id = condition.to_id().map_or_else(|_| Uuid::nil(), EventId::as_uuid);
            let id = query.bind(id.as_bytes().to_vec());
            query.and(format!("id = {id}"));
        }
        Field::Text(TextField::PeerAddr) => {
            let value = query.bind(value);
            query.and(format!("peer_equals(peer_addr, {value})"));
        }
        Field::Text(field) => {
            let value = query.bind(value);
            query.and(format!("equals({}, {value})", field.name()));
        }
        Field::Tags | Field::Defects => {
            let value = query.bind(value);
            query.and(format!(
                "EXISTS (SELECT 1 FROM json_each({}) AS each WHERE equals(each.value, {value}))",
                condition.field.column()
            ));
        }
        Field::Fields(path) => add_path(query, "fields", path, value),
        Field::StructuredData { id, param } => {
            add_path(query, "structured_data", &[id.clone(), param.clone()], value);
        }
    }
}

fn add_path(query: &mut Query, column: &str, path: &[String], value: String) {
    let value = query.bind(value);
    let path = query.bind(serde_json::Value::from(path).to_string());
    query.and(format!("at_equals({column}, {value}, {path})"));
}

fn stored(row: &Row<'_>, day: Day) -> rusqlite::Result<StoredEvent> {
    let text = |column| {
        row.get::<_, Option<String>>(column)
            .map(|text| text.map(Cow::Owned))
    };
    let needed = |column| row.get::<_, String>(column).map(Cow::Owned);
    let code = |column| row.get::<_, Option<u8>>(column);
    let strings = |column| {
        row.get::<_, Option<String>>(column)
            .map(|json| json.map_or_else(Vec::new, |json| read_strings(&json)))
    };
    let seq: i64 = row.get(0)?;
    let id: [u8; 16] = row.get(1)?;
    let sent_at: Option<i64> = row.get(2)?;
    let form: Option<i16> = row.get(3)?;
    let structured_data: Option<String> = row.get(10)?;
    let fields: Option<String> = row.get(14)?;
    let id = EventId::from_uuid(Uuid::from_bytes(id));
    Ok(StoredEvent {
        event: Event {
            id,
            position: position_of(id),
            received_at: Timestamp::from_micros(day.start() + (seq >> SEQ_BITS)),
            timestamp: sent_at
                .zip(form)
                .map(|(at, form)| event_time(Timestamp::from_micros(at), form)),
            facility: code(4)?.and_then(Facility::new),
            severity: code(5)?.and_then(Severity::new),
            hostname: text(6)?,
            app_name: text(7)?,
            procid: text(8)?,
            msgid: text(9)?,
            structured_data: structured_data.map_or_else(Vec::new, |json| read_structured_data(&json)),
            message: text(11)?,
            has_bom: row.get(12)?,
            tags: strings(13)?,
            fields: fields.map_or_else(Vec::new, |json| read_fields(&json)),
            peer_addr: needed(15)?,
            tls_peer: text(16)?,
            listener: needed(17)?,
            raw: row.get::<_, Option<Vec<u8>>>(19)?.map(Cow::Owned),
            defects: strings(20)?
                .iter()
                .filter_map(|word| Defects::from_word(word))
                .collect(),
        },
        route: needed(18)?,
    })
}
