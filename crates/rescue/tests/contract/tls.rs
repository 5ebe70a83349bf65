//! A Redis behind TLS, with a certificate of a CA of its own.

use std::path::Path;

use rescue::Rescue;
use settings::{RescueKind, RescueSettings};
use testkit::{Authority, Redis};

use crate::fixture::{LONG, numbers, push_numbers, settings, until_ready};

fn at(url: &str, ca_file: Option<&Path>) -> RescueSettings {
    let mut settings = settings(RescueKind::Redis, Some(url), "");
    let redis = settings.redis.as_mut().unwrap();
    redis.tls_ca_file = ca_file.map(Into::into);
    settings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_is_trusted_by_its_ca_and_problems_name_the_setting() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Authority::new(dir.path(), "ca");
    let other = Authority::new(dir.path(), "other");
    let server = Redis::start_private_tls(ca.issue("server", "localhost")).await;
    let tls = server.tls_url("localhost").unwrap();

    let right = at(&tls, Some(ca.file()));
    let told = rescue::check(&right).await.unwrap();
    assert!(told.contains("each batch is synced"), "{told}");
    let rescue = Rescue::open(&right).unwrap();
    let queue = &rescue.queues()[0];
    until_ready(queue).await;
    push_numbers(queue, 0..3).await;
    assert_eq!(numbers(&queue.claim(10, LONG).await.unwrap()), [0, 1, 2]);
    rescue.close().await;

    let (_, address) = tls.split_once("://").unwrap();
    let plain_on_tls = format!("redis://:hunter2@{address}");
    let by_address = server.tls_url("127.0.0.1").unwrap();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "no certificate\n").unwrap();
    for (url, ca_file, expected) in [
        (&tls, Some(other.file()), "rescue.tls_ca_file"),
        (&tls, None, "rescue.tls_ca_file"),
        (&tls, Some(empty.as_path()), "rescue.tls_ca_file"),
        (&by_address, Some(ca.file()), "NotValidForName"),
        (&plain_on_tls, None, "rediss://"),
    ] {
        let problem = rescue::check(&at(url, ca_file)).await.unwrap_err().to_string();
        assert!(problem.contains(expected), "{url} with {ca_file:?}: {problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
}
