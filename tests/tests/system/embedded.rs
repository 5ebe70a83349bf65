//! `logferry run` alone: no server installed, the same guarantees.

use testkit::{Pipeline, RelpLoad, Service, eventually};

use crate::support::{PATIENCE, file_counts, key, lines, search, send_tcp};

const LINES: usize = 20_000;

#[tokio::test]
async fn run_survives_kill_in_mid_load() {
    let pipeline = Pipeline::embedded().start().await;
    let load = RelpLoad::start(pipeline.relp(), lines("run", LINES));
    eventually(PATIENCE, || async { load.acked() >= LINES / 5 }).await;
    pipeline.kill(Service::Run).await;
    assert!(load.acked() < LINES, "the load was over before the kill");
    pipeline.start(Service::Run).await;
    let sends = load.finish().await;
    eventually(PATIENCE, || async {
        file_counts(&pipeline.events_file()).len() == LINES
    })
    .await;
    eventually(PATIENCE, || async { search(&pipeline).len() == LINES }).await;
    assert!(pipeline.terminate(Service::Run).await.success());
    let found = search(&pipeline);
    for (n, sends) in sends.iter().enumerate() {
        let rows = found.get(&key("run", n)).copied().unwrap_or_default();
        assert!(
            (1..=*sends).contains(&rows),
            "{}: sent {sends} times, {rows} rows",
            key("run", n)
        );
    }
}

#[tokio::test]
async fn what_tcp_takes_is_found() {
    let pipeline = Pipeline::embedded().start().await;
    send_tcp(pipeline.tcp(), &lines("found", 100)).await;
    eventually(PATIENCE, || async { search(&pipeline).len() == 100 }).await;
    assert_eq!(pipeline.complaints(), Vec::<String>::new());
    assert!(pipeline.terminate(Service::Run).await.success());
}
