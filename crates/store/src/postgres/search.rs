//! Searching `events`: one statement a page, bound parameters only, stopped by its time-out or when nobody waits.

use std::borrow::Cow;

use deadpool_postgres::Object;
use event::{Defects, Event, EventId, Facility, Severity, Timestamp};
use tokio_postgres::{
    CancelToken, Row,
    error::SqlState,
    types::{FromSqlOwned, ToSql},
};
use uuid::Uuid;

use super::{Postgres, Tls, types::Micros};
use crate::{
    error::StoreError,
    json::{read_fields, read_structured_data},
    row::event_time,
    search::{
        Clock, Condition, Cursor, Field, Order, Page, SearchError, SearchRequest, StoredEvent, TextField,
        position_of,
    },
};

const COLUMNS: &str = "id, received_at, \"timestamp\", timestamp_form, facility, severity, hostname, app_name, procid, \
    msgid, structured_data::text, message, has_bom, tags, fields::text, peer_addr, tls_peer, listener, route, raw, defects";

/// Hosts or applications that a text may stand for by name; beyond it the column is searched.
const NAMES_MAX: i64 = 1000;

impl Postgres {
    pub(crate) async fn search(&self, request: &SearchRequest) -> Result<Page, SearchError> {
        let running = Running::start(self).await?;
        let result = page(&running, request).await;
        running.finish().await;
        result
    }
}

/// A connection that runs a search. Dropped before its end, it stops the search and is not used again.
struct Running {
    client: Option<Object>,
    token: CancelToken,
    tls: Tls,
}

impl Running {
    async fn start(store: &Postgres) -> Result<Self, StoreError> {
        let client = store.client().await?;
        Ok(Self {
            token: client.cancel_token(),
            tls: store.tls.clone(),
            client: Some(client),
        })
    }

    fn client(&self) -> &Object {
        self.client.as_ref().expect("taken only by finish and drop")
    }

    /// Gives the connection back.
    async fn finish(mut self) {
        // Also after an error, which the transaction does not survive.
        if self.client().batch_execute("ROLLBACK").await.is_ok() {
            self.client = None;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else {
            return;
        };
        // A request to cancel may hit whatever the connection does next, so there is no next.
        drop(Object::take(client));
        let (token, tls) = (self.token.clone(), self.tls.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = token.cancel_query(tls.0).await {
                    tracing::debug!(%error, "abandoned search not cancelled");
                }
            });
        }
    }
}

async fn page(running: &Running, request: &SearchRequest) -> Result<Page, SearchError> {
    let client = running.client();
    let sort = |error: tokio_postgres::Error| match error.code() {
        Some(&SqlState::QUERY_CANCELED) => StoreError::TimedOut(request.timeout),
        _ => error.into(),
    };
    // Compiling takes longer than it saves on a page of rows.
    let begin = format!(
        "BEGIN READ ONLY; SET LOCAL statement_timeout = {}; SET LOCAL jit = off",
        request.timeout.as_millis().max(1)
    );
    client.batch_execute(&begin).await.map_err(sort)?;
    let mut query = Query::default();
    let time = range(&mut query, request);
    for text in &request.text {
        let names = Names::find(client, text).await.map_err(sort)?;
        add_text(&mut query, text, names);
    }
    for condition in &request.conditions {
        add_condition(&mut query, condition)?;
    }
    query.and("true".to_owned());
    let direction = match request.order {
        Order::NewestFirst => "DESC",
        Order::OldestFirst => "ASC",
    };
    let limit = query.bind(i64::try_from(request.limit).unwrap_or(i64::MAX));
    let sql = format!(
        "SELECT {COLUMNS} FROM events WHERE {} ORDER BY {time} {direction}, id {direction} LIMIT {limit}",
        query.conditions.join(" AND ")
    );
    let params: Vec<&(dyn ToSql + Sync)> = query.params.iter().map(|param| &**param as _).collect();
    let rows = client.query(&sql, &params).await.map_err(sort)?;
    let rows: Result<Vec<_>, _> = rows.iter().map(stored).collect();
    Ok(Page::of(rows.map_err(StoreError::from)?, request))
}

/// A statement in the making.
#[derive(Default)]
struct Query {
    conditions: Vec<String>,
    params: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Query {
    /// Binds a value; returns its name in the statement.
    fn bind(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.params.push(Box::new(value));
        format!("${}", self.params.len())
    }

    fn and(&mut self, condition: String) {
        self.conditions.push(condition);
    }
}

/// The range of time, and what is behind the cursor; returns the expression of the time.
fn range(query: &mut Query, request: &SearchRequest) -> &'static str {
    let time = match request.clock {
        Clock::Arrival => "received_at",
        Clock::Sender => "coalesce(\"timestamp\", received_at)",
    };
    if let Some(from) = request.from {
        let from = query.bind(Micros::from(from));
        query.and(format!("{time} >= {from}"));
    }
    if let Some(to) = request.to {
        let to = query.bind(Micros::from(to));
        query.and(format!("{time} < {to}"));
    }
    if let Some(Cursor { time: at, id }) = request.after {
        let (at, id) = (query.bind(Micros::from(at)), query.bind(id.as_uuid()));
        let behind = match request.order {
            Order::NewestFirst => '<',
            Order::OldestFirst => '>',
        };
        // The first half says nothing new, but partitions are chosen by it.
        query.and(format!(
            "{time} {behind}= {at} AND ({time}, id) {behind} ({at}, {id})"
        ));
    }
    time
}

/// Hosts and applications whose names hold a text.
struct Names {
    hosts: Vec<String>,
    apps: Vec<String>,
    /// False when the catalogue does not have all names, or too many hold the text.
    are_all: bool,
}

impl Names {
    async fn find(client: &Object, text: &str) -> Result<Self, tokio_postgres::Error> {
        // A name of full length may be a longer one, cut.
        let sql = "SELECT ARRAY(SELECT DISTINCT hostname FROM sources WHERE hostname ILIKE $1 LIMIT $2), \
                   ARRAY(SELECT DISTINCT app_name FROM sources WHERE app_name ILIKE $1 LIMIT $2), \
                   EXISTS (SELECT 1 FROM sources WHERE peer = '*' OR length(hostname) >= 255 OR length(app_name) >= 255)";
        let row = client.query_one(sql, &[&pattern(text), &NAMES_MAX]).await?;
        let (hosts, apps): (Vec<String>, Vec<String>) = (row.try_get(0)?, row.try_get(1)?);
        let is_incomplete: bool = row.try_get(2)?;
        let most = usize::try_from(NAMES_MAX).unwrap_or(0);
        Ok(Self {
            are_all: !is_incomplete && hosts.len() < most && apps.len() < most,
            hosts,
            apps,
        })
    }
}

/// `%text%`, where the text means itself.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    push_escaped(&mut pattern, text);
    pattern.push('%');
    pattern
}

fn push_escaped(pattern: &mut String, text: &str) {
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
}

fn add_text(query: &mut Query, text: &str, names: Names) {
    let like = query.bind(pattern(text));
    let mut places = vec![format!("message ILIKE {like}")];
    for (column, names_with) in [("hostname", names.hosts), ("app_name", names.apps)] {
        if !names.are_all {
            places.push(format!("{column} ILIKE {like}"));
        } else if !names_with.is_empty() {
            let names_with = query.bind(names_with);
            places.push(format!("{column} = ANY({names_with})"));
        }
    }
    query.and(format!("({})", places.join(" OR ")));
}

fn add_condition(query: &mut Query, condition: &Condition) -> Result<(), SearchError> {
    let column = condition.field.column();
    match &condition.field {
        Field::Severity | Field::Facility => {
            let code = query.bind(condition.to_code()?);
            query.and(format!("{column} {} {code}", condition.comparison.operator()));
        }
        Field::Id => {
            let id = query.bind(condition.to_id()?.as_uuid());
            query.and(format!("id = {id}"));
        }
        Field::Text(TextField::PeerAddr) => {
            let mut with_port = String::new();
            push_escaped(&mut with_port, &condition.value);
            let is_v6 = condition.value.contains(':');
            let with_port = if is_v6 {
                format!("[{with_port}]:%")
            } else {
                format!("{with_port}:%")
            };
            let (value, with_port) = (query.bind(condition.value.clone()), query.bind(with_port));
            query.and(format!(
                "(lower({column}) = lower({value}) OR {column} ILIKE {with_port})"
            ));
        }
        Field::Text(_) => {
            let value = query.bind(condition.value.clone());
            query.and(format!("lower({column}) = lower({value})"));
        }
        Field::Tags | Field::Defects => {
            let value = query.bind(condition.value.clone());
            query.and(format!(
                "EXISTS (SELECT 1 FROM unnest({column}) AS item WHERE lower(item) = lower({value}))"
            ));
        }
        Field::Fields(path) => add_path(query, column, path.clone(), &condition.value),
        Field::StructuredData { id, param } => {
            add_path(query, column, vec![id.clone(), param.clone()], &condition.value);
        }
    }
    Ok(())
}

/// The value there as text, or any element of the list there; lists and objects inside it equal nothing.
fn add_path(query: &mut Query, column: &str, path: Vec<String>, value: &str) {
    let (path, value) = (query.bind(path), query.bind(value.to_owned()));
    let at = format!("({column} #> {path})");
    query.and(format!(
        "CASE jsonb_typeof({at}) WHEN 'array' THEN EXISTS (SELECT 1 FROM jsonb_array_elements({at}) AS item \
         WHERE jsonb_typeof(item) NOT IN ('array', 'object') AND lower(item #>> '{{}}') = lower({value})) \
         WHEN 'object' THEN false ELSE lower({column} #>> {path}) = lower({value}) END"
    ));
}

fn stored(row: &Row) -> Result<StoredEvent, tokio_postgres::Error> {
    fn get<T: FromSqlOwned>(row: &Row, column: usize) -> Result<Option<T>, tokio_postgres::Error> {
        row.try_get(column)
    }
    let text = |column| get::<String>(row, column).map(|text| text.map(Cow::Owned));
    let needed = |column| get::<String>(row, column).map(|text| Cow::Owned(text.unwrap_or_default()));
    let code = |column| get::<i16>(row, column).map(|code| code.and_then(|code| u8::try_from(code).ok()));
    let strings = |column| get::<Vec<String>>(row, column).map(Option::unwrap_or_default);
    let id = EventId::from_uuid(get::<Uuid>(row, 0)?.unwrap_or_default());
    let received_at = get::<Micros>(row, 1)?.map_or(0, |at| at.0);
    let timestamp = get::<Micros>(row, 2)?.zip(get::<i16>(row, 3)?);
    let (structured_data, fields) = (get::<String>(row, 10)?, get::<String>(row, 14)?);
    Ok(StoredEvent {
        event: Event {
            id,
            position: position_of(id),
            received_at: Timestamp::from_micros(received_at),
            timestamp: timestamp.map(|(at, form)| event_time(Timestamp::from_micros(at.0), form)),
            facility: code(4)?.and_then(Facility::new),
            severity: code(5)?.and_then(Severity::new),
            hostname: text(6)?,
            app_name: text(7)?,
            procid: text(8)?,
            msgid: text(9)?,
            structured_data: structured_data.map_or_else(Vec::new, |json| read_structured_data(&json)),
            message: text(11)?,
            has_bom: get(row, 12)?.unwrap_or(false),
            tags: strings(13)?.into_iter().map(Cow::Owned).collect(),
            fields: fields.map_or_else(Vec::new, |json| read_fields(&json)),
            peer_addr: needed(15)?,
            tls_peer: text(16)?,
            listener: needed(17)?,
            raw: get::<Vec<u8>>(row, 19)?.map(Cow::Owned),
            defects: strings(20)?
                .iter()
                .filter_map(|word| Defects::from_word(word))
                .collect(),
        },
        route: needed(18)?,
    })
}
