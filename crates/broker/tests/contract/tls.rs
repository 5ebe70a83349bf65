//! AMQP over TLS, on a RabbitMQ with a certificate.

use std::{path::Path, time::Duration};

use broker::{Broker, BrokerState, Disposition};
use settings::{AmqpSettings, BrokerSettings, Secret};
use testkit::{Authority, RabbitMq};

use crate::fixture::{DEADLINE, next, number, parser, publish_numbers, topology};

pub(crate) fn settings(url: &str, tls_ca_file: Option<&Path>) -> BrokerSettings {
    BrokerSettings::Amqp(AmqpSettings {
        url: Secret::new(url.to_owned()),
        tls_ca_file: tls_ca_file.map(Into::into),
        management_url: None,
        connect_timeout: Duration::from_secs(10),
        heartbeat: Duration::from_secs(10),
        reconnect_backoff_max: Duration::from_millis(500),
        confirm_timeout: Duration::from_secs(30),
        queue_bytes_max: 64 << 20,
        delivery_limit: 3,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_trusted_by_its_ca_and_problems_name_the_setting() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Authority::new(dir.path(), "ca");
    let other = Authority::new(dir.path(), "other");
    let server = RabbitMq::start_private_tls(ca.issue("server", "localhost")).await;
    let tls = server.tls_url("localhost").unwrap();

    let right = settings(&tls, Some(ca.file()));
    let told = Broker::check(&right).await.unwrap();
    assert!(told.contains("localhost"), "{told}");
    let broker = Broker::connect(&right, "tls").await.unwrap();
    broker.wait_ready(DEADLINE).await.unwrap();
    broker.declare(&topology()).await.unwrap();
    publish_numbers(&broker, 0..3).await;
    let mut consumer = parser(&broker, 8).await;
    for expected in 0..3 {
        let delivery = next(&mut consumer).await;
        assert_eq!(number(&delivery), expected);
        delivery.settle(Disposition::Ack).await;
    }
    // A lost connection is made again, over TLS.
    server.close_connections().await;
    let mut state = broker.state();
    let away = |state: &BrokerState| !state.is_ready();
    tokio::time::timeout(DEADLINE, state.wait_for(away))
        .await
        .unwrap()
        .unwrap();
    broker.wait_ready(DEADLINE).await.unwrap();
    publish_numbers(&broker, 3..4).await;
    broker.close().await;

    let by_address = server.tls_url("127.0.0.1").unwrap();
    let tls_port = tls
        .rsplit_once(':')
        .unwrap()
        .1
        .trim_end_matches("/%2f")
        .to_owned();
    let plain_on_tls = format!("amqp://guest:hunter2@localhost:{tls_port}/%2f");
    let tls_on_plain = format!("amqps://guest:hunter2@localhost:{}/%2f", server.port());
    for (url, ca_file, expected) in [
        (&tls, Some(other.file()), "broker.tls_ca_file"),
        (&tls, None, "broker.tls_ca_file"),
        (&by_address, Some(ca.file()), "certificate not valid for name"),
        (&plain_on_tls, None, "amqps://"),
        (&tls_on_plain, Some(ca.file()), "amqp://"),
    ] {
        let problem = Broker::check(&settings(url, ca_file))
            .await
            .unwrap_err()
            .to_string();
        assert!(problem.contains(expected), "{url} with {ca_file:?}: {problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
}
