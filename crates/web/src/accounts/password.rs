//! Passwords: Argon2id, a few at a time, since each takes much memory and time on purpose.

use std::{sync::LazyLock, time::Duration};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use axum::http::StatusCode;
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use crate::problem::Problem;

/// 19 MiB each.
const AT_ONCE: usize = 2;
/// For a turn.
const PATIENCE: Duration = Duration::from_secs(10);

const CHARS_MIN: usize = 10;
const BYTES_MAX: usize = 1024;

/// Of a password that nobody has, so that an unknown name takes as long as a known one.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash_now("").unwrap_or_default());

#[derive(Debug)]
pub(super) struct Passwords(Semaphore);

impl Default for Passwords {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

impl Passwords {
    /// The hash of a password that somebody chose, if it will do.
    pub(super) async fn hash(&self, password: String) -> Result<String, Problem> {
        if password.chars().count() < CHARS_MIN || password.len() > BYTES_MAX {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "bad_password",
                format!("A password needs at least {CHARS_MIN} characters."),
            ));
        }
        self.in_turn(move || hash_now(&password))
            .await?
            .map_err(Problem::internal)
    }

    /// Whether `password` is the one of `hash`; without a hash it is not, after as long a time.
    pub(super) async fn is(&self, password: String, hash: Option<String>) -> Result<bool, Problem> {
        if password.len() > BYTES_MAX {
            return Ok(false);
        }
        self.in_turn(move || {
            let is_somebody = hash.is_some();
            let hash = hash.unwrap_or_else(|| NOBODY.clone());
            let is_right = PasswordHash::new(&hash).is_ok_and(|hash| {
                Argon2::default()
                    .verify_password(password.as_bytes(), &hash)
                    .is_ok()
            });
            is_right && is_somebody
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let busy = || Problem::too_many("Too many people sign in at once. Try again.", 5);
        let _turn = timeout(PATIENCE, self.0.acquire())
            .await
            .map_err(|_elapsed| busy())?
            .map_err(|_closed| busy())?;
        spawn_blocking(work).await.map_err(Problem::internal)
    }
}

fn hash_now(password: &str) -> Result<String, argon2::password_hash::Error> {
    let hash = Argon2::default().hash_password(password.as_bytes())?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_is_right() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        let is = async |password: &str, hash: Option<&str>| {
            passwords
                .is(password.to_owned(), hash.map(str::to_owned))
                .await
                .unwrap()
        };
        assert!(is("correct horse", Some(&hash)).await);
        assert!(!is("correct horsf", Some(&hash)).await);
        assert!(!is("", None).await, "nobody has no password");
        assert!(!is("correct horse", Some("nonsense")).await);
        assert!(passwords.hash("short".to_owned()).await.is_err());
        assert!(passwords.hash("x".repeat(BYTES_MAX + 1)).await.is_err());
    }
}
