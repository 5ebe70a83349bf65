//! The contract of a broker that works.

use std::collections::BTreeSet;

use broker::{
    BindingKey, Conflict, ConsumeError, DeadLetter, Death, DeclareError, Disposition, Exchange, PublishError,
    QueueName, Topology,
};
use futures_util::FutureExt;
use testkit::eventually;

use crate::fixture::{
    DEADLINE, Fixture, files, message, next, number, parser, publish_numbers, received, store, take_numbers,
    topology,
};

pub(crate) async fn a_publish_is_confirmed_and_delivered(fixture: Fixture) {
    let broker = fixture.open().await;
    let sent = received("hello");
    broker.publisher(4).publish(&sent).await.unwrap().await.unwrap();
    let delivery = next(&mut parser(&broker, 4).await).await;
    assert_eq!(&delivery.body[..], b"hello");
    assert_eq!(delivery.id, Some(sent.id));
    assert_eq!(delivery.content_type.as_deref(), Some("text/plain"));
    assert_eq!(delivery.exchange, Some(Exchange::Received));
    assert_eq!(delivery.routing_key, "syslog.tcp");
    assert_eq!((delivery.redelivered, delivery.delivery_count), (false, 0));
    assert_eq!(delivery.death, None);
    assert_eq!(delivery.queue(), &QueueName::parser());
    assert_eq!(broker.counters().unsettled, 1);
    delivery.settle(Disposition::Ack).await;
    eventually(DEADLINE, async || broker.counters().acked == 1).await;
    let counters = broker.counters();
    assert_eq!(
        (counters.published, counters.confirmed, counters.unconfirmed),
        (1, 1, 0)
    );
    assert_eq!((counters.delivered, counters.unsettled), (1, 0));
    assert_eq!(counters.confirm_latency.iter().sum::<u64>(), 1);
    broker.close().await;
}

pub(crate) async fn unroutable_messages_are_told_from_routed_ones(fixture: Fixture) {
    let broker = fixture.open().await;
    let publisher = broker.publisher(64);
    let mut confirms = Vec::new();
    // To two queues, to one and to none, mixed, so that acks come out of order and several at a time.
    for round in 0..300 {
        let route = ["default", "nobody", "audit.login", "no.one"][round % 4];
        let sent = message(Exchange::Parsed, route, vec![b'x'; 1000 * (round % 7)]);
        confirms.push((route, publisher.publish(&sent).await.unwrap()));
    }
    for (route, confirm) in confirms {
        let verdict = confirm.await;
        if route.starts_with("no") {
            let exchange = "logferry.parsed";
            assert_eq!(
                verdict,
                Err(PublishError::Unroutable {
                    exchange,
                    routing_key: route.into()
                })
            );
            assert!(!verdict.unwrap_err().is_transient());
        } else {
            assert_eq!(verdict, Ok(()), "{route}");
        }
    }
    assert_eq!(broker.counters().returned, 150);
    // Retrying would not mend it.
    let nobody = message(Exchange::Parsed, "nobody", "x");
    assert!(matches!(
        publisher.deliver(&nobody).await,
        Err(PublishError::Unroutable { .. })
    ));
    broker.close().await;
}

pub(crate) async fn a_requeued_delivery_comes_back_first_and_is_counted(fixture: Fixture) {
    let broker = fixture.open().await;
    publish_numbers(&broker, 0..3).await;
    let mut consumer = parser(&broker, 1).await;
    for delivery_count in 0..3 {
        let delivery = next(&mut consumer).await;
        assert_eq!((number(&delivery), delivery.delivery_count), (0, delivery_count));
        assert_eq!(delivery.redelivered, delivery_count > 0);
        delivery.settle(Disposition::Requeue).await;
    }
    assert_eq!(take_numbers(&mut consumer, 3).await, [0, 1, 2]);
    assert_eq!(broker.counters().requeued, 3);
    broker.close().await;
}

pub(crate) async fn a_dead_letter_tells_where_it_comes_from(fixture: Fixture) {
    let broker = fixture.open().await;
    let sent = received("not a batch");
    broker.publisher(4).publish(&sent).await.unwrap().await.unwrap();
    let mut consumer = parser(&broker, 4).await;
    next(&mut consumer).await.settle(Disposition::Requeue).await;
    let letter = DeadLetter {
        reason: "undecodable",
        text: "not a batch: größe".into(),
    };
    next(&mut consumer)
        .await
        .settle(Disposition::DeadLetter(letter))
        .await;
    assert_eq!(broker.counters().dead_lettered, 1);

    let mut dead = broker.consume(&QueueName::dead(), 4, "test").await.unwrap();
    let delivery = next(&mut dead).await;
    assert_eq!(&delivery.body[..], b"not a batch");
    assert_eq!(delivery.id, Some(sent.id));
    assert_eq!(delivery.content_type.as_deref(), Some("text/plain"));
    assert_eq!(delivery.exchange, Some(Exchange::Dead));
    assert_eq!(delivery.routing_key, "parser.undecodable");
    let death = delivery.death.clone().unwrap();
    assert!(death.at_micros > 1_600_000_000_000_000, "{death:?}");
    let expected = Death {
        stage: "parser".into(),
        queue: "parser".into(),
        reason: "undecodable".into(),
        text: "not a batch: größe".into(),
        at_micros: death.at_micros,
        attempts: 2,
        exchange: Exchange::Received,
        routing_key: "syslog.tcp".into(),
        batch: Some(sent.id),
        position: None,
    };
    assert_eq!(death, expected);
    delivery.settle(Disposition::Ack).await;
    // The original is gone.
    publish_numbers(&broker, 0..1).await;
    assert_eq!(take_numbers(&mut consumer, 1).await, [0]);
    broker.close().await;
}

pub(crate) async fn poison_is_dead_lettered_at_the_delivery_limit(fixture: Fixture) {
    let broker = fixture.open().await;
    let sent = received("poison");
    broker.publisher(4).publish(&sent).await.unwrap().await.unwrap();
    let mut consumer = parser(&broker, 4).await;
    for delivery_count in 0..=fixture.delivery_limit {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.delivery_count, delivery_count);
        delivery.settle(Disposition::Requeue).await;
    }
    let mut dead = broker.consume(&QueueName::dead(), 4, "test").await.unwrap();
    let delivery = next(&mut dead).await;
    assert_eq!(&delivery.body[..], b"poison");
    assert_eq!(delivery.id, Some(sent.id));
    assert_eq!(delivery.exchange, Some(Exchange::Dead));
    assert_eq!(delivery.routing_key, "parser.delivery_limit");
    let death = delivery.death.clone().unwrap();
    assert_eq!(death.stage, Death::BROKER_STAGE);
    assert_eq!(
        (death.queue.as_str(), death.reason.as_str()),
        ("parser", Death::DELIVERY_LIMIT)
    );
    assert_eq!(
        (death.exchange, death.routing_key.as_str()),
        (Exchange::Received, "syslog.tcp")
    );
    assert_eq!(death.attempts, fixture.delivery_limit + 1, "{death:?}");
    assert!(death.at_micros > 1_600_000_000_000_000, "{death:?}");
    delivery.settle(Disposition::Ack).await;
    broker.close().await;
}

pub(crate) async fn a_full_queue_refuses_and_takes_again(mut fixture: Fixture) {
    fixture.queue_bytes_max = 1 << 20;
    let broker = fixture.open().await;
    let publisher = broker.publisher(1);
    let mut taken = 0;
    let refusal = loop {
        match publisher
            .publish(&received(vec![b'x'; 100_000]))
            .await
            .unwrap()
            .await
        {
            Ok(()) => taken += 1,
            Err(refusal) => break refusal,
        }
        assert!(taken < 100, "the bound is one MiB");
    };
    assert_eq!(refusal, PublishError::Nacked);
    assert!(refusal.is_transient());
    assert!(taken >= 10, "{taken}");
    assert_eq!(broker.counters().nacked, 1);

    // Delivering goes on when there is room.
    let last = received("last");
    let delivering = tokio::spawn(async move { publisher.deliver(&last).await });
    let mut consumer = parser(&broker, 1).await;
    for _ in 0..taken {
        next(&mut consumer).await.settle(Disposition::Ack).await;
    }
    assert_eq!(delivering.await.unwrap(), Ok(()));
    let delivery = next(&mut consumer).await;
    assert_eq!(&delivery.body[..], b"last");
    delivery.settle(Disposition::Ack).await;
    broker.close().await;
}

pub(crate) async fn prefetch_bounds_what_is_unsettled(fixture: Fixture) {
    let broker = fixture.open().await;
    publish_numbers(&broker, 0..20).await;
    let mut first = parser(&broker, 5).await;
    let mut held = Vec::new();
    for expected in 0..5 {
        let delivery = next(&mut first).await;
        assert_eq!(number(&delivery), expected);
        held.push(delivery);
    }
    // Another consumer gets all the others, so none was on its way to the first.
    let mut second = parser(&broker, 20).await;
    assert_eq!(take_numbers(&mut second, 15).await, (5..20).collect::<Vec<_>>());
    assert!(first.next().now_or_never().is_none());
    assert_eq!(broker.counters().unsettled, 5);
    drop(second);
    held.pop().unwrap().settle(Disposition::Ack).await;
    publish_numbers(&broker, 20..21).await;
    assert_eq!(take_numbers(&mut first, 1).await, [20]);
    for delivery in held {
        delivery.settle(Disposition::Ack).await;
    }
    broker.close().await;
}

pub(crate) async fn a_dropped_delivery_is_given_back(fixture: Fixture) {
    let broker = fixture.open().await;
    publish_numbers(&broker, 0..1).await;
    let mut consumer = parser(&broker, 4).await;
    drop(next(&mut consumer).await);
    let delivery = next(&mut consumer).await;
    assert_eq!((number(&delivery), delivery.delivery_count), (0, 1));
    delivery.settle(Disposition::Ack).await;
    let counters = broker.counters();
    assert_eq!((counters.dropped_unsettled, counters.requeued), (1, 1));
    broker.close().await;
}

pub(crate) async fn consumers_compete(fixture: Fixture) {
    let broker = fixture.open().await;
    let (mut first, mut second) = (parser(&broker, 2).await, parser(&broker, 2).await);
    publish_numbers(&broker, 0..40).await;
    let mut seen = BTreeSet::new();
    let mut shares = [0, 0];
    while seen.len() < 40 {
        let (share, delivery) = tokio::select! {
            delivery = next(&mut first) => (0, delivery),
            delivery = next(&mut second) => (1, delivery),
        };
        shares[share] += 1;
        assert!(seen.insert(number(&delivery)), "delivered to both");
        delivery.settle(Disposition::Ack).await;
    }
    assert!(shares.iter().all(|share| *share >= 5), "{shares:?}");
    broker.close().await;
}

pub(crate) async fn messages_arrive_in_the_order_of_publishing(fixture: Fixture) {
    let broker = fixture.open().await;
    let mut consumer = parser(&broker, 50).await;
    let publishing = tokio::spawn({
        let broker = broker.clone();
        async move { publish_numbers(&broker, 0..3000).await }
    });
    let numbers = take_numbers(&mut consumer, 3000).await;
    assert!(numbers.is_sorted(), "{numbers:?}");
    publishing.await.unwrap();
    // And from what had piled up.
    publish_numbers(&broker, 3000..6000).await;
    let numbers = take_numbers(&mut consumer, 3000).await;
    assert!(numbers.is_sorted(), "{numbers:?}");
    assert_eq!(numbers.last(), Some(&5999));
    broker.close().await;
}

pub(crate) async fn acks_in_any_order_leave_nothing_behind(fixture: Fixture) {
    let broker = fixture.open().await;
    publish_numbers(&broker, 0..100).await;
    let mut consumer = parser(&broker, 100).await;
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(next(&mut consumer).await);
    }
    // The odd ones, then a few that go back, then the rest.
    let (odd, even): (Vec<_>, Vec<_>) = held.into_iter().partition(|delivery| number(delivery) % 2 == 1);
    for delivery in odd.into_iter().rev() {
        delivery.settle(Disposition::Ack).await;
    }
    for delivery in even {
        let disposition = if number(&delivery).is_multiple_of(10) {
            Disposition::Requeue
        } else {
            Disposition::Ack
        };
        delivery.settle(disposition).await;
    }
    let mut again = take_numbers(&mut consumer, 10).await;
    again.sort_unstable();
    assert_eq!(again, (0..10).map(|ten| ten * 10).collect::<Vec<_>>());
    eventually(DEADLINE, async || broker.counters().acked == 100).await;
    broker.close().await;
    // Nothing else was left.
    let broker = fixture.open().await;
    publish_numbers(&broker, 7..8).await;
    assert_eq!(take_numbers(&mut parser(&broker, 10).await, 1).await, [7]);
    broker.close().await;
}

pub(crate) async fn what_is_unsettled_at_the_close_is_delivered_again(fixture: Fixture) {
    let broker = fixture.open().await;
    publish_numbers(&broker, 0..4).await;
    let mut consumer = parser(&broker, 2).await;
    next(&mut consumer).await.settle(Disposition::Ack).await;
    let held = next(&mut consumer).await;
    broker.clone().close().await;
    // The broker is told nothing any more, and nothing panics or waits.
    held.settle(Disposition::Ack).await;
    assert_eq!(broker.counters().stale_settlements, 1);
    assert!(consumer.next().await.is_none());

    let broker = fixture.open().await;
    let mut consumer = parser(&broker, 10).await;
    let delivery = next(&mut consumer).await;
    assert_eq!((number(&delivery), delivery.redelivered), (1, true));
    delivery.settle(Disposition::Ack).await;
    assert_eq!(take_numbers(&mut consumer, 2).await, [2, 3]);
    broker.close().await;
}

pub(crate) async fn a_stopped_consumer_gives_back_what_it_did_not_hand_over(fixture: Fixture) {
    let broker = fixture.open().await;
    publish_numbers(&broker, 0..10).await;
    let mut stopped = parser(&broker, 10).await;
    let held = next(&mut stopped).await;
    stopped.stop();
    assert!(stopped.next().await.is_none());
    let mut other = parser(&broker, 10).await;
    let mut numbers = take_numbers(&mut other, 9).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..10).collect::<Vec<_>>());
    // What was handed over is settled as ever.
    held.settle(Disposition::Requeue).await;
    assert_eq!(take_numbers(&mut other, 1).await, [0]);
    assert_eq!(broker.counters().stale_settlements, 0);
    broker.close().await;
}

pub(crate) async fn large_bodies_pass(fixture: Fixture) {
    let broker = fixture.open().await;
    let publisher = broker.publisher(4);
    let body: Vec<u8> = (0..5_000_000_u32)
        .map(|n| n.to_le_bytes()[(n % 3) as usize])
        .collect();
    publisher
        .publish(&received(body.clone()))
        .await
        .unwrap()
        .await
        .unwrap();
    publisher.publish(&received("")).await.unwrap().await.unwrap();
    let mut consumer = parser(&broker, 4).await;
    for expected in [body.as_slice(), b""] {
        let delivery = next(&mut consumer).await;
        assert!(delivery.body == expected, "{} bytes", delivery.body.len());
        delivery.settle(Disposition::Ack).await;
    }
    broker.close().await;
}

pub(crate) async fn unconfirmed_publishes_are_bounded(fixture: Fixture) {
    let broker = fixture.open().await;
    let publisher = broker.publisher(3);
    assert_eq!(publisher.free_slots(), 3);
    let mut confirms = Vec::new();
    for _ in 0..50 {
        confirms.push(publisher.publish(&received("x")).await.unwrap());
        assert!(broker.counters().unconfirmed <= 3);
    }
    for confirm in confirms {
        confirm.await.unwrap();
    }
    // A confirm that nobody waits for frees its slot, too.
    drop(publisher.publish(&received("x")).await.unwrap());
    eventually(DEADLINE, async || publisher.free_slots() == 3).await;
    broker.close().await;
}

pub(crate) async fn a_missing_queue_is_told(fixture: Fixture) {
    let broker = fixture.open().await;
    let missing = QueueName::new("missing").unwrap();
    let refused = broker.consume(&missing, 1, "test").await.unwrap_err();
    assert_eq!(refused, ConsumeError::NoSuchQueue { queue: missing });
    // The others are not harmed.
    publish_numbers(&broker, 0..1).await;
    assert_eq!(take_numbers(&mut parser(&broker, 1).await, 1).await, [0]);
    broker.close().await;
}

pub(crate) async fn declaring_twice_changes_nothing(fixture: Fixture) {
    let broker = fixture.open().await;
    publish_numbers(&broker, 0..2).await;
    broker.declare(&topology()).await.unwrap();
    assert_eq!(take_numbers(&mut parser(&broker, 1).await, 2).await, [0, 1]);
    broker.close().await;
}

pub(crate) async fn different_queues_are_refused_and_all_are_named(mut fixture: Fixture) {
    let broker = fixture.open().await;
    let conflict = |name: &str, argument: &str, existing: &str, wanted: &str| Conflict {
        kind: "queue",
        name: name.into(),
        argument: argument.into(),
        existing: existing.into(),
        wanted: wanted.into(),
    };
    let (refused, expected) = if fixture.is_embedded() {
        // A queue that a shipper cannot have.
        let mut shippers = Topology::new([(QueueName::parser(), vec![BindingKey::all()])])
            .queues()
            .to_vec();
        assert_eq!(shippers.remove(2).exchange, Exchange::Parsed);
        let topology = Topology::new([(QueueName::parser(), vec![BindingKey::all()])]);
        let expected = vec![conflict(
            "parser",
            "exchange",
            "logferry.received",
            "logferry.parsed",
        )];
        (broker.declare(&topology).await, expected)
    } else {
        broker.close().await;
        (fixture.queue_bytes_max, fixture.delivery_limit) = (12_345_678, 9);
        let other = broker::Broker::connect(&fixture.settings(), "other")
            .await
            .unwrap();
        let mut wanted = topology().queues().to_vec();
        wanted.retain(|queue| queue.exchange == Exchange::Parsed);
        let mut shippers: Vec<_> = wanted
            .into_iter()
            .map(|queue| (queue.name, queue.binding_keys))
            .collect();
        let new = QueueName::new("new").unwrap();
        shippers.push((new.clone(), vec![BindingKey::all()]));
        let refused = other.declare(&Topology::new(shippers)).await;
        other
            .consume(&new, 1, "test")
            .await
            .expect("what differs from nothing is declared");
        other.close().await;
        let mut expected = Vec::new();
        for queue in ["parser", "dead", "store", "files"] {
            expected.push(conflict(queue, "x-max-length-bytes", "67108864", "12345678"));
            // Dead letters are never poison, whatever the limit.
            if queue != "dead" {
                expected.push(conflict(queue, "x-delivery-limit", "3", "9"));
            }
        }
        (refused, expected)
    };
    let mut refused = match refused {
        Err(DeclareError::Conflicts(conflicts)) => conflicts,
        other => panic!("{other:?}"),
    };
    // RabbitMQ compares the arguments of a queue in an order of its own.
    let by_name = |a: &Conflict, b: &Conflict| (&a.name, &a.argument).cmp(&(&b.name, &b.argument));
    refused.sort_by(by_name);
    let mut expected = expected;
    expected.sort_by(by_name);
    assert_eq!(refused, expected);
}

pub(crate) async fn a_closed_broker_says_so(fixture: Fixture) {
    let broker = fixture.open().await;
    let publisher = broker.publisher(1);
    let other = broker.clone();
    broker.close().await;
    assert!(matches!(
        publisher.publish(&received("x")).await,
        Err(PublishError::Closed)
    ));
    assert_eq!(publisher.deliver(&received("x")).await, Err(PublishError::Closed));
    assert_eq!(other.declare(&topology()).await, Err(DeclareError::Closed));
    assert!(matches!(
        other.consume(&store(), 1, "test").await,
        Err(ConsumeError::Closed)
    ));
    other.close().await;
}

pub(crate) async fn each_bound_queue_gets_its_own_copy(fixture: Fixture) {
    let broker = fixture.open().await;
    let publisher = broker.publisher(4);
    publisher
        .publish(&message(Exchange::Parsed, "default", "both"))
        .await
        .unwrap()
        .await
        .unwrap();
    publisher
        .publish(&message(Exchange::Parsed, "audit.login", "one"))
        .await
        .unwrap()
        .await
        .unwrap();
    let mut store = broker.consume(&store(), 4, "store").await.unwrap();
    let mut files = broker.consume(&files(), 4, "files").await.unwrap();
    for expected in ["both", "one"] {
        let delivery = next(&mut store).await;
        assert_eq!(&delivery.body[..], expected.as_bytes());
        delivery.settle(Disposition::Ack).await;
    }
    // Acknowledged by one, it is still there for the other.
    let delivery = next(&mut files).await;
    assert_eq!(&delivery.body[..], b"both");
    delivery.settle(Disposition::Requeue).await;
    let delivery = next(&mut files).await;
    assert_eq!((&delivery.body[..], delivery.delivery_count), (&b"both"[..], 1));
    delivery.settle(Disposition::Ack).await;
    assert!(files.next().now_or_never().is_none());
    broker.close().await;
}
