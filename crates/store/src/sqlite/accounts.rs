//! Accounts in a SQLite file beside the day files.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use event::Timestamp;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

use super::{Sqlite, blocking, file, notes};
use crate::{
    accounts::{Accepted, Invitation, SecretHash, Session, Token, User},
    error::StoreError,
};

const NAME: &str = "accounts.db";
const SCHEMA: &str = include_str!("accounts.sql");

/// `LFac`, in the header of the file.
const APPLICATION_ID: i32 = 0x4c46_6163;

/// How long to wait for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The connection, opened by the first that needs it.
#[derive(Debug, Clone, Default)]
pub(super) struct AccountsFile(Arc<Mutex<Option<Connection>>>);

fn open(path: &Path) -> Result<Connection, StoreError> {
    // Password hashes are nobody else's business. SQLite gives its log files the same mode.
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| file::refused(path, &error))?;
    let make = || {
        let mut conn = Connection::open(path)?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        conn.pragma_update(None, "journal_mode", "WAL")?;
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.pragma_update(None, "foreign_keys", true)?;
        let tx = conn.transaction()?;
        tx.execute_batch(SCHEMA)?;
        tx.execute_batch(notes::SCHEMA)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.commit()?;
        Ok(conn)
    };
    make().map_err(|error| file::sort(error, path))
}

impl Sqlite {
    pub(super) async fn with_accounts<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let path: PathBuf = self.dir.join(NAME);
        let accounts = self.accounts.clone();
        blocking(move || {
            let mut slot = accounts.0.lock();
            let conn = match &mut *slot {
                Some(conn) => conn,
                None => slot.insert(open(&path)?),
            };
            work(conn).map_err(|error| {
                // A file that was taken away or went wrong is opened anew.
                *slot = None;
                file::sort(error, &path)
            })
        })
        .await
    }

    /// Changes with one statement; tells how many rows.
    pub(super) async fn change<const N: usize>(
        &self,
        sql: &'static str,
        values: [rusqlite::types::Value; N],
    ) -> Result<u64, StoreError> {
        self.with_accounts(move |conn| {
            let rows = conn.execute(sql, rusqlite::params_from_iter(values))?;
            Ok(rows as u64)
        })
        .await
    }

    pub(crate) async fn users(&self) -> Result<Vec<User>, StoreError> {
        self.with_accounts(|conn| {
            conn.prepare("SELECT name, role, password_hash, made_at FROM users ORDER BY name")?
                .query_map([], user)?
                .collect()
        })
        .await
    }

    pub(crate) async fn user(&self, name: &str) -> Result<Option<User>, StoreError> {
        let name = name.to_owned();
        self.with_accounts(move |conn| find_user(conn, &name)).await
    }

    pub(crate) async fn change_password(&self, name: &str, password_hash: &str) -> Result<bool, StoreError> {
        let (name, password_hash) = (name.to_owned(), password_hash.to_owned());
        self.with_accounts(move |conn| {
            let tx = conn.transaction()?;
            let changed = tx.execute(
                "UPDATE users SET password_hash = ?2 WHERE name = ?1",
                params![name, password_hash],
            )?;
            tx.execute("DELETE FROM sessions WHERE user_name = ?1", [&name])?;
            tx.commit()?;
            Ok(changed > 0)
        })
        .await
    }

    pub(crate) async fn remove_user(&self, name: &str) -> Result<bool, StoreError> {
        let removed = self
            .change("DELETE FROM users WHERE name = ?1", [name.to_owned().into()])
            .await?;
        Ok(removed > 0)
    }

    pub(crate) async fn invite(&self, invitation: &Invitation, now: Timestamp) -> Result<(), StoreError> {
        let invitation = invitation.clone();
        self.with_accounts(move |conn| {
            let tx = conn.transaction()?;
            tx.execute("DELETE FROM invitations WHERE expires <= ?1", [now.as_micros()])?;
            tx.execute(
                "INSERT INTO invitations (hash, role, expires) VALUES (?1, ?2, ?3)",
                params![invitation.hash.0, invitation.role, invitation.expires.as_micros()],
            )?;
            tx.commit()
        })
        .await
    }

    pub(crate) async fn invitation(
        &self,
        hash: SecretHash,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        self.with_accounts(move |conn| {
            conn.query_row(
                "SELECT role FROM invitations WHERE hash = ?1 AND expires > ?2",
                params![hash.0, now.as_micros()],
                |row| row.get(0),
            )
            .optional()
        })
        .await
    }

    pub(crate) async fn accept(
        &self,
        hash: SecretHash,
        name: &str,
        password_hash: &str,
        now: Timestamp,
    ) -> Result<Accepted, StoreError> {
        let (name, password_hash) = (name.to_owned(), password_hash.to_owned());
        self.with_accounts(move |conn| {
            let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let role: Option<String> = tx
                .query_row(
                    "DELETE FROM invitations WHERE hash = ?1 AND expires > ?2 RETURNING role",
                    params![hash.0, now.as_micros()],
                    |row| row.get(0),
                )
                .optional()?;
            let Some(role) = role else {
                return Ok(Accepted::NotInvited);
            };
            let made = tx.execute(
                "INSERT INTO users (name, role, password_hash, made_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                params![name, role, password_hash, now.as_micros()],
            )?;
            if made == 0 {
                // Takes the invitation's removal back.
                return Ok(Accepted::NameTaken);
            }
            tx.commit()?;
            Ok(Accepted::Made(User {
                name,
                role,
                password_hash,
                made_at: now,
            }))
        })
        .await
    }

    pub(crate) async fn open_session(&self, session: &Session) -> Result<(), StoreError> {
        let session = session.clone();
        self.with_accounts(move |conn| {
            let tx = conn.transaction()?;
            tx.execute(
                "DELETE FROM sessions WHERE expires <= ?1",
                [session.since.as_micros()],
            )?;
            tx.execute(
                "INSERT INTO sessions (hash, user_name, since, last_seen, expires, address) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    session.hash.0,
                    session.user,
                    session.since.as_micros(),
                    session.last_seen.as_micros(),
                    session.expires.as_micros(),
                    session.address
                ],
            )?;
            tx.commit()
        })
        .await
    }

    pub(crate) async fn session(
        &self,
        hash: SecretHash,
        now: Timestamp,
    ) -> Result<Option<(Session, User)>, StoreError> {
        self.with_accounts(move |conn| {
            let found = conn
                .query_row(
                    "SELECT hash, user_name, since, last_seen, expires, address FROM sessions WHERE hash = ?1 AND expires > ?2",
                    params![hash.0, now.as_micros()],
                    session,
                )
                .optional()?;
            let Some(session) = found else {
                return Ok(None);
            };
            Ok(find_user(conn, &session.user)?.map(|user| (session, user)))
        })
        .await
    }

    pub(crate) async fn session_seen(&self, hash: SecretHash, now: Timestamp) -> Result<(), StoreError> {
        let values = [hash.0.to_vec().into(), now.as_micros().into()];
        self.change("UPDATE sessions SET last_seen = ?2 WHERE hash = ?1", values)
            .await
            .map(drop)
    }

    pub(crate) async fn sessions(&self, user: &str, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        let user = user.to_owned();
        self.with_accounts(move |conn| {
            conn.prepare(
                "SELECT hash, user_name, since, last_seen, expires, address FROM sessions \
                 WHERE user_name = ?1 AND expires > ?2 ORDER BY last_seen DESC",
            )?
            .query_map(params![user, now.as_micros()], session)?
            .collect()
        })
        .await
    }

    pub(crate) async fn end_session(&self, hash: SecretHash) -> Result<bool, StoreError> {
        let ended = self
            .change("DELETE FROM sessions WHERE hash = ?1", [hash.0.to_vec().into()])
            .await?;
        Ok(ended > 0)
    }

    pub(crate) async fn end_other_sessions(&self, user: &str, but: SecretHash) -> Result<u64, StoreError> {
        let values = [user.to_owned().into(), but.0.to_vec().into()];
        self.change("DELETE FROM sessions WHERE user_name = ?1 AND hash <> ?2", values)
            .await
    }

    pub(crate) async fn add_token(&self, token: &Token) -> Result<(), StoreError> {
        let token = token.clone();
        self.with_accounts(move |conn| {
            conn.execute(
                "INSERT INTO tokens (id, hash, name, scopes, query, made_by, made_at, expires) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    token.id.as_bytes(),
                    token.hash.0,
                    token.name,
                    token.scopes.join(" "),
                    token.query,
                    token.made_by,
                    token.made_at.as_micros(),
                    token.expires.as_micros()
                ],
            )
            .map(drop)
        })
        .await
    }

    pub(crate) async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.with_accounts(|conn| {
            conn.prepare(&format!("{TOKENS} ORDER BY made_at DESC, id"))?
                .query_map([], token)?
                .collect()
        })
        .await
    }

    pub(crate) async fn token(&self, hash: SecretHash, now: Timestamp) -> Result<Option<Token>, StoreError> {
        self.with_accounts(move |conn| {
            conn.query_row(
                &format!("{TOKENS} WHERE hash = ?1 AND expires > ?2"),
                params![hash.0, now.as_micros()],
                token,
            )
            .optional()
        })
        .await
    }

    pub(crate) async fn token_used(&self, id: Uuid, now: Timestamp) -> Result<(), StoreError> {
        let values = [id.as_bytes().to_vec().into(), now.as_micros().into()];
        self.change("UPDATE tokens SET last_used = ?2 WHERE id = ?1", values)
            .await
            .map(drop)
    }

    pub(crate) async fn remove_token(&self, id: Uuid) -> Result<bool, StoreError> {
        let removed = self
            .change(
                "DELETE FROM tokens WHERE id = ?1",
                [id.as_bytes().to_vec().into()],
            )
            .await?;
        Ok(removed > 0)
    }
}

const TOKENS: &str = "SELECT id, hash, name, scopes, query, made_by, made_at, expires, last_used FROM tokens";

fn find_user(conn: &Connection, name: &str) -> rusqlite::Result<Option<User>> {
    conn.query_row(
        "SELECT name, role, password_hash, made_at FROM users WHERE name = ?1",
        [name],
        user,
    )
    .optional()
}

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        name: row.get(0)?,
        role: row.get(1)?,
        password_hash: row.get(2)?,
        made_at: Timestamp::from_micros(row.get(3)?),
    })
}

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        hash: SecretHash(row.get(0)?),
        user: row.get(1)?,
        since: Timestamp::from_micros(row.get(2)?),
        last_seen: Timestamp::from_micros(row.get(3)?),
        expires: Timestamp::from_micros(row.get(4)?),
        address: row.get(5)?,
    })
}

fn token(row: &Row<'_>) -> rusqlite::Result<Token> {
    let scopes: String = row.get(3)?;
    Ok(Token {
        id: Uuid::from_bytes(row.get(0)?),
        hash: SecretHash(row.get(1)?),
        name: row.get(2)?,
        scopes: scopes.split_whitespace().map(str::to_owned).collect(),
        query: row.get(4)?,
        made_by: row.get(5)?,
        made_at: Timestamp::from_micros(row.get(6)?),
        expires: Timestamp::from_micros(row.get(7)?),
        last_used: row.get::<_, Option<i64>>(8)?.map(Timestamp::from_micros),
    })
}
