//! What may be done, by whom, and where: one table for all pages, in which what is forgotten is forbidden.

use axum::http::Method;

/// Something that may be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    SearchRead,
    TailRead,
    PipelineRead,
    DeadRead,
    DeadAct,
    SourcesEdit,
    Admin,
}

impl Scope {
    pub(crate) const ALL: [Self; 7] = [
        Self::SearchRead,
        Self::TailRead,
        Self::PipelineRead,
        Self::DeadRead,
        Self::DeadAct,
        Self::SourcesEdit,
        Self::Admin,
    ];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::SearchRead => "search:read",
            Self::TailRead => "tail:read",
            Self::PipelineRead => "pipeline:read",
            Self::DeadRead => "dead:read",
            Self::DeadAct => "dead:act",
            Self::SourcesEdit => "sources:edit",
            Self::Admin => "admin",
        }
    }

    pub(crate) fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.word() == word)
    }
}

/// What a user is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Looks.
    Reader,
    /// Also sends dead letters back, and says which sources are expected.
    Operator,
    /// Also decides who may.
    Admin,
}

impl Role {
    pub(crate) const ALL: [Self; 3] = [Self::Reader, Self::Operator, Self::Admin];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Of its word in the store; the least one for a word of another version.
    pub(crate) fn of(word: &str) -> Self {
        Self::named(word).unwrap_or(Self::Reader)
    }

    pub(crate) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }

    pub(crate) const fn may(self, scope: Scope) -> bool {
        match scope {
            Scope::SearchRead | Scope::TailRead | Scope::PipelineRead | Scope::DeadRead => true,
            Scope::DeadAct | Scope::SourcesEdit => matches!(self, Self::Operator | Self::Admin),
            Scope::Admin => matches!(self, Self::Admin),
        }
    }
}

/// What an address needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needed {
    /// Nothing.
    Nothing,
    /// Somebody who may look, whoever.
    Visitor,
    /// A user, and no program.
    Person,
    /// This.
    Scope(Scope),
}

/// What `path` needs. A path that is not here is for administrators.
pub(crate) fn needed(method: &Method, path: &str) -> Needed {
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    let first = path.split('/').nth(1).unwrap_or_default();
    let is_read = method == Method::GET || method == Method::HEAD;
    match first {
        "assets" | "sign-in" | "set-up" => Needed::Nothing,
        "" | "preferences" | "sign-out" => Needed::Visitor,
        "search" | "searches" | "event" | "events" | "histogram" | "count" | "fields" | "patterns"
        | "suggest" | "query" | "export" | "saved" | "s" | "links" => Needed::Scope(Scope::SearchRead),
        "tail" => Needed::Scope(Scope::TailRead),
        "pipeline" | "clients" | "durability" => Needed::Scope(Scope::PipelineRead),
        "sources" if is_read => Needed::Scope(Scope::PipelineRead),
        "sources" => Needed::Scope(Scope::SourcesEdit),
        "dead-letters" if is_read => Needed::Scope(Scope::DeadRead),
        "dead-letters" => Needed::Scope(Scope::DeadAct),
        "settings" if path == "/settings/users" || path.starts_with("/settings/users/") => {
            Needed::Scope(Scope::Admin)
        }
        "settings" | "tokens" | "sessions" => Needed::Person,
        _ => Needed::Scope(Scope::Admin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_is_forbidden() {
        assert_eq!(needed(&Method::GET, "/new-page"), Needed::Scope(Scope::Admin));
        assert_eq!(needed(&Method::GET, "/api/v1/new"), Needed::Scope(Scope::Admin));
        assert_eq!(needed(&Method::GET, "//search"), Needed::Visitor);
    }

    #[test]
    fn reading_and_acting_differ() {
        assert_eq!(
            needed(&Method::GET, "/dead-letters"),
            Needed::Scope(Scope::DeadRead)
        );
        let requeue = "/api/v1/dead-letters/requeue";
        assert_eq!(needed(&Method::POST, requeue), Needed::Scope(Scope::DeadAct));
        assert!(!Role::Reader.may(Scope::DeadAct));
        assert!(Role::Operator.may(Scope::DeadAct));
        assert!(!Role::Operator.may(Scope::Admin));
    }

    #[test]
    fn words_are_read_back() {
        for scope in Scope::ALL {
            assert_eq!(Scope::of(scope.word()), Some(scope));
        }
        for role in Role::ALL {
            assert_eq!(Role::of(role.word()), role);
        }
        assert_eq!(Role::of("emperor"), Role::Reader);
    }
}
