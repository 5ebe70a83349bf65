//! Who may look at the events: users, their sessions, tokens of programs, and invitations to become a user. Secrets come
//! in as hashes only. What a role and a scope allow is the matter of the pages.

use event::Timestamp;
use uuid::Uuid;

use crate::{Kind, Store, StoreError};

/// SHA-256 of a secret that has at least 128 random bits, so that it needs no salt.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretHash(pub [u8; 32]);

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// Somebody with a name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Unique.
    pub name: String,
    /// A word that the pages know.
    pub role: String,
    /// In the PHC string format.
    pub password_hash: String,
    /// Since when.
    pub made_at: Timestamp,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// A browser that signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Of the cookie.
    pub hash: SecretHash,
    /// Whose.
    pub user: String,
    /// When it signed in.
    pub since: Timestamp,
    /// When it was last heard of, within some minutes.
    pub last_seen: Timestamp,
    /// It is none any more from then on.
    pub expires: Timestamp,
    /// From where it signed in.
    pub address: String,
}

/// The key of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// For people and pages.
    pub id: Uuid,
    /// Of the token.
    pub hash: SecretHash,
    /// What it is for.
    pub name: String,
    /// What it may do: words that the pages know.
    pub scopes: Vec<String>,
    /// Only events that match this query.
    pub query: Option<String>,
    /// Who made it; it goes with that user.
    pub made_by: String,
    /// Since when.
    pub made_at: Timestamp,
    /// It is none any more from then on.
    pub expires: Timestamp,
    /// When it was last used, within some minutes.
    pub last_used: Option<Timestamp>,
}

/// The right to become a user, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Of the link.
    pub hash: SecretHash,
    /// The role that the user gets.
    pub role: String,
    /// It is none any more from then on.
    pub expires: Timestamp,
}

/// What became of an invitation that somebody wanted to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// The user is there, and the invitation is used up.
    Made(User),
    /// The invitation is used up, too old, or never was one.
    NotInvited,
    /// Another user has the name; the invitation is still good.
    NameTaken,
}

/// The accounts in a store.
#[derive(Debug, Clone)]
pub struct Accounts(Store);

impl Store {
    /// The accounts in this store.
    #[must_use]
    pub fn accounts(&self) -> Accounts {
        Accounts(self.clone())
    }
}

/// Every operation is the same call on both kinds.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $kind:ty),*) -> $result:ty;)+) => {
        impl Accounts {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// [`StoreError`].
                pub async fn $name(&self, $($arg: $kind),*) -> Result<$result, StoreError> {
                    match &*self.0.kind {
                        Kind::Postgres(store) => store.$name($($arg),*).await,
                        Kind::Sqlite(store) => store.$name($($arg),*).await,
                    }
                }
            )+
        }
    };
}

operations! {
    /// All users, by name.
    users() -> Vec<User>;
    /// The user of this name.
    user(name: &str) -> Option<User>;
    /// Changes a password and ends the user's sessions. False when there is no such user.
    change_password(name: &str, password_hash: &str) -> bool;
    /// Removes a user with sessions and tokens. False when there was none.
    remove_user(name: &str) -> bool;
    /// Keeps an invitation; those that are too old go.
    invite(invitation: &Invitation, now: Timestamp) -> ();
    /// The role that an invitation gives, if it is one.
    invitation(hash: SecretHash, now: Timestamp) -> Option<String>;
    /// Makes a user by an invitation, which is used up.
    accept(hash: SecretHash, name: &str, password_hash: &str, now: Timestamp) -> Accepted;
    /// Keeps a session; those that are too old go.
    open_session(session: &Session) -> ();
    /// The session of this secret and its user.
    session(hash: SecretHash, now: Timestamp) -> Option<(Session, User)>;
    /// Notes that a session is in use.
    session_seen(hash: SecretHash, now: Timestamp) -> ();
    /// Sessions of a user, the latest seen first.
    sessions(user: &str, now: Timestamp) -> Vec<Session>;
    /// Ends a session. False when there was none.
    end_session(hash: SecretHash) -> bool;
    /// Ends all sessions of a user but this one, and tells how many.
    end_other_sessions(user: &str, but: SecretHash) -> u64;
    /// Keeps a token.
    add_token(token: &Token) -> ();
    /// All tokens, the newest first, expired ones too.
    tokens() -> Vec<Token>;
    /// The token of this secret.
    token(hash: SecretHash, now: Timestamp) -> Option<Token>;
    /// Notes that a token is in use.
    token_used(id: Uuid, now: Timestamp) -> ();
    /// Removes a token. False when there was none.
    remove_token(id: Uuid) -> bool;
}
