//! What a field must hold: `hostname=web01`, `severity<=err`, `fields.user.id=7`.

use std::str::FromStr;

use event::{EventId, Facility, Severity};

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
