//! What people write down on the pages: searches they saved, short links, what is expected of sources, letters that are
//! held, and who did what. What stands in a note is the matter of the pages.

use event::Timestamp;

use crate::{Kind, Store, StoreError};

/// What a note is about; each subject has keys of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A search with a name.
    Search,
    /// A short link to a search.
    Link,
    /// A source that is expected to speak.
    Expected,
    /// A source whose silence is no news.
    Muted,
    /// A dead letter that is to stay where it is.
    Held,
    /// A dead letter whose lines were sent to the parser, until it is known how that ended.
    Sent,
    /// Something that somebody did.
    Act,
}

impl Subject {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Search,
        Self::Link,
        Self::Expected,
        Self::Muted,
        Self::Held,
        Self::Sent,
        Self::Act,
    ];

    /// As it stands in the table.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Link => "link",
            Self::Expected => "expected",
            Self::Muted => "muted",
            Self::Held => "held",
            Self::Sent => "sent",
            Self::Act => "act",
        }
    }
}

/// Something that somebody wrote down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is about.
    pub subject: Subject,
    /// Unique among those of the subject.
    pub key: String,
    /// Who wrote it.
    pub author: String,
    /// When.
    pub at: Timestamp,
    /// JSON that the pages know.
    pub body: String,
}

/// The notes in a store.
#[derive(Debug, Clone)]
pub struct Notes(Store);

impl Store {
    /// The notes in this store.
    #[must_use]
    pub fn notes(&self) -> Notes {
        Notes(self.clone())
    }
}

/// Every operation is the same call on both kinds.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident => $call:ident($($arg:ident: $kind:ty),*) -> $result:ty;)+) => {
        impl Notes {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// [`StoreError`].
                pub async fn $name(&self, $($arg: $kind),*) -> Result<$result, StoreError> {
                    match &*self.0.kind {
                        Kind::Postgres(store) => store.$call($($arg),*).await,
                        Kind::Sqlite(store) => store.$call($($arg),*).await,
                    }
                }
            )+
        }
    };
}

operations! {
    /// Keeps a note, in place of the one with its key.
    put => put_note(note: &Note) -> ();
    /// Keeps a note unless there is one with its key. False when there is.
    add => add_note(note: &Note) -> bool;
    /// The note of this key.
    get => note(subject: Subject, key: &str) -> Option<Note>;
    /// The newest notes of a subject, the newest first; with `before` only older ones.
    newest => notes(subject: Subject, before: Option<Timestamp>, limit: usize) -> Vec<Note>;
    /// How many notes of a subject there are.
    count => count_notes(subject: Subject) -> u64;
    /// Removes a note. False when there was none.
    remove => remove_note(subject: Subject, key: &str) -> bool;
    /// Removes the oldest notes of a subject until `keep` are left, and tells how many went.
    trim => trim_notes(subject: Subject, keep: usize) -> u64;
}
