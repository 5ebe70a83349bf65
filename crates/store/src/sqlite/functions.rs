//! The SQL function by which SQLite compares: the query's own test, so that it means what it means in memory. What
//! SQLite has itself compares only ASCII without case, and stops at a NUL.

use std::{borrow::Cow, sync::Arc};

use event::{Event, EventId, Timestamp};
use query::{Field, Matcher, Query, Term, WordField};
use rusqlite::{
    Connection,
    functions::{Context, FunctionFlags},
    types::ValueRef,
};
use uuid::Uuid;

use crate::json::{read_fields, read_strings, read_structured_data};

/// A term, and the field of an event in which it wants the column's value.
#[derive(Debug)]
pub(super) struct Test {
    matcher: Matcher,
    slot: Slot,
}

/// Where a value goes.
#[derive(Debug, Clone, Copy)]
enum Slot {
    Message,
    Word(WordField),
    PeerAddr,
    Tags,
    StructuredData,
    Fields,
}

impl Test {
    pub(super) fn new(term: &Term) -> Self {
        let slot = match term {
            Term::Word(word, _) => Slot::Word(*word),
            Term::PeerAddr(_) => Slot::PeerAddr,
            Term::Tag(_) => Slot::Tags,
            Term::StructuredData { .. } | Term::Exists(Field::StructuredData { .. }) => Slot::StructuredData,
            Term::Custom(..) | Term::Number(..) | Term::Exists(_) => Slot::Fields,
            // A text is looked for in names as in the message.
            Term::Text(_)
            | Term::Message(_)
            | Term::Time(..)
            | Term::Lag(_)
            | Term::Severity(_)
            | Term::Facility(_) => Slot::Message,
        };
        Self {
            matcher: Query::from(term.clone()).matcher(Timestamp::from_micros(0)),
            slot,
        }
    }

    fn holds(&self, value: ValueRef<'_>) -> bool {
        let mut event = Event::received(
            EventId::from_uuid(Uuid::nil()),
            0,
            Timestamp::from_micros(0),
            "",
            "",
        );
        match (value, self.slot) {
            (ValueRef::Blob(id), Slot::Word(WordField::Id)) => match Uuid::from_slice(id) {
                Ok(id) => event.id = EventId::from_uuid(id),
                Err(_) => return false,
            },
            (ValueRef::Text(text), slot) => match std::str::from_utf8(text) {
                Ok(text) => fill(&mut event, slot, text),
                Err(_) => return false,
            },
            // What is absent fits nothing.
            (ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_), _) => {
                return false;
            }
        }
        self.matcher.matches(&event)
    }
}

fn fill<'t>(event: &mut Event<'t>, slot: Slot, text: &'t str) {
    let borrowed = Cow::Borrowed(text);
    match slot {
        Slot::Message => event.message = Some(borrowed),
        Slot::Word(WordField::Hostname) => event.hostname = Some(borrowed),
        Slot::Word(WordField::AppName) => event.app_name = Some(borrowed),
        Slot::Word(WordField::Procid) => event.procid = Some(borrowed),
        Slot::Word(WordField::Msgid) => event.msgid = Some(borrowed),
        Slot::Word(WordField::Listener) => event.listener = borrowed,
        Slot::Word(WordField::TlsPeer) => event.tls_peer = Some(borrowed),
        // Kept as bytes.
        Slot::Word(WordField::Id) => {}
        Slot::PeerAddr => event.peer_addr = borrowed,
        Slot::Tags => event.tags = read_strings(text),
        Slot::StructuredData => event.structured_data = read_structured_data(text),
        Slot::Fields => event.fields = read_fields(text),
    }
}

/// Adds `holds(number of a test, column)` to a connection.
pub(super) fn add(conn: &Connection, tests: Arc<Vec<Test>>) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    conn.create_scalar_function("holds", 2, flags, move |ctx: &Context<'_>| {
        let number: i64 = ctx.get(0)?;
        let test = usize::try_from(number).ok().and_then(|number| tests.get(number));
        Ok(test.is_some_and(|test| test.holds(ctx.get_raw(1))))
    })
}
