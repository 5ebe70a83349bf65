//! For `logferry check` and `logferry init`: whether the rescue queues can be used.

use std::time::Duration;

use settings::{RescueKind, RescueSettings};

use crate::{error::RescueError, file, redis};

/// How long Redis may take to answer somebody who waits at a terminal.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Tries the rescue queues of `settings`, and returns a line about them for people: whether each answers, and what
/// it promises. Nothing is made or changed.
///
/// # Errors
///
/// Why the first one that cannot be used cannot; it holds no password.
pub async fn check(settings: &RescueSettings) -> Result<String, RescueError> {
    let mut found = Vec::new();
    for kind in &settings.order {
        match (kind, &settings.redis) {
            (RescueKind::Redis, Some(redis)) => found.push(redis::check(redis, TIMEOUT).await?),
            (RescueKind::Redis, None) => {}
            (RescueKind::File, _) => {
                let settings = settings.file.clone();
                let checked = tokio::task::spawn_blocking(move || file::check(&settings, TIMEOUT)).await;
                match checked {
                    Ok(line) => found.push(line?),
                    // Nobody cancels it, so it ends early only by a panic, which goes on here.
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                }
            }
        }
    }
    if found.is_empty() {
        found.push("none: stream listeners stop reading while the broker is away".to_owned());
    }
    Ok(found.join("; then "))
}
