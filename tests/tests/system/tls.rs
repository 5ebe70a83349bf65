//! TLS with client certificates: the peer's name is in the row, and who has no certificate stays out.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use testkit::{Rsyslog, free_port};

use crate::support::{System, assert_counts, each_once, lines};

const LINES: usize = 500;
const CLIENT: &str = "client-7.example";

/// Writes a CA, and certificates signed by it for the server and a client, as PEM files.
fn write_certificates(dir: &Path) {
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "a CA for tests");
    let ca_key = KeyPair::generate().unwrap();
    fs::write(dir.join("ca.pem"), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    for (file, name, purpose) in [
        ("server", "localhost", ExtendedKeyUsagePurpose::ServerAuth),
        ("client", CLIENT, ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages.push(purpose);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        fs::write(dir.join(format!("{file}.pem")), certificate.pem()).unwrap();
        fs::write(dir.join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }
}

#[tokio::test]
async fn the_name_in_a_client_certificate_is_in_the_row() {
    let certificates = tempfile::tempdir().unwrap();
    let dir = certificates.path();
    write_certificates(dir);
    let port = free_port();
    let system = System::start_with(&format!(
        r#"
[[syslog_server.listener]]
name = "tls"
protocol = "tcp"
address = "127.0.0.1:{port}"
[syslog_server.listener.tls]
cert_file = "{dir}/server.pem"
key_file = "{dir}/server.key"
client_cert = "required"
client_ca_file = "{dir}/ca.pem"
"#,
        dir = dir.display()
    ))
    .await;
    let action = format!(
        r#"action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" tcp_framing="octet-counted"
            template="RSYSLOG_SyslogProtocol23Format" streamDriver="gtls" streamDriverMode="1"
            streamDriverAuthMode="x509/name" streamDriverPermittedPeers="localhost")"#
    );
    let trust = format!(
        "global(defaultNetstreamDriverCAFile=\"{}/ca.pem\")",
        dir.display()
    );
    let own = format!(
        "global(defaultNetstreamDriverCertFile=\"{dir}/client.pem\"
            defaultNetstreamDriverKeyFile=\"{dir}/client.key\")",
        dir = dir.display()
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
