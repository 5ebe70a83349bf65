//! Several processes of each stage share the work: nothing is lost and nothing is doubled.

use testkit::{RelpLoad, Service};

use crate::support::{System, assert_counts, await_events, each_once, file_counts, lines};

const LINES: usize = 20_000;

#[tokio::test]
async fn processes_side_by_side_share_the_work() {
    let system = System::start().await;
    for service in [Service::Parser, Service::ShipperPgsql, Service::ShipperFs] {
        system.pipeline.start_another(service).await;
    }
    let loads = ["one", "two"].map(|name| RelpLoad::start(system.pipeline.relp(), lines(name, LINES)));
    for load in loads {
        assert_eq!(load.finish().await, vec![1; LINES]);
    }
    system.rows.await_total(2 * LINES).await;
    await_events(&system.pipeline.events_file(), 2 * LINES).await;
    for service in Service::ALL {
        let metric = async |name| system.pipeline.metric(service, &[name]).await;
        assert!((metric("logferry_broker_ready ").await - 1.0).abs() < 0.1);
        let takes = metric("logferry_broker_deliveries_received_total ").await > 0.0;
        let is_consumer = matches!(
            service,
            Service::Parser | Service::ShipperPgsql | Service::ShipperFs
        );
        assert_eq!(takes, is_consumer, "{}", service.name());
        let gives = metric("logferry_broker_confirm_seconds_count ").await > 0.0;
        let is_source = matches!(service, Service::SyslogServer | Service::Parser);
        assert_eq!(gives, is_source, "{}", service.name());
    }
    assert_eq!(system.pipeline.complaints(), Vec::<String>::new());
    system.drain().await;

    let mut expected = each_once("one", LINES);
    expected.extend(each_once("two", LINES));
    assert_counts(&system.rows.counts().await, &expected);
    assert_counts(&file_counts(&system.pipeline.events_file()), &expected);
}
