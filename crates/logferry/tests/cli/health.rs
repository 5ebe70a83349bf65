//! `logferry health`, beside a process that lives and where there is none.

use testkit::{eventually, free_port};

use crate::fixture::{Fixture, PATIENCE};

#[tokio::test]
async fn says_whether_a_process_is_ready() {
    let fixture = Fixture::new();
    let port = free_port();
    fixture.settings(&format!(
        "service.http_addr = \"0.0.0.0:{port}\"\nweb.address = \"off\"\n\
         [[syslog_server.listener]]\nname = \"tcp\"\nprotocol = \"tcp\"\naddress = \"127.0.0.1:0\"\n"
    ));
    let away = fixture.run(&["health"]);
    assert_eq!(away.code, 1);
    assert!(
        away.err.contains(&format!("http://0.0.0.0:{port}/readyz")),
        "{away:?}"
    );

    let running = fixture.start(&["run"]);
    eventually(PATIENCE, || async { fixture.run(&["health"]).code == 0 }).await;
    assert!(!running.has_ended(), "{}", running.err());
    assert_eq!(fixture.run(&["health"]).out, "ready\n");
    assert_eq!(fixture.run(&["health", "--live"]).out, "alive\n");
    let addr = format!("127.0.0.1:{port}");
    assert_eq!(
        fixture.run(&["health", "parser", "--http-addr", &addr]).out,
        "ready\n"
    );
}

#[test]
fn names_what_can_be_asked() {
    let fixture = Fixture::new();
    let wrong = fixture.run(&["health", "persar"]);
    assert_eq!(wrong.code, 64);
    assert!(
        wrong.err.contains("persar is no service") && wrong.err.contains("parser"),
        "{wrong:?}"
    );
    fixture.settings("parser.http_addr = \"off\"");
    let off = fixture.run(&["health", "parser"]);
    assert_eq!(off.code, 64);
    assert!(off.err.contains("parser.http_addr is \"off\""), "{off:?}");
}
