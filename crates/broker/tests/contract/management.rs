//! The management API of a real RabbitMQ.

use std::path::Path;

use broker::{Broker, Disposition, Management, ManagementError, QueueName};
use settings::{BrokerSettings, Secret};
use testkit::{Authority, RabbitMq, eventually};

use crate::fixture::{DEADLINE, next, parser, publish_numbers, topology};
use crate::tls;

fn settings(server: &RabbitMq, management_url: &str, ca_file: &Path) -> BrokerSettings {
    match tls::settings(&server.url(), Some(ca_file)) {
        BrokerSettings::Amqp(amqp) => BrokerSettings::Amqp(settings::AmqpSettings {
            management_url: Some(Secret::new(management_url.to_owned())),
            ..amqp
        }),
        embedded @ BrokerSettings::Embedded { .. } => embedded,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_amqp_does_not_tell_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Authority::new(dir.path(), "ca");
    let server = RabbitMq::start_private_with_statistics(ca.issue("server", "localhost")).await;
    let over_tls = settings(&server, &server.api_tls_url("localhost").unwrap(), ca.file());
    let broker = Broker::connect(&over_tls, "management").await.unwrap();
    broker.wait_ready(DEADLINE).await.unwrap();
    broker.declare(&topology()).await.unwrap();
    publish_numbers(&broker, 0..20).await;
    let mut consumer = parser(&broker, 8).await;
    next(&mut consumer).await.settle(Disposition::Ack).await;
    let held = next(&mut consumer).await;

    let queues = [
        QueueName::parser(),
        QueueName::dead(),
        QueueName::new("not-there").unwrap(),
    ];
    let asked = Management::new(&over_tls).unwrap().unwrap();
    eventually(DEADLINE, || async {
        let report = asked.ask(&queues, None).await;
        let told = report.queues.as_ref().unwrap();
        assert!(!told.contains_key("not-there"), "{told:?}");
        let parser = told.get("parser").unwrap();
        let node = server.node_name();
        assert_eq!(
            (&parser.members, &parser.online),
            (&vec![node.clone()], &vec![node.clone()])
        );
        assert_eq!(parser.leader.as_ref(), Some(&node));
        let dead = told.get("dead").unwrap();
        assert_eq!(dead.publish_s, None, "nothing was counted, so nothing is known");
        let nodes = report.nodes.as_ref().unwrap();
        let first = nodes.first().unwrap();
        assert_eq!((nodes.len(), &first.name), (1, &node));
        parser.unacked.is_some_and(|unacked| unacked > 0)
            && parser.bytes.is_some_and(|bytes| bytes > 0)
            && parser.publish_s.is_some()
            && parser.ack_s.is_some()
            && first.disk_free_bytes.is_some_and(|bytes| bytes > 0)
            && first.has_memory_alarm == Some(false)
            && report
                .overview
                .is_ok_and(|all| all.connections >= Some(2) && all.version.is_some())
    })
    .await;

    server.set_alarm(true).await;
    eventually(DEADLINE, || async {
        let nodes = asked.ask(&queues, None).await.nodes.unwrap();
        nodes
            .first()
            .is_some_and(|node| node.has_memory_alarm == Some(true))
    })
    .await;
    server.set_alarm(false).await;

    // Who may look at queues may not look at nodes.
    for arguments in [
        &["add_user", "looker", "pass"][..],
        &["set_user_tags", "looker", "management"],
        &["set_permissions", "looker", ".*", ".*", ".*"],
    ] {
        server.ctl(arguments).await;
    }
    let own = server.api_url().replace("//", "//looker:pass@");
    let asked = Management::new(&settings(&server, &own, ca.file()))
        .unwrap()
        .unwrap();
    let report = asked.ask(&queues, None).await;
    assert!(report.queues.as_ref().is_ok_and(|told| told.len() == 2));
    let told = report.nodes.as_ref().unwrap_err();
    assert!(
        matches!(told, ManagementError::Refused { status: 401, .. }),
        "{told}"
    );
    server.ctl(&["set_user_tags", "looker", "monitoring"]).await;
    let again = asked.ask(&queues, Some(&report)).await;
    assert!(
        again.queues.is_ok() && again.nodes.is_err(),
        "it is not asked again"
    );
    assert!(asked.ask(&queues, None).await.nodes.is_ok());

    let wrong = server.api_url().replace("//", "//looker:wrong@");
    let asked = Management::new(&settings(&server, &wrong, ca.file()))
        .unwrap()
        .unwrap();
    let told = asked.ask(&queues, None).await.queues.unwrap_err().to_string();
    assert!(
        told.contains("401: Login failed") && !told.contains("wrong"),
        "{told}"
    );

    let untrusted = Authority::new(dir.path(), "other");
    let untrusted = settings(
        &server,
        &server.api_tls_url("localhost").unwrap(),
        untrusted.file(),
    );
    let asked = Management::new(&untrusted).unwrap().unwrap();
    let told = asked.ask(&queues, None).await.queues.unwrap_err().to_string();
    assert!(told.contains("certificate"), "{told}");
    held.settle(Disposition::Ack).await;
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_statistics_numbers_are_unknown() {
    let server = RabbitMq::start_private().await;
    let mut wanted = settings(&server, &server.api_url(), Path::new("unused"));
    if let BrokerSettings::Amqp(amqp) = &mut wanted {
        amqp.tls_ca_file = None;
    }
    let broker = Broker::connect(&wanted, "management").await.unwrap();
    broker.wait_ready(DEADLINE).await.unwrap();
    broker.declare(&topology()).await.unwrap();
    let asked = Management::new(&wanted).unwrap().unwrap();
    let report = asked.ask(&[QueueName::parser()], None).await;
    let queues = report.queues.unwrap();
    let queue = queues.get("parser").unwrap();
    assert_eq!((queue.publish_s, queue.bytes, queue.unacked), (None, None, None));
    assert_eq!(queue.members, [server.node_name()]);
    let nodes = report.nodes.unwrap();
    assert_eq!(nodes.first().unwrap().has_memory_alarm, None);
    broker.close().await;
}
