//! The fields that a query can name, and which names people may use for them.

use std::collections::BTreeSet;

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Field {
    /// `message`.
    Message,
    /// `timestamp`, `received_at`.
    Time(TimeField),
    /// `lag`: how much later than the sender's clock ours was.
    Lag,
    /// `severity`.
    Severity,
    /// `facility`.
    Facility,
    /// A field that holds one text.
    Word(WordField),
    /// `peer_addr`.
    PeerAddr,
    /// `tags`.
    Tags,
    /// `sd.<id>` or `sd.<id>.<param>`: structured data.
    StructuredData {
        /// `SD-ID`.
        id: String,
        /// `PARAM-NAME`; only existence can be asked without it.
        param: Option<String>,
    },
    /// `fields.<name>`, with dots between the names of nested objects.
    Custom(Vec<String>),
}

/// Whose clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeField {
    /// The sender's, or ours where the sender named no time.
    Timestamp,
    /// Ours.
    ReceivedAt,
}

/// A field that holds one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the event's")]
pub enum WordField {
    Hostname,
    AppName,
    Procid,
    Msgid,
    Id,
    Listener,
    TlsPeer,
}

/// Built-in fields: canonical name, what it means, other names.
const BUILT_IN: &[(&str, Field, &[&str])] = &[
    ("message", Field::Message, &["msg"]),
    ("timestamp", Field::Time(TimeField::Timestamp), &["time", "ts"]),
    ("received_at", Field::Time(TimeField::ReceivedAt), &["received"]),
    ("lag", Field::Lag, &[]),
    ("severity", Field::Severity, &["sev", "level"]),
    ("facility", Field::Facility, &["fac"]),
    ("hostname", Field::Word(WordField::Hostname), &["host", "source"]),
    ("app_name", Field::Word(WordField::AppName), &["app", "program"]),
    ("procid", Field::Word(WordField::Procid), &["pid"]),
    ("msgid", Field::Word(WordField::Msgid), &[]),
    ("id", Field::Word(WordField::Id), &[]),
    ("listener", Field::Word(WordField::Listener), &[]),
    ("tls_peer", Field::Word(WordField::TlsPeer), &["tls"]),
    ("peer_addr", Field::PeerAddr, &["peer"]),
    ("tags", Field::Tags, &["tag"]),
];

/// The names of custom fields that the store has seen, so that `status:500` can mean `fields.status:500`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldNames(BTreeSet<String>);

impl FieldNames {
    /// Of dotted names without `fields.` in front, such as `http.status`.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    /// What `parts`, the dotted name that stands in a query, means.
    pub(crate) fn resolve(&self, parts: &[String]) -> Option<Field> {
        let (first, rest) = parts.split_first()?;
        if rest.is_empty()
            && let Some((_, field, _)) = BUILT_IN
                .iter()
                .find(|(name, _, aliases)| is(first, name) || aliases.iter().any(|alias| is(first, alias)))
        {
            return Some(field.clone());
        }
        if is(first, "fields") && !rest.is_empty() {
            return Some(Field::Custom(rest.to_vec()));
        }
        if is(first, "sd") || is(first, "structured_data") {
            return match rest {
                [id] => Some((id, None)),
                [id, param] => Some((id, Some(param.clone()))),
                _ => None,
            }
            .map(|(id, param)| Field::StructuredData {
                id: id.clone(),
                param,
            });
        }
        self.0
            .contains(&parts.join("."))
            .then(|| Field::Custom(parts.to_vec()))
    }

    /// The name that `name` is most like, if it is like any.
    pub(crate) fn nearest(&self, name: &str) -> Option<String> {
        let built_in = BUILT_IN
            .iter()
            .flat_map(|(canonical, _, aliases)| std::iter::once(canonical).chain(*aliases))
            .map(|name| (*name).to_owned());
        let custom = self.0.iter().map(|name| format!("fields.{name}"));
        nearest(name, built_in.chain(custom))
    }
}

fn is(name: &str, known: &str) -> bool {
    name.eq_ignore_ascii_case(known)
}

/// The candidate that `word` is most like, if it is like any: two thirds of it must agree.
pub(crate) fn nearest(word: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    let word = word.to_lowercase();
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(&word, bare(&candidate)), candidate))
        .filter(|(distance, candidate)| distance * 3 <= bare(candidate).chars().count().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// People leave `fields.` out.
fn bare(name: &str) -> &str {
    name.strip_prefix("fields.").unwrap_or(name)
}

impl Field {
    /// As it stands in a canonical query.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::StructuredData { id, param } => {
                let parts = [Some(id), param.as_ref()];
                dotted("sd", parts.into_iter().flatten())
            }
            Self::Custom(path) => dotted("fields", path.iter()),
            Self::Message
            | Self::Time(_)
            | Self::Lag
            | Self::Severity
            | Self::Facility
            | Self::Word(_)
            | Self::PeerAddr
            | Self::Tags => BUILT_IN
                .iter()
                .find(|(_, field, _)| field == self)
                .map_or_else(String::new, |(name, ..)| (*name).to_owned()),
        }
    }
}

fn dotted<'a>(root: &str, parts: impl Iterator<Item = &'a String>) -> String {
    let mut name = root.to_owned();
    for part in parts {
        name.push('.');
        if is_ident(part) {
            name.push_str(part);
        } else {
            name.push_str(&crate::print::phrase(part));
        }
    }
    name
}

/// Letters, digits, `_` and `-`, as a part of a name that needs no quotes.
pub(crate) fn is_ident(part: &str) -> bool {
    !part.is_empty() && part.chars().all(is_ident_char) && !part.starts_with('-')
}

pub(crate) fn is_ident_char(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_' || char == '-'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(names: &FieldNames, name: &str) -> Option<String> {
        let parts: Vec<_> = name.split('.').map(str::to_owned).collect();
        names.resolve(&parts).map(|field| field.name())
    }

    #[test]
    fn names_and_aliases_resolve_in_any_case() {
        let names = FieldNames::new(["status", "http.code"]);
        for (name, expected) in [
            ("host", Some("hostname")),
            ("Source", Some("hostname")),
            ("LEVEL", Some("severity")),
            ("status", Some("fields.status")),
            ("http.code", Some("fields.http.code")),
            ("fields.unseen", Some("fields.unseen")),
            ("sd.origin.ip", Some("sd.origin.ip")),
            ("http", None),
            ("foo", None),
            ("fields", None),
            ("host.x", None),
        ] {
            assert_eq!(resolve(&names, name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn names_with_odd_characters_are_quoted() {
        let field = Field::StructuredData {
            id: "origin@32473".to_owned(),
            param: Some("ip".to_owned()),
        };
        assert_eq!(field.name(), "sd.\"origin@32473\".ip");
    }

    #[test]
    fn the_nearest_name_is_near() {
        let names = FieldNames::new(["status"]);
        assert_eq!(names.nearest("hots").as_deref(), Some("host"));
        assert_eq!(names.nearest("sttus").as_deref(), Some("fields.status"));
        assert_eq!(names.nearest("zebra"), None);
    }
}
