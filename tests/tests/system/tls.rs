//! TLS with client certificates: the peer's name is in the row, and who has no certificate stays out.

use testkit::{Authority, Rsyslog, free_port};

use crate::support::{System, assert_counts, each_once, lines};

const LINES: usize = 500;
const CLIENT: &str = "client-7.example";

#[tokio::test]
async fn the_name_in_a_client_certificate_is_in_the_row() {
    let certificates = tempfile::tempdir().unwrap();
    let ca = Authority::new(certificates.path(), "ca");
    let server = ca.issue("server", "localhost");
    let client = ca.issue("client", CLIENT);
    let port = free_port();
    let system = System::start_with(&format!(
        r#"
[[syslog_server.listener]]
name = "tls"
protocol = "tcp"
address = "127.0.0.1:{port}"
[syslog_server.listener.tls]
cert_file = {cert_file:?}
key_file = {key_file:?}
client_cert = "required"
client_ca_file = {ca_file:?}
"#,
        cert_file = server.cert_file,
        key_file = server.key_file,
        ca_file = ca.file()
    ))
    .await;
    let action = format!(
        r#"action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" tcp_framing="octet-counted"
            template="RSYSLOG_SyslogProtocol23Format" streamDriver="gtls" streamDriverMode="1"
            streamDriverAuthMode="x509/name" streamDriverPermittedPeers="localhost")"#
    );
    let trust = format!("global(defaultNetstreamDriverCAFile={:?})", ca.file());
    let own = format!(
        "global(defaultNetstreamDriverCertFile={:?} defaultNetstreamDriverKeyFile={:?})",
        client.cert_file, client.key_file
    );
    let known = Rsyslog::start(&format!("{trust}\n{own}"), &action).await;
    let unknown = Rsyslog::start(&trust, &action).await;
    unknown.feed(&lines("unknown", 10)).await;
    known.feed(&lines("known", LINES)).await;
    system.rows.await_total(LINES).await;
    known.stop().await;
    unknown.stop().await;
    system.drain().await;

    assert_counts(&system.rows.counts().await, &each_once("known", LINES));
    let peers = system.rows.column("SELECT DISTINCT tls_peer FROM events").await;
    assert_eq!(peers, [CLIENT]);
}
