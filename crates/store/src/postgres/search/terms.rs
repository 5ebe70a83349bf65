//! Terms of a query in PostgreSQL's words, to mean what they mean in memory whatever the database's locale.

use event::{EventId, Timestamp};
use query::{
    DurationRange, Field, Network, NumberRange, Pattern, Regex, Term, TextMatch, TimeField, ValueMatch,
};
use tokio_postgres::types::ToSql;

use crate::{
    json::without_nul,
    postgres::{
        indexes::{FIELD_VALUES, TAG_VALUES},
        types::bound,
    },
    search::{
        names::Names,
        plan::plain_values,
        sql::{Dialect, FALSE},
    },
};

/// What is longest between two of our times, in microseconds; intervals hold not much more.
const LAG_MAX: i64 = 400_000_000_000_000_000;

/// A condition in the making.
pub(in crate::postgres) struct Terms<'n> {
    names: &'n Names,
    params: Vec<Box<dyn ToSql + Sync + Send>>,
    looks_up_values: bool,
    looks_up_texts: bool,
}

impl<'n> Terms<'n> {
    pub(in crate::postgres) fn new(names: &'n Names) -> Self {
        Self {
            names,
            params: Vec::new(),
            looks_up_values: false,
            looks_up_texts: true,
        }
    }

    /// The same for a statement that looks at every row, and so uses no index of texts: PostgreSQL compares some times
    /// as fast where it need not ask the database's locale which letters are the same.
    pub(in crate::postgres) const fn looking_at_all(mut self) -> Self {
        self.looks_up_texts = false;
        self
    }

    /// The same for a statement that uses the indexes of values of fields and of tags.
    pub(in crate::postgres) const fn looking_up_values(mut self) -> Self {
        self.looks_up_values = true;
        self
    }

    /// Binds a value; returns its name in the statement.
    pub(in crate::postgres) fn bind(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.params.push(Box::new(value));
        format!("${}", self.params.len())
    }

    /// The values, in the order of their names.
    pub(in crate::postgres) fn into_params(self) -> Vec<Box<dyn ToSql + Sync + Send>> {
        self.params
    }

    fn bind_text(&mut self, text: &str) -> String {
        self.bind(without_nul(text).into_owned())
    }

    fn any(&mut self, text: &str, tests: Vec<Test<'_>>) -> String {
        let tests: Vec<_> = tests.into_iter().map(|test| self.test(text, test)).collect();
        match tests.as_slice() {
            [one] => one.clone(),
            _ => format!("({})", tests.join(" OR ")),
        }
    }

    fn test(&mut self, text: &str, test: Test<'_>) -> String {
        match test {
            Test::Inside(pattern) if pattern.is_cased_beyond_ascii() => {
                let source = self.bind_text(&pattern.to_postgres());
                format!("{text} ~* {source}")
            }
            Test::Whole(pattern) if pattern.is_cased_beyond_ascii() => {
                let source = self.bind_text(&format!("^(?:{})$", pattern.to_postgres()));
                format!("{text} ~* {source}")
            }
            Test::Inside(pattern) => self.like(text, &format!("%{}%", pattern.to_like())),
            Test::Whole(pattern) => self.like(text, &pattern.to_like()),
            Test::Regex(regex) => {
                let source = self.bind_text(&regex.to_postgres());
                format!("{text} ~ {source}")
            }
        }
    }

    /// Only ASCII's letters have cases in the pattern.
    fn like(&mut self, text: &str, pattern: &str) -> String {
        let like = self.bind_text(pattern);
        if self.looks_up_texts {
            format!("{text} ILIKE {like}")
        } else {
            format!("({text}) COLLATE \"C\" ILIKE {like}")
        }
    }

    /// The JSON value at the names. Names lead into objects only, and not, as with `#>`, into lists.
    fn at(&mut self, column: &str, names: &[String]) -> String {
        names.iter().fold(column.to_owned(), |at, name| {
            let name = self.bind_text(name);
            format!("({at} -> {name}::text)")
        })
    }

    fn id(&mut self, any: &[ValueMatch]) -> String {
        let as_id = |value: &ValueMatch| match value {
            ValueMatch::Equals(pattern) => {
                let text = pattern.as_literal()?;
                let id = text.parse::<EventId>().ok()?;
                id.to_string().eq_ignore_ascii_case(text).then_some(id)
            }
            ValueMatch::Regex(_) => None,
        };
        let tests: Vec<_> = any
            .iter()
            .map(|value| match as_id(value) {
                Some(id) => format!("id = {}", self.bind(id.as_uuid())),
                None => self.test("id::text", of_value(value)),
            })
            .collect();
        format!("({})", tests.join(" OR "))
    }

    fn peer(&mut self, networks: &[Network]) -> String {
        let known: Vec<&str> = match self.names.peers_in(networks) {
            Some(known) if known.is_empty() => return FALSE.to_owned(),
            Some(known) => known,
            None => self
                .names
                .peers
                .iter()
                .map(String::as_str)
                .filter(|peer| networks.iter().any(|network| network.contains_peer(peer)))
                .collect(),
        };
        let hosts: Vec<String> = known
            .iter()
            .map(|host| {
                if host.contains(':') {
                    format!("[{host}]")
                } else {
                    (*host).to_owned()
                }
            })
            .collect();
        let bare: Vec<String> = known.into_iter().map(str::to_owned).collect();
        let (bare, hosts) = (self.bind(bare), self.bind(hosts));
        let mut tests = vec![
            format!("peer_addr = ANY({bare})"),
            format!("regexp_replace(peer_addr, ':[0-9]+$', '') = ANY({hosts})"),
        ];
        if self.names.is_incomplete {
            for network in networks.iter().filter(|network| network.addr().is_ipv4()) {
                let network = self.bind(network.to_string());
                tests.push(format!(
                    "CASE WHEN peer_addr ~ '{V4}' THEN split_part(peer_addr, ':', 1)::inet <<= {network}::text::inet END"
                ));
            }
        }
        format!("({})", tests.join(" OR "))
    }

    /// What the index of the tags knows of them.
    fn known_tags(&mut self, any: &[ValueMatch]) -> Option<String> {
        let values = plain_values(any).filter(|_| self.looks_up_values)?;
        let values = self.bind(
            values
                .iter()
                .map(|value| without_nul(value).into_owned())
                .collect::<Vec<_>>(),
        );
        Some(format!("{TAG_VALUES} && {values} AND "))
    }

    /// What the index of the fields' values knows of one.
    fn known_values(&mut self, any: &[ValueMatch]) -> Option<String> {
        let values = plain_values(any).filter(|_| self.looks_up_values)?;
        let mut tests = Vec::new();
        for value in values {
            // A number, true and false are compared as texts, and are none in JSON.
            let bare = is_short_number(&value) || matches!(value.as_str(), "true" | "false");
            let bare = bare.then(|| format!("[{value}]"));
            let text = serde_json::json!([without_nul(&value)]).to_string();
            for json in [Some(text), bare].into_iter().flatten() {
                tests.push(format!("{FIELD_VALUES} @> {}::text::jsonb", self.bind(json)));
            }
        }
        Some(format!("({}) AND ", tests.join(" OR ")))
    }

    fn number(&mut self, path: &[String], range: &NumberRange) -> String {
        let at = self.at("fields", path);
        let mut bounds = Vec::new();
        for (bound, sign) in [(range.min, '>'), (range.max, '<')] {
            if let Some(bound) = bound {
                let equal = if bound.is_inside { "=" } else { "" };
                let value = self.bind(bound.value);
                bounds.push(format!("item::float8 {sign}{equal} {value}"));
            }
        }
        format!(
            "fields IS NOT NULL AND EXISTS (SELECT 1 FROM {} WHERE CASE WHEN jsonb_typeof(item) = 'number' THEN {} END)",
            items(&at),
            bounds.join(" AND ")
        )
    }
}

/// An IPv4 address with or without a port; what PostgreSQL can certainly take for one.
const V4: &str =
    "^((25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(:[0-9]{1,5})?$";

/// Whether the text is how a number is written whose digits PostgreSQL can hold: without an exponent, as it is compared.
fn is_short_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let has_no_zero = whole == "0" || !whole.starts_with('0');
    text.len() <= 1000 && is_digits(whole) && is_digits(fraction) && has_no_zero
}

/// The items of a JSON list as rows of `item`; another value is the only one.
fn items(at: &str) -> String {
    format!(
        "jsonb_array_elements(CASE jsonb_typeof({at}) WHEN 'array' THEN {at} ELSE jsonb_build_array({at}) END) AS item"
    )
}

/// What a scalar is compared as: numbers as they are written shortest. Other JSON is no text.
const ITEM_TEXT: &str = "CASE jsonb_typeof(item) WHEN 'number' THEN trim_scale((item #>> '{}')::numeric)::text \
    WHEN 'string' THEN item #>> '{}' WHEN 'boolean' THEN item #>> '{}' END";

enum Test<'t> {
    Inside(&'t Pattern),
    Whole(&'t Pattern),
    Regex(&'t Regex),
}

fn of_text(text: &TextMatch) -> Test<'_> {
    match text {
        TextMatch::Contains(pattern) => Test::Inside(pattern),
        TextMatch::Regex(regex) => Test::Regex(regex),
    }
}

fn of_value(value: &ValueMatch) -> Test<'_> {
    match value {
        ValueMatch::Equals(pattern) => Test::Whole(pattern),
        ValueMatch::Regex(regex) => Test::Regex(regex),
    }
}

/// What the term's text must be.
fn tests(term: &Term) -> Vec<Test<'_>> {
    match term {
        Term::Text(text) => vec![of_text(text)],
        Term::Message(any) => any.iter().map(of_text).collect(),
        Term::Word(_, any) | Term::Tag(any) | Term::Custom(_, any) | Term::StructuredData { any, .. } => {
            any.iter().map(of_value).collect()
        }
        Term::Time(..)
        | Term::Lag(_)
        | Term::Severity(_)
        | Term::Facility(_)
        | Term::PeerAddr(_)
        | Term::Number(..)
        | Term::Exists(_) => Vec::new(),
    }
}

impl Dialect for Terms<'_> {
    fn names(&self) -> &Names {
        self.names
    }

    fn bound(&self) -> usize {
        self.params.len()
    }

    fn unbind(&mut self, count: usize) {
        self.params.truncate(count);
    }

    fn clock(&self, clock: TimeField) -> String {
        match clock {
            TimeField::ReceivedAt => "received_at".to_owned(),
            TimeField::Timestamp => "coalesce(\"timestamp\", received_at)".to_owned(),
        }
    }

    fn instant(&mut self, at: Timestamp) -> String {
        self.bind(bound(at.as_micros()))
    }

    fn is_one(&mut self, column: &str, values: Vec<String>) -> String {
        match <[String; 1]>::try_from(values) {
            Ok([value]) => format!("{column} = {}", self.bind(value)),
            Err(values) => format!("{column} = ANY({})", self.bind(values)),
        }
    }

    fn fits(&mut self, column: &str, term: &Term) -> String {
        match term {
            Term::Word(query::WordField::Id, any) => self.id(any),
            _ => self.any(column, tests(term)),
        }
    }

    fn lag(&mut self, range: &DurationRange) -> String {
        let mut bounds = Vec::new();
        for (micros, sign) in [(range.min, ">="), (range.end, "<")] {
            if let Some(micros) = micros {
                let micros = self.bind(micros.clamp(-LAG_MAX, LAG_MAX));
                bounds.push(format!(
                    "received_at - \"timestamp\" {sign} {micros}::bigint * interval '1 microsecond'"
                ));
            }
        }
        format!("({})", bounds.join(" AND "))
    }

    fn inside(&mut self, term: &Term) -> String {
        match term {
            Term::PeerAddr(networks) => self.peer(networks),
            Term::Tag(any) => {
                let known = self.known_tags(any).unwrap_or_default();
                let tests = self.any("item", tests(term));
                format!(
                    "(tags IS NOT NULL AND {known}EXISTS (SELECT 1 FROM unnest(tags) AS item WHERE {tests}))"
                )
            }
            Term::StructuredData { id, param, .. } => {
                let at = self.at("structured_data", &[id.clone(), param.clone()]);
                let tests = self.any("item #>> '{}'", tests(term));
                format!("EXISTS (SELECT 1 FROM {} WHERE {tests})", items(&at))
            }
            Term::Custom(path, any) => {
                let known = self.known_values(any).unwrap_or_default();
                let at = self.at("fields", path);
                let tests = self.any(&format!("({ITEM_TEXT})"), tests(term));
                format!(
                    "(fields IS NOT NULL AND {known}EXISTS (SELECT 1 FROM {} WHERE {tests}))",
                    items(&at)
                )
            }
            Term::Number(path, range) => self.number(path, range),
            Term::Exists(Field::StructuredData { id, param }) => {
                let names: Vec<_> = [Some(id), param.as_ref()]
                    .into_iter()
                    .flatten()
                    .cloned()
                    .collect();
                format!("{} IS NOT NULL", self.at("structured_data", &names))
            }
            Term::Exists(Field::Custom(path)) => {
                format!("jsonb_typeof({}) <> 'null'", self.at("fields", path))
            }
            // The others have columns of their own.
            _ => FALSE.to_owned(),
        }
    }
}
