//! The rescue queue.
//!
//! For now only [`check`]: whether the Redis of the settings answers. Only this crate names fred.
//!
//! ```no_run
//! # async fn example(settings: &settings::RescueSettings) -> Result<(), rescue::RescueError> {
//! println!("{}", rescue::check(settings).await?);
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use fred::{
    clients::Client,
    interfaces::ClientLike,
    types::{Builder, InfoKind, config::Config},
};
use settings::RescueSettings;
use thiserror::Error;

/// How long all of a check may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why the rescue queue cannot be used.
#[derive(Debug, Error)]
pub enum RescueError {
    /// `rescue.url` is no Redis address. The address is not shown: it may hold a password.
    #[error("rescue.url is not a Redis address: {problem}")]
    Url {
        /// What is wrong with it.
        problem: String,
    },
    /// Redis did not do what was asked.
    #[error("Redis at {address} cannot be used")]
    Refused {
        /// Host, port and database.
        address: String,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing came back in time.
    #[error("Redis at {address} did not answer within {after:?}")]
    TimedOut {
        /// Host, port and database.
        address: String,
        /// How long it was waited for.
        after: Duration,
    },
}

/// Connects to the Redis of `settings`, asks whether it lives and which version it is, and returns a line about
/// it for people.
///
/// # Errors
///
/// [`RescueError`] says why it cannot be used; it holds no password.
pub async fn check(settings: &RescueSettings) -> Result<String, RescueError> {
    let config = Config::from_url(settings.url.expose()).map_err(|error| RescueError::Url {
        problem: error.details().to_owned(),
    })?;
    let address = address(&config);
    let mut builder = Builder::from_config(config);
    builder.with_connection_config(|connection| {
        connection.connection_timeout = TIMEOUT;
        connection.max_command_attempts = 1;
    });
    let refused = |error: fred::error::Error| RescueError::Refused {
        address: address.clone(),
        source: error.into(),
    };
    let client = builder.build().map_err(refused)?;
    let answer = tokio::time::timeout(TIMEOUT, ask(&client)).await;
    // Without this its task would go on trying.
    if let Ok(Err(error)) = tokio::time::timeout(TIMEOUT, client.quit()).await {
        tracing::debug!(%error, "the connection to Redis was closed already");
    }
    let info = match answer {
        Ok(info) => info.map_err(refused)?,
        Err(_elapsed) => {
            let after = TIMEOUT;
            return Err(RescueError::TimedOut { address, after });
        }
    };
    let version = version(&info).unwrap_or("of unknown version");
    Ok(format!("Redis {version} at {address}"))
}

async fn ask(client: &Client) -> Result<String, fred::error::Error> {
    client.init().await?;
    client.ping::<()>(None).await?;
    client.info(Some(InfoKind::Server)).await
}

fn address(config: &Config) -> String {
    let hosts: Vec<_> = config.server.hosts().iter().map(ToString::to_string).collect();
    format!("{}, database {}", hosts.join(","), config.database.unwrap_or(0))
}

fn version(info: &str) -> Option<&str> {
    info.lines().find_map(|line| line.strip_prefix("redis_version:"))
}

#[cfg(test)]
mod tests {
    use settings::Secret;

    use super::*;

    fn settings(url: &str) -> RescueSettings {
        RescueSettings {
            url: Secret::new(url.into()),
        }
    }

    #[tokio::test]
    async fn a_redis_that_is_there_tells_its_version() {
        let keys = tokio::task::spawn_blocking(testkit::redis).await.unwrap();
        let answer = check(&settings(keys.url())).await.unwrap();
        assert!(answer.starts_with("Redis "), "{answer}");
        assert!(answer.contains("127.0.0.1"), "{answer}");
        assert!(!answer.contains("unknown"), "{answer}");
    }

    #[tokio::test]
    async fn a_redis_that_is_not_there_is_told_without_the_password() {
        let port = testkit::free_port();
        let refused = check(&settings(&format!("redis://user:hunter2@127.0.0.1:{port}/1"))).await;
        let shown = format!("{:?}", refused.unwrap_err());
        assert!(shown.contains(&port.to_string()), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[tokio::test]
    async fn what_is_no_address_is_told_without_the_password() {
        let refused = check(&settings("redis//user:hunter2@host")).await.unwrap_err();
        assert!(matches!(refused, RescueError::Url { .. }), "{refused}");
        assert!(!format!("{refused:?} {refused}").contains("hunter2"));
    }
}
