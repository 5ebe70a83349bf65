//! What can be asked of a store, and what comes back. Values go to the database as bound parameters, never as
//! SQL text.

use std::{borrow::Cow, str::FromStr, time::Duration};

use event::{Event, EventId, Facility, Severity, Timestamp};

/// Rows of one page at most.
pub const LIMIT_MAX: usize = 10_000;

/// A search: everything in it must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchRequest {
    /// Which clock `from`, `to` and the order mean.
    pub clock: Clock,
    /// The first instant.
    pub from: Option<Timestamp>,
    /// The first instant that is not meant any more.
    pub to: Option<Timestamp>,
    /// Texts that must stand in the message, the hostname or the application's name, in any case.
    pub text: Vec<String>,
    /// What fields must hold.
    pub conditions: Vec<Condition>,
    /// Which events come first.
    pub order: Order,
    /// Go on behind this row, in the direction of `order`.
    pub after: Option<Cursor>,
    /// Rows of the page, 1 to [`LIMIT_MAX`].
    pub limit: usize,
    /// The database stops looking after this.
    pub timeout: Duration,
}

impl Default for SearchRequest {
    /// The newest 100 events.
    fn default() -> Self {
        Self {
            clock: Clock::Arrival,
            from: None,
            to: None,
            text: Vec::new(),
            conditions: Vec::new(),
            order: Order::NewestFirst,
            after: None,
            limit: 100,
            timeout: Duration::from_secs(30),
        }
    }
}

/// Whose clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    /// `received_at`: ours. Indexed.
    #[default]
    Arrival,
    /// `timestamp`: the sender's, or ours where the sender named no time.
    Sender,
}

/// Which events come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Newest first.
    #[default]
    NewestFirst,
    /// Oldest first.
    OldestFirst,
}

/// A row's place in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The time by the request's clock.
    pub time: Timestamp,
    /// The event, since many share an instant.
    pub id: EventId,
}

/// `field=value` or, for severities, `severity<=err`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The field.
    pub field: Field,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what. Case does not matter.
    pub value: String,
}

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`: the whole value is equal, in any case.
    Equal,
    /// `<=`, for `severity` and `facility`: this code or a smaller one, and a smaller severity is a worse one.
    AtMost,
    /// `>=`, for `severity` and `facility`.
    AtLeast,
}

/// A field that a condition can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// `id`.
    Id,
    /// `facility`: a keyword or 0 to 23.
    Facility,
    /// `severity`: a keyword or 0 to 7.
    Severity,
    /// One that holds one text.
    Text(TextField),
    /// `tags`: one of them.
    Tags,
    /// `defects`: one of them.
    Defects,
    /// `fields.a.b`: the value there as text, or any element of the list there.
    Fields(Vec<String>),
    /// `structured_data.<SD-ID>.<PARAM-NAME>`, or `sd.` for short.
    StructuredData {
        /// SD-ID.
        id: String,
        /// PARAM-NAME.
        param: String,
    },
}

/// A field that holds one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextField {
    /// `hostname`.
    Hostname,
    /// `app_name`.
    AppName,
    /// `procid`.
    Procid,
    /// `msgid`.
    Msgid,
    /// `message`.
    Message,
    /// `peer_addr`: with or without the port.
    PeerAddr,
    /// `tls_peer`.
    TlsPeer,
    /// `listener`.
    Listener,
    /// `route`.
    Route,
}

impl TextField {
    /// The column.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hostname => "hostname",
            Self::AppName => "app_name",
            Self::Procid => "procid",
            Self::Msgid => "msgid",
            Self::Message => "message",
            Self::PeerAddr => "peer_addr",
            Self::TlsPeer => "tls_peer",
            Self::Listener => "listener",
            Self::Route => "route",
        }
    }
}

/// A condition that cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// No such field.
    #[error(
        "{0:?} is not a field: id, facility, severity, hostname, app_name, procid, msgid, message, peer_addr, tls_peer, \
         listener, route, tags, defects, fields.<name> or structured_data.<id>.<param>"
    )]
    UnknownField(String),
    /// Not `field=value`.
    #[error("{0:?} is not a condition: write field=value, severity<=value or severity>=value")]
    NotACondition(String),
    /// Not a severity, facility or id.
    #[error("{value:?} is not a {field}")]
    BadValue {
        /// Which field.
        field: &'static str,
        /// The value.
        value: String,
    },
    /// `<=` on something else.
    #[error("only severity and facility can be compared with {0}")]
    NoOrder(&'static str),
}

impl Field {
    /// The column that holds it.
    pub(crate) const fn column(&self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Facility => "facility",
            Self::Severity => "severity",
            Self::Text(field) => field.name(),
            Self::Tags => "tags",
            Self::Defects => "defects",
            Self::Fields(_) => "fields",
            Self::StructuredData { .. } => "structured_data",
        }
    }
}

impl Comparison {
    /// As SQL writes it.
    pub(crate) const fn operator(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::AtMost => "<=",
            Self::AtLeast => ">=",
        }
    }
}

impl FromStr for Field {
    type Err = ConditionError;

    /// Names as in [`Field`]; in `fields.a.b` and `sd.<id>.<param>` a part with a dot in it stands between `"`.
    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let unknown = || ConditionError::UnknownField(text.to_owned());
        let text_field = |field| Ok(Self::Text(field));
        match text {
            "id" => Ok(Self::Id),
            "facility" => Ok(Self::Facility),
            "severity" => Ok(Self::Severity),
            "hostname" | "host" => text_field(TextField::Hostname),
            "app_name" | "app" => text_field(TextField::AppName),
            "procid" | "pid" => text_field(TextField::Procid),
            "msgid" => text_field(TextField::Msgid),
            "message" => text_field(TextField::Message),
            "peer_addr" | "peer" => text_field(TextField::PeerAddr),
            "tls_peer" => text_field(TextField::TlsPeer),
            "listener" => text_field(TextField::Listener),
            "route" => text_field(TextField::Route),
            "tags" | "tag" => Ok(Self::Tags),
            "defects" | "defect" => Ok(Self::Defects),
            _ => {
                let (head, path) = text.split_once('.').ok_or_else(unknown)?;
                let parts = path_parts(path).ok_or_else(unknown)?;
                match (head, parts.as_slice()) {
                    ("fields", [_, ..]) => Ok(Self::Fields(parts)),
                    ("structured_data" | "sd", [id, param]) => Ok(Self::StructuredData {
                        id: id.clone(),
                        param: param.clone(),
                    }),
                    _ => Err(unknown()),
                }
            }
        }
    }
}

/// `a."b.c".d` as its parts; `None` when one is empty or a quote is not closed.
fn path_parts(path: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = path;
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at(rest.find('.').unwrap_or(rest.len())),
        };
        if part.is_empty() {
            return None;
        }
        parts.push(part.to_owned());
        if after.is_empty() {
            return Some(parts);
        }
        rest = after.strip_prefix('.')?;
    }
}

impl FromStr for Condition {
    type Err = ConditionError;

    /// `hostname=web01`, `severity<=err`, `fields.user.id=7`, `tags=audit`.
    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let not_one = || ConditionError::NotACondition(text.to_owned());
        let (name, value) = text.split_once('=').ok_or_else(not_one)?;
        let (name, comparison) = match (name.strip_suffix('<'), name.strip_suffix('>')) {
            (Some(name), _) => (name, Comparison::AtMost),
            (None, Some(name)) => (name, Comparison::AtLeast),
            (None, None) => (name, Comparison::Equal),
        };
        let condition = Self {
            field: name.trim().parse()?,
            comparison,
            value: value.to_owned(),
        };
        condition.check()?;
        Ok(condition)
    }
}

impl Condition {
    /// Whether the value fits the field.
    ///
    /// # Errors
    /// [`ConditionError`], with what is allowed.
    pub fn check(&self) -> Result<(), ConditionError> {
        self.to_code()?;
        if self.field == Field::Id {
            self.to_id()?;
        }
        Ok(())
    }

    /// The number that a severity or a facility is stored as; `None` for other fields.
    pub(crate) fn to_code(&self) -> Result<Option<i16>, ConditionError> {
        let bad = |field| ConditionError::BadValue {
            field,
            value: self.value.clone(),
        };
        match (&self.field, self.comparison) {
            (Field::Severity, _) => match self.value.parse::<Severity>() {
                Ok(severity) => Ok(Some(i16::from(severity.code()))),
                Err(_) => Err(bad("severity")),
            },
            (Field::Facility, _) => match self.value.parse::<Facility>() {
                Ok(facility) => Ok(Some(i16::from(facility.code()))),
                Err(_) => Err(bad("facility")),
            },
            (_, Comparison::Equal) => Ok(None),
            (_, Comparison::AtMost) => Err(ConditionError::NoOrder("<=")),
            (_, Comparison::AtLeast) => Err(ConditionError::NoOrder(">=")),
        }
    }

    /// The value as an event's id.
    pub(crate) fn to_id(&self) -> Result<EventId, ConditionError> {
        self.value.parse().or(Err(ConditionError::BadValue {
            field: "id",
            value: self.value.clone(),
        }))
    }
}

/// An event as the store holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// The event. Names inside `structured_data` and `fields` may stand in another order than they came.
    pub event: Event<'static>,
    /// The route that the rules chose.
    pub route: Cow<'static, str>,
}

impl StoredEvent {
    /// Where the row stands by `clock`.
    #[must_use]
    pub fn cursor(&self, clock: Clock) -> Cursor {
        let sender = self.event.timestamp.map(|time| time.at);
        let time = match clock {
            Clock::Arrival => self.event.received_at,
            Clock::Sender => sender.unwrap_or(self.event.received_at),
        };
        Cursor {
            time,
            id: self.event.id,
        }
    }
}

/// One page of rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// In the order asked for.
    pub rows: Vec<StoredEvent>,
    /// Where the next page begins; `None` when this one was not full.
    pub next: Option<Cursor>,
}

impl Page {
    /// `rows` of at most `limit`.
    pub(crate) fn of(rows: Vec<StoredEvent>, request: &SearchRequest) -> Self {
        let next = rows
            .last()
            .filter(|_| rows.len() >= request.limit)
            .map(|row| row.cursor(request.clock));
        Self { rows, next }
    }
}

/// A request that cannot be asked, found before the database sees it.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// A condition.
    #[error(transparent)]
    Condition(#[from] ConditionError),
    /// `limit`.
    #[error("limit is {0}; 1 to {LIMIT_MAX} is allowed")]
    Limit(usize),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::StoreError),
}

impl SearchRequest {
    /// The request as it is run, if it can be asked: an event's id names the millisecond of its arrival, which spares
    /// the search for it.
    pub(crate) fn checked(&self) -> Result<Cow<'_, Self>, SearchError> {
        if !(1..=LIMIT_MAX).contains(&self.limit) {
            return Err(SearchError::Limit(self.limit));
        }
        for condition in &self.conditions {
            condition.check()?;
        }
        let id = self
            .conditions
            .iter()
            .find(|condition| condition.field == Field::Id);
        let arrival = id.and_then(|id| arrival_of(id.to_id().ok()?));
        let Some((from, to)) = arrival.filter(|_| self.clock == Clock::Arrival) else {
            return Ok(Cow::Borrowed(self));
        };
        let mut narrowed = self.clone();
        narrowed.from = Some(self.from.map_or(from, |wanted| wanted.max(from)));
        narrowed.to = Some(self.to.map_or(to, |wanted| wanted.min(to)));
        Ok(Cow::Owned(narrowed))
    }
}

/// The millisecond in which the event arrived; `None` where the id does not tell.
fn arrival_of(id: EventId) -> Option<(Timestamp, Timestamp)> {
    let millis = i64::try_from(id.as_uuid().as_u64_pair().0 >> 16).ok()?;
    let is_time = id.as_uuid().get_version_num() == 7 && millis > 0;
    is_time.then(|| {
        (
            Timestamp::from_micros(millis * 1000),
            Timestamp::from_micros((millis + 1) * 1000),
        )
    })
}

/// The frame's position in its raw batch, which the id ends with.
pub(crate) fn position_of(id: EventId) -> u32 {
    let low = id.as_uuid().as_u64_pair().1 & u64::from(EventId::POSITIONS_MAX - 1);
    u32::try_from(low).unwrap_or(0)
}
