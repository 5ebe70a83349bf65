//! The contract of a broker that breaks. Each test has a server of its own to break.

use std::{collections::BTreeSet, time::Duration};

use broker::{Broker, BrokerState, BrowseError, Disposition, PublishError, QueueName};
use settings::{BrokerSettings, Secret};
use testkit::eventually;

use crate::fixture::{
    DEADLINE, Fixture, next, number, parser, publish_numbers, received, take_numbers, topology,
};

pub(crate) async fn what_was_unsettled_is_delivered_again_after_a_lost_connection(fixture: Fixture) {
    let mut broker = fixture.open().await;
    publish_numbers(&broker, 0..5).await;
    let mut consumer = parser(&broker, 3).await;
    let held = [next(&mut consumer).await, next(&mut consumer).await];
    match fixture.server() {
        Some(server) => {
            server.close_connections().await;
            // The consumer goes on by itself.
            eventually(DEADLINE, async || broker.counters().reconnects >= 2).await;
        }
        None => {
            // The embedded broker is lost with its process.
            broker.clone().close().await;
        }
    }
    let counters = |broker: &Broker| broker.counters().stale_settlements;
    let before = counters(&broker);
    for delivery in held {
        delivery.settle(Disposition::Ack).await;
    }
    assert!(
        counters(&broker) >= before + 2,
        "acks of the lost connection must not count"
    );
    if fixture.is_embedded() {
        broker = fixture.open().await;
        consumer = parser(&broker, 3).await;
    }
    let mut seen = BTreeSet::new();
    while seen.len() < 5 {
        let delivery = next(&mut consumer).await;
        let number = number(&delivery);
        if number < 2 {
            assert_eq!(
                (delivery.redelivered, delivery.delivery_count),
                (true, 1),
                "number {number}"
            );
        }
        assert!(seen.insert(number));
        delivery.settle(Disposition::Ack).await;
    }
    broker.close().await;
}

pub(crate) async fn blocked_publishers_wait_and_go_on(fixture: Fixture) {
    let broker = fixture.open().await;
    let publisher = broker.publisher(8);
    publish_numbers(&broker, 0..1).await;
    let mut consumer = parser(&broker, 8).await;
    let held = next(&mut consumer).await;

    let blocker = fixture.file().map(|file| {
        // Somebody else writes the file: no transaction of ours succeeds, as on a full disk.
        let connection = rusqlite::Connection::open(file).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        connection
    });
    if let Some(server) = fixture.server() {
        server.set_alarm(true).await;
    }
    // The first publish makes the broker notice, or say so.
    let first = publisher.publish(&received("1")).await.unwrap();
    let mut state = broker.state();
    let blocked = |state: &BrokerState| matches!(state, BrokerState::Blocked { .. });
    tokio::time::timeout(DEADLINE, state.wait_for(blocked))
        .await
        .unwrap()
        .unwrap();
    let second = tokio::spawn({
        let publisher = publisher.clone();
        async move { publisher.deliver(&received("2")).await }
    });
    // Consumers are not blocked.
    held.settle(Disposition::Ack).await;
    assert!(!second.is_finished());

    if let Some(server) = fixture.server() {
        eventually(DEADLINE, async || broker.counters().acked == 1).await;
        server.set_alarm(false).await;
    }
    drop(blocker);
    first.await.unwrap();
    assert_eq!(second.await.unwrap(), Ok(()));
    assert_eq!(*broker.state().borrow(), BrokerState::Ready);
    assert!(broker.counters().blocked_seconds > 0.0);
    let mut numbers = take_numbers(&mut consumer, 2).await;
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
    broker.close().await;
}

pub(crate) async fn nothing_is_lost_when_the_broker_restarts_in_mid_flow(fixture: Fixture) {
    const TOTAL: usize = 2000;
    let broker = fixture.open().await;
    let Some(server) = fixture.server() else {
        return embedded_restarts(&fixture, broker, TOTAL).await;
    };
    let publisher = broker.publisher(32);
    let publishing = tokio::spawn(async move {
        let mut delivering = tokio::task::JoinSet::new();
        for number in 0..TOTAL {
            let publisher = publisher.clone();
            delivering.spawn(async move { publisher.deliver(&received(number.to_string())).await });
            if delivering.len() >= 32 {
                delivering.join_next().await.unwrap().unwrap().unwrap();
            }
        }
        while let Some(delivered) = delivering.join_next().await {
            delivered.unwrap().unwrap();
        }
    });
    let consuming = tokio::spawn({
        let broker = broker.clone();
        async move {
            let mut consumer = parser(&broker, 16).await;
            let mut seen = BTreeSet::new();
            while seen.len() < TOTAL {
                let delivery = next(&mut consumer).await;
                seen.insert(number(&delivery));
                delivery.settle(Disposition::Ack).await;
            }
        }
    });
    eventually(DEADLINE, async || broker.counters().confirmed > 200).await;
    server.kill().await;
    let mut state = broker.state();
    let away = |state: &BrokerState| matches!(state, BrokerState::Connecting { .. });
    tokio::time::timeout(DEADLINE, state.wait_for(away))
        .await
        .unwrap()
        .unwrap();
    server.start().await;
    broker.wait_ready(DEADLINE).await.unwrap();
    eventually(DEADLINE, async || broker.counters().confirmed > 1000).await;
    server.stop().await;
    server.start().await;
    publishing.await.unwrap();
    consuming.await.unwrap();
    assert!(broker.counters().reconnects >= 2);
    broker.close().await;
}

/// Closed while publishes and acks are under way, again and again: what was confirmed is there.
async fn embedded_restarts(fixture: &Fixture, mut broker: Broker, total: usize) {
    let (mut confirmed, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut first = 0;
    while first < total {
        let publisher = broker.publisher(64);
        let publishing = tokio::spawn(async move {
            let mut confirms = Vec::new();
            for number in first..first + 500 {
                match publisher.publish(&received(number.to_string())).await {
                    Ok(confirm) => confirms.push((number, confirm)),
                    Err(error) => assert_eq!(error, PublishError::Closed),
                }
            }
            let mut confirmed = Vec::new();
            for (number, confirm) in confirms {
                if confirm.await.is_ok() {
                    confirmed.push(number);
                }
            }
            confirmed
        });
        let mut consumer = parser(&broker, 16).await;
        for _ in 0..50 {
            let delivery = next(&mut consumer).await;
            seen.insert(number(&delivery));
            delivery.settle(Disposition::Ack).await;
        }
        broker.close().await;
        confirmed.extend(publishing.await.unwrap());
        broker = fixture.open().await;
        first += 500;
    }
    let mut consumer = parser(&broker, 16).await;
    while !confirmed.is_subset(&seen) {
        let delivery = next(&mut consumer).await;
        seen.insert(number(&delivery));
        delivery.settle(Disposition::Ack).await;
    }
    assert!(confirmed.len() >= 200, "{}", confirmed.len());
    broker.close().await;
}

pub(crate) async fn a_body_that_is_too_large_is_refused_and_the_others_pass(mut fixture: Fixture) {
    if let Some(server) = fixture.server() {
        server
            .ctl(&["eval", "application:set_env(rabbit, max_message_size, 1000000)."])
            .await;
    } else {
        fixture.queue_bytes_max = 1_000_000;
    }
    let broker = fixture.open().await;
    let publisher = broker.publisher(8);
    let too_large = PublishError::TooLarge {
        bytes: 1_000_001,
        bytes_max: 1_000_000,
    };
    for round in 0..3 {
        let small = publisher.clone();
        let delivering = tokio::spawn(async move { small.deliver(&received(round.to_string())).await });
        let refused = publisher.deliver(&received(vec![0; 1_000_001])).await;
        assert_eq!(refused, Err(too_large.clone()));
        assert_eq!(delivering.await.unwrap(), Ok(()));
    }
    let mut seen = BTreeSet::new();
    let mut consumer = parser(&broker, 4).await;
    while seen.len() < 3 {
        let delivery = next(&mut consumer).await;
        seen.insert(number(&delivery));
        delivery.settle(Disposition::Ack).await;
    }
    broker.close().await;
}

pub(crate) async fn a_publish_without_a_verdict_is_made_again_with_the_same_id(mut fixture: Fixture) {
    fixture.confirm_timeout = Duration::from_secs(1);
    let broker = fixture.open().await;
    let server = fixture.server().expect("only a server stands still");
    let publisher = broker.publisher(8);
    publish_numbers(&broker, 0..1).await;

    server.pause();
    let message = received("1");
    let confirm = publisher.publish(&message).await.unwrap();
    let after = Duration::from_secs(1);
    assert_eq!(confirm.await, Err(PublishError::TimedOut { after }));
    let timed_out = broker.counters().timed_out;
    let (again, id) = (publisher.clone(), message.id);
    let delivering = tokio::spawn(async move { again.deliver(&message).await });
    eventually(DEADLINE, async || broker.counters().timed_out > timed_out).await;
    assert!(!delivering.is_finished());
    server.resume();
    assert_eq!(delivering.await.unwrap(), Ok(()));

    let mut consumer = parser(&broker, 4).await;
    let first = next(&mut consumer).await;
    assert_eq!(number(&first), 0);
    first.settle(Disposition::Ack).await;
    let delivered = next(&mut consumer).await;
    assert_eq!((number(&delivered), delivered.id), (1, Some(id)));
    delivered.settle(Disposition::Ack).await;
    // What comes besides is the same once more.
    publish_numbers(&broker, 2..3).await;
    loop {
        let repeat = next(&mut consumer).await;
        let (number, repeated) = (number(&repeat), repeat.id);
        repeat.settle(Disposition::Ack).await;
        if number == 2 {
            break;
        }
        assert_eq!((number, repeated), (1, Some(id)));
    }
    broker.close().await;
}

pub(crate) async fn looking_for_what_is_missing_does_not_use_up_the_connection(fixture: Fixture) {
    const CHANNELS: usize = 8;
    let BrokerSettings::Amqp(mut settings) = fixture.settings() else {
        panic!("on a server");
    };
    settings.url = Secret::new(format!("{}?channel_max={CHANNELS}", settings.url.expose()));
    let broker = Broker::connect(&BrokerSettings::Amqp(settings), "test")
        .await
        .unwrap();
    broker.wait_ready(DEADLINE).await.unwrap();
    broker.declare(&topology()).await.unwrap();
    let (queue, missing) = (QueueName::parser(), QueueName::new("missing").unwrap());
    for _ in 0..3 * CHANNELS {
        let error = broker.fill(&missing).await.unwrap_err();
        assert!(matches!(error, BrowseError::NoSuchQueue { queue } if queue == missing));
        assert_eq!(broker.fill(&queue).await.unwrap().ready, 0);
    }
    broker.close().await;
}
