use broker::{Broker, Topology};
use event::{BatchId, PayloadKind};
use rules::RuleChain;
use service::Metrics;
use settings::BrokerSettings;

use super::*;
use crate::{pool::Pool, worker::DefectCounts};

/// A broker with three raw batches, and a pool that panics on the second.
#[tokio::test]
async fn a_batch_that_brings_up_a_panic_is_a_dead_letter_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::connect(
        &BrokerSettings::Embedded {
            dir: dir.path().to_owned(),
            queue_bytes_max: 1 << 30,
            delivery_limit: 20,
        },
        "test",
    )
    .await
    .unwrap();
    broker.declare(&Topology::new([])).await.unwrap();
    let publisher = broker.publisher(4);
    for body in ["one", "panic", "three"] {
        let message = Message {
            id: BatchId::mint().as_uuid(),
            exchange: Exchange::Received,
            routing_key: RoutingKey::new("syslog.tcp").unwrap(),
            content_type: PayloadKind::Raw.content_type(),
            body: body.into(),
            death: None,
        };
        publisher.deliver(&message).await.unwrap();
    }

    let make = || {
        |body: &[u8]| {
            assert!(body != b"panic", "a bug");
            Ok(Parsed {
                frames: 1,
                outputs: Vec::new(),
                dropped: vec![("noise".to_owned(), 1)],
                defects: DefectCounts::default(),
                failures: Vec::new(),
            })
        }
    };
    let pool = Pool::start(2, 4, make).unwrap();
    let chain = RuleChain::compile(&[]).unwrap();
    let meters = Meters::new(&Metrics::new(), &chain);
    let outlet = Outlet::new(publisher, meters.clone(), CancellationToken::new(), Vec::new());
    let mut consumer = broker.consume(&QueueName::parser(), 4, STAGE).await.unwrap();
    let (in_flight, ordered) = mpsc::channel(4);
    for _ in 0..3 {
        let delivery = consumer.next().await.unwrap();
        let parsed = pool.submit(delivery.body.clone()).await;
        meters.stage.taken(1);
        let age = None;
        in_flight
            .send(InFlight {
                delivery,
                parsed,
                age,
            })
            .await
            .unwrap();
    }
    drop(in_flight);
    outlet.run(ordered).await;
    pool.stop(false).await;

    let mut dead = broker.consume(&QueueName::dead(), 4, "test").await.unwrap();
    let letter = dead.next().await.unwrap();
    assert_eq!(
        (&letter.body[..], letter.routing_key.as_str()),
        (&b"panic"[..], "parser.panic")
    );
    letter.settle(Disposition::Ack).await;
    assert_eq!(meters.stage.dead_lettered_so_far("panic"), 1);
    assert_eq!(meters.stage.dropped_so_far("noise"), 2);
    assert_eq!(meters.stage.in_flight(), 0);
    assert_eq!(broker.counters().unsettled, 0);
}
