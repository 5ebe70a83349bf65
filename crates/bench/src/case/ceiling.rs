//! What RabbitMQ itself takes, with nothing of ours before it but its client: so much that a window of messages permits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::place::Place;
use crate::route::to_f64;

/// Lines of one message.
const BATCH: u64 = 128;
/// By how much LZ4 shortens a batch of them.
const LZ4_RATIO: u64 = 3;
/// Messages that are published in one run.
const MESSAGES: u64 = 4000;
const PATIENCE: Duration = Duration::from_secs(60);
const QUEUE: &str = "ceiling";

/// Lines a second that a quorum queue confirms in messages of [`BATCH`] lines, persistent, while no more than `window`
/// lines are under way.
///
/// # Errors
/// If RabbitMQ refuses, or does not confirm all within a minute.
pub(super) async fn of_window(window: u32, place: &Place) -> anyhow::Result<f64> {
    let vhost = place.vhost().await?;
    let connection = Connection::connect(vhost.url(), ConnectionProperties::default()).await?;
    let channel = queue(&connection).await?;
    let payload: Arc<[u8]> =
        vec![b'l'; usize::try_from(BATCH * u64::from(place.measuring.size) / LZ4_RATIO)?].into();
    let left = Arc::new(AtomicU64::new(MESSAGES));
    let start = Instant::now();
    let mut senders = JoinSet::new();
    for _ in 0..u64::from(window) / BATCH {
        senders.spawn(publish(channel.clone(), Arc::clone(&payload), Arc::clone(&left)));
    }
    while let Some(ended) = timeout(PATIENCE, senders.join_next())
        .await
        .context("RabbitMQ did not confirm in time")?
    {
        ended??;
    }
    let rate = to_f64(MESSAGES * BATCH) / start.elapsed().as_secs_f64();
    connection.close(200, "measured".into()).await?;
    Ok(rate)
}

/// A channel with confirms, and a quorum queue as ours.
async fn queue(connection: &Connection) -> anyhow::Result<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString(LongString::from("quorum")),
    );
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel.queue_declare(QUEUE.into(), options, arguments).await?;
    Ok(channel)
}

/// One message after the other, each when the one before is confirmed.
async fn publish(channel: Channel, payload: Arc<[u8]>, left: Arc<AtomicU64>) -> anyhow::Result<()> {
    const PERSISTENT: u8 = 2;
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
        .is_ok()
    {
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let options = BasicPublishOptions::default();
        let confirm = channel
            .basic_publish("".into(), QUEUE.into(), options, &payload, properties)
            .await?;
        ensure!(
            matches!(confirm.await?, Confirmation::Ack(_)),
            "RabbitMQ refused a message"
        );
    }
    Ok(())
}
