//! Accounts in PostgreSQL.

use event::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use super::Postgres;
use crate::{
    accounts::{Accepted, Invitation, SecretHash, Session, Token, User},
    error::{Source, StoreError},
};

const USERS: &str = "SELECT name, role, password_hash, made_at FROM users";
const SESSIONS: &str = "SELECT hash, user_name, since, last_seen, expires, address FROM sessions";
const TOKENS: &str = "SELECT id, hash, name, scopes, query, made_by, made_at, expires, last_used FROM tokens";

impl Postgres {
    pub(crate) async fn users(&self) -> Result<Vec<User>, StoreError> {
        let rows = self
            .client()
            .await?
            .query(&format!("{USERS} ORDER BY name"), &[])
            .await?;
        rows.iter().map(user).collect()
    }

    pub(crate) async fn user(&self, name: &str) -> Result<Option<User>, StoreError> {
        let row = self
            .client()
            .await?
            .query_opt(&format!("{USERS} WHERE name = $1"), &[&name])
            .await?;
        row.as_ref().map(user).transpose()
    }

    pub(crate) async fn change_password(&self, name: &str, password_hash: &str) -> Result<bool, StoreError> {
        let mut client = self.client().await?;
        let tx = client.transaction().await?;
        let changed = tx
            .execute(
                "UPDATE users SET password_hash = $2 WHERE name = $1",
                &[&name, &password_hash],
            )
            .await?;
        tx.execute("DELETE FROM sessions WHERE user_name = $1", &[&name])
            .await?;
        tx.commit().await?;
        Ok(changed > 0)
    }

    pub(crate) async fn remove_user(&self, name: &str) -> Result<bool, StoreError> {
        let removed = self
            .client()
            .await?
            .execute("DELETE FROM users WHERE name = $1", &[&name])
            .await?;
        Ok(removed > 0)
    }

    pub(crate) async fn invite(&self, invitation: &Invitation, now: Timestamp) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let tx = client.transaction().await?;
        tx.execute("DELETE FROM invitations WHERE expires <= $1", &[&now.as_micros()])
            .await?;
        tx.execute(
            "INSERT INTO invitations (hash, role, expires) VALUES ($1, $2, $3)",
            &[
                &&invitation.hash.0[..],
                &invitation.role,
                &invitation.expires.as_micros(),
            ],
        )
        .await?;
        Ok(tx.commit().await?)
    }

    pub(crate) async fn invitation(
        &self,
        hash: SecretHash,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let row = self
            .client()
            .await?
            .query_opt(
                "SELECT role FROM invitations WHERE hash = $1 AND expires > $2",
                &[&&hash.0[..], &now.as_micros()],
            )
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    pub(crate) async fn accept(
        &self,
        hash: SecretHash,
        name: &str,
        password_hash: &str,
        now: Timestamp,
    ) -> Result<Accepted, StoreError> {
        let mut client = self.client().await?;
        let tx = client.transaction().await?;
        let role = tx
            .query_opt(
                "DELETE FROM invitations WHERE hash = $1 AND expires > $2 RETURNING role",
                &[&&hash.0[..], &now.as_micros()],
            )
            .await?;
        let Some(role) = role else {
            return Ok(Accepted::NotInvited);
        };
        let role: String = role.try_get(0)?;
        let made = tx
            .execute(
                "INSERT INTO users (name, role, password_hash, made_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                &[&name, &role, &password_hash, &now.as_micros()],
            )
            .await?;
        if made == 0 {
            // Takes the invitation's removal back.
            tx.rollback().await?;
            return Ok(Accepted::NameTaken);
        }
        tx.commit().await?;
        Ok(Accepted::Made(User {
            name: name.to_owned(),
            role,
            password_hash: password_hash.to_owned(),
            made_at: now,
        }))
    }

    pub(crate) async fn open_session(&self, session: &Session) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let tx = client.transaction().await?;
        tx.execute(
            "DELETE FROM sessions WHERE expires <= $1",
            &[&session.since.as_micros()],
        )
        .await?;
        tx.execute(
            "INSERT INTO sessions (hash, user_name, since, last_seen, expires, address) VALUES ($1, $2, $3, $4, $5, $6)",
            &[
                &&session.hash.0[..],
                &session.user,
                &session.since.as_micros(),
                &session.last_seen.as_micros(),
                &session.expires.as_micros(),
                &session.address,
            ],
        )
        .await?;
        Ok(tx.commit().await?)
    }

    pub(crate) async fn session(
        &self,
        hash: SecretHash,
        now: Timestamp,
    ) -> Result<Option<(Session, User)>, StoreError> {
        let row = self
            .client()
            .await?
            .query_opt(
                &format!("{SESSIONS} WHERE hash = $1 AND expires > $2"),
                &[&&hash.0[..], &now.as_micros()],
            )
            .await?;
        let Some(session) = row.as_ref().map(session).transpose()? else {
            return Ok(None);
        };
        Ok(self.user(&session.user).await?.map(|user| (session, user)))
    }

    pub(crate) async fn session_seen(&self, hash: SecretHash, now: Timestamp) -> Result<(), StoreError> {
        self.client()
            .await?
            .execute(
                "UPDATE sessions SET last_seen = $2 WHERE hash = $1",
                &[&&hash.0[..], &now.as_micros()],
            )
            .await?;
        Ok(())
    }

    pub(crate) async fn sessions(&self, user: &str, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        let rows = self
            .client()
            .await?
            .query(
                &format!("{SESSIONS} WHERE user_name = $1 AND expires > $2 ORDER BY last_seen DESC"),
                &[&user, &now.as_micros()],
            )
            .await?;
        rows.iter().map(session).collect()
    }

    pub(crate) async fn end_session(&self, hash: SecretHash) -> Result<bool, StoreError> {
        let ended = self
            .client()
            .await?
            .execute("DELETE FROM sessions WHERE hash = $1", &[&&hash.0[..]])
            .await?;
        Ok(ended > 0)
    }

    pub(crate) async fn end_other_sessions(&self, user: &str, but: SecretHash) -> Result<u64, StoreError> {
        let ended = self
            .client()
            .await?
            .execute(
                "DELETE FROM sessions WHERE user_name = $1 AND hash <> $2",
                &[&user, &&but.0[..]],
            )
            .await?;
        Ok(ended)
    }

    pub(crate) async fn add_token(&self, token: &Token) -> Result<(), StoreError> {
        self.client()
            .await?
            .execute(
                "INSERT INTO tokens (id, hash, name, scopes, query, made_by, made_at, expires) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                &[
                    &token.id,
                    &&token.hash.0[..],
                    &token.name,
                    &token.scopes.join(" "),
                    &token.query,
                    &token.made_by,
                    &token.made_at.as_micros(),
                    &token.expires.as_micros(),
                ],
            )
            .await?;
        Ok(())
    }

    pub(crate) async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        let rows = self
            .client()
            .await?
            .query(&format!("{TOKENS} ORDER BY made_at DESC, id"), &[])
            .await?;
        rows.iter().map(token).collect()
    }

    pub(crate) async fn token(&self, hash: SecretHash, now: Timestamp) -> Result<Option<Token>, StoreError> {
        let row = self
            .client()
            .await?
            .query_opt(
                &format!("{TOKENS} WHERE hash = $1 AND expires > $2"),
                &[&&hash.0[..], &now.as_micros()],
            )
            .await?;
        row.as_ref().map(token).transpose()
    }

    pub(crate) async fn token_used(&self, id: Uuid, now: Timestamp) -> Result<(), StoreError> {
        self.client()
            .await?
            .execute(
                "UPDATE tokens SET last_used = $2 WHERE id = $1",
                &[&id, &now.as_micros()],
            )
            .await?;
        Ok(())
    }

    pub(crate) async fn remove_token(&self, id: Uuid) -> Result<bool, StoreError> {
        let removed = self
            .client()
            .await?
            .execute("DELETE FROM tokens WHERE id = $1", &[&id])
            .await?;
        Ok(removed > 0)
    }
}

fn user(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        name: row.try_get(0)?,
        role: row.try_get(1)?,
        password_hash: row.try_get(2)?,
        made_at: Timestamp::from_micros(row.try_get(3)?),
    })
}

fn session(row: &Row) -> Result<Session, StoreError> {
    Ok(Session {
        hash: hash(row.try_get(0)?)?,
        user: row.try_get(1)?,
        since: Timestamp::from_micros(row.try_get(2)?),
        last_seen: Timestamp::from_micros(row.try_get(3)?),
        expires: Timestamp::from_micros(row.try_get(4)?),
        address: row.try_get(5)?,
    })
}

fn token(row: &Row) -> Result<Token, StoreError> {
    let scopes: &str = row.try_get(3)?;
    Ok(Token {
        id: row.try_get(0)?,
        hash: hash(row.try_get(1)?)?,
        name: row.try_get(2)?,
        scopes: scopes.split_whitespace().map(str::to_owned).collect(),
        query: row.try_get(4)?,
        made_by: row.try_get(5)?,
        made_at: Timestamp::from_micros(row.try_get(6)?),
        expires: Timestamp::from_micros(row.try_get(7)?),
        last_used: row.try_get::<_, Option<i64>>(8)?.map(Timestamp::from_micros),
    })
}

fn hash(bytes: &[u8]) -> Result<SecretHash, StoreError> {
    let bytes = bytes.try_into().map_err(|error: std::array::TryFromSliceError| {
        let source: Source = Box::new(error);
        StoreError::Unexpected(source)
    })?;
    Ok(SecretHash(bytes))
}
