//! Who sends a request.

use store::SecretHash;

use super::{
    access::{Needed, Role, Scope},
    secret::SESSIONLESS,
};

/// Who it is.
#[derive(Debug, Clone)]
pub(crate) enum Visitor {
    /// Somebody on this machine, where there are no accounts.
    Anyone,
    /// Somebody who signed in.
    User {
        name: String,
        role: Role,
        session: SecretHash,
    },
    /// A program with a token.
    Token {
        name: String,
        scopes: Vec<Scope>,
        /// It sees only events that match.
        query: Option<String>,
    },
    /// Nobody who may look, though there are accounts.
    Nobody,
    /// Nobody can sign in, because the first account is still to be made.
    NobodyYet,
}

impl Visitor {
    /// Whether it may do something that needs `needed`.
    pub(crate) fn may(&self, needed: Needed) -> bool {
        match (self, needed) {
            (_, Needed::Nothing) => true,
            (Self::Nobody | Self::NobodyYet, _) => false,
            (Self::Anyone, _) => true,
            (Self::User { .. } | Self::Token { .. }, Needed::Visitor)
            | (Self::User { .. }, Needed::Person) => true,
            (Self::Token { .. }, Needed::Person) => false,
            (Self::User { role, .. }, Needed::Scope(scope)) => role.may(scope),
            (Self::Token { scopes, query, .. }, Needed::Scope(scope)) => {
                // Only what goes by the query can keep to it.
                let is_bound = query.is_some() && !matches!(scope, Scope::SearchRead | Scope::TailRead);
                scopes.contains(&scope) && !is_bound
            }
        }
    }

    /// For templates: whether it may do what `scope` says.
    pub(crate) fn may_do(&self, scope: &str) -> bool {
        Scope::of(scope).is_some_and(|scope| self.may(Needed::Scope(scope)))
    }

    /// The name of a user who signed in.
    pub(crate) fn user(&self) -> Option<&str> {
        match self {
            Self::User { name, .. } => Some(name),
            Self::Anyone | Self::Token { .. } | Self::Nobody | Self::NobodyYet => None,
        }
    }

    /// For what is kept: who did it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::User { name, .. } | Self::Token { name, .. } => name,
            Self::Anyone | Self::Nobody | Self::NobodyYet => "somebody on this machine",
        }
    }

    /// For notes: who wrote it. No user has a name with a space in it.
    pub(crate) fn author(&self) -> String {
        match self {
            Self::Token { name, .. } => format!("token {name}"),
            Self::User { .. } | Self::Anyone | Self::Nobody | Self::NobodyYet => self.name().to_owned(),
        }
    }

    /// The query that what it sees is bound to.
    pub(crate) fn bound_query(&self) -> Option<&str> {
        match self {
            Self::Token { query, .. } => query.as_deref(),
            Self::Anyone | Self::User { .. } | Self::Nobody | Self::NobodyYet => None,
        }
    }

    pub(super) const fn session(&self) -> SecretHash {
        match self {
            Self::User { session, .. } => *session,
            Self::Anyone | Self::Token { .. } | Self::Nobody | Self::NobodyYet => SESSIONLESS,
        }
    }

    pub(crate) const fn is_token(&self) -> bool {
        matches!(self, Self::Token { .. })
    }
}
