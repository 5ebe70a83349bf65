//! Dead letters: looking at them, taking some away, putting them back.

use std::{cell::Cell, time::Duration};

use broker::{
    Broker, BrowseError, Browser, DeadLetter, Death, Delivery, Disposition, Exchange, Letter, Place,
    PublishError, QueueName,
};
use testkit::eventually;

use crate::fixture::{
    DEADLINE, Fixture, files, message, next, number, parser, publish_numbers, store, take_numbers,
};

const LETTERS: usize = 600;

async fn publish_dead(broker: &Broker, count: usize) {
    let publisher = broker.publisher(64);
    let mut confirms = Vec::new();
    for number in 0..count {
        let letter = message(Exchange::Dead, "parser.undecodable", number.to_string());
        confirms.push(publisher.publish(&letter).await.unwrap());
    }
    for confirm in confirms {
        confirm.await.unwrap();
    }
}

async fn rest(browser: &mut Browser) -> Vec<(Place, Letter)> {
    let mut found = Vec::new();
    while let Some(letter) = browser.next().await.unwrap() {
        found.push(letter);
    }
    found
}

fn numbers(letters: &[(Place, Letter)]) -> Vec<usize> {
    let number = |(_, letter): &(Place, Letter)| std::str::from_utf8(&letter.body).unwrap().parse().unwrap();
    letters.iter().map(number).collect()
}

async fn all_are_back(broker: &Broker, count: usize) {
    let seen = Cell::new(None);
    eventually(DEADLINE, async || {
        let ready = broker.fill(&QueueName::dead()).await.unwrap().ready;
        if seen.replace(Some(ready)) != Some(ready) {
            eprintln!("{ready} of {count} are back");
        }
        ready == count as u64
    })
    .await;
}

pub(crate) async fn looking_takes_nothing_and_keeps_the_order(fixture: Fixture) {
    let broker = fixture.open().await;
    publish_dead(&broker, LETTERS).await;
    all_are_back(&broker, LETTERS).await;
    let expected: Vec<_> = (0..LETTERS).collect();

    let mut browser = broker.browse(&QueueName::dead()).await.unwrap();
    assert_eq!(browser.total(), LETTERS as u64);
    assert_eq!(numbers(&rest(&mut browser).await), expected);
    browser.close().await.unwrap();
    all_are_back(&broker, LETTERS).await;

    // Ended in the middle.
    let mut browser = broker.browse(&QueueName::dead()).await.unwrap();
    for _ in 0..LETTERS / 2 {
        browser.next().await.unwrap().unwrap();
    }
    drop(browser);
    all_are_back(&broker, LETTERS).await;

    let mut browser = broker.browse(&QueueName::dead()).await.unwrap();
    assert_eq!(numbers(&rest(&mut browser).await), expected);
    drop(browser);
    broker.close().await;
}

pub(crate) async fn what_is_removed_is_gone_and_the_rest_stays_in_order(fixture: Fixture) {
    let broker = fixture.open().await;
    publish_dead(&broker, LETTERS).await;
    let mut browser = broker.browse(&QueueName::dead()).await.unwrap();
    let mut left = Vec::new();
    for number in 0..LETTERS {
        let (place, _) = browser.next().await.unwrap().unwrap();
        if number % 3 == 0 {
            browser.remove(&[place]).await.unwrap();
        } else {
            left.push(number);
        }
    }
    assert_eq!(browser.next().await.unwrap(), None);
    browser.close().await.unwrap();
    all_are_back(&broker, left.len()).await;
    let mut browser = broker.browse(&QueueName::dead()).await.unwrap();
    assert_eq!(numbers(&rest(&mut browser).await), left);
    browser.close().await.unwrap();
    all_are_back(&broker, left.len()).await;

    // Consumers get what is left, and no more.
    let mut consumer = broker.consume(&QueueName::dead(), 64, "test").await.unwrap();
    let mut taken = Vec::new();
    for _ in 0..left.len() {
        let delivery = next(&mut consumer).await;
        taken.push(number(&delivery));
        delivery.settle(Disposition::Ack).await;
    }
    assert_eq!(taken, left);
    let done = LETTERS as u64 - left.len() as u64;
    assert_eq!(done, LETTERS as u64 / 3);
    all_are_back(&broker, 0).await;
    broker.close().await;
}

async fn kill(delivery: Delivery) {
    let letter = DeadLetter {
        reason: "undecodable",
        text: "no good".into(),
    };
    delivery.settle(Disposition::DeadLetter(letter)).await;
}

/// The one dead letter, out of its queue.
async fn only_letter(broker: &Broker) -> Letter {
    all_are_back(broker, 1).await;
    let mut browser = broker.browse(&QueueName::dead()).await.unwrap();
    let (place, letter) = browser.next().await.unwrap().unwrap();
    browser.remove(&[place]).await.unwrap();
    browser.close().await.unwrap();
    letter
}

pub(crate) async fn a_dead_letter_goes_back_to_its_queue_alone_and_can_die_again(fixture: Fixture) {
    let broker = fixture.open().await;
    let publisher = broker.publisher(4);
    // Both queues take the route `default`.
    let sent = message(Exchange::Parsed, "default", "events");
    publisher.publish(&sent).await.unwrap().await.unwrap();
    let mut shipper = broker.consume(&store(), 1, "shipper").await.unwrap();
    let mut delivery = next(&mut shipper).await;
    for round in 0..3 {
        assert_eq!(delivery.id, Some(sent.id));
        assert_eq!(delivery.exchange, Some(Exchange::Parsed), "round {round}");
        assert_eq!(delivery.routing_key, "default");
        assert_eq!(delivery.death, None);
        assert_eq!(delivery.delivery_count, 0, "it starts anew");
        kill(delivery).await;
        let letter = only_letter(&broker).await;
        let death = letter.death.clone().unwrap();
        assert_eq!(
            (death.queue.as_str(), death.exchange),
            ("store", Exchange::Parsed)
        );
        assert_eq!(
            (death.routing_key.as_str(), death.batch),
            ("default", Some(sent.id))
        );
        publisher.put_back(&letter).await.unwrap().unwrap().await.unwrap();
        delivery = next(&mut shipper).await;
    }
    // The broker's own dead letters tell it as well, in headers of its own.
    for _ in 0..fixture.delivery_limit {
        delivery.settle(Disposition::Requeue).await;
        delivery = next(&mut shipper).await;
    }
    delivery.settle(Disposition::Requeue).await;
    let letter = only_letter(&broker).await;
    let death = letter.death.clone().unwrap();
    assert_eq!(death.reason, Death::DELIVERY_LIMIT);
    assert_eq!(
        (death.queue.as_str(), death.exchange),
        ("store", Exchange::Parsed)
    );
    assert_eq!(
        (death.routing_key.as_str(), death.batch),
        ("default", Some(sent.id))
    );
    assert_eq!(letter.headers["properties"]["message_id"], sent.id.to_string());
    if !fixture.is_embedded() {
        let told = &letter.headers["headers"]["x-death"][0];
        assert_eq!(
            (&told["queue"], &told["reason"]),
            (&"store".into(), &Death::DELIVERY_LIMIT.into())
        );
    }
    let attempts = fixture.delivery_limit + 1;
    assert!(
        death
            .text
            .contains(&format!("delivered {attempts} times from queue store")),
        "{death:?}"
    );
    assert_eq!(
        broker.fill(&files()).await.unwrap().ready,
        1,
        "the other shipper got it once"
    );
    broker.close().await;
}

pub(crate) async fn what_has_no_way_back_is_told(fixture: Fixture) {
    let broker = fixture.open().await;
    let publisher = broker.publisher(4);
    let letter = |exchange, queue: &str| Letter {
        id: None,
        content_type: None,
        routing_key: "shipper.refused".into(),
        body: "x".into(),
        death: Some(Death {
            stage: "shipper".into(),
            queue: queue.into(),
            batch: None,
            position: None,
            reason: "refused".into(),
            text: String::new(),
            at_micros: 1,
            attempts: 1,
            exchange,
            routing_key: "nobody".into(),
        }),
        headers: serde_json::Map::new(),
    };
    let gone = letter(Exchange::Parsed, "gone");
    let verdict = publisher.put_back(&gone).await.unwrap().unwrap().await;
    assert!(
        matches!(verdict, Err(PublishError::Unroutable { .. })),
        "{verdict:?}"
    );
    let unroutable = letter(Exchange::Parsed, "parser");
    let verdict = publisher.put_back(&unroutable).await.unwrap().unwrap().await;
    assert!(
        matches!(verdict, Err(PublishError::Unroutable { .. })),
        "{verdict:?}"
    );
    let strange = Letter {
        death: None,
        ..gone.clone()
    };
    assert!(publisher.put_back(&strange).await.unwrap().is_none());

    publisher.bury(&gone).await.unwrap().await.unwrap();
    let buried = only_letter(&broker).await;
    let headers = buried.headers.clone();
    assert_eq!(Letter { headers, ..gone }, buried);

    let missing = QueueName::new("missing").unwrap();
    let error = BrowseError::NoSuchQueue {
        queue: missing.clone(),
    };
    assert_eq!(broker.browse(&missing).await.unwrap_err(), error);
    assert_eq!(broker.fill(&missing).await.unwrap_err(), error);
    broker.close().await;
}

pub(crate) async fn a_queue_tells_how_full_it_is(fixture: Fixture) {
    let broker = fixture.open().await;
    let empty = broker.fill(&QueueName::dead()).await.unwrap();
    assert_eq!((empty.ready, empty.consumers), (0, 0));
    publish_dead(&broker, 3).await;
    all_are_back(&broker, 3).await;
    let mut consumer = broker.consume(&QueueName::dead(), 1, "test").await.unwrap();
    let delivery = next(&mut consumer).await;
    eventually(DEADLINE, async || {
        let fill = broker.fill(&QueueName::dead()).await.unwrap();
        (fill.ready, fill.consumers) == (2, 1)
    })
    .await;
    let bytes = broker.fill(&QueueName::dead()).await.unwrap().bytes;
    assert_eq!(bytes, fixture.is_embedded().then_some(3));
    delivery.settle(Disposition::Ack).await;
    broker.close().await;
}

pub(crate) async fn looking_that_is_given_up_harms_nobody(fixture: Fixture) {
    let broker = fixture.open().await;
    let missing = QueueName::new("missing").unwrap();
    let mut consumer = parser(&broker, 1).await;
    let reconnects = broker.counters().reconnects;
    for turn in 0..200 {
        // At any moment, also between the question and the answer.
        let patience = Duration::from_micros(20 * turn);
        tokio::time::timeout(patience, broker.fill(&missing)).await.ok();
    }
    publish_numbers(&broker, 0..1).await;
    assert_eq!(take_numbers(&mut consumer, 1).await, [0]);
    assert_eq!(broker.counters().reconnects, reconnects);
    broker.close().await;
}
