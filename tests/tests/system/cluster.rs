//! A RabbitMQ of three nodes under load: the leader of the busiest queue dies, then a follower, so that there is no
//! majority, and then one comes back. Every line is answered in the end and is there once; how long senders waited is printed.

use std::time::{Duration, Instant};

use testkit::{Pace, Pipeline, RabbitCluster, RelpLoad, Service, eventually};

use crate::support::{PATIENCE, Rows, assert_counts, each_once, lines};

const LINES: usize = 60_000;
/// What is left when the last node dies takes twenty seconds and more, however fast the machine is.
const PER_SECOND: u32 = 1000;
/// Lines that are answered before the next thing happens.
const STEP: usize = 5000;
/// The queue that intake fills, of all lines.
const BUSIEST: &str = "parser";

const SERVICES: [Service; 4] = [
    Service::SyslogServer,
    Service::Parser,
    Service::ShipperPgsql,
    Service::ShipperFs,
];

#[tokio::test]
#[ignore = "takes minutes: `make cluster` runs it"]
async fn a_cluster_loses_nodes_and_no_line() {
    let (cluster, database) = (RabbitCluster::start(3).await, testkit::postgres());
    // Without a rescue queue it is the cluster that senders wait for.
    let pipeline = Pipeline::over(&cluster.url(), database.url())
        .settings("[rescue]\norder = []")
        .services(&SERVICES)
        .start()
        .await;
    let rows = Rows::connect(database.url()).await;
    let pace = Pace {
        per_second: PER_SECOND,
        // Senders wait, so that no line is sent twice.
        patience: Duration::from_secs(1800),
    };
    let sent = lines("cluster", LINES).into_iter().map(String::into_bytes);
    let load = RelpLoad::start_at(pipeline.relp(), sent.collect(), pace);
    answered(&load, STEP).await;
    let node = |at: usize| cluster.nodes().get(at).expect("there are three");

    let leader = cluster.leader(0, BUSIEST).await.expect("the queue has a leader");
    let killed = Instant::now();
    node(leader).kill().await;
    let pause = longest_pause(&load, STEP).await;
    eprintln!(
        "the leader died: answers paused for {pause:?}, {STEP} more lines after {:?}",
        killed.elapsed()
    );

    let follower = (leader + 1) % cluster.nodes().len();
    let killed = Instant::now();
    node(follower).kill().await;
    let acked = load.acked();
    assert!(acked < LINES, "the load was over before the second node died");
    node(leader).start().await;
    let started = killed.elapsed();
    answered(&load, STEP).await;
    eprintln!(
        "a follower died too, and the first node was back after {started:?}: {STEP} more lines {:?} after that",
        killed.elapsed() - started
    );

    node(follower).start().await;
    let sends = load.finish().await;
    assert!(sends.iter().all(|count| *count == 1), "every line was sent once");
    eventually(PATIENCE * 4, || async { rows.total().await >= LINES }).await;
    assert_counts(&rows.counts().await, &each_once("cluster", LINES));
    for service in SERVICES {
        assert!(pipeline.terminate(service).await.success());
    }
    eprintln!("{LINES} lines answered, each is there once");
}

/// Waits until so many more lines are answered.
async fn answered(load: &RelpLoad, more: usize) {
    let before = load.acked();
    eventually(PATIENCE * 4, || async {
        load.acked() >= (before + more).min(LINES)
    })
    .await;
}

/// The same, and the longest time in which none was.
async fn longest_pause(load: &RelpLoad, more: usize) -> Duration {
    let before = load.acked();
    let (mut last, mut last_at, mut longest) = (before, Instant::now(), Duration::ZERO);
    let mut looks = tokio::time::interval(Duration::from_millis(2));
    while load.acked() < before + more {
        looks.tick().await;
        let now = load.acked();
        if now > last {
            longest = longest.max(last_at.elapsed());
            (last, last_at) = (now, Instant::now());
        }
        assert!(last_at.elapsed() < PATIENCE * 4, "nothing is answered any more");
    }
    longest
}
