//! The order of an upgrade that docs/operations.md gives, under load: nothing is lost and nothing is doubled.

use std::path::PathBuf;

use testkit::{Pace, Pipeline, RelpLoad, Service, eventually};

use crate::support::{PATIENCE, Rows, assert_counts, await_events, each_once, file_counts, lines};

/// A folder with the programs that are upgraded (`make upgrade FROM=folder`). Without it they are those of this build.
const FROM: &str = "LOGFERRY_UPGRADE_FROM";

/// What reads a batch comes before what writes it. `harvest` and `web` have no lines under way here.
const ORDER: [Service; 5] = [
    Service::ShipperPgsql,
    Service::ShipperFs,
    Service::Parser,
    Service::Collector,
    Service::SyslogServer,
];

const LINES: usize = 6000;
/// Where in its load a service is stopped.
const STOP_AT: usize = LINES / 4;
/// What is left at the stop takes four seconds, however fast the machine is.
const PER_SECOND: u32 = 1000;

#[tokio::test]
async fn the_documented_order_loses_and_doubles_nothing() {
    let (vhost, database) = (testkit::rabbitmq(), testkit::postgres());
    let mut builder = Pipeline::over(vhost.url(), database.url());
    if let Some(from) = std::env::var_os(FROM) {
        builder = builder.programs(&PathBuf::from(from));
    }
    let mut pipeline = builder.start().await;
    let rows = Rows::connect(database.url()).await;
    let before = RelpLoad::start(pipeline.relp(), lines("before", LINES));
    assert_eq!(before.finish().await, vec![1; LINES]);

    pipeline.upgrade();
    let init = pipeline.logferry(&["init"]);
    assert!(init.status.success(), "{init:?}");
    let mut expected = each_once("before", LINES);
    for service in ORDER {
        let name = service.name();
        let pace = Pace {
            per_second: PER_SECOND,
            ..Pace::default()
        };
        let load = lines(name, LINES).into_iter().map(String::into_bytes);
        let load = RelpLoad::start_at(pipeline.relp(), load.collect(), pace);
        eventually(PATIENCE, || async { load.acked() >= STOP_AT }).await;
        let status = pipeline.terminate(service).await;
        assert!(status.success(), "{name} ended with {status}");
        assert!(load.acked() < LINES, "the load was over before {name} ended");
        pipeline.start(service).await;
        let sends = load.finish().await;
        eprintln!(
            "{name}: {} lines were sent again",
            sends.iter().filter(|sends| **sends > 1).count()
        );
        expected.extend(each_once(name, LINES));
    }
    rows.await_total(expected.len()).await;
    await_events(&pipeline.events_file(), expected.len()).await;
    for service in Service::ALL {
        let status = pipeline.terminate(service).await;
        assert!(status.success(), "{} ended with {status}", service.name());
        let log = pipeline.log(service);
        let drained = log.matches("drained in_flight=0").count();
        assert_eq!(drained, 2, "{}: {log}", service.name());
    }
    assert_counts(&rows.counts().await, &expected);
    assert_counts(&file_counts(&pipeline.events_file()), &expected);
}
