//! The way of parked batches back to their shipper's queue, one after the other and so in order.

use std::sync::Arc;

use broker::{Consumer, Delivery, Disposition, Exchange, Message, PublishError, RoutingKey};
use event::PayloadKind;

use super::{PAUSE, Track, lane::longer};

/// Until the parser stops. A batch is taken out of the file when the queue has it; a kill in between repeats it
/// with the same id.
pub(super) async fn drain(track: Arc<Track>, mut parked: Consumer) {
    while let Some(Some(delivery)) = track.stop.run_until_cancelled(parked.next()).await {
        let returned = match message_of(&delivery) {
            Some(message) => track
                .stop
                .run_until_cancelled(give_back(&track, &message))
                .await
                .is_some_and(|returned| returned),
            None => {
                // Only we write this file.
                tracing::error!(id = ?delivery.id, queue = %track.queue, "a parked batch cannot be read");
                false
            }
        };
        if !returned {
            delivery.settle(Disposition::Requeue).await;
            break;
        }
        delivery.settle(Disposition::Ack).await;
        track.returned_one();
    }
    parked.stop();
}

/// Publishes until the queue takes it. Returns false when the broker is closed.
async fn give_back(track: &Track, message: &Message) -> bool {
    let mut pause = PAUSE;
    loop {
        let verdict = match track.publisher.publish_to(&track.queue, message).await {
            Ok(confirm) => confirm.await,
            Err(error) => Err(error),
        };
        match verdict {
            Ok(()) => return true,
            Err(PublishError::Closed) => return false,
            Err(error) => {
                if !error.is_transient() {
                    tracing::warn!(%error, queue = %track.queue, "a parked batch cannot be put back, trying again");
                }
                tokio::time::sleep(pause).await;
                pause = longer(pause);
            }
        }
    }
}

fn message_of(delivery: &Delivery) -> Option<Message> {
    Some(Message {
        id: delivery.id?,
        exchange: Exchange::Parsed,
        routing_key: RoutingKey::new(&delivery.routing_key).ok()?,
        content_type: PayloadKind::Events.content_type(),
        body: delivery.body.clone(),
        death: None,
    })
}
