//! One connection to Redis, in several lanes: Redis reads one large command of a socket at a time, and syncs its
//! file once for all sockets that it has read from, so that several sockets share a sync.

use std::{
    fmt,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::ClientLike,
    types::{Builder, ConnectHandle, CustomCommand, Value, config::Config},
};
use parking_lot::Mutex;
use settings::{RescueDurability, RescueRedisSettings};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    tls,
    trust::{self, Promise},
};
use crate::error::RescueError;

/// Sockets of one connection.
const LANES: usize = 4;

/// How long a connection may take to say goodbye.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// Which Redis, and how it is used.
pub(super) struct Target {
    /// With the password, so it is never shown.
    config: Config,
    /// For people: host, port and database, without a password.
    pub(super) address: String,
    pub(super) durability: RescueDurability,
    pub(super) timeout: Duration,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("address", &self.address)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("answered", &self.answered)
            .finish_non_exhaustive()
    }
}

impl Target {
    pub(super) fn new(settings: &RescueRedisSettings, timeout: Duration) -> Result<Self, RescueError> {
        let url = settings.url.expose();
        // The rest of the address is the same, and whom to trust is ours to say.
        let plain = url
            .strip_prefix("rediss://")
            .map(|rest| format!("redis://{rest}"));
        let parsed = Config::from_url(plain.as_deref().unwrap_or(url));
        let mut config = parsed.map_err(|error| RescueError::Url {
            problem: error.details().to_owned(),
        })?;
        if plain.is_some() {
            config.tls = Some(tls::config(settings.tls_ca_file.as_deref())?);
        }
        let hosts: Vec<_> = config.server.hosts().iter().map(ToString::to_string).collect();
        let address = format!("{}, database {}", hosts.join(","), config.database.unwrap_or(0));
        Ok(Self {
            config,
            address,
            durability: settings.durability,
            timeout,
        })
    }

    pub(super) fn unreachable(&self, problem: &str) -> RescueError {
        RescueError::Unreachable {
            address: self.address.clone(),
            problem: problem.to_owned(),
        }
    }

    /// As [`problem`], with what the settings may have to do with it.
    fn not_connected(&self, error: &Error) -> RescueError {
        match problem(self, error) {
            RescueError::Unreachable { address, mut problem } => {
                problem.push_str(tls::hint(self.config.tls.is_some(), &problem));
                RescueError::Unreachable { address, problem }
            }
            told => told,
        }
    }

    pub(super) fn too_weak(&self, problem: &str) -> RescueError {
        RescueError::TooWeak {
            address: self.address.clone(),
            problem: problem.to_owned(),
        }
    }

    fn timed_out(&self) -> RescueError {
        RescueError::TimedOut {
            place: format!("Redis at {}", self.address),
            after: self.timeout,
        }
    }

    fn client(&self) -> Result<Client, Error> {
        let mut builder = Builder::from_config(self.config.clone());
        builder.with_connection_config(|connection| {
            connection.connection_timeout = self.timeout;
            connection.internal_command_timeout = self.timeout;
            // What failed is tried again by those who know what to do meanwhile.
            connection.max_command_attempts = 1;
        });
        builder.build()
    }
}

/// A connection, up to its end: it is never made again, so that what was found out about it stays true.
#[derive(Debug)]
pub(super) struct Session {
    lanes: Vec<Lane>,
    next: AtomicUsize,
    promise: Mutex<Promise>,
    /// Cancelled when the connection is of no use any more.
    over: CancellationToken,
}

struct Lane {
    client: Client,
    /// Calls that were answered.
    answered: AtomicU64,
    /// As many of them as are known to be synced.
    synced: tokio::sync::Mutex<u64>,
}

/// The tasks of a connection's lanes. They end when their sockets do.
pub(super) type Connections = Vec<ConnectHandle>;

impl Session {
    /// Connects, and finds out what Redis promises.
    pub(super) async fn open(target: &Target) -> Result<(Self, Connections), RescueError> {
        let mut connections = Connections::new();
        let mut lanes = Vec::new();
        for _ in 0..LANES {
            let client = target.client().map_err(|error| problem(target, &error))?;
            let connected = timeout(target.timeout, client.init());
            let connected = connected.await.map_err(|_elapsed| target.timed_out())?;
            connections.push(connected.map_err(|error| target.not_connected(&error))?);
            lanes.push(Lane {
                client,
                answered: AtomicU64::new(0),
                synced: tokio::sync::Mutex::new(0),
            });
        }
        let session = Self {
            lanes,
            next: AtomicUsize::new(0),
            promise: Mutex::new(Promise::unknown()),
            over: CancellationToken::new(),
        };
        session.examine(target).await?;
        Ok((session, connections))
    }

    /// Finds out again what Redis promises: its settings can be changed while it runs.
    pub(super) async fn examine(&self, target: &Target) -> Result<Promise, RescueError> {
        let promise = trust::examine(self, target).await?;
        *self.promise.lock() = promise.clone();
        Ok(promise)
    }

    pub(super) fn promise(&self) -> Promise {
        self.promise.lock().clone()
    }

    /// `None` where Redis does not tell, or may not.
    pub(super) async fn version(&self, target: &Target) -> Option<String> {
        let info = self.call(target, 0, "INFO", vec!["server".into()]).await.ok()?;
        let info = info.into_string()?;
        let version = info
            .lines()
            .find_map(|line| line.strip_prefix("redis_version:"))?;
        Some(version.trim().to_owned())
    }

    /// The lane for the next call.
    pub(super) fn lane(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed) % self.lanes.len()
    }

    /// Runs one command. A connection that fails or does not answer is over, for everybody.
    pub(super) async fn call(
        &self,
        target: &Target,
        lane: usize,
        name: &'static str,
        arguments: Vec<Value>,
    ) -> Result<Value, RescueError> {
        let lane = self.lanes.get(lane).ok_or(RescueError::Closed)?;
        let command = CustomCommand::new_static(name, None, false);
        let answer = tokio::select! {
            answer = timeout(target.timeout, lane.client.custom(command, arguments)) => answer,
            () = self.over.cancelled() => return Err(target.unreachable("the connection was lost")),
        };
        match answer {
            Ok(Ok(value)) => {
                lane.answered.fetch_add(1, Ordering::Release);
                Ok(value)
            }
            Ok(Err(error)) => {
                let problem = problem(target, &error);
                if matches!(problem, RescueError::Unreachable { .. }) {
                    self.over.cancel();
                }
                Err(problem)
            }
            Err(_elapsed) => {
                self.over.cancel();
                Err(target.timed_out())
            }
        }
    }

    /// Waits until what was answered on `lane` so far is synced. Those who wait at the same time share the wait.
    pub(super) async fn synced(&self, target: &Target, lane: usize) -> Result<(), RescueError> {
        let answered = |lane: &Lane| lane.answered.load(Ordering::Acquire);
        let this = self.lanes.get(lane).ok_or(RescueError::Closed)?;
        let mine = answered(this);
        let mut synced = this.synced.lock().await;
        if *synced < mine {
            let all = answered(this);
            trust::wait_synced(self, target, lane).await?;
            *synced = all;
        }
        Ok(())
    }

    /// Resolves when the connection is of no use any more.
    pub(super) async fn over(&self) {
        self.over.cancelled().await;
    }

    pub(super) async fn close(&self) {
        self.over.cancel();
        for lane in &self.lanes {
            if let Ok(Err(error)) = timeout(GOODBYE_MAX, lane.client.quit()).await {
                tracing::debug!(%error, "the connection to Redis was closed already");
            }
        }
    }
}

/// Tells what Redis said from what happened to the connection. A server that is loading, or has become a replica,
/// is as good as away.
fn problem(target: &Target, error: &Error) -> RescueError {
    let (address, problem) = (target.address.clone(), error.details().to_owned());
    let is_answer = match error.kind() {
        ErrorKind::Unknown | ErrorKind::InvalidArgument | ErrorKind::InvalidCommand => {
            !["LOADING", "READONLY", "MASTERDOWN"]
                .iter()
                .any(|word| problem.starts_with(word))
        }
        ErrorKind::Auth => true,
        _ => false,
    };
    if is_answer {
        RescueError::Refused { address, problem }
    } else {
        RescueError::Unreachable { address, problem }
    }
}
