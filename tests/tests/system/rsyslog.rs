//! A real rsyslogd sends over every protocol: each line is one row and one event in the file.

use std::path::Path;

use testkit::{Rsyslog, Service, eventually};

use crate::support::{PATIENCE, System, assert_counts, await_events, each_once, events, lines};

const LINES: usize = 2_000;
/// Few enough at a time for the smallest receive buffer that a system grants.
const UDP_LINES: usize = 300;
const UDP_CHUNK: usize = 50;

#[tokio::test]
async fn every_line_of_rsyslog_arrives_once_over_every_protocol() {
    let system = System::start().await;
    let (relp, tcp, udp) = (
        system.pipeline.relp().port(),
        system.pipeline.tcp().port(),
        system.pipeline.udp().port(),
    );
    let over_relp = Rsyslog::start(
        "module(load=\"omrelp\")",
        &format!(r#"action(type="omrelp" target="127.0.0.1" port="{relp}")"#),
    )
    .await;
    let over_lines = Rsyslog::start(
        "",
        &format!(
            r#"action(type="omfwd" target="127.0.0.1" port="{tcp}" protocol="tcp" tcp_framing="traditional"
                template="RSYSLOG_SyslogProtocol23Format")"#
        ),
    )
    .await;
    let over_octets = Rsyslog::start(
        "",
        &format!(
            r#"action(type="omfwd" target="127.0.0.1" port="{tcp}" protocol="tcp" tcp_framing="octet-counted"
                template="RSYSLOG_TraditionalForwardFormat")"#
        ),
    )
    .await;
    let over_udp = Rsyslog::start(
        "",
        &format!(
            r#"action(type="omfwd" target="127.0.0.1" port="{udp}" protocol="udp"
                template="RSYSLOG_ForwardFormat")"#
        ),
    )
    .await;

    over_relp.feed(&lines("relp", LINES)).await;
    over_lines.feed(&lines("lines", LINES)).await;
    over_octets.feed(&lines("octets", LINES)).await;
    let datagrams = lines("udp", UDP_LINES);
    for (n, chunk) in datagrams.chunks(UDP_CHUNK).enumerate() {
        over_udp.feed(chunk).await;
        let last = crate::support::key("udp", n * UDP_CHUNK + chunk.len() - 1);
        system.rows.await_key(&last).await;
    }

    let mut expected = each_once("relp", LINES);
    expected.extend(each_once("lines", LINES));
    expected.extend(each_once("octets", LINES));
    expected.extend(each_once("udp", UDP_LINES));
    system.rows.await_total(expected.len()).await;
    await_events(&system.pipeline.events_file(), expected.len()).await;
    for sender in [over_relp, over_lines, over_octets, over_udp] {
        sender.stop().await;
    }
    assert_eq!(system.pipeline.complaints(), Vec::<String>::new());
    system.drain().await;

    assert_counts(&system.rows.counts().await, &expected);
    assert_counts(
        &crate::support::file_counts(&system.pipeline.events_file()),
        &expected,
    );
    for (listener, name) in [
        ("relp", "relp"),
        ("tcp", "lines"),
        ("tcp", "octets"),
        ("udp", "udp"),
    ] {
        let odd = format!(
            "SELECT message FROM events WHERE message LIKE '%{name}-%' AND (listener <> '{listener}' \
             OR hostname NOT LIKE 'host-%' OR app_name <> 'app' OR procid <> '123')"
        );
        assert_eq!(system.rows.column(&odd).await, Vec::<String>::new());
    }
    check_schema(&system.pipeline.events_file());
}

/// Every event in the file is what `proto/event.schema.json` promises.
fn check_schema(file: &Path) {
    let path = testkit::binaries::project().join("proto/event.schema.json");
    let schema = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for event in events(file) {
        if let Err(error) = validator.validate(&event) {
            panic!("{error}: {event}");
        }
    }
}

/// An rsyslog that sends by RELP, and resumes at once and for ever, as the documentation advises for sites that must not
/// lose lines.
async fn resending(system: &System, timeout_seconds: u32) -> Rsyslog {
    let port = system.pipeline.relp().port();
    Rsyslog::start(
        "module(load=\"omrelp\")",
        &format!(
            r#"action(type="omrelp" target="127.0.0.1" port="{port}" timeout="{timeout_seconds}"
                action.resumeInterval="1" action.resumeRetryCount="-1"
                queue.type="linkedList" queue.size="100000")"#
        ),
    )
    .await
}

#[tokio::test]
async fn rsyslog_resends_what_a_killed_server_did_not_answer() {
    let system = System::start().await;
    let sender = resending(&system, 5).await;
    let total = 10 * LINES;
    sender.feed(&lines("resent", total)).await;
    system.rows.await_total(1).await;
    system.pipeline.kill(Service::SyslogServer).await;
    let arrived = system.rows.total().await;
    assert!(
        arrived < total,
        "the load was over before the kill; {}",
        sender.log()
    );
    system.pipeline.start(Service::SyslogServer).await;
    let expected = each_once("resent", total);
    eventually(PATIENCE, || async {
        system.rows.counts().await.len() == expected.len()
    })
    .await;
    sender.stop().await;
}

/// What rsyslog says of a server that goes away and comes back. Anything else is about what we sent it.
const EXPECTED_OF_STOPS: [&str; 5] = [
    // The session is over.
    "librelp error 10008 ",
    // There is nobody to connect to for now.
    "librelp error 10014 ",
    "error opening connection to remote peer",
    "suspended",
    "resumed",
];

#[tokio::test]
async fn rsyslog_has_nothing_to_complain_of_when_a_server_stops() {
    let system = System::start().await;
    let sender = resending(&system, 60).await;
    let restart = async || {
        assert!(system.pipeline.terminate(Service::SyslogServer).await.success());
        system.pipeline.start(Service::SyslogServer).await;
    };
    // In the middle of a load.
    let total = 10 * LINES;
    sender.feed(&lines("stopped", total)).await;
    system.rows.await_total(1).await;
    restart().await;
    system.rows.await_total(total).await;
    // And while nothing is sent.
    restart().await;
    sender.feed(&lines("silent", LINES)).await;
    system.rows.await_total(total + LINES).await;
    let said = sender.whole_log();
    sender.stop().await;

    let mut expected = each_once("stopped", total);
    expected.extend(each_once("silent", LINES));
    assert_counts(&system.rows.counts().await, &expected);
    let strange: Vec<&str> = said
        .lines()
        .filter(|line| !EXPECTED_OF_STOPS.iter().any(|expected| line.contains(expected)))
        .collect();
    assert_eq!(strange, Vec::<&str>::new(), "{said}");
}
