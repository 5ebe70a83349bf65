//! The catalogue's names: a text that may be a host or an application is looked up here first, so that the database
//! compares whole names and need not look into every row's.

use event::{Event, EventId, Timestamp};
use query::{Expr, Field, Matcher, Network, Query, Term, WordField};
use uuid::Uuid;

use crate::summary::{FOLDED, NAME_CHARS_MAX};

/// Names that one text may stand for; where it is more, columns are looked through.
const NAMES_MAX: usize = 1000;

/// Hosts, applications and addresses that ever sent.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) hosts: Vec<String>,
    pub(crate) apps: Vec<String>,
    /// Addresses without ports.
    pub(crate) peers: Vec<String>,
    /// There are names that are not here: sources beyond the bound, and long names that the catalogue has cut.
    pub(crate) is_incomplete: bool,
}

impl Names {
    /// Of distinct names; absent is `""` in the catalogue and means nothing here.
    pub(crate) fn new(hosts: Vec<String>, apps: Vec<String>, peers: Vec<String>) -> Self {
        let is_cut = |name: &String| name.len() >= NAME_CHARS_MAX && name.chars().count() >= NAME_CHARS_MAX;
        let is_incomplete = peers.iter().any(|peer| peer == FOLDED) || hosts.iter().chain(&apps).any(is_cut);
        Self {
            hosts,
            apps,
            peers,
            is_incomplete,
        }
    }

    /// Values of the column that fit the term alone; `None` when the column itself must be looked at.
    pub(crate) fn of(&self, column: WordField, term: &Term) -> Option<Vec<String>> {
        let names = match column {
            WordField::Hostname => &self.hosts,
            WordField::AppName => &self.apps,
            WordField::Procid
            | WordField::Msgid
            | WordField::Id
            | WordField::Listener
            | WordField::TlsPeer => {
                return None;
            }
        };
        if self.is_incomplete {
            return None;
        }
        let matcher = Query::from(term.clone()).matcher(Timestamp::from_micros(0));
        let fits = |name: &&String| holds(&matcher, column, name);
        // The catalogue cannot tell an empty name from none.
        let empty = String::new();
        let names: Vec<String> = names
            .iter()
            .filter(|name| !name.is_empty())
            .chain([&empty])
            .filter(fits)
            .take(NAMES_MAX + 1)
            .cloned()
            .collect();
        (names.len() <= NAMES_MAX).then_some(names)
    }

    /// Addresses inside one of the networks; `None` when not all are known.
    pub(crate) fn peers_in(&self, networks: &[Network]) -> Option<Vec<&str>> {
        let is_inside = |peer: &&str| {
            let with_port = format!("[{peer}]:0");
            networks
                .iter()
                .any(|network| network.contains_peer(peer) || network.contains_peer(&with_port))
        };
        let peers = self.peers.iter().map(String::as_str).filter(is_inside);
        (!self.is_incomplete).then(|| peers.collect())
    }
}

/// Whether the expression asks for anything that may be a name.
pub(crate) fn are_needed(expr: &Expr) -> bool {
    match expr {
        Expr::Every => false,
        Expr::And(parts) | Expr::Or(parts) => parts.iter().any(are_needed),
        Expr::Not(inner) => are_needed(inner),
        Expr::Term(term) => matches!(
            term,
            Term::Text(_) | Term::Word(WordField::Hostname | WordField::AppName, _) | Term::PeerAddr(_)
        ),
    }
}

/// Whether the matcher finds what it looks for in the text.
pub(crate) fn message_holds(matcher: &Matcher, text: &str) -> bool {
    let id = EventId::from_uuid(Uuid::nil());
    let mut event = Event::received(id, 0, Timestamp::from_micros(0), "", "");
    event.message = Some(text.into());
    matcher.matches(&event)
}

fn holds(matcher: &Matcher, column: WordField, name: &str) -> bool {
    let id = EventId::from_uuid(Uuid::nil());
    let mut event = Event::received(id, 0, Timestamp::from_micros(0), "", "");
    match column {
        WordField::AppName => event.app_name = Some(name.into()),
        WordField::Hostname
        | WordField::Procid
        | WordField::Msgid
        | WordField::Id
        | WordField::Listener
        | WordField::TlsPeer => event.hostname = Some(name.into()),
    }
    matcher.matches(&event)
}

/// The columns that hold the field, if it has one of its own that is null where the field is absent.
pub(crate) const fn column_of(field: &Field) -> Option<&'static str> {
    Some(match field {
        Field::Message => "message",
        Field::Time(query::TimeField::Timestamp) | Field::Lag => "\"timestamp\"",
        Field::Severity => "severity",
        Field::Facility => "facility",
        Field::Word(word) => word_column(*word),
        Field::PeerAddr => "peer_addr",
        Field::Tags => "tags",
        Field::Time(query::TimeField::ReceivedAt) | Field::StructuredData { .. } | Field::Custom(_) => {
            return None;
        }
    })
}

pub(crate) const fn word_column(word: WordField) -> &'static str {
    match word {
        WordField::Hostname => "hostname",
        WordField::AppName => "app_name",
        WordField::Procid => "procid",
        WordField::Msgid => "msgid",
        WordField::Id => "id",
        WordField::Listener => "listener",
        WordField::TlsPeer => "tls_peer",
    }
}
