//! What only the embedded broker does.

use std::{path::Path, time::Duration};

use broker::{Broker, ConnectError, Disposition, Exchange, Message, QueueName, RoutingKey, Topology};
use settings::BrokerSettings;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

fn settings(dir: &Path) -> BrokerSettings {
    BrokerSettings::Embedded {
        dir: dir.into(),
        queue_bytes_max: 1 << 30,
        delivery_limit: 3,
    }
}

fn message(body: &'static [u8]) -> Message {
    Message {
        id: uuid::Uuid::now_v7(),
        exchange: Exchange::Received,
        routing_key: RoutingKey::new("syslog.tcp").expect("it is a valid key"),
        content_type: "text/plain",
        body: body.into(),
        death: None,
    }
}

#[tokio::test]
async fn a_second_process_is_told_that_the_folder_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let first = Broker::connect(&settings, "first").await.unwrap();
    let second = Broker::connect(&settings, "second").await.unwrap_err();
    assert!(
        matches!(&second, ConnectError::InUse { dir: used } if used == dir.path()),
        "{second}"
    );
    assert!(Broker::check(&settings).await.unwrap().contains("in use"));
    first.close().await;
    Broker::connect(&settings, "second").await.unwrap().close().await;
}

#[tokio::test]
async fn what_was_published_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let broker = Broker::connect(&settings, "test").await.unwrap();
    broker.declare(&Topology::new([])).await.unwrap();
    let publisher = broker.publisher(8);
    for body in [b"one".as_slice(), b"two", b"three"] {
        publisher.publish(&message(body)).await.unwrap().await.unwrap();
    }
    let mut consumer = broker.consume(&QueueName::parser(), 2, "test").await.unwrap();
    consumer.next().await.unwrap().settle(Disposition::Ack).await;
    let unsettled = consumer.next().await.unwrap();
    assert_eq!(&unsettled.body[..], b"two");
    broker.close().await;

    let broker = Broker::connect(&settings, "test").await.unwrap();
    let mut consumer = broker.consume(&QueueName::parser(), 2, "test").await.unwrap();
    for (body, delivery_count) in [(b"two".as_slice(), 1), (b"three", 1)] {
        let delivery = consumer.next().await.unwrap();
        assert_eq!(
            (&delivery.body[..], delivery.delivery_count),
            (body, delivery_count)
        );
        delivery.settle(Disposition::Ack).await;
    }
    broker.close().await;
    assert!(consumer.next().await.is_none());
    drop(unsettled);
}

#[tokio::test]
async fn what_a_stopping_consumer_gives_back_does_not_come_to_it_again() {
    const MESSAGES: usize = 500;
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::connect(&settings(dir.path()), "test").await.unwrap();
    broker.declare(&Topology::new([])).await.unwrap();
    let publisher = broker.publisher(MESSAGES);
    let mut confirms = Vec::new();
    for _ in 0..MESSAGES {
        confirms.push(publisher.publish(&message(b"one")).await.unwrap());
    }
    for confirm in confirms {
        confirm.await.unwrap();
    }
    let prefetch = u16::try_from(MESSAGES).unwrap();
    let consume = async || {
        broker
            .consume(&QueueName::parser(), prefetch, "test")
            .await
            .unwrap()
    };
    let mut stopped = consume().await;
    let held = stopped.next().await.unwrap();
    stopped.stop();
    let mut consumer = consume().await;
    let mut counts = Vec::new();
    for _ in 1..MESSAGES {
        // What was delivered too often is dead-lettered and never comes.
        let delivery = timeout(PATIENCE, consumer.next()).await.unwrap().unwrap();
        counts.push(delivery.delivery_count);
        delivery.settle(Disposition::Ack).await;
    }
    // Once when it was on its way to the consumer, and once more in the instant in which that stopped.
    assert!(counts.iter().all(|count| *count <= 2), "{counts:?}");
    held.settle(Disposition::Ack).await;
    broker.close().await;
}

#[tokio::test]
async fn the_file_of_another_program_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("queues.sqlite"), b"this is a diary").unwrap();
    let refused = Broker::connect(&settings(dir.path()), "test").await.unwrap_err();
    assert!(matches!(refused, ConnectError::NotOurs { .. }), "{refused}");
}

#[tokio::test]
async fn an_embedded_broker_is_ready_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::connect(&settings(dir.path()), "test").await.unwrap();
    broker.wait_ready(Duration::from_secs(5)).await.unwrap();
    broker.close().await;
}

#[tokio::test]
async fn a_queue_file_of_version_1_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let broker = Broker::connect(&settings, "test").await.unwrap();
    broker.declare(&Topology::new([])).await.unwrap();
    let publisher = broker.publisher(8);
    publisher.publish(&message(b"kept")).await.unwrap().await.unwrap();
    broker.close().await;
    let file = rusqlite::Connection::open(dir.path().join("queues.sqlite")).unwrap();
    file.execute_batch(
        "ALTER TABLE death DROP COLUMN batch; ALTER TABLE death DROP COLUMN position; PRAGMA user_version = 1;",
    )
    .unwrap();
    file.close().unwrap();

    let broker = Broker::connect(&settings, "test").await.unwrap();
    let mut consumer = broker.consume(&QueueName::parser(), 2, "test").await.unwrap();
    let delivery = consumer.next().await.unwrap();
    assert_eq!(&delivery.body[..], b"kept");
    let id = delivery.id;
    let letter = broker::DeadLetter {
        reason: "undecodable",
        text: "no good".into(),
    };
    delivery.settle(Disposition::DeadLetter(letter)).await;
    let mut browser = broker.browse(&QueueName::dead()).await.unwrap();
    let (_, letter) = browser.next().await.unwrap().unwrap();
    assert_eq!(letter.death.unwrap().batch, id);
    broker.close().await;
}
