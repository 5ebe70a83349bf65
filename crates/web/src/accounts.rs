//! Who asks, and what they may. Without an account and on loopback: anybody, everything. Otherwise people sign in, and
//! programs bring a token.

mod access;
mod backoff;
mod first;
mod own_password;
mod password;
mod secret;
mod sessions;
mod sign_in;
mod tokens;
mod users;
mod visitor;

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use axum::{
    Router,
    http::{HeaderMap, header},
};
use event::Timestamp;
use parking_lot::Mutex;
use settings::WebSettings;
use store::{SecretHash, Store, StoreError};

use crate::{cookie, problem::Problem, state::State};

pub(crate) use self::{
    access::{Needed, Role, Scope, needed},
    visitor::Visitor,
};
use self::{
    backoff::Backoff,
    first::First,
    password::Passwords,
    secret::{SESSIONLESS, Secret},
};

/// How long who somebody is holds without asking the store again.
const KNOWN_FOR: Duration = Duration::from_secs(10);
/// The same while the store does not answer: whoever looks may go on, and see what is wrong.
const KNOWN_WITHOUT_STORE: Duration = Duration::from_secs(600);
/// Secrets remembered; beyond it they are forgotten and asked for again.
const KNOWN_MAX: usize = 4096;
/// How exactly the store knows when a session or token was last used.
const SEEN_EVERY_MICROS: i64 = 300 * 1_000_000;

/// The accounts in the store, and what this process knows of them.
#[derive(Debug)]
pub(crate) struct Accounts {
    store: store::Accounts,
    /// Only who is on this machine reaches the pages.
    is_local: bool,
    /// Cookies go over TLS only.
    is_secure: bool,
    session_age: Duration,
    known: Mutex<Known>,
    first: First,
    backoff: Backoff,
    passwords: Passwords,
    /// Guards forms where there is no session: what another site cannot read.
    csrf_key: Secret,
}

/// Whom this process let in, and whom no more.
#[derive(Debug, Default)]
struct Known {
    visitors: HashMap<SecretHash, (Instant, Visitor)>,
    /// Sessions that were ended here and of which the store does not know it yet.
    ended: HashSet<SecretHash>,
    /// Counts the changes of accounts: what was asked for before one is not remembered after it.
    changes: u64,
}

impl Accounts {
    pub(crate) fn new(settings: &WebSettings, addr: SocketAddr, store: Store) -> Self {
        let public = settings.public_url.as_deref();
        let url = public.map_or_else(|| format!("http://{addr}"), str::to_owned);
        Self {
            store: store.accounts(),
            is_local: addr.ip().is_loopback() && public.is_none_or(|url| is_local_host(host_of_url(url))),
            is_secure: url.starts_with("https://"),
            session_age: settings.session_age_max,
            known: Mutex::default(),
            first: First::new(url),
            backoff: Backoff::default(),
            passwords: Passwords::default(),
            csrf_key: Secret::random(),
        }
    }

    /// At the start: prints the link for the first account where one is needed.
    pub(crate) async fn begin(&self) {
        if self.is_local {
            return;
        }
        if !self.is_secure {
            tracing::warn!(
                "the pages are served without TLS beyond this machine: put a proxy with TLS before them and name it in web.public_url"
            );
        }
        if let Err(error) = self.has_users().await {
            tracing::warn!(%error, "cannot ask the store for accounts; the pages stay closed until it answers");
        }
    }

    /// Scheme and authority of the pages, for links that are read elsewhere.
    pub(crate) fn url(&self) -> &str {
        self.first.url()
    }

    /// Whether there is any account. Where there is none and one is needed, the link for the first is printed, once.
    async fn has_users(&self) -> Result<bool, StoreError> {
        if self.first.is_there(&self.store).await? {
            return Ok(true);
        }
        if !self.is_local {
            self.first.invite(&self.store).await?;
        }
        Ok(false)
    }

    /// Who sends a request with these headers.
    pub(crate) async fn visitor(&self, headers: &HeaderMap) -> Result<Visitor, Problem> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            return self.bearer(value.to_str().unwrap_or_default()).await;
        }
        let cookie = cookie::get(headers, self.cookie_name());
        if let Some(hash) = cookie.and_then(Secret::hash_of)
            && let Some(visitor) = self.session(hash).await?
        {
            return Ok(visitor);
        }
        if self.has_users().await? {
            return Ok(Visitor::Nobody);
        }
        if !self.is_local {
            return Ok(Visitor::NobodyYet);
        }
        self.expect_local(headers)?;
        Ok(Visitor::Anyone)
    }

    /// Where nobody signs in, being on this machine is what counts: not a page of another site whose name was made to
    /// lead here, and not whoever is behind a proxy.
    fn expect_local(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        if host.is_some_and(|host| !is_local_host(host)) {
            return Err(Problem::forbidden(
                "foreign_host",
                "These pages have no accounts yet and answer to this machine's own addresses only. Open them as http://127.0.0.1 or http://localhost, or set web.public_url to the name that you use.",
            ));
        }
        let is_proxied = ["forwarded", "x-forwarded-for", "x-real-ip"]
            .iter()
            .any(|name| headers.contains_key(*name));
        if is_proxied {
            return Err(Problem::forbidden(
                "proxied",
                "These pages have no accounts yet and a proxy stands before them. Set web.public_url to the address that people type, and make the first account by the link that is printed at the start.",
            ));
        }
        Ok(())
    }

    async fn bearer(&self, value: &str) -> Result<Visitor, Problem> {
        let token = value
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .and_then(|(_, token)| token.trim().strip_prefix(tokens::PREFIX));
        let visitor = match token.and_then(Secret::hash_of) {
            Some(hash) => self.token(hash).await?,
            None => None,
        };
        visitor.ok_or_else(|| {
            Problem::new(
                axum::http::StatusCode::UNAUTHORIZED,
                "bad_token",
                "The token is unknown, removed or expired.",
            )
        })
    }

    async fn session(&self, hash: SecretHash) -> Result<Option<Visitor>, StoreError> {
        if self.known.lock().ended.contains(&hash) {
            self.end_session(hash).await;
            return Ok(None);
        }
        if let Some(visitor) = self.remembered(hash, KNOWN_FOR) {
            return Ok(Some(visitor));
        }
        let (now, changes) = (Timestamp::now(), self.changes());
        let found = match self.store.session(hash, now).await {
            Ok(found) => found,
            Err(error) => return self.remembered(hash, KNOWN_WITHOUT_STORE).map(Some).ok_or(error),
        };
        let Some((session, user)) = found else {
            self.known.lock().visitors.remove(&hash);
            return Ok(None);
        };
        if now.as_micros() - session.last_seen.as_micros() > SEEN_EVERY_MICROS {
            self.store.session_seen(hash, now).await?;
        }
        let visitor = Visitor::User {
            role: Role::of(&user.role),
            name: user.name,
            session: hash,
        };
        self.remember(hash, visitor.clone(), changes);
        Ok(Some(visitor))
    }

    /// Ends a session. In this process it is over at once, even while the store is away; there it is over as soon as
    /// the store is back and the session is tried again.
    async fn end_session(&self, hash: SecretHash) {
        {
            let mut known = self.known.lock();
            known.visitors.remove(&hash);
            known.changes += 1;
            if known.ended.len() >= KNOWN_MAX {
                // Then all that is remembered has to be asked for again, which without the store lets nobody in.
                known.ended.clear();
                known.visitors.clear();
            }
            known.ended.insert(hash);
        }
        match self.store.end_session(hash).await {
            Ok(_) => {
                self.known.lock().ended.remove(&hash);
            }
            Err(error) => tracing::warn!(%error, "a session is ended here, and not yet in the store"),
        }
    }

    async fn token(&self, hash: SecretHash) -> Result<Option<Visitor>, StoreError> {
        if let Some(visitor) = self.remembered(hash, KNOWN_FOR) {
            return Ok(Some(visitor));
        }
        let (now, changes) = (Timestamp::now(), self.changes());
        let Some(token) = self.store.token(hash, now).await? else {
            return Ok(None);
        };
        // A token can never do more than its maker.
        let Some(maker) = self.store.user(&token.made_by).await? else {
            return Ok(None);
        };
        let used = token.last_used.map_or(i64::MIN, Timestamp::as_micros);
        if now.as_micros().saturating_sub(used) > SEEN_EVERY_MICROS {
            self.store.token_used(token.id, now).await?;
        }
        let role = Role::of(&maker.role);
        let scopes = token.scopes.iter().filter_map(|word| Scope::of(word));
        let visitor = Visitor::Token {
            name: token.name,
            scopes: scopes.filter(|scope| role.may(*scope)).collect(),
            query: token.query,
        };
        self.remember(hash, visitor.clone(), changes);
        Ok(Some(visitor))
    }

    fn changes(&self) -> u64 {
        self.known.lock().changes
    }

    fn remembered(&self, hash: SecretHash, age: Duration) -> Option<Visitor> {
        let known = self.known.lock();
        let (at, visitor) = known.visitors.get(&hash)?;
        (at.elapsed() < age).then(|| visitor.clone())
    }

    /// Unless accounts were changed since `changes` was read.
    fn remember(&self, hash: SecretHash, visitor: Visitor, changes: u64) {
        let mut known = self.known.lock();
        if known.changes != changes {
            return;
        }
        if known.visitors.len() >= KNOWN_MAX {
            known.visitors.clear();
        }
        known.visitors.insert(hash, (Instant::now(), visitor));
    }

    /// After a change of accounts.
    fn forget_all(&self) {
        let mut known = self.known.lock();
        known.visitors.clear();
        known.changes += 1;
    }

    /// What forms of this visitor carry. Of a session it is the same in every process, so that several may stand behind
    /// one address.
    pub(crate) fn csrf(&self, visitor: &Visitor) -> String {
        match visitor.session() {
            SESSIONLESS => self.csrf_key.with(SESSIONLESS),
            session => secret::mark(session),
        }
    }

    const fn cookie_name(&self) -> &'static str {
        if self.is_secure {
            "__Host-lf_session"
        } else {
            "lf_session"
        }
    }

    /// The header that begins a session, or ends it without a secret.
    fn cookie(&self, secret: Option<&Secret>) -> String {
        let (value, age) = match secret {
            Some(secret) => (secret.text(), self.session_age.as_secs()),
            None => (String::new(), 0),
        };
        let secure = if self.is_secure { "; Secure" } else { "" };
        let name = self.cookie_name();
        format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}")
    }
}

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .merge(sign_in::routes())
        .merge(own_password::routes())
        .merge(tokens::routes())
        .merge(sessions::routes())
        .merge(users::routes())
}

fn host_of_url(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, host)| host)
}

/// Whether a `Host` header names this machine in a way that no name server can turn elsewhere.
fn is_local_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:80",
            "127.1.2.3",
            "[::1]:8080",
        ] {
            assert!(is_local_host(host), "{host}");
        }
        for host in [
            "evil.example:8080",
            "192.0.2.1",
            "[2001:db8::1]:80",
            "",
            "localhost.evil.example",
        ] {
            assert!(!is_local_host(host), "{host}");
        }
    }
}
