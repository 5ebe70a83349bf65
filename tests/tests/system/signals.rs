//! What a service says of what it holds when it has to end at once.

use testkit::{Service, eventually};

use crate::support::{PATIENCE, Rows, System, await_events, each_once, lines, send_tcp};

#[tokio::test]
async fn a_second_signal_tells_how_many_deliveries_were_unsettled() {
    let system = System::start().await;
    let pipeline = &system.pipeline;
    // Nothing can be written, so the shipper holds what it gets.
    let lock = Rows::connect(system.database.url()).await;
    lock.client()
        .batch_execute("BEGIN; LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    for n in 0..3 {
        send_tcp(pipeline.tcp(), &lines(&format!("held{n}"), 10)).await;
        await_events(&pipeline.events_file(), 10 * (n + 1)).await;
    }
    let files = pipeline
        .metric(Service::ShipperFs, &["logferry_broker_deliveries_received_total"])
        .await;
    let in_flight = "logferry_batches_in_flight{stage=\"shipper-pgsql\"}";
    eventually(PATIENCE, || async {
        (pipeline.metric(Service::ShipperPgsql, &[in_flight]).await - files).abs() < 0.1
    })
    .await;
    pipeline.signal(Service::ShipperPgsql);
    eventually(PATIENCE, || async {
        pipeline.log(Service::ShipperPgsql).contains("stopping")
    })
    .await;
    let status = pipeline.terminate(Service::ShipperPgsql).await;
    assert_eq!(status.code(), Some(70));
    let log = pipeline.log(Service::ShipperPgsql);
    let said = format!("second signal: ended without draining in_flight={files}");
    assert!(files >= 3.0 && log.contains(&said), "{said}: {log}");

    // They come again.
    drop(lock);
    pipeline.start(Service::ShipperPgsql).await;
    system.rows.await_total(30).await;
    system.drain().await;
    let mut expected = each_once("held0", 10);
    expected.extend(each_once("held1", 10));
    expected.extend(each_once("held2", 10));
    assert_eq!(system.rows.counts().await, expected);
}
