//! Looking at queues, over a connection of its own.
//!
//! Asking for a queue that is not there ends a channel, and a connection does not have channels without end
//! ([`Session::open_channel`]). So this one is made anew from time to time, of which consumers must not notice anything.

use std::sync::Arc;

use lapin::Channel;
use tokio::{sync::Mutex, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    amqp::{
        browse,
        endpoint::{Endpoint, Session, describe},
    },
    browser::Fill,
    error::BrowseError,
    name::QueueName,
};

/// Answers are short, and people read letters one by one.
const FRAME_BYTES: u32 = 16 * 1024;

#[derive(Debug)]
pub(crate) struct Looker {
    endpoint: Endpoint,
    /// What RabbitMQ shows.
    name: String,
    /// Made with the first look.
    session: Mutex<Option<Arc<Session>>>,
    /// There will be no other connection.
    hang_up: CancellationToken,
}

impl Looker {
    pub(crate) fn new(endpoint: &Endpoint, name: &str, hang_up: CancellationToken) -> Self {
        Self {
            endpoint: endpoint.with_frames_of(FRAME_BYTES),
            name: format!("{name} (looks)"),
            session: Mutex::default(),
            hang_up,
        }
    }

    /// How many messages wait in `queue`, and who consumes it.
    pub(crate) async fn fill(&self, queue: &QueueName) -> Result<Fill, BrowseError> {
        let (channel, _session, fill) = self.look(queue).await?;
        if let Err(error) = channel.close(200, "done".into()).await {
            tracing::debug!(%error, "channel was closed already");
        }
        Ok(fill)
    }

    /// A channel to read `queue` with, its connection, and how full the queue is.
    pub(crate) async fn look(&self, queue: &QueueName) -> Result<(Channel, Arc<Session>, Fill), BrowseError> {
        let patience = self.endpoint.connect_timeout();
        let no_answer = |_elapsed| BrowseError::Unavailable {
            problem: format!("{} does not answer in time", self.endpoint.address),
        };
        let session = timeout(patience, self.session()).await.map_err(no_answer)??;
        let queue = queue.clone();
        // Whoever asks may give up, and the question is asked to its end: when a channel is closed by both sides at
        // once, because it was dropped and because the queue is missing, lapin ends the connection with all others.
        let asking = tokio::spawn(async move {
            let channel = session.open_channel().await.map_err(|error| lost(&error))?;
            let fill = browse::fill(&channel, &queue).await?;
            Ok((channel, session, fill))
        });
        match timeout(patience, asking).await.map_err(no_answer)? {
            Ok(looked) => looked,
            // The runtime ends.
            Err(_) => Err(BrowseError::Closed),
        }
    }

    /// The connection as long as it can be used, and then a new one.
    async fn session(&self) -> Result<Arc<Session>, BrowseError> {
        let mut kept = self.session.lock().await;
        if self.hang_up.is_cancelled() {
            return Err(BrowseError::Closed);
        }
        if let Some(session) = kept.as_ref().filter(|session| session.is_usable()) {
            return Ok(Arc::clone(session));
        }
        let opened = self.endpoint.open(&self.name).await;
        let session = Arc::new(opened.map_err(|error| BrowseError::Unavailable {
            problem: error.to_string(),
        })?);
        // One over which somebody still reads ends with the last of them.
        if let Some(used_up) = kept.replace(Arc::clone(&session)).and_then(Arc::into_inner) {
            tokio::spawn(async move { used_up.close().await });
        }
        Ok(session)
    }

    /// Ends the connection.
    pub(crate) async fn close(&self) {
        if let Some(session) = self.session.lock().await.take() {
            session.close().await;
        }
    }
}

pub(crate) fn lost(error: &lapin::Error) -> BrowseError {
    BrowseError::Lost {
        problem: describe(error),
    }
}
