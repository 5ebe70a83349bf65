//! The parser on a broker: what comes out for what goes in, and what becomes of the deliveries.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod bench;

use std::{collections::BTreeSet, time::Duration};

use broker::{BindingKey, Broker, Disposition, Exchange, RoutingKey, Topology};
use event::{BatchId, Compression, EventBatch, PayloadKind, Severity};
use settings::{BrokerSettings, RawPolicy};
use testkit::eventually;
use uuid::Uuid;

use self::bench::{BYTES_MAX, Bench, DEADLINE, Kind, messages, name, raw_batch, read, settle};

/// What holds for both.
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test]
            async fn $case() {
                super::$case(super::Kind::Embedded).await;
            })*
        }

        mod rabbitmq {
            $(#[tokio::test]
            async fn $case() {
                super::$case(super::Kind::RabbitMq).await;
            })*
        }
    };
}

on_both!(
    each_frame_becomes_one_event,
    a_raw_batch_that_comes_again_gives_the_same_ids,
    a_parser_that_ends_in_between_repeats_ids_and_loses_nothing,
    what_rules_drop_is_counted_and_acknowledged,
    events_of_a_route_that_nobody_takes_go_to_the_dead_letters,
    what_is_no_raw_batch_goes_to_the_dead_letters_as_it_is,
    a_letter_that_is_parsed_again_goes_to_its_queue_alone,
    a_stop_finishes_what_is_in_flight,
);

async fn each_frame_becomes_one_event(kind: Kind) {
    let bench = Bench::new(kind, &[]).await;
    let running = bench.start();
    let id = bench
        .send(&[
            b"<34>1 2003-10-11T22:14:15.003Z mymachine su - ID47 - one",
            b"<13>Feb  5 17:32:18 host app[1]: two",
            b"three",
            b"\xff\x00",
            b"",
        ])
        .await;
    let deliveries = bench.take("out", 1).await;
    let out = read(&deliveries[0]);
    assert_eq!(deliveries[0].routing_key, "default");
    assert_eq!(
        deliveries[0].content_type.as_deref(),
        Some(PayloadKind::Events.content_type())
    );
    assert_eq!(
        (out.id, out.key.as_str()),
        (id.derive("default").as_uuid(), "default")
    );
    assert_eq!(messages(&out), ["one", "two", "three", "\u{fffd}", ""]);
    settle(deliveries).await;
    running.settled(&bench, 5).await;
    assert_eq!(running.counters.sent_so_far(), 5);
    let text = running.ctx.metrics.encode();
    assert!(
        text.contains("logferry_parser_routed_total{route=\"default\"} 5"),
        "{text}"
    );
    assert!(
        text.contains("logferry_parser_defects_total{defect=\"invalid_utf8\"} 1"),
        "{text}"
    );
    running.stop().await;
}

async fn a_raw_batch_that_comes_again_gives_the_same_ids(kind: Kind) {
    let bench = Bench::new(kind, &["if .severity == \"err\" { route(\"audit\") }"]).await;
    let running = bench.start();
    let id = BatchId::mint();
    let lines: [&[u8]; 3] = [
        b"<11>1 - - - - - - a",
        b"<14>1 - - - - - - b",
        b"<14>1 - - - - - - c",
    ];
    for _ in 0..2 {
        bench
            .publish(raw_batch(id, &lines, Compression::None), id.as_uuid())
            .await;
    }
    let deliveries = bench.take("out", 4).await;
    let outs: Vec<_> = deliveries.iter().map(read).collect();
    assert_eq!(outs[..2], outs[2..]);
    assert_eq!(outs[0].id, id.derive("audit").as_uuid());
    assert_eq!(outs[1].id, id.derive("default").as_uuid());
    assert_eq!(messages(&outs[1]), ["b", "c"]);
    settle(deliveries).await;
    running.stop().await;
}

async fn a_parser_that_ends_in_between_repeats_ids_and_loses_nothing(kind: Kind) {
    let bench = Bench::new(kind, &[]).await;
    let mut expected = BTreeSet::new();
    for batch in 0..20 {
        let line = format!("<13>1 - - - - - - {batch}");
        let id = bench.send(&[line.as_bytes(), b"<13>1 - - - - - - x"]).await;
        expected.insert(id.derive("default").as_uuid());
    }
    let first = bench.start();
    // As soon as something came out it is gone, whatever it had not acknowledged.
    eventually(DEADLINE, || async { first.counters.sent_so_far() > 0 }).await;
    first.task.abort();
    drop(first.task.await);
    let second = bench.start();
    let mut seen = BTreeSet::new();
    let mut consumer = bench.broker.consume(&name("out"), 100, "test").await.unwrap();
    while seen.len() < expected.len() {
        let delivery = tokio::time::timeout(DEADLINE, consumer.next())
            .await
            .expect("a batch")
            .unwrap();
        let out = read(&delivery);
        assert_eq!(out.events.len(), 2);
        assert!(
            expected.contains(&out.id),
            "an id that was not derived from the input"
        );
        seen.insert(out.id);
        delivery.settle(Disposition::Ack).await;
    }
    second.stop().await;
}

async fn what_rules_drop_is_counted_and_acknowledged(kind: Kind) {
    let bench = Bench::new(kind, &["if .severity == \"debug\" { drop(\"debug\") }"]).await;
    let running = bench.start();
    bench
        .send(&[b"<15>1 - - - - - - no", b"<15>1 - - - - - - no"])
        .await;
    bench
        .send(&[b"<15>1 - - - - - - no", b"<14>1 - - - - - - yes"])
        .await;
    bench.send(&[]).await;
    let deliveries = bench.take("out", 1).await;
    assert_eq!(messages(&read(&deliveries[0])), ["yes"]);
    settle(deliveries).await;
    running.settled(&bench, 4).await;
    assert_eq!(running.counters.dropped_so_far("debug"), 3);
    assert_eq!(running.counters.sent_so_far(), 1);
    running.stop().await;
}

async fn events_of_a_route_that_nobody_takes_go_to_the_dead_letters(kind: Kind) {
    let bench = Bench::new(kind, &["if .severity == \"err\" { route(\"nowhere.at.all\") }"]).await;
    let running = bench.start();
    let id = bench
        .send(&[b"<11>1 - - - - - - lost", b"<14>1 - - - - - - found"])
        .await;
    let found = bench.take("out", 1).await;
    assert_eq!(messages(&read(&found[0])), ["found"]);
    let dead = bench.take("dead", 1).await;
    assert_eq!(dead[0].id, Some(id.derive("nowhere.at.all").as_uuid()));
    assert_eq!(dead[0].routing_key, "parser.unroutable");
    assert_eq!(messages(&read(&dead[0])), ["lost"]);
    let death = dead[0].death.clone().unwrap();
    assert_eq!(
        (death.stage.as_str(), death.reason.as_str()),
        ("parser", "unroutable")
    );
    assert_eq!(
        (death.exchange, death.routing_key.as_str()),
        (Exchange::Parsed, "nowhere.at.all")
    );
    settle(found).await;
    settle(dead).await;
    running.settled(&bench, 2).await;
    assert_eq!(running.counters.dead_lettered_so_far("unroutable"), 1);
    running.stop().await;
}

async fn what_is_no_raw_batch_goes_to_the_dead_letters_as_it_is(kind: Kind) {
    let bench = Bench::new(kind, &[]).await;
    let running = bench.start();
    let good = raw_batch(
        BatchId::mint(),
        &[b"<14>1 - - - - - - x", b"y"],
        Compression::None,
    );
    let cut = good[..good.len() - 1].to_vec();
    for body in [b"nonsense".to_vec(), Vec::new(), cut.clone()] {
        bench.publish(body, Uuid::now_v7()).await;
    }
    let dead = bench.take("dead", 3).await;
    for delivery in &dead {
        assert_eq!(delivery.routing_key, "parser.undecodable");
        assert_eq!(delivery.death.as_ref().unwrap().exchange, Exchange::Received);
    }
    assert!(dead.iter().any(|delivery| delivery.body == cut));
    settle(dead).await;
    assert_eq!(running.counters.dead_lettered_so_far("undecodable"), 3);
    // Nothing of the one that was cut came out, and the parser goes on.
    bench.send(&[b"<14>1 - - - - - - good"]).await;
    let deliveries = bench.take("out", 1).await;
    assert_eq!(messages(&read(&deliveries[0])), ["good"]);
    settle(deliveries).await;
    running.stop().await;
}

async fn a_letter_that_is_parsed_again_goes_to_its_queue_alone(kind: Kind) {
    let bench = Bench::new(kind, &["if .severity == \"err\" { route(\"nowhere.at.all\") }"]).await;
    let other = (name("other"), vec![BindingKey::all()]);
    bench.broker.declare(&Topology::new([other])).await.unwrap();
    let running = bench.start();
    let id = BatchId::mint();
    let lines: [&[u8]; 2] = [b"<14>1 - - - - - - again", b"<11>1 - - - - - - by another route"];
    let body = raw_batch(id, &lines, Compression::Lz4);
    let only = |queue: &str| RoutingKey::only_to(&name(queue)).unwrap();
    bench.publish_by(only("out"), body.clone(), id.as_uuid()).await;
    let mut taken = bench.take("out", 2).await;
    taken.sort_by_key(|delivery| delivery.routing_key.clone());
    let keys: Vec<_> = taken
        .iter()
        .map(|delivery| (delivery.exchange, &*delivery.routing_key))
        .collect();
    assert_eq!(
        keys,
        [
            (Some(Exchange::Parsed), "default"),
            (Some(Exchange::Parsed), "nowhere.at.all")
        ]
    );
    assert_eq!(taken[0].id, Some(id.derive("default").as_uuid()));
    settle(taken).await;
    running.settled(&bench, 2).await;
    assert_eq!(bench.broker.fill(&name("other")).await.unwrap().ready, 0);

    // A queue that is not there any more is told, and the letter can be sent to it again.
    bench.publish_by(only("gone"), body, id.as_uuid()).await;
    let dead = bench.take("dead", 2).await;
    let death = dead[0].death.clone().unwrap();
    assert_eq!((&*death.reason, &*death.queue), ("unroutable", "gone"));
    settle(dead).await;
    running.stop().await;
}

#[tokio::test]
async fn a_failed_rule_is_counted_by_program_and_is_a_defect() {
    let bench = Bench::new(Kind::Embedded, &["true", ".fields.n = to_int!(.message)"]).await;
    let running = bench.start();
    bench
        .send(&[b"<14>1 - - - - - - no number", b"<14>1 - - - - - - 12"])
        .await;
    let deliveries = bench.take("out", 1).await;
    let mut scratch = Vec::new();
    let mut batch = EventBatch::decode(&deliveries[0].body, &mut scratch, BYTES_MAX).unwrap();
    let failed = batch.next_event().unwrap().unwrap();
    assert_eq!(failed.defects.words().collect::<Vec<_>>(), ["rule_failed"]);
    assert_eq!(failed.raw.as_deref(), Some(&b"<14>1 - - - - - - no number"[..]));
    let passed = batch.next_event().unwrap().unwrap();
    assert_eq!((passed.raw, passed.fields.len()), (None, 1));
    settle(deliveries).await;
    let text = running.ctx.metrics.encode();
    assert!(
        text.contains("logferry_parser_rule_failures_total{program=\"program1\"} 1"),
        "{text}"
    );
    running.stop().await;
}

#[tokio::test]
async fn raw_is_kept_as_the_settings_say() {
    let lines: [&[u8]; 2] = [b"<14>1 - - - - - - good", b"bad"];
    for (policy, expected) in [
        (RawPolicy::Always, [true, true]),
        (RawPolicy::OnDefect, [false, true]),
        (RawPolicy::Never, [false, false]),
    ] {
        let mut bench = Bench::new(Kind::Embedded, &[]).await;
        bench.settings.parser.raw = policy;
        let running = bench.start();
        bench.send(&lines).await;
        let deliveries = bench.take("out", 1).await;
        let mut scratch = Vec::new();
        let mut batch = EventBatch::decode(&deliveries[0].body, &mut scratch, BYTES_MAX).unwrap();
        let mut kept = Vec::new();
        while let Some(event) = batch.next_event().unwrap() {
            kept.push(event.raw.is_some());
        }
        assert_eq!(kept, expected, "{policy:?}");
        settle(deliveries).await;
        running.stop().await;
    }
}

#[tokio::test]
async fn the_time_zone_is_the_listeners() {
    let mut bench = Bench::new(Kind::Embedded, &[]).await;
    bench.settings.syslog_server.listeners.truncate(1);
    bench.settings.syslog_server.listeners[0].name = "tcp".to_owned();
    bench.settings.syslog_server.listeners[0].time_zone = "Asia/Tokyo".to_owned();
    let running = bench.start();
    bench.send(&[b"<13>Nov 14 22:13:20 host app: x"]).await;
    let deliveries = bench.take("out", 1).await;
    let mut scratch = Vec::new();
    let mut batch = EventBatch::decode(&deliveries[0].body, &mut scratch, BYTES_MAX).unwrap();
    let event = batch.next_event().unwrap().unwrap();
    // 2023-11-14T22:13:20 in Tokyo.
    assert_eq!(event.timestamp.unwrap().at.as_micros(), 1_699_967_600_000_000);
    assert_eq!(event.severity, Severity::new(5));
    settle(deliveries).await;
    running.stop().await;
}

async fn a_stop_finishes_what_is_in_flight(kind: Kind) {
    let bench = Bench::new(kind, &[]).await;
    let running = bench.start();
    let mut sent = BTreeSet::new();
    for _ in 0..50 {
        sent.insert(
            bench
                .send(&[b"<14>1 - - - - - - x".as_slice(); 100])
                .await
                .derive("default")
                .as_uuid(),
        );
    }
    eventually(DEADLINE, || async { running.counters.received_so_far() > 0 }).await;
    let counters = running.counters.clone();
    running.stop().await;
    // What was parsed was also published; the rest is still in the queue.
    assert_eq!(counters.received_so_far(), counters.sent_so_far());
    let parsed = usize::try_from(counters.sent_so_far() / 100).unwrap();
    let out = bench.take("out", parsed).await;
    let left = bench.take("parser", 50 - parsed).await;
    assert!(out.iter().all(|delivery| sent.contains(&delivery.id.unwrap())));
    settle(out).await;
    settle(left).await;
}

/// A broker whose queues take next to nothing, and lines that LZ4 does not make small.
async fn full_queues() -> (Bench, BTreeSet<Uuid>) {
    let mut bench = Bench::new(Kind::Embedded, &[]).await;
    bench.settings.parser.compression = settings::Compression::None;
    bench.broker.clone().close().await;
    if let BrokerSettings::Embedded { queue_bytes_max, .. } = &mut bench.settings.broker {
        *queue_bytes_max = 20_000;
    }
    bench.broker = Broker::connect(&bench.settings.broker, "test").await.unwrap();
    let line = [b"<14>1 - - - - - - ".as_slice(), &[b'x'; 3000]].concat();
    let mut expected = BTreeSet::new();
    for _ in 0..8 {
        // Compressed they fit into the queue of the parser, and what comes of them does not fit into `out`.
        expected.insert(bench.send(&[&line, &line]).await.derive("default").as_uuid());
    }
    (bench, expected)
}

#[tokio::test]
async fn a_full_queue_holds_batches_back_and_makes_no_dead_letters() {
    let (bench, expected) = full_queues().await;
    let running = bench.start();
    eventually(DEADLINE, || async {
        running.counters.retried_so_far("nacked") > 0
    })
    .await;
    let mut got = BTreeSet::new();
    let mut consumer = bench.broker.consume(&name("out"), 100, "test").await.unwrap();
    while got.len() < expected.len() {
        let delivery = tokio::time::timeout(DEADLINE, consumer.next())
            .await
            .expect("a batch")
            .unwrap();
        got.insert(delivery.id.unwrap());
        delivery.settle(Disposition::Ack).await;
    }
    assert_eq!(got, expected);
    running.settled(&bench, 16).await;
    let text = running.ctx.metrics.encode();
    assert!(!text.contains("logferry_events_dead_lettered_total{"), "{text}");
    running.stop().await;
}

#[tokio::test]
async fn a_drain_that_takes_too_long_gives_batches_back() {
    let (bench, expected) = full_queues().await;
    let running = bench.start_with_grace(Duration::from_millis(200));
    eventually(DEADLINE, || async {
        running.counters.retried_so_far("nacked") > 0
    })
    .await;
    let counters = running.counters.clone();
    running.stop().await;
    let out = usize::try_from(counters.sent_so_far() / 2).unwrap();
    assert!(out < expected.len());
    let left = bench.take("parser", expected.len() - out).await;
    assert!(left.iter().any(|delivery| delivery.redelivered));
    settle(left).await;
}

#[tokio::test]
async fn rules_that_do_not_compile_stop_the_start() {
    let bench = Bench::new(Kind::Embedded, &["nosuch()", "also_not()"]).await;
    let error = bench.start().task.await.unwrap().unwrap_err();
    let text = format!("{error:#}");
    assert!(
        text.contains("program0.vrl:1:1") && text.contains("program1.vrl:1:1"),
        "{text}"
    );
}
