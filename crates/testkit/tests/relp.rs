//! The RELP sender against a server that everybody uses: rsyslog's imrelp.

use std::time::Duration;

use testkit::{RelpLoad, Rsyslog, eventually};

const LINES: usize = 3_000;

#[tokio::test]
async fn rsyslog_takes_what_the_sender_sends() {
    let dir = tempfile::tempdir().unwrap();
    let rsyslog = Rsyslog::launch_in(dir.path(), |dir, port| {
        let file = dir.join("out");
        format!(
            "module(load=\"imrelp\")\n\
             ruleset(name=\"in\") {{ action(type=\"omfile\" file=\"{}\" template=\"RSYSLOG_FileFormat\") }}\n\
             input(type=\"imrelp\" address=\"127.0.0.1\" port=\"{port}\" ruleset=\"in\")\n",
            file.display()
        )
    })
    .unwrap();
    let lines = (0..LINES).map(|n| format!("<134>1 2026-03-01T10:00:00Z host app 1 - - number {n}"));
    let load = RelpLoad::start(rsyslog.addr(), lines.collect());
    assert_eq!(load.finish().await, [1; LINES]);

    let file = rsyslog.dir().join("out");
    let count = || std::fs::read_to_string(&file).unwrap_or_default().lines().count();
    eventually(Duration::from_secs(30), || async { count() == LINES }).await;
    rsyslog.stop().await;
}
