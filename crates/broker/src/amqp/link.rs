//! A connection that is made again whenever it is lost.

use std::{sync::Arc, time::Instant};

use futures_util::StreamExt;
use lapin::Event;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    amqp::endpoint::{Endpoint, Session, describe},
    backoff::Backoff,
    counters::Counters,
    state::BrokerState,
};

/// The connection as its users see it.
#[derive(Debug, Clone)]
pub(crate) enum LinkState {
    /// There is none; it is being made.
    Down,
    /// This one.
    Up(Arc<Session>),
    /// There will be none any more.
    Closed,
}

/// Reads the state of a link, and waits for it.
#[derive(Debug, Clone)]
pub(crate) struct Link(watch::Receiver<LinkState>);

/// Keeps one connection alive.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) endpoint: Endpoint,
    /// What RabbitMQ shows.
    pub(crate) name: String,
    pub(crate) backoff: Backoff,
    pub(crate) state: StateTeller,
    pub(crate) counters: Arc<Counters>,
    /// Ends the connection.
    pub(crate) hang_up: CancellationToken,
}

/// Tells the state of a link, if anybody wants to know, and counts the time in which it was blocked.
#[derive(Debug)]
pub(crate) struct StateTeller {
    pub(crate) state: Option<watch::Sender<BrokerState>>,
    pub(crate) counters: Arc<Counters>,
}

impl Link {
    /// Starts `supervisor` and returns what it works on, with its task.
    pub(crate) fn start(supervisor: Supervisor) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (state_in, state) = watch::channel(LinkState::Down);
        (Self(state), supervisor.run(state_in))
    }

    /// The connection, once there is one; `None` when there will be none.
    pub(crate) async fn up(&mut self) -> Option<Arc<Session>> {
        let is_settled = |state: &LinkState| !matches!(state, LinkState::Down);
        match self.0.wait_for(is_settled).await.as_deref() {
            Ok(LinkState::Up(session)) => Some(Arc::clone(session)),
            Ok(LinkState::Down | LinkState::Closed) | Err(_) => None,
        }
    }

    /// Waits until `session` is over.
    pub(crate) async fn lost(&mut self, session: &Arc<Session>) {
        let is_other = |state: &LinkState| !matches!(state, LinkState::Up(now) if Arc::ptr_eq(now, session));
        // An error means that the supervisor is gone, and the connection with it.
        drop(self.0.wait_for(is_other).await);
    }
}

impl Supervisor {
    async fn run(mut self, link: watch::Sender<LinkState>) {
        let mut was_connected = false;
        let mut last_problem = None;
        while !self.hang_up.is_cancelled() {
            let opened = tokio::select! {
                opened = self.endpoint.open(&self.name) => opened,
                // Cancel-safe: a connection that is not complete is dropped, and its socket shut down.
                () = self.hang_up.cancelled() => break,
            };
            match opened {
                Ok(session) => {
                    let session = Arc::new(session);
                    tracing::info!(address = %self.endpoint.address, node = %session.node, connection = self.name, "connected to the broker");
                    self.counters.reconnects.add(u64::from(was_connected));
                    was_connected = true;
                    last_problem = None;
                    self.backoff.reset();
                    let ended = self.watch(&session, &link).await;
                    link.send_replace(LinkState::Down);
                    let Some(problem) = ended else {
                        session.close().await;
                        break;
                    };
                    self.state.connecting(Some(&problem));
                    tracing::warn!(problem, connection = self.name, "connection to the broker lost");
                }
                Err(error) => {
                    let problem = error.to_string();
                    self.state.connecting(Some(&problem));
                    // Said once, and again when it is something else.
                    if last_problem.as_ref() != Some(&problem) {
                        tracing::warn!(
                            problem,
                            connection = self.name,
                            "broker cannot be reached, trying again"
                        );
                    }
                    last_problem = Some(problem);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(self.backoff.pause()) => {}
                () = self.hang_up.cancelled() => {}
            }
        }
        link.send_replace(LinkState::Closed);
        self.state.closed();
    }

    /// Follows a connection to its end; `None` when we are to end it.
    async fn watch(&self, session: &Arc<Session>, link: &watch::Sender<LinkState>) -> Option<String> {
        let mut events = Box::pin(session.connection.events_listener());
        link.send_replace(LinkState::Up(Arc::clone(session)));
        self.state.ready();
        // It may have ended before anybody listened.
        while session.connection.status().connected() {
            let event = tokio::select! {
                event = events.next() => event,
                () = self.hang_up.cancelled() => return None,
            };
            match event {
                Some(Event::ConnectionBlocked(reason)) => {
                    tracing::warn!(reason, "the broker blocks publishers");
                    self.state.blocked(&reason);
                }
                Some(Event::ConnectionUnblocked) => {
                    tracing::info!("the broker takes publishes again");
                    self.state.ready();
                }
                // Errors of channels come here too; their users know about those.
                Some(Event::Error(error)) if !session.connection.status().connected() => {
                    return Some(describe(&error));
                }
                Some(_) => {}
                None => break,
            }
        }
        Some("it ended".into())
    }
}

impl StateTeller {
    fn ready(&self) {
        self.tell(BrokerState::Ready);
    }

    fn connecting(&self, error: Option<&str>) {
        self.tell(BrokerState::Connecting {
            since: Instant::now(),
            error: error.map(ToOwned::to_owned),
        });
    }

    fn blocked(&self, reason: &str) {
        self.tell(BrokerState::Blocked {
            since: Instant::now(),
            reason: reason.to_owned(),
        });
    }

    fn closed(&self) {
        self.tell(BrokerState::Closed);
    }

    fn tell(&self, new: BrokerState) {
        let Some(state) = &self.state else { return };
        state.send_if_modified(|state| {
            if *state == BrokerState::Closed {
                return false;
            }
            if let BrokerState::Blocked { since, .. } = state {
                self.counters.blocked_for(since.elapsed());
            }
            *state = match (&*state, new) {
                // It has been away since the first failure, not since the last attempt.
                (BrokerState::Connecting { since, .. }, BrokerState::Connecting { error, .. }) => {
                    BrokerState::Connecting { since: *since, error }
                }
                (_, new) => new,
            };
            true
        });
    }
}
