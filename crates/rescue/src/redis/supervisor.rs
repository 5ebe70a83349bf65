//! Keeps a connection to Redis, and finds out again and again what Redis promises.

use std::{sync::Arc, time::Duration};

use futures_util::future::select_all;
use settings::RescueDurability;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Link,
    session::{Connections, Session, Target},
    trust::Promise,
};
use crate::{
    backoff::Backoff,
    error::RescueError,
    queue::{Guarantee, QueueState, note},
};

/// How often Redis is asked again what it promises, and whether it is there.
const EXAMINE_PAUSE: Duration = Duration::from_secs(5);

/// The task behind a queue.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) target: Arc<Target>,
    pub(super) link: watch::Sender<Link>,
    pub(super) state: Arc<watch::Sender<QueueState>>,
    pub(super) stop: CancellationToken,
}

impl Supervisor {
    pub(super) async fn run(self) {
        let mut backoff = Backoff::new();
        let mut last_problem = None;
        while !self.stop.is_cancelled() {
            let opened = tokio::select! {
                opened = Session::open(&self.target) => opened,
                // What is dropped here has done nothing yet.
                () = self.stop.cancelled() => break,
            };
            let problem = match opened {
                Ok((session, connections)) => {
                    last_problem = None;
                    backoff.reset();
                    tracing::info!(
                        address = self.target.address,
                        "connected to Redis for the rescue queue"
                    );
                    self.follow(Arc::new(session), connections).await
                }
                Err(error) => Some(error),
            };
            let Some(problem) = problem else { break };
            // Said once, and again when it is something else.
            if last_problem.as_ref() != Some(&problem) {
                tracing::warn!(%problem, "no Redis for the rescue queue, trying again");
            }
            note(&self.state, QueueState::Unusable(problem.to_string()));
            self.link.send_replace(Link::Down(problem.clone()));
            last_problem = Some(problem);
            tokio::select! {
                () = tokio::time::sleep(backoff.pause()) => {}
                () = self.stop.cancelled() => {}
            }
        }
        note(&self.state, QueueState::Unusable(RescueError::Closed.to_string()));
        self.link.send_replace(Link::Down(RescueError::Closed));
    }

    /// Follows a connection to its end; `None` when we are to end it.
    async fn follow(&self, session: Arc<Session>, connections: Connections) -> Option<RescueError> {
        self.link.send_replace(Link::Up(Arc::clone(&session)));
        let mut told = None;
        self.tell(session.promise(), &mut told);
        let lost = || self.target.unreachable("the connection was lost");
        let mut ended = select_all(connections);
        let problem = loop {
            tokio::select! {
                _ = &mut ended => break Some(lost()),
                () = session.over() => break Some(lost()),
                () = self.stop.cancelled() => break None,
                () = tokio::time::sleep(EXAMINE_PAUSE) => match session.examine(&self.target).await {
                    Ok(promise) => self.tell(promise, &mut told),
                    Err(error) => break Some(error),
                },
            }
        };
        session.close().await;
        problem
    }

    /// Tells what Redis promises, when that is new.
    fn tell(&self, promise: Promise, told: &mut Option<Guarantee>) {
        let guarantee = promise.guarantee;
        if told.as_ref() == Some(&guarantee) {
            return;
        }
        let state = match &guarantee {
            Guarantee::Weaker(problem) if self.target.durability == RescueDurability::Synced => {
                let error = self.target.too_weak(problem);
                tracing::error!(%error, "Redis is not used for rescue");
                QueueState::Unusable(error.to_string())
            }
            Guarantee::Weaker(problem) => {
                tracing::warn!(%problem, "Redis promises less than synced batches, which rescue.durability accepts");
                QueueState::Ready(guarantee.clone())
            }
            Guarantee::Synced => QueueState::Ready(Guarantee::Synced),
        };
        note(&self.state, state);
        *told = Some(guarantee);
    }
}
