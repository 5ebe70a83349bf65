//! The first account: whether there is one, and the link by which it is made.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use event::Timestamp;
use parking_lot::Mutex;
use store::{Invitation, StoreError};

use super::{access::Role, secret::Secret};

/// How long "there is none" holds: another process may have made one.
const NONE_FOR: Duration = Duration::from_secs(2);
/// How long it holds while the store does not answer.
const NONE_WITHOUT_STORE: Duration = Duration::from_secs(600);
/// For whoever reads the terminal or the journal.
pub(super) const LINK_AGE_MICROS: i64 = 24 * 3600 * 1_000_000;

#[derive(Debug)]
pub(super) struct First {
    /// Scheme and authority of links.
    url: String,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    is_there: bool,
    none_at: Option<Instant>,
    is_invited: bool,
}

impl First {
    /// Scheme and authority of links.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            known: Mutex::default(),
        }
    }

    /// Whether there is an account. The last administrator cannot be removed, so once there is one, there is.
    pub(super) async fn is_there(&self, store: &store::Accounts) -> Result<bool, StoreError> {
        {
            let known = self.known.lock();
            if known.is_there {
                return Ok(true);
            }
            if known.none_at.is_some_and(|at| at.elapsed() < NONE_FOR) {
                return Ok(false);
            }
        }
        let is_there = match store.users().await {
            Ok(users) => !users.is_empty(),
            Err(error) => {
                let none_at = self.known.lock().none_at;
                let is_recent = none_at.is_some_and(|at| at.elapsed() < NONE_WITHOUT_STORE);
                return if is_recent { Ok(false) } else { Err(error) };
            }
        };
        let mut known = self.known.lock();
        known.is_there = is_there;
        known.none_at = Some(Instant::now());
        Ok(is_there)
    }

    /// There is one now.
    pub(super) fn made(&self) {
        self.known.lock().is_there = true;
    }

    /// Prints the link for the first account, once.
    pub(super) async fn invite(&self, store: &store::Accounts) -> Result<(), StoreError> {
        if std::mem::replace(&mut self.known.lock().is_invited, true) {
            return Ok(());
        }
        let link = self.link(store, Role::Admin).await.inspect_err(|_| {
            self.known.lock().is_invited = false;
        })?;
        // Not a log line: whoever has the link is the administrator.
        let told = writeln!(
            std::io::stdout().lock(),
            "The pages have no account yet and are closed. Make the first one within 24 hours:\n  {link}"
        );
        if let Err(error) = told {
            tracing::error!(%error, "cannot print the link for the first account");
        }
        Ok(())
    }

    /// A link by which somebody becomes a user.
    pub(super) async fn link(&self, store: &store::Accounts, role: Role) -> Result<String, StoreError> {
        let secret = Secret::random();
        let now = Timestamp::now();
        let invitation = Invitation {
            hash: secret.hash(),
            role: role.word().to_owned(),
            expires: Timestamp::from_micros(now.as_micros() + LINK_AGE_MICROS),
        };
        store.invite(&invitation, now).await?;
        Ok(format!("{}/set-up/{}", self.url, secret.text()))
    }
}
