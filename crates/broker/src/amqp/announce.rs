//! The task that publishes transient messages: on a channel without confirms, and as long as there is a connection.

use bytes::Bytes;
use lapin::{BasicProperties, Channel, options::BasicPublishOptions};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    amqp::{endpoint::describe, headers::APP_ID, link::Link},
    backoff::Backoff,
    listening::STATUS,
    name::RoutingKey,
};

/// Messages that wait for the task at most. They are written every few seconds.
pub(crate) const WAITING_MAX: usize = 16;

/// What is told.
pub(crate) type Announcement = (RoutingKey, Bytes);

/// Publishes what comes in, until the sender is gone or `stop` says so.
pub(crate) async fn run(
    mut announcements: mpsc::Receiver<Announcement>,
    mut link: Link,
    mut backoff: Backoff,
    stop: CancellationToken,
) {
    let mut channel: Option<Channel> = None;
    // Cancel-safe: a receive takes nothing unless it is done.
    while let Some(Some((key, body))) = stop.run_until_cancelled(announcements.recv()).await {
        let told = async {
            let open = match channel.take().filter(|channel| channel.status().connected()) {
                Some(open) => open,
                None => match link.up().await {
                    Some(session) => session.open_channel().await?,
                    None => return Ok(None),
                },
            };
            publish(&open, &key, &body).await?;
            Ok::<_, lapin::Error>(Some(open))
        };
        match stop.run_until_cancelled(told).await {
            Some(Ok(open)) => {
                channel = open;
                backoff.reset();
            }
            Some(Err(error)) => {
                // The next message says the same and more.
                tracing::debug!(problem = describe(&error), "a status message was not published");
                stop.run_until_cancelled(tokio::time::sleep(backoff.pause()))
                    .await;
            }
            None => return,
        }
    }
}

async fn publish(channel: &Channel, key: &RoutingKey, body: &[u8]) -> lapin::Result<()> {
    let properties = BasicProperties::default()
        .with_app_id(APP_ID.into())
        .with_content_type("application/json".into());
    // Neither mandatory nor confirmed: it is of no interest whether anybody has it.
    channel
        .basic_publish(
            STATUS.into(),
            key.as_str().into(),
            BasicPublishOptions::default(),
            body,
            properties,
        )
        .await
        .map(drop)
}
